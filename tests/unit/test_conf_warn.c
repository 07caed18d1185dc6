/* test_conf_warn.c - what `gatepost check` warns of.
 * Runs in: the test runner. Trusts: nothing. Never: reads the machine's own configuration. */
#include "tests/unit/conf_fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(conf_warn, .init = fixture_begin, .fini = fixture_end);

#define TAIL                                                                                                         \
    " may send anywhere, but not with a sender of yours (local-sender-needs-auth comes first); if it does, list it " \
    "in local_sender_hosts too\n"

Test(conf_warn, trusted_networks) {
    static const struct {
        const char *text, *warnings;
        unsigned without;
    } rows[] = {
        {"", "", 0},
        {"trusted_networks = [ \"192.0.2.7\" ];\nlocal_sender_hosts = [ \"192.0.2.0/24\" ];", "", 0},
        {"trusted_networks = [ \"192.0.2.7\",\n \"192.0.2.0/28\", \"2001:db8::/48\" ];\n"
         "local_sender_hosts = [ \"192.0.2.7\", \"2001:db8::1\" ];",
         "t.conf:2: warning: trusted_networks: 192.0.2.0/28" TAIL
         "t.conf:2: warning: trusted_networks: 2001:db8::/48" TAIL,
         0},
        {"trusted_networks = [ \"192.0.2.7\" ];\nlocal_domains = ( { name = \"a.example\"; sender_needs_auth = "
         "false; } );",
         "", WITHOUT_DOMAIN},
        {"trusted_networks = [ \"192.0.2.7\" ];\nlisten = ( { role = \"submissions\"; address = \"*:465\"; } );", "",
         WITHOUT_LISTEN},
        {"grant = {\n enabled = true; };\nhooks = { users = [ \"root\" ]; };", "", 0},
        {"grant = {\n enabled = true; };",
         "t.conf:2: warning: grant.enabled: nothing tells of logins to the mail; listen as pop3s or pop3, or name in "
         "hooks.users who reports those at another server\n",
         0},
        {"grant = {\n enabled = true; };\nlisten = ( { role = \"pop3s\"; address = \"*:995\"; } );", "",
         WITHOUT_LISTEN},
        {"hooks = {\n users = [ \"root\" ]; };",
         "t.conf:2: warning: hooks.users: no reported login lets anybody send as long as grant.enabled is false\n",
         0},
        {"grant = { enabled = true; };\nhooks = { users = [ \"root\",\n \"dovecoot\" ]; };",
         "t.conf:3: warning: hooks.users: this host has no user \"dovecoot\"\n", 0},
        {"delivery = { local = \"lmtp:unix:/run/lmtp\"; };\nlisten = (\n { role = \"pop3s\"; address = \"*:995\"; } "
         ");\n"
         "local_domains = ( \"a.example\", { name = \"b.example\"; delivery = \"maildir\"; } );",
         "t.conf:3: warning: listen: by POP3 users of a.example find no mail here, as another server takes it "
         "(delivery)\n",
         WITHOUT_LISTEN | WITHOUT_DOMAIN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct conf *conf = fixture_read_good(rows[i].text, rows[i].without);
        char *text = NULL;
        size_t n = 0;
        FILE *out = open_memstream(&text, &n);
        conf_warn(conf, "t.conf", out);
        fclose(out);
        char *plain = fixture_replace(text, fixture_directory, "");
        char *wanted = fixture_replace(plain, "/t.conf", "t.conf");
        cr_expect_str_eq(wanted, rows[i].warnings, "%s\nsaid: %s", rows[i].text, wanted);
        free(wanted), free(plain), free(text);
        conf_free(conf);
    }
}
