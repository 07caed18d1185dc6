/* queue_bounce.c - writing delivery status notifications.
 * Runs in: queue. Trusts: nothing in stored texts: what goes into a field is stripped of control octets. Never:
 * chooses whom to tell. */
#include "store/queue_bounce.h"

#include "store/clock.h"

struct span bounce_headers(struct span body) {
    struct span rest = body;
    while (rest.n) {
        size_t end = span_find(rest, '\n');
        if (end == 0 || (end == 1 && rest.p[0] == '\r')) break;
        rest = span_from(rest, end + 1);
    }
    return span_part(body, 0, body.n - rest.n);
}

static bool is_utf8(const struct bounce *bounce) {
    return bounce->original->envelope.flags & ENVELOPE_UTF8;
}

/* One field's value: no line end and no control octet gets through; without SMTPUTF8 nothing beyond ASCII either. */
static void put_clean(struct buf *b, struct span s, bool utf8) {
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        buf_put_octet(b, c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8) ? '?' : c);
    }
}

static void put_field(struct buf *b, const char *name, const char *type, struct span value, bool utf8) {
    if (!value.n) return;
    buf_put_text(b, name);
    buf_put_text(b, ": ");
    buf_put_text(b, type);
    put_clean(b, value, utf8);
    buf_put_text(b, "\r\n");
}

static int hex(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* RFC 3461 4: xtext, as the client sent it, in clear. */
static void put_xtext(struct buf *b, struct span s, bool utf8) {
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        if (c == '+' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
            c = (uint8_t)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2]));
            i += 2;
        }
        put_clean(b, span_of(&c, 1), utf8);
    }
}

/* RFC 3464 2.3.6: what is no reply of an SMTP server is of a type of our own. */
static bool is_reply(struct span diagnostic) {
    if (diagnostic.n < 4 || diagnostic.p[0] < '2' || diagnostic.p[0] > '5' || diagnostic.p[3] != ' ') return false;
    return diagnostic.p[1] >= '0' && diagnostic.p[1] <= '9' && diagnostic.p[2] >= '0' && diagnostic.p[2] <= '9';
}

static const char *action(uint8_t state) {
    static const char *const actions[RECIPIENT_STATES] = {"delayed", "delivered", "relayed", "failed", "failed"};
    return actions[state];
}

static struct span status(const struct bounce_recipient *recipient) {
    static const struct span defaults[RECIPIENT_STATES] = {
        [RECIPIENT_WAITING] = {(const uint8_t *)"4.0.0", 5},
        [RECIPIENT_DELIVERED] = {(const uint8_t *)"2.0.0", 5},
        [RECIPIENT_RELAYED] = {(const uint8_t *)"2.0.0", 5},
        [RECIPIENT_FAILED] = {(const uint8_t *)"5.0.0", 5},
    };
    struct span given = recipient->status;
    uint8_t class = defaults[recipient->state].p[0];
    /* RFC 3464 2.3.4: the class must be that of the action. */
    return given.n >= 5 && given.p[0] == class ? given : defaults[recipient->state];
}

static void put_boundary(struct buf *b, const struct bounce *bounce, const char *end) {
    char name[MESSAGE_NAME_SIZE];
    message_name(bounce->number, name);
    buf_put_text(b, "\r\n--=_");
    buf_put_text(b, name);
    buf_put_text(b, "/report");
    buf_put_text(b, end);
    buf_put_text(b, "\r\n");
}

static uint8_t worst(const struct bounce *bounce) {
    uint8_t state = RECIPIENT_WAITING;
    for (size_t i = 0; i < bounce->n; i++)
        if (bounce->recipients[i].state > state) state = bounce->recipients[i].state;
    return state;
}

static void put_header(struct buf *b, const struct bounce *bounce) {
    char name[MESSAGE_NAME_SIZE];
    message_name(bounce->number, name);
    buf_put_text(b, "From: Mail Delivery System <postmaster@");
    put_clean(b, bounce->hostname, false);
    buf_put_text(b, ">\r\nTo: <");
    if (bounce->to.n)
        put_clean(b, bounce->to, is_utf8(bounce));
    else
        buf_put_text(b, "postmaster"), buf_put_octet(b, '@'), put_clean(b, bounce->hostname, false);
    buf_put_text(b, ">\r\nSubject: ");
    if (!bounce->to.n) buf_put_text(b, "Postmaster notice: ");
    buf_put_text(b, worst(bounce) == RECIPIENT_FAILED    ? "Your message could not be delivered"
                    : worst(bounce) == RECIPIENT_WAITING ? "Your message is delayed"
                    : worst(bounce) == RECIPIENT_RELAYED ? "Your message was passed on"
                                                         : "Your message was delivered");
    buf_put_text(b, "\r\nDate: ");
    clock_put_date(b, bounce->now_ms);
    buf_put_text(b, "\r\nMessage-ID: <");
    buf_put_text(b, name);
    buf_put_octet(b, '@');
    put_clean(b, bounce->hostname, false);
    /* RFC 3834 5: no vacation answer to this */
    buf_put_text(b, ">\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
                    "Content-Type: multipart/report; report-type=");
    buf_put_text(b, is_utf8(bounce) ? "global-delivery-status" : "delivery-status");
    buf_put_text(b, ";\r\n\tboundary=\"=_");
    buf_put_text(b, name);
    buf_put_text(b, "/report\"\r\n");
}

static void put_words(struct buf *b, const struct bounce *bounce) {
    static const char *const words[RECIPIENT_STATES] = {
        [RECIPIENT_WAITING] = "could not be delivered yet",
        [RECIPIENT_DELIVERED] = "was delivered",
        [RECIPIENT_RELAYED] = "was passed on to a server that does not report on it",
        [RECIPIENT_FAILED] = "could not be delivered",
    };
    buf_put_text(b, "Content-Type: text/plain; charset=utf-8\r\n");
    if (is_utf8(bounce)) buf_put_text(b, "Content-Transfer-Encoding: 8bit\r\n");
    buf_put_text(b, "\r\nThis is the mail system at ");
    put_clean(b, bounce->hostname, false);
    buf_put_text(b, ".\r\n\r\nYour message\r\n");
    for (size_t i = 0; i < bounce->n; i++) {
        const struct bounce_recipient *recipient = &bounce->recipients[i];
        buf_put_text(b, "\r\n  to <");
        put_clean(b, recipient->recipient.original, is_utf8(bounce));
        buf_put_text(b, "> ");
        buf_put_text(b, words[recipient->state]);
        if (recipient->diagnostic.n)
            buf_put_text(b, ":\r\n    "), put_clean(b, recipient->diagnostic, is_utf8(bounce));
        buf_put_text(b, "\r\n");
    }
    if (worst(bounce) != RECIPIENT_WAITING) return;
    buf_put_text(b, "\r\nYou need not do anything: it is tried again until ");
    clock_put_date(b, bounce->until_ms);
    buf_put_text(b, ".\r\n");
}

static void put_recipient(struct buf *b, const struct bounce *bounce, const struct bounce_recipient *recipient) {
    bool utf8 = is_utf8(bounce);
    buf_put_text(b, "\r\n");
    if (recipient->recipient.orcpt.n) {
        buf_put_text(b, "Original-Recipient: ");
        put_xtext(b, recipient->recipient.orcpt, utf8);
        buf_put_text(b, "\r\n");
    }
    /* Of an alias, the address that the sender used and no other, RFC 3464 2.3.2. */
    put_field(b, "Final-Recipient", utf8 ? "utf-8; " : "rfc822; ", recipient->recipient.original, utf8);
    put_field(b, "Action", "", span_text(action(recipient->state)), false);
    put_field(b, "Status", "", status(recipient), false);
    put_field(b, "Remote-MTA", "dns; ", recipient->remote, false);
    bool trouble = recipient->state == RECIPIENT_FAILED || recipient->state == RECIPIENT_WAITING;
    if (trouble)
        put_field(b, "Diagnostic-Code", is_reply(recipient->diagnostic) ? "smtp; " : "x-gatepost; ",
                  recipient->diagnostic, utf8);
    buf_put_text(b, "Last-Attempt-Date: ");
    clock_put_date(b, bounce->now_ms);
    buf_put_text(b, "\r\n");
    if (recipient->state != RECIPIENT_WAITING) return;
    buf_put_text(b, "Will-Retry-Until: ");
    clock_put_date(b, bounce->until_ms);
    buf_put_text(b, "\r\n");
}

void bounce_put(struct buf *b, const struct bounce *bounce) {
    bool utf8 = is_utf8(bounce);
    put_header(b, bounce);
    put_boundary(b, bounce, "");
    put_words(b, bounce);
    put_boundary(b, bounce, "");
    buf_put_text(b, utf8 ? "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
                         : "Content-Type: message/delivery-status\r\n\r\n");
    put_field(b, "Reporting-MTA", "dns; ", bounce->hostname, false);
    if (bounce->original->envelope.envid.n) {
        buf_put_text(b, "Original-Envelope-Id: ");
        put_xtext(b, bounce->original->envelope.envid, false);
        buf_put_text(b, "\r\n");
    }
    buf_put_text(b, "Arrival-Date: ");
    clock_put_date(b, bounce->original->arrival_ms);
    buf_put_text(b, "\r\n");
    for (size_t i = 0; i < bounce->n; i++) put_recipient(b, bounce, &bounce->recipients[i]);
    put_boundary(b, bounce, "");
    bool eight = bounce->original->envelope.flags & (ENVELOPE_8BIT | ENVELOPE_UTF8);
    buf_put_text(b, bounce->full ? utf8 ? "Content-Type: message/global\r\n" : "Content-Type: message/rfc822\r\n"
                    : utf8       ? "Content-Type: message/global-headers\r\n"
                                 : "Content-Type: text/rfc822-headers\r\n");
    if (eight) buf_put_text(b, "Content-Transfer-Encoding: 8bit\r\n");
    buf_put_text(b, "\r\n");
    buf_put_span(b, bounce->full ? bounce->original_body : bounce_headers(bounce->original_body));
    put_boundary(b, bounce, "--");
}

/* The header of a message to the postmaster, and its first lines; `subject` is ours, `about` ends it. */
static void put_notice(struct buf *b, struct span hostname, const struct message *head, const char *subject,
                       struct span about) {
    char name[MESSAGE_NAME_SIZE];
    message_name(head->number, name);
    buf_put_text(b, "From: Mail Delivery System <postmaster@");
    put_clean(b, hostname, false);
    buf_put_text(b, ">\r\nTo: <postmaster@");
    put_clean(b, hostname, false);
    buf_put_text(b, ">\r\nSubject: Postmaster notice: ");
    buf_put_text(b, subject);
    put_clean(b, about, false);
    buf_put_text(b, "\r\nDate: ");
    clock_put_date(b, head->arrival_ms);
    buf_put_text(b, "\r\nMessage-ID: <");
    buf_put_text(b, name);
    buf_put_octet(b, '@');
    put_clean(b, hostname, false);
    buf_put_text(b, ">\r\nAuto-Submitted: auto-generated\r\n\r\nThis is the mail system at ");
    put_clean(b, hostname, false);
    buf_put_text(b, ".\r\n\r\n");
}

void bounce_put_count(struct buf *b, struct span hostname, const struct message *head, uint64_t count,
                      unsigned limit) {
    put_notice(b, hostname, head, "reports that were not sent", (struct span){0});
    buf_put_number(b, count);
    buf_put_text(b, " reports on mail from strangers that could not be delivered were not sent, because\r\nthey "
                    "were more than ");
    buf_put_number(b, limit);
    buf_put_text(
        b,
        " in an hour to one domain, or to you. Often its name is being forged. The log has\r\neach (event=dropped), "
        "and after this such a notice comes at most once an hour.\r\n");
}

void bounce_put_suspended(struct buf *b, struct span hostname, const struct message *head, struct span about,
                          struct span why) {
    struct span login = span_part(about, 0, span_find(about, ' '));
    put_notice(b, hostname, head, "sending is suspended for ", login);
    buf_put_text(b, "Sending is suspended for\r\n\r\n  ");
    put_clean(b, about, false);
    buf_put_text(b, "\r\n\r\nbecause ");
    put_clean(b, why, false);
    buf_put_text(b,
                 ".\r\n\r\nEither a program sends more than it should, or somebody else knows the password. Mail to "
                 "this user\r\nstill arrives, logins still succeed, and every message that comes by them is refused "
                 "(550 5.7.1,\r\naccount-suspended) until you lift it. What was accepted before is still being "
                 "delivered.\r\n\r\n  gatepost quota list ");
    put_clean(b, login, false);
    buf_put_text(b, "\r\n      shows what was sent\r\n  gatepost queue list --from ");
    put_clean(b, login, false);
    buf_put_text(b,
                 "\r\n      shows what still waits; queue hold and queue remove stop it\r\n  gatepost user passwd ");
    put_clean(b, login, false);
    buf_put_text(b, "\r\n      gives a new password, where somebody else may know it\r\n  gatepost user enable ");
    put_clean(b, login, false);
    buf_put_text(b, "\r\n      lifts the suspension\r\n");
}

size_t bounce_bytes(const struct bounce *bounce) {
    size_t n = 4096 + bounce->original_body.n + bounce->original->envelope.envid.n;
    for (size_t i = 0; i < bounce->n; i++) {
        const struct bounce_recipient *recipient = &bounce->recipients[i];
        n += 640 + 2 * recipient->recipient.original.n + recipient->recipient.orcpt.n + 2 * recipient->diagnostic.n +
             recipient->remote.n;
    }
    return n;
}
