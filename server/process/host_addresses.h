/* host_addresses.h - the addresses of this host and of its gateways, and the name of this boot: what auth cannot look
 * up where it is confined, and must know of for grants. */
#ifndef SERVER_PROCESS_HOST_ADDRESSES_H
#define SERVER_PROCESS_HOST_ADDRESSES_H

#include "auth/auth_setup.h"

struct host_addresses {
    struct network *own, *gateways; /* single addresses, freed by host_addresses_free */
    uint32_t n_own, n_gateways;
    uint8_t boot[GRANT_BOOT_BYTES];
};

#define HOST_PROC "/proc"

/* Asks the kernel; `proc` is where it shows its routes and the boot's name. False (logged, nothing to free): some of
 * it is not known. A host without IPv6 has no routes there. */
bool host_addresses_read(struct host_addresses *out, const char *proc) MUST_USE;
void host_addresses_free(struct host_addresses *addresses);

#endif
