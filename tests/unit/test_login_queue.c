/* test_login_queue.c - the bound, and the turns of networks. */
#include "auth/login_queue.h"

#include <criterion/criterion.h>

static struct network network(unsigned number) {
    struct network out = {.bits = 128};
    out.octets[15] = (uint8_t)number;
    return out;
}

static struct login_wait *add(struct login_queue *queue, struct login_wait *wait, unsigned number) {
    struct network of = network(number);
    return login_queue_add(queue, wait, &of, false);
}

static struct login_wait *add_known(struct login_queue *queue, struct login_wait *wait, unsigned number) {
    struct network of = network(number);
    return login_queue_add(queue, wait, &of, true);
}

static struct login_wait *take(struct login_queue *queue) {
    return login_queue_take(queue, false);
}

Test(login_queue, networks_take_turns) {
    struct login_queue queue = {.max = 10};
    struct login_wait waits[6] = {0};
    static const unsigned networks[] = {1, 1, 1, 1, 2, 3}, order[] = {0, 4, 5, 1, 2, 3};
    for (size_t i = 0; i < 6; i++) cr_assert_null(add(&queue, &waits[i], networks[i]));
    cr_expect_eq(login_queue_waiting(&queue), 6);
    for (size_t i = 0; i < 6; i++) cr_expect_eq(take(&queue) - waits, order[i], "%zu", i);
    cr_expect_null(take(&queue));
}

Test(login_queue, the_longest_line_gives_way) {
    struct login_queue queue = {.max = 4};
    struct login_wait waits[8] = {0};
    for (size_t i = 0; i < 4; i++) cr_assert_null(add(&queue, &waits[i], 1));
    cr_expect_eq(add(&queue, &waits[4], 1), &waits[4], "its own line is full");
    cr_expect_eq(add(&queue, &waits[5], 2), &waits[3], "another's newcomer");
    cr_expect_eq(add(&queue, &waits[6], 2), &waits[2]);
    cr_expect_eq(add(&queue, &waits[7], 2), &waits[7], "lines are equal now");
    cr_expect_eq(login_queue_waiting(&queue), 4);
    login_queue_drop(&queue, &waits[0]);
    login_queue_drop(&queue, &waits[0]);
    cr_expect_eq(login_queue_waiting(&queue), 3);
    cr_expect_eq(take(&queue), &waits[1]);
    cr_expect_eq(take(&queue), &waits[5]);
    cr_expect_eq(take(&queue), &waits[6]);
    cr_expect_null(take(&queue));
}

Test(login_queue, known_networks_have_every_second_turn) {
    struct login_queue queue = {.max = 10};
    struct login_wait waits[9] = {0};
    static const unsigned order[] = {6, 0, 7, 3, 8, 1, 4, 2, 5};
    for (unsigned i = 0; i < 6; i++) cr_assert_null(add(&queue, &waits[i], i / 3));
    for (size_t i = 6; i < 9; i++) cr_assert_null(add_known(&queue, &waits[i], 9));
    cr_expect_eq(login_queue_waiting(&queue), 9);
    for (size_t i = 0; i < 9; i++) cr_expect_eq(take(&queue) - waits, order[i], "%zu", i);
    cr_expect_null(take(&queue));
}

Test(login_queue, a_verifier_for_known_networks_only) {
    struct login_queue queue = {.max = 10};
    struct login_wait waits[4] = {0};
    for (size_t i = 0; i < 2; i++) cr_assert_null(add(&queue, &waits[i], 1));
    cr_expect_null(login_queue_take(&queue, true));
    cr_assert_null(add_known(&queue, &waits[2], 1));
    cr_assert_null(add_known(&queue, &waits[3], 2));
    cr_expect_eq(login_queue_take(&queue, true), &waits[2], "a network may stand in both rings");
    login_queue_drop(&queue, &waits[3]);
    cr_expect_null(login_queue_take(&queue, true));
    cr_expect_eq(login_queue_waiting(&queue), 2);
}

Test(login_queue, strangers_push_out_no_known) {
    struct login_queue queue = {.max = 2};
    struct login_wait waits[7] = {0};
    cr_assert_null(add_known(&queue, &waits[0], 1));
    cr_assert_null(add_known(&queue, &waits[1], 1));
    for (unsigned i = 2; i < 4; i++) cr_assert_null(add(&queue, &waits[i], i));
    cr_expect_eq(add(&queue, &waits[4], 9), &waits[4]);
    cr_expect_eq(login_queue_waiting(&queue), 4);
    cr_expect_eq(add_known(&queue, &waits[5], 2), &waits[1], "but they have a bound too");
    cr_expect_eq(login_queue_take(&queue, true), &waits[0]);
    cr_expect_eq(login_queue_take(&queue, true), &waits[5]);
}
