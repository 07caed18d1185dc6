/* policy_report.c - reading a report.
 * Runs in: policy. Trusts: nothing. Never: allocates, goes deeper than POLICY_DEPTH_MAX. */
#include "server/inbound/policy_report.h"

struct json {
    struct span rest;
    bool bad;
};

static void skip_blanks(struct json *j) {
    while (j->rest.n && strchr(" \t\r\n", j->rest.p[0]) && j->rest.p[0]) j->rest = span_from(j->rest, 1);
}

/* The next octet, taken; 0 and bad at the end. */
static uint8_t take(struct json *j) {
    if (j->rest.n == 0 || j->bad) {
        j->bad = true;
        return 0;
    }
    uint8_t c = j->rest.p[0];
    j->rest = span_from(j->rest, 1);
    return c;
}

static bool next_is(struct json *j, char c) {
    skip_blanks(j);
    return j->rest.n && j->rest.p[0] == (uint8_t)c;
}

static void want(struct json *j, char c) {
    skip_blanks(j);
    if (take(j) != (uint8_t)c) j->bad = true;
}

static bool take_word(struct json *j, struct span word) {
    if (!span_equal(span_part(j->rest, 0, word.n), word)) return false;
    j->rest = span_from(j->rest, word.n);
    return true;
}

/* ---- strings */

static void keep(struct policy_text *out, uint8_t c, struct json *j) {
    if (!out) return;
    if (out->n == sizeof out->octets)
        j->bad = true;
    else
        out->octets[out->n++] = c;
}

static uint32_t take_hex(struct json *j) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = octet_lower(take(j));
        bool digit = c >= '0' && c <= '9';
        if (!digit && !(c >= 'a' && c <= 'f')) j->bad = true;
        value = value << 4 | (digit ? c - (uint32_t)'0' : (c - (uint32_t)'a' + 10) & 15);
    }
    return value;
}

/* Behind \u: RFC 8259 7. Half a pair is no character. */
static void take_character(struct json *j, struct policy_text *out) {
    uint32_t c = take_hex(j);
    if (c >= 0xd800 && c < 0xdc00) {
        if (take(j) != '\\' || take(j) != 'u') j->bad = true;
        uint32_t low = take_hex(j);
        if (low < 0xdc00 || low > 0xdfff) j->bad = true;
        c = 0x10000 + ((c & 0x3ff) << 10) + (low & 0x3ff);
    } else if (c >= 0xdc00 && c < 0xe000) {
        j->bad = true;
    }
    if (c < 0x80) {
        keep(out, (uint8_t)c, j);
        return;
    }
    unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t heads[] = {0, 0xc0, 0xe0, 0xf0};
    keep(out, (uint8_t)(heads[more] | c >> 6 * more), j);
    while (more--) keep(out, (uint8_t)(0x80 | (c >> 6 * more & 0x3f)), j);
}

static void take_escape(struct json *j, struct policy_text *out) {
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    uint8_t c = take(j);
    const char *at = c ? strchr(names, c) : NULL;
    if (c == 'u')
        take_character(j, out);
    else if (at)
        keep(out, (uint8_t)meant[at - names], j);
    else
        j->bad = true;
}

/* `out` NULL: it is passed over. */
static void take_string(struct json *j, struct policy_text *out) {
    want(j, '"');
    for (;;) {
        uint8_t c = take(j);
        if (j->bad || c == '"') return;
        if (c < 32)
            j->bad = true;
        else if (c == '\\')
            take_escape(j, out);
        else
            keep(out, c, j);
    }
}

/* ---- values */

static void skip_number(struct json *j) {
    size_t n = 0;
    while (n < j->rest.n && j->rest.p[n] && strchr("+-.0123456789eE", j->rest.p[n])) n++;
    if (n == 0) j->bad = true;
    j->rest = span_from(j->rest, n);
}

static void skip_value(struct json *j, unsigned depth);

/* What stands between brackets; of an object also the names. */
static void skip_members(struct json *j, char end, unsigned depth) {
    (void)take(j);
    if (depth == 0) j->bad = true;
    if (!j->bad && !next_is(j, end)) {
        for (;;) {
            if (end == '}') {
                take_string(j, NULL);
                want(j, ':');
            }
            skip_value(j, depth - 1);
            if (j->bad || !next_is(j, ',')) break;
            (void)take(j);
        }
    }
    want(j, end);
}

static void skip_value(struct json *j, unsigned depth) {
    if (next_is(j, '"'))
        take_string(j, NULL);
    else if (next_is(j, '{'))
        skip_members(j, '}', depth);
    else if (next_is(j, '['))
        skip_members(j, ']', depth);
    else if (!take_word(j, SPAN("true")) && !take_word(j, SPAN("false")) && !take_word(j, SPAN("null")))
        skip_number(j);
}

/* A member that counts is there once. */
static void take_text(struct json *j, struct policy_text *out) {
    if (out->n) j->bad = true;
    take_string(j, out);
}

static bool take_truth(struct json *j) {
    skip_blanks(j);
    if (take_word(j, SPAN("true"))) return true;
    if (!take_word(j, SPAN("false"))) j->bad = true;
    return false;
}

static void take_member(struct json *j, struct policy_report *out) {
    struct policy_text name = {0};
    take_string(j, &name);
    want(j, ':');
    struct span key = span_of(name.octets, name.n);
    if (span_equal(key, SPAN("login")))
        take_text(j, &out->login);
    else if (span_equal(key, SPAN("remote")))
        take_text(j, &out->remote);
    else if (span_equal(key, SPAN("pwhash")))
        take_text(j, &out->pwhash);
    else if (span_equal(key, SPAN("protocol")))
        take_text(j, &out->protocol);
    else if (span_equal(key, SPAN("fail_type")))
        take_text(j, &out->fail_type);
    else if (span_equal(key, SPAN("success"))) {
        if (out->has_success) j->bad = true;
        out->has_success = true;
        out->success = take_truth(j);
    } else if (span_equal(key, SPAN("policy_reject")))
        out->policy_reject |= take_truth(j);
    else
        skip_value(j, POLICY_DEPTH_MAX);
}

bool policy_report_read(struct span text, struct policy_report *out) {
    struct json j = {text, false};
    *out = (struct policy_report){0};
    want(&j, '{');
    while (!j.bad) {
        take_member(&j, out);
        if (!next_is(&j, ',')) break;
        (void)take(&j);
    }
    want(&j, '}');
    skip_blanks(&j);
    return !j.bad && j.rest.n == 0 && out->has_success;
}

static bool is(const struct policy_text *text, struct span word) {
    return span_equal(span_of(text->octets, text->n), word);
}

bool policy_report_counts(const struct policy_report *report, enum policy_failure *what_out,
                          struct netaddr *client_out) {
    bool other = is(&report->fail_type, SPAN("disabled")) || is(&report->fail_type, SPAN("expired"));
    *what_out = other ? POLICY_FAILURE_OTHER : POLICY_FAILURE_PASSWORD;
    if (report->success || report->policy_reject || is(&report->fail_type, SPAN("policy")) ||
        is(&report->fail_type, SPAN("internal")))
        return false;
    return netaddr_parse(client_out, span_of(report->remote.octets, report->remote.n));
}
