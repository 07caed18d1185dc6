/* floods.c - attacks that only go on and on: on the log, on auth and on the queue.
 * Runs in: the intruder, in the place of gatepost-session. Trusts: nothing. Never: stops by itself before the server
 * could. */
#include "tests/intruder/intruder.h"

#include "store/log_names.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { ROUNDS = 4000, LOG_FRAMES = 5000, LOG_OCTETS = 6000 };

/* The driver looks at how much of it is in the log, and for what auth and queue said meanwhile. */
const char *flood_of_lines(struct cell *cell) {
    static uint8_t octets[LOG_OCTETS + 64], words[LOG_OCTETS];
    struct buf b = BUF_OVER(octets);
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1")) return "no welcome";
    memset(words, 'F', sizeof words);
    wire_put_u16(&b, LOG_SESSION_REFUSED);
    wire_put_u16(&b, KEY_WHAT);
    wire_put_span(&b, span_of(words, sizeof words));
    for (int sent = 0; sent < LOG_FRAMES;) {
        struct pollfd wait = {4, POLLOUT, 0};
        if (frame_send_plain(4, LOG_LINE, buf_span(&b)) == 0)
            sent++;
        else if (errno != EAGAIN || poll(&wait, 1, 5000) <= 0)
            return "the log's socket is gone";
    }
    return cell_mail(cell, "x", "<flood@intruder.example>") == REASON_SENDER_ACCEPTED ? NULL : "MAIL was refused";
}

const char *flood_of_recipients(struct cell *cell) {
    static uint8_t octets[FRAME_BODY_MAX];
    struct buf b = BUF_OVER(octets);
    struct frame frame;
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1")) return "no welcome";
    if (cell_mail(cell, "x", "<flood@intruder.example>") != REASON_SENDER_ACCEPTED) return "MAIL was refused";
    wire_put_u16(&b, RCPT_GROUP_MAX);
    for (int i = 0; i < RCPT_GROUP_MAX; i++) wire_put_text(&b, "<flooded@elsewhere.example>");
    for (int i = 0; i < ROUNDS; i++)
        if (!cell_send(cell->auth, SESSION_RCPT, &b) || cell_receive(cell->auth, &frame) != FRAME_RECEIVED)
            return NULL;
    return "refused recipients without end";
}

const char *flood_of_senders(struct cell *cell) {
    if (!cell_announce(cell, RELAY_ROLE_SUBMISSION, "127.0.0.1")) return "no welcome";
    for (int i = 0; i < ROUNDS; i++)
        if (cell_mail(cell, "x", "<flooded@elsewhere.example>") == REASON_COUNT) return NULL;
    return "refused senders without end";
}

const char *flood_of_logins(struct cell *cell) {
    uint8_t octets[64];
    struct buf b = BUF_OVER(octets);
    struct frame frame;
    if (!cell_announce(cell, RELAY_ROLE_SUBMISSION, "127.0.0.1")) return "no welcome";
    wire_put_u8(&b, 1);
    wire_put_text(&b, "XYZ");
    wire_put_u8(&b, 0);
    for (int i = 0; i < 3; i++) wire_put_text(&b, "");
    for (int i = 0; i < ROUNDS; i++)
        if (!cell_send(cell->auth, SESSION_AUTH, &b) || cell_receive(cell->auth, &frame) != FRAME_RECEIVED)
            return NULL;
    return "refused logins without end";
}

const char *group_too_large(struct cell *cell) {
    static uint8_t octets[FRAME_BODY_MAX];
    struct buf b = BUF_OVER(octets);
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1")) return "no welcome";
    if (cell_mail(cell, "x", "<flood@intruder.example>") != REASON_SENDER_ACCEPTED) return "MAIL was refused";
    wire_put_u16(&b, 16000);
    for (int i = 0; i < 16000; i++) wire_put_text(&b, "");
    if (!cell_send(cell->auth, SESSION_RCPT, &b)) return "channel gone";
    return cell_ended(cell->auth) ? NULL : "a group of 16,000 recipients was taken";
}

const char *flood_of_commits(struct cell *cell) {
    uint8_t other[TRANSACTION_BYTES] = {9, 9, 9};
    const char *why = cell_open(cell, "flood-of-commits@intruder.example");
    if (why) return why;
    for (int i = 0; i < ROUNDS; i++) {
        int outcome = cell_commit(cell, other, 1);
        if (outcome == BODY_DURABLE) return "an unknown transaction was committed";
        if (outcome < 0) return NULL;
    }
    return "stray commits without end";
}

/* Nobody waits for who does not listen. */
const char *never_reads(struct cell *cell) {
    uint8_t octets[64];
    struct buf b = BUF_OVER(octets);
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1")) return "no welcome";
    wire_put_u8(&b, 1);
    wire_put_text(&b, "x");
    wire_put_text(&b, "<>");
    for (int i = 0; i < 100 * ROUNDS; i++) {
        struct pollfd wait = {cell->auth, POLLOUT, 0};
        if (cell_send(cell->auth, SESSION_MAIL, &b)) continue;
        if (errno != EAGAIN) return NULL;
        if (poll(&wait, 1, 5000) <= 0) return "auth does not read any more";
    }
    return "answers were kept without end";
}
