/* test_autoconfig.c - settings of mail programs: escaping, what is left out, requests of strangers. */
#include "server/lab/autoconfig.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define HOSTILE "\"><script>alert(1)</script>&x;'\x1b"

static struct autoconfig sample(void) {
    return (struct autoconfig){
        .name = SPAN("Example"),
        .domain = SPAN("example.test"),
        .user = SPAN("alice@example.test"),
        .login_name = SPAN("scanner"),
        .pop3 = {{SPAN("mail.example.test"), 995, AUTOCONFIG_TLS},
                 {SPAN("mail.example.test"), 110, AUTOCONFIG_STARTTLS}},
        .smtp = {{SPAN("mail.example.test"), 465, AUTOCONFIG_TLS},
                 {SPAN("mail.example.test"), 587, AUTOCONFIG_STARTTLS}},
        .login = AUTOCONFIG_LOGIN_SAME,
    };
}

static void (*const forms[])(const struct autoconfig *, struct buf *) = {
    autoconfig_thunderbird, autoconfig_autodiscover, autoconfig_mobileconfig, autoconfig_page};

static char text[AUTOCONFIG_BYTES_MAX + 1];

static const char *make(void (*of)(const struct autoconfig *, struct buf *), const struct autoconfig *settings) {
    struct buf b = buf_over(text, AUTOCONFIG_BYTES_MAX);
    of(settings, &b);
    cr_assert(buf_ok(&b));
    text[b.n] = 0;
    return text;
}

Test(autoconfig, no_value_gets_out_of_its_place) {
    struct autoconfig settings = sample();
    settings.name = settings.domain = settings.user = settings.login_name = SPAN(HOSTILE);
    settings.pop3[0].host = settings.smtp[0].host = SPAN(HOSTILE);
    for (unsigned login = AUTOCONFIG_LOGIN_SAME; login <= AUTOCONFIG_LOGIN_POP_FIRST; login++)
        for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
            settings.login = (uint8_t)login;
            const char *made = make(forms[i], &settings);
            cr_expect_null(strstr(made, "<script"), "form %zu: %s", i, made);
            cr_expect_null(strstr(made, "&x;"), "form %zu", i);
            cr_expect_null(strchr(made, 0x1b), "form %zu", i);
            cr_expect(strstr(made, "&lt;script&gt;alert(1)&lt;/script&gt;&amp;x;&#39;\xef\xbf\xbd"), "form %zu: %s",
                      i, made);
        }
}

Test(autoconfig, there_and_back) {
    uint8_t storage[2000];
    struct buf b = BUF_OVER(storage);
    struct autoconfig settings = sample(), again;
    settings.imap[0] = (struct autoconfig_server){SPAN("imap.example.test"), 993, AUTOCONFIG_TLS};
    settings.spa = 1;
    autoconfig_put(&b, &settings);
    struct wire w = wire_over(buf_span(&b));
    cr_assert(autoconfig_get(&w, &again) == 0 && wire_end(&w));
    char *first = strdup(make(autoconfig_page, &settings));
    cr_expect_str_eq(make(autoconfig_page, &again), first);
    cr_expect(again.spa == 1 && again.spa_incoming == 0 && again.imap[0].port == 993);
    free(first);
    for (size_t n = 0; n < b.n; n++) {
        w = wire_over(span_of(storage, n));
        cr_expect(autoconfig_get(&w, &again) != 0, "cut at %zu", n);
    }
    storage[b.n - 3] = AUTOCONFIG_LOGIN_POP_FIRST + 1;
    w = wire_over(buf_span(&b));
    cr_expect(autoconfig_get(&w, &again) != 0);
}

Test(autoconfig, a_buffer_that_is_too_small_says_so) {
    struct autoconfig settings = sample();
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        uint8_t storage[300];
        struct buf b = BUF_OVER(storage);
        forms[i](&settings, &b);
        cr_expect(!buf_ok(&b) && b.n <= sizeof storage);
    }
}

Test(autoconfig, whole_needs_both_sides_and_an_answer) {
    struct autoconfig settings = sample();
    cr_expect(autoconfig_whole(&settings));
    settings.login = AUTOCONFIG_LOGIN_NONE;
    cr_expect(!autoconfig_whole(&settings));
    settings = sample();
    settings.smtp[0].security = AUTOCONFIG_ABSENT;
    cr_expect(autoconfig_whole(&settings) && autoconfig_best(settings.smtp)->port == 587);
    settings.smtp[1].security = AUTOCONFIG_ABSENT;
    cr_expect(!autoconfig_whole(&settings));
    settings = (struct autoconfig){0};
    cr_expect(!autoconfig_whole(&settings), "zero offers nothing");
    cr_expect_null(strstr(make(autoconfig_thunderbird, &settings), "Server"));
}

Test(autoconfig, spa_is_never_left_to_outlook) {
    struct autoconfig settings = sample();
    const char *made = make(autoconfig_autodiscover, &settings);
    size_t protocols = 0, off = 0;
    for (const char *p = made; (p = strstr(p, "<Protocol>")); p++) protocols++;
    for (const char *p = made; (p = strstr(p, "<SPA>off</SPA>")); p++) off++;
    cr_expect(protocols == 2 && off == 2, "%s", made);
}

static void expect_address(bool query, struct span from, const char *wanted) {
    char found[AUTOCONFIG_TEXT_MAX + 1] = "";
    struct buf b = buf_over(found, AUTOCONFIG_TEXT_MAX);
    bool is = query ? autoconfig_query_address(from, &b) : autoconfig_request_address(from, &b);
    cr_expect_eq(is, wanted != NULL, "%.*s", (int)from.n, (const char *)from.p);
    cr_expect_str_eq(found, wanted ? wanted : "", "%.*s", (int)from.n, (const char *)from.p);
}

#define OUTLOOK                                                                                                      \
    "<Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006\">"

Test(autoconfig, addresses_in_requests) {
    static const struct {
        struct span body;
        const char *wanted;
    } rows[] = {
        {SPAN("<?xml version=\"1.0\"?>" OUTLOOK "<Request><EMailAddress>alice@example.test</EMailAddress>"
              "<AcceptableResponseSchema>x</AcceptableResponseSchema></Request></Autodiscover>"),
         "alice@example.test"},
        {SPAN("<a:EMailAddress xmlns:a='b'>\r\n  a&amp;b@example.test\t</a:EMailAddress>"), "a&b@example.test"},
        {SPAN("<!-- <EMailAddress>c@d.test</EMailAddress> --><EMailAddress>a@b.test</EMailAddress>"), "a@b.test"},
        {SPAN("<EMailAddress>b\xc3\xbc@b\xc3\xbc.test</EMailAddress>"), "b\xc3\xbc@b\xc3\xbc.test"},
        {SPAN(""), NULL},
        {SPAN("alice@example.test"), NULL},
        {SPAN("<EMailAddress/>alice@example.test"), NULL},
        {SPAN("<EMailAddress></EMailAddress>"), NULL},
        {SPAN("<EMailAddress"), NULL},
        {SPAN("<!-- <EMailAddress>a@b.test</EMailAddress>"), NULL},
        {SPAN("<XEMailAddress>a@b.test</XEMailAddress>"), NULL},
        {SPAN("<EMailAddress>&x;@b.test</EMailAddress>"), NULL},
        {SPAN("<EMailAddress>a&lt;b@b.test</EMailAddress>"), NULL},
        {SPAN("<EMailAddress>a\x01@b.test</EMailAddress>"), NULL},
        {SPAN("<EMailAddress>a\xff@b.test</EMailAddress>"), NULL},
        {SPAN("<!DOCTYPE a [<!ENTITY b \"c\">]><EMailAddress>a@b.test</EMailAddress>"), NULL},
        {SPAN("<EMailAddress><![CDATA[a@b.test]]></EMailAddress>"), NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) expect_address(false, rows[i].body, rows[i].wanted);
    size_t n = AUTOCONFIG_REQUEST_MAX + 1;
    char *large = calloc(n, 1);
    memset(large, ' ', n);
    memcpy(large, "<EMailAddress>a@b.test</EMailAddress>", 37);
    expect_address(false, span_of(large, n - 1), "a@b.test");
    expect_address(false, span_of(large, n), NULL);
    memset(large, 'a', n);
    memcpy(large, "<EMailAddress>", 14);
    expect_address(false, span_of(large, n - 1), NULL);
    free(large);
}

Test(autoconfig, addresses_in_queries) {
    static const struct {
        struct span query;
        const char *wanted;
    } rows[] = {
        {SPAN("emailaddress=alice%40example.test"), "alice@example.test"},
        {SPAN("a=b&EmailAddress=alice+shop@example.test&c"), "alice+shop@example.test"},
        {SPAN("emailaddress=a%4"), NULL},
        {SPAN("emailaddress=a%zz@b.test"), NULL},
        {SPAN("emailaddress=a%00@b.test"), NULL},
        {SPAN("emailaddress=%0d%0aa@b.test"), NULL},
        {SPAN("emailaddress="), NULL},
        {SPAN("xemailaddress=a@b.test"), NULL},
        {SPAN(""), NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) expect_address(true, rows[i].query, rows[i].wanted);
}

Test(autoconfig, the_error_is_whole) {
    struct buf b = buf_over(text, AUTOCONFIG_BYTES_MAX);
    autoconfig_autodiscover_error(&b);
    text[b.n] = 0;
    cr_expect(strstr(text, "<ErrorCode>600</ErrorCode>") && strstr(text, "</Autodiscover>"));
}
