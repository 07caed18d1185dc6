/* conf_warn.c - what is allowed and seldom meant.
 * Runs in: master, command line. Trusts: a configuration without mistakes. Never: keeps the server from starting. */
#include "conf/conf_reader.h"

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

void conf_warn(const struct conf *conf, const char *path, FILE *out) {
    struct conf_mistakes warnings = {0};
    for (size_t i = 0; i < conf->trusted_networks.n && domains_need_auth(conf); i++) {
        const struct network *network = &conf->trusted_networks.items[i];
        struct netaddr first = {0};
        char text[NETADDR_TEXT_MAX];
        if (is_covered(network, &conf->local_sender_hosts)) continue;
        memcpy(first.octets, network->octets, sizeof first.octets);
        const struct conf_place *place = conf_origin_find(conf, network, true);
        conf_mistake(&warnings, place ? *place : (struct conf_place){path, 0},
                     "warning: trusted_networks: %s/%u may send anywhere, but not with a sender of yours "
                     "(local-sender-needs-auth comes first); if it does, list it in local_sender_hosts too",
                     netaddr_text(&first, text), network->bits - (netaddr_is_ipv4(&first) ? 96U : 0U));
    }
    conf_mistakes_print(&warnings, out);
    conf_mistakes_free(&warnings);
}

void conf_say(const struct conf *conf, const char *path, const void *field, const char *text, FILE *out) {
    struct conf_mistakes one = {0};
    const struct conf_place *place = conf_origin_find(conf, field, false);
    conf_mistake(&one, place ? *place : (struct conf_place){path, 0}, "%s", text);
    conf_mistakes_print(&one, out);
    conf_mistakes_free(&one);
}
