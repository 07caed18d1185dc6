/* test_family.c - when children are started again, and whether certificates and keys belong together. No child is a
 * process here: their channels end in the test.
 * Runs in: the test runner. Trusts: nothing. Never: runs a program of ours. */
#include "server/process/family.h"

#include "store/clock.h"
#include "store/log.h"
#include "tests/unit/conf_fixture.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct family family;
static uint8_t storage[FRAME_MAX];

static void begin(void) {
    fixture_begin();
    log_use(open("/dev/null", O_WRONLY));
    memset(&family, 0, sizeof family);
    family.generation = 1;
    family.good.generation = 1;
    family.auth_control = family.queue_control = family.submit = -1;
}

TestSuite(test_family, .init = begin, .fini = fixture_end);

/* A child with a channel but no process: its pid is beyond what the kernel gives out. */
static struct child *add(enum role role, uint8_t index, int *channel_out) {
    static pid_t pid = 1 << 28;
    int ends[2];
    struct child *child = child_add(&family, role, index);
    cr_assert(child && frame_pair(ends, true) == 0);
    child->pid = pid++;
    child->watch.fd = ends[0];
    child->generation = family.generation;
    if (channel_out) *channel_out = ends[1];
    return child;
}

static unsigned hear(int channel, uint16_t type) {
    struct frame frame;
    unsigned n = 0;
    while (frame_receive(channel, storage, true, &frame) == FRAME_RECEIVED) {
        n += frame.type == type;
        if (frame.fd >= 0) close(frame.fd);
    }
    return n;
}

Test(test_family, slots) {
    struct child *auth = add(ROLE_AUTH, 0, NULL), *verifier = add(ROLE_VERIFIER, 3, NULL);
    cr_expect_eq(child_find(&family, ROLE_AUTH, 0), auth);
    cr_expect_eq(child_find(&family, ROLE_AUTH, -1), auth);
    cr_expect_eq(child_find(&family, ROLE_VERIFIER, 3), verifier);
    cr_expect_null(child_find(&family, ROLE_VERIFIER, 0));
    cr_expect_null(child_find(&family, ROLE_QUEUE, -1));
    auth->draining = true;
    cr_expect_null(child_find(&family, ROLE_AUTH, 0));
    cr_expect_eq(family_by_pid(&family, verifier->pid), verifier);
    cr_expect_null(family_by_pid(&family, 1 << 27));
    while (child_add(&family, ROLE_VERIFIER, 0)) continue;
    cr_expect_null(child_add(&family, ROLE_LOG, 0));
}

Test(test_family, at_once_then_a_pause_after_three_deaths_within_a_second) {
    struct child *child = add(ROLE_QUEUE, 0, NULL);
    cr_expect_eq(family_next_restart(&family), UINT64_MAX);
    for (int i = 0; i < 2; i++) {
        child_gone(child);
        family_plan_restart(child);
        cr_expect_leq(child->restart_at_ms, clock_ms(), "death %d", i);
        cr_expect_eq(family_next_restart(&family), child->restart_at_ms);
    }
    uint64_t before = clock_ms();
    bool quick = before - child->deaths_ms[1] < 900; /* a machine that stood still meanwhile proves nothing */
    family_plan_restart(child);
    if (quick) cr_expect(child->restart_at_ms >= before + 1000 && child->restart_at_ms <= clock_ms() + 1000);
    child->deaths_ms[1] = clock_ms() - 1001; /* the third death back is long ago */
    family_plan_restart(child);
    child->deaths_ms[1] = child->deaths_ms[0] - 1001;
    family_plan_restart(child);
    cr_expect_leq(child->restart_at_ms, clock_ms());
    child->pid = 1;
    cr_expect_eq(family_next_restart(&family), UINT64_MAX, "it runs");
}

Test(test_family, the_first_of_many_restarts) {
    struct child *a = add(ROLE_QUEUE, 0, NULL), *b = add(ROLE_AUTH, 0, NULL);
    child_gone(a), child_gone(b);
    a->restart_at_ms = 2000, b->restart_at_ms = 1000;
    cr_expect_eq(family_next_restart(&family), (uint64_t)1000);
    b->role = ROLE_NONE;
    cr_expect_eq(family_next_restart(&family), (uint64_t)2000);
}

/* A pid may be given to anybody once its process was waited for: the log writer hears of it first. */
Test(test_family, the_log_hears_who_has_ended) {
    int ends[2];
    struct frame frame;
    struct child *child = add(ROLE_VERIFIER, 0, NULL);
    uint32_t pid = (uint32_t)child->pid;
    cr_assert_eq(frame_pair(ends, true), 0);
    log_use(ends[1]);
    child_gone(child);
    cr_assert_eq(frame_receive(ends[0], storage, false, &frame), FRAME_RECEIVED);
    struct wire w = wire_over(frame.body);
    cr_expect(frame.type == LOG_ROLE && wire_get_u32(&w) == pid && wire_get_u8(&w) == ROLE_NONE && wire_end(&w));
    child_gone(child); /* a slot without a process ends nobody */
    cr_expect_eq(frame_receive(ends[0], storage, false, &frame), FRAME_NONE);
}

Test(test_family, ready_when_all_are) {
    struct child *a = add(ROLE_QUEUE, 0, NULL), *b = add(ROLE_AUTH, 0, NULL);
    cr_expect_not(family_ready(&family));
    a->ready = true;
    cr_expect_not(family_ready(&family));
    b->ready = true;
    cr_expect(family_ready(&family));
    child_gone(b);
    cr_expect_not(family_ready(&family));
}

Test(test_family, listeners_are_retired_by_their_successor) {
    int first_end, second_end;
    struct child *first = add(ROLE_LISTENER, 0, &first_end), *second = add(ROLE_LISTENER, 1, &second_end);
    struct child *waiting = add(ROLE_LISTENER, 2, NULL);
    cr_expect_not(family_other_listener(&family, second), "one that does not serve yet is none");
    first->ready = true;
    cr_expect(family_other_listener(&family, second));
    cr_expect_not(family_other_listener(&family, first));
    child_gone(waiting);
    family_retire_listeners(&family, ROLE_LISTENER, second);
    cr_expect(first->draining && first->removed && !second->draining);
    cr_expect_eq(waiting->role, ROLE_NONE, "what was to be restarted is not needed");
    cr_expect(hear(first_end, MASTER_DRAIN) == 1 && hear(second_end, MASTER_DRAIN) == 0);
    family_retire_listeners(&family, ROLE_LISTENER, second);
    cr_expect_eq(hear(first_end, MASTER_DRAIN), 0u, "once");
    cr_expect_not(family_other_listener(&family, second));
}

Test(test_family, keys_of_unused_generations_are_dropped) {
    int keys_end;
    struct frame frame;
    add(ROLE_KEYS, 0, &keys_end);
    struct child *first = add(ROLE_LISTENER, 0, NULL);
    family.generation = family.good.generation = 5;
    struct child *second = add(ROLE_LISTENER, 1, NULL), *third = add(ROLE_LISTENER, 2, NULL);
    second->generation = 3;
    child_gone(third);
    family_forget(&family, third);
    cr_assert_eq(frame_receive(keys_end, storage, false, &frame), FRAME_RECEIVED);
    cr_expect(frame.type == MASTER_FORGET && span_equal(frame.body, SPAN("\0\0\0\0")),
              "the first one is still in use");
    child_gone(first);
    family_forget(&family, first);
    cr_assert_eq(frame_receive(keys_end, storage, false, &frame), FRAME_RECEIVED);
    cr_expect(span_equal(frame.body, SPAN("\2\0\0\0")));
    child_gone(second);
    family_forget(&family, second);
    cr_assert_eq(frame_receive(keys_end, storage, false, &frame), FRAME_RECEIVED);
    cr_expect(span_equal(frame.body, SPAN("\4\0\0\0")));
}

/* A child that does not read, or is gone, never holds the master up. */
Test(test_family, a_child_that_does_not_read) {
    int end;
    struct child *child = add(ROLE_QUEUE, 0, &end);
    for (int i = 0; i < 100000; i++) child_tell(child, MASTER_DRAIN, (struct span){0}, -1);
    close(end);
    child_tell(child, MASTER_DRAIN, (struct span){0}, -1);
    child_gone(child);
    child_tell(child, MASTER_DRAIN, (struct span){0}, -1);
}

/* ---- certificates and keys */

#define NAME_A "aaaaaaaaaaaaaaaa"
#define NAME_B "bbbbbbbbbbbbbbbb"

Test(test_family, who_may_say_what_of_keys) {
    static uint8_t many[(FAMILY_KEYS_MAX + 1) * (4 + KEY_NAME_BYTES) + 4] = {1};
    struct child *keys = add(ROLE_KEYS, 0, NULL), *listener = add(ROLE_LISTENER, 0, NULL),
                 *queue = add(ROLE_QUEUE, 0, NULL);
    const struct {
        struct child *child;
        struct span body;
        int result;
    } rows[] = {{keys,
                 SPAN("\1\0\0\0"
                      "\1\0\0\0" NAME_A),
                 0},
                {keys, SPAN("\1\0\0\0"), 0},
                {keys,
                 SPAN("\1\0\0\0"
                      "\1\0\0\0" NAME_A "\1\0\0\0" NAME_B),
                 0},
                {keys,
                 SPAN("\0\0\0\0"
                      "\1\0\0\0" NAME_A),
                 -1}, /* there is no such generation */
                {keys,
                 SPAN("\2\0\0\0"
                      "\1\0\0\0" NAME_A),
                 -1}, /* nor this, yet */
                {keys,
                 SPAN("\1\0\0\0"
                      "\1\0\0\0" NAME_A "x"),
                 -1},
                {keys, SPAN("\1\0\0"), -1},
                {keys, {0}, -1},
                {keys, span_of(many, sizeof many), -1},
                {keys, span_of(many, sizeof many - KEY_NAME_BYTES - 4), 0},
                {listener, SPAN("\1\0\0\0" NAME_A), -1},
                {queue, SPAN("\1\0\0\0" NAME_A), -1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(family_hear_keys(rows[i].child, rows[i].body), rows[i].result, "row %zu", i);
    cr_expect_eq(family_hear_certificates(keys, SPAN(NAME_A)), -1);
    cr_expect_eq(family_hear_certificates(listener, SPAN(NAME_A "x")), -1);
    cr_expect_eq(family_hear_certificates(listener, span_of(many, (MATERIAL_MAX + 1) * KEY_NAME_BYTES)), -1);
    cr_expect_eq(family_hear_certificates(listener, SPAN(NAME_A NAME_B)), 0);
    cr_expect_eq(family_hear_certificates(listener, SPAN(NAME_A)), -1, "once");
    struct child *late = add(ROLE_LISTENER, 1, NULL);
    late->said_ready = true;
    cr_expect_eq(family_hear_certificates(late, SPAN(NAME_A)), -1, "before it serves");
}

static enum family_pairs pairs(struct child *listener) {
    size_t wrong;
    return family_pairs(listener, &wrong);
}

Test(test_family, pairs_are_whole_when_all_keys_are_held) {
    struct child *keys = add(ROLE_KEYS, 0, NULL), *listener = add(ROLE_LISTENER, 0, NULL);
    cr_expect_eq(pairs(listener), FAMILY_PAIRS_WHOLE, "no certificate needs no key");
    cr_assert_eq(family_hear_certificates(listener, SPAN(NAME_A NAME_B)), 0);
    cr_expect_eq(pairs(listener), FAMILY_PAIRS_UNKNOWN, "the keys process has not said");
    cr_assert_eq(family_hear_keys(keys, SPAN("\1\0\0\0"
                                             "\1\0\0\0" NAME_B "\1\0\0\0"
                                             "cccccccccccccccc"
                                             "\1\0\0\0" NAME_A)),
                 0);
    cr_expect_eq(pairs(listener), FAMILY_PAIRS_WHOLE);
    child_gone(keys);
    cr_expect_eq(pairs(listener), FAMILY_PAIRS_UNKNOWN, "it is gone and must say again");
}

/* New certificates of generation 2 beside those in service. */
static struct child *add_fresh_listener(int *channel_out) {
    family.generation = 2;
    family.fresh = (struct material){.generation = 2, .n = 0};
    return add(ROLE_LISTENER, 1, channel_out);
}

Test(test_family, a_listener_serves_once_its_certificates_are_good) {
    int old_end, new_end;
    struct child *keys = add(ROLE_KEYS, 0, NULL), *old = add(ROLE_LISTENER, 0, &old_end);
    old->ready = true;
    struct child *listener = add_fresh_listener(&new_end);
    cr_assert_eq(family_hear_certificates(listener, SPAN(NAME_A)), 0);
    cr_assert_eq(family_hear_keys(keys, SPAN("\1\0\0\0"
                                             "\1\0\0\0" NAME_B)),
                 0);
    cr_expect_eq(pairs(listener), FAMILY_PAIRS_UNKNOWN, "the new keys are not read yet");
    cr_assert_eq(family_hear_keys(keys, SPAN("\2\0\0\0"
                                             "\1\0\0\0" NAME_B "\2\0\0\0" NAME_A)),
                 0);
    cr_expect_eq(pairs(listener), FAMILY_PAIRS_WHOLE);
    cr_expect_eq(hear(new_end, MASTER_ACCEPT), 0u);
    family.plans[0].wanted = true;
    family_serve(&family, listener);
    cr_expect_eq(hear(new_end, MASTER_ACCEPT), 1u);
    cr_expect_eq(hear(old_end, MASTER_DRAIN), 1u);
    cr_expect(family.good.generation == 2 && family.fresh.generation == 0);
    cr_expect_not(family.plans[0].wanted);
}

Test(test_family, certificates_without_their_keys_are_given_up) {
    size_t wrong = 9;
    struct child *keys = add(ROLE_KEYS, 0, NULL), *old = add(ROLE_LISTENER, 0, NULL);
    struct child *listener = add_fresh_listener(NULL);
    cr_assert_eq(family_hear_certificates(listener, SPAN(NAME_A NAME_B)), 0);
    cr_assert_eq(family_hear_keys(keys, SPAN("\2\0\0\0"
                                             "\2\0\0\0" NAME_A "\1\0\0\0" NAME_B)),
                 0, "B is of before only");
    cr_expect_eq(family_pairs(listener, &wrong), FAMILY_PAIRS_BROKEN);
    cr_expect_eq(wrong, (size_t)1);
    cr_expect_not(family_refuse_material(&family, old), "those in service are not given up");
    cr_expect(family_refuse_material(&family, listener));
    cr_expect(family.good.generation == 1 && family.fresh.generation == 0);
    cr_expect_not(family_refuse_material(&family, listener), "once");
    family.fresh = family.good, family.fresh.generation = 2, family.good = (struct material){0};
    cr_expect_not(family_refuse_material(&family, listener), "there is nothing else to serve with");
}

/* A new keys process begins with the keys in service, and gets those that are being judged behind them. */
Test(test_family, a_new_keys_process_gets_both) {
    int end;
    struct frame frame;
    uint32_t generations[2] = {0};
    family.conf = fixture_read_good("", 0);
    family.fresh = (struct material){.generation = 2};
    struct child *keys = add(ROLE_KEYS, 0, &end);
    cr_assert_eq(child_setup(keys), 0);
    generations[0] = keys->generation;
    child_begin(keys);
    generations[1] = keys->generation;
    cr_expect(generations[0] == 1 && generations[1] == 2, "%u, %u", generations[0], generations[1]);
    static const uint16_t order[] = {MASTER_SETUP, MASTER_START, MASTER_SETUP};
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(frame_receive(end, storage, true, &frame), FRAME_RECEIVED);
        cr_expect_eq(frame.type, order[i], "frame %zu", i);
        if (frame.fd >= 0) close(frame.fd);
    }
    conf_free((struct conf *)(uintptr_t)family.conf);
}

/* ---- POP3 */

Test(test_family, listeners_for_smtp_and_pop3_are_apart) {
    int smtp_end, pop3_end;
    struct child *smtp = add(ROLE_LISTENER, 0, &smtp_end), *pop3 = add(ROLE_POP3, 0, &pop3_end);
    smtp->ready = pop3->ready = true;
    cr_expect_not(family_other_listener(&family, smtp), "one for POP3 does not take its place");
    family.plans[0].wanted = true;
    family_serve(&family, pop3);
    cr_expect(!smtp->draining && family.plans[0].wanted);
    cr_expect_eq(hear(pop3_end, MASTER_ACCEPT), 1u);
    family_retire_listeners(&family, ROLE_POP3, NULL);
    cr_expect(pop3->draining && !smtp->draining);
    cr_expect_eq(hear(smtp_end, MASTER_DRAIN), 0u);
}

Test(test_family, new_certificates_that_one_listener_cannot_use_are_given_up_by_both) {
    struct child *smtp = add(ROLE_LISTENER, 1, NULL), *pop3 = add(ROLE_POP3, 1, NULL);
    family.fresh.generation = smtp->generation = pop3->generation = 2;
    cr_expect(family_refuse_material(&family, smtp));
    cr_expect(pop3->draining && pop3->removed, "it began with them");
    cr_expect_eq(family.fresh.generation, 0u);
    cr_expect_not(family_refuse_material(&family, pop3), "once");
}

Test(test_family, a_listener_for_pop3_is_wanted_where_the_configuration_has_one) {
    struct conf conf = {0};
    struct conf_listener listeners[] = {{.role = CONF_LISTENER_MX}, {.role = CONF_LISTENER_POP3S}};
    family.conf = &conf;
    conf.listeners = listeners;
    conf.n_listeners = 1;
    family_want_listeners(&family);
    cr_expect(family.plans[0].wanted && !family.plans[1].wanted);
    conf.n_listeners = 2;
    family_want_listeners(&family);
    cr_expect(family.plans[0].wanted && family.plans[1].wanted);
    conf.n_listeners = 1;
    family_want_listeners(&family);
    cr_expect_not(family.plans[1].wanted);
}

/* ---- renewal */

Test(test_family, a_listener_that_could_not_start_is_started_later) {
    struct child *verifier = NULL, *last = NULL;
    family.conf = fixture_read_good("", 0);
    while ((last = child_add(&family, ROLE_VERIFIER, 0))) verifier = last, last->pid = 1 << 28;
    family_want_listener(&family, ROLE_LISTENER);
    cr_expect_leq(family_next_restart(&family), clock_ms(), "at once");
    family_restart_due(&family);
    uint64_t again = family_next_restart(&family);
    cr_expect(again != UINT64_MAX && again > clock_ms(), "no place, so again later");
    cr_expect_null(child_find(&family, ROLE_LISTENER, -1));
    verifier->role = ROLE_NONE;
    family_restart_due(&family);
    cr_expect_null(child_find(&family, ROLE_LISTENER, -1), "not before then");
    family.plans[0].at_ms = clock_ms();
    family_restart_due(&family);
    struct child *listener = child_find(&family, ROLE_LISTENER, -1);
    cr_assert(listener && listener->pid > 0);
    cr_expect_neq(family_next_restart(&family), UINT64_MAX, "until it serves");
    family.plans[0].at_ms = clock_ms();
    family_restart_due(&family);
    cr_expect_eq(listener, child_find(&family, ROLE_LISTENER, -1), "one at a time");
    family_serve(&family, listener);
    cr_expect_eq(family_next_restart(&family), UINT64_MAX);
    kill(listener->pid, SIGKILL);
    waitpid(listener->pid, NULL, 0);
    conf_free((struct conf *)(uintptr_t)family.conf);
}

/* ---- what a reload may change */

/* At a reload nothing comes a second time that a role keeps: the new one would close the one in use. */
Test(test_family, a_new_setup_brings_no_lasting_descriptor) {
    static const enum role roles[] = {ROLE_AUTH, ROLE_QUEUE, ROLE_DELIVERY, ROLE_LOG, ROLE_VERIFIER};
    family.conf = fixture_read_good("", 0);
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        struct frame frame;
        int end;
        struct child *child = add(roles[i], 0, &end);
        cr_assert_eq(child_setup(child), 0);
        cr_assert_eq(frame_receive(end, storage, true, &frame), FRAME_RECEIVED);
        cr_expect_eq(frame.type, MASTER_SETUP, "%s", role_name(roles[i]));
        close(frame.fd);
        cr_expect_eq(frame_receive(end, storage, true, &frame), FRAME_NONE, "%s", role_name(roles[i]));
    }
    conf_free((struct conf *)(uintptr_t)family.conf);
}

Test(test_family, what_cannot_move_while_it_runs) {
    static const struct {
        const char *now, *wanted;
        bool same;
    } rows[] = {{"", "", true},
                {"state_directory = \"/a\";", "state_directory = \"/b\";", false},
                {"run_directory = \"/a\";", "run_directory = \"/b\";", false},
                {"postmaster = \"a@example.test\";", "postmaster = \"b@example.test\";", true},
                {"", "delivery = { foreign = \"capture\"; };", false},
                {"delivery = { foreign = \"capture\"; };", "delivery = { foreign = \"capture\"; };", true},
                {"", "log = { to = \"syslog\"; };", false},
                {"", "log = { json = true; };", true},
                {"log = { to = \"syslog\"; };", "log = { to = \"syslog\"; socket = \"/tmp/log\"; };", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = NULL;
        size_t size;
        FILE *errors = open_memstream(&text, &size);
        struct conf *now = fixture_read_good(rows[i].now, 0), *wanted = fixture_read_good(rows[i].wanted, 0);
        cr_expect_eq(family_same_place(now, wanted, errors), rows[i].same, "row %zu", i);
        fclose(errors);
        cr_expect_eq(size > 0, !rows[i].same, "row %zu", i);
        free(text), conf_free(now), conf_free(wanted);
    }
}

Test(test_family, missing_users_are_named_with_the_command) {
    char *text = NULL;
    size_t size;
    FILE *errors = open_memstream(&text, &size);
    struct conf *conf =
        fixture_read_good("users = { session = \"no-such-user-a\"; queue = \"no-such-user-b\"; };", 0);
    cr_expect_eq(family_check_users(conf, errors), -1);
    fclose(errors);
    cr_expect(strstr(text, "\"no-such-user-a\" for the listener"), "%s", text);
    cr_expect(strstr(text, "useradd --system"), "%s", text);
    cr_expect(strstr(text, "\"no-such-user-b\" for the queue"), "%s", text);
    free(text), conf_free(conf);
}
