/* peer.h - one session as auth knows it: what it announced, what it proved, what is open. */
#ifndef AUTH_PEER_H
#define AUTH_PEER_H

#include "auth/auth.h"
#include "store/log.h"

/* States, one bit each. A frame that is not permitted in the state drops the session. */
enum peer_state {
    PEER_NEW = 1,      /* nothing but the announcement is read */
    PEER_IDLE = 2,     /* welcome, no transaction */
    PEER_OPEN = 4,     /* transaction T is open */
    PEER_LOGIN = 8,    /* a challenge is out */
    PEER_WAITING = 16, /* an answer of ours is due */
    PEER_REFUSED = 32  /* not welcome: only its end is awaited */
};

/* What a frame's handler returns when the session must end and the frame was good. */
enum { PEER_ENDS = -2 };

struct transaction {
    uint8_t name[TRANSACTION_BYTES];
    struct peer *hash_next;
    uint8_t *head; /* TRANSACTION_OPEN: the queue hears of it with the first recipient, so of no refused one */
    size_t head_n;
    bool open;   /* as far as auth knows: the queue may have closed it already */
    bool broken; /* a frame about it could not be sent: every recipient is answered 451 */
    bool utf8, esmtp;
    bool header_from; /* the session is to ask about the From field */
    bool over_quota;  /* a recipient was */
    struct relay_facts facts;
    struct quota_principal payer;
    int64_t grant_id;                   /* it rests on this grant; 0: on none */
    bool grant_paid;                    /* its message is counted there */
    bool grant_ended;                   /* and it is dead with it, whatever the session thinks */
    struct quota_reservation *reserved; /* until the queue says how it ended; NULL: nothing */
    uint32_t accepted;                  /* RCPT commands */
    size_t ends;                        /* recipients that these came to */
};

enum exchange_state {
    EXCHANGE_NONE = 0,
    EXCHANGE_CHALLENGED,
    EXCHANGE_HELD_BACK, /* its network has failed too often to be served at once */
    EXCHANGE_QUEUED,
    EXCHANGE_WORKED_ON,
    EXCHANGE_DELAYED, /* its answer is known, and not due yet */
    EXCHANGE_PROVEN   /* right; the client has yet to answer the last challenge */
};

struct exchange {
    enum exchange_state state;
    uint64_t number;
    uint8_t mechanism, step;
    uint64_t began_ms; /* this message came to the queue */
    struct queue_timer timer;
    struct login_wait wait;
    struct auth_link *link; /* the verifier that works on it */
    uint8_t sealed[VERIFY_STATE_BYTES];
    uint8_t exporter[CHANNEL_BINDING_MAX], end_point[CHANNEL_BINDING_MAX];
    size_t exporter_n, end_point_n;
    uint8_t message[VERIFY_MESSAGE_MAX]; /* may hold a password: wiped when a verifier has it */
    size_t message_n;
    enum auth_outcome outcome;                 /* of a delayed answer */
    uint8_t challenge[VERIFY_CHALLENGE_BYTES]; /* likewise */
    size_t challenge_n;
    struct throttle_attempt attempt;
    enum throttle_failure failure; /* should it be wrong */
    uint8_t tag[VERIFY_TAG_BYTES];
    int64_t user_id, credential_id; /* whose credentials are being worked on, 0: nobody; which was right */
    uint64_t used_ms;               /* wall clock: that credential was, last */
    bool remembered;                /* it was right lately: no hash was made */
    uint8_t login[ADDRESS_MAX];
    size_t login_n;
    const char *why; /* for the log */
};

struct peer {
    struct auth *auth;
    struct peer *next, *previous, *pid_next;
    struct loop_watch watch;
    enum role by; /* the listener whose child it is: those of ROLE_POP3 have frames of their own */
    pid_t pid;
    uint32_t state;
    uint64_t number, since_ms;
    uint8_t name[SESSION_NAME_MAX];
    size_t name_n;
    struct facts_client client;
    enum reason refusal;       /* PEER_REFUSED: why */
    uint32_t uid;              /* of who connected to the local socket, by the kernel's word */
    struct system_user system; /* where client.system points */
    struct netaddr here;       /* where it connected */
    uint8_t tls[128];
    size_t tls_n;
    bool tls_said, keys_given, queue_given, mailbox_given;
    bool granted; /* a grant has let it send */
    uint8_t granted_login[ADDRESS_MAX];
    size_t granted_login_n;  /* whose, for the log; 0: the MAIL before this was nobody's by a grant */
    const char *granted_why; /* what the log says of grants where a stranger is refused; NULL: nothing */
    struct peer_count *same_address, *same_network, *same_share;
    bool counted, waiting; /* in auth->counts */
    uint32_t messages, failures;
    uint32_t refusals; /* and other lines that a session can make auth log without end */
    uint32_t overtime; /* frames after its last failure */
    struct transaction transaction;
    struct exchange exchange;
    struct grant_hold grant_hold; /* of one who fetches mail */
    struct {                      /* an answer that must not overtake what the queue is to hear first */
        bool waits;
        uint16_t type;
        int passed;
        uint8_t *body;
        size_t n;
    } parked;
};

static inline struct span peer_name(const struct peer *peer) {
    return span_of(peer->name, peer->name_n);
}

/* Whether a session of that listener's may have this role (enum relay_role). */
bool peer_role_fits(enum role by, unsigned role);
/* As the configuration writes it. */
const char *peer_role_word(enum relay_role role);

/* The channel of a listener's child that will announce its client; takes over the descriptor. Where it cannot be
 * watched it is closed, and the child sees that. */
void peer_add(struct auth *auth, enum role by, pid_t pid, int fd);
/* The same for a child whose client is known, and gets its welcome at once: who connected to the local socket with
 * this uid, or from that address (REASON_COUNT, or the reason for a refusal). */
void peer_add_local(struct auth *auth, pid_t pid, uint32_t uid, int fd);
enum reason peer_add_client(struct auth *auth, enum role by, pid_t pid, enum relay_role role,
                            const struct netaddr *client, const struct netaddr *here, int fd);

/* Ends a session: its channel is closed, its transaction dies. */
void peer_drop(struct peer *peer);

/* Answers the open request. False: the session does not read; the caller drops it. */
bool peer_answer(struct peer *peer, enum frame_type type, struct span body, int passed) MUST_USE;

/* The same, but not before the queue's channel has taken everything (DESIGN 3). */
bool peer_answer_after_queue(struct peer *peer, enum frame_type type, struct span body, int passed) MUST_USE;

/* Answers that were parked, now that the queue has everything. */
void peer_unpark_all(struct auth *auth);

/* Opens a log line about a session: its name and client. */
void peer_log(struct log_line *line, enum log_event event, const struct peer *peer);

/* Logs what became of an address of the session's (`key` says which), and why where `why` is not NULL; not every one
 * of too many refusals. */
void peer_log_reason(struct peer *peer, enum log_event event, enum reason reason, enum log_key key, struct span what,
                     const char *why);

/* Names every session to a log writer that knows none. */
void peer_name_all(const struct auth *auth);

/* The process of a session has ended: its pid may become another's, who is not to speak in the session's name. */
void peer_ended(const struct auth *auth, pid_t pid);

/* Whether a refusal is still logged one by one: a session that was taken over could fill the disk with them. How many
 * were not is in the line of its end. */
bool peer_refusal_logged(struct peer *peer);

/* It came by a port where users log in, submission or POP3; by one for POP3; by the local socket. */
bool peer_is_for_users(const struct peer *peer);
bool peer_is_pop3(const struct peer *peer);
bool peer_is_local(const struct peer *peer);

/* One more failure; true when there were too many. */
bool peer_failed(struct peer *peer);
bool peer_failed_too_often(const struct peer *peer);

/* Once, at start: sessions whose credential has gone end from then on, and so do logins that may be by it. */
void peer_watch_accounts(struct auth *auth);

/* Sessions that have been waiting for a login for too long; returns when to look again (ms from now). */
int peer_expire(struct auth *auth);

#endif
