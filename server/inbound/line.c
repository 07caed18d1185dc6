/* line.c - where a line of the client's ends: at CRLF, and nowhere else.
 * Runs in: session. Trusts: nothing in what arrived. Never: lets a CR or LF by itself end a command. */
#include "server/inbound/line.h"

#include "server/inbound/client.h"

bool line_skip(void) {
    struct span rest = client_rest();
    for (size_t at = 0; at < rest.n;) {
        size_t n = at + span_find(span_from(rest, at), '\n');
        if (n == rest.n) break;
        at = n + 1;
        if (n == 0 || rest.p[n - 1] != '\r') continue;
        client_take(at);
        client_wipe(span_part(rest, 0, at));
        return true;
    }
    size_t keep = rest.n && rest.p[rest.n - 1] == '\r';
    client_take(rest.n - keep);
    client_wipe(span_part(rest, 0, rest.n - keep));
    return false;
}

enum line_kind line_find(struct span rest, struct span *line_out, size_t *used_out) {
    bool bare = false;
    for (size_t at = 0; at < rest.n;) {
        size_t n = at + span_find(span_from(rest, at), '\n');
        if (n == rest.n) break;
        if (n > 0 && rest.p[n - 1] == '\r') {
            *line_out = span_part(rest, 0, n - 1);
            *used_out = n + 1;
            bool clean = !bare && !memchr(rest.p, '\0', n - 1) && !memchr(rest.p, '\r', n - 1);
            return clean ? LINE_GOOD : LINE_BAD;
        }
        bare = true;
        at = n + 1;
    }
    return bare ? LINE_ENDLESS : LINE_NONE;
}
