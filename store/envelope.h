/* envelope.h - whose mail, to whom, and what is known of it: written by auth, kept by the queue, in frames and in
 * the log alike. */
#ifndef STORE_ENVELOPE_H
#define STORE_ENVELOPE_H

#include "store/frames.h"
#include "store/netaddr.h"

enum {
    ENVELOPE_TLS = 1,       /* claim of the session */
    ENVELOPE_ESMTP = 2,     /* claim of the session */
    ENVELOPE_PRINCIPAL = 4, /* there is one, by AUTH */
    ENVELOPE_GRANT = 8,     /* the principal comes from a grant */
    ENVELOPE_8BIT = 16,
    ENVELOPE_UTF8 = 32,
    ENVELOPE_BOUNCE = 64, /* made by the queue: never bounced again */
    ENVELOPE_LOCAL = 128  /* from a system user of this host: `client` is no address, `helo` auth's word for who */
};

enum { ENVELOPE_TEXT_MAX = 1024 };

/* What a sender asked to be told, RFC 3461 4.1 (bits) and 4.3. */
enum dsn_notify {
    DSN_NOTIFY_DEFAULT = 0,
    DSN_NOTIFY_NEVER = 1,
    DSN_NOTIFY_SUCCESS = 2,
    DSN_NOTIFY_FAILURE = 4,
    DSN_NOTIFY_DELAY = 8
};
enum dsn_return { DSN_RETURN_DEFAULT = 0, DSN_RETURN_FULL, DSN_RETURN_HEADERS };

/* The head of TRANSACTION_OPEN and of an accepted message. Spans are views into what it was read from. */
struct envelope {
    uint64_t session_number;
    struct span session_name;
    struct netaddr client, local;
    uint8_t role; /* enum relay_role */
    uint8_t flags;
    struct span helo;      /* checked: printable, no spaces */
    struct span tls;       /* "TLS1.3 TLS_AES_256_GCM_SHA384" */
    struct span principal; /* login, empty for strangers */
    struct span sender;    /* empty for <> */
    uint64_t declared_bytes;
    uint64_t limit_bytes;
    uint32_t recipients_max;
    uint8_t dsn_return; /* enum dsn_return */
    struct span envid;
};

void envelope_put(struct buf *b, const struct envelope *envelope);
/* Reads a head; the wire turns bad when a field is. */
void envelope_get(struct wire *w, struct envelope *out);

/* One final recipient: where the mail goes. A RCPT command may have several (an alias). */
struct recipient {
    uint8_t kind;            /* enum destination_kind */
    struct span destination; /* MAILDIR: login of the user; CAPTURE: empty; SMARTHOST: empty; LMTP: the server, as
                                store/endpoint.h reads it. Jobs with equal kind and destination may share an agent */
    struct span address;     /* final address: Delivered-To, or RCPT TO of the next hop */
    struct span original;    /* as the client wrote it: for bounces */
    uint8_t notify;          /* DSN_NOTIFY_ bits */
    struct span orcpt;
    struct span sender; /* of this copy, which also gets its reports: the owner of an alias that forwards abroad;
                           empty: the envelope's */
};

/* Whether outbound, not delivery, has the agents for this kind. */
static inline bool destination_goes_out(uint8_t kind) {
    return kind == DESTINATION_SMARTHOST || kind == DESTINATION_LMTP;
}

static inline struct span recipient_sender(const struct recipient *recipient, const struct envelope *envelope) {
    return recipient->sender.n ? recipient->sender : envelope->sender;
}

void recipient_put(struct buf *b, const struct recipient *recipient);
void recipient_get(struct wire *w, struct recipient *out);

#endif
