/* conf.h - what the owner wants: the configuration file as one struct, and its reader. Only the master and the
 * command line see this struct; every process is handed the few values it needs (the *_setup headers). */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "store/netaddr.h"

#include <stdio.h>

/* What a person who may not read something should do. */
#define CONF_RUN_AS_ROOT "; run gatepost as root, or as the user whose server this is"

struct conf_list { /* of our own C strings */
    char **items;
    size_t n;
};

struct conf_networks {
    struct network *items;
    size_t n;
};

enum conf_listener_role {
    CONF_LISTENER_NONE = 0,
    CONF_LISTENER_MX,
    CONF_LISTENER_SUBMISSION,
    CONF_LISTENER_SUBMISSIONS,
    CONF_LISTENER_POP3,
    CONF_LISTENER_POP3S
};

static inline bool conf_listener_is_pop3(enum conf_listener_role role) {
    return role == CONF_LISTENER_POP3 || role == CONF_LISTENER_POP3S;
}

struct conf_listener {
    enum conf_listener_role role;
    struct netaddr *addresses; /* "*:25" becomes [::]:25 and 0.0.0.0:25 */
    size_t n_addresses;
    bool auth; /* mx: offer AUTH after STARTTLS, default false; always true for all others */
};

struct conf_domain {
    char *name;             /* A-labels, lower case */
    bool sender_needs_auth; /* mail from a sender here needs a principal on mx; default true */
    bool header_from;       /* From in the header of its users' mail is to be an address of theirs; default false */
    char *delivery;         /* as delivery.local, which is the default */
};

struct conf_relay_domain {
    char *name;
    struct conf_list recipients; /* full addresses that we accept for it */
};

/* Whose rights a system user of this host has, who sends by `gatepost sendmail`. */
struct conf_local_user {
    char *name;
    char *login; /* a user in a local domain */
};

/* More of them is a mistake. Names: of one certificate. */
enum { CONF_CERTIFICATES_MAX = 32, CONF_CERTIFICATE_NAMES_MAX = 32, CONF_ADDRESSES_MAX = 32 };

struct conf_certificate {
    char *certificate_file; /* PEM, chain included; the first entry is the default */
    char *key_file;         /* PEM */
    struct conf_list names; /* server names (SNI) it is for; empty: those in the certificate */
};

enum conf_foreign { CONF_FOREIGN_REFUSE = 0, CONF_FOREIGN_SMARTHOST, CONF_FOREIGN_CAPTURE };
enum conf_smarthost_tls { CONF_SMARTHOST_TLS_STARTTLS = 0, CONF_SMARTHOST_TLS_IMPLICIT, CONF_SMARTHOST_TLS_NONE };

struct conf_smarthost {
    char *host; /* name or address */
    uint16_t port;
    enum conf_smarthost_tls tls;
    bool verify;          /* default true; false is refused together with a password unless tls_insecure_ok */
    char *ca_file;        /* PEM bundle; default the system's */
    char *user;           /* empty: no AUTH */
    char *password_file;  /* one line; must not be readable by others */
    bool tls_insecure_ok; /* the owner accepts a password sent without a verified server; default false */
};

enum conf_log { CONF_LOG_STDERR = 0, CONF_LOG_SYSLOG };

struct conf {
    char *hostname;        /* greeting, Received, Message-ID */
    char *state_directory; /* default /var/lib/gatepost: auth/, queue/, mail/, dovecot/ */
    char *run_directory;   /* default /run/gatepost: control sockets */
    struct conf_listener *listeners;
    size_t n_listeners;
    struct conf_domain *local_domains;
    size_t n_local_domains;
    struct conf_relay_domain *relay_domains;
    size_t n_relay_domains;
    struct conf_networks trusted_networks;   /* may relay without AUTH; empty by default */
    struct conf_networks local_sender_hosts; /* may send as a local sender without AUTH; empty by default */
    struct conf_networks proxy_from;         /* peers that speak PROXY; empty by default */
    struct {
        struct conf_networks clear_login_from; /* may log in without TLS; empty by default */
    } pop3;
    char *recipient_delimiter; /* "+"; empty: no plus-addressing */
    char *postmaster;          /* address that receives postmaster mail; a local user or alias */

    struct conf_certificate *certificates;
    size_t n_certificates;

    struct {
        uint32_t verifiers;           /* 0: one per core */
        uint32_t waiting_max;         /* logins waiting for a verifier, default 100 */
        uint64_t argon2_memory_bytes; /* default 64M; 19M to 64M */
        uint32_t argon2_passes;       /* default 2 */
        uint64_t cache_ms;            /* a password that was right is not hashed again so long; 5m; 0: always */
        bool scram;                   /* offer SCRAM-SHA-256, default true */
        bool scram_plus;              /* and SCRAM-SHA-256-PLUS, default true */
        bool ntlm;                    /* offer NTLM, default false */
        bool legacy_auth_line;        /* also offer "AUTH=PLAIN LOGIN", default true */
    } auth;

    struct {                           /* who checked the mail may send (POP before SMTP) */
        bool enabled;                  /* default false */
        uint64_t lifetime_ms;          /* after the login, default 15m */
        uint32_t ipv6_bits;            /* what counts as one address in IPv6, default 128 */
        uint32_t messages;             /* on one login, default 20 */
        uint32_t recipients;           /* elsewhere, default 100 */
        uint32_t users_per_address;    /* more of them, and it carries no grants; default 1 */
        uint64_t shared_ms;            /* how long a login counts for that, default 1d */
        struct conf_networks networks; /* private, loopback and the like that carry grants; empty by default */
    } grant;

    struct {                         /* guessing passwords */
        bool enabled;                /* default true */
        uint32_t network_failures;   /* from one network, default 20 */
        uint32_t account_failures;   /* at one account, default 40 */
        uint64_t window_ms;          /* in which a full counter drains, default 1h */
        uint64_t known_ms;           /* how long a network stays known for an account, default 30d */
        uint32_t network_ipv4_bits;  /* what counts as one network: 32 */
        uint32_t network_ipv6_bits;  /* 64 */
        struct conf_networks exempt; /* never held as networks; empty by default */
    } throttle;

    struct {
        uint32_t connections;             /* in all, default 500 */
        uint32_t connections_per_address; /* default 50 */
        uint32_t connections_per_network; /* default 100 */
        uint32_t network_ipv4_bits;       /* what counts as one network: 24 */
        uint32_t network_ipv6_bits;       /* 64 */
        uint32_t waiting_for_auth;        /* submission sessions not logged in yet, default 200 */
        uint32_t messages_per_session;    /* default 1000 */
        uint32_t recipients_per_message;  /* default 1000; at least 100 (RFC 5321 4.5.3.1.8) */
        uint32_t failures_per_session;    /* refused logins, recipients and junk commands; default 20 */
        uint64_t message_bytes;           /* default 25M */
    } limits;

    struct {                          /* of each user, and of each system user who is none */
        uint32_t messages_per_hour;   /* default 200 */
        uint32_t messages_per_day;    /* 1000 */
        uint32_t recipients_per_hour; /* elsewhere; 500 */
        uint32_t recipients_per_day;  /* 2000 */
        uint32_t suspend_after;       /* messages refused over quota in an hour; 0: never; 500 */
    } quota;

    struct {                  /* all in ms */
        uint64_t command_ms;  /* 5m, RFC 5321 4.5.3.2.7 */
        uint64_t data_ms;     /* 3m between blocks */
        uint64_t tls_ms;      /* 30s for a handshake */
        uint64_t login_ms;    /* 2m for a submission session to log in */
        uint64_t session_ms;  /* 2h in all */
        uint64_t shutdown_ms; /* 30s for sessions to finish at SIGTERM */
        uint64_t pop3_ms;     /* 10m for the next command there, RFC 1939 3 */
    } timeouts;

    struct {
        uint64_t *retry_ms; /* waiting times between attempts; the last repeats. Default 5m 15m 30m 1h 2h 4h */
        size_t n_retry;
        uint64_t expire_ms;        /* default 5d */
        uint64_t delay_warning_ms; /* default 4h; 0: never */
        uint64_t reserve_bytes;    /* free space below which MAIL gets 452; default 64M */
        uint64_t in_flight_bytes;  /* bodies held in memory, default 64M */
        uint64_t segment_bytes;    /* default 64M */
    } queue;

    struct {
        enum conf_foreign foreign; /* what happens to mail for elsewhere; default refuse */
        struct conf_smarthost smarthost;
        char *capture_directory; /* Maildir for foreign = capture; default STATE/capture */
        char *resolv_file;       /* names the DNS servers for the smarthost's name; default /etc/resolv.conf */
        uint32_t agents;         /* agents at once, default 20 */
        char *local;             /* "maildir", or "lmtp:" and what store/endpoint.h reads; default maildir */
    } delivery;

    struct {
        enum conf_log to;
        char *socket; /* syslog's; default /dev/log */
        bool json;
    } log;

    struct {          /* system users of this host */
        bool submit;  /* serve run_directory/submit.sock, default true */
        bool relay;   /* they may send to everywhere, default true */
        char *domain; /* of their addresses and of addresses without one; default the first local domain */
        struct conf_list trusted; /* who may use any sender in a local domain; default root */
        struct conf_local_user *users;
        size_t n_users;
    } local;

    struct {                    /* logins at other servers */
        struct conf_list users; /* system users who may report them; empty: nobody, and there is no socket */
        char *group;            /* that may reach the socket; empty: everybody may, and users counts alone */
        struct netaddr *policy; /* loopback only; where Dovecot reports failed logins */
        size_t n_policy;
        char *policy_secret_file; /* one line; must not be readable by others */
    } hooks;

    struct {             /* what mail programs are told */
        char *name;      /* of the organization; empty: each domain's */
        char *host;      /* of this server, as they reach it; default hostname */
        char *imap_host; /* of another server that users fetch mail from; empty: none */
        char *pop3_host;
    } autoconfig;

    struct { /* what check --dns asks for besides */
        struct conf_list dkim_selectors;
    } dns;

    struct { /* role users, needed only when started as root */
        char *session, *auth, *verifier, *keys, *queue, *mail, *resolver, *policy, *log, *pop3;
    } users;

    char **includes; /* files that were read besides the main one, as they were opened */
    size_t n_includes;

    struct conf_origins *origins; /* where each value was set; for conf_print only */
};

/* Reads `path`, which may @include others (a relative name counts from the directory of `path`). On failure prints
 * one line per mistake to `errors`, "file:line: what, and the likely meant word", and returns NULL. conf_free frees
 * the result. Changes the working directory while it parses, so: not beside another thread. */
struct conf *conf_read(const char *path, FILE *errors) MUST_USE;

/* run_directory alone, for clients who may not read the whole; the default where the file cannot be read or does not
 * say. False: it does not fit. */
bool conf_run_directory(const char *path, char *out, size_t size) MUST_USE;

void conf_free(struct conf *conf);

/* The local domain of that name, in whatever spelling (capitals, UTF-8, trailing dot); NULL when there is none. */
const struct conf_domain *conf_local_domain(const struct conf *conf, const char *name);

/* The LMTP server of a value of delivery.local, as store/endpoint.h reads it; empty for Maildirs. */
struct span conf_delivery_server(const char *delivery);

/* Prints what the configuration allows and is seldom meant, a line each, "file:line: warning: what, and what to
 * do". */
void conf_warn(const struct conf *conf, const char *path, FILE *out);

/* Prints "file:line: text" with the place where `field`, one of the struct's own, was set. */
void conf_say(const struct conf *conf, const char *path, const void *field, const char *text, FILE *out);

/* Prints every key with its effective value and origin ("file:line" or "default"), in the file's own syntax. Call
 * only with a struct that conf_read made. */
void conf_print(const struct conf *conf, FILE *out);

#endif
