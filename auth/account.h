/* account.h - users, their credentials, sender rights and aliases, as rows of the database. Logins, addresses and
 * patterns are in their normal form here; who calls has seen to it (auth/facts.h). */
#ifndef AUTH_ACCOUNT_H
#define AUTH_ACCOUNT_H

#include "auth/address.h"
#include "store/database.h"
#include "store/frames.h"

enum account_found { ACCOUNT_FAILED = 0, ACCOUNT_FOUND, ACCOUNT_NONE };

struct account {
    int64_t id;
    bool enabled;
    uint64_t created_ms; /* wall clock */
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

/* The mailbox password's hash as a C string; NONE when there is none. */
enum account_found account_hash(struct database *db, int64_t id, char hash_out[VERIFY_HASH_BYTES]) MUST_USE;

/* Work (auth/password_format.h) of the dearest hash that is stored; 0 when there is none. */
enum account_found account_dearest(struct database *db, uint64_t *work_out) MUST_USE;

/* Changes. Each is durable when it returns CHANGED. */
enum account_change { ACCOUNT_CHANGE_FAILED = 0, ACCOUNT_CHANGED, ACCOUNT_EXISTS, ACCOUNT_MISSING };

enum account_change account_add(struct database *db, struct span login, struct span hash) MUST_USE;
enum account_change account_remove(struct database *db, struct span login) MUST_USE;
enum account_change account_set_hash(struct database *db, struct span login, struct span hash) MUST_USE;
enum account_change account_enable(struct database *db, struct span login, bool enabled) MUST_USE;
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
    struct span login, hash;     /* users */
    struct span pattern;         /* senders; with login */
    struct span address, target; /* aliases */
    bool enabled, forward;
    uint64_t created_ms;
};
enum account_found account_users(struct database *db, bool (*each)(void *context, const struct account_row *row),
                                 void *context) MUST_USE;
/* An empty login or address: of all. */
enum account_found account_senders(struct database *db, struct span login,
                                   bool (*each)(void *context, const struct account_row *row),
                                   void *context) MUST_USE;
enum account_found account_aliases(struct database *db, struct span address,
                                   bool (*each)(void *context, const struct account_row *row),
                                   void *context) MUST_USE;

/* How many users there are, or -1. */
int64_t account_count(struct database *db) MUST_USE;

#endif
