/* logins.c - attacks on AUTH: claims that would make it easier, and answers that nobody asked for.
 * Runs in: the intruder, in the place of gatepost-session. Trusts: nothing. Never: knows a password. */
#include "tests/intruder/intruder.h"

enum { NO_ANSWER = 255 };

static uint8_t octets[4096];

static bool says_tls(struct cell *cell) {
    struct buf b = BUF_OVER(octets);
    wire_put_text(&b, "TLS1.3 TLS_AES_256_GCM_SHA384");
    return cell_send(cell->auth, SESSION_TLS, &b);
}

static unsigned outcome(struct cell *cell) {
    struct frame frame;
    if (cell_receive(cell->auth, &frame) != FRAME_RECEIVED || frame.type != SESSION_AUTH_RESULT) return NO_ANSWER;
    struct wire w = wire_over(frame.body);
    return wire_get_u8(&w);
}

static bool says_auth(struct cell *cell, unsigned tls, const char *mechanism, struct span response,
                      struct span exporter, struct span end_point) {
    struct buf b = BUF_OVER(octets);
    wire_put_u8(&b, (uint8_t)tls);
    wire_put_text(&b, mechanism);
    wire_put_u8(&b, 1);
    wire_put_span(&b, response);
    wire_put_span(&b, exporter);
    wire_put_span(&b, end_point);
    return cell_send(cell->auth, SESSION_AUTH, &b);
}

static unsigned tries(struct cell *cell, unsigned tls, const char *mechanism, struct span response) {
    return says_auth(cell, tls, mechanism, response, SPAN(""), SPAN("")) ? outcome(cell) : NO_ANSWER;
}

/* Whoever says no binding has offered no -PLUS; whoever says no TLS has no AUTH, and the claim alone is none. */
const char *login_claims(struct cell *cell) {
    if (!cell_announce(cell, RELAY_ROLE_SUBMISSION, "203.0.113.9")) return "no welcome";
    if (tries(cell, 1, "PLAIN", span_of("\0alice\0x", 8)) != AUTH_REJECTED) return "AUTH without a handshake";
    if (!says_tls(cell)) return "channel gone";
    if (tries(cell, 0, "PLAIN", span_of("\0alice\0x", 8)) != AUTH_REJECTED) return "AUTH without TLS";
    if (tries(cell, 1, "SCRAM-SHA-256-PLUS", SPAN("p=tls-exporter,,n=alice,r=x")) != AUTH_UNKNOWN_MECHANISM)
        return "-PLUS without a binding";
    if (tries(cell, 1, "NTLM", SPAN("NTLMSSP")) != AUTH_UNKNOWN_MECHANISM) return "NTLM where it is off";
    if (tries(cell, 1, "EXTERNAL", SPAN("alice")) != AUTH_UNKNOWN_MECHANISM) return "a mechanism that there is not";
    return cell_mail(cell, "x", "<alice@example.test>") == REASON_AUTH_REQUIRED ? NULL : "MAIL was not refused";
}

/* The answer to a challenge that was not sent; and to one that was, more than once. */
const char *login_out_of_turn(struct cell *cell) {
    struct buf b = BUF_OVER(octets);
    if (!cell_announce(cell, RELAY_ROLE_SUBMISSION, "203.0.113.10") || !says_tls(cell)) return "no welcome";
    wire_put_u8(&b, 0);
    wire_put_span(&b, SPAN(""));
    if (!cell_send(cell->auth, SESSION_AUTH_NEXT, &b)) return "channel gone";
    return cell_ended(cell->auth) ? NULL : "an answer without a challenge was taken";
}

const char *login_twice(struct cell *cell) {
    if (!cell_announce(cell, RELAY_ROLE_SUBMISSION, "203.0.113.11") || !says_tls(cell)) return "no welcome";
    for (int i = 0; i < 2; i++)
        if (!says_auth(cell, 1, "PLAIN", span_of("\0alice\0guess", 12), SPAN(""), SPAN(""))) return "channel gone";
    return cell_ended(cell->auth) ? NULL : "two logins at once";
}

const char *login_bindings_too_long(struct cell *cell) {
    static const uint8_t zeros[CHANNEL_BINDING_MAX + 1];
    if (!cell_announce(cell, RELAY_ROLE_SUBMISSION, "203.0.113.12") || !says_tls(cell)) return "no welcome";
    if (!says_auth(cell, 1, "SCRAM-SHA-256", SPAN("n,,n=alice,r=x"), SPAN(""), span_of(zeros, sizeof zeros)))
        return "channel gone";
    return cell_ended(cell->auth) ? NULL : "a binding of 65 octets was taken";
}

/* A final message of SCRAM without the first: there is no state for it. */
const char *login_final_first(struct cell *cell) {
    if (!cell_announce(cell, RELAY_ROLE_SUBMISSION, "203.0.113.13") || !says_tls(cell)) return "no welcome";
    if (tries(cell, 1, "SCRAM-SHA-256", SPAN("c=biws,r=x,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")) !=
        AUTH_MALFORMED)
        return "a final message in the first's place";
    return NULL;
}
