/* command_dns.c - whether DNS and certificates fit the configuration.
 * Runs in: the command line. Trusts: the processes that it starts for the findings. Never: reads a byte from the
 * network or a certificate itself. */
#include "server/process/command_dns.h"

#include "server/process/autoconfig_conf.h"
#include "server/process/command_print.h"
#include "server/process/judge.h"
#include "server/process/oneshot.h"
#include "store/clock.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MS = 70000, SOON_SECONDS = 14 * 24 * 3600, LINES_MAX = 2048 };

static const char *const level_names[ZONE_LEVEL_COUNT] = {"unknown", "good", "note", "warning", "wrong"};

struct report {
    bool json, ended;
    size_t n, counts[ZONE_LEVEL_COUNT];
    char name[ZONE_NAME_MAX + 1]; /* that the last finding was about */
    char *lines[LINES_MAX];
    size_t n_lines;
};

/* ---- what is printed */

static void put_member(const char *name, struct span value, bool last) {
    printf("\"%s\": ", name);
    command_print_json(value, stdout);
    fputs(last ? "}" : ", ", stdout);
}

static void keep_line(struct report *report, struct span line) {
    for (size_t i = 0; i < report->n_lines; i++)
        if (span_equal(span_text(report->lines[i]), line)) return;
    if (!line.n || report->n_lines == LINES_MAX) return;
    char *copy = strndup((const char *)line.p, line.n);
    if (!copy) abort();
    report->lines[report->n_lines++] = copy;
}

static void put_finding(struct report *report, const struct zone_finding *finding) {
    report->counts[finding->level]++;
    if (report->json) {
        fputs(report->n++ ? ",\n  {" : "[\n  {", stdout);
        put_member("level", span_text(level_names[finding->level]), false);
        put_member("check", span_text(finding->what), false);
        put_member("name", finding->name, false);
        put_member("text", finding->text, false);
        put_member("line", finding->line, true);
        return;
    }
    if (!span_equal(span_text(report->name), finding->name)) {
        (void)snprintf(report->name, sizeof report->name, "%.*s", (int)finding->name.n,
                       (const char *)finding->name.p);
        if (report->n) putchar('\n');
        command_print_clean(finding->name, stdout);
        putchar('\n');
    }
    report->n++;
    printf("  %-8s %-12s ", level_names[finding->level], finding->what);
    command_print_clean(finding->text, stdout);
    putchar('\n');
    keep_line(report, finding->line);
}

static void put_end(struct report *report) {
    if (report->json) {
        fputs(report->n ? "\n]\n" : "[]\n", stdout);
        return;
    }
    if (report->n_lines) fputs("\nTo paste into the zones, in place of what is wrong there:\n", stdout);
    for (size_t i = 0; i < report->n_lines; i++) {
        command_print_clean(span_text(report->lines[i]), stdout);
        putchar('\n');
    }
    printf("\n%zu good, %zu warnings, %zu wrong, %zu unknown\n", report->counts[ZONE_LEVEL_GOOD],
           report->counts[ZONE_LEVEL_WARNING], report->counts[ZONE_LEVEL_BAD], report->counts[ZONE_LEVEL_UNKNOWN]);
}

/* ---- certificates */

static void say(struct report *report, enum zone_level level, const char *name, const char *text) {
    struct zone_finding finding = {level, "certificate", span_text(name), span_text(text), {0}};
    put_finding(report, &finding);
}

/* RFC 6125 6.4.3: a star stands for one whole label, the first. */
static bool names_hold(const char *names, struct span name) {
    struct span rest = span_text(names), parent = span_from(name, span_find(name, '.'));
    while (rest.n) {
        size_t end = span_find(rest, ' ');
        struct span one = span_part(rest, 0, end);
        rest = span_from(rest, end + 1);
        if (span_equal(one, name)) return true;
        if (one.n > 2 && one.p[0] == '*' && parent.n && span_equal(span_from(one, 1), parent)) return true;
    }
    return false;
}

static void check_age(struct report *report, const char *file, const struct judge_certificate *one) {
    char text[200], day[32] = "";
    uint64_t now = clock_wall_ms() / 1000;
    time_t seconds = (time_t)(now < one->not_before ? one->not_before : one->not_after);
    struct tm when;
    if (gmtime_r(&seconds, &when)) strftime(day, sizeof day, "%Y-%m-%d", &when);
    const char *what = now < one->not_before                 ? "is not valid before"
                       : now > one->not_after                ? "expired on"
                       : one->not_after - now < SOON_SECONDS ? "expires soon, on"
                                                             : "is valid until";
    bool valid = now >= one->not_before && now <= one->not_after;
    (void)snprintf(text, sizeof text, "%s %s%s", what, day,
                   one->self_signed ? "; it is signed by itself, so mail programs will ask whether to trust it" : "");
    bool warns = one->self_signed || (valid && one->not_after - now < SOON_SECONDS);
    say(report, !valid ? ZONE_LEVEL_BAD : warns ? ZONE_LEVEL_WARNING : ZONE_LEVEL_GOOD, file, text);
}

static void check_name(struct report *report, const struct judge_certificate *found, size_t n, const char *name) {
    bool held = false;
    for (size_t i = 0; i < n; i++) held = held || names_hold(found[i].names, span_text(name));
    say(report, held ? ZONE_LEVEL_GOOD : ZONE_LEVEL_BAD, name,
        held ? "a certificate has this name"
             : "no certificate has this name: programs that check it will not connect");
}

static void check_certificates(struct report *report, const struct conf *conf, const struct material *material,
                               struct zone_setup *setup) {
    if (!material->n) return;
    struct judge_certificate *found = calloc(material->n, sizeof *found);
    if (!found) abort();
    if (!judge_certificates(conf, material, found)) {
        say(report, ZONE_LEVEL_UNKNOWN, conf->hostname, "gatepost-keys gave no answer about the certificates");
    } else {
        for (size_t i = 0; i < material->n; i++) check_age(report, material->pairs[i].file, &found[i]);
        check_name(report, found, material->n, conf->hostname);
        if (strcmp(conf->hostname, conf->autoconfig.host) != 0)
            check_name(report, found, material->n, conf->autoconfig.host);
        setup->has_spki = 1;
        memcpy(setup->spki, found[0].spki, sizeof setup->spki);
    }
    free(found);
}

/* ---- the DNS */

static bool take(void *context, const struct frame *frame) {
    struct report *report = context;
    struct wire w = wire_over(frame->body);
    char what[16];
    if (frame->type == CHILD_CHECKED) report->ended = true;
    if (frame->type != CHILD_FINDING) return frame->type != CHILD_CHECKED;
    struct zone_finding finding = {.level = (enum zone_level)wire_get_u8(&w), .what = what};
    wire_get_text(&w, what, sizeof what);
    finding.name = wire_get_span(&w, ZONE_NAME_MAX);
    finding.text = wire_get_span(&w, FRAME_BODY_MAX);
    finding.line = wire_get_span(&w, FRAME_BODY_MAX);
    if (!wire_end(&w) || finding.level >= ZONE_LEVEL_COUNT) return false;
    put_finding(report, &finding);
    return true;
}

static void make_setup(const struct conf *conf, struct zone_setup *setup) {
    setup->hostname = span_text(conf->hostname);
    if (conf->delivery.foreign == CONF_FOREIGN_SMARTHOST) setup->smarthost = span_text(conf->delivery.smarthost.host);
    for (size_t i = 0; i < conf->n_listeners; i++)
        if (conf->listeners[i].role == CONF_LISTENER_MX) setup->takes_mail = 1;
    while (setup->n_domains < conf->n_local_domains && setup->n_domains < ZONE_DOMAINS_MAX) {
        setup->domains[setup->n_domains] = span_text(conf->local_domains[setup->n_domains].name);
        setup->n_domains++;
    }
    while (setup->n_selectors < conf->dns.dkim_selectors.n && setup->n_selectors < ZONE_SELECTORS_MAX) {
        setup->selectors[setup->n_selectors] = span_text(conf->dns.dkim_selectors.items[setup->n_selectors]);
        setup->n_selectors++;
    }
    autoconfig_of_conf(conf, &conf->local_domains[0], &setup->settings);
    if (conf->n_local_domains > ZONE_DOMAINS_MAX)
        fprintf(stderr, "gatepost: only the first %d domains are looked at\n", ZONE_DOMAINS_MAX);
}

/* In place of resolv.conf a file in memory, which child.c opens by its name under /proc. 0, or an exit code. */
static int use_server(struct conf *conf, const char *server) {
    struct netaddr address;
    char text[NETADDR_TEXT_MAX], line[NETADDR_TEXT_MAX + 32], *path = NULL;
    if (!netaddr_parse_port(&address, span_text(server))) {
        if (!netaddr_parse(&address, span_text(server))) {
            fputs("gatepost: --server takes an address with or without port, as in 127.0.0.1:5353 or [::1]:53\n",
                  stderr);
            return CONTROL_USAGE;
        }
        address.port = 53;
    }
    int fd = memfd_create("resolv", MFD_CLOEXEC);
    int n = snprintf(line, sizeof line, "nameserver %s@%u\n", netaddr_text(&address, text), address.port);
    if (fd < 0 || write(fd, line, (size_t)n) != n || asprintf(&path, "/proc/self/fd/%d", fd) < 0) abort();
    free(conf->delivery.resolv_file);
    conf->delivery.resolv_file = path;
    return CONTROL_OK;
}

static int exit_code(const struct report *report) {
    if (report->counts[ZONE_LEVEL_BAD]) return CONTROL_FAILED;
    return report->counts[ZONE_LEVEL_UNKNOWN] || !report->ended ? CONTROL_UNAVAILABLE : CONTROL_OK;
}

int command_check_dns(const struct command_line *line, struct conf *conf, const struct material *material) {
    static struct zone_setup setup;
    static struct report report;
    const char *server = command_value(line, "server");
    int code = server ? use_server(conf, server) : CONTROL_OK;
    if (code) return code;
    report.json = line->json;
    make_setup(conf, &setup);
    check_certificates(&report, conf, material, &setup);
    struct oneshot question = {
        .role = ROLE_RESOLVER, .zone = &setup, .ms = ANSWER_MS, .take = take, .context = &report};
    if (!oneshot_run(conf, &question) || !report.ended)
        fputs("gatepost: the DNS could not be looked into to the end: gatepost-resolver gave no answer\n", stderr);
    put_end(&report);
    for (size_t i = 0; i < report.n_lines; i++) free(report.lines[i]);
    return exit_code(&report);
}
