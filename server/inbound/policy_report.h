/* policy_report.h - what Dovecot says of a login in a report of its authentication policy: a JSON object (RFC 8259).
 * A pure function over octets. */
#ifndef SERVER_INBOUND_POLICY_REPORT_H
#define SERVER_INBOUND_POLICY_REPORT_H

#include "store/frames.h"
#include "store/netaddr.h"

enum { POLICY_TEXT_MAX = 512, POLICY_DEPTH_MAX = 8 };

struct policy_text {
    size_t n;
    uint8_t octets[POLICY_TEXT_MAX];
};

struct policy_report {
    struct policy_text login, remote, pwhash, protocol, fail_type;
    bool has_success, success, policy_reject;
};

/* False: it is no JSON object, a text that counts is longer than POLICY_TEXT_MAX or no text, it says something that
 * counts twice, or not whether the login succeeded. What does not count is passed over, nested at most
 * POLICY_DEPTH_MAX deep. */
bool policy_report_read(struct span json, struct policy_report *out) MUST_USE;

/* Whether it is a login that failed for a cause that counts, from an address; which cause, and from where. Not one
 * that Dovecot did not look at (its policy said so) or could not (a fault of its own). */
bool policy_report_counts(const struct policy_report *report, enum policy_failure *what_out,
                          struct netaddr *client_out) MUST_USE;

#endif
