/* zone.c - the order of the checks: the host's addresses and their names, then each domain's records.
 * Runs in: the resolver, when it is started to check. Trusts: the configuration; nothing that the DNS says. Never:
 * asks without end: each check has a fixed number of questions. */
#include "server/lab/zone_part.h"

#include <stdio.h>

void zone_setup_put(struct buf *b, const struct zone_setup *setup) {
    wire_put_span(b, setup->hostname);
    wire_put_span(b, setup->smarthost);
    wire_put_u32(b, setup->n_domains);
    for (uint32_t i = 0; i < setup->n_domains; i++) wire_put_span(b, setup->domains[i]);
    wire_put_u32(b, setup->n_selectors);
    for (uint32_t i = 0; i < setup->n_selectors; i++) wire_put_span(b, setup->selectors[i]);
    wire_put_u8(b, setup->takes_mail);
    autoconfig_put(b, &setup->settings);
    wire_put_u8(b, setup->has_spki);
    wire_put_bytes(b, setup->spki, sizeof setup->spki);
}

static bool get_names(struct wire *w, struct span *names, uint32_t max, uint32_t *n_out) {
    *n_out = wire_get_u32(w);
    if (*n_out > max) return false;
    for (uint32_t i = 0; i < *n_out; i++) names[i] = wire_get_span(w, ZONE_NAME_MAX);
    return true;
}

int zone_setup_get(struct zone_setup *setup, struct span payload) {
    struct wire w = wire_over(payload);
    *setup = (struct zone_setup){.hostname = wire_get_span(&w, ZONE_NAME_MAX)};
    setup->smarthost = wire_get_span(&w, ZONE_NAME_MAX);
    if (!get_names(&w, setup->domains, ZONE_DOMAINS_MAX, &setup->n_domains) ||
        !get_names(&w, setup->selectors, ZONE_SELECTORS_MAX, &setup->n_selectors))
        return -1;
    setup->takes_mail = wire_get_u8(&w);
    if (autoconfig_get(&w, &setup->settings) != 0) return -1;
    setup->has_spki = wire_get_u8(&w);
    wire_get_bytes(&w, setup->spki, sizeof setup->spki);
    return wire_end(&w) ? 0 : -1;
}

/* ---- the host */

/* Addresses that nobody elsewhere can reach say nothing there: RFC 1918, 6598, 3927, 4193, 4291 2.5. */
static bool is_private(const struct netaddr *address) {
    static const struct span networks[] = {SPAN("10.0.0.0/8"),    SPAN("172.16.0.0/12"), SPAN("192.168.0.0/16"),
                                           SPAN("100.64.0.0/10"), SPAN("127.0.0.0/8"),   SPAN("169.254.0.0/16"),
                                           SPAN("fc00::/7"),      SPAN("fe80::/10"),     SPAN("::1/128")};
    struct network network;
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++)
        if (network_parse(&network, networks[i]) && network_holds(&network, address)) return true;
    return false;
}

/* The name in in-addr.arpa or ip6.arpa: RFC 1035 3.5, RFC 3596 2.5. */
static void reverse_name(const struct netaddr *address, char out[80]) {
    const uint8_t *o = address->octets;
    size_t n = 0;
    if (netaddr_is_ipv4(address)) {
        (void)snprintf(out, 80, "%u.%u.%u.%u.in-addr.arpa", o[15], o[14], o[13], o[12]);
        return;
    }
    for (size_t i = 16; i-- > 0;) {
        out[n++] = "0123456789abcdef"[o[i] & 15], out[n++] = '.';
        out[n++] = "0123456789abcdef"[o[i] >> 4], out[n++] = '.';
    }
    memcpy(out + n, "ip6.arpa", sizeof "ip6.arpa");
}

/* Where all mail leaves by a smarthost, its address is the one that others look up. */
static enum zone_level level_of_sender(const struct zone *zone) {
    return zone->setup->smarthost.n ? ZONE_LEVEL_WARNING : ZONE_LEVEL_BAD;
}

static void check_pointer(struct zone *zone, const struct netaddr *address) {
    struct span host = zone->setup->hostname;
    struct zone_answer answer;
    struct netaddr back[ZONE_RECORDS_MAX];
    char reverse[80], text[NETADDR_TEXT_MAX], name[ZONE_NAME_MAX + 1] = "", line[400];
    size_t n = 0;
    bool alias, same = false, back_here = false;
    netaddr_text(address, text);
    reverse_name(address, reverse);
    (void)snprintf(line, sizeof line, "%s. 3600 IN PTR %.*s.", reverse, (int)host.n, (const char *)host.p);
    if (is_private(address)) {
        zone_say(zone, ZONE_LEVEL_NOTE, "PTR", host, NULL, "%s is a private address: no server elsewhere sees it",
                 text);
        return;
    }
    zone_ask(zone, "", span_text(reverse), ZONE_PTR, &answer);
    if (answer.outcome == ZONE_UNANSWERED) {
        zone_say(zone, ZONE_LEVEL_UNKNOWN, "PTR", host, NULL, "no answer about %s", text);
        return;
    }
    for (size_t i = 0; i < answer.n && !same; i++) {
        if (zone_name(answer.records[i], name) == 0) continue;
        same = span_equal(span_text(name), host);
        n = 0;
        if (zone_addresses(zone, span_text(name), back, &n, &alias) == ZONE_FOUND && zone_holds(back, n, address))
            back_here = true;
    }
    if (answer.n == 0)
        zone_say(
            zone, level_of_sender(zone), "PTR", host, line,
            "%s has no name: many servers take no mail from such an address. Whoever gave you the address sets it",
            text);
    else if (!back_here)
        zone_say(zone, level_of_sender(zone), "PTR", host, line,
                 "%s is called %s, and that name does not lead back to it", text,
                 *name ? name : "something that is no name");
    else if (!same)
        zone_say(zone, ZONE_LEVEL_WARNING, "PTR", host, line,
                 "%s is called %s, which leads back, but the server greets as another", text, name);
    else
        zone_say(zone, ZONE_LEVEL_GOOD, "PTR", host, NULL, "%s is called so, and the name leads back", text);
}

/* What a host needs that others are to find. */
static void check_host(struct zone *zone, struct span host) {
    struct netaddr list[ZONE_RECORDS_MAX];
    char line[400], text[NETADDR_TEXT_MAX];
    size_t n = 0;
    bool alias = false;
    enum zone_outcome outcome = zone_addresses(zone, host, list, &n, &alias);
    (void)snprintf(line, sizeof line, "%.*s. 3600 IN A ADDRESS-OF-THIS-SERVER", (int)host.n, (const char *)host.p);
    if (outcome == ZONE_UNANSWERED)
        zone_say(zone, ZONE_LEVEL_UNKNOWN, "address", host, NULL, "no answer");
    else if (n == 0)
        zone_say(zone, ZONE_LEVEL_BAD, "address", host, line, "it has no address: nobody can reach it by this name");
    else
        zone_say(zone, ZONE_LEVEL_GOOD, "address", host, NULL, "%s%s", netaddr_text(&list[0], text),
                 n > 1 ? " and others" : "");
    if (!span_equal(host, zone->setup->hostname)) return;
    memcpy(zone->own, list, n * sizeof *list);
    zone->n_own = n;
}

static void find_senders(struct zone *zone) {
    struct netaddr address;
    bool alias;
    struct span smarthost = zone->setup->smarthost;
    if (!smarthost.n) {
        memcpy(zone->sending, zone->own, sizeof zone->own);
        zone->n_sending = zone->n_own;
    } else if (netaddr_parse(&address, smarthost)) {
        zone->sending[zone->n_sending++] = address;
    } else {
        (void)zone_addresses(zone, smarthost, zone->sending, &zone->n_sending, &alias);
    }
}

/* ---- MX: RFC 5321 5.1, RFC 7505 */

struct mx {
    bool ours, null, broken;
    char first[ZONE_NAME_MAX + 1];
};

static void check_exchanger(struct zone *zone, struct span domain, struct span record, struct mx *mx) {
    struct netaddr list[ZONE_RECORDS_MAX];
    char name[ZONE_NAME_MAX + 1];
    size_t n = 0;
    bool alias = false;
    if (record.n < 3 || zone_name(span_from(record, 2), name) == 0) {
        zone_say(zone, ZONE_LEVEL_BAD, "MX", domain, NULL, "a record whose host is no host name");
        mx->broken = true;
        return;
    }
    if (!*name) {
        mx->null = true;
        return;
    }
    if (!*mx->first) memcpy(mx->first, name, sizeof name);
    bool named = span_equal(span_text(name), zone->setup->hostname);
    enum zone_outcome outcome = zone_addresses(zone, span_text(name), list, &n, &alias);
    for (size_t i = 0; i < n; i++) named = named || zone_holds(zone->own, zone->n_own, &list[i]);
    mx->ours = mx->ours || named;
    if (outcome == ZONE_UNANSWERED)
        zone_say(zone, ZONE_LEVEL_UNKNOWN, "MX", domain, NULL, "no answer about %s", name);
    else if (n == 0)
        zone_say(zone, ZONE_LEVEL_BAD, "MX", domain, NULL, "%s has no address", name);
    else if (alias)
        zone_say(zone, ZONE_LEVEL_BAD, "MX", domain, NULL,
                 "%s is an alias (CNAME): some servers do not follow it; name the host itself", name);
    if (n == 0 || alias) mx->broken = true;
}

static void check_mx(struct zone *zone, struct span domain) {
    struct zone_answer answer;
    struct mx mx = {0};
    char line[600];
    struct span host = zone->setup->hostname;
    (void)snprintf(line, sizeof line, "%.*s. 3600 IN MX 10 %.*s.", (int)domain.n, (const char *)domain.p, (int)host.n,
                   (const char *)host.p);
    zone_ask(zone, "", domain, ZONE_MX, &answer);
    if (answer.outcome == ZONE_UNANSWERED) {
        zone_say(zone, ZONE_LEVEL_UNKNOWN, "MX", domain, NULL, "no answer");
        return;
    }
    for (size_t i = 0; i < answer.n; i++) check_exchanger(zone, domain, answer.records[i], &mx);
    if (answer.n == 0)
        zone_say(zone, ZONE_LEVEL_BAD, "MX", domain, line,
                 "there is no record: mail finds its way by luck, if at all");
    else if (mx.null)
        zone_say(zone, ZONE_LEVEL_BAD, "MX", domain, line,
                 "the record says that the domain takes no mail (RFC 7505)");
    else if (zone->setup->takes_mail && !mx.ours)
        zone_say(zone, ZONE_LEVEL_BAD, "MX", domain, line,
                 "%s is another server: mail for this domain does not come here", mx.first);
    else if (!mx.broken)
        zone_say(zone, ZONE_LEVEL_GOOD, "MX", domain, NULL, "%s", mx.first);
}

void zone_check(struct zone *zone) {
    const struct zone_setup *setup = zone->setup;
    struct span client = setup->settings.smtp[0].security   ? setup->settings.smtp[0].host
                         : setup->settings.smtp[1].security ? setup->settings.smtp[1].host
                                                            : setup->hostname;
    check_host(zone, setup->hostname);
    for (size_t i = 0; i < zone->n_own; i++) check_pointer(zone, &zone->own[i]);
    if (!span_equal(client, setup->hostname)) check_host(zone, client);
    zone_check_tlsa(zone);
    find_senders(zone);
    for (uint32_t i = 0; i < setup->n_domains; i++) {
        check_mx(zone, setup->domains[i]);
        zone_check_spf(zone, setup->domains[i]);
        zone_check_dkim(zone, setup->domains[i]);
        zone_check_dmarc(zone, setup->domains[i]);
        zone_check_services(zone, setup->domains[i]);
        zone_check_transport(zone, setup->domains[i]);
    }
}
