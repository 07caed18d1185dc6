/* fuzz_policy.c - requests to the policy process, and the reports in them.
 * Runs in: fuzzing. Trusts: nothing. Never: reads beyond the request. */
#include "server/inbound/policy_http.h"
#include "server/inbound/policy_report.h"
#include "store/frames.h"
#include "tests/fuzz/fuzz.h"

static void one_report(struct span json) {
    struct policy_report report;
    enum policy_failure what;
    struct netaddr client;
    if (!policy_report_read(json, &report)) return;
    HOLDS(report.has_success && report.login.n <= POLICY_TEXT_MAX);
    if (policy_report_counts(&report, &what, &client)) HOLDS(!report.success && what < POLICY_FAILURES);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct http_request request, before;
    struct span input = span_of(p, n < POLICY_REQUEST_MAX ? n : POLICY_REQUEST_MAX);
    one_report(input);
    enum http_found found = http_read(input, &request);
    if (found != HTTP_WHOLE) return 0;
    HOLDS(request.n_octets <= input.n && request.method.n && request.target.n);
    HOLDS(request.body.n == 0 || request.body.p + request.body.n == p + request.n_octets);
    /* What is behind it does not matter, and with less it is not whole. */
    HOLDS(http_read(span_part(input, 0, request.n_octets), &before) == HTTP_WHOLE);
    HOLDS(before.n_octets == request.n_octets && span_equal(before.secret, request.secret));
    HOLDS(http_read(span_part(input, 0, request.n_octets - 1), &before) == HTTP_MORE);
    one_report(request.body);
    return 0;
}
