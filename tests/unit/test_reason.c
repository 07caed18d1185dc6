/* test_reason.c - the replies of the reasons.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "auth/reason.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* What DESIGN.md 4 and the comments of auth/reason.h say of each: name, code and status. */
static const struct {
    enum reason reason;
    const char *name;
    uint16_t code;
    const char *enhanced;
} expected[] = {
    {REASON_NOT_DECIDED, "not-decided", 451, "4.3.0"},
    {REASON_MALFORMED_SENDER, "malformed-sender", 501, "5.1.7"},
    {REASON_AUTH_REQUIRED, "auth-required", 530, "5.7.0"},
    {REASON_ACCOUNT_SUSPENDED, "account-suspended", 550, "5.7.1"},
    {REASON_SENDER_NOT_YOURS, "sender-not-yours", 550, "5.7.1"},
    {REASON_OVER_QUOTA, "over-quota", 450, "4.7.1"},
    {REASON_SENDER_ACCEPTED, "sender-accepted", 250, "2.1.0"},
    {REASON_MALFORMED_RECIPIENT, "malformed-recipient", 501, "5.1.3"},
    {REASON_POSTMASTER, "postmaster", 250, "2.1.5"},
    {REASON_SECOND_ROUTING, "second-routing", 550, "5.7.1"},
    {REASON_LOCAL_SENDER_NEEDS_AUTH, "local-sender-needs-auth", 550, "5.7.1"},
    {REASON_LOCAL_RECIPIENT, "local-recipient", 250, "2.1.5"},
    {REASON_RELAY_ALIAS, "relay-alias", 250, "2.1.5"},
    {REASON_UNKNOWN_RECIPIENT, "unknown-recipient", 550, "5.1.1"},
    {REASON_FOREIGN_LITERAL, "foreign-literal", 550, "5.1.2"},
    {REASON_RELAY_AUTHENTICATED, "relay-authenticated", 250, "2.1.5"},
    {REASON_RELAY_GRANTED, "relay-granted", 250, "2.1.5"},
    {REASON_RELAY_DOMAIN, "relay-domain", 250, "2.1.5"},
    {REASON_RELAY_TRUSTED, "relay-trusted", 250, "2.1.5"},
    {REASON_RELAY_DENIED, "relay-denied", 550, "5.7.1"},
    {REASON_BAD_PARAMETER, "bad-parameter", 501, "5.5.4"},
    {REASON_UNKNOWN_PARAMETER, "unknown-parameter", 555, "5.5.4"},
    {REASON_UTF8_NOT_DECLARED, "utf8-not-declared", 553, "5.6.7"},
    {REASON_TOO_MANY_RECIPIENTS, "too-many-recipients", 452, "4.5.3"},
    {REASON_TOO_MANY_MESSAGES, "too-many-messages", 421, "4.7.0"},
    {REASON_TOO_MANY_FAILURES, "too-many-failures", 421, "4.7.0"},
    {REASON_TOO_MANY_CONNECTIONS, "too-many-connections", 421, "4.7.0"},
    {REASON_SERVER_BUSY, "server-busy", 421, "4.3.2"},
    {REASON_MESSAGE_TOO_LARGE, "message-too-large", 552, "5.3.4"},
    {REASON_STORAGE_FULL, "storage-full", 452, "4.3.1"},
    {REASON_STORAGE_FAULT, "storage-fault", 451, "4.3.0"},
    {REASON_MAIL_LOOP, "mail-loop", 554, "5.4.6"},
    {REASON_RELAY_LOCAL, "relay-local", 250, "2.1.5"},
    {REASON_TOO_MANY_FAILED_LOGINS, "too-many-failed-logins", 421, "4.7.0"},
    {REASON_FROM_MALFORMED, "from-malformed", 550, "5.7.1"},
    {REASON_FROM_NOT_YOURS, "from-not-yours", 550, "5.7.1"},
};

Test(test_reason, every_reason_has_the_reply_that_the_design_names) {
    cr_assert_eq(sizeof expected / sizeof *expected, (size_t)REASON_COUNT);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const struct reason_reply *reply = reason_reply(expected[i].reason);
        cr_expect_str_eq(reply->name, expected[i].name);
        cr_expect_eq(reply->code, expected[i].code, "%s", expected[i].name);
        cr_expect_str_eq(reply->enhanced, expected[i].enhanced, "%s", expected[i].name);
    }
}

/* A status's class is the code's (RFC 2034 4); only 2xx accepts. */
Test(test_reason, classes_agree) {
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        const struct reason_reply *reply = reason_reply((enum reason)i);
        cr_expect_eq(reply->enhanced[0] - '0', reply->code / 100, "%s", reply->name);
        cr_expect_eq(reply->accepts, reply->code < 300, "%s", reply->name);
    }
}

/* "code status text (name)" is one reply line of at most 512 octets, RFC 5321 4.5.3.1.5. */
Test(test_reason, texts_fit_a_reply_line) {
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        const struct reason_reply *reply = reason_reply((enum reason)i);
        cr_expect_leq(strlen(reply->text) + strlen(reply->name) + 20, (size_t)300, "%s", reply->name);
        cr_expect_gt(strlen(reply->text), (size_t)8, "%s", reply->name);
        for (const char *c = reply->text; *c; c++) cr_expect(*c >= ' ' && *c <= '~', "%s", reply->name);
        for (const char *c = reply->name; *c; c++)
            cr_expect((*c >= 'a' && *c <= 'z') || *c == '-' || *c == '8', "%s", reply->name);
    }
}

Test(test_reason, no_two_share_a_name) {
    for (unsigned i = 0; i < REASON_COUNT; i++)
        for (unsigned j = 0; j < i; j++)
            cr_expect_str_neq(reason_reply((enum reason)i)->name, reason_reply((enum reason)j)->name);
}

Test(test_reason, unknown_numbers_refuse) {
    cr_expect_eq(reason_reply(REASON_COUNT), reason_reply(REASON_NOT_DECIDED));
    cr_expect_eq(reason_reply((enum reason)99999), reason_reply(REASON_NOT_DECIDED));
    cr_expect_not(reason_reply((enum reason)99999)->accepts);
}

Test(test_reason, refusals_say_what_helps) {
    cr_expect(strstr(reason_reply(REASON_RELAY_DENIED)->text, "My outgoing server requires authentication"));
    cr_expect(strstr(reason_reply(REASON_AUTH_REQUIRED)->text, "My outgoing server requires authentication"));
}
