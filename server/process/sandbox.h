/* sandbox.h - the system calls of each role, as filters for confine.c. The only file that knows libseccomp is
 * sandbox.c. */
#ifndef SERVER_PROCESS_SANDBOX_H
#define SERVER_PROCESS_SANDBOX_H

#include "store/buf.h"
#include "store/role.h"

/* Appends the filter of a role (an array of struct sock_filter). 0, or -1 with errno. */
int sandbox_filter(enum role role, struct buf *out) MUST_USE;

/* The same for another architecture, by libseccomp's name ("aarch64"), for tests; NULL: this one. */
int sandbox_filter_on(const char *architecture, enum role role, struct buf *out) MUST_USE;

/* Appends what a process that the role forks gets on top of it; nothing for roles that do not fork. 0, or -1. */
int sandbox_child_filter(enum role role, struct buf *out) MUST_USE;

/* Appends what a mailbox agent of delivery's, which a hostile session speaks to, gets in its place: it names what is
 * left. 0, or -1. */
int sandbox_mailbox_filter(struct buf *out) MUST_USE;

#endif
