/* peer_revoke.c - sessions that came by what opens nothing any more.
 * Runs in: auth. Trusts: the database. Never: ends a session for a secret that was only written anew. */
#include "auth/credential.h"
#include "auth/peer.h"

static bool is_gone(const struct peer *peer, int64_t user_id, int64_t gone) {
    int64_t credential = peer->exchange.credential_id;
    if (user_id) return user_id == peer->client.user_id && (gone == ACCOUNT_GONE_ALL || gone == credential);
    return credential && !credential_there(peer->auth->house.db, credential);
}

/* What a verifier holds against the message may be what has gone. */
static bool may_be_gone(const struct peer *peer, int64_t user_id, int64_t gone) {
    const struct exchange *exchange = &peer->exchange;
    if (exchange->state != EXCHANGE_WORKED_ON && exchange->state != EXCHANGE_PROVEN) return false;
    return exchange->user_id && (user_id ? gone && exchange->user_id == user_id : true);
}

/* The session itself tells its client no more than that auth has left it. */
static void end(struct peer *peer) {
    struct log_line line;
    peer_log(&line, LOG_LOGIN_REVOKED, peer);
    log_span(&line, KEY_LOGIN, span_of(peer->exchange.login, peer->exchange.login_n));
    log_text(&line, KEY_WHY, "what it logged in with was changed or taken away");
    log_send(&line);
    peer_drop(peer);
}

static void take_change(void *context, int64_t user_id, int64_t gone) {
    struct auth *auth = context;
    for (struct peer *peer = auth->peers, *following; peer; peer = following) {
        following = peer->next;
        if (peer->client.user_id ? is_gone(peer, user_id, gone) : may_be_gone(peer, user_id, gone)) end(peer);
    }
}

void peer_watch_accounts(struct auth *auth) {
    account_watch(take_change, auth);
}
