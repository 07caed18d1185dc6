/* database_schema.h - the tables of each kind of database, version by version. For database.c alone. */
#ifndef STORE_DATABASE_SCHEMA_H
#define STORE_DATABASE_SCHEMA_H

#include "store/database.h"

#include <sqlite3.h>

/* Brings a file to the version of this program, in one transaction: one without any table from the beginning, an
 * older one from where it is. A file with another owner's mark or of a later version is left alone. 0, or -1
 * (logged). Uses no foreign keys while it works; the caller switches them on afterwards. */
int database_schema_bring_up(sqlite3 *handle, enum database_kind kind) MUST_USE;

#endif
