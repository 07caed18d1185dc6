/* queue_filter.c - which messages are meant, as far as memory tells and then by the stored envelope.
 * Runs in: queue. Trusts: nothing in what was asked. Never: takes what cannot be read for what was meant. */
#include "store/queue_filter.h"

#include "store/clock.h"
#include "store/word.h"

#include <stdio.h>

static const char *const doings[QUEUE_DOINGS] = {"", "ready", "deferred", "active", "held", "reporting"};
static const char *const kinds[] = {"", "maildir", "capture", "smarthost", "lmtp"};

const char *queue_doing_name(enum queue_doing doing) {
    return doings[doing < QUEUE_DOINGS ? doing : QUEUE_ANY];
}

const char *queue_kind_name(uint8_t kind) {
    return kind && kind < sizeof kinds / sizeof kinds[0] ? kinds[kind] : "other";
}

struct span queue_destination_name(const struct queue_destination *destination) {
    return destination->bytes ? span_of(destination->octets, destination->bytes)
                              : span_text(queue_kind_name(destination->kind));
}

enum queue_doing queue_doing(const struct queue_message *message) {
    bool waiting = false;
    if (message->active) return QUEUE_ACTIVE;
    for (uint16_t i = 0; i < message->n_parts; i++) {
        const struct queue_part *part = &message->parts[i];
        if (part->state == PART_READY && !queue_part_next_ms(part)) return QUEUE_READY;
        waiting |= part->state == PART_WAITING || part->state == PART_READY;
    }
    if (!waiting) return QUEUE_REPORTING;
    return message->hold == HOLD_HELD ? QUEUE_HELD : QUEUE_DEFERRED;
}

/* ---- one text against another */

static bool has_wildcard(struct span s) {
    return span_find(s, '*') < s.n || span_find(s, '?') < s.n;
}

/* Goes back to the last star only: linear in what matters. */
static bool matches(struct span wanted, struct span text) {
    size_t i = 0, j = 0, star = SIZE_MAX, from = 0;
    while (j < text.n) {
        if (i < wanted.n && wanted.p[i] == '*')
            star = i++, from = j;
        else if (i < wanted.n && (wanted.p[i] == '?' || octet_lower(wanted.p[i]) == octet_lower(text.p[j])))
            i++, j++;
        else if (star != SIZE_MAX)
            i = star + 1, j = ++from;
        else
            return false;
    }
    while (i < wanted.n && wanted.p[i] == '*') i++;
    return i == wanted.n;
}

bool queue_text_fits(struct span wanted, struct span text) {
    if (span_equal(wanted, SPAN("<>"))) return text.n == 0;
    if (has_wildcard(wanted)) return matches(wanted, text);
    if (wanted.n && wanted.p[0] == '@')
        return text.n >= wanted.n && span_equal_nocase(wanted, span_from(text, text.n - wanted.n));
    return span_equal_nocase(wanted, text);
}

static bool fits(const struct queue_pattern *pattern, struct span text) {
    return !pattern->bytes || queue_text_fits(span_of(pattern->octets, pattern->bytes), text);
}

/* ---- what was asked */

static bool read_pattern(const struct control_request *request, const char *name, struct queue_pattern *out,
                         char why_out[QUEUE_FILTER_WHY]) {
    struct span given = control_argument(request, name);
    out->bytes = 0;
    if (!control_given(request, name)) return true;
    if (!given.n) given = SPAN("<>");
    if (given.n > sizeof out->octets) {
        snprintf(why_out, QUEUE_FILTER_WHY, "--%s is longer than %zu octets", name, sizeof out->octets);
        return false;
    }
    memcpy(out->octets, given.p, given.n);
    out->bytes = (uint16_t)given.n;
    return true;
}

/* An age becomes the time of arrival that it means now. */
static bool read_age(const struct control_request *request, const char *name, uint64_t now_ms, uint64_t *at_out,
                     char why_out[QUEUE_FILTER_WHY]) {
    struct span given = control_argument(request, name);
    uint64_t age;
    if (!control_given(request, name)) return true;
    if (!clock_read_age(given, &age)) {
        snprintf(why_out, QUEUE_FILTER_WHY, "--%s takes a number and s, m, h, d or w: 90s, 30m, 2h, 3d", name);
        return false;
    }
    *at_out = age < now_ms ? now_ms - age : 0;
    return true;
}

static bool read_doing(const struct control_request *request, struct queue_filter *out,
                       char why_out[QUEUE_FILTER_WHY]) {
    struct span given = control_argument(request, "state");
    const char *best = NULL;
    size_t least = 3;
    char word[32];
    if (!control_given(request, "state")) return true;
    snprintf(word, sizeof word, "%.*s", (int)(given.n < sizeof word ? given.n : sizeof word - 1),
             given.n ? (const char *)given.p : "");
    for (size_t i = QUEUE_ANY + 1; i < QUEUE_DOINGS; i++) {
        if (span_equal_nocase(given, span_text(doings[i]))) out->doing = (enum queue_doing)i;
        size_t distance = word_distance(word, doings[i]);
        if (distance < least) least = distance, best = doings[i];
    }
    if (out->doing) return true;
    if (best)
        snprintf(why_out, QUEUE_FILTER_WHY, "there is no state %s; did you mean %s?", word, best);
    else
        snprintf(why_out, QUEUE_FILTER_WHY, "there is no state %s: ready, deferred, active, held or reporting", word);
    return false;
}

bool queue_filter_read(const struct control_request *request, uint64_t now_ms, struct queue_filter *out,
                       char why_out[QUEUE_FILTER_WHY]) {
    *out = (struct queue_filter){.not_after_ms = UINT64_MAX};
    out->one = control_given(request, "id");
    out->all = control_given(request, "all");
    if (out->one && !message_number(control_argument(request, "id"), &out->number)) out->number = 0;
    return read_pattern(request, "from", &out->from, why_out) && read_pattern(request, "to", &out->to, why_out) &&
           read_pattern(request, "destination", &out->destination, why_out) &&
           read_age(request, "older-than", now_ms, &out->not_after_ms, why_out) &&
           read_age(request, "younger-than", now_ms, &out->not_before_ms, why_out) &&
           read_doing(request, out, why_out);
}

bool queue_filter_chooses(const struct queue_filter *filter) {
    return filter->one || filter->all || filter->from.bytes || filter->to.bytes || filter->destination.bytes ||
           filter->doing || filter->not_before_ms || filter->not_after_ms != UINT64_MAX;
}

bool queue_filter_wants_head(const struct queue_filter *filter) {
    return filter->from.bytes || filter->to.bytes;
}

/* ---- whether a message is meant */

/* Somebody still waits there, or a report is due. A kind's name stands for all destinations of it. */
static bool goes_to(const struct queue_filter *filter, const struct queue_message *message) {
    const struct queue_pattern *wanted = &filter->destination;
    struct span text = span_of(wanted->octets, wanted->bytes);
    for (uint16_t i = 0; i < message->n_parts; i++) {
        const struct queue_destination *destination = message->parts[i].destination;
        if (message->parts[i].state == PART_DONE) continue;
        if (span_equal_nocase(text, span_text(queue_kind_name(destination->kind)))) return true;
        if (queue_text_fits(text, span_of(destination->octets, destination->bytes))) return true;
    }
    return false;
}

bool queue_filter_fits(const struct queue_filter *filter, const struct queue_message *message) {
    if (filter->one && message->number != filter->number) return false;
    if (message->arrival_ms > filter->not_after_ms || message->arrival_ms < filter->not_before_ms) return false;
    if (filter->doing && queue_doing(message) != filter->doing) return false;
    return !filter->destination.bytes || goes_to(filter, message);
}

bool queue_filter_fits_head(const struct queue_filter *filter, const struct queue_message *message,
                            const struct message *head) {
    struct wire w = wire_over(head->recipients);
    if (!fits(&filter->from, head->envelope.sender)) return false;
    for (uint32_t i = 0; filter->to.bytes && i < message->n_recipients; i++) {
        struct recipient recipient;
        recipient_get(&w, &recipient);
        if (message->recipients[i].state == RECIPIENT_DONE) continue;
        if (fits(&filter->to, recipient.address) || fits(&filter->to, recipient.original)) return true;
    }
    return !filter->to.bytes;
}
