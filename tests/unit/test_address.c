/* test_address.c - paths in every form that clients and relay testers send, and the normal forms.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "auth/address.h"

#include <criterion/criterion.h>

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
    {CASE("<0189azAZ@0189azAZ.example>"), "0189azAZ", "0189azAZ.example", ""},
    {CASE("<\"a\\~\\ \"@example.test>"), "\"a\\~\\ \"", "example.test", ""},
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

Test(test_address, domains) {
    static const struct span valid[] = {CASE("a"), CASE("example.test"), CASE("a_b.1"), CASE("\xc3\xa4.example")};
    static const struct span invalid[] = {
        CASE(""),    CASE("."),   CASE("a."),   CASE(".a"),    CASE("a b"),
        CASE("a@b"), CASE("a/b"), CASE("a\0b"), CASE("[::1]"),
    };
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++) cr_expect(address_domain_valid(valid[i]));
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) cr_expect_not(address_domain_valid(invalid[i]));
    cr_expect_not(address_domain_valid((struct span){NULL, 0}));
    uint8_t letters[ADDRESS_DOMAIN_MAX + 1]; /* labels of one letter */
    for (size_t i = 0; i < sizeof letters; i++) letters[i] = i % 2 ? '.' : 'a';
    cr_expect(address_domain_valid(span_of(letters, ADDRESS_DOMAIN_MAX)));
    letters[ADDRESS_DOMAIN_MAX] = 'a', letters[ADDRESS_DOMAIN_MAX - 2] = 'a';
    cr_expect_not(address_domain_valid(span_of(letters, ADDRESS_DOMAIN_MAX + 1)));
}

Test(test_address, what_a_log_line_shows) {
    static const struct {
        struct span argument;
        bool null_allowed;
        struct span shown;
    } rows[] = {
        {SPAN("<alice@example.test> size=1"), true, SPAN("<alice@example.test>")},
        {SPAN(" <bob@example.test>  NOTIFY=NEVER ORCPT=rfc822;x "), false, SPAN("<bob@example.test>")},
        {SPAN("<\"a b> c\"@example.test> SIZE=1"), true, SPAN("<\"a b> c\"@example.test>")},
        {SPAN("<@r.example:b@example.test> BODY=8BITMIME"), true, SPAN("<@r.example:b@example.test>")},
        {SPAN("<> SIZE=1"), true, SPAN("<>")},
        {SPAN("<postmaster> NOTIFY=NEVER"), false, SPAN("<postmaster>")},
        {SPAN("alice@example.test size=1"), true, SPAN("alice@example.test size=1")},
        {SPAN(""), true, SPAN("")},
    };
    uint8_t octets[2 * ADDRESS_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect(span_equal(address_path(rows[i].argument, rows[i].null_allowed), rows[i].shown), "row %zu", i);
    memset(octets, 'x', sizeof octets);
    cr_expect_eq(address_path(span_of(octets, sizeof octets), true).n, ADDRESS_MAX);
}
