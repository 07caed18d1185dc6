/* fuzz_proxy.c - the PROXY protocol's headers.
 * Runs in: fuzzing. Trusts: nothing. Never: takes an address from outside the header. */
#include "server/inbound/proxy.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct netaddr client = {0}, local = {0};
    char text[NETADDR_TEXT_MAX];
    if (n < PROXY_V2_HEAD) return 0;
    enum proxy_version version = proxy_version(p);
    if (version == PROXY_V2) {
        size_t rest = proxy_v2_rest(p);
        HOLDS(rest <= PROXY_V2_REST_MAX + 1);
        if (rest > PROXY_V2_REST_MAX || rest > n - PROXY_V2_HEAD) return 0;
        if (!proxy_v2(p, span_of(p + PROXY_V2_HEAD, rest), &client, &local)) return 0;
        HOLDS(p[12] == 0x21 && (p[13] == 0x11 || p[13] == 0x21));
    } else if (!proxy_v1(span_of(p, n < PROXY_V1_MAX ? n : PROXY_V1_MAX), &client, &local)) {
        return 0;
    } else {
        HOLDS(version == PROXY_V1);
    }
    HOLDS(strlen(netaddr_text(&client, text)) > 0 && strlen(netaddr_text_port(&local, text)) > 0);
    return 0;
}
