/* control_user.c - the command line's verbs about users.
 * Runs in: auth. Trusts: the database. Never: sees a password, returns a hash. */
#include "auth/control_answer.h"
#include "auth/credential.h"
#include "auth/password_format.h"
#include "store/random.h"

static bool get_hash(struct auth *auth, struct control_peer *peer, const struct control_request *request,
                     struct span *out) {
    struct password_cost cost;
    *out = control_argument(request, "hash");
    if (!password_format_read(*out, &cost)) control_end(peer, CONTROL_USAGE, "not an Argon2id hash within 64 MiB");
    if (password_work(&cost) > auth->dearest_work) auth->dearest_work = password_work(&cost);
    return cost.passes > 0;
}

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

void control_user_add(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct key key;
    struct credential_secret secret = {0};
    uint8_t salt[ACCOUNT_SALT_BYTES];
    bool failed;
    if (!control_answer_login(auth, peer, request, &key) || !get_hash(auth, peer, request, &secret.hash)) return;
    if (key.local_n == 0 || key.octets[0] == '.' || key.octets[0] == '"' || span_find(key_span(&key), '/') < key.n)
        control_end(peer, CONTROL_REFUSED, "a login is a directory's name too: no quotes, slashes or leading dot");
    else if (!house_local_domain(&auth->house, key_domain(&key)))
        control_end(peer, CONTROL_REFUSED, control_answer_foreign(&key));
    else if (is_alias(auth, &key, &failed) || failed)
        control_end(peer, failed ? CONTROL_FAILED : CONTROL_EXISTS, "there is an alias of this name");
    else if (random_draw(salt, sizeof salt) != 0)
        control_end(peer, CONTROL_FAILED, "no random numbers");
    else
        control_answer_change(auth, peer, account_add(auth->house.db, key_span(&key), salt, &secret), "user add",
                              key_span(&key), "", "there is a user of this name");
}

void control_user_passwd(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct key key;
    struct account account;
    struct credential_secret secret = {0};
    if (!control_answer_login(auth, peer, request, &key) || !get_hash(auth, peer, request, &secret.hash)) return;
    enum account_found found = account_find(auth->house.db, key_span(&key), &account);
    enum account_change change = found == ACCOUNT_FOUND
                                     ? credential_set_mailbox(auth->house.db, account.id, &secret)
                                     : (found == ACCOUNT_NONE ? ACCOUNT_MISSING : ACCOUNT_CHANGE_FAILED);
    control_answer_change(auth, peer, change, "user passwd", key_span(&key), "no such user", "");
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
    if (control_answer_login(auth, peer, request, &key))
        control_answer_change(auth, peer, account_enable(auth->house.db, key_span(&key), enable), request->verb,
                              key_span(&key), "no such user", "");
}

static bool row_user(void *context, const struct account_row *row) {
    struct control_answer *to = context;
    control_row_open(&to->row);
    control_row_text(&to->row, "login", row->login);
    control_row_bool(&to->row, "enabled", row->enabled);
    control_row_time(&to->row, "created", row->created_ms);
    control_row_bool(&to->row, "password", row->hash.n > 0);
    return control_answer_send(to);
}

void control_user_list(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    (void)peer;
    (void)request;
    control_answer_end(account_users(auth->house.db, 0, row_user, &control_answer));
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

void control_user_show(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct account account;
    struct key key;
    if (!control_answer_login(auth, peer, request, &key)) return;
    enum account_found found = account_find(auth->house.db, key_span(&key), &account);
    if (found != ACCOUNT_FOUND) {
        control_end(peer, found == ACCOUNT_NONE ? CONTROL_NOT_FOUND : CONTROL_FAILED, "no such user");
        return;
    }
    struct aliases_of of = {&control_answer, key_span(&key)};
    control_row_open(&control_answer.row);
    control_row_text(&control_answer.row, "login", account_login(&account));
    control_row_bool(&control_answer.row, "enabled", account.enabled);
    control_row_time(&control_answer.row, "created", account.created_ms);
    bool ok = account_aliases(auth->house.db, span_of(NULL, 0), add_alias, &of) == ACCOUNT_FOUND &&
              account_senders(auth->house.db, key_span(&key), add_pattern, &control_answer) == ACCOUNT_FOUND;
    if (ok) (void)control_answer_send(&control_answer);
    control_answer_end(ok ? ACCOUNT_FOUND : ACCOUNT_FAILED);
}
