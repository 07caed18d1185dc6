/* test_conf.c - the configuration reader: every kind of mistake with its exact message and line, good files, units,
 * includes, and printing that can be read back.
 * Runs in: the test runner. Trusts: nothing. Never: reads the machine's own configuration. */
#include "conf/conf.h"
#include "conf/conf_reader.h"
#include "tests/unit/conf_fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(conf, .init = fixture_begin, .fini = fixture_end);

Test(conf, defaults) {
    struct conf *conf = fixture_read_good("", WITHOUT_CERTIFICATE);
    cr_expect_str_eq(conf->hostname, "mail.example.test");
    cr_expect_str_eq(conf->state_directory, "/var/lib/gatepost");
    cr_expect_str_eq(conf->postmaster, "postmaster@example.test");
    cr_expect_str_eq(conf->delivery.capture_directory, "/var/lib/gatepost/capture");
    cr_expect_str_eq(conf->recipient_delimiter, "+");
    cr_expect(conf->n_listeners == 1 && conf->listeners[0].role == CONF_LISTENER_MX && !conf->listeners[0].auth);
    cr_expect(conf->n_local_domains == 1 && conf->local_domains[0].sender_needs_auth);
    cr_expect_eq(conf->trusted_networks.n + conf->local_sender_hosts.n + conf->proxy_from.n + conf->n_relay_domains,
                 0);
    cr_expect_eq(conf->delivery.foreign, CONF_FOREIGN_REFUSE);
    cr_expect(conf->delivery.smarthost.verify && !conf->delivery.smarthost.tls_insecure_ok);
    cr_expect_eq(conf->delivery.smarthost.port, 587);
    cr_expect_eq(conf->auth.argon2_memory_bytes, UINT64_C(64) << 20);
    cr_expect_eq(conf->limits.message_bytes, UINT64_C(25) << 20);
    cr_expect_eq(conf->limits.recipients_per_message, 1000);
    cr_expect_eq(conf->timeouts.command_ms, 300000);
    cr_expect_eq(conf->timeouts.session_ms, 7200000);
    cr_expect_eq(conf->queue.n_retry, 6);
    cr_expect_eq(conf->queue.retry_ms[5], 14400000);
    cr_expect_eq(conf->queue.expire_ms, 432000000);
    cr_expect_str_eq(conf->users.mail, "_gatepost-mail");
    conf_free(conf);
}

Test(conf, times_and_sizes) {
    static const struct {
        const char *text;
        uint64_t ms;
    } times[] = {{"100ms", 100}, {"1500ms", 1500}, {"7s", 7000}, {"15m", 900000}, {"1h", 3600000}, {"60m", 3600000}};
    static const struct {
        const char *text;
        uint64_t bytes;
    } sizes[] = {{"65536B", 65536}, {"64K", 65536}, {"25M", 26214400}, {"1G", UINT64_C(1) << 30}};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char text[100];
        snprintf(text, sizeof text, "timeouts = { command = \"%s\"; };", times[i].text);
        struct conf *conf = fixture_read_good(text, 0);
        cr_expect_eq(conf->timeouts.command_ms, times[i].ms, "%s", times[i].text);
        conf_free(conf);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char text[100];
        snprintf(text, sizeof text, "limits = { message_size = \"%s\"; };", sizes[i].text);
        struct conf *conf = fixture_read_good(text, 0);
        cr_expect_eq(conf->limits.message_bytes, sizes[i].bytes, "%s", sizes[i].text);
        conf_free(conf);
    }
}

Test(conf, listeners_and_domains) {
    struct conf *conf = fixture_read_good(
        "listen = ( { role = \"submission\"; address = [ \"*:587\", \"[2001:db8::1]:2587\" ]; },\n"
        "  { role = \"mx\"; address = \"192.0.2.1:25\"; auth = true; } );\n"
        "local_domains = ( \"EXAMPLE.Test.\", { name = \"b\xc3\xbc"
        "cher.example\"; "
        "sender_needs_auth = false; } );\n"
        "relay_domains = ( { name = \"backup.example\"; recipients = [ \"A@Backup.EXAMPLE\" ]; } );\n"
        "trusted_networks = [ \"192.0.2.0/24\", \"2001:db8::/32\", \"198.51.100.7\" ];",
        WITHOUT_LISTEN | WITHOUT_DOMAIN);
    char text[NETADDR_TEXT_MAX];
    cr_assert(conf->n_listeners == 2 && conf->listeners[0].n_addresses == 3 && conf->listeners[1].n_addresses == 1);
    cr_expect_str_eq(netaddr_text_port(&conf->listeners[0].addresses[0], text), "[::]:587");
    cr_expect_str_eq(netaddr_text_port(&conf->listeners[0].addresses[1], text), "0.0.0.0:587");
    cr_expect_str_eq(netaddr_text_port(&conf->listeners[0].addresses[2], text), "[2001:db8::1]:2587");
    cr_expect(conf->listeners[0].auth && conf->listeners[1].auth);
    cr_assert_eq(conf->n_local_domains, 2);
    cr_expect_str_eq(conf->local_domains[0].name, "example.test");
    cr_expect_str_eq(conf->local_domains[1].name, "xn--bcher-kva.example");
    cr_expect(!conf->local_domains[1].sender_needs_auth);
    cr_expect_str_eq(conf->relay_domains[0].recipients.items[0], "A@backup.example");
    cr_assert_eq(conf->trusted_networks.n, 3);
    cr_expect(conf->trusted_networks.items[0].bits == 120 && conf->trusted_networks.items[2].bits == 128);
    conf_free(conf);
}

Test(conf, where_local_mail_goes) {
    struct conf *conf = fixture_read_good("", 0);
    cr_expect_str_eq(conf->delivery.local, "maildir");
    cr_expect_str_eq(conf->local_domains[0].delivery, "maildir");
    cr_expect_eq(conf_delivery_server(conf->delivery.local).n, 0);
    conf_free(conf);
    conf = fixture_read_good("delivery = { local = \"lmtp:unix:/run/dovecot/lmtp\"; };\n"
                             "local_domains = ( \"a.example\", { name = \"b.example\"; delivery = \"maildir\"; },\n"
                             " { name = \"c.example\"; delivery = \"lmtp:IMAP.B\xc3\xbc"
                             "cher.example.:024\"; },\n"
                             " { name = \"d.example\"; delivery = \"lmtp:[2001:DB8:0::1]:24\"; },\n"
                             " { name = \"e.example\"; delivery = \"lmtp:192.0.2.1:2424\"; } );",
                             WITHOUT_DOMAIN);
    static const char *const wanted[] = {"unix:/run/dovecot/lmtp", "", "imap.xn--bcher-kva.example:24",
                                         "[2001:db8::1]:24", "192.0.2.1:2424"};
    cr_assert_eq(conf->n_local_domains, 5);
    for (size_t i = 0; i < 5; i++)
        cr_expect(span_equal(conf_delivery_server(conf->local_domains[i].delivery), span_text(wanted[i])), "%s",
                  conf->local_domains[i].delivery);
    conf_free(conf);
}

Test(conf, smarthost) {
    struct conf *conf =
        fixture_read_good("delivery = { foreign = \"smarthost\"; agents = 3; smarthost = { host = \"192.0.2.9\"; "
                          "port = 465; tls = \"implicit\"; user = \"us\"; password_file = \"%D/password\"; "
                          "ca_file = \"%D/certificate.pem\"; }; };",
                          0);
    cr_expect_eq(conf->delivery.foreign, CONF_FOREIGN_SMARTHOST);
    cr_expect_str_eq(conf->delivery.smarthost.host, "192.0.2.9");
    cr_expect_eq(conf->delivery.smarthost.port, 465);
    cr_expect_eq(conf->delivery.smarthost.tls, CONF_SMARTHOST_TLS_IMPLICIT);
    conf_free(conf);
    conf_free(fixture_read_good(
        "delivery = { foreign = \"smarthost\"; smarthost = { host = \"mail.example\"; verify = false; }; };", 0));
    conf_free(fixture_read_good(
        "delivery = { foreign = \"smarthost\"; smarthost = { host = \"mail.example\"; verify = false; user = "
        "\"us\"; password_file = \"%D/password\"; tls_insecure_ok = true; }; };",
        0));
}

Test(conf, a_key_may_be_readable_by_its_group) {
    conf_free(fixture_read_good("tls = { certificates = ( { certificate_file = \"%D/certificate.pem\"; key_file = "
                                "\"%D/key-group.pem\"; } ); };",
                                WITHOUT_CERTIFICATE));
}

Test(conf, includes_keep_file_and_line) {
    static const char inner[] = "# a comment\nfailures_per_session = 9;\n\nmessages_per_session = 0;\n";
    static const char domains[] = "local_domains = [\n  \"a.example\",\n  \"b_\xff.example\"\n];\n";
    char here[4096], after[4096];
    char *messages;
    cr_assert(getcwd(here, sizeof here));
    fixture_write("limits.conf", inner, sizeof inner - 1);
    fixture_write("domains.conf", domains, sizeof domains - 1);
    struct conf *conf = fixture_read_text(
        "limits = {\n@include \"limits.conf\"\n  conections = 5;\n};\n@include \"%D/domains.conf\"\nx = 1;",
        WITHOUT_DOMAIN, &messages);
    cr_expect_null(conf);
    cr_expect_str_eq(
        messages,
        "limits.conf:4: limits.messages_per_session: 0 is outside 1 to 1000000\n"
        "t.conf:3: unknown key \"limits.conections\" (did you mean \"connections\"?)\n"
        "t.conf:6: unknown key \"x\"\n"
        "domains.conf:3: local_domains.name: \"b_\xff.example\" is not a valid international domain name\n",
        "%s", messages);
    free(messages);
    cr_assert(getcwd(after, sizeof after));
    cr_expect_str_eq(here, after);
}

Test(conf, origins_are_printed) {
    static const char inner[] = "\nfailures_per_session = 9;\n";
    fixture_write("limits.conf", inner, sizeof inner - 1);
    struct conf *conf = fixture_read_good(
        "log = { json = true; };\nlimits = {\n@include \"limits.conf\"\n};\nproxy_from = [ \"192.0.2.1\",\n"
        "  \"192.0.2.2\"\n\n];",
        0);
    char *text = fixture_print(conf, true);
    char line[200];
    snprintf(line, sizeof line, "    failures_per_session = 9; # %s/limits.conf:2\n", fixture_directory);
    cr_expect(strstr(text, line), "%s", text);
    snprintf(line, sizeof line, "    json = true; # %s/t.conf:1\n", fixture_directory);
    cr_expect(strstr(text, line), "%s", text);
    snprintf(line, sizeof line, "    \"192.0.2.1/32\", # %s/t.conf:5\n    \"192.0.2.2/32\" # %s/t.conf:6\n",
             fixture_directory, fixture_directory);
    cr_expect(strstr(text, line), "%s", text);
    cr_expect(strstr(text, "    verify = true; # default\n"));
    free(text);
    conf_free(conf);
}

Test(conf, what_is_printed_can_be_read) {
    struct conf *conf = fixture_read_good(
        "trusted_networks = [ \"192.0.2.0/24\", \"2001:db8::/32\" ]; recipient_delimiter = \"\";\n"
        "relay_domains = ( { name = \"a.example\"; recipients = [ \"x@a.example\", \"y@a.example\" ]; } );\n"
        "delivery = { foreign = \"smarthost\"; smarthost = { host = \"mail.example\"; ca_file = "
        "\"%D/certificate.pem\"; user = \"a\\\"b\\\\c\"; password_file = \"%D/password\"; }; };\n"
        "queue = { retry = \"90s\"; expire = \"36h\"; };",
        0);
    char *first = fixture_print(conf, false), *messages;
    fixture_write("t.conf", first, strlen(first));
    conf_free(conf);
    conf = fixture_read(&messages);
    cr_assert(conf, "%s", messages);
    char *second = fixture_print(conf, false);
    cr_expect_str_eq(first, second);
    cr_expect(strstr(second, "retry = [ \"90s\" ];") && strstr(second, "user = \"a\\\"b\\\\c\";"), "%s", second);
    free(first), free(second), free(messages);
    conf_free(conf);
}

Test(conf, a_file_that_is_not_there) {
    char *messages;
    struct conf *conf = fixture_read(&messages);
    cr_expect_null(conf);
    cr_expect_str_eq(messages, "t.conf: No such file or directory\n");
    free(messages);
}

Test(conf, a_nul_octet) {
    static const char text[] = "hostname = \"a\";\nlog = {\0};\n";
    char *messages;
    fixture_write("t.conf", text, sizeof text - 1);
    cr_expect_null(fixture_read(&messages));
    cr_expect_str_eq(messages, "t.conf:2: the file holds a NUL octet\n");
    free(messages);
}
