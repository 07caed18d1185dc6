/* fault_script.c - reading a script of faults, and what local parts ask for.
 * Runs in: master, listener, session. Trusts: nothing in a text. Never: allocates, takes a line that it does not
 * understand for another. */
#include "server/lab/fault_script.h"

#include "server/lab/fault_words.h"

#include <stdarg.h>

struct word {
    struct span text;
    bool quoted;
};

struct reader {
    struct fault_script *out;
    size_t text_bytes; /* taken of out->text */
    const char *name;
    FILE *errors;
    unsigned line;
    bool bad;
    struct word words[FAULT_WORDS_MAX];
    size_t n, at;
};

__attribute__((format(printf, 2, 3))) static bool mistake(struct reader *r, const char *format, ...) {
    va_list values;
    r->bad = true;
    if (!r->errors) return false;
    fprintf(r->errors, "%s:%u: ", r->name, r->line);
    va_start(values, format);
    vfprintf(r->errors, format, values);
    va_end(values);
    fputc('\n', r->errors);
    return false;
}

#define SHOW(span) (int)((span).n < 60 ? (span).n : 60), (const char *)(span).p

/* ---- words: between blanks, or in quotes; = outside of quotes is a blank; # begins a comment */

static bool is_gap(uint8_t c) {
    return c == ' ' || c == '\t' || c == '=' || c == '\r';
}

static int escaped(uint8_t c) {
    switch (c) {
    case 'r':
        return '\r';
    case 'n':
        return '\n';
    case '"':
    case '\\':
        return c;
    default:
        return -1;
    }
}

/* Copies what is in quotes; `at` stands behind the first. */
static bool take_quoted(struct reader *r, struct span line, size_t *at, struct span *out) {
    uint8_t *start = r->out->text + r->text_bytes;
    size_t n = 0;
    for (; *at < line.n && line.p[*at] != '"'; ++*at) {
        int c = line.p[*at];
        if (c == '\\' && *at + 1 < line.n) c = escaped(line.p[++*at]);
        if (c < 0) return mistake(r, "\\%c means nothing here; there are \\r \\n \\\" \\\\", line.p[*at]);
        start[n++] = (uint8_t)c; /* no longer than the text it comes from */
    }
    if (*at == line.n) return mistake(r, "a text begins with \" and does not end");
    ++*at;
    r->text_bytes += n;
    *out = span_of(start, n);
    return true;
}

static void take_plain(struct reader *r, struct span line, size_t *at, struct span *out) {
    uint8_t *start = r->out->text + r->text_bytes;
    size_t n = 0;
    for (; *at < line.n && !is_gap(line.p[*at]) && line.p[*at] != '"'; ++*at) start[n++] = line.p[*at];
    r->text_bytes += n;
    *out = span_of(start, n);
}

static bool split(struct reader *r, struct span line) {
    r->n = r->at = 0;
    for (size_t at = 0;;) {
        while (at < line.n && is_gap(line.p[at])) at++;
        if (at == line.n || line.p[at] == '#') return true;
        if (r->n == FAULT_WORDS_MAX) return mistake(r, "more than %d words in one line", FAULT_WORDS_MAX);
        struct word *word = &r->words[r->n];
        word->quoted = line.p[at] == '"';
        if (word->quoted && ++at && !take_quoted(r, line, &at, &word->text)) return false;
        if (!word->quoted) take_plain(r, line, &at, &word->text);
        r->n++;
    }
}

static struct span peek(const struct reader *r) {
    return r->at < r->n && !r->words[r->at].quoted ? r->words[r->at].text : (struct span){0};
}

static bool took(struct reader *r, struct span word) {
    if (!span_equal_nocase(peek(r), word)) return false;
    r->at++;
    return true;
}

/* The word after `what`. */
static bool value_after(struct reader *r, const char *what, struct span *out) {
    if (r->at == r->n) return mistake(r, "%s needs a value behind it", what);
    *out = r->words[r->at++].text;
    return true;
}

static bool number_after(struct reader *r, const char *what, uint64_t most, uint64_t *out) {
    struct span word;
    if (!value_after(r, what, &word)) return false;
    if (span_number(word, most, out) && *out) return true;
    return mistake(r, "%s %.*s: a number from 1 to %llu is needed", what, SHOW(word), (unsigned long long)most);
}

/* ---- conditions */

static bool take_glob(struct reader *r, const char *what, struct span *out) {
    if (!value_after(r, what, out)) return false;
    return out->n ? true : mistake(r, "%s needs a name or a pattern, which is not empty", what);
}

static bool take_client(struct reader *r, struct fault_rule *rule) {
    struct span word;
    rule->has_client = true;
    if (!value_after(r, "client", &word)) return false;
    return network_parse(&rule->client, word)
               ? true
               : mistake(r, "client %.*s: an address or a network is needed, such as 127.0.0.1 or 10.0.0.0/8",
                         SHOW(word));
}

static bool take_role(struct reader *r, struct fault_rule *rule) {
    struct span word;
    if (!value_after(r, "role", &word)) return false;
    rule->role = fault_find_role(word);
    if (rule->role != RELAY_ROLE_UNKNOWN) return true;
    const char *meant = fault_meant("role", word);
    return mistake(r, "no role %.*s%s%s%s", SHOW(word), meant ? "; did you mean " : "", meant ? meant : "",
                   meant ? "?" : "; there are mx submission submissions local pop3 pop3s");
}

static bool take_count(struct reader *r, struct fault_rule *rule, const char *word, enum fault_count count) {
    if (rule->count != FAULT_ALWAYS) return mistake(r, "one of nth, first, every and from is enough");
    rule->count = count;
    return number_after(r, word, UINT32_MAX, &rule->number_of_count);
}

static bool take_chance(struct reader *r, struct fault_rule *rule) {
    struct span word;
    uint64_t percent = 0;
    if (!value_after(r, "chance", &word)) return false;
    size_t end = span_find(word, '%');
    bool good = span_equal(span_from(word, end), SPAN("%")) && span_number(span_part(word, 0, end), 100, &percent);
    rule->percent = (uint32_t)percent;
    return good && percent ? true : mistake(r, "chance %.*s: 1%% to 100%% is needed", SHOW(word));
}

static bool take_after(struct reader *r, struct fault_rule *rule) {
    struct span word;
    const char *wanted;
    if (rule->where != FAULT_BODY) return mistake(r, "after counts the octets of a body: on body after ...");
    if (!value_after(r, "after", &word)) return false;
    if (fault_value_read(FAULT_VALUE_BYTES, word, &rule->after_bytes, &wanted) && rule->after_bytes) return true;
    return mistake(r, "after %.*s: %s is needed", SHOW(word), wanted);
}

/* *is_one_out: a condition was there, good or not. */
static bool take_condition(struct reader *r, struct fault_rule *rule, bool *is_one_out) {
    *is_one_out = true;
    if (took(r, SPAN("match"))) return take_glob(r, "match", &rule->match);
    if (took(r, SPAN("user"))) return take_glob(r, "user", &rule->user);
    if (took(r, SPAN("client"))) return take_client(r, rule);
    if (took(r, SPAN("role"))) return take_role(r, rule);
    if (took(r, SPAN("nth"))) return take_count(r, rule, "nth", FAULT_NTH);
    if (took(r, SPAN("first"))) return take_count(r, rule, "first", FAULT_FIRST);
    if (took(r, SPAN("every"))) return take_count(r, rule, "every", FAULT_EVERY);
    if (took(r, SPAN("from"))) return take_count(r, rule, "from", FAULT_FROM);
    if (took(r, SPAN("chance"))) return take_chance(r, rule);
    if (took(r, SPAN("after"))) return take_after(r, rule);
    *is_one_out = false;
    return true;
}

/* ---- actions */

static bool makes_sense(enum fault_action action, enum fault_where where) {
    unsigned bit = where < FAULT_COMMAND ? 1U << where : 1U << FAULT_COMMAND;
    return !(fault_action_rows[action].nowhere & bit);
}

/* A line break in what is said would be another line; say may hold them, as it is there to break the rules. */
static bool text_fits(struct reader *r, const struct fault_rule *rule) {
    bool breaks = memchr(rule->text.p, '\n', rule->text.n) || memchr(rule->text.p, '\r', rule->text.n);
    if (rule->text.n > FAULT_SAY_MAX) return mistake(r, "a text has at most %d octets", FAULT_SAY_MAX);
    if (rule->action == FAULT_REPLY && breaks) return mistake(r, "a reply's text is one line; say may have more");
    return true;
}

static bool take_text(struct reader *r, struct fault_rule *rule) {
    bool there = r->at < r->n && r->words[r->at].quoted;
    if (!there && rule->action == FAULT_REPLY) return true;
    if (!there) return mistake(r, "say needs a text in quotes");
    rule->text = r->words[r->at++].text;
    return text_fits(r, rule);
}

static bool take_action(struct reader *r, struct fault_rule *rule) {
    struct span word = peek(r), value;
    const char *wanted, *meant;
    if (r->at == r->n) return mistake(r, "what is to happen? delay, slow, reply, say, cut, drop, close or fail");
    rule->action = fault_find_action(word);
    if (rule->action == FAULT_NOTHING) {
        word = r->words[r->at].text;
        meant = fault_meant("action", word);
        return mistake(r, "neither a condition nor an action: %.*s%s%s%s", SHOW(word), meant ? "; did you mean " : "",
                       meant ? meant : "", meant ? "?" : "");
    }
    const struct fault_action_row *row = &fault_action_rows[rule->action];
    r->at++;
    if (!makes_sense(rule->action, rule->where))
        return mistake(r, "%s makes no sense on %s", row->word, fault_where_word(rule->where));
    if (row->value != FAULT_VALUE_NONE) {
        if (!value_after(r, row->word, &value)) return false;
        if (!fault_value_read(row->value, value, &rule->number, &wanted))
            return mistake(r, "%s %.*s: %s is needed", row->word, SHOW(value), wanted);
    }
    if (row->text && !take_text(r, rule)) return false;
    if (r->at < r->n) return mistake(r, "nothing may follow the action: %.*s", SHOW(r->words[r->at].text));
    return true;
}

/* ---- lines */

static bool take_where(struct reader *r, struct fault_rule *rule) {
    struct span word = peek(r);
    rule->where = fault_find_where(word);
    if (rule->where == FAULT_NOWHERE) {
        const char *meant = fault_meant("where", word);
        return mistake(r, "no such place: %.*s%s%s%s", SHOW(word), meant ? "; did you mean " : "", meant ? meant : "",
                       meant ? "?" : "; it is connect, tls, body, command, or a command of SMTP or POP3");
    }
    r->at++;
    return rule->where != FAULT_TLS || took(r, SPAN("handshake")) || true; /* a word that may stand there */
}

static bool take_rule(struct reader *r) {
    struct fault_rule rule = {.line = r->line};
    bool condition = true;
    if (!take_where(r, &rule)) return false;
    while (condition)
        if (!take_condition(r, &rule, &condition)) return false;
    if (!take_action(r, &rule)) return false;
    if (r->out->n == FAULT_RULES_MAX) return mistake(r, "more than %d rules", FAULT_RULES_MAX);
    r->out->rules[r->out->n++] = rule;
    return true;
}

static bool take_seed(struct reader *r) {
    struct span word;
    if (!value_after(r, "seed", &word)) return false;
    if (!span_number(word, UINT64_MAX, &r->out->seed)) return mistake(r, "seed %.*s: a number is needed", SHOW(word));
    return r->at == r->n ? true : mistake(r, "nothing may follow the seed");
}

static bool take_line(struct reader *r) {
    if (r->n == 0) return true;
    if (took(r, SPAN("seed"))) return take_seed(r);
    if (took(r, SPAN("magic"))) {
        r->out->magic = true;
        return r->at == r->n ? true : mistake(r, "nothing may follow magic");
    }
    if (took(r, SPAN("on")) || span_equal_nocase(peek(r), SPAN("tls"))) return take_rule(r);
    return mistake(r, "a line begins with on, tls, seed or magic: %.*s", SHOW(r->words[0].text));
}

bool fault_script_read(struct fault_script *out, struct span text, const char *name, FILE *errors) {
    struct reader r = {.out = out, .name = name, .errors = errors};
    memset(out, 0, sizeof *out);
    if (text.n > FAULT_TEXT_MAX) return mistake(&r, "a script has at most %d octets", FAULT_TEXT_MAX);
    while (text.n) {
        size_t end = span_find(text, '\n');
        r.line++;
        /* All mistakes are told. */
        if (split(&r, span_part(text, 0, end))) (void)take_line(&r);
        text = span_from(text, end + 1);
    }
    return !r.bad;
}

/* ---- local parts */

static struct span next_part(struct span *rest) {
    size_t end = span_find(*rest, '-');
    struct span part = span_part(*rest, 0, end);
    *rest = span_from(*rest, end + 1);
    return part;
}

static bool read_magic(struct span text, enum fault_where here, struct fault_rule *out) {
    const char *ignored;
    *out = (struct fault_rule){.where = here, .action = fault_find_action(next_part(&text))};
    const struct fault_action_row *row = &fault_action_rows[out->action];
    if (out->action == FAULT_NOTHING || out->action == FAULT_SAY) return false;
    if (row->value == FAULT_VALUE_RATE) {
        if (!fault_value_read(FAULT_VALUE_BYTES, next_part(&text), &out->number, &ignored) || !out->number)
            return false;
    } else if (row->value != FAULT_VALUE_NONE &&
               !fault_value_read(row->value, next_part(&text), &out->number, &ignored))
        return false;
    if (text.n) out->where = fault_find_where(next_part(&text));
    if (out->where < FAULT_BODY || !makes_sense(out->action, out->where)) return false;
    if (text.n && out->where == FAULT_BODY &&
        !fault_value_read(FAULT_VALUE_BYTES, next_part(&text), &out->after_bytes, &ignored))
        return false;
    return text.n == 0;
}

bool fault_script_magic(struct span address, enum fault_where here, struct fault_rule *out) {
    struct span local = span_part(address, 0, span_find(address, '@'));
    size_t plus = local.n;
    if (read_magic(local, here, out)) return true;
    while (plus && local.p[plus - 1] != '+') plus--;
    return plus && read_magic(span_from(local, plus), here, out);
}

bool fault_glob(struct span glob, struct span text) {
    size_t at = 0, star = SIZE_MAX, from = 0, i = 0;
    while (i < text.n) {
        if (at < glob.n && glob.p[at] == '*')
            star = at++, from = i;
        else if (at < glob.n && (glob.p[at] == '?' || octet_lower(glob.p[at]) == octet_lower(text.p[i])))
            at++, i++;
        else if (star != SIZE_MAX)
            at = star + 1, i = ++from;
        else
            return false;
    }
    while (at < glob.n && glob.p[at] == '*') at++;
    return at == glob.n;
}
