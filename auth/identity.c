/* identity.c - from a typed name to the account and the credentials that may open it.
 * Runs in: auth. Trusts: the database. Never: hands out a credential that has expired or is for something else. */
#include "auth/identity.h"

#include "auth/facts.h"
#include "auth/siphash.h"
#include "store/wire.h"

_Static_assert((int)ACCOUNT_SALT_BYTES == (int)SIPHASH_KEY_BYTES && ACCOUNT_SALT_BYTES == 2 * sizeof(uint64_t),
               "a salt is a key, and two hashes");

static bool is_word_octet(uint8_t c, bool first) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) return true;
    return !first && (c == '.' || c == '_' || c == '-' || c == '+');
}

bool identity_login_name(struct span typed, struct buf *out) {
    struct key key;
    if (span_find(typed, '@') < typed.n) {
        if (!key_parse(&key, typed)) return false;
        buf_put_span(out, key_span(&key));
        return buf_ok(out);
    }
    if (typed.n == 0 || typed.n > ADDRESS_LOCAL_MAX) return false;
    for (size_t i = 0; i < typed.n; i++) {
        uint8_t c = octet_lower(typed.p[i]);
        if (!is_word_octet(c, i == 0)) return false;
        buf_put_octet(out, c);
    }
    return buf_ok(out);
}

static enum account_found any_row(struct statement *statement) {
    enum database_step step = statement_step(statement);
    if (step == DATABASE_ROW) statement_reset(statement);
    return step == DATABASE_ROW ? ACCOUNT_FOUND : step == DATABASE_DONE ? ACCOUNT_NONE : ACCOUNT_FAILED;
}

enum account_found identity_login_clashes(struct database *db, struct span login_name) {
    struct statement *statement =
        span_find(login_name, '@') < login_name.n
            ? database_statement(db, "SELECT 1 FROM users WHERE login = ?1"
                                     " UNION ALL SELECT 1 FROM aliases WHERE address = ?1")
            : database_statement(db, "SELECT 1 FROM users WHERE substr(login, 1, length(?1) + 1) = ?1 || '@'"
                                     " UNION ALL"
                                     " SELECT 1 FROM aliases WHERE substr(address, 1, length(?1) + 1) = ?1 || '@'");
    statement_put_text(statement, 1, login_name);
    return any_row(statement);
}

enum account_found identity_address_clashes(struct database *db, const struct key *address) {
    struct statement *statement = database_statement(db, "SELECT 1 FROM credentials WHERE login IN (?1, ?2)");
    statement_put_text(statement, 1, key_span(address));
    statement_put_text(statement, 2, key_local(address));
    return any_row(statement);
}

static enum account_found find_login(const struct house *house, struct span typed, enum credential_scope scope,
                                     uint64_t now_ms, struct identity *out) {
    uint8_t storage[ADDRESS_MAX];
    struct buf b = BUF_OVER(storage);
    int64_t user_id;
    if (!identity_login_name(typed, &b)) return ACCOUNT_NONE;
    enum account_found found =
        credential_of_login(house->db, buf_span(&b), scope, now_ms, &user_id, out->credentials, &out->n);
    return found == ACCOUNT_FOUND ? account_of(house->db, user_id, &out->account) : found;
}

static enum account_found find_user(const struct house *house, struct span typed, enum credential_scope scope,
                                    uint64_t now_ms, struct identity *out) {
    struct key key;
    if (!facts_login_name(house, typed, &key)) return ACCOUNT_NONE;
    enum account_found found = account_find(house->db, key_span(&key), &out->account);
    if (found != ACCOUNT_FOUND) return found;
    return credential_of_user(house->db, out->account.id, scope, now_ms, out->credentials, &out->n);
}

enum account_found identity_find(const struct house *house, struct span typed, enum credential_scope scope,
                                 uint64_t now_ms, struct identity *out) {
    *out = (struct identity){0};
    enum account_found found = find_login(house, typed, scope, now_ms, out);
    bool separate = found == ACCOUNT_FOUND;
    if (found == ACCOUNT_NONE) found = find_user(house, typed, scope, now_ms, out);
    out->separate = separate;
    if (found == ACCOUNT_FOUND && out->account.enabled) return found;
    struct account account = out->account;
    identity_wipe(out);
    if (found == ACCOUNT_FOUND) out->account = account, out->separate = separate;
    return found;
}

void identity_salt(const struct account *account, struct span separate, uint8_t salt_out[ACCOUNT_SALT_BYTES]) {
    uint8_t text[ADDRESS_MAX + 1];
    struct buf salt = buf_over(salt_out, ACCOUNT_SALT_BYTES);
    memcpy(salt_out, account->salt, ACCOUNT_SALT_BYTES);
    if (separate.n == 0) return;
    for (uint8_t half = 0; half < 2; half++) {
        struct buf b = BUF_OVER(text);
        buf_put_octet(&b, half);
        buf_put_span(&b, separate);
        wire_put_u64(&salt, siphash(account->salt, buf_span(&b)));
    }
}

void identity_wipe(struct identity *identity) {
    explicit_bzero(identity, sizeof *identity);
}
