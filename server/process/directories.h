/* directories.h - where state lives: made at start with the right owner, handed to the roles as descriptors. */
#ifndef SERVER_PROCESS_DIRECTORIES_H
#define SERVER_PROCESS_DIRECTORIES_H

#include "conf/conf.h"
#include "store/role.h"

/* There while a restore is not finished; nothing starts then. */
#define DIRECTORIES_UNFINISHED "restore-unfinished"

/* Makes what is missing: state_directory with auth, queue, mail, capture (each its role's own, 0700), run_directory
 * with an empty directory. One that is there must be its role's own. Prints why not, -1. */
int directories_make(const struct conf *conf, bool as_root, FILE *errors) MUST_USE;

/* One server at a time: locks the state directory as long as the descriptor that it returns is open. When another
 * holds it prints so, -1. */
int directories_lock(const struct conf *conf, FILE *errors) MUST_USE;

/* The name of syslog's socket in the directory that the log writer gets. /dev/log is often a symbolic link out of
 * /dev, which nobody could follow from there: it is the link's end that counts, as it was when this was first
 * asked. */
const char *directories_syslog_name(const struct conf *conf);

/* The descriptor to hand to a role as DESCRIPTOR_DIRECTORY index: its own, the empty one, or -1 when there is
 * none. */
int directories_open(const struct conf *conf, enum role role, unsigned index) MUST_USE;

#endif
