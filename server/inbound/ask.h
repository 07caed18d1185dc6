/* ask.h - what a session asks of auth and queue (of a mailbox's agent: ask_mailbox.h), one question at a time. Each
 * function returns false when the answer did not come or made no sense: the process behind the channel is gone or
 * restarting, and the session has to end. */
#ifndef SERVER_INBOUND_ASK_H
#define SERVER_INBOUND_ASK_H

#include "auth/reason.h"
#include "store/frames.h"
#include "store/netaddr.h"

struct ask_auth {
    enum auth_outcome outcome;
    struct span challenge; /* of AUTH_CONTINUE; a view until the next question */
};

struct ask_mail {
    enum reason reason;
    enum reason foreign; /* for a plain foreign recipient in this transaction */
    uint8_t transaction[TRANSACTION_BYTES];
    bool header_from; /* ask_from before the commit */
};

struct ask_body {
    enum body_outcome outcome;
    struct span message_name; /* a view until the next question */
};

/* The channel to auth, and how long an answer may take. */
void ask_open(int auth_fd, uint64_t wait_ms);

/* The channel that auth has handed out, to the queue or to a mailbox's agent; -1: none yet. */
int ask_other_fd(void);

/* Tells who the client is, by the word of a listed proxy; once, first. */
bool ask_announce(uint8_t role, const struct netaddr *client, const struct netaddr *local, bool by_proxy) MUST_USE;

/* What auth says to a newcomer. */
struct ask_welcome {
    enum reason refusal;  /* REASON_COUNT: welcome */
    enum reason stranger; /* what a plain foreign recipient is answered without a login; NOT_DECIDED: nobody said */
    struct span user;     /* address of the system user, or empty; a view until the next question */
    bool mail_first;      /* checking the mail would let the client send */
};
bool ask_welcome(struct ask_welcome *out) MUST_USE;

/* A channel to the keys process, owned by the caller; -1 when there is none just now. */
bool ask_keys(int *fd_out) MUST_USE;

bool ask_tls(const char *description) MUST_USE;

/* What an AUTH begins with. The bindings of the TLS connection are empty where there is none, or the mechanism has no
 * use for them. */
struct ask_auth_start {
    bool tls, initial; /* initial: there is a response, perhaps an empty one */
    struct span mechanism, response, exporter, end_point;
};
bool ask_auth(const struct ask_auth_start *start, struct ask_auth *out) MUST_USE;
bool ask_auth_next(bool cancelled, struct span response, struct ask_auth *out) MUST_USE;
bool ask_mail(bool esmtp, struct span helo, struct span argument, struct ask_mail *out) MUST_USE;

enum { ASK_RCPT_MAX = RCPT_GROUP_MAX, ASK_RCPT_BYTES_MAX = 48 << 10 };

/* One question for a group of at most ASK_RCPT_MAX recipients. */
bool ask_rcpt(const struct span *arguments, size_t n, enum reason *reasons_out) MUST_USE;

/* The addresses of a message's From field, at least one and at most FROM_ADDRESSES_MAX: REASON_SENDER_ACCEPTED, or
 * why the message is refused. */
bool ask_from(const struct span *addresses, size_t n, enum reason *reason_out) MUST_USE;

bool ask_reset(void) MUST_USE;
bool ask_failure(enum session_failure failure) MUST_USE;

/* The body on its way to the queue: octets are collected in place and sent when a frame is full; the last go with the
 * commit. */
struct buf *ask_body_start(const uint8_t transaction[TRANSACTION_BYTES]);
bool ask_body_send(void) MUST_USE;
bool ask_body_commit(uint32_t recipients, struct ask_body *out) MUST_USE;
bool ask_body_abort(void) MUST_USE;

#endif
