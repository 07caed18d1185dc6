/* account.h - users, sender rights and aliases, as rows of the database; auth/credential.h has the users'
 * credentials. Logins, addresses and patterns are in their normal form here; who calls has seen to it (auth/facts.h).
 */
#ifndef AUTH_ACCOUNT_H
#define AUTH_ACCOUNT_H

#include "auth/address.h"
#include "store/database.h"
#include "store/frames.h"

enum account_found { ACCOUNT_FAILED = 0, ACCOUNT_FOUND, ACCOUNT_NONE };

enum { ACCOUNT_SALT_BYTES = 16, ACCOUNT_SALT_KEY_BYTES = 32 };

struct account {
    int64_t id;
    bool enabled, spa;                 /* spa: enrolled for NTLM */
    uint64_t created_ms, suspended_ms; /* wall clock; suspended 0: not */
    uint8_t salt[ACCOUNT_SALT_BYTES];  /* of the SCRAM keys of all of the user's credentials */
    uint8_t login_octets[ADDRESS_MAX];
    size_t login_n;
};

static inline struct span account_login(const struct account *account) {
    return span_of(account->login_octets, account->login_n);
}

enum account_found account_find(struct database *db, struct span login, struct account *out) MUST_USE;
enum account_found account_of(struct database *db, int64_t id, struct account *out) MUST_USE;

/* The oldest user, enabled ones before disabled ones. */
enum account_found account_first(struct database *db, struct account *out) MUST_USE;

/* The key from which the salt of unknown users derives, drawn when the database was made. */
enum account_found account_salt_key(struct database *db, uint8_t key_out[ACCOUNT_SALT_KEY_BYTES]) MUST_USE;

/* Changes. Each is durable when it returns CHANGED, and those of users have been told to the watchers. MISSING: no
 * such user, or not the row that was named. */
enum account_change { ACCOUNT_CHANGE_FAILED = 0, ACCOUNT_CHANGED, ACCOUNT_EXISTS, ACCOUNT_MISSING };

/* A user with a mailbox password, or with none yet where `mailbox` is NULL. */
struct credential_secret;
enum account_change account_add(struct database *db, struct span login, const uint8_t salt[ACCOUNT_SALT_BYTES],
                                const struct credential_secret *mailbox) MUST_USE;
enum account_change account_remove(struct database *db, struct span login) MUST_USE;
/* To enable ends a suspension too. */
enum account_change account_enable(struct database *db, struct span login, bool enabled) MUST_USE;
/* `since_ms` 0: no longer. */
enum account_change account_suspend(struct database *db, int64_t id, uint64_t since_ms) MUST_USE;
/* Enrols for NTLM; or no longer, and the NT hashes of all of the user's credentials go. */
enum account_change account_set_spa(struct database *db, int64_t id, bool enrolled) MUST_USE;

/* Who is told of changes to a user and its credentials when they are durable: what was remembered of the user is
 * void. `user_id` 0: of everybody, several changed at once. `gone`: the credential that no longer opens anything, so
 * that sessions which came by it are to end; 0: none, or with user_id 0 anybody's; ACCOUNT_GONE_ALL: all of the
 * user's. Registered at start, once each. */
enum { ACCOUNT_WATCHERS = 8, ACCOUNT_GONE_ALL = -1 };
void account_watch(void (*changed)(void *context, int64_t user_id, int64_t gone), void *context);

/* Tells them, now or when the open change has ended. For account.c and credential.c, who make the changes. */
void account_changed(struct database *db, int64_t user_id, int64_t gone);

enum account_change account_allow(struct database *db, struct span login, struct span pattern) MUST_USE;
enum account_change account_deny(struct database *db, struct span login, struct span pattern) MUST_USE;

/* One target of an alias; *@domain as address catches all. Whether it makes a loop is the caller's question. */
enum account_change account_alias_add(struct database *db, struct span address, struct span target,
                                      bool forward) MUST_USE;
/* An empty target: all of them. */
enum account_change account_alias_remove(struct database *db, struct span address, struct span target) MUST_USE;

/* A row at a time, until each returns false; it must not use the same function again. FAILED, or FOUND also for
 * none. */
struct account_row {
    int64_t id;                  /* users */
    struct span login, hash;     /* users; of the mailbox password, empty when there is none */
    struct span pattern;         /* senders; with login */
    struct span address, target; /* aliases */
    bool enabled, forward;
    uint64_t created_ms, suspended_ms;
};
/* An id 0, an empty login or address: of all. */
enum account_found account_users(struct database *db, int64_t id,
                                 bool (*each)(void *context, const struct account_row *row), void *context) MUST_USE;
enum account_found account_senders(struct database *db, struct span login,
                                   bool (*each)(void *context, const struct account_row *row),
                                   void *context) MUST_USE;
enum account_found account_aliases(struct database *db, struct span address,
                                   bool (*each)(void *context, const struct account_row *row),
                                   void *context) MUST_USE;

/* How many users there are, or -1. */
int64_t account_count(struct database *db) MUST_USE;

#endif
