/* queue_control.c - what the command line may ask of the queue.
 * Runs in: queue. Trusts: the owner's uid and root. Never: changes more than was named. */
#include "store/queue_state.h"

#include "store/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LIST_AT_ONCE = 500 };

static struct control_row row; /* too large for a stack */

/* What was given to choose messages by. */
struct filter {
    struct span sender, recipient, id;
    bool all;
};

static struct filter filter_of(const struct control_request *request) {
    return (struct filter){control_argument(request, "sender"), control_argument(request, "recipient"),
                           control_argument(request, "id"), control_given(request, "all")};
}

/* "@example.test" stands for all addresses of a domain. */
static bool address_fits(struct span wanted, struct span address) {
    if (!wanted.n || span_equal_nocase(wanted, address)) return true;
    if (span_equal(wanted, SPAN("<>"))) return address.n == 0;
    return wanted.p[0] == '@' && address.n >= wanted.n &&
           span_equal_nocase(wanted, span_from(address, address.n - wanted.n));
}

static bool recipient_fits(struct span wanted, const struct message *head) {
    struct wire w = wire_over(head->recipients);
    if (!wanted.n) return true;
    for (uint32_t i = 0; i < head->n_recipients; i++) {
        struct recipient recipient;
        recipient_get(&w, &recipient);
        if (address_fits(wanted, recipient.address) || address_fits(wanted, recipient.original)) return true;
    }
    return false;
}

static bool fits(const struct filter *filter, const struct message *head) {
    return address_fits(filter->sender, head->envelope.sender) && recipient_fits(filter->recipient, head);
}

/* Calls `act` for every message that was chosen, which is in memory while it runs and may end in it. One that the
 * disk does not give back has no head, and is chosen by its id or with all others. Returns how many. */
static uint64_t for_each(struct queue *queue, const struct filter *filter, uint64_t limit,
                         bool (*act)(struct queue *queue, struct queue_message *message, const struct message *head,
                                     void *context),
                         void *context) {
    uint64_t count = 0, number = 0;
    struct queue_message *message = queue->oldest;
    if (filter->id.n) message = message_number(filter->id, &number) ? queue_find(queue, number) : NULL;
    for (struct queue_message *next; message && count < limit; message = filter->id.n ? NULL : next) {
        struct message head;
        bool resident = message->resident, goes_on = true, readable = queue_load(queue, message);
        next = message->next;
        if (next) next->active++; /* what is done to this one may end others */
        if (readable) queue_head(message, &head);
        uint64_t at = message->number;
        if (readable ? fits(filter, &head) : !filter->sender.n && !filter->recipient.n) {
            count++;
            goes_on = act(queue, message, readable ? &head : NULL, context);
        }
        message = queue_find(queue, at);
        if (message && !resident) queue_unload(queue, message);
        if (next) queue_release(queue, next);
        if (!goes_on) break;
    }
    return count;
}

static const char *state_name(const struct queue_message *message) {
    bool waiting = false;
    if (message->active) return "active";
    for (uint16_t i = 0; i < message->n_parts; i++) {
        if (message->parts[i].state == PART_READY && !queue_part_next_ms(&message->parts[i])) return "ready";
        waiting |= message->parts[i].state == PART_WAITING || message->parts[i].state == PART_READY;
    }
    return waiting ? "waiting" : "reporting";
}

static uint64_t next_of(const struct queue_message *message) {
    uint64_t next = UINT64_MAX;
    for (uint16_t i = 0; i < message->n_parts; i++) {
        uint64_t at = queue_part_next_ms(&message->parts[i]);
        if (at && at < next) next = at;
    }
    return next == UINT64_MAX ? 0 : next;
}

static struct span sender_of(const struct message *head) {
    return head->envelope.sender.n ? head->envelope.sender : SPAN("<>");
}

static struct span first_recipient(const struct message *head) {
    struct wire w = wire_over(head->recipients);
    struct recipient recipient;
    recipient_get(&w, &recipient);
    return recipient.address;
}

/* `head` is NULL where the message cannot be read. */
static void put_message(const struct queue_message *message, const struct message *head) {
    char name[MESSAGE_NAME_SIZE];
    unsigned attempts = 0;
    message_name(message->number, name);
    for (uint16_t i = 0; i < message->n_parts; i++)
        if (message->parts[i].attempts > attempts) attempts = message->parts[i].attempts;
    control_row_open(&row);
    control_row_text(&row, "id", span_text(name));
    control_row_time(&row, "arrived", message->arrival_ms);
    control_row_number(&row, "bytes", message->body_bytes);
    control_row_text(&row, "state", span_text(head ? state_name(message) : "unreadable"));
    control_row_text(&row, "sender", head ? sender_of(head) : (struct span){0});
    control_row_text(&row, "recipient", head ? first_recipient(head) : (struct span){0});
    control_row_number(&row, "recipients", message->n_open);
    control_row_number(&row, "attempts", attempts);
    control_row_time(&row, "next", next_of(message));
}

/* A list as far as it has come. Other work goes on between two parts of it, so messages may come and go. */
struct listing {
    uint64_t last, left; /* number of the last message looked at, 0: none; rows that may still be sent */
    size_t sender_bytes, recipient_bytes;
    uint8_t octets[]; /* sender, recipient */
};

static struct queue_message *listing_next(struct queue *queue, const struct listing *listing) {
    if (!listing->last) return queue->oldest;
    struct queue_message *message = queue_find(queue, listing->last);
    if (message) return message->next;
    for (message = queue->oldest; message && message->number < listing->last;) message = message->next;
    return message;
}

static void list_more(void *context, struct control_peer *peer, void *state) {
    struct queue *queue = context;
    struct listing *listing = state;
    const struct filter filter = {.sender = span_of(listing->octets, listing->sender_bytes),
                                  .recipient =
                                      span_of(listing->octets + listing->sender_bytes, listing->recipient_bytes)};
    struct queue_message *message = listing_next(queue, listing);
    for (int i = 0; message && listing->left && i < LIST_AT_ONCE; i++, message = message->next) {
        struct message head;
        bool resident = message->resident, readable = queue_load(queue, message);
        listing->last = message->number;
        if (readable) queue_head(message, &head);
        bool chosen = readable ? fits(&filter, &head) : !filter.sender.n && !filter.recipient.n;
        if (chosen) put_message(message, readable ? &head : NULL), listing->left--;
        if (!resident) queue_unload(queue, message);
        if (chosen && !control_row_send(&row, peer)) return;
    }
    if (!message || !listing->left) control_end(peer, CONTROL_OK, message ? "there may be more" : "");
}

static bool list_one(struct queue *queue, struct queue_message *message, const struct message *head, void *context) {
    (void)queue;
    put_message(message, head);
    return control_row_send(&row, context);
}

static void answer_list(struct queue *queue, struct control_peer *peer, const struct control_request *request) {
    struct filter filter = filter_of(request);
    uint64_t limit = UINT64_MAX;
    struct span given = control_argument(request, "limit");
    if (given.n && !span_number(given, UINT32_MAX, &limit)) {
        control_end(peer, CONTROL_USAGE, "limit is not a number");
        return;
    }
    if (filter.id.n) {
        bool found = for_each(queue, &filter, 1, list_one, peer);
        control_end(peer, found ? CONTROL_OK : CONTROL_NOT_FOUND, found ? "" : "no such message");
        return;
    }
    struct listing *listing = malloc(sizeof *listing + filter.sender.n + filter.recipient.n);
    if (!listing) {
        control_end(peer, CONTROL_FAILED, "no memory");
        return;
    }
    *listing = (struct listing){0, limit, filter.sender.n, filter.recipient.n};
    if (filter.sender.n) memcpy(listing->octets, filter.sender.p, filter.sender.n);
    if (filter.recipient.n) memcpy(listing->octets + filter.sender.n, filter.recipient.p, filter.recipient.n);
    control_later(peer, list_more, listing);
}

static void put_recipient(const struct queue_message *message, uint32_t index, const struct recipient *recipient) {
    static const char *const states[RECIPIENT_STATES] = {"waiting", "delivered", "relayed", "failed", "done"};
    const struct queue_recipient *known = &message->recipients[index];
    const struct queue_part *part = &message->parts[known->part];
    const struct queue_note *note = known->note;
    if (!note && known->state == RECIPIENT_WAITING && part->destination->failures) note = part->destination->note;
    control_row_open(&row);
    control_row_text(&row, "recipient", recipient->address);
    control_row_text(&row, "original", recipient->original);
    control_row_text(&row, "destination", recipient->destination);
    control_row_text(
        &row, "state",
        span_text(known->state == RECIPIENT_WAITING && part->state == PART_ACTIVE ? "active" : states[known->state]));
    control_row_number(&row, "attempts", part->attempts);
    control_row_time(&row, "next", known->state == RECIPIENT_WAITING ? queue_part_next_ms(part) : 0);
    control_row_text(&row, "status", note ? span_text(note->status) : (struct span){0});
    control_row_text(&row, "why", queue_note_diagnostic(note));
    control_row_text(&row, "remote", queue_note_remote(note));
}

static bool show_one(struct queue *queue, struct queue_message *message, const struct message *head, void *context) {
    char client[NETADDR_TEXT_MAX];
    (void)queue;
    put_message(message, head);
    if (!head) return control_row_send(&row, context);
    struct wire w = wire_over(head->recipients);
    control_row_text(&row, "session", head->envelope.session_name);
    control_row_text(&row, "client", span_text(netaddr_text(&head->envelope.client, client)));
    control_row_text(&row, "helo", head->envelope.helo);
    control_row_text(&row, "login", head->envelope.principal);
    if (!control_row_send(&row, context)) return false;
    for (uint32_t i = 0; i < head->n_recipients; i++) {
        struct recipient recipient;
        recipient_get(&w, &recipient);
        put_recipient(message, i, &recipient);
        if (!control_row_send(&row, context)) return false;
    }
    return true;
}

static void answer_show(struct queue *queue, struct control_peer *peer, const struct control_request *request) {
    struct filter filter = {.id = control_argument(request, "id")};
    if (!filter.id.n)
        control_end(peer, CONTROL_USAGE, "which message?");
    else if (!for_each(queue, &filter, 1, show_one, peer))
        control_end(peer, CONTROL_NOT_FOUND, "no such message");
    else
        control_end(peer, CONTROL_OK, "");
}

static bool retry_one(struct queue *queue, struct queue_message *message, const struct message *head, void *context) {
    (void)head;
    (void)context;
    queue_retry_now(queue, message);
    return true;
}

/* A message that an agent has is left alone: what it does cannot be taken back. */
static bool remove_one(struct queue *queue, struct queue_message *message, const struct message *head,
                       void *context) {
    uint64_t *busy = context;
    char name[MESSAGE_NAME_SIZE];
    struct log_line line;
    if (message->active) {
        ++*busy;
        return true;
    }
    message_name(message->number, name);
    log_open(&line, LOG_DROPPED);
    log_text(&line, KEY_MESSAGE, name);
    if (head) log_span(&line, KEY_FROM, head->envelope.sender);
    log_text(&line, KEY_WHY, "removed by command");
    log_send(&line);
    queue_mark_gone(queue, message->number);
    queue_finish(queue, message);
    return true;
}

static void answer_chosen(struct queue *queue, struct control_peer *peer, const struct control_request *request,
                          bool remove) {
    struct filter filter = filter_of(request);
    uint64_t busy = 0;
    if (!filter.all && !filter.id.n && !filter.sender.n && !filter.recipient.n) {
        control_end(peer, CONTROL_USAGE, "which messages?");
        return;
    }
    uint64_t count = for_each(queue, &filter, UINT64_MAX, remove ? remove_one : retry_one, &busy);
    if (remove && queue_marks_flush(queue) != 0) {
        control_end(peer, CONTROL_FAILED, "the removal could not be written");
        return;
    }
    if (filter.id.n && !count) {
        control_end(peer, CONTROL_NOT_FOUND, "no such message");
        return;
    }
    control_row_open(&row);
    control_row_number(&row, remove ? "removed" : "retried", count - busy);
    if (busy) control_row_number(&row, "being delivered", busy);
    (void)control_row_send(&row, peer);
    control_end(peer, busy ? CONTROL_FAILED : CONTROL_OK, busy ? "some are being delivered just now: try again" : "");
}

static void answer_status(struct queue *queue, struct control_peer *peer) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < queue->journal.n; i++) bytes += queue->journal.segments[i].bytes;
    control_row_open(&row);
    control_row_number(&row, "messages", queue->n_messages);
    control_row_number(&row, "bytes", queue->queued_bytes);
    control_row_time(&row, "oldest", queue->oldest ? queue->oldest->arrival_ms : 0);
    control_row_number(&row, "accepted", queue->accepted);
    control_row_number(&row, "delivered", queue->delivered);
    control_row_number(&row, "failed", queue->failed);
    control_row_number(&row, "deferred", queue->deferrals);
    control_row_number(&row, "reports not sent", queue->suppressed);
    control_row_number(&row, "sessions", queue->n_sessions);
    control_row_number(&row, "agents", queue->n_agents);
    control_row_number(&row, "log segments", queue->journal.n);
    control_row_number(&row, "log bytes", bytes);
    control_row_bool(&row, "accepting", !queue->full && !queue->stopped);
    (void)control_row_send(&row, peer);
    control_end(peer, CONTROL_OK, "");
}

bool queue_backup_runs(const struct queue *queue) {
    return queue->control.copier;
}

/* The command line copies our directory until it closes its connection. A line for each segment says how far it is
 * to be copied: so far all of it is durable, and what is appended from now on is not wanted in part. */
static void answer_backup(struct queue *queue, struct control_peer *peer) {
    if (queue_backup_runs(queue)) {
        control_end(peer, CONTROL_REFUSED, "another backup is being made");
        return;
    }
    if (queue_marks_flush(queue) != 0) {
        control_end(peer, CONTROL_FAILED, "the queue's log could not be written");
        return;
    }
    for (size_t i = 0; i < queue->journal.n; i++) {
        const struct journal_segment *segment = &queue->journal.segments[i];
        bool current = queue->journal.fd >= 0 && i + 1 == queue->journal.n;
        char name[JOURNAL_NAME_MAX], line[JOURNAL_NAME_MAX + 32];
        journal_name(segment->number, name);
        (void)snprintf(line, sizeof line, "%s %llu\n", name,
                       (unsigned long long)(current ? queue->journal.offset : segment->bytes));
        control_row_open(&row);
        control_row_line(&row, span_text(line));
        if (!control_row_send(&row, peer)) return;
    }
    queue->control.copier = peer;
    queue->copied_since_ms = clock_ms();
    control_end(peer, CONTROL_OK, "");
}

static void handle(void *context, struct control_peer *peer, const struct control_request *request) {
    struct queue *queue = context;
    if (strcmp(request->verb, "queue list") == 0)
        answer_list(queue, peer, request);
    else if (strcmp(request->verb, "queue show") == 0)
        answer_show(queue, peer, request);
    else if (strcmp(request->verb, "queue retry") == 0)
        answer_chosen(queue, peer, request, false);
    else if (strcmp(request->verb, "queue remove") == 0)
        answer_chosen(queue, peer, request, true);
    else if (strcmp(request->verb, "queue export") == 0)
        queue_export_answer(queue, peer, request);
    else if (strcmp(request->verb, "queue backup") == 0)
        answer_backup(queue, peer);
    else if (strcmp(request->verb, "queue status") == 0)
        answer_status(queue, peer);
    else
        control_end(peer, CONTROL_USAGE, "the queue does not know this command");
}

int queue_control_open(struct queue *queue) {
    queue->control = (struct control_server){
        .loop = &queue->loop, .owner_uid = getuid(), .handle = handle, .gone = queue_export_gone, .context = queue};
    int fd = role_descriptor(queue->start, DESCRIPTOR_CONTROL, 0);
    if (fd >= 0 && control_serve(&queue->control, fd) != 0) {
        log_fault("the control socket cannot be served", errno);
        return -1;
    }
    fd = role_channel(queue->start, ROLE_COMMAND, 0);
    if (queue->setup.stand_alone && fd >= 0 && control_serve_peer(&queue->control, fd) != 0) {
        log_fault("the command line cannot be served", errno);
        return -1;
    }
    return 0;
}
