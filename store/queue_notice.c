/* queue_notice.c - what the postmaster is told: how many reports were kept back, and what auth wants told.
 * Runs in: queue. Trusts: auth. Never: takes a recipient from anybody but auth's answer about the postmaster, a text
 * from outside without stripping it. */
#include "store/queue_state.h"

#include "store/clock.h"
#include "store/queue_bounce.h"

enum { NOTICE_BYTES = 8192, HOUR_MS = 3600000 };

static void answer(struct queue *queue, bool queued) {
    uint8_t storage[16];
    struct buf b = BUF_OVER(storage);
    wire_put_u64(&b, queue->notice.number);
    wire_put_u8(&b, queued);
    queue->notice.open = false;
    (void)queue_link_send(&queue->links[0], NOTICE_RESULT, buf_span(&b), -1); /* an auth that is gone asks again */
}

int queue_notice_wanted(struct queue *queue, struct frame *frame) {
    struct queue_notice *notice = &queue->notice;
    uint8_t storage[32];
    struct buf b = BUF_OVER(storage);
    struct wire w = wire_over(frame->body);
    uint64_t number = wire_get_u64(&w);
    unsigned kind = wire_get_u8(&w);
    struct span about = wire_get_span(&w, NOTICE_ABOUT_MAX), why = wire_get_span(&w, NOTICE_WHY_MAX);
    if (!wire_end(&w) || kind != NOTICE_SUSPENDED || !about.n || !why.n) return -1;
    *notice = (struct queue_notice){
        .open = true, .number = number, .kind = (uint8_t)kind, .about_n = about.n, .why_n = why.n};
    memcpy(notice->about, about.p, about.n);
    memcpy(notice->why, why.p, why.n);
    wire_put_u64(&b, QUEUE_NOTICE_ROUTE);
    wire_put_u8(&b, ROUTE_NOTICE);
    wire_put_span(&b, (struct span){0});
    (void)queue_link_send(&queue->links[0], ROUTE_REQUEST, buf_span(&b), -1); /* as above */
    return 0;
}

void queue_notice_routed(struct queue *queue, bool ok, uint32_t n, struct span recipients) {
    static uint8_t storage[NOTICE_BYTES];
    const struct queue_notice *notice = &queue->notice;
    struct buf b = BUF_OVER(storage);
    struct log_line line;
    char name[MESSAGE_NAME_SIZE];
    if (!notice->open) return;
    if (!ok || !n || queue->draining || queue->stopped) {
        answer(queue, false);
        return;
    }
    struct message head = {.number = queue_draw_number(queue),
                           .arrival_ms = clock_wall_ms(),
                           .flags = MESSAGE_NOTICE,
                           .n_recipients = n,
                           .recipients = recipients};
    head.envelope.flags = ENVELOPE_BOUNCE;
    bounce_put_suspended(&b, queue->setup.hostname, &head, span_of(notice->about, notice->about_n),
                         span_of(notice->why, notice->why_n));
    head.body_bytes = b.n;
    bool queued = buf_ok(&b) && queue_store_own(queue, &head, buf_span(&b), NULL) == 0;
    if (queued) {
        message_name(head.number, name);
        log_open(&line, LOG_NOTICE);
        log_text(&line, KEY_MESSAGE, name);
        log_span(&line, KEY_WHAT, span_of(notice->about, notice->about_n));
        log_send(&line);
    }
    answer(queue, queued);
}

/* ---- reports that were kept back */

void queue_notice_count(struct queue *queue, uint32_t n, struct span recipients) {
    uint8_t storage[NOTICE_BYTES];
    struct buf b = BUF_OVER(storage);
    uint64_t suppressed = queue->suppressed;
    if (!n || suppressed == queue->suppressed_told) return;
    struct message head = {
        .number = queue_draw_number(queue), .arrival_ms = clock_wall_ms(), .flags = MESSAGE_NOTICE};
    head.n_recipients = n, head.recipients = recipients, head.envelope.flags = ENVELOPE_BOUNCE;
    bounce_put_count(&b, queue->setup.hostname, &head, suppressed - queue->suppressed_told, QUEUE_REPORTS_HOUR_MAX);
    head.body_bytes = b.n;
    if (!buf_ok(&b) || queue_store_own(queue, &head, buf_span(&b), NULL) != 0) return;
    queue->suppressed_told = suppressed;
}

void queue_notice_ask_count(struct queue *queue) {
    uint8_t storage[32];
    struct buf b = BUF_OVER(storage);
    uint64_t now = clock_ms();
    if (queue->suppressed == queue->suppressed_told) return;
    if (queue->suppressed_told_ms && now - queue->suppressed_told_ms < HOUR_MS) return;
    wire_put_u64(&b, 0); /* of no message */
    wire_put_u8(&b, ROUTE_NOTICE);
    wire_put_span(&b, (struct span){0});
    if (queue_link_send(&queue->links[0], ROUTE_REQUEST, buf_span(&b), -1)) queue->suppressed_told_ms = now;
}
