/* test_fault_script.c - the language of faults: what each line means, and that mistakes are told.
 * Runs in: the test runner, in builds with FAULTS=1. Trusts: nothing. Never: needs a file. */
#include "server/lab/fault_script.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct fault_script script;

static const struct fault_rule *only(const char *line) {
    cr_assert(fault_script_read(&script, span_text(line), "script", stderr), "%s", line);
    cr_assert_eq(script.n, 1, "%s", line);
    return &script.rules[0];
}

static bool is(struct span found, const char *wanted) {
    return span_equal(found, span_text(wanted));
}

Test(fault_script, the_lines_of_the_manual) {
    const struct fault_rule *rule = only("on rcpt match \"*@slow.test\" delay 3s");
    cr_expect(rule->where == FAULT_RCPT && rule->action == FAULT_DELAY && rule->number == 3000);
    cr_expect(is(rule->match, "*@slow.test") && rule->line == 1);
    rule = only("on data nth 2 reply 451");
    cr_expect(rule->where == FAULT_DATA && rule->count == FAULT_NTH && rule->number_of_count == 2);
    cr_expect(rule->action == FAULT_REPLY && rule->number == 451 && rule->text.n == 0);
    rule = only("on auth user=bob reply 454");
    cr_expect(rule->where == FAULT_AUTH && is(rule->user, "bob") && rule->number == 454);
    rule = only("on connect drop");
    cr_expect(rule->where == FAULT_CONNECT && rule->action == FAULT_DROP);
    rule = only("on body after 8k close");
    cr_expect(rule->where == FAULT_BODY && rule->after_bytes == 8192 && rule->action == FAULT_CLOSE);
    rule = only("tls handshake fail");
    cr_expect(rule->where == FAULT_TLS && rule->action == FAULT_FAIL);
}

Test(fault_script, words_quotes_comments) {
    const struct fault_rule *rule =
        only("\n  ON  Rcpt\tmatch=a*  client 10.0.0.0/8 role=pop3s reply 451 \"4.3.0 \\\"x\\\" # y\\\\\"  # z\r\n");
    cr_expect(is(rule->text, "4.3.0 \"x\" # y\\"));
    cr_expect(rule->line == 2 && is(rule->match, "a*") && rule->has_client && rule->client.bits == 104);
    cr_expect_eq(rule->role, RELAY_ROLE_POP3S);
    rule = only("on noop say \"a\\r\\nb\"");
    cr_expect(is(rule->text, "a\r\nb"));
    rule = only("seed 42\nmagic\non noop chance 30% first 3 slow 2k/s");
    cr_expect(script.seed == 42 && script.magic && rule->percent == 30 && rule->count == FAULT_FIRST);
    cr_expect(rule->action == FAULT_SLOW && rule->number == 2048);
    cr_expect(fault_script_read(&script, SPAN(""), "", NULL) && script.n == 0 && !script.magic);
}

Test(fault_script, every_place_and_every_action) {
    static const char *const actions[] = {"delay 500ms", "slow 10/s", "reply 200", "say \"\"",
                                          "cut 0",       "drop",      "close",     "fail"};
    char line[80];
    for (unsigned where = 1; where < FAULT_WHERE_COUNT; where++)
        for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
            bool on_tls = where == FAULT_TLS, sense = i == 7 ? on_tls : !on_tls || i < 2 || i > 4;
            snprintf(line, sizeof line, "on %s %s", fault_where_word((enum fault_where)where), actions[i]);
            cr_expect_eq(fault_script_read(&script, span_text(line), "script", NULL), sense, "%s", line);
        }
}

Test(fault_script, mistakes) {
    static const struct {
        const char *line, *said;
    } rows[] = {
        {"rcpt drop", "script:1: a line begins with on, tls, seed or magic: rcpt\n"},
        {"on", "script:1: no such place: ; it is connect, tls, body, command, or a command of SMTP or POP3\n"},
        {"on rctp drop", "script:1: no such place: rctp; did you mean rcpt?\n"},
        {"on rcpt", "script:1: what is to happen? delay, slow, reply, say, cut, drop, close or fail\n"},
        {"on rcpt dorp", "script:1: neither a condition nor an action: dorp; did you mean drop?\n"},
        {"on rcpt mtach x drop", "script:1: neither a condition nor an action: mtach; did you mean match?\n"},
        {"on rcpt drop now", "script:1: nothing may follow the action: now\n"},
        {"on rcpt delay", "script:1: delay needs a value behind it\n"},
        {"on rcpt delay 3", "script:1: delay 3: a time of at most an hour, such as 500ms, 3s or 2m is needed\n"},
        {"on rcpt delay 61m", "script:1: delay 61m: a time of at most an hour, such as 500ms, 3s or 2m is needed\n"},
        {"on rcpt slow 3", "script:1: slow 3: octets a second, such as 100/s or 8k/s is needed\n"},
        {"on rcpt slow 0/s", "script:1: slow 0/s: octets a second, such as 100/s or 8k/s is needed\n"},
        {"on rcpt reply 199", "script:1: reply 199: a code from 200 to 599 is needed\n"},
        {"on rcpt reply 451 text", "script:1: nothing may follow the action: text\n"},
        {"on rcpt reply 451 \"a\\nb\"", "script:1: a reply's text is one line; say may have more\n"},
        {"on rcpt say", "script:1: say needs a text in quotes\n"},
        {"on rcpt cut x", "script:1: cut x: a number of octets, such as 100, 8k or 1M is needed\n"},
        {"on rcpt cut 2g", "script:1: cut 2g: a number of octets, such as 100, 8k or 1M is needed\n"},
        {"on rcpt nth 0 drop", "script:1: nth 0: a number from 1 to 4294967295 is needed\n"},
        {"on rcpt nth 1 every 2 drop", "script:1: one of nth, first, every and from is enough\n"},
        {"on rcpt chance 101% drop", "script:1: chance 101%: 1% to 100% is needed\n"},
        {"on rcpt chance 5 drop", "script:1: chance 5: 1% to 100% is needed\n"},
        {"on rcpt after 8k drop", "script:1: after counts the octets of a body: on body after ...\n"},
        {"on body after 0 drop", "script:1: after 0: a number of octets, such as 100, 8k or 1M is needed\n"},
        {"on rcpt client here drop",
         "script:1: client here: an address or a network is needed, such as 127.0.0.1 or 10.0.0.0/8\n"},
        {"on rcpt role popps drop", "script:1: no role popps; did you mean pop3s?\n"},
        {"on rcpt match \"\" drop", "script:1: match needs a name or a pattern, which is not empty\n"},
        {"on rcpt \"drop\"", "script:1: neither a condition nor an action: drop; did you mean drop?\n"},
        {"on rcpt fail", "script:1: fail makes no sense on rcpt\n"},
        {"tls reply 451", "script:1: reply makes no sense on tls\n"},
        {"on rcpt reply 451 \"x", "script:1: a text begins with \" and does not end\n"},
        {"on rcpt say \"\\t\"", "script:1: \\t means nothing here; there are \\r \\n \\\" \\\\\n"},
        {"seed x", "script:1: seed x: a number is needed\n"},
        {"magic on", "script:1: nothing may follow magic\n"},
        {"on a drop\nmagic\non b drop",
         "script:1: no such place: a; it is connect, tls, body, command, or a command of "
         "SMTP or POP3\nscript:3: no such place: b; it is connect, tls, body, command, "
         "or a command of SMTP or POP3\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *said = NULL;
        size_t n = 0;
        FILE *errors = open_memstream(&said, &n);
        cr_assert(errors);
        cr_expect_not(fault_script_read(&script, span_text(rows[i].line), "script", errors), "%s", rows[i].line);
        fclose(errors);
        cr_expect_str_eq(said, rows[i].said);
        free(said);
    }
}

/* No text is read beyond its end, and no table filled beyond its own. */
Test(fault_script, bounds) {
    static uint8_t text[FAULT_TEXT_MAX + 1];
    memset(text, 'a', sizeof text);
    cr_expect_not(fault_script_read(&script, span_of(text, sizeof text), "script", NULL));
    cr_expect_not(fault_script_read(&script, span_of(text, FAULT_TEXT_MAX), "script", NULL));
    memset(text, '"', sizeof text);
    cr_expect_not(fault_script_read(&script, span_of(text, FAULT_TEXT_MAX), "script", NULL));
    for (size_t i = 0; i < FAULT_TEXT_MAX; i++) text[i] = i % 2 ? ' ' : 'a';
    cr_expect_not(fault_script_read(&script, span_of(text, FAULT_TEXT_MAX), "script", NULL));
    struct buf many = BUF_OVER(text);
    for (int i = 0; i < FAULT_RULES_MAX; i++) buf_put_text(&many, "on noop drop\n");
    cr_expect(fault_script_read(&script, buf_span(&many), "script", NULL));
    buf_put_text(&many, "on noop drop\n");
    cr_expect_not(fault_script_read(&script, buf_span(&many), "script", NULL));
    cr_expect_eq(script.n, FAULT_RULES_MAX);
    /* Each beginning of a whole script, in memory that ends there. */
    struct span whole = SPAN("seed 7\non auth user=\"b*\" chance 5% client ::1 reply 451 \"a\\\"b\" # c\ntls fail\n");
    for (size_t n = 0; n <= whole.n; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        cr_assert(copy);
        memcpy(copy, whole.p, n);
        bool good = fault_script_read(&script, span_of(copy, n), "script", NULL);
        cr_expect(n < whole.n || good);
        free(copy);
    }
    static uint8_t said[FAULT_SAY_MAX + 40];
    struct buf long_text = BUF_OVER(said);
    buf_put_text(&long_text, "on noop say \"");
    for (int i = 0; i <= FAULT_SAY_MAX; i++) buf_put_octet(&long_text, 'x');
    buf_put_text(&long_text, "\"");
    cr_expect_not(fault_script_read(&script, buf_span(&long_text), "script", NULL));
}

Test(fault_script, local_parts) {
    struct fault_rule rule;
    cr_expect(fault_script_magic(SPAN("reply-451-data@example.test"), FAULT_RCPT, &rule));
    cr_expect(rule.where == FAULT_DATA && rule.action == FAULT_REPLY && rule.number == 451 && rule.line == 0);
    cr_expect(fault_script_magic(SPAN("delay-3s@example.test"), FAULT_RCPT, &rule));
    cr_expect(rule.where == FAULT_RCPT && rule.action == FAULT_DELAY && rule.number == 3000);
    cr_expect(fault_script_magic(SPAN("alice+Drop-Data@example.test"), FAULT_RCPT, &rule));
    cr_expect(rule.where == FAULT_DATA && rule.action == FAULT_DROP);
    cr_expect(fault_script_magic(SPAN("close-body-8k"), FAULT_MAIL, &rule));
    cr_expect(rule.where == FAULT_BODY && rule.action == FAULT_CLOSE && rule.after_bytes == 8192);
    cr_expect(fault_script_magic(SPAN("slow-100-retr@x"), FAULT_USER, &rule));
    cr_expect(rule.where == FAULT_RETR && rule.action == FAULT_SLOW && rule.number == 100);
    cr_expect(fault_script_magic(SPAN("cut-0-body@x"), FAULT_RCPT, &rule));
    cr_expect(rule.action == FAULT_CUT && rule.number == 0);
    static const char *const plain[] = {"",
                                        "+",
                                        "alice@x",
                                        "alice+shop@x",
                                        "reply@x",
                                        "reply-@x",
                                        "reply-600@x",
                                        "drop-off@x",
                                        "drop-data-8k@x",
                                        "drop-tls@x",
                                        "drop-connect@x",
                                        "fail@x",
                                        "fail-tls@x",
                                        "say-x@x",
                                        "slow-0@x",
                                        "delay-3@x",
                                        "drop+x@x",
                                        "cut-x@x",
                                        "-drop@x"};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        cr_expect_not(fault_script_magic(span_text(plain[i]), FAULT_RCPT, &rule), "%s", plain[i]);
}

Test(fault_script, globs) {
    static const struct {
        const char *glob, *text;
        bool fits;
    } rows[] = {{"", "", true},        {"", "a", false},
                {"*", "", true},       {"*", "abc", true},
                {"a*c", "abbc", true}, {"a*c", "abcb", false},
                {"?", "a", true},      {"?", "", false},
                {"A?C", "abc", true},  {"*@*.test", "a@b.test", true},
                {"*ab", "aab", true},  {"*a*b", "xaxaxb", true},
                {"a", "ab", false},    {"ab", "a", false},
                {"**", "x", true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(fault_glob(span_text(rows[i].glob), span_text(rows[i].text)), rows[i].fits, "%s %s",
                     rows[i].glob, rows[i].text);
}
