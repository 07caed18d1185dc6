/* mailbox.c - whose mailbox a session gets: its user's, by auth's own knowledge.
 * Runs in: auth. Trusts: the database. Never: takes a name from the session, hands out a second mailbox. */
#include "auth/mailbox.h"

#include <errno.h>
#include <unistd.h>

/* The Maildir where the user's mail is delivered. */
static enum mailbox_answer find(struct peer *peer, struct buf *destination_out) {
    struct account account;
    struct key storage;
    struct recipient way = {0};
    if (account_of(peer->auth->house.db, peer->client.user_id, &account) != ACCOUNT_FOUND) return MAILBOX_FAULT;
    if (!account.enabled || account.suspended_ms) return MAILBOX_NONE; /* it may be, since the login */
    expand_user(&account, &peer->auth->ends);
    expand_way(&peer->auth->house, &peer->auth->ends.entries[0], &storage, &way);
    if (way.kind != DESTINATION_MAILDIR) return MAILBOX_NONE;
    buf_put_span(destination_out, way.destination);
    return buf_ok(destination_out) ? MAILBOX_READY : MAILBOX_FAULT;
}

/* Delivery gets its end: the session's, or -1. */
static int make(struct peer *peer, struct span destination) {
    uint8_t storage[SESSION_NAME_MAX + ADDRESS_MAX + 16];
    struct buf b = BUF_OVER(storage);
    int ends[2];
    struct auth_link *delivery = auth_find_link(peer->auth, ROLE_DELIVERY, 0);
    if (!delivery || frame_pair(ends, true) != 0) {
        log_fault("channel between session and mailbox", delivery ? errno : 0);
        return -1;
    }
    wire_put_span(&b, peer_name(peer));
    wire_put_span(&b, destination);
    bool told = buf_ok(&b) && auth_tell(delivery, MAILBOX_WANTED, buf_span(&b), ends[0]);
    close(ends[0]);
    if (told) return ends[1];
    log_fault("telling delivery of a mailbox that is wanted", errno);
    close(ends[1]);
    return -1;
}

int mailbox_wanted(struct peer *peer, struct frame *frame) {
    uint8_t address[ADDRESS_MAX];
    struct buf destination = BUF_OVER(address);
    int passed = -1;
    if (frame->body.n || peer->mailbox_given || peer->client.user_id == 0) return -1;
    peer->mailbox_given = true;
    enum mailbox_answer answer = find(peer, &destination);
    if (answer == MAILBOX_READY && (passed = make(peer, buf_span(&destination))) < 0) answer = MAILBOX_FAULT;
    uint8_t octet = (uint8_t)answer;
    bool answered = peer_answer(peer, SESSION_MAILBOX_RESULT, span_of(&octet, 1), passed);
    if (passed >= 0) close(passed);
    return answered ? 0 : -1;
}
