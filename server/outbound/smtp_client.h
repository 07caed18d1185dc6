/* smtp_client.h - one connection to a smarthost or an LMTP server, kept over many messages: connecting, greeting,
 * TLS, AUTH. Sending is in smtp_transaction.h. */
#ifndef SERVER_OUTBOUND_SMTP_CLIENT_H
#define SERVER_OUTBOUND_SMTP_CLIENT_H

#include "server/outbound/outbound_setup.h"
#include "server/outbound/smtp_reply.h"

/* RFC 5321 4.5.3.2, but for connecting and leaving. */
struct smtp_limits {
    uint64_t connect_ms, greeting_ms, command_ms, data_ms, block_ms, final_ms, quit_ms;
    uint64_t pause_ms; /* after a fault of the connection, messages are put off for so long without trying again */
};
extern const struct smtp_limits smtp_limits_default;

enum smtp_extension {
    SMTP_PIPELINING = 1,
    SMTP_8BITMIME = 2,
    SMTP_SMTPUTF8 = 4,
    SMTP_DSN = 8,
    SMTP_SIZE = 16,
    SMTP_STARTTLS = 32,
    SMTP_AUTH_PLAIN = 64,
    SMTP_AUTH_LOGIN = 128
};

struct smtp_client {
    const struct outbound_setup *setup;
    struct tls_client *tls;
    const struct smtp_limits *limits;
    char host[256];                                   /* its name or address, for verification and reports */
    int (*dial)(void *context, const char **why_out); /* a connected non-blocking socket, or -1 and why */
    void *context;
    bool lmtp; /* RFC 2033: LHLO, and after the data a reply for each recipient */

    struct smtp_stream stream; /* fd -1: not connected */
    unsigned extensions;
    uint64_t size_max; /* of SMTP_SIZE; 0: none stated */
    bool used;         /* there was a transaction on this connection */
    struct smtp_reply fault;
    uint64_t fault_until_ms;
};

/* The owner has set the fields above the blank line; the others are zero. */
void smtp_client_open(struct smtp_client *client);

/* Connects when there is no connection. -1: client->fault says why, for every message alike; the fault stays for
 * pause_ms. */
int smtp_client_connect(struct smtp_client *client) MUST_USE;

/* The connection is broken in the middle of things: closes it; `reply` becomes 4.4.2 and the stream's fault. `sent`:
 * the message had gone out whole, and nobody knows whether it was taken. */
void smtp_client_lost(struct smtp_client *client, bool sent, struct smtp_reply *reply);

/* QUIT, where connected, and closes. */
void smtp_client_quit(struct smtp_client *client);

#endif
