/* session.h - the life of one connection. */
#ifndef SERVER_INBOUND_SESSION_H
#define SERVER_INBOUND_SESSION_H

#include "auth/reason.h"
#include "server/inbound/session_setup.h"

struct session_protocol;

struct session_place {
    const struct session_protocol *protocol;
    const struct session_setup *setup;
    unsigned socket;      /* of the setup's list: where the client came in */
    bool local_user;      /* by the local socket instead: there are no addresses */
    bool by_proxy;        /* a listed proxy, whose header says who the client is */
    int fd;               /* the client, connected, non-blocking */
    int auth_fd, stop_fd; /* auth's channel; readable when the server stops */
    struct netaddr client, local;
};

/* What the sessions of one program speak: each main has one of these two. */
struct session_protocol {
    /* From the welcome to the last word; closes the connection. The result is the process's exit status. */
    enum session_exit (*run)(const struct session_place *place);
    /* Appends the line for who is turned away before there is a session. */
    void (*put_refusal)(struct buf *out, enum reason reason);
};
extern const struct session_protocol session_smtp, session_pop3;

#endif
