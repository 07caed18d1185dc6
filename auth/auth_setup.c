/* auth_setup.c - the setups of auth, verifiers and keys, as the master writes them and they read them.
 * Runs in: master, command line, auth, verifier, keys. Trusts: the master. Never: interprets a value. */
#include "auth/auth_setup.h"

#include <stdlib.h>

enum { SETUP_TEXT_MAX = 4096 };

static void put_domains(struct buf *b, const struct auth_setup *setup) {
    wire_put_u32(b, setup->n_local_domains);
    for (uint32_t i = 0; i < setup->n_local_domains; i++) {
        wire_put_span(b, setup->local_domains[i].name);
        wire_put_u8(b, setup->local_domains[i].sender_needs_auth);
        wire_put_u8(b, setup->local_domains[i].header_from);
        wire_put_span(b, setup->local_domains[i].lmtp);
    }
    wire_put_u32(b, setup->n_relay_domains);
    for (uint32_t i = 0; i < setup->n_relay_domains; i++) {
        wire_put_span(b, setup->relay_domains[i].name);
        wire_put_u32(b, setup->relay_domains[i].first);
        wire_put_u32(b, setup->relay_domains[i].n);
    }
    wire_put_u32(b, setup->n_relay_recipients);
    for (uint32_t i = 0; i < setup->n_relay_recipients; i++) wire_put_span(b, setup->relay_recipients[i]);
}

static void put_throttle(struct buf *b, const struct throttle_limits *limits) {
    wire_put_u8(b, limits->enabled);
    wire_put_u32(b, limits->network_ipv4_bits);
    wire_put_u32(b, limits->network_ipv6_bits);
    wire_put_u32(b, limits->network_failures);
    wire_put_u32(b, limits->account_failures);
    wire_put_u64(b, limits->window_ms);
    wire_put_u64(b, limits->known_ms);
    wire_put_networks(b, limits->exempt, limits->n_exempt);
}

static void put_grant(struct buf *b, const struct grant_limits *limits) {
    wire_put_u8(b, limits->enabled);
    wire_put_bytes(b, limits->boot, sizeof limits->boot);
    wire_put_u64(b, limits->lifetime_ms);
    wire_put_u32(b, limits->ipv6_bits);
    wire_put_u32(b, limits->messages);
    wire_put_u32(b, limits->recipients);
    wire_put_u32(b, limits->users_per_address);
    wire_put_u64(b, limits->shared_ms);
    wire_put_networks(b, limits->networks, limits->n_networks);
    wire_put_networks(b, limits->own, limits->n_own);
    wire_put_networks(b, limits->gateways, limits->n_gateways);
    wire_put_networks(b, limits->proxies, limits->n_proxies);
}

void auth_setup_put(struct buf *b, const struct auth_setup *setup) {
    wire_put_span(b, setup->hostname);
    wire_put_span(b, setup->recipient_delimiter);
    wire_put_span(b, setup->postmaster);
    put_domains(b, setup);
    wire_put_networks(b, setup->trusted_networks, setup->n_trusted_networks);
    wire_put_networks(b, setup->local_sender_hosts, setup->n_local_sender_hosts);
    wire_put_networks(b, setup->clear_login_from, setup->n_clear_login_from);
    wire_put_u8(b, setup->mx_auth);
    wire_put_u8(b, setup->foreign);
    wire_put_u8(b, setup->stand_alone);
    wire_put_u32(b, setup->verifiers);
    wire_put_u32(b, setup->waiting_max);
    wire_put_u64(b, setup->cache_ms);
    wire_put_u8(b, setup->scram);
    wire_put_u8(b, setup->scram_plus);
    wire_put_u8(b, setup->ntlm);
    wire_put_u64(b, setup->argon2_memory_bytes);
    wire_put_u32(b, setup->argon2_passes);
    wire_put_u32(b, setup->connections);
    wire_put_u32(b, setup->connections_per_address);
    wire_put_u32(b, setup->connections_per_network);
    wire_put_u32(b, setup->network_ipv4_bits);
    wire_put_u32(b, setup->network_ipv6_bits);
    wire_put_u32(b, setup->waiting_for_auth);
    wire_put_u32(b, setup->messages_per_session);
    wire_put_u32(b, setup->recipients_per_message);
    wire_put_u32(b, setup->failures_per_session);
    wire_put_u64(b, setup->message_bytes);
    wire_put_u64(b, setup->login_ms);
    for (size_t what = 0; what < QUOTA_WHATS; what++)
        for (size_t period = 0; period < QUOTA_PERIODS; period++) wire_put_u32(b, setup->quota.most[what][period]);
    wire_put_u32(b, setup->quota.suspend_after);
    put_throttle(b, &setup->throttle);
    put_grant(b, &setup->grant);
    wire_put_u32(b, setup->mail_uid);
    wire_put_u32(b, setup->mail_gid);
    wire_put_span(b, setup->mail_directory);
    wire_put_span(b, setup->local_domain);
    wire_put_u8(b, setup->local_relay);
    wire_put_u32(b, setup->n_system_users);
    for (uint32_t i = 0; i < setup->n_system_users; i++) {
        wire_put_u32(b, setup->system_users[i].uid);
        wire_put_span(b, setup->system_users[i].name);
        wire_put_span(b, setup->system_users[i].login);
        wire_put_u8(b, setup->system_users[i].trusted);
    }
    wire_put_u32(b, setup->n_reporters);
    for (uint32_t i = 0; i < setup->n_reporters; i++) wire_put_u32(b, setup->reporters[i]);
}

/* An array of as many elements as the wire says, at most max; NULL and a bad wire otherwise. One element more than
 * asked is there, so that an empty array is no special case. */
static void *get_array(struct wire *w, uint32_t max, size_t size, uint32_t *n_out) {
    *n_out = wire_get_u32(w);
    if (*n_out > max) w->bad = true;
    void *array = w->bad ? NULL : calloc((size_t)*n_out + 1, size);
    if (!array) {
        w->bad = true;
        *n_out = 0;
    }
    return array;
}

static void get_domains(struct wire *w, struct auth_setup *setup) {
    setup->local_domains = get_array(w, AUTH_DOMAINS_MAX, sizeof *setup->local_domains, &setup->n_local_domains);
    for (uint32_t i = 0; i < setup->n_local_domains; i++) {
        setup->local_domains[i].name = wire_get_span(w, SETUP_TEXT_MAX);
        setup->local_domains[i].sender_needs_auth = wire_get_u8(w);
        setup->local_domains[i].header_from = wire_get_u8(w);
        setup->local_domains[i].lmtp = wire_get_span(w, SETUP_TEXT_MAX);
    }
    setup->relay_domains = get_array(w, AUTH_DOMAINS_MAX, sizeof *setup->relay_domains, &setup->n_relay_domains);
    for (uint32_t i = 0; i < setup->n_relay_domains; i++) {
        setup->relay_domains[i].name = wire_get_span(w, SETUP_TEXT_MAX);
        setup->relay_domains[i].first = wire_get_u32(w);
        setup->relay_domains[i].n = wire_get_u32(w);
    }
    setup->relay_recipients =
        get_array(w, AUTH_RELAY_RECIPIENTS_MAX, sizeof *setup->relay_recipients, &setup->n_relay_recipients);
    for (uint32_t i = 0; i < setup->n_relay_recipients; i++)
        setup->relay_recipients[i] = wire_get_span(w, SETUP_TEXT_MAX);
    for (uint32_t i = 0; i < setup->n_relay_domains; i++) {
        const struct auth_relay_domain *domain = &setup->relay_domains[i];
        if (domain->first > setup->n_relay_recipients || domain->n > setup->n_relay_recipients - domain->first)
            w->bad = true;
    }
}

static void get_limits(struct wire *w, struct auth_setup *setup) {
    setup->connections = wire_get_u32(w);
    setup->connections_per_address = wire_get_u32(w);
    setup->connections_per_network = wire_get_u32(w);
    setup->network_ipv4_bits = wire_get_u32(w);
    setup->network_ipv6_bits = wire_get_u32(w);
    setup->waiting_for_auth = wire_get_u32(w);
    setup->messages_per_session = wire_get_u32(w);
    setup->recipients_per_message = wire_get_u32(w);
    setup->failures_per_session = wire_get_u32(w);
    setup->message_bytes = wire_get_u64(w);
    setup->login_ms = wire_get_u64(w);
    for (size_t what = 0; what < QUOTA_WHATS; what++)
        for (size_t period = 0; period < QUOTA_PERIODS; period++) setup->quota.most[what][period] = wire_get_u32(w);
    setup->quota.suspend_after = wire_get_u32(w);
}

static void get_throttle(struct wire *w, struct throttle_limits *limits) {
    limits->enabled = wire_get_u8(w);
    limits->network_ipv4_bits = wire_get_u32(w);
    limits->network_ipv6_bits = wire_get_u32(w);
    limits->network_failures = wire_get_u32(w);
    limits->account_failures = wire_get_u32(w);
    limits->window_ms = wire_get_u64(w);
    limits->known_ms = wire_get_u64(w);
    limits->exempt = wire_get_networks(w, AUTH_NETWORKS_MAX, &limits->n_exempt);
}

static void get_grant(struct wire *w, struct grant_limits *limits) {
    limits->enabled = wire_get_u8(w);
    wire_get_bytes(w, limits->boot, sizeof limits->boot);
    limits->lifetime_ms = wire_get_u64(w);
    limits->ipv6_bits = wire_get_u32(w);
    limits->messages = wire_get_u32(w);
    limits->recipients = wire_get_u32(w);
    limits->users_per_address = wire_get_u32(w);
    limits->shared_ms = wire_get_u64(w);
    limits->networks = wire_get_networks(w, AUTH_NETWORKS_MAX, &limits->n_networks);
    limits->own = wire_get_networks(w, AUTH_OWN_ADDRESSES_MAX, &limits->n_own);
    limits->gateways = wire_get_networks(w, AUTH_OWN_ADDRESSES_MAX, &limits->n_gateways);
    limits->proxies = wire_get_networks(w, AUTH_NETWORKS_MAX, &limits->n_proxies);
    if (limits->ipv6_bits > 128) w->bad = true;
}

static void get_system_users(struct wire *w, struct auth_setup *setup) {
    setup->local_domain = wire_get_span(w, SETUP_TEXT_MAX);
    setup->local_relay = wire_get_u8(w);
    setup->system_users = get_array(w, AUTH_SYSTEM_USERS_MAX, sizeof *setup->system_users, &setup->n_system_users);
    for (uint32_t i = 0; i < setup->n_system_users; i++) {
        setup->system_users[i].uid = wire_get_u32(w);
        setup->system_users[i].name = wire_get_span(w, SETUP_TEXT_MAX);
        setup->system_users[i].login = wire_get_span(w, SETUP_TEXT_MAX);
        setup->system_users[i].trusted = wire_get_u8(w);
    }
    setup->reporters = get_array(w, AUTH_REPORTERS_MAX, sizeof *setup->reporters, &setup->n_reporters);
    for (uint32_t i = 0; i < setup->n_reporters; i++) setup->reporters[i] = wire_get_u32(w);
}

int auth_setup_get(struct auth_setup *setup, struct span payload) {
    struct wire w = wire_over(payload);
    *setup = (struct auth_setup){0};
    setup->hostname = wire_get_span(&w, SETUP_TEXT_MAX);
    setup->recipient_delimiter = wire_get_span(&w, SETUP_TEXT_MAX);
    setup->postmaster = wire_get_span(&w, SETUP_TEXT_MAX);
    get_domains(&w, setup);
    setup->trusted_networks = wire_get_networks(&w, AUTH_NETWORKS_MAX, &setup->n_trusted_networks);
    setup->local_sender_hosts = wire_get_networks(&w, AUTH_NETWORKS_MAX, &setup->n_local_sender_hosts);
    setup->clear_login_from = wire_get_networks(&w, AUTH_NETWORKS_MAX, &setup->n_clear_login_from);
    setup->mx_auth = wire_get_u8(&w);
    setup->foreign = wire_get_u8(&w);
    setup->stand_alone = wire_get_u8(&w);
    setup->verifiers = wire_get_u32(&w);
    setup->waiting_max = wire_get_u32(&w);
    setup->cache_ms = wire_get_u64(&w);
    setup->scram = wire_get_u8(&w);
    setup->scram_plus = wire_get_u8(&w);
    setup->ntlm = wire_get_u8(&w);
    setup->argon2_memory_bytes = wire_get_u64(&w);
    setup->argon2_passes = wire_get_u32(&w);
    get_limits(&w, setup);
    get_throttle(&w, &setup->throttle);
    get_grant(&w, &setup->grant);
    setup->mail_uid = wire_get_u32(&w);
    setup->mail_gid = wire_get_u32(&w);
    setup->mail_directory = wire_get_span(&w, SETUP_TEXT_MAX);
    get_system_users(&w, setup);
    if (wire_end(&w)) return 0;
    auth_setup_free(setup);
    return -1;
}

void auth_setup_free(struct auth_setup *setup) {
    free(setup->local_domains);
    free(setup->relay_domains);
    free(setup->relay_recipients);
    free(setup->system_users);
    free(setup->reporters);
    free(setup->throttle.exempt);
    free(setup->grant.networks);
    free(setup->grant.own);
    free(setup->grant.gateways);
    free(setup->grant.proxies);
    free(setup->trusted_networks);
    free(setup->local_sender_hosts);
    free(setup->clear_login_from);
    *setup = (struct auth_setup){0};
}

void verifier_setup_put(struct buf *b, const struct verifier_setup *setup) {
    wire_put_u64(b, setup->argon2_memory_bytes);
    wire_put_u32(b, setup->argon2_passes);
    wire_put_bytes(b, setup->keys.seal, sizeof setup->keys.seal);
    wire_put_bytes(b, setup->keys.tag, sizeof setup->keys.tag);
    wire_put_bytes(b, setup->keys.fingerprint, sizeof setup->keys.fingerprint);
    wire_put_u8(b, setup->ntlm);
    wire_put_span(b, setup->hostname);
    wire_put_bytes(b, setup->nt_key, sizeof setup->nt_key);
}

int verifier_setup_get(struct verifier_setup *setup, struct span payload) {
    struct wire w = wire_over(payload);
    setup->argon2_memory_bytes = wire_get_u64(&w);
    setup->argon2_passes = wire_get_u32(&w);
    wire_get_bytes(&w, setup->keys.seal, sizeof setup->keys.seal);
    wire_get_bytes(&w, setup->keys.tag, sizeof setup->keys.tag);
    wire_get_bytes(&w, setup->keys.fingerprint, sizeof setup->keys.fingerprint);
    setup->ntlm = wire_get_u8(&w);
    setup->hostname = wire_get_span(&w, SETUP_TEXT_MAX);
    wire_get_bytes(&w, setup->nt_key, sizeof setup->nt_key);
    return wire_end(&w) ? 0 : -1;
}

void keys_setup_put(struct buf *b, const struct keys_setup *setup) {
    wire_put_u32(b, setup->generation);
    wire_put_u32(b, setup->n);
    wire_put_u8(b, setup->judge);
}

int keys_setup_get(struct keys_setup *setup, struct span payload) {
    struct wire w = wire_over(payload);
    setup->generation = wire_get_u32(&w);
    setup->n = wire_get_u32(&w);
    setup->judge = wire_get_u8(&w);
    return wire_end(&w) ? 0 : -1;
}
