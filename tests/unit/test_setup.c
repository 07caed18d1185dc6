/* test_setup.c - what each role is handed: all that it needs, and no secret that is another's.
 * Runs in: the test runner. Trusts: nothing. Never: prints a secret. */
#include "server/process/setup.h"

#include "auth/auth_setup.h"
#include "auth/relay.h"
#include "server/inbound/session_setup.h"
#include "server/outbound/outbound_setup.h"
#include "server/process/nt_key.h"
#include "store/log.h"
#include "store/log_setup.h"
#include "store/queue_setup.h"
#include "tests/unit/conf_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Valgrind does not know the call by which libseccomp asks what the kernel can; filters are only made here. */
__attribute__((constructor)) static void say_what_the_kernel_can(void) {
    if (getenv("GATEPOST_THIN")) (void)seccomp_api_set(6);
}

#define PASSWORD "hunter2-of-the-smarthost"
#define SECRET "SwordfishSwordfish"
#define CERTIFICATE "this stands for a certificate\n"
#define KEY "this stands for a private key\n"

static const char text[] =
    "hostname = \"mx.example.test\";\n"
    "listen = ( { role = \"mx\"; address = \"127.0.0.1:25\"; },\n"
    "           { role = \"submission\"; address = [ \"127.0.0.1:587\", \"[::1]:587\" ]; },\n"
    "           { role = \"submissions\"; address = \"127.0.0.1:465\"; } );\n"
    "local_domains = ( \"example.test\", { name = \"b.example\"; delivery = \"lmtp:imap.example:24\"; }, "
    "\"a.example\" "
    ");\n"
    "relay_domains = ( { name = \"backup.example\"; recipients = [ \"x@backup.example\", \"y@backup.example\" ]; } "
    ");\n"
    "trusted_networks = [ \"192.0.2.0/24\" ];\n"
    "proxy_from = [ \"198.51.100.1\" ];\n"
    "postmaster = \"alice@example.test\";\n"
    "tls = { certificates = ( { certificate_file = \"%D/certificate.pem\"; key_file = \"%D/key.pem\";\n"
    "                           names = [ \"mx.example.test\" ]; } ); };\n"
    "delivery = { foreign = \"smarthost\"; agents = 7; smarthost = { host = \"relay.example\"; port = 587;\n"
    "             user = \"us\"; password_file = \"%D/password\"; }; };\n"
    "hooks = { users = [ \"root\", \"no-such-user\" ]; policy = \"127.0.0.1:8025\"; "
    "policy_secret_file = \"%D/secret\"; };\n";

static struct conf *conf;
static struct material material;
static struct setup_facts facts = {
    .material = &material, .verifier_keys = {"0123456789abcdef0123456789abcde", "seal of tags", "seal of passwords"}};
static struct span memory;
static struct role_start start;

static void begin(void) {
    char *messages;
    fixture_begin();
    log_use(open("/dev/null", O_WRONLY));
    fixture_write("password", PASSWORD "\r\nanother line\n", sizeof PASSWORD "\r\nanother line\n" - 1);
    fixture_write("secret", SECRET "\n", sizeof SECRET);
    fixture_write("certificate.pem", CERTIFICATE, sizeof CERTIFICATE - 1);
    fixture_write("key.pem", KEY, sizeof KEY - 1);
    fixture_write("t.conf", text, sizeof text - 1);
    conf = fixture_read(&messages);
    cr_assert(conf, "%s", messages);
    free(messages);
    cr_assert_eq(material_read(&material, conf, 42, stderr), 0);
}

static void end(void) {
    material_close(&material);
    conf_free(conf);
    fixture_end();
}

TestSuite(test_setup, .init = begin, .fini = end);

static int make(enum role role) {
    int fd = setup_make(conf, &facts, role);
    struct stat status;
    cr_assert(fd >= 0 && fstat(fd, &status) == 0, "%s", role_name(role));
    memory = span_of(mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0), (size_t)status.st_size);
    cr_assert_neq(memory.p, MAP_FAILED);
    return fd;
}

/* As a child reads it: role_receive over descriptor 3 is tested in test_role.c; here the fields in its order. */
static void receive(enum role role) {
    close(make(role));
    struct wire w = wire_over(memory);
    start = (struct role_start){0};
    start.common.role = wire_get_u8(&w);
    start.common.as_root = wire_get_u8(&w);
    start.common.directory_is_empty = wire_get_u8(&w);
    start.common.dumpable = wire_get_u8(&w);
    start.common.uid = wire_get_u32(&w);
    start.common.gid = wire_get_u32(&w);
    start.common.files_max = wire_get_u64(&w);
    start.common.file_bytes_max = wire_get_u64(&w);
    start.common.memory_bytes_max = wire_get_u64(&w);
    start.common.filter = wire_get_span(&w, FRAME_MAX);
    start.common.child_filter = wire_get_span(&w, FRAME_MAX);
    start.payload = wire_get_span(&w, SIZE_MAX);
    cr_assert(wire_end(&w));
    cr_expect_eq(start.common.role, role);
}

static bool holds(struct span haystack, struct span needle) {
    return memmem(haystack.p, haystack.n, needle.p, needle.n) != NULL;
}

/* ---- secrets */

Test(test_setup, secrets_only_where_they_are_needed) {
    static const enum role roles[] = {ROLE_LISTENER, ROLE_AUTH,     ROLE_VERIFIER, ROLE_KEYS, ROLE_QUEUE,
                                      ROLE_DELIVERY, ROLE_OUTBOUND, ROLE_RESOLVER, ROLE_LOG,  ROLE_POLICY};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        receive(roles[i]);
        cr_expect_eq(holds(memory, SPAN(SECRET)), roles[i] == ROLE_POLICY, "secret, %s", role_name(roles[i]));
        cr_expect_eq(holds(memory, SPAN(PASSWORD)), roles[i] == ROLE_OUTBOUND, "password, %s", role_name(roles[i]));
        cr_expect_eq(holds(memory, span_of(facts.verifier_keys.seal, 32)), roles[i] == ROLE_VERIFIER, "seal, %s",
                     role_name(roles[i]));
        cr_expect_not(holds(memory, SPAN("private key")), "keys go as descriptors, %s", role_name(roles[i]));
        cr_expect_not(holds(memory, SPAN("key.pem")), "nor their names, %s", role_name(roles[i]));
        cr_expect_eq(holds(memory, SPAN(CERTIFICATE)), roles[i] == ROLE_LISTENER, "%s", role_name(roles[i]));
    }
}

Test(test_setup, a_policy_secret_that_could_be_guessed_is_none) {
    fixture_write("secret", "short\n", 6);
    cr_expect_eq(setup_make(conf, &facts, ROLE_POLICY), -1);
    fixture_write("secret", "", 0);
    cr_expect_eq(setup_make(conf, &facts, ROLE_POLICY), -1);
}

Test(test_setup, who_may_report_logins) {
    struct auth_setup setup;
    receive(ROLE_AUTH);
    cr_assert_eq(auth_setup_get(&setup, start.payload), 0);
    cr_expect_eq(setup.n_reporters, 1, "who is not there may not");
    cr_expect_eq(setup.reporters[0], 0);
    auth_setup_free(&setup);
}

Test(test_setup, nobody_can_change_it_any_more) {
    int fd = make(ROLE_AUTH);
    int seals = fcntl(fd, F_GET_SEALS);
    cr_expect_eq(seals & (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL),
                 F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    cr_expect_eq(pwrite(fd, "x", 1, 0), -1);
    cr_expect_eq(mmap(NULL, 1, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

/* ---- what each one reads */

Test(test_setup, of_the_listener) {
    struct session_setup setup;
    receive(ROLE_LISTENER);
    cr_assert_eq(session_setup_get(&setup, start.payload), 0);
    cr_expect(span_equal(setup.hostname, SPAN("mx.example.test")));
    static const uint8_t roles[] = {RELAY_ROLE_MX, RELAY_ROLE_SUBMISSION, RELAY_ROLE_SUBMISSION,
                                    RELAY_ROLE_SUBMISSIONS};
    cr_assert_eq(setup.n_sockets, 4u);
    for (size_t i = 0; i < 4; i++) {
        cr_expect_eq(setup.sockets[i].role, roles[i]);
        cr_expect_eq(setup.sockets[i].auth, roles[i] != RELAY_ROLE_MX);
    }
    cr_assert_eq(setup.n_certificates, 1u);
    cr_expect(span_equal(setup.certificates[0].chain_pem, SPAN(CERTIFICATE)));
    cr_expect(setup.certificates[0].n_names == 1 &&
              span_equal(setup.certificates[0].names[0], SPAN("mx.example.test")));
    static const char *const domains[] = {"a.example", "b.example", "example.test"};
    cr_assert_eq(setup.n_local_domains, 3u);
    for (size_t i = 0; i < 3; i++) cr_expect(span_equal(setup.local_domains[i], span_text(domains[i])), "sorted");
    cr_expect(setup.n_relay_domains == 1 && span_equal(setup.relay_domains[0], SPAN("backup.example")));
    cr_expect_eq(setup.n_proxy_from, 1u);
    cr_expect_eq(setup.message_bytes, conf->limits.message_bytes);
    cr_expect_eq(setup.connections, conf->limits.connections);
    cr_expect_eq(setup.shutdown_ms, conf->timeouts.shutdown_ms);
    cr_expect(start.common.directory_is_empty && start.common.filter.n);
    cr_expect_eq(start.common.child_filter.n, 0u, "its own is its sessions' too");
    cr_expect_eq(start.common.files_max, (uint64_t)96);
    free(setup.proxy_from), free(setup.local_domains), free(setup.relay_domains);
#ifndef GATEPOST_SANITIZED
    cr_expect_eq(start.common.file_bytes_max, (uint64_t)0);
#endif
}

Test(test_setup, of_auth) {
    struct auth_setup setup;
    receive(ROLE_AUTH);
    cr_assert_eq(auth_setup_get(&setup, start.payload), 0);
    cr_expect_eq(setup.foreign, DESTINATION_SMARTHOST);
    cr_assert_eq(setup.n_local_domains, 3u);
    cr_expect(span_equal(setup.local_domains[0].name, SPAN("a.example")) && setup.local_domains[0].sender_needs_auth);
    cr_expect(setup.local_domains[0].lmtp.n == 0 && span_equal(setup.local_domains[1].lmtp, SPAN("imap.example:24")));
    cr_assert(setup.n_relay_domains == 1 && setup.relay_domains[0].n == 2 && setup.n_relay_recipients == 2);
    cr_expect(span_equal(setup.relay_recipients[setup.relay_domains[0].first], SPAN("x@backup.example")));
    cr_expect_eq(setup.n_trusted_networks, 1u);
    cr_expect(span_equal(setup.postmaster, SPAN("alice@example.test")));
    cr_expect(setup.verifiers >= 1 && setup.verifiers == setup_verifiers(conf) && !setup.mx_auth &&
              !setup.stand_alone);
    cr_expect_geq(start.common.files_max, 4 * (uint64_t)conf->limits.connections);
    cr_expect_eq(start.common.directory_is_empty, 0);
    cr_expect(span_equal(setup.local_domain, SPAN("example.test")) && setup.local_relay);
    cr_assert_geq(setup.n_system_users, 1u);
    cr_expect(setup.system_users[0].uid == 0 && span_equal(setup.system_users[0].name, SPAN("root")) &&
              setup.system_users[0].trusted);
    auth_setup_free(&setup);
}

Test(test_setup, of_the_others) {
    struct queue_setup queue;
    struct outbound_setup outbound;
    struct delivery_setup delivery;
    struct verifier_setup verifier;
    struct keys_setup keys;
    struct log_setup log;
    receive(ROLE_QUEUE);
    cr_assert_eq(queue_setup_get(&queue, start.payload), 0);
    cr_expect(queue.n_retry == conf->queue.n_retry && queue.retry_ms[0] == conf->queue.retry_ms[0]);
    cr_expect(queue.agents_max == 7 && queue.sessions_max == conf->limits.connections);
    cr_expect_geq(start.common.files_max, 4 * (uint64_t)conf->limits.connections);
    receive(ROLE_OUTBOUND);
    cr_assert_eq(outbound_setup_get(&outbound, start.payload), 0);
    cr_expect(span_equal(secret_span(&outbound.password), SPAN(PASSWORD)), "the first line, without its end");
    cr_expect(span_equal(outbound.host, SPAN("relay.example")) && outbound.port == 587 && outbound.verify == 1);
    cr_expect(span_equal(outbound.user, SPAN("us")) && outbound.tls == SMARTHOST_TLS_STARTTLS);
    receive(ROLE_DELIVERY);
    cr_assert_eq(delivery_setup_get(&delivery, start.payload), 0);
    cr_expect(delivery.agents_max == 14 && !start.common.directory_is_empty && start.common.child_filter.n);
    cr_expect(delivery.mailboxes_max == conf->limits.connections && delivery.mailbox_filter.n);
    receive(ROLE_VERIFIER);
    cr_assert_eq(verifier_setup_get(&verifier, start.payload), 0);
    cr_expect_eq(memcmp(&verifier.keys, &facts.verifier_keys, sizeof verifier.keys), 0);
    cr_expect_eq(verifier.argon2_passes, conf->auth.argon2_passes);
    cr_expect(!verifier.ntlm && span_equal(verifier.hostname, SPAN("mx.example.test")));
    receive(ROLE_KEYS);
    cr_assert_eq(keys_setup_get(&keys, start.payload), 0);
    cr_expect(keys.generation == 42 && keys.n == 1);
    receive(ROLE_LOG);
    cr_assert_eq(log_setup_get(&log, start.payload), 0);
    cr_expect(!log.json && !log.syslog);
    facts.log_json = true;
    receive(ROLE_LOG);
    cr_expect(log_setup_get(&log, start.payload) == 0 && log.json);
}

/* The key of NT hashes is made when it is wanted, and handed to those alone who open hashes. */
Test(test_setup, key_of_nt_hashes) {
    static const uint8_t none[NT_KEY_BYTES];
    struct verifier_setup verifier;
    uint8_t key[NT_KEY_BYTES];
    char directory[128], path[160];
    snprintf(directory, sizeof directory, "%s/auth", fixture_directory);
    snprintf(path, sizeof path, "%s/" NT_KEY_FILE, directory);
    conf->auth.ntlm = true;
    free(conf->state_directory);
    conf->state_directory = strdup(fixture_directory);
    cr_expect_eq(setup_make(conf, &facts, ROLE_VERIFIER), -1, "no directory for it");
    cr_assert_eq(mkdir(directory, 0711), 0);
    receive(ROLE_VERIFIER);
    cr_assert_eq(verifier_setup_get(&verifier, start.payload), 0);
    cr_assert_eq(nt_key_get(conf, key), 0);
    cr_expect(verifier.ntlm == 1 && memcmp(verifier.nt_key, key, sizeof key) == 0);
    static const enum role others[] = {ROLE_AUTH, ROLE_QUEUE, ROLE_LISTENER, ROLE_OUTBOUND, ROLE_DELIVERY};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        receive(others[i]);
        cr_expect_null(memmem(memory.p, memory.n, key, sizeof key), "%zu", i);
    }
    conf->auth.ntlm = false;
    receive(ROLE_VERIFIER);
    cr_assert_eq(verifier_setup_get(&verifier, start.payload), 0);
    cr_expect_arr_eq(verifier.nt_key, none, sizeof none, "not wanted, not handed out");
    cr_expect_eq(remove(path), 0);
    cr_expect_eq(rmdir(directory), 0);
}

Test(test_setup, a_missing_file_is_no_setup) {
    char path[128];
    snprintf(path, sizeof path, "%s/password", fixture_directory);
    unlink(path);
    cr_expect_eq(setup_make(conf, &facts, ROLE_OUTBOUND), -1);
    cr_expect_geq(setup_make(conf, &facts, ROLE_AUTH), 0);
}

/* ---- certificates and keys outlive their files */

static void overwrite(const char *name, const char *octets) {
    fixture_write(name, octets, strlen(octets));
}

Test(test_setup, what_was_read_stays) {
    struct session_setup setup;
    char key[64];
    overwrite("certificate.pem", "broken");
    overwrite("key.pem", "broken");
    receive(ROLE_LISTENER);
    cr_assert_eq(session_setup_get(&setup, start.payload), 0);
    cr_expect(setup.n_certificates == 1 && span_equal(setup.certificates[0].chain_pem, SPAN(CERTIFICATE)));
    free(setup.proxy_from), free(setup.local_domains), free(setup.relay_domains);
    cr_expect_eq(pread(material.pairs[0].key, key, sizeof key, 0), (ssize_t)sizeof KEY - 1);
    cr_expect_eq(memcmp(key, KEY, sizeof KEY - 1), 0);
    for (int i = 0; i < 2; i++) {
        int fd = i ? material.pairs[0].key : material.pairs[0].certificate;
        cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        cr_expect_eq(fcntl(fd, F_GET_SEALS), F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    }
}

Test(test_setup, what_cannot_be_read_is_not_held) {
    static const char *const files[] = {"certificate.pem", "key.pem"};
    for (size_t i = 0; i < 2; i++) {
        struct material other;
        char path[128], aside[140], *said = NULL;
        size_t size;
        FILE *errors = open_memstream(&said, &size);
        snprintf(path, sizeof path, "%s/%s", fixture_directory, files[i]);
        snprintf(aside, sizeof aside, "%s.aside", path);
        cr_assert_eq(rename(path, aside), 0);
        cr_expect_eq(material_read(&other, conf, 1, errors), -1);
        fclose(errors);
        cr_expect(strstr(said, files[i]), "%s", said);
        cr_expect(other.n == 0 && other.generation == 0);
        cr_assert_eq(rename(aside, path), 0);
        free(said);
    }
    char *large = calloc(1, (1 << 20) + 2);
    struct material other;
    memset(large, 'x', (1 << 20) + 1);
    overwrite("key.pem", large);
    cr_expect_eq(material_read(&other, conf, 1, fopen("/dev/null", "w")), -1);
    free(large);
}

Test(test_setup, as_root_every_role_needs_its_user) {
    const char *name;
    uint32_t uid, gid;
    free(conf->users.queue), conf->users.queue = strdup("no-such-user");
    free(conf->users.auth), conf->users.auth = strdup("root");
    free(conf->users.keys), conf->users.keys = strdup("daemon");
    cr_expect_eq(setup_user(conf, ROLE_QUEUE, &uid, &gid, &name), -1);
    cr_expect_str_eq(name, "no-such-user");
    cr_expect_eq(setup_user(conf, ROLE_AUTH, &uid, &gid, &name), -1);
    cr_expect_eq(setup_user(conf, ROLE_MASTER, &uid, &gid, &name), -1);
    facts.as_root = true;
    cr_expect_eq(setup_make(conf, &facts, ROLE_QUEUE), -1);
    receive(ROLE_KEYS);
    cr_expect(start.common.as_root && start.common.uid == 1 && start.common.gid == 1);
}
