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
