/* mailbox_session.h - delivery as a process, with the test in the place of auth, queue and POP3 sessions. */
#ifndef TESTS_UNIT_MAILBOX_SESSION_H
#define TESTS_UNIT_MAILBOX_SESSION_H

#include "store/mailbox.h"
#include "tests/unit/driver.h"
#include "tests/unit/scratch.h"

enum { SESSION_IDS_MAX = 64 };

struct mailbox_world {
    struct driver driver;
    int auth, queue; /* our ends */
    bool kills;      /* the test kills agents: they do not all end well */
    char root[SCRATCH_BYTES];
};

/* Delivery with at most so many mailbox agents, under their own filter of system calls. */
void mailbox_world_start(struct mailbox_world *world, uint32_t mailboxes_max);
/* Ends it, expecting that it ends well, and removes the mail. */
void mailbox_world_stop(struct mailbox_world *world);

/* A session of this user's: its channel, *opened_out as the agent's first frame says. */
struct mailbox_opened {
    enum mailbox_answer answer;
    uint32_t messages;
    uint64_t bytes;
};
int mailbox_session(const struct mailbox_world *world, const char *user, struct mailbox_opened *opened_out);

/* The same without waiting for the first frame; false where that did not come. */
int mailbox_session_begin(const struct mailbox_world *world, const char *user);
bool mailbox_session_opened(int session, struct mailbox_opened *out);

/* Entries from `first`, as many as came; ids are NUL-terminated. -1: the agent is gone. */
struct mailbox_session_entry {
    uint64_t bytes;
    char id[MAILBOX_UNIQUE_ID_MAX + 1];
};
int mailbox_session_list(int session, uint32_t first, uint16_t most,
                         struct mailbox_session_entry out[SESSION_IDS_MAX]);

/* The text, at most `room` octets of it; -1 when it cannot be read, -2 when the agent is gone. */
ssize_t mailbox_session_read(int session, uint32_t index, uint32_t lines, uint8_t *out, size_t room);

/* Sends the marks and MAILBOX_QUIT. False: the agent was gone. */
bool mailbox_session_quit(int session, uint64_t marks);
/* Its answer. */
bool mailbox_session_done(int session, uint32_t *removed_out, uint32_t *failed_out);

/* Sends a frame as it is. */
void mailbox_session_say(int session, uint16_t type, const void *p, size_t n);

/* Whether the agent ends the channel without a word more. */
bool mailbox_session_ended(int session);

/* Kills every agent. */
void mailbox_kill_agents(struct mailbox_world *world);

/* A file in the user's Maildir, "new/1.a" for instance. */
void mailbox_put(const struct mailbox_world *world, const char *user, const char *path, struct span octets);

#endif
