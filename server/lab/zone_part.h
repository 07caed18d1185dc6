/* zone_part.h - what the files of the zone check share. Not for others. */
#ifndef SERVER_LAB_ZONE_PART_H
#define SERVER_LAB_ZONE_PART_H

#include "server/lab/zone.h"

/* Finds: a text of printf's, and behind it, unless NULL, the line to paste. */
void zone_say(struct zone *zone, enum zone_level level, const char *what, struct span name, const char *line,
              const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Asks for `prefix` before the name (or the name alone, where that is ""). Too long a name is not there. */
void zone_ask(struct zone *zone, const char *prefix, struct span name, enum zone_type type, struct zone_answer *out);

/* A domain name of a record, as text without the final dot ("." is empty) and in lower case; how many octets it took,
 * 0 when malformed or with octets that no host name has. */
size_t zone_name(struct span record, char out[ZONE_NAME_MAX + 1]);

/* The strings of a TXT record as one; false when malformed or too long. */
bool zone_text(struct span record, struct buf *out) MUST_USE;

/* A and AAAA of a name, appended to the list of at most ZONE_RECORDS_MAX. *alias_out: a CNAME led there. */
enum zone_outcome zone_addresses(struct zone *zone, struct span name, struct netaddr *list, size_t *n,
                                 bool *alias_out);

bool zone_holds(const struct netaddr *list, size_t n, const struct netaddr *address);

/* The one TXT record that begins with `tag`, in text. How many there are; -1 when it could not be found out. */
int zone_record(struct zone *zone, const char *prefix, struct span name, struct span tag, struct buf *text);

/* The next of the tags "n=v; n=v" (RFC 6376 3.2), trimmed; false at the end. */
bool zone_tag(struct span *rest, struct span *name_out, struct span *value_out);

/* The parts, for one domain. */
void zone_check_spf(struct zone *zone, struct span domain);
void zone_check_dkim(struct zone *zone, struct span domain);
void zone_check_dmarc(struct zone *zone, struct span domain);
void zone_check_services(struct zone *zone, struct span domain);
void zone_check_transport(struct zone *zone, struct span domain); /* MTA-STS */
void zone_check_tlsa(struct zone *zone);

/* RFC 7208: whether the record lets an address send. */
enum zone_spf {
    ZONE_SPF_UNKNOWN = 0, /* an answer did not come, or a macro stands in the way */
    ZONE_SPF_PASS,
    ZONE_SPF_FAIL,
    ZONE_SPF_SOFT,
    ZONE_SPF_NEUTRAL,
    ZONE_SPF_BROKEN /* permerror */
};
struct zone_spf_state {
    struct zone *zone;
    const struct netaddr *address;
    unsigned lookups, depth;
    char why[200]; /* for BROKEN */
};
enum zone_spf zone_spf_judge(struct zone_spf_state *state, struct span domain, struct span record);

#endif
