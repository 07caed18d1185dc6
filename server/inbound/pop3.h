/* pop3.h - the machine of one POP3 session: lines in, replies out (RFC 1939, 2449, 2595, 5034). It asks auth (ask.h)
 * and the mailbox agent (ask_mailbox.h) and never touches the client: what has to be done there is its answer. */
#ifndef SERVER_INBOUND_POP3_H
#define SERVER_INBOUND_POP3_H

#include "server/inbound/ask.h"
#include "server/inbound/ask_mailbox.h"
#include "server/inbound/pop3_reply.h"
#include "server/inbound/session_setup.h"

enum {
    POP3_LINE_MAX = 255,       /* RFC 2449 4, with CRLF */
    POP3_LOGIN_LINE_MAX = 512, /* USER and PASS: 255 octets of a name or password are no mistake */
    POP3_AUTH_LINE_MAX =
        12288,              /* RFC 4954 4, to which RFC 5034 4 sends; also of initial responses that are too long */
    POP3_OUT_MIN = 8 << 10, /* room that `out` has before a line is handled, or more of a long reply is written */
    POP3_USER_MAX = 255     /* RFC 4616 2 */
};

enum pop3_state {
    POP3_AUTHORIZATION = 1,
    POP3_TRANSACTION = 2,
    POP3_AUTHING = 4, /* the next line is a SASL response */
    POP3_ANY = POP3_AUTHORIZATION | POP3_TRANSACTION
};

/* What the session does next. */
enum pop3_next {
    POP3_LEAVE = 0, /* send what there is and close */
    POP3_MORE,      /* the next line */
    POP3_STLS,      /* send, discard what came ahead, shake hands over pop3->keys_fd */
    POP3_GOES_ON    /* a long reply: send, then pop3_go_on */
};

enum pop3_telling { POP3_TELLS_NOTHING = 0, POP3_TELLS_SIZES, POP3_TELLS_IDS, POP3_TELLS_TEXT };

struct pop3 {
    const struct session_setup *setup;
    bool tls_offered, tls;
    bool clear_ok; /* this client may log in without TLS: auth looks for itself */
    enum pop3_state state;
    enum session_exit exit;
    bool secret;     /* the line just handled held one: wipe it */
    bool keys_asked; /* auth answers that once */
    bool quit;       /* by the client's own word: it sends nothing more */
    int keys_fd;
    const char *why; /* it leaves, for the log */
    uint32_t failures, retrieved;

    uint8_t user[POP3_USER_MAX]; /* of USER, until the next command */
    size_t user_bytes;

    uint32_t messages, marked; /* marked: to be removed at QUIT */
    uint64_t bytes, marked_bytes;

    enum pop3_telling telling; /* a long reply that is under way */
    uint32_t at;               /* of a list: the message that is next */
    struct span part;          /* of a text: what is left of the part at hand */
    bool line_start;           /* the octet that comes next begins a line */
};

/* tls_offered: certificates are there, and TLS is not in use from the first octet on. */
void pop3_start(struct pop3 *pop3, const struct session_setup *setup, bool tls_offered, bool tls, bool clear_ok);

/* One line without its CRLF. */
enum pop3_next pop3_line(struct pop3 *pop3, struct span line, struct buf *out) MUST_USE;

/* A line that cannot be a command: too long, or with octets that may not be in it. */
enum pop3_next pop3_bad_line(struct pop3 *pop3, enum pop3_reply reply, struct buf *out) MUST_USE;

/* How long the line that starts so may be, with its CRLF. */
size_t pop3_line_limit(const struct pop3 *pop3, struct span start);

/* After the handshake: RFC 2595 4, everything said before is forgotten. */
void pop3_tls_started(struct pop3 *pop3);

/* Writes more of a long reply, as much as `out` has room for: POP3_GOES_ON, or POP3_MORE at its end. LEAVE: what is
 * left cannot be had, and the client is to see that by the connection's end. */
enum pop3_next pop3_go_on(struct pop3 *pop3, struct buf *out) MUST_USE;

/* ---- for the handlers, pop3_*.c */

enum pop3_next pop3_capa(struct pop3 *pop3, struct span argument, struct buf *out);
enum pop3_next pop3_stls(struct pop3 *pop3, struct span argument, struct buf *out);
enum pop3_next pop3_noop(struct pop3 *pop3, struct span argument, struct buf *out);
enum pop3_next pop3_quit(struct pop3 *pop3, struct span argument, struct buf *out);
enum pop3_next pop3_user(struct pop3 *pop3, struct span argument, struct buf *out);
enum pop3_next pop3_pass(struct pop3 *pop3, struct span argument, struct buf *out);
enum pop3_next pop3_auth(struct pop3 *pop3, struct span argument, struct buf *out);
enum pop3_next pop3_stat(struct pop3 *pop3, struct span argument, struct buf *out);
enum pop3_next pop3_list(struct pop3 *pop3, struct span argument, struct buf *out);
enum pop3_next pop3_uidl(struct pop3 *pop3, struct span argument, struct buf *out);
enum pop3_next pop3_retr(struct pop3 *pop3, struct span argument, struct buf *out);
enum pop3_next pop3_top(struct pop3 *pop3, struct span argument, struct buf *out);
enum pop3_next pop3_dele(struct pop3 *pop3, struct span argument, struct buf *out);
enum pop3_next pop3_rset(struct pop3 *pop3, struct span argument, struct buf *out);

/* The next line of an AUTH exchange. */
enum pop3_next pop3_auth_line(struct pop3 *pop3, struct span line, struct buf *out);

/* Whether logging in is possible without STLS first. */
static inline bool pop3_may_log_in(const struct pop3 *pop3) {
    return pop3->tls || pop3->clear_ok;
}

/* Removes what is marked, the end of a session in order (RFC 1939 6). False: not all of it. */
bool pop3_update(struct pop3 *pop3) MUST_USE;

/* Opens the mailbox of who has just logged in, and says how that went. */
enum pop3_next pop3_open(struct pop3 *pop3, struct buf *out);

/* A reply after which the session goes on. */
enum pop3_next pop3_say(enum pop3_reply reply, struct buf *out);

/* A fault of the client: counted, told to auth, and the last one that is allowed ends the session. */
enum pop3_next pop3_fail(struct pop3 *pop3, enum pop3_reply reply, struct buf *out);
/* The same, where auth has counted it already. */
enum pop3_next pop3_fail_known(struct pop3 *pop3, enum pop3_reply reply, struct buf *out);
/* The same for what is wrong with a login before auth hears of it. */
enum pop3_next pop3_fail_login(struct pop3 *pop3, enum pop3_reply reply, struct buf *out);

/* Auth or the mailbox agent is gone. */
enum pop3_next pop3_broken(struct pop3 *pop3, struct buf *out);

#endif
