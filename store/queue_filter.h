/* queue_filter.h - which messages are meant: by sender, recipient, destination, age and state. */
#ifndef STORE_QUEUE_FILTER_H
#define STORE_QUEUE_FILTER_H

#include "store/queue_state.h"

enum { QUEUE_FILTER_TEXT = 512, QUEUE_FILTER_WHY = 160 };

/* What a message is doing, as people see it. */
enum queue_doing {
    QUEUE_ANY = 0,
    QUEUE_READY,     /* as soon as it has its turn */
    QUEUE_DEFERRED,  /* after an attempt, until the next one; or its destination is left alone */
    QUEUE_ACTIVE,    /* somebody delivers it */
    QUEUE_HELD,      /* by command, until released */
    QUEUE_REPORTING, /* all is done but a report */
    QUEUE_DOINGS
};

/* Text to compare an address or a name with; empty: nothing is asked. */
struct queue_pattern {
    uint16_t bytes;
    uint8_t octets[QUEUE_FILTER_TEXT];
};

/* All that is given must fit. */
struct queue_filter {
    struct queue_pattern from, to, destination;
    uint64_t not_after_ms, not_before_ms; /* arrival, wall clock */
    uint64_t number;                      /* of the one that is meant, with `one` */
    enum queue_doing doing;
    bool one, all; /* an id was given; --all was */
};

/* Reads the arguments id, all, from, to, destination, older-than, younger-than, state. False: `why_out` says what is
 * wrong. An id that no message can have is `one` with number 0. */
bool queue_filter_read(const struct control_request *request, uint64_t now_ms, struct queue_filter *out,
                       char why_out[QUEUE_FILTER_WHY]) MUST_USE;
/* Whether anything was said at all. */
bool queue_filter_chooses(const struct queue_filter *filter);
/* Whether the stored envelope is needed to know. */
bool queue_filter_wants_head(const struct queue_filter *filter);
/* What can be told without it, and what with it. */
bool queue_filter_fits(const struct queue_filter *filter, const struct queue_message *message);
bool queue_filter_fits_head(const struct queue_filter *filter, const struct queue_message *message,
                            const struct message *head);

/* Without regard to ASCII case: an address or a name as it is; "@domain" for all of that domain; "<>" for an empty
 * one; with * (any octets) or ? (one octet) a pattern for the whole of it. */
bool queue_text_fits(struct span wanted, struct span text);

enum queue_doing queue_doing(const struct queue_message *message);
const char *queue_doing_name(enum queue_doing doing);
/* "maildir", "capture", "smarthost" */
const char *queue_kind_name(uint8_t kind);
/* A destination's name; its kind where it has none. */
struct span queue_destination_name(const struct queue_destination *destination);

#endif
