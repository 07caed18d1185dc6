/* conf_check.c - what no single value shows: unsafe combinations, files that are not there, names given twice. Each
 * mistake says what to do about it.
 * Runs in: master and command line. Trusts: types and ranges, which are checked already; not that fields are set.
 * Never: changes the configuration, opens what it looks at. */
#include "conf/conf_reader.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RUN_DIRECTORY_MAX = 107 - sizeof "/status.sock" + 1 }; /* unix(7): an address has 107 octets at most */

struct check {
    const struct conf *conf;
    const char *path;
    struct conf_mistakes *mistakes;
    bool *denied; /* that this is for somebody else to run was said */
};

/* Where the field was set, else the file as a whole. */
static struct conf_place place_of(const struct check *check, const void *field, bool element) {
    const struct conf_place *place = conf_origin_find(check->conf, field, element);
    return place ? *place : (struct conf_place){check->path, 0};
}

static bool is_set(const struct check *check, const void *field) {
    return conf_origin_find(check->conf, field, false) != NULL;
}

/* Whether what the field holds is what the file says: a mistake in it is told already. */
static bool is_sound(const struct check *check, const void *field) {
    return !conf_origin_is_faulty(check->conf, field);
}

#define MISTAKE(check, field, ...) conf_mistake((check)->mistakes, place_of(check, field, false), __VA_ARGS__)
#define MISTAKE_ITEM(check, item, ...) conf_mistake((check)->mistakes, place_of(check, item, true), __VA_ARGS__)

/* Refuses networks wider than the bits given. */
static void check_width(const struct check *check, const struct conf_networks *networks, const char *name,
                        unsigned ipv4_least, unsigned ipv6_least, const char *danger) {
    for (size_t i = 0; i < networks->n; i++) {
        const struct network *network = &networks->items[i];
        struct netaddr first = {0};
        char text[NETADDR_TEXT_MAX];
        memcpy(first.octets, network->octets, sizeof first.octets);
        bool ipv4 = netaddr_is_ipv4(&first);
        unsigned bits = network->bits - (ipv4 ? 96U : 0U), least = ipv4 ? ipv4_least : ipv6_least;
        if (bits < least)
            MISTAKE_ITEM(check, network, "%s: %s/%u is too wide: %s; list networks of /%u or narrower", name,
                         netaddr_text(&first, text), bits, danger, least);
    }
}

static void check_networks(const struct check *check) {
    const struct conf *conf = check->conf;
    check_width(check, &conf->trusted_networks, "trusted_networks", 8, 32, "this would be an open relay");
    check_width(check, &conf->local_sender_hosts, "local_sender_hosts", 8, 32,
                "anybody could pose as one of your users");
    check_width(check, &conf->throttle.exempt, "throttle.exempt", 16, 32,
                "from all of it passwords could be guessed without end");
    check_width(check, &conf->grant.networks, "grant.networks", 8, 7,
                "no network that says nothing of who is in it is so wide");
    check_width(check, &conf->pop3.clear_login_from, "pop3.clear_login_from", 16, 32,
                "passwords would cross networks that are not yours");
    check_width(check, &conf->proxy_from, "proxy_from", 16, 48, "whoever is in it can claim any client address");
}

static void check_listener(const struct check *check, const struct conf_listener *listener) {
    bool users = listener->role != CONF_LISTENER_MX && listener->role != CONF_LISTENER_NONE;
    bool certificate = check->conf->n_certificates || !is_sound(check, &check->conf->certificates);
    if (users && !certificate)
        MISTAKE_ITEM(check, listener,
                     "listen: users log in here under TLS only, and there is no certificate; set tls.certificates");
    if (users && !listener->auth)
        MISTAKE(check, &listener->auth,
                "listen.auth: submission and POP3 always ask for a login; remove this, or use role \"mx\"");
    if (listener->role == CONF_LISTENER_MX && listener->auth && !certificate)
        MISTAKE(check, &listener->auth,
                "listen.auth: a mx with login needs a certificate, or passwords would cross the net in "
                "the clear; set tls.certificates, or better auth = false and a submission listener");
}

static void check_listeners(const struct check *check) {
    const struct conf *conf = check->conf;
    if (!conf->n_listeners && is_sound(check, &conf->listeners))
        MISTAKE(check, &conf->listeners,
                "listen: no listener; set listen = ( { role = \"mx\"; address = \"*:25\"; } )");
    for (size_t i = 0; i < conf->n_listeners; i++) {
        const struct conf_listener *listener = &conf->listeners[i];
        check_listener(check, listener);
        if (is_set(check, &listener->addresses) && !listener->n_addresses && is_sound(check, &listener->addresses))
            MISTAKE(check, &listener->addresses, "listen.address: the list is empty");
        for (size_t j = 0; j < listener->n_addresses; j++) {
            char text[NETADDR_TEXT_MAX];
            bool twice = false;
            for (size_t k = 0; k <= i && !twice; k++)
                for (size_t m = 0; m < (k < i ? conf->listeners[k].n_addresses : j) && !twice; m++)
                    twice = memcmp(&conf->listeners[k].addresses[m], &listener->addresses[j],
                                   sizeof(struct netaddr)) == 0;
            if (twice)
                MISTAKE_ITEM(check, &listener->addresses[j], "listen.address: %s is listed twice; remove one",
                             netaddr_text_port(&listener->addresses[j], text));
        }
    }
}

/* A domain with the field that set it, for finding equal ones by sorting. */
struct named {
    const char *name;
    const void *field;
    bool local;
    size_t number;
};

static int compare_named(const void *left, const void *right) {
    const struct named *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    return order ? order : a->number < b->number ? -1 : a->number > b->number;
}

static void check_equal_domains(const struct check *check) {
    const struct conf *conf = check->conf;
    size_t n = 0;
    struct named *all = conf_alloc(conf->n_local_domains + conf->n_relay_domains, sizeof *all);
    for (size_t i = 0; i < conf->n_local_domains; i++)
        if (conf->local_domains[i].name)
            all[n] = (struct named){conf->local_domains[i].name, &conf->local_domains[i].name, true, n}, n++;
    for (size_t i = 0; i < conf->n_relay_domains; i++)
        if (conf->relay_domains[i].name)
            all[n] = (struct named){conf->relay_domains[i].name, &conf->relay_domains[i].name, false, n}, n++;
    if (n) qsort(all, n, sizeof *all, compare_named);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(all[i].name, all[i - 1].name) != 0) continue;
        if (all[i].local != all[i - 1].local)
            MISTAKE(check, all[i].field, "relay_domains: \"%s\" is a local domain too; remove it from one of the two",
                    all[i].name);
        else
            MISTAKE(check, all[i].field, "%s: \"%s\" is listed twice; remove one",
                    all[i].local ? "local_domains" : "relay_domains", all[i].name);
    }
    free(all);
}

static const char *domain_of(const char *mailbox) {
    const char *at = mailbox ? strrchr(mailbox, '@') : NULL;
    return at ? at + 1 : "";
}

static void check_domains(const struct check *check) {
    const struct conf *conf = check->conf;
    bool postmaster_local = false;
    if (!conf->n_local_domains && is_sound(check, &conf->local_domains))
        MISTAKE(check, &conf->local_domains, "local_domains: no domain; set local_domains = [ \"example.org\" ]");
    check_equal_domains(check);
    for (size_t i = 0; i < conf->n_local_domains; i++) {
        const char *name = conf->local_domains[i].name;
        postmaster_local = postmaster_local || (name && strcmp(name, domain_of(conf->postmaster)) == 0);
    }
    if (is_set(check, &conf->postmaster) && *conf->postmaster && conf->n_local_domains && !postmaster_local)
        MISTAKE(check, &conf->postmaster,
                "postmaster: \"%s\" is in no local domain; name a user or alias of this server", conf->postmaster);
    for (size_t i = 0; i < conf->n_relay_domains; i++) {
        const struct conf_relay_domain *domain = &conf->relay_domains[i];
        bool set = is_set(check, &domain->recipients.items);
        if (set && domain->recipients.n == 0 && is_sound(check, &domain->recipients.items))
            MISTAKE(check, &domain->recipients.items,
                    "relay_domains.recipients: the list is empty, so nothing would be accepted; "
                    "list the addresses that exist");
        for (size_t j = 0; j < domain->recipients.n; j++)
            if (domain->name && strcmp(domain_of(domain->recipients.items[j]), domain->name) != 0)
                MISTAKE_ITEM(check, &domain->recipients.items[j],
                             "relay_domains.recipients: \"%s\" is not in %s; put it under "
                             "its own domain",
                             domain->recipients.items[j], domain->name);
    }
}

static bool is_local(const struct conf *conf, const char *domain) {
    for (size_t i = 0; i < conf->n_local_domains; i++)
        if (conf->local_domains[i].name && strcmp(conf->local_domains[i].name, domain) == 0) return true;
    return false;
}

static void check_local(const struct check *check) {
    const struct conf *conf = check->conf;
    if (is_set(check, &conf->local.domain) && *conf->local.domain && !is_local(conf, conf->local.domain))
        MISTAKE(check, &conf->local.domain, "local.domain: \"%s\" is no local domain; name one of local_domains",
                conf->local.domain);
    for (size_t i = 0; i < conf->local.n_users; i++) {
        const struct conf_local_user *user = &conf->local.users[i];
        if (user->login && !is_local(conf, domain_of(user->login)))
            MISTAKE(check, &user->login,
                    "local.users.login: \"%s\" is in no local domain; name a user of this server", user->login);
        for (size_t j = 0; j < i && user->name; j++)
            if (conf->local.users[j].name && strcmp(conf->local.users[j].name, user->name) == 0)
                MISTAKE(check, &user->name, "local.users.name: \"%s\" is listed twice; remove one", user->name);
    }
}

/* What stat(2) said. That all is another user's is said once. */
static void cannot_look(const struct check *check, char *const *field, const char *name) {
    int error = errno;
    bool others = error == EACCES && geteuid() != 0;
    if (others && *check->denied) return;
    *check->denied |= others;
    MISTAKE(check, field, "%s: %s: %s%s", name, *field, strerror(error), others ? CONF_RUN_AS_ROOT : "");
}

/* A regular file that is there; with `secret` not open to others. Its group may read it (Debian's ssl-cert). */
static void check_file(const struct check *check, char *const *field, const char *name, bool secret) {
    struct stat status;
    if (!*field || !**field) return;
    if (stat(*field, &status) < 0)
        cannot_look(check, field, name);
    else if (!S_ISREG(status.st_mode))
        MISTAKE(check, field, "%s: %s is not a file", name, *field);
    else if (secret && status.st_mode & (S_IRWXO | S_IWGRP))
        MISTAKE(check, field, "%s: %s is open to others (mode %04o); run chmod 600 on it", name, *field,
                status.st_mode & 07777U);
}

/* A directory that is there, or can be made at the start: what stands above it is there, or is `within`. */
static void check_directory(const struct check *check, char *const *field, const char *name, const char *within) {
    struct stat status;
    size_t n = within ? strlen(within) : 0;
    if (stat(*field, &status) == 0) {
        if (!S_ISDIR(status.st_mode)) MISTAKE(check, field, "%s: %s is not a directory", name, *field);
        return;
    }
    if (errno != ENOENT) cannot_look(check, field, name);
    if (errno != ENOENT || !is_set(check, field)) return;
    if (within && strncmp(*field, within, n) == 0 && (*field)[n] == '/') return;
    const char *slash = strrchr(*field, '/');
    char *parent = conf_copy(*field, slash > *field ? (size_t)(slash - *field) : 1);
    if (stat(parent, &status) < 0)
        MISTAKE(check, field, "%s: %s cannot be made, %s is missing; correct the path or make that", name, *field,
                parent);
    free(parent);
}

static bool is_loopback(const struct netaddr *address) {
    struct network loopback[2];
    if (!network_parse(&loopback[0], SPAN("127.0.0.0/8")) || !network_parse(&loopback[1], SPAN("::1/128"))) abort();
    return network_holds(&loopback[0], address) || network_holds(&loopback[1], address);
}

/* Who knows the secret can have anybody's logins refused: it is not for a network. */
static void check_hooks(const struct check *check) {
    const struct conf *conf = check->conf;
    bool secret = *conf->hooks.policy_secret_file;
    for (size_t i = 0; i < conf->hooks.n_policy; i++) {
        char text[NETADDR_TEXT_MAX];
        if (!is_loopback(&conf->hooks.policy[i]))
            MISTAKE_ITEM(check, &conf->hooks.policy[i],
                         "hooks.policy: %s is no loopback address; Dovecot asks from this host, so use 127.0.0.1",
                         netaddr_text_port(&conf->hooks.policy[i], text));
    }
    if (conf->hooks.n_policy && !secret && is_sound(check, &conf->hooks.policy_secret_file))
        MISTAKE(check, &conf->hooks.policy,
                "hooks.policy: there is no hooks.policy_secret_file, so that any user of this host could report "
                "failures; write a secret into a file and name that");
    check_file(check, &conf->hooks.policy_secret_file, "hooks.policy_secret_file", true);
    if (*conf->hooks.group && !conf->hooks.users.n && is_sound(check, &conf->hooks.users.items))
        MISTAKE(check, &conf->hooks.group, "hooks.group: there is no hooks.users; name who may report, too");
    if (*conf->hooks.group && !getgrnam(conf->hooks.group))
        MISTAKE(check, &conf->hooks.group, "hooks.group: this host has no group \"%s\"", conf->hooks.group);
}

/* RFC 6376 3.1: a selector is the beginning of a name of the DNS. */
static void check_selectors(const struct check *check) {
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    const struct conf_list *selectors = &check->conf->dns.dkim_selectors;
    for (size_t i = 0; i < selectors->n; i++) {
        size_t n = strlen(selectors->items[i]);
        if (n == 0 || n > 63 || strspn(selectors->items[i], good) != n)
            MISTAKE_ITEM(check, &selectors->items[i],
                         "dns.dkim_selectors: \"%.80s\" is not what may stand before ._domainkey",
                         selectors->items[i]);
    }
}

/* The directory that it stands in is there; the file itself may come and go. */
static void check_above(const struct check *check, char *const *field, const char *name) {
    struct stat status;
    const char *slash = strrchr(*field, '/');
    char *parent = conf_copy(*field, slash > *field ? (size_t)(slash - *field) : 1);
    if (stat(parent, &status) < 0 || !S_ISDIR(status.st_mode))
        MISTAKE(check, field, "%s: there is no directory %s", name, parent);
    free(parent);
}

/* What the processes have room for. */
static void check_numbers(const struct check *check) {
    const struct conf *conf = check->conf;
    size_t addresses = 0;
    if (conf->n_certificates > CONF_CERTIFICATES_MAX)
        MISTAKE_ITEM(
            check, &conf->certificates[CONF_CERTIFICATES_MAX],
            "tls.certificates: there are %zu, and at most %d can be used; one certificate may hold many names",
            conf->n_certificates, CONF_CERTIFICATES_MAX);
    for (size_t i = 0; i < conf->n_certificates; i++) {
        const struct conf_list *names = &conf->certificates[i].names;
        if (names->n > CONF_CERTIFICATE_NAMES_MAX)
            MISTAKE_ITEM(
                check, &names->items[CONF_CERTIFICATE_NAMES_MAX],
                "tls.certificates.names: there are %zu, and at most %d can be used; leave the list out, and the "
                "names in the certificate are used, however many",
                names->n, CONF_CERTIFICATE_NAMES_MAX);
    }
    for (size_t i = 0; i < conf->n_listeners; i++) {
        bool fits = addresses <= CONF_ADDRESSES_MAX;
        addresses += conf->listeners[i].n_addresses;
        if (fits && addresses > CONF_ADDRESSES_MAX)
            MISTAKE_ITEM(check, &conf->listeners[i],
                         "listen: more than %d addresses in all (*:25 is two); remove some", CONF_ADDRESSES_MAX);
    }
}

static void check_files(const struct check *check) {
    const struct conf *conf = check->conf;
    for (size_t i = 0; i < conf->n_certificates; i++) {
        check_file(check, &conf->certificates[i].certificate_file, "tls.certificates.certificate_file", false);
        check_file(check, &conf->certificates[i].key_file, "tls.certificates.key_file", true);
    }
    check_directory(check, &conf->state_directory, "state_directory", NULL);
    check_directory(check, &conf->run_directory, "run_directory", conf->state_directory);
    if (*conf->run_directory && strlen(conf->run_directory) > RUN_DIRECTORY_MAX)
        MISTAKE(check, &conf->run_directory,
                "run_directory: longer than %d octets, and the address of a socket in it may not be; choose a "
                "shorter path",
                RUN_DIRECTORY_MAX);
    if (conf->log.to == CONF_LOG_SYSLOG) check_above(check, &conf->log.socket, "log.socket");
    if (conf->delivery.foreign == CONF_FOREIGN_CAPTURE)
        check_directory(check, &conf->delivery.capture_directory, "delivery.capture_directory",
                        conf->state_directory);
}

static void check_smarthost(const struct check *check) {
    const struct conf_smarthost *host = &check->conf->delivery.smarthost;
    bool used = check->conf->delivery.foreign == CONF_FOREIGN_SMARTHOST;
    bool password = *host->password_file, verified = host->verify && host->tls != CONF_SMARTHOST_TLS_NONE;
    if (used && !*host->host && is_sound(check, &host->host))
        MISTAKE(check, is_set(check, &host->host) ? (const void *)&host->host : &check->conf->delivery.foreign,
                "delivery.foreign: \"smarthost\" needs to know which; set delivery.smarthost.host");
    if (password && !*host->user && is_sound(check, &host->user))
        MISTAKE(check, &host->password_file,
                "delivery.smarthost.password_file: there is no delivery.smarthost.user; set "
                "both or none");
    if (*host->user && !password && is_sound(check, &host->password_file))
        MISTAKE(check, &host->user,
                "delivery.smarthost.user: there is no delivery.smarthost.password_file; set both or none");
    if (password && host->tls == CONF_SMARTHOST_TLS_NONE && !host->tls_insecure_ok)
        MISTAKE(check, &host->tls,
                "delivery.smarthost.tls: \"none\" would send the password in the clear; use \"starttls\" or "
                "\"implicit\"");
    else if (password && !verified && !host->tls_insecure_ok)
        MISTAKE(check, &host->verify,
                "delivery.smarthost.verify: false would give the password to whoever answers; set ca_file to "
                "the authority of that server instead");
    if (used && is_set(check, &check->conf->delivery.resolv_file))
        check_file(check, &check->conf->delivery.resolv_file, "delivery.resolv_file", false);
    check_file(check, &host->password_file, "delivery.smarthost.password_file", true);
    if (used && verified) check_file(check, &host->ca_file, "delivery.smarthost.ca_file", false);
}

static void check_queue(const struct check *check) {
    const struct conf *conf = check->conf;
    if (conf->queue.n_retry == 0 && is_sound(check, &conf->queue.retry_ms))
        MISTAKE(check, &conf->queue.retry_ms, "queue.retry: the list is empty; give at least one pause");
    for (size_t i = 0; i < conf->queue.n_retry; i++) {
        if (conf->queue.retry_ms[i] <= conf->queue.expire_ms) continue;
        if (is_set(check, &conf->queue.retry_ms))
            MISTAKE_ITEM(check, &conf->queue.retry_ms[i],
                         "queue.retry: a pause longer than queue.expire is never reached; "
                         "shorten it or raise queue.expire");
        else
            MISTAKE(check, &conf->queue.expire_ms,
                    "queue.expire: shorter than a pause of queue.retry; raise it or shorten those");
        return;
    }
}

/* A shared user would take the wall between two processes away. */
static void check_users(const struct check *check) {
    char *const *users = &check->conf->users.session;
    size_t n = sizeof check->conf->users / sizeof *users;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            if (i == j || strcmp(users[i], users[j]) != 0) continue;
            if (!is_set(check, &users[i]) || (j > i && is_set(check, &users[j]))) continue;
            MISTAKE(check, &users[i],
                    "users: \"%s\" would run two parts of the server, with no wall between them; give each "
                    "its own user",
                    users[i]);
            break;
        }
}

void conf_check(const struct conf *conf, const char *path, struct conf_mistakes *mistakes) {
    bool denied = false;
    struct check check = {conf, path, mistakes, &denied};
    if (!conf->hostname && !is_set(&check, &conf->hostname))
        MISTAKE(&check, &conf->hostname, "hostname: not set; give the full name of this server");
    check_networks(&check);
    check_listeners(&check);
    check_domains(&check);
    check_local(&check);
    check_files(&check);
    check_numbers(&check);
    check_smarthost(&check);
    check_queue(&check);
    check_hooks(&check);
    check_selectors(&check);
    check_users(&check);
}
