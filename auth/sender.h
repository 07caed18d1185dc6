/* sender.h - whose a sender address is: a user's own are those whose mail would reach it; others the owner may allow,
 * by patterns. */
#ifndef AUTH_SENDER_H
#define AUTH_SENDER_H

#include "auth/expand.h"
#include "auth/relay.h"
#include "auth/system_user.h"

/* Writes the form in which a pattern is stored: an address; *@domain for "@domain" (all in it); local part or domain
 * with stars (sales-*@example.test, *@*.example.test); * for everything. NULL, or what is wrong with it, in words for
 * the owner. */
const char *sender_pattern(struct span text, struct buf *out) MUST_USE;

/* Whether a stored pattern allows the address (auth/expand.h's form): * stands for any octets but @, and alone for
 * everything. */
bool sender_pattern_matches(struct span pattern, struct span address);

/* Whether the user of this login may send as the address. */
enum fact sender_allowed(const struct house *house, const struct key *sender, struct span login) MUST_USE;

/* The same of a system user; `found`: whether there is a user of its login. */
enum fact sender_allowed_system(const struct house *house, const struct system_user *user, enum account_found found,
                                const struct key *sender) MUST_USE;

#endif
