/* session_setup.h - what the master hands to the listener and its sessions: payload of MASTER_SETUP. */
#ifndef SERVER_INBOUND_SESSION_SETUP_H
#define SERVER_INBOUND_SESSION_SETUP_H

#include "store/frames.h"
#include "store/netaddr.h"

enum { SESSION_SOCKETS_MAX = 32, SESSION_CERTIFICATES_MAX = 32, SESSION_NAMES_MAX = 32 };

struct session_socket { /* DESCRIPTOR_SOCKET of the same index */
    uint8_t role;       /* enum relay_role */
    uint8_t auth;       /* AUTH is offered (after TLS) */
};

struct session_certificate {
    struct span chain_pem;                /* public */
    struct span names[SESSION_NAMES_MAX]; /* SNI; none: those in the certificate */
    uint32_t n_names;
};

/* Spans are views into the payload; arrays are fixed or allocated once at start. */
struct session_setup {
    struct span hostname;
    struct session_socket sockets[SESSION_SOCKETS_MAX];
    uint32_t n_sockets;
    struct session_certificate certificates[SESSION_CERTIFICATES_MAX];
    uint32_t n_certificates;
    struct network *proxy_from, *clear_login_from; /* the latter: POP3 */
    uint32_t n_proxy_from, n_clear_login_from;
    struct span *local_domains, *relay_domains; /* sorted, for the classifier */
    uint32_t n_local_domains, n_relay_domains;
    uint32_t connections, connections_per_network, network_ipv4_bits, network_ipv6_bits;
    uint32_t throttle_ipv4_bits, throttle_ipv6_bits; /* what is one network to the throttle */
    uint32_t recipients_per_message, messages_per_session, failures_per_session;
    uint64_t message_bytes;
    uint64_t command_ms, data_ms, tls_ms, login_ms, session_ms, shutdown_ms;
    uint64_t idle_ms;                /* POP3: for the next command */
    uint8_t scram, scram_plus, ntlm; /* these mechanisms are offered */
    uint8_t legacy_auth_line;
};

void session_setup_put(struct buf *b, const struct session_setup *setup);
int session_setup_get(struct session_setup *setup, struct span payload) MUST_USE;

#endif
