/* transaction_grant.c - transactions that rest on a grant.
 * Runs in: auth. Trusts: the database. Never: lets one go on without its grant. */
#include "auth/transaction_grant.h"

#define BUDGET_USED "what one login to the mail lets it send is used up"

/* The session hears of it with the next recipient, or when the queue does not know its commit. */
static void grant_ended(void *context, int64_t grant_id) {
    const struct auth *auth = context;
    for (struct peer *peer = auth->peers; peer; peer = peer->next) {
        if (!peer->transaction.open || peer->transaction.grant_id != grant_id) continue;
        transaction_close(peer);
        peer->transaction.grant_ended = true;
    }
}

void transaction_grant_watch(struct auth *auth) {
    auth->grants.ended = grant_ended;
    auth->grants.context = auth;
}

void transaction_grant_note(struct peer *peer, const struct facts_sender *sender) {
    peer->granted_login_n = sender->facts.granted == FACT_YES ? sender->login_n : 0;
    memcpy(peer->granted_login, sender->login, peer->granted_login_n);
    peer->granted_why = sender->granted_others ? "a login to the mail from this address lets another sender send"
                        : sender->budget_used  ? BUDGET_USED
                                               : NULL;
}

void transaction_grant_accepted(struct peer *peer) {
    if (!peer->granted_login_n || peer->granted) return;
    peer->granted = true;
    peer_count_login(peer);
}

enum reason transaction_grant_judge(struct peer *peer) {
    struct transaction *transaction = &peer->transaction;
    if (!transaction->grant_id) return REASON_SENDER_ACCEPTED;
    transaction->facts.granted = grant_live(&peer->auth->grants, transaction->grant_id);
    return relay_decide_sender(&transaction->facts);
}

enum fact transaction_grant_take(struct peer *peer, bool relayed) {
    struct transaction *transaction = &peer->transaction;
    bool message = !transaction->grant_paid;
    if (!transaction->grant_id || transaction->facts.granted != FACT_YES || (!message && !relayed)) return FACT_YES;
    enum fact taken = grant_take(&peer->auth->grants, transaction->grant_id, message, relayed);
    if (taken == FACT_YES) transaction->grant_paid = true;
    if (taken == FACT_NO) peer->granted_why = BUDGET_USED;
    return taken;
}
