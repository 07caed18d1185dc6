/* queue_change.c - retry, hold, release and remove, of one message or of many.
 * Runs in: queue. Trusts: the owner's uid and root. Never: changes what does not fit, answers before what it did is
 * durable. */
#include "store/clock.h"
#include "store/queue_walk.h"

#include <stdio.h>
#include <stdlib.h>

enum { GONE_AT_ONCE = 1024 };
#define MARKS_AT_ONCE ((size_t)1 << 20)

enum change_verb { CHANGE_RETRY = 0, CHANGE_HOLD, CHANGE_RELEASE, CHANGE_REMOVE, CHANGE_VERBS };
static const struct {
    const char *verb, *done; /* the name of the count in the answer */
} verbs[CHANGE_VERBS] = {
    {"queue retry", "retried"}, {"queue hold", "held"}, {"queue release", "released"}, {"queue remove", "removed"}};

struct change {
    struct queue_walk walk;
    enum change_verb verb;
    bool bounce;
    uint32_t uid;
    uint64_t done, active, left; /* changed; being delivered; not to be changed this way */
};

static struct control_row row;

static void log_removed(const struct change *change, uint64_t number, struct span sender) {
    struct log_line line;
    char name[MESSAGE_NAME_SIZE];
    message_name(number, name);
    log_open(&line, LOG_DROPPED);
    log_text(&line, KEY_MESSAGE, name);
    log_span(&line, KEY_FROM, sender);
    log_text(&line, KEY_WHY, "removed by command");
    log_number(&line, KEY_UID, change->uid);
    log_send(&line);
}

/* What is removed was chosen by an envelope that its MAC vouches for, if it was chosen by that at all. */
static bool really_meant(struct change *change, const struct queue_message *message, const struct message *head) {
    const struct queue_filter *filter = &change->walk.filter;
    return !queue_filter_wants_head(filter) || (head && queue_filter_fits_head(filter, message, head));
}

static void remove_one(struct change *change, struct queue_message *message) {
    struct queue *queue = change->walk.queue;
    struct message head;
    if (message->active) {
        change->active++;
        return;
    }
    bool resident = message->resident, readable = queue_load(queue, message);
    if (readable) queue_head(message, &head);
    bool meant = really_meant(change, message, readable ? &head : NULL);
    if (meant && !change->bounce) {
        log_removed(change, message->number, readable ? head.envelope.sender : (struct span){0});
        change->done++;
        queue_mark_gone(queue, message->number, false);
        queue_finish(queue, message);
        return;
    }
    uint64_t number = message->number;
    if (!resident) queue_unload(queue, message);
    if (!meant) return;
    if (queue_give_up(queue, message, SPAN("removed from the queue by the administrator"))) {
        log_removed(change, number, (struct span){0});
        change->done++;
    } else {
        change->left++;
    }
}

/* Where nothing is delivered now it is the next server that is to try at once. */
static bool retry_one(struct queue *queue, struct queue_message *message) {
    if (!queue_retry_now(queue, message)) return false;
    for (uint32_t i = 0; queue->setup.stand_alone && i < message->n_recipients; i++)
        if (message->recipients[i].state == RECIPIENT_WAITING) queue_mark(queue, message, i);
    return true;
}

static void change_one(struct change *change, struct queue_message *message) {
    struct queue *queue = change->walk.queue;
    bool active = message->active, done = false;
    if (change->verb == CHANGE_RETRY)
        done = retry_one(queue, message);
    else if (change->verb == CHANGE_HOLD)
        done = queue_hold(queue, message);
    else
        done = queue_hold_end(queue, message);
    if (done)
        change->done++;
    else if (active)
        change->active++;
    else
        change->left++;
}

static enum queue_step visit(struct queue_walk *walk, struct queue_message *message, const struct message *head) {
    struct change *change = (struct change *)walk;
    struct queue *queue = walk->queue;
    (void)head;
    if (change->verb != CHANGE_REMOVE)
        change_one(change, message);
    else
        remove_one(change, message);
    /* Neither many marks at once nor many files to remove at once. On a disk that takes none it ends here. */
    bool files = queue->n_gone > GONE_AT_ONCE && !queue_backup_runs(queue);
    if ((queue->marks.n > MARKS_AT_ONCE || files) && queue_marks_flush(queue) != 0) walk->at = NULL;
    return STEP_ON;
}

/* However far it came. */
static void log_change(struct queue_walk *walk) {
    const struct change *change = (struct change *)walk;
    struct log_line line;
    log_open(&line, LOG_QUEUE_CHANGED);
    log_text(&line, KEY_WHAT, verbs[change->verb].verb);
    log_number(&line, KEY_COUNT, change->done);
    log_number(&line, KEY_UID, change->uid);
    log_send(&line);
}

static enum queue_step end(struct queue_walk *walk) {
    struct change *change = (struct change *)walk;
    struct control_peer *peer = walk->peer;
    uint64_t seen = change->done + change->active + change->left;
    if (queue_marks_flush(walk->queue) != 0) {
        control_end(peer, CONTROL_FAILED, "what was done could not be written, and may come back");
    } else if (walk->filter.one && !seen) {
        control_end(peer, CONTROL_NOT_FOUND, "no such message");
    } else {
        control_row_open(&row);
        control_row_number(&row, verbs[change->verb].done, change->done);
        control_row_number(&row, "active", change->active);
        control_row_number(&row, "left", change->left);
        (void)control_row_send(&row, peer);
        bool busy = change->active && change->verb == CHANGE_REMOVE;
        bool none = walk->filter.one && !change->done;
        control_end(peer, busy || none ? CONTROL_FAILED : CONTROL_OK,
                    busy   ? "some are being delivered just now: try again"
                    : none ? "there was nothing to do for it: see queue show"
                           : "");
    }
    return STEP_OVER;
}

void queue_change_answer(struct queue *queue, struct control_peer *peer, const struct control_request *request) {
    char why[QUEUE_FILTER_WHY] = "which messages?";
    struct change *change = calloc(1, sizeof *change);
    if (!change) {
        control_end(peer, CONTROL_FAILED, "no memory");
        return;
    }
    while (strcmp(verbs[change->verb].verb, request->verb) != 0) change->verb++;
    change->bounce = control_given(request, "bounce");
    change->uid = control_uid(peer);
    if (!queue_filter_read(request, clock_wall_ms(), &change->walk.filter, why) ||
        !queue_filter_chooses(&change->walk.filter)) {
        free(change);
        control_end(peer, CONTROL_USAGE, why);
        return;
    }
    change->walk.visit = visit, change->walk.close = end, change->walk.release = log_change;
    queue_walk_begin(queue, peer, &change->walk);
}
