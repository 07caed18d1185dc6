/* control_user.c - the command line's verbs about users.
 * Runs in: auth. Trusts: the database. Never: sees a password, returns a hash. */
#include "auth/control_answer.h"
#include "auth/identity.h"
#include "auth/password_app.h"
#include "auth/password_format.h"

#include <stdio.h>

static bool stop_at_first(void *context, const struct account_row *row) {
    bool *any = context;
    (void)row;
    *any = true;
    return false;
}

static bool is_alias(struct auth *auth, const struct key *key, bool *failed) {
    bool any = false;
    *failed = account_aliases(auth->house.db, key_span(key), stop_at_first, &any) == ACCOUNT_FAILED;
    return any;
}

const char *control_user_fault(struct auth *auth, const struct key *key, enum control_exit *code_out) {
    bool failed;
    *code_out = CONTROL_REFUSED;
    if (key->local_n == 0 || key->octets[0] == '.' || key->octets[0] == '"' || span_find(key_span(key), '/') < key->n)
        return "a login is a directory's name too: no quotes, slashes or leading dot";
    if (!house_local_domain(&auth->house, key_domain(key))) return control_answer_foreign(key);
    bool alias = is_alias(auth, key, &failed);
    enum account_found clash = identity_address_clashes(auth->house.db, key);
    failed = failed || clash == ACCOUNT_FAILED;
    if (!failed && !alias && clash == ACCOUNT_NONE) return NULL;
    *code_out = failed ? CONTROL_FAILED : CONTROL_EXISTS;
    if (failed) return "the database could not be read";
    return alias ? "there is an alias of this name" : "a user logs on with this name (user login list)";
}

void control_user_add(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct key key;
    struct control_secret secret;
    enum control_exit code;
    if (!control_answer_login(auth, peer, request, &key) ||
        !control_answer_secret(auth, peer, request, NULL, CREDENTIAL_MAILBOX, false, &secret))
        return;
    const char *fault = control_user_fault(auth, &key, &code);
    if (fault)
        control_end(peer, code, fault);
    else
        control_answer_change(auth, peer, account_add(auth->house.db, key_span(&key), secret.salt, &secret.is),
                              "user add", key_span(&key), "", "there is a user of this name");
    explicit_bzero(&secret, sizeof secret);
}

void control_user_passwd(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct account account;
    struct control_secret secret;
    if (!control_answer_user(auth, peer, request, &account) ||
        !control_answer_secret(auth, peer, request, &account, CREDENTIAL_MAILBOX, account.spa, &secret))
        return;
    control_answer_change(auth, peer, credential_set_mailbox(auth->house.db, account.id, &secret.is), "user passwd",
                          account_login(&account), "no such user", "");
    explicit_bzero(&secret, sizeof secret);
}

void control_user_remove(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct key key;
    if (control_answer_login(auth, peer, request, &key))
        control_answer_change(auth, peer, account_remove(auth->house.db, key_span(&key)), "user remove",
                              key_span(&key), "no such user", "");
}

void control_user_enable(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    bool enable = strcmp(request->verb, "user enable") == 0;
    struct key key;
    if (!control_answer_login(auth, peer, request, &key)) return;
    enum account_change change = account_enable(auth->house.db, key_span(&key), enable);
    if (enable) change = control_quota_lift(auth, &key, change);
    control_answer_change(auth, peer, change, request->verb, key_span(&key), "no such user", "");
}

/* Ours is made of the password at hand; another waits for the first login that shows the password. */
static bool is_imported(struct span hash) {
    struct password_cost cost;
    return hash.n && !password_app_is(hash) &&
           !(password_format_read(hash, &cost) && cost.scheme == PASSWORD_ARGON2ID);
}

struct users {
    struct control_answer *to;
    size_t waiting;
};

static bool row_user(void *context, const struct account_row *row) {
    struct users *users = context;
    struct control_row *to = &users->to->row;
    bool imported = is_imported(row->hash);
    users->waiting += imported;
    control_row_open(to);
    control_row_text(to, "login", row->login);
    control_row_bool(to, "enabled", row->enabled);
    control_row_time(to, "created", row->created_ms);
    control_row_bool(to, "password", row->hash.n > 0);
    control_row_bool(to, "imported", imported);
    control_row_bool(to, "suspended", row->suspended_ms > 0);
    return control_answer_send(users->to);
}

/* How many there are is said to people; a program counts. */
void control_user_list(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct users users = {&control_answer, 0};
    char text[160] = "";
    enum account_found found = account_users(auth->house.db, 0, row_user, &users);
    if (found == ACCOUNT_FOUND && users.waiting && !control_given(request, "json"))
        snprintf(text, sizeof text,
                 "%zu of %zu users wait for their first login here, which replaces the imported hash", users.waiting,
                 users.to->n);
    if (found == ACCOUNT_FOUND)
        control_end(peer, CONTROL_OK, text);
    else
        control_answer_end(found);
}

static bool add_pattern(void *context, const struct account_row *row) {
    struct control_answer *to = context;
    control_row_text(&to->row, "sender", row->pattern);
    return to->row.b.n < sizeof to->row.storage / 2;
}

struct aliases_of {
    struct control_answer *to;
    struct span login;
};

static bool add_alias(void *context, const struct account_row *row) {
    struct aliases_of *of = context;
    if (span_equal(row->target, of->login)) control_row_text(&of->to->row, "alias", row->address);
    return of->to->row.b.n < sizeof of->to->row.storage / 2;
}

/* "ARGON2ID", or the name that another server has for what was imported; "app" for the fast one. */
static struct span hash_name(struct span hash) {
    struct password_cost cost;
    if (password_app_is(hash)) return SPAN("app");
    return span_text(password_scheme_name(password_format_read(hash, &cost) ? cost.scheme : PASSWORD_NONE));
}

static bool row_credential(void *context, const struct credential_row *row) {
    struct control_answer *to = context;
    control_row_open(&to->row);
    control_row_text(&to->row, "credential", span_text(credential_kind_name(row->kind)));
    control_row_text(&to->row, "name", row->name);
    control_row_text(&to->row, "scope", span_text(row->scope ? credential_scope_name(row->scope) : "all"));
    control_row_time(&to->row, "created", row->created_ms);
    control_row_time(&to->row, "last_used", row->last_used_ms);
    control_row_time(&to->row, "expires", row->expires_ms);
    control_row_text(&to->row, "hash", hash_name(row->hash));
    control_row_bool(&to->row, "scram", row->has_scram);
    control_row_bool(&to->row, "spa", row->has_nt);
    return control_answer_send(to);
}

/* One row about the user, then one for each credential. */
void control_user_show(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct account account;
    if (!control_answer_user(auth, peer, request, &account)) return;
    struct database *db = auth->house.db;
    struct aliases_of of = {&control_answer, account_login(&account)};
    control_row_open(&control_answer.row);
    control_row_text(&control_answer.row, "login", account_login(&account));
    control_row_bool(&control_answer.row, "enabled", account.enabled);
    control_row_time(&control_answer.row, "suspended", account.suspended_ms);
    control_row_bool(&control_answer.row, "spa", account.spa);
    control_row_time(&control_answer.row, "created", account.created_ms);
    bool ok = account_aliases(db, span_of(NULL, 0), add_alias, &of) == ACCOUNT_FOUND &&
              account_senders(db, account_login(&account), add_pattern, &control_answer) == ACCOUNT_FOUND &&
              control_quota_show(auth, &account);
    if (ok) (void)control_answer_send(&control_answer);
    control_answer_end(ok ? credential_list(db, account.id, row_credential, &control_answer) : ACCOUNT_FAILED);
}
