/* mechanism.c - the table of SASL mechanisms, for every protocol that has AUTH.
 * Runs in: session. Trusts: auth for every verdict. Never: looks into a SASL message, keeps one. */
#include "server/inbound/mechanism.h"

#include "server/inbound/tls.h"

enum need { NEEDS_PLUS = 1, NEEDS_SCRAM = 2, NEEDS_NTLM = 4, USES_BINDING = 8 };

struct mechanism_offer {
    const char *name;
    unsigned flags;
};

static const struct mechanism_offer offers[] = {
    {"SCRAM-SHA-256-PLUS", NEEDS_SCRAM | NEEDS_PLUS | USES_BINDING},
    {"SCRAM-SHA-256", NEEDS_SCRAM | USES_BINDING},
    {"PLAIN", 0},
    {"LOGIN", 0},
    {"NTLM", NEEDS_NTLM | USES_BINDING},
};

static bool is_offered(const struct session_setup *setup, const struct mechanism_offer *offer) {
    if ((offer->flags & NEEDS_SCRAM) && !setup->scram) return false;
    if ((offer->flags & NEEDS_NTLM) && !setup->ntlm) return false;
    return !(offer->flags & NEEDS_PLUS) || (setup->scram_plus && tls_binds());
}

const struct mechanism_offer *mechanism_find(const struct session_setup *setup, struct span name) {
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++)
        if (span_equal_nocase(name, span_text(offers[i].name)))
            return is_offered(setup, &offers[i]) ? &offers[i] : NULL;
    return NULL;
}

void mechanism_put(const struct session_setup *setup, const char *start, const char *between, struct buf *out) {
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
        if (!is_offered(setup, &offers[i])) continue;
        buf_put_text(out, start);
        buf_put_text(out, offers[i].name);
        start = between;
    }
}

bool mechanism_ask(const struct mechanism_offer *offer, bool tls, bool initial, struct span response,
                   struct ask_auth *out) {
    struct ask_auth_start start = {
        .tls = tls, .initial = initial, .mechanism = span_text(offer->name), .response = response};
    if (offer->flags & USES_BINDING) {
        start.exporter = tls_exporter();
        start.end_point = tls_end_point();
    }
    return ask_auth(&start, out);
}
