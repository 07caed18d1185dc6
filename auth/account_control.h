/* account_control.h - what the command line may ask of auth. Verbs and arguments:
 *   user add (login, SECRET), user list, user show|remove|enable|disable (login), user passwd (login, SECRET)
 *   user enrolment (login): row login, salt, spa, which SECRET is derived with
 *   user app-password add (login, name, [scope], [expires], SECRET), list ([login]), revoke (login, name)
 *   user login add|passwd (login, name, SECRET), list ([login]), remove (login, name)
 *   user spa enable (login, SECRET), disable (login)
 *   SECRET: hash, and in base64 salt, [scram: StoredKey and ServerKey], [nt: sealed, of users enrolled for NTLM]
 *   user quota (login, [app-password | separate-login: its name], [messages-per-hour, messages-per-day,
 *   recipients-per-hour, recipients-per-day, suspend-after: a number or "default"]), quota list ([login])
 *   user import ([begin], [users], [replace], [end]), user export: see auth/control_import.c
 *   alias add (address, target..., forward), alias list ([address]), alias remove (address, [target...])
 *   sender allow|deny (login, address: a pattern), sender list ([login])
 *   explain (auth/explain.h), status, postmaster (REFUSED and a warning when it leads to nobody), backup (row "file":
 *   name of a copy in auth's own directory) */
#ifndef AUTH_ACCOUNT_CONTROL_H
#define AUTH_ACCOUNT_CONTROL_H

#include "auth/auth.h"

/* Handler of struct control_server; context is struct auth. Answers at once. */
void account_control(void *context, struct control_peer *peer, const struct control_request *request);

/* `copied` of the server: the copy of the database goes; one that a process left which ended goes with the next. */
void account_control_copied(void *context);

#endif
