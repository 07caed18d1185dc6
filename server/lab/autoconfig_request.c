/* autoconfig_request.c - the address that a mail program asks about.
 * Runs in: page. Trusts: nothing in the request. Never: follows an entity, a namespace or a type declaration: it
 * looks for one element. */
#include "auth/address.h"
#include "auth/utf8.h"
#include "server/lab/autoconfig.h"

static bool take(struct span address, struct buf *out) {
    struct address parsed;
    if (address.n > AUTOCONFIG_TEXT_MAX || !utf8_clean(address) || !address_parse_plain(&parsed, address))
        return false;
    buf_put_span(out, address);
    return buf_ok(out);
}

/* One of the five references that need no declaration (XML 1.0 4.6), after its &. 0: another one, or none. */
static uint8_t resolve(struct span *rest) {
    static const struct {
        struct span name;
        uint8_t octet;
    } known[] = {{SPAN("amp;"), '&'},   {SPAN("lt;"), '<'},  {SPAN("gt;"), '>'},  {SPAN("quot;"), '"'},
                 {SPAN("apos;"), '\''}, {SPAN("#38;"), '&'}, {SPAN("#39;"), '\''}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (span_equal(span_part(*rest, 0, known[i].name.n), known[i].name)) {
            *rest = span_from(*rest, known[i].name.n);
            return known[i].octet;
        }
    return 0;
}

static bool unescape(struct span text, struct buf *out) {
    while (text.n) {
        uint8_t octet = text.p[0];
        text = span_from(text, 1);
        if (octet == '&' && (octet = resolve(&text)) == 0) return false;
        buf_put_octet(out, octet);
    }
    return buf_ok(out);
}

static bool is_blank(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span trim(struct span s) {
    while (s.n && is_blank(s.p[0])) s = span_from(s, 1);
    while (s.n && is_blank(s.p[s.n - 1])) s.n--;
    return s;
}

/* The local name of a start tag's content, "EMailAddress" of "x:EMailAddress a='b'". */
static struct span local_name(struct span tag) {
    size_t n = 0;
    while (n < tag.n && !is_blank(tag.p[n])) n++;
    struct span name = span_part(tag, 0, n);
    size_t colon = span_find(name, ':');
    return colon < name.n ? span_from(name, colon + 1) : name;
}

static struct span skip_past(struct span rest, struct span end) {
    const uint8_t *found = rest.n ? memmem(rest.p, rest.n, end.p, end.n) : NULL;
    return found ? span_from(rest, (size_t)(found - rest.p) + end.n) : span_of(NULL, 0);
}

bool autoconfig_request_address(struct span body, struct buf *address_out) {
    uint8_t storage[AUTOCONFIG_TEXT_MAX];
    if (body.n > AUTOCONFIG_REQUEST_MAX) return false;
    while ((body = span_from(body, span_find(body, '<'))).n) {
        if (span_equal(span_part(body, 0, 4), SPAN("<!--"))) {
            body = skip_past(body, SPAN("-->"));
            continue;
        }
        if (span_equal(span_part(body, 0, 2), SPAN("<!"))) return false; /* a DOCTYPE, or CDATA */
        size_t end = span_find(body, '>');
        if (end == body.n) return false;
        struct span tag = span_part(body, 1, end - 1);
        body = span_from(body, end + 1);
        if (!span_equal(local_name(tag), SPAN("EMailAddress"))) continue;
        struct buf text = BUF_OVER(storage);
        return unescape(trim(span_part(body, 0, span_find(body, '<'))), &text) && take(buf_span(&text), address_out);
    }
    return false;
}

static int hex(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = octet_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode(struct span text, struct buf *out) {
    while (text.n) {
        uint8_t octet = text.p[0];
        int high, low;
        text = span_from(text, 1);
        if (octet == '%') {
            if (text.n < 2 || (high = hex(text.p[0])) < 0 || (low = hex(text.p[1])) < 0) return false;
            octet = (uint8_t)(high << 4 | low);
            text = span_from(text, 2);
        }
        buf_put_octet(out, octet);
    }
    return buf_ok(out);
}

bool autoconfig_query_address(struct span query, struct buf *address_out) {
    static const struct span name = SPAN("emailaddress=");
    uint8_t storage[AUTOCONFIG_TEXT_MAX];
    while (query.n) {
        size_t end = span_find(query, '&');
        struct span pair = span_part(query, 0, end);
        query = span_from(query, end + 1);
        if (!span_starts_nocase(pair, name)) continue;
        struct buf text = BUF_OVER(storage);
        return decode(span_from(pair, name.n), &text) && take(buf_span(&text), address_out);
    }
    return false;
}
