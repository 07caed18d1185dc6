/* test_throttle_store.c - what a restart leaves of the counters, whatever the wall clock says. */
#include "auth/throttle_store.h"
#include "auth/throttle_table.h"
#include "tests/unit/scratch.h"
#include "tests/unit/throttle_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct database *db;
static uint64_t wall; /* of t_now */

static void begin(void) {
    scratch_enter();
    cr_assert_not_null(db = database_open("gatepost.db", DATABASE_ACCOUNTS));
    t_begin();
    wall = 1800000000000;
}

static void end(void) {
    t_end();
    database_close(db);
}

TestSuite(throttle_store, .init = begin, .fini = end, .timeout = 60);

static struct throttle_time both(void) {
    return (struct throttle_time){t_now, wall};
}

static void save_all(void) {
    for (int i = 0; throttle_unsaved(t_throttle); i++) {
        cr_assert_eq(throttle_save(t_throttle, db, both(), 512), 0);
        cr_assert_lt(i, 10000);
    }
}

/* The process ends, and another is there after so long. */
static void restart(int64_t later_ms, int64_t wall_later_ms) {
    save_all();
    t_end();
    t_now += (uint64_t)later_ms;
    wall += (uint64_t)wall_later_ms;
    uint64_t now = t_now;
    t_begin();
    t_now = now;
    cr_assert_eq(throttle_load(t_throttle, db, both()), 0);
}

static int64_t rows(void) {
    struct statement *statement = database_statement(db, "SELECT count(*) FROM failures");
    cr_assert_eq(statement_step(statement), DATABASE_ROW);
    int64_t n = statement_get_number(statement, 0);
    statement_reset(statement);
    return n;
}

static void fail_from(const char *address, const char *name, unsigned n) {
    for (uint64_t i = 1; i <= n; i++) (void)t_fail(t_address(address), name, i);
}

Test(throttle_store, the_key_is_drawn_once) {
    uint8_t key[THROTTLE_KEY_BYTES], again[THROTTLE_KEY_BYTES], nothing[THROTTLE_KEY_BYTES] = {0};
    cr_assert_eq(throttle_key(db, key), 0);
    cr_assert_eq(throttle_key(db, again), 0);
    cr_expect_arr_eq(key, again, sizeof key);
    cr_expect_arr_neq(key, nothing, sizeof key);
    cr_assert_eq(statement_run(database_statement(db, "DELETE FROM secrets WHERE name = 'throttle-key'")), 1);
    cr_expect_eq(throttle_key(db, key), -1);
}

Test(throttle_store, counters_outlive_a_restart_and_drain_meanwhile) {
    cr_assert_eq(t_login(t_address("192.0.2.77"), "alice@example.test"), THROTTLE_ALLOW);
    fail_from("192.0.2.1", "alice@example.test", 20);
    fail_from("192.0.2.2", "alice@example.test", 20);
    fail_from("2001:db8::1", "bob@example.test", 15);
    uint64_t alice = t_left_account("alice@example.test"), bob = t_left_account("bob@example.test");
    uint64_t six = t_left_network("2001:db8::1");
    restart(T_MINUTE, T_MINUTE);
    cr_expect_eq(t_network(t_address("192.0.2.1")), THROTTLE_REFUSE);
    cr_expect_eq(t_left_network("2001:db8::1"), six - T_MINUTE);
    cr_expect_eq(t_left_account("alice@example.test"), alice - T_MINUTE);
    cr_expect_eq(t_left_account("bob@example.test"), bob - T_MINUTE);
    cr_expect_eq(t_login(t_address("192.0.2.99"), "alice@example.test"), THROTTLE_HELD);
    cr_expect_eq(t_login(t_address("192.0.2.77"), "alice@example.test"), THROTTLE_ALLOW, "known");
    struct netaddr known = t_address("192.0.2.77");
    cr_expect(throttle_network_known(t_throttle, &known, t_now));
    cr_expect_eq(t_login(t_address("2001:db8::1"), "bob@example.test"), THROTTLE_ALLOW);
    cr_expect_eq(t_left_network("2001:db8::1"), 0, "what is forgiven was kept too");
    cr_expect_eq(t_left_account("bob@example.test"), 0);
}

Test(throttle_store, strikes_outlive_it_too) {
    for (uint64_t i = 1; i < 2000; i++, t_now += T_MINUTE) (void)t_fail(t_address("192.0.2.1"), "a@example.test", i);
    restart(3 * T_HOUR, 3 * T_HOUR);
    (void)t_fail(t_address("192.0.2.1"), "a@example.test", 9999);
    cr_expect_eq(t_left_network("192.0.2.1"), 16 * 3 * T_MINUTE);
    t_now += 100 * (uint64_t)T_HOUR;
    restart(0, 0);
    cr_expect_eq(throttle_forget_all(t_throttle), 0, "nothing is left to be loaded");
}

/* Each: later by clock_ms, later by the wall clock, what is left of 15 failures (45 minutes). */
Test(throttle_store, steps_of_the_wall_clock_are_not_believed) {
    static const struct {
        int64_t later, wall_later, left;
    } rows_of[] = {
        {T_MINUTE, T_MINUTE, 44 * T_MINUTE},
        {T_MINUTE, 100 * (int64_t)T_HOUR, 44 * T_MINUTE}, /* set forward while the machine ran on */
        {T_MINUTE, -100 * (int64_t)T_HOUR, 44 * T_MINUTE},
        {50 * T_MINUTE, -100 * (int64_t)T_HOUR, 0},
        {-4 * T_MINUTE, 10 * T_MINUTE,
         35 * T_MINUTE}, /* started again, a minute ago: the wall clock is all there is */
        {-4 * T_MINUTE, -10 * T_MINUTE, 44 * T_MINUTE}, /* and it is wrong */
        {-4 * T_MINUTE, 50 * T_MINUTE, 0},
    };
    for (size_t i = 0; i < sizeof rows_of / sizeof *rows_of; i++) {
        (void)throttle_forget_all(t_throttle);
        t_now = 5 * (uint64_t)T_MINUTE;
        fail_from("192.0.2.1", "alice@example.test", 15);
        restart(rows_of[i].later, rows_of[i].wall_later);
        cr_expect_eq(t_left_network("192.0.2.1"), (uint64_t)rows_of[i].left, "%zu: %llu", i,
                     (unsigned long long)t_left_network("192.0.2.1"));
    }
}

Test(throttle_store, as_many_rows_as_slots_in_use) {
    char text[32];
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(text, sizeof text, "10.0.%u.%u", i / 250, i % 250);
        fail_from(text, text, 1);
    }
    save_all();
    cr_expect_eq(rows(), 6000);
    for (unsigned i = 0; i < 3000; i++) { /* half are changed, and all are in other places */
        snprintf(text, sizeof text, "10.0.%u.%u", i / 250, i % 250);
        struct network network;
        if (i % 2 && network_parse(&network, span_text(text))) (void)throttle_forget_network(t_throttle, &network);
    }
    restart(0, 0);
    cr_expect_eq(rows(), 4500);
    restart(0, 0);
    cr_expect_eq(rows(), 4500);
    struct throttle_totals totals;
    throttle_count(t_throttle, t_now, &totals);
    cr_expect_eq(totals.networks, 1500);
    cr_expect_eq(totals.accounts, 3000);
    restart(2 * T_HOUR, 2 * T_HOUR);
    restart(0, 0);
    cr_expect_eq(rows(), 0, "what has drained");
}

Test(throttle_store, a_little_at_a_time_and_everything_in_turn) {
    char text[32];
    for (unsigned i = 0; i < 500; i++) {
        snprintf(text, sizeof text, "10.0.%u.%u", i / 250, i % 250);
        fail_from(text, "bob@example.test", 1);
    }
    cr_assert_eq(t_login(t_address("192.0.2.1"), "alice@example.test"), THROTTLE_ALLOW);
    for (unsigned i = 0; i < 20; i++) { /* and all networks fail again, all the time */
        cr_assert_eq(throttle_save(t_throttle, db, both(), 100), 0);
        cr_assert_leq(rows(), 100 * (i + 1));
        for (unsigned j = 0; j < 500; j++) {
            snprintf(text, sizeof text, "10.0.%u.%u", j / 250, j % 250);
            fail_from(text, "bob@example.test", 1);
        }
    }
    cr_expect_eq(rows(), 502);
}

Test(throttle_store, rows_that_are_not_ours_are_dropped) {
    fail_from("192.0.2.1", "alice@example.test", 15);
    save_all();
    static const char *const breaks[] = {
        "UPDATE failures SET record = x'00'",
        "UPDATE failures SET record = CAST(record || x'00' AS BLOB)",
        "UPDATE failures SET record = CAST(x'02' || substr(record, 2) AS BLOB)",
        "UPDATE failures SET record = CAST(x'0107' || substr(record, 3) AS BLOB)",
        "UPDATE failures SET record = substr(record, 1, length(record) - 1)",
        "UPDATE failures SET record = CAST(substr(record, 1, 18) || randomblob(length(record) - 18) AS BLOB)",
    };
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        cr_assert_geq(statement_run(database_statement(db, breaks[i])), 1, "%s", breaks[i]);
        restart(0, 0);
        cr_expect_eq(t_left_network("192.0.2.1"), 0, "%s", breaks[i]);
        save_all();
        cr_expect_eq(rows(), 0, "%s", breaks[i]);
        fail_from("192.0.2.1", "alice@example.test", 15);
        save_all();
    }
    cr_assert_eq(statement_run(database_statement(db, "UPDATE failures SET slot = slot + 1000000")), 2);
    restart(0, 0);
    cr_expect_eq(t_left_network("192.0.2.1"), 45 * T_MINUTE);
    save_all();
    cr_expect_eq(rows(), 2);
}

Test(throttle_store, what_could_not_be_written_is_written_later) {
    fail_from("192.0.2.1", "alice@example.test", 15);
    cr_assert_geq(statement_run(database_statement(db, "ALTER TABLE failures RENAME TO away")), 0);
    cr_expect_eq(throttle_save(t_throttle, db, both(), 512), -1);
    cr_expect(throttle_unsaved(t_throttle));
    cr_assert_geq(statement_run(database_statement(db, "ALTER TABLE away RENAME TO failures")), 0);
    save_all();
    cr_expect_eq(rows(), 2);
    struct statement *statement = database_statement(db, "PRAGMA synchronous");
    cr_assert_eq(statement_step(statement), DATABASE_ROW);
    cr_expect_eq(statement_get_number(statement, 0), 2, "FULL again for what is answered");
    statement_reset(statement);
}
