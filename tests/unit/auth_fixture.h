/* auth_fixture.h - the auth process with the test as listener, session, queue, keys, verifier and command line. */
#ifndef TESTS_UNIT_AUTH_FIXTURE_H
#define TESTS_UNIT_AUTH_FIXTURE_H

#include "auth/auth_setup.h"
#include "auth/reason.h"
#include "auth/relay.h"
#include "store/control.h"
#include "tests/unit/driver.h"

struct auth_fixture {
    struct auth_setup setup;
    struct driver driver;
    int listener, queue, keys, verifier; /* our ends */
};

/* A temporary directory becomes the working directory; a setup with example.test, other.test, backup.test (relay),
 * capture. */
void auth_fixture_setup(struct auth_fixture *fixture);
/* Starts auth on it. */
void auth_fixture_start(struct auth_fixture *fixture);
void auth_fixture_stop(struct auth_fixture *fixture);

/* Runs one verb in a stand-alone auth: name, value pairs, NULL at the end. Returns the exit code; *text_out collects
 * the lines and texts of the rows and the message, each followed by a line end. */
int auth_fixture_command(struct auth_fixture *fixture, struct buf *text_out, const char *verb, ...);

/* The same of the auth that runs, over its control socket. */
int auth_fixture_ask(struct buf *text_out, const char *verb, ...);

/* A hash of "secret-word" that costs little. */
const char *auth_fixture_hash(void);

/* A session's channel of this pid, whose client the listener named; and that it was welcomed. */
int auth_fixture_client(struct auth_fixture *fixture, pid_t pid, enum relay_role role, const char *client);
int auth_fixture_session(struct auth_fixture *fixture, pid_t pid, enum relay_role role, const char *client);

/* The channel of one who came by the local socket with this uid. */
int auth_fixture_local(struct auth_fixture *fixture, pid_t pid, uint32_t uid);

/* A listed proxy's child: it is to announce the client itself. */
int auth_fixture_child(struct auth_fixture *fixture, pid_t pid);

void auth_fixture_announce(int session, enum relay_role role, const char *client);
/* The reason of SESSION_WELCOME; *stranger_out: what it says of a stranger's foreign recipients. */
unsigned auth_fixture_welcome(int session, unsigned *stranger_out);
unsigned auth_fixture_welcomed(int session);

struct auth_mail {
    unsigned reason, foreign, header_from;
    uint8_t transaction[TRANSACTION_BYTES];
};
struct auth_mail auth_fixture_mail(int session, const char *argument);
/* The reason; *queue_out, where not NULL, becomes the descriptor that came, or -1. */
unsigned auth_fixture_rcpt(int session, const char *argument, int *queue_out);
void auth_fixture_tls(int session);

/* Receives a frame of this type; fails the test on any other. */
void auth_fixture_expect(int fd, unsigned type, uint8_t *storage, struct frame *out);
/* Reads and drops what is there; returns how many frames. */
size_t auth_fixture_drain(int fd);
/* Whether the other end closes the channel within some seconds (frames before that are skipped). */
bool auth_fixture_ended(int fd);

#endif
