/* log_format.c - events, keys and values as a line of key=value or of JSON.
 * Runs in: the log writer. Trusts: nothing in a frame; names come from our table. Never: lets a value end its line,
 * leave its quotes or name its own speaker. */
#include "store/log_format.h"

#include "store/clock.h"

enum { CUT_RESERVE = 20 };

struct event_row {
    const char *name;
    enum log_level level;
    enum log_who who;
};

static const struct event_row events[LOG_EVENT_COUNT] = {
#define EVENT(number, name, level, who) [number] = {name, LOG_LEVEL_##level, LOG_WHO_##who},
    LOG_EVENTS(EVENT)
#undef EVENT
};

static const char *const keys[LOG_KEY_COUNT] = {
#define KEY(number, name) [number] = name,
    LOG_KEYS(KEY)
#undef KEY
};

static const char *level_name(enum log_level level) {
    switch (level) {
    case LOG_LEVEL_ERROR:
        return "error";
    case LOG_LEVEL_WARNING:
        return "warning";
    case LOG_LEVEL_NOTICE:
        return "notice";
    case LOG_LEVEL_INFO:
        break;
    }
    return "info";
}

static bool harmless(uint8_t c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("._:@/+<>=-", c);
}

/* Length of the well-formed UTF-8 character (RFC 3629) at the start of `s`, 0 when there is none. */
static size_t utf8_length(struct span s, uint32_t *character_out) {
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t c = s.p[0];
    size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (n == 0 || n > s.n) return 0;
    uint32_t character = n == 1 ? c : c & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s.p[i] & 0xc0) != 0x80) return 0;
        character = character << 6 | (s.p[i] & 0x3fU);
    }
    if (character < least[n] || character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff)) return 0;
    *character_out = character;
    return n;
}

/* Controls (C0, DEL, C1), line and paragraph separators, marks that change the direction, byte order marks. */
static bool misleading(uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c >= 0xe0000;
}

static void put_escaped(struct buf *out, struct span octets, bool json) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < octets.n; i++) {
        buf_put_text(out, json ? "\\\\x" : "\\x");
        buf_put_octet(out, (uint8_t)digits[octets.p[i] >> 4]);
        buf_put_octet(out, (uint8_t)digits[octets.p[i] & 15]);
    }
}

static void put_quoted(struct buf *out, struct span value, bool json) {
    buf_put_octet(out, '"');
    for (size_t i = 0; i < value.n;) {
        uint32_t character = 0;
        size_t n = utf8_length(span_from(value, i), &character);
        struct span octets = span_part(value, i, n ? n : 1);
        if (n == 0 || misleading(character))
            put_escaped(out, octets, json);
        else {
            if (character == '"' || character == '\\') buf_put_octet(out, '\\');
            buf_put_span(out, octets);
        }
        i += octets.n;
    }
    buf_put_octet(out, '"');
}

void log_format_value(struct buf *out, struct span value, bool json) {
    bool bare = !json && value.n > 0;
    for (size_t i = 0; bare && i < value.n; i++) bare = value.p[i] && harmless(value.p[i]);
    if (bare)
        buf_put_span(out, value);
    else
        put_quoted(out, value, json);
}

static void put_pair(struct buf *out, const char *name, struct span value, bool json) {
    if (json) {
        buf_put_text(out, out->n ? ",\"" : "{\"");
        buf_put_text(out, name);
        buf_put_text(out, "\":");
    } else {
        if (out->n) buf_put_octet(out, ' ');
        buf_put_text(out, name);
        buf_put_octet(out, '=');
    }
    log_format_value(out, value, json);
}

static void put_head(struct buf *line, const struct log_speaker *speaker, const struct event_row *event,
                     uint64_t wall_ms, bool json) {
    uint8_t storage[NETADDR_TEXT_MAX];
    char text[NETADDR_TEXT_MAX];
    struct buf time = BUF_OVER(storage);
    clock_put_iso(&time, wall_ms);
    put_pair(line, "time", buf_span(&time), json);
    put_pair(line, "level", span_text(level_name(event->level)), json);
    put_pair(line, "process", span_text(speaker->process), json);
    put_pair(line, "event", span_text(event->name), json);
    if (speaker->who != LOG_WHO_SESSION) return;
    put_pair(line, "session", speaker->session, json);
    if (speaker->client) put_pair(line, "client", span_text(netaddr_text_client(speaker->client, text)), json);
}

/* What the writer adds by itself, sessions and agents may not say. */
static bool may_say_key(const struct log_speaker *speaker, uint16_t key) {
    if (key == KEY_NONE || key >= LOG_KEY_COUNT) return false;
    return speaker->who == LOG_WHO_SERVER || (key != KEY_SESSION && key != KEY_CLIENT);
}

static bool may_say_event(const struct log_speaker *speaker, uint16_t event) {
    if (event == LOG_NOTHING || event >= LOG_EVENT_COUNT || speaker->who == LOG_WHO_NOBODY) return false;
    /* An agent's own troubles: a mailbox that cannot be written is the operator's to mend. */
    if (speaker->who == LOG_WHO_AGENT && (event == LOG_FAULT || event == LOG_BUG)) return true;
    return speaker->who == LOG_WHO_SERVER || events[event].who == speaker->who;
}

bool log_format(struct buf *out, const struct log_speaker *speaker, struct span body, uint64_t wall_ms, bool json,
                enum log_level *level_out) {
    uint8_t storage[LOG_TEXT_MAX];
    struct buf line = buf_over(storage, sizeof storage - CUT_RESERVE);
    struct wire w = wire_over(body);
    uint16_t event = wire_get_u16(&w);
    bool cut = false;
    if (w.bad || !may_say_event(speaker, event)) return false;
    put_head(&line, speaker, &events[event], wall_ms, json);
    while (!w.bad && w.rest.n) {
        uint16_t key = wire_get_u16(&w);
        struct span value = wire_get_span(&w, body.n);
        size_t before = line.n;
        if (w.bad || !may_say_key(speaker, key)) return false;
        if (cut) continue;
        put_pair(&line, keys[key], value, json);
        if (buf_ok(&line)) continue;
        cut = true;
        line.n = before, line.full = false;
    }
    line.cap = sizeof storage;
    if (cut) put_pair(&line, "cut", SPAN("yes"), json);
    buf_put_text(&line, json ? "}\n" : "\n");
    *level_out = events[event].level;
    buf_put_span(out, buf_span(&line));
    return buf_ok(out);
}

void log_format_refused(struct buf *out, const struct log_speaker *speaker, const char *what, uint32_t pid,
                        uint64_t wall_ms, bool json) {
    uint8_t digits[20], storage[512];
    struct buf number = BUF_OVER(digits), line = BUF_OVER(storage);
    put_head(&line, speaker, &events[LOG_BAD_FRAME], wall_ms, json);
    put_pair(&line, "what", span_text(what), json);
    buf_put_number(&number, pid);
    put_pair(&line, "pid", buf_span(&number), json);
    buf_put_text(&line, json ? "}\n" : "\n");
    buf_put_span(out, buf_span(&line));
}
