/* control_import.c - the command line's verbs about all users at once.
 *   user import: begin=yes forgets what came before; users= lines of "number TAB 1 or 0 (disabled) TAB login TAB
 * hash", whose faults come back as rows (line, why) and end the import; replace=yes lets users exist; end=check
 * answers how many would be (rows added, replaced), end=keep makes them, all or none. user export: rows (login,
 * password as Dovecot reads it, locked, home, uid, gid). Runs in: auth. Trusts: peers whose uid the kernel vouched
 * for, who may read the database's file as well. Never: sees a password, keeps a part of an import. */
#include "auth/account_import.h"
#include "auth/control_answer.h"
#include "auth/password_format.h"
#include "store/log.h"

#include <stdio.h>
#include <stdlib.h>

enum { FAULTS_MAX = 100 }; /* told of one request */

static struct {
    const struct control_peer *peer; /* whose import it is; NULL: nobody's */
    struct account_import_count count;
    uint64_t work; /* of its dearest hash */
    size_t faults;
} import;

struct user {
    uint64_t line;
    bool enabled;
    struct span login, hash;
};

static struct span take_field(struct span *rest, uint8_t end) {
    struct span field = span_part(*rest, 0, span_find(*rest, end));
    *rest = span_from(*rest, field.n + 1);
    return field;
}

static bool read_user(struct span line, struct user *out) {
    bool number = span_number(take_field(&line, '\t'), UINT32_MAX, &out->line);
    struct span enabled = take_field(&line, '\t');
    out->enabled = span_equal(enabled, SPAN("1"));
    out->login = take_field(&line, '\t');
    out->hash = line;
    return number && (out->enabled || span_equal(enabled, SPAN("0")));
}

/* Why this one cannot be; NULL: it has been gathered. */
static const char *gather(struct auth *auth, const struct user *user, bool replace) {
    static const char unread[] = "the database could not be read";
    struct password_cost cost;
    struct account account;
    enum control_exit code;
    struct key key;
    if (!facts_login_name(&auth->house, user->login, &key)) return "not a full address";
    const char *fault = password_format_fault(user->hash, &cost);
    if (fault) return fault;
    enum account_found found = account_find(auth->house.db, key_span(&key), &account);
    if (found == ACCOUNT_FAILED) return unread;
    if (found == ACCOUNT_FOUND && !replace) return "there is a user of this name; --replace gives this password";
    if (found == ACCOUNT_NONE && (fault = control_user_fault(auth, &key, &code))) return fault;
    if (import.count.added + import.count.replaced == ACCOUNT_IMPORT_MAX)
        return "more than 100000 users at a time: import the file in parts";
    enum account_change change = account_import_add(auth->house.db, key_span(&key), user->hash, user->enabled);
    if (change == ACCOUNT_EXISTS) return "this user has been on a line before";
    if (change != ACCOUNT_CHANGED) return "too little memory";
    if (password_work(&cost) > import.work) import.work = password_work(&cost);
    (*(found == ACCOUNT_FOUND ? &import.count.replaced : &import.count.added))++;
    return NULL;
}

static bool gather_all(struct auth *auth, struct span users, bool replace) {
    struct control_row *row = &control_answer.row;
    struct user user;
    while (users.n && import.faults < FAULTS_MAX) {
        if (!read_user(take_field(&users, '\n'), &user)) return false;
        const char *fault = gather(auth, &user, replace);
        if (!fault) continue;
        import.faults++;
        control_row_open(row);
        control_row_number(row, "line", user.line);
        control_row_text(row, "login", user.login);
        control_row_text(row, "why", span_text(fault));
        if (!control_answer_send(&control_answer)) break;
    }
    return true;
}

static void say_counts(void) {
    control_row_open(&control_answer.row);
    control_row_number(&control_answer.row, "added", import.count.added);
    control_row_number(&control_answer.row, "replaced", import.count.replaced);
    (void)control_answer_send(&control_answer);
}

static void keep(struct auth *auth, struct control_peer *peer) {
    char who[64], why[128];
    enum account_change change = account_import_commit(auth->house.db, &import.count);
    import.peer = NULL;
    if (change != ACCOUNT_CHANGED) {
        snprintf(why, sizeof why, "nothing was imported: %s", database_why(auth->house.db));
        control_end(peer, CONTROL_FAILED, why);
        return;
    }
    if (import.work > auth->dearest_work) auth->dearest_work = import.work;
    say_counts();
    snprintf(who, sizeof who, "%lu new, %lu replaced", (unsigned long)import.count.added,
             (unsigned long)import.count.replaced);
    control_answer_changed(auth, peer, "user import", span_text(who), "");
}

void control_user_import(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct span end = control_argument(request, "end");
    bool begins = control_given(request, "begin");
    if (begins && account_import_begin(auth->house.db) != 0) {
        control_end(peer, CONTROL_FAILED, "too little memory");
        return;
    }
    if (begins) memset(&import, 0, sizeof import), import.peer = peer;
    if (import.peer != peer) {
        control_end(peer, CONTROL_REFUSED, "another import came between; nothing was imported");
        return;
    }
    bool sound = gather_all(auth, control_argument(request, "users"), control_given(request, "replace"));
    if (!sound || import.faults) import.peer = NULL;
    if (!sound)
        control_end(peer, CONTROL_USAGE, "malformed");
    else if (import.faults)
        control_end(peer, CONTROL_REFUSED, import.faults == FAULTS_MAX ? "there may be more" : "");
    else if (span_equal(end, SPAN("keep")))
        keep(auth, peer);
    else {
        if (span_equal(end, SPAN("check"))) say_counts();
        control_end(peer, CONTROL_OK, "");
    }
}

/* ---- user export */

struct export {
    const struct auth_setup *setup;
    struct control_peer *peer;
    uint8_t after[ADDRESS_MAX]; /* the login that was sent last */
    size_t after_n, sent;
};

static struct control_row row; /* not an answer's: the export goes on between answers */

static bool send_user(void *context, const struct account_row *user) {
    struct export *export = context;
    uint8_t home[4096 + 2 * ADDRESS_MAX], password[256];
    struct buf b = BUF_OVER(password), at = BUF_OVER(home);
    if (user->hash.n) password_format_dovecot(user->hash, &b);
    if (!dovecot_export_home(export->setup, user->login, &at)) buf_clear(&at);
    control_row_open(&row);
    control_row_text(&row, "login", user->login);
    control_row_text(&row, "password", buf_span(&b));
    control_row_bool(&row, "locked", !user->enabled || user->suspended_ms || !user->hash.n);
    control_row_text(&row, "home", buf_span(&at));
    control_row_number(&row, "uid", export->setup->mail_uid);
    control_row_number(&row, "gid", export->setup->mail_gid);
    bool there = control_row_send(&row, export->peer);
    explicit_bzero(password, sizeof password);
    explicit_bzero(row.storage, row.b.n);
    export->sent++;
    if (user->login.n > sizeof export->after) log_bug("a login is longer than an address");
    export->after_n = user->login.n;
    memcpy(export->after, user->login.p, export->after_n);
    return there;
}

static void send_more(void *context, struct control_peer *peer, void *state) {
    struct auth *auth = context;
    struct export *export = state;
    size_t before = export->sent;
    struct span after = span_of(export->after, export->after_n);
    uint8_t copy[ADDRESS_MAX];
    if (after.n) memcpy(copy, after.p, after.n);
    export->setup = &auth->setup;
    export->peer = peer;
    if (account_import_users_after(auth->house.db, span_of(copy, after.n), send_user, export) != ACCOUNT_FOUND)
        control_end(peer, CONTROL_FAILED, "the database could not be read");
    else if (export->sent == before)
        control_end(peer, CONTROL_OK, "");
}

static void release(void *context, void *state) {
    (void)context;
    free(state);
}

void control_user_export(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct export *export = calloc(1, sizeof *export);
    (void)auth;
    (void)request;
    if (export)
        control_later(peer, send_more, release, export);
    else
        control_end(peer, CONTROL_FAILED, "too little memory");
}
