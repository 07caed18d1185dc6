/* setup.h - from the owner's configuration to what each role is handed: nothing but this file and the command line
 * sees both. */
#ifndef SERVER_PROCESS_SETUP_H
#define SERVER_PROCESS_SETUP_H

#include "auth/auth_setup.h"
#include "conf/conf.h"
#include "server/lab/zone.h"
#include "server/process/material.h"
#include "store/role.h"

enum { SETUP_BYTES_MAX = 16 << 20 };

/* What the configuration alone does not say. */
struct setup_facts {
    bool as_root;                       /* the server was started as root: role users and empty root */
    bool stand_alone;                   /* auth or queue for one command, without a server */
    bool judge;                         /* keys: only says what certificates and keys are worth */
    const struct zone_setup *zone;      /* resolver: checks the DNS by this, and ends; NULL: it serves */
    const struct material *material;    /* of listener and keys; NULL: none */
    struct verifier_keys verifier_keys; /* drawn at each start */
    bool log_json;                      /* --json-log */
};

/* A role's user; as_root only. 0, or -1 when there is no such user (name_out says which). */
int setup_user(const struct conf *conf, enum role role, uint32_t *uid_out, uint32_t *gid_out,
               const char **name_out) MUST_USE;

/* The number of verifiers, at least 1. */
uint32_t setup_verifiers(const struct conf *conf);

/* The whole setup of a role as a sealed memfd, or -1 (logged). */
int setup_make(const struct conf *conf, const struct setup_facts *facts, enum role role) MUST_USE;

#endif
