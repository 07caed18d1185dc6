/* dovecot_export.h - dovecot.db: the users as Dovecot reads them, changed in place right after the accounts. */
#ifndef AUTH_DOVECOT_EXPORT_H
#define AUTH_DOVECOT_EXPORT_H

#include "auth/auth_setup.h"
#include "store/database.h"

#define DOVECOT_EXPORT_DIRECTORY "dovecot" /* below auth's own directory; its group is Dovecot's */
#define DOVECOT_EXPORT_FILE DOVECOT_EXPORT_DIRECTORY "/dovecot.db"

struct dovecot_export {
    struct database *db; /* NULL: none is kept */
    struct database *accounts;
    const struct auth_setup *setup;
    bool stale; /* a change could not be written: the next one brings all rows up to date */
};

/* Opens it, making directory and file where missing, and from then on writes every change of the accounts; without it
 * auth runs all the same (logged). Accounts and setup are looked at whenever they change. */
void dovecot_export_open(struct dovecot_export *dovecot, struct database *accounts, const struct auth_setup *setup);
void dovecot_export_close(struct dovecot_export *dovecot);

/* Makes its rows those of the users who have a password, are enabled and not suspended, in one transaction, which
 * writes only what differs. 0 or -1 (logged). */
int dovecot_export_reconcile(struct dovecot_export *dovecot) MUST_USE;

/* Appends the user's home, mail_directory/domain/local; false for a login that would leave it. */
bool dovecot_export_home(const struct auth_setup *setup, struct span login, struct buf *b) MUST_USE;

#endif
