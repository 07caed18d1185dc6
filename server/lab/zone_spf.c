/* zone_spf.c - SPF: who may send mail of a domain (RFC 7208).
 * Runs in: the resolver, when it is started to check. Trusts: nothing in a record. Never: asks more than the ten
 * questions that RFC 7208 4.6.4 allows for one address. */
#include "server/lab/zone_part.h"

#include <stdarg.h>
#include <stdio.h>

#define P(span) (int)(span).n, (const char *)(span).p

enum { LOOKUPS_MAX = 10, DEPTH_MAX = 10, EXCHANGERS_MAX = 10, TEXT_MAX = 4096 };

static enum zone_spf broken(struct zone_spf_state *state, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static enum zone_spf broken(struct zone_spf_state *state, const char *format, ...) {
    va_list list;
    va_start(list, format);
    (void)vsnprintf(state->why, sizeof state->why, format, list);
    va_end(list);
    return ZONE_SPF_BROKEN;
}

struct term {
    enum zone_spf result; /* when it matches */
    struct span name, value, whole;
    unsigned bits[2]; /* "a/24//64": of IPv4, of IPv6 */
};

/* "24//64", "24", "/64" behind the first slash. */
static bool read_bits(struct span text, unsigned bits[2]) {
    uint64_t value;
    size_t slash = span_find(text, '/');
    if (slash > 0) {
        if (!span_number(span_part(text, 0, slash), 32, &value)) return false;
        bits[0] = (unsigned)value;
        text = span_from(text, slash);
        if (!text.n) return true;
        text = span_from(text, 1);
    }
    if (!text.n || text.p[0] != '/' || !span_number(span_from(text, 1), 128, &value)) return false;
    bits[1] = (unsigned)value;
    return true;
}

static bool read_term(struct span text, struct term *out) {
    static const enum zone_spf results[] = {ZONE_SPF_PASS, ZONE_SPF_FAIL, ZONE_SPF_SOFT, ZONE_SPF_NEUTRAL};
    static const char signs[] = "+-~?";
    const char *sign = strchr(signs, text.p[0]);
    *out = (struct term){.whole = text, .result = ZONE_SPF_PASS, .bits = {32, 128}};
    if (sign && *sign) out->result = results[sign - signs], text = span_from(text, 1);
    size_t colon = span_find(text, ':'), slash = span_find(text, '/');
    bool address = span_starts_nocase(text, SPAN("ip4:")) || span_starts_nocase(text, SPAN("ip6:"));
    out->name = span_part(text, 0, colon < slash ? colon : slash);
    if (address) { /* the slash is network_parse's */
        out->value = span_from(text, colon + 1);
        return true;
    }
    if (colon < slash) out->value = span_part(text, colon + 1, slash - colon - 1);
    return slash == text.n || read_bits(span_from(text, slash + 1), out->bits);
}

static bool within(const struct netaddr *list, size_t n, const struct term *term, const struct netaddr *address) {
    for (size_t i = 0; i < n; i++) {
        struct network network = network_of(&list[i], term->bits[0], term->bits[1]);
        if (netaddr_is_ipv4(&list[i]) == netaddr_is_ipv4(address) && network_holds(&network, address)) return true;
    }
    return false;
}

/* UNKNOWN when an answer did not come, PASS for a match, FAIL for none. */
static enum zone_spf match_exchangers(struct zone_spf_state *state, struct span domain, const struct term *term) {
    struct zone_answer answer;
    bool alias, late = false;
    zone_ask(state->zone, "", domain, ZONE_MX, &answer);
    if (answer.outcome == ZONE_UNANSWERED) return ZONE_SPF_UNKNOWN;
    for (size_t i = 0; i < answer.n && i < EXCHANGERS_MAX; i++) {
        struct netaddr list[ZONE_RECORDS_MAX];
        char name[ZONE_NAME_MAX + 1];
        size_t n = 0;
        if (answer.records[i].n < 3 || zone_name(span_from(answer.records[i], 2), name) == 0 || !*name) continue;
        late = zone_addresses(state->zone, span_text(name), list, &n, &alias) == ZONE_UNANSWERED || late;
        if (within(list, n, term, state->address)) return ZONE_SPF_PASS;
    }
    return late ? ZONE_SPF_UNKNOWN : ZONE_SPF_FAIL;
}

static enum zone_spf match_addresses(struct zone_spf_state *state, struct span domain, const struct term *term) {
    struct netaddr list[ZONE_RECORDS_MAX];
    size_t n = 0;
    bool alias;
    if (zone_addresses(state->zone, domain, list, &n, &alias) == ZONE_UNANSWERED) return ZONE_SPF_UNKNOWN;
    return within(list, n, term, state->address) ? ZONE_SPF_PASS : ZONE_SPF_FAIL;
}

/* RFC 7208 5.2: only a pass of the other record matches. */
static enum zone_spf match_include(struct zone_spf_state *state, struct span domain, bool redirect) {
    uint8_t storage[TEXT_MAX];
    struct buf text = BUF_OVER(storage);
    int found = zone_record(state->zone, "", domain, SPAN("v=spf1"), &text);
    if (found < 0) return ZONE_SPF_UNKNOWN;
    if (found != 1 || !buf_ok(&text))
        return broken(state, "%.*s, which it refers to, has %s", P(domain),
                      found == 0 ? "no such record" : "several records");
    if (state->depth == DEPTH_MAX) return broken(state, "it refers to records in a circle");
    state->depth++;
    enum zone_spf result = zone_spf_judge(state, domain, buf_span(&text));
    state->depth--;
    if (redirect || result == ZONE_SPF_PASS || result == ZONE_SPF_BROKEN || result == ZONE_SPF_UNKNOWN) return result;
    return ZONE_SPF_FAIL;
}

static enum zone_spf match_network(struct zone_spf_state *state, const struct term *term) {
    struct network network;
    if (!network_parse(&network, term->value)) return broken(state, "%.*s names no network", P(term->whole));
    return network_holds(&network, state->address) ? ZONE_SPF_PASS : ZONE_SPF_FAIL;
}

/* PASS: it matches; FAIL: it does not; else the end of it all. */
static enum zone_spf match(struct zone_spf_state *state, struct span domain, const struct term *term) {
    struct span name = term->name, target = term->value.n ? term->value : domain;
    bool include = span_equal_nocase(name, SPAN("include")), exists = span_equal_nocase(name, SPAN("exists"));
    bool a = span_equal_nocase(name, SPAN("a")), mx = span_equal_nocase(name, SPAN("mx"));
    if (span_equal_nocase(name, SPAN("all"))) return ZONE_SPF_PASS;
    if (span_equal_nocase(name, SPAN("ip4")) || span_equal_nocase(name, SPAN("ip6")))
        return match_network(state, term);
    if (!include && !exists && !a && !mx && !span_equal_nocase(name, SPAN("ptr")))
        return broken(state, "%.*s is no mechanism", P(term->whole));
    if (++state->lookups > LOOKUPS_MAX)
        return broken(state, "it takes more than %d questions to the DNS (RFC 7208 4.6.4)", LOOKUPS_MAX);
    if ((include || exists) && !term->value.n) return broken(state, "%.*s names no domain", P(term->whole));
    if (memchr(target.p, '%', target.n)) return include || exists ? ZONE_SPF_UNKNOWN : ZONE_SPF_FAIL;
    if (include) return match_include(state, target, false);
    if (mx) return match_exchangers(state, target, term);
    return a ? match_addresses(state, target, term) : ZONE_SPF_FAIL; /* ptr and exists: nothing of the owner's */
}

static struct span next_term(struct span *rest) {
    while (rest->n && (rest->p[0] == ' ' || rest->p[0] == '\t')) *rest = span_from(*rest, 1);
    size_t n = span_find(*rest, ' ');
    struct span term = span_part(*rest, 0, n);
    *rest = span_from(*rest, n);
    return term;
}

/* "redirect=x": a modifier has = before any : or /. */
static bool is_modifier(struct span text) {
    size_t equals = span_find(text, '=');
    return equals < text.n && equals < span_find(text, ':') && equals < span_find(text, '/');
}

enum zone_spf zone_spf_judge(struct zone_spf_state *state, struct span domain, struct span record) {
    struct span rest = span_from(record, 6), text, redirect = {0}; /* v=spf1 */
    enum zone_spf found = ZONE_SPF_FAIL;
    struct term term;
    bool unknown = false;
    while ((text = next_term(&rest)).n) {
        if (is_modifier(text)) {
            if (span_starts_nocase(text, SPAN("redirect="))) redirect = span_from(text, 9);
            continue;
        }
        if (!read_term(text, &term)) return broken(state, "%.*s cannot be read", P(text));
        found = match(state, domain, &term);
        if (found == ZONE_SPF_PASS) return unknown && term.result != ZONE_SPF_PASS ? ZONE_SPF_UNKNOWN : term.result;
        if (found == ZONE_SPF_BROKEN) return found;
        if (found == ZONE_SPF_UNKNOWN) unknown = true; /* what follows may still let it pass */
    }
    if (unknown) return ZONE_SPF_UNKNOWN;
    if (!redirect.n) return ZONE_SPF_NEUTRAL;
    if (++state->lookups > LOOKUPS_MAX)
        return broken(state, "it takes more than %d questions to the DNS (RFC 7208 4.6.4)", LOOKUPS_MAX);
    return match_include(state, redirect, true);
}

/* ---- what is said */

/* The result for an address that is nobody's: what the record says of strangers. */
static enum zone_spf judge_stranger(struct zone *zone, struct span domain, struct span record,
                                    struct zone_spf_state *state) {
    static const struct netaddr nobody = {
        .octets = {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 88, [14] = 99, 254}};
    *state = (struct zone_spf_state){.zone = zone, .address = &nobody};
    return zone_spf_judge(state, domain, record);
}

static void say_senders(struct zone *zone, struct span domain, struct span record, const char *line) {
    bool smarthost = zone->setup->smarthost.n;
    bool all = true;
    for (size_t i = 0; i < zone->n_sending; i++) {
        struct zone_spf_state state = {.zone = zone, .address = &zone->sending[i]};
        char text[NETADDR_TEXT_MAX];
        enum zone_spf result = zone_spf_judge(&state, domain, record);
        if (result == ZONE_SPF_PASS) continue;
        all = false;
        netaddr_text(&zone->sending[i], text);
        if (result == ZONE_SPF_UNKNOWN)
            zone_say(zone, ZONE_LEVEL_UNKNOWN, "SPF", domain, NULL, "whether %s may send could not be found out",
                     text);
        else if (smarthost)
            zone_say(
                zone, ZONE_LEVEL_WARNING, "SPF", domain, line,
                "%s, the smarthost, is not named; if mail leaves from there, others refuse it. Its operator says "
                "what to include",
                text);
        else
            zone_say(zone, ZONE_LEVEL_BAD, "SPF", domain, line, "%s, this server, is not named", text);
    }
    if (all && zone->n_sending)
        zone_say(zone, ZONE_LEVEL_GOOD, "SPF", domain, NULL, "it names %s",
                 smarthost ? "the smarthost" : "this server");
}

static void judge_record(struct zone *zone, struct span domain, struct span record, const char *line) {
    struct zone_spf_state state;
    switch (judge_stranger(zone, domain, record, &state)) {
    case ZONE_SPF_BROKEN:
        zone_say(zone, ZONE_LEVEL_BAD, "SPF", domain, line, "the record does not count: %s", state.why);
        return;
    case ZONE_SPF_PASS:
        zone_say(zone, ZONE_LEVEL_BAD, "SPF", domain, line,
                 "the record lets everybody send mail of this domain (+all)");
        return;
    case ZONE_SPF_NEUTRAL:
        zone_say(zone, ZONE_LEVEL_WARNING, "SPF", domain, line,
                 "the record says nothing of who is not named: let it end in -all");
        break;
    case ZONE_SPF_UNKNOWN:
    case ZONE_SPF_FAIL:
    case ZONE_SPF_SOFT:
        break;
    }
    say_senders(zone, domain, record, line);
}

void zone_check_spf(struct zone *zone, struct span domain) {
    uint8_t storage[TEXT_MAX];
    struct buf text = BUF_OVER(storage);
    struct span smarthost = zone->setup->smarthost;
    struct netaddr address;
    const char *kind = !smarthost.n                          ? ""
                       : !netaddr_parse(&address, smarthost) ? " a:"
                       : netaddr_is_ipv4(&address)           ? " ip4:"
                                                             : " ip6:";
    char line[700];
    (void)snprintf(line, sizeof line, "%.*s. 3600 IN TXT \"v=spf1 mx%s%.*s -all\"", P(domain), kind, P(smarthost));
    int found = zone_record(zone, "", domain, SPAN("v=spf1"), &text);
    if (found < 0)
        zone_say(zone, ZONE_LEVEL_UNKNOWN, "SPF", domain, NULL, "no answer");
    else if (found == 0)
        zone_say(zone, ZONE_LEVEL_BAD, "SPF", domain, line,
                 "there is no record: anybody's mail of this domain looks as good as yours");
    else if (found > 1)
        zone_say(zone, ZONE_LEVEL_BAD, "SPF", domain, line, "there are %d records: none counts (RFC 7208 4.5)",
                 found);
    else if (!buf_ok(&text))
        zone_say(zone, ZONE_LEVEL_BAD, "SPF", domain, line, "the record is too long");
    else
        judge_record(zone, domain, buf_span(&text), line);
}
