/* session_setup.c - the listener's setup as octets and back.
 * Runs in: master (put), listener (get). Trusts: the master. Never: allocates after start. */
#include "server/inbound/session_setup.h"

#include <stdlib.h>

enum { SETUP_NETWORKS_MAX = 4096, SETUP_DOMAINS_MAX = 65536, SETUP_PEM_MAX = 1 << 20 };

static void put_spans(struct buf *b, const struct span *spans, uint32_t n) {
    wire_put_u32(b, n);
    for (uint32_t i = 0; i < n; i++) wire_put_span(b, spans[i]);
}

void session_setup_put(struct buf *b, const struct session_setup *setup) {
    wire_put_span(b, setup->hostname);
    wire_put_u32(b, setup->n_sockets);
    for (uint32_t i = 0; i < setup->n_sockets; i++) {
        wire_put_u8(b, setup->sockets[i].role);
        wire_put_u8(b, setup->sockets[i].auth);
    }
    wire_put_u32(b, setup->n_certificates);
    for (uint32_t i = 0; i < setup->n_certificates; i++) {
        wire_put_span(b, setup->certificates[i].chain_pem);
        put_spans(b, setup->certificates[i].names, setup->certificates[i].n_names);
    }
    wire_put_networks(b, setup->proxy_from, setup->n_proxy_from);
    wire_put_networks(b, setup->clear_login_from, setup->n_clear_login_from);
    put_spans(b, setup->local_domains, setup->n_local_domains);
    put_spans(b, setup->relay_domains, setup->n_relay_domains);
    wire_put_u32(b, setup->connections);
    wire_put_u32(b, setup->connections_per_network);
    wire_put_u32(b, setup->network_ipv4_bits);
    wire_put_u32(b, setup->network_ipv6_bits);
    wire_put_u32(b, setup->throttle_ipv4_bits);
    wire_put_u32(b, setup->throttle_ipv6_bits);
    wire_put_u32(b, setup->recipients_per_message);
    wire_put_u32(b, setup->messages_per_session);
    wire_put_u32(b, setup->failures_per_session);
    wire_put_u64(b, setup->message_bytes);
    wire_put_u64(b, setup->command_ms);
    wire_put_u64(b, setup->data_ms);
    wire_put_u64(b, setup->tls_ms);
    wire_put_u64(b, setup->login_ms);
    wire_put_u64(b, setup->session_ms);
    wire_put_u64(b, setup->shutdown_ms);
    wire_put_u64(b, setup->idle_ms);
    wire_put_u8(b, setup->scram);
    wire_put_u8(b, setup->scram_plus);
    wire_put_u8(b, setup->ntlm);
    wire_put_u8(b, setup->legacy_auth_line);
}

/* A count that is at most `max`, else 0 and the wire is bad. */
static uint32_t get_count(struct wire *w, uint32_t max) {
    uint32_t n = wire_get_u32(w);
    if (n <= max) return n;
    w->bad = true;
    return 0;
}

static struct span *get_spans(struct wire *w, uint32_t *n_out) {
    uint32_t n = get_count(w, SETUP_DOMAINS_MAX);
    struct span *spans = n ? calloc(n, sizeof *spans) : NULL;
    *n_out = spans ? n : 0;
    if (n && !spans) w->bad = true;
    for (uint32_t i = 0; i < *n_out; i++) spans[i] = wire_get_span(w, 256);
    return spans;
}

static void get_certificate(struct wire *w, struct session_certificate *out) {
    out->chain_pem = wire_get_span(w, SETUP_PEM_MAX);
    out->n_names = get_count(w, SESSION_NAMES_MAX);
    for (uint32_t i = 0; i < out->n_names; i++) out->names[i] = wire_get_span(w, 256);
}

int session_setup_get(struct session_setup *setup, struct span payload) {
    struct wire w = wire_over(payload);
    *setup = (struct session_setup){.hostname = wire_get_span(&w, 255)};
    setup->n_sockets = get_count(&w, SESSION_SOCKETS_MAX);
    for (uint32_t i = 0; i < setup->n_sockets; i++) {
        setup->sockets[i].role = wire_get_u8(&w);
        setup->sockets[i].auth = wire_get_u8(&w);
    }
    setup->n_certificates = get_count(&w, SESSION_CERTIFICATES_MAX);
    for (uint32_t i = 0; i < setup->n_certificates; i++) get_certificate(&w, &setup->certificates[i]);
    setup->proxy_from = wire_get_networks(&w, SETUP_NETWORKS_MAX, &setup->n_proxy_from);
    setup->clear_login_from = wire_get_networks(&w, SETUP_NETWORKS_MAX, &setup->n_clear_login_from);
    setup->local_domains = get_spans(&w, &setup->n_local_domains);
    setup->relay_domains = get_spans(&w, &setup->n_relay_domains);
    setup->connections = wire_get_u32(&w);
    setup->connections_per_network = wire_get_u32(&w);
    setup->network_ipv4_bits = get_count(&w, 32);
    setup->network_ipv6_bits = get_count(&w, 128);
    setup->throttle_ipv4_bits = get_count(&w, 32);
    setup->throttle_ipv6_bits = get_count(&w, 128);
    setup->recipients_per_message = wire_get_u32(&w);
    setup->messages_per_session = wire_get_u32(&w);
    setup->failures_per_session = wire_get_u32(&w);
    setup->message_bytes = wire_get_u64(&w);
    setup->command_ms = wire_get_u64(&w);
    setup->data_ms = wire_get_u64(&w);
    setup->tls_ms = wire_get_u64(&w);
    setup->login_ms = wire_get_u64(&w);
    setup->session_ms = wire_get_u64(&w);
    setup->shutdown_ms = wire_get_u64(&w);
    setup->idle_ms = wire_get_u64(&w);
    setup->scram = wire_get_u8(&w);
    setup->scram_plus = wire_get_u8(&w);
    setup->ntlm = wire_get_u8(&w);
    setup->legacy_auth_line = wire_get_u8(&w);
    return wire_end(&w) ? 0 : -1;
}
