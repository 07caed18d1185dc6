/* main_verifier.c - the program gatepost-verifier.
 * Runs in: verifier. Trusts: the master, for its setup. Never: serves before it is confined. */
#include "auth/verifier.h"
#include "server/process/confine.h"

#ifndef GATEPOST_SANITIZED
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LARGE_BYTES = 8 << 20 };

/* libsodium maps 64 MiB anew for each hash: 16384 pages to be found and cleared, and found again at each look. It
 * cannot be told otherwise, so its calls come here: that much is asked for in large pages, where the kernel has them
 * on demand (transparent_hugepage "madvise" or "always"). A login takes a third less. */
void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
    bool large = fd == -1 && n >= LARGE_BYTES;
    int wanted =
        large ? flags & ~MAP_POPULATE : flags; /* filled before madvise, it would be filled with small ones */
    long result = syscall(SYS_mmap, at, n, protection, wanted, fd, offset);
    void *p = result == -1 ? MAP_FAILED : (void *)result; // NOLINT(performance-no-int-to-ptr)
    if (large && p != MAP_FAILED) (void)madvise(p, n, MADV_HUGEPAGE);
    return p;
}
#endif

int main(void) {
    static struct role_start start;
    uint32_t missing;
    if (role_receive(&start) != 0 || role_confine(&start, &missing) != 0) return 1;
    return verifier_run(&start, missing);
}
