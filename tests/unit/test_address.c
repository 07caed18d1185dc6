/* test_address.c - paths in every form that clients and relay testers send, the classifier, the normal forms.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "auth/address.h"
#include "auth/utf8.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define CASE(argument) ((struct span){(const uint8_t *)("" argument), sizeof(argument) - 1})
#define A16 "aaaaaaaaaaaaaaaa"
#define A63 A16 A16 A16 "aaaaaaaaaaaaaaa"
#define A64 A16 A16 A16 A16

/* RFC 5321 4.1.2, 4.1.3, 4.1.1.3, appendix C; RFC 6531 3.3. `whole` is what the path comes to. */
static const struct {
    struct span argument;
    const char *local, *domain, *rest;
} paths[] = {
    {CASE("<a@b>"), "a", "b", ""},
    {CASE("<alice@example.test>"), "alice", "example.test", ""},
    {CASE(" <alice@example.test>"), "alice", "example.test", ""},
    {CASE("   <alice@example.test>  "), "alice", "example.test", ""},
    {CASE("<alice@example.test> SIZE=1"), "alice", "example.test", "SIZE=1"},
    {CASE("<alice@example.test>   SIZE=1  BODY=7BIT "), "alice", "example.test", "SIZE=1  BODY=7BIT"},
    {CASE("<Alice@EXAMPLE.Test>"), "Alice", "EXAMPLE.Test", ""},
    {CASE("<alice@example.test.>"), "alice", "example.test", ""},
    {CASE("<a.b.c@example.test>"), "a.b.c", "example.test", ""},
    {CASE("<a+b-c_d=e/f@example.test>"), "a+b-c_d=e/f", "example.test", ""},
    {CASE("<!#$%&'*+-/=?^_`{|}~@example.test>"), "!#$%&'*+-/=?^_`{|}~", "example.test", ""},
    {CASE("<1@2.3>"), "1", "2.3", ""},
    {CASE("<a@127.0.0.1>"), "a", "127.0.0.1", ""},
    {CASE("<a@web_1.example>"), "a", "web_1.example", ""},
    {CASE("<a@_dmarc.example>"), "a", "_dmarc.example", ""},
    {CASE("<a@x--y.example>"), "a", "x--y.example", ""},
    {CASE("<" A64 "@example.test>"), A64, "example.test", ""},
    {CASE("<a@" A63 ".example>"), "a", A63 ".example", ""},
    {CASE("<postmaster@example.test>"), "postmaster", "example.test", ""},
    {CASE("<Postmaster@EXAMPLE.TEST>"), "Postmaster", "EXAMPLE.TEST", ""},
    /* routing hidden in the local part: it parses, the rules judge it */
    {CASE("<a%b@example.test>"), "a%b", "example.test", ""},
    {CASE("<a%foreign.example@example.test>"), "a%foreign.example", "example.test", ""},
    {CASE("<foreign.example!a@example.test>"), "foreign.example!a", "example.test", ""},
    {CASE("<x!y!a%b@example.test>"), "x!y!a%b", "example.test", ""},
    {CASE("<\"a@foreign.example\"@example.test>"), "\"a@foreign.example\"", "example.test", ""},
    {CASE("<\"a\\@foreign.example\"@example.test>"), "\"a\\@foreign.example\"", "example.test", ""},
    {CASE("<\"a@example.test\"@foreign.example>"), "\"a@example.test\"", "foreign.example", ""},
    {CASE("<\"@foreign.example:a\"@example.test>"), "\"@foreign.example:a\"", "example.test", ""},
    /* source routes are stripped */
    {CASE("<@x:a@b>"), "a", "b", ""},
    {CASE("<@example.test:a@foreign.example>"), "a", "foreign.example", ""},
    {CASE("<@foreign.example:a@example.test>"), "a", "example.test", ""},
    {CASE("<@x,@y.example.,@[192.0.2.1]:a@b>"), "a", "b", ""},
    {CASE("<@example.test:\"a@b\"@foreign.example>"), "\"a@b\"", "foreign.example", ""},
    /* quoted local parts */
    {CASE("<\"a b\"@example.test>"), "\"a b\"", "example.test", ""},
    {CASE("<\"a\\\"b\"@example.test>"), "\"a\\\"b\"", "example.test", ""},
    {CASE("<\"a\\\\\"@example.test>"), "\"a\\\\\"", "example.test", ""},
    {CASE("<\">\"@example.test> SIZE=2"), "\">\"", "example.test", "SIZE=2"},
    {CASE("<\"a..b\"@example.test>"), "\"a..b\"", "example.test", ""},
    {CASE("<\".\"@example.test>"), "\".\"", "example.test", ""},
    {CASE("<\" \"@example.test>"), "\" \"", "example.test", ""},
    /* UTF-8, RFC 6531 */
    {CASE("<\xc3\xa4@example.test>"), "\xc3\xa4", "example.test", ""},
    {CASE("<a@b\xc3\xbc"
          "cher.example>"),
     "a",
     "b\xc3\xbc"
     "cher.example",
     ""},
    {CASE("<\xf0\x9f\x93\xae@example.test>"), "\xf0\x9f\x93\xae", "example.test", ""},
    {CASE("<\"\xc3\xa4 b\"@example.test>"), "\"\xc3\xa4 b\"", "example.test", ""},
    /* address literals */
    {CASE("<a@[127.0.0.1]>"), "a", "[127.0.0.1]", ""},
    {CASE("<a@[192.0.2.1]> SIZE=3"), "a", "[192.0.2.1]", "SIZE=3"},
    {CASE("<a@[IPv6:2001:db8::1]>"), "a", "[IPv6:2001:db8::1]", ""},
    {CASE("<a@[ipv6:::1]>"), "a", "[ipv6:::1]", ""},
    {CASE("<a@[IPv6:::ffff:192.0.2.1]>"), "a", "[IPv6:::ffff:192.0.2.1]", ""},
};

Test(test_address, paths_that_parse) {
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        for (int null_allowed = 0; null_allowed < 2; null_allowed++) {
            struct address address;
            struct span rest, argument = paths[i].argument;
            cr_expect(address_parse(&address, argument, null_allowed, &rest), "%s", argument.p);
            cr_expect(span_equal(address.local, span_text(paths[i].local)), "%s", argument.p);
            cr_expect(span_equal(address.domain, span_text(paths[i].domain)), "%s", argument.p);
            cr_expect(span_equal(rest, span_text(paths[i].rest)), "%s", argument.p);
            cr_expect_eq(address.whole.n, address.local.n + 1 + address.domain.n, "%s", argument.p);
            cr_expect_eq(address.whole.p, address.local.p, "%s", argument.p);
            cr_expect_eq(address.literal, paths[i].domain[0] == '[', "%s", argument.p);
            cr_expect_not(address.empty || address.postmaster);
        }
    }
}

/* Refused at MAIL and at RCPT. */
static const struct span malformed[] = {
    CASE(""),
    CASE(" "),
    CASE("<"),
    CASE(">"),
    CASE("><"),
    CASE("< >"),
    CASE("<@>"),
    CASE("<a>"),
    CASE("<a@>"),
    CASE("<@b>"),
    CASE("alice"),
    CASE("alice@example.test"),
    CASE("alice@example.test SIZE=1"),
    CASE("<alice@example.test"),
    CASE("alice@example.test>"),
    CASE("<<alice@example.test>>"),
    CASE("<alice@example.test>>"),
    CASE("<alice@example.test>SIZE=1"),
    CASE("<alice@example.test>,<b@c>"),
    CASE("Alice <alice@example.test>"),
    CASE("\"alice@example.test\""),
    CASE("<\"alice@example.test\">"),
    CASE("<a@b@c>"),
    CASE("<a@example.test@foreign.example>"),
    CASE("<a@foreign.example@example.test>"),
    CASE("<a@@example.test>"),
    CASE("< a@example.test>"),
    CASE("<a@example.test >"),
    CASE("<a @example.test>"),
    CASE("<a@ example.test>"),
    CASE("<a b@example.test>"),
    CASE("<a@example test>"),
    CASE("<a,b@example.test>"),
    CASE("<a;b@example.test>"),
    CASE("<a:b@example.test>"),
    CASE("<a(b)@example.test>"),
    CASE("<a\\@b@example.test>"),
    CASE("<a@example.test,b@foreign.example>"),
    CASE("<a@example.test(x)>"),
    CASE("<[a]@example.test>"),
    /* dots and labels */
    CASE("<.a@example.test>"),
    CASE("<a.@example.test>"),
    CASE("<a..b@example.test>"),
    CASE("<.@example.test>"),
    CASE("<a@.>"),
    CASE("<a@..>"),
    CASE("<a@.example.test>"),
    CASE("<a@example..test>"),
    CASE("<a@example.test..>"),
    CASE("<a@-example.test>"),
    CASE("<a@example-.test>"),
    CASE("<a@example.test->"),
    CASE("<a@exa%mple.test>"),
    CASE("<a@example.test%foreign.example>"),
    CASE("<a@example.test!foreign.example>"),
    CASE("<a@example/test>"),
    CASE("<a@example.test:25>"),
    CASE("<a@*>"),
    /* quotes */
    CASE("<\"\"@example.test>"),
    CASE("<\"@example.test>"),
    CASE("<\"a@example.test>"),
    CASE("<a\"@example.test>"),
    CASE("<\"a\"b@example.test>"),
    CASE("<a\"b\"@example.test>"),
    CASE("<\"a\"\"b\"@example.test>"),
    CASE("<\"a\".b@example.test>"),
    CASE("<\"a\\\"@example.test>"),
    CASE("<\"a\\"),
    CASE("<\"a"),
    CASE("<\""),
    CASE("<\"a\"example.test>"),
    CASE("<\"a@b\"@foreign.example@example.test>"),
    CASE("<a@\"example.test\">"),
    CASE("<\"a\\\xc3\xa4\"@example.test>"),
    /* source routes */
    CASE("<@x:>"),
    CASE("<@x>"),
    CASE("<@:a@b>"),
    CASE("<:a@b>"),
    CASE("<@x,:a@b>"),
    CASE("<@x,y:a@b>"),
    CASE("<@x a@b>"),
    CASE("<@x,a@b>"),
    CASE("<@x:@y:a@b>"),
    CASE("<@x: a@b>"),
    CASE("<@x:a>"),
    CASE("<@x:postmaster>"),
    CASE("<@x..y:a@b>"),
    CASE("<@x:<a@b>>"),
    CASE("<@a@b>"),
    CASE("<@[x]:a@b>"),
    CASE("<@x;@y:a@b>"),
    /* literals */
    CASE("<a@[]>"),
    CASE("<a@[>"),
    CASE("<a@]>"),
    CASE("<a@[192.0.2.1>"),
    CASE("<a@192.0.2.1]>"),
    CASE("<a@[192.0.2]>"),
    CASE("<a@[192.0.2.256]>"),
    CASE("<a@[192.0.2.1.]>"),
    CASE("<a@[192.0.2.1].>"),
    CASE("<a@[192.0.2.01]>"),
    CASE("<a@[ 192.0.2.1]>"),
    CASE("<a@[192.0.2.1].example.test>"),
    CASE("<a@[example.test]>"),
    CASE("<a@[2001:db8::1]>"),
    CASE("<a@[::1]>"),
    CASE("<a@[IPv6:]>"),
    CASE("<a@[IPv6:192.0.2.1]>"),
    CASE("<a@[IPv6:fe80::1%eth0]>"),
    CASE("<a@[IPv6:1:2:3:4:5:6:7:8:9]>"),
    CASE("<a@[x-:y]>"),
    CASE("<a@[x-400:c=de]>"),
    CASE("<a@[x:a@b]>"),
    CASE("<a@[IPv6 :::1]>"),
    CASE("<a@[x y:z]>"),
    CASE("<a@[x:]>"),
    CASE("<a@[x:y z]>"),
    CASE("<a@[x:[y]]>"),
    CASE("<a@[x:\\y]>"),
    CASE("<a@[:y]>"),
    CASE("<a@[192.0.2.1]x>"),
    CASE("<[192.0.2.1]>"),
    CASE("<a@[1.2.3.4]@b>"),
    /* control octets, wherever they stand */
    CASE("\t<a@example.test>"),
    CASE("<a@example.test>\t"),
    CASE("<a@example.test>\tSIZE=1"),
    CASE("<a\t@example.test>"),
    CASE("<a@example.test>\r"),
    CASE("<a@example.test>\n"),
    CASE("<a@example.test>\r\nDATA"),
    CASE("<a@example.test\r\n>"),
    CASE("<a\r@example.test>"),
    CASE("<a\n@example.test>"),
    CASE("<\"a\r\n\"@example.test>"),
    CASE("<\"a\\\n\"@example.test>"),
    CASE("<a@example.test> SIZE=1\rX"),
    CASE("<a\0@example.test>"),
    CASE("<a@example.test\0.foreign.example>"),
    CASE("<a@example.test>\0"),
    CASE("\0<a@example.test>"),
    CASE("<\"a\0\"@example.test>"),
    CASE("<\"a\\\0\"@example.test>"),
    CASE("<a\x7f@example.test>"),
    CASE("<\"\x7f\"@example.test>"),
    CASE("<\"a\\\x7f\"@example.test>"),
    CASE("<a\x1b[0m@example.test>"),
    CASE("<a\xc2\x85@example.test>"),
    CASE("<a\xc2\x9f@example.test>"),
    /* 8-bit that is not UTF-8: bare, cut, overlong, surrogates, beyond U+10FFFF */
    CASE("<a\xe4@example.test>"),
    CASE("<\xc3@example.test>"),
    CASE("<\xa4@example.test>"),
    CASE("<\xff@example.test>"),
    CASE("<a@ex\xe4mple.test>"),
    CASE("<a@example.test> X=\xe4"),
    CASE("<a\xc0\xaf@example.test>"),
    CASE("<a\xc1\x80@example.test>"),
    CASE("<a\xc0\x80@example.test>"),
    CASE("<a\xe0\x80\xaf@example.test>"),
    CASE("<a\xf0\x80\x80\xaf@example.test>"),
    CASE("<a\xed\xa0\x80@example.test>"),
    CASE("<a\xed\xbf\xbf@example.test>"),
    CASE("<a\xf4\x90\x80\x80@example.test>"),
    CASE("<a\xf5\x80\x80\x80@example.test>"),
    CASE("<a\xe2\x82@example.test>"),
    CASE("<a@example.test\xc0\xbe>"),
    /* lengths */
    CASE("<" A64 "a@example.test>"),
    CASE("<\"" A63 "\"@example.test>"),
    CASE("<a@" A64 ".example>"),
    CASE("<a@" A63 "." A63 "." A63 "." A63 ">"),
    CASE("<" A64 "@" A63 "." A63 "." A63 ">"),
    CASE("<" A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 "@example.test>"),
    CASE("<a@" A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 ">"),
};

Test(test_address, paths_that_are_malformed) {
    static const struct address zero;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        for (int null_allowed = 0; null_allowed < 2; null_allowed++) {
            struct address address;
            struct span rest;
            cr_expect_not(address_parse(&address, malformed[i], null_allowed, &rest), "%s", malformed[i].p);
            cr_expect_eq(memcmp(&address, &zero, sizeof zero), 0, "%s", malformed[i].p);
            cr_expect_eq(rest.n, (size_t)0);
        }
    }
    struct address address;
    struct span rest;
    cr_expect_not(address_parse(&address, (struct span){NULL, 0}, true, &rest));
}

/* RFC 5321 4.5.3.1.3: the longest path, 256 octets with its brackets; a source route does not count. */
Test(test_address, longest_path) {
    struct address address;
    struct span rest;
    cr_expect(address_parse(&address, SPAN("<" A64 "@" A63 "." A63 "." A16 A16 A16 "aaaaaaaaaaaaa>"), true, &rest));
    cr_expect_eq(address.whole.n, (size_t)ADDRESS_WHOLE_MAX);
    cr_expect_not(
        address_parse(&address, SPAN("<" A64 "@" A63 "." A63 "." A16 A16 A16 "aaaaaaaaaaaaaa>"), true, &rest));
    cr_expect(address_parse(&address, SPAN("<@" A63 "." A63 "." A63 ",@" A63 "." A63 ":a@b>"), true, &rest));
    cr_expect_eq(address.whole.n, (size_t)3);
}

/* RFC 5321 4.5.5: <> for MAIL alone; 4.5.1: <postmaster> for RCPT alone. */
Test(test_address, null_and_postmaster) {
    struct address address;
    struct span rest;
    cr_expect(address_parse(&address, SPAN("<>"), true, &rest));
    cr_expect(address.empty && address.whole.n == 0 && rest.n == 0);
    cr_expect(address_parse(&address, SPAN("  <> SIZE=7"), true, &rest));
    cr_expect(address.empty && span_equal(rest, SPAN("SIZE=7")));
    cr_expect_not(address_parse(&address, SPAN("<>SIZE=7"), true, &rest));
    cr_expect_not(address_parse(&address, SPAN("<>"), false, &rest));
    cr_expect_not(address.empty);
    cr_expect(address_parse(&address, SPAN("<postmaster>"), false, &rest));
    cr_expect(address.postmaster && address.domain.n == 0 && span_equal(address.whole, SPAN("postmaster")));
    cr_expect(address_parse(&address, SPAN("<PostMaster> NOTIFY=NEVER"), false, &rest));
    cr_expect(address.postmaster && span_equal(rest, SPAN("NOTIFY=NEVER")));
    cr_expect_not(address_parse(&address, SPAN("<postmaster>"), true, &rest));
    cr_expect_not(address_parse(&address, SPAN("<\"postmaster\">"), false, &rest));
    cr_expect_not(address_parse(&address, SPAN("<postmasters>"), false, &rest));
    cr_expect_not(address_parse(&address, SPAN("<root>"), false, &rest));
    cr_expect_not(address_parse(&address, SPAN("postmaster"), false, &rest));
}

Test(test_address, utf8_is_told) {
    struct address address;
    struct span rest;
    cr_expect(address_parse(&address, SPAN("<\xc3\xa4@example.test>"), true, &rest) && address.utf8);
    cr_expect(address_parse(&address, SPAN("<a@\xc3\xa4.example>"), true, &rest) && address.utf8);
    cr_expect(address_parse(&address, SPAN("<a@example.test>"), true, &rest) && !address.utf8);
    cr_expect(address_parse(&address, SPAN("<@\xc3\xa4.example:a@b>"), true, &rest) && !address.utf8);
}

Test(test_address, plain_addresses) {
    struct address address;
    cr_expect(address_parse_plain(&address, SPAN("alice@example.test")));
    cr_expect(span_equal(address.local, SPAN("alice")) && span_equal(address.domain, SPAN("example.test")));
    cr_expect(address_parse_plain(&address, SPAN("*@example.test.")) &&
              span_equal(address.whole, SPAN("*@example.test")));
    static const struct span refused[] = {
        CASE(""),       CASE("alice"), CASE("@example.test"), CASE("alice@"),  CASE("<alice@example.test>"),
        CASE(" a@b"),   CASE("a@b "),  CASE("a@b@c"),         CASE("a@b,c@d"), CASE("a@b\n"),
        CASE("@x:a@b"), CASE("a@b:c"), CASE("a\0@b.c"),       CASE("a@b\0c"),  CASE("postmaster"),
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        cr_expect_not(address_parse_plain(&address, refused[i]), "%s", refused[i].p);
}

static const struct {
    const char *written, *normal;
    bool second_routing;
} locals[] = {
    {"alice", "alice", false},
    {"ALICE", "alice", false},
    {"Alice+Tag", "alice+tag", false},
    {"\"Alice\"", "alice", false},
    {"\"A\\lice\"", "alice", false},
    {"\"A.b\"", "a.b", false},
    {"\"a..b\"", "\"a..b\"", false},
    {"\"a.\"", "\"a.\"", false},
    {"\"a B\"", "\"a b\"", false},
    {"\"a\\ b\"", "\"a b\"", false},
    {"\"a\\\"b\"", "\"a\\\"b\"", false},
    {"\"a\\\\b\"", "\"a\\\\b\"", false},
    {"\"a@b\"", "\"a@b\"", true},
    {"\"a\\@b\"", "\"a@b\"", true},
    {"a%b", "a%b", true},
    {"\"a%b\"", "a%b", true},
    {"\"a\\%b\"", "a%b", true},
    {"b!a", "b!a", true},
    {"\"b!a\"", "b!a", true},
    {"\xc3\x84"
     "B",
     "\xc3\x84"
     "b",
     false},
};

Test(test_address, local_parts) {
    for (size_t i = 0; i < sizeof locals / sizeof *locals; i++) {
        uint8_t text[ADDRESS_MAX], normal[ADDRESS_LOCAL_MAX];
        struct buf written = BUF_OVER(text), out = BUF_OVER(normal);
        struct address address;
        buf_put_text(&written, locals[i].written);
        buf_put_text(&written, "@example.test");
        cr_assert(address_parse_plain(&address, buf_span(&written)), "%s", locals[i].written);
        cr_expect(address_local_normal(&address, &out));
        cr_expect(span_equal(buf_span(&out), span_text(locals[i].normal)), "%s", locals[i].written);
        cr_expect_eq(address_second_routing(&address), locals[i].second_routing, "%s", locals[i].written);
    }
}

Test(test_address, normal_form_that_does_not_fit) {
    uint8_t storage[4];
    struct buf out = BUF_OVER(storage);
    struct address address;
    cr_assert(address_parse_plain(&address, SPAN("alice@example.test")));
    cr_expect_not(address_local_normal(&address, &out));
}

Test(test_address, hosts_of_literals) {
    static const struct {
        const char *written, *host;
    } literals[] = {
        {"a@[192.0.2.1]", "192.0.2.1"}, {"a@[IPv6:2001:db8::1]", "2001:db8::1"},
        {"a@[IPV6:::1]", "::1"},        {"a@[IPv6:::ffff:192.0.2.1]", "192.0.2.1"},

        {"a@192.0.2.1", NULL},
    };
    for (size_t i = 0; i < sizeof literals / sizeof *literals; i++) {
        struct address address;
        struct netaddr host;
        char text[NETADDR_TEXT_MAX];
        cr_assert(address_parse_plain(&address, span_text(literals[i].written)));
        cr_expect_eq(address_literal_host(&address, &host), literals[i].host != NULL, "%s", literals[i].written);
        if (literals[i].host) cr_expect_str_eq(netaddr_text(&host, text), literals[i].host);
    }
}

static const struct span local_domains[] = {CASE("example.test"), CASE("mail.example.test"),
                                            CASE("xn--bcher-kva.example")};
static const struct span relay_domains[] = {CASE("backup.example")};
static const struct domain_set local_set = {local_domains, 3}, relay_set = {relay_domains, 1};

Test(test_address, classes) {
    static const struct {
        struct span argument;
        enum address_class class;
    } cases[] = {
        {CASE("<a@example.test>"), ADDRESS_CLASS_LOCAL},
        {CASE("<a@EXAMPLE.test.>"), ADDRESS_CLASS_LOCAL},
        {CASE("<@foreign.example:a@example.test>"), ADDRESS_CLASS_LOCAL},
        {CASE("<\"a@foreign.example\"@example.test>"), ADDRESS_CLASS_LOCAL},
        {CASE("<a%foreign.example@example.test>"), ADDRESS_CLASS_LOCAL},
        {CASE("<a@XN--bcher-kva.example>"), ADDRESS_CLASS_LOCAL},
        {CASE("<a@backup.EXAMPLE>"), ADDRESS_CLASS_RELAY},
        {CASE("<a@foreign.example>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<a@example.test.foreign.example>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<a@foreign.example.test>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<a@xexample.test>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<a@test>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<a@example>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<a@example.tes>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<\"a@example.test\"@foreign.example>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<a%example.test@foreign.example>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<@example.test:a@foreign.example>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<example.test!a@foreign.example>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<\xc3\xa4@foreign.example>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<a@127.0.0.1>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<a@b\xc3\xbc"
              "cher.example>"),
         ADDRESS_CLASS_ASK},
        {CASE("<a@[127.0.0.1]>"), ADDRESS_CLASS_ASK},
        {CASE("<postmaster>"), ADDRESS_CLASS_ASK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address address;
        struct span rest;
        cr_assert(address_parse(&address, cases[i].argument, false, &rest), "%s", cases[i].argument.p);
        cr_expect_eq(address_classify(&address, &local_set, &relay_set), cases[i].class, "%s", cases[i].argument.p);
    }
    struct address zero = {0};
    cr_expect_eq(address_classify(&zero, &local_set, &relay_set), ADDRESS_CLASS_ASK);
}

Test(test_address, domain_sets) {
    static const struct span sorted[] = {CASE("a"), CASE("a.b"), CASE("aa"),
                                         CASE("b"), CASE("ba"),  CASE("c.example")};
    for (size_t n = 0; n <= 6; n++) {
        struct domain_set set = {sorted, n};
        cr_expect(domain_set_sorted(&set));
        for (size_t i = 0; i < 6; i++) cr_expect_eq(domain_set_holds(&set, sorted[i]), i < n, "%zu of %zu", i, n);
        cr_expect_not(domain_set_holds(&set, SPAN("")));
        cr_expect_not(domain_set_holds(&set, SPAN("a.")));
        cr_expect_not(domain_set_holds(&set, SPAN("aaa")));
        cr_expect_not(domain_set_holds(&set, SPAN("zz")));
    }
    static const struct span unsorted[] = {CASE("b"), CASE("a")}, twice[] = {CASE("a"), CASE("a")};
    cr_expect_not(domain_set_sorted(&(struct domain_set){unsorted, 2}));
    cr_expect_not(domain_set_sorted(&(struct domain_set){twice, 2}));
}

static uint64_t random_next(uint64_t *state) {
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state;
}

/* Changes a few octets of a path: the ones that matter to the grammar, or any. */
static size_t mutate(uint8_t *text, size_t n, size_t cap, uint64_t *state) {
    static const char telling[] = "<>@@\"\\:,.[]%! a1-\0\r\n\t\x7f\x80\xc3\xa4\xe4";
    for (uint64_t times = random_next(state) % 4; times > 0 && n > 0; times--) {
        size_t at = random_next(state) % n;
        uint64_t any = random_next(state);
        uint8_t octet = any % 5 ? (uint8_t)telling[any / 8 % (sizeof telling - 1)] : (uint8_t)(any >> 32);
        switch (any >> 48 & 3) {
        case 0:
            text[at] = octet;
            break;
        case 1:
            memmove(text + at, text + at + 1, n - at - 1);
            n--;
            break;
        default:
            if (n == cap) break;
            memmove(text + at + 1, text + at, n - at);
            text[at] = octet;
            n++;
        }
    }
    return n;
}

static bool inside(struct span part, struct span whole) {
    return part.n == 0 || (part.p >= whole.p && part.n <= whole.n && (size_t)(part.p - whole.p) <= whole.n - part.n);
}

/* What follows the last @ that is in no quoted string, up to the closing bracket: found by its own reading. */
static struct span after_last_at(struct span argument) {
    size_t from = 0, i = span_find(argument, '<') + 1;
    bool quoted = false;
    for (; i < argument.n && (quoted || argument.p[i] != '>'); i++) {
        if (quoted && argument.p[i] == '\\')
            i++;
        else if (argument.p[i] == '"')
            quoted = !quoted;
        else if (!quoted && argument.p[i] == '@')
            from = i + 1;
    }
    return from ? span_part(argument, from, i - from) : (struct span){NULL, 0};
}

static void judge(struct span argument, bool null_allowed, size_t *parsed) {
    struct address address;
    struct span rest;
    if (!address_parse(&address, argument, null_allowed, &rest)) return;
    ++*parsed;
    cr_assert(inside(address.local, argument) && inside(address.domain, argument));
    cr_assert(inside(address.whole, argument) && inside(rest, argument));
    cr_assert(utf8_clean(argument));
    cr_assert_eq(span_find(address.domain, '@'), address.domain.n);
    cr_assert(address.local.n <= ADDRESS_LOCAL_MAX && address.whole.n <= ADDRESS_WHOLE_MAX);
    cr_assert_eq(address.empty, address.whole.n == 0);
    cr_assert(!address.empty || null_allowed);
    cr_assert(!address.postmaster || !null_allowed);
    struct span domain = after_last_at(argument);
    if (domain.n && domain.p[domain.n - 1] == '.') domain.n--;
    cr_assert(span_equal(domain, address.domain));
    bool ours = false;
    for (size_t i = 0; i < local_set.n; i++) ours = ours || span_equal_nocase(domain, local_domains[i]);
    enum address_class class = address_classify(&address, &local_set, &relay_set);
    cr_assert_eq(class == ADDRESS_CLASS_LOCAL, ours);
    uint8_t storage[ADDRESS_MAX];
    struct buf again = BUF_OVER(storage);
    struct address same;
    if (address.domain.n == 0) return;
    cr_assert(address_local_normal(&address, &again));
    buf_put_octet(&again, '@');
    address_domain_lower(&address, &again);
    cr_assert(buf_ok(&again) && address_parse_plain(&same, buf_span(&again)));
    cr_assert_eq(address_classify(&same, &local_set, &relay_set), class);
    cr_assert_eq(address_second_routing(&same), address_second_routing(&address));
}

/* Each input lies in storage of just its size, so that a sanitizer sees a read beyond it. */
Test(test_address, invariants_over_mutated_paths) {
    size_t parsed = 0, seeds = sizeof paths / sizeof *paths;
    for (uint64_t round = 0, state = 88172645463325252u; round < 400000; round++) {
        uint8_t text[512];
        struct span seed = paths[round % seeds].argument;
        memcpy(text, seed.p, seed.n);
        size_t n = mutate(text, seed.n, sizeof text, &state);
        uint8_t *exact = malloc(n ? n : 1);
        cr_assert_not_null(exact);
        memcpy(exact, text, n);
        judge(span_of(exact, n), round & 64, &parsed);
        free(exact);
    }
    cr_expect_gt(parsed, (size_t)50000);
}

Test(test_address, utf8_is_decided_as_rfc_3629_says) {
    for (uint32_t number = 0; number <= 0x110000; number++) {
        uint8_t p[4];
        size_t n = number < 0x80 ? 1 : number < 0x800 ? 2 : number < 0x10000 ? 3 : 4;
        for (size_t i = n; i-- > 1;) p[i] = (uint8_t)(0x80 | (number >> (6 * (n - 1 - i)) & 0x3f));
        uint32_t first = n == 1 ? number : (0xf00U >> n | number >> (6 * (n - 1))) & 0xff;
        p[0] = (uint8_t)first;
        bool well_formed = number < 0x110000 && (number < 0xd800 || number > 0xdfff);
        cr_assert_eq(utf8_step(span_of(p, n)), well_formed ? n : 0, "U+%04X", number);
        for (size_t cut = 1; cut < n; cut++)
            cr_assert_eq(utf8_step(span_of(p, cut)), (size_t)0, "U+%04X cut", number);
    }
    cr_expect_eq(utf8_step(SPAN("")), (size_t)0);
}
