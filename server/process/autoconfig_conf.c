/* autoconfig_conf.c - what the listeners of the configuration mean to a mail program.
 * Runs in: master, command line. Trusts: a configuration without mistakes. Never: names a port without TLS. */
#include "server/process/autoconfig_conf.h"

enum { PORT_IMAPS = 993, PORT_POP3S = 995 };

/* The port of a role: the one that programs expect where it is among them, else the first. */
static uint16_t port_of(const struct conf *conf, enum conf_listener_role role, uint16_t usual) {
    uint16_t first = 0;
    for (size_t i = 0; i < conf->n_listeners; i++)
        for (size_t j = 0; conf->listeners[i].role == role && j < conf->listeners[i].n_addresses; j++) {
            uint16_t port = conf->listeners[i].addresses[j].port;
            if (port == usual) return port;
            if (!first) first = port;
        }
    return first;
}

static struct autoconfig_server here(const struct conf *conf, enum conf_listener_role role, uint16_t usual,
                                     enum autoconfig_security security) {
    uint16_t port = port_of(conf, role, usual);
    if (!port) return (struct autoconfig_server){.security = AUTOCONFIG_ABSENT};
    return (struct autoconfig_server){span_text(conf->autoconfig.host), port, (uint8_t)security};
}

static struct autoconfig_server elsewhere(const char *host, uint16_t port) {
    if (!*host) return (struct autoconfig_server){.security = AUTOCONFIG_ABSENT};
    return (struct autoconfig_server){span_text(host), port, AUTOCONFIG_TLS};
}

void autoconfig_of_conf(const struct conf *conf, const struct conf_domain *domain, struct autoconfig *out) {
    *out = (struct autoconfig){
        .name = span_text(*conf->autoconfig.name ? conf->autoconfig.name : domain->name),
        .domain = span_text(domain->name),
        .login = AUTOCONFIG_LOGIN_SAME,
        .imap = {elsewhere(conf->autoconfig.imap_host, PORT_IMAPS)},
        .smtp = {here(conf, CONF_LISTENER_SUBMISSIONS, 465, AUTOCONFIG_TLS),
                 here(conf, CONF_LISTENER_SUBMISSION, 587, AUTOCONFIG_STARTTLS)},
    };
    out->pop3[0] = elsewhere(conf->autoconfig.pop3_host, PORT_POP3S);
    if (out->pop3[0].security != AUTOCONFIG_ABSENT) return;
    out->pop3[0] = here(conf, CONF_LISTENER_POP3S, 995, AUTOCONFIG_TLS);
    out->pop3[1] = here(conf, CONF_LISTENER_POP3, 110, AUTOCONFIG_STARTTLS);
}
