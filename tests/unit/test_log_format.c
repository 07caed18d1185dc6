/* test_log_format.c - what a value can and cannot do to a line. */
#include "store/log.h"
#include "store/log_format.h"

#include <criterion/criterion.h>

#define VALUE(literal, text, quoted)                                                                                 \
    { {(const uint8_t *)(literal), sizeof(literal) - 1}, text, quoted }

Test(log_format, values) {
    static const struct {
        struct span value;
        const char *text, *json;
    } rows[] = {
        VALUE("", "\"\"", "\"\""),
        VALUE("plain", "plain", "\"plain\""),
        VALUE("a@b.example:25/<x>+=_-", "a@b.example:25/<x>+=_-", "\"a@b.example:25/<x>+=_-\""),
        VALUE("two words", "\"two words\"", "\"two words\""),
        VALUE("a\nlevel=error", "\"a\\x0alevel=error\"", "\"a\\\\x0alevel=error\""),
        VALUE("q\"b\\", "\"q\\\"b\\\\\"", "\"q\\\"b\\\\\""),
        VALUE("nul\0x", "\"nul\\x00x\"", "\"nul\\\\x00x\""),
        VALUE("\x7f\xc2\x85", "\"\\x7f\\xc2\\x85\"", "\"\\\\x7f\\\\xc2\\\\x85\""),
        VALUE("\xc3\xa4", "\"\xc3\xa4\"", "\"\xc3\xa4\""),
        VALUE("\xc0\xaf", "\"\\xc0\\xaf\"", "\"\\\\xc0\\\\xaf\""),
        VALUE("\xed\xa0\x80", "\"\\xed\\xa0\\x80\"", "\"\\\\xed\\\\xa0\\\\x80\""),
        VALUE("\xe2\x80\xae", "\"\\xe2\\x80\\xae\"", "\"\\\\xe2\\\\x80\\\\xae\""),
        VALUE("\xf0\x9f\x93", "\"\\xf0\\x9f\\x93\"", "\"\\\\xf0\\\\x9f\\\\x93\""),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int json = 0; json < 2; json++) {
            uint8_t storage[256];
            struct buf out = BUF_OVER(storage);
            log_format_value(&out, rows[i].value, json);
            cr_expect(span_equal(buf_span(&out), span_text(json ? rows[i].json : rows[i].text)), "row %zu: %.*s", i,
                      (int)out.n, (const char *)out.p);
        }
}

static struct span format(struct buf *out, const struct log_speaker *speaker, const struct log_line *line,
                          bool json) {
    enum log_level level;
    buf_clear(out);
    if (!log_format(out, speaker, buf_span(&line->b), 1000, json, &level)) cr_expect_eq(out->n, 0);
    return buf_span(out);
}

Test(log_format, whole_lines) {
    static uint8_t storage[1 << 15];
    struct buf out = BUF_OVER(storage);
    struct netaddr client;
    struct log_line line;
    cr_assert(netaddr_parse_port(&client, SPAN("192.0.2.1:4711")));
    const struct log_speaker auth = {.who = LOG_WHO_SERVER, .process = "auth"};
    const struct log_speaker session = {LOG_WHO_SESSION, "session", SPAN("ABC"), &client};
    log_open(&line, LOG_LOGIN);
    log_text(&line, KEY_LOGIN, "alice@example.test");
    log_number(&line, KEY_PORT, 587);
    cr_expect(span_equal(format(&out, &auth, &line, false),
                         SPAN("time=1970-01-01T00:00:01.000Z level=info process=auth event=login "
                              "login=alice@example.test port=587\n")));
    cr_expect(span_equal(format(&out, &auth, &line, true),
                         SPAN("{\"time\":\"1970-01-01T00:00:01.000Z\",\"level\":\"info\",\"process\":\"auth\","
                              "\"event\":\"login\",\"login\":\"alice@example.test\",\"port\":\"587\"}\n")));
    log_open(&line, LOG_TLS_FAILED);
    log_text(&line, KEY_WHY, "no\r\nshared cipher");
    cr_expect(
        span_equal(format(&out, &session, &line, false),
                   SPAN("time=1970-01-01T00:00:01.000Z level=notice process=session event=tls-failed session=ABC "
                        "client=192.0.2.1 why=\"no\\x0d\\x0ashared cipher\"\n")));
}

Test(log_format, who_may_say_what) {
    static uint8_t storage[1 << 15];
    struct buf out = BUF_OVER(storage);
    static const enum log_who speakers[] = {LOG_WHO_NOBODY, LOG_WHO_SERVER, LOG_WHO_SESSION, LOG_WHO_AGENT};
    static const struct {
        enum log_event event;
        enum log_key key;
        bool may[4];
    } rows[] = {
        {LOG_LOGIN, KEY_LOGIN, {false, true, false, false}},
        {LOG_TLS, KEY_TLS, {false, true, true, false}},
        {LOG_AGENT, KEY_WHY, {false, true, false, true}},
        {LOG_FAULT, KEY_WHAT, {false, true, false, true}},
        {LOG_BUG, KEY_WHAT, {false, true, false, true}},
        {LOG_BAD_FRAME, KEY_WHAT, {false, true, false, false}},
        {LOG_PROTOCOL, KEY_SESSION, {false, true, false, false}},
        {LOG_AGENT, KEY_CLIENT, {false, true, false, false}},
        {LOG_NOTHING, KEY_WHY, {false, false, false, false}},
        {LOG_EVENT_COUNT, KEY_WHY, {false, false, false, false}},
        {LOG_TLS, KEY_NONE, {false, false, false, false}},
        {LOG_TLS, LOG_KEY_COUNT, {false, false, false, false}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t j = 0; j < 4; j++) {
            const struct log_speaker speaker = {.who = speakers[j], .process = "x"};
            struct log_line line;
            log_open(&line, rows[i].event);
            log_text(&line, rows[i].key, "value");
            cr_expect_eq(format(&out, &speaker, &line, false).n > 0, rows[i].may[j], "row %zu speaker %zu", i, j);
        }
}

Test(log_format, malformed_and_long) {
    static uint8_t storage[1 << 15];
    struct buf out = BUF_OVER(storage);
    const struct log_speaker speaker = {.who = LOG_WHO_SERVER, .process = "x"};
    uint8_t hostile[LOG_VALUE_MAX];
    struct log_line line;
    memset(hostile, 1, sizeof hostile);
    log_open(&line, LOG_FAULT);
    for (int i = 0; i < 3; i++) log_span(&line, KEY_WHAT, span_of(hostile, sizeof hostile));
    for (int json = 0; json < 2; json++) {
        struct span text = format(&out, &speaker, &line, json);
        cr_expect(text.n > 0 && text.n <= LOG_TEXT_MAX && text.p[text.n - 1] == '\n');
        cr_expect_eq(span_find(text, '\n'), text.n - 1);
        cr_expect(memmem(text.p, text.n, json ? "\"cut\":\"yes\"}" : " cut=yes", json ? 12 : 8));
    }
    for (size_t cut = line.b.n - 1; cut > line.b.n - 1100; cut--) {
        struct log_line part = line;
        enum log_level level;
        part.b.p = part.storage, part.b.n = cut;
        buf_clear(&out);
        bool whole = cut == line.b.n - (sizeof hostile + 6);
        cr_expect_eq(log_format(&out, &speaker, buf_span(&part.b), 0, false, &level), whole, "%zu", cut);
    }
    log_format_refused(&out, &speaker, "log", 77, 1000, false);
    cr_expect(memmem(out.p, out.n, "event=bad-frame what=log pid=77\n", 32));
}
