/* proxy.c - parsing the PROXY protocol's header.
 * Runs in: session. Trusts: a listed peer for the addresses. Never: guesses one. */
#include "server/inbound/proxy.h"

static const uint8_t signature[PROXY_START] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

enum proxy_version proxy_version(const uint8_t start[PROXY_START]) {
    if (memcmp(start, signature, PROXY_START) == 0) return PROXY_V2;
    return memcmp(start, "PROXY ", 6) == 0 ? PROXY_V1 : PROXY_NONE;
}

static struct span next_word(struct span *rest) {
    size_t end = span_find(*rest, ' ');
    struct span word = span_part(*rest, 0, end);
    *rest = span_from(*rest, end + 1);
    return word;
}

static bool address_of(struct span text, bool ipv4, struct netaddr *out) {
    return netaddr_parse(out, text) && netaddr_is_ipv4(out) == ipv4 && (span_find(text, ':') == text.n) == ipv4;
}

static bool port_of(struct span text, struct netaddr *out) {
    uint64_t port;
    if (!span_number(text, 65535, &port)) return false;
    out->port = (uint16_t)port;
    return true;
}

bool proxy_v1(struct span line, struct netaddr *client_out, struct netaddr *local_out) {
    if (line.n == 0 || line.p[line.n - 1] == ' ') return false;
    struct span start = next_word(&line), family = next_word(&line);
    bool ipv4 = span_equal(family, SPAN("TCP4"));
    if (!span_equal(start, SPAN("PROXY")) || (!ipv4 && !span_equal(family, SPAN("TCP6")))) return false;
    return address_of(next_word(&line), ipv4, client_out) && address_of(next_word(&line), ipv4, local_out) &&
           port_of(next_word(&line), client_out) && port_of(next_word(&line), local_out) && line.n == 0;
}

size_t proxy_v2_rest(const uint8_t head[PROXY_V2_HEAD]) {
    size_t n = (size_t)head[14] << 8 | head[15];
    return n > PROXY_V2_REST_MAX ? PROXY_V2_REST_MAX + 1 : n;
}

static void from_octets(struct netaddr *out, const uint8_t *p, size_t n, const uint8_t *port) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    *out = (struct netaddr){.port = (uint16_t)(port[0] << 8 | port[1])};
    if (n == 4) memcpy(out->octets, mapped, sizeof mapped);
    memcpy(out->octets + 16 - n, p, n);
}

bool proxy_v2(const uint8_t head[PROXY_V2_HEAD], struct span rest, struct netaddr *client_out,
              struct netaddr *local_out) {
    size_t n = head[13] == 0x11 ? 4 : head[13] == 0x21 ? 16 : 0;
    if (head[12] != 0x21 || n == 0 || rest.n < 2 * n + 4) return false;
    from_octets(client_out, rest.p, n, rest.p + 2 * n);
    from_octets(local_out, rest.p + n, n, rest.p + 2 * n + 2);
    return true;
}
