/* client.h - octets to and from the client, plain or under TLS: every wait has a deadline, and watches the channels
 * whose end is the session's end. */
#ifndef SERVER_INBOUND_CLIENT_H
#define SERVER_INBOUND_CLIENT_H

#include "store/span.h"

enum { CLIENT_BUFFER_BYTES = 64 << 10 };

enum client_status {
    CLIENT_GONE = 0, /* closed, reset, or TLS broke */
    CLIENT_FINE,
    CLIENT_LATE,   /* the deadline passed */
    CLIENT_ALONE,  /* auth or queue is gone */
    CLIENT_STOPPED /* the server is stopping: at once where the caller lets it, else when stop_ms have passed */
};

/* The connection, auth's channel, and the descriptor whose end says that the server is stopping: from then on every
 * wait ends within stop_ms. */
void client_open(int fd, int auth_fd, int stop_fd, uint64_t stop_ms);

/* What has arrived and was not taken yet. */
struct span client_rest(void);
void client_take(size_t n);

/* Forgets what has arrived (RFC 3207 4.2), and wipes it. */
void client_discard(void);

/* Wipes octets that client_take passed over: they held a secret. */
void client_wipe(struct span taken);

/* Waits for more octets. `stoppable`: the server's stopping ends the wait at once. */
enum client_status client_fill(uint64_t deadline_ms, bool stoppable) MUST_USE;

/* Reads exactly n octets of what is not TLS yet, one by one if need be: for a header before the client's own
 * octets. */
enum client_status client_read_exactly(uint8_t *p, size_t n, uint64_t deadline_ms) MUST_USE;

/* Sends all of it. */
enum client_status client_send(struct span octets, uint64_t deadline_ms) MUST_USE;

/* What is sent from now on is the last: it leaves with the connection's end, in the same packet where it can. */
void client_say_goodbye(void);

/* The handshake, as server; from then on everything goes through it. */
enum client_status client_start_tls(int keys_fd, uint64_t deadline_ms) MUST_USE;

bool client_under_tls(void);
void client_close(void);

#ifdef GATEPOST_FAULTS /* for server/lab/fault_play.c */
/* Waits, whatever the client does. FINE: so long, and both sides are there. */
enum client_status client_pause(uint64_t ms) MUST_USE;
/* From now on so many octets a second leave, and as many are taken. */
void client_slow(uint64_t octets_per_second);
/* Of what is sent from now on so many octets leave; what would be more is the connection's end. */
void client_cut(uint64_t octets);
bool client_cutting(void);
void client_uncut(void);
/* client_close resets the connection, at once and without a word. */
void client_drop(void);
#endif

#endif
