/* test_facts.c - expansion, classes of recipients, sender rights. */
#include "auth/facts.h"
#include "auth/postmaster.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct auth_domain locals[] = {{SPAN("example.test"), 1, 0, {0}}, {SPAN("xn--bcher-kva.example"), 1, 0, {0}}};
static struct auth_system_user system_users[] = {{0, SPAN("root"), {0}, 1},
                                                 {33, SPAN("www-data"), {0}, 0},
                                                 {1000, SPAN("alice"), {0}, 0},
                                                 {1001, SPAN("web"), SPAN("bob@example.test"), 0},
                                                 {1002, SPAN("lost"), SPAN("gone@example.test"), 0},
                                                 {1003, SPAN("no name"), {0}, 0},
                                                 {33, SPAN("second-of-33"), {0}, 1}};
static struct auth_setup setup = {.recipient_delimiter = SPAN("+"),
                                  .postmaster = SPAN("alice@example.test"),
                                  .local_domains = locals,
                                  .n_local_domains = 2,
                                  .foreign = DESTINATION_SMARTHOST,
                                  .local_domain = SPAN("example.test"),
                                  .local_relay = 1,
                                  .quota = {{{100, 100}, {100, 100}}, 0},
                                  .system_users = system_users,
                                  .n_system_users = sizeof system_users / sizeof *system_users};
static struct quota quota;
static struct house house = {NULL, &setup, &quota, NULL};
static struct expansion ends;

static void alias(const char *address, const char *target, bool forward) {
    cr_assert_eq(account_alias_add(house.db, span_text(address), span_text(target), forward), ACCOUNT_CHANGED);
}

static void begin(void) {
    scratch_enter();
    static const uint8_t salt[ACCOUNT_SALT_BYTES];
    cr_assert_not_null(house.db = database_open("gatepost.db", DATABASE_ACCOUNTS));
    cr_assert_eq(quota_open(&quota, house.db, &setup.quota), 0);
    cr_assert_eq(account_add(house.db, SPAN("alice@example.test"), salt, NULL), ACCOUNT_CHANGED);
    cr_assert_eq(account_add(house.db, SPAN("bob@example.test"), salt, NULL), ACCOUNT_CHANGED);
    cr_assert_eq(account_add(house.db, SPAN("carl@xn--bcher-kva.example"), salt, NULL), ACCOUNT_CHANGED);
    alias("team@example.test", "alice@example.test", false);
    alias("team@example.test", "bob@example.test", false);
    alias("all@example.test", "team@example.test", false);
    alias("all@example.test", "alice+x@example.test", false);
    alias("away@example.test", "alice@elsewhere.example", true);
    alias("was-ours@example.test", "alice@elsewhere.example", false);
    alias("dangling@example.test", "nobody@example.test", false);
    alias("ring@example.test", "ring2@example.test", false);
    alias("ring2@example.test", "ring@example.test", false);
    alias("odd%one@example.test", "bob@example.test", false);
    alias("*@xn--bcher-kva.example", "bob@example.test", false);
}

static void end(void) {
    quota_close(&quota);
    database_close(house.db);
}

TestSuite(facts, .init = begin, .fini = end, .timeout = 60);

static const struct facts_client stranger = {.role = RELAY_ROLE_MX};

static void users(struct buf *b) {
    for (size_t i = 0; i < ends.n; i++) {
        if (ends.entries[i].kind == DESTINATION_NONE) continue;
        if (ends.entries[i].login_n)
            buf_put_span(b, span_of(ends.entries[i].login,
                                    span_find(span_of(ends.entries[i].login, ends.entries[i].login_n), '@')));
        else
            buf_put_span(b, span_of(ends.entries[i].address, ends.entries[i].address_n));
        buf_put_octet(b, ' ');
    }
}

Test(facts, recipients) {
    static const struct {
        const char *argument;
        enum relay_recipient recipient;
        const char *users;
    } rows[] = {
        {"<Alice@example.test>", RECIPIENT_LOCAL, "alice "},
        {"<\"alice\"@example.test>", RECIPIENT_LOCAL, "alice "},
        {"<alice+tag@example.test>", RECIPIENT_LOCAL, "alice "},
        {"<+alice@example.test>", RECIPIENT_NOBODY, ""},
        {"<\"alice+tag\"@example.test>", RECIPIENT_LOCAL, "alice "},
        {"<\"alice +tag\"@example.test>", RECIPIENT_NOBODY, ""},
        {"<team@example.test>", RECIPIENT_LOCAL, "alice bob "},
        {"<team+x@example.test>", RECIPIENT_LOCAL, "alice bob "},
        {"<all@example.test>", RECIPIENT_LOCAL, "alice bob "},
        {"<away@example.test>", RECIPIENT_FORWARD, "alice@elsewhere.example "},
        {"<was-ours@example.test>", RECIPIENT_NOBODY, ""},
        {"<dangling@example.test>", RECIPIENT_NOBODY, ""},
        {"<ring@example.test>", RECIPIENT_NOBODY, ""},
        {"<nobody@example.test>", RECIPIENT_NOBODY, ""},
        {"<x%y@example.test>", RECIPIENT_SECOND_ROUTING, ""},
        {"<x!y@example.test>", RECIPIENT_SECOND_ROUTING, ""},
        {"<odd%one@example.test>", RECIPIENT_LOCAL, "bob "},
        {"<carl@b\xc3\xbc"
         "cher.example>",
         RECIPIENT_LOCAL, "carl "},
        {"<carl@B\xc3\x9c"
         "CHER.example>",
         RECIPIENT_LOCAL, "carl "},
        {"<anyone@XN--BCHER-KVA.example>", RECIPIENT_LOCAL, "bob "},
        {"<x%y@xn--bcher-kva.example>", RECIPIENT_SECOND_ROUTING, ""},
        {"<postmaster>", RECIPIENT_POSTMASTER, "alice "},
        {"<PostMaster@example.test>", RECIPIENT_POSTMASTER, "alice "},
        {"<alice@example.test.>", RECIPIENT_LOCAL, "alice "},
        {"<alice@sub.example.test>", RECIPIENT_FOREIGN, "alice@sub.example.test "},
        {"<a%b@elsewhere.example>", RECIPIENT_FOREIGN, "a%b@elsewhere.example "},
        {"<Alice@Elsewhere.Example>", RECIPIENT_FOREIGN, "Alice@elsewhere.example "},
        {"<\"alice@example.test\"@elsewhere.example>", RECIPIENT_FOREIGN,
         "\"alice@example.test\"@elsewhere.example "},
        {"<alice@[127.0.0.1]>", RECIPIENT_LITERAL, ""},
        {"<alice@example.test@elsewhere.example>", RECIPIENT_MALFORMED, ""},
        {"<>", RECIPIENT_MALFORMED, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t storage[1024];
        struct buf b = BUF_OVER(storage);
        struct facts_sender sender;
        struct facts_recipient recipient;
        cr_assert_eq(facts_mail(&house, &stranger, SPAN("<>"), &sender), REASON_SENDER_ACCEPTED);
        (void)!facts_rcpt(&house, &sender.facts, span_text(rows[i].argument), &recipient, &ends);
        cr_expect_eq(sender.facts.recipient, rows[i].recipient, "%s: %d", rows[i].argument, sender.facts.recipient);
        users(&b);
        cr_expect(span_equal(buf_span(&b), span_text(rows[i].users)), "%s: %.*s", rows[i].argument, (int)b.n,
                  storage);
    }
}

/* The address that an LMTP server is told is the mailbox's, whatever the written one was; and ASCII in its domain. */
Test(facts, the_way_by_lmtp) {
    static const struct {
        const char *argument, *destination, *addresses;
    } rows[] = {
        {"<Alice@Example.TEST>", "unix:/run/lmtp", "alice@example.test "},
        {"<\"alice\"@example.test>", "unix:/run/lmtp", "alice@example.test "},
        {"<alice+Shop@example.test>", "unix:/run/lmtp", "alice+shop@example.test "},
        {"<team+x@example.test>", "unix:/run/lmtp", "alice@example.test bob@example.test "},
        {"<all@example.test>", "unix:/run/lmtp", "alice+x@example.test bob@example.test "},
        {"<postmaster>", "unix:/run/lmtp", "alice@example.test "},
        {"<carl+y@b\xc3\xbc"
         "cher.example>",
         "imap.example:24", "carl+y@xn--bcher-kva.example "},
        {"<anyone@xn--bcher-kva.example>", "unix:/run/lmtp", "bob@example.test "},
    };
    locals[0].lmtp = SPAN("unix:/run/lmtp"), locals[1].lmtp = SPAN("imap.example:24");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t storage[1024];
        struct buf b = BUF_OVER(storage);
        struct facts_sender sender;
        struct facts_recipient recipient;
        cr_assert_eq(facts_mail(&house, &stranger, SPAN("<>"), &sender), REASON_SENDER_ACCEPTED);
        (void)!facts_rcpt(&house, &sender.facts, span_text(rows[i].argument), &recipient, &ends);
        for (size_t j = 0; j < ends.n; j++) {
            struct recipient way = {0};
            struct key mailbox;
            if (ends.entries[j].kind == DESTINATION_NONE) continue;
            expand_way(&house, &ends.entries[j], &mailbox, &way);
            cr_expect_eq(way.kind, DESTINATION_LMTP);
            cr_expect(span_equal(way.destination, span_text(rows[i].destination)), "%s", rows[i].argument);
            buf_put_span(&b, way.address);
            buf_put_octet(&b, ' ');
        }
        cr_expect(span_equal(buf_span(&b), span_text(rows[i].addresses)), "%s: %.*s", rows[i].argument, (int)b.n,
                  storage);
    }
    locals[0].lmtp = locals[1].lmtp = SPAN("");
}

static enum reason postmaster(const struct house *at, const char *argument, struct buf *b) {
    struct facts_sender sender;
    struct facts_recipient recipient;
    cr_assert_eq(facts_mail(at, &stranger, SPAN("<>"), &sender), REASON_SENDER_ACCEPTED);
    enum reason reason = facts_rcpt(at, &sender.facts, span_text(argument), &recipient, &ends);
    cr_expect_eq(recipient.no_postmaster, reason == REASON_NOT_DECIDED);
    buf_clear(b);
    if (reason == REASON_POSTMASTER) users(b);
    return reason;
}

/* RFC 5321 4.5.1: whatever is configured, it is somebody's as soon as there is somebody. */
Test(facts, postmaster_is_never_refused_for_ever) {
    static const char *const arguments[] = {"<postmaster>", "<Postmaster@example.test>",
                                            ("<postmaster@b\xc3\xbc"
                                             "cher.example>")};
    static const struct {
        const char *configured;
        uint8_t foreign;
        const char *users[3];
    } rows[] = {
        {"bob@example.test", DESTINATION_NONE, {"bob ", "bob ", "bob "}},
        {"postmaster@example.test", DESTINATION_NONE, {"alice ", "alice ", "bob "}},
        {"", DESTINATION_NONE, {"alice ", "alice ", "bob "}},
        {"x@elsewhere.example", DESTINATION_NONE, {"alice ", "alice ", "bob "}},
        {"nobody@example.test", DESTINATION_NONE, {"alice ", "alice ", "bob "}},
        {"dangling@example.test", DESTINATION_NONE, {"alice ", "alice ", "bob "}},
        {"ring@example.test", DESTINATION_NONE, {"alice ", "alice ", "bob "}},
        {"away@example.test", DESTINATION_NONE, {"alice ", "alice ", "bob "}},
        {"away@example.test",
         DESTINATION_SMARTHOST,
         {"alice@elsewhere.example ", "alice@elsewhere.example ", "bob "}},
        {"no address", DESTINATION_NONE, {"alice ", "alice ", "bob "}},
    };
    uint8_t storage[1024], warning[POSTMASTER_WARNING_MAX];
    struct buf b = BUF_OVER(storage);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t j = 0; j < 3; j++) {
            struct auth_setup changed = setup;
            struct house at = {house.db, &changed, &quota, NULL};
            changed.postmaster = span_text(rows[i].configured);
            changed.foreign = rows[i].foreign;
            cr_expect_eq(postmaster(&at, arguments[j], &b), REASON_POSTMASTER, "%s %s", rows[i].configured,
                         arguments[j]);
            cr_expect(span_equal(buf_span(&b), span_text(rows[i].users[j])), "%s %s: %.*s", rows[i].configured,
                      arguments[j], (int)b.n, storage);
            struct buf said = BUF_OVER(warning);
            cr_expect_eq(postmaster_warning(&at, &ends, &said), strcmp(rows[i].users[0], "alice ") == 0, "%s",
                         rows[i].configured);
        }
    struct auth_setup nobody = setup;
    struct house at = {house.db, &nobody, &quota, NULL};
    nobody.postmaster = SPAN("nobody@example.test");
    cr_assert_eq(account_enable(house.db, SPAN("alice@example.test"), false), ACCOUNT_CHANGED);
    cr_expect_eq(postmaster(&at, "<postmaster>", &b), REASON_POSTMASTER);
    cr_expect(span_equal(buf_span(&b), SPAN("bob ")), "the oldest enabled user");
    cr_assert_geq(statement_run(database_statement(house.db, "DELETE FROM users")), 0);
    cr_expect_eq(postmaster(&at, "<postmaster>", &b), REASON_NOT_DECIDED, "no user: later");
}

Test(facts, senders) {
    struct account alice;
    cr_assert_eq(account_find(house.db, SPAN("alice@example.test"), &alice), ACCOUNT_FOUND);
    cr_assert_eq(account_allow(house.db, SPAN("alice@example.test"), SPAN("*@news.example")), ACCOUNT_CHANGED);
    struct facts_client client = {.role = RELAY_ROLE_SUBMISSION, .user_id = alice.id};
    static const struct {
        const char *argument;
        enum reason reason;
    } rows[] = {
        {"<alice@example.test>", REASON_SENDER_ACCEPTED},
        {"<Alice+x@Example.Test>", REASON_SENDER_ACCEPTED},
        {"<team@example.test>", REASON_SENDER_ACCEPTED},
        {"<all@example.test>", REASON_SENDER_ACCEPTED},
        {"<>", REASON_SENDER_ACCEPTED},
        {"<anything@news.example>", REASON_SENDER_ACCEPTED},
        {"<anything@sub.news.example>", REASON_SENDER_NOT_YOURS},
        {"<bob@example.test>", REASON_SENDER_NOT_YOURS},
        {"<nobody@example.test>", REASON_SENDER_NOT_YOURS},
        {"<alice@elsewhere.example>", REASON_SENDER_NOT_YOURS},
        {"<alice@example.test", REASON_MALFORMED_SENDER},
    };
    struct facts_sender sender;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(facts_mail(&house, &client, span_text(rows[i].argument), &sender), rows[i].reason, "%s",
                     rows[i].argument);
    cr_assert_eq(account_enable(house.db, SPAN("alice@example.test"), false), ACCOUNT_CHANGED);
    cr_expect_eq(facts_mail(&house, &client, SPAN("<alice@example.test>"), &sender), REASON_ACCOUNT_SUSPENDED);
    cr_assert_eq(account_remove(house.db, SPAN("alice@example.test")), ACCOUNT_CHANGED);
    cr_expect_eq(facts_mail(&house, &client, SPAN("<alice@example.test>"), &sender), REASON_ACCOUNT_SUSPENDED);
    cr_expect_eq(facts_enabled(&house, &client, &sender.payer), FACT_NO);
}

/* The whole quota but `left` messages is used. */
static void use_up(const struct quota_principal *payer, uint32_t leave) {
    struct quota_reservation *reservation;
    uint8_t name[TRANSACTION_BYTES] = {0};
    for (uint32_t i = leave; i < 100; i++) {
        cr_assert_eq(quota_take_message(&quota, payer, name, &reservation), FACT_YES);
        quota_end(&quota, name, true);
    }
}

Test(facts, suspended_and_over_quota) {
    struct facts_client client = {.role = RELAY_ROLE_SUBMISSION};
    struct facts_sender sender;
    struct account alice;
    cr_assert_eq(account_find(house.db, SPAN("alice@example.test"), &alice), ACCOUNT_FOUND);
    client.user_id = alice.id;
    cr_expect_eq(facts_mail(&house, &client, SPAN("<alice@example.test>"), &sender), REASON_SENDER_ACCEPTED);
    cr_expect(sender.payer.user_id == alice.id && sender.payer.system.n == 0);
    use_up(&sender.payer, 0);
    cr_expect_eq(facts_mail(&house, &client, SPAN("<alice@example.test>"), &sender), REASON_OVER_QUOTA);
    cr_expect_eq(sender.facts.recipient_quota_left, FACT_YES);
    cr_expect_eq(facts_mail(&house, &client, SPAN("<bob@example.test>"), &sender), REASON_SENDER_NOT_YOURS);
    cr_assert_eq(account_suspend(house.db, alice.id, 1000), ACCOUNT_CHANGED);
    cr_expect_eq(facts_mail(&house, &client, SPAN("<alice@example.test>"), &sender), REASON_ACCOUNT_SUSPENDED);
    cr_expect_eq(facts_enabled(&house, &client, &sender.payer), FACT_NO);
    client = (struct facts_client){.role = RELAY_ROLE_MX};
    cr_expect_eq(facts_mail(&house, &client, SPAN("<x@elsewhere.example>"), &sender), REASON_SENDER_ACCEPTED);
    cr_expect_eq(facts_enabled(&house, &client, &sender.payer), FACT_YES, "a stranger");
    client.granted_id = alice.id;
    cr_expect_eq(facts_mail(&house, &client, SPAN("<alice@example.test>"), &sender), REASON_ACCOUNT_SUSPENDED);
    cr_expect_eq(facts_mail(&house, &client, SPAN("<x@elsewhere.example>"), &sender), REASON_SENDER_ACCEPTED);
    cr_expect(sender.payer.user_id == 0, "a grant does not count for another's address");
    cr_expect_eq(facts_enabled(&house, &client, &sender.payer), FACT_YES);
    cr_assert_geq(statement_run(database_statement(house.db, "ALTER TABLE quotas RENAME TO lost")), 0);
    cr_assert_eq(account_suspend(house.db, alice.id, 0), ACCOUNT_CHANGED);
    quota_close(&quota);
    quota.db = house.db;
    client = (struct facts_client){.role = RELAY_ROLE_SUBMISSION, .user_id = alice.id};
    cr_expect_eq(facts_mail(&house, &client, SPAN("<alice@example.test>"), &sender), REASON_NOT_DECIDED);
    cr_expect_eq(facts_enabled(&house, &client, &sender.payer), FACT_UNKNOWN);
}

static enum reason as_system_user(const struct house *at, uint32_t uid, const char *from, struct facts_sender *out) {
    struct system_user system;
    bool known = system_user_of(at, uid, &system);
    struct facts_client client = {.role = RELAY_ROLE_LOCAL, .system = known ? &system : NULL};
    return facts_mail(at, &client, span_text(from), out);
}

/* A user of that login pays; else the system user by its address; root, who could do without us, has no quota. */
Test(facts, quotas_of_system_users) {
    static const struct {
        uint32_t uid;
        const char *from, *login, *system;
    } rows[] = {
        {33, "<>", "", "www-data@example.test"},
        {1000, "<>", "alice@example.test", ""},
        {1001, "<>", "bob@example.test", ""},
        {0, "<root@example.test>", "", ""},
    };
    struct facts_sender sender;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct account account = {0};
        if (*rows[i].login) cr_assert_eq(account_find(house.db, span_text(rows[i].login), &account), ACCOUNT_FOUND);
        struct system_user system;
        cr_assert(system_user_of(&house, rows[i].uid, &system));
        struct facts_client client = {.role = RELAY_ROLE_LOCAL, .system = &system};
        cr_expect_eq(facts_mail(&house, &client, span_text(rows[i].from), &sender), REASON_SENDER_ACCEPTED);
        cr_expect_eq(sender.payer.user_id, account.id, "%u", rows[i].uid);
        cr_expect(span_equal(sender.payer.system, span_text(rows[i].system)), "%u", rows[i].uid);
    }
    struct system_user system;
    cr_assert(system_user_of(&house, 33, &system));
    struct facts_client client = {.role = RELAY_ROLE_LOCAL, .system = &system};
    cr_assert_eq(facts_mail(&house, &client, SPAN("<>"), &sender), REASON_SENDER_ACCEPTED);
    use_up(&sender.payer, 0);
    cr_expect_eq(facts_mail(&house, &client, SPAN("<>"), &sender), REASON_OVER_QUOTA);
    struct quota_holder holder = {QUOTA_SYSTEM, 0, SPAN("www-data@example.test")};
    cr_assert_eq(quota_suspend(&quota, &holder, 1), 0);
    cr_expect_eq(facts_mail(&house, &client, SPAN("<>"), &sender), REASON_ACCOUNT_SUSPENDED);
    cr_expect_eq(facts_enabled(&house, &client, &sender.payer), FACT_NO);
}

Test(facts, senders_of_system_users) {
    static const struct {
        uint32_t uid;
        const char *from;
        enum reason reason;
    } rows[] = {
        {33, "<www-data@example.test>", REASON_SENDER_ACCEPTED},
        {33, "<WWW-Data@Example.Test>", REASON_SENDER_ACCEPTED},
        {33, "<>", REASON_SENDER_ACCEPTED},
        {33, "<other@example.test>", REASON_SENDER_NOT_YOURS},
        {33, "<www-data@xn--bcher-kva.example>", REASON_SENDER_NOT_YOURS},
        {33, "<www-data@elsewhere.example>", REASON_SENDER_NOT_YOURS},
        {33, "<alice@example.test>", REASON_SENDER_NOT_YOURS},
        {33, "<www-data@example.test", REASON_MALFORMED_SENDER},
        {0, "<root@example.test>", REASON_SENDER_ACCEPTED},
        {0, "<alice@example.test>", REASON_SENDER_ACCEPTED},
        {0, "<anybody@xn--bcher-kva.example>", REASON_SENDER_ACCEPTED},
        {0, "<root@elsewhere.example>", REASON_SENDER_NOT_YOURS},
        {1000, "<alice@example.test>", REASON_SENDER_ACCEPTED},
        {1000, "<team@example.test>", REASON_SENDER_ACCEPTED},
        {1000, "<alice+x@example.test>", REASON_SENDER_ACCEPTED},
        {1000, "<allowed@elsewhere.example>", REASON_SENDER_ACCEPTED},
        {1000, "<bob@example.test>", REASON_SENDER_NOT_YOURS},
        {1001, "<bob@example.test>", REASON_SENDER_ACCEPTED},
        {1001, "<web@example.test>", REASON_SENDER_NOT_YOURS},
        {1002, "<gone@example.test>", REASON_ACCOUNT_SUSPENDED},
        {1003, "<no@example.test>", REASON_AUTH_REQUIRED},
        {4711, "<root@example.test>", REASON_AUTH_REQUIRED},
        {4711, "<>", REASON_AUTH_REQUIRED},
    };
    struct facts_sender sender;
    cr_assert_eq(account_allow(house.db, SPAN("alice@example.test"), SPAN("allowed@elsewhere.example")),
                 ACCOUNT_CHANGED);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(as_system_user(&house, rows[i].uid, rows[i].from, &sender), rows[i].reason, "%u %s", rows[i].uid,
                     rows[i].from);
    cr_assert_eq(account_enable(house.db, SPAN("alice@example.test"), false), ACCOUNT_CHANGED);
    cr_expect_eq(as_system_user(&house, 1000, "<alice@example.test>", &sender), REASON_ACCOUNT_SUSPENDED);
    cr_assert_geq(statement_run(database_statement(house.db, "DROP TABLE users")), 0);
    cr_expect_eq(as_system_user(&house, 1000, "<team@example.test>", &sender), REASON_NOT_DECIDED);
    cr_expect_eq(as_system_user(&house, 33, "<www-data@example.test>", &sender), REASON_NOT_DECIDED);
}

/* Root's mail is taken from everybody; that of other system users from this host, and what comes back to them. */
Test(facts, recipients_who_are_system_users) {
    static const struct {
        const char *argument;
        enum reason here, bounce, stranger;
    } rows[] = {
        {"<root@example.test>", REASON_LOCAL_RECIPIENT, REASON_LOCAL_RECIPIENT, REASON_LOCAL_RECIPIENT},
        {"<Root@Example.Test>", REASON_LOCAL_RECIPIENT, REASON_LOCAL_RECIPIENT, REASON_LOCAL_RECIPIENT},
        {"<www-data@example.test>", REASON_LOCAL_RECIPIENT, REASON_LOCAL_RECIPIENT, REASON_UNKNOWN_RECIPIENT},
        {"<nobody-of-that-name@example.test>", REASON_UNKNOWN_RECIPIENT, REASON_UNKNOWN_RECIPIENT,
         REASON_UNKNOWN_RECIPIENT},
        {"<www-data@elsewhere.example>", REASON_RELAY_LOCAL, REASON_RELAY_DENIED, REASON_RELAY_DENIED},
    };
    struct facts_sender local, bounce, other;
    struct facts_recipient recipient;
    cr_assert_eq(as_system_user(&house, 33, "<www-data@example.test>", &local), REASON_SENDER_ACCEPTED);
    cr_assert_eq(facts_mail(&house, &stranger, SPAN("<>"), &bounce), REASON_SENDER_ACCEPTED);
    cr_assert_eq(facts_mail(&house, &stranger, SPAN("<x@elsewhere.example>"), &other), REASON_SENDER_ACCEPTED);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct span to = span_text(rows[i].argument);
        uint8_t storage[256];
        struct buf b = BUF_OVER(storage);
        cr_expect_eq(facts_rcpt(&house, &other.facts, to, &recipient, &ends), rows[i].stranger, "%s", to.p);
        cr_expect_eq(facts_rcpt(&house, &bounce.facts, to, &recipient, &ends), rows[i].bounce, "%s", to.p);
        cr_expect_eq(facts_rcpt(&house, &local.facts, to, &recipient, &ends), rows[i].here, "%s", to.p);
        users(&b);
        if (rows[i].here == REASON_LOCAL_RECIPIENT) cr_expect(span_equal(buf_span(&b), SPAN("alice ")));
    }
    cr_expect_eq(facts_route(&house, SPAN("www-data@example.test"), &ends), EXPAND_FOUND);
    cr_expect_eq(facts_route(&house, SPAN("nobody-of-that-name@example.test"), &ends), EXPAND_NOBODY);
    alias("root@example.test", "bob@example.test", false);
    cr_expect_eq(facts_rcpt(&house, &local.facts, SPAN("<root@example.test>"), &recipient, &ends),
                 REASON_LOCAL_RECIPIENT);
    cr_expect(ends.found == 1 && span_equal(span_of(ends.entries[1].login, 3), SPAN("bob")));
}

Test(facts, system_users_without_relay) {
    struct auth_setup closed = setup;
    struct house at = {house.db, &closed, &quota, NULL};
    struct facts_sender sender;
    struct facts_recipient recipient;
    closed.local_relay = 0;
    cr_assert_eq(as_system_user(&at, 33, "<www-data@example.test>", &sender), REASON_SENDER_ACCEPTED);
    cr_expect_eq(facts_foreign(&at, &sender.facts), REASON_RELAY_DENIED);
    cr_expect_eq(facts_rcpt(&at, &sender.facts, SPAN("<x@elsewhere.example>"), &recipient, &ends),
                 REASON_RELAY_DENIED);
    cr_expect(recipient.no_local_relay && !recipient.no_way_out);
    cr_expect_eq(facts_rcpt(&at, &sender.facts, SPAN("<bob@example.test>"), &recipient, &ends),
                 REASON_LOCAL_RECIPIENT);
    cr_expect(!recipient.no_local_relay);
    cr_expect_eq(facts_foreign(&house, &sender.facts), REASON_RELAY_LOCAL);
}

Test(facts, no_way_out) {
    struct account alice;
    struct facts_sender sender;
    struct facts_recipient recipient;
    struct auth_setup closed = setup;
    struct house at = {house.db, &closed, &quota, NULL};
    closed.foreign = DESTINATION_NONE;
    cr_assert_eq(account_find(house.db, SPAN("alice@example.test"), &alice), ACCOUNT_FOUND);
    struct facts_client client = {.role = RELAY_ROLE_SUBMISSION, .user_id = alice.id};
    cr_assert_eq(facts_mail(&at, &client, SPAN("<alice@example.test>"), &sender), REASON_SENDER_ACCEPTED);
    cr_expect_eq(facts_foreign(&at, &sender.facts), REASON_RELAY_DENIED);
    cr_expect_eq(facts_rcpt(&at, &sender.facts, SPAN("<x@elsewhere.example>"), &recipient, &ends),
                 REASON_RELAY_DENIED);
    cr_expect(recipient.no_way_out);
    cr_expect_eq(facts_rcpt(&at, &sender.facts, SPAN("<away@example.test>"), &recipient, &ends), REASON_RELAY_DENIED);
    cr_expect_eq(facts_rcpt(&at, &sender.facts, SPAN("<bob@example.test>"), &recipient, &ends),
                 REASON_LOCAL_RECIPIENT);
    cr_expect_eq(facts_foreign(&house, &sender.facts), REASON_RELAY_AUTHENTICATED);
}

/* The owner of an alias that forwards abroad. */
Test(facts, owners) {
    alias("list@example.test", "x@elsewhere.example", true);
    alias("owner-list@example.test", "bob@example.test", false);
    alias("lost@example.test", "x@elsewhere.example", true);
    alias("owner-lost@example.test", "x@elsewhere.example", true);
    alias("*@example.test", "x@elsewhere.example", true);
    static const struct {
        const char *argument, *owner;
    } rows[] = {
        {"<away@example.test>", "postmaster@example.test"},
        {"<List+tag@example.test>", "owner-list@example.test"},
        {"<lost@example.test>", "postmaster@example.test"},
        {"<anyone@example.test>", "postmaster@example.test"},
        {"<bob@example.test>", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t storage[ADDRESS_MAX + 16];
        struct buf b = BUF_OVER(storage);
        struct facts_sender sender;
        struct facts_recipient recipient;
        cr_assert_eq(facts_mail(&house, &stranger, SPAN("<>"), &sender), REASON_SENDER_ACCEPTED);
        cr_assert(
            reason_reply(facts_rcpt(&house, &sender.facts, span_text(rows[i].argument), &recipient, &ends))->accepts);
        const struct expansion_entry *last = &ends.entries[ends.n - 1];
        if (last->alias_n) expand_owner(&house, last, &b);
        cr_expect(span_equal(buf_span(&b), span_text(rows[i].owner)), "%s: %.*s", rows[i].argument, (int)b.n,
                  storage);
    }
}

Test(facts, too_many_targets) {
    char text[64];
    for (int i = 0; i < 120; i++) {
        snprintf(text, sizeof text, "t%d@elsewhere.example", i);
        alias("many@example.test", text, true);
    }
    struct facts_sender sender;
    struct facts_recipient recipient;
    cr_assert_eq(facts_mail(&house, &stranger, SPAN("<>"), &sender), REASON_SENDER_ACCEPTED);
    cr_expect_eq(facts_rcpt(&house, &sender.facts, SPAN("<many@example.test>"), &recipient, &ends),
                 REASON_NOT_DECIDED);
}

Test(facts, a_lost_database_decides_nothing) {
    struct facts_sender sender;
    struct facts_recipient recipient;
    cr_assert_eq(facts_mail(&house, &stranger, SPAN("<>"), &sender), REASON_SENDER_ACCEPTED);
    cr_assert_geq(statement_run(database_statement(house.db, "DROP TABLE aliases")), 0);
    cr_expect_eq(facts_rcpt(&house, &sender.facts, SPAN("<nobody@example.test>"), &recipient, &ends),
                 REASON_NOT_DECIDED);
}
