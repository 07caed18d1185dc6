/* zone_service.c - SRV records, by which mail programs find the servers.
 * Runs in: the resolver, when it is started to check. Trusts: nothing in a record. Never: asks about a service that a
 * program would not look for. */
#include "server/lab/zone_part.h"

#include <stdio.h>

#define P(span) (int)(span).n, (const char *)(span).p

struct service {
    const char *name;
    const struct autoconfig_server *server;
    unsigned priority;
};

/* Whether one of the records names that server; *other_out: one names something else, and which. */
static bool is_announced(const struct zone_answer *answer, const struct autoconfig_server *server, bool *other_out,
                         char other[ZONE_NAME_MAX + 16]) {
    bool found = false;
    for (size_t i = 0; i < answer->n; i++) {
        char name[ZONE_NAME_MAX + 1];
        struct span r = answer->records[i];
        if (r.n < 7 || zone_name(span_from(r, 6), name) == 0) continue;
        unsigned port = (unsigned)r.p[4] << 8 | r.p[5];
        if (!*name) continue; /* "." says: not offered */
        bool same = server->security && port == server->port && span_equal(span_text(name), server->host);
        found = found || same;
        if (!same && !*other_out) {
            *other_out = true;
            (void)snprintf(other, ZONE_NAME_MAX + 16, "%s port %u", name, port);
        }
    }
    return found;
}

static void check_service(struct zone *zone, struct span domain, const struct service *service) {
    struct zone_answer answer;
    char prefix[32], line[700] = "", other[ZONE_NAME_MAX + 16] = "";
    bool is_other = false;
    (void)snprintf(prefix, sizeof prefix, "%s._tcp.", service->name);
    zone_ask(zone, prefix, domain, ZONE_SRV, &answer);
    if (service->server->security)
        (void)snprintf(line, sizeof line, "%s%.*s. 3600 IN SRV %u 1 %u %.*s.", prefix, P(domain), service->priority,
                       service->server->port, P(service->server->host));
    else
        (void)snprintf(line, sizeof line, "%s%.*s. 3600 IN SRV 0 0 0 .", prefix, P(domain));
    bool found = is_announced(&answer, service->server, &is_other, other);
    if (answer.outcome == ZONE_UNANSWERED)
        zone_say(zone, ZONE_LEVEL_UNKNOWN, "SRV", domain, NULL, "no answer about %s", service->name);
    else if (is_other && service->server->security)
        zone_say(zone, ZONE_LEVEL_BAD, "SRV", domain, line, "%s names %s, where the configuration has nothing",
                 service->name, other);
    else if (is_other)
        zone_say(zone, ZONE_LEVEL_WARNING, "SRV", domain, line,
                 "%s names %s, and the configuration knows of no such server", service->name, other);
    else if (found)
        zone_say(zone, ZONE_LEVEL_GOOD, "SRV", domain, NULL, "%s names %.*s port %u", service->name,
                 P(service->server->host), service->server->port);
    else if (service->server->security)
        zone_say(zone, ZONE_LEVEL_WARNING, "SRV", domain, line, "no %s: mail programs that look for it must be told",
                 service->name);
}

void zone_check_services(struct zone *zone, struct span domain) {
    const struct autoconfig *settings = &zone->setup->settings;
    const struct service services[] = {
        {"_submissions", &settings->smtp[0], 0}, {"_submission", &settings->smtp[1], 10},
        {"_imaps", &settings->imap[0], 0},       {"_imap", &settings->imap[1], 10},
        {"_pop3s", &settings->pop3[0], 20},      {"_pop3", &settings->pop3[1], 30},
    };
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) check_service(zone, domain, &services[i]);
}
