/* account_control.c - the command line's verbs: their table, and those about the process itself.
 * Runs in: auth. Trusts: peers whose uid the kernel vouched for. Never: sees a password, returns a hash. */
#include "auth/account_control.h"

#include "auth/control_answer.h"
#include "auth/explain.h"
#include "auth/peer.h"
#include "store/clock.h"

#include <errno.h>
#include <unistd.h>

#define BACKUP_FILE "gatepost.db.backup"

static void status(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    uint64_t verifiers = 0, busy = 0, logged_in = 0;
    struct throttle_totals totals;
    (void)request;
    for (size_t i = 0; i < auth->n_links; i++) {
        if (auth->links[i].kind != ROLE_VERIFIER || !auth->links[i].alive) continue;
        verifiers++;
        if (auth->links[i].exchange) busy++;
    }
    for (const struct peer *one = auth->peers; one; one = one->next) logged_in += one->client.user_id != 0;
    throttle_count(auth->throttle, clock_ms(), &totals);
    int64_t users = account_count(auth->house.db);
    control_row_open(&control_answer.row);
    control_row_number(&control_answer.row, "users", users < 0 ? 0 : (uint64_t)users);
    control_row_number(&control_answer.row, "channels", auth->n_peers);
    control_row_number(&control_answer.row, "sessions", auth->sessions);
    control_row_number(&control_answer.row, "logged_in", logged_in);
    control_row_number(&control_answer.row, "verifiers", verifiers);
    control_row_number(&control_answer.row, "verifiers_busy", busy);
    control_row_number(&control_answer.row, "logins_waiting", login_queue_waiting(&auth->logins));
    control_row_number(&control_answer.row, "networks_held", totals.networks_held);
    control_row_number(&control_answer.row, "accounts_held", totals.accounts_held);
    control_row_number(&control_answer.row, "logins_refused", totals.refused);
    control_row_number(&control_answer.row, "logins_unchecked", totals.unchecked);
    control_row_bool(&control_answer.row, "queue", auth_find_link(auth, ROLE_QUEUE, 0) != NULL);
    control_row_bool(&control_answer.row, "keys", auth_find_link(auth, ROLE_KEYS, 0) != NULL);
    control_row_bool(&control_answer.row, "dovecot_db", auth->dovecot.db != NULL);
    (void)control_row_send(&control_answer.row, peer);
    control_end(peer, CONTROL_OK, "");
}

/* For `gatepost check`. */
static void postmaster(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    char text[POSTMASTER_WARNING_MAX + 1];
    struct buf b = buf_over(text, POSTMASTER_WARNING_MAX);
    (void)request;
    bool warn = postmaster_warning(&auth->house, &auth->ends, &b);
    text[b.n] = 0;
    control_end(peer, warn ? CONTROL_REFUSED : CONTROL_OK, warn ? text : "");
}

void account_control_copied(void *context) {
    (void)context;
    (void)unlink(BACKUP_FILE);
}

static void backup(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    (void)request;
    if (auth->control.copier) {
        control_end(peer, CONTROL_REFUSED, "another backup is being made");
        return;
    }
    if (unlink(BACKUP_FILE) != 0 && errno != ENOENT) {
        control_end(peer, CONTROL_FAILED, "the copy before this one cannot be removed");
        return;
    }
    if (database_copy(auth->house.db, BACKUP_FILE) != 0) {
        control_end(peer, CONTROL_FAILED, "the database could not be copied");
        return;
    }
    control_row_open(&control_answer.row);
    control_row_text(&control_answer.row, "file", SPAN(BACKUP_FILE));
    (void)control_row_send(&control_answer.row, peer);
    auth->control.copier = peer; /* until it leaves the file is its own */
    control_end(peer, CONTROL_OK, "");
}

static const struct {
    const char *verb;
    void (*run)(struct auth *auth, struct control_peer *peer, const struct control_request *request);
} verbs[] = {
    {"user add", control_user_add},
    {"user list", control_user_list},
    {"user show", control_user_show},
    {"user remove", control_user_remove},
    {"user passwd", control_user_passwd},
    {"user enable", control_user_enable},
    {"user disable", control_user_enable},
    {"user quota", control_user_quota},
    {"quota list", control_quota_list},
    {"user import", control_user_import},
    {"user export", control_user_export},
    {"user enrolment", control_user_enrolment},
    {"user app-password add", control_app_add},
    {"user app-password list", control_app_list},
    {"user app-password revoke", control_app_revoke},
    {"user login add", control_login_set},
    {"user login passwd", control_login_set},
    {"user login list", control_login_list},
    {"user login remove", control_login_remove},
    {"user spa enable", control_spa_enable},
    {"user spa disable", control_spa_disable},
    {"alias add", control_alias_add},
    {"alias list", control_alias_list},
    {"alias remove", control_alias_remove},
    {"sender allow", control_sender_change},
    {"sender deny", control_sender_change},
    {"sender list", control_sender_list},
    {"throttle list", control_throttle_list},
    {"throttle forget", control_throttle_forget},
    {"grant list", control_grant_list},
    {"grant add", control_grant_add},
    {"grant revoke", control_grant_revoke},
    {"grant flush", control_grant_flush},
    {"explain", explain},
    {"status", status},
    {"postmaster", postmaster},
    {"backup", backup},
};

void account_control(void *context, struct control_peer *peer, const struct control_request *request) {
    struct auth *auth = context;
    control_answer.auth = auth;
    control_answer.peer = peer;
    control_answer.n = 0;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verbs[i].verb, request->verb) != 0) continue;
        verbs[i].run(auth, peer, request);
        return;
    }
    control_end(peer, CONTROL_USAGE, "auth knows no such verb");
}
