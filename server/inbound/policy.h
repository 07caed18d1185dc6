/* policy.h - the policy process: takes Dovecot's reports of logins (auth_policy_server_url) on loopback and tells
 * auth of those that failed. What it hears cannot make a login easier, and without the secret it hears nothing. */
#ifndef SERVER_INBOUND_POLICY_H
#define SERVER_INBOUND_POLICY_H

#include "store/role.h"
#include "store/secret.h"

enum { POLICY_SECRET_MIN = 16, POLICY_SECRET_MAX = 128, POLICY_CLIENTS = 16 };

struct policy_setup {
    struct secret secret;
};
void policy_setup_put(struct buf *b, const struct policy_setup *setup);
int policy_setup_get(struct policy_setup *setup, struct span payload) MUST_USE;

/* Whether it can be a secret: letters and digits, of a length that nobody guesses. */
bool policy_secret_ok(struct span secret) MUST_USE;

/* The process. Its listening sockets are DESCRIPTOR_SOCKET 0 and up. Returns an exit status. */
int policy_run(struct role_start *start, uint32_t missing);

#endif
