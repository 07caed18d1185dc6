/* setup.c - writes each role's setup from the configuration.
 * Runs in: master, command line. Trusts: a configuration that conf_read accepted. Never: hands a role more than it
 * needs. */
#include "server/process/setup_auth.h"

#include "auth/auth_setup.h"
#include "auth/relay.h"
#include "server/inbound/policy.h"
#include "server/inbound/session_setup.h"
#include "server/outbound/outbound_setup.h"
#include "server/outbound/spawner.h"
#include "server/process/directories.h"
#include "server/process/files.h"
#include "server/process/nt_key.h"
#include "server/process/sandbox.h"
#include "store/log.h"
#include "store/log_setup.h"
#include "store/queue_setup.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Agents that only wait do not count for the queue, up to as many again (store/queue_slot.c). */
enum { AGENTS_TIMES = 2 };

int setup_user(const struct conf *conf, enum role role, uint32_t *uid_out, uint32_t *gid_out, const char **name_out) {
    const char *const names[ROLE_COUNT] = {
        [ROLE_LISTENER] = conf->users.session,  [ROLE_AUTH] = conf->users.auth,
        [ROLE_VERIFIER] = conf->users.verifier, [ROLE_KEYS] = conf->users.keys,
        [ROLE_QUEUE] = conf->users.queue,       [ROLE_DELIVERY] = conf->users.mail,
        [ROLE_OUTBOUND] = conf->users.mail,     [ROLE_RESOLVER] = conf->users.resolver,
        [ROLE_LOG] = conf->users.log,           [ROLE_POLICY] = conf->users.policy,
        [ROLE_POP3] = conf->users.pop3,
    };
    *name_out = names[role] ? names[role] : "";
    const struct passwd *user = getpwnam(*name_out);
    if (!user || user->pw_uid == 0) return -1;
    *uid_out = user->pw_uid;
    *gid_out = user->pw_gid;
    return 0;
}

uint32_t setup_verifiers(const struct conf *conf) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t n = conf->auth.verifiers ? conf->auth.verifiers : cores > 0 ? (uint32_t)cores : 1;
    return n > 64 ? 64 : n;
}

/* Reads a small file whole into malloc'ed memory. */
static int read_file(const char *path, struct span *out) {
    struct stat status;
    uint8_t *p = NULL;
    int result = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) goto out;
    errno = EFBIG;
    if (status.st_size > 1 << 20) goto out;
    size_t size = (size_t)status.st_size;
    errno = EIO; /* where less can be read than there is */
    if (!(p = malloc(size + 1)) || read(fd, p, size) != (ssize_t)size) goto out;
    *out = span_of(p, size);
    p = NULL;
    result = 0;
out:
    if (result != 0) log_fault(path, errno);
    free(p);
    if (fd >= 0) close(fd);
    return result;
}

/* The first line of a file. */
static int read_secret(const char *path, struct secret *out) {
    struct span file;
    if (read_file(path, &file) != 0) return -1;
    struct span line = span_part(file, 0, span_find(file, '\n'));
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    bool fits = secret_set(out, line);
    explicit_bzero((void *)(uintptr_t)file.p, file.n);
    free((void *)(uintptr_t)file.p);
    return fits ? 0 : -1;
}

static enum relay_role relay_role_of(enum conf_listener_role role) {
    switch (role) {
    case CONF_LISTENER_MX:
        return RELAY_ROLE_MX;
    case CONF_LISTENER_SUBMISSION:
        return RELAY_ROLE_SUBMISSION;
    case CONF_LISTENER_SUBMISSIONS:
        return RELAY_ROLE_SUBMISSIONS;
    case CONF_LISTENER_POP3:
        return RELAY_ROLE_POP3;
    case CONF_LISTENER_POP3S:
        return RELAY_ROLE_POP3S;
    case CONF_LISTENER_NONE:
        break;
    }
    return RELAY_ROLE_UNKNOWN;
}

/* Those of one listener, in the order in which child.c hands them out. */
static int listener_sockets(const struct conf *conf, bool pop3, struct session_setup *setup) {
    for (size_t i = 0; i < conf->n_listeners; i++)
        for (size_t j = 0; j < conf->listeners[i].n_addresses; j++) {
            if (conf_listener_is_pop3(conf->listeners[i].role) != pop3) continue;
            if (setup->n_sockets == SESSION_SOCKETS_MAX) return -1;
            enum relay_role role = relay_role_of(conf->listeners[i].role);
            setup->sockets[setup->n_sockets++] = (struct session_socket){
                .role = (uint8_t)role, .auth = role != RELAY_ROLE_MX || conf->listeners[i].auth};
        }
    return 0;
}

_Static_assert((int)CONF_CERTIFICATES_MAX == (int)SESSION_CERTIFICATES_MAX, "what is configured fits");
_Static_assert((int)CONF_CERTIFICATE_NAMES_MAX == (int)SESSION_NAMES_MAX, "what is configured fits");
_Static_assert((int)CONF_ADDRESSES_MAX == (int)SESSION_SOCKETS_MAX, "what is configured fits");

static int listener_certificates(const struct material *material, struct session_setup *setup) {
    for (size_t i = 0; material && i < material->n; i++) {
        struct session_certificate *certificate = &setup->certificates[i];
        const struct conf_list *names = &material->pairs[i].names;
        certificate->chain_pem = material_certificate(material, i);
        if (!certificate->chain_pem.p) return -1;
        setup->n_certificates = (uint32_t)i + 1;
        for (size_t j = 0; j < names->n; j++) certificate->names[certificate->n_names++] = span_text(names->items[j]);
    }
    return 0;
}

/* The names of the local (or relay) domains, sorted; malloc'ed. */
static struct span *domain_names(const struct conf *conf, bool local, uint32_t *n_out) {
    size_t n = local ? conf->n_local_domains : conf->n_relay_domains;
    struct span *names = calloc(n + 1, sizeof *names);
    if (!names) abort();
    for (size_t i = 0; i < n; i++)
        names[i] = span_text(local ? conf->local_domains[i].name : conf->relay_domains[i].name);
    qsort(names, n, sizeof *names, setup_span_order);
    *n_out = (uint32_t)n;
    return names;
}

static int put_listener(const struct conf *conf, const struct material *material, bool pop3, struct buf *b) {
    int result = -1;
    struct session_setup *setup = calloc(1, sizeof *setup);
    if (!setup) abort();
    setup->hostname = span_text(conf->hostname);
    setup->proxy_from = conf->proxy_from.items;
    setup->n_proxy_from = (uint32_t)conf->proxy_from.n;
    if (pop3) {
        setup->clear_login_from = conf->pop3.clear_login_from.items;
        setup->n_clear_login_from = (uint32_t)conf->pop3.clear_login_from.n;
    } else {
        setup->local_domains = domain_names(conf, true, &setup->n_local_domains);
        setup->relay_domains = domain_names(conf, false, &setup->n_relay_domains);
    }
    setup->connections = conf->limits.connections;
    setup->connections_per_network = conf->limits.connections_per_network;
    setup->network_ipv4_bits = conf->limits.network_ipv4_bits;
    setup->network_ipv6_bits = conf->limits.network_ipv6_bits;
    setup->throttle_ipv4_bits = conf->throttle.network_ipv4_bits;
    setup->throttle_ipv6_bits = conf->throttle.network_ipv6_bits;
    setup->recipients_per_message = conf->limits.recipients_per_message;
    setup->messages_per_session = conf->limits.messages_per_session;
    setup->failures_per_session = conf->limits.failures_per_session;
    setup->message_bytes = conf->limits.message_bytes;
    setup->command_ms = conf->timeouts.command_ms;
    setup->data_ms = conf->timeouts.data_ms;
    setup->tls_ms = conf->timeouts.tls_ms;
    setup->login_ms = conf->timeouts.login_ms;
    setup->session_ms = conf->timeouts.session_ms;
    setup->shutdown_ms = conf->timeouts.shutdown_ms;
    setup->idle_ms = conf->timeouts.pop3_ms;
    setup->scram = conf->auth.scram;
    setup->scram_plus = conf->auth.scram && conf->auth.scram_plus;
    setup->ntlm = conf->auth.ntlm;
    setup->legacy_auth_line = conf->auth.legacy_auth_line;
    if (listener_sockets(conf, pop3, setup) != 0 || listener_certificates(material, setup) != 0) goto out;
    session_setup_put(b, setup);
    result = 0;
out:
    for (uint32_t i = 0; i < setup->n_certificates; i++) free((void *)(uintptr_t)setup->certificates[i].chain_pem.p);
    free(setup->local_domains);
    free(setup->relay_domains);
    free(setup);
    return result;
}

static void put_queue(const struct conf *conf, const struct setup_facts *facts, struct buf *b) {
    struct queue_setup setup = {
        .hostname = span_text(conf->hostname),
        .expire_ms = conf->queue.expire_ms,
        .delay_ms = conf->queue.delay_warning_ms,
        .reserve_bytes = conf->queue.reserve_bytes,
        .in_flight_bytes = conf->queue.in_flight_bytes,
        .segment_bytes = conf->queue.segment_bytes,
        .agents_max = conf->delivery.agents,
        .sessions_max = conf->limits.connections,
        .stand_alone = facts->stand_alone,
    };
    for (size_t i = 0; i < conf->queue.n_retry && i < QUEUE_RETRIES_MAX; i++)
        setup.retry_ms[setup.n_retry++] = conf->queue.retry_ms[i];
    queue_setup_put(b, &setup);
}

static int put_delivery(const struct conf *conf, struct buf *b) {
    uint8_t storage[4096];
    struct buf filter = BUF_OVER(storage);
    if (sandbox_mailbox_filter(&filter) != 0) return -1;
    delivery_setup_put(b, &(struct delivery_setup){.hostname = span_text(conf->hostname),
                                                   .agents_max = AGENTS_TIMES * conf->delivery.agents,
                                                   .mailboxes_max = conf->limits.connections,
                                                   .mailbox_filter = buf_span(&filter)});
    return 0;
}

static int put_outbound(const struct conf *conf, struct buf *b) {
    const struct conf_smarthost *smarthost = &conf->delivery.smarthost;
    struct outbound_setup setup = {
        .hostname = span_text(conf->hostname),
        .host = span_text(smarthost->host),
        .port = smarthost->port,
        .tls = (uint8_t)smarthost->tls,
        .verify = smarthost->verify,
        .user = span_text(smarthost->user),
        .agents_max = AGENTS_TIMES * conf->delivery.agents,
        .clear_password_ok = smarthost->tls == CONF_SMARTHOST_TLS_NONE && smarthost->tls_insecure_ok,
    };
    if (setup.user.n && read_secret(smarthost->password_file, &setup.password) != 0) return -1;
    outbound_setup_put(b, &setup);
    secret_wipe(&setup.password);
    return 0;
}

static int put_policy(const struct conf *conf, struct buf *b) {
    struct policy_setup setup;
    int result = read_secret(conf->hooks.policy_secret_file, &setup.secret);
    if (result == 0 && !policy_secret_ok(secret_span(&setup.secret))) {
        log_fault("hooks.policy_secret_file: its first line is not of 16 to 128 letters and digits", 0);
        result = -1;
    }
    if (result == 0) policy_setup_put(b, &setup);
    secret_wipe(&setup.secret);
    return result;
}

static int get_nt_key(const struct conf *conf, uint8_t key_out[NT_KEY_BYTES]) {
    char what[128];
    if (nt_key_get(conf, key_out) == 0) return 0;
    (void)snprintf(what, sizeof what, "auth/" NT_KEY_FILE ": %s", nt_key_why(errno));
    log_fault(what, 0);
    return -1;
}

static int put_verifier(const struct conf *conf, const struct setup_facts *facts, struct buf *b) {
    struct verifier_setup setup = {.argon2_memory_bytes = conf->auth.argon2_memory_bytes,
                                   .argon2_passes = conf->auth.argon2_passes,
                                   .keys = facts->verifier_keys,
                                   .ntlm = conf->auth.ntlm,
                                   .hostname = span_text(conf->hostname)};
    int result = conf->auth.ntlm ? get_nt_key(conf, setup.nt_key) : 0;
    if (result == 0) verifier_setup_put(b, &setup);
    explicit_bzero(&setup, sizeof setup);
    return result;
}

static int put_payload(const struct conf *conf, const struct setup_facts *facts, enum role role, struct buf *b) {
    switch (role) {
    case ROLE_LISTENER:
    case ROLE_POP3:
        return put_listener(conf, facts->material, role == ROLE_POP3, b);
    case ROLE_AUTH:
        return setup_put_auth(conf, facts, b);
    case ROLE_QUEUE:
        put_queue(conf, facts, b);
        return 0;
    case ROLE_OUTBOUND:
        return put_outbound(conf, b);
    case ROLE_VERIFIER:
        return put_verifier(conf, facts, b);
    case ROLE_POLICY:
        return put_policy(conf, b);
    case ROLE_KEYS:
        if (!facts->material) return -1;
        keys_setup_put(b,
                       &(struct keys_setup){facts->material->generation, (uint32_t)facts->material->n, facts->judge});
        return 0;
    case ROLE_RESOLVER:
        if (facts->zone) zone_setup_put(b, facts->zone);
        return 0;
    case ROLE_DELIVERY:
        return put_delivery(conf, b);
    case ROLE_LOG:
        log_setup_put(b, &(struct log_setup){.syslog = conf->log.to == CONF_LOG_SYSLOG && !facts->stand_alone,
                                             .json = (conf->log.json || facts->log_json) && !facts->stand_alone,
                                             .warnings_only = facts->stand_alone,
                                             .socket = span_text(directories_syslog_name(conf))});
        return 0;
    default:
        return 0;
    }
}

/* Descriptors that a role may have open: auth and queue hold up to four for each session, the listener its sockets; a
 * session limits itself. */
static void common_limits(const struct conf *conf, enum role role, struct role_start *start) {
    start->common.files_max = start->common.file_bytes_max = start->common.memory_bytes_max = ROLE_LIMIT_NONE;
    switch (role) {
    case ROLE_AUTH:
    case ROLE_QUEUE:
    case ROLE_KEYS:
        start->common.files_max = files_limit(conf);
        break;
    case ROLE_LISTENER:
    case ROLE_POP3:
        start->common.files_max = 64 + SESSION_SOCKETS_MAX;
        break;
    case ROLE_OUTBOUND: /* a line to each agent */
        start->common.files_max = 1024 + SPAWNER_AGENTS_MAX;
        break;
    case ROLE_VERIFIER:
        start->common.files_max = 16;
        break;
    default:
        start->common.files_max = 1024;
        break;
    }
    bool writes = role == ROLE_AUTH || role == ROLE_QUEUE || role == ROLE_DELIVERY;
    if (!writes && role != ROLE_LOG) start->common.file_bytes_max = 0;
}

static int sealed_copy(struct span bytes) {
    int fd = memfd_create("setup", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -1;
    if (write(fd, bytes.p, bytes.n) != (ssize_t)bytes.n ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int setup_make(const struct conf *conf, const struct setup_facts *facts, enum role role) {
    struct role_start start = {.common.role = (uint8_t)role, .common.as_root = facts->as_root};
    uint8_t filter[8192], child_filter[2048];
    struct buf filters[2] = {BUF_OVER(filter), BUF_OVER(child_filter)};
    const char *name;
    int fd = -1;
    uint8_t *storage = malloc(2 * SETUP_BYTES_MAX);
    if (!storage) abort();
    struct buf payload = buf_over(storage, SETUP_BYTES_MAX),
               all = buf_over(storage + SETUP_BYTES_MAX, SETUP_BYTES_MAX);
    if (facts->as_root && setup_user(conf, role, &start.common.uid, &start.common.gid, &name) != 0) goto out;
    if (sandbox_filter(role, &filters[0]) != 0 || sandbox_child_filter(role, &filters[1]) != 0) goto out;
    if (put_payload(conf, facts, role, &payload) != 0 || !buf_ok(&payload)) goto out;
    common_limits(conf, role, &start);
    start.common.directory_is_empty = role != ROLE_AUTH && role != ROLE_QUEUE && role != ROLE_DELIVERY &&
                                      !(role == ROLE_LOG && conf->log.to == CONF_LOG_SYSLOG);
#ifdef GATEPOST_SANITIZED
    start.common.dumpable = 1;
    start.common.file_bytes_max = ROLE_LIMIT_NONE; /* reports go to a file */
#endif
    start.common.filter = buf_span(&filters[0]);
    start.common.child_filter = buf_span(&filters[1]);
    start.payload = buf_span(&payload);
    role_setup_put(&all, &start);
    if (buf_ok(&all)) fd = sealed_copy(buf_span(&all));
out:
    if (fd < 0) log_fault("making the setup of a role", errno);
    explicit_bzero(storage, payload.n);
    explicit_bzero(storage + SETUP_BYTES_MAX, all.n);
    free(storage);
    return fd;
}
