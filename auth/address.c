/* address.c - the grammar of paths, the normal forms of addresses, and the classifier of recipients.
 * Runs in: session, auth, command line. Trusts: nothing in the octets. Never: allocates, resolves, asks. */
#include "auth/address.h"

#include "auth/utf8.h"

static bool is_letter_or_digit(uint8_t c) {
    return (c >= '0' && c <= '9') || (octet_lower(c) >= 'a' && octet_lower(c) <= 'z');
}

static bool is_one_of(uint8_t c, struct span set) {
    return span_find(set, c) < set.n;
}

/* atext of RFC 5322 3.2.3, with UTF-8 (RFC 6531 3.3). Whoever calls has seen that 8-bit octets are UTF-8. */
static bool is_atext(uint8_t c) {
    return c >= 0x80 || is_letter_or_digit(c) || is_one_of(c, SPAN("!#$%&'*+-/=?^_`{|}~"));
}

/* qtextSMTP, RFC 5321 4.1.2. */
static bool is_quoted_text(uint8_t c) {
    return c >= ' ' && c != '"' && c != '\\' && c != 0x7f;
}

static bool is_domain_octet(uint8_t c) {
    return c >= 0x80 || is_letter_or_digit(c) || c == '-' || c == '_' || c == '.';
}

static bool octet_at(struct span s, size_t at, uint8_t c) {
    return at < s.n && s.p[at] == c;
}

/* Each of the *_end functions returns the offset after what it reads at `at`; `at` itself when it is not there. */

/* Dot-string = Atom *("." Atom) */
static size_t dot_string_end(struct span s, size_t at) {
    size_t end = at;
    for (;;) {
        size_t atom = end;
        while (end < s.n && is_atext(s.p[end])) end++;
        if (end == atom) return at;
        if (!octet_at(s, end, '.')) return end;
        end++;
    }
}

/* Quoted-string = DQUOTE *QcontentSMTP DQUOTE; the empty one is refused: it names nobody. */
static size_t quoted_end(struct span s, size_t at) {
    if (!octet_at(s, at, '"') || octet_at(s, at + 1, '"')) return at;
    for (size_t i = at + 1; i < s.n; i++) {
        if (s.p[i] == '"') return i + 1;
        if (s.p[i] == '\\') {
            i++;
            if (i == s.n || s.p[i] < ' ' || s.p[i] > '~') return at;
        } else if (!is_quoted_text(s.p[i])) {
            return at;
        }
    }
    return at;
}

static bool label_valid(struct span label) {
    bool utf8 = false;
    for (size_t i = 0; i < label.n; i++) {
        if (label.p[i] == '.' || !is_domain_octet(label.p[i])) return false;
        if (label.p[i] >= 0x80) utf8 = true;
    }
    if (label.n == 0 || label.p[0] == '-' || label.p[label.n - 1] == '-') return false;
    return utf8 || label.n <= ADDRESS_LABEL_MAX;
}

bool address_domain_valid(struct span domain) {
    if (domain.n == 0 || domain.n > ADDRESS_DOMAIN_MAX) return false;
    for (;;) {
        size_t dot = span_find(domain, '.');
        if (!label_valid(span_part(domain, 0, dot))) return false;
        if (dot == domain.n) return true;
        domain = span_from(domain, dot + 1);
    }
}

/* The domain without its trailing dot goes to domain_out. */
static size_t domain_end(struct span s, size_t at, struct span *domain_out) {
    size_t end = at;
    while (end < s.n && is_domain_octet(s.p[end])) end++;
    bool dotted = end > at && s.p[end - 1] == '.';
    *domain_out = span_part(s, at, end - at - dotted);
    return address_domain_valid(*domain_out) ? end : at;
}

/* What is between the brackets: an IPv4 address, or "IPv6:" and one. RFC 5321 4.1.3 lets a general literal bear only
 * a registered tag, and none but IPv6 is. */
static bool literal_content_valid(struct span content) {
    struct netaddr ignored;
    size_t colon = span_find(content, ':');
    struct span tag = span_part(content, 0, colon), host = span_from(content, colon + 1);
    if (colon == content.n) return netaddr_parse(&ignored, content);
    return span_equal_nocase(tag, SPAN("IPv6")) && span_find(host, ':') < host.n && netaddr_parse(&ignored, host);
}

static size_t literal_end(struct span s, size_t at, struct span *domain_out) {
    struct span content = span_from(s, at + 1);
    size_t n = span_find(content, ']');
    *domain_out = span_part(s, at, n + 2);
    if (!octet_at(s, at, '[') || n == content.n || n + 2 > ADDRESS_DOMAIN_MAX) return at;
    return literal_content_valid(span_part(content, 0, n)) ? at + n + 2 : at;
}

/* A-d-l ":", RFC 5321 4.1.2: "@x,@y:". Told from a local part by its first octet. */
static size_t source_route_end(struct span s, size_t at) {
    struct span ignored;
    size_t end = at;
    for (;;) {
        if (!octet_at(s, end, '@')) return at;
        size_t next =
            octet_at(s, end + 1, '[') ? literal_end(s, end + 1, &ignored) : domain_end(s, end + 1, &ignored);
        if (next == end + 1) return at;
        if (octet_at(s, next, ':')) return next + 1;
        if (!octet_at(s, next, ',')) return at;
        end = next + 1;
    }
}

static size_t local_part_end(struct span s, size_t at) {
    size_t end = octet_at(s, at, '"') ? quoted_end(s, at) : dot_string_end(s, at);
    return end - at > ADDRESS_LOCAL_MAX ? at : end;
}

/* Mailbox = Local-part "@" ( Domain / address-literal ) */
static size_t mailbox_end(struct span s, size_t at, struct address *out) {
    size_t local_end = local_part_end(s, at), host = local_end + 1;
    if (local_end == at || !octet_at(s, local_end, '@')) return at;
    bool literal = octet_at(s, host, '[');
    struct span domain;
    size_t end = literal ? literal_end(s, host, &domain) : domain_end(s, host, &domain);
    size_t whole_n = local_end - at + 1 + domain.n;
    if (end == host || whole_n > ADDRESS_WHOLE_MAX) return at;
    out->literal = literal;
    out->local = span_part(s, at, local_end - at);
    out->domain = domain;
    out->whole = span_part(s, at, whole_n);
    out->utf8 = !span_is_ascii(out->whole);
    return end;
}

/* The path between the brackets begins at `at`; returns where it ends, `at` when malformed. */
static size_t path_end(struct span s, size_t at, bool null_allowed, struct address *out) {
    size_t word_end = dot_string_end(s, at);
    struct span word = span_part(s, at, word_end - at);
    if (!null_allowed && octet_at(s, word_end, '>') && span_equal_nocase(word, SPAN("postmaster"))) {
        out->postmaster = true;
        out->local = out->whole = word;
        return word_end;
    }
    size_t mailbox = source_route_end(s, at);
    size_t end = mailbox_end(s, mailbox, out);
    return end == mailbox ? at : end;
}

bool address_parse(struct address *out, struct span argument, bool null_allowed, struct span *rest_out) {
    struct address address = {0};
    *out = address;
    *rest_out = (struct span){NULL, 0};
    struct span s = span_trim(argument);
    if (!utf8_clean(argument) || !octet_at(s, 0, '<')) return false;
    size_t end = 1;
    if (null_allowed && octet_at(s, 1, '>')) {
        address.empty = true;
    } else {
        end = path_end(s, 1, null_allowed, &address);
        if (end == 1 || !octet_at(s, end, '>')) return false;
    }
    if (end + 1 < s.n && s.p[end + 1] != ' ') return false;
    *out = address;
    *rest_out = span_trim(span_from(s, end + 1));
    return true;
}

struct span address_path(struct span argument, bool null_allowed) {
    struct address address;
    struct span rest;
    if (!address_parse(&address, argument, null_allowed, &rest)) return span_part(argument, 0, ADDRESS_MAX);
    argument = span_trim(argument);
    return span_trim(span_part(argument, 0, argument.n - rest.n));
}

bool address_parse_plain(struct address *out, struct span text) {
    struct address address = {0};
    *out = address;
    if (!utf8_clean(text) || text.n == 0 || mailbox_end(text, 0, &address) != text.n) return false;
    *out = address;
    return true;
}

/* Writes the local part as it reads without quotes and escapes, in lower case. */
static void put_unquoted(struct span local, struct buf *out) {
    bool quoted = octet_at(local, 0, '"');
    if (quoted) local = span_part(local, 1, local.n - 2);
    for (size_t i = 0; i < local.n; i++) {
        if (quoted && local.p[i] == '\\') i++;
        buf_put_octet(out, octet_lower(local.p[i]));
    }
}

bool address_local_normal(const struct address *address, struct buf *out) {
    uint8_t storage[ADDRESS_LOCAL_MAX];
    struct buf plain = BUF_OVER(storage);
    put_unquoted(address->local, &plain);
    if (!buf_ok(&plain)) return false;
    struct span text = buf_span(&plain);
    if (dot_string_end(text, 0) == text.n) {
        buf_put_span(out, text);
        return buf_ok(out);
    }
    buf_put_octet(out, '"');
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"' || text.p[i] == '\\') buf_put_octet(out, '\\');
        buf_put_octet(out, text.p[i]);
    }
    buf_put_octet(out, '"');
    return buf_ok(out);
}

void address_domain_lower(const struct address *address, struct buf *out) {
    for (size_t i = 0; i < address->domain.n; i++) buf_put_octet(out, octet_lower(address->domain.p[i]));
}

bool address_second_routing(const struct address *address) {
    /* An escape puts nothing in place of these octets, so the local part may be searched as written. */
    for (size_t i = 0; i < address->local.n; i++)
        if (is_one_of(address->local.p[i], SPAN("%!@"))) return true;
    return false;
}

int domain_compare(struct span a, struct span b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    if (order) return order;
    return a.n < b.n ? -1 : a.n > b.n;
}

bool domain_set_holds(const struct domain_set *set, struct span domain_lower) {
    size_t from = 0, to = set->n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = domain_compare(domain_lower, set->domains[middle]);
        if (order == 0) return true;
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return false;
}

enum address_class address_classify(const struct address *address, const struct domain_set *local,
                                    const struct domain_set *relay) {
    uint8_t storage[ADDRESS_DOMAIN_MAX];
    struct buf domain = BUF_OVER(storage);
    if (address->literal || address->domain.n == 0 || !span_is_ascii(address->domain)) return ADDRESS_CLASS_ASK;
    address_domain_lower(address, &domain);
    if (!buf_ok(&domain)) return ADDRESS_CLASS_ASK;
    if (domain_set_holds(local, buf_span(&domain))) return ADDRESS_CLASS_LOCAL;
    if (domain_set_holds(relay, buf_span(&domain))) return ADDRESS_CLASS_RELAY;
    return ADDRESS_CLASS_FOREIGN;
}
