/* reason.h - every way in which gatepost accepts or refuses mail, by name: the relay rules of the decision
 * (their order is the order of evaluation), then the limits around it. A reason is what the reply, the log
 * line and `gatepost explain` have in common. */
#ifndef AUTH_REASON_H
#define AUTH_REASON_H

#include "store/span.h"

enum reason {
    REASON_NOT_DECIDED = 0, /* zero refuses: a needed fact is unknown, or nothing was decided at all */
    /* at MAIL */
    REASON_MALFORMED_SENDER,
    REASON_AUTH_REQUIRED,
    REASON_ACCOUNT_SUSPENDED,
    REASON_SENDER_NOT_YOURS,
    REASON_OVER_QUOTA, /* at MAIL: messages; at RCPT: recipients */
    REASON_SENDER_ACCEPTED,
    /* at RCPT */
    REASON_MALFORMED_RECIPIENT,
    REASON_POSTMASTER,
    REASON_SECOND_ROUTING,
    REASON_LOCAL_SENDER_NEEDS_AUTH,
    REASON_LOCAL_RECIPIENT,
    REASON_RELAY_ALIAS,
    REASON_UNKNOWN_RECIPIENT,
    REASON_FOREIGN_LITERAL,
    REASON_RELAY_AUTHENTICATED,
    REASON_RELAY_GRANTED,
    REASON_RELAY_DOMAIN,
    REASON_RELAY_TRUSTED,
    REASON_RELAY_DENIED,
    /* limits and faults around the decision */
    REASON_BAD_PARAMETER,        /* 501 5.5.4 malformed value of a MAIL or RCPT parameter */
    REASON_UNKNOWN_PARAMETER,    /* 555 5.5.4 RFC 5321 4.1.1.11 */
    REASON_UTF8_NOT_DECLARED,    /* 553 5.6.7 address in UTF-8 without SMTPUTF8, RFC 6531 3.5 */
    REASON_TOO_MANY_RECIPIENTS,  /* 452 4.5.3 RFC 5321 4.5.3.1.10 */
    REASON_TOO_MANY_MESSAGES,    /* 421 4.7.0 messages per session */
    REASON_TOO_MANY_FAILURES,    /* 421 4.7.0 failures per session */
    REASON_TOO_MANY_CONNECTIONS, /* 421 4.7.0 from this address or network */
    REASON_SERVER_BUSY,          /* 421 4.3.2 connections in all, or sessions waiting for AUTH */
    REASON_MESSAGE_TOO_LARGE,    /* 552 5.3.4 */
    REASON_STORAGE_FULL,         /* 452 4.3.1 */
    REASON_STORAGE_FAULT,        /* 451 4.3.0 */
    REASON_MAIL_LOOP,            /* 554 5.4.6 RFC 5321 6.3 */
    /* at RCPT, after relay-authenticated */
    REASON_RELAY_LOCAL,
    /* instead of a welcome where users log in */
    REASON_TOO_MANY_FAILED_LOGINS, /* 421 4.7.0 from this network */
    /* at the end of a message, where header_from is on */
    REASON_FROM_MALFORMED,
    REASON_FROM_NOT_YOURS,
    REASON_COUNT
};

struct reason_reply {
    const char *name;     /* "relay-denied": stable, for logs and scripts */
    uint16_t code;        /* SMTP reply code */
    const char *enhanced; /* "5.7.1", RFC 3463 */
    const char *text;     /* one line for the client, without code, status and name */
    bool accepts;
};

/* The reply that belongs to a reason; an unknown number gets that of REASON_NOT_DECIDED. Never NULL. */
const struct reason_reply *reason_reply(enum reason reason);

#endif
