/* material.h - certificates and their keys as they were when they were read: copies in sealed memory, so that what
 * becomes of the files later touches nothing that serves. */
#ifndef SERVER_PROCESS_MATERIAL_H
#define SERVER_PROCESS_MATERIAL_H

#include "conf/conf.h"
#include "store/span.h"

enum { MATERIAL_MAX = CONF_CERTIFICATES_MAX };

struct material_pair {
    int certificate, key; /* sealed memory; -1: none */
    char *file;           /* the certificate's, for messages */
    struct conf_list names;
};

struct material {
    uint32_t generation; /* 0: nothing is held */
    size_t n;
    struct material_pair pairs[MATERIAL_MAX];
};

/* Copies the files that the configuration names; the keys' octets pass from file to memory inside the kernel, never
 * through this process. 0, or -1 (printed) with nothing held. */
int material_read(struct material *out, const struct conf *conf, uint32_t generation, FILE *errors) MUST_USE;

void material_close(struct material *material);

/* The certificate's octets, allocated; {0} when there is no memory or no such certificate. */
struct span material_certificate(const struct material *material, size_t i);

#endif
