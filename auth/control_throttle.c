/* control_throttle.c - the command line's verbs about guessing: who is held, and letting somebody in.
 * Runs in: auth. Trusts: peers whose uid the kernel vouched for. Never: shows a name that is no account's, since it
 * may be a password that was typed in the wrong place. */
#include "auth/control_answer.h"
#include "auth/guessing.h"
#include "store/clock.h"

struct listing {
    struct control_answer *to;
    bool held_only, failed;
    uint64_t wall_ms;
};

/* The login of who it was at the last failure, as far as there still is such a user. */
static struct span account_text(struct listing *listing, int64_t user_id, struct account *account) {
    if (user_id == 0) return SPAN("nobody");
    switch (account_of(listing->to->auth->house.db, user_id, account)) {
    case ACCOUNT_FOUND:
        return account_login(account);
    case ACCOUNT_NONE:
        return SPAN("nobody");
    case ACCOUNT_FAILED:
        break;
    }
    listing->failed = true;
    return span_of(NULL, 0);
}

static bool put_row(void *context, const struct throttle_row *row) {
    struct listing *listing = context;
    struct control_row *out = &listing->to->row;
    char text[NETWORK_TEXT_MAX];
    struct account account;
    if (listing->held_only && !row->held) return true;
    control_row_open(out);
    control_row_text(out, "kind", row->is_network ? SPAN("network") : SPAN("account"));
    control_row_text(out, "name",
                     row->is_network ? span_text(network_text(&row->network, text))
                                     : account_text(listing, row->user_id, &account));
    control_row_bool(out, "held", row->held);
    control_row_number(out, "failures", row->failures);
    control_row_time(out, "since", listing->wall_ms - row->first_ago_ms);
    control_row_time(out, "last", listing->wall_ms - row->last_ago_ms);
    control_row_time(out, "held_until", row->held ? listing->wall_ms + row->held_for_ms : 0);
    control_row_time(out, "empty", listing->wall_ms + row->empty_in_ms);
    return !listing->failed && control_answer_send(listing->to);
}

void control_throttle_list(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct listing listing = {&control_answer, control_given(request, "held"), false, clock_wall_ms()};
    (void)peer;
    throttle_walk(auth->throttle, clock_ms(), put_row, &listing);
    control_answer_end(listing.failed ? ACCOUNT_FAILED : ACCOUNT_FOUND);
}

static size_t forget(struct auth *auth, struct span who) {
    struct network network;
    if (network_parse(&network, who)) return throttle_forget_network(auth->throttle, &network);
    size_t n = throttle_forget_account(auth->throttle, guessing_account(auth, who));
    return n + throttle_forget_account(auth->throttle, guessing_login(auth, who));
}

void control_throttle_forget(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct span who = control_argument(request, "who");
    bool all = control_given(request, "all");
    if (all == control_given(request, "who")) {
        control_end(peer, CONTROL_USAGE, "name an address, a network or a login, or give --all");
        return;
    }
    if ((all ? throttle_forget_all(auth->throttle) : forget(auth, who)) == 0) {
        control_end(peer, all ? CONTROL_OK : CONTROL_NOT_FOUND, all ? "" : "nothing is counted there");
        return;
    }
    control_answer_changed(auth, peer, request->verb, all ? SPAN("all") : who, "");
}
