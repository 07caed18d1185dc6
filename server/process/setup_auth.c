/* setup_auth.c - what auth is told of the configuration.
 * Runs in: master, command line. Trusts: a configuration that conf_read accepted. Never: reads a file but the
 * system's own list of users. */
#include "server/process/setup_auth.h"

#include "auth/auth_setup.h"
#include "server/process/host_addresses.h"
#include "server/process/system_users.h"

#include <stdlib.h>
#include <unistd.h>

int setup_span_order(const void *a, const void *b) {
    const struct span *x = a, *y = b;
    size_t n = x->n < y->n ? x->n : y->n;
    int order = n ? memcmp(x->p, y->p, n) : 0;
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

static int by_domain(const void *a, const void *b) {
    return setup_span_order(&((const struct auth_domain *)a)->name, &((const struct auth_domain *)b)->name);
}

static int by_relay_domain(const void *a, const void *b) {
    return setup_span_order(&((const struct auth_relay_domain *)a)->name,
                            &((const struct auth_relay_domain *)b)->name);
}

static void auth_domains(const struct conf *conf, struct auth_setup *setup) {
    size_t recipients = 0, at = 0;
    for (size_t i = 0; i < conf->n_relay_domains; i++) recipients += conf->relay_domains[i].recipients.n;
    setup->local_domains = calloc(conf->n_local_domains + 1, sizeof *setup->local_domains);
    setup->relay_domains = calloc(conf->n_relay_domains + 1, sizeof *setup->relay_domains);
    setup->relay_recipients = calloc(recipients + 1, sizeof *setup->relay_recipients);
    if (!setup->local_domains || !setup->relay_domains || !setup->relay_recipients) abort();
    for (size_t i = 0; i < conf->n_local_domains; i++) {
        const struct conf_domain *domain = &conf->local_domains[i];
        setup->local_domains[i] = (struct auth_domain){.name = span_text(domain->name),
                                                       .sender_needs_auth = domain->sender_needs_auth,
                                                       .header_from = domain->header_from,
                                                       .lmtp = conf_delivery_server(domain->delivery)};
    }
    for (size_t i = 0; i < conf->n_relay_domains; i++) {
        const struct conf_relay_domain *domain = &conf->relay_domains[i];
        setup->relay_domains[i] =
            (struct auth_relay_domain){span_text(domain->name), (uint32_t)at, (uint32_t)domain->recipients.n};
        for (size_t j = 0; j < domain->recipients.n; j++)
            setup->relay_recipients[at++] = span_text(domain->recipients.items[j]);
    }
    setup->n_local_domains = (uint32_t)conf->n_local_domains;
    setup->n_relay_domains = (uint32_t)conf->n_relay_domains;
    setup->n_relay_recipients = (uint32_t)at;
    qsort(setup->local_domains, setup->n_local_domains, sizeof *setup->local_domains, by_domain);
    qsort(setup->relay_domains, setup->n_relay_domains, sizeof *setup->relay_domains, by_relay_domain);
}

/* Who is named and not there today may be there tomorrow, and is told of then. */
static void auth_reporters(const struct conf *conf, const struct system_users *users, struct auth_setup *setup) {
    setup->reporters = calloc(conf->hooks.users.n + 1, sizeof *setup->reporters);
    if (!setup->reporters) abort();
    for (size_t i = 0; i < conf->hooks.users.n && setup->n_reporters < AUTH_REPORTERS_MAX; i++)
        for (size_t j = 0; j < users->n; j++) {
            if (!span_equal(span_text(conf->hooks.users.items[i]), users->items[j].name)) continue;
            setup->reporters[setup->n_reporters++] = users->items[j].uid;
            break;
        }
}

static void free_lists(struct auth_setup *setup) {
    free(setup->local_domains);
    free(setup->relay_domains);
    free(setup->relay_recipients);
    free(setup->reporters);
}

static uint8_t foreign_destination(const struct conf *conf) {
    switch (conf->delivery.foreign) {
    case CONF_FOREIGN_SMARTHOST:
        return DESTINATION_SMARTHOST;
    case CONF_FOREIGN_CAPTURE:
        return DESTINATION_CAPTURE;
    case CONF_FOREIGN_REFUSE:
        break;
    }
    return DESTINATION_NONE;
}

/* Without knowing which addresses mean nothing here nothing is granted. */
static void auth_grants(const struct conf *conf, struct host_addresses *host, struct grant_limits *limits) {
    if (!conf->grant.enabled || !host_addresses_read(host, HOST_PROC)) return;
    *limits = (struct grant_limits){
        .enabled = true,
        .lifetime_ms = conf->grant.lifetime_ms,
        .ipv6_bits = conf->grant.ipv6_bits,
        .messages = conf->grant.messages,
        .recipients = conf->grant.recipients,
        .users_per_address = conf->grant.users_per_address,
        .shared_ms = conf->grant.shared_ms,
        .networks = conf->grant.networks.items,
        .n_networks = (uint32_t)conf->grant.networks.n,
        .own = host->own,
        .n_own = host->n_own,
        .gateways = host->gateways,
        .n_gateways = host->n_gateways,
        .proxies = conf->proxy_from.items,
        .n_proxies = (uint32_t)conf->proxy_from.n,
    };
    memcpy(limits->boot, host->boot, sizeof limits->boot);
}

static void auth_listeners(const struct conf *conf, struct auth_setup *setup) {
    for (size_t i = 0; i < conf->n_listeners; i++)
        if (conf->listeners[i].role == CONF_LISTENER_MX && conf->listeners[i].auth) setup->mx_auth = 1;
    setup->clear_login_from = conf->pop3.clear_login_from.items;
    setup->n_clear_login_from = (uint32_t)conf->pop3.clear_login_from.n;
}

int setup_put_auth(const struct conf *conf, const struct setup_facts *facts, struct buf *b) {
    char mail[4096];
    const char *name;
    struct buf path = BUF_OVER(mail);
    buf_put_format(&path, "%s/mail", conf->state_directory);
    struct auth_setup setup = {
        .hostname = span_text(conf->hostname),
        .recipient_delimiter = span_text(conf->recipient_delimiter),
        .postmaster = span_text(conf->postmaster),
        .trusted_networks = conf->trusted_networks.items,
        .n_trusted_networks = (uint32_t)conf->trusted_networks.n,
        .local_sender_hosts = conf->local_sender_hosts.items,
        .n_local_sender_hosts = (uint32_t)conf->local_sender_hosts.n,
        .foreign = foreign_destination(conf),
        .stand_alone = facts->stand_alone,
        .verifiers = setup_verifiers(conf),
        .waiting_max = conf->auth.waiting_max,
        .cache_ms = conf->auth.cache_ms,
        .scram = conf->auth.scram,
        .scram_plus = conf->auth.scram && conf->auth.scram_plus,
        .ntlm = conf->auth.ntlm,
        .argon2_memory_bytes = conf->auth.argon2_memory_bytes,
        .argon2_passes = conf->auth.argon2_passes,
        .connections = conf->limits.connections,
        .connections_per_address = conf->limits.connections_per_address,
        .connections_per_network = conf->limits.connections_per_network,
        .network_ipv4_bits = conf->limits.network_ipv4_bits,
        .network_ipv6_bits = conf->limits.network_ipv6_bits,
        .waiting_for_auth = conf->limits.waiting_for_auth,
        .messages_per_session = conf->limits.messages_per_session,
        .recipients_per_message = conf->limits.recipients_per_message,
        .failures_per_session = conf->limits.failures_per_session,
        .message_bytes = conf->limits.message_bytes,
        .login_ms = conf->timeouts.login_ms,
        .throttle = {.enabled = conf->throttle.enabled,
                     .network_ipv4_bits = conf->throttle.network_ipv4_bits,
                     .network_ipv6_bits = conf->throttle.network_ipv6_bits,
                     .network_failures = conf->throttle.network_failures,
                     .account_failures = conf->throttle.account_failures,
                     .window_ms = conf->throttle.window_ms,
                     .known_ms = conf->throttle.known_ms,
                     .exempt = conf->throttle.exempt.items,
                     .n_exempt = (uint32_t)conf->throttle.exempt.n},
        .quota = {{{conf->quota.messages_per_hour, conf->quota.messages_per_day},
                   {conf->quota.recipients_per_hour, conf->quota.recipients_per_day}},
                  conf->quota.suspend_after},
        .mail_uid = getuid(),
        .mail_gid = getgid(),
        .mail_directory = buf_span(&path),
        .local_domain = span_text(conf->local.domain),
        .local_relay = conf->local.relay,
    };
    struct system_users users;
    struct host_addresses host = {0};
    auth_grants(conf, &host, &setup.grant);
    auth_listeners(conf, &setup);
    if (facts->as_root && setup_user(conf, ROLE_DELIVERY, &setup.mail_uid, &setup.mail_gid, &name) != 0) return -1;
    auth_domains(conf, &setup);
    system_users_read(&users, conf, SYSTEM_USERS_FILE);
    setup.system_users = users.items;
    setup.n_system_users = (uint32_t)users.n;
    auth_reporters(conf, &users, &setup);
    auth_setup_put(b, &setup);
    system_users_free(&users);
    host_addresses_free(&host);
    free_lists(&setup);
    return 0;
}
