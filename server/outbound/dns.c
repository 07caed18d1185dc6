/* dns.c - libunbound.
 * Runs in: the resolver. Trusts: the name servers that the owner's resolv.conf names, for addresses only. Never:
 * opens a file, blocks on an answer. */
#include "server/outbound/dns.h"

#include <errno.h>
#include <stdlib.h>
#include <unbound.h>

enum { TYPE_A = 1, TYPE_AAAA = 28, CLASS_IN = 1 };

struct dns {
    struct ub_ctx *context;
};

struct question {
    void (*found)(void *context, enum resolve_outcome outcome, const struct netaddr *list, size_t n);
    void *context;
    struct netaddr list[DNS_ADDRESSES_MAX];
    size_t n, n_ipv4;
    unsigned open; /* of the two look-ups */
    bool failed, not_asked;
};

/* One name server: an address, or "address@port". */
static bool set_server(struct ub_ctx *context, struct span value) {
    struct netaddr address;
    char name[NETADDR_TEXT_MAX], text[NETADDR_TEXT_MAX + 8];
    struct buf b = BUF_OVER(text);
    uint64_t port = 53;
    value = span_part(value, 0, span_find(value, ' '));
    size_t at = span_find(value, '@');
    if (!netaddr_parse(&address, span_part(value, 0, at))) return false;
    if (at < value.n && !span_number(span_from(value, at + 1), UINT16_MAX, &port)) return false;
    buf_put_text(&b, netaddr_text(&address, name));
    buf_put_octet(&b, '@');
    buf_put_number(&b, port);
    buf_put_octet(&b, 0);
    return buf_ok(&b) && ub_ctx_set_fwd(context, text) == 0;
}

/* "nameserver ADDRESS" lines; how many could be set. */
static size_t set_servers(struct ub_ctx *context, struct span text) {
    size_t n = 0;
    while (text.n) {
        size_t end = span_find(text, '\n');
        struct span line = span_trim(span_part(text, 0, end));
        text = span_from(text, end + 1);
        if (!span_starts_nocase(line, SPAN("nameserver")) || line.n < 12) continue;
        if (set_server(context, span_trim(span_from(line, 10)))) n++;
    }
    return n;
}

struct dns *dns_new(struct span resolv_conf) {
    struct dns *dns = calloc(1, sizeof *dns);
    if (!dns || !(dns->context = ub_ctx_create())) {
        free(dns);
        return NULL;
    }
    /* A validating name server is the owner's choice in resolv.conf; here only addresses of one named host are
     * asked for. */
    /* clang-format off */
    static const char *const options[][2] = {
        {"module-config:", "iterator"},   {"do-not-query-localhost:", "no"}, {"unblock-lan-zones:", "yes"},
        {"insecure-lan-zones:", "yes"},   {"num-threads:", "1"},             {"use-syslog:", "no"},
        {"outgoing-range:", "64"},        {"num-queries-per-thread:", "32"}, {"so-rcvbuf:", "0"},
        {"msg-cache-size:", "1m"},        {"rrset-cache-size:", "1m"},       {"infra-cache-numhosts:", "64"},
        {"outgoing-num-tcp:", "4"},       {"incoming-num-tcp:", "4"},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (ub_ctx_set_option(dns->context, options[i][0], options[i][1]) != 0) continue;
    if (ub_ctx_async(dns->context, 1) != 0) { /* a thread, not a process */
        dns_free(dns);
        return NULL;
    }
    (void)set_servers(dns->context, resolv_conf);
    /* libunbound itself answers that these do not exist; here the owner's name servers know whether they do
     * (RFC 8375: the names of a home network; RFC 6761 6.2: those of a test). */
    if (ub_ctx_zone_remove(dns->context, "home.arpa.") != 0 || ub_ctx_zone_remove(dns->context, "test.") != 0) {
        dns_free(dns);
        return NULL;
    }
    return dns;
}

void dns_free(struct dns *dns) {
    if (dns) ub_ctx_delete(dns->context);
    free(dns);
}

int dns_descriptor(const struct dns *dns) {
    return ub_fd(dns->context);
}

void dns_work(struct dns *dns) {
    (void)ub_process(dns->context);
}

static void finish(struct question *question) {
    if (--question->open) return;
    enum resolve_outcome outcome = question->n        ? RESOLVE_FOUND
                                   : question->failed ? RESOLVE_TEMPORARY
                                                      : RESOLVE_NOT_FOUND;
    if (!question->not_asked) question->found(question->context, outcome, question->list, question->n);
    free(question);
}

/* IPv4 addresses go before the IPv6 ones, whichever answer comes first. */
static void add_address(struct question *question, const uint8_t *octets, size_t n) {
    struct netaddr address = {.octets = {[10] = 0xff, [11] = 0xff}};
    if (question->n == DNS_ADDRESSES_MAX || (n != 4 && n != 16)) return;
    memcpy(n == 4 ? address.octets + 12 : address.octets, octets, n);
    size_t at = n == 4 ? question->n_ipv4++ : question->n;
    memmove(&question->list[at + 1], &question->list[at], (question->n - at) * sizeof address);
    question->list[at] = address;
    question->n++;
}

static void take_answer(void *context, int error, struct ub_result *result) {
    struct question *question = context;
    if (error != 0 || !result)
        question->failed = true;
    else if (result->havedata) {
        for (size_t i = 0; result->data[i] && result->len[i] > 0; i++)
            add_address(question, (const uint8_t *)result->data[i], (size_t)result->len[i]);
    } else if (result->rcode != 0 && result->rcode != 3)
        question->failed = true; /* RFC 1035 4.1.1: NXDOMAIN is 3 */
    ub_resolve_free(result);
    finish(question);
}

int dns_addresses(struct dns *dns, struct span name,
                  void (*found)(void *context, enum resolve_outcome outcome, const struct netaddr *list, size_t n),
                  void *context) {
    char text[DNS_NAME_MAX + 1];
    errno = EINVAL;
    if (name.n == 0 || name.n > DNS_NAME_MAX || memchr(name.p, 0, name.n)) return -1;
    errno = EIO;
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    struct question *question = calloc(1, sizeof *question);
    if (!question) return -1;
    *question = (struct question){.found = found, .context = context, .open = 3};
    bool asked_a = ub_resolve_async(dns->context, text, TYPE_A, CLASS_IN, question, take_answer, NULL) == 0;
    bool asked_aaaa = ub_resolve_async(dns->context, text, TYPE_AAAA, CLASS_IN, question, take_answer, NULL) == 0;
    if (!asked_a) question->open--;
    if (!asked_aaaa) question->open--;
    if (!asked_a || !asked_aaaa) question->failed = true;
    bool asked = asked_a || asked_aaaa;
    question->not_asked = !asked;
    finish(question); /* the third share is ours, while asking */
    errno = EIO;
    return asked ? 0 : -1;
}

struct record_question {
    void (*found)(void *context, enum resolve_outcome outcome, const struct dns_records *records);
    void *context;
};

static void take_records(void *context, int error, struct ub_result *result) {
    struct record_question question = *(struct record_question *)context;
    struct dns_records records = {.n = 0};
    bool answered = error == 0 && result && (result->rcode == 0 || result->rcode == 3);
    for (; answered && result->havedata && records.n < DNS_RECORDS_MAX && result->data[records.n]; records.n++)
        records.list[records.n] = span_of(result->data[records.n], (size_t)result->len[records.n]);
    /* A name is an alias when its records are another's; case and the final dot are no difference. */
    if (answered && result->canonname) {
        struct span asked = span_text(result->qname), found = span_text(result->canonname);
        if (asked.n && asked.p[asked.n - 1] == '.') asked.n--;
        if (found.n && found.p[found.n - 1] == '.') found.n--;
        records.alias = !span_equal_nocase(asked, found);
    }
    free(context);
    question.found(question.context,
                   !answered   ? RESOLVE_TEMPORARY
                   : records.n ? RESOLVE_FOUND
                               : RESOLVE_NOT_FOUND,
                   &records);
    ub_resolve_free(result);
}

int dns_records(struct dns *dns, const char *name, uint16_t type,
                void (*found)(void *context, enum resolve_outcome outcome, const struct dns_records *records),
                void *context) {
    struct record_question *question = malloc(sizeof *question);
    if (!question) return -1;
    *question = (struct record_question){found, context};
    if (ub_resolve_async(dns->context, name, type, CLASS_IN, question, take_records, NULL) == 0) return 0;
    free(question);
    return -1;
}
