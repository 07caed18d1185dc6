/* zone.h - what the DNS says of this server and its domains, held against the configuration. Pure but for the
 * questions, which the caller answers: the same code judges a zone of a test. */
#ifndef SERVER_LAB_ZONE_H
#define SERVER_LAB_ZONE_H

#include "server/lab/autoconfig.h"
#include "store/netaddr.h"

enum {
    ZONE_DOMAINS_MAX = 256,
    ZONE_SELECTORS_MAX = 16,
    ZONE_RECORDS_MAX = 32,
    ZONE_NAME_MAX = 255,
    ZONE_BYTES_MAX = 8192
};

/* RFC 1035 3.2.2, 3596, 2782, 6698. */
enum zone_type {
    ZONE_A = 1,
    ZONE_PTR = 12,
    ZONE_MX = 15,
    ZONE_TXT = 16,
    ZONE_AAAA = 28,
    ZONE_SRV = 33,
    ZONE_TLSA = 52
};

enum zone_outcome {
    ZONE_UNANSWERED = 0, /* in time, or the name server failed */
    ZONE_FOUND,
    ZONE_NONE /* no such name, or no such record */
};

struct zone_answer {
    enum zone_outcome outcome;
    bool alias; /* the records are of another name, to which a CNAME leads */
    size_t n;
    struct span records[ZONE_RECORDS_MAX]; /* as RFC 1035 3.3 has them, names not compressed; into storage */
    uint8_t storage[ZONE_BYTES_MAX];
};

enum zone_level {
    ZONE_LEVEL_UNKNOWN = 0, /* could not be found out */
    ZONE_LEVEL_GOOD,
    ZONE_LEVEL_NOTE,
    ZONE_LEVEL_WARNING, /* works, but not as well as it could */
    ZONE_LEVEL_BAD,
    ZONE_LEVEL_COUNT
};

struct zone_finding {
    enum zone_level level;
    const char *what;       /* "MX" */
    struct span name;       /* the domain or host that it is about */
    struct span text, line; /* in words; the line of the zone that would mend it, or empty */
};

/* What of the configuration it is held against. */
struct zone_setup {
    struct span hostname;  /* greeting, and what MX is to name */
    struct span smarthost; /* empty: there is none */
    struct span domains[ZONE_DOMAINS_MAX];
    uint32_t n_domains;
    struct span selectors[ZONE_SELECTORS_MAX];
    uint32_t n_selectors;
    uint8_t takes_mail;         /* it has a listener for mail from strangers */
    struct autoconfig settings; /* its domain is set for each in turn */
    uint8_t has_spki;
    uint8_t spki[32]; /* SHA-256 of the first certificate's public key, as RFC 6698 2.1 has it */
};
void zone_setup_put(struct buf *b, const struct zone_setup *setup);
int zone_setup_get(struct zone_setup *setup, struct span payload) MUST_USE;

struct zone {
    const struct zone_setup *setup;
    void (*ask)(void *context, const char *name, enum zone_type type, struct zone_answer *out);
    void (*say)(void *context, const struct zone_finding *finding);
    void *context;
    struct netaddr own[ZONE_RECORDS_MAX]; /* addresses of hostname */
    size_t n_own;
    struct netaddr sending[ZONE_RECORDS_MAX]; /* addresses that mail for elsewhere leaves from */
    size_t n_sending;
};

/* Asks and says everything: the host first, then each domain. */
void zone_check(struct zone *zone);

#endif
