/* control_answer.c - the usual ends of an answer to the command line.
 * Runs in: auth. Trusts: peers whose uid the kernel vouched for. Never: returns a hash. */
#include "auth/control_answer.h"

#include "store/log.h"

#include <stdio.h>

struct control_answer control_answer;

bool control_answer_send(struct control_answer *to) {
    to->n++;
    return control_row_send(&to->row, to->peer);
}

void control_answer_end(enum account_found found) {
    control_end(control_answer.peer, found == ACCOUNT_FAILED ? CONTROL_FAILED : CONTROL_OK,
                found == ACCOUNT_FAILED ? "the database could not be read" : "");
}

void control_answer_change(struct auth *auth, struct control_peer *peer, enum account_change change, const char *verb,
                           struct span who, const char *missing, const char *exists) {
    char text[128];
    switch (change) {
    case ACCOUNT_CHANGED:
        control_answer_changed(auth, peer, verb, who, "");
        return;
    case ACCOUNT_EXISTS:
        control_end(peer, CONTROL_EXISTS, exists);
        return;
    case ACCOUNT_MISSING:
        control_end(peer, CONTROL_NOT_FOUND, missing);
        return;
    case ACCOUNT_CHANGE_FAILED:
        snprintf(text, sizeof text, "the database could not be changed: %s", database_why(auth->house.db));
        control_end(peer, CONTROL_FAILED, text);
        return;
    }
}

void control_answer_changed(struct auth *auth, struct control_peer *peer, const char *verb, struct span who,
                            const char *warning) {
    struct log_line line;
    log_open(&line, LOG_ACCOUNT_CHANGED);
    log_text(&line, KEY_WHAT, verb);
    log_span(&line, KEY_USER, who);
    log_send(&line);
    if (!auth->setup.stand_alone) auth_say_postmaster(auth);
    /* It has heard of the change already. */
    bool told = !auth->dovecot.stale || dovecot_export_reconcile(&auth->dovecot) == 0;
    control_end(peer, told ? CONTROL_OK : CONTROL_FAILED,
                told ? warning : "changed, but dovecot.db could not be written");
}

/* The login in its normal form; answers itself when it is none. */
bool control_answer_login(struct auth *auth, struct control_peer *peer, const struct control_request *request,
                          struct key *out) {
    if (facts_login_name(&auth->house, control_argument(request, "login"), out)) return true;
    control_end(peer, CONTROL_USAGE, "not a full address: a login looks like alice@example.test");
    return false;
}

bool control_answer_user(struct auth *auth, struct control_peer *peer, const struct control_request *request,
                         struct account *out) {
    struct key key;
    if (!control_answer_login(auth, peer, request, &key)) return false;
    enum account_found found = account_find(auth->house.db, key_span(&key), out);
    if (found == ACCOUNT_NONE) control_end(peer, CONTROL_NOT_FOUND, "no such user");
    if (found == ACCOUNT_FAILED) control_end(peer, CONTROL_FAILED, "the database could not be read");
    return found == ACCOUNT_FOUND;
}

const char *control_answer_foreign(const struct key *key) {
    static char text[ADDRESS_MAX + 64];
    struct buf b = buf_over(text, sizeof text - 1);
    buf_put_span(&b, key_span(key));
    buf_put_text(&b, ": its domain is not in local_domains");
    text[b.n] = 0;
    return text;
}
