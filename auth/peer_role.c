/* peer_role.c - which port a session came by, and what that makes of it.
 * Runs in: auth. Trusts: the listener for its own role. Never: takes a session of one listener for another's. */
#include "auth/peer.h"

bool peer_is_local(const struct peer *peer) {
    return peer->client.role == RELAY_ROLE_LOCAL;
}

bool peer_is_pop3(const struct peer *peer) {
    return peer->by == ROLE_POP3;
}

bool peer_is_for_users(const struct peer *peer) {
    enum relay_role role = peer->client.role;
    return role == RELAY_ROLE_SUBMISSION || role == RELAY_ROLE_SUBMISSIONS || peer_is_pop3(peer);
}

bool peer_role_fits(enum role by, unsigned role) {
    if (by == ROLE_POP3) return role == RELAY_ROLE_POP3 || role == RELAY_ROLE_POP3S;
    return by == ROLE_LISTENER && role > RELAY_ROLE_UNKNOWN && role < RELAY_ROLE_LOCAL;
}

const char *peer_role_word(enum relay_role role) {
    static const char *const words[] = {[RELAY_ROLE_MX] = "mx",
                                        [RELAY_ROLE_SUBMISSION] = "submission",
                                        [RELAY_ROLE_SUBMISSIONS] = "submissions",
                                        [RELAY_ROLE_LOCAL] = "local",
                                        [RELAY_ROLE_POP3] = "pop3",
                                        [RELAY_ROLE_POP3S] = "pop3s"};
    return role > RELAY_ROLE_UNKNOWN && role <= RELAY_ROLE_POP3S ? words[role] : "none";
}
