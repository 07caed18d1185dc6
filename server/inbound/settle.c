/* settle.c - moving memory that has come to rest out of the way of fork.
 * Runs in: listener, before it is confined. Trusts: the program's own headers. Never: changes an octet, makes a page
 * writable that was not. */
#include "server/inbound/settle.h"

#include <fcntl.h>
#include <link.h>
#include <linux/rseq.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, RSEQ_AREA_BYTES = 32 /* what the C library registers */ };

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

void settle_setup(struct span memory) {
    void *from = (void *)(uintptr_t)memory.p; // NOLINT(performance-no-int-to-ptr)
    void *copy = mmap(NULL, memory.n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED) return;
    memcpy(copy, from, memory.n);
    if (mprotect(copy, memory.n, PROT_READ) != 0 ||
        mremap(copy, memory.n, memory.n, MREMAP_MAYMOVE | MREMAP_FIXED, from) != from)
        munmap(copy, memory.n);
}

#ifdef GATEPOST_SANITIZED /* which finds fault with reading a page across its objects */
void settle_relocations(void) {}
void settle_data(void *to) {
    (void)to;
}
void settle_constants(void) {}
void settle_head(void) {}
#else
extern uint8_t __data_start[]; // NOLINT(bugprone-reserved-identifier): the linker's name

void settle_data(void *to) {
    remap(__data_start, to, PROT_READ | PROT_WRITE);
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

/* Nothing else may lie there. */
static bool reserve(uint8_t *from, size_t n) {
    return n == 0 || mmap(from, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == from;
}

/* Large pages at an address of their alignment, with [from, from + n) copied to `at` of them; NULL where there are
 * none. */
static uint8_t *copy_large(const uint8_t *from, size_t n, size_t at, size_t whole, int protection) {
    unsigned long before = large_kilobytes();
    uint8_t *room = mmap(NULL, whole + LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) return NULL;
    size_t skip = (LARGE - (uintptr_t)room % LARGE) % LARGE;
    uint8_t *copy = room + skip;
    if (skip) munmap(room, skip);
    munmap(copy + whole, LARGE - skip);
    if (madvise(copy, whole, MADV_HUGEPAGE) == 0) memcpy(copy + at, from, n);
    __builtin___clear_cache((char *)copy, (char *)copy + whole);
    if (large_kilobytes() - before >= whole / 1024 && mprotect(copy, whole, protection) == 0) return copy;
    munmap(copy, whole);
    return NULL;
}

/* Puts [from, from + n), which no other part of its large pages may be taken by, into such pages. */
static bool enlarge(uint8_t *from, size_t n, int protection) {
    size_t before = (uintptr_t)from % LARGE, whole = (before + n + LARGE - 1) / LARGE * LARGE,
           after = whole - before - (n + PAGE - 1) / PAGE * PAGE;
    uint8_t *base = from - before;
    if (!reserve(base, before) || !reserve(base + whole - after, after)) return false;
    uint8_t *copy = copy_large(from, n, before, whole, protection);
    if (copy && mremap(copy, whole, whole, MREMAP_MAYMOVE | MREMAP_FIXED, base) == base) return true;
    if (copy) munmap(copy, whole);
    return false;
}

static int take_constants(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size, (void)context;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || part->p_flags & PF_W || part->p_offset == 0) continue;
        uint8_t *from = (uint8_t *)(info->dlpi_addr + part->p_vaddr); // NOLINT(performance-no-int-to-ptr)
        (void)enlarge(from, part->p_memsz, PROT_READ | (part->p_flags & PF_X ? PROT_EXEC : 0));
    }
    return 1;
}

/* What only the program's start reads. */
static int drop_head(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size, (void)context;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || part->p_offset != 0 || part->p_flags & PF_X) continue;
        munmap((uint8_t *)info->dlpi_addr + part->p_vaddr, part->p_memsz); // NOLINT(performance-no-int-to-ptr)
        break;                                                             /* the headers were in it */
    }
    return 1;
}

static int take_relocations(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size, (void)context;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_GNU_RELRO) continue;
        uint8_t *from = (uint8_t *)(info->dlpi_addr + part->p_vaddr); // NOLINT(performance-no-int-to-ptr)
        size_t in_page = (uintptr_t)from % PAGE;
        if ((uintptr_t)(from + part->p_memsz) % LARGE == 0 &&
            enlarge(from - in_page, in_page + part->p_memsz, PROT_READ))
            continue;
        remap(from, from + part->p_memsz, PROT_READ);
    }
    return 1; /* the program itself comes first, and the session has no other part */
}

void settle_relocations(void) {
    (void)dl_iterate_phdr(take_relocations, NULL);
}

void settle_constants(void) {
    (void)dl_iterate_phdr(take_constants, NULL);
}

void settle_head(void) {
    (void)dl_iterate_phdr(drop_head, NULL);
}
#endif

void settle_thread(void) {
    void *area = (uint8_t *)__builtin_thread_pointer() + __rseq_offset;
    if (__rseq_size) (void)syscall(SYS_rseq, area, RSEQ_AREA_BYTES, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}
