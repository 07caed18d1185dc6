/* sockets.h - the sockets that the master opens for others: where clients connect, and where the command line
 * asks. */
#ifndef SERVER_PROCESS_SOCKETS_H
#define SERVER_PROCESS_SOCKETS_H

#include "conf/conf.h"
#include "store/role.h"

enum { SOCKETS_MAX = 32 };

struct sockets {
    struct netaddr addresses[SOCKETS_MAX];
    enum role roles[SOCKETS_MAX]; /* whose it is */
    int fds[SOCKETS_MAX];
    size_t n;
};

/* Opens every address of the configuration's listeners, in the order of setup.c: one that `before` (may be NULL) or
 * the service manager already holds is taken over as a copy. -1: one could not be had, and `errors` says which and
 * why; nothing stays open. */
int sockets_open(struct sockets *out, const struct conf *conf, const struct sockets *before, FILE *errors) MUST_USE;

/* Whether the kernel has IPv6. */
bool sockets_have_ipv6(void);

/* Where it has not, takes the [::] out that stands beside 0.0.0.0 for "*". Returns how many were taken out. */
size_t sockets_drop_ipv6(struct conf *conf);

void sockets_close(struct sockets *sockets);

/* A listening control socket at directory/name, for the owner alone; one left behind is replaced. -1 with errno. */
int sockets_control(const char *directory, const char *name) MUST_USE;

/* The listening socket at directory/SOCKETS_SUBMIT that every user of this host may connect to. -1 with errno. */
#define SOCKETS_SUBMIT "submit.sock"
int sockets_submit(const char *directory) MUST_USE;

/* Listening sockets at loopback addresses of the configuration (hooks.policy), in its order. -1: one could not be
 * had, and `errors` says which and why. */
int sockets_policy(struct sockets *out, const struct conf *conf, FILE *errors) MUST_USE;

/* The listening socket at directory/SOCKETS_LOGIN where logins are reported: for everybody, or for a system group
 * where its name is not empty. -1: `errors` says why. */
#define SOCKETS_LOGIN "login.sock"
int sockets_login(const char *directory, const char *group, FILE *errors) MUST_USE;

#endif
