/* settle.c - moving memory that has come to rest out of the way of fork.
 * Runs in: listener, before it is confined. Trusts: the program's own headers. Never: changes an octet, makes a page
 * writable that was not. */
#include "server/inbound/settle.h"

#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
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
void settle_constants(void) {}
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

/* ---- what is never written */

enum { LARGE = 2 << 20 };

/* Kilobytes of this process that lie in large pages. */
static unsigned long large_kilobytes(void) {
    char text[4096], *at;
    int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    if (n <= 0) return 0;
    text[n] = 0;
    at = strstr(text, "AnonHugePages:");
    return at ? strtoul(at + 14, NULL, 10) : 0;
}

/* A copy of [from, from + n) in large pages, at an address of that alignment; NULL where there are none. */
static uint8_t *copy_large(const uint8_t *from, size_t n, size_t whole, int protection) {
    unsigned long before = large_kilobytes();
    uint8_t *room = mmap(NULL, whole + LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) return NULL;
    size_t skip = (LARGE - (uintptr_t)room % LARGE) % LARGE;
    uint8_t *copy = room + skip;
    if (skip) munmap(room, skip);
    munmap(copy + whole, LARGE - skip);
    if (madvise(copy, whole, MADV_HUGEPAGE) == 0) memcpy(copy, from, n);
    __builtin___clear_cache((char *)copy, (char *)copy + whole);
    if (large_kilobytes() - before >= whole / 1024 && mprotect(copy, whole, protection) == 0) return copy;
    munmap(copy, whole);
    return NULL;
}

static void enlarge(uint8_t *from, size_t n, int protection) {
    size_t whole = (n + LARGE - 1) / LARGE * LARGE, own = (n + PAGE - 1) / PAGE * PAGE;
    if ((uintptr_t)from % LARGE) return;
    /* Up to the next boundary nothing else may lie there. */
    if (whole > own && mmap(from + own, whole - own, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
                            0) != from + own)
        return;
    uint8_t *copy = copy_large(from, n, whole, protection);
    if (copy && mremap(copy, whole, whole, MREMAP_MAYMOVE | MREMAP_FIXED, from) != from) munmap(copy, whole);
}

static int take_constants(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size, (void)context;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || part->p_flags & PF_W || part->p_offset == 0) continue;
        uint8_t *from = (uint8_t *)(info->dlpi_addr + part->p_vaddr); // NOLINT(performance-no-int-to-ptr)
        enlarge(from, part->p_memsz, PROT_READ | (part->p_flags & PF_X ? PROT_EXEC : 0));
    }
    return 1;
}

void settle_constants(void) {
    (void)dl_iterate_phdr(take_constants, NULL);
}
#endif
