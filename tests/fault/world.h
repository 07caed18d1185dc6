/* world.h - a queue and its Maildir agents in this process, with everybody around them played: auth, a session,
 * delivery, next hops. Time and random numbers are made up, so that every run is like the last. What is told to the
 * outside is noted in shared memory and outlives the process. */
#ifndef TESTS_FAULT_WORLD_H
#define TESTS_FAULT_WORLD_H

#include "tests/fault/tape.h"

enum { WORLD_MESSAGES = 64, WORLD_RECIPIENTS = 3, WORLD_LAST = WORLD_MESSAGES - 1, WORLD_LINES = 8 };

/* alice and bob have mailboxes; later's host says 450 until world.later_works, then she has one; never is refused. */
enum who { NOBODY = 0, ALICE, BOB, LATER, NEVER };
extern const char *const who_names[];

struct letter {
    enum who to[WORLD_RECIPIENTS];
    const char *sender; /* local part, which has a mailbox; "": null */
    uint32_t bytes;     /* of the body, about */
};
extern const struct letter letters[WORLD_MESSAGES];

/* The body that is submitted as letter `id`, with CRLF; the same with LF is in the Maildir. */
size_t letter_body(unsigned id, bool crlf, uint8_t *out, size_t cap);
enum { LETTER_MAX = 400000 };

/* What the outside knows; step: of the tape. */
struct told {
    bool whole;      /* its commit was sent */
    uint8_t outcome; /* enum body_outcome and 1; 0: not answered */
    uint32_t whole_step, told_step;
};

struct report {
    struct told told[WORLD_MESSAGES];
    uint64_t now_ms; /* goes on over lives */
    uint32_t life;
    /* of the last life */
    bool began, ended;         /* the queue came up; the script came to its end */
    uint32_t messages, marks;  /* at its end */
    uint32_t jobs;             /* handed out */
    uint32_t lines_of_trouble; /* that the operator can see, since the fault */
    uint32_t accepted;
    uint32_t n_lines;
    char lines[WORLD_LINES][160]; /* the last ones of trouble */
};

struct world {
    struct report *report;
    struct tape *tape;
    uint64_t segment_bytes;
    bool deliver, later_works;
};

/* Starts the queue. False: it will not. */
bool world_begin(struct world *world, int queue, int mail);
/* Opens the transaction and sends the first `bytes` of the body. */
void world_send(struct world *world, unsigned id, size_t bytes);
void world_commit(struct world *world, unsigned id);
void world_abort(struct world *world, unsigned id);
/* All of it, and the answer. */
void world_submit(struct world *world, unsigned id);
/* Rounds until nobody has anything to say. */
void world_turn(struct world *world);
/* Time passes, half a second at a time. */
void world_pass(struct world *world, unsigned ms);
/* Ends as a drained queue does not: nothing more is written. */
void world_end(struct world *world);
/* Until the queue is empty or a minute has passed. */
void world_drain(struct world *world);
/* A command line that copies the queue's files: begins, and ends. */
void world_backup(struct world *world, bool begin);

#endif
