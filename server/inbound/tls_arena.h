/* tls_arena.h - OpenSSL's memory: a fixed piece of the program, so that a session needs no more of the kernel's after
 * it has begun. Blocks are handed out by size class and come back to their class; one thread. */
#ifndef SERVER_INBOUND_TLS_ARENA_H
#define SERVER_INBOUND_TLS_ARENA_H

#include <stdbool.h>
#include <stddef.h>

enum { TLS_ARENA_BYTES = 8 << 20, TLS_ARENA_ALIGNMENT = 16 };

/* NULL when the arena is exhausted, or for 0 octets. */
void *tls_arena_take(size_t n);
void tls_arena_give(void *p);
/* As realloc(3); what was there stays when there is no room. */
void *tls_arena_resize(void *p, size_t n);

/* After the shared part is built, before the first fork: blocks from before stay where they are for ever, and a child
 * takes its own from fresh pages side by side, so that it copies as few of the parent's as can be. */
void tls_arena_seal(void);

/* Octets from the start of the arena to the end of what was ever taken. */
size_t tls_arena_used(void);

/* Makes OpenSSL use it; before any other call of OpenSSL's. */
bool tls_arena_install(void);

#endif
