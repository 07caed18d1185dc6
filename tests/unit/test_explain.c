/* test_explain.c - explain and the live session agree; the verbs of the command line. */
#include "tests/unit/auth_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

static struct auth_fixture fixture;
static uint8_t text[1 << 18];

#define ASK(wanted, ...)                                                                                             \
    do {                                                                                                             \
        struct buf b = BUF_OVER(text);                                                                               \
        int code = auth_fixture_command(&fixture, &b, __VA_ARGS__, NULL);                                            \
        cr_assert_eq(code, wanted, "%d %s", code, (const char *)text);                                               \
    } while (0)

static void begin(void) {
    auth_fixture_setup(&fixture);
    ASK(CONTROL_OK, "user add", "login", "Alice@Example.test", "hash", auth_fixture_hash());
    ASK(CONTROL_OK, "user add", "login", "bob@example.test", "hash", auth_fixture_hash());
    ASK(CONTROL_OK, "alias add", "address", "away@example.test", "target", "x@elsewhere.example", "forward", "yes");
}

TestSuite(explain, .init = begin, .timeout = 120);

static bool said(const char *what) {
    return strstr((const char *)text, what) != NULL;
}

Test(explain, agrees_with_the_server) {
    static const char *const clients[] = {"198.51.100.7", "192.0.2.1", "192.0.2.33"};
    static const char *const senders[] = {"<>", "<carol@foreign.example>", "<bob@example.test>", "<bob@other.test>",
                                          "<bad@@example.test>"};
    static const char *const recipients[] = {"<bob@example.test>",  "<nobody@example.test>", "<x@elsewhere.example>",
                                             "<postmaster>",        "<a%b@example.test>",    "<x@[192.0.2.9]>",
                                             "<known@backup.test>", "<away@example.test>",   "<bad@@example.test>"};
    enum { N = 9 };
    static unsigned mail[3][5], rcpt[3][5][N];
    auth_fixture_start(&fixture);
    for (size_t c = 0; c < 3; c++)
        for (size_t s = 0; s < 5; s++)
            for (size_t r = 0; r < N; r++) {
                if ((c * 5 * N + s * N + r) % driver_stride()) continue;
                int session = auth_fixture_session(&fixture, getpid(), RELAY_ROLE_MX, clients[c]);
                mail[c][s] = auth_fixture_mail(session, senders[s]).reason;
                if (mail[c][s] == REASON_SENDER_ACCEPTED)
                    rcpt[c][s][r] = auth_fixture_rcpt(session, recipients[r], NULL);
                close(session);
                auth_fixture_drain(fixture.queue);
            }
    auth_fixture_stop(&fixture);
    for (size_t c = 0; c < 3; c++)
        for (size_t s = 0; s < 5; s++)
            for (size_t r = 0; r < N; r++) {
                if ((c * 5 * N + s * N + r) % driver_stride()) continue;
                char wanted[64];
                unsigned reason = mail[c][s] == REASON_SENDER_ACCEPTED ? rcpt[c][s][r] : mail[c][s];
                snprintf(wanted, sizeof wanted, "[%s]\n", reason_reply((enum reason)reason)->name);
                ASK(CONTROL_OK, "explain", "ip", clients[c], "role", "mx", "from", senders[s], "to", recipients[r]);
                const char *last = strrchr((const char *)text, '[');
                cr_expect(last && strcmp(last, wanted) == 0, "%s %s %s: %s instead of %s", clients[c], senders[s],
                          recipients[r], last ? last : "nothing", wanted);
            }
}

Test(explain, words) {
    ASK(CONTROL_OK, "explain", "ip", "2001:db8::1", "role", "submission", "auth", "alice@example.test", "from",
        "alice@example.test", "to", "x@elsewhere.example");
    cr_expect(said("relay-authenticated") && said("=> 250 2.1.5") && said("sent on to"));
    ASK(CONTROL_OK, "explain", "ip", "198.51.100.7", "role", "submission", "auth", "alice@example.test", "from",
        "bob@example.test", "to", "x@elsewhere.example");
    cr_expect(said("[sender-not-yours]") && !said("RCPT TO"));
    ASK(CONTROL_OK, "explain", "ip", "198.51.100.7", "role", "mx", "granted", "alice@example.test", "from",
        "alice@example.test", "to", "x@elsewhere.example");
    cr_expect(said("[relay-granted]"));
    ASK(CONTROL_OK, "explain", "ip", "198.51.100.7", "role", "mx", "granted", "alice@example.test", "from",
        "carol@foreign.example", "to", "x@elsewhere.example");
    cr_expect(said("[relay-denied]"), "a grant is for own addresses");
    ASK(CONTROL_OK, "explain", "ip", "198.51.100.7", "role", "mx", "from", "", "to", "bob@example.test", "json",
        "yes");
    cr_expect(said("reply\nrcpt\nlocal-recipient\ncode=250\n"));
    ASK(CONTROL_USAGE, "explain", "ip", "somewhere", "role", "mx", "from", "", "to", "bob@example.test");
    ASK(CONTROL_NOT_FOUND, "explain", "ip", "192.0.2.1", "role", "mx", "auth", "x@example.test", "from", "", "to",
        "x@y");
}

Test(explain, verbs) {
    const char *hash = auth_fixture_hash();
    ASK(CONTROL_EXISTS, "user add", "login", "alice@example.test", "hash", hash);
    ASK(CONTROL_REFUSED, "user add", "login", "alice@elsewhere.example", "hash", hash);
    cr_expect(said("alice@elsewhere.example: its domain"));
    ASK(CONTROL_REFUSED, "user add", "login", "x/y@example.test", "hash", hash);
    ASK(CONTROL_USAGE, "user add", "login", "carl@example.test", "hash", "secret-word");
    ASK(CONTROL_USAGE, "user add", "login", "carl", "hash", hash);
    ASK(CONTROL_EXISTS, "user add", "login", "away@example.test", "hash", hash);
    ASK(CONTROL_OK, "user list");
    cr_expect(said("alice@example.test") && said("bob@example.test") && !said("argon2id"));
    ASK(CONTROL_EXISTS, "alias add", "address", "bob@example.test", "target", "alice@example.test");
    ASK(CONTROL_REFUSED, "alias add", "address", "out@example.test", "target", "x@elsewhere.example");
    ASK(CONTROL_REFUSED, "alias add", "address", "x@elsewhere.example", "target", "alice@example.test");
    cr_expect(said("x@elsewhere.example: its domain"));
    ASK(CONTROL_REFUSED, "alias add", "address", "self@example.test", "target", "self@example.test");
    ASK(CONTROL_OK, "alias add", "address", "one@example.test", "target", "two@example.test");
    ASK(CONTROL_OK, "alias add", "address", "two@example.test", "target", "three@example.test");
    ASK(CONTROL_REFUSED, "alias add", "address", "three@example.test", "target", "one@example.test");
    cr_expect(said("loop"));
    ASK(CONTROL_OK, "alias add", "address", "*@other.test", "target", "bob@example.test");
    ASK(CONTROL_OK, "explain", "ip", "192.0.2.1", "role", "mx", "from", "", "to", "anybody@other.test");
    cr_expect(said("[local-recipient]"));
    ASK(CONTROL_OK, "alias list");
    cr_expect(said("*@other.test") && said("one@example.test"));
    ASK(CONTROL_OK, "alias remove", "address", "*@other.test");
    ASK(CONTROL_NOT_FOUND, "alias remove", "address", "*@other.test");
    ASK(CONTROL_OK, "sender allow", "login", "bob@example.test", "address", "*@News.example");
    ASK(CONTROL_USAGE, "sender allow", "login", "bob@example.test", "address", "news.example");
    ASK(CONTROL_OK, "user show", "login", "bob@example.test");
    cr_expect(said("*@news.example") && said("enabled=1"));
    ASK(CONTROL_OK, "sender deny", "login", "bob@example.test", "address", "*@news.example");
    ASK(CONTROL_OK, "user disable", "login", "bob@example.test");
    ASK(CONTROL_OK, "explain", "ip", "192.0.2.1", "role", "submission", "auth", "bob@example.test", "from",
        "bob@example.test", "to", "x@y.example");
    cr_expect(said("[account-suspended]"));
    ASK(CONTROL_OK, "user remove", "login", "bob@example.test");
    ASK(CONTROL_NOT_FOUND, "user remove", "login", "bob@example.test");
    ASK(CONTROL_OK, "status");
    cr_expect(said("users=1"));
    ASK(CONTROL_OK, "backup");
    ASK(CONTROL_OK, "backup");
    for (int i = 0; i < 400 && access("gatepost.db.backup", F_OK) == 0; i++) usleep(10000);
    cr_expect_neq(access("gatepost.db.backup", F_OK), 0, "it stays when who copied it has left");
    ASK(CONTROL_USAGE, "user dance");
}
