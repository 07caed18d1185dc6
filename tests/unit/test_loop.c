/* test_loop.c - waiting and calling; above all what a handler does to the others of its batch.
 * Runs in: the test runner. Trusts: nothing. Never: waits for real. */
#include "store/loop.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { N = 5 };

struct one {
    struct loop_watch watch;
    int write_end;
    unsigned called;
    uint32_t events;
};

static struct loop loop;
static struct one ones[N];

static void count(void *context, uint32_t events) {
    struct one *one = context;
    uint8_t octet;
    one->called++;
    one->events = events;
    if (events & EPOLLIN) (void)!read(one->watch.fd, &octet, 1);
}

static void open_one(struct one *one, void (*ready)(void *, uint32_t)) {
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    *one = (struct one){.watch = {ends[0], ready, one}, .write_end = ends[1]};
    cr_assert_eq(loop_add(&loop, &one->watch, EPOLLIN), 0);
}

static void speak(const struct one *one) {
    cr_assert_eq(write(one->write_end, "x", 1), 1);
}

static void begin(void) {
    cr_assert_eq(loop_open(&loop), 0);
    for (size_t i = 0; i < N; i++) open_one(&ones[i], count);
}

static void end(void) {
    for (size_t i = 0; i < N; i++) {
        if (ones[i].watch.fd >= 0) close(ones[i].watch.fd);
        close(ones[i].write_end);
    }
    loop_close(&loop);
}

TestSuite(test_loop, .init = begin, .fini = end);

Test(test_loop, calls_what_is_ready_and_only_that) {
    cr_assert_eq(loop_round(&loop, 0), 0);
    for (size_t i = 0; i < N; i++) cr_expect_eq(ones[i].called, 0u);
    speak(&ones[1]), speak(&ones[4]);
    cr_assert_eq(loop_round(&loop, 1000), 0);
    for (size_t i = 0; i < N; i++) cr_expect_eq(ones[i].called, i == 1 || i == 4 ? 1u : 0u);
    cr_expect_eq(ones[1].events, (uint32_t)EPOLLIN);
    cr_assert_eq(loop_round(&loop, 0), 0);
    cr_expect_eq(ones[1].called, 1u);
}

Test(test_loop, an_end_is_told) {
    close(ones[2].write_end);
    cr_assert_eq(loop_round(&loop, 1000), 0);
    cr_expect(ones[2].events & EPOLLHUP);
    ones[2].write_end = -1;
}

Test(test_loop, changed_and_removed) {
    speak(&ones[0]), speak(&ones[1]);
    cr_assert_eq(loop_change(&loop, &ones[0].watch, 0), 0);
    loop_remove(&loop, &ones[1].watch);
    cr_assert_eq(loop_round(&loop, 0), 0);
    cr_expect_eq(ones[0].called + ones[1].called, 0u);
    cr_assert_eq(loop_change(&loop, &ones[0].watch, EPOLLIN), 0);
    cr_assert_eq(loop_round(&loop, 0), 0);
    cr_expect_eq(ones[0].called, 1u);
    cr_expect_eq(loop_change(&loop, &ones[1].watch, EPOLLIN), -1);
    cr_expect_eq(errno, ENOENT);
}

/* Whoever comes first in the batch removes and closes all the others, and itself. */
static void remove_all(void *context, uint32_t events) {
    count(context, events);
    for (size_t i = 0; i < N; i++) {
        loop_remove(&loop, &ones[i].watch);
        close(ones[i].watch.fd);
        ones[i].watch.fd = -1;
    }
}

Test(test_loop, removed_in_the_same_batch) {
    for (size_t i = 0; i < N; i++) ones[i].watch.ready = remove_all, speak(&ones[i]);
    cr_assert_eq(loop_round(&loop, 1000), 0);
    unsigned called = 0;
    for (size_t i = 0; i < N; i++) called += ones[i].called;
    cr_expect_eq(called, 1u);
    cr_assert_eq(loop_round(&loop, 0), 0);
}

/* The descriptor was closed first, as where a link of the master's is replaced; its number may be in use again. */
static void close_then_remove(void *context, uint32_t events) {
    count(context, events);
    for (size_t i = 0; i < N; i++) {
        if (&ones[i] == context) continue;
        close(ones[i].watch.fd);
        loop_remove(&loop, &ones[i].watch);
        ones[i].watch.fd = -1;
    }
}

Test(test_loop, closed_before_it_was_removed) {
    for (size_t i = 0; i < N; i++) ones[i].watch.ready = close_then_remove, speak(&ones[i]);
    cr_assert_eq(loop_round(&loop, 1000), 0);
    unsigned called = 0;
    for (size_t i = 0; i < N; i++) called += ones[i].called;
    cr_expect_eq(called, 1u);
}

/* A watch that is added in place of a removed one does not inherit its event. */
static void replace_next(void *context, uint32_t events) {
    count(context, events);
    for (size_t i = 0; i < N; i++) {
        struct one *one = &ones[i];
        if (one == context || one->called) continue;
        loop_remove(&loop, &one->watch);
        close(one->watch.fd), close(one->write_end);
        open_one(one, count);
    }
}

Test(test_loop, a_new_watch_in_the_same_place) {
    for (size_t i = 0; i < N; i++) ones[i].watch.ready = replace_next, speak(&ones[i]);
    cr_assert_eq(loop_round(&loop, 1000), 0);
    unsigned called = 0;
    for (size_t i = 0; i < N; i++) called += ones[i].called;
    cr_expect_eq(called, 1u);
}

Test(test_loop, more_than_a_batch_comes_in_turns) {
    enum { MANY = 3 * LOOP_BATCH };
    struct one *many = calloc(MANY, sizeof *many);
    for (size_t i = 0; i < MANY; i++) open_one(&many[i], count), speak(&many[i]), speak(&many[i]);
    for (size_t i = 0; i < 3; i++) cr_assert_eq(loop_round(&loop, 1000), 0);
    for (size_t i = 0; i < MANY; i++) {
        cr_expect_eq(many[i].called, 1u, "nobody is served twice before all were served once");
        close(many[i].watch.fd), close(many[i].write_end);
    }
    free(many);
}

Test(test_loop, a_closed_loop_says_so) {
    struct loop other;
    cr_assert_eq(loop_open(&other), 0);
    loop_close(&other);
    cr_expect_eq(other.epoll_fd, -1);
    loop_close(&other);
    cr_expect_eq(loop_round(&other, 0), -1);
}
