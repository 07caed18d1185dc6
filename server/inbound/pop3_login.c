/* pop3_login.c - the AUTHORIZATION state: CAPA, STLS, USER and PASS, AUTH. RFC 1939 4 and 7, 2449, 2595, 5034.
 * Runs in: session, for POP3. Trusts: auth for every verdict. Never: keeps a password, tells whether a name exists.
 */
#include "server/inbound/mechanism.h"
#include "server/inbound/pop3.h"
#include "store/base64.h"

static BUF_LARGE uint8_t response_storage[POP3_AUTH_LINE_MAX];

enum pop3_next pop3_capa(struct pop3 *pop3, struct span argument, struct buf *out) {
    bool before = pop3->state == POP3_AUTHORIZATION;
    (void)argument;
    buf_put_text(out, "+OK What there is:\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"
                      "EXPIRE NEVER\r\n");
    if (before && pop3->tls_offered && !pop3->tls) buf_put_text(out, "STLS\r\n");
    if (before && pop3_may_log_in(pop3)) {
        buf_put_text(out, "USER\r\n");
        mechanism_put(pop3->setup, "SASL ", " ", out);
        buf_put_text(out, "\r\n");
    }
    buf_put_text(out, "IMPLEMENTATION gatepost\r\n.\r\n");
    return POP3_MORE;
}

enum pop3_next pop3_stls(struct pop3 *pop3, struct span argument, struct buf *out) {
    (void)argument;
    if (pop3->tls) return pop3_fail(pop3, POP3_REPLY_TLS_ALREADY, out);
    if (!pop3->tls_offered) return pop3_fail(pop3, POP3_REPLY_TLS_NOT_HERE, out);
    if (!pop3->keys_asked && !ask_keys(&pop3->keys_fd)) return pop3_broken(pop3, out);
    pop3->keys_asked = true;
    if (pop3->keys_fd < 0) return pop3_say(POP3_REPLY_TLS_UNAVAILABLE, out);
    pop3_reply_put(out, POP3_REPLY_TLS_READY);
    return POP3_STLS;
}

static enum pop3_next put_outcome(struct pop3 *pop3, const struct ask_auth *answer, struct buf *out) {
    pop3->state = POP3_AUTHORIZATION;
    switch (answer->outcome) {
    case AUTH_ACCEPTED:
        return pop3_open(pop3, out);
    case AUTH_CONTINUE:
        pop3->state = POP3_AUTHING;
        pop3_reply_put_challenge(out, answer->challenge);
        return POP3_MORE;
    case AUTH_REJECTED:
        return pop3_fail_known(pop3, POP3_REPLY_AUTH_REJECTED, out);
    case AUTH_MALFORMED:
        return pop3_fail_known(pop3, POP3_REPLY_AUTH_MALFORMED, out);
    case AUTH_CANCELLED:
        return pop3_fail_known(pop3, POP3_REPLY_AUTH_CANCELLED, out);
    case AUTH_UNKNOWN_MECHANISM:
        return pop3_fail_known(pop3, POP3_REPLY_AUTH_MECHANISM, out);
    case AUTH_HELD:
        return pop3_fail_known(pop3, POP3_REPLY_AUTH_HELD, out);
    case AUTH_TOO_MANY:
        pop3->exit = SESSION_EXIT_ABUSE;
        pop3->why = "too many failed logins";
        pop3_reply_put(out, POP3_REPLY_AUTH_TOO_MANY);
        return POP3_LEAVE;
    case AUTH_FAILED_TEMPORARILY:
        break;
    }
    return pop3_say(POP3_REPLY_AUTH_LATER, out);
}

enum pop3_next pop3_user(struct pop3 *pop3, struct span argument, struct buf *out) {
    struct span name = span_trim(argument);
    pop3->user_bytes = 0;
    if (name.n == 0 || name.n > sizeof pop3->user) return pop3_fail(pop3, POP3_REPLY_BAD_ARGUMENT, out);
    memcpy(pop3->user, name.p, name.n);
    pop3->user_bytes = name.n;
    return pop3_say(POP3_REPLY_USER, out);
}

/* A password may hold spaces, also at its ends: all of the line (RFC 1939 7). What auth gets is PLAIN. */
enum pop3_next pop3_pass(struct pop3 *pop3, struct span argument, struct buf *out) {
    struct buf response = BUF_OVER(response_storage);
    struct ask_auth answer;
    const struct mechanism_offer *plain = mechanism_find(pop3->setup, SPAN("PLAIN"));
    if (!pop3->user_bytes) return pop3_fail(pop3, POP3_REPLY_USER_FIRST, out);
    buf_put_octet(&response, 0);
    buf_put(&response, pop3->user, pop3->user_bytes);
    buf_put_octet(&response, 0);
    buf_put_span(&response, argument);
    pop3->user_bytes = 0;
    bool heard = plain && mechanism_ask(plain, pop3->tls, true, buf_span(&response), &answer);
    explicit_bzero(response_storage, response.n);
    return heard ? put_outcome(pop3, &answer, out) : pop3_broken(pop3, out);
}

/* AUTH alone asks for a list, as clients from before CAPA do. */
static enum pop3_next list_mechanisms(const struct pop3 *pop3, struct buf *out) {
    buf_put_text(out, "+OK These:\r\n");
    mechanism_put(pop3->setup, "", "\r\n", out);
    buf_put_text(out, "\r\n.\r\n");
    return POP3_MORE;
}

enum pop3_next pop3_auth(struct pop3 *pop3, struct span argument, struct buf *out) {
    struct span all = span_trim(argument);
    size_t end = span_find(all, ' ');
    struct span text = span_trim(span_from(all, end));
    struct buf response = BUF_OVER(response_storage);
    struct ask_auth answer;
    if (all.n == 0) return list_mechanisms(pop3, out);
    const struct mechanism_offer *offer = mechanism_find(pop3->setup, span_part(all, 0, end));
    if (!offer) return pop3_fail_login(pop3, POP3_REPLY_AUTH_MECHANISM, out);
    /* "=" is an empty response (RFC 5034 4); none at all is something else. */
    bool well_formed = span_equal(text, SPAN("=")) || base64_decode(text, &response);
    bool heard = well_formed && mechanism_ask(offer, pop3->tls, text.n > 0, buf_span(&response), &answer);
    explicit_bzero(response_storage, response.n);
    if (!well_formed) return pop3_fail_login(pop3, POP3_REPLY_AUTH_MALFORMED, out);
    return heard ? put_outcome(pop3, &answer, out) : pop3_broken(pop3, out);
}

enum pop3_next pop3_auth_line(struct pop3 *pop3, struct span line, struct buf *out) {
    struct buf response = BUF_OVER(response_storage);
    struct ask_auth answer;
    bool cancelled = span_equal(line, SPAN("*"));
    bool malformed = !cancelled && !base64_decode(line, &response);
    if (malformed) explicit_bzero(response_storage, response.n), buf_clear(&response);
    bool heard = ask_auth_next(cancelled || malformed, buf_span(&response), &answer);
    explicit_bzero(response_storage, response.n);
    if (!heard) return pop3_broken(pop3, out);
    if (!malformed || answer.outcome == AUTH_TOO_MANY) return put_outcome(pop3, &answer, out);
    pop3->state = POP3_AUTHORIZATION;
    return pop3_fail_known(pop3, POP3_REPLY_AUTH_MALFORMED, out);
}
