/* endpoint.c - reading what names an LMTP server.
 * Runs in: master, command line, outbound. Trusts: nothing in the text. Never: looks a name up. */
#include "store/endpoint.h"

static bool is_plain(struct span text) {
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= 0x20 || text.p[i] == 0x7f) return false;
    return true;
}

bool endpoint_parse(struct endpoint *out, struct span text) {
    uint64_t port;
    *out = (struct endpoint){0};
    if (text.n > ENDPOINT_MAX || !is_plain(text)) return false;
    if (span_starts_nocase(text, SPAN("unix:"))) {
        out->path = span_from(text, 5);
        return out->path.n > 1 && out->path.n <= ENDPOINT_PATH_MAX && out->path.p[0] == '/';
    }
    size_t colon = text.n;
    while (colon > 0 && text.p[colon - 1] != ':') colon--;
    if (colon < 2 || !span_number(span_from(text, colon), 65535, &port) || port == 0) return false;
    out->port = (uint16_t)port;
    out->host = span_part(text, 0, colon - 1);
    out->literal = netaddr_parse_port(&out->address, text);
    if (!out->literal) return span_find(out->host, ':') == out->host.n && out->host.p[0] != '[';
    if (out->host.p[0] == '[') out->host = span_part(out->host, 1, out->host.n - 2);
    return true;
}
