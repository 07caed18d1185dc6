/* control_grant.c - the command line's verbs about grants.
 * Runs in: auth. Trusts: peers whose uid the kernel vouched for. Never: grants what a login could not. */
#include "auth/control_answer.h"

struct listing {
    struct control_answer *to;
    int64_t user_id; /* 0: all */
    bool failed;
};

static bool put_row(void *context, const struct grant *grant) {
    struct listing *listing = context;
    struct control_row *out = &listing->to->row;
    struct account account;
    char text[NETWORK_TEXT_MAX];
    if (listing->user_id && grant->user_id != listing->user_id) return true;
    listing->failed = account_of(listing->to->auth->house.db, grant->user_id, &account) != ACCOUNT_FOUND;
    if (listing->failed) return false;
    control_row_open(out);
    control_row_text(out, "login", account_login(&account));
    control_row_text(out, "address", span_text(network_text(&grant->network, text)));
    control_row_text(out, "source", span_text(grant_source_word(grant->source)));
    control_row_time(out, "since", grant->since_ms);
    control_row_time(out, "until", grant->until_ms);
    control_row_number(out, "seconds_left", grant->left_ms / 1000);
    control_row_number(out, "messages_left", grant->messages_left);
    control_row_number(out, "recipients_left", grant->recipients_left);
    return control_answer_send(listing->to);
}

void control_grant_list(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct listing listing = {.to = &control_answer};
    struct account account;
    if (control_given(request, "login")) {
        if (!control_answer_user(auth, peer, request, &account)) return;
        listing.user_id = account.id;
    }
    enum account_found found = grant_walk(&auth->grants, put_row, &listing);
    control_answer_end(listing.failed ? ACCOUNT_FAILED : found);
}

static void refuse_address(struct auth *auth, struct control_peer *peer, const struct netaddr *address) {
    char text[192];
    struct buf b = buf_over(text, sizeof text - 1);
    buf_put_text(&b, "the address is ");
    buf_put_text(&b, grant_address_fault(&auth->setup.grant, address));
    buf_put_text(&b, " and says nothing of who it is: no grant, unless grant.networks lists it");
    text[b.n] = 0;
    control_end(peer, CONTROL_REFUSED, text);
}

void control_grant_add(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct account account;
    struct netaddr address;
    if (!control_answer_user(auth, peer, request, &account)) return;
    if (!netaddr_parse(&address, control_argument(request, "address"))) {
        control_end(peer, CONTROL_USAGE, "not an address: a grant is for one of IPv4 or IPv6");
        return;
    }
    switch (grant_login(&auth->grants, account.id, &address, GRANT_SOURCE_OWNER)) {
    case GRANT_MADE:
    case GRANT_RENEWED:
        control_end(peer, CONTROL_OK, "");
        return;
    case GRANT_OFF:
        control_end(peer, CONTROL_REFUSED,
                    auth->setup.grant.enabled ? "the name of this boot is not known: nothing is granted"
                                              : "grants are off; grant.enabled switches them on");
        return;
    case GRANT_ADDRESS_MEANINGLESS:
        refuse_address(auth, peer, &address);
        return;
    case GRANT_ADDRESS_SHARED:
        control_end(peer, CONTROL_REFUSED, "several users logged in from this address lately: they must use AUTH");
        return;
    case GRANT_USER_REFUSED:
        control_end(peer, CONTROL_REFUSED, "the user is disabled or suspended");
        return;
    case GRANT_UNDECIDED:
        break;
    }
    control_end(peer, CONTROL_FAILED, "the database could not be changed");
}

static void answer_ended(struct control_peer *peer, int n, const char *none) {
    if (n < 0)
        control_end(peer, CONTROL_FAILED, "the database could not be changed");
    else
        control_end(peer, n || !none ? CONTROL_OK : CONTROL_NOT_FOUND, n || !none ? "" : none);
}

void control_grant_revoke(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct account account;
    struct netaddr address;
    bool one = control_given(request, "address");
    if (!control_answer_user(auth, peer, request, &account)) return;
    if (one && !netaddr_parse(&address, control_argument(request, "address"))) {
        control_end(peer, CONTROL_USAGE, "not an address of IPv4 or IPv6");
        return;
    }
    struct network network = one ? grant_network(&auth->setup.grant, &address) : (struct network){0};
    int n = grant_end(&auth->grants, account.id, one ? &network : NULL, "revoked by the owner");
    answer_ended(peer, n, "there is no such grant");
}

void control_grant_flush(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    (void)request;
    answer_ended(peer, grant_end(&auth->grants, 0, NULL, "all were revoked by the owner"), NULL);
}
