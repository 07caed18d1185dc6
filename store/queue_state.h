/* queue_state.h - what the files of the queue program share: messages in memory, destinations and agents,
 * transactions and sessions, and the one state that holds them. */
#ifndef STORE_QUEUE_STATE_H
#define STORE_QUEUE_STATE_H

#include "store/control.h"
#include "store/journal.h"
#include "store/log.h"
#include "store/loop.h"
#include "store/message.h"
#include "store/queue_lane.h"
#include "store/queue_report.h"
#include "store/queue_timer.h"
#include "store/role.h"

enum { QUEUE_WINDOW = 32, QUEUE_JOB_RECIPIENTS = 100, QUEUE_HASH = 4096, QUEUE_LINKS = 3, QUEUE_DOMAINS = 256 };
enum { QUEUE_WORKED = 4096 };
enum {
    QUEUE_INLINE_BYTES = 256 << 10,
    QUEUE_RESIDENT_BYTES = 64 << 20,
    QUEUE_AGENT_IDLE_MS = 5000,
    QUEUE_MARK_MS = 300,
    QUEUE_ROUTE_BYTES = 256 << 10 /* the ends of one address: auth's limit is 100 of them */
};

enum queue_timer_kind { TIMER_NONE = 0, TIMER_PART, TIMER_DESTINATION, TIMER_AGENT, TIMER_REPORT };

/* What was said last of a recipient or a destination; shared where it is the same. */
struct queue_note {
    uint32_t references;
    uint16_t diagnostic_bytes, remote_bytes;
    char status[MARK_STATUS_MAX + 1];
    uint8_t octets[]; /* diagnostic, remote */
};

/* What is being routed of a message. */
enum { REPORT_NONE = 0, REPORT_BOUNCE, REPORT_NOTICE, REPORT_DELAY };

enum part_state { PART_WAITING = 0, PART_READY, PART_ACTIVE, PART_DONE };

/* The recipients of one message that share a destination: what an agent gets at once. */
struct queue_part {
    struct queue_timer timer; /* while it waits */
    struct queue_message *message;
    struct queue_destination *destination;
    struct queue_part *next, *previous; /* of its lane, while it is ready */
    struct queue_lane *lane;
    uint64_t next_ms; /* wall clock */
    uint16_t attempts;
    uint8_t state, again;
};

struct queue_recipient {
    struct queue_note *note;
    uint16_t part;
    uint8_t state; /* enum recipient_state */
    uint8_t notify;
    uint8_t in_job, in_report;
};

enum queue_hold { HOLD_NEVER = 0, HOLD_HELD, HOLD_RELEASED };

/* A message that is not done. Envelope and body lie in the log or in a file; `resident` holds them while they are
 * used. */
struct queue_message {
    struct queue_message *hash_next, *next, *previous; /* by age */
    struct queue_timer report;                         /* while a report is being routed or must be tried again */
    uint64_t number, arrival_ms, body_bytes;
    struct record_place place; /* RECORD_FILE: deferred/ */
    uint64_t marks_from;       /* the oldest segment with marks of it since its states were written whole; 0: none */
    uint32_t payload_bytes, body_at, n_recipients, n_open;
    uint16_t n_parts, active;
    uint8_t flags, envelope_flags, reporting, has_file; /* one in deferred/, maybe, whatever its place is */
    bool delay_told;                                    /* its sender knows that it waits, or is not to */
    bool unreadable;                                    /* when it was last wanted; this was logged */
    uint8_t hold;        /* enum queue_hold: while held nothing is tried, nothing expires, no sender is warned */
    uint32_t sender_key; /* of its lanes */
    uint8_t *resident;
    struct queue_part *parts;
    struct queue_recipient recipients[];
};

/* `last_part`: the index of its part in the message that was made last with one of it. */
struct queue_destination {
    struct queue_timer timer; /* while it is left alone after a failure */
    struct queue_destination *hash_next, *next_wanting;
    struct queue_lane *rings[2]; /* whose turn it is: of what is new, of what is tried again; NULL: empty */
    struct queue_lane spare;     /* the first lane; and for everybody when there is no memory */
    uint32_t n_ready, turn;
    uint64_t wanted; /* its place among those that want an agent */
    struct queue_agent *agent;
    struct queue_note *note;
    uint32_t parts; /* that refer to it */
    uint16_t failures, last_part;
    uint8_t kind, wanting;
    uint8_t worked; /* it has taken mail, and has not failed since */
    uint16_t bytes;
    uint8_t octets[];
};

struct queue_job {
    uint64_t number; /* 0: free */
    struct queue_part *part;
    bool sending; /* its text is on its way */
};

struct queue_agent {
    struct queue *queue;
    struct queue_timer timer; /* idle; or asked for and not there */
    struct queue_agent *next;
    struct queue_destination *destination;
    struct loop_watch watch; /* fd -1: asked for */
    struct frame_backlog backlog;
    uint32_t number;
    unsigned n_jobs, turn_jobs; /* in hand; handed out in this turn */
    uint64_t turn_ms, heard_ms; /* when its turn began; when it last brought something forward */
    bool hungry;                /* it may be filled as soon as the round has time */
    bool failed;                /* a result said that the destination cannot be reached */
    bool polling_out;
    struct queue_job jobs[QUEUE_WINDOW];
};

/* A channel to another process: auth, delivery, outbound. */
struct queue_link {
    struct queue *queue;
    struct loop_watch watch;
    struct frame_backlog backlog;
    uint8_t role;
    bool polling_out;
};

struct queue_session {
    struct queue *queue;
    struct queue_session *hash_next;
    uint64_t number;
    struct loop_watch watch;
    struct frame_backlog backlog;
    struct queue_transaction *transactions;
    unsigned strays; /* commits of what is not its to commit */
    bool dropped;    /* to be freed at the end of the round */
    struct queue_session *next_dropped;
};

struct queue_transaction {
    struct queue_transaction *hash_next, *session_next, *next_commit;
    struct queue_session *session;
    uint8_t name[TRANSACTION_BYTES];
    uint64_t session_number;
    uint8_t *head; /* encoded envelope, then `envelope` has views of it */
    struct envelope envelope;
    uint8_t *recipients;
    size_t recipients_bytes, recipients_cap;
    uint32_t n_recipients, n_indexes, last_index;
    uint32_t *places, places_cap; /* where each lies in `recipients`, and 1; by hash */
    uint8_t *body;                /* while in memory */
    size_t body_cap;
    uint64_t bytes;       /* of the body so far */
    int fd;               /* its own file */
    uint64_t number;      /* of the message; 0: not drawn */
    uint32_t trace_bytes; /* in its own file, before the body */
    uint32_t commit_recipients;
    uint8_t failed; /* enum body_outcome and 1; 0: sound */
    bool committing;
    struct queue_message *message; /* while its batch is being written */
    bool closed_told;              /* auth knows of its end */
};

struct queue_domain { /* of senders without a principal: how many bounces this hour */
    uint64_t hour;
    uint32_t sent;
};

struct queue {
    struct role_start *start;
    struct queue_setup setup;
    struct loop loop;
    struct loop_watch master;
    bool draining;
    uint64_t draining_since_ms;
    int directory, bodies, deferred, lock;
    struct journal journal;
    /* messages */
    struct queue_message **messages, *oldest, *newest;
    size_t messages_cap, n_messages, resident_bytes;
    uint64_t last_number, queued_bytes;
    uint64_t marked_nowhere; /* messages whose oldest marks are in no segment that there is */
    /* How far walks over all messages have come; a round takes a part of one. NULL: over, or not begun. */
    struct queue_walks {
        struct queue_message *sweep, *route, *drop;
        struct queue_message *move; /* those before it do not lie in the log */
        uint64_t dropping;          /* the segment that `drop` is for */
    } walks;
    /* marks that are not on disk yet, and what may go once they are */
    struct buf marks;
    uint64_t marks_since_ms;
    struct queue_gone {
        uint64_t number;
        uint8_t own_file, deferred;
    } * gone;
    size_t n_gone, gone_cap;
    uint8_t dirty_deferred[256 / 8]; /* directories with a change that is not synced */
    /* schedule */
    struct queue_timers timers;
    struct queue_destination *destinations[QUEUE_HASH];
    struct queue_wanting {
        struct queue_destination *first, *last;
    } wanting[QUEUE_LINKS][STANDING_KINDS];
    uint64_t last_wanted;
    bool crowded[QUEUE_LINKS];     /* somebody wants an agent and there is no place */
    bool hungry;                   /* an agent is */
    uint64_t load_ms;              /* what reading messages has taken of this round */
    uint64_t worked[QUEUE_WORKED]; /* names of destinations that worked and are not in memory, by hash */
    struct queue_lane **lanes;
    size_t lanes_cap, n_lanes;
    uint32_t lane_seed;
    struct queue_agent *agents;
    unsigned n_agents;
    uint32_t last_agent;
    uint64_t last_job;
    /* sessions and transactions */
    struct queue_link links[QUEUE_LINKS]; /* auth, delivery, outbound */
    struct queue_transaction *transactions[QUEUE_HASH], *first_commit, **last_commit;
    struct queue_session *sessions[QUEUE_HASH], *dropped;
    size_t n_sessions, n_transactions, in_flight;
    struct { /* ends of transactions that auth is told of together */
        struct frame_bundle bundle;
        uint8_t storage[4096];
    } closed;
    /* space */
    uint64_t space_checked_ms, probe_ms;
    bool full, stopped, space_told;
    /* reports */
    struct { /* an answer of auth's that comes in several frames */
        bool open;
        uint64_t request;
        uint32_t n;
        struct buf recipients;
        uint8_t storage[QUEUE_ROUTE_BYTES];
    } route;
    struct queue_domain domains[QUEUE_DOMAINS];
    struct queue_notice notice;
    uint64_t suppressed; /* reports that were not sent, since start: `queue status` has it */
    /* How many of them the postmaster knows of, and since when; 0: never. */
    uint64_t suppressed_told, suppressed_told_ms;
    uint64_t swept_ms;
    /* maintenance */
    uint64_t maintain_ms;          /* when it is time again */
    struct control_server control; /* nothing is removed as long as its copier is there */
    uint64_t copied_since_ms;
    struct queue_walk *answers;                                  /* answers that go through the messages */
    uint64_t accepted, delivered, failed, deferrals, longest_ms; /* since start; of a round */
};

/* ---- queue_index.c: messages in memory */
struct queue_message *queue_find(struct queue *queue, uint64_t number);
/* Makes a message; it is not filed yet. NULL when there is no memory or the recipients do not parse. */
struct queue_message *queue_message_new(struct queue *queue, const struct message *message, struct record_place place,
                                        size_t payload_bytes, size_t body_at);
/* Files it; -1 when there is no memory. */
int queue_file(struct queue *queue, struct queue_message *message) MUST_USE;
/* Takes it out (where it was filed) and frees it; its place in the log's account goes too. */
void queue_forget(struct queue *queue, struct queue_message *message);
/* Sees to it that envelope and body are in memory; false when the disk does not give them (logged once). */
bool queue_load(struct queue *queue, struct queue_message *message) MUST_USE;
/* What fits of a body that has its own file; false when it cannot be read (logged). */
bool queue_read_own(struct queue *queue, const struct queue_message *message, struct buf *out) MUST_USE;
void queue_unload(struct queue *queue, struct queue_message *message);
/* Views into the resident message; queue_load before. */
void queue_head(const struct queue_message *message, struct message *out);
struct span queue_body(const struct queue_message *message);
struct queue_note *queue_note_new(struct span status, struct span diagnostic, struct span remote);
void queue_note_set(struct queue_note **place, struct queue_note *note);
static inline struct span queue_note_diagnostic(const struct queue_note *note) {
    return note ? span_of(note->octets, note->diagnostic_bytes) : (struct span){0};
}
static inline struct span queue_note_remote(const struct queue_note *note) {
    return note ? span_of(note->octets + note->diagnostic_bytes, note->remote_bytes) : (struct span){0};
}
uint64_t queue_draw_number(struct queue *queue);

/* ---- queue_store.c: what goes to the disk, and when */
int queue_store_open(struct queue *queue) MUST_USE;
/* Reads everything back and begins a segment. */
int queue_recover(struct queue *queue) MUST_USE;
/* The oldest segment that has marks of the message; 0: none. */
void queue_marks_from(struct queue *queue, struct queue_message *message, uint64_t segment);
/* A recipient's state, as it is, with views of its note; and notes it for the next flush. */
struct mark queue_mark_of(const struct queue_message *message, uint32_t index);
void queue_mark(struct queue *queue, struct queue_message *message, uint32_t index);
void queue_mark_whole(struct queue *queue, struct queue_message *message);
void queue_mark_gone(struct queue *queue, uint64_t number, bool own_file); /* its body's file goes with it */
/* All recipients are done: the message goes, its files once the marks are durable. */
void queue_finish(struct queue *queue, struct queue_message *message);
/* Adds the marks that wait to the journal's batch. False: it is full or cannot be had. */
bool queue_marks_add(struct queue *queue) MUST_USE;
/* After a flush: the marks are durable, or wait again. */
void queue_marks_flushed(struct queue *queue, bool durable);
/* Removes the files of messages whose end is durable; not while a backup is made. Only with no mark waiting. */
void queue_gone_remove(struct queue *queue);
/* Writes marks that wait, now, behind the lines that tell of them. */
int queue_marks_flush(struct queue *queue);
/* Writes a report: durable and filed on return, with marks of those of `about` that are in_report (NULL: none). */
int queue_store_own(struct queue *queue, struct message *head, struct span body,
                    struct queue_message *about) MUST_USE;
/* Moves what keeps old segments alive, drops those that are done. */
void queue_maintain(struct queue *queue);
/* Whether a walk is under way, so that the next round should come soon. */
bool queue_walks(const struct queue *queue);
/* Names below deferred/. */
enum { DEFERRED_NAME_MAX = 32 };
void queue_deferred_name(uint64_t number, char name_out[DEFERRED_NAME_MAX]);
/* Something may have changed in the directory of the name "ab/...": it is synced before a segment goes. */
void queue_deferred_dirty(struct queue *queue, const char *name);
struct span queue_deferred_part(struct span payload, struct span *marks_out);
/* Free space, at most once a second; tells auth. */
void queue_space_check(struct queue *queue, bool now);

/* ---- queue_schedule.c: when which part goes where */
struct queue_destination *queue_destination(struct queue *queue, uint8_t kind, struct span name);
void queue_destination_release(struct queue *queue, struct queue_destination *destination);
/* When it is tried next, in wall clock milliseconds; 0: as soon as there is an agent, or it is not waiting. What is
 * due waits as long as its destination is left alone. */
uint64_t queue_part_next_ms(const struct queue_part *part);
void queue_part_unschedule(struct queue *queue, struct queue_part *part);
void queue_schedule_message(struct queue *queue, struct queue_message *message);
/* Calls timers that are due, asks for agents, hands out jobs. Returns how long the loop may wait, in ms. */
int queue_schedule_run(struct queue *queue);
/* Leaves it alone for a while, for a note as long as a message would be. */
void queue_destination_failed(struct queue *queue, struct queue_destination *destination, struct queue_note *note);
void queue_destination_worked(struct queue *queue, struct queue_destination *destination);
/* Leaves it alone for a moment: a trouble of our own. */
void queue_destination_pause(struct queue *queue, struct queue_destination *destination);
/* Parts that are ready have no time of their own at which they would be given up: where the destination has failed
 * and the message is too old, that is now. The message may end. */
void queue_expire_ready(struct queue *queue, struct queue_message *message);
/* A job of the part ended: recipients that have not been answered are deferred. */
void queue_part_ended(struct queue *queue, struct queue_part *part);
void queue_recipient_failed(struct queue *queue, struct queue_message *message, uint32_t index,
                            struct queue_note *note);
/* False when nothing of it could be tried now: it is held, being delivered, or only a report is missing. */
bool queue_retry_now(struct queue *queue, struct queue_message *message);
/* False when there is nothing to hold, or to release. What an agent has is not taken back. */
bool queue_hold(struct queue *queue, struct queue_message *message);
bool queue_hold_end(struct queue *queue, struct queue_message *message);
/* Gives up who still waits, as if it had expired: reports go their way. False when nobody waits, or an agent has
 * it. */
bool queue_give_up(struct queue *queue, struct queue_message *message, struct span why);
/* Undoes `active++` of somebody who kept the message from ending; if it should have ended meanwhile, it soon does. */
void queue_release(struct queue *queue, struct queue_message *message);

/* ---- queue_agent.c: channels to delivery, outbound and agents */
bool queue_agent_ask(struct queue *queue, struct queue_destination *destination);
void queue_agents_lost(struct queue *queue, uint8_t role);
void queue_agent_drop(struct queue *queue, struct queue_agent *agent);
/* It fails: what it had waits again. */
void queue_agent_lose(struct queue *queue, struct queue_agent *agent);
void queue_delivery_frame(struct queue *queue, struct queue_link *link, struct frame *frame);
/* One line; the message is active, and may be loaded for it. */
void queue_log_result(struct queue *queue, enum log_event event, struct queue_message *message, uint32_t index,
                      const struct queue_note *note);

/* ---- queue_feed.c: what waits goes to agents */
/* It is given what there is for it, together with what else comes in this round. */
void queue_agent_hungry(struct queue *queue, struct queue_agent *agent);
/* Fills the hungry, as far as the round has time. */
void queue_agents_feed(struct queue *queue);

/* ---- queue_job.c: what an agent is told */
/* The body of JOB_OPEN: the recipients of the part that wait, share the sender of the first of them, and fit; they
 * are in the job from now on. The message is loaded. False: there are none. */
bool queue_job_put(struct buf *b, const struct queue_job *job) MUST_USE;

/* ---- queue_transaction.c: auth's frames */
void queue_auth_frame(struct queue *queue, struct frame *frame);
struct queue_transaction *queue_transaction_find(struct queue *queue, const uint8_t name[TRANSACTION_BYTES]);
/* The session whose number auth gave, once both are known. */
void queue_transaction_attach(struct queue_transaction *transaction, struct queue_session *session);
/* Forgets the octets so far; a file of its own is removed unless a message has taken it over. */
void queue_body_drop(struct queue *queue, struct queue_transaction *transaction);
void queue_transaction_free(struct queue *queue, struct queue_transaction *transaction);

/* ---- queue_recipients.c: the recipients of a transaction */
/* Recipients of one RCPT command; those that are there already (the same mailbox, or the same address elsewhere, with
 * the same reports asked for) are not kept again, but the command counts. Their octets parse. False: too many. */
bool queue_recipients_add(struct queue_transaction *transaction, uint32_t index, struct span recipients) MUST_USE;
void queue_recipients_free(struct queue_transaction *transaction);

/* ---- queue_session.c: the sessions' frames */
void queue_session_ready(void *context, uint32_t events);
void queue_auth_lost(struct queue *queue);
void queue_sessions_sweep(struct queue *queue);
/* Auth hears of the end of a transaction no later than its session: with queue_closed_flush, of many at once.
 * queue_session_closed_name: that there is none of this name (any more). */
void queue_session_closed(struct queue *queue, struct queue_transaction *transaction, bool committed);
void queue_session_closed_name(struct queue *queue, const uint8_t name[TRANSACTION_BYTES]);
void queue_closed_flush(struct queue *queue);
void queue_session_answer(struct queue *queue, struct queue_transaction *transaction, enum body_outcome outcome,
                          uint64_t number);

/* ---- queue_commit.c: the batch of a round */
void queue_commit_round(struct queue *queue);

/* ---- queue_control.c: the command line */
bool queue_backup_runs(const struct queue *queue); /* somebody copies our files */
int queue_control_open(struct queue *queue) MUST_USE;

/* ---- queue.c */
/* The process's one queue, recovered and ready for rounds; NULL when it cannot be had (logged). */
struct queue *queue_begin(struct role_start *start);
/* Timers that are due, frames that are there, the batch, marks, maintenance. Waits at most this long for a frame. */
void queue_round(struct queue *queue, int most_ms);
bool queue_link_send(struct queue_link *link, uint16_t type, struct span body, int passed);
void queue_auth_drain(struct queue *queue); /* reads what auth has sent so far */
struct queue_link *queue_link_for(struct queue *queue, uint8_t destination_kind);

#endif
