/* confine.h - how a process becomes less: its own user, an empty root, few descriptors and little memory, its own
 * directories only (Landlock), and the few system calls of its role (seccomp; the filter is made by the master). */
#ifndef SERVER_PROCESS_CONFINE_H
#define SERVER_PROCESS_CONFINE_H

#include "store/role.h"

/* Confines the calling process as its setup says, in this order: working directory, empty root, Landlock, rlimits,
 * groups, gid, uid (and that they cannot be taken back), non-dumpable, no new privileges, filter. *missing_out: bits
 * of enum role_missing for what could not be had as an ordinary user or on this kernel. -1: something that must work
 * failed (it has been logged); the process must not go on. */
int role_confine(const struct role_start *start, uint32_t *missing_out) MUST_USE;

/* In an agent that a confined process has forked: no further processes, and the setup's child filter on top. 0 or
 * -1. */
int confine_agent(const struct role_start *start) MUST_USE;

/* The same with a filter of the agent's own in place of the setup's; an empty one allows what its parent may. */
int confine_agent_to(struct span filter) MUST_USE;

/* In a listener's child: no further processes, no descriptor but those that are there and others below `descriptors`
 * (at most ROLE_OWN_FD, or the filter that it has from the listener would allow it too much). 0 or -1. */
int confine_session(unsigned descriptors) MUST_USE;

/* Whether Landlock of this version can confine a process to that many directories. The first version (before
 * Linux 5.19) refuses every rename and link from one directory to another, without which no message is delivered: it
 * serves only those who have no directory. */
bool confine_landlock_serves(long abi, size_t directories);

/* Restricts the calling process to the tree below `directory` (Landlock), for good. 0, also where the kernel has no
 * Landlock that serves, or -1. */
int confine_directory(int directory) MUST_USE;

#endif
