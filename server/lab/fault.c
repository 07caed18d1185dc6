/* fault.c - which rules are due, and counting them over the whole server.
 * Runs in: listener, session; builds with FAULTS=1 only. Trusts: the script. Never: allocates after start, waits. */
#include "server/lab/fault.h"

#include "store/log.h"

#include <errno.h>
#include <sys/mman.h>

enum { ASKED_MAX = 8 };

static BUF_LARGE struct fault_script own_script;

static struct {
    struct fault_shared *shared;
    const struct fault_script *script; /* NULL: no faults */
} faults;

static CHILD_STATE struct {
    uint8_t role;
    struct netaddr client;
    struct {
        struct fault_rule rule;
        bool session, once;
    } asked[ASKED_MAX]; /* by addresses */
    size_t n_asked;
} now;

void fault_use(struct fault_shared *shared, const struct fault_script *script) {
    faults.shared = shared;
    faults.script = script;
}

int fault_prepare(const struct role_start *start) {
    int fd = role_descriptor(start, DESCRIPTOR_FAULTS, 0);
    if (fd < 0) return 0;
    struct fault_shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED) {
        log_fault("faults", errno);
        return -1;
    }
    if (shared->text_bytes > sizeof shared->text ||
        !fault_script_read(&own_script, span_of(shared->text, shared->text_bytes), "", NULL))
        log_bug("a script of faults that the master has read");
    fault_use(shared, &own_script);
    return 0;
}

void fault_open(uint8_t role, const struct netaddr *client) {
    now.role = role;
    now.client = *client;
    now.n_asked = 0;
}

bool fault_is_pop3(void) {
    return now.role == RELAY_ROLE_POP3 || now.role == RELAY_ROLE_POP3S;
}

/* ---- what addresses ask for */

static void keep_asked(bool (*keep)(size_t i)) {
    size_t n = 0;
    for (size_t i = 0; i < now.n_asked; i++)
        if (keep(i)) now.asked[n++] = now.asked[i];
    now.n_asked = n;
}

static bool is_sessions(size_t i) {
    return now.asked[i].session;
}

static bool is_lasting(size_t i) {
    return !now.asked[i].once;
}

void fault_forget(void) {
    keep_asked(is_sessions);
}

void fault_hear(struct span address, enum fault_where here, bool session) {
    struct fault_rule rule;
    if (!faults.script || !faults.script->magic || now.n_asked == ASKED_MAX ||
        !fault_script_magic(address, here, &rule))
        return;
    now.asked[now.n_asked].rule = rule;
    now.asked[now.n_asked].session = session;
    now.asked[now.n_asked++].once = rule.where == here;
}

/* ---- conditions */

static bool is_answer(enum fault_action action) {
    return action == FAULT_REPLY || action == FAULT_SAY || action == FAULT_CUT;
}

/* In the middle of a message nothing can be said; POP3 has sent its answer before it. */
static bool is_due_in_body(const struct fault_rule *rule, const struct fault_event *event) {
    if (is_answer(rule->action)) return !fault_is_pop3() && event->end && event->now >= rule->after_bytes;
    if (rule->after_bytes) return event->before < rule->after_bytes && rule->after_bytes <= event->now;
    return event->end;
}

static bool is_there(const struct fault_rule *rule, const struct fault_event *event) {
    if (rule->where == FAULT_COMMAND) return event->where >= FAULT_COMMAND;
    return rule->where == event->where && (rule->where != FAULT_BODY || is_due_in_body(rule, event));
}

/* A name without @ is the part before it. */
static bool is_user(struct span glob, struct span user) {
    bool whole = span_find(glob, '@') < glob.n;
    return user.n && fault_glob(glob, whole ? user : span_part(user, 0, span_find(user, '@')));
}

static bool holds(const struct fault_rule *rule, const struct fault_event *event) {
    return is_there(rule, event) && (rule->role == RELAY_ROLE_UNKNOWN || rule->role == now.role) &&
           (!event->named || rule->user.n || rule->line == 0) &&
           (!rule->user.n || is_user(rule->user, event->user)) &&
           (!rule->match.n || fault_glob(rule->match, event->argument)) &&
           (!rule->has_client || network_holds(&rule->client, &now.client));
}

static bool is_its_turn(const struct fault_rule *rule, uint64_t k) {
    switch (rule->count) {
    case FAULT_NTH:
        return k == rule->number_of_count;
    case FAULT_FIRST:
        return k <= rule->number_of_count;
    case FAULT_EVERY:
        return k % rule->number_of_count == 0;
    case FAULT_FROM:
        return k >= rule->number_of_count;
    case FAULT_ALWAYS:
        break;
    }
    return true;
}

/* The same for the same seed, rule and count: a finalizer by Stafford (mix 13). */
static bool has_luck(const struct fault_rule *rule, uint64_t seed, uint64_t k) {
    uint64_t x = seed + ((uint64_t)rule->line << 40) + k * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return !rule->percent || (x ^ x >> 31) % 100 < rule->percent;
}

/* ---- verdicts */

static void take(struct fault_verdict *out, const struct fault_rule *rule) {
    if (rule->action == FAULT_DELAY)
        out->delay_ms += rule->number;
    else if (rule->action == FAULT_SLOW)
        out->octets_per_second = rule->number;
    else if (!out->final)
        out->final = rule;
    else
        return;
    struct log_line line;
    uint8_t storage[80];
    struct buf name = BUF_OVER(storage);
    if (rule->line)
        buf_put_format(&name, "line %u: on %s %s", rule->line, fault_where_word(rule->where),
                       fault_action_word(rule->action));
    else
        buf_put_format(&name, "local part: on %s %s", fault_where_word(rule->where), fault_action_word(rule->action));
    log_open(&line, LOG_PROTOCOL);
    log_text(&line, KEY_WHAT, "fault played");
    log_span(&line, KEY_RULE, buf_span(&name));
    log_send(&line);
}

bool fault_judge(const struct fault_event *event, struct fault_verdict *out) {
    static CHILD_STATE struct fault_rule kept[ASKED_MAX]; /* the verdict outlives those that are asked for once */
    *out = (struct fault_verdict){0};
    if (!faults.script) return false;
    for (size_t i = 0; i < faults.script->n; i++) {
        const struct fault_rule *rule = &faults.script->rules[i];
        if (!holds(rule, event)) continue;
        uint64_t k = atomic_fetch_add(&faults.shared->counts[i], 1) + 1;
        if (is_its_turn(rule, k) && has_luck(rule, faults.script->seed, k)) take(out, rule);
    }
    for (size_t i = 0; i < now.n_asked; i++) {
        kept[i] = now.asked[i].rule;
        if (holds(&kept[i], event)) take(out, &kept[i]);
    }
    keep_asked(is_lasting);
    return out->final || out->delay_ms || out->octets_per_second;
}
