/* test_zone.c - what is made of records that are cut, folded, malformed or endless: judged, never believed. */
#include "server/lab/zone_part.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

struct record {
    const char *name;
    enum zone_type type;
    struct span data;
};

static const struct record *records;
static size_t n_records, n_asked;
static bool mute;
static struct {
    enum zone_level level;
    char what[16], name[64], text[400], line[400];
} said[64];
static size_t n_said;

static void ask(void *context, const char *name, enum zone_type type, struct zone_answer *out) {
    struct buf b = BUF_OVER(out->storage);
    (void)context;
    n_asked++;
    *out = (struct zone_answer){.outcome = mute ? ZONE_UNANSWERED : ZONE_NONE};
    for (size_t i = 0; !mute && i < n_records && out->n < ZONE_RECORDS_MAX; i++) {
        if (records[i].type != type || strcmp(records[i].name, name) != 0) continue;
        out->outcome = ZONE_FOUND;
        out->records[out->n++] = span_of(out->storage + b.n, records[i].data.n);
        buf_put_span(&b, records[i].data);
    }
}

static void copy(char *to, size_t size, struct span from) {
    (void)snprintf(to, size, "%.*s", (int)from.n, (const char *)from.p);
}

static void say(void *context, const struct zone_finding *finding) {
    (void)context;
    cr_assert(n_said < sizeof said / sizeof *said);
    said[n_said].level = finding->level;
    copy(said[n_said].what, sizeof said->what, span_text(finding->what));
    copy(said[n_said].name, sizeof said->name, finding->name);
    copy(said[n_said].text, sizeof said->text, finding->text);
    copy(said[n_said++].line, sizeof said->line, finding->line);
}

static struct zone_setup setup;
static struct zone zone;

static void begin(const struct record *list, size_t n) {
    records = list, n_records = n, n_said = n_asked = 0, mute = false;
    setup = (struct zone_setup){
        .hostname = SPAN("mx.test"), .domains = {SPAN("a.test")}, .n_domains = 1, .takes_mail = 1};
    zone = (struct zone){.setup = &setup, .ask = ask, .say = say};
}
#define BEGIN(list) begin(list, sizeof list / sizeof *list)

static struct netaddr address_of(const char *text) {
    struct netaddr address;
    cr_assert(netaddr_parse(&address, span_text(text)));
    return address;
}

Test(zone, names) {
    static const struct {
        struct span wire;
        size_t taken;
        const char *name;
    } rows[] = {
        {SPAN("\2mx\4TEST\0rest"), 9, "mx.test"},
        {SPAN("\0"), 1, ""},
        {SPAN(""), 0, NULL},
        {SPAN("\2mx"), 0, NULL},       /* without its root */
        {SPAN("\5mx\0"), 0, NULL},     /* a label beyond the end */
        {SPAN("\100aaaa\0"), 0, NULL}, /* 64 */
        {SPAN("\300\14"), 0, NULL},    /* a pointer: compression is undone before */
        {SPAN("\3a b\0"), 0, NULL},
        {SPAN("\3a.b\0"), 0, NULL},
        {SPAN("\2a\0\0"), 0, NULL},
        {SPAN("\5\033[31m\0"), 0, NULL},
        {SPAN("\2\303\274\0"), 0, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[ZONE_NAME_MAX + 1];
        size_t taken = zone_name(rows[i].wire, name);
        cr_expect_eq(taken, rows[i].taken, "row %zu: %zu", i, taken);
        if (rows[i].name) cr_expect_str_eq(name, rows[i].name);
    }
    uint8_t longest[300] = {0};
    char name[ZONE_NAME_MAX + 1];
    for (size_t i = 0; i < 256; i += 2) longest[i] = 1, longest[i + 1] = 'a';
    cr_expect_eq(zone_name(span_of(longest, 300), name), 0, "more than 255 octets");
    longest[252] = 0;
    cr_expect_eq(zone_name(span_of(longest, 300), name), 253);
}

Test(zone, texts_are_folded_and_bounded) {
    uint8_t storage[8];
    struct buf b = BUF_OVER(storage);
    cr_expect(zone_text(SPAN("\3abc\0\2de"), &b) && span_equal(buf_span(&b), SPAN("abcde")));
    b = BUF_OVER(storage);
    cr_expect(!zone_text(SPAN("\4abc"), &b), "beyond the end");
    b = BUF_OVER(storage);
    cr_expect(!zone_text(SPAN("\11abcdefghi"), &b), "too long");
}

static enum zone_spf judge(const char *record, const char *address, char why[200]) {
    struct netaddr of = address_of(address);
    struct zone_spf_state state = {.zone = &zone, .address = &of};
    enum zone_spf result = zone_spf_judge(&state, SPAN("a.test"), span_text(record));
    memcpy(why, state.why, sizeof state.why);
    cr_expect(state.lookups <= 11);
    return result;
}

Test(zone, spf) {
    static const struct record list[] = {
        {"a.test", ZONE_MX, SPAN("\0\12\2mx\4test\0")},
        {"mx.test", ZONE_A, SPAN("\300\0\2\1")},
        {"a.test", ZONE_AAAA, SPAN("\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1")},
        {"other.test", ZONE_TXT, SPAN("\31v=spf1 ip4:192.0.2.7 ~all")},
        {"loop.test", ZONE_TXT, SPAN("\35v=spf1 include:loop.test -all")},
        {"deep.test", ZONE_TXT, SPAN("\31v=spf1 redirect=deep.test")},
    };
    static const struct {
        const char *record, *address;
        enum zone_spf result;
    } rows[] = {
        {"v=spf1 mx -all", "192.0.2.1", ZONE_SPF_PASS},
        {"v=spf1 MX -ALL", "192.0.2.1", ZONE_SPF_PASS},
        {"v=spf1 mx -all", "192.0.2.2", ZONE_SPF_FAIL},
        {"v=spf1 mx/24 -all", "192.0.2.2", ZONE_SPF_PASS},
        {"v=spf1 a:mx.test/24//64 ~all", "192.0.3.2", ZONE_SPF_SOFT},
        {"v=spf1 a//64 -all", "2001:db8::99", ZONE_SPF_PASS},
        {"v=spf1 a -all", "2001:db8::99", ZONE_SPF_FAIL},
        {"v=spf1 -mx +all", "192.0.2.1", ZONE_SPF_FAIL},
        {"v=spf1", "192.0.2.1", ZONE_SPF_NEUTRAL},
        {"v=spf1  ?all ", "192.0.2.1", ZONE_SPF_NEUTRAL},
        {"v=spf1 ip4:192.0.2.0/24 -all", "192.0.2.9", ZONE_SPF_PASS},
        {"v=spf1 ip6:2001:db8::/32 -all", "2001:db8::9", ZONE_SPF_PASS},
        {"v=spf1 ip4:0.0.0.0/0 -all", "2001:db8::9", ZONE_SPF_FAIL},
        {"v=spf1 include:other.test -all", "192.0.2.7", ZONE_SPF_PASS},
        {"v=spf1 include:other.test -all", "192.0.2.8", ZONE_SPF_FAIL},
        {"v=spf1 redirect=other.test", "192.0.2.8", ZONE_SPF_SOFT},
        {"v=spf1 mx redirect=other.test", "192.0.2.1", ZONE_SPF_PASS},
        {"v=spf1 exp=why.test unknown=x -all", "192.0.2.1", ZONE_SPF_FAIL},
        {"v=spf1 include:%{d}.test mx -all", "192.0.2.1", ZONE_SPF_PASS},
        {"v=spf1 include:%{d}.test mx -all", "192.0.2.2", ZONE_SPF_UNKNOWN},
        {"v=spf1 ptr -all", "192.0.2.1", ZONE_SPF_FAIL},
        {"v=spf1 include:nobody.test -all", "192.0.2.1", ZONE_SPF_BROKEN},
        {"v=spf1 include: -all", "192.0.2.1", ZONE_SPF_BROKEN},
        {"v=spf1 include:loop.test -all", "192.0.2.1", ZONE_SPF_BROKEN},
        {"v=spf1 redirect=deep.test", "192.0.2.1", ZONE_SPF_BROKEN},
        {"v=spf1 ip4:192.0.2.1/33 -all", "192.0.2.1", ZONE_SPF_BROKEN},
        {"v=spf1 a/33 -all", "192.0.2.1", ZONE_SPF_BROKEN},
        {"v=spf1 a//129 -all", "192.0.2.1", ZONE_SPF_BROKEN},
        {"v=spf1 mx/ -all", "192.0.2.1", ZONE_SPF_BROKEN},
        {"v=spf1 everything", "192.0.2.1", ZONE_SPF_BROKEN},
        {"v=spf1 - -all", "192.0.2.1", ZONE_SPF_BROKEN},
        {"v=spf1 a a a a a a a a a a -all", "192.0.2.1", ZONE_SPF_FAIL},
        {"v=spf1 a a a a a a a a a a a -all", "192.0.2.1", ZONE_SPF_BROKEN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char why[200];
        BEGIN(list);
        enum zone_spf result = judge(rows[i].record, rows[i].address, why);
        cr_expect_eq(result, rows[i].result, "%s for %s: %d (%s)", rows[i].record, rows[i].address, (int)result, why);
        cr_expect(n_asked < 40, "%s asked %zu times", rows[i].record, n_asked);
    }
    char why[200];
    mute = true;
    cr_expect_eq(judge("v=spf1 mx -all", "192.0.2.1", why), ZONE_SPF_UNKNOWN, "silence is no refusal");
}

Test(zone, ten_exchangers_each_with_many_addresses_are_asked_once_each) {
    static struct record list[40];
    static const struct span mx = SPAN("\0\12\2mx\4test\0");
    for (size_t i = 0; i < 40; i++) list[i] = (struct record){"a.test", ZONE_MX, mx};
    char why[200];
    begin(list, 40);
    cr_expect_eq(judge("v=spf1 mx mx mx mx mx mx mx mx mx mx -all", "192.0.2.1", why), ZONE_SPF_FAIL);
    cr_expect(n_asked <= 10 * (1 + 2 * 10), "%zu questions", n_asked);
}

Test(zone, a_zone_of_rubbish_is_wrong_and_never_good) {
    static const struct span rubbish[] = {SPAN(""),
                                          SPAN("\0"),
                                          SPAN("\377"),
                                          SPAN("\0\1"),
                                          SPAN("\0\0\0\0\0\0\0"),
                                          SPAN("\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377"),
                                          SPAN("\7v=spf1 "),
                                          SPAN("\15v=DKIM1; p=\377\377"),
                                          SPAN("\10v=DMARC1")};
    static const char *const names[] = {"mx.test",          "a.test",
                                        "_dmarc.a.test",    "s._domainkey.a.test",
                                        "_25._tcp.mx.test", "_submissions._tcp.a.test",
                                        "_mta-sts.a.test"};
    static const enum zone_type types[] = {ZONE_A, ZONE_AAAA, ZONE_MX, ZONE_TXT, ZONE_SRV, ZONE_TLSA, ZONE_PTR};
    static struct record list[sizeof names / sizeof *names * (sizeof types / sizeof *types)];
    for (size_t i = 0; i < sizeof rubbish / sizeof *rubbish; i++) {
        size_t n = 0;
        for (size_t j = 0; j < sizeof names / sizeof *names; j++)
            for (size_t k = 0; k < sizeof types / sizeof *types; k++)
                list[n++] = (struct record){names[j], types[k], rubbish[i]};
        begin(list, n);
        setup.selectors[0] = SPAN("s");
        setup.n_selectors = 1;
        setup.has_spki = 1;
        setup.settings.smtp[0] = (struct autoconfig_server){SPAN("mx.test"), 465, AUTOCONFIG_TLS};
        zone_check(&zone);
        cr_expect(n_said > 5);
        for (size_t j = 0; j < n_said; j++)
            cr_expect(said[j].level != ZONE_LEVEL_GOOD || rubbish[i].n == 16, "%zu: %s: %s", i, said[j].what,
                      said[j].text);
    }
}

Test(zone, silence_is_unknown_and_not_wrong) {
    begin(NULL, 0);
    mute = true;
    zone_check(&zone);
    cr_expect(n_said > 3);
    for (size_t i = 0; i < n_said; i++)
        cr_expect(said[i].level == ZONE_LEVEL_UNKNOWN || said[i].level == ZONE_LEVEL_NOTE, "%s: %s", said[i].what,
                  said[i].text);
}

Test(zone, private_addresses_need_no_name) {
    static const struct record list[] = {{"mx.test", ZONE_A, SPAN("\12\0\0\1")}};
    BEGIN(list);
    zone_check(&zone);
    size_t notes = 0;
    for (size_t i = 0; i < n_said; i++)
        if (strcmp(said[i].what, "PTR") == 0) notes += said[i].level == ZONE_LEVEL_NOTE;
    cr_expect_eq(notes, 1);
}

Test(zone, a_subdomain_has_the_policy_of_the_domain_above) {
    static const struct record list[] = {
        {"_dmarc.test.example", ZONE_TXT, SPAN("\42v=DMARC1; p=reject; sp=quarantine;")}};
    BEGIN(list);
    zone_check_dmarc(&zone, SPAN("b.a.test.example"));
    cr_assert_eq(n_said, 1);
    cr_expect(said[0].level == ZONE_LEVEL_GOOD && strstr(said[0].text, "quarantine, from test.example"), "%s",
              said[0].text);
    n_said = 0;
    zone_check_dmarc(&zone, SPAN("other.example"));
    cr_expect(n_said == 1 && said[0].level == ZONE_LEVEL_BAD);
}

Test(zone, setup_there_and_back) {
    static uint8_t storage[4000];
    static struct zone_setup again;
    struct buf b = BUF_OVER(storage);
    begin(NULL, 0);
    setup.smarthost = SPAN("relay.test");
    setup.selectors[0] = SPAN("s1");
    setup.n_selectors = 1;
    zone_setup_put(&b, &setup);
    cr_assert(buf_ok(&b) && zone_setup_get(&again, buf_span(&b)) == 0);
    cr_expect(span_equal(again.smarthost, SPAN("relay.test")) && again.n_domains == 1 && again.takes_mail == 1 &&
              span_equal(again.selectors[0], SPAN("s1")));
    for (size_t n = 0; n < b.n; n++) cr_expect(zone_setup_get(&again, span_of(storage, n)) != 0, "cut at %zu", n);
}
