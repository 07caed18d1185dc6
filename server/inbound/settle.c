/* settle.c - moving memory that has come to rest out of the way of fork.
 * Runs in: listener, before it is confined. Trusts: the program's own headers. Never: changes an octet, makes a page
 * writable that was not. */
#include "server/inbound/settle.h"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

static bool fill(int fd, const uint8_t *p, size_t n) {
    for (size_t at = 0; at < n;) {
        ssize_t done = pwrite(fd, p + at, n - at, (off_t)at);
        if (done <= 0) return false;
        at += (size_t)done;
    }
    return true;
}

static void remap(void *from, void *to, int protection) {
    uintptr_t begin = ((uintptr_t)from + PAGE - 1) & ~(uintptr_t)(PAGE - 1),
              end = (uintptr_t)to & ~(uintptr_t)(PAGE - 1);
    if (begin >= end) return;
    int fd = memfd_create("settled", MFD_CLOEXEC);
    if (fd < 0) return;
    void *pages = (uint8_t *)from + (begin - (uintptr_t)from);
    size_t n = end - begin;
    /* In one step: there is no moment at which the pages are not there. Where it fails, the old ones stay. */
    if (fill(fd, pages, n)) (void)mmap(pages, n, protection, MAP_PRIVATE | MAP_FIXED, fd, 0);
    close(fd);
}

void settle(void *from, void *to) {
    remap(from, to, PROT_READ | PROT_WRITE);
}

#ifdef GATEPOST_SANITIZED /* which finds fault with reading a page across its objects */
void settle_relocations(void) {}
#else
static int take_relocations(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size, (void)context;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_GNU_RELRO) continue;
        uint8_t *from = (uint8_t *)(info->dlpi_addr + part->p_vaddr); // NOLINT(performance-no-int-to-ptr)
        remap(from, from + part->p_memsz, PROT_READ);
    }
    return 1; /* the program itself comes first, and the session has no other part */
}

void settle_relocations(void) {
    (void)dl_iterate_phdr(take_relocations, NULL);
}
#endif
