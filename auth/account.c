/* account.c - the statements about users, senders and aliases.
 * Runs in: auth. Trusts: the database. Never: checks a password, decides. */
#include "auth/account.h"

#include "auth/credential.h"
#include "store/clock.h"
#include "store/log.h"

static int64_t now(void) {
    return (int64_t)(clock_wall_ms() / 1000);
}

static uint64_t get_ms(struct statement *statement, int column) {
    return (uint64_t)statement_get_number(statement, column) * 1000;
}

static enum account_found read_account(struct statement *statement, struct account *out) {
    *out = (struct account){0};
    enum database_step step = statement_step(statement);
    if (step != DATABASE_ROW) return step == DATABASE_DONE ? ACCOUNT_NONE : ACCOUNT_FAILED;
    struct span login = statement_get_text(statement, 1);
    struct span salt = statement_get_text(statement, 4);
    bool fits = login.n > 0 && login.n <= sizeof out->login_octets && salt.n == sizeof out->salt;
    if (fits) {
        out->id = statement_get_number(statement, 0);
        memcpy(out->login_octets, login.p, login.n);
        out->login_n = login.n;
        out->enabled = statement_get_number(statement, 2) == 1;
        out->created_ms = get_ms(statement, 3);
        memcpy(out->salt, salt.p, salt.n);
        out->suspended_ms = get_ms(statement, 5);
        out->spa = statement_get_number(statement, 6) == 1;
    }
    statement_reset(statement);
    return fits ? ACCOUNT_FOUND : ACCOUNT_FAILED;
}

#define COLUMNS "SELECT id, login, enabled, created, salt, suspended, spa FROM users "

enum account_found account_find(struct database *db, struct span login, struct account *out) {
    struct statement *statement = database_statement(db, COLUMNS "WHERE login = ?1");
    statement_put_text(statement, 1, login);
    return read_account(statement, out);
}

enum account_found account_of(struct database *db, int64_t id, struct account *out) {
    struct statement *statement = database_statement(db, COLUMNS "WHERE id = ?1");
    statement_put_number(statement, 1, id);
    return read_account(statement, out);
}

enum account_found account_first(struct database *db, struct account *out) {
    return read_account(database_statement(db, COLUMNS "ORDER BY enabled DESC, id LIMIT 1"), out);
}

enum account_found account_salt_key(struct database *db, uint8_t key_out[ACCOUNT_SALT_KEY_BYTES]) {
    struct statement *statement = database_statement(db, "SELECT value FROM secrets WHERE name = 'salt-key'");
    memset(key_out, 0, ACCOUNT_SALT_KEY_BYTES);
    enum database_step step = statement_step(statement);
    if (step != DATABASE_ROW) return step == DATABASE_DONE ? ACCOUNT_NONE : ACCOUNT_FAILED;
    struct span key = statement_get_text(statement, 0);
    bool fits = key.n == ACCOUNT_SALT_KEY_BYTES;
    if (fits) memcpy(key_out, key.p, key.n);
    statement_reset(statement);
    return fits ? ACCOUNT_FOUND : ACCOUNT_FAILED;
}

static enum account_change outcome(int changed, enum account_change when_none) {
    return changed < 0 ? ACCOUNT_CHANGE_FAILED : changed == 0 ? when_none : ACCOUNT_CHANGED;
}

static struct {
    void (*changed)(void *context, int64_t user_id, int64_t gone);
    void *context;
} watchers[ACCOUNT_WATCHERS];

void account_watch(void (*changed)(void *context, int64_t user_id, int64_t gone), void *context) {
    size_t n = 0;
    while (n < ACCOUNT_WATCHERS && watchers[n].changed) n++;
    if (n == ACCOUNT_WATCHERS) log_bug("too many who watch accounts");
    watchers[n].changed = changed;
    watchers[n].context = context;
}

static void tell(int64_t user_id, int64_t gone) {
    for (size_t i = 0; i < ACCOUNT_WATCHERS && watchers[i].changed; i++)
        watchers[i].changed(watchers[i].context, user_id, gone);
}

/* What the open change has changed. */
static struct {
    size_t n;
    int64_t user_id, gone; /* of the only one */
} pending;

static void end_change(bool kept) {
    size_t n = pending.n;
    pending.n = 0;
    if (kept && n) tell(n == 1 ? pending.user_id : 0, n == 1 ? pending.gone : 0);
}

void account_changed(struct database *db, int64_t user_id, int64_t gone) {
    if (!database_changing(db)) {
        tell(user_id, gone);
        return;
    }
    database_on_end(db, end_change);
    pending.n++;
    pending.user_id = user_id;
    pending.gone = gone;
}

static enum account_change insert_user(struct database *db, struct span login,
                                       const uint8_t salt[ACCOUNT_SALT_BYTES]) {
    struct statement *statement =
        database_statement(db, "INSERT INTO users(login, created, salt) VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING");
    statement_put_text(statement, 1, login);
    statement_put_number(statement, 2, now());
    statement_put_blob(statement, 3, span_of(salt, ACCOUNT_SALT_BYTES));
    return outcome(statement_run(statement), ACCOUNT_EXISTS);
}

enum account_change account_add(struct database *db, struct span login, const uint8_t salt[ACCOUNT_SALT_BYTES],
                                const struct credential_secret *mailbox) {
    if (database_begin(db) != 0) return ACCOUNT_CHANGE_FAILED;
    enum account_change change = insert_user(db, login, salt);
    int64_t id = database_last_id(db);
    if (change == ACCOUNT_CHANGED && mailbox)
        change = credential_set_mailbox(db, id, mailbox);
    else if (change == ACCOUNT_CHANGED)
        account_changed(db, id, 0);
    if (change == ACCOUNT_CHANGED && database_commit(db) != 0) change = ACCOUNT_CHANGE_FAILED;
    if (change != ACCOUNT_CHANGED) database_rollback(db);
    return change;
}

enum account_change account_remove(struct database *db, struct span login) {
    struct account account;
    enum account_found found = account_find(db, login, &account);
    if (found != ACCOUNT_FOUND) return found == ACCOUNT_NONE ? ACCOUNT_MISSING : ACCOUNT_CHANGE_FAILED;
    struct statement *statement = database_statement(db, "DELETE FROM users WHERE id = ?1");
    statement_put_number(statement, 1, account.id);
    enum account_change change = outcome(statement_run(statement), ACCOUNT_MISSING);
    if (change == ACCOUNT_CHANGED) account_changed(db, account.id, ACCOUNT_GONE_ALL);
    return change;
}

enum account_change account_enable(struct database *db, struct span login, bool enabled) {
    struct account account;
    enum account_found found = account_find(db, login, &account);
    if (found != ACCOUNT_FOUND) return found == ACCOUNT_NONE ? ACCOUNT_MISSING : ACCOUNT_CHANGE_FAILED;
    struct statement *statement =
        database_statement(db, "UPDATE users SET enabled = ?2, suspended = iif(?2, 0, suspended) WHERE id = ?1");
    statement_put_number(statement, 1, account.id);
    statement_put_number(statement, 2, enabled);
    enum account_change change = outcome(statement_run(statement), ACCOUNT_MISSING);
    if (change == ACCOUNT_CHANGED) account_changed(db, account.id, 0);
    return change;
}

enum account_change account_suspend(struct database *db, int64_t id, uint64_t since_ms) {
    struct statement *statement = database_statement(db, "UPDATE users SET suspended = ?2 WHERE id = ?1");
    statement_put_number(statement, 1, id);
    statement_put_number(statement, 2, (int64_t)(since_ms / 1000));
    enum account_change change = outcome(statement_run(statement), ACCOUNT_MISSING);
    if (change == ACCOUNT_CHANGED) account_changed(db, id, 0);
    return change;
}

enum account_change account_set_spa(struct database *db, int64_t id, bool enrolled) {
    if (database_begin(db) != 0) return ACCOUNT_CHANGE_FAILED;
    struct statement *statement = database_statement(db, "UPDATE users SET spa = ?2 WHERE id = ?1");
    statement_put_number(statement, 1, id);
    statement_put_number(statement, 2, enrolled);
    enum account_change change = outcome(statement_run(statement), ACCOUNT_MISSING);
    if (change == ACCOUNT_CHANGED && !enrolled) {
        statement = database_statement(db, "UPDATE credentials SET nt = NULL WHERE user_id = ?1");
        statement_put_number(statement, 1, id);
        if (statement_run(statement) < 0) change = ACCOUNT_CHANGE_FAILED;
    }
    if (change == ACCOUNT_CHANGED && database_commit(db) != 0) change = ACCOUNT_CHANGE_FAILED;
    if (change == ACCOUNT_CHANGED)
        account_changed(db, id, 0);
    else
        database_rollback(db);
    return change;
}

enum account_change account_allow(struct database *db, struct span login, struct span pattern) {
    struct account account;
    enum account_found found = account_find(db, login, &account);
    if (found != ACCOUNT_FOUND) return found == ACCOUNT_NONE ? ACCOUNT_MISSING : ACCOUNT_CHANGE_FAILED;
    struct statement *statement =
        database_statement(db, "INSERT INTO senders(user_id, pattern) VALUES(?1, ?2) ON CONFLICT DO NOTHING");
    statement_put_number(statement, 1, account.id);
    statement_put_text(statement, 2, pattern);
    return outcome(statement_run(statement), ACCOUNT_EXISTS);
}

enum account_change account_deny(struct database *db, struct span login, struct span pattern) {
    struct statement *statement = database_statement(
        db, "DELETE FROM senders WHERE pattern = ?2 AND user_id = (SELECT id FROM users WHERE login = ?1)");
    statement_put_text(statement, 1, login);
    statement_put_text(statement, 2, pattern);
    return outcome(statement_run(statement), ACCOUNT_MISSING);
}

enum account_change account_alias_add(struct database *db, struct span address, struct span target, bool forward) {
    struct statement *statement = database_statement(
        db, "INSERT INTO aliases(address, target, forward, created) VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING");
    statement_put_text(statement, 1, address);
    statement_put_text(statement, 2, target);
    statement_put_number(statement, 3, forward);
    statement_put_number(statement, 4, now());
    return outcome(statement_run(statement), ACCOUNT_EXISTS);
}

enum account_change account_alias_remove(struct database *db, struct span address, struct span target) {
    struct statement *statement =
        database_statement(db, "DELETE FROM aliases WHERE address = ?1 AND (?2 = '' OR target = ?2)");
    statement_put_text(statement, 1, address);
    statement_put_text(statement, 2, target);
    return outcome(statement_run(statement), ACCOUNT_MISSING);
}

/* Steps through the rows; `fill` makes one of the statement's columns. */
static enum account_found walk(struct statement *statement, void (*fill)(struct statement *, struct account_row *),
                               bool (*each)(void *context, const struct account_row *row), void *context) {
    for (;;) {
        struct account_row row = {0};
        enum database_step step = statement_step(statement);
        if (step != DATABASE_ROW) return step == DATABASE_DONE ? ACCOUNT_FOUND : ACCOUNT_FAILED;
        fill(statement, &row);
        if (each(context, &row)) continue;
        statement_reset(statement);
        return ACCOUNT_FOUND;
    }
}

static void fill_user(struct statement *statement, struct account_row *row) {
    row->id = statement_get_number(statement, 0);
    row->login = statement_get_text(statement, 1);
    row->enabled = statement_get_number(statement, 2) == 1;
    row->created_ms = get_ms(statement, 3);
    row->hash = statement_get_text(statement, 4);
    row->suspended_ms = get_ms(statement, 5);
}

#define USERS                                                                                                        \
    "SELECT u.id, u.login, enabled, u.created, hash, suspended FROM users u"                                         \
    " LEFT JOIN credentials c ON c.user_id = u.id AND kind = 'mailbox' "

enum account_found account_users(struct database *db, int64_t id,
                                 bool (*each)(void *context, const struct account_row *row), void *context) {
    struct statement *statement =
        id ? database_statement(db, USERS "WHERE u.id = ?1") : database_statement(db, USERS "ORDER BY u.login");
    if (id) statement_put_number(statement, 1, id);
    return walk(statement, fill_user, each, context);
}

static void fill_sender(struct statement *statement, struct account_row *row) {
    row->login = statement_get_text(statement, 0);
    row->pattern = statement_get_text(statement, 1);
}

enum account_found account_senders(struct database *db, struct span login,
                                   bool (*each)(void *context, const struct account_row *row), void *context) {
    struct statement *statement =
        login.n
            ? database_statement(db, "SELECT login, pattern FROM senders JOIN users ON id = user_id WHERE login = ?1")
            : database_statement(db, "SELECT login, pattern FROM senders JOIN users ON id = user_id ORDER BY login");
    if (login.n) statement_put_text(statement, 1, login);
    return walk(statement, fill_sender, each, context);
}

static void fill_alias(struct statement *statement, struct account_row *row) {
    row->address = statement_get_text(statement, 0);
    row->target = statement_get_text(statement, 1);
    row->forward = statement_get_number(statement, 2) == 1;
    row->created_ms = get_ms(statement, 3);
}

enum account_found account_aliases(struct database *db, struct span address,
                                   bool (*each)(void *context, const struct account_row *row), void *context) {
    struct statement *statement =
        address.n ? database_statement(db, "SELECT address, target, forward, created FROM aliases WHERE address = ?1")
                  : database_statement(
                        db, "SELECT address, target, forward, created FROM aliases ORDER BY address, target");
    if (address.n) statement_put_text(statement, 1, address);
    return walk(statement, fill_alias, each, context);
}

int64_t account_count(struct database *db) {
    struct statement *statement = database_statement(db, "SELECT count(*) FROM users");
    if (statement_step(statement) != DATABASE_ROW) return -1;
    int64_t count = statement_get_number(statement, 0);
    statement_reset(statement);
    return count;
}
