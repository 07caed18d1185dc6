/* test_conf_bad.c - every kind of mistake in a configuration, with its exact message and line.
 * Runs in: the test runner. Trusts: nothing. Never: reads the machine's own configuration. */
#include "tests/unit/conf_fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(conf_bad, .init = fixture_begin, .fini = fixture_end);

struct bad {
    const char *text;
    unsigned without;
    const char *messages; /* all lines; %D as in the text */
};

static void expect_all(const struct bad *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char *messages;
        struct conf *conf = fixture_read_text(cases[i].text, cases[i].without, &messages);
        char *wanted = fixture_replace(cases[i].messages, "%D", fixture_directory);
        cr_expect_null(conf, "accepted: %s", cases[i].text);
        cr_expect_str_eq(messages, wanted, "\n%s\nsaid:\n%swanted:\n%s", cases[i].text, messages, wanted);
        conf_free(conf);
        free(messages), free(wanted);
    }
}
#define EXPECT_ALL(cases) expect_all(cases, sizeof cases / sizeof cases[0])

static const struct bad words[] = {
    {"hostnam = \"mail.example.test\";", WITHOUT_HOST,
     "t.conf:1: unknown key \"hostnam\" (did you mean \"hostname\"?)\n"
     "t.conf: hostname: not set; give the full name of this server\n"},
    {"\n\nhsotname = \"mail.example.test\";", 0, "t.conf:3: unknown key \"hsotname\" (did you mean \"hostname\"?)\n"},
    {"nothing_like_it = 1;", 0, "t.conf:1: unknown key \"nothing_like_it\"\n"},
    {"failures_per_session = 4;", 0,
     "t.conf:1: unknown key \"failures_per_session\" (did you mean \"limits.failures_per_session\"?)\n"},
    {"limits = { failures_per_sesion = 4; };", 0,
     "t.conf:1: unknown key \"limits.failures_per_sesion\" (did you mean \"failures_per_session\"?)\n"},
    {"hooks = { user = [ \"root\" ]; };", 0, "t.conf:1: unknown key \"hooks.user\" (did you mean \"users\"?)\n"},
    {"hooks = { policy_secret = \"x\"; };", 0,
     "t.conf:1: unknown key \"hooks.policy_secret\" (did you mean \"policy_secret_file\"?)\n"},
    {"pop3 = { clear_login = true; };", 0,
     "t.conf:1: unknown key \"pop3.clear_login\" (did you mean \"clear_login_from\"?)\n"},
    {"hooks = { users = [ \"root\" ]; group = \"no-such-group\"; };", 0,
     "t.conf:1: hooks.group: this host has no group \"no-such-group\"\n"},
    {"log = { to = \"SysLog\"; };", 0,
     "t.conf:1: log.to: \"SysLog\" is none of \"stderr\", \"syslog\" (did you mean \"syslog\"?)\n"},
    {"limit = { failures_per_session = 4; };", 0, "t.conf:1: unknown key \"limit\" (did you mean \"limits\"?)\n"},
    {"delivery = {\n smarthost = {\n  hots = \"a.example\"; }; };", 0,
     "t.conf:3: unknown key \"delivery.smarthost.hots\" (did you mean \"host\"?)\n"},
    {"listen = ( { role = \"mx\";\n adress = \"*:25\"; } );", WITHOUT_LISTEN,
     "t.conf:1: listen: this group needs the key \"address\"\n"
     "t.conf:2: unknown key \"listen.adress\" (did you mean \"address\"?)\n"},
    {"log = { to = \"stder\"; };", 0,
     "t.conf:1: log.to: \"stder\" is none of \"stderr\", \"syslog\" (did you mean \"stderr\"?)\n"},
    {"listen = ( { role = \"smtp\"; address = \"*:25\"; } );", WITHOUT_LISTEN,
     "t.conf:1: listen.role: \"smtp\" is none of \"mx\", \"submission\", \"submissions\", \"pop3\", \"pop3s\"\n"},
    {"listen = ( { role = \"\"; address = \"*:25\"; } );", WITHOUT_LISTEN, "t.conf:1: listen.role: \"\" is empty\n"},
    {"log = { to = \"syslog\"; };\nlog = { json = true; };\n", 0,
     "t.conf:2: \"log\" is set twice, first at t.conf:1\n"},
    {"log = { to = \"syslog\";\n  to = \"stderr\"; };\n", 0, "t.conf:2: \"to\" is set twice, first at t.conf:1\n"},
};

static const struct bad names_told[] = {
    {"dns = { dkim_selectors = [ \"20260601\",\n \"a b\" ]; };", 0,
     "t.conf:2: dns.dkim_selectors: \"a b\" is not what may stand before ._domainkey\n"},
    {"dns = { dkim_selectors = [ \"a'; DROP\" ]; };", 0,
     "t.conf:1: dns.dkim_selectors: \"a'; DROP\" is not what may stand before ._domainkey\n"},
    {"autoconfig = { host = \"192.0.2.1\"; };", 0,
     "t.conf:1: autoconfig.host: \"192.0.2.1\" is not a domain name; it looks like an address\n"},
};

static const struct bad hooks[] = {
    {"hooks = { policy = [ \"127.0.0.1:8025\" ]; };", 0,
     "t.conf:1: hooks.policy: there is no hooks.policy_secret_file, so that any user of this host could report "
     "failures; write a secret into a file and name that\n"},
    {"hooks = { policy = [ \"127.0.0.1:8025\",\n \"192.0.2.1:8025\" ]; policy_secret_file = \"%D/key.pem\"; };", 0,
     "t.conf:2: hooks.policy: 192.0.2.1:8025 is no loopback address; Dovecot asks from this host, so use "
     "127.0.0.1\n"},
    {"hooks = { policy = \"*:8025\"; policy_secret_file = \"%D/key.pem\"; };", 0,
     "t.conf:1: hooks.policy: [::]:8025 is no loopback address; Dovecot asks from this host, so use 127.0.0.1\n"
     "t.conf:1: hooks.policy: 0.0.0.0:8025 is no loopback address; Dovecot asks from this host, so use 127.0.0.1\n"},
    {"hooks = { policy_secret_file = \"/nowhere/missing\"; };", 0,
     "t.conf:1: hooks.policy_secret_file: /nowhere/missing: No such file or directory\n"},
    {"hooks = { group = \"mail\"; };", 0,
     "t.conf:1: hooks.group: there is no hooks.users; name who may report, too\n"},
};

static const struct bad types[] = {
    {"hostname = 5;", WITHOUT_HOST, "t.conf:1: hostname: expected a text in quotes, found a whole number\n"},
    {"hostname = [ \"a.example\" ];", WITHOUT_HOST, "t.conf:1: hostname: expected a text in quotes, found a list\n"},
    {"limits = { failures_per_session = \"8\"; };", 0,
     "t.conf:1: limits.failures_per_session: expected a whole number, found a text\n"},
    {"limits = { failures_per_session = 8.5; };", 0,
     "t.conf:1: limits.failures_per_session: expected a whole number, found a number with a point\n"},
    {"log = { json = \"yes\"; };", 0, "t.conf:1: log.json: expected true or false, found a text\n"},
    {"log = \"syslog\";", 0, "t.conf:1: log: expected a group { ... }, found a text\n"},
    {"timeouts = { data = 30; };", 0,
     "t.conf:1: timeouts.data: expected a time in quotes, like \"15m\", found a whole number\n"},
    {"limits = { message_size = 1000000; };", 0,
     "t.conf:1: limits.message_size: expected a size in quotes, like \"25M\", found a whole number\n"},
    {"queue = { retry = 5; };", 0,
     "t.conf:1: queue.retry: expected a list of times like [ \"5m\", \"1h\" ], found a whole number\n"},
    {"trusted_networks = true;", 0,
     "t.conf:1: trusted_networks: expected a text in quotes, or a list of them, found true or false\n"},
    {"listen = { role = \"mx\"; };", WITHOUT_LISTEN, "t.conf:1: listen: expected a list of groups, found a group\n"},
    {"listen = (\n  \"*:25\"\n);", WITHOUT_LISTEN, "t.conf:3: listen: expected a list of groups, found a text\n"},
    {"local_domains = ( \"a.example\",\n 5,\n \"b.example\" );", WITHOUT_DOMAIN,
     "t.conf:2: local_domains: expected a list of texts or groups, found a whole number\n"},
};

static const struct bad values[] = {
    {"limits = { recipients_per_message = 99; };", 0,
     "t.conf:1: limits.recipients_per_message: 99 is outside 100 to 10000\n"},
    {"run_directory = "
     "\"/tmp/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890\";",
     0,
     "t.conf:1: run_directory: longer than 95 octets, and the address of a socket in it may not be; choose a shorter "
     "path\n"},
    {"limits = { failures_per_session = -1; };", 0,
     "t.conf:1: limits.failures_per_session: -1 is outside 1 to 1000\n"},
    /* libconfig alone would read these as 8 and as the largest number */
    {"limits = { failures_per_session = 4294967304; };", 0, "t.conf:1: 4294967304 is too large a number\n"},
    {"limits = { failures_per_session = 99999999999999999999L; };", 0,
     "t.conf:1: 99999999999999999999L is too large a number\n"
     "t.conf:1: limits.failures_per_session: 9223372036854775807 is outside 1 to 1000\n"},
    {"limits = { message_size = \"3G\"; };", 0, "t.conf:1: limits.message_size: 3G is outside 64K to 2047M\n"},
    {"limits = { message_size = \"99999999999999999999G\"; };", 0,
     "t.conf:1: limits.message_size: 99999999999999999999G is outside 64K to 2047M\n"},
    {"limits = { message_size = \"25X\"; };", 0,
     "t.conf:1: limits.message_size: \"25X\" is not a size, like \"25M\" (units B, K, M, G)\n"},
    {"limits = { message_size = \"M\"; };", 0,
     "t.conf:1: limits.message_size: \"M\" is not a size, like \"25M\" (units B, K, M, G)\n"},
    {"timeouts = { data = \"30\"; };", 0,
     "t.conf:1: timeouts.data: \"30\" is not a time, like \"15m\" (units ms, s, m, h, d, w)\n"},
    {"timeouts = { data = \"-5m\"; };", 0,
     "t.conf:1: timeouts.data: \"-5m\" is not a time, like \"15m\" (units ms, s, m, h, d, w)\n"},
    {"timeouts = { data = \"2h\"; };", 0, "t.conf:1: timeouts.data: 2h is outside 100ms to 1h\n"},
    {"auth = { argon2_memory = \"256M\"; };", 0, "t.conf:1: auth.argon2_memory: 256M is outside 19M to 64M\n"},
    {"hostname = \"\";", WITHOUT_HOST, "t.conf:1: hostname: \"\" is empty\n"},
    {"hostname = \"mail_server.\t\";", WITHOUT_HOST,
     "t.conf:1: hostname: \"mail_server.?\" holds a control character\n"},
    {"hostname = \"a..example\";", WITHOUT_HOST, "t.conf:1: hostname: \"a..example\" has an empty label\n"},
    {"hostname = \"-a.example\";", WITHOUT_HOST, "t.conf:1: hostname: \"-a.example\" is not a domain name\n"},
    {"hostname = \"192.0.2.1\";", WITHOUT_HOST,
     "t.conf:1: hostname: \"192.0.2.1\" is not a domain name; it looks like an address\n"},
    {"local_domains = [ \"a@b.example\" ];", WITHOUT_DOMAIN,
     "t.conf:1: local_domains.name: \"a@b.example\" is not a domain name\n"},
    {"postmaster = \"root\";", 0, "t.conf:1: postmaster: \"root\" is not a mail address\n"},
    {"postmaster = \"a b@example.test\";", 0, "t.conf:1: postmaster: \"a b@example.test\" is not a mail address\n"},
    {"recipient_delimiter = \"@\";", 0,
     "t.conf:1: recipient_delimiter: \"@\" is not a delimiter; write one of + - _ = # & ~ ^, or nothing\n"},
    {"state_directory = \"mail\";", 0, "t.conf:1: state_directory: \"mail\" is not an absolute path\n"},
    {"users = { session = \"root\"; };", 0,
     "t.conf:1: users.session: \"root\" must not run any part of the server\n"},
    {"users = { session = \"a:b\"; };", 0, "t.conf:1: users.session: \"a:b\" is not the name of a system user\n"},
    {"proxy_from = [\n  \"192.0.2.1\",\n  \"192.0.2.300\"\n];", 0,
     "t.conf:3: proxy_from: \"192.0.2.300\" is not a network or an address; write it like 192.0.2.0/24 or "
     "2001:db8::/32\n"},
    {"proxy_from = \"192.0.2.1/24\";", 0,
     "t.conf:1: proxy_from: \"192.0.2.1/24\" has bits set behind its length; did you mean 192.0.2.0/24?\n"},
    {"proxy_from = \"192.0.2.0/33\";", 0,
     "t.conf:1: proxy_from: \"192.0.2.0/33\" is not a network or an address; write it like 192.0.2.0/24 or "
     "2001:db8::/32\n"},
    {"listen = ( { role = \"mx\"; address = [ \"*:25\", \"mail:25\" ]; } );", WITHOUT_LISTEN,
     "t.conf:1: listen.address: \"mail:25\" is not an address with a port; write *:25, 192.0.2.1:25 or "
     "[2001:db8::1]:25\n"},
    {"listen = ( { role = \"mx\"; address = \"*:0\"; } );", WITHOUT_LISTEN,
     "t.conf:1: listen.address: \"*:0\" has port 0\n"},
};

static const struct bad syntax[] = {
    {"log = { to = \"syslog\n};", 0, "t.conf:1: the text in quotes that begins on this line is not closed on it\n"},
    {"/* a comment\nlog = { };", 0, "t.conf:1: the comment that begins here is not closed\n"},
    {"log = {\n  json = true;\n", 0, "t.conf:1: the bracket here is not closed\n"},
    {"log = {\n  json = true; );\n", 0, "t.conf:2: this ) does not close the { of line 1\n"},
    {"log = { }; };", 0, "t.conf:1: this } closes nothing\n"},
    {"x = ((((((((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))))))));", 0,
     "t.conf:1: brackets are nested too deep\n"},
    {"limits = { failures_per_session = 1; };\nlog json = true;\n", 0,
     "t.conf:2: syntax error: expected = after the key here\n"},
    {"log = { to \"syslog\"; };", 0, "t.conf:1: syntax error: expected = after the key here\n"},
    {"grant.enabled = true;", 0,
     "t.conf:1: syntax error: expected = after the key here; what manuals call group.key is written group = { key = "
     "value; };\n"},
    {"grant = { enabled = yes; };", 0,
     "t.conf:1: syntax error: expected a value (a text in quotes, a number, true or false) here\n"},
    {"log = { to = ; };", 0,
     "t.conf:1: syntax error: expected a value (a text in quotes, a number, true or false) here\n"},
    {"log = { json = true \"x\"; };", 0, "t.conf:1: syntax error: expected ; or a key here\n"},
    {"proxy_from = [ \"192.0.2.1\",\n ];", 0, "t.conf:2: syntax error: expected a value behind the comma here\n"},
    {"x = ( 1 2 );", 0, "t.conf:1: syntax error: expected a comma or the end of the list here\n"},
    {"x = ( 1; );", 0, "t.conf:1: syntax error: expected a comma or the end of the list here\n"},
    {"local_domains = [ { name = \"a.example\"; } ];", WITHOUT_DOMAIN,
     "t.conf:1: syntax error: expected ( ) in place of [ ], for a list of groups or lists here\n"},
    {"hostname = \"a\\x00b\";", WITHOUT_HOST, "t.conf:1: a text holds a NUL octet, \\x00\n"},
    {"; log = { };", 0, "t.conf:1: syntax error: expected a key here\n"},
    {"log = { };\n@ x", 0, "t.conf:2: syntax error: expected a key here\n"},
    {"proxy_from = [ \"192.0.2.1\", 5 ];", 0, "t.conf:1: mismatched element type in array, here or just before\n"},
    {"limits = { failures_per_session = 8x; };", 0, "t.conf:1: 8x is not a number\n"},
    {"limits = { failures_per_session = 8;\n};\nx =",
     WITHOUT_HOST | WITHOUT_LISTEN | WITHOUT_DOMAIN | WITHOUT_CERTIFICATE,
     "t.conf:4: syntax error: expected a value (a text in quotes, a number, true or false) here\n"},
    {"\n@include \"nowhere.conf\"", 0, "t.conf:2: cannot read nowhere.conf: No such file or directory\n"},
    {"@include \"%D\"", 0, "t.conf:1: cannot read %D: Is a directory\n"},
    {"@include \"/dev/zero\"", 0, "t.conf:1: cannot read /dev/zero: Invalid argument\n"},
    {"@include \"t.conf\"", 0, "t.conf:1: @include of t.conf within itself\n"},
    {"@include \"a\\b\"", 0, "t.conf:1: the name of an included file must not hold a backslash\n"},
};

#define OPEN_RELAY "this would be an open relay; list networks of "

static const struct bad networks[] = {
    {"trusted_networks = [\n  \"0.0.0.0/0\",\n  \"::/0\"\n];", 0,
     "t.conf:2: trusted_networks: 0.0.0.0/0 is too wide: " OPEN_RELAY "/8 or narrower\n"
     "t.conf:3: trusted_networks: ::/0 is too wide: " OPEN_RELAY "/32 or narrower\n"},
    {"trusted_networks = \"10.0.0.0/7\";", 0,
     "t.conf:1: trusted_networks: 10.0.0.0/7 is too wide: " OPEN_RELAY "/8 or narrower\n"},
    {"trusted_networks = \"2000::/31\";", 0,
     "t.conf:1: trusted_networks: 2000::/31 is too wide: " OPEN_RELAY "/32 or narrower\n"},
    {"trusted_networks = \"::ffff:0:0/96\";", 0,
     "t.conf:1: trusted_networks: \"::ffff:0:0/96\" is not a network or an address; write it like 192.0.2.0/24 or "
     "2001:db8::/32\n"},
    {"local_sender_hosts = \"0.0.0.0/0\";", 0,
     "t.conf:1: local_sender_hosts: 0.0.0.0/0 is too wide: anybody could pose as one of your users; list networks of "
     "/8 "
     "or narrower\n"},
    {"proxy_from = [ \"10.0.0.0/15\", \"2001:db8::/47\" ];", 0,
     "t.conf:1: proxy_from: 10.0.0.0/15 is too wide: whoever is in it can claim any client address; list networks of "
     "/16 "
     "or narrower\n"
     "t.conf:1: proxy_from: 2001:db8::/47 is too wide: whoever is in it can claim any client address; list networks "
     "of "
     "/48 or narrower\n"},
    {"grant = { networks = [ \"10.0.0.0/7\", \"fc00::/7\", \"fc00::/6\" ]; };", 0,
     "t.conf:1: grant.networks: 10.0.0.0/7 is too wide: no network that says nothing of who is in it is so wide; "
     "list "
     "networks of /8 or narrower\n"
     "t.conf:1: grant.networks: fc00::/6 is too wide: no network that says nothing of who is in it is so wide; list "
     "networks of /7 or narrower\n"},
    {"grant = { enabled = true; lifetime = \"4h\"; ipv6_bits = 48; users_per_address = 0; };", 0,
     "t.conf:1: grant.lifetime: 4h is outside 1s to 3h\n"
     "t.conf:1: grant.ipv6_bits: 48 is outside 56 to 128\n"
     "t.conf:1: grant.users_per_address: 0 is outside 1 to 16\n"},
};

static const struct bad listeners[] = {
    {"", WITHOUT_LISTEN, "t.conf: listen: no listener; set listen = ( { role = \"mx\"; address = \"*:25\"; } )\n"},
    {"listen = ();", WITHOUT_LISTEN,
     "t.conf:1: listen: no listener; set listen = ( { role = \"mx\"; address = \"*:25\"; } )\n"},
    {"listen = ( { role = \"mx\"; address = [ ]; } );", WITHOUT_LISTEN,
     "t.conf:1: listen.address: the list is empty\n"},
    {"listen = (\n { role = \"mx\"; address = \"*:25\"; },\n { role = \"mx\"; address = \"[::]:25\"; } );",
     WITHOUT_LISTEN, "t.conf:3: listen.address: [::]:25 is listed twice; remove one\n"},
    {"listen = (\n { role = \"submission\"; address = \"*:587\"; },\n { role = \"submissions\"; address = \"*:465\"; "
     "} );",
     WITHOUT_LISTEN | WITHOUT_CERTIFICATE,
     "t.conf:2: listen: users log in here under TLS only, and there is no certificate; set tls.certificates\n"
     "t.conf:3: listen: users log in here under TLS only, and there is no certificate; set tls.certificates\n"},
    {"listen = ( { role = \"mx\"; address = \"*:25\";\n auth = true; } );", WITHOUT_LISTEN | WITHOUT_CERTIFICATE,
     "t.conf:2: listen.auth: a mx with login needs a certificate, or passwords would cross the net in the clear; set "
     "tls.certificates, or better auth = false and a submission listener\n"},
    {"listen = ( { role = \"submission\"; address = \"*:587\"; auth = false; } );", WITHOUT_LISTEN,
     "t.conf:1: listen.auth: submission and POP3 always ask for a login; remove this, or use role \"mx\"\n"},
};

static const struct bad domains[] = {
    {"", WITHOUT_DOMAIN, "t.conf: local_domains: no domain; set local_domains = [ \"example.org\" ]\n"},
    {"local_domains = [\n  \"a.example\",\n  \"b.example\",\n  \"A.Example.\"\n];", WITHOUT_DOMAIN,
     "t.conf:4: local_domains: \"a.example\" is listed twice; remove one\n"},
    {"relay_domains = (\n { name = \"example.test\"; recipients = [ \"a@example.test\" ]; } );", 0,
     "t.conf:2: relay_domains: \"example.test\" is a local domain too; remove it from one of the two\n"},
    {"relay_domains = ( { name = \"b.example\"; recipients = [ \"a@c.example\" ]; } );", 0,
     "t.conf:1: relay_domains.recipients: \"a@c.example\" is not in b.example; put it under its own domain\n"},
    {"relay_domains = ( { name = \"b.example\"; recipients = [ ]; } );", 0,
     "t.conf:1: relay_domains.recipients: the list is empty, so nothing would be accepted; list the addresses that "
     "exist\n"},
    {"relay_domains = ( { name = \"b.example\"; } );", 0,
     "t.conf:1: relay_domains: this group needs the key \"recipients\"\n"},
    {"postmaster = \"me@elsewhere.example\";", 0,
     "t.conf:1: postmaster: \"me@elsewhere.example\" is in no local domain; name a user or alias of this server\n"},
};

#define TLS(certificate, key)                                                                                        \
    "tls = { certificates = ( {\n certificate_file = \"%D/" certificate "\";\n key_file = \"%D/" key "\"; } ); };"

static const struct bad files[] = {
    {TLS("nothing.pem", "key.pem"), WITHOUT_CERTIFICATE,
     "t.conf:2: tls.certificates.certificate_file: nothing.pem: No such file or directory\n"},
    {TLS("certificate.pem", "nothing.pem"), WITHOUT_CERTIFICATE,
     "t.conf:3: tls.certificates.key_file: nothing.pem: No such file or directory\n"},
    {TLS("certificate.pem", "key-open.pem"), WITHOUT_CERTIFICATE,
     "t.conf:3: tls.certificates.key_file: key-open.pem is open to others (mode 0644); run chmod 600 on it\n"},
    {TLS(".", "key.pem"), WITHOUT_CERTIFICATE, "t.conf:2: tls.certificates.certificate_file: . is not a file\n"},
    {"state_directory = \"%D/key.pem\";", 0, "t.conf:1: state_directory: key.pem is not a directory\n"},
    {"state_directory = \"%D/a/b\";", 0,
     "t.conf:1: state_directory: a/b cannot be made, a is missing; correct the path or make that\n"},
    {"delivery = { foreign = \"capture\";\n capture_directory = \"/nowhere-at-all/b\"; };", 0,
     "t.conf:2: delivery.capture_directory: /nowhere-at-all/b cannot be made, /nowhere-at-all is missing; correct "
     "the "
     "path or make that\n"},
};

#define SMARTHOST(rest)                                                                                              \
    "delivery = { foreign = \"smarthost\"; smarthost = {\n host = \"mail.example\"; ca_file = "                      \
    "\"%D/certificate.pem\";\n" rest "}; };"

static const struct bad smarthosts[] = {
    {"delivery = {\n foreign = \"smarthost\"; smarthost = { verify = false; }; };", 0,
     "t.conf:2: delivery.foreign: \"smarthost\" needs to know which; set delivery.smarthost.host\n"},
    {SMARTHOST("user = \"us\"; password_file = \"%D/password\";\n verify = false;"), 0,
     "t.conf:4: delivery.smarthost.verify: false would give the password to whoever answers; set ca_file to the "
     "authority "
     "of that server instead\n"},
    {SMARTHOST("user = \"us\"; password_file = \"%D/password\";\n tls = \"none\";"), 0,
     "t.conf:4: delivery.smarthost.tls: \"none\" would send the password in the clear; use \"starttls\" or "
     "\"implicit\"\n"},
    {SMARTHOST("user = \"us\"; password_file = \"%D/password-open\";"), 0,
     "t.conf:3: delivery.smarthost.password_file: password-open is open to others (mode 0604); run chmod 600 on "
     "it\n"},
    {SMARTHOST("user = \"us\"; password_file = \"%D/nothing\";"), 0,
     "t.conf:3: delivery.smarthost.password_file: nothing: No such file or directory\n"},
    {SMARTHOST("user = \"us\";"), 0,
     "t.conf:3: delivery.smarthost.user: there is no delivery.smarthost.password_file; set both or none\n"},
    {SMARTHOST("password_file = \"%D/password\";"), 0,
     "t.conf:3: delivery.smarthost.password_file: there is no delivery.smarthost.user; set both or none\n"},
    {"delivery = { foreign = \"smarthost\"; smarthost = { host = \"mail.example\"; ca_file = \"%D/nothing\"; }; };",
     0, "t.conf:1: delivery.smarthost.ca_file: nothing: No such file or directory\n"},
};

static const struct bad deliveries[] = {
    {"delivery = {\n local = \"maildr\"; };", 0,
     "t.conf:2: delivery.local: \"maildr\" is neither \"maildir\" nor an LMTP server; did you mean \"maildir\"?\n"},
    {"delivery = {\n local = \"dovecot\"; };", 0,
     "t.conf:2: delivery.local: \"dovecot\" is neither \"maildir\" nor an LMTP server like "
     "\"lmtp:unix:/run/dovecot/lmtp\" or \"lmtp:imap.example.org:24\"\n"},
    {"delivery = {\n local = \"/run/dovecot/lmtp\"; };", 0,
     "t.conf:2: delivery.local: \"/run/dovecot/lmtp\" is neither \"maildir\" nor an LMTP server; did you mean "
     "\"lmtp:unix:/run/dovecot/lmtp\"?\n"},
    {"delivery = {\n local = \"unix:/run/dovecot/lmtp\"; };", 0,
     "t.conf:2: delivery.local: \"unix:/run/dovecot/lmtp\" is neither \"maildir\" nor an LMTP server; did you mean "
     "\"lmtp:unix:/run/dovecot/lmtp\"?\n"},
    {"delivery = {\n local = \"imap.example:24\"; };", 0,
     "t.conf:2: delivery.local: \"imap.example:24\" is neither \"maildir\" nor an LMTP server; did you mean "
     "\"lmtp:imap.example:24\"?\n"},
    {"delivery = {\n local = \"lmtp:/run/dovecot/lmtp\"; };", 0,
     "t.conf:2: delivery.local: \"lmtp:/run/dovecot/lmtp\" does not say what kind of address follows; did you mean "
     "\"lmtp:unix:/run/dovecot/lmtp\"?\n"},
    {"delivery = {\n local = \"lmtp:inet:imap.example:24\"; };", 0,
     "t.conf:2: delivery.local: \"lmtp:inet:imap.example:24\" has a word too many; did you mean "
     "\"lmtp:imap.example:24\"?\n"},
    {"delivery = {\n local = \"lmtp:unix:run/dovecot/lmtp\"; };", 0,
     "t.conf:2: delivery.local: \"lmtp:unix:run/dovecot/lmtp\" names a socket by a path that is not absolute\n"},
    {"delivery = {\n local = \"lmtp:unix:/\"; };", 0, "t.conf:2: delivery.local: \"lmtp:unix:/\" names no socket\n"},
    {"delivery = {\n local = \"lmtp:imap.example\"; };", 0,
     "t.conf:2: delivery.local: \"lmtp:imap.example\" has no port; did you mean \"lmtp:imap.example:24\"?\n"},
    {"delivery = {\n local = \"lmtp:192.0.2.1\"; };", 0,
     "t.conf:2: delivery.local: \"lmtp:192.0.2.1\" has no port; did you mean \"lmtp:192.0.2.1:24\"?\n"},
    {"delivery = {\n local = \"lmtp:[2001:db8::1]\"; };", 0,
     "t.conf:2: delivery.local: \"lmtp:[2001:db8::1]\" has no port; did you mean \"lmtp:[2001:db8::1]:24\"?\n"},
    {"delivery = {\n local = \"lmtp:2001:db8::1\"; };", 0,
     "t.conf:2: delivery.local: \"lmtp:2001:db8::1\" has no port; did you mean \"lmtp:[2001:db8::1]:24\"?\n"},
    {"delivery = {\n local = \"lmtp:imap.example:25\"; };", 0,
     "t.conf:2: delivery.local: \"lmtp:imap.example:25\" has port 25, which is SMTP's (RFC 2033 5); LMTP usually has "
     "24\n"},
    {"delivery = {\n local = \"lmtp:imap.example:0\"; };", 0,
     "t.conf:2: delivery.local: \"lmtp:imap.example:0\" is not a host with a port from 1 to 65535; write "
     "lmtp:imap.example.org:24, lmtp:192.0.2.1:24, lmtp:[2001:db8::1]:24 or lmtp:unix:/run/dovecot/lmtp\n"},
    {"delivery = {\n local = \"lmtp:imap.example:65536\"; };", 0,
     "t.conf:2: delivery.local: \"lmtp:imap.example:65536\" is not a host with a port from 1 to 65535; write "
     "lmtp:imap.example.org:24, lmtp:192.0.2.1:24, lmtp:[2001:db8::1]:24 or lmtp:unix:/run/dovecot/lmtp\n"},
    {"delivery = {\n local = \"lmtp:imap..example:24\"; };", 0,
     "t.conf:2: delivery.local: \"lmtp:imap..example:24\": the host \"imap..example\" has an empty label\n"},
    {"delivery = {\n local = \"lmtp:300.0.2.1:24\"; };", 0,
     "t.conf:2: delivery.local: \"lmtp:300.0.2.1:24\": the host \"300.0.2.1\" is not a domain name; it looks like an "
     "address\n"},
    {"local_domains = ( \"a.example\",\n { name = \"b.example\";\n delivery = \"lmtp:mx\"; } );", WITHOUT_DOMAIN,
     "t.conf:3: local_domains.delivery: \"lmtp:mx\" has no port; did you mean \"lmtp:mx:24\"?\n"},
    {"delivery = {\n lokal = \"maildir\"; };", 0,
     "t.conf:2: unknown key \"delivery.lokal\" (did you mean \"local\"?)\n"},
};

static const struct bad others[] = {
    {"queue = { expire = \"1h\"; };", 0,
     "t.conf:1: queue.expire: shorter than a pause of queue.retry; raise it or shorten those\n"},
    {"queue = { retry = [ \"1h\",\n \"6d\" ]; };", 0,
     "t.conf:2: queue.retry: a pause longer than queue.expire is never reached; shorten it or raise queue.expire\n"},
    {"queue = { retry = [ ]; };", 0, "t.conf:1: queue.retry: the list is empty; give at least one pause\n"},
    {"users = { auth = \"mail\"; queue = \"mail\"; };", 0,
     "t.conf:1: users: \"mail\" would run two parts of the server, with no wall between them; give each its own "
     "user\n"},
    {"users = { session = \"_gatepost-auth\"; };", 0,
     "t.conf:1: users: \"_gatepost-auth\" would run two parts of the server, with no wall between them; give each "
     "its own "
     "user\n"},
    /* all at once, in order of line */
    {"limits = { failures_per_session = 0; };\ntrusted_networks = \"0.0.0.0/0\";\nhostnam = \"a.example\";\nlisten = "
     "( );\n"
     "timeouts = { data = 5; };",
     WITHOUT_LISTEN,
     "t.conf:1: limits.failures_per_session: 0 is outside 1 to 1000\n"
     "t.conf:2: trusted_networks: 0.0.0.0/0 is too wide: " OPEN_RELAY "/8 or narrower\n"
     "t.conf:3: unknown key \"hostnam\" (did you mean \"hostname\"?)\n"
     "t.conf:4: listen: no listener; set listen = ( { role = \"mx\"; address = \"*:25\"; } )\n"
     "t.conf:5: timeouts.data: expected a time in quotes, like \"15m\", found a whole number\n"},
};

Test(conf_bad, words) {
    EXPECT_ALL(words);
}

Test(conf_bad, names_that_programs_are_told) {
    EXPECT_ALL(names_told);
}

Test(conf_bad, hooks_of_other_servers) {
    EXPECT_ALL(hooks);
}
Test(conf_bad, types) {
    EXPECT_ALL(types);
}
Test(conf_bad, values) {
    EXPECT_ALL(values);
}
Test(conf_bad, syntax) {
    EXPECT_ALL(syntax);
}
Test(conf_bad, networks) {
    EXPECT_ALL(networks);
}
Test(conf_bad, listeners) {
    EXPECT_ALL(listeners);
}
Test(conf_bad, domains) {
    EXPECT_ALL(domains);
}
Test(conf_bad, files) {
    EXPECT_ALL(files);
}
Test(conf_bad, smarthosts) {
    EXPECT_ALL(smarthosts);
}
Test(conf_bad, deliveries) {
    EXPECT_ALL(deliveries);
}
Test(conf_bad, others) {
    EXPECT_ALL(others);
}

/* ---- more than there is room for */

static void append(FILE *out, const char *head, const char *item, size_t n, const char *tail) {
    fputs(head, out);
    for (size_t i = 0; i < n; i++) fprintf(out, "%s%s", i ? ",\n" : "", item);
    fputs(tail, out);
}

Test(conf_bad, too_many) {
    static const char certificate[] = "{ certificate_file = \"%D/certificate.pem\"; key_file = \"%D/key.pem\"; }";
    static const struct {
        const char *head, *item, *tail;
        unsigned without;
        size_t most, line; /* of the first one too many, when there is one more than `most` */
        const char *what;
    } rows[] = {
        {"tls = { certificates = (\n", certificate, " ); };\n", WITHOUT_CERTIFICATE, 32, 34, "tls.certificates: "},
        {"tls = { certificates = ( {\ncertificate_file = \"%D/certificate.pem\"; key_file = \"%D/key.pem\"; names = "
         "[\n",
         "\"a.example\"", " ]; } ); };\n", WITHOUT_CERTIFICATE, 32, 35, "tls.certificates.names: "}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t n = rows[i].most; n <= rows[i].most + 1; n++) {
            char *text, *messages, place[80];
            size_t size;
            FILE *out = open_memstream(&text, &size);
            append(out, rows[i].head, rows[i].item, n, rows[i].tail);
            fclose(out);
            struct conf *conf = fixture_read_text(text, rows[i].without, &messages);
            cr_expect_eq(conf != NULL, n == rows[i].most, "row %zu, %zu: %s", i, n, messages);
            snprintf(place, sizeof place, "t.conf:%zu: %s", rows[i].line, rows[i].what);
            if (n > rows[i].most)
                cr_expect_eq(strncmp(messages, place, strlen(place)), 0, "%s, not %s", messages, place);
            conf_free(conf);
            free(text), free(messages);
        }
}

Test(conf_bad, too_many_addresses) {
    char *text, *messages;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    fputs("listen = ( { role = \"mx\"; address = [\n", out);
    for (int port = 1; port <= 17; port++) fprintf(out, "%s\"*:%d\"", port > 1 ? ", " : "", port);
    fputs(" ]; } );\n", out);
    fclose(out);
    cr_expect_null(fixture_read_text(text, WITHOUT_LISTEN, &messages));
    cr_expect(strstr(messages, "t.conf:1: listen: more than 32 addresses"), "%s", messages);
    free(text), free(messages);
}

/* An ordinary user at another's server; root would be stopped by nothing. */
Test(conf_bad, of_another_user) {
    static const char text[] =
        "tls = { certificates = ( { certificate_file = \"%D/tls/a.pem\"; key_file = \"%D/tls/a.key\"; },\n"
        "{ certificate_file = \"%D/tls/b.pem\"; key_file = \"%D/tls/b.key\"; } ); };\n";
    char *messages, *path = NULL;
    cr_assert(asprintf(&path, "%s/tls", fixture_directory) > 0 && mkdir(path, 0) == 0);
    cr_assert_eq(chmod(fixture_directory, 0755), 0);
    conf_free(fixture_read_text(text, WITHOUT_CERTIFICATE, &messages));
    free(messages);
    if (geteuid() == 0) cr_assert_eq(seteuid(65534), 0);
    struct conf *conf = fixture_read(&messages);
    if (getuid() == 0) cr_assert_eq(seteuid(0), 0);
    cr_expect_null(conf);
    cr_expect_str_eq(messages, "t.conf:1: tls.certificates.certificate_file: tls/a.pem: Permission denied"
                               "; run gatepost as root, or as the user whose server this is\n");
    cr_assert_eq(chmod(path, 0700), 0);
    free(messages), free(path);
}
