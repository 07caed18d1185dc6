/* fuzz_zone.c - records of the DNS, and requests of mail programs: no answer makes the check ask without end, say
 * good of nothing, or print what would leave a line; what is taken for an address is one. Runs in: fuzzing. Trusts:
 * nothing. Never: asks a name server. */
#include "auth/address.h"
#include "server/lab/zone.h"
#include "tests/fuzz/fuzz.h"

enum { QUESTIONS_MAX = 4000 };

static struct span left;
static unsigned asked, found;

/* A first octet for how many records, then each with its length. */
static void ask(void *context, const char *name, enum zone_type type, struct zone_answer *out) {
    struct buf b = BUF_OVER(out->storage);
    unsigned n = fuzz_octet(&left);
    (void)context, (void)type;
    HOLDS(++asked < QUESTIONS_MAX && strlen(name) <= ZONE_NAME_MAX);
    *out = (struct zone_answer){.outcome = (enum zone_outcome)(n % 3), .alias = n & 128};
    for (unsigned i = 0; out->outcome == ZONE_FOUND && i < n / 3 % 8; i++) {
        size_t length = fuzz_octet(&left);
        struct span data = span_part(left, 0, length);
        left = span_from(left, length);
        out->records[out->n++] = span_of(b.p + b.n, data.n);
        buf_put_span(&b, data);
        found++;
    }
}

static void say(void *context, const struct zone_finding *finding) {
    (void)context;
    HOLDS(finding->level < ZONE_LEVEL_COUNT && finding->text.n > 0);
    HOLDS(finding->level != ZONE_LEVEL_GOOD || found);
    for (size_t i = 0; i < finding->line.n; i++) HOLDS(finding->line.p[i] >= ' ' && finding->line.p[i] < 127);
}

static void check_address(bool is, struct buf *b) {
    struct address address;
    HOLDS(!is || address_parse_plain(&address, buf_span(b)));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static struct zone_setup setup;
    uint8_t storage[AUTOCONFIG_TEXT_MAX], more[AUTOCONFIG_TEXT_MAX];
    struct buf body = BUF_OVER(storage), query = BUF_OVER(more);
    check_address(autoconfig_request_address(span_of(p, n), &body), &body);
    check_address(autoconfig_query_address(span_of(p, n), &query), &query);
    (void)zone_setup_get(&setup, span_of(p, n));
    setup = (struct zone_setup){
        .hostname = SPAN("mx.test"),
        .domains = {SPAN("a.b.test"), SPAN("xn--bcher-kva.test")},
        .n_domains = 2,
        .selectors = {SPAN("s")},
        .n_selectors = 1,
        .takes_mail = 1,
        .has_spki = 1,
        .settings = {.smtp = {{SPAN("mx.test"), 465, AUTOCONFIG_TLS}}, .login = AUTOCONFIG_LOGIN_SAME},
    };
    struct zone zone = {.setup = &setup, .ask = ask, .say = say};
    left = span_of(p, n);
    asked = found = 0;
    zone_check(&zone);
    return 0;
}
