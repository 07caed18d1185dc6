/* queue_report.c - who is told of a message's end, and whether: reports to senders, notices to the postmaster.
 * Runs in: queue. Trusts: auth for the way back. Never: answers a null sender, sends more than headers to somebody
 * who has not proven who he is. */
#include "store/queue_state.h"

#include "store/clock.h"
#include "store/queue_bounce.h"

#include <errno.h>
#include <stdlib.h>

enum {
    ASK_AGAIN_MS = 30000,
    LATER_MS = 60000,
    DOMAIN_HOUR_MAX = QUEUE_REPORTS_HOUR_MAX,
    HEADERS_MAX = 64 << 10,
    HOUR_MS = 3600000
};
enum { SWEEP_MIN_MS = 200, SWEEP_MAX_MS = 60000, SWEEP_ASKS = 100, SWEEP_AT_ONCE = 2000 };

static bool is_due(const struct queue_recipient *recipient) {
    return recipient->state == RECIPIENT_DELIVERED || recipient->state == RECIPIENT_RELAYED ||
           recipient->state == RECIPIENT_FAILED;
}

static uint32_t count_due(const struct queue_message *message) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < message->n_recipients; i++) n += is_due(&message->recipients[i]);
    return n;
}

static void set_timer(struct queue *queue, struct queue_message *message, uint64_t wait_ms) {
    if (queue_timer_set(&queue->timers, &message->report, clock_ms() + wait_ms) != 0)
        log_fault("a timer cannot be set", ENOMEM);
}

/* What a report needs cannot be read; long after its time no more is hoped for. */
static bool is_given_up(const struct queue *queue, const struct queue_message *message) {
    return clock_wall_ms() > message->arrival_ms + 2 * queue->setup.expire_ms;
}

/* A report goes to one sender: that of the first recipient that is due, or of those that it is being routed for.
 * Takes in all that are due for the same. */
static struct recipient gather(struct queue_message *message, const struct message *head) {
    struct recipient chosen = {0}, recipient;
    bool found = false;
    for (int pass = message->reporting ? 0 : 1; pass < 2 && !found; pass++) {
        struct wire w = wire_over(head->recipients);
        for (uint32_t i = 0; i < message->n_recipients && !found; i++) {
            recipient_get(&w, &recipient);
            found = is_due(&message->recipients[i]) && (pass || message->recipients[i].in_report);
            if (found) chosen = recipient;
        }
    }
    struct wire w = wire_over(head->recipients);
    for (uint32_t i = 0; i < message->n_recipients; i++) {
        recipient_get(&w, &recipient);
        message->recipients[i].in_report =
            is_due(&message->recipients[i]) && span_equal(recipient.sender, chosen.sender);
    }
    return chosen;
}

/* RFC 3461 4.1: who waits and is to be reported on when that takes long: where DELAY was asked for, and where nothing
 * was said. What goes under another's name is not the sender's to hear of. */
static uint32_t gather_delayed(struct queue_message *message, const struct message *head) {
    struct wire w = wire_over(head->recipients);
    uint32_t n = 0;
    for (uint32_t i = 0; i < message->n_recipients; i++) {
        struct queue_recipient *known = &message->recipients[i];
        struct recipient recipient;
        recipient_get(&w, &recipient);
        bool wanted = known->notify == DSN_NOTIFY_DEFAULT ||
                      (known->notify & DSN_NOTIFY_DELAY && !(known->notify & DSN_NOTIFY_NEVER));
        known->in_report = wanted && known->state == RECIPIENT_WAITING && !recipient.sender.n;
        n += known->in_report;
    }
    return n;
}

/* What was due in this report has been said, and that is marked already; or it never will be. */
static void settle(struct queue *queue, struct queue_message *message, const char *dropped) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < message->n_recipients; i++) n += message->recipients[i].in_report;
    if (dropped) {
        struct log_line line;
        char name[MESSAGE_NAME_SIZE];
        message_name(message->number, name);
        log_open(&line, LOG_DROPPED);
        log_text(&line, KEY_MESSAGE, name);
        log_number(&line, KEY_RECIPIENTS, n);
        log_text(&line, KEY_WHY, dropped);
        log_send(&line);
    }
    for (uint32_t i = 0; i < message->n_recipients; i++) {
        if (!message->recipients[i].in_report) continue;
        message->recipients[i].in_report = 0;
        message->recipients[i].state = RECIPIENT_DONE;
        message->n_open--;
        if (dropped) queue_mark(queue, message, i);
    }
    message->reporting = REPORT_NONE;
    queue_timer_clear(&queue->timers, &message->report);
    if (!message->n_open && !message->active)
        queue_finish(queue, message);
    else if (count_due(message))
        set_timer(queue, message, 0); /* for another sender */
}

/* No backscatter: whoever forges senders of a domain makes it get a few headers an hour and no more. The postmaster
 * (an empty sender) is spared alike. */
static bool domain_allows(struct queue *queue, struct span sender) {
    uint64_t h = 0xcbf29ce484222325U, hour = clock_wall_ms() / HOUR_MS;
    size_t at = sender.n;
    while (at > 0 && sender.p[at - 1] != '@') at--;
    for (size_t i = at; i < sender.n; i++) h = (h ^ octet_lower(sender.p[i])) * 0x100000001b3U;
    struct queue_domain *domain = &queue->domains[(h ^ h >> 32) % QUEUE_DOMAINS];
    if (domain->hour != hour) domain->hour = hour, domain->sent = 0;
    if (domain->sent < DOMAIN_HOUR_MAX) {
        domain->sent++;
        return true;
    }
    queue->suppressed++;
    return false;
}

static void ask_route(struct queue *queue, struct queue_message *message, struct span address) {
    uint8_t storage[ENVELOPE_TEXT_MAX + 32];
    struct buf b = BUF_OVER(storage);
    wire_put_u64(&b, message->number);
    wire_put_u8(&b, message->reporting == REPORT_NOTICE ? ROUTE_NOTICE : ROUTE_BOUNCE);
    wire_put_span(&b, message->reporting == REPORT_NOTICE ? (struct span){0} : address);
    (void)queue_link_send(&queue->links[0], ROUTE_REQUEST, buf_span(&b), -1);
    set_timer(queue, message, ASK_AGAIN_MS);
}

void queue_report_due(struct queue *queue, struct queue_message *message) {
    struct message head;
    if (message->reporting == REPORT_DELAY) message->reporting = REPORT_NONE; /* no answer: the next sweep asks */
    if (message->active) return;                                              /* the end of that job asks again */
    if (!message->n_open) {
        queue_finish(queue, message);
        return;
    }
    if (!count_due(message)) return;
    if (!queue_load(queue, message)) {
        if (!is_given_up(queue, message)) {
            set_timer(queue, message, LATER_MS);
            return;
        }
        for (uint32_t i = 0; i < message->n_recipients; i++)
            message->recipients[i].in_report = is_due(&message->recipients[i]);
        settle(queue, message, "the message cannot be read, so nobody can be told");
        return;
    }
    queue_head(message, &head);
    struct recipient first = gather(message, &head);
    struct span sender = recipient_sender(&first, &head.envelope);
    bool known = head.envelope.flags & ENVELOPE_PRINCIPAL || first.sender.n; /* an alias's owner is ours */
    bool ours = head.envelope.flags & ENVELOPE_BOUNCE;
    if (message->flags & MESSAGE_NOTICE)
        settle(queue, message, "a notice to the postmaster has failed");
    else if (!sender.n && !ours && !known)
        settle(queue, message, "it came with a null sender");
    else if (sender.n && !known && !message->reporting && !domain_allows(queue, sender))
        settle(queue, message, "too many reports to that domain this hour");
    else if (!sender.n && !message->reporting && !domain_allows(queue, sender))
        settle(queue, message, "too many notices to the postmaster this hour");
    else {
        if (!message->reporting) message->reporting = sender.n ? REPORT_BOUNCE : REPORT_NOTICE;
        ask_route(queue, message, sender);
        queue_unload(queue, message);
    }
}

void queue_report_consider(struct queue *queue, struct queue_message *message) {
    bool free = !message->reporting || message->reporting == REPORT_DELAY;
    if (!message->active && free && count_due(message)) queue_report_due(queue, message);
}

void queue_route_again(struct queue *queue) {
    queue->walks.route = queue->oldest;
}

static void route_some(struct queue *queue) {
    for (int i = 0; queue->walks.route && i < SWEEP_AT_ONCE; i++) {
        struct queue_message *message = queue->walks.route;
        queue->walks.route = message->next;
        if (message->reporting && !message->active) set_timer(queue, message, 0);
    }
}

static size_t collect(const struct queue_message *message, const struct message *head, struct bounce_recipient *out) {
    struct wire w = wire_over(head->recipients);
    size_t n = 0;
    for (uint32_t i = 0; i < message->n_recipients; i++) {
        const struct queue_recipient *known = &message->recipients[i];
        struct recipient recipient;
        recipient_get(&w, &recipient);
        if (!known->in_report) continue;
        const struct queue_note *note = known->note;
        if (!note && known->state == RECIPIENT_WAITING) note = message->parts[known->part].destination->note;
        out[n++] =
            (struct bounce_recipient){recipient, known->state, note ? span_text(note->status) : (struct span){0},
                                      queue_note_diagnostic(note), queue_note_remote(note)};
    }
    return n;
}

static int store_report(struct queue *queue, const struct message *original, struct bounce *bounce,
                        struct queue_message *about, uint32_t n, struct span recipients) {
    struct message head = {.number = bounce->number,
                           .arrival_ms = bounce->now_ms,
                           .flags = about->reporting == REPORT_NOTICE ? MESSAGE_NOTICE : 0,
                           .n_recipients = n,
                           .recipients = recipients};
    head.envelope.flags = (uint8_t)(ENVELOPE_BOUNCE | (original->envelope.flags & (ENVELOPE_8BIT | ENVELOPE_UTF8)));
    size_t cap = bounce_bytes(bounce);
    struct buf b = buf_over(malloc(cap), cap);
    int result = -1;
    if (b.p) bounce_put(&b, bounce);
    if (b.p && buf_ok(&b)) {
        head.body_bytes = b.n;
        result = queue_store_own(queue, &head, buf_span(&b), about);
    }
    free(b.p);
    return result;
}

static int write_report(struct queue *queue, struct queue_message *message, uint32_t n, struct span recipients) {
    struct bounce_recipient *list = calloc(message->n_recipients, sizeof *list);
    uint8_t *storage = malloc(HEADERS_MAX);
    struct message head;
    int result = -1;
    if (!list || !storage || !queue_load(queue, message)) goto out;
    queue_head(message, &head);
    bool notice = message->reporting == REPORT_NOTICE;
    struct recipient first = {0};
    bool failed = false;
    if (message->reporting == REPORT_DELAY)
        (void)gather_delayed(message, &head);
    else
        first = gather(message, &head);
    for (uint32_t i = 0; i < message->n_recipients; i++)
        failed |= message->recipients[i].in_report && message->recipients[i].state == RECIPIENT_FAILED;
    /* RFC 3461 4.3: RET=FULL is about failures. */
    bool full = failed && !notice && !first.sender.n && head.envelope.dsn_return == DSN_RETURN_FULL &&
                head.envelope.flags & ENVELOPE_PRINCIPAL && !(message->flags & MESSAGE_OWN_FILE);
    struct bounce bounce = {.hostname = queue->setup.hostname,
                            .number = queue_draw_number(queue),
                            .now_ms = clock_wall_ms(),
                            .until_ms = message->arrival_ms + queue->setup.expire_ms,
                            .to = notice ? (struct span){0} : recipient_sender(&first, &head.envelope),
                            .original = &head,
                            .full = full,
                            .recipients = list,
                            .n = collect(message, &head, list)};
    bool own_file = message->flags & MESSAGE_OWN_FILE;
    struct buf own = buf_over(storage, HEADERS_MAX);
    if (own_file && !queue_read_own(queue, message, &own) && !is_given_up(queue, message)) goto out;
    bounce.original_body = own_file ? buf_span(&own) : queue_body(message);
    if (!full) bounce.original_body = span_part(bounce.original_body, 0, HEADERS_MAX);
    result = store_report(queue, &head, &bounce, message, n, recipients);
    if (result == 0) {
        struct log_line line;
        char name[MESSAGE_NAME_SIZE], report[MESSAGE_NAME_SIZE];
        message_name(message->number, name);
        message_name(bounce.number, report);
        log_open(&line, message->reporting == REPORT_DELAY ? LOG_DELAYED : LOG_BOUNCED);
        log_text(&line, KEY_MESSAGE, name);
        log_text(&line, KEY_WHAT, report);
        log_span(&line, KEY_TO, bounce.to);
        log_number(&line, KEY_RECIPIENTS, bounce.n);
        log_send(&line);
    }
out:
    queue_unload(queue, message);
    free(storage);
    free(list);
    return result;
}

/* The sender knows, and that is marked; or cannot be told; or it is tried again with the next sweep. */
static void settle_delay(struct queue *queue, struct queue_message *message, bool told, bool untold) {
    message->reporting = REPORT_NONE;
    queue_timer_clear(&queue->timers, &message->report);
    message->delay_told = told || untold;
    for (uint32_t i = 0, marked = 0; i < message->n_recipients; i++) {
        if (untold && message->recipients[i].in_report && !marked++) queue_mark(queue, message, i);
        message->recipients[i].in_report = 0;
    }
    queue_report_consider(queue, message);
}

static void consider_delay(struct queue *queue, struct queue_message *message) {
    struct message head;
    bool resident = message->resident;
    message->delay_told = true;
    if (!queue_load(queue, message)) return;
    queue_head(message, &head);
    if (head.envelope.sender.n && gather_delayed(message, &head)) {
        message->delay_told = false;
        message->reporting = REPORT_DELAY;
        ask_route(queue, message, head.envelope.sender);
    }
    if (!resident) queue_unload(queue, message);
}

/* No backscatter: only to who has proven who he is. A report is no mail of anybody's. */
static bool hears_of_delay(const struct queue *queue, const struct queue_message *message, uint64_t wall_ms) {
    if (!queue->setup.delay_ms || message->delay_told || !(message->envelope_flags & ENVELOPE_PRINCIPAL))
        return false;
    if (message->envelope_flags & ENVELOPE_BOUNCE || message->active || message->reporting) return false;
    if (message->hold == HOLD_HELD) return false;
    return wall_ms >= message->arrival_ms + queue->setup.delay_ms;
}

/* Often enough for the shorter of what is looked after. */
static uint64_t pause_ms(const struct queue *queue) {
    uint64_t delay = queue->setup.delay_ms, pause = queue->setup.expire_ms / 8;
    if (delay && delay / 8 < pause) pause = delay / 8;
    return pause < SWEEP_MIN_MS ? SWEEP_MIN_MS : pause > SWEEP_MAX_MS ? SWEEP_MAX_MS : pause;
}

void queue_report_sweep(struct queue *queue) {
    uint64_t now = clock_ms(), wall = clock_wall_ms();
    unsigned asked = 0;
    route_some(queue);
    if (queue->setup.stand_alone || queue->draining || queue->stopped) {
        queue->walks.sweep = NULL;
        return;
    }
    queue_notice_ask_count(queue);
    if (!queue->walks.sweep && now - queue->swept_ms >= pause_ms(queue)) {
        queue->swept_ms = now;
        queue->walks.sweep = queue->oldest;
    }
    for (int i = 0; queue->walks.sweep && i < SWEEP_AT_ONCE && asked < SWEEP_ASKS; i++) {
        struct queue_message *message = queue->walks.sweep;
        queue->walks.sweep = message->next;
        if (hears_of_delay(queue, message, wall)) {
            consider_delay(queue, message);
            asked++;
        }
        if (wall >= message->arrival_ms + queue->setup.expire_ms) queue_expire_ready(queue, message);
    }
}

/* Adds one frame to the answer that is coming in. False: it goes on. */
static bool take_route(struct queue *queue, struct frame *frame, uint64_t *number_out, uint8_t *outcome_out) {
    struct wire w = wire_over(frame->body);
    *number_out = wire_get_u64(&w);
    *outcome_out = wire_get_u8(&w);
    struct span recipients = w.rest;
    if (!queue->route.open || *number_out != queue->route.request) { /* the first; one that broke off is forgotten */
        queue->route.recipients = BUF_OVER(queue->route.storage);
        queue->route.request = *number_out, queue->route.n = 0;
    }
    for (; w.rest.n && !w.bad; queue->route.n++) {
        struct recipient recipient;
        recipient_get(&w, &recipient);
    }
    buf_put_span(&queue->route.recipients, recipients);
    if (!wire_end(&w) || *outcome_out > ROUTE_MORE || !buf_ok(&queue->route.recipients))
        log_bug("frame from auth does not parse");
    queue->route.open = *outcome_out == ROUTE_MORE;
    return !queue->route.open;
}

void queue_route_result(struct queue *queue, struct frame *frame) {
    uint64_t number;
    uint8_t ok;
    if (!take_route(queue, frame, &number, &ok)) return;
    struct span recipients = buf_span(&queue->route.recipients);
    uint32_t n = queue->route.n;
    if (number == QUEUE_NOTICE_ROUTE) {
        queue_notice_routed(queue, ok, n, recipients);
        return;
    }
    struct queue_message *message = queue_find(queue, number);
    if (!number && ok) queue_notice_count(queue, n, recipients);
    if (message && message->active && message->reporting == REPORT_DELAY)
        settle_delay(queue, message, false, false); /* it is being tried this moment: the next sweep asks */
    if (!message || !message->reporting || message->active) return;
    if (message->reporting == REPORT_DELAY) {
        settle_delay(queue, message, ok && n && write_report(queue, message, n, recipients) == 0, ok && !n);
    } else if (!ok) {
        set_timer(queue, message, LATER_MS);
    } else if (n) {
        if (write_report(queue, message, n, recipients) == 0)
            settle(queue, message, NULL);
        else
            set_timer(queue, message, LATER_MS);
    } else if (message->reporting == REPORT_BOUNCE && !domain_allows(queue, (struct span){0})) {
        settle(queue, message,
               "its sender cannot be told, and there are too many notices to the postmaster this hour");
    } else if (message->reporting == REPORT_BOUNCE) {
        message->reporting = REPORT_NOTICE; /* the sender cannot be told; the postmaster is */
        ask_route(queue, message, (struct span){0});
    } else {
        settle(queue, message, "there is no way to the postmaster");
    }
}
