/* dovecot_export.h - dovecot.db: the users as Dovecot reads them, changed in place right after the accounts. */
#ifndef AUTH_DOVECOT_EXPORT_H
#define AUTH_DOVECOT_EXPORT_H

#include "auth/auth_setup.h"
#include "store/database.h"

#define DOVECOT_EXPORT_DIRECTORY "dovecot" /* below auth's own directory; its group is Dovecot's */
#define DOVECOT_EXPORT_FILE DOVECOT_EXPORT_DIRECTORY "/dovecot.db"

struct dovecot_export {
    struct database *db; /* NULL: none is kept */
};

/* Opens it, making directory and file where missing; without it auth runs all the same (logged). */
void dovecot_export_open(struct dovecot_export *dovecot);
void dovecot_export_close(struct dovecot_export *dovecot);

/* Makes its rows those of the enabled users who have a password, in one transaction, which writes only what differs.
 * 0 or -1 (logged). */
int dovecot_export_reconcile(struct dovecot_export *dovecot, struct database *accounts,
                             const struct auth_setup *setup) MUST_USE;

#endif
