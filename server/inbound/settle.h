/* settle.h - memory that will not change any more, kept so that a fork need not copy its page tables. */
#ifndef SERVER_INBOUND_SETTLE_H
#define SERVER_INBOUND_SETTLE_H

#include "store/span.h"

/* Puts the whole pages in [from, to) into a private mapping of a file in memory, with the same octets: until somebody
 * writes to one, a child finds it in that file, and its parent's table of pages is neither copied at fork nor taken
 * apart at exit. Without such files nothing changes. Before confinement; no other thread is there. */
void settle(void *from, void *to);

/* What the linker has made read-only after relocation: in large pages, or where there are none the same way. */
void settle_relocations(void);

/* The program's data from its beginning to `to`: what has been written once, at start. */
void settle_data(void *to);

/* Whole pages of a file that are only read: a copy takes their place, which fork hands on. */
void settle_setup(struct span memory);

/* Code and constants, in large pages where the kernel has them: no child has to find them again, page by page. */
void settle_constants(void);

/* Lets go of what only the start of a static program reads: headers and relocations. After all other settling. */
void settle_head(void);

/* The kernel no longer notes in this thread's memory which processor it runs on: nobody asks, and each note would
 * cost parent and child a page. */
void settle_thread(void);

#endif
