/* sender.c - patterns of sender addresses, and who may use which.
 * Runs in: auth. Trusts: the database. Never: takes what it cannot read for a permission. */
#include "auth/sender.h"

#include "auth/domain_idn.h"
#include "auth/utf8.h"

static const char usage[] = "not a sender: write an address (info@example.test), a domain (@example.test), a pattern "
                            "(sales-*@example.test), or * for any";

static size_t count(struct span s, uint8_t c) {
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) n += s.p[i] == c;
    return n;
}

/* The part before the @: a dot-atom (RFC 5322 3.2.3) with stars. */
static const char *put_local(struct span local, struct buf *out) {
    if (local.n > ADDRESS_LOCAL_MAX) return "the part before the @ is longer than that of an address may be";
    for (size_t i = 0; i < local.n; i++) {
        uint8_t c = octet_lower(local.p[i]);
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80 ||
                    (c && strchr("!#$%&'*+-/=?^_`{|}~.", c) != NULL);
        if (!good) return "the part before the @ holds what no address has without quotes";
        if (i && c == '*' && local.p[i - 1] == '*') return "two stars side by side mean no more than one";
        if (c == '.' && (i == 0 || i + 1 == local.n || local.p[i + 1] == '.'))
            return "the part before the @ has a dot where no address has one";
        buf_put_octet(out, c);
    }
    return utf8_clean(local) ? NULL : "the part before the @ is no text";
}

static const char *put_domain(struct span domain, struct buf *out) {
    static const char wrong[] = "the part behind the @ is no domain; a star there stands for subdomains, as in "
                                "*.example.test";
    if (span_equal(domain, SPAN("*"))) return "this would be any sender, which is written *";
    if (domain.n && domain.p[domain.n - 1] == '.') domain.n--;
    if (span_starts_nocase(domain, SPAN("*."))) {
        buf_put_text(out, "*.");
        domain = span_from(domain, 2);
    }
    if (count(domain, '*') || !address_domain_valid(domain) || !domain_idn_normal(domain, out)) return wrong;
    return NULL;
}

const char *sender_pattern(struct span text, struct buf *out) {
    struct key key;
    size_t at = text.n;
    const char *wrong = NULL;
    if (span_equal(text, SPAN("*"))) {
        buf_put_span(out, text);
        return NULL;
    }
    while (at > 0 && text.p[at - 1] != '@') at--;
    if (at == 0 || at == text.n) return usage;
    struct span local = span_part(text, 0, at - 1), domain = span_from(text, at);
    if (!count(text, '*') && local.n) {
        if (!key_parse(&key, text)) return usage;
        buf_put_span(out, key_span(&key));
    } else {
        wrong = put_local(local.n ? local : SPAN("*"), out);
        buf_put_octet(out, '@');
        if (!wrong) wrong = put_domain(domain, out);
    }
    return wrong || buf_ok(out) ? wrong : "longer than an address may be";
}

bool sender_pattern_matches(struct span pattern, struct span address) {
    size_t at = 0, star = SIZE_MAX, retry = 0, i = 0;
    if (span_equal(pattern, SPAN("*"))) return true;
    while (i < address.n) {
        if (at < pattern.n && pattern.p[at] == '*') {
            star = at++;
            retry = i;
        } else if (at < pattern.n && pattern.p[at] == address.p[i]) {
            at++, i++;
        } else if (star != SIZE_MAX && address.p[retry] != '@') {
            i = ++retry;
            at = star + 1;
        } else {
            return false;
        }
    }
    while (at < pattern.n && pattern.p[at] == '*') at++;
    return at == pattern.n;
}

struct match {
    struct span address;
    bool found;
};

static bool match_pattern(void *context, const struct account_row *row) {
    struct match *match = context;
    match->found = sender_pattern_matches(row->pattern, match->address);
    return !match->found;
}

enum fact sender_allowed(const struct house *house, const struct key *sender, struct span login) {
    struct match match = {key_span(sender), false};
    if (house_local_domain(house, key_domain(sender))) {
        enum account_found own = expand_reaches(house, sender, login);
        if (own == ACCOUNT_FAILED) return FACT_UNKNOWN;
        if (own == ACCOUNT_FOUND) return FACT_YES;
    }
    if (account_senders(house->db, login, match_pattern, &match) == ACCOUNT_FAILED) return FACT_UNKNOWN;
    return match.found ? FACT_YES : FACT_NO;
}

enum fact sender_allowed_system(const struct house *house, const struct system_user *user, enum account_found found,
                                const struct key *sender) {
    if (span_equal(key_span(sender), key_span(&user->login))) return FACT_YES;
    if (user->trusted && house_local_domain(house, key_domain(sender))) return FACT_YES;
    if (found == ACCOUNT_FAILED) return FACT_UNKNOWN;
    return found == ACCOUNT_FOUND ? sender_allowed(house, sender, key_span(&user->login)) : FACT_NO;
}
