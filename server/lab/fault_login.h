/* fault_login.h - who is logging in, by what the client sends: for rules that ask for a user. Builds with FAULTS=1
 * only: no other session looks into a SASL message. */
#ifndef SERVER_LAB_FAULT_LOGIN_H
#define SERVER_LAB_FAULT_LOGIN_H

#include "store/span.h"

enum { FAULT_NAME_MAX = 255 };

/* An AUTH command's argument, or a line of its exchange. True: the name has come with it. PLAIN, LOGIN, SCRAM, NTLM.
 */
bool fault_login_begin(struct span argument);
bool fault_login_next(struct span line);

/* USER of POP3. */
void fault_login_user(struct span name);

/* The name that came last; empty: none yet. */
struct span fault_login_name(void);

#endif
