/* parameter.c - the parameters of MAIL and RCPT, and xtext.
 * Runs in: session, auth. Trusts: nothing in the octets. Never: allocates, believes AUTH=. */
#include "auth/address.h"

#include "auth/utf8.h"

enum { ENVID_MAX = 100, ORCPT_MAX = 500, SIZE_DIGITS_MAX = 20 }; /* RFC 3461 4.4, 4.2; RFC 1870 4 */

/* esmtp-param = esmtp-keyword ["=" esmtp-value], RFC 5321 4.1.2. */
struct parameter {
    struct span keyword, value;
    bool valued;
};

static bool is_keyword_octet(uint8_t c) {
    return (c >= '0' && c <= '9') || (octet_lower(c) >= 'a' && octet_lower(c) <= 'z') || c == '-';
}

static bool keyword_valid(struct span keyword) {
    for (size_t i = 0; i < keyword.n; i++)
        if (!is_keyword_octet(keyword.p[i])) return false;
    return keyword.n && keyword.p[0] != '-';
}

/* Takes the next parameter off `rest`. False when malformed: a bad keyword, a value that is empty or holds '=', a
 * control octet, or 8-bit that is not UTF-8. */
static bool parameter_next(struct span *rest, struct parameter *out) {
    size_t end = span_find(*rest, ' ');
    struct span word = span_part(*rest, 0, end);
    size_t equals = span_find(word, '=');
    *rest = span_trim(span_from(*rest, end));
    out->valued = equals < word.n;
    out->keyword = span_part(word, 0, equals);
    out->value = span_from(word, equals + 1);
    if (!keyword_valid(out->keyword) || !utf8_clean(word)) return false;
    return !out->valued || (out->value.n && span_find(out->value, '=') == out->value.n);
}

/* Upper case only, RFC 3461 4. */
static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Takes one xchar or hexchar off `rest`: the octet it stands for, or -1 when malformed or a control octet. */
static int xtext_next(struct span *rest) {
    uint8_t c = rest->p[0];
    int value = c > ' ' && c != '=' && c != 0x7f ? c : -1;
    size_t used = 1;
    if (c == '+') {
        int high = rest->n > 2 ? hex_digit(rest->p[1]) : -1, low = rest->n > 2 ? hex_digit(rest->p[2]) : -1;
        value = high < 0 || low < 0 ? -1 : high * 16 + low;
        used = 3;
    }
    *rest = span_from(*rest, used);
    return value < ' ' || value == 0x7f ? -1 : value;
}

/* `eight_bit`: octets above 127 may stand in it, as they are or encoded. */
static bool xtext_valid(struct span xtext, bool eight_bit) {
    if (!utf8_clean(xtext)) return false;
    while (xtext.n) {
        int octet = xtext_next(&xtext);
        if (octet < 0 || (octet >= 0x80 && !eight_bit)) return false;
    }
    return true;
}

static bool size_parse(struct span value, struct mail_parameters *out) {
    if (value.n > SIZE_DIGITS_MAX) return false;
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] < '0' || value.p[i] > '9') return false;
    if (!span_number(value, UINT64_MAX, &out->size_bytes)) out->size_bytes = UINT64_MAX;
    return true;
}

static bool body_parse(struct span value, enum body_type *out) {
    if (span_equal_nocase(value, SPAN("7BIT")))
        *out = BODY_7BIT;
    else if (span_equal_nocase(value, SPAN("8BITMIME")))
        *out = BODY_8BITMIME;
    return *out != BODY_DEFAULT;
}

static bool return_parse(struct span value, enum dsn_return *out) {
    if (span_equal_nocase(value, SPAN("FULL")))
        *out = DSN_RETURN_FULL;
    else if (span_equal_nocase(value, SPAN("HDRS")))
        *out = DSN_RETURN_HEADERS;
    return *out != DSN_RETURN_DEFAULT;
}

static unsigned notify_word(struct span word) {
    if (span_equal_nocase(word, SPAN("NEVER"))) return DSN_NOTIFY_NEVER;
    if (span_equal_nocase(word, SPAN("SUCCESS"))) return DSN_NOTIFY_SUCCESS;
    if (span_equal_nocase(word, SPAN("FAILURE"))) return DSN_NOTIFY_FAILURE;
    if (span_equal_nocase(word, SPAN("DELAY"))) return DSN_NOTIFY_DELAY;
    return 0;
}

/* NEVER stands alone, RFC 3461 4.1; a word said twice does no harm. */
static bool notify_parse(struct span value, unsigned *out) {
    for (;;) {
        size_t comma = span_find(value, ',');
        unsigned bit = notify_word(span_part(value, 0, comma));
        if (bit == 0) return false;
        *out |= bit;
        if (comma == value.n) return !(*out & DSN_NOTIFY_NEVER) || *out == DSN_NOTIFY_NEVER;
        value = span_from(value, comma + 1);
    }
}

/* addr-type ";" xtext, RFC 3461 4.2; UTF-8 stands in the type utf-8 alone, RFC 6533 3. */
static bool orcpt_valid(struct span value) {
    size_t semicolon = span_find(value, ';');
    struct span type = span_part(value, 0, semicolon), text = span_from(value, semicolon + 1);
    if (value.n > ORCPT_MAX || !keyword_valid(type) || text.n == 0) return false;
    return xtext_valid(text, span_equal_nocase(type, SPAN("utf-8")));
}

enum { SEEN_SIZE = 1, SEEN_BODY = 2, SEEN_SMTPUTF8 = 4, SEEN_RET = 8, SEEN_ENVID = 16, SEEN_AUTH = 32 };

static unsigned mail_keyword(struct span keyword) {
    if (span_equal_nocase(keyword, SPAN("SIZE"))) return SEEN_SIZE;
    if (span_equal_nocase(keyword, SPAN("BODY"))) return SEEN_BODY;
    if (span_equal_nocase(keyword, SPAN("SMTPUTF8"))) return SEEN_SMTPUTF8;
    if (span_equal_nocase(keyword, SPAN("RET"))) return SEEN_RET;
    if (span_equal_nocase(keyword, SPAN("ENVID"))) return SEEN_ENVID;
    if (span_equal_nocase(keyword, SPAN("AUTH"))) return SEEN_AUTH;
    return 0;
}

static bool mail_value(struct mail_parameters *out, unsigned keyword, const struct parameter *parameter) {
    struct span value = parameter->value;
    if (parameter->valued != (keyword != SEEN_SMTPUTF8)) return false; /* RFC 6531 3.4: SMTPUTF8 takes no value */
    switch (keyword) {
    case SEEN_SIZE:
        out->size_given = true;
        return size_parse(value, out);
    case SEEN_BODY:
        return body_parse(value, &out->body);
    case SEEN_SMTPUTF8:
        return out->smtputf8 = true;
    case SEEN_RET:
        return return_parse(value, &out->dsn_return);
    case SEEN_ENVID:
        out->envid = value;
        return value.n <= ENVID_MAX && xtext_valid(value, false);
    case SEEN_AUTH:
        out->auth = value;
        return xtext_valid(value, true); /* <> is xtext as well */
    default:
        return false;
    }
}

enum reason address_mail_parameters(struct mail_parameters *out, struct span rest, bool esmtp) {
    struct mail_parameters parameters = {0};
    struct parameter parameter;
    unsigned seen = 0;
    *out = parameters;
    rest = span_trim(rest);
    if (rest.n && !esmtp) return REASON_UNKNOWN_PARAMETER;
    while (rest.n) {
        if (!parameter_next(&rest, &parameter)) return REASON_BAD_PARAMETER;
        unsigned keyword = mail_keyword(parameter.keyword);
        if (keyword == 0) return REASON_UNKNOWN_PARAMETER;
        if (seen & keyword) return REASON_BAD_PARAMETER;
        if (!mail_value(&parameters, keyword, &parameter))
            return span_equal_nocase(parameter.value, SPAN("BINARYMIME")) && keyword == SEEN_BODY
                       ? REASON_UNKNOWN_PARAMETER /* well formed, and not offered: RFC 5321 4.1.1.11 */
                       : REASON_BAD_PARAMETER;
        seen |= keyword;
    }
    *out = parameters;
    return REASON_SENDER_ACCEPTED;
}

enum reason address_rcpt_parameters(struct rcpt_parameters *out, struct span rest, bool esmtp) {
    struct rcpt_parameters parameters = {0};
    struct parameter parameter;
    *out = parameters;
    rest = span_trim(rest);
    if (rest.n && !esmtp) return REASON_UNKNOWN_PARAMETER;
    while (rest.n) {
        if (!parameter_next(&rest, &parameter)) return REASON_BAD_PARAMETER;
        bool notify = span_equal_nocase(parameter.keyword, SPAN("NOTIFY"));
        if (!notify && !span_equal_nocase(parameter.keyword, SPAN("ORCPT"))) return REASON_UNKNOWN_PARAMETER;
        bool again = notify ? parameters.notify != 0 : parameters.orcpt.n != 0;
        if (again || !parameter.valued) return REASON_BAD_PARAMETER;
        if (!notify) parameters.orcpt = parameter.value;
        if (!(notify ? notify_parse(parameter.value, &parameters.notify) : orcpt_valid(parameter.value)))
            return REASON_BAD_PARAMETER;
    }
    *out = parameters;
    return REASON_SENDER_ACCEPTED;
}
