/* queue_report.h - who is told of what became of a message, and what auth wants the postmaster to be told. For the
 * files of the queue program. */
#ifndef STORE_QUEUE_REPORT_H
#define STORE_QUEUE_REPORT_H

#include "store/frame.h"
#include "store/frames.h"

struct queue;
struct queue_message;

/* ---- queue_report.c: who is told, and whether */
void queue_report_consider(struct queue *queue, struct queue_message *message);
void queue_report_due(struct queue *queue, struct queue_message *message);
void queue_route_result(struct queue *queue, struct frame *frame);
void queue_route_again(struct queue *queue);
/* Now and then: senders whose mail waits for long, and the postmaster for reports that were not sent. */
void queue_report_sweep(struct queue *queue);

/* ---- queue_notice.c: auth's notices, one at a time */
struct queue_notice {
    bool open;       /* the way to the postmaster is being asked for */
    uint64_t number; /* auth's */
    uint8_t kind;    /* enum notice_kind */
    size_t about_n, why_n;
    uint8_t about[NOTICE_ABOUT_MAX], why[NOTICE_WHY_MAX];
};
#define QUEUE_NOTICE_ROUTE UINT64_MAX /* in place of a message's number: none is so high */
/* Handler of NOTICE_WANTED: 0, or -1 when it does not parse. */
int queue_notice_wanted(struct queue *queue, struct frame *frame) MUST_USE;
/* The answer to its question for the way: n recipients, or (not `ok`) none just now. */
void queue_notice_routed(struct queue *queue, bool ok, uint32_t n, struct span recipients);

/* How many reports were kept back: at once when it begins, then once an hour. The question, and its answer. */
enum { QUEUE_REPORTS_HOUR_MAX = 20 }; /* to one domain, and to the postmaster */
void queue_notice_ask_count(struct queue *queue);
void queue_notice_count(struct queue *queue, uint32_t n, struct span recipients);

#endif
