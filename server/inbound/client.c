/* client.c - the client's octets.
 * Runs in: session. Trusts: nothing that arrives. Never: waits without a deadline. */
#include "server/inbound/client.h"

#include "server/inbound/ask.h"
#include "server/inbound/tls.h"
#include "store/clock.h"
#include "store/log.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINES_MS = 100 };

static CHILD_STATE struct {
    int fd, auth_fd, stop_fd;
    uint64_t stop_ms, stop_deadline_ms; /* 0: the server is not stopping */
    bool tls, goodbye;
    size_t from, to; /* of what was received and not taken */
} client;            /* nothing before client_open */

static BUF_LARGE uint8_t received[CLIENT_BUFFER_BYTES];

void client_open(int fd, int auth_fd, int stop_fd, uint64_t stop_ms) {
    client.fd = fd;
    client.auth_fd = auth_fd;
    client.stop_fd = stop_fd;
    client.stop_ms = stop_ms;
}

struct span client_rest(void) {
    return span_of(received + client.from, client.to - client.from);
}

void client_take(size_t n) {
    client.from += n;
}

void client_discard(void) {
    explicit_bzero(received + client.from, client.to - client.from);
    client.from = client.to = 0;
}

void client_wipe(struct span taken) {
    if (taken.n) explicit_bzero(received + (taken.p - received), taken.n);
}

bool client_under_tls(void) {
    return client.tls;
}

/* No question to auth is open while the client is waited for: whatever stirs there is its end. On the other channel
 * a mailbox's agent may be ahead of the client. */
static enum client_status wait_for(short events, uint64_t deadline_ms, bool stoppable) {
    for (;;) {
        bool stopping = client.stop_deadline_ms != 0;
        struct pollfd waits[] = {{client.fd, events, 0},
                                 {client.auth_fd, POLLIN, 0},
                                 {ask_other_fd(), 0, 0},
                                 {stopping ? -1 : client.stop_fd, POLLIN, 0}};
        uint64_t now = clock_ms(), until = deadline_ms;
        if (stopping && client.stop_deadline_ms < until) until = client.stop_deadline_ms;
        if (stopping && (stoppable || now >= client.stop_deadline_ms)) return CLIENT_STOPPED;
        if (now >= until) return CLIENT_LATE;
        /* What is said of a client in a hurry is sent together, and no later than he pauses. */
        if (log_waiting() && until - now > LINES_MS) until = now + LINES_MS;
        int n = poll(waits, sizeof waits / sizeof *waits, until - now > INT32_MAX ? INT32_MAX : (int)(until - now));
        if (n < 0 && errno != EINTR) return CLIENT_GONE;
        if (n == 0) log_flush();
        if (n <= 0) continue;
        if (waits[1].revents || waits[2].revents) return CLIENT_ALONE;
        if (waits[0].revents) return CLIENT_FINE;
        if (waits[3].revents) client.stop_deadline_ms = now + client.stop_ms + 1;
    }
}

/* One attempt: FINE with octets, or LATE for "not now", with what to wait for. */
static enum client_status read_now(uint8_t *p, size_t size, size_t *n_out, short *events_out) {
    *events_out = POLLIN;
    if (client.tls) {
        enum tls_step step = tls_read(p, size, n_out);
        if (step == TLS_WANTS_WRITE) *events_out = POLLOUT;
        if (step == TLS_DONE) return CLIENT_FINE;
        return step == TLS_WANTS_READ || step == TLS_WANTS_WRITE ? CLIENT_LATE : CLIENT_GONE;
    }
    ssize_t n;
    do n = read(client.fd, p, size);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) return CLIENT_LATE;
    *n_out = n > 0 ? (size_t)n : 0;
    return n > 0 ? CLIENT_FINE : CLIENT_GONE;
}

void client_say_goodbye(void) {
    client.goodbye = true;
}

static ssize_t write_plain(struct span octets) {
    /* client_close follows at once, and takes along what the kernel holds back. */
    return client.goodbye ? send(client.fd, octets.p, octets.n, MSG_MORE) : write(client.fd, octets.p, octets.n);
}

static enum client_status write_now(struct span octets, size_t *n_out, short *events_out) {
    *events_out = POLLOUT;
    if (client.tls) {
        enum tls_step step = tls_write(octets, n_out);
        if (step == TLS_WANTS_READ) *events_out = POLLIN;
        if (step == TLS_DONE) return CLIENT_FINE;
        return step == TLS_WANTS_READ || step == TLS_WANTS_WRITE ? CLIENT_LATE : CLIENT_GONE;
    }
    ssize_t n;
    do n = write_plain(octets);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) return CLIENT_LATE;
    *n_out = n > 0 ? (size_t)n : 0;
    return n > 0 ? CLIENT_FINE : CLIENT_GONE;
}

static void make_room(void) {
    size_t n = client.to - client.from;
    if (client.from && n) {
        memmove(received, received + client.from, n);
        explicit_bzero(received + n, client.from); /* half a line may be half a secret */
    }
    client.from = 0;
    client.to = n;
}

#ifdef GATEPOST_FAULTS
enum { STEP_MS = 100 };

static CHILD_STATE struct {
    uint64_t octets_per_second; /* 0: as fast as they come */
    bool cutting, drop;
    uint64_t left; /* while cutting */
} faulty;

enum client_status client_pause(uint64_t ms) {
    enum client_status status = wait_for(0, clock_ms() + ms, true);
    if (status == CLIENT_FINE) return CLIENT_GONE; /* nothing was waited for: it has hung up */
    return status == CLIENT_LATE ? CLIENT_FINE : status;
}

void client_slow(uint64_t octets_per_second) {
    faulty.octets_per_second = octets_per_second;
}

void client_cut(uint64_t octets) {
    faulty.cutting = true;
    faulty.left = octets;
}

bool client_cutting(void) {
    return faulty.cutting;
}

void client_uncut(void) {
    faulty.cutting = false;
}

void client_drop(void) {
    struct linger at_once = {.l_onoff = 1};
    faulty.drop = setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0;
}

static bool drops(void) {
    return faulty.drop;
}

/* How many of n octets go in one step. */
static size_t portion(size_t n) {
    uint64_t step = faulty.octets_per_second / (1000 / STEP_MS);
    if (faulty.octets_per_second && n > step) n = step ? (size_t)step : 1;
    return n;
}

static struct span portion_out(struct span octets) {
    size_t n = portion(octets.n);
    return span_part(octets, 0, faulty.cutting && n > faulty.left ? (size_t)faulty.left : n);
}

static enum client_status gone_out(size_t n) {
    if (faulty.cutting) faulty.left -= n;
    return faulty.octets_per_second ? client_pause(n * 1000 / faulty.octets_per_second) : CLIENT_FINE;
}

static enum client_status come_in(size_t n) {
    return faulty.octets_per_second ? client_pause(n * 1000 / faulty.octets_per_second) : CLIENT_FINE;
}

static bool is_cut(void) {
    return faulty.cutting && faulty.left == 0;
}
#else
static inline bool drops(void) {
    return false;
}
static inline size_t portion(size_t n) {
    return n;
}
static inline struct span portion_out(struct span octets) {
    return octets;
}
static inline enum client_status gone_out(size_t n) {
    (void)n;
    return CLIENT_FINE;
}
static inline enum client_status come_in(size_t n) {
    (void)n;
    return CLIENT_FINE;
}
static inline bool is_cut(void) {
    return false;
}
#endif

/* Waits first where nothing can be there yet: a plain client reads what was said before it answers. Under TLS
 * OpenSSL may hold octets. */
enum client_status client_fill(uint64_t deadline_ms, bool stoppable) {
    short events;
    make_room();
    /* Who never stops sending never makes it wait, and has his time all the same. */
    if (clock_ms() >= deadline_ms) return CLIENT_LATE;
    bool wait = !client.tls;
    for (events = POLLIN;; wait = true) {
        size_t n = 0;
        enum client_status status = wait ? wait_for(events, deadline_ms, stoppable) : CLIENT_FINE;
        if (status != CLIENT_FINE) return status;
        status = read_now(received + client.to, portion(sizeof received - client.to), &n, &events);
        client.to += status == CLIENT_FINE ? n : 0;
        if (status == CLIENT_FINE) status = come_in(n);
        if (status != CLIENT_LATE) return status;
    }
}

enum client_status client_read_exactly(uint8_t *p, size_t n, uint64_t deadline_ms) {
    short events;
    size_t at = 0;
    while (at < n) {
        size_t got = 0;
        enum client_status status = read_now(p + at, n - at, &got, &events);
        at += status == CLIENT_FINE ? got : 0;
        if (status == CLIENT_LATE) status = wait_for(events, deadline_ms, false);
        if (status != CLIENT_FINE) return status;
    }
    return CLIENT_FINE;
}

enum client_status client_send(struct span octets, uint64_t deadline_ms) {
    short events;
    while (octets.n) {
        size_t n = 0;
        if (is_cut()) return CLIENT_GONE;
        enum client_status status = write_now(portion_out(octets), &n, &events);
        if (status == CLIENT_FINE) octets = span_from(octets, n), status = gone_out(n);
        if (status == CLIENT_LATE) status = wait_for(events, deadline_ms, false);
        if (status != CLIENT_FINE) return status;
    }
    return CLIENT_FINE;
}

enum client_status client_start_tls(int keys_fd, uint64_t deadline_ms) {
    uint64_t now = clock_ms();
    if (!tls_open(client.fd, keys_fd, deadline_ms > now ? deadline_ms - now : 1)) return CLIENT_GONE;
    for (;;) {
        enum tls_step step = tls_shake_hands();
        client.tls = step == TLS_DONE;
        if (client.tls) return CLIENT_FINE;
        if (step != TLS_WANTS_READ && step != TLS_WANTS_WRITE) return CLIENT_GONE;
        enum client_status status = wait_for(step == TLS_WANTS_READ ? POLLIN : POLLOUT, deadline_ms, false);
        if (status != CLIENT_FINE) return status;
    }
}

/* What the client sent after our last word would turn the close into a reset that eats that word: take some of it. */
void client_close(void) {
    if (client.tls && !drops()) tls_close();
    for (int i = 0; i < 16 && !drops() && read(client.fd, received, sizeof received) > 0; i++) continue;
    close(client.fd);
    client.fd = -1;
}
