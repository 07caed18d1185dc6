/* overflow.c - the reply of "connections in all".
 * Runs in: listener. Trusts: nobody. Never: waits for a client, takes an octet of one into its memory. */
#include "server/inbound/overflow.h"

#include "auth/relay.h"
#include "store/clock.h"
#include "store/log.h"

#include <sys/socket.h>
#include <unistd.h>

enum { LINE_BYTES = 512, PER_SECOND = 500, LOG_EVERY_MS = 10000, SOME_OCTETS = 1 << 20 };

static CHILD_PARENT struct {
    uint64_t second_began_ms, log_at_ms;
    uint32_t in_second, untold;
    struct netaddr last; /* of those untold */
} overflow;

bool overflow_may_refuse(void) {
    uint64_t now = clock_ms();
    if (now - overflow.second_began_ms >= 1000) {
        overflow.second_began_ms = now;
        overflow.in_second = 0;
    }
    return overflow.in_second < PER_SECOND;
}

/* Before TLS nothing can be said where TLS comes first: a client takes the end for "try again later". */
static void refuse(const struct session_protocol *protocol, int fd, bool say) {
    uint8_t storage[LINE_BYTES];
    struct buf out = BUF_OVER(storage);
    protocol->put_busy(&out);
    if (say && send(fd, out.p, out.n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) (void)0; /* it has gone */
    /* Dropped in the kernel: a close with octets unread is a reset, which could overtake the line. */
    if (recv(fd, NULL, SOME_OCTETS, MSG_DONTWAIT | MSG_TRUNC) < 0) (void)0;
    close(fd);
}

void overflow_refuse(const struct pool *pool, unsigned socket) {
    uint8_t role = pool->setup->sockets[socket].role;
    bool implicit_tls = role == RELAY_ROLE_SUBMISSIONS || role == RELAY_ROLE_POP3S;
    while (overflow_may_refuse()) {
        struct sockaddr_storage address;
        socklen_t n = sizeof address;
        overflow.in_second++; /* also a failure, so that none is tried for ever */
        int client =
            accept4(pool->wires.sockets[socket], (struct sockaddr *)&address, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0) return;
        refuse(pool->protocol, client, !implicit_tls);
        if (netaddr_from_socket(&overflow.last, &address)) overflow.untold++;
    }
}

void overflow_log(void) {
    struct log_line line;
    uint64_t now = clock_ms();
    if (overflow.untold == 0 || now < overflow.log_at_ms) return;
    log_open(&line, LOG_CONNECTION_REFUSED);
    log_client(&line, &overflow.last);
    log_text(&line, KEY_RULE, reason_reply(REASON_SERVER_BUSY)->name);
    log_text(&line, KEY_WHY, "as many connections in all as limits.connections allows");
    log_number(&line, KEY_COUNT, overflow.untold);
    log_send(&line);
    overflow.untold = 0;
    overflow.log_at_ms = now + LOG_EVERY_MS;
}
