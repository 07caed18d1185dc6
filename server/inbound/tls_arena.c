/* tls_arena.c - a small allocator over a fixed arena: size classes a quarter apart, one list of free blocks for each.
 * Runs in: listener, session. Trusts: OpenSSL to give back only what it took. Never: asks the kernel for memory. */
#include "server/inbound/tls_arena.h"

#include "server/inbound/settle.h"
#include "store/buf.h"

#include <openssl/crypto.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES = 72, SMALLEST = 32, PAGE = 4096 };

/* Before each block. While it is free, the list goes through its first octets. */
struct head {
    size_t n;       /* octets that fit */
    uint32_t class; /* its list */
    uint32_t magic;
};
_Static_assert(sizeof(struct head) == TLS_ARENA_ALIGNMENT, "blocks stay aligned");

enum { TAKEN = 0x67707461, FREE = 0x67706672 };

static BUF_LARGEST _Alignas(PAGE) uint8_t arena[TLS_ARENA_BYTES];
static size_t used, sealed;
static void *free_blocks[CLASSES];

/* The class of blocks of at least n octets, and their size: 32, 40, 48, 56, 64, 80, ... */
static unsigned class_of(size_t n, size_t *size_out) {
    unsigned class = 0;
    for (size_t base = SMALLEST; class < CLASSES; base *= 2)
        for (size_t quarter = 0; quarter < 4 && class < CLASSES; quarter++, class ++) {
            *size_out = base + quarter * (base / 4);
            if (*size_out >= n) return class;
        }
    return CLASSES;
}

static struct head *head_of(void *p) {
    return (struct head *)(void *)((uint8_t *)p - sizeof(struct head));
}

void *tls_arena_take(size_t n) {
    size_t size;
    unsigned class = class_of(n, &size);
    if (n == 0 || class == CLASSES) return NULL;
    void *p = free_blocks[class];
    if (p) {
        memcpy(&free_blocks[class], p, sizeof p);
    } else {
        size_t whole =
            sizeof(struct head) + (size + TLS_ARENA_ALIGNMENT - 1) / TLS_ARENA_ALIGNMENT * TLS_ARENA_ALIGNMENT;
        if (whole > sizeof arena - used) return NULL;
        p = arena + used + sizeof(struct head);
        used += whole;
    }
    *head_of(p) = (struct head){size, class, TAKEN};
    return p;
}

void tls_arena_give(void *p) {
    if (!p) return;
    if ((uint8_t *)p < arena || (uint8_t *)p >= arena + sizeof arena) abort();
    if ((size_t)((uint8_t *)p - arena) < sealed) return; /* the parent's page stays shared */
    struct head *head = head_of(p);
    if (head->magic != TAKEN || head->class >= CLASSES) abort(); /* given back twice, or overwritten */
    head->magic = FREE;
    memcpy(p, &free_blocks[head->class], sizeof p);
    free_blocks[head->class] = p;
}

void *tls_arena_resize(void *p, size_t n) {
    if (!p) return tls_arena_take(n);
    if (n == 0) {
        tls_arena_give(p);
        return NULL;
    }
    struct head *head = head_of(p);
    if (head->magic != TAKEN) abort();
    if (n <= head->n) return p;
    void *larger = tls_arena_take(n);
    if (!larger) return NULL;
    memcpy(larger, p, head->n);
    if ((size_t)((uint8_t *)p - arena) >= sealed) explicit_bzero(p, head->n);
    tls_arena_give(p);
    return larger;
}

void tls_arena_seal(void) {
    memset(free_blocks, 0, sizeof free_blocks);
    used = (used + PAGE - 1) / PAGE * PAGE;
    sealed = used;
    settle(arena, arena + sealed);
}

size_t tls_arena_used(void) {
    return used;
}

static void *take_for_openssl(size_t n, const char *file, int line) {
    (void)file, (void)line;
    return tls_arena_take(n);
}

static void *resize_for_openssl(void *p, size_t n, const char *file, int line) {
    (void)file, (void)line;
    return tls_arena_resize(p, n);
}

static void give_for_openssl(void *p, const char *file, int line) {
    (void)file, (void)line;
    tls_arena_give(p);
}

bool tls_arena_install(void) {
    return CRYPTO_set_mem_functions(take_for_openssl, resize_for_openssl, give_for_openssl) == 1;
}
