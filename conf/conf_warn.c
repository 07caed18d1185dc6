/* conf_warn.c - what is allowed and seldom meant.
 * Runs in: master, command line. Trusts: a configuration without mistakes. Never: keeps the server from starting. */
#include "conf/conf_reader.h"

#include <pwd.h>

static bool is_covered(const struct network *network, const struct conf_networks *by) {
    struct netaddr first = {0};
    memcpy(first.octets, network->octets, sizeof first.octets);
    for (size_t i = 0; i < by->n; i++)
        if (by->items[i].bits <= network->bits && network_holds(&by->items[i], &first)) return true;
    return false;
}

static bool domains_need_auth(const struct conf *conf) {
    bool mx = false, needed = false;
    for (size_t i = 0; i < conf->n_listeners; i++) mx = mx || conf->listeners[i].role == CONF_LISTENER_MX;
    for (size_t i = 0; i < conf->n_local_domains; i++) needed = needed || conf->local_domains[i].sender_needs_auth;
    return mx && needed;
}

struct warn {
    const struct conf *conf;
    const char *path;
    struct conf_mistakes warnings;
};

static struct conf_place place_of(const struct warn *warn, const void *field, bool element) {
    const struct conf_place *place = conf_origin_find(warn->conf, field, element);
    return place ? *place : (struct conf_place){warn->path, 0};
}

static void warn_trusted(struct warn *warn) {
    const struct conf *conf = warn->conf;
    for (size_t i = 0; i < conf->trusted_networks.n && domains_need_auth(conf); i++) {
        const struct network *network = &conf->trusted_networks.items[i];
        struct netaddr first = {0};
        char text[NETADDR_TEXT_MAX];
        if (is_covered(network, &conf->local_sender_hosts)) continue;
        memcpy(first.octets, network->octets, sizeof first.octets);
        conf_mistake(&warn->warnings, place_of(warn, network, true),
                     "warning: trusted_networks: %s/%u may send anywhere, but not with a sender of yours "
                     "(local-sender-needs-auth comes first); if it does, list it in local_sender_hosts too",
                     netaddr_text(&first, text), network->bits - (netaddr_is_ipv4(&first) ? 96U : 0U));
    }
}

static const struct conf_listener *fetching(const struct conf *conf) {
    for (size_t i = 0; i < conf->n_listeners; i++)
        if (conf->listeners[i].role == CONF_LISTENER_POP3 || conf->listeners[i].role == CONF_LISTENER_POP3S)
            return &conf->listeners[i];
    return NULL;
}

/* A login to the mail here, or at another server that reports it, and what comes of it. */
static void warn_grants(struct warn *warn) {
    const struct conf *conf = warn->conf;
    if (conf->grant.enabled && !fetching(conf) && !conf->hooks.users.n)
        conf_mistake(
            &warn->warnings, place_of(warn, &conf->grant.enabled, false),
            "warning: grant.enabled: nothing tells of logins to the mail; listen as pop3s or pop3, or name in "
            "hooks.users who reports those at another server");
    if (!conf->grant.enabled && conf->hooks.users.n)
        conf_mistake(&warn->warnings, place_of(warn, &conf->hooks.users.items, false),
                     "warning: hooks.users: no reported login lets anybody send as long as grant.enabled is false");
    for (size_t i = 0; i < conf->hooks.users.n; i++)
        if (!getpwnam(conf->hooks.users.items[i]))
            conf_mistake(&warn->warnings, place_of(warn, &conf->hooks.users.items[i], true),
                         "warning: hooks.users: this host has no user \"%s\"", conf->hooks.users.items[i]);
}

static void warn_mailboxes(struct warn *warn) {
    const struct conf *conf = warn->conf;
    for (size_t i = 0; i < conf->n_local_domains && fetching(conf); i++)
        if (conf_delivery_server(conf->local_domains[i].delivery).n)
            conf_mistake(&warn->warnings, place_of(warn, fetching(conf), true),
                         "warning: listen: by POP3 users of %s find no mail here, as another server takes it "
                         "(delivery)",
                         conf->local_domains[i].name);
}

void conf_warn(const struct conf *conf, const char *path, FILE *out) {
    struct warn warn = {.conf = conf, .path = path};
    warn_trusted(&warn);
    warn_grants(&warn);
    warn_mailboxes(&warn);
    conf_mistakes_print(&warn.warnings, out);
    conf_mistakes_free(&warn.warnings);
}

void conf_say(const struct conf *conf, const char *path, const void *field, const char *text, FILE *out) {
    struct conf_mistakes one = {0};
    const struct conf_place *place = conf_origin_find(conf, field, false);
    conf_mistake(&one, place ? *place : (struct conf_place){path, 0}, "%s", text);
    conf_mistakes_print(&one, out);
    conf_mistakes_free(&one);
}
