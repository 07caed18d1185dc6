/* fault.h - what the sessions of both protocols ask when something comes from the client: is a fault due
 * (gatepost-faults.5)? In a build without FAULTS=1 none is, and nothing of it is in the programs. */
#ifndef SERVER_LAB_FAULT_H
#define SERVER_LAB_FAULT_H

#include "store/netaddr.h"
#include "store/role.h"

/* What the session does then. */
enum fault_course {
    FAULT_GO_ON = 0, /* as always */
    FAULT_ANSWERED,  /* `out` holds the answer; the next command */
    FAULT_PARTING,   /* `out` holds the last word: send it and leave */
    FAULT_LEAVE      /* without a word: `out` is empty */
};

#define FAULT_WHY "a fault, as asked"

#ifdef GATEPOST_FAULTS
#include "server/lab/fault_script.h"

#include <stdatomic.h>

/* What all listeners and sessions share, in memory that the master has made: so rules count over the whole server,
 * whichever process meets them, and across a listener's renewal. A session that was taken over could write to it:
 * this is for laboratories, which is why the packaged server has none of it. */
struct fault_shared {
    _Atomic uint64_t counts[FAULT_RULES_MAX]; /* how often each rule's conditions held */
    uint32_t text_bytes;
    uint8_t text[FAULT_TEXT_MAX]; /* the script, without a mistake */
};

/* In the listener before it is confined: takes the script over. 0, or -1 (logged). */
int fault_prepare(const struct role_start *start) MUST_USE;
/* For tests: the same with memory and script at hand. */
void fault_use(struct fault_shared *shared, const struct fault_script *script);

/* A session begins. */
void fault_open(uint8_t role, const struct netaddr *client);

struct fault_event {
    enum fault_where where;
    struct span argument; /* what `match` looks at */
    struct span user;     /* who is logged in, or is just logging in; empty: nobody */
    bool named;           /* the login's name has only now come: rules that ask for none had their turn */
    uint64_t before, now; /* body: octets so far, without and with those that have just come */
    bool end;             /* body: that is all of it */
};

/* All rules that are due for one event: waiting times add up, the last speed counts, and of what remains the first
 * rule's action is done. */
struct fault_verdict {
    uint64_t delay_ms, octets_per_second;
    const struct fault_rule *final; /* NULL: none */
};

/* Counts the event with every rule whose conditions hold. False: no fault is due. */
bool fault_judge(const struct fault_event *event, struct fault_verdict *out) MUST_USE;

/* An address was named, at MAIL, RCPT, USER or AUTH: its local part may ask for a fault, at once (`here` is the
 * place) or later in this transaction, or in this session when it is a login's. */
void fault_hear(struct span address, enum fault_where here, bool session);
/* A new transaction: what addresses of the one before asked for is over. */
void fault_forget(void);

/* Whether the listener of this session is for POP3. */
bool fault_is_pop3(void);

/* Does what the verdict says: sends what waits in `out`, waits, then acts. */
enum fault_course fault_play(const struct fault_verdict *verdict, struct buf *out) MUST_USE;

/* Judges and plays an event that has no command. */
enum fault_course fault_at(const struct fault_event *event, struct buf *out) MUST_USE;

/* The client is known, nothing was said: ANSWERED or PARTING has in `out` what is said in the greeting's place. */
enum fault_course fault_connect(uint8_t role, const struct netaddr *client, struct buf *out) MUST_USE;

/* The handshake is to begin. LEAVE: it has failed, as asked. */
enum fault_course fault_tls(void) MUST_USE;

#else
static inline int fault_prepare(const struct role_start *start) {
    (void)start;
    return 0;
}
static inline enum fault_course fault_connect(uint8_t role, const struct netaddr *client, struct buf *out) {
    (void)role, (void)client, (void)out;
    return FAULT_GO_ON;
}
static inline enum fault_course fault_tls(void) {
    return FAULT_GO_ON;
}
#endif

#endif
