/* from.c - finding the From field, and the grammar of its mailbox list.
 * What different mail programs might read differently is malformed here: the address that is judged must be the one
 * that is shown. Names of people, quoted or in encoded words (RFC 2047), are passed over.
 * Runs in: session. Trusts: nothing. Never: guesses, keeps more than one field. */
#include "server/inbound/from.h"

enum { COMMENTS_MAX = 16, FROM_OTHER = 255 };
static const char field_name[] = "from";
enum { NAME_LENGTH = sizeof field_name - 1 };

/* ---- the header's lines */

void from_start(struct from *from) {
    /* The value stays as it is: its pages need not be touched. */
    from->state = FROM_LINE_START;
    from->broken = from->here = from->cr = from->too_long = false;
    from->matched = 0;
    from->fields = 0;
    from->name = from->n = 0;
}

static void keep(struct from *from, uint8_t c) {
    if (!from->here || from->fields != 1) return;
    if (from->n == sizeof from->value)
        from->too_long = true;
    else
        from->value[from->n++] = c;
}

static void name_octet(struct from *from, uint8_t c) {
    bool good = c > ' ' && c < 0x7f; /* RFC 5322 3.6.8: ftext; the colon does not come here */
    if (!good) from->broken = true;
    from->name++;
    if (from->matched < NAME_LENGTH && octet_lower(c) == (uint8_t)field_name[from->matched])
        from->matched++;
    else
        from->matched = FROM_OTHER;
}

static void field_begins(struct from *from) {
    if (from->name == 0) from->broken = true;
    from->here = from->matched == NAME_LENGTH;
    if (from->here) from->fields++;
    from->state = FROM_VALUE;
}

static void line_ends(struct from *from) {
    if (from->state == FROM_LINE_START) {
        from->state = FROM_OVER;
        return;
    }
    if (from->state != FROM_VALUE) from->broken = true; /* no colon in it */
    from->state = FROM_LINE_START;
}

static void line_begins(struct from *from, uint8_t c) {
    if (c == ' ' || c == '\t') { /* goes on with the field before */
        if (from->name == 0) from->broken = true;
        from->state = FROM_VALUE;
        keep(from, c);
        return;
    }
    from->name = 0;
    from->matched = 0;
    from->here = false;
    from->state = FROM_NAME;
    if (c == ':')
        field_begins(from);
    else
        name_octet(from, c);
}

static void step(struct from *from, uint8_t c) {
    switch (from->state) {
    case FROM_LINE_START:
        line_begins(from, c);
        break;
    case FROM_NAME:
    case FROM_NAME_END:
        if (c == ':')
            field_begins(from);
        else if (c == ' ' || c == '\t')
            from->state = FROM_NAME_END;
        else if (from->state == FROM_NAME)
            name_octet(from, c);
        else
            from->broken = true, from->matched = FROM_OTHER;
        break;
    case FROM_VALUE:
        keep(from, c);
        break;
    case FROM_OVER:
        break;
    }
}

void from_take(struct from *from, struct span octets) {
    for (size_t i = 0; i < octets.n && from->state != FROM_OVER; i++) {
        uint8_t c = octets.p[i];
        if (from->cr && c == '\n')
            line_ends(from);
        else if (c != '\r')
            step(from, c);
        from->cr = c == '\r';
    }
}

/* ---- the list: RFC 5322 3.4 */

struct list {
    struct span text;
    size_t at;
    struct from_addresses *out;
};

static bool at_end(const struct list *list) {
    return list->at == list->text.n;
}

/* The octet at hand, or NUL at the end. */
static uint8_t here(const struct list *list) {
    return at_end(list) ? 0 : list->text.p[list->at];
}

static bool is_letter_or_digit(uint8_t c) {
    return (c >= '0' && c <= '9') || (octet_lower(c) >= 'a' && octet_lower(c) <= 'z');
}

static bool is_atom(uint8_t c) {
    if (c >= 0x80) return true; /* RFC 6532 3.2 */
    return is_letter_or_digit(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool is_text(uint8_t c) {
    return c == '\t' || (c >= ' ' && c != 0x7f);
}

/* False: a comment does not end, or too many are within each other. */
static bool skip_comment(struct list *list) {
    size_t depth = 0;
    do {
        uint8_t c = here(list);
        if (!is_text(c)) return false;
        list->at++;
        if (c == '(' && ++depth > COMMENTS_MAX) return false;
        if (c == ')') depth--;
        if (c == '\\' && !is_text(here(list))) return false;
        if (c == '\\') list->at++;
    } while (depth);
    return true;
}

/* Blanks and comments. */
static bool skip_between(struct list *list) {
    for (;;) {
        uint8_t c = here(list);
        if (c == ' ' || c == '\t')
            list->at++;
        else if (c != '(')
            return true;
        else if (!skip_comment(list))
            return false;
    }
}

static bool skip_quoted(struct list *list) {
    list->at++;
    while (here(list) != '"') {
        uint8_t c = here(list);
        if (!is_text(c)) return false;
        list->at++;
        if (c == '\\' && !is_text(here(list))) return false;
        if (c == '\\') list->at++;
    }
    list->at++;
    return true;
}

/* dot-atom-text; false when there is none. */
static bool skip_dot_atom(struct list *list) {
    for (;;) {
        size_t from = list->at;
        while (is_atom(here(list))) list->at++;
        if (list->at == from) return false;
        if (here(list) != '.') return true;
        list->at++;
    }
}

static bool skip_local(struct list *list) {
    return here(list) == '"' ? skip_quoted(list) : skip_dot_atom(list);
}

static bool skip_domain(struct list *list) {
    if (here(list) != '[') return skip_dot_atom(list);
    list->at++;
    while (here(list) != ']') {
        uint8_t c = here(list); /* RFC 5321 4.1.3: nothing else is in one */
        if (!is_letter_or_digit(c) && c != '.' && c != ':' && c != '-') return false;
        list->at++;
    }
    list->at++;
    return true;
}

static void put(struct list *list, size_t from) {
    size_t n = list->at - from;
    memcpy(list->out->octets + list->out->octets_n, list->text.p + from, n); /* no more than the field's own octets */
    list->out->octets_n += n;
}

/* addr-spec, with what may stand between its parts. Where it is none nothing is taken. */
static bool take_address(struct list *list) {
    struct from_addresses *out = list->out;
    size_t begin = list->at, kept = out->octets_n, from = begin;
    if (!skip_local(list)) goto none;
    put(list, from);
    if (!skip_between(list) || here(list) != '@') goto none;
    from = list->at++;
    put(list, from);
    if (!skip_between(list)) goto none;
    from = list->at;
    if (!skip_domain(list)) goto none;
    put(list, from);
    if (out->n == FROM_ADDRESSES_MAX) goto none;
    out->of[out->n++] = span_of(out->octets + kept, out->octets_n - kept);
    return skip_between(list);
none:
    list->at = begin;
    out->octets_n = kept;
    return false;
}

/* A name before <...>: words, and dots that a name may hold (RFC 5322 4.1 obs-phrase). */
static bool skip_name(struct list *list) {
    for (;;) {
        if (!skip_between(list)) return false;
        uint8_t c = here(list);
        if (c == '"') {
            if (!skip_quoted(list)) return false;
        } else if (is_atom(c) || c == '.') {
            list->at++;
        } else {
            return true;
        }
    }
}

/* Ends behind the mailbox and what may follow it. */
static bool take_mailbox(struct list *list) {
    if (!skip_between(list)) return false;
    if (take_address(list)) return true;
    if (!skip_name(list) || here(list) != '<') return false;
    list->at++;
    if (!skip_between(list) || !take_address(list) || here(list) != '>') return false;
    list->at++;
    return skip_between(list);
}

static bool take_list(struct list *list) {
    while (take_mailbox(list)) {
        if (at_end(list)) return true;
        if (here(list) != ',') return false;
        list->at++;
    }
    return false;
}

enum from_verdict from_end(const struct from *from, struct from_addresses *out) {
    struct list list = {span_of(from->value, from->n), 0, out};
    bool unended = from->state == FROM_NAME || from->state == FROM_NAME_END;
    out->n = out->octets_n = 0;
    if (from->fields > 1) return FROM_SEVERAL;
    if (from->broken || unended) return FROM_MALFORMED;
    if (from->fields == 0) return FROM_MISSING;
    if (from->too_long || !take_list(&list)) {
        out->n = 0;
        return FROM_MALFORMED;
    }
    return FROM_GOOD;
}
