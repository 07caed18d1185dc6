/* door.c - a counter for each network that has children, and marks.
 * Runs in: listener. Trusts: auth for whom it marks. Never: grows, forgets a child, turns mail from strangers away by
 * a mark. */
#include "server/inbound/door.h"

#include "auth/relay.h"
#include "auth/share.h"

#include <sys/mman.h>

enum { LONGEST = 8 };

struct door *door_open(const struct session_setup *setup, uint32_t children) {
    size_t n = sizeof(struct door) + children * sizeof(struct door_count);
    struct door *door = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (door == MAP_FAILED || madvise(door, n, MADV_DONTFORK) != 0) return NULL;
    door->setup = setup;
    for (uint32_t i = 0; i < children; i++) door->counts[i].next = i + 1 < children ? i + 2 : 0;
    door->free = children ? 1 : 0;
    return door;
}

static bool equal(const struct network *a, const struct network *b) {
    return a->bits == b->bits && memcmp(a->octets, b->octets, sizeof a->octets) == 0;
}

/* Who chooses his bucket makes no chain longer than there are children. */
static uint32_t hash_of(const struct network *network) {
    uint32_t h = 0x811c9dc5U ^ network->bits;
    for (size_t i = 0; i < sizeof network->octets; i++) h = (h ^ network->octets[i]) * 0x01000193U;
    return h ^ h >> 15;
}

/* ---- shares */

static struct network share_of(const struct door *door, const struct netaddr *client) {
    return share_network(client, door->setup->network_ipv4_bits, door->setup->network_ipv6_bits);
}

static uint32_t look(const struct door *door, const struct network *network) {
    uint32_t at = door->buckets[hash_of(network) % DOOR_BUCKETS];
    while (at && !equal(&door->counts[at - 1].network, network)) at = door->counts[at - 1].next;
    return at;
}

static bool has_its_share(const struct door *door, const struct netaddr *client, uint32_t taken) {
    const struct session_setup *setup = door->setup;
    if (setup->connections_per_network >= setup->connections) return false;
    struct network network = share_of(door, client);
    uint32_t at = look(door, &network);
    return !share_allows(at ? door->counts[at - 1].n : 0, taken, setup->connections);
}

struct network door_enter(struct door *door, const struct netaddr *client) {
    struct network network = share_of(door, client);
    uint32_t at = look(door, &network);
    if (!at) {
        at = door->free; /* there is one for each child */
        uint32_t *bucket = &door->buckets[hash_of(&network) % DOOR_BUCKETS];
        door->free = door->counts[at - 1].next;
        door->counts[at - 1] = (struct door_count){.network = network, .next = *bucket};
        *bucket = at;
    }
    door->counts[at - 1].n++;
    return network;
}

void door_leave(struct door *door, const struct network *network) {
    uint32_t *at = &door->buckets[hash_of(network) % DOOR_BUCKETS], index;
    if (network->bits == 0) return;
    while (*at && !equal(&door->counts[*at - 1].network, network)) at = &door->counts[*at - 1].next;
    if (!(index = *at) || --door->counts[index - 1].n) return;
    *at = door->counts[index - 1].next;
    door->counts[index - 1].next = door->free;
    door->free = index;
}

/* ---- marks */

/* Of two networks with one place the later has it: the other is auth's to refuse again. */
void door_mark(struct door *door, const struct network *network, enum reason reason, uint64_t now_ms,
               uint32_t for_ms) {
    struct door_mark *mark = &door->marks[hash_of(network) % DOOR_MARKS];
    uint32_t before = mark->for_ms, longer = before ? 2 * before : for_ms;
    bool again = equal(&mark->network, network) && now_ms - mark->told_ms < (uint64_t)before + for_ms;
    if (longer > LONGEST * for_ms) longer = LONGEST * for_ms;
    *mark = (struct door_mark){*network, reason, now_ms, again ? longer : 0};
}

static enum reason marked(const struct door *door, const struct netaddr *client, uint64_t now_ms) {
    struct network network = network_of(client, door->setup->throttle_ipv4_bits, door->setup->throttle_ipv6_bits);
    const struct door_mark *mark = &door->marks[hash_of(&network) % DOOR_MARKS];
    return now_ms < mark->told_ms + mark->for_ms && equal(&mark->network, &network) ? mark->reason : REASON_COUNT;
}

enum reason door_judge(const struct door *door, unsigned role, const struct netaddr *client, uint32_t taken,
                       uint64_t now_ms) {
    bool logs_in = role == RELAY_ROLE_SUBMISSION || role == RELAY_ROLE_SUBMISSIONS || role == RELAY_ROLE_POP3 ||
                   role == RELAY_ROLE_POP3S;
    enum reason reason = logs_in ? marked(door, client, now_ms) : REASON_COUNT;
    if (reason != REASON_COUNT) return reason;
    return has_its_share(door, client, taken) ? REASON_TOO_MANY_CONNECTIONS : REASON_COUNT;
}
