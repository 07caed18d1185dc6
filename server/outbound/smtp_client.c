/* smtp_client.c - getting to the point where the other side takes mail: RFC 5321 3.1 and 3.2, 2033, 3207, 4954, 8314.
 * Runs in: SMTP and LMTP agents. Trusts: nothing that the other side says. Never: sends a password without TLS unless
 * the owner allowed that, goes on in the clear where TLS is wanted, keeps what was said before TLS. */
#include "server/outbound/smtp_client.h"

#include "store/base64.h"
#include "store/clock.h"

const struct smtp_limits smtp_limits_default = {
    .connect_ms = 30000,
    .greeting_ms = 300000,
    .command_ms = 300000,
    .data_ms = 120000,
    .block_ms = 180000,
    .final_ms = 600000,
    .quit_ms = 5000,
    .pause_ms = 5000,
};

void smtp_client_open(struct smtp_client *client) {
    client->stream.fd = -1;
}

/* A reply of our own making; "%" in the text stands for the other side. */
static void make(const struct smtp_client *client, struct smtp_reply *out, const char *status, const char *what,
                 struct span detail) {
    char text[256];
    struct buf b = buf_over(text, sizeof text - 1);
    size_t n = strcspn(what, "%");
    buf_put(&b, what, n);
    if (what[n]) buf_put_text(&b, client->lmtp ? "the LMTP server" : "the smarthost");
    if (what[n]) buf_put_text(&b, what + n + 1);
    text[b.n] = 0;
    smtp_reply_make(out, status, text, detail);
}

void smtp_client_lost(struct smtp_client *client, bool sent, struct smtp_reply *reply) {
    const char *why = client->stream.fault ? client->stream.fault : "the connection was closed";
    make(client, reply, "4.4.2",
         sent ? "conversation with % broke off when the message had been sent, which may have been delivered:"
              : "conversation with % broke off:",
         span_text(why));
    smtp_stream_close(&client->stream);
}

/* Sends one command line and reads its reply. False when the stream is broken. */
static bool command(struct smtp_client *client, struct span line, uint64_t limit_ms, struct smtp_reply *reply) {
    smtp_stream_limit(&client->stream, limit_ms);
    smtp_stream_put(&client->stream, line);
    smtp_stream_put(&client->stream, SPAN("\r\n"));
    return smtp_stream_flush_secret(&client->stream) && smtp_reply_read(&client->stream, reply, NULL, NULL);
}

/* The rest of a line after a keyword and a space (or "=", as old servers have it); false when the keyword is
 * another. */
static bool is_keyword(struct span text, struct span keyword, struct span *rest_out) {
    if (!span_starts_nocase(text, keyword)) return false;
    struct span rest = span_from(text, keyword.n);
    if (rest.n && rest.p[0] != ' ' && rest.p[0] != '=') return false;
    *rest_out = span_trim(span_from(rest, 1));
    return true;
}

static void take_mechanisms(struct smtp_client *client, struct span list) {
    while (list.n) {
        size_t end = span_find(list, ' ');
        struct span word = span_part(list, 0, end);
        if (span_equal_nocase(word, SPAN("PLAIN"))) client->extensions |= SMTP_AUTH_PLAIN;
        if (span_equal_nocase(word, SPAN("LOGIN"))) client->extensions |= SMTP_AUTH_LOGIN;
        list = span_from(list, end + 1);
    }
}

static void take_extension(void *context, size_t line, struct span text) {
    static const struct {
        struct span keyword;
        unsigned extension;
    } rows[] = {
        {SPAN("PIPELINING"), SMTP_PIPELINING},
        {SPAN("8BITMIME"), SMTP_8BITMIME},
        {SPAN("SMTPUTF8"), SMTP_SMTPUTF8},
        {SPAN("DSN"), SMTP_DSN},
        {SPAN("SIZE"), SMTP_SIZE},
        {SPAN("STARTTLS"), SMTP_STARTTLS},
    };
    struct smtp_client *client = context;
    struct span rest;
    if (line == 0) return; /* the greeting's domain */
    if (is_keyword(text, SPAN("AUTH"), &rest)) take_mechanisms(client, rest);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!is_keyword(text, rows[i].keyword, &rest)) continue;
        client->extensions |= rows[i].extension;
        if (rows[i].extension == SMTP_SIZE && !span_number(rest, UINT64_MAX, &client->size_max)) client->size_max = 0;
    }
}

/* Keeps the reply as the connection's fault; 5yz in these phases is about us, not about a message, and stays
 * temporary. */
static int refuse(struct smtp_client *client, const char *status, const char *what, const struct smtp_reply *reply) {
    struct smtp_reply fault;
    make(client, &fault, status, what, reply ? span_of(reply->text, reply->n) : (struct span){0});
    client->fault = fault;
    client->fault.code = reply && reply->code / 100 == 4 ? reply->code : 0;
    return -1;
}

static int lost(struct smtp_client *client) {
    smtp_client_lost(client, false, &client->fault);
    return -1;
}

static bool put_hello(struct smtp_client *client, const char *verb) {
    smtp_stream_limit(&client->stream, client->limits->command_ms);
    smtp_stream_put(&client->stream, span_text(verb));
    smtp_stream_put(&client->stream, client->setup->hostname);
    smtp_stream_put(&client->stream, SPAN("\r\n"));
    return smtp_stream_flush(&client->stream);
}

/* EHLO, and HELO where that is refused (RFC 5321 3.2); or LHLO (RFC 2033 4.1). */
static int say_hello(struct smtp_client *client) {
    struct smtp_reply reply;
    client->extensions = 0, client->size_max = 0;
    if (!put_hello(client, client->lmtp ? "LHLO " : "EHLO ") ||
        !smtp_reply_read(&client->stream, &reply, take_extension, client))
        return lost(client);
    if (reply.code == 250) return 0;
    client->extensions = 0, client->size_max = 0;
    if (client->lmtp) return refuse(client, "4.4.0", "LHLO was answered:", &reply);
    if (reply.code / 100 != 5) return refuse(client, "4.4.0", "EHLO was answered:", &reply);
    if (!put_hello(client, "HELO ") || !smtp_reply_read(&client->stream, &reply, NULL, NULL)) return lost(client);
    return reply.code == 250 ? 0 : refuse(client, "4.4.0", "HELO was answered:", &reply);
}

static int begin_tls(struct smtp_client *client) {
    const char *why;
    bool certificate;
    smtp_stream_limit(&client->stream, client->limits->command_ms);
    if (smtp_stream_secure(&client->stream, client->tls, client->host, client->setup->verify, &why, &certificate))
        return 0;
    make(client, &client->fault, "4.7.5",
         certificate ? "%'s certificate is not valid for it:" : "TLS with % failed:", span_text(why));
    return -1;
}

/* RFC 3207 4: what came before the handshake is forgotten, and nothing may have been slipped in behind the 220. */
static int start_tls(struct smtp_client *client) {
    struct smtp_reply reply;
    if (!(client->extensions & SMTP_STARTTLS)) return refuse(client, "4.7.10", "% does not offer STARTTLS", NULL);
    if (!command(client, SPAN("STARTTLS"), client->limits->command_ms, &reply)) return lost(client);
    if (reply.code != 220) return refuse(client, "4.7.10", "STARTTLS was answered:", &reply);
    if (client->stream.at < client->stream.n)
        return refuse(client, "4.7.5", "octets in the clear came after the answer to STARTTLS", NULL);
    return begin_tls(client) == 0 ? say_hello(client) : -1;
}

/* One line of AUTH: an optional command word, then base64. */
static bool put_auth(struct smtp_client *client, struct span word, struct span secret, struct smtp_reply *reply) {
    uint8_t storage[4096];
    struct buf line = BUF_OVER(storage);
    buf_put_span(&line, word);
    base64_encode(secret, &line);
    bool done = buf_ok(&line) && command(client, buf_span(&line), client->limits->command_ms, reply);
    explicit_bzero(storage, sizeof storage);
    return done;
}

static bool auth_plain(struct smtp_client *client, struct smtp_reply *reply) {
    uint8_t storage[2048]; /* RFC 4616: no authorization identity */
    struct buf message = BUF_OVER(storage);
    buf_put_octet(&message, 0);
    buf_put_span(&message, client->setup->user);
    buf_put_octet(&message, 0);
    buf_put_span(&message, secret_span(&client->setup->password));
    bool done = buf_ok(&message) && put_auth(client, SPAN("AUTH PLAIN "), buf_span(&message), reply);
    explicit_bzero(storage, sizeof storage);
    return done;
}

static bool auth_login(struct smtp_client *client, struct smtp_reply *reply) {
    if (!command(client, SPAN("AUTH LOGIN"), client->limits->command_ms, reply)) return false;
    if (reply->code != 334) return true;
    if (!put_auth(client, SPAN(""), client->setup->user, reply)) return false;
    if (reply->code != 334) return true;
    return put_auth(client, SPAN(""), secret_span(&client->setup->password), reply);
}

static int authenticate(struct smtp_client *client) {
    struct smtp_reply reply;
    if (client->setup->user.n == 0) return 0;
    if (!client->stream.tls && !client->setup->clear_password_ok)
        return refuse(client, "4.7.11", "a password for % is set, but no TLS to send it under", NULL);
    if (!(client->extensions & (SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN)))
        return refuse(client, "4.7.0", "% offers neither AUTH PLAIN nor AUTH LOGIN", NULL);
    bool plain = client->extensions & SMTP_AUTH_PLAIN;
    if (!(plain ? auth_plain(client, &reply) : auth_login(client, &reply))) return lost(client);
    return reply.code == 235 ? 0 : refuse(client, "4.7.8", "% refused our login:", &reply);
}

static int dial(struct smtp_client *client) {
    const char *why = "no address";
    int fd = client->dial(client->context, &why);
    if (fd >= 0) {
        smtp_stream_open(&client->stream, fd);
        return 0;
    }
    make(client, &client->fault, "4.4.1", "cannot connect to %:", span_text(why));
    return -1;
}

static int greet(struct smtp_client *client) {
    struct smtp_reply reply;
    if (client->setup->tls == SMARTHOST_TLS_IMPLICIT && begin_tls(client) != 0) return -1;
    smtp_stream_limit(&client->stream, client->limits->greeting_ms);
    if (!smtp_reply_read(&client->stream, &reply, NULL, NULL)) return lost(client);
    if (reply.code != 220) return refuse(client, "4.4.0", "% greets with:", &reply);
    if (say_hello(client) != 0) return -1;
    if (client->setup->tls == SMARTHOST_TLS_STARTTLS && start_tls(client) != 0) return -1;
    return authenticate(client);
}

int smtp_client_connect(struct smtp_client *client) {
    if (client->stream.fd >= 0) return 0;
    if (clock_ms() < client->fault_until_ms) return -1;
    client->used = false;
    if (dial(client) == 0 && greet(client) == 0) return 0;
    if (client->stream.fd >= 0) smtp_stream_close(&client->stream);
    client->fault_until_ms = clock_ms() + client->limits->pause_ms;
    return -1;
}

void smtp_client_quit(struct smtp_client *client) {
    struct smtp_reply reply;
    if (client->stream.fd < 0) return;
    if (!client->stream.fault && !command(client, SPAN("QUIT"), client->limits->quit_ms, &reply))
        client->used = false;
    smtp_stream_close(&client->stream);
}
