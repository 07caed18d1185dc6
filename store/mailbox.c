/* mailbox.c - entries of MAILBOX_ENTRIES.
 * Runs in: mailbox agent, pop3 session. Trusts: nobody. Never: gives out an id that could end a reply's line. */
#include "store/mailbox.h"

bool mailbox_unique_id(struct span id) {
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] < 0x21 || id.p[i] > 0x7e) return false;
    return id.n > 0 && id.n <= MAILBOX_UNIQUE_ID_MAX;
}

void mailbox_entry_put(struct buf *b, const struct mailbox_entry *entry) {
    wire_put_u64(b, entry->bytes);
    wire_put_span(b, entry->unique_id);
}

bool mailbox_entry_get(struct wire *w, struct mailbox_entry *out) {
    out->bytes = wire_get_u64(w);
    out->unique_id = wire_get_span(w, MAILBOX_UNIQUE_ID_MAX);
    if (!mailbox_unique_id(out->unique_id)) w->bad = true;
    return !w->bad;
}
