/* throttle_fixture.h - a throttle with a clock that the test holds. */
#ifndef TESTS_UNIT_THROTTLE_FIXTURE_H
#define TESTS_UNIT_THROTTLE_FIXTURE_H

#include "auth/throttle.h"

enum { T_SECOND = 1000, T_MINUTE = 60 * T_SECOND, T_HOUR = 60 * T_MINUTE };
#define T_DAY (24 * (uint64_t)T_HOUR)

extern struct throttle *t_throttle;
extern struct throttle_limits t_limits; /* 20 and 40 in an hour, known for 30 days */
extern uint64_t t_now;

void t_begin(void);
void t_end(void);
void t_limit(void); /* after a change of t_limits */

struct netaddr t_address(const char *text);

/* One attempt as login.c makes it: judged twice, then told as a failure where it is one. `password` stands for its
 * fingerprint, 0 for none. The last verdict. */
enum throttle_verdict t_fail(struct netaddr client, const char *name, uint64_t password);
/* The same with the right password. */
enum throttle_verdict t_login(struct netaddr client, const char *name);
/* The verdict on the network alone. */
enum throttle_verdict t_network(struct netaddr client);

/* What is left of the network's (its own address) or account's counter, in ms; 0 when there is none. */
uint64_t t_left_network(const char *address);
uint64_t t_left_account(const char *name);

#endif
