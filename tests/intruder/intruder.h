/* intruder.h - a session that was taken over: tools to speak the frames directly, under the session's own
 * confinement. */
#ifndef TESTS_INTRUDER_INTRUDER_H
#define TESTS_INTRUDER_INTRUDER_H

#include "auth/reason.h"
#include "auth/relay.h"
#include "store/frame.h"
#include "store/frames.h"
#include "store/netaddr.h"
#include "store/role.h"

#include <sys/types.h>

/* What one taken-over session holds. */
struct cell {
    int auth, queue, keys; /* -1: not handed out yet */
    int out, in;           /* pipes to and from a second cell, where an attack needs two */
    uint8_t transaction[TRANSACTION_BYTES];
    const struct role_start *start;
    pid_t listener; /* that forked it; it may not ask the kernel */
};

struct attack {
    const char *name;
    /* In the cell's own process: NULL when the server held, else what went wrong. */
    const char *(*run)(struct cell *cell);
    bool unconfined;     /* runs with a descriptor of the listener's: attacks with calls that the filter would end */
    int expected_signal; /* the attack must be ended by it (SIGSYS), 0: must return */
};

extern const struct attack attacks[];
extern const size_t attacks_n;
/* In the POP3 session's place (mailboxes.c). */
extern const struct attack mailboxes[];
extern const size_t mailboxes_n;
/* In either place: what the kernel is to refuse. */
extern const struct attack escapes[];
extern const size_t escapes_n;
/* Attacks in pairs: both cells run at once, joined by pipes. */
extern const struct attack pairs[];
extern const size_t pairs_n;

/* floods.c */
const char *flood_of_lines(struct cell *cell);
const char *flood_of_recipients(struct cell *cell);
const char *flood_of_senders(struct cell *cell);
const char *flood_of_logins(struct cell *cell);
const char *flood_of_commits(struct cell *cell);
const char *group_too_large(struct cell *cell);
const char *never_reads(struct cell *cell);

/* logins.c */
const char *login_claims(struct cell *cell);
const char *login_out_of_turn(struct cell *cell);
const char *login_twice(struct cell *cell);
const char *login_bindings_too_long(struct cell *cell);
const char *login_final_first(struct cell *cell);

/* mailboxes.c */
const char *mailbox_by_smtp(struct cell *cell);
const char *mailbox_by_pop3s_name(struct cell *cell);

/* Frames of a session, as fields. Each returns false when the channel is gone. */
bool cell_announce(struct cell *cell, enum relay_role role, const char *client);
bool cell_send(int fd, enum frame_type type, const struct buf *b);
/* Receives one frame within two seconds; FRAME_NONE when nothing came. */
enum frame_status cell_receive(int fd, struct frame *out);
/* Whether the other side ends the channel within two seconds (frames before that are skipped). */
bool cell_ended(int fd);
/* MAIL as a stranger; the reason, or REASON_COUNT when there was no answer. Keeps T. */
enum reason cell_mail(struct cell *cell, const char *helo, const char *argument);
enum reason cell_mail_span(struct cell *cell, struct span helo, struct span argument);
/* RCPT; keeps the channel to the queue when one comes. */
enum reason cell_rcpt(struct cell *cell, const char *argument);
enum reason cell_rcpt_span(struct cell *cell, struct span argument);
bool cell_body(struct cell *cell, const uint8_t transaction[TRANSACTION_BYTES], struct span octets);
/* Commit: enum body_outcome, or -1 when the channel ended, -2 when there was no answer. */
int cell_commit(struct cell *cell, const uint8_t transaction[TRANSACTION_BYTES], uint32_t recipients);
/* MAIL and RCPT to a local user, so that T is open and the queue's channel there. */
const char *cell_open(struct cell *cell, const char *sender);
bool cell_keys(struct cell *cell);

#endif
