/* policy_http.c - reading one HTTP request, and answering it.
 * Runs in: policy. Trusts: nothing. Never: allocates, decodes a URL, reads further than the length that was told. */
#include "server/inbound/policy_http.h"

/* RFC 9110 5.6.2 */
static bool is_token(struct span s) {
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = octet_lower(s.p[i]);
        bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!letter && (c == 0 || c > 126 || !strchr("!#$%&'*+-.^_`|~", c))) return false;
    }
    return s.n > 0;
}

/* Visible octets and, with `blanks`, spaces and tabs between them. */
static bool is_text(struct span s, bool blanks) {
    for (size_t i = 0; i < s.n; i++) {
        bool blank = s.p[i] == ' ' || s.p[i] == '\t';
        if (blank ? !blanks : s.p[i] <= 32 || s.p[i] == 127) return false;
    }
    return true;
}

/* The next line without its CRLF. MORE: its end is not there yet. BAD: a CR or LF alone. */
static enum http_found take_line(struct span *rest, struct span *line_out) {
    size_t n = span_find(*rest, '\n');
    size_t cr = span_find(span_part(*rest, 0, n), '\r');
    if (n == rest->n) return cr + 1 < n ? HTTP_BAD : HTTP_MORE;
    if (n == 0 || cr != n - 1) return HTTP_BAD;
    *line_out = span_part(*rest, 0, n - 1);
    *rest = span_from(*rest, n + 1);
    return HTTP_WHOLE;
}

/* RFC 9112 3 */
static bool read_first(struct span line, struct http_request *out) {
    size_t a = span_find(line, ' ');
    struct span rest = span_from(line, a + 1);
    size_t b = span_find(rest, ' ');
    out->method = span_part(line, 0, a);
    out->target = span_part(rest, 0, b);
    struct span version = span_from(rest, b + 1);
    bool old = span_equal(version, SPAN("HTTP/1.0"));
    out->closes = old;
    return is_token(out->method) && out->target.n && out->target.p[0] == '/' && is_text(out->target, false) &&
           (old || span_equal(version, SPAN("HTTP/1.1")));
}

struct fields {
    bool length_seen, secret_seen;
    uint64_t length;
};

/* RFC 9112 5, without what is obsolete. */
static bool read_field(struct span line, struct fields *fields, struct http_request *out) {
    size_t colon = span_find(line, ':');
    struct span name = span_part(line, 0, colon), value = span_trim(span_from(line, colon + 1));
    if (colon == line.n || !is_token(name) || !is_text(value, true)) return false;
    if (span_equal_nocase(name, SPAN("Transfer-Encoding"))) return false;
    if (span_equal_nocase(name, SPAN("Content-Length"))) {
        if (fields->length_seen || !span_number(value, POLICY_REQUEST_MAX - POLICY_HEAD_MAX, &fields->length))
            return false;
        fields->length_seen = true;
    } else if (span_equal_nocase(name, SPAN("X-Gatepost-Secret"))) {
        if (fields->secret_seen) return false;
        fields->secret_seen = true;
        out->secret = value;
    } else if (span_equal_nocase(name, SPAN("Connection")) && span_equal_nocase(value, SPAN("close"))) {
        out->closes = true;
    }
    return true;
}

enum http_found http_read(struct span input, struct http_request *out) {
    struct span rest = span_part(input, 0, POLICY_HEAD_MAX), line;
    struct fields fields = {0};
    size_t n_head = rest.n;
    *out = (struct http_request){0};
    for (size_t i = 0; i <= POLICY_FIELDS_MAX + 1; i++) {
        enum http_found found = take_line(&rest, &line);
        if (found == HTTP_MORE && n_head == POLICY_HEAD_MAX) return HTTP_BAD;
        if (found != HTTP_WHOLE) return found;
        if (i == 0 ? !read_first(line, out) : line.n && !read_field(line, &fields, out)) return HTTP_BAD;
        if (line.n) continue;
        size_t head = n_head - rest.n;
        out->body = span_part(input, head, (size_t)fields.length);
        out->n_octets = head + out->body.n;
        return out->body.n < fields.length ? HTTP_MORE : HTTP_WHOLE;
    }
    return HTTP_BAD;
}

bool http_query(struct span target, struct span name, struct span value) {
    struct span rest = span_from(target, span_find(target, '?') + 1);
    while (rest.n) {
        size_t n = span_find(rest, '&');
        struct span one = span_part(rest, 0, n);
        size_t equals = span_find(one, '=');
        if (span_equal(span_part(one, 0, equals), name)) return span_equal(span_from(one, equals + 1), value);
        rest = span_from(rest, n + 1);
    }
    return false;
}

static const char *phrase(unsigned status) {
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 405:
        return "Method Not Allowed";
    default:
        return "Service Unavailable";
    }
}

void http_put_answer(struct buf *b, unsigned status, const char *json, bool closes) {
    buf_put_format(b, "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n", status,
                   phrase(status), strlen(json));
    if (closes) buf_put_text(b, "Connection: close\r\n");
    buf_put_text(b, "\r\n");
    buf_put_text(b, json);
}
