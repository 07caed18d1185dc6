/* test_quota.c - what is counted, what is durable, and what a crash, a clock and a broken database make of it. */
#include "auth/credential.h"
#include "auth/quota.h"

#include "auth/credential.h"
#include "store/frame.h"
#include "store/frames.h"
#include "store/log.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

static uint64_t now_ms, uptime_ms; /* the clocks, which stand still */
static struct quota_limits limits;
static struct database *db;
static struct quota quota;
static int64_t alice, bob, phone;
static uint64_t transactions;

static uint64_t wall(void) {
    return now_ms;
}
static uint64_t clock_of_test(void) {
    return uptime_ms;
}

static void pass_ms(uint64_t ms) {
    now_ms += ms, uptime_ms += ms;
}

/* As a process that starts: whatever the one before kept in memory is gone. */
static void start(void) {
    quota.db = NULL; /* nothing is written down at the end */
    quota_close(&quota);
    memset(&quota, 0, sizeof quota);
    quota.clock_ms = clock_of_test;
    quota.wall_ms = wall;
    cr_assert_eq(quota_open(&quota, db, &limits), 0);
}

static int64_t add_user(const char *login) {
    struct account account;
    uint8_t salt[ACCOUNT_SALT_BYTES] = {0};
    cr_assert_eq(account_add(db, span_text(login), salt, NULL), ACCOUNT_CHANGED);
    cr_assert_eq(account_find(db, span_text(login), &account), ACCOUNT_FOUND);
    return account.id;
}

static void begin(void) {
    (void)log_use(-1);
    scratch_enter();
    now_ms = 1800000000000, uptime_ms = 5000;
    limits = (struct quota_limits){{{100, 500}, {1000, 5000}}, 0};
    cr_assert_not_null(db = database_open("gatepost.db", DATABASE_ACCOUNTS));
    /* A process that ends loses nothing by it. */
    cr_assert_geq(statement_run(database_statement(db, "PRAGMA synchronous=OFF")), 0);
    alice = add_user("alice@example.test");
    bob = add_user("bob@example.test");
    struct credential_secret secret = {.hash = SPAN("hash")};
    cr_assert_eq(credential_add_app(db, alice, SPAN("phone"), CREDENTIAL_ANY, 0, &secret), ACCOUNT_CHANGED);
    phone = database_last_id(db);
    start();
}

static void finish(void) {
    quota_close(&quota);
    database_close(db);
}

TestSuite(quota, .init = begin, .fini = finish, .timeout = 60);

static struct quota_principal user(int64_t id) {
    return (struct quota_principal){.user_id = id};
}

static void name_next(uint8_t name[TRANSACTION_BYTES]) {
    memset(name, 0, TRANSACTION_BYTES);
    transactions++;
    memcpy(name, &transactions, sizeof transactions);
}

/* A message of the principal that the queue takes. */
static enum fact send_one(const struct quota_principal *principal) {
    struct quota_reservation *reservation;
    uint8_t name[TRANSACTION_BYTES];
    name_next(name);
    enum fact taken = quota_take_message(&quota, principal, name, &reservation);
    if (taken == FACT_YES) quota_end(&quota, name, true);
    return taken;
}

static unsigned send_all(const struct quota_principal *principal, unsigned tries) {
    unsigned sent = 0;
    for (unsigned i = 0; i < tries; i++) sent += send_one(principal) == FACT_YES;
    return sent;
}

static uint32_t used(int64_t id, enum quota_what what, enum quota_period period) {
    struct quota_report report;
    struct quota_holder holder = {QUOTA_USER, id, SPAN("")};
    cr_assert(quota_report(&quota, &holder, &report));
    return report.used[what][period];
}

static int count(const char *sql) {
    struct statement *statement = database_statement(db, sql);
    cr_assert_eq(statement_step(statement), DATABASE_ROW);
    int n = (int)statement_get_number(statement, 0);
    statement_reset(statement);
    return n;
}

Test(quota, an_hour_and_a_day) {
    struct quota_principal one = user(alice), other = user(bob);
    cr_expect_eq(send_all(&one, 1000), 100);
    cr_expect_eq(quota_left(&quota, &one, QUOTA_MESSAGES), FACT_NO);
    cr_expect_eq(quota_left(&quota, &one, QUOTA_RECIPIENTS), FACT_YES, "these are counted by themselves");
    cr_expect_eq(send_all(&other, 3), 3, "each has its own");
    pass_ms(59 * 60000);
    cr_expect_eq(send_all(&one, 10), 0);
    pass_ms(6 * 60000);
    unsigned sent = 100;
    for (int i = 0; i < 20; i++, pass_ms(65 * 60000)) sent += send_all(&one, 1000);
    cr_expect_eq(sent, 500, "and no more within a day");
    pass_ms(5 * 3600000);
    cr_expect_eq(send_all(&one, 1000), 100);
}

/* In no 60 minutes more than the limit says, whenever it is tried. */
Test(quota, no_sixty_minutes_have_more) {
    static uint64_t times[4000];
    struct quota_principal one = user(alice);
    size_t n = 0;
    srand(3);
    for (int i = 0; i < 3000; i++) {
        pass_ms((uint64_t)(rand() % 90000));
        for (int j = rand() % 6; j > 0; j--)
            if (n < 4000 && send_one(&one) == FACT_YES) times[n++] = now_ms;
    }
    cr_assert_gt(n, 500);
    for (size_t i = 100; i < n; i++) cr_expect_gt(times[i] - times[i - 100], 3600000);
    for (size_t i = 500; i < n; i++) cr_expect_gt(times[i] - times[i - 500], 86400000);
}

Test(quota, sessions_of_one_user_share_it) {
    struct quota_reservation *reservations[100];
    struct quota_principal one = user(alice);
    uint8_t names[100][TRANSACTION_BYTES];
    for (int i = 0; i < 100; i++) {
        name_next(names[i]);
        cr_assert_eq(quota_take_message(&quota, &one, names[i], &reservations[i]), FACT_YES);
    }
    cr_expect_eq(send_one(&one), FACT_NO, "what is open counts");
    quota_end(&quota, names[7], false);
    quota_end(&quota, names[7], false);
    quota_end(&quota, names[8], true);
    cr_expect_eq(send_all(&one, 10), 1, "what was given back can be had once");
    quota_end_all(&quota);
    cr_expect_eq(send_one(&one), FACT_NO, "where nobody says how they ended, they count");
}

Test(quota, recipients) {
    struct quota_principal one = user(alice);
    struct quota_reservation *reservation;
    uint8_t name[TRANSACTION_BYTES];
    name_next(name);
    cr_assert_eq(quota_take_message(&quota, &one, name, &reservation), FACT_YES);
    for (uint32_t i = 0; i < 1000; i++)
        cr_assert_eq(quota_take_recipient(&quota, reservation, 64 - i % 64), FACT_YES);
    cr_expect_eq(quota_take_recipient(&quota, reservation, 64), FACT_NO);
    cr_expect_eq(quota_left(&quota, &one, QUOTA_RECIPIENTS), FACT_NO);
    cr_expect_eq(quota_left(&quota, &one, QUOTA_MESSAGES), FACT_YES);
    quota_end(&quota, name, false);
    cr_expect_eq(used(alice, QUOTA_RECIPIENTS, QUOTA_DAY), 0, "all of it came back");
    cr_expect_eq(used(alice, QUOTA_MESSAGES, QUOTA_HOUR), 0);
    name_next(name);
    cr_assert_eq(quota_take_message(&quota, &one, name, &reservation), FACT_YES);
    cr_expect_eq(quota_take_recipient(&quota, reservation, 1), FACT_YES);
    pass_ms(301000);
    cr_expect_eq(quota_take_recipient(&quota, reservation, 1), FACT_YES);
    quota_end(&quota, name, false);
    cr_expect_eq(used(alice, QUOTA_RECIPIENTS, QUOTA_HOUR), 1, "of a slot before the last nothing comes back");
    cr_expect_eq(used(alice, QUOTA_MESSAGES, QUOTA_HOUR), 0);
}

/* Lines of the event that wait in the log's channel. */
static unsigned lines(int fd, enum log_event event) {
    static uint8_t storage[FRAME_MAX];
    struct frame frame;
    unsigned n = 0;
    while (frame_receive(fd, storage, false, &frame) == FRAME_RECEIVED) {
        struct wire w = wire_over(frame.body);
        n += frame.type == LOG_LINE && wire_get_u16(&w) == event;
    }
    return n;
}

Test(quota, a_warning_at_eighty_percent) {
    struct quota_principal one = user(alice);
    int ends[2];
    cr_assert_eq(frame_pair(ends, true), 0);
    (void)log_use(ends[0]);
    (void)send_all(&one, 79);
    cr_expect_eq(lines(ends[1], LOG_QUOTA_NEAR), 0);
    (void)send_all(&one, 1);
    cr_expect_eq(lines(ends[1], LOG_QUOTA_NEAR), 1);
    (void)send_all(&one, 1000);
    cr_expect_eq(lines(ends[1], LOG_QUOTA_NEAR), 0, "once");
    pass_ms(65 * 60000);
    (void)send_all(&one, 90);
    cr_expect_eq(lines(ends[1], LOG_QUOTA_NEAR), 1, "and again in a later hour");
    for (int i = 0; i < 4; i++) {
        pass_ms(65 * 60000);
        (void)send_all(&one, 75);
    }
    cr_expect_eq(lines(ends[1], LOG_QUOTA_NEAR), 1, "of the day");
    (void)log_use(-1);
    close(ends[0]);
    close(ends[1]);
}

/* kill -9 after any number of messages, with one more of them open: never more than the limit in all, and no more
 * lost than a block and what was open. */
Test(quota, a_crash_forfeits_a_block_at_most) {
    struct quota_principal one = user(alice);
    struct quota_reservation *open;
    uint8_t name[TRANSACTION_BYTES];
    static const uint32_t mosts[] = {1, 2, 10, 100, 250, 1000, 5000};
    for (size_t m = 0; m < sizeof mosts / sizeof *mosts; m++) {
        uint32_t most = mosts[m], block = most / 100 ? most / 100 : 1;
        limits.most[QUOTA_MESSAGES][QUOTA_HOUR] = limits.most[QUOTA_MESSAGES][QUOTA_DAY] = most;
        for (uint32_t at = 0; at < most; at += 1 + most / 37) {
            pass_ms(27 * 3600000);
            unsigned sent = send_all(&one, at);
            cr_assert_eq(sent, at);
            name_next(name);
            cr_assert_eq(quota_take_message(&quota, &one, name, &open), FACT_YES);
            start();
            sent += send_all(&one, 2 * most);
            cr_expect_leq(sent, most);
            cr_expect_geq(sent + block + 1, most, "%u of %u, crashed at %u", sent, most, at);
        }
    }
}

/* A group of recipients is durable in few blocks, and none is more than a twentieth of the limit. */
Test(quota, a_crash_among_recipients) {
    struct quota_principal one = user(alice);
    struct quota_reservation *reservation;
    uint8_t name[TRANSACTION_BYTES];
    for (uint32_t most = 1; most <= 1000; most *= 10) {
        limits.most[QUOTA_RECIPIENTS][QUOTA_HOUR] = limits.most[QUOTA_RECIPIENTS][QUOTA_DAY] = most;
        for (uint32_t taken = 1; taken <= 64 && taken <= most; taken += 9) {
            pass_ms(27 * 3600000);
            name_next(name);
            cr_assert_eq(quota_take_message(&quota, &one, name, &reservation), FACT_YES);
            for (uint32_t i = 0; i < taken; i++)
                cr_assert_eq(quota_take_recipient(&quota, reservation, 64 - i), FACT_YES);
            start();
            uint32_t seen = used(alice, QUOTA_RECIPIENTS, QUOTA_HOUR);
            cr_expect_geq(seen, taken, "%u of %u", taken, most);
            cr_expect_leq(seen, taken + most / 20, "%u of %u", taken, most);
        }
    }
}

/* Four crashes on the way: at least 90 of 100. */
Test(quota, crashes_on_the_way) {
    struct quota_principal one = user(alice);
    unsigned sent = 0;
    for (int i = 0; i < 4; i++) {
        sent += send_all(&one, 13);
        start();
    }
    sent += send_all(&one, 1000);
    cr_expect_leq(sent, 100);
    cr_expect_geq(sent, 90);
}

Test(quota, an_orderly_end_forfeits_nothing) {
    struct quota_principal one = user(alice);
    limits.most[QUOTA_MESSAGES][QUOTA_HOUR] = 1000;
    limits.most[QUOTA_MESSAGES][QUOTA_DAY] = 100000;
    unsigned sent = 0;
    for (int i = 0; i < 30; i++) {
        sent += send_all(&one, 7);
        quota_close(&quota);
        start();
    }
    sent += send_all(&one, 2000);
    cr_expect_eq(sent, 1000);
}

Test(quota, the_wall_clock_is_set_back) {
    struct quota_principal one = user(alice);
    cr_expect_eq(send_all(&one, 60), 60);
    now_ms -= 7200000;
    cr_expect_eq(send_all(&one, 1000), 40, "an hour is not had twice");
    pass_ms(64 * 60000);
    cr_expect_eq(send_all(&one, 1), 0);
    pass_ms(60000);
    cr_expect_eq(send_all(&one, 1000), 100, "but it passes, by the clock that never goes back");
    now_ms -= 86400000;
    start();
    cr_expect_eq(send_all(&one, 1), 0, "nor after a restart");
    pass_ms(65 * 60000);
    cr_expect_eq(send_all(&one, 1000), 100);
    now_ms += 30ULL * 86400000; /* and forward, to where it ought to be */
    cr_expect_eq(send_all(&one, 1000), 100);
    cr_expect_eq(send_all(&one, 1000), 0);
}

static void stop_writing(bool stop) {
    cr_assert_geq(statement_run(stop ? database_statement(db, "PRAGMA query_only=1")
                                     : database_statement(db, "PRAGMA query_only=0")),
                  0);
}

Test(quota, a_database_that_cannot_be_written_refuses) {
    struct quota_principal one = user(alice), other = user(bob);
    cr_expect_eq(send_one(&one), FACT_YES);
    stop_writing(true);
    cr_expect_eq(send_all(&one, 1000), 0, "no block is left");
    cr_expect_eq(send_one(&other), FACT_UNKNOWN);
    cr_expect_eq(quota_left(&quota, &one, QUOTA_MESSAGES), FACT_YES, "it can still be read");
    stop_writing(false);
    cr_expect_eq(send_all(&one, 1000), 99, "nothing was counted for what was refused");
    quota_close(&quota);
    cr_assert_geq(statement_run(database_statement(db, "ALTER TABLE quotas RENAME TO lost")), 0);
    memset(&quota, 0, sizeof quota);
    cr_expect_eq(quota_open(&quota, db, &limits), -1, "nor one that cannot be read");
    cr_expect_eq(quota_left(&quota, &one, QUOTA_MESSAGES), FACT_UNKNOWN);
    cr_expect_eq(send_one(&one), FACT_UNKNOWN);
    cr_expect_eq(quota_suspended(&quota, &one), FACT_UNKNOWN);
    cr_assert_geq(statement_run(database_statement(db, "ALTER TABLE lost RENAME TO quotas")), 0);
}

/* Who pays together is written down together: a block of the user's does not stand for one of the credential's, and
 * what cannot be written of the one is not given out by the other. */
Test(quota, payers_are_written_together) {
    struct quota_principal one = user(alice), with_phone = one;
    struct quota_report report;
    struct quota_holder holder = {QUOTA_CREDENTIAL, phone, SPAN("")};
    with_phone.credential_id = phone;
    limits.most[QUOTA_MESSAGES][QUOTA_HOUR] = limits.most[QUOTA_MESSAGES][QUOTA_DAY] = 1000;
    cr_expect_eq(send_all(&one, 1), 1);
    cr_expect_eq(send_all(&with_phone, 5), 5);
    start();
    cr_assert(quota_report(&quota, &holder, &report));
    cr_expect_geq(report.used[QUOTA_MESSAGES][QUOTA_HOUR], 5);
    uint32_t before = used(alice, QUOTA_MESSAGES, QUOTA_HOUR);
    cr_assert_geq(statement_run(database_statement(
                      db, "CREATE TRIGGER broken BEFORE UPDATE ON quotas WHEN new.kind = 'credential'"
                          " BEGIN SELECT raise(ABORT, 'broken'); END")),
                  0);
    cr_expect_eq(send_one(&with_phone), FACT_UNKNOWN);
    cr_expect_eq(used(alice, QUOTA_MESSAGES, QUOTA_HOUR), before);
    cr_expect_eq(send_all(&one, 2000), 1000 - before);
}

Test(quota, a_row_that_is_none_refuses) {
    struct quota_principal one = user(alice);
    cr_expect_eq(send_one(&one), FACT_YES);
    cr_assert_eq(statement_run(database_statement(db, "UPDATE quotas SET used = x'00'")), 1);
    start();
    cr_expect_eq(quota_left(&quota, &one, QUOTA_MESSAGES), FACT_UNKNOWN);
    cr_expect_eq(send_one(&one), FACT_UNKNOWN);
}

Test(quota, zero_lets_nothing_be_sent) {
    struct quota_principal one = user(alice), nobody = {0};
    limits = (struct quota_limits){0};
    cr_expect_eq(send_one(&one), FACT_NO);
    cr_expect_eq(quota_left(&quota, &one, QUOTA_RECIPIENTS), FACT_NO);
    cr_expect_eq(send_one(&nobody), FACT_YES, "who is nobody has no quota");
}

static void set_own(int64_t id, struct span kind, struct span name, int64_t messages_per_hour) {
    struct quota_own own;
    cr_assert_eq(quota_get_own(&quota, id, kind, name, &own), 0);
    own.most[QUOTA_MESSAGES][QUOTA_HOUR] = messages_per_hour;
    cr_assert_eq(quota_set_own(&quota, id, kind, name, &own), 0);
}

Test(quota, limits_of_their_own) {
    struct quota_principal one = user(alice), with_phone = one;
    with_phone.credential_id = phone;
    set_own(alice, SPAN("app"), SPAN("phone"), 20);
    cr_expect_eq(send_all(&with_phone, 1000), 20);
    cr_expect_eq(send_all(&one, 1000), 80, "the phone's count too");
    set_own(alice, SPAN(""), SPAN(""), 130);
    cr_expect_eq(send_all(&with_phone, 1000), 0, "the phone's own limit stays");
    start();
    cr_expect_eq(send_all(&with_phone, 1000), 0);
    cr_expect_eq(send_all(&one, 1000), 30);
    set_own(alice, SPAN("app"), SPAN("phone"), QUOTA_GENERAL);
    set_own(alice, SPAN(""), SPAN(""), 140);
    cr_expect_eq(send_all(&with_phone, 1000), 10, "without one of its own it has the user's");
    set_own(alice, SPAN(""), SPAN(""), QUOTA_GENERAL);
    cr_expect_eq(quota_left(&quota, &one, QUOTA_MESSAGES), FACT_NO, "a limit may fall below what was used");
    cr_expect_eq(send_all(&(struct quota_principal){.user_id = bob}, 1000), 100);
}

/* A hash that is written anew at a login makes no new credential of it. */
Test(quota, a_renewed_credential_goes_on) {
    struct quota_principal with_phone = user(alice);
    struct credential_secret fresh = {.hash = SPAN("another")};
    struct quota_reservation *open;
    uint8_t name[TRANSACTION_BYTES];
    with_phone.credential_id = phone;
    set_own(alice, SPAN("app"), SPAN("phone"), 20);
    cr_expect_eq(send_all(&with_phone, 14), 14);
    name_next(name);
    cr_assert_eq(quota_take_message(&quota, &with_phone, name, &open), FACT_YES);
    for (int i = 0; i < 2; i++) { /* one with a tally, one without */
        cr_assert_eq(credential_renew(db, with_phone.credential_id, &fresh, &with_phone.credential_id),
                     ACCOUNT_CHANGED);
        quota_renamed(&quota, i ? 999 : phone, with_phone.credential_id);
        if (i == 0) {
            cr_expect_eq(send_all(&with_phone, 2), 2);
            quota_end(&quota, name, false);
            start();
        }
    }
    cr_expect_eq(send_all(&with_phone, 1000), 3, "what was given back is forfeit at a crash");
    cr_assert_eq(quota_suspend(&quota, &(struct quota_holder){QUOTA_CREDENTIAL, with_phone.credential_id, SPAN("")},
                               now_ms / 1000),
                 0);
    int64_t before = with_phone.credential_id;
    cr_assert_eq(credential_renew(db, before, &fresh, &with_phone.credential_id), ACCOUNT_CHANGED);
    quota_renamed(&quota, before, with_phone.credential_id);
    cr_expect_eq(quota_suspended(&quota, &with_phone), FACT_YES);
    start();
    cr_expect_eq(quota_suspended(&quota, &with_phone), FACT_YES, "nor does a restart lift it");
}

/* The mailbox password is counted as its user alone; a credential that is gone lets nothing through. */
Test(quota, credentials_that_are_none_of_these) {
    struct quota_principal one = user(bob);
    struct credential_secret secret = {.hash = SPAN("hash")};
    cr_assert_eq(credential_set_mailbox(db, bob, &secret), ACCOUNT_CHANGED);
    one.credential_id = database_last_id(db);
    cr_expect_eq(send_all(&one, 3), 3);
    cr_expect_eq(used(bob, QUOTA_MESSAGES, QUOTA_HOUR), 3);
    cr_expect_eq(count("SELECT count(*) FROM quotas"), 1);
    one.credential_id = 999;
    cr_expect_eq(send_one(&one), FACT_UNKNOWN);
}

Test(quota, system_users) {
    struct quota_principal web = {.system = SPAN("www-data@example.test")},
                           cron = {.system = SPAN("cron@example.test")};
    cr_expect_eq(send_all(&web, 1000), 100);
    cr_expect_eq(send_all(&cron, 1), 1);
    start();
    cr_expect_eq(send_one(&web), FACT_NO);
}

Test(quota, suspicion) {
    struct quota_principal one = user(alice), with_phone = one, web = {.system = SPAN("www-data@example.test")};
    struct quota_suspect suspect;
    with_phone.credential_id = phone;
    limits.suspend_after = 5;
    cr_expect_not(quota_refused(&quota, &one, QUOTA_MESSAGES, &suspect), "nothing is used up");
    set_own(alice, SPAN("app"), SPAN("phone"), 3);
    cr_expect_eq(send_all(&with_phone, 10), 3);
    for (int i = 1; i < 5; i++) cr_expect_not(quota_refused(&quota, &with_phone, QUOTA_MESSAGES, &suspect));
    cr_assert(quota_refused(&quota, &with_phone, QUOTA_MESSAGES, &suspect));
    cr_expect(suspect.holder.kind == QUOTA_CREDENTIAL && suspect.holder.id == phone && suspect.refused == 5);
    cr_assert_eq(quota_suspend(&quota, &suspect.holder, now_ms / 1000), 0);
    cr_expect_eq(quota_suspended(&quota, &with_phone), FACT_YES);
    cr_expect_eq(quota_suspended(&quota, &one), FACT_NO, "the user is not");
    cr_expect_not(quota_refused(&quota, &with_phone, QUOTA_MESSAGES, &suspect), "once");
    start();
    cr_expect_eq(quota_suspended(&quota, &with_phone), FACT_YES, "a restart does not lift it");
    cr_expect_eq(send_all(&one, 1000), 97);
    for (int i = 1; i < 5; i++) cr_expect_not(quota_refused(&quota, &one, QUOTA_MESSAGES, &suspect));
    pass_ms(65 * 60000);
    cr_expect_eq(send_all(&one, 1000), 100);
    for (int i = 1; i < 5; i++) cr_expect_not(quota_refused(&quota, &one, QUOTA_MESSAGES, &suspect), "an hour ago");
    cr_assert(quota_refused(&quota, &one, QUOTA_MESSAGES, &suspect));
    cr_expect(suspect.holder.kind == QUOTA_USER && suspect.holder.id == alice);
    struct quota_holder holder = {QUOTA_USER, alice, SPAN("")};
    cr_expect_eq(quota_lift(&quota, &holder), 1);
    cr_expect_eq(quota_suspended(&quota, &with_phone), FACT_NO);
    cr_expect_not(quota_refused(&quota, &one, QUOTA_MESSAGES, &suspect), "it begins anew");
    cr_expect_eq(send_all(&web, 1000), 100);
    for (int i = 1; i < 5; i++) cr_expect_not(quota_refused(&quota, &web, QUOTA_MESSAGES, &suspect));
    cr_assert(quota_refused(&quota, &web, QUOTA_MESSAGES, &suspect) && suspect.holder.kind == QUOTA_SYSTEM);
    cr_assert_eq(quota_suspend(&quota, &suspect.holder, now_ms / 1000), 0);
    cr_expect_eq(quota_suspended(&quota, &web), FACT_YES);
    cr_expect_eq(quota_lift(&quota, &holder), 0, "nobody of hers");
    holder = (struct quota_holder){QUOTA_SYSTEM, 0, SPAN("www-data@example.test")};
    cr_expect_eq(quota_lift(&quota, &holder), 1);
    cr_expect_eq(quota_suspended(&quota, &web), FACT_NO);
}

Test(quota, rows_are_forgotten) {
    struct quota_principal one = user(alice), with_phone = user(bob);
    with_phone.credential_id = phone;
    cr_expect_eq(send_all(&one, 3), 3);
    cr_expect_eq(send_all(&with_phone, 3), 3);
    cr_expect_eq(count("SELECT count(*) FROM quotas"), 3);
    cr_assert_eq(quota_suspend(&quota, &(struct quota_holder){QUOTA_CREDENTIAL, phone, SPAN("")}, 1), 0);
    pass_ms(27ULL * 3600000);
    quota_round(&quota);
    cr_expect_eq(count("SELECT count(*) FROM quotas"), 1, "who is suspended stays");
    cr_assert_eq(credential_remove(db, alice, CREDENTIAL_APP, SPAN("phone")), ACCOUNT_CHANGED);
    pass_ms(3600000);
    quota_round(&quota);
    cr_expect_eq(count("SELECT count(*) FROM quotas"), 0, "until it is gone");
    cr_expect_eq(send_all(&one, 1000), 100);
}

Test(quota, a_report) {
    struct quota_principal one = user(alice);
    struct quota_holder holder = {QUOTA_USER, alice, SPAN("")};
    struct quota_report report;
    now_ms -= now_ms % 3600000;
    start();
    cr_expect_eq(send_all(&one, 7), 7);
    pass_ms(600000);
    cr_expect_eq(send_all(&one, 2), 2);
    cr_assert(quota_report(&quota, &holder, &report));
    cr_expect_eq(report.used[QUOTA_MESSAGES][QUOTA_HOUR], 9);
    cr_expect_eq(report.limits.most[QUOTA_MESSAGES][QUOTA_HOUR], 100);
    cr_expect_eq(report.until_ms[QUOTA_MESSAGES][QUOTA_HOUR], now_ms + 55 * 60000);
    cr_expect_eq(report.until_ms[QUOTA_MESSAGES][QUOTA_DAY], now_ms + 25 * 3600000 - 600000);
    cr_expect_eq(report.until_ms[QUOTA_RECIPIENTS][QUOTA_HOUR], 0);
    cr_expect_not(report.own[QUOTA_MESSAGES][QUOTA_HOUR]);
    now_ms -= 86400000; /* what is shown is by the wall clock as it is now */
    cr_assert(quota_report(&quota, &holder, &report));
    cr_expect_eq(report.until_ms[QUOTA_MESSAGES][QUOTA_HOUR], now_ms + 55 * 60000);
}

static bool collect(void *context, const struct quota_row *row) {
    struct buf *b = context;
    buf_put_span(b, row->login);
    buf_put_octet(b, '/');
    buf_put_span(b, row->kind);
    buf_put_octet(b, '/');
    buf_put_span(b, row->name);
    buf_put_octet(b, ' ');
    return true;
}

Test(quota, rows) {
    uint8_t storage[512];
    struct buf b = BUF_OVER(storage);
    struct quota_principal with_phone = user(alice), web = {.system = SPAN("www-data@example.test")};
    with_phone.credential_id = phone;
    cr_expect(quota_rows(&quota, collect, &b) && b.n == 0);
    cr_expect_eq(send_one(&web), FACT_YES);
    cr_expect_eq(send_one(&with_phone), FACT_YES);
    set_own(bob, SPAN(""), SPAN(""), 1);
    cr_assert(quota_rows(&quota, collect, &b));
    cr_expect(span_equal(buf_span(&b), SPAN("alice@example.test// alice@example.test/app/phone bob@example.test// "
                                            "www-data@example.test// ")),
              "%.*s", (int)b.n, (const char *)b.p);
}
