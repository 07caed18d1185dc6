/* scram_client.h - a client of SCRAM-SHA-256 by OpenSSL's arithmetic, for the units of the server's. */
#ifndef TESTS_UNIT_SCRAM_CLIENT_H
#define TESTS_UNIT_SCRAM_CLIENT_H

#include "store/buf.h"

struct scram_client {
    char header[320], bare[640];
    uint8_t first[1024], final[1024];
    uint8_t signature[32]; /* what the server should answer */
};

/* Client-first: a gs2-header ("n,,") and a name as it stands in the message. */
struct span scram_client_first(struct scram_client *client, const char *header, const char *name);

/* Client-final for the server's challenge. */
struct span scram_client_final(struct scram_client *client, struct span challenge, const char *password,
                               struct span binding);

/* Whether this is the server's signature of the exchange. */
bool scram_client_believes(const struct scram_client *client, struct span server_final);

#endif
