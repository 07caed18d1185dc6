/* trace.c - Received, Date, Message-ID.
 * Runs in: queue. Trusts: auth's facts; HELO, TLS and addresses are a client's words. Never: lets a control octet, or
 * an octet that could end a comment, into a header. */
#include "store/trace.h"

#include "store/clock.h"

unsigned trace_fields(struct span body) {
    unsigned fields = 0;
    while (body.n) {
        size_t end = span_find(body, '\n');
        struct span line = span_part(body, 0, end);
        if (line.n == 0 || (line.n == 1 && line.p[0] == '\r')) break; /* the end of the header block */
        if (span_starts_nocase(line, SPAN("date:"))) fields |= TRACE_HAS_DATE;
        if (span_starts_nocase(line, SPAN("message-id:"))) fields |= TRACE_HAS_MESSAGE_ID;
        body = span_from(body, end + 1);
    }
    return fields;
}

static bool is_plain(uint8_t c, bool utf8, const char *besides) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
    return c >= 0x80 ? utf8 : c && strchr(besides, c) != NULL;
}

static void put_plain(struct buf *b, struct span s, bool utf8, const char *besides) {
    for (size_t i = 0; i < s.n; i++) buf_put_octet(b, is_plain(s.p[i], utf8, besides) ? s.p[i] : '?');
}

/* RFC 3848, RFC 6531 4.3 */
static void put_protocol(struct buf *b, uint8_t flags) {
    if (flags & ENVELOPE_LOCAL) {
        buf_put_text(b, "local");
        return;
    }
    bool known = flags & ENVELOPE_PRINCIPAL && !(flags & ENVELOPE_GRANT), tls = flags & ENVELOPE_TLS;
    if (!(flags & (ENVELOPE_ESMTP | ENVELOPE_UTF8)) && !known && !tls) {
        buf_put_text(b, "SMTP");
        return;
    }
    buf_put_text(b, flags & ENVELOPE_UTF8 ? "UTF8SMTP" : "ESMTP");
    if (tls) buf_put_octet(b, 'S');
    if (known) buf_put_octet(b, 'A');
}

static void put_client(struct buf *b, const struct netaddr *client) {
    char text[NETADDR_TEXT_MAX];
    buf_put_text(b, netaddr_is_ipv4(client) ? "([" : "([IPv6:"); /* RFC 5321 4.1.3 */
    buf_put_text(b, netaddr_text(client, text));
    buf_put_text(b, "])");
}

void trace_put(struct buf *b, const struct message *message, struct span hostname, struct span only,
               unsigned fields) {
    const struct envelope *e = &message->envelope;
    bool utf8 = e->flags & ENVELOPE_UTF8;
    char name[MESSAGE_NAME_SIZE];
    message_name(message->number, name);
    buf_put_text(b, "Received: from ");
    if (e->helo.n)
        put_plain(b, e->helo, utf8, "-._:[]");
    else
        buf_put_text(b, "unknown");
    buf_put_octet(b, ' ');
    if (e->flags & ENVELOPE_LOCAL)
        buf_put_text(b, "(user of this host)");
    else
        put_client(b, &e->client);
    buf_put_text(b, "\r\n\tby ");
    put_plain(b, hostname, false, "-._");
    buf_put_text(b, " with ");
    put_protocol(b, e->flags);
    if (e->flags & ENVELOPE_PRINCIPAL && e->flags & ENVELOPE_GRANT)
        buf_put_text(b, "\r\n\t(sender has just checked the mail)"); /* POP before SMTP has no word in RFC 3848 */
    if (e->flags & ENVELOPE_TLS && e->tls.n) {
        buf_put_text(b, "\r\n\t(");
        put_plain(b, e->tls, false, "-._ /+:");
        buf_put_octet(b, ')');
    }
    buf_put_text(b, "\r\n\tid ");
    buf_put_text(b, name);
    if (only.n) {
        buf_put_text(b, "\r\n\tfor <");
        put_plain(b, only, utf8, "!#$%&'*+-/=?^_`{|}~.@\"[]:");
        buf_put_octet(b, '>');
    }
    buf_put_text(b, ";\r\n\t");
    clock_put_date(b, message->arrival_ms);
    buf_put_text(b, "\r\n");
    if (!(e->flags & ENVELOPE_PRINCIPAL)) return;
    if (!(fields & TRACE_HAS_DATE)) {
        buf_put_text(b, "Date: ");
        clock_put_date(b, message->arrival_ms);
        buf_put_text(b, "\r\n");
    }
    if (fields & TRACE_HAS_MESSAGE_ID) return;
    buf_put_text(b, "Message-ID: <");
    buf_put_text(b, name);
    buf_put_octet(b, '@');
    put_plain(b, hostname, false, "-._");
    buf_put_text(b, ">\r\n");
}
