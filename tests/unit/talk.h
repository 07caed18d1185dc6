/* talk.h - a conversation with the SMTP machine, for its tests. */
#ifndef TESTS_UNIT_TALK_H
#define TESTS_UNIT_TALK_H

#include "server/inbound/smtp.h"

enum { TALK_BYTES = 64 << 10 };

/* What auth and queue answer, and what they were asked. */
struct talk_world {
    bool gone, queue, keys;
    bool bound; /* TLS has something that logins can be bound to */
    bool header_from;
    enum reason mail, foreign, from;
    enum body_outcome outcome;
    enum auth_outcome auths[4];
    size_t n_auths, resets, failures, mail_questions, rcpt_questions, rcpts, aborts;
    uint32_t committed;
    char sasl[256];  /* what came, as text */
    char mails[256]; /* the same of MAIL */
    char froms[256]; /* and of From */
    struct buf body;
    uint8_t body_storage[4096];
};

extern struct talk_world talk_world;
extern struct session_setup talk_setup;
extern struct smtp talk_machine;
extern uint8_t talk_storage[TALK_BYTES]; /* the replies to the last line */
extern struct buf talk_out;

/* A new session, and everybody in good mood. */
void talk_start(uint8_t role, bool tls);

/* One line alone, recipients settled at once. */
enum smtp_next talk_say(const char *line);

/* Whether the replies begin so, and whether they hold this. */
bool talk_starts(const char *with);
bool talk_lists(const char *extension);

/* Octets of a body, and its end. */
void talk_body(const char *text);
enum smtp_next talk_end_body(void);

/* EHLO and MAIL, both accepted. */
void talk_open_mail(void);

#define EXPECT(line, reply)                                                                                          \
    do {                                                                                                             \
        enum smtp_next next_ = talk_say(line);                                                                       \
        cr_assert_eq(next_, SMTP_MORE, "%s", line);                                                                  \
        cr_assert(talk_starts(reply), "%s: %s", line, (char *)talk_storage);                                         \
    } while (0)

#endif
