/* grant.c - grants: made, renewed, used up, ended.
 * Runs in: auth. Trusts: the database, its setup, the callers for who has logged in. Never: grants what it could not
 * write down, waits for a disk. */
#include "auth/grant.h"

#include "auth/grant_row.h"
#include "store/clock.h"
#include "store/log.h"

enum { SWEEP_EVERY_MS = 600000, RENEWALS = 4, NOTES = 16 };

static struct grant_time time_of(const struct grants *grants) {
    return (struct grant_time){grants->limits->boot, grants->boot_ms(), grants->wall_ms()};
}

static bool is_on(const struct grants *grants) {
    static const uint8_t no_boot[GRANT_BOOT_BYTES] = {0};
    return grants->limits->enabled && memcmp(grants->limits->boot, no_boot, sizeof no_boot) != 0;
}

const char *grant_source_word(enum grant_source source) {
    switch (source) {
    case GRANT_SOURCE_POP3:
        return "pop3";
    case GRANT_SOURCE_HOOK:
        return "hook";
    case GRANT_SOURCE_OWNER:
        return "owner";
    case GRANT_SOURCE_NONE:
        break;
    }
    return "unknown";
}

/* ---- log */

static void log_user(struct log_line *line, struct database *db, int64_t user_id) {
    struct account account;
    if (account_of(db, user_id, &account) == ACCOUNT_FOUND) log_span(line, KEY_USER, account_login(&account));
}

static void log_network(struct log_line *line, const struct network *network) {
    char text[NETWORK_TEXT_MAX];
    log_text(line, KEY_CLIENT, network_text(network, text));
}

static void log_made(const struct grants *grants, const struct grant *grant, bool made, uint64_t until_ms) {
    uint8_t storage[32];
    struct buf until = BUF_OVER(storage);
    struct log_line line;
    log_open(&line, LOG_GRANTED);
    log_network(&line, &grant->network);
    log_user(&line, grants->db, grant->user_id);
    log_text(&line, KEY_SOURCE, grant_source_word(grant->source));
    log_text(&line, KEY_WHAT, made ? "made" : "renewed");
    clock_put_iso(&until, until_ms);
    log_span(&line, KEY_UNTIL, buf_span(&until));
    log_send(&line);
}

static void log_refused(const struct grants *grants, int64_t user_id, const struct netaddr *address,
                        enum grant_source source, struct span why) {
    char text[NETADDR_TEXT_MAX];
    struct log_line line;
    log_open(&line, LOG_GRANT_REFUSED);
    log_text(&line, KEY_CLIENT, netaddr_text(address, text));
    log_user(&line, grants->db, user_id);
    log_text(&line, KEY_SOURCE, grant_source_word(source));
    log_span(&line, KEY_WHY, why);
    log_send(&line);
}

static void log_meaningless(const struct grants *grants, int64_t user_id, const struct netaddr *address,
                            enum grant_source source, const char *kind) {
    uint8_t storage[160];
    struct buf why = BUF_OVER(storage);
    buf_put_text(&why, "the address is ");
    buf_put_text(&why, kind);
    buf_put_text(&why, " and says nothing of who it is; grant.networks lists those that do all the same");
    log_refused(grants, user_id, address, source, buf_span(&why));
}

/* ---- ends */

/* What was marked as ended is logged, what rests on it ends, and it goes. A crash before that has it done at the next
 * start. */
static int finish_ended(struct grants *grants) {
    struct grant grant;
    uint8_t why[64];
    size_t why_n;
    int found, n = 0;
    while ((found = grant_row_ended(grants->db, &grant, why, &why_n)) > 0) {
        struct log_line line;
        log_open(&line, LOG_GRANT_ENDED);
        log_network(&line, &grant.network);
        log_user(&line, grants->db, grant.user_id);
        log_span(&line, KEY_WHY, span_of(why, why_n));
        log_send(&line);
        if (grant_row_forget(grants->db, grant.id) != 1) return -1; /* marked, it gives no right */
        n++;
        if (grants->ended) grants->ended(grants->context, grant.id);
    }
    return found < 0 ? -1 : n;
}

int grant_end(struct grants *grants, int64_t user_id, const struct network *network, const char *why) {
    if (grant_row_end(grants->db, user_id, network, why) < 0) {
        log_fault("ending a grant", 0);
        return -1;
    }
    return finish_ended(grants);
}

/* The triggers of the database have marked what ended with the change. */
static void changed(void *context, int64_t user_id, int64_t gone) {
    struct grants *grants = context;
    (void)user_id, (void)gone;
    if (grants->db && finish_ended(grants) < 0) log_fault("taking away grants that were ended", 0);
}

/* ---- start and reload */

int grant_open(struct grants *grants, struct database *db, const struct grant_limits *limits) {
    grants->db = db;
    grants->limits = limits;
    if (!grants->boot_ms) grants->boot_ms = clock_ms;
    if (!grants->wall_ms) grants->wall_ms = clock_wall_ms;
    account_watch(changed, grants);
    return grant_limit(grants);
}

static bool may_stay(const struct grant_limits *limits, const struct network *network) {
    struct netaddr address = {0};
    memcpy(address.octets, network->octets, sizeof address.octets);
    return grant_network(limits, &address).bits == network->bits && !grant_address_fault(limits, &address);
}

/* Those whose addresses no longer carry one are marked. */
static int end_meaningless(struct grants *grants, const struct grant_time *now) {
    struct statement *statement = grant_row_all(grants->db, now);
    struct grant grant;
    int found;
    while ((found = grant_row_step(statement, now, &grant)) > 0) {
        if (may_stay(grants->limits, &grant.network) ||
            grant_row_end(grants->db, grant.user_id, &grant.network, "its address carries no grants any more") >= 0)
            continue;
        statement_reset(statement);
        return -1;
    }
    return found;
}

int grant_limit(struct grants *grants) {
    struct grant_time now = time_of(grants);
    bool ok = is_on(grants) || grant_end(grants, 0, NULL, "grants were switched off") >= 0;
    ok = ok && (!is_on(grants) || end_meaningless(grants, &now) == 0);
    ok = ok && finish_ended(grants) >= 0 && grant_row_sweep(grants->db, &now) >= 0;
    if (grants->holds) grants->renew_at_ms = now.boot_ms; /* a shorter lifetime may be over before the next was due */
    if (ok && grant_row_cap(grants->db, &now, grants->limits->lifetime_ms) >= 0) return 0;
    log_fault("bringing grants up to date", 0);
    return -1;
}

/* ---- logins */

static uint64_t shared_since(const struct grants *grants) {
    uint64_t now = grants->wall_ms();
    return now > grants->limits->shared_ms ? now - grants->limits->shared_ms : 0;
}

/* Whether more users than one address may have logged in from this one lately; UNKNOWN: failed. */
static enum fact is_shared(struct grants *grants, const struct network *network) {
    int64_t users = grant_row_users(grants->db, network, shared_since(grants));
    if (users < 0) return FACT_UNKNOWN;
    return users > grants->limits->users_per_address ? FACT_YES : FACT_NO;
}

static enum fact may_have_one(struct grants *grants, int64_t user_id) {
    struct account account;
    enum account_found found = account_of(grants->db, user_id, &account);
    if (found == ACCOUNT_FAILED) return FACT_UNKNOWN;
    return found == ACCOUNT_FOUND && account.enabled && !account.suspended_ms ? FACT_YES : FACT_NO;
}

/* Notes the login and writes the grant, both or neither. */
static enum grant_result write_down(struct grants *grants, const struct grant *grant, const struct grant_time *now) {
    enum grant_result result = GRANT_UNDECIDED;
    bool made = false;
    if (database_begin_light(grants->db) != 0) return GRANT_UNDECIDED;
    if (grant_row_note(grants->db, grant->user_id, &grant->network, now->wall_ms) != 1) goto failed;
    switch (is_shared(grants, &grant->network)) {
    case FACT_YES:
        result = GRANT_ADDRESS_SHARED;
        break;
    case FACT_NO:
        if (grant_row_put(grants->db, grant, now, &made) != 1) goto failed;
        result = made ? GRANT_MADE : GRANT_RENEWED;
        break;
    case FACT_UNKNOWN:
        goto failed;
    }
    if (database_commit(grants->db) == 0) return result;
failed:
    database_rollback(grants->db);
    return GRANT_UNDECIDED;
}

static enum grant_result judge(struct grants *grants, int64_t user_id, const struct netaddr *address,
                               enum grant_source source) {
    const char *kind = grant_address_fault(grants->limits, address);
    enum fact may = may_have_one(grants, user_id);
    if (may == FACT_UNKNOWN || source == GRANT_SOURCE_NONE) return GRANT_UNDECIDED;
    if (may == FACT_NO) {
        log_refused(grants, user_id, address, source, SPAN("the user is disabled, suspended or gone"));
        return GRANT_USER_REFUSED;
    }
    if (!kind) return GRANT_MADE;
    log_meaningless(grants, user_id, address, source, kind);
    return GRANT_ADDRESS_MEANINGLESS;
}

enum grant_result grant_login(struct grants *grants, int64_t user_id, const struct netaddr *address,
                              enum grant_source source) {
    if (!is_on(grants)) return GRANT_OFF;
    const struct grant_limits *limits = grants->limits;
    struct grant_time now = time_of(grants);
    struct grant grant = {.user_id = user_id,
                          .network = grant_network(limits, address),
                          .source = source,
                          .left_ms = limits->lifetime_ms,
                          .messages_left = limits->messages,
                          .recipients_left = limits->recipients};
    enum grant_result result = judge(grants, user_id, address, source);
    if (result == GRANT_MADE) result = write_down(grants, &grant, &now);
    switch (result) {
    case GRANT_MADE:
    case GRANT_RENEWED:
        log_made(grants, &grant, result == GRANT_MADE, now.wall_ms + limits->lifetime_ms);
        break;
    case GRANT_ADDRESS_SHARED:
        log_refused(grants, user_id, address, source,
                    SPAN("several users logged in from this address lately: they must use AUTH"));
        if (grant_end(grants, 0, &grant.network, "several users logged in from this address") < 0)
            result = GRANT_UNDECIDED;
        break;
    case GRANT_UNDECIDED:
        log_fault("a login could not be noted: nothing is granted by it", 0);
        break;
    case GRANT_OFF:
    case GRANT_ADDRESS_MEANINGLESS:
    case GRANT_USER_REFUSED:
        break;
    }
    return result;
}

void grant_note(struct grants *grants, int64_t user_id, const struct netaddr *address) {
    if (!is_on(grants) || grant_address_fault(grants->limits, address)) return;
    struct network network = grant_network(grants->limits, address);
    uint64_t now = grants->wall_ms(), seldom = grants->limits->shared_ms / NOTES;
    int64_t seen = grant_row_seen(grants->db, user_id, &network);
    if (seen > 0 && (uint64_t)seen <= now && now - (uint64_t)seen < seldom) return; /* a write a login is too much */
    if (seen < 0 || grant_row_note(grants->db, user_id, &network, now) != 1) {
        log_fault("noting from where a user logged in", 0);
        return;
    }
    if (is_shared(grants, &network) == FACT_YES &&
        grant_end(grants, 0, &network, "several users logged in from this address") < 0)
        return; /* it has been logged; grant_find looks at it too */
}

void grant_withhold(struct grants *grants, int64_t user_id, const struct netaddr *address, enum grant_source source) {
    if (!is_on(grants)) return;
    log_refused(grants, user_id, address, source, SPAN("the password is for fetching mail alone"));
    grant_note(grants, user_id, address);
}

/* ---- use */

enum account_found grant_find(struct grants *grants, const struct netaddr *address,
                              struct grant out[GRANT_CANDIDATES], size_t *n_out) {
    *n_out = 0;
    if (!is_on(grants) || grant_address_fault(grants->limits, address)) return ACCOUNT_FOUND;
    struct grant_time now = time_of(grants);
    struct network network = grant_network(grants->limits, address);
    struct statement *statement = grant_row_of_network(grants->db, &network, &now);
    struct grant grant;
    size_t n = 0;
    int found;
    while ((found = grant_row_step(statement, &now, &grant)) > 0) {
        if (n == GRANT_CANDIDATES) {
            statement_reset(statement);
            return ACCOUNT_FOUND;
        }
        out[n++] = grant;
    }
    if (found < 0) return ACCOUNT_FAILED;
    enum fact shared = n ? is_shared(grants, &network) : FACT_NO;
    if (shared == FACT_UNKNOWN) return ACCOUNT_FAILED;
    if (shared == FACT_NO) *n_out = n;
    return ACCOUNT_FOUND;
}

enum fact grant_live(struct grants *grants, int64_t id) {
    struct grant_time now = time_of(grants);
    struct grant grant;
    if (!is_on(grants)) return FACT_NO;
    struct statement *statement = grant_row_of_id(grants->db, id, &now);
    int found = grant_row_step(statement, &now, &grant);
    if (found > 0) statement_reset(statement);
    return found < 0 ? FACT_UNKNOWN : found ? FACT_YES : FACT_NO;
}

enum fact grant_take(struct grants *grants, int64_t id, bool message, bool recipient) {
    struct grant_time now = time_of(grants);
    int taken = is_on(grants) ? grant_row_take(grants->db, id, &now, message, recipient) : 0;
    return taken < 0 ? FACT_UNKNOWN : taken ? FACT_YES : FACT_NO;
}

bool grant_helps(struct grants *grants, const struct netaddr *address) {
    if (!is_on(grants) || grant_address_fault(grants->limits, address)) return false;
    struct network network = grant_network(grants->limits, address);
    return is_shared(grants, &network) == FACT_NO;
}

enum account_found grant_walk(struct grants *grants, bool (*each)(void *context, const struct grant *grant),
                              void *context) {
    struct grant_time now = time_of(grants);
    struct grant grant;
    int found;
    if (!is_on(grants)) return ACCOUNT_FOUND;
    struct statement *statement = grant_row_all(grants->db, &now);
    while ((found = grant_row_step(statement, &now, &grant)) > 0) {
        if (each(context, &grant)) continue;
        statement_reset(statement);
        break;
    }
    return found < 0 ? ACCOUNT_FAILED : ACCOUNT_FOUND;
}

/* ---- sessions that stay open */

void grant_hold(struct grants *grants, struct grant_hold *hold, int64_t user_id, const struct netaddr *address) {
    struct grant_time now = time_of(grants);
    struct network network = grant_network(grants->limits, address);
    struct grant grant;
    grant_release(grants, hold);
    if (!is_on(grants)) return;
    struct statement *statement = grant_row_of_user(grants->db, user_id, &network, &now);
    if (grant_row_step(statement, &now, &grant) <= 0) return;
    statement_reset(statement);
    *hold = (struct grant_hold){grants->holds, grant.id, now.boot_ms + GRANT_HELD_MAX_MS};
    grants->holds = hold;
    if (!grants->renew_at_ms) grants->renew_at_ms = now.boot_ms + grants->limits->lifetime_ms / RENEWALS;
}

void grant_release(struct grants *grants, struct grant_hold *hold) {
    struct grant_hold **at = &grants->holds;
    if (!hold->grant_id) return;
    while (*at && *at != hold) at = &(*at)->next;
    if (*at) *at = hold->next;
    *hold = (struct grant_hold){0};
}

static void renew(struct grants *grants, const struct grant_time *now) {
    for (struct grant_hold *hold = grants->holds, *next; hold; hold = next) {
        next = hold->next;
        int renewed = now->boot_ms < hold->until_ms
                          ? grant_row_renew(grants->db, hold->grant_id, now, grants->limits->lifetime_ms)
                          : 0;
        if (renewed < 0) log_fault("renewing a grant", 0); /* tried again; else it ends when it is over */
        if (renewed == 0) grant_release(grants, hold);
    }
    grants->renew_at_ms = grants->holds ? now->boot_ms + grants->limits->lifetime_ms / RENEWALS : 0;
}

static void sweep(struct grants *grants, const struct grant_time *now) {
    if (grant_row_sweep(grants->db, now) < 0 || grant_row_forget_logins(grants->db, shared_since(grants)) < 0)
        log_fault("forgetting old grants", 0);
    grants->sweep_at_ms = now->boot_ms + SWEEP_EVERY_MS;
}

int grant_round(struct grants *grants) {
    if (!grants->db || !is_on(grants)) return -1;
    struct grant_time now = time_of(grants);
    if (grants->renew_at_ms && now.boot_ms >= grants->renew_at_ms) renew(grants, &now);
    if (now.boot_ms >= grants->sweep_at_ms) sweep(grants, &now);
    uint64_t next = grants->sweep_at_ms;
    if (grants->renew_at_ms && grants->renew_at_ms < next) next = grants->renew_at_ms;
    return (int)(next - now.boot_ms);
}
