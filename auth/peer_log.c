/* peer_log.c - log lines about a session.
 * Runs in: auth. Trusts: nothing in what a session sent (the log writer escapes it). Never: says a secret. */
#include "auth/peer.h"

void peer_log(struct log_line *line, enum log_event event, const struct peer *peer) {
    char text[NETADDR_TEXT_MAX];
    log_open(line, event);
    log_span(line, KEY_SESSION, peer_name(peer));
    log_text(line, KEY_CLIENT, netaddr_text_client(&peer->client.address, text));
}

void peer_log_reason(struct peer *peer, enum log_event event, enum reason reason, enum log_key key, struct span what,
                     const char *why) {
    struct log_line line;
    if (!reason_reply(reason)->accepts && !peer_refusal_logged(peer)) return;
    peer_log(&line, event, peer);
    log_text(&line, KEY_RULE, reason_reply(reason)->name);
    log_span(&line, key, what);
    if (peer->client.user_id) log_span(&line, KEY_LOGIN, span_of(peer->exchange.login, peer->exchange.login_n));
    if (peer->client.system) log_span(&line, KEY_LOGIN, key_span(&peer->system.login));
    if (!peer->client.user_id && peer->granted_login_n)
        log_span(&line, KEY_LOGIN, span_of(peer->granted_login, peer->granted_login_n));
    if (!why && !reason_reply(reason)->accepts) why = peer->granted_why;
    if (why) log_text(&line, KEY_WHY, why);
    log_send(&line);
}
