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
    return login_queue_add(queue, wait, &of);
}

Test(login_queue, networks_take_turns) {
    struct login_queue queue = {.max = 10};
    struct login_wait waits[6] = {0};
    static const unsigned networks[] = {1, 1, 1, 1, 2, 3}, order[] = {0, 4, 5, 1, 2, 3};
    for (size_t i = 0; i < 6; i++) cr_assert_null(add(&queue, &waits[i], networks[i]));
    cr_expect_eq(queue.n, 6);
    for (size_t i = 0; i < 6; i++) cr_expect_eq(login_queue_take(&queue) - waits, order[i], "%zu", i);
    cr_expect_null(login_queue_take(&queue));
}

Test(login_queue, the_longest_line_gives_way) {
    struct login_queue queue = {.max = 4};
    struct login_wait waits[8] = {0};
    for (size_t i = 0; i < 4; i++) cr_assert_null(add(&queue, &waits[i], 1));
    cr_expect_eq(add(&queue, &waits[4], 1), &waits[4], "its own line is full");
    cr_expect_eq(add(&queue, &waits[5], 2), &waits[3], "another's newcomer");
    cr_expect_eq(add(&queue, &waits[6], 2), &waits[2]);
    cr_expect_eq(add(&queue, &waits[7], 2), &waits[7], "lines are equal now");
    cr_expect_eq(queue.n, 4);
    login_queue_drop(&queue, &waits[0]);
    login_queue_drop(&queue, &waits[0]);
    cr_expect_eq(queue.n, 3);
    cr_expect_eq(login_queue_take(&queue), &waits[1]);
    cr_expect_eq(login_queue_take(&queue), &waits[5]);
    cr_expect_eq(login_queue_take(&queue), &waits[6]);
    cr_expect_null(login_queue_take(&queue));
}
