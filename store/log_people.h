/* log_people.h - which process is which, by its pid: roles as the master registers them, sessions as auth does. */
#ifndef STORE_LOG_PEOPLE_H
#define STORE_LOG_PEOPLE_H

#include "store/frames.h"
#include "store/log_format.h"
#include "store/role.h"

/* At most 65,536 at once: where a set is full, the session that was registered longest ago gives way. Roles stay
 * until the master says that they ended, or auth that their pid is now a session's. */
void log_people_role(uint32_t pid, enum role role); /* ROLE_NONE: that process has ended */
/* An empty name: that session has ended. */
void log_people_session(uint32_t pid, struct span name, const struct netaddr *client);

/* The role of a registered process, else ROLE_NONE. */
enum role log_people_role_of(uint32_t pid);

/* Those that have ended keep their names until this is called: when what they said last has been read. */
void log_people_bury(void);

/* Whether a process may still be given `n` octets of log, at this time (clock_ms): sessions have a stock for their
 * whole life, agents one in common that fills again, the server's own processes what they want. *last_out: this was
 * the last, and the line says so. */
bool log_people_spend(uint32_t pid, size_t n, uint64_t now_ms, bool *last_out) MUST_USE;

/* Who speaks; an unregistered pid is an agent's. Views into the entry, void after the next registration. */
struct log_speaker log_people_speaker(uint32_t pid);

#endif
