/* account_import.h - many users made in one change: gathered in memory over several requests, then written at once;
 * and all of them read again, a part at a time. */
#ifndef AUTH_ACCOUNT_IMPORT_H
#define AUTH_ACCOUNT_IMPORT_H

#include "auth/account.h"

enum { ACCOUNT_IMPORT_MAX = 100000 }; /* the process does nothing else while it writes them */

struct account_import_count {
    uint64_t added, replaced;
};

/* Forgets what was gathered. 0, or -1 (logged). */
int account_import_begin(struct database *db) MUST_USE;

/* Gathers one, in the database's normal forms. EXISTS: it has been gathered already. */
enum account_change account_import_add(struct database *db, struct span login, struct span hash,
                                       bool enabled) MUST_USE;

/* Makes a user of each, or where there is one of this name gives it the hash as its mailbox password; not enabled:
 * disables it. All, durable and told to the watchers, or none; what was gathered is forgotten. */
enum account_change account_import_commit(struct database *db, struct account_import_count *out) MUST_USE;

/* The users whose login comes after this one, at most 200 in the order of logins, as account_users gives them. */
enum account_found account_import_users_after(struct database *db, struct span login,
                                              bool (*each)(void *context, const struct account_row *row),
                                              void *context) MUST_USE;

#endif
