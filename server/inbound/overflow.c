/* overflow.c - replies to who gets no child.
 * Runs in: listener. Trusts: nobody. Never: waits for a client, takes an octet of one into its memory. */
#include "server/inbound/overflow.h"

#include "auth/relay.h"
#include "store/clock.h"
#include "store/log.h"

#include <sys/socket.h>
#include <unistd.h>

enum { LINE_BYTES = 512, PER_SECOND = 500, LOG_EVERY_MS = 10000, SOME_OCTETS = 1 << 20 };

static CHILD_PARENT struct {
    uint64_t second_began_ms;
    uint32_t in_second;
} overflow;

enum { REASONS = 3 };

static const struct {
    enum reason reason;
    const char *why;
} reasons[REASONS] = {
    {REASON_SERVER_BUSY, "as many connections in all, or waiting for a login, as are allowed"},
    {REASON_TOO_MANY_CONNECTIONS, "more of a network that has its share"},
    {REASON_TOO_MANY_FAILED_LOGINS, "more of a network that is held"},
};

/* What was refused for each, and is not logged yet. */
static CHILD_PARENT struct {
    uint64_t log_at_ms;
    uint32_t n;
    struct netaddr last;
} untold[REASONS];

static void note(enum reason reason, const struct netaddr *client) {
    for (size_t i = 0; i < REASONS; i++)
        if (reasons[i].reason == reason) untold[i].last = *client, untold[i].n++;
}

bool overflow_may_refuse(void) {
    uint64_t now = clock_ms();
    if (now - overflow.second_began_ms >= 1000) {
        overflow.second_began_ms = now;
        overflow.in_second = 0;
    }
    return overflow.in_second < PER_SECOND;
}

/* Before TLS nothing can be said where TLS comes first: a client takes the end for "try again later". */
static void refuse(const struct session_protocol *protocol, int fd, bool say, enum reason reason) {
    uint8_t storage[LINE_BYTES];
    struct buf out = BUF_OVER(storage);
    protocol->put_refusal(&out, reason);
    if (say && send(fd, out.p, out.n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) (void)0; /* it has gone */
    /* Dropped in the kernel: a close with octets unread is a reset, which could overtake the line. */
    if (recv(fd, NULL, SOME_OCTETS, MSG_DONTWAIT | MSG_TRUNC) < 0) (void)0;
    close(fd);
}

static bool has_tls_first(const struct pool *pool, unsigned socket) {
    uint8_t role = pool->setup->sockets[socket].role;
    return role == RELAY_ROLE_SUBMISSIONS || role == RELAY_ROLE_POP3S;
}

void overflow_refuse(const struct pool *pool, unsigned socket) {
    while (overflow_may_refuse()) {
        struct sockaddr_storage address;
        socklen_t n = sizeof address;
        overflow.in_second++; /* also a failure, so that none is tried for ever */
        int client =
            accept4(pool->wires.sockets[socket], (struct sockaddr *)&address, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0) return;
        refuse(pool->protocol, client, !has_tls_first(pool, socket), REASON_SERVER_BUSY);
        struct netaddr who;
        if (netaddr_from_socket(&who, &address)) note(REASON_SERVER_BUSY, &who);
    }
}

void overflow_turn_away(const struct pool *pool, unsigned socket, int fd, const struct netaddr *client,
                        enum reason reason) {
    refuse(pool->protocol, fd, !has_tls_first(pool, socket), reason);
    note(reason, client);
}

void overflow_log(void) {
    uint64_t now = clock_ms();
    for (size_t i = 0; i < REASONS; i++) {
        struct log_line line;
        if (untold[i].n == 0 || now < untold[i].log_at_ms) continue;
        log_open(&line, LOG_CONNECTION_REFUSED);
        log_client(&line, &untold[i].last);
        log_text(&line, KEY_RULE, reason_reply(reasons[i].reason)->name);
        log_text(&line, KEY_WHY, reasons[i].why);
        log_number(&line, KEY_COUNT, untold[i].n);
        log_send(&line);
        untold[i].n = 0;
        untold[i].log_at_ms = now + LOG_EVERY_MS;
    }
}
