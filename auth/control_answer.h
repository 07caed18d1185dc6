/* control_answer.h - what the verbs of the command line share: the open answer, and its usual ends. For
 * account_control.c and the control_*.c alone. */
#ifndef AUTH_CONTROL_ANSWER_H
#define AUTH_CONTROL_ANSWER_H

#include "auth/auth.h"
#include "auth/credential.h"

struct control_answer { /* rows on their way */
    struct auth *auth;
    struct control_peer *peer;
    struct control_row row;
    size_t n;
};

extern struct control_answer control_answer; /* one at a time: verbs are answered at once */

/* Sends the row that is open in the answer. False: the peer is gone. */
bool control_answer_send(struct control_answer *to);

/* After rows: all were sent, or the database failed. */
void control_answer_end(enum account_found found);

/* After a change: logs it and answers. */
void control_answer_change(struct auth *auth, struct control_peer *peer, enum account_change change, const char *verb,
                           struct span who, const char *missing, const char *exists);

/* The same for what was changed; `warning` begins with "warning: ", or is empty. */
void control_answer_changed(struct auth *auth, struct control_peer *peer, const char *verb, struct span who,
                            const char *warning);

/* The argument "login" in its normal form; false after answering that it is none. */
bool control_answer_login(struct auth *auth, struct control_peer *peer, const struct control_request *request,
                          struct key *out) MUST_USE;

/* The user whom the argument "login" names; false after answering that there is none. */
bool control_answer_user(struct auth *auth, struct control_peer *peer, const struct control_request *request,
                         struct account *out) MUST_USE;

/* What the command line derived of a password. */
struct control_secret {
    char hash[VERIFY_HASH_BYTES];
    uint8_t salt[ACCOUNT_SALT_BYTES], scram[CREDENTIAL_SCRAM_BYTES], nt[CREDENTIAL_NT_MAX];
    struct credential_secret is; /* views into the above */
};

/* Reads the arguments hash (of an app password: a fast one), and in base64 salt, scram, nt. The salt must be the
 * user's, and nt be given if and only if `spa`. `user` NULL: it is to be made, with this salt or without
 * keys one that is drawn. False after answering.
 * Raises auth's dearest work. */
bool control_answer_secret(struct auth *auth, struct control_peer *peer, const struct control_request *request,
                           const struct account *user, enum credential_kind kind, bool spa,
                           struct control_secret *out) MUST_USE;

/* Why there can be no new user of this name, and the exit code that says so; NULL: there can. Good until the next
 * call. */
const char *control_user_fault(struct auth *auth, const struct key *key, enum control_exit *code_out);

/* Why an address in somebody else's domain is refused; good until the next call. */
const char *control_answer_foreign(const struct key *key);

/* Adds what a user has used to the row that is open; false when that cannot be read. */
bool control_quota_show(struct auth *auth, const struct account *account) MUST_USE;

/* After `change`, the enabling of a user: refusals over quota are forgotten, and its credentials no longer suspended.
 * MISSING: it may be a system user's address. What came of it all. */
enum account_change control_quota_lift(struct auth *auth, const struct key *key, enum account_change change) MUST_USE;

/* Verbs of account_control.h, by subject. */
void control_user_add(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_user_passwd(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_user_remove(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_user_enable(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_user_quota(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_quota_list(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_user_list(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_user_show(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_user_import(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_user_export(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_user_enrolment(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_app_add(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_app_revoke(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_app_list(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_login_set(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_login_remove(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_login_list(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_spa_enable(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_spa_disable(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_alias_add(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_alias_remove(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_alias_list(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_sender_change(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_sender_list(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_throttle_list(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_throttle_forget(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_grant_list(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_grant_add(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_grant_revoke(struct auth *auth, struct control_peer *peer, const struct control_request *request);
void control_grant_flush(struct auth *auth, struct control_peer *peer, const struct control_request *request);

#endif
