/* control_credential.c - the command line's verbs about credentials besides the mailbox password.
 * Runs in: auth. Trusts: the database. Never: sees a password, returns a hash. */
#include "auth/control_answer.h"
#include "auth/identity.h"
#include "auth/utf8.h"
#include "store/base64.h"
#include "store/clock.h"

static bool get_login_name(struct control_peer *peer, const struct control_request *request, struct buf *out) {
    if (identity_login_name(control_argument(request, "name"), out)) return true;
    control_end(peer, CONTROL_USAGE,
                "a name to log on with is a full address, or a word of at most 64 letters, digits and . _ - +");
    return false;
}

/* What the command line must know to derive keys: the name in its normal form, the salt (for the separate login name
 * that is in `name`, where there is one), whether there is to be an NT hash too. */
void control_user_enrolment(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    uint8_t storage[ACCOUNT_SALT_BYTES * 2], salt[ACCOUNT_SALT_BYTES], name[ADDRESS_MAX];
    struct buf b = BUF_OVER(storage), separate = BUF_OVER(name);
    struct account account;
    if (!control_answer_user(auth, peer, request, &account)) return;
    if (control_given(request, "name") && !get_login_name(peer, request, &separate)) return;
    identity_salt(&account, buf_span(&separate), salt);
    base64_encode(span_of(salt, sizeof salt), &b);
    control_row_open(&control_answer.row);
    control_row_text(&control_answer.row, "login", account_login(&account));
    control_row_text(&control_answer.row, "salt", buf_span(&b));
    control_row_bool(&control_answer.row, "spa", account.spa);
    (void)control_answer_send(&control_answer);
    control_end(peer, CONTROL_OK, "");
}

/* ---- app passwords */

/* "phone": what the owner calls a device. */
static bool get_name(struct control_peer *peer, const struct control_request *request, struct span *out) {
    *out = control_argument(request, "name");
    bool ok = out->n > 0 && out->n <= CREDENTIAL_NAME_MAX && utf8_clean(*out) && span_trim(*out).n == out->n;
    if (!ok)
        control_end(peer, CONTROL_USAGE,
                    "a name has 1 to 64 octets of UTF-8, without control characters, and no "
                    "blank at either end");
    return ok;
}

/* An age from now, or a day whose end it is (UTC). 0: never. */
static const char *get_expiry(const struct control_request *request, uint64_t *ms_out) {
    struct span text = control_argument(request, "expires");
    const uint64_t now = clock_wall_ms(), day = 24 * 60 * 60 * 1000;
    *ms_out = 0;
    if (!control_given(request, "expires")) return NULL;
    if (clock_read_age(text, ms_out))
        *ms_out += now;
    else if (clock_read_date(text, ms_out))
        *ms_out += day;
    else
        return "--expires takes a number and s, m, h, d or w, or a day: 90d, 2027-01-31";
    return *ms_out <= now ? "that day is over" : NULL;
}

void control_app_add(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct account account;
    struct control_secret secret;
    struct span name;
    enum credential_scope scope;
    uint64_t expires_ms;
    if (!control_answer_user(auth, peer, request, &account) || !get_name(peer, request, &name) ||
        !control_answer_secret(auth, peer, request, &account, CREDENTIAL_APP, account.spa, &secret))
        return;
    int64_t n = credential_count(auth->house.db, account.id, CREDENTIAL_APP);
    const char *wrong = get_expiry(request, &expires_ms);
    if (wrong || !credential_scope_read(control_argument(request, "scope"), &scope))
        control_end(peer, CONTROL_USAGE,
                    wrong ? wrong : "--scope takes smtp or pop3; without it the password is for both");
    else if (n >= CREDENTIAL_APPS_MAX)
        control_end(peer, CONTROL_REFUSED, "this user has 32 app passwords: revoke one first");
    else
        control_answer_change(
            auth, peer,
            n < 0 ? ACCOUNT_CHANGE_FAILED
                  : credential_add_app(auth->house.db, account.id, name, scope, expires_ms, &secret.is),
            request->verb, account_login(&account), "no such user",
            "this user has an app password of this name: revoke it first, or choose another name");
    explicit_bzero(&secret, sizeof secret);
}

void control_app_revoke(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct account account;
    struct span name;
    if (!control_answer_user(auth, peer, request, &account) || !get_name(peer, request, &name)) return;
    control_answer_change(auth, peer, credential_remove(auth->house.db, account.id, CREDENTIAL_APP, name),
                          request->verb, account_login(&account), "this user has no app password of this name", "");
}

static bool row_credential(const struct credential_row *row, enum credential_kind wanted) {
    struct control_answer *to = &control_answer;
    if (row->kind != wanted) return true;
    control_row_open(&to->row);
    control_row_text(&to->row, "login", row->user);
    control_row_text(&to->row, "name", row->name);
    if (wanted == CREDENTIAL_APP)
        control_row_text(&to->row, "scope", span_text(row->scope ? credential_scope_name(row->scope) : "all"));
    control_row_time(&to->row, "created", row->created_ms);
    control_row_time(&to->row, "last_used", row->last_used_ms);
    if (wanted == CREDENTIAL_APP) control_row_time(&to->row, "expires", row->expires_ms);
    return control_answer_send(to);
}

static bool row_app(void *context, const struct credential_row *row) {
    (void)context;
    return row_credential(row, CREDENTIAL_APP);
}

static bool row_login(void *context, const struct credential_row *row) {
    (void)context;
    return row_credential(row, CREDENTIAL_LOGIN);
}

/* Of one user, or of all. */
static void list(struct auth *auth, struct control_peer *peer, const struct control_request *request,
                 bool (*each)(void *context, const struct credential_row *row)) {
    struct account account = {0};
    if (control_given(request, "login") && !control_answer_user(auth, peer, request, &account)) return;
    control_answer_end(credential_list(auth->house.db, account.id, each, NULL));
}

void control_app_list(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    list(auth, peer, request, row_app);
}

/* ---- separate names to log on with */

/* Whether the user has it already. */
static enum account_found owns(struct auth *auth, const struct account *account, struct span name) {
    struct credential credential;
    size_t n;
    int64_t owner;
    enum account_found found =
        credential_of_login(auth->house.db, name, CREDENTIAL_ANY, clock_wall_ms(), &owner, &credential, &n);
    explicit_bzero(&credential, sizeof credential);
    return found == ACCOUNT_FOUND && owner != account->id ? ACCOUNT_NONE : found;
}

void control_login_set(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    bool adds = strcmp(request->verb, "user login add") == 0;
    uint8_t storage[ADDRESS_MAX];
    struct buf name = BUF_OVER(storage);
    struct account account;
    struct control_secret secret;
    if (!control_answer_user(auth, peer, request, &account) || !get_login_name(peer, request, &name) ||
        !control_answer_secret(auth, peer, request, &account, CREDENTIAL_LOGIN, account.spa, &secret))
        return;
    enum account_found has = owns(auth, &account, buf_span(&name));
    enum account_found clash = identity_login_clashes(auth->house.db, buf_span(&name));
    if (has == ACCOUNT_FAILED || clash == ACCOUNT_FAILED)
        control_end(peer, CONTROL_FAILED, "the database could not be read");
    else if (adds ? has == ACCOUNT_FOUND : has == ACCOUNT_NONE)
        control_end(peer, adds ? CONTROL_EXISTS : CONTROL_NOT_FOUND,
                    adds ? "this user has this name to log on with already"
                         : "this user has no such name to log on with");
    else if (adds && clash == ACCOUNT_FOUND)
        control_end(peer, CONTROL_EXISTS, "there is a user or alias of this name");
    else
        control_answer_change(
            auth, peer, credential_set_login(auth->house.db, account.id, buf_span(&name), &secret.is), request->verb,
            account_login(&account), "no such user", "another user has this name to log on with");
    explicit_bzero(&secret, sizeof secret);
}

void control_login_remove(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    uint8_t storage[ADDRESS_MAX];
    struct buf name = BUF_OVER(storage);
    struct account account;
    if (!control_answer_user(auth, peer, request, &account) || !get_login_name(peer, request, &name)) return;
    control_answer_change(auth, peer,
                          credential_remove(auth->house.db, account.id, CREDENTIAL_LOGIN, buf_span(&name)),
                          request->verb, account_login(&account), "this user has no such name to log on with", "");
}

void control_login_list(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    list(auth, peer, request, row_login);
}

/* ---- NTLM */

/* Both are of one password: that which the user has from now on. */
static enum account_change enrol(struct auth *auth, const struct account *account,
                                 const struct credential_secret *secret) {
    struct database *db = auth->house.db;
    if (database_begin(db) != 0) return ACCOUNT_CHANGE_FAILED;
    enum account_change change = account_set_spa(db, account->id, true);
    if (change == ACCOUNT_CHANGED) change = credential_set_mailbox(db, account->id, secret);
    if (change == ACCOUNT_CHANGED && database_commit(db) != 0) change = ACCOUNT_CHANGE_FAILED;
    if (change != ACCOUNT_CHANGED) database_rollback(db);
    return change;
}

void control_spa_enable(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct account account;
    struct control_secret secret;
    if (!control_answer_user(auth, peer, request, &account) ||
        !control_answer_secret(auth, peer, request, &account, CREDENTIAL_MAILBOX, true, &secret))
        return;
    control_answer_change(auth, peer, enrol(auth, &account, &secret.is), request->verb, account_login(&account),
                          "no such user", "");
    explicit_bzero(&secret, sizeof secret);
}

void control_spa_disable(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct account account;
    if (!control_answer_user(auth, peer, request, &account)) return;
    control_answer_change(auth, peer, account_set_spa(auth->house.db, account.id, false), request->verb,
                          account_login(&account), "no such user", "");
}
