/* command_autoconfig.c - prints what mail programs are to be set to.
 * Runs in: the command line. Trusts: the owner. Never: prints a password, or settings that cannot work. */
#include "auth/address.h"
#include "server/process/autoconfig_conf.h"
#include "server/process/command_ask.h"
#include "server/process/command_run.h"
#include "server/process/stand_alone.h"

#include <stdlib.h>

struct form {
    const char *option;
    void (*make)(const struct autoconfig *settings, struct buf *out);
};
static const struct form forms[] = {
    {"thunderbird", autoconfig_thunderbird},
    {"autodiscover", autoconfig_autodiscover},
    {"mobileconfig", autoconfig_mobileconfig},
    {"srv", autoconfig_srv},
    {"page", autoconfig_page},
};

/* The one that was asked for; NULL (said) for none or several. */
static const struct form *chosen_form(const struct command_line *line) {
    const struct form *found = NULL;
    size_t n = 0;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (command_value(line, forms[i].option)) found = &forms[i], n++;
    if (n == 1) return found;
    fputs("gatepost: 'autoconfig' needs one of --thunderbird, --autodiscover, --mobileconfig, --srv and --page\n",
          stderr);
    return NULL;
}

/* ---- whose */

static int no_domain(const char *what, const char *text) {
    fprintf(stderr, "gatepost: %s ", what);
    command_print_clean(span_text(text), stderr);
    fputs(" is not in local_domains\n", stderr);
    return CONTROL_NOT_FOUND;
}

/* The local domain that the options name. 0, or an exit code after saying why. */
static int find_domain(const struct command_line *line, const struct conf *conf,
                       const struct conf_domain **domain_out) {
    const char *user = command_value(line, "user"), *name = command_value(line, "domain");
    const char *at = user ? strrchr(user, '@') : NULL;
    struct address address;
    *domain_out = &conf->local_domains[0];
    if (user && !address_parse_plain(&address, span_text(user))) {
        fputs("gatepost: --user takes a full mail address\n", stderr);
        return CONTROL_USAGE;
    }
    if (name && !(*domain_out = conf_local_domain(conf, name))) return no_domain("the domain", name);
    if (!at) return 0;
    const struct conf_domain *of_user = conf_local_domain(conf, at + 1);
    if (!of_user) return no_domain("the domain of", user);
    if (name && of_user != *domain_out) {
        fputs("gatepost: --user and --domain name two domains\n", stderr);
        return CONTROL_USAGE;
    }
    *domain_out = of_user;
    return 0;
}

struct user {
    char login[ADDRESS_MAX + 1];
    bool spa;
};

/* The row of "user enrolment". */
static bool take_row(void *context, struct span row) {
    struct user *user = context;
    struct wire w = wire_over(row);
    while (w.rest.n && !w.bad) {
        char name[32];
        wire_get_text(&w, name, sizeof name);
        bool text = wire_get_u8(&w) == CONTROL_TEXT;
        struct span value = text ? wire_get_span(&w, FRAME_BODY_MAX) : span_of(NULL, 0);
        uint64_t number = text ? 0 : wire_get_u64(&w);
        if (strcmp(name, "login") == 0 && value.n < sizeof user->login) memcpy(user->login, value.p, value.n);
        if (strcmp(name, "spa") == 0) user->spa = number == 1;
    }
    return true;
}

/* The user's login as it is stored, and whether SPA is for it. 0, or an exit code after saying why. */
static int ask_user(const struct conf *conf, const char *login, struct user *out) {
    struct command_value value = {"login", login};
    struct command_print print;
    command_print_open(&print, stdout, PRINT_OCTETS);
    print.take = take_row, print.context = out;
    int fd = command_reach(conf, ROLE_AUTH);
    if (fd < 0) return CONTROL_UNAVAILABLE;
    int code = command_exchange(fd, "user enrolment", &value, 1, &print);
    stand_alone_end(fd);
    if (code || *out->login) return code;
    fputs("gatepost: the server's answer is malformed\n", stderr);
    return CONTROL_FAILED;
}

/* ---- how it logs in */

static int set_login(const struct command_line *line, const struct conf *conf, struct autoconfig *settings) {
    const char *name = command_value(line, "log-on-using");
    bool pop_first = command_value(line, "pop-first");
    if (name && pop_first) {
        fputs("gatepost: --log-on-using and --pop-first are two answers to one question\n", stderr);
        return CONTROL_USAGE;
    }
    if (pop_first && !conf->grant.enabled) {
        fputs("gatepost: --pop-first needs grant.enabled = true: else who has just checked the mail may not send\n",
              stderr);
        return CONTROL_REFUSED;
    }
    if (name) settings->login = AUTOCONFIG_LOGIN_SEPARATE, settings->login_name = span_text(name);
    if (pop_first) settings->login = AUTOCONFIG_LOGIN_POP_FIRST;
    return 0;
}

/* Whether a program has what it needs; SRV records may say that there is nothing. */
static int check_whole(const struct conf *conf, const struct autoconfig *settings) {
    if (autoconfig_whole(settings)) return 0;
    if (!autoconfig_best(settings->smtp))
        fputs("gatepost: users cannot send here: listen has neither submissions nor submission\n", stderr);
    else
        fprintf(stderr,
                "gatepost: %s knows no server that users fetch mail from: set autoconfig.imap_host or "
                "autoconfig.pop3_host, or add the role pop3s to listen\n",
                conf->hostname);
    return CONTROL_REFUSED;
}

static int print_settings(const struct form *form, const struct autoconfig *settings) {
    uint8_t *storage = malloc(AUTOCONFIG_BYTES_MAX);
    if (!storage) abort();
    struct buf out = buf_over(storage, AUTOCONFIG_BYTES_MAX);
    form->make(settings, &out);
    bool fits = buf_ok(&out);
    if (fits) (void)fwrite(out.p, 1, out.n, stdout); /* main looks for errors */
    free(storage);
    if (!fits) fputs("gatepost: the settings do not fit: names are too long\n", stderr);
    return fits ? CONTROL_OK : CONTROL_FAILED;
}

static int make(const struct command_line *line, const struct conf *conf, const struct form *form) {
    const struct conf_domain *domain;
    struct autoconfig settings;
    struct user user = {0};
    const char *login = command_value(line, "user");
    int code = find_domain(line, conf, &domain);
    if (code) return code;
    autoconfig_of_conf(conf, domain, &settings);
    code = set_login(line, conf, &settings);
    if (!code && form->make != autoconfig_srv) code = check_whole(conf, &settings);
    if (!code && login) code = ask_user(conf, login, &user);
    if (code) return code;
    if (login) {
        settings.user = span_text(user.login);
        settings.spa = user.spa && conf->auth.ntlm;
        /* Another server's is not ours to know. */
        settings.spa_incoming = settings.spa && !*conf->autoconfig.imap_host && !*conf->autoconfig.pop3_host;
    }
    return print_settings(form, &settings);
}

int command_run_autoconfig(const struct command_line *line) {
    const struct form *form = chosen_form(line);
    if (!form) return CONTROL_USAGE;
    struct conf *conf = conf_read(line->config, stderr);
    if (!conf) return CONTROL_FAILED;
    int code = make(line, conf, form);
    conf_free(conf);
    return code;
}
