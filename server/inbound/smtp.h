/* smtp.h - the machine of one SMTP session: lines in, replies out. It asks auth and queue (ask.h) and never touches
 * the client: what has to be done there is its answer. */
#ifndef SERVER_INBOUND_SMTP_H
#define SERVER_INBOUND_SMTP_H

#include "server/inbound/ask.h"
#include "server/inbound/data.h"
#include "server/inbound/from.h"
#include "server/inbound/reply.h"
#include "server/inbound/session_setup.h"

enum {
    SMTP_LINE_MAX = 512,        /* RFC 5321 4.5.3.1.4, with CRLF */
    SMTP_AUTH_LINE_MAX = 12288, /* RFC 4954 4 */
    SMTP_OUT_MIN = 24 << 10,    /* room that `out` has before a line is handled */
    SMTP_HELO_MAX = 255,
    SMTP_SENDER_MAX = 320,
    SMTP_UNTOLD_MAX = 512
};

enum smtp_state {
    SMTP_GREETED = 1,  /* neither EHLO nor HELO yet */
    SMTP_HELLO = 2,    /* no transaction */
    SMTP_MAIL = 4,     /* MAIL was accepted, perhaps recipients too */
    SMTP_CHUNKS = 8,   /* a BDAT was taken, not the last */
    SMTP_AUTHING = 16, /* the next line is a SASL response */
    SMTP_ANY = SMTP_GREETED | SMTP_HELLO | SMTP_MAIL | SMTP_CHUNKS
};

/* What the session does next. */
enum smtp_next {
    SMTP_LEAVE = 0, /* send what there is and close */
    SMTP_MORE,      /* the next line */
    SMTP_STARTTLS,  /* send, discard what came ahead, shake hands over smtp->keys_fd */
    SMTP_DATA,      /* send, then the body to its end */
    SMTP_CHUNK      /* smtp->chunk_bytes octets follow, whatever becomes of them */
};

/* A recipient whose reply waits for its turn. */
struct smtp_waiting {
    enum reason reason;
    bool asked;
};

struct smtp {
    const struct session_setup *setup;
    uint8_t role; /* enum relay_role */
    bool auth_offered, tls_offered;
    bool tls, esmtp, authenticated;
    enum smtp_state state;
    enum session_exit exit;
    bool secret;     /* the line just handled held one: wipe it */
    bool ends_group; /* send its reply at once, RFC 2920 3.2 */
    int keys_fd;
    bool keys_asked;    /* auth answers that once */
    bool quit;          /* by the client's own word: it sends nothing more */
    const char *why;    /* it leaves, for the log */
    bool auth_has_mail; /* since the last reset auth may not have heard how a transaction ended */

    uint8_t user[SESSION_USER_MAX]; /* address of the system user */
    size_t user_bytes;

    uint8_t helo[SMTP_HELO_MAX];
    size_t helo_bytes;

    bool mail_first;               /* a login to the mail would let it send: refusals say so */
    enum reason stranger;          /* what a plain foreign recipient is answered without a login */
    uint8_t mail[SMTP_UNTOLD_MAX]; /* of a stranger's MAIL that auth has not heard of: what follows "FROM:" */
    size_t mail_bytes;             /* 0: it has, or there is none */
    uint8_t transaction[TRANSACTION_BYTES];
    uint8_t sender[SMTP_SENDER_MAX]; /* as written, for the log */
    size_t sender_bytes;
    enum reason foreign;
    uint32_t tried, accepted; /* recipients of this transaction */
    struct smtp_waiting waiting[ASK_RCPT_MAX];
    struct span asked[ASK_RCPT_MAX]; /* views into the lines: they stay until smtp_flush */
    size_t n_waiting, n_asked, asked_bytes;

    struct data data;
    struct buf *body;
    struct from *from; /* of its header; NULL: nobody asks for it */
    uint64_t chunk_bytes;
    bool chunk_last, chunk_dropped;
    enum reply chunk_reply; /* for one that is dropped */

    uint32_t failures, junk, messages, refused;
    uint32_t told; /* MAIL that auth accepted: it may have a limit */
};

/* tls_offered: certificates are there, and TLS is not in use from the first octet on. */
void smtp_start(struct smtp *smtp, const struct session_setup *setup, uint8_t role, bool auth_offered,
                bool tls_offered, bool tls);

/* What auth said to the newcomer: whose mail this is by the local socket (EHLO tells it as XUSER, for gatepost
 * sendmail), and what a stranger's foreign recipients are answered. */
void smtp_welcome(struct smtp *smtp, const struct ask_welcome *welcome);

/* One line without its CRLF. Replies to waiting recipients come first. */
enum smtp_next smtp_line(struct smtp *smtp, struct span line, struct buf *out) MUST_USE;

/* A line that cannot be a command: too long, or with octets that may not be in it. */
enum smtp_next smtp_bad_line(struct smtp *smtp, enum reply reply, struct buf *out) MUST_USE;

/* Asks for the waiting recipients and writes their replies; before anything is sent or waited for. */
enum smtp_next smtp_flush(struct smtp *smtp, struct buf *out) MUST_USE;

/* How long the line that starts so may be, with its CRLF. */
size_t smtp_line_limit(const struct smtp *smtp, struct span start);

/* After the handshake: RFC 3207 4.2, everything said before is forgotten. */
void smtp_tls_started(struct smtp *smtp);

/* After the body was taken to its end (DATA, or BDAT LAST): commit or refusal. */
enum smtp_next smtp_body_end(struct smtp *smtp, struct buf *out) MUST_USE;

/* The client waits after LF.LF, which is no end: the refusal, and the session is over. */
enum smtp_next smtp_body_unended(struct smtp *smtp, struct buf *out) MUST_USE;

/* After a chunk that is not the last, or is dropped. */
enum smtp_next smtp_chunk_end(struct smtp *smtp, struct buf *out) MUST_USE;

/* ---- for the handlers, smtp_*.c */

enum smtp_next smtp_helo(struct smtp *smtp, struct span argument, struct buf *out);
enum smtp_next smtp_ehlo(struct smtp *smtp, struct span argument, struct buf *out);
enum smtp_next smtp_starttls(struct smtp *smtp, struct span argument, struct buf *out);
enum smtp_next smtp_noop(struct smtp *smtp, struct span argument, struct buf *out);
enum smtp_next smtp_help(struct smtp *smtp, struct span argument, struct buf *out);
enum smtp_next smtp_rset(struct smtp *smtp, struct span argument, struct buf *out);
enum smtp_next smtp_quit(struct smtp *smtp, struct span argument, struct buf *out);
enum smtp_next smtp_vrfy(struct smtp *smtp, struct span argument, struct buf *out);
enum smtp_next smtp_not_implemented(struct smtp *smtp, struct span argument, struct buf *out);
enum smtp_next smtp_mail(struct smtp *smtp, struct span argument, struct buf *out);
enum smtp_next smtp_rcpt(struct smtp *smtp, struct span argument, struct buf *out);
enum smtp_next smtp_data(struct smtp *smtp, struct span argument, struct buf *out);
enum smtp_next smtp_bdat(struct smtp *smtp, struct span argument, struct buf *out);
enum smtp_next smtp_auth(struct smtp *smtp, struct span argument, struct buf *out);

/* Appends a line of the mechanisms that are offered on this connection, strongest first (RFC 4954 3). */
void smtp_put_mechanisms(const struct smtp *smtp, const char *start, struct buf *out);

/* The next line of an AUTH exchange. */
enum smtp_next smtp_auth_line(struct smtp *smtp, struct span line, struct buf *out);

/* A reply after which the session goes on. */
enum smtp_next smtp_say(enum reply reply, struct buf *out);

/* A fault of the client: counted, told to auth, and the last one that is allowed ends the session with 421 in place
 * of its reply. Each command that is answered with 5xx counts once, here and (where it can know) at auth. */
enum smtp_next smtp_fail(struct smtp *smtp, enum reply reply, struct buf *out);
/* The same, where auth has counted it already or need not hear of it. */
enum smtp_next smtp_fail_known(struct smtp *smtp, enum reply reply, struct buf *out);
/* The same for what is wrong with a login before auth hears of it. */
enum smtp_next smtp_fail_login(struct smtp *smtp, enum reply reply, struct buf *out);
enum smtp_next smtp_fail_reason(struct smtp *smtp, enum reason reason, struct buf *out);

/* A command that leads nowhere: MORE, or LEAVE (said) when there were too many since the last message. */
enum smtp_next smtp_count_junk(struct smtp *smtp, struct buf *out);

/* Auth or queue is gone. */
enum smtp_next smtp_broken(struct smtp *smtp, struct buf *out);

/* Drops the transaction, here and (when there is one) at auth. False: auth is gone. */
bool smtp_forget(struct smtp *smtp) MUST_USE;

#endif
