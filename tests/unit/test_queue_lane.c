/* test_queue_lane.c - whose turn it is: senders at a destination, destinations for agents.
 * Runs in: the test runner. Trusts: nothing. Never: asserts a time. */
#include "tests/unit/queue_driver.h"

#include "store/clock.h"
#include "store/queue_state.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BURST = 10000 };

static struct queue_driver driver;
static struct drive_job job;

static void setup(void) {
    drive_make(&driver);
}
static void teardown(void) {
    drive_remove(&driver);
}

TestSuite(queue_lane, .init = setup, .fini = teardown, .timeout = 120);

/* ---- lanes alone */

static struct queue queue;

static struct envelope envelope_of(const char *principal, const char *client, const char *sender) {
    struct envelope envelope = {.principal = span_text(principal), .sender = span_text(sender)};
    cr_assert(netaddr_parse(&envelope.client, span_text(client)));
    return envelope;
}

static uint32_t key_of(const char *principal, const char *client, const char *sender) {
    struct envelope envelope = envelope_of(principal, client, sender);
    return queue_sender_key(&queue, &envelope);
}

Test(queue_lane, who_counts_as_one) {
    uint32_t alice = key_of("alice@example.test", "192.0.2.7", "alice@example.test");
    cr_expect_eq(alice, key_of("alice@example.test", "2001:db8::1", "other@example.test"), "one login");
    cr_expect_neq(alice, key_of("bob@example.test", "192.0.2.7", "alice@example.test"));
    uint32_t network = key_of("", "192.0.2.7", "a@client.example");
    cr_expect_eq(network, key_of("", "192.0.2.99", "b@other.example"), "one network, whatever it says");
    cr_expect_neq(network, key_of("", "198.51.100.7", "a@client.example"));
    cr_expect_eq(key_of("", "2001:db8:1:2::1", "a@x.example"), key_of("", "2001:db8:1:2:3::9", "b@x.example"));
    cr_expect_neq(key_of("", "127.0.0.1", "cron@example.test"), key_of("", "127.0.0.1", "shop@example.test"));
    cr_expect_neq(key_of("", "::1", "cron@example.test"), key_of("", "::1", "shop@example.test"));
    struct envelope report = envelope_of("", "192.0.2.7", "");
    report.flags = ENVELOPE_BOUNCE;
    cr_expect_neq(network, queue_sender_key(&queue, &report));
}

struct part_of { /* one message's part, and whose it is */
    struct queue_message message;
    struct queue_part part;
};

static struct part_of *add(struct queue_destination *destination, uint32_t key, uint16_t attempts) {
    struct part_of *made = calloc(1, sizeof *made);
    made->message.sender_key = key;
    made->part.message = &made->message, made->part.destination = destination, made->part.attempts = attempts;
    queue_lane_add(&queue, &made->part);
    return made;
}

static uint32_t take(struct queue_destination *destination, uint16_t *attempts_out) {
    struct queue_part *part = queue_lane_turn(destination);
    cr_assert(part);
    uint32_t key = part->message->sender_key;
    if (attempts_out) *attempts_out = part->attempts;
    queue_lane_remove(&queue, part);
    free(part->message);
    return key;
}

Test(queue_lane, senders_have_turns) {
    struct queue_destination *destination = calloc(1, sizeof *destination + 1);
    for (int i = 0; i < BURST; i++) add(destination, 1, 0);
    for (uint32_t key = 2; key < 1000; key++) add(destination, key, 0);
    for (int i = 0; i < 5; i++) add(destination, 7, 0);
    cr_expect_eq(destination->n_ready, BURST + 998 + 5);
    uint32_t last = 1;
    cr_expect_eq(take(destination, NULL), 1);
    for (uint32_t i = 2; i < 1000; i++) cr_assert_eq(take(destination, NULL), ++last, "each once");
    for (int i = 0; i < 5; i++) cr_assert_eq(take(destination, NULL) + take(destination, NULL), 8);
    while (destination->n_ready) cr_assert_eq(take(destination, NULL), 1);
    cr_expect_null(queue_lane_turn(destination));
    cr_expect_eq(queue.n_lanes, 0);
    free(destination);
}

Test(queue_lane, new_mail_is_not_behind_what_is_tried_again) {
    struct queue_destination *destination = calloc(1, sizeof *destination + 1);
    uint16_t attempts;
    int again = 0;
    for (int i = 0; i < BURST; i++) add(destination, (uint32_t)i, 3);
    for (int i = 0; i < 100; i++) add(destination, 5, 0);
    for (int i = 0; i < 132; i++) {
        take(destination, &attempts);
        again += attempts != 0;
    }
    cr_expect_eq(again, 33, "one in four, so that it gets on too");
    while (destination->n_ready) take(destination, &attempts);
    cr_expect_eq(queue.n_lanes, 0);
    free(destination);
}

Test(queue_lane, parts_leave_from_anywhere) {
    struct queue_destination *destination = calloc(1, sizeof *destination + 1);
    static struct part_of *parts[300];
    for (uint32_t i = 0; i < 300; i++) parts[i] = add(destination, i % 17, i % 2);
    for (uint32_t i = 0; i < 300; i++) {
        uint32_t at = i * 7 % 300;
        queue_lane_remove(&queue, &parts[at]->part);
        if (at % 3 == 0) queue_lane_add(&queue, &parts[at]->part);
    }
    cr_expect_eq(destination->n_ready, 100);
    for (int i = 0; i < 100; i++) take(destination, NULL);
    cr_expect_null(destination->rings[0]);
    cr_expect_null(destination->rings[1]);
    cr_expect_eq(queue.n_lanes, 0);
    free(destination);
}

/* ---- places alone */

static struct queue_destination *elsewhere(const char *name, uint64_t number) {
    static uint8_t storage[512];
    struct buf b = BUF_OVER(storage);
    struct recipient recipient = {
        .kind = DESTINATION_SMARTHOST, .destination = span_text(name), .address = SPAN("a@far.example")};
    struct message head = {.number = number, .arrival_ms = clock_wall_ms(), .n_recipients = 1};
    recipient_put(&b, &recipient);
    head.recipients = buf_span(&b);
    struct queue_message *message = queue_message_new(&queue, &head, (struct record_place){0}, 100, 100);
    cr_assert(message && queue_file(&queue, message) == 0);
    queue_schedule_message(&queue, message);
    return message->parts[0].destination;
}

/* An agent that has the destination's first message since `since_ms`. */
static struct queue_agent *busy(struct queue_destination *destination, uint64_t since_ms) {
    struct queue_agent *agent = destination->agent;
    struct queue_part *part = queue_lane_turn(destination);
    queue_part_unschedule(&queue, part);
    part->state = PART_ACTIVE;
    part->message->active++;
    agent->jobs[0] = (struct queue_job){1, part, false};
    agent->n_jobs = 1;
    agent->watch.fd = dup(0);
    agent->heard_ms = since_ms;
    return agent;
}

Test(queue_lane, who_hangs_has_had_its_try) {
    int pair[2];
    cr_assert_eq(frame_pair(pair, true), 0);
    queue.setup = driver.setup;
    queue.setup.agents_max = 1, queue.setup.expire_ms = 3600000;
    for (size_t i = 0; i < QUEUE_LINKS; i++)
        queue.links[i] = (struct queue_link){.queue = &queue, .watch.fd = pair[0], .backlog.cap_bytes = 1 << 20};
    struct queue_destination *first = elsewhere("first.example", 1), *second, *third;
    queue_slots_fill(&queue);
    cr_assert(first->agent && !first->wanting);
    busy(first, clock_ms());
    second = elsewhere("second.example", 2);
    queue_slots_fill(&queue);
    cr_expect(!second->agent && second->wanting, "there is one place");
    first->agent->heard_ms = clock_ms() - 10000;
    queue_slots_fill(&queue);
    cr_expect(second->agent && first->agent, "the first only waits");
    busy(second, clock_ms() - 100000)->jobs[0].sending = true;
    first->agent->heard_ms = clock_ms() - 100000;
    queue_slots_fill(&queue);
    cr_expect(first->agent, "nobody waits for its place");
    third = elsewhere("third.example", 3);
    queue_slots_fill(&queue);
    cr_expect_null(first->agent);
    cr_expect(first->failures == 1 && first->timer.place, "left alone for a while");
    cr_expect(second->agent, "its message may be there by now");
    queue_slots_fill(&queue);
    cr_expect(third->agent);
}

/* ---- the process */

static void send_as(int session, uint8_t t, const char *sender, const char *principal, const char *recipient) {
    char name[256];
    const char *recipients[] = {recipient, NULL};
    driver.principal = principal;
    drive_open(&driver, t, 7, sender, recipients);
    drive_data(session, t, SPAN("x\r\n"));
    drive_commit(session, t, 1);
    cr_assert_eq(drive_result(session, name), BODY_DURABLE);
    char log[2048];
    while (recv(driver.log, log, sizeof log, MSG_DONTWAIT | MSG_TRUNC) > 0) continue;
}

/* What an agent has in hand is out of the queue's; from there on it is the other's turn at once. */
Test(queue_lane, one_message_is_not_behind_a_burst) {
    char name[256];
    int at = 0;
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    for (int i = 0; i < 400; i++) send_as(session, 1, "a@example.test", "a@example.test", "bob@example.test");
    send_as(session, 1, "b@example.test", "b@example.test", "bob@example.test");
    int agent = drive_agent(&driver, 20000, name);
    for (at = 0; at < 100; at++) {
        cr_assert(drive_job(agent, 20000, &job));
        if (strcmp(job.sender, "b@example.test") == 0) break;
        drive_answer(agent, &job, JOB_DELIVERED, 0, "2.0.0", "");
    }
    cr_expect_leq(at, 2);
    drive_end(&driver, true);
}

/* Two places, and three destinations with much to do: all three have turns. */
Test(queue_lane, destinations_have_turns) {
    static const char *const to[] = {"r1@example.test", "r2@example.test", "r3@example.test"};
    char wanted[256];
    driver.setup.agents_max = 2;
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    for (int i = 0; i < 600; i++) send_as(session, 1, "a@example.test", "a@example.test", to[i % 3]);
    int agents[3], n = 0, jobs = 0;
    for (; n < 2; n++) cr_assert((agents[n] = drive_agent(&driver, 20000, wanted)) >= 0);
    while (n < 3) {
        for (int i = 0; i < 2; i++)
            if (drive_job(agents[i], 20, &job)) {
                drive_answer(agents[i], &job, JOB_DELIVERED, 0, "2.0.0", "");
                jobs++;
            }
        if ((agents[2] = drive_agent(&driver, 0, wanted)) >= 0) n++;
        cr_assert_lt(jobs, 400, "two of them have had everything");
    }
    cr_expect_str_eq(wanted, to[2]);
    drive_end(&driver, true);
}

/* Agents that are asked for and never come hang as well as any. There are places for what has worked before, and
 * after a while for others. */
Test(queue_lane, many_that_hang_leave_places) {
    char wanted[256], to[64];
    driver.setup.agents_max = 4;
    drive_start(&driver);
    int session = drive_session(&driver, 7), n = 0;
    send_as(session, 1, "a@example.test", "", "good@example.test");
    int good = drive_agent(&driver, 20000, wanted);
    cr_assert(drive_job(good, 20000, &job));
    drive_answer(good, &job, JOB_DELIVERED, 0, "2.0.0", "");
    close(good);
    usleep(100000);
    for (int i = 0; i < 12; i++) {
        snprintf(to, sizeof to, "hang%d@example.test", i);
        send_as(session, 1, "a@example.test", "", to);
    }
    int hanging[12];
    while ((hanging[n] = drive_agent(&driver, 500, wanted)) >= 0) n++;
    cr_expect_eq(n, 3, "three quarters of four");
    send_as(session, 1, "a@example.test", "", "good@example.test");
    good = drive_agent(&driver, 20000, wanted);
    cr_expect_str_eq(wanted, "good@example.test");
    cr_assert(drive_job(good, 20000, &job));
    drive_answer(good, &job, JOB_DELIVERED, 0, "2.0.0", "");
    close(good);
    /* Those three only wait; they make room for others that nobody knows. */
    while (n < 7 && (hanging[n] = drive_agent(&driver, 20000, wanted)) >= 0) n++;
    cr_expect_eq(n, 7);
    cr_expect_lt(drive_agent(&driver, 7000, wanted), 0, "but not for any number");
    send_as(session, 1, "a@example.test", "", "good@example.test");
    good = drive_agent(&driver, 20000, wanted);
    cr_expect_str_eq(wanted, "good@example.test");
    cr_assert(drive_job(good, 20000, &job));
    drive_end(&driver, true);
}
