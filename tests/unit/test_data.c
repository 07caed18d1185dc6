/* test_data.c - the body's automaton: each case at every split across buffers.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "server/inbound/data.h"

#include <criterion/criterion.h>

struct outcome {
    struct data data;
    struct buf out;
    uint8_t storage[8192];
    size_t taken;
};

static void take(struct outcome *outcome, struct span in) {
    while (in.n && outcome->data.state != DATA_END) {
        size_t n = data_take(&outcome->data, in, &outcome->out);
        cr_assert(n > 0);
        outcome->taken += n;
        in = span_from(in, n);
    }
}

static void start(struct outcome *outcome, bool stuffed, uint64_t limit) {
    memset(outcome, 0, sizeof *outcome);
    outcome->out = BUF_OVER(outcome->storage);
    data_start(&outcome->data, stuffed, limit);
}

static const struct {
    struct span in;
    enum data_fault fault;
    struct span out;   /* when fine */
    struct span after; /* what must not have been taken */
} cases[] = {
#define FINE(in, out, after) {SPAN(in after), DATA_FINE, SPAN(out), SPAN(after)},
#define FAULT(in, fault, after) {SPAN(in after), fault, SPAN(""), SPAN(after)},
    FINE(".\r\n", "", "") FINE(".\r\n", "", "QUIT\r\n") FINE("a\r\n.\r\n", "a\r\n", "RSET\r\n")
        FINE("a\r\n\r\nb\r\n.\r\n", "a\r\n\r\nb\r\n", "")
    /* RFC 5321 4.5.2 */
    FINE("..\r\n.\r\n", ".\r\n", "") FINE("..a\r\n...\r\n.\r\n", ".a\r\n..\r\n", "") FINE(".a\r\n.\r\n", "a\r\n", "")
        FINE("a.\r\n.\r\n", "a.\r\n", "") FINE("a\r\n. \r\n.\r\n", "a\r\n \r\n", "")
            FINE("\xff\x80\r\n.\r\n", "\xff\x80\r\n", "")
    /* smuggling: none of these ends the message, each makes it one that is refused, at its true end */
    FAULT("a\n.\n\r\n.\r\n", DATA_BARE_LF, "MAIL FROM:<x>\r\n")
        FAULT("a\n.\r\nMAIL FROM:<evil>\r\n.\r\n", DATA_BARE_LF, "QUIT\r\n")
            FAULT("a\r\n.\nMAIL FROM:<evil>\r\n.\r\n", DATA_BARE_LF, "") FAULT("a\r.\r\nMAIL FROM:<evil>\r\n.\r\n",
                                                                               DATA_BARE_CR, "")
                FAULT("a\r\n.\rMAIL FROM:<evil>\r\n.\r\n", DATA_BARE_CR, "")
                    FAULT("a\r.\rMAIL\r\n.\r\n", DATA_BARE_CR, "") FAULT("a\r\r\n.\r\n", DATA_BARE_CR, "")
                        FAULT("a\r\n.\r\r\n.\r\n", DATA_BARE_CR, "") FAULT("a\n\r.\r\n\r\n.\r\n", DATA_BARE_LF, "")
                            FAULT("\n.\r\n\r\n.\r\n", DATA_BARE_LF, "") FAULT("\r.\r\n\r\n.\r\n", DATA_BARE_CR, "")
                                FAULT("a\r\n\0.\r\n.\r\n", DATA_NUL, "") FAULT("a\0\r\n.\r\n", DATA_NUL, "")
                                    FAULT("a\r\n.\0\r\n.\r\n", DATA_NUL, "")
                                        FAULT("a\r\0\n.\r\n.\r\n", DATA_BARE_CR, "\r\n.\r\n")};

Test(test_data, every_case_at_every_split) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t a = 0; a <= cases[i].in.n; a++) {
            for (size_t b = a; b <= cases[i].in.n; b++) {
                struct outcome outcome;
                start(&outcome, true, UINT64_MAX);
                take(&outcome, span_part(cases[i].in, 0, a));
                take(&outcome, span_part(cases[i].in, a, b - a));
                take(&outcome, span_from(cases[i].in, b));
                cr_assert_eq(outcome.data.state, DATA_END, "case %zu split %zu %zu", i, a, b);
                cr_assert_eq(outcome.data.fault, cases[i].fault, "case %zu split %zu %zu", i, a, b);
                cr_assert_eq(outcome.taken, cases[i].in.n - cases[i].after.n, "case %zu split %zu %zu", i, a, b);
                if (cases[i].fault == DATA_FINE)
                    cr_assert(span_equal(buf_span(&outcome.out), cases[i].out), "case %zu split %zu %zu", i, a, b);
            }
        }
    }
}

/* All strings up to seven octets of an alphabet that holds every octet the automaton looks at: the end is exactly
 * where a plain search for CRLF.CRLF finds it. */
Test(test_data, ends_only_at_crlf_dot_crlf) {
    static const uint8_t alphabet[] = {'\r', '\n', '.', 'a', '\0'};
    enum { LENGTH = 7, COUNT = 5 * 5 * 5 * 5 * 5 * 5 * 5 };
    for (unsigned number = 0; number < COUNT; number++) {
        uint8_t text[2 + LENGTH] = {'\r', '\n'};
        struct outcome outcome;
        size_t expected = 0;
        for (unsigned i = 0, rest = number; i < LENGTH; i++, rest /= 5) text[2 + i] = alphabet[rest % 5];
        for (size_t i = 0; i + 5 <= sizeof text && !expected; i++)
            if (memcmp(text + i, "\r\n.\r\n", 5) == 0) expected = i + 5 - 2;
        start(&outcome, true, UINT64_MAX);
        take(&outcome, span_of(text + 2, LENGTH));
        cr_assert_eq(outcome.data.state == DATA_END, expected > 0, "string %u", number);
        if (expected) cr_assert_eq(outcome.taken, expected, "string %u", number);
    }
}

static void put_many(struct buf *b, uint8_t c, size_t n) {
    for (size_t i = 0; i < n; i++) buf_put_octet(b, c);
}

Test(test_data, a_line_may_have_1000_octets_with_its_end) {
    static const struct {
        size_t n;
        const char *before;
        enum data_fault fault;
    } lines[] = {
        {998, "", DATA_FINE}, {999, "", DATA_LONG_LINE}, {997, "..", DATA_FINE}, {998, "..", DATA_LONG_LINE}};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        uint8_t storage[2048];
        struct buf in = BUF_OVER(storage);
        struct outcome outcome;
        buf_put_text(&in, lines[i].before); /* RFC 5321 4.5.3.1.6: a stuffed dot is not counted */
        put_many(&in, 'x', lines[i].n);
        buf_put_text(&in, "\r\n.\r\n");
        start(&outcome, true, UINT64_MAX);
        take(&outcome, buf_span(&in));
        cr_assert_eq(outcome.data.fault, lines[i].fault, "line %zu", i);
        cr_assert_eq(outcome.data.state, DATA_END);
    }
}

Test(test_data, size_counts_what_is_passed_on_and_keeps_step) {
    for (uint64_t limit = 0; limit < 8; limit++) {
        struct outcome outcome;
        start(&outcome, true, limit);
        take(&outcome, SPAN("..b\r\nc\r\n.\r\nNOOP\r\n")); /* ".b\r\nc\r\n": 7 octets */
        cr_assert_eq(outcome.data.fault, limit < 7 ? DATA_TOO_LARGE : DATA_FINE, "limit %d", (int)limit);
        cr_assert_eq(outcome.taken, 11);
    }
}

Test(test_data, a_loop_is_more_than_a_hundred_received_lines) {
    for (unsigned n = 99; n <= 102; n++) {
        struct outcome outcome;
        start(&outcome, true, UINT64_MAX);
        for (unsigned i = 0; i < n; i++) take(&outcome, i % 2 ? SPAN("Received: x\r\n") : SPAN("rEcEiVeD:y\r\n"));
        take(&outcome, SPAN("\r\nbody\r\nReceived: no header\r\n.\r\n"));
        cr_assert_eq(outcome.data.fault, n > 100 ? DATA_LOOP : DATA_FINE, "%u lines", n);
        cr_assert_eq(outcome.data.received, n);
    }
}

Test(test_data, what_only_looks_like_received_does_not_count) {
    struct outcome outcome;
    start(&outcome, true, UINT64_MAX);
    take(&outcome, SPAN("Received-SPF: x\r\nX-Received: x\r\n received: x\r\nReceive: x\r\n.Received: y\r\n.\r\n"));
    cr_assert_eq(outcome.data.received, 1, "a stuffed one is one");
}

/* RFC 3030: dots are only dots, and the octets end where the chunk does. */
Test(test_data, chunks_have_no_stuffing) {
    struct outcome outcome;
    start(&outcome, false, UINT64_MAX);
    take(&outcome, SPAN(".\r\n..\r\n.\r\nlast"));
    data_finish(&outcome.data, &outcome.out);
    cr_assert_eq(outcome.data.fault, DATA_FINE);
    cr_assert(span_equal(buf_span(&outcome.out), SPAN(".\r\n..\r\n.\r\nlast\r\n")));
}

Test(test_data, chunks_obey_the_same_rules) {
    static const struct {
        struct span in;
        enum data_fault fault;
    } chunks[] = {{SPAN("a\nb\r\n"), DATA_BARE_LF},
                  {SPAN("a\rb\r\n"), DATA_BARE_CR},
                  {SPAN("a\0b\r\n"), DATA_NUL},
                  {SPAN("a\r"), DATA_BARE_CR},
                  {SPAN(""), DATA_FINE},
                  {SPAN("a\r\n"), DATA_FINE}};
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        struct outcome outcome;
        start(&outcome, false, UINT64_MAX);
        take(&outcome, chunks[i].in);
        data_finish(&outcome.data, &outcome.out);
        cr_assert_eq(outcome.data.fault, chunks[i].fault, "chunk %zu", i);
    }
}

Test(test_data, smuggling_is_told_from_other_faults) {
    cr_assert(data_is_smuggling(DATA_BARE_CR) && data_is_smuggling(DATA_BARE_LF) && data_is_smuggling(DATA_NUL));
    cr_assert(!data_is_smuggling(DATA_FINE) && !data_is_smuggling(DATA_TOO_LARGE) && !data_is_smuggling(DATA_LOOP) &&
              !data_is_smuggling(DATA_LONG_LINE));
}

Test(test_data, an_end_that_is_none) {
    static const struct {
        const char *parts[3];
        bool stuffed, falsely;
    } rows[] = {
        {{"a\n.\n"}, true, true},          {{"a\r\n.\n"}, true, true},         {{"a\n.\r\n"}, true, true},
        {{"a\n", ".", "\n"}, true, true},  {{"a\n", ".\r", "\n"}, true, true}, {{"a\n.\n", "b"}, true, false},
        {{"a\r\n.\r\n"}, true, false},     {{"a\n..\n"}, true, false},         {{".\n"}, true, true},
        {{"a\r\n.\r", "\n"}, true, false}, {{"a\n.\n"}, false, false},         {{""}, true, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct outcome outcome;
        start(&outcome, rows[i].stuffed, UINT64_MAX);
        for (size_t j = 0; j < 3 && rows[i].parts[j]; j++) take(&outcome, span_text(rows[i].parts[j]));
        cr_expect_eq(data_ends_falsely(&outcome.data), rows[i].falsely, "row %zu", i);
    }
}
