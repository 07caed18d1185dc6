/* conf_table.c - the table of keys: type, range, default and one line of explanation each.
 * Runs in: master and command line. Trusts: itself. Never: reads a file. */
#include "conf/conf_table.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define QUOTA_MAX 1000000000

static const char *const role_names[] = {"", "mx", "submission", "submissions", "pop3", "pop3s", NULL};
static const char *const foreign_names[] = {"refuse", "smarthost", "capture", NULL};
static const char *const smarthost_tls_names[] = {"starttls", "implicit", "none", NULL};
static const char *const log_names[] = {"stderr", "syslog", NULL};

#define FIELD(type, field) .offset = offsetof(struct type, field), .size = sizeof(((struct type *)NULL)->field)
#define ITEMS(type, field)                                                                                           \
    .offset = offsetof(struct type, field), .size = sizeof(*((struct type *)NULL)->field), .many = true
#define COUNT .kind = CONF_KIND_COUNT
#define BYTES .kind = CONF_KIND_BYTES
#define TIME .kind = CONF_KIND_TIME
#define SWITCH .kind = CONF_KIND_SWITCH
#define PATH .kind = CONF_KIND_PATH
#define USER .kind = CONF_KIND_USER
#define RANGE(least, most) .min = (least), .max = (most)
#define NEEDED .required = true
#define GROUPS(keys_of, plain_name)                                                                                  \
    .kind = CONF_KIND_GROUPS, .elements = &(const struct conf_elements) {                                            \
        keys_of, sizeof keys_of / sizeof keys_of[0], plain_name                                                      \
    }

/* clang-format off */
static const struct conf_key listener_keys[] = {
    {"listen.role", .kind = CONF_KIND_CHOICE, FIELD(conf_listener, role), NEEDED, .choices = role_names,
     .doc = "mx: mail from strangers; submission: users, STARTTLS; submissions: users, TLS from the first octet; "
            "pop3: users fetch mail, STLS; pop3s: the same, TLS from the first octet"},
    {"listen.address", .kind = CONF_KIND_LISTEN, ITEMS(conf_listener, addresses), NEEDED,
     .doc = "address:port, [IPv6]:port or *:port, or a list of them"},
    {"listen.auth", SWITCH, FIELD(conf_listener, auth), .standard = "false",
     .doc = "mx only: also offer AUTH after STARTTLS"},
};

static const struct conf_key domain_keys[] = {
    {"local_domains.name", .kind = CONF_KIND_DOMAIN, FIELD(conf_domain, name), NEEDED, .doc = "a domain of ours"},
    {"local_domains.sender_needs_auth", SWITCH, FIELD(conf_domain, sender_needs_auth), .standard = "true",
     .doc = "refuse senders of this domain on mx unless they logged in"},
    {"local_domains.header_from", SWITCH, FIELD(conf_domain, header_from), .standard = "false",
     .doc = "refuse a message of a user of this domain whose From line shows an address of somebody else"},
    {"local_domains.delivery", .kind = CONF_KIND_DELIVERY, FIELD(conf_domain, delivery),
     .doc = "where this domain's mail goes; empty: as delivery.local says"},
};

static const struct conf_key relay_domain_keys[] = {
    {"relay_domains.name", .kind = CONF_KIND_DOMAIN, FIELD(conf_relay_domain, name), NEEDED,
     .doc = "a domain whose mail we take and pass on"},
    {"relay_domains.recipients", .kind = CONF_KIND_MAILBOX, ITEMS(conf_relay_domain, recipients.items), NEEDED,
     .doc = "the addresses in it that exist"},
};

static const struct conf_key certificate_keys[] = {
    {"tls.certificates.certificate_file", PATH, FIELD(conf_certificate, certificate_file), NEEDED,
     .doc = "PEM file: certificate, then its chain"},
    {"tls.certificates.key_file", PATH, FIELD(conf_certificate, key_file), NEEDED,
     .doc = "PEM file of its private key, not readable by others"},
    {"tls.certificates.names", .kind = CONF_KIND_DOMAIN, ITEMS(conf_certificate, names.items),
     .doc = "server names it is for; empty: those in the certificate"},
};

static const struct conf_key local_user_keys[] = {
    {"local.users.name", .kind = CONF_KIND_LOGIN, FIELD(conf_local_user, name), NEEDED,
     .doc = "a system user of this host"},
    {"local.users.login", .kind = CONF_KIND_MAILBOX, FIELD(conf_local_user, login), NEEDED,
     .doc = "the user as whom it sends, with that user's rights"},
};

const struct conf_key conf_keys[] = {
    {"hostname", .kind = CONF_KIND_DOMAIN, FIELD(conf, hostname), NEEDED,
     .doc = "full name of this server: greeting, Received, Message-ID"},
    {"state_directory", PATH, FIELD(conf, state_directory), .standard = "/var/lib/gatepost",
     .doc = "users, queue and mail"},
    {"run_directory", PATH, FIELD(conf, run_directory), .standard = "/run/gatepost", .doc = "control sockets"},
    {"listen", GROUPS(listener_keys, false), ITEMS(conf, listeners), .doc = "where clients connect, and as what"},
    {"local_domains", GROUPS(domain_keys, true), ITEMS(conf, local_domains),
     .doc = "domains whose mail is delivered here"},
    {"postmaster", .kind = CONF_KIND_MAILBOX, FIELD(conf, postmaster),
     .doc = "user or alias that gets postmaster's mail; empty: postmaster at the first local domain"},
    {"recipient_delimiter", .kind = CONF_KIND_DELIMITER, FIELD(conf, recipient_delimiter), .standard = "+",
     .doc = "alice+shop is delivered to alice; empty: no such cut"},
    {"relay_domains", GROUPS(relay_domain_keys, false), ITEMS(conf, relay_domains),
     .doc = "domains that we are the backup for"},
    {"trusted_networks", .kind = CONF_KIND_NETWORK, ITEMS(conf, trusted_networks.items),
     .doc = "may send to anywhere without login; loopback is not implied"},
    {"local_sender_hosts", .kind = CONF_KIND_NETWORK, ITEMS(conf, local_sender_hosts.items),
     .doc = "may use our sender addresses towards us without login"},
    {"proxy_from", .kind = CONF_KIND_NETWORK, ITEMS(conf, proxy_from.items),
     .doc = "load balancers that must send a PROXY header, and are believed"},

    {"pop3.clear_login_from", .kind = CONF_KIND_NETWORK, ITEMS(conf, pop3.clear_login_from.items),
     .doc = "POP3 clients there may log in without TLS; their passwords cross the network readable"},

    {"tls.certificates", GROUPS(certificate_keys, false), ITEMS(conf, certificates),
     .doc = "the first is for clients that name no server"},

    {"auth.verifiers", COUNT, FIELD(conf, auth.verifiers), .standard = "0", RANGE(0, 64),
     .doc = "processes that check passwords; 0: one per core"},
    {"auth.waiting_max", COUNT, FIELD(conf, auth.waiting_max), .standard = "100", RANGE(1, 100000),
     .doc = "logins that may wait for one"},
    {"auth.argon2_memory", BYTES, FIELD(conf, auth.argon2_memory_bytes), .standard = "64M", RANGE(19 * MIB, 64 * MIB),
     .doc = "memory of a password hash; stays within what Dovecot accepts"},
    {"auth.argon2_passes", COUNT, FIELD(conf, auth.argon2_passes), .standard = "2", RANGE(2, 10),
     .doc = "passes of a password hash"},
    {"auth.cache", TIME, FIELD(conf, auth.cache_ms), .standard = "5m", RANGE(0, HOUR),
     .doc = "a name and password that were right are taken again without a hash so long; 0s: never"},
    {"auth.scram", SWITCH, FIELD(conf, auth.scram), .standard = "true",
     .doc = "offer SCRAM-SHA-256; users without keys for it cannot log in by it"},
    {"auth.scram_plus", SWITCH, FIELD(conf, auth.scram_plus), .standard = "true",
     .doc = "offer SCRAM-SHA-256-PLUS too; takes effect only with auth.scram"},
    {"auth.ntlm", SWITCH, FIELD(conf, auth.ntlm), .standard = "false",
     .doc = "offer NTLM (Secure Password Authentication) to users enrolled for it"},
    {"auth.legacy_auth_line", SWITCH, FIELD(conf, auth.legacy_auth_line), .standard = "true",
     .doc = "also announce AUTH= for very old clients"},

    {"grant.enabled", SWITCH, FIELD(conf, grant.enabled), .standard = "false",
     .doc = "who has just checked the mail may send from there without AUTH (POP before SMTP)"},
    {"grant.lifetime", TIME, FIELD(conf, grant.lifetime_ms), .standard = "15m", RANGE(SECOND, 3 * HOUR),
     .doc = "for so long after the login, or after its end"},
    {"grant.ipv6_bits", COUNT, FIELD(conf, grant.ipv6_bits), .standard = "128", RANGE(56, 128),
     .doc = "what counts as one address in IPv6; 64 for clients with privacy addresses"},
    {"grant.messages", COUNT, FIELD(conf, grant.messages), .standard = "20", RANGE(1, QUOTA_MAX),
     .doc = "messages on one login; more get 450"},
    {"grant.recipients", COUNT, FIELD(conf, grant.recipients), .standard = "100", RANGE(1, QUOTA_MAX),
     .doc = "recipients elsewhere on one login; more get 450"},
    {"grant.users_per_address", COUNT, FIELD(conf, grant.users_per_address), .standard = "1", RANGE(1, 16),
     .doc = "an address from which more users logged in lately carries no grants"},
    {"grant.shared", TIME, FIELD(conf, grant.shared_ms), .standard = "1d", RANGE(SECOND, 30 * DAY),
     .doc = "lately: for so long a login counts for that"},
    {"grant.networks", .kind = CONF_KIND_NETWORK, ITEMS(conf, grant.networks.items),
     .doc = "loopback, private addresses and the like that carry grants all the same"},

    {"throttle.enabled", SWITCH, FIELD(conf, throttle.enabled), .standard = "true",
     .doc = "hold networks and accounts where passwords are guessed"},
    {"throttle.network_failures", COUNT, FIELD(conf, throttle.network_failures), .standard = "20",
     RANGE(1, 1000000), .doc = "wrong passwords from one network; then its logins are refused with 454"},
    {"throttle.account_failures", COUNT, FIELD(conf, throttle.account_failures), .standard = "40",
     RANGE(1, 1000000), .doc = "wrong passwords at one account; then only networks that it was used from get in"},
    {"throttle.window", TIME, FIELD(conf, throttle.window_ms), .standard = "1h", RANGE(SECOND, 7 * DAY),
     .doc = "so many failures are forgotten in this time, evenly"},
    {"throttle.known", TIME, FIELD(conf, throttle.known_ms), .standard = "30d", RANGE(SECOND, 365 * DAY),
     .doc = "how long a network stays known for an account after a login"},
    {"throttle.network_ipv4_bits", COUNT, FIELD(conf, throttle.network_ipv4_bits), .standard = "32", RANGE(8, 32),
     .doc = "what counts as one network in IPv4"},
    {"throttle.network_ipv6_bits", COUNT, FIELD(conf, throttle.network_ipv6_bits), .standard = "64", RANGE(32, 128),
     .doc = "what counts as one network in IPv6"},
    {"throttle.exempt", .kind = CONF_KIND_NETWORK, ITEMS(conf, throttle.exempt.items),
     .doc = "hosts through which many log in, a webmail server; only the accounts are counted there"},

    {"limits.connections", COUNT, FIELD(conf, limits.connections), .standard = "500", RANGE(1, 20000),
     .doc = "connections in all"},
    {"limits.connections_per_address", COUNT, FIELD(conf, limits.connections_per_address), .standard = "50",
     RANGE(1, 20000), .doc = "connections from one address"},
    {"limits.connections_per_network", COUNT, FIELD(conf, limits.connections_per_network), .standard = "100",
     RANGE(1, 20000), .doc = "connections from one network; fewer as places run out"},
    {"limits.network_ipv4_bits", COUNT, FIELD(conf, limits.network_ipv4_bits), .standard = "24", RANGE(8, 32),
     .doc = "what counts as one network in IPv4"},
    {"limits.network_ipv6_bits", COUNT, FIELD(conf, limits.network_ipv6_bits), .standard = "64", RANGE(32, 128),
     .doc = "what counts as one network in IPv6"},
    {"limits.waiting_for_auth", COUNT, FIELD(conf, limits.waiting_for_auth), .standard = "200", RANGE(1, 20000),
     .doc = "submission connections that have not logged in yet"},
    {"limits.messages_per_session", COUNT, FIELD(conf, limits.messages_per_session), .standard = "1000",
     RANGE(1, 1000000), .doc = "messages in one connection"},
    {"limits.recipients_per_message", COUNT, FIELD(conf, limits.recipients_per_message), .standard = "1000",
     RANGE(100, 10000), .doc = "RFC 5321 4.5.3.1.8 asks for at least 100"},
    {"limits.failures_per_session", COUNT, FIELD(conf, limits.failures_per_session), .standard = "20", RANGE(1, 1000),
     .doc = "refused logins, recipients and other commands in one connection; the last gets 421 and closes it"},
    {"limits.message_size", BYTES, FIELD(conf, limits.message_bytes), .standard = "25M", RANGE(64 * KIB, 2047 * MIB),
     .doc = "largest message, announced with SIZE"},

    {"quota.messages_per_hour", COUNT, FIELD(conf, quota.messages_per_hour), .standard = "200", RANGE(0, QUOTA_MAX),
     .doc = "messages of one user in an hour; more get 450"},
    {"quota.messages_per_day", COUNT, FIELD(conf, quota.messages_per_day), .standard = "1000", RANGE(0, QUOTA_MAX),
     .doc = "and in a day"},
    {"quota.recipients_per_hour", COUNT, FIELD(conf, quota.recipients_per_hour), .standard = "500",
     RANGE(0, QUOTA_MAX), .doc = "recipients elsewhere of one user's messages in an hour; more get 450"},
    {"quota.recipients_per_day", COUNT, FIELD(conf, quota.recipients_per_day), .standard = "2000",
     RANGE(0, QUOTA_MAX), .doc = "and in a day"},
    {"quota.suspend_after", COUNT, FIELD(conf, quota.suspend_after), .standard = "500", RANGE(0, QUOTA_MAX),
     .doc = "messages refused so in an hour after which the user is suspended; 0: never"},

    {"timeouts.command", TIME, FIELD(conf, timeouts.command_ms), .standard = "5m", RANGE(100, HOUR),
     .doc = "for the next command; RFC 5321 4.5.3.2.7 asks for 5m"},
    {"timeouts.data", TIME, FIELD(conf, timeouts.data_ms), .standard = "3m", RANGE(100, HOUR),
     .doc = "between two blocks of a message"},
    {"timeouts.tls", TIME, FIELD(conf, timeouts.tls_ms), .standard = "30s", RANGE(100, 10 * MINUTE),
     .doc = "for the TLS handshake"},
    {"timeouts.login", TIME, FIELD(conf, timeouts.login_ms), .standard = "2m", RANGE(100, HOUR),
     .doc = "for a submission client to log in"},
    {"timeouts.session", TIME, FIELD(conf, timeouts.session_ms), .standard = "2h", RANGE(100, 7 * DAY),
     .doc = "for a connection in all"},
    {"timeouts.shutdown", TIME, FIELD(conf, timeouts.shutdown_ms), .standard = "30s", RANGE(100, HOUR),
     .doc = "for connections to finish when the server stops"},
    {"timeouts.pop3", TIME, FIELD(conf, timeouts.pop3_ms), .standard = "10m", RANGE(100, DAY),
     .doc = "for the next command of a POP3 client that has logged in; RFC 1939 asks for 10 minutes at least"},

    {"queue.retry", TIME, ITEMS(conf, queue.retry_ms), .standard = "5m 15m 30m 1h 2h 4h", RANGE(SECOND, 7 * DAY),
     .doc = "pauses between attempts to deliver; the last repeats"},
    {"queue.expire", TIME, FIELD(conf, queue.expire_ms), .standard = "5d", RANGE(SECOND, 30 * DAY),
     .doc = "after this the sender gets the message back"},
    {"queue.delay_warning", TIME, FIELD(conf, queue.delay_warning_ms), .standard = "4h", RANGE(0, 30 * DAY),
     .doc = "after this a sender who logged in is told that the message waits; 0s: never"},
    {"queue.reserve", BYTES, FIELD(conf, queue.reserve_bytes), .standard = "64M", RANGE(MIB, 1024 * GIB),
     .doc = "with less free space new mail is put off with 452"},
    {"queue.in_flight", BYTES, FIELD(conf, queue.in_flight_bytes), .standard = "64M", RANGE(MIB, 64 * GIB),
     .doc = "memory for messages that are just arriving"},
    {"queue.segment", BYTES, FIELD(conf, queue.segment_bytes), .standard = "64M", RANGE(MIB, GIB),
     .doc = "size of a file of the log"},

    {"delivery.foreign", .kind = CONF_KIND_CHOICE, FIELD(conf, delivery.foreign), .standard = "refuse",
     .choices = foreign_names, .doc = "mail for elsewhere: refuse it, hand it to the smarthost, or capture it"},
    {"delivery.local", .kind = CONF_KIND_DELIVERY, FIELD(conf, delivery.local), .standard = "maildir",
     .doc = "mail for our users: maildir, or an LMTP server: lmtp:unix:/path, lmtp:host:port"},
    {"delivery.agents", COUNT, FIELD(conf, delivery.agents), .standard = "20", RANGE(1, 1000),
     .doc = "deliveries at the same time"},
    {"delivery.capture_directory", PATH, FIELD(conf, delivery.capture_directory),
     .doc = "Maildir for foreign = \"capture\"; empty: capture in the state directory"},
    {"delivery.resolv_file", PATH, FIELD(conf, delivery.resolv_file), .standard = "/etc/resolv.conf",
     .doc = "names the DNS servers that are asked for the smarthost's address"},
    {"delivery.smarthost.host", .kind = CONF_KIND_HOST, FIELD(conf, delivery.smarthost.host),
     .doc = "name or address of the server that takes mail for elsewhere"},
    {"delivery.smarthost.port", COUNT, FIELD(conf, delivery.smarthost.port), .standard = "587", RANGE(1, 65535),
     .doc = "its port; 465 goes with tls = \"implicit\""},
    {"delivery.smarthost.tls", .kind = CONF_KIND_CHOICE, FIELD(conf, delivery.smarthost.tls), .standard = "starttls",
     .choices = smarthost_tls_names, .doc = "starttls is required, not tried"},
    {"delivery.smarthost.verify", SWITCH, FIELD(conf, delivery.smarthost.verify), .standard = "true",
     .doc = "check its certificate and name"},
    {"delivery.smarthost.ca_file", PATH, FIELD(conf, delivery.smarthost.ca_file),
     .standard = "/etc/ssl/certs/ca-certificates.crt", .doc = "PEM file of the authorities to trust"},
    {"delivery.smarthost.user", .kind = CONF_KIND_LOGIN, FIELD(conf, delivery.smarthost.user),
     .doc = "our login there; empty: no AUTH"},
    {"delivery.smarthost.password_file", PATH, FIELD(conf, delivery.smarthost.password_file),
     .doc = "file whose first line is the password, not readable by others"},
    {"delivery.smarthost.tls_insecure_ok", SWITCH, FIELD(conf, delivery.smarthost.tls_insecure_ok),
     .standard = "false", .doc = "allow a password without TLS or without verification"},

    {"local.submit", SWITCH, FIELD(conf, local.submit), .standard = "true",
     .doc = "take mail of system users by gatepost sendmail"},
    {"local.relay", SWITCH, FIELD(conf, local.relay), .standard = "true",
     .doc = "system users may send to everywhere"},
    {"local.domain", .kind = CONF_KIND_DOMAIN, FIELD(conf, local.domain),
     .doc = "domain of system users' addresses; empty: the first local domain"},
    {"local.trusted", .kind = CONF_KIND_LOGIN, ITEMS(conf, local.trusted.items), .standard = "root",
     .doc = "system users who may use any sender of ours"},
    {"local.users", GROUPS(local_user_keys, false), ITEMS(conf, local.users),
     .doc = "system users who send as somebody else than themselves"},

    {"log.to", .kind = CONF_KIND_CHOICE, FIELD(conf, log.to), .standard = "stderr", .choices = log_names,
     .doc = "stderr (the journal under systemd) or syslog"},
    {"log.socket", PATH, FIELD(conf, log.socket), .standard = "/dev/log", .doc = "where syslog listens"},
    {"log.json", SWITCH, FIELD(conf, log.json), .standard = "false", .doc = "one JSON object a line"},

    {"hooks.users", .kind = CONF_KIND_LOGIN, ITEMS(conf, hooks.users.items),
     .doc = "system users who may report logins at another server by gatepost-pop3-login"},
    {"hooks.group", .kind = CONF_KIND_LOGIN, FIELD(conf, hooks.group),
     .doc = "system group that may reach their socket; empty: everybody may, and is turned away there"},
    {"hooks.policy", .kind = CONF_KIND_LISTEN, ITEMS(conf, hooks.policy),
     .doc = "loopback address:port that takes Dovecot's reports of failed logins"},
    {"hooks.policy_secret_file", PATH, FIELD(conf, hooks.policy_secret_file),
     .doc = "file whose first line is the secret that Dovecot shows there, not readable by others"},

    {"autoconfig.name", .kind = CONF_KIND_LOGIN, FIELD(conf, autoconfig.name),
     .doc = "of the organization, as mail programs show it; empty: the domain"},
    {"autoconfig.host", .kind = CONF_KIND_DOMAIN, FIELD(conf, autoconfig.host),
     .doc = "the name by which mail programs reach this server; empty: hostname"},
    {"autoconfig.imap_host", .kind = CONF_KIND_DOMAIN, FIELD(conf, autoconfig.imap_host),
     .doc = "name of another server with the mail, by IMAP on port 993"},
    {"autoconfig.pop3_host", .kind = CONF_KIND_DOMAIN, FIELD(conf, autoconfig.pop3_host),
     .doc = "name of another server with the mail, by POP3 on port 995"},

    {"dns.dkim_selectors", .kind = CONF_KIND_LOGIN, ITEMS(conf, dns.dkim_selectors.items),
     .doc = "selectors by which our mail is signed, for check --dns"},

    {"users.session", USER, FIELD(conf, users.session), .standard = "_gatepost-session", .doc = "serves clients"},
    {"users.auth", USER, FIELD(conf, users.auth), .standard = "_gatepost-auth", .doc = "owns users and decides"},
    {"users.verifier", USER, FIELD(conf, users.verifier), .standard = "_gatepost-verifier",
     .doc = "checks passwords"},
    {"users.keys", USER, FIELD(conf, users.keys), .standard = "_gatepost-keys", .doc = "signs with the private keys"},
    {"users.queue", USER, FIELD(conf, users.queue), .standard = "_gatepost-queue", .doc = "owns the queue"},
    {"users.mail", USER, FIELD(conf, users.mail), .standard = "_gatepost-mail", .doc = "owns all Maildirs"},
    {"users.resolver", USER, FIELD(conf, users.resolver), .standard = "_gatepost-resolver", .doc = "asks the DNS"},
    {"users.policy", USER, FIELD(conf, users.policy), .standard = "_gatepost-policy",
     .doc = "hears Dovecot's reports"},
    {"users.log", USER, FIELD(conf, users.log), .standard = "_gatepost-log", .doc = "writes the log"},
    {"users.pop3", USER, FIELD(conf, users.pop3), .standard = "_gatepost-pop3", .doc = "serves POP3 clients"},
};
/* clang-format on */
const size_t conf_keys_n = sizeof conf_keys / sizeof conf_keys[0];

bool conf_kind_is_text(enum conf_kind kind) {
    return kind >= CONF_KIND_DOMAIN && kind <= CONF_KIND_DELIMITER;
}

const char *conf_key_name(const struct conf_key *key) {
    const char *dot = strrchr(key->path, '.');
    return dot ? dot + 1 : key->path;
}

void *conf_key_field(const struct conf_key *key, void *base) {
    return (uint8_t *)base + key->offset;
}

/* Every list field is a pointer to items of its own type with a size_t after it; a pointer's representation is the
 * same for all types here, and memcpy keeps clear of aliasing. */
_Static_assert(offsetof(struct conf_list, n) == sizeof(void *), "items and number side by side");
_Static_assert(offsetof(struct conf, n_listeners) == offsetof(struct conf, listeners) + sizeof(void *),
               "side by side");

struct conf_array conf_array_get(const void *field) {
    struct conf_array array;
    memcpy(&array, field, sizeof array);
    return array;
}

void conf_array_set(void *field, struct conf_array array) {
    memcpy(field, &array, sizeof array);
}
