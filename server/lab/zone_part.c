/* zone_part.c - records of the DNS as texts, names and addresses, and what is said of them.
 * Runs in: the resolver, when it is started to check. Trusts: nothing in a record. Never: keeps what it says. */
#include "server/lab/zone_part.h"

#include <stdarg.h>
#include <stdio.h>

void zone_say(struct zone *zone, enum zone_level level, const char *what, struct span name, const char *line,
              const char *format, ...) {
    char text[1000];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    struct zone_finding finding = {
        .level = level,
        .what = what,
        .name = name,
        .text = span_of(text, n < 0                     ? 0
                              : (size_t)n < sizeof text ? (size_t)n
                                                        : sizeof text - 1),
        .line = line ? span_text(line) : span_of(NULL, 0),
    };
    zone->say(zone->context, &finding);
}

void zone_ask(struct zone *zone, const char *prefix, struct span name, enum zone_type type, struct zone_answer *out) {
    char whole[ZONE_NAME_MAX + 1];
    int n = snprintf(whole, sizeof whole, "%s%.*s", prefix, (int)name.n, (const char *)name.p);
    out->outcome = ZONE_NONE, out->n = 0, out->alias = false;
    if (n > 0 && (size_t)n < sizeof whole - 1) zone->ask(zone->context, whole, type, out);
    if (out->outcome != ZONE_FOUND) out->n = 0;
}

size_t zone_name(struct span record, char out[ZONE_NAME_MAX + 1]) {
    static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t at = 0, n = 0;
    while (at < record.n && record.p[at]) {
        size_t label = record.p[at++];
        if (label > 63 || label > record.n - at || n + label + 1 > ZONE_NAME_MAX - 1) return 0; /* RFC 1035 2.3.4 */
        if (n) out[n++] = '.';
        for (size_t i = 0; i < label; i++) {
            char c = (char)octet_lower(record.p[at++]);
            if (!c || !strchr(good, c)) return 0;
            out[n++] = c;
        }
    }
    out[n] = 0;
    return at < record.n ? at + 1 : 0; /* the root label ends it */
}

bool zone_text(struct span record, struct buf *out) {
    while (record.n) {
        size_t n = record.p[0];
        if (n > record.n - 1) return false;
        buf_put(out, record.p + 1, n);
        record = span_from(record, n + 1);
    }
    return buf_ok(out);
}

static void add_addresses(const struct zone_answer *answer, size_t octets, struct netaddr *list, size_t *n) {
    for (size_t i = 0; i < answer->n && *n < ZONE_RECORDS_MAX; i++) {
        struct netaddr address = {.octets = {[10] = 0xff, [11] = 0xff}};
        if (answer->records[i].n != octets) continue;
        memcpy(address.octets + (16 - octets), answer->records[i].p, octets);
        list[(*n)++] = address;
    }
}

enum zone_outcome zone_addresses(struct zone *zone, struct span name, struct netaddr *list, size_t *n,
                                 bool *alias_out) {
    struct zone_answer answer;
    size_t before = *n;
    zone_ask(zone, "", name, ZONE_A, &answer);
    enum zone_outcome first = answer.outcome;
    *alias_out = answer.alias;
    add_addresses(&answer, 4, list, n);
    zone_ask(zone, "", name, ZONE_AAAA, &answer);
    *alias_out = *alias_out || answer.alias;
    add_addresses(&answer, 16, list, n);
    if (*n > before) return ZONE_FOUND;
    return first == ZONE_UNANSWERED || answer.outcome == ZONE_UNANSWERED ? ZONE_UNANSWERED : ZONE_NONE;
}

bool zone_holds(const struct netaddr *list, size_t n, const struct netaddr *address) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(list[i].octets, address->octets, sizeof address->octets) == 0) return true;
    return false;
}

int zone_record(struct zone *zone, const char *prefix, struct span name, struct span tag, struct buf *text) {
    struct zone_answer answer;
    uint8_t storage[ZONE_BYTES_MAX];
    int found = 0;
    zone_ask(zone, prefix, name, ZONE_TXT, &answer);
    if (answer.outcome == ZONE_UNANSWERED) return -1;
    for (size_t i = 0; i < answer.n; i++) {
        struct buf b = BUF_OVER(storage);
        if (!zone_text(answer.records[i], &b) || !span_starts_nocase(buf_span(&b), tag)) continue;
        uint8_t next = b.n > tag.n ? b.p[tag.n] : ' ';
        if (next != ' ' && next != '\t' && next != ';') continue;
        if (found++ == 0) buf_put_span(text, buf_span(&b));
    }
    return found;
}

bool zone_tag(struct span *rest, struct span *name_out, struct span *value_out) {
    while (rest->n) {
        size_t end = span_find(*rest, ';');
        struct span tag = span_trim(span_part(*rest, 0, end));
        *rest = span_from(*rest, end + 1);
        if (!tag.n) continue;
        size_t equals = span_find(tag, '=');
        *name_out = span_trim(span_part(tag, 0, equals));
        *value_out = span_trim(span_from(tag, equals + 1));
        return true;
    }
    return false;
}
