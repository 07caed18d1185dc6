/* log_people.c - the log writer's memory of pids, in sets of eight so that it neither grows nor slows down.
 * Runs in: the log writer. Trusts: its caller to have checked who registers whom. Never: forgets a role for a
 * session's sake. */
#include "store/log_people.h"

enum { SETS = 8192, WAYS = 8, ENDED_MAX = 1024 };
enum { SESSION_OCTETS = 256 << 10, AGENTS_OCTETS = 1 << 20, AGENTS_OCTETS_PER_MS = 64 };

struct person {
    uint32_t pid; /* 0: free */
    uint8_t role; /* ROLE_NONE: a session */
    uint8_t name_bytes;
    char name[SESSION_NAME_MAX];
    struct netaddr client;
    uint64_t registered; /* order */
    bool ended;
    size_t left; /* a session's octets */
};

static struct person people[SETS][WAYS];
static uint64_t registrations;
static uint32_t ended[ENDED_MAX]; /* not buried yet */
static size_t n_ended;

static struct person *set_of(uint32_t pid) {
    return people[pid % SETS];
}

static struct person *find(uint32_t pid) {
    struct person *set = set_of(pid);
    for (size_t i = 0; pid && i < WAYS; i++)
        if (set[i].pid == pid) return &set[i];
    return NULL;
}

/* The entry of this pid emptied, a free one, or the oldest session's; NULL when roles fill the set. */
static struct person *make_room(uint32_t pid) {
    struct person *set = set_of(pid), *chosen = find(pid);
    for (size_t i = 0; !chosen && i < WAYS; i++)
        if (!set[i].pid) chosen = &set[i];
    for (size_t i = 0, held = chosen != NULL; !held && i < WAYS; i++)
        if (set[i].role == ROLE_NONE && (!chosen || set[i].registered < chosen->registered)) chosen = &set[i];
    if (chosen) *chosen = (struct person){.pid = pid, .registered = ++registrations, .left = SESSION_OCTETS};
    return chosen;
}

/* Of these roles one process runs at a time: a new one means that the one before is gone. */
static bool is_single(enum role role) {
    return role != ROLE_VERIFIER && !role_listens(role);
}

static void end(struct person *person) {
    if (!person || person->ended) return;
    if (n_ended == ENDED_MAX) log_people_bury();
    person->ended = true;
    ended[n_ended++] = person->pid;
}

void log_people_bury(void) {
    for (size_t i = 0; i < n_ended; i++) {
        struct person *person = find(ended[i]);
        if (person && person->ended) *person = (struct person){0};
    }
    n_ended = 0;
}

static void forget_role(enum role role) {
    for (size_t i = 0; i < SETS; i++)
        for (size_t j = 0; j < WAYS; j++)
            if (people[i][j].pid && people[i][j].role == role) end(&people[i][j]);
}

void log_people_role(uint32_t pid, enum role role) {
    struct person *person = find(pid);
    if (role == ROLE_NONE || pid == 0) {
        end(person);
        return;
    }
    if (person) *person = (struct person){0};
    if (is_single(role)) forget_role(role);
    if ((person = make_room(pid))) person->role = (uint8_t)role;
}

void log_people_session(uint32_t pid, struct span name, const struct netaddr *client) {
    struct person *person = find(pid);
    if (name.n == 0) {
        if (person && person->role == ROLE_NONE) end(person);
        return;
    }
    person = pid ? make_room(pid) : NULL;
    if (!person) return;
    person->name_bytes = (uint8_t)(name.n < SESSION_NAME_MAX ? name.n : SESSION_NAME_MAX);
    if (person->name_bytes) memcpy(person->name, name.p, person->name_bytes);
    person->client = *client;
}

enum role log_people_role_of(uint32_t pid) {
    const struct person *person = find(pid);
    return person && !person->ended ? (enum role)person->role : ROLE_NONE;
}

static bool spend(size_t *left, size_t n, bool *last_out) {
    bool had = *left > 0;
    *left = n < *left ? *left - n : 0;
    *last_out = had && *left == 0;
    return had;
}

bool log_people_spend(uint32_t pid, size_t n, uint64_t now_ms, bool *last_out) {
    static size_t agents_left = AGENTS_OCTETS;
    static uint64_t filled_ms;
    struct person *person = find(pid);
    *last_out = false;
    if (person && person->role != ROLE_NONE) return true;
    if (person) return spend(&person->left, n, last_out);
    uint64_t more = (now_ms - filled_ms) * AGENTS_OCTETS_PER_MS;
    agents_left = more > AGENTS_OCTETS - agents_left ? AGENTS_OCTETS : agents_left + (size_t)more;
    filled_ms = now_ms;
    return spend(&agents_left, n, last_out);
}

struct log_speaker log_people_speaker(uint32_t pid) {
    const struct person *person = find(pid);
    if (!person) return (struct log_speaker){.who = LOG_WHO_AGENT, .process = "agent"};
    if (person->role == ROLE_NONE)
        return (struct log_speaker){.who = LOG_WHO_SESSION,
                                    .process = "session",
                                    .session = span_of(person->name, person->name_bytes),
                                    .client = &person->client};
    if (person->role == ROLE_POLICY) /* it has met strangers by then, as an agent has */
        return (struct log_speaker){.who = LOG_WHO_AGENT, .process = role_name(ROLE_POLICY)};
    return (struct log_speaker){.who = LOG_WHO_SERVER, .process = role_name((enum role)person->role)};
}
