/* fake_smarthost.h - a server that follows a script, in a child process, for tests of the SMTP client. A script's
 * lines: "S text" says a line, "C text" expects exactly this line, "D" reads up to the final dot and expects what
 * follows on the line ("\n" written as '|'), "T" takes TLS up, "R text" says octets in one write ("|" a line end),
 * "X" closes at once, "W" waits until the other side leaves. */
#ifndef TESTS_UNIT_FAKE_SMARTHOST_H
#define TESTS_UNIT_FAKE_SMARTHOST_H

#include <sys/types.h>

enum { FAKE_CONNECTIONS = 4 };

struct fake_smarthost {
    const char *scripts[FAKE_CONNECTIONS]; /* one for each connection */
    size_t at;                             /* connections made */
    pid_t pids[FAKE_CONNECTIONS];
    void (*take_tls)(int fd, int *in_out, int *out_out); /* for "T" */
};

/* For struct smtp_client: a connection to the next script's server. */
int fake_smarthost_dial(void *smarthost, const char **why_out);

/* Plays one script and exits: 0 when it was seen through. */
_Noreturn void fake_smarthost_play(int fd, const char *script, void (*take_tls)(int fd, int *in_out, int *out_out));

/* Waits for all servers; fails the test where one did not see its script through. */
void fake_smarthost_end(struct fake_smarthost *smarthost, const char *name);

#endif
