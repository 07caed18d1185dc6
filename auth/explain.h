/* explain.h - "explain": which facts hold, which rule answers, and why not the ones before it. */
#ifndef AUTH_EXPLAIN_H
#define AUTH_EXPLAIN_H

#include "auth/auth.h"

/* Arguments: ip, role ("mx", "submission", "submissions"), tls, auth (login), granted (login), from, to, json.
 * Rows: lines to read (facts, rules, replies), or with json one row each: kind "fact" (name, value), "rule" (at,
 * rule, applies, why), "reply" (at, rule, code, status, text, accepts). Answers at once. */
void explain(struct auth *auth, struct control_peer *peer, const struct control_request *request);

#endif
