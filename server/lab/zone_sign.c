/* zone_sign.c - DKIM, DMARC, MTA-STS and TLSA: what others hold our mail and our server against.
 * Runs in: the resolver, when it is started to check. Trusts: nothing in a record. Never: verifies a signature. */
#include "server/lab/zone_part.h"
#include "store/base64.h"

#include <stdio.h>

#define P(span) (int)(span).n, (const char *)(span).p

enum { TEXT_MAX = 4096, RSA_1024_BYTES = 162, RSA_2048_BYTES = 294, ED25519_BYTES = 32 };

/* ---- DKIM: RFC 6376 3.6.1, RFC 8463 */

/* What is wrong with the key, or NULL. *weak_out: it is shorter than it should be. */
static const char *key_fault(struct span record, bool *weak_out) {
    struct span name, value, key = {0};
    uint8_t storage[TEXT_MAX], packed_text[TEXT_MAX];
    struct buf packed = BUF_OVER(packed_text), octets = BUF_OVER(storage);
    bool edwards = false, has = false;
    while (zone_tag(&record, &name, &value)) {
        if (span_equal(name, SPAN("p"))) key = value, has = true;
        if (span_equal(name, SPAN("k"))) edwards = span_equal_nocase(value, SPAN("ed25519"));
    }
    if (!has) return "the record has no key (p=)";
    if (!key.n) return "the key is revoked (p= is empty)";
    for (size_t i = 0; i < key.n; i++) /* folded where it is long */
        if (key.p[i] != ' ' && key.p[i] != '\t') buf_put_octet(&packed, key.p[i]);
    if (!buf_ok(&packed) || !base64_decode(buf_span(&packed), &octets)) return "the key is no base64";
    if (edwards) return octets.n == ED25519_BYTES ? NULL : "the key is not of the length of an Ed25519 key";
    *weak_out = octets.n < RSA_2048_BYTES - 8;
    return octets.n < RSA_1024_BYTES - 8 ? "the key is cut short, or has fewer than 1024 bits" : NULL;
}

static void check_selector(struct zone *zone, struct span domain, struct span selector) {
    char prefix[ZONE_NAME_MAX + 1], line[600];
    uint8_t storage[TEXT_MAX];
    struct buf text = BUF_OVER(storage);
    bool weak = false;
    (void)snprintf(prefix, sizeof prefix, "%.*s._domainkey.", P(selector));
    (void)snprintf(line, sizeof line, "%s%.*s. 3600 IN TXT \"v=DKIM1; k=rsa; p=PUBLIC-KEY-OF-WHO-SIGNS\"", prefix,
                   P(domain));
    struct zone_answer answer;
    zone_ask(zone, prefix, domain, ZONE_TXT, &answer);
    if (answer.outcome == ZONE_UNANSWERED) {
        zone_say(zone, ZONE_LEVEL_UNKNOWN, "DKIM", domain, NULL, "no answer about selector %.*s", P(selector));
        return;
    }
    if (answer.n == 0 || !zone_text(answer.records[0], &text)) {
        zone_say(zone, ZONE_LEVEL_BAD, "DKIM", domain, line,
                 "selector %.*s has no key: signatures of our mail cannot be checked", P(selector));
        return;
    }
    const char *fault = key_fault(buf_span(&text), &weak);
    if (fault)
        zone_say(zone, ZONE_LEVEL_BAD, "DKIM", domain, line, "selector %.*s: %s", P(selector), fault);
    else if (answer.n > 1)
        zone_say(zone, ZONE_LEVEL_WARNING, "DKIM", domain, NULL,
                 "selector %.*s has %zu records: which counts is chance", P(selector), answer.n);
    else if (weak)
        zone_say(zone, ZONE_LEVEL_WARNING, "DKIM", domain, NULL, "selector %.*s: the key has fewer than 2048 bits",
                 P(selector));
    else
        zone_say(zone, ZONE_LEVEL_GOOD, "DKIM", domain, NULL, "selector %.*s has a key", P(selector));
}

void zone_check_dkim(struct zone *zone, struct span domain) {
    for (uint32_t i = 0; i < zone->setup->n_selectors; i++) check_selector(zone, domain, zone->setup->selectors[i]);
    if (zone->setup->n_selectors == 0)
        zone_say(zone, ZONE_LEVEL_NOTE, "DKIM", domain, NULL, "not looked at: dns.dkim_selectors is empty");
}

/* ---- DMARC: RFC 7489 6.3; a domain without a record has that of one above it */

static void judge_policy(struct zone *zone, struct span domain, struct span record, struct span at,
                         const char *line) {
    struct span name, value, policy = {0};
    while (zone_tag(&record, &name, &value)) {
        if (span_equal_nocase(name, SPAN("p"))) policy = value;
        if (span_equal_nocase(name, SPAN("sp")) && !span_equal(at, domain)) policy = value;
    }
    bool strict = span_equal_nocase(policy, SPAN("reject")) || span_equal_nocase(policy, SPAN("quarantine"));
    if (strict)
        zone_say(zone, ZONE_LEVEL_GOOD, "DMARC", domain, NULL, "policy %.*s, from %.*s", P(policy), P(at));
    else if (span_equal_nocase(policy, SPAN("none")))
        zone_say(zone, ZONE_LEVEL_WARNING, "DMARC", domain, line,
                 "the policy is none: mail that forges your addresses is taken all the same");
    else
        zone_say(zone, ZONE_LEVEL_BAD, "DMARC", domain, line,
                 "the policy (p=) is none of none, quarantine and reject: the record does not count");
}

void zone_check_dmarc(struct zone *zone, struct span domain) {
    char line[600];
    struct span at = domain;
    (void)snprintf(line, sizeof line, "_dmarc.%.*s. 3600 IN TXT \"v=DMARC1; p=quarantine\"", P(domain));
    for (unsigned i = 0; i < 8 && span_find(at, '.') < at.n; i++) {
        uint8_t storage[TEXT_MAX];
        struct buf text = BUF_OVER(storage);
        int found = zone_record(zone, "_dmarc.", at, SPAN("v=DMARC1"), &text);
        if (found < 0) {
            zone_say(zone, ZONE_LEVEL_UNKNOWN, "DMARC", domain, NULL, "no answer");
            return;
        }
        if (found > 1) {
            zone_say(zone, ZONE_LEVEL_BAD, "DMARC", domain, NULL, "_dmarc.%.*s has %d records: none counts", P(at),
                     found);
            return;
        }
        if (found == 1) {
            judge_policy(zone, domain, buf_span(&text), at, line);
            return;
        }
        at = span_from(at, span_find(at, '.') + 1);
    }
    zone_say(zone, ZONE_LEVEL_BAD, "DMARC", domain, line,
             "there is no record: large providers put off mail of a domain without one");
}

/* ---- how others encrypt towards us: optional */

void zone_check_transport(struct zone *zone, struct span domain) {
    uint8_t storage[TEXT_MAX];
    struct buf text = BUF_OVER(storage);
    int found = zone_record(zone, "_mta-sts.", domain, SPAN("v=STSv1"), &text);
    if (found == 1)
        zone_say(zone, ZONE_LEVEL_NOTE, "MTA-STS", domain, NULL,
                 "announced; the policy itself, at https://mta-sts.%.*s/.well-known/mta-sts.txt, is not looked at",
                 P(domain));
    else if (found > 1)
        zone_say(zone, ZONE_LEVEL_BAD, "MTA-STS", domain, NULL, "%d records: none counts (RFC 8461 3.1)", found);
}

/* RFC 7672 3.1: usage 3 or 2; with selector 1 and matching type 1 it can be held against our key. */
void zone_check_tlsa(struct zone *zone) {
    const struct zone_setup *setup = zone->setup;
    struct zone_answer answer;
    bool fits = false, comparable = false;
    char line[400], hex[65] = "";
    zone_ask(zone, "_25._tcp.", setup->hostname, ZONE_TLSA, &answer);
    if (!setup->takes_mail || answer.n == 0) return;
    for (size_t i = 0; i < answer.n; i++) {
        struct span r = answer.records[i];
        if (r.n != 35 || r.p[0] != 3 || r.p[1] != 1 || r.p[2] != 1) continue;
        comparable = true;
        fits = fits || (setup->has_spki && memcmp(r.p + 3, setup->spki, sizeof setup->spki) == 0);
    }
    for (size_t i = 0; i < sizeof setup->spki; i++) (void)snprintf(hex + 2 * i, 3, "%02x", setup->spki[i]);
    (void)snprintf(line, sizeof line, "_25._tcp.%.*s. 3600 IN TLSA 3 1 1 %s", P(setup->hostname), hex);
    if (fits)
        zone_say(zone, ZONE_LEVEL_GOOD, "TLSA", setup->hostname, NULL, "it holds the key of the first certificate");
    else if (comparable && setup->has_spki)
        zone_say(zone, ZONE_LEVEL_BAD, "TLSA", setup->hostname, line,
                 "it holds another key than the first certificate's: servers that check it send nothing here");
    else
        zone_say(zone, ZONE_LEVEL_NOTE, "TLSA", setup->hostname, NULL,
                 "there are records of a kind that is not looked into");
}
