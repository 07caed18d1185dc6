/* quota_row.c - the statements about quotas.
 * Runs in: auth. Trusts: the database. Never: decides, keeps anything. */
#include "auth/quota_row.h"

static const char *const kinds[] = {
    [QUOTA_NOBODY] = "", [QUOTA_USER] = "user", [QUOTA_CREDENTIAL] = "credential", [QUOTA_SYSTEM] = "system"};

static void put_holder(struct statement *statement, const struct quota_holder *holder) {
    statement_put_text(statement, 1, span_text(kinds[holder->kind]));
    statement_put_number(statement, 2, holder->id);
    statement_put_text(statement, 3, holder->name);
}

/* 1 at a row, which the caller resets; 0 at the end. */
static int step(struct statement *statement) {
    enum database_step step = statement_step(statement);
    return step == DATABASE_ROW ? 1 : step == DATABASE_DONE ? 0 : -1;
}

int quota_row_newest(struct database *db, uint64_t *seen_s_out) {
    struct statement *statement = database_statement(db, "SELECT max(seen) FROM quotas");
    int found = step(statement);
    int64_t seen = found > 0 ? statement_get_number(statement, 0) : 0;
    *seen_s_out = seen > 0 ? (uint64_t)seen : 0;
    if (found > 0) statement_reset(statement);
    return found < 0 ? -1 : 0;
}

int quota_row_read(struct database *db, const struct quota_holder *holder, struct quota_window used_out[QUOTA_WHATS],
                   uint64_t *suspended_s_out) {
    struct statement *statement =
        database_statement(db, "SELECT used, suspended FROM quotas WHERE kind = ?1 AND id = ?2 AND name = ?3");
    memset(used_out, 0, QUOTA_WHATS * sizeof *used_out);
    *suspended_s_out = 0;
    put_holder(statement, holder);
    int found = step(statement);
    if (found <= 0) return found;
    struct wire w = wire_over(statement_get_text(statement, 0));
    int64_t suspended = statement_get_number(statement, 1);
    for (size_t i = 0; i < QUOTA_WHATS; i++) quota_window_get(&w, &used_out[i]);
    *suspended_s_out = suspended > 0 ? (uint64_t)suspended : 0;
    bool good = wire_end(&w);
    statement_reset(statement);
    return good ? 1 : -1;
}

int quota_row_write(struct database *db, const struct quota_holder *holder, uint64_t seen_s,
                    const struct quota_window used[QUOTA_WHATS]) {
    uint8_t storage[QUOTA_WHATS * QUOTA_WINDOW_BYTES];
    struct buf b = BUF_OVER(storage);
    struct statement *statement = database_statement(
        db, "INSERT INTO quotas(kind, id, name, seen, used) VALUES(?1, ?2, ?3, ?4, ?5)"
            " ON CONFLICT(kind, id, name) DO UPDATE SET seen = excluded.seen, used = excluded.used");
    for (size_t i = 0; i < QUOTA_WHATS; i++) quota_window_put(&b, &used[i]);
    put_holder(statement, holder);
    statement_put_number(statement, 4, (int64_t)seen_s);
    statement_put_blob(statement, 5, buf_span(&b));
    return statement_run(statement) == 1 ? 0 : -1;
}

int quota_row_suspend(struct database *db, const struct quota_holder *holder, uint64_t since_s) {
    struct statement *statement =
        database_statement(db, "UPDATE quotas SET suspended = ?4 WHERE kind = ?1 AND id = ?2 AND name = ?3");
    put_holder(statement, holder);
    statement_put_number(statement, 4, (int64_t)since_s);
    return statement_run(statement) == 1 ? 0 : -1;
}

int quota_row_lift(struct database *db, const struct quota_holder *holder) {
    struct statement *statement;
    if (holder->kind == QUOTA_SYSTEM) {
        statement = database_statement(
            db, "UPDATE quotas SET suspended = 0 WHERE suspended <> 0 AND kind = ?1 AND id = ?2 AND name = ?3");
        put_holder(statement, holder);
    } else {
        statement = database_statement(db, "UPDATE quotas SET suspended = 0 WHERE suspended <> 0"
                                           " AND kind = 'credential'"
                                           " AND id IN (SELECT id FROM credentials WHERE user_id = ?1)");
        statement_put_number(statement, 1, holder->id);
    }
    return statement_run(statement);
}

int quota_row_sweep(struct database *db, uint64_t before_s) {
    struct statement *statement = database_statement(
        db, "DELETE FROM quotas WHERE (suspended = 0 AND seen < ?1)"
            " OR (kind = 'credential' AND NOT EXISTS (SELECT 1 FROM credentials c WHERE c.id = quotas.id))"
            " OR (kind = 'user' AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = quotas.id))");
    statement_put_number(statement, 1, (int64_t)before_s);
    return statement_run(statement);
}

/* ---- limits of their own */

static const struct quota_own none = {{{QUOTA_GENERAL, QUOTA_GENERAL}, {QUOTA_GENERAL, QUOTA_GENERAL}},
                                      QUOTA_GENERAL};

#define OWN_COLUMNS                                                                                                  \
    "SELECT ifnull(messages_hour, -1), ifnull(messages_day, -1), ifnull(recipients_hour, -1),"                       \
    " ifnull(recipients_day, -1), ifnull(suspend_after, -1) FROM quota_limits l "

static int get_own(struct statement *statement, struct quota_own *out) {
    int found = step(statement);
    *out = none;
    if (found <= 0) return found;
    for (int what = 0; what < QUOTA_WHATS; what++)
        for (int period = 0; period < QUOTA_PERIODS; period++)
            out->most[what][period] = statement_get_number(statement, what * QUOTA_PERIODS + period);
    out->suspend_after = statement_get_number(statement, QUOTA_WHATS * QUOTA_PERIODS);
    statement_reset(statement);
    return 1;
}

int quota_row_own(struct database *db, const struct quota_holder *holder, struct quota_own *out) {
    struct statement *statement;
    *out = none;
    if (holder->kind == QUOTA_SYSTEM) return 0;
    if (holder->kind == QUOTA_USER) return quota_row_own_named(db, holder->id, SPAN(""), SPAN(""), out);
    statement = database_statement(db, OWN_COLUMNS "JOIN credentials c ON c.user_id = l.user_id AND c.kind = l.kind"
                                                   " AND c.name = l.name WHERE c.id = ?1");
    statement_put_number(statement, 1, holder->id);
    return get_own(statement, out);
}

int quota_row_own_named(struct database *db, int64_t user_id, struct span kind, struct span name,
                        struct quota_own *out) {
    struct statement *statement =
        database_statement(db, OWN_COLUMNS "WHERE user_id = ?1 AND kind = ?2 AND name = ?3");
    statement_put_number(statement, 1, user_id);
    statement_put_text(statement, 2, kind);
    statement_put_text(statement, 3, name);
    return get_own(statement, out);
}

int quota_row_set_own(struct database *db, int64_t user_id, struct span kind, struct span name,
                      const struct quota_own *own) {
    struct statement *statement = database_statement(
        db, "INSERT OR REPLACE INTO quota_limits(user_id, kind, name, messages_hour, messages_day, recipients_hour,"
            " recipients_day, suspend_after) VALUES(?1, ?2, ?3, nullif(?4, -1), nullif(?5, -1), nullif(?6, -1),"
            " nullif(?7, -1), nullif(?8, -1))");
    statement_put_number(statement, 1, user_id);
    statement_put_text(statement, 2, kind);
    statement_put_text(statement, 3, name);
    for (int what = 0; what < QUOTA_WHATS; what++)
        for (int period = 0; period < QUOTA_PERIODS; period++)
            statement_put_number(statement, 4 + what * QUOTA_PERIODS + period, own->most[what][period]);
    statement_put_number(statement, 8, own->suspend_after);
    return statement_run(statement) == 1 ? 0 : -1;
}

int quota_row_credential(struct database *db, int64_t credential_id, int64_t *user_id_out, bool *mailbox_out) {
    struct statement *statement =
        database_statement(db, "SELECT user_id, kind = 'mailbox' FROM credentials WHERE id = ?1");
    *user_id_out = 0;
    *mailbox_out = false;
    statement_put_number(statement, 1, credential_id);
    int found = step(statement);
    if (found <= 0) return found;
    *user_id_out = statement_get_number(statement, 0);
    *mailbox_out = statement_get_number(statement, 1) == 1;
    statement_reset(statement);
    return 1;
}

/* ---- for the owner */

void quota_log_holder(struct log_line *line, struct database *db, const struct quota_holder *holder) {
    struct statement *statement =
        holder->kind == QUOTA_USER
            ? database_statement(db, "SELECT login, '' FROM users WHERE id = ?1")
            : database_statement(db, "SELECT u.login, c.name FROM credentials c JOIN users u ON u.id = c.user_id"
                                     " WHERE c.id = ?1");
    if (holder->kind == QUOTA_SYSTEM) {
        log_span(line, KEY_USER, holder->name);
        return;
    }
    statement_put_number(statement, 1, holder->id);
    if (step(statement) <= 0) return;
    log_span(line, KEY_USER, statement_get_text(statement, 0));
    if (holder->kind == QUOTA_CREDENTIAL) log_span(line, KEY_CREDENTIAL, statement_get_text(statement, 1));
    statement_reset(statement);
}

static enum quota_kind read_kind(struct span text) {
    for (unsigned kind = QUOTA_USER; kind <= QUOTA_SYSTEM; kind++)
        if (span_equal(text, span_text(kinds[kind]))) return (enum quota_kind)kind;
    return QUOTA_NOBODY;
}

int quota_row_walk(struct database *db, bool (*each)(void *context, const struct quota_row *row), void *context) {
    struct statement *statement = database_statement(
        db, "SELECT 'user', id, '', login AS who, '', '' FROM users u WHERE suspended <> 0"
            " OR EXISTS (SELECT 1 FROM quotas q WHERE q.kind = 'user' AND q.id = u.id)"
            " OR EXISTS (SELECT 1 FROM quota_limits l WHERE l.user_id = u.id)"
            " UNION ALL SELECT 'credential', c.id, '', login_of, c.kind, c.name FROM"
            " (SELECT credentials.*, users.login AS login_of FROM credentials JOIN users ON users.id = user_id) c"
            " WHERE EXISTS (SELECT 1 FROM quotas q WHERE q.kind = 'credential' AND q.id = c.id)"
            " OR EXISTS (SELECT 1 FROM quota_limits l WHERE l.user_id = c.user_id AND l.kind = c.kind AND l.name = "
            "c.name)"
            " UNION ALL SELECT kind, 0, name, name, '', '' FROM quotas WHERE kind = 'system'"
            " ORDER BY 4, 5, 6");
    int found;
    while ((found = step(statement)) > 0) {
        struct quota_row row = {{read_kind(statement_get_text(statement, 0)), statement_get_number(statement, 1),
                                 statement_get_text(statement, 2)},
                                statement_get_text(statement, 3),
                                statement_get_text(statement, 4),
                                statement_get_text(statement, 5)};
        if (each(context, &row)) continue;
        statement_reset(statement);
        return 0;
    }
    return found;
}
