/* queue_stats.c - how many messages wait, by destination, sender, domain or age.
 * Runs in: queue. Trusts: nothing in an envelope. Never: counts for more names than have room. */
#include "store/clock.h"
#include "store/queue_list.h"
#include "store/queue_walk.h"

#include <stdlib.h>

enum { STATS_NAMES = 50000, STATS_BUCKETS = 1 << 16 };

enum stats_by { BY_DESTINATION = 0, BY_SENDER, BY_DOMAIN, BY_AGE, BY_COUNT };
static const char *const by_names[BY_COUNT] = {"destination", "sender", "domain", "age"};

/* What is counted under one name. */
struct tally {
    struct tally *next;
    uint64_t last; /* the message counted last: once each */
    uint64_t messages, recipients, bytes, oldest_ms, states[QUEUE_DOINGS];
    struct queue_note *note;
    uint32_t rank; /* by age: that comes first */
    uint8_t kind;
    uint16_t n;
    uint8_t octets[];
};

struct stats {
    struct queue_walk walk;
    enum stats_by by;
    uint64_t limit, now_ms;
    size_t n, sent;
    struct tally **sorted; /* at the end */
    struct tally *buckets[STATS_BUCKETS];
};

static struct control_row row;

static struct tally *tally_of(struct stats *stats, uint8_t kind, struct span name, uint32_t rank) {
    uint64_t h = 0xcbf29ce484222325U ^ kind;
    name = span_part(name, 0, UINT16_MAX);
    for (size_t i = 0; i < name.n; i++) h = (h ^ octet_lower(name.p[i])) * 0x100000001b3U;
    struct tally **bucket = &stats->buckets[(h ^ h >> 32) % STATS_BUCKETS];
    for (struct tally *tally = *bucket; tally; tally = tally->next)
        if (tally->kind == kind && span_equal_nocase(span_of(tally->octets, tally->n), name)) return tally;
    bool full = stats->n >= STATS_NAMES && !span_equal(name, SPAN("(others)"));
    struct tally *made = full ? NULL : calloc(1, sizeof *made + name.n);
    if (!made) return full ? tally_of(stats, DESTINATION_NONE, SPAN("(others)"), 0) : NULL;
    made->kind = kind, made->n = (uint16_t)name.n, made->rank = rank;
    if (name.n) memcpy(made->octets, name.p, name.n);
    made->next = *bucket;
    stats->n++;
    return *bucket = made;
}

/* One recipient that is not done. Messages come in any order of age. */
static void count(struct tally *tally, const struct queue_message *message, uint32_t index) {
    if (!tally) return;
    const struct queue_note *note = queue_note_of(message, index);
    /* The newest has the last word; notes are counted, so this one may stay. */
    if (note && (!tally->note || message->number >= tally->last))
        queue_note_set(&tally->note, (struct queue_note *)(uintptr_t)note);
    tally->recipients++;
    if (tally->last == message->number) return;
    tally->last = message->number;
    tally->messages++;
    tally->bytes += message->body_bytes;
    tally->states[queue_doing(message)]++;
    if (!tally->oldest_ms || message->arrival_ms < tally->oldest_ms) tally->oldest_ms = message->arrival_ms;
}

static struct tally *by_age(struct stats *stats, const struct queue_message *message) {
    static const struct {
        uint32_t minutes;
        const char *name;
    } ages[] = {{5, "under 5m"},    {15, "under 15m"},  {60, "under 1h"},     {240, "under 4h"},
                {1440, "under 1d"}, {4320, "under 3d"}, {UINT32_MAX, "older"}};
    uint64_t now = stats->now_ms, minutes = message->arrival_ms < now ? (now - message->arrival_ms) / 60000 : 0;
    uint32_t i = 0;
    while (minutes >= ages[i].minutes) i++;
    return tally_of(stats, 0, span_text(ages[i].name), i);
}

static struct span domain_of(struct span address) {
    size_t at = address.n;
    while (at > 0 && address.p[at - 1] != '@') at--;
    return span_from(address, at);
}

static enum queue_step count_one(struct queue_walk *walk, struct queue_message *message, const struct message *head) {
    struct stats *stats = (struct stats *)walk;
    struct wire w = wire_over(head ? head->recipients : (struct span){0});
    struct tally *whole = NULL;
    if (walk->heads && !head) whole = tally_of(stats, 0, SPAN("(unreadable)"), 0);
    if (head && stats->by == BY_SENDER)
        whole = tally_of(stats, 0, head->envelope.sender.n ? head->envelope.sender : SPAN("<>"), 0);
    if (stats->by == BY_AGE) whole = by_age(stats, message);
    for (uint32_t i = 0; i < message->n_recipients; i++) {
        struct recipient recipient;
        if (head) recipient_get(&w, &recipient);
        if (message->recipients[i].state == RECIPIENT_DONE) continue;
        const struct queue_destination *to = message->parts[message->recipients[i].part].destination;
        if (whole)
            count(whole, message, i);
        else if (head)
            count(tally_of(stats, 0, domain_of(recipient.address), 0), message, i);
        else
            count(tally_of(stats, to->kind, queue_destination_name(to), 0), message, i);
    }
    return STEP_ON;
}

/* Most messages first; ages as they come. */
static int by_order(const void *a, const void *b) {
    const struct tally *x = *(struct tally *const *)a, *y = *(struct tally *const *)b;
    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    if (x->messages != y->messages) return x->messages > y->messages ? -1 : 1;
    int order = memcmp(x->octets, y->octets, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

static bool sort(struct stats *stats) {
    size_t n = 0;
    if (stats->sorted || !stats->n) return true;
    if (!(stats->sorted = calloc(stats->n, sizeof(struct tally *)))) return false;
    for (size_t i = 0; i < STATS_BUCKETS; i++)
        for (struct tally *tally = stats->buckets[i]; tally; tally = tally->next) stats->sorted[n++] = tally;
    qsort(stats->sorted, n, sizeof(struct tally *), by_order);
    return true;
}

static void put_tally(const struct stats *stats, const struct tally *tally) {
    control_row_open(&row);
    control_row_text(&row, by_names[stats->by], span_of(tally->octets, tally->n));
    if (stats->by == BY_DESTINATION) control_row_text(&row, "kind", span_text(queue_kind_name(tally->kind)));
    control_row_number(&row, "messages", tally->messages);
    control_row_number(&row, "recipients", tally->recipients);
    control_row_number(&row, "bytes", tally->bytes);
    control_row_time(&row, "oldest", tally->oldest_ms);
    for (size_t i = QUEUE_READY; i < QUEUE_DOINGS; i++)
        control_row_number(&row, queue_doing_name((enum queue_doing)i), tally->states[i]);
    control_row_text(&row, "status", tally->note ? span_text(tally->note->status) : (struct span){0});
    control_row_text(&row, "why", queue_note_diagnostic(tally->note));
}

/* Comes again until all is sent. */
static enum queue_step end(struct queue_walk *walk) {
    struct stats *stats = (struct stats *)walk;
    if (!sort(stats)) {
        control_end(walk->peer, CONTROL_FAILED, "no memory");
        return STEP_OVER;
    }
    for (size_t i = 0; stats->sent < stats->n && stats->sent < stats->limit && i < 500; i++) {
        put_tally(stats, stats->sorted[stats->sent++]);
        if (queue_walk_send(walk, &row) != STEP_ON) return STEP_PAUSE;
    }
    if (stats->sent < stats->n && stats->sent < stats->limit) return STEP_PAUSE;
    control_end(walk->peer, CONTROL_OK, stats->sent < stats->n ? "there are more" : "");
    return STEP_OVER;
}

static void release(struct queue_walk *walk) {
    struct stats *stats = (struct stats *)walk;
    free(stats->sorted);
    for (size_t i = 0; i < STATS_BUCKETS; i++)
        for (struct tally *tally = stats->buckets[i], *next; tally; tally = next) {
            next = tally->next;
            queue_note_set(&tally->note, NULL);
            free(tally);
        }
}

static bool read_request(struct stats *stats, const struct control_request *request, const char **why_out) {
    static char why[QUEUE_FILTER_WHY];
    struct span by = control_argument(request, "by"), limit = control_argument(request, "limit");
    *why_out = why;
    stats->now_ms = clock_wall_ms();
    stats->limit = UINT64_MAX;
    for (stats->by = BY_DESTINATION; by.n && stats->by < BY_COUNT; stats->by++)
        if (span_equal_nocase(by, span_text(by_names[stats->by]))) break;
    if (stats->by == BY_COUNT)
        *why_out = "--by takes destination, sender, domain or age";
    else if (limit.n && !span_number(limit, UINT32_MAX, &stats->limit))
        *why_out = "limit is not a number";
    else
        return queue_filter_read(request, stats->now_ms, &stats->walk.filter, why);
    return false;
}

void queue_stats_answer(struct queue *queue, struct control_peer *peer, const struct control_request *request) {
    const char *why = "no memory";
    struct stats *stats = calloc(1, sizeof *stats);
    if (!stats || !read_request(stats, request, &why)) {
        control_end(peer, stats ? CONTROL_USAGE : CONTROL_FAILED, why);
        free(stats);
        return;
    }
    struct queue_walk *walk = &stats->walk;
    walk->visit = count_one, walk->close = end, walk->release = release;
    walk->heads = stats->by == BY_SENDER || stats->by == BY_DOMAIN;
    queue_walk_begin(queue, peer, walk);
}
