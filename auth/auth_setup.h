/* auth_setup.h - what the master hands to auth, verifiers and keys: payloads of MASTER_SETUP. */
#ifndef AUTH_AUTH_SETUP_H
#define AUTH_AUTH_SETUP_H

#include "auth/grant_address.h"
#include "auth/nt_hash.h"
#include "auth/quota_window.h"
#include "auth/throttle.h"

enum {
    AUTH_DOMAINS_MAX = 4096,
    AUTH_NETWORKS_MAX = 1024,
    AUTH_OWN_ADDRESSES_MAX = 65536,
    AUTH_RELAY_RECIPIENTS_MAX = 65536,
    AUTH_SYSTEM_USERS_MAX = 65536,
    AUTH_REPORTERS_MAX = 1024
};

struct auth_domain {
    struct span name; /* A-labels, lower case; sorted by octets */
    uint8_t sender_needs_auth;
    uint8_t header_from; /* From in the header is to be an address of its user's who sends */
    struct span lmtp;    /* the server that its users' mail goes to (store/endpoint.h); empty: their Maildirs */
};

/* A system user of this host: who has this uid, and as whom it sends. */
struct auth_system_user {
    uint32_t uid;
    struct span name;
    struct span login; /* the user whose rights it has; empty: name@local_domain, an account or not */
    uint8_t trusted;   /* any sender in a local domain */
};

struct auth_relay_domain {
    struct span name;  /* sorted */
    uint32_t first, n; /* its recipients in relay_recipients */
};

/* Arrays are allocated by auth_setup_get and freed by auth_setup_free; spans are views into the payload. */
struct auth_setup {
    struct span hostname, recipient_delimiter, postmaster;
    struct auth_domain *local_domains;
    struct auth_relay_domain *relay_domains;
    struct span *relay_recipients; /* full addresses, lower case */
    struct network *trusted_networks, *local_sender_hosts;
    struct network *clear_login_from; /* whose POP3 clients may log in without TLS */
    uint32_t n_clear_login_from;
    uint32_t n_local_domains, n_relay_domains, n_relay_recipients, n_trusted_networks, n_local_sender_hosts;
    uint8_t mx_auth; /* AUTH may be used on mx */
    uint8_t foreign; /* enum destination_kind for foreign mail: SMARTHOST, CAPTURE, or NONE: refuse as relay-denied
                        with its own log line, also for principals */
    uint8_t stand_alone;  /* no server: answer one control peer on descriptor of ROLE_COMMAND, then leave */
    uint32_t verifiers;   /* how many channels to verifiers there are */
    uint32_t waiting_max; /* logins waiting for a verifier */
    uint64_t cache_ms;    /* how long a login that was right is remembered; 0: not at all */
    uint8_t scram, scram_plus, ntlm; /* these mechanisms may be used */
    uint64_t argon2_memory_bytes;
    uint32_t argon2_passes;
    uint32_t connections, connections_per_address, connections_per_network;
    uint32_t network_ipv4_bits, network_ipv6_bits;
    uint32_t waiting_for_auth, messages_per_session, recipients_per_message, failures_per_session;
    uint64_t message_bytes;
    uint64_t login_ms;
    uint32_t mail_uid, mail_gid;     /* for dovecot.db */
    struct throttle_limits throttle; /* its networks are freed with the setup */
    struct span mail_directory;      /* home of users in dovecot.db: mail_directory/domain/local */
    struct span local_domain;        /* of system users' addresses */
    struct quota_limits quota;
    struct grant_limits grant;             /* likewise */
    uint8_t local_relay;                   /* they may send to everywhere */
    struct auth_system_user *system_users; /* the first of a uid counts */
    uint32_t n_system_users;
    uint32_t *reporters; /* uids of those who may report logins at other servers */
    uint32_t n_reporters;
};

void auth_setup_put(struct buf *b, const struct auth_setup *setup);
int auth_setup_get(struct auth_setup *setup, struct span payload) MUST_USE;
void auth_setup_free(struct auth_setup *setup);

/* Drawn by the master at each start. */
struct verifier_keys {
    uint8_t seal[32];        /* of the state between two steps */
    uint8_t tag[32];         /* of what stands for a login and its password in auth's memory */
    uint8_t fingerprint[32]; /* of what stands for a password alone */
};

struct verifier_setup {
    uint64_t argon2_memory_bytes;
    uint32_t argon2_passes;
    struct verifier_keys keys;
    uint8_t ntlm;                 /* it may be used */
    struct span hostname;         /* that NTLM names to its clients */
    uint8_t nt_key[NT_KEY_BYTES]; /* of the NT hashes that are stored; zero without ntlm */
};
void verifier_setup_put(struct buf *b, const struct verifier_setup *setup);
int verifier_setup_get(struct verifier_setup *setup, struct span payload) MUST_USE;

struct keys_setup {
    uint32_t generation; /* keys that come as DESCRIPTOR_KEY 0..n-1 with this setup belong to it */
    uint32_t n;
    uint8_t judge; /* says what keys and certificates (DESCRIPTOR_CERTIFICATE 0..n-1) are worth, and ends */
};
void keys_setup_put(struct buf *b, const struct keys_setup *setup);
int keys_setup_get(struct keys_setup *setup, struct span payload) MUST_USE;

#endif
