/* test_parameter.c - the parameters of MAIL and RCPT, and xtext.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "auth/address.h"

#include <criterion/criterion.h>

#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define GOOD REASON_SENDER_ACCEPTED
#define BAD REASON_BAD_PARAMETER
#define UNKNOWN REASON_UNKNOWN_PARAMETER

static const struct {
    const char *rest;
    enum reason reason;
    struct mail_parameters expected; /* spans aside */
    const char *envid, *auth;
} mails[] = {
    {"", GOOD, {0}, "", ""},
    {"   ", GOOD, {0}, "", ""},
    {"SIZE=0", GOOD, {.size_given = true}, "", ""},
    {"size=1000", GOOD, {.size_given = true, .size_bytes = 1000}, "", ""},
    {"SIZE=00000000000000000001", GOOD, {.size_given = true, .size_bytes = 1}, "", ""},
    {"SIZE=18446744073709551615", GOOD, {.size_given = true, .size_bytes = UINT64_MAX}, "", ""},
    /* 20 digits are well formed (RFC 1870 4) and too large for anybody */
    {"SIZE=99999999999999999999", GOOD, {.size_given = true, .size_bytes = UINT64_MAX}, "", ""},
    {"SIZE=000000000000000000001", BAD, {0}, "", ""},
    {"SIZE", BAD, {0}, "", ""},
    {"SIZE=", BAD, {0}, "", ""},
    {"SIZE=-1", BAD, {0}, "", ""},
    {"SIZE=+1", BAD, {0}, "", ""},
    {"SIZE=1k", BAD, {0}, "", ""},
    {"SIZE=0x10", BAD, {0}, "", ""},
    {"SIZE=1=1", BAD, {0}, "", ""},
    {"SIZE =1", BAD, {0}, "", ""},
    {"SIZE=1 SIZE=1", BAD, {0}, "", ""},
    {"BODY=7BIT", GOOD, {.body = BODY_7BIT}, "", ""},
    {"Body=8bitMime", GOOD, {.body = BODY_8BITMIME}, "", ""},
    {"BODY=BINARYMIME", UNKNOWN, {0}, "", ""},
    {"BODY=9BITMIME", BAD, {0}, "", ""},
    {"BODY", BAD, {0}, "", ""},
    {"BODY=8BITMIME BODY=7BIT", BAD, {0}, "", ""},
    {"SMTPUTF8", GOOD, {.smtputf8 = true}, "", ""},
    {"smtputf8", GOOD, {.smtputf8 = true}, "", ""},
    {"SMTPUTF8=", BAD, {0}, "", ""},
    {"SMTPUTF8=1", BAD, {0}, "", ""},
    {"SMTPUTF8 SMTPUTF8", BAD, {0}, "", ""},
    {"RET=FULL", GOOD, {.dsn_return = DSN_RETURN_FULL}, "", ""},
    {"RET=hdrs", GOOD, {.dsn_return = DSN_RETURN_HEADERS}, "", ""},
    {"RET=NONE", BAD, {0}, "", ""},
    {"RET=FULL RET=FULL", BAD, {0}, "", ""},
    {"ENVID=QQ314159", GOOD, {0}, "QQ314159", ""},
    {"ENVID=a+2Bb+3Dc+20d", GOOD, {0}, "a+2Bb+3Dc+20d", ""},
    {"ENVID=" X100, GOOD, {0}, X100, ""},
    {"ENVID=" X100 "x", BAD, {0}, "", ""},
    {"ENVID=", BAD, {0}, "", ""},
    {"ENVID=a+", BAD, {0}, "", ""},
    {"ENVID=a+2", BAD, {0}, "", ""},
    {"ENVID=a+2b", BAD, {0}, "", ""},
    {"ENVID=a+0D+0Ab", BAD, {0}, "", ""},
    {"ENVID=a+00", BAD, {0}, "", ""},
    {"ENVID=az+5F+4FAZ09", GOOD, {0}, "az+5F+4FAZ09", ""},
    {"ENVID=+G0", BAD, {0}, "", ""},
    {"ENVID=+0G", BAD, {0}, "", ""},
    {"ENVID=+2/", BAD, {0}, "", ""},
    {"Z9-A=1", UNKNOWN, {0}, "", ""},
    {"a0-z", UNKNOWN, {0}, "", ""},
    {"ENVID=a+7F", BAD, {0}, "", ""},
    {"ENVID=a+E4", BAD, {0}, "", ""},
    {"ENVID=\xc3\xa4", BAD, {0}, "", ""},
    {"AUTH=<>", GOOD, {0}, "", "<>"},
    {"AUTH=alice@example.test", GOOD, {0}, "", "alice@example.test"},
    {"AUTH=e+3Dmc2@example.test", GOOD, {0}, "", "e+3Dmc2@example.test"},
    {"AUTH=a+0A", BAD, {0}, "", ""},
    {"AUTH", BAD, {0}, "", ""},
    {"AUTH=", BAD, {0}, "", ""},
    {"AUTH=<> AUTH=<>", BAD, {0}, "", ""},
    {"SIZE=5 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x AUTH=<>",
     GOOD,
     {.size_given = true, .size_bytes = 5, .body = BODY_8BITMIME, .smtputf8 = true, .dsn_return = DSN_RETURN_HEADERS},
     "x",
     "<>"},
    {"SIZE=5   BODY=7BIT  ", GOOD, {.size_given = true, .size_bytes = 5, .body = BODY_7BIT}, "", ""},
    {"FOO", UNKNOWN, {0}, "", ""},
    {"FOO=BAR", UNKNOWN, {0}, "", ""},
    {"SIZE=5 FOO=BAR", UNKNOWN, {0}, "", ""},
    {"SIZES=5", UNKNOWN, {0}, "", ""},
    {"SIZ=5", UNKNOWN, {0}, "", ""},
    {"NOTIFY=NEVER", UNKNOWN, {0}, "", ""},
    {"=5", BAD, {0}, "", ""},
    {"-SIZE=5", BAD, {0}, "", ""},
    {"<a@b>", BAD, {0}, "", ""},
    {"SIZE=5\tBODY=7BIT", BAD, {0}, "", ""},
    {"SIZE=5\rX", BAD, {0}, "", ""},
    {"FO\xe4=1", BAD, {0}, "", ""},
};

Test(test_parameter, mail) {
    for (size_t i = 0; i < sizeof mails / sizeof *mails; i++) {
        struct mail_parameters out;
        const struct mail_parameters *expected = &mails[i].expected;
        cr_expect_eq(address_mail_parameters(&out, span_text(mails[i].rest), true), mails[i].reason, "%s",
                     mails[i].rest);
        cr_expect_eq(out.size_bytes, expected->size_bytes, "%s", mails[i].rest);
        cr_expect_eq(out.size_given, expected->size_given, "%s", mails[i].rest);
        cr_expect_eq(out.body, expected->body, "%s", mails[i].rest);
        cr_expect_eq(out.smtputf8, expected->smtputf8, "%s", mails[i].rest);
        cr_expect_eq(out.dsn_return, expected->dsn_return, "%s", mails[i].rest);
        cr_expect(span_equal(out.envid, span_text(mails[i].envid)), "%s", mails[i].rest);
        cr_expect(span_equal(out.auth, span_text(mails[i].auth)), "%s", mails[i].rest);
    }
}

static const struct {
    const char *rest;
    enum reason reason;
    unsigned notify;
    const char *orcpt;
} rcpts[] = {
    {"", GOOD, 0, ""},
    {"NOTIFY=NEVER", GOOD, DSN_NOTIFY_NEVER, ""},
    {"notify=success,FAILURE,Delay", GOOD, DSN_NOTIFY_SUCCESS | DSN_NOTIFY_FAILURE | DSN_NOTIFY_DELAY, ""},
    {"NOTIFY=FAILURE,FAILURE", GOOD, DSN_NOTIFY_FAILURE, ""},
    {"NOTIFY=NEVER,FAILURE", BAD, 0, ""},
    {"NOTIFY=DELAY,NEVER", BAD, 0, ""},
    {"NOTIFY=", BAD, 0, ""},
    {"NOTIFY", BAD, 0, ""},
    {"NOTIFY=SUCCESS,", BAD, 0, ""},
    {"NOTIFY=,SUCCESS", BAD, 0, ""},
    {"NOTIFY=SUCCESS,,DELAY", BAD, 0, ""},
    {"NOTIFY=SOMETIMES", BAD, 0, ""},
    {"NOTIFY=DELAY NOTIFY=DELAY", BAD, 0, ""},
    {"ORCPT=rfc822;alice@example.test", GOOD, 0, "rfc822;alice@example.test"},
    {"ORCPT=rfc822;a+2Bb@example.test NOTIFY=DELAY", GOOD, DSN_NOTIFY_DELAY, "rfc822;a+2Bb@example.test"},
    {"ORCPT=utf-8;\xc3\xa4@example.test", GOOD, 0, "utf-8;\xc3\xa4@example.test"},
    {"ORCPT=utf-8;\\x{E4}@example.test", GOOD, 0, "utf-8;\\x{E4}@example.test"},
    {"ORCPT=rfc822;\xc3\xa4@example.test", BAD, 0, ""},
    {"ORCPT=rfc822;a+0D+0Ab@example.test", BAD, 0, ""},
    {"ORCPT=rfc822;a+2b@example.test", BAD, 0, ""},
    {"ORCPT=rfc822;", BAD, 0, ""},
    {"ORCPT=rfc822", BAD, 0, ""},
    {"ORCPT=;alice@example.test", BAD, 0, ""},
    {"ORCPT=", BAD, 0, ""},
    {"ORCPT=r;a ORCPT=r;a", BAD, 0, ""},
    {"ORCPT=rfc822;" X100 X100 X100 X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 "xxx", GOOD, 0,
     "rfc822;" X100 X100 X100 X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 "xxx"},
    {"ORCPT=rfc822;" X100 X100 X100 X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 "xxxx", BAD, 0, ""},
    {"SIZE=5", UNKNOWN, 0, ""},
    {"FOO", UNKNOWN, 0, ""},
    {"=", BAD, 0, ""},
};

Test(test_parameter, rcpt) {
    for (size_t i = 0; i < sizeof rcpts / sizeof *rcpts; i++) {
        struct rcpt_parameters out;
        cr_expect_eq(address_rcpt_parameters(&out, span_text(rcpts[i].rest), true), rcpts[i].reason, "%s",
                     rcpts[i].rest);
        cr_expect_eq(out.notify, rcpts[i].notify, "%s", rcpts[i].rest);
        cr_expect(span_equal(out.orcpt, span_text(rcpts[i].orcpt)), "%s", rcpts[i].rest);
    }
}

/* RFC 5321 4.1.1.1, 4.1.1.11: after HELO there are no extensions. */
Test(test_parameter, none_after_helo) {
    struct mail_parameters mail;
    struct rcpt_parameters rcpt;
    cr_expect_eq(address_mail_parameters(&mail, SPAN("SIZE=1"), false), UNKNOWN);
    cr_expect_eq(address_mail_parameters(&mail, SPAN("="), false), UNKNOWN);
    cr_expect_eq(address_mail_parameters(&mail, SPAN(" "), false), GOOD);
    cr_expect_eq(address_rcpt_parameters(&rcpt, SPAN("NOTIFY=NEVER"), false), UNKNOWN);
    cr_expect_eq(address_rcpt_parameters(&rcpt, SPAN(""), false), GOOD);
}

Test(test_parameter, nul_is_refused) {
    struct mail_parameters mail;
    struct rcpt_parameters rcpt;
    cr_expect_eq(address_mail_parameters(&mail, SPAN("ENVID=a\0b"), true), BAD);
    cr_expect_eq(address_mail_parameters(&mail, SPAN("SIZE=1\0"), true), BAD);
    cr_expect_eq(address_rcpt_parameters(&rcpt, SPAN("ORCPT=rfc822;a\0"), true), BAD);
}
