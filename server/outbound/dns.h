/* dns.h - looking up a host's addresses without waiting: libunbound behind one door. */
#ifndef SERVER_OUTBOUND_DNS_H
#define SERVER_OUTBOUND_DNS_H

#include "store/frames.h"
#include "store/netaddr.h"

enum { DNS_ADDRESSES_MAX = 32, DNS_RECORDS_MAX = 32, DNS_NAME_MAX = 255 };

struct dns;

/* Asks the name servers that resolv.conf's text names; where it names none, the root servers and on. NULL:
 * libunbound cannot be had. */
struct dns *dns_new(struct span resolv_conf) MUST_USE;
void dns_free(struct dns *dns);

/* Ready for dns_work when readable. */
int dns_descriptor(const struct dns *dns);

/* Calls back for what is answered. */
void dns_work(struct dns *dns);

/* The addresses of a name, IPv4 first; `found` is called once, from dns_work or from within. -1: it could not be
 * asked (found is not called), with EINVAL where that is the name's fault. */
int dns_addresses(struct dns *dns, struct span name,
                  void (*found)(void *context, enum resolve_outcome outcome, const struct netaddr *list, size_t n),
                  void *context) MUST_USE;

/* Records of any type of a name, as libunbound has them: octets without compression. `alias`: a CNAME led to them. */
struct dns_records {
    struct span list[DNS_RECORDS_MAX];
    size_t n;
    bool alias;
};

/* Likewise; RESOLVE_NOT_FOUND also where the name has other records only. The octets live as long as the call of
 * `found`. */
int dns_records(struct dns *dns, const char *name, uint16_t type,
                void (*found)(void *context, enum resolve_outcome outcome, const struct dns_records *records),
                void *context) MUST_USE;

#endif
