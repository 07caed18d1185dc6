/* fault_words.c - the words of the language of faults.
 * Runs in: master, listener. Trusts: nothing in a text. Never: reads past a span. */
#include "server/lab/fault_words.h"

#include "store/word.h"

enum { HOUR_MS = 3600000 };

#define BIT(where) (1U << (where))

const struct fault_action_row fault_action_rows[FAULT_ACTION_COUNT] = {
    [FAULT_NOTHING] = {"", FAULT_VALUE_NONE, false, 0},
    [FAULT_DELAY] = {"delay", FAULT_VALUE_TIME, false, 0},
    [FAULT_SLOW] = {"slow", FAULT_VALUE_RATE, false, 0},
    [FAULT_REPLY] = {"reply", FAULT_VALUE_CODE, true, BIT(FAULT_TLS)},
    [FAULT_SAY] = {"say", FAULT_VALUE_NONE, true, BIT(FAULT_TLS)},
    [FAULT_CUT] = {"cut", FAULT_VALUE_BYTES, false, BIT(FAULT_TLS)},
    [FAULT_DROP] = {"drop", FAULT_VALUE_NONE, false, 0},
    [FAULT_CLOSE] = {"close", FAULT_VALUE_NONE, false, 0},
    [FAULT_FAIL] = {"fail", FAULT_VALUE_NONE, false, ~BIT(FAULT_TLS)},
};

static const char *const where_words[FAULT_WHERE_COUNT] = {
    [FAULT_NOWHERE] = "",   [FAULT_CONNECT] = "connect", [FAULT_TLS] = "tls",
    [FAULT_BODY] = "body",  [FAULT_COMMAND] = "command",
#define COMMAND(name, word) [FAULT_##name] = (word),
    FAULT_COMMANDS(COMMAND)
#undef COMMAND
};

static const char *const role_words[] = {
    [RELAY_ROLE_UNKNOWN] = "",
    [RELAY_ROLE_MX] = "mx",
    [RELAY_ROLE_SUBMISSION] = "submission",
    [RELAY_ROLE_SUBMISSIONS] = "submissions",
    [RELAY_ROLE_LOCAL] = "local",
    [RELAY_ROLE_POP3] = "pop3",
    [RELAY_ROLE_POP3S] = "pop3s",
};

static const char *const condition_words[] = {"match", "user",  "client", "role",   "nth",
                                              "first", "every", "from",   "chance", "after"};

const char *fault_where_word(enum fault_where where) {
    return where_words[where];
}

const char *fault_action_word(enum fault_action action) {
    return fault_action_rows[action].word;
}

enum fault_action fault_find_action(struct span word) {
    for (unsigned i = 1; i < FAULT_ACTION_COUNT; i++)
        if (span_equal_nocase(word, span_text(fault_action_rows[i].word))) return (enum fault_action)i;
    return FAULT_NOTHING;
}

enum fault_where fault_find_where(struct span word) {
    for (unsigned i = 1; i < FAULT_WHERE_COUNT; i++)
        if (span_equal_nocase(word, span_text(where_words[i]))) return (enum fault_where)i;
    return FAULT_NOWHERE;
}

enum fault_where fault_script_command(struct span word) {
    enum fault_where where = fault_find_where(word);
    return where > FAULT_COMMAND ? where : FAULT_COMMAND;
}

uint8_t fault_find_role(struct span word) {
    for (unsigned i = 1; i < sizeof role_words / sizeof *role_words; i++)
        if (role_words[i] && span_equal_nocase(word, span_text(role_words[i]))) return (uint8_t)i;
    return RELAY_ROLE_UNKNOWN;
}

/* ---- values */

struct unit {
    struct span word;
    uint64_t factor;
};

/* A number of at least `min` and the unit that it ends in. */
static bool read_with(struct span word, const struct unit *units, size_t n, uint64_t min, uint64_t max,
                      uint64_t *out) {
    size_t digits = 0;
    while (digits < word.n && word.p[digits] >= '0' && word.p[digits] <= '9') digits++;
    for (size_t i = 0; i < n; i++)
        if (span_equal_nocase(span_from(word, digits), units[i].word) &&
            span_number(span_part(word, 0, digits), max / units[i].factor, out)) {
            *out *= units[i].factor;
            return *out >= min;
        }
    return false;
}

static bool read_bytes(struct span word, uint64_t min, uint64_t *out) {
    const struct unit units[] = {{SPAN(""), 1}, {SPAN("k"), 1 << 10}, {SPAN("M"), 1 << 20}};
    return read_with(word, units, sizeof units / sizeof *units, min, UINT64_C(1) << 30, out);
}

static bool read_time(struct span word, uint64_t *out) {
    const struct unit units[] = {{SPAN("ms"), 1}, {SPAN("s"), 1000}, {SPAN("m"), 60000}};
    return read_with(word, units, sizeof units / sizeof *units, 1, HOUR_MS, out);
}

bool fault_value_read(enum fault_value kind, struct span word, uint64_t *out, const char **wanted_out) {
    size_t slash = span_find(word, '/');
    switch (kind) {
    case FAULT_VALUE_TIME:
        *wanted_out = "a time of at most an hour, such as 500ms, 3s or 2m";
        return read_time(word, out);
    case FAULT_VALUE_RATE:
        *wanted_out = "octets a second, such as 100/s or 8k/s";
        return span_equal(span_from(word, slash), SPAN("/s")) && read_bytes(span_part(word, 0, slash), 1, out);
    case FAULT_VALUE_CODE:
        *wanted_out = "a code from 200 to 599";
        return span_number(word, 599, out) && *out >= 200;
    case FAULT_VALUE_BYTES:
        *wanted_out = "a number of octets, such as 100, 8k or 1M";
        return read_bytes(word, 0, out);
    case FAULT_VALUE_NONE:
        break;
    }
    *wanted_out = "nothing";
    return false;
}

/* ---- what was meant */

struct guess {
    char word[40];
    size_t distance;
    const char *best;
};

static void try_words(struct guess *guess, const char *const *words, size_t n) {
    for (size_t i = 0; i < n; i++) {
        size_t distance = words[i] && *words[i] ? word_distance(guess->word, words[i]) : SIZE_MAX;
        if (distance < guess->distance) guess->best = words[i], guess->distance = distance;
    }
}

const char *fault_meant(const char *kind, struct span word) {
    struct guess guess = {.distance = 3};
    if (word.n >= sizeof guess.word) return NULL;
    for (size_t i = 0; i < word.n; i++) guess.word[i] = (char)octet_lower(word.p[i]);
    if (strcmp(kind, "where") == 0) try_words(&guess, where_words, FAULT_WHERE_COUNT);
    if (strcmp(kind, "role") == 0) try_words(&guess, role_words, sizeof role_words / sizeof *role_words);
    if (strcmp(kind, "action") != 0) return guess.best;
    try_words(&guess, condition_words, sizeof condition_words / sizeof *condition_words);
    for (size_t i = 1; i < FAULT_ACTION_COUNT; i++) try_words(&guess, &fault_action_rows[i].word, 1);
    return guess.best;
}
