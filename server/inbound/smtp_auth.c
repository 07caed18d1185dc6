/* smtp_auth.c - AUTH: base64 and the order of lines; what is in them is for the verifiers. RFC 4954.
 * Runs in: session. Trusts: auth for every verdict. Never: looks into a SASL message, keeps one. */
#include "server/inbound/mechanism.h"
#include "server/inbound/smtp.h"
#include "store/base64.h"

static BUF_LARGE uint8_t response_storage[SMTP_AUTH_LINE_MAX];

static enum smtp_next put_outcome(struct smtp *smtp, const struct ask_auth *answer, struct buf *out) {
    smtp->state = SMTP_HELLO;
    switch (answer->outcome) {
    case AUTH_ACCEPTED:
        smtp->authenticated = true;
        return smtp_say(REPLY_AUTH_ACCEPTED, out);
    case AUTH_CONTINUE:
        smtp->state = SMTP_AUTHING;
        reply_put_challenge(out, answer->challenge);
        return SMTP_MORE;
    case AUTH_REJECTED:
        return smtp_fail_known(smtp, REPLY_AUTH_REJECTED, out);
    case AUTH_MALFORMED:
        return smtp_fail_known(smtp, REPLY_AUTH_MALFORMED, out);
    case AUTH_CANCELLED:
        return smtp_fail_known(smtp, REPLY_AUTH_CANCELLED, out);
    case AUTH_UNKNOWN_MECHANISM:
        return smtp_fail_known(smtp, REPLY_AUTH_MECHANISM, out);
    case AUTH_HELD:
        return smtp_fail_known(smtp, REPLY_AUTH_HELD, out);
    case AUTH_TOO_MANY:
        smtp->exit = SESSION_EXIT_ABUSE;
        smtp->why = "too many failed logins";
        reply_put(out, REPLY_AUTH_TOO_MANY);
        return SMTP_LEAVE;
    case AUTH_FAILED_TEMPORARILY:
        break;
    }
    return smtp_say(REPLY_AUTH_LATER, out);
}

void smtp_put_mechanisms(const struct smtp *smtp, const char *start, struct buf *out) {
    mechanism_put(smtp->setup, start, " ", out);
    buf_put_text(out, "\r\n");
}

enum smtp_next smtp_auth(struct smtp *smtp, struct span argument, struct buf *out) {
    size_t end = span_find(argument, ' ');
    struct span text = span_trim(span_from(argument, end));
    struct buf response = BUF_OVER(response_storage);
    struct ask_auth answer;
    if (!smtp->auth_offered) return smtp_fail(smtp, REPLY_AUTH_NOT_HERE, out);
    if (!smtp->esmtp) return smtp_fail(smtp, REPLY_AUTH_NEEDS_EHLO, out);
    if (smtp->authenticated) return smtp_fail(smtp, REPLY_AUTH_TWICE, out);
    if (argument.n == 0) return smtp_fail(smtp, REPLY_BAD_AUTH, out);
    const struct mechanism_offer *offer = mechanism_find(smtp->setup, span_part(argument, 0, end));
    if (!offer) return smtp_fail_login(smtp, REPLY_AUTH_MECHANISM, out);
    if (smtp->auth_has_mail && !ask_reset()) return smtp_broken(smtp, out);
    smtp->auth_has_mail = false;
    /* "=" is an empty response; none at all is something else. */
    bool well_formed = span_equal(text, SPAN("=")) || base64_decode(text, &response);
    bool heard = well_formed && mechanism_ask(offer, smtp->tls, text.n > 0, buf_span(&response), &answer);
    explicit_bzero(response_storage, response.n);
    if (!well_formed) return smtp_fail_login(smtp, REPLY_AUTH_MALFORMED, out);
    return heard ? put_outcome(smtp, &answer, out) : smtp_broken(smtp, out);
}

enum smtp_next smtp_auth_line(struct smtp *smtp, struct span line, struct buf *out) {
    struct buf response = BUF_OVER(response_storage);
    struct ask_auth answer;
    bool cancelled = span_equal(line, SPAN("*"));
    bool malformed = !cancelled && !base64_decode(line, &response);
    if (malformed) explicit_bzero(response_storage, response.n), buf_clear(&response);
    bool heard = ask_auth_next(cancelled || malformed, buf_span(&response), &answer);
    explicit_bzero(response_storage, response.n);
    if (!heard) return smtp_broken(smtp, out);
    if (!malformed || answer.outcome == AUTH_TOO_MANY) return put_outcome(smtp, &answer, out);
    smtp->state = SMTP_HELLO;
    return smtp_fail_known(smtp, REPLY_AUTH_MALFORMED, out);
}
