/* hosts.c - a hosts file.
 * Runs in: the resolver. Trusts: the owner's file, not its form. Never: reads a file itself. */
#include "server/outbound/hosts.h"

/* The next word of a line, without blanks; empty at its end. */
static struct span next_word(struct span *line) {
    size_t from = 0, to;
    while (from < line->n && (line->p[from] == ' ' || line->p[from] == '\t' || line->p[from] == '\r')) from++;
    for (to = from; to < line->n && line->p[to] != ' ' && line->p[to] != '\t' && line->p[to] != '\r';) to++;
    struct span word = span_part(*line, from, to - from);
    *line = span_from(*line, to);
    return word;
}

size_t hosts_find(struct span text, struct span name, struct netaddr *list_out, size_t most) {
    size_t n = 0;
    while (text.n && n < most) {
        size_t end = span_find(text, '\n');
        struct span line = span_part(text, 0, end);
        text = span_from(text, end + 1);
        line = span_part(line, 0, span_find(line, '#'));
        struct span address = next_word(&line), word;
        while ((word = next_word(&line)).n && !span_equal_nocase(word, name)) continue;
        if (word.n && netaddr_parse(&list_out[n], address)) n++;
    }
    return n;
}
