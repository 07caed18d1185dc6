/* fuzz_log.c - log frames of a session that was taken over.
 * Runs in: fuzzing. Trusts: nothing. Never: more than one line for a frame. */
#include "store/log_format.h"
#include "store/wire.h"
#include "tests/fuzz/fuzz.h"

static void check(struct span line, bool json) {
    HOLDS(line.n && line.p[line.n - 1] == '\n' && line.n <= LOG_TEXT_MAX);
    for (size_t i = 0; i + 1 < line.n; i++) HOLDS(line.p[i] >= ' ' && line.p[i] != 0x7f);
    if (!json) return;
    bool quoted = false;
    int depth = 0;
    for (size_t i = 0; i + 1 < line.n; i++) {
        uint8_t c = line.p[i];
        if (quoted && c == '\\') {
            i++;
            HOLDS(strchr("\"\\/bfnrtu", line.p[i]));
        } else if (c == '"')
            quoted = !quoted;
        else if (!quoted)
            depth += (c == '{') - (c == '}');
    }
    HOLDS(!quoted && depth == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static uint8_t storage[LOG_TEXT_MAX];
    struct netaddr client = {0};
    struct log_speaker speakers[] = {
        {.who = LOG_WHO_SESSION, .process = "session", .session = SPAN("abcdefghjk"), .client = &client},
        {.who = LOG_WHO_AGENT, .process = "agent"},
        {.who = LOG_WHO_SERVER, .process = "auth"}};
    enum log_level level;
    for (size_t i = 0; i < 6; i++) {
        struct buf b = BUF_OVER(storage);
        if (log_format(&b, &speakers[i / 2], span_of(p, n), 1, i & 1, &level))
            check(buf_span(&b), i & 1);
        else
            HOLDS(b.n == 0);
        buf_clear(&b);
        log_format_value(&b, span_part(span_of(p, n), 0, 1500), i & 1);
        HOLDS(buf_ok(&b));
        log_format_refused(&b, &speakers[i / 2], "log", (uint32_t)n, 1, i & 1);
    }
    return 0;
}
