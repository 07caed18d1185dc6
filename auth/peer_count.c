/* peer_count.c - counters by address and by network, and the sessions' pids, in tables.
 * Runs in: auth. Trusts: addresses that were announced once. Never: keeps a counter that is zero. */
#include "auth/peer_count.h"

#include "auth/peer.h"
#include "auth/share.h"
#include "store/clock.h"
#include "store/random.h"

#include <stdlib.h>

enum { COUNT_ADDRESS = 1, COUNT_NETWORK, COUNT_USER, COUNT_SHARE };

/* Who chooses his address must not choose his bucket. */
static uint64_t seed(void) {
    static uint64_t drawn;
    if (!drawn && random_draw(&drawn, sizeof drawn) != 0) drawn = 1;
    return drawn;
}

static struct peer_count **find(struct auth *auth, const struct peer_count *key) {
    uint64_t h = seed() ^ ((uint64_t)key->kind << 8 | key->bits);
    for (size_t i = 0; i < sizeof key->octets; i++) h = (h ^ key->octets[i]) * 0x100000001b3U, h ^= h >> 29;
    struct peer_count **at = &auth->counts.counts[h % PEER_BUCKETS];
    while (*at && ((*at)->kind != key->kind || (*at)->bits != key->bits ||
                   memcmp((*at)->octets, key->octets, sizeof key->octets) != 0))
        at = &(*at)->next;
    return at;
}

static struct peer_count key_of_address(const struct peer *peer) {
    struct peer_count key = {.kind = peer_is_local(peer) ? COUNT_USER : COUNT_ADDRESS};
    if (peer_is_local(peer))
        memcpy(key.octets, &peer->uid, sizeof peer->uid);
    else
        memcpy(key.octets, peer->client.address.octets, sizeof key.octets);
    return key;
}

static struct peer_count key_of(uint8_t kind, struct network network) {
    struct peer_count key = {.kind = kind, .bits = network.bits};
    memcpy(key.octets, network.octets, sizeof key.octets);
    return key;
}

static struct peer_count key_of_network(const struct peer *peer) {
    const struct auth_setup *setup = &peer->auth->setup;
    return key_of(COUNT_NETWORK,
                  network_of(&peer->client.address, setup->network_ipv4_bits, setup->network_ipv6_bits));
}

static struct peer_count key_of_share(const struct peer *peer) {
    const struct auth_setup *setup = &peer->auth->setup;
    return key_of(COUNT_SHARE,
                  share_network(&peer->client.address, setup->network_ipv4_bits, setup->network_ipv6_bits));
}

static uint32_t look(struct auth *auth, struct peer_count key) {
    const struct peer_count *found = *find(auth, &key);
    return found ? found->n : 0;
}

static struct peer_count *take(struct auth *auth, struct peer_count key) {
    struct peer_count **at = find(auth, &key);
    if (!*at && (*at = malloc(sizeof key))) **at = key;
    if (*at) (*at)->n++;
    return *at;
}

static void leave(struct auth *auth, struct peer_count **place) {
    struct peer_count *count = *place;
    *place = NULL;
    if (!count || --count->n) return;
    struct peer_count **at = find(auth, count);
    *at = count->next;
    free(count);
}

static uint32_t count_address(const struct peer *peer) {
    return look(peer->auth, key_of_address(peer));
}

static uint32_t count_network(const struct peer *peer) {
    return peer_is_local(peer) ? 0 : look(peer->auth, key_of_network(peer));
}

/* One network may have all where the owner lets it have as many connections as there are. */
static bool has_its_share(const struct auth *auth, uint32_t has, uint32_t taken, uint32_t most) {
    return auth->setup.connections_per_network < auth->setup.connections && !share_allows(has, taken, most);
}

/* Where users log in: nobody whose network guesses, and so many who have not logged in yet. Networks from where
 * somebody has lately have as many places again, which no stranger takes. */
static enum reason judge_login_port(const struct peer *newcomer) {
    struct auth *auth = newcomer->auth;
    const struct netaddr *client = &newcomer->client.address;
    uint32_t most = auth->setup.waiting_for_auth, ignored;
    uint64_t now = clock_ms();
    if (throttle_judge_network(auth->throttle, client, now, &ignored) == THROTTLE_REFUSE)
        return REASON_TOO_MANY_FAILED_LOGINS;
    if (most && auth->counts.waiting >= most && throttle_network_known(auth->throttle, client, now)) most *= 2;
    if (most && auth->counts.waiting >= most) return REASON_SERVER_BUSY;
    struct peer_count key = key_of_share(newcomer);
    const struct peer_count *share = *find(auth, &key);
    return most && has_its_share(auth, share ? share->waiting : 0, auth->counts.waiting, most)
               ? REASON_TOO_MANY_CONNECTIONS
               : REASON_COUNT;
}

/* Connections are counted where addresses are believed: here. */
enum reason peer_count_judge(const struct peer *newcomer) {
    const struct auth_setup *setup = &newcomer->auth->setup;
    uint32_t most = setup->connections && peer_is_local(newcomer) ? setup->connections + SESSION_LOCAL_PLACES
                                                                  : setup->connections;
    /* A listener counts its own; one that was replaced may still have sessions. */
    if (most && newcomer->auth->counts.all >= most) return REASON_SERVER_BUSY;
    if (setup->connections_per_address && count_address(newcomer) >= setup->connections_per_address)
        return REASON_TOO_MANY_CONNECTIONS;
    if (setup->connections_per_network && count_network(newcomer) >= setup->connections_per_network)
        return REASON_TOO_MANY_CONNECTIONS;
    if (!peer_is_local(newcomer) && most &&
        has_its_share(newcomer->auth, look(newcomer->auth, key_of_share(newcomer)), newcomer->auth->counts.all, most))
        return REASON_TOO_MANY_CONNECTIONS;
    return peer_is_for_users(newcomer) ? judge_login_port(newcomer) : REASON_COUNT;
}

static void leave_all(struct peer *peer) {
    leave(peer->auth, &peer->same_address);
    leave(peer->auth, &peer->same_network);
    leave(peer->auth, &peer->same_share);
}

bool peer_count_join(struct peer *peer) {
    struct auth *auth = peer->auth;
    bool remote = !peer_is_local(peer);
    peer->same_address = take(auth, key_of_address(peer));
    if (remote) peer->same_network = take(auth, key_of_network(peer));
    if (remote) peer->same_share = take(auth, key_of_share(peer));
    if (!peer->same_address || (remote && (!peer->same_network || !peer->same_share))) {
        leave_all(peer);
        return false;
    }
    peer->counted = true;
    auth->counts.all++;
    peer_count_login(peer);
    return true;
}

void peer_count_leave(struct peer *peer) {
    struct auth *auth = peer->auth;
    if (!peer->counted) return;
    peer->counted = false;
    auth->counts.all--;
    peer_count_login(peer);
    leave_all(peer);
}

/* In its network's share too. */
static void wait(struct peer *peer, bool waits) {
    if (waits == peer->waiting) return;
    peer->waiting = waits;
    peer->auth->counts.waiting += waits ? 1U : -1U;
    if (peer->same_share) peer->same_share->waiting += waits ? 1U : -1U;
}

void peer_count_login(struct peer *peer) {
    wait(peer, peer->counted && peer_is_for_users(peer) && !peer->client.user_id && !peer->granted);
}

void peer_count_renew(struct auth *auth) {
    for (struct peer *peer = auth->peers; peer; peer = peer->next) {
        if (!peer->counted || peer_is_local(peer)) continue;
        wait(peer, false);
        leave(auth, &peer->same_network);
        leave(auth, &peer->same_share);
        peer->same_network = take(auth, key_of_network(peer));
        peer->same_share = take(auth, key_of_share(peer));
        peer_count_login(peer);
    }
}

static size_t bucket(pid_t pid) {
    return (size_t)(uint32_t)pid % PEER_BUCKETS;
}

void peer_pid_add(struct peer *peer) {
    struct peer **at = &peer->auth->counts.pids[bucket(peer->pid)];
    peer->pid_next = *at;
    *at = peer;
}

void peer_pid_remove(struct peer *peer) {
    struct peer **at = &peer->auth->counts.pids[bucket(peer->pid)];
    while (*at != peer) at = &(*at)->pid_next;
    *at = peer->pid_next;
}

bool peer_pid_known(const struct auth *auth, pid_t pid) {
    const struct peer *peer = auth->counts.pids[bucket(pid)];
    while (peer && peer->pid != pid) peer = peer->pid_next;
    return peer != NULL;
}
