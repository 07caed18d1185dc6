/* queue_recipients.c - the recipients of a transaction that is open: every RCPT command counts, every copy is kept
 * once.
 * Runs in: queue. Trusts: auth. Never: drops a recipient that asks for other reports than the one that stays. */
#include "store/queue_state.h"

#include <stdlib.h>

enum { RECIPIENTS_BYTES_MAX = 8 << 20, PLACES_MIN = 16 };

/* Counts RCPT commands: an alias may come in several frames of the same index, and auth counts up. */
static bool count_index(struct queue_transaction *transaction, uint32_t index) {
    if (transaction->n_indexes && index < transaction->last_index) return false;
    if (!transaction->n_indexes || index > transaction->last_index) transaction->n_indexes++;
    transaction->last_index = index;
    return true;
}

/* A mailbox gets one copy whatever the address that led to it; elsewhere the address says who gets it. */
static struct span identity(const struct recipient *recipient) {
    return recipient->kind == DESTINATION_MAILDIR ? recipient->destination : recipient->address;
}

static bool is_same(const struct recipient *a, const struct recipient *b) {
    return a->kind == b->kind && a->notify == b->notify && span_equal(identity(a), identity(b)) &&
           span_equal(a->sender, b->sender);
}

static uint32_t hash(const struct recipient *recipient) {
    struct span name = identity(recipient);
    uint64_t h = 0xcbf29ce484222325U;
    for (size_t i = 0; i < name.n; i++) h = (h ^ name.p[i]) * 0x100000001b3U;
    return (uint32_t)(h ^ h >> 32);
}

static struct recipient recipient_at(const struct queue_transaction *transaction, size_t place) {
    struct recipient recipient;
    struct wire w = wire_over(span_of(transaction->recipients + place, transaction->recipients_bytes - place));
    recipient_get(&w, &recipient);
    return recipient;
}

/* The slot where the recipient is, or belongs. */
static uint32_t *find(const struct queue_transaction *transaction, const struct recipient *recipient) {
    for (uint32_t i = hash(recipient);; i++) {
        uint32_t *slot = &transaction->places[i & (transaction->places_cap - 1)];
        if (!*slot) return slot;
        struct recipient there = recipient_at(transaction, *slot - 1);
        if (is_same(&there, recipient)) return slot;
    }
}

/* At least half of the table stays empty. */
static bool make_place(struct queue_transaction *transaction) {
    uint32_t *old = transaction->places, old_cap = transaction->places_cap;
    if (2 * (transaction->n_recipients + 1) <= old_cap) return true;
    uint32_t cap = old_cap ? 2 * old_cap : PLACES_MIN;
    uint32_t *grown = calloc(cap, sizeof *grown);
    if (!grown) return false;
    transaction->places = grown, transaction->places_cap = cap;
    for (uint32_t i = 0; i < old_cap; i++) {
        if (!old[i]) continue;
        struct recipient recipient = recipient_at(transaction, old[i] - 1);
        *find(transaction, &recipient) = old[i];
    }
    free(old);
    return true;
}

static bool make_room(struct queue_transaction *transaction, size_t bytes) {
    if (transaction->recipients_cap - transaction->recipients_bytes >= bytes) return true;
    size_t cap = 2 * (transaction->recipients_cap + bytes);
    void *grown = cap > RECIPIENTS_BYTES_MAX ? NULL : realloc(transaction->recipients, cap);
    if (!grown) return false;
    transaction->recipients = grown, transaction->recipients_cap = cap;
    return true;
}

bool queue_recipients_add(struct queue_transaction *transaction, uint32_t index, struct span recipients) {
    struct wire w = wire_over(recipients);
    if (!count_index(transaction, index)) return false;
    while (w.rest.n) {
        struct recipient recipient;
        struct span octets = w.rest;
        recipient_get(&w, &recipient);
        octets.n -= w.rest.n;
        if (!make_place(transaction) || !make_room(transaction, octets.n)) return false;
        uint32_t *slot = find(transaction, &recipient);
        if (*slot) continue;
        *slot = (uint32_t)transaction->recipients_bytes + 1;
        memcpy(transaction->recipients + transaction->recipients_bytes, octets.p, octets.n);
        transaction->recipients_bytes += octets.n;
        transaction->n_recipients++;
    }
    return true;
}

void queue_recipients_free(struct queue_transaction *transaction) {
    free(transaction->recipients);
    free(transaction->places);
}
