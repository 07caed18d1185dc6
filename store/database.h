/* database.h - the one door to SQLite: opening with schema and version, prepared statements, transactions. Which
 * statements there are is the caller's matter (auth/account.c). One process opens a database, and never uses it
 * across a fork. */
#ifndef STORE_DATABASE_H
#define STORE_DATABASE_H

#include "store/span.h"

enum database_kind {
    DATABASE_NONE = 0,
    DATABASE_ACCOUNTS, /* gatepost.db: WAL, held by us alone */
    DATABASE_DOVECOT   /* dovecot.db: rollback journal, read by Dovecot while we hold it */
};

enum database_step { DATABASE_FAILED = 0, DATABASE_ROW, DATABASE_DONE };

struct database;
struct statement;

/* Opens, and creates what is missing; brings an older schema up to date and refuses a newer one. A relative name
 * counts from the working directory. NULL: it has been logged why. */
struct database *database_open(const char *file, enum database_kind kind) MUST_USE;
void database_close(struct database *db);

/* The prepared statement of `sql`, a literal, without values; prepared once for each literal. Never NULL: a statement
 * that cannot be prepared fails when it is stepped. */
struct statement *database_statement(struct database *db, const char *sql) MUST_USE;

/* Values by number from 1; the octets must stay until the statement is done. */
void statement_put_text(struct statement *statement, int at, struct span value);
void statement_put_number(struct statement *statement, int at, int64_t value);
/* No octets: NULL. */
void statement_put_blob(struct statement *statement, int at, struct span value);

/* The next row. After DONE and FAILED (logged) the statement is reset; after ROW the caller steps on or resets. */
enum database_step statement_step(struct statement *statement) MUST_USE;
void statement_reset(struct statement *statement);

/* Columns by number from 0, texts and blobs alike; the octets are valid until the next step or reset. */
struct span statement_get_text(struct statement *statement, int column);
int64_t statement_get_number(struct statement *statement, int column);

/* Runs a statement without rows: how many rows it changed, or -1 (logged). */
int statement_run(struct statement *statement) MUST_USE;

/* The same without waiting for the disk: a power cut may take it back, and nothing else with it. */
int statement_run_lazily(struct statement *statement) MUST_USE;

/* The id of the row that was inserted last. */
int64_t database_last_id(const struct database *db) MUST_USE;

/* One change of several statements. After a commit that returns 0 it is on the disk, unless it is a part of another:
 * then it is with that one. After begin returned 0 comes a commit that does, or a rollback. */
int database_begin(struct database *db) MUST_USE;
/* The same for what may be lost when the power fails: its commit waits for no disk. */
int database_begin_light(struct database *db) MUST_USE;
int database_commit(struct database *db) MUST_USE;
void database_rollback(struct database *db);

/* Whether a change is open; and who is told when it has ended as a whole: `kept` is false when nothing came of it. */
bool database_changing(const struct database *db);
void database_on_end(struct database *db, void (*ended)(bool kept));

/* Why the last statement that failed did, in words for the owner. */
const char *database_why(const struct database *db);

/* Writes a consistent copy into a file that is not there yet; without rights of a moment: nobody is granted anything
 * because a copy is put back. */
int database_copy(struct database *db, const char *file) MUST_USE;

#endif
