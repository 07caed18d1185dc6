/* family.h - what the master does to its children as a whole: start, restart, reload, count, report. */
#ifndef SERVER_PROCESS_FAMILY_H
#define SERVER_PROCESS_FAMILY_H

#include "server/process/child.h"
#include "store/control.h"

/* The shared log socket and the control sockets. 0, or -1 (printed). */
int family_open(struct family *family, const struct conf *conf, const struct sockets *sockets, struct loop *loop,
                void (*heard)(struct child *, const struct frame *)) MUST_USE;
void family_close(struct family *family);

/* Every role's user exists; else prints the command that makes them, -1. */
int family_check_users(const struct conf *conf, FILE *errors) MUST_USE;

/* Starts all roles with the certificates in family->fresh, joins them, lets them run. */
int family_start(struct family *family) MUST_USE;

/* Whether every child has said that it serves. */
bool family_ready(const struct family *family);

struct child *family_by_pid(struct family *family, pid_t pid);

/* Restart at once; after three deaths within a second, a second later. */
void family_plan_restart(struct child *child);
/* The time (clock_ms) of the next planned restart; UINT64_MAX when there is none. */
uint64_t family_next_restart(const struct family *family);
void family_restart_due(struct family *family);

/* Has a new listener of that role start beside those that run, again and again until one serves; the old ones of that
 * role are retired then. */
void family_want_listener(struct family *family, enum role role);
/* The same for each role that the configuration asks for. */
void family_want_listeners(struct family *family);
void family_retire_listeners(struct family *family, enum role role, const struct child *but);
/* For family.c: whether there is to be one for POP3; a number that no listener of the role has; one has been had;
 * when (clock_ms) the next is due, and starting those that are; ending those that do not serve yet. */
bool family_wants_pop3(const struct conf *conf);
uint8_t family_listener_index(struct family *family, enum role role);
void family_listener_had(struct family *family, enum role role);
uint64_t family_listeners_next(const struct family *family);
void family_listeners_due(struct family *family);
void family_drop_unready_listeners(struct family *family);
/* Whether another one of its role serves. */
bool family_other_listener(struct family *family, const struct child *but);

/* What the keys process and a listener say of the keys that they hold and need. -1: malformed, or not theirs to
 * say. */
int family_hear_keys(struct child *child, struct span body) MUST_USE;
int family_hear_certificates(struct child *child, struct span body) MUST_USE;

/* Whether the keys of all the listener's certificates are held. *wrong_out: index of the first certificate without
 * its key. */
enum family_pairs { FAMILY_PAIRS_UNKNOWN = 0, FAMILY_PAIRS_WHOLE, FAMILY_PAIRS_BROKEN };
enum family_pairs family_pairs(const struct child *listener, size_t *wrong_out) MUST_USE;

/* The listener was found good: it may take connections, its certificates are those in service, the others of its role
 * retire. */
void family_serve(struct family *family, struct child *listener);
/* New certificates are of no use: those in service stay. False when the listener's are not new, or none is in
 * service. */
bool family_refuse_material(struct family *family, const struct child *listener) MUST_USE;
/* The certificates that the listener began with. */
const struct material *family_material(const struct family *family, const struct child *listener);

/* A child that was told to leave has left: frees the slot, and has the keys of unused generations dropped. */
void family_forget(struct family *family, struct child *child);

/* Whether a new configuration keeps what cannot change while running; else says what needs a restart. */
bool family_same_place(const struct conf *now, const struct conf *wanted, FILE *errors);
/* Hands the new configuration to everybody; it must outlive the family or the next call. Takes over the new
 * certificates, which a new listener will try. */
void family_reconfigure(struct family *family, const struct conf *conf, const struct material *fresh);

void family_log_end(const struct child *child, int status, bool expected);

/* Appends the words for bits of enum role_missing. */
void family_put_missing(struct buf *out, uint32_t missing);

/* Answers "status" on run_directory/status.sock. */
int family_serve_status(struct family *family, struct control_server *server) MUST_USE;

#endif
