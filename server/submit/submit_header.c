/* submit_header.c - fields, one after another.
 * Runs in: the command line. Trusts: nothing in the message. Never: changes a field that it has no reason to. */
#include "server/submit/submit_header.h"

#include "server/submit/submit_address.h"

enum { ENCODED_OCTETS = 42 }; /* of one encoded word: at most 75 characters, RFC 2047 2 */

static void put_text(struct submit_text *out, const char *text) {
    submit_text_put(out, span_text(text));
}

/* ---- addresses */

void submit_header_addresses(struct submit_recipients *out, struct span list, struct span domain) {
    static const uint8_t end = 0;
    struct submit_mailbox mailbox;
    for (size_t at = 0; submit_address_next(list, &at, &mailbox);) {
        if (mailbox.n == 0) continue;
        out->too_long |= mailbox.too_long;
        submit_text_put(&out->text, span_of(mailbox.address, mailbox.n));
        if (mailbox.bare) put_text(&out->text, "@"), submit_text_put(&out->text, domain);
        submit_text_put(&out->text, span_of(&end, 1));
        out->n++;
    }
}

static void put_completed(struct submit_text *out, struct span field, struct span domain) {
    struct submit_mailbox mailbox;
    size_t done = 0, at = span_find(field, ':') + 1;
    while (submit_address_next(field, &at, &mailbox)) {
        if (mailbox.n == 0 || !mailbox.bare) continue;
        submit_text_put(out, span_part(field, done, mailbox.end - done));
        put_text(out, "@");
        submit_text_put(out, domain);
        done = mailbox.end;
    }
    submit_text_put(out, span_from(field, done));
}

/* ---- fields */

enum what { NOTHING = 0, COMPLETED = 1, RECIPIENTS = 2, DROPPED = 4, RESENT = 8, ORIGIN = 16 };

static const struct {
    const char *name;
    unsigned what;
} fields[] = {
    {"from", COMPLETED | ORIGIN},
    {"sender", COMPLETED},
    {"reply-to", COMPLETED},
    {"to", COMPLETED | RECIPIENTS},
    {"cc", COMPLETED | RECIPIENTS},
    {"bcc", RECIPIENTS | DROPPED},
    {"resent-from", COMPLETED | RESENT},
    {"resent-sender", COMPLETED | RESENT},
    {"resent-to", COMPLETED | RECIPIENTS | RESENT},
    {"resent-cc", COMPLETED | RECIPIENTS | RESENT},
    {"resent-bcc", RECIPIENTS | DROPPED | RESENT},
    {"return-path", DROPPED},
    {"content-length", DROPPED},
};

/* RFC 5322 3.6.8; blanks before the colon are obsolete and understood. 0: no field begins here. */
static size_t name_length(struct span line) {
    size_t n = 0;
    while (n < line.n && line.p[n] > ' ' && line.p[n] < 127 && line.p[n] != ':') n++;
    size_t colon = n;
    while (colon < line.n && (line.p[colon] == ' ' || line.p[colon] == '\t')) colon++;
    return n && colon < line.n && line.p[colon] == ':' ? n : 0;
}

/* The field at the beginning of `rest` with its continuations; n = 0: the header has ended. */
static struct span next_field(struct span rest, unsigned *what_out) {
    size_t name = name_length(span_part(rest, 0, span_find(rest, '\n')));
    if (name == 0) return span_of(rest.p, 0);
    size_t n = span_find(rest, '\n') + 1;
    while (n < rest.n && (rest.p[n] == ' ' || rest.p[n] == '\t')) n += span_find(span_from(rest, n), '\n') + 1;
    *what_out = NOTHING;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (span_equal_nocase(span_part(rest, 0, name), span_text(fields[i].name))) *what_out = fields[i].what;
    return span_part(rest, 0, n);
}

/* What there is in the header, all together. */
static unsigned survey(struct span rest) {
    unsigned all = NOTHING, what;
    for (struct span field; (field = next_field(rest, &what)).n; rest = span_from(rest, field.n)) all |= what;
    return all;
}

/* ---- a From that is missing */

static void put_encoded(struct submit_text *out, struct span octets) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    put_text(out, "=?UTF-8?B?");
    for (size_t i = 0; i < octets.n; i += 3) {
        uint8_t b[3] = {octets.p[i], i + 1 < octets.n ? octets.p[i + 1] : 0, i + 2 < octets.n ? octets.p[i + 2] : 0};
        char four[4] = {digits[b[0] >> 2], digits[(b[0] & 3) << 4 | b[1] >> 4],
                        i + 1 < octets.n ? digits[(b[1] & 15) << 2 | b[2] >> 6] : '=',
                        i + 2 < octets.n ? digits[b[2] & 63] : '='};
        submit_text_put(out, span_of(four, sizeof four));
    }
    put_text(out, "?=");
}

void submit_header_name(struct submit_text *out, struct span name) {
    for (size_t at = 0; !span_is_ascii(name) && at < name.n;) {
        size_t n = name.n - at < ENCODED_OCTETS ? name.n - at : ENCODED_OCTETS;
        while (at + n < name.n && n > 1 && (name.p[at + n] & 0xc0) == 0x80) n--; /* whole characters */
        if (at) put_text(out, "\r\n ");
        put_encoded(out, span_part(name, at, n));
        at += n;
    }
    if (!span_is_ascii(name)) return;
    put_text(out, "\"");
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '"' || name.p[i] == '\\') put_text(out, "\\");
        if (name.p[i] >= ' ' && name.p[i] < 127) submit_text_put(out, span_part(name, i, 1));
    }
    put_text(out, "\"");
}

static void put_from(const struct submit_header *header, struct submit_text *out) {
    put_text(out, "From: ");
    if (header->from_name.n) {
        submit_header_name(out, header->from_name);
        put_text(out, " <");
    }
    submit_text_put(out, header->from);
    put_text(out, header->from_name.n ? ">\r\n" : "\r\n");
}

/* ---- all of it */

void submit_header_put(const struct submit_header *header, struct span message, struct submit_text *out,
                       struct submit_recipients *recipients) {
    unsigned what;
    struct span field;
    /* A line that separates messages in a mailbox file. */
    if (message.n >= 5 && memcmp(message.p, "From ", 5) == 0)
        message = span_from(message, span_find(message, '\n') + 1);
    unsigned all = survey(message);
    if (!(all & ORIGIN)) put_from(header, out);
    for (; (field = next_field(message, &what)).n; message = span_from(message, field.n)) {
        bool names = what & RECIPIENTS && !(all & RESENT && !(what & RESENT));
        if (header->take_recipients && names)
            submit_header_addresses(recipients, span_from(field, span_find(field, ':') + 1), header->domain);
        if (what & COMPLETED)
            put_completed(out, field, header->domain);
        else if (!(what & DROPPED))
            submit_text_put(out, field);
    }
    if (message.n < 2 || message.p[0] != '\r') put_text(out, "\r\n");
    submit_text_put(out, message);
}
