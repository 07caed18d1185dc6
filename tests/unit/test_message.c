/* test_message.c - messages and marks there and back, and names.
 * Runs in: the test runner. Trusts: nothing. Never: touches a file. */
#include "store/message.h"

#include <criterion/criterion.h>

Test(message, names_sort_and_come_back) {
    static const uint64_t numbers[] = {0, 1, 31, 32, 0xffff, 1700000000000U << 16, UINT64_MAX - 1, UINT64_MAX};
    char last[MESSAGE_NAME_SIZE] = "", name[MESSAGE_NAME_SIZE];
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        uint64_t number = 0;
        message_name(numbers[i], name);
        cr_assert(strcmp(last, name) < 0);
        cr_assert(message_number(span_text(name), &number));
        cr_assert_eq(number, numbers[i]);
        memcpy(last, name, sizeof last);
    }
    static const char *const bad[] = {"",
                                      "0",
                                      "000000000000",
                                      "00000000000000",
                                      "000000000000I",
                                      "000000000000U",
                                      "G000000000000",
                                      "../0000000000",
                                      "000000000000\n"};
    uint64_t number;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_not(message_number(span_text(bad[i]), &number), "%s", bad[i]);
}

static struct buf written(uint8_t *storage, size_t cap, struct buf *recipients) {
    struct recipient recipient = {
        .kind = 1, .destination = SPAN("d"), .address = SPAN("a@example.test"), .original = SPAN("o")};
    recipient_put(recipients, &recipient);
    struct message message = {
        .number = 7, .arrival_ms = 8, .body_bytes = 4, .n_recipients = 1, .recipients = buf_span(recipients)};
    message.envelope.sender = SPAN("s@example.test");
    message.marks = SPAN("marks");
    struct buf b = buf_over(storage, cap);
    message_put(&b, &message);
    cr_assert_leq(b.n, message_bytes(&message));
    buf_put_text(&b, "body");
    return b;
}

Test(message, there_and_back) {
    uint8_t storage[1024], more[256];
    struct buf recipients = BUF_OVER(more), b = written(storage, sizeof storage, &recipients);
    struct message out;
    size_t body_at;
    cr_assert(message_get(buf_span(&b), &out, &body_at));
    cr_assert_eq(out.number, 7);
    cr_assert(span_equal(out.marks, SPAN("marks")));
    cr_assert(span_equal(out.envelope.sender, SPAN("s@example.test")));
    cr_assert(span_equal(span_from(buf_span(&b), body_at), SPAN("body")));
    for (size_t n = 0; n < b.n; n++)
        cr_assert_not(message_get(span_part(buf_span(&b), 0, n), &out, &body_at), "cut at %zu", n);
}

Test(message, marks_there_and_back) {
    uint8_t storage[1024];
    struct buf b = BUF_OVER(storage);
    struct mark mark = {.number = 1,
                        .index = 2,
                        .state = RECIPIENT_FAILED,
                        .again = 1,
                        .attempts = 3,
                        .next_ms = 4,
                        .status = SPAN("5.1.1"),
                        .diagnostic = SPAN("no")};
    mark_put(&b, &mark);
    struct wire w = wire_over(buf_span(&b));
    struct mark out;
    mark_get(&w, &out);
    cr_assert(wire_end(&w));
    cr_assert(out.number == 1 && out.index == 2 && out.state == RECIPIENT_FAILED && out.attempts == 3 &&
              out.next_ms == 4);
    cr_assert(span_equal(out.diagnostic, SPAN("no")));
    storage[12] = RECIPIENT_STATES;
    w = wire_over(buf_span(&b));
    mark_get(&w, &out);
    cr_assert(w.bad);
}
