/* host_addresses.c - this host's own addresses, its gateways and its boot.
 * Runs in: master, command line. Trusts: the kernel. Never: resolves a name, guesses what it could not read. */
#include "server/process/host_addresses.h"

#include "store/log.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUTE_GATEWAY = 2 /* RTF_GATEWAY of linux/route.h, in both files */ };

/* Each once. False: there are too many. */
static bool add(struct network **list, uint32_t *n, const struct netaddr *address) {
    struct network one = {.bits = 128};
    memcpy(one.octets, address->octets, sizeof one.octets);
    for (uint32_t i = 0; i < *n; i++)
        if (memcmp((*list)[i].octets, one.octets, sizeof one.octets) == 0) return true;
    if (*n == AUTH_OWN_ADDRESSES_MAX) return false;
    struct network *more = reallocarray(*list, *n + 1, sizeof *more);
    if (!more) abort();
    *list = more;
    more[(*n)++] = one;
    return true;
}

static bool read_own(struct host_addresses *out) {
    struct ifaddrs *all;
    bool ok = true;
    if (getifaddrs(&all) != 0) return false;
    for (const struct ifaddrs *one = all; one && ok; one = one->ifa_next) {
        struct sockaddr_storage storage = {0};
        struct netaddr address;
        int family = one->ifa_addr ? one->ifa_addr->sa_family : AF_UNSPEC;
        if (family != AF_INET && family != AF_INET6) continue;
        memcpy(&storage, one->ifa_addr, family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        if (netaddr_from_socket(&address, &storage)) ok = add(&out->own, &out->n_own, &address);
    }
    freeifaddrs(all);
    return ok;
}

static FILE *open_below(const char *proc, const char *name) {
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s", proc, name);
    return n > 0 && (size_t)n < sizeof path ? fopen(path, "re") : NULL;
}

/* proc(5): "Iface Destination Gateway Flags ...", the gateway as the machine writes that number. */
static bool read_ipv4_routes(struct host_addresses *out, const char *proc) {
    FILE *file = open_below(proc, "net/route");
    char line[512];
    bool ok = file != NULL;
    while (ok && fgets(line, sizeof line, file)) {
        struct netaddr gateway = {.octets = {[10] = 0xff, [11] = 0xff}};
        uint32_t address;
        unsigned flags;
        if (sscanf(line, "%*s %*8x %8x %4x", &address, &flags) != 2 || !(flags & ROUTE_GATEWAY)) continue;
        memcpy(gateway.octets + 12, &address, sizeof address);
        ok = add(&out->gateways, &out->n_gateways, &gateway);
    }
    if (file && (ferror(file) || fclose(file) != 0)) ok = false;
    return ok;
}

static bool read_octets(const char *hex, uint8_t out[16]) {
    for (size_t i = 0; i < 16; i++) {
        unsigned octet;
        if (sscanf(hex + 2 * i, "%2x", &octet) != 1) return false;
        out[i] = (uint8_t)octet;
    }
    return true;
}

/* Documentation/networking/ipv6.rst: destination, its bits, source, its bits, next hop, metric, references, uses,
 * flags. */
static bool read_ipv6_routes(struct host_addresses *out, const char *proc) {
    FILE *file = open_below(proc, "net/ipv6_route");
    char line[512], hop[33];
    bool ok = true;
    if (!file) return errno == ENOENT;
    while (ok && fgets(line, sizeof line, file)) {
        struct netaddr gateway = {0};
        unsigned flags;
        if (sscanf(line, "%*32s %*2s %*32s %*2s %32s %*8s %*8s %*8s %8x", hop, &flags) != 2) continue;
        if (!(flags & ROUTE_GATEWAY) || strlen(hop) != 32 || !read_octets(hop, gateway.octets)) continue;
        ok = add(&out->gateways, &out->n_gateways, &gateway);
    }
    if (ferror(file) || fclose(file) != 0) ok = false;
    return ok;
}

/* "d982fd7b-3d92-4731-9f32-5699ce610266" */
static bool read_boot(struct host_addresses *out, const char *proc) {
    FILE *file = open_below(proc, "sys/kernel/random/boot_id");
    char text[64] = "", digits[33];
    size_t n = 0;
    if (!file) return false;
    bool ok = fgets(text, sizeof text, file) != NULL;
    fclose(file);
    for (const char *p = text; ok && *p && *p != '\n'; p++)
        if (*p != '-' && n < sizeof digits - 1) digits[n++] = *p;
    digits[n] = 0;
    return ok && n == 32 && read_octets(digits, out->boot);
}

bool host_addresses_read(struct host_addresses *out, const char *proc) {
    *out = (struct host_addresses){0};
    const char *unknown = NULL;
    if (!read_own(out)) unknown = "the addresses of this host";
    if (!unknown && !read_ipv4_routes(out, proc)) unknown = "the routes of this host";
    if (!unknown && !read_ipv6_routes(out, proc)) unknown = "the routes of this host in IPv6";
    if (!unknown && !read_boot(out, proc)) unknown = "the name of this boot";
    if (!unknown) return true;
    log_fault(unknown, errno);
    host_addresses_free(out);
    return false;
}

void host_addresses_free(struct host_addresses *addresses) {
    free(addresses->own);
    free(addresses->gateways);
    *addresses = (struct host_addresses){0};
}
