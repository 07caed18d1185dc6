/* submit_address.c - a list of addresses, octet by octet.
 * Runs in: the command line. Trusts: nothing in the text. Never: judges an address; auth does. */
#include "server/submit/submit_address.h"

/* Where the walk stands. */
struct walk {
    unsigned comments; /* depth */
    bool quoted, bracketed /* <...> */, literal /* [...] */;
    bool any, angle; /* the mailbox has an octet; it has had <...> */
};

static void forget(struct submit_mailbox *out, struct walk *walk) {
    out->n = out->end = 0;
    out->bare = true;
    out->too_long = walk->any = false;
}

static void keep(struct submit_mailbox *out, struct walk *walk, struct span octets, size_t end) {
    out->too_long |= octets.n > sizeof out->address - out->n;
    /* No control octet: the address becomes part of a command. */
    for (size_t i = 0; i < octets.n && !out->too_long; i++)
        if (octets.p[i] >= ' ') out->address[out->n++] = octets.p[i];
    out->end = end;
    walk->any = true;
}

/* Within quotes and comments, and the octet after a backslash; how many octets this is, 0: plain text. */
static size_t pass_quoted(struct span text, size_t at, struct submit_mailbox *out, struct walk *walk) {
    uint8_t c = text.p[at];
    size_t n = c == '\\' && at + 1 < text.n ? 2 : 1;
    if (walk->comments) {
        walk->comments += c == '(';
        walk->comments -= c == ')';
        return n;
    }
    if (!walk->quoted && c == '(' && !walk->literal) {
        walk->comments = 1;
        return 1;
    }
    if (!walk->quoted && c != '"') return 0;
    if (c == '"') walk->quoted = !walk->quoted;
    /* A name before <...> is dropped there. A line end in it is folding. */
    if (c != '\r' && c != '\n' && !(walk->angle && !walk->bracketed)) keep(out, walk, span_part(text, at, n), at + n);
    return n;
}

static bool is_blank(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One octet of plain text; true: a mailbox has ended. */
static bool take(struct span text, size_t at, struct submit_mailbox *out, struct walk *walk) {
    uint8_t c = text.p[at];
    if (walk->bracketed ? c == '>' && !walk->literal : c == '<') {
        if (!walk->bracketed) forget(out, walk), out->end = at + 1;
        walk->bracketed = !walk->bracketed;
        walk->angle = true;
        return false;
    }
    if (!walk->bracketed && !walk->literal && (c == ',' || c == ';')) return walk->any || walk->angle;
    if (!walk->bracketed && !walk->literal && c == ':') { /* a group's name ends */
        if (!walk->angle) forget(out, walk);
        return false;
    }
    if (is_blank(c) || (walk->angle && !walk->bracketed)) return false;
    if (c == '[') walk->literal = true;
    if (c == ']') walk->literal = false;
    if (c == '@') out->bare = false;
    keep(out, walk, span_part(text, at, 1), at + 1);
    return false;
}

bool submit_address_next(struct span text, size_t *at, struct submit_mailbox *out) {
    struct walk walk = {0};
    forget(out, &walk);
    while (*at < text.n) {
        size_t n = pass_quoted(text, *at, out, &walk);
        bool ended = n == 0 && take(text, *at, out, &walk);
        *at += n ? n : 1;
        if (ended) return true;
    }
    return walk.any || walk.angle;
}
