/* test_queue_filter.c - which messages are meant.
 * Runs in: the test runner. Trusts: nothing. Never: needs a queue. */
#include "store/queue_filter.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(queue_filter, texts) {
    static const struct {
        const char *wanted, *text;
        bool fits;
    } cases[] = {
        {"a@example.test", "A@Example.TEST", true},
        {"a@example.test", "aa@example.test", false},
        {"a@example.test", "", false},
        {"@example.test", "a@example.test", true},
        {"@example.test", "A@EXAMPLE.TEST", true},
        {"@example.test", "a@sub.example.test", false},
        {"@example.test", "a@notexample.test", false},
        {"@example.test", "\"x@example.test\"@other.example", false},
        {"<>", "", true},
        {"<>", "a@example.test", false},
        {"*", "", true},
        {"*", "a@example.test", true},
        {"*@*.example", "a@b.example", true},
        {"*@*.example", "a@example", false},
        {"sender?@example.test", "sender1@example.test", true},
        {"sender?@example.test", "sender12@example.test", false},
        {"sender?@example.test", "sender@example.test", false},
        {"*a*b*c", "xxaxxbxxbxxc", true},
        {"*a*b*c", "xxaxxcxxb", false},
        {"a*", "ba", false},
        {"*a", "ab", false},
        {"@*.example", "a@b.example", false},
        {"a[b]@example.test", "a[b]@example.test", true},
        {"**?", "", false},
        {"**?", "x", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect_eq(queue_text_fits(span_text(cases[i].wanted), span_text(cases[i].text)), cases[i].fits,
                     "%s and %s", cases[i].wanted, cases[i].text);
}

/* A pattern of many stars against a long text ends soon. */
Test(queue_filter, a_pattern_that_tries, .timeout = 20) {
    static char text[1000], wanted[400];
    memset(text, 'a', sizeof text - 1);
    for (size_t i = 0; i + 2 < sizeof wanted; i += 2) wanted[i] = '*', wanted[i + 1] = 'a';
    wanted[sizeof wanted - 2] = 'b';
    for (int i = 0; i < 1000; i++) cr_assert_not(queue_text_fits(span_text(wanted), span_text(text)));
}

static struct control_request request;

static void ask(const char *name, const char *value) {
    request.n = 0;
    strcpy(request.verb, "queue list");
    snprintf(request.arguments[0].name, sizeof request.arguments[0].name, "%s", name);
    request.arguments[0].value = span_text(value);
    request.n = 1;
}

Test(queue_filter, what_is_wrong_is_said) {
    static const struct {
        const char *name, *value, *why;
    } cases[] = {
        {"state", "hold", "did you mean held?"},
        {"state", "defered", "did you mean deferred?"},
        {"state", "xyzzy", "ready, deferred, active, held or reporting"},
        {"state", "", "ready, deferred, active, held or reporting"},
        {"older-than", "2", "--older-than takes a number and s, m, h, d or w"},
        {"younger-than", "soon", "--younger-than takes"},
    };
    struct queue_filter filter;
    char why[QUEUE_FILTER_WHY];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ask(cases[i].name, cases[i].value);
        cr_assert_not(queue_filter_read(&request, 1000000, &filter, why), "%s %s", cases[i].name, cases[i].value);
        cr_expect(strstr(why, cases[i].why), "%s: %s", cases[i].value, why);
    }
    static char longest[QUEUE_FILTER_TEXT + 2];
    memset(longest, 'a', sizeof longest - 1);
    ask("from", longest);
    cr_assert_not(queue_filter_read(&request, 1000000, &filter, why));
    ask("from", longest + 1);
    cr_assert(queue_filter_read(&request, 1000000, &filter, why));
}

/* Nothing given chooses nothing, and an id that cannot be one is not taken for "all". */
Test(queue_filter, what_chooses) {
    struct queue_filter filter;
    char why[QUEUE_FILTER_WHY];
    static const char *const names[] = {"from", "to", "destination"};
    request.n = 0;
    cr_assert(queue_filter_read(&request, 1000000, &filter, why));
    cr_expect_not(queue_filter_chooses(&filter));
    ask("id", "not a name");
    cr_assert(queue_filter_read(&request, 1000000, &filter, why));
    cr_expect(queue_filter_chooses(&filter) && filter.one && filter.number == 0);
    ask("older-than", "1s");
    cr_assert(queue_filter_read(&request, 1000000, &filter, why));
    cr_expect(queue_filter_chooses(&filter) && filter.not_after_ms == 999000);
    ask("younger-than", "3d"); /* longer than there is time */
    cr_assert(queue_filter_read(&request, 1000000, &filter, why));
    cr_expect_not(queue_filter_chooses(&filter) && filter.not_before_ms);
    for (size_t i = 0; i < 3; i++) { /* an empty one is the empty sender, not no filter */
        ask(names[i], "");
        cr_assert(queue_filter_read(&request, 1000000, &filter, why));
        cr_expect(queue_filter_chooses(&filter));
    }
}
