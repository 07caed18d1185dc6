/* control_quota.c - the command line's verbs about quotas.
 * Runs in: auth. Trusts: the database. Never: gives back what was sent. */
#include "auth/control_answer.h"
#include "auth/identity.h"
#include "auth/system_user.h"

static const char *const whats[QUOTA_WHATS][QUOTA_PERIODS] = {{"messages an hour", "messages a day"},
                                                              {"recipients an hour", "recipients a day"}};

/* ---- what there is */

struct listing {
    struct auth *auth;
    struct span login; /* empty: of everybody */
    bool ok, shown;    /* no report failed; somebody's rows were sent */
};

static void put_row(const struct quota_row *row, const struct quota_report *report, size_t what, size_t period) {
    struct control_row *to = &control_answer.row;
    uint32_t used = report->used[what][period], most = report->limits.most[what][period];
    control_row_open(to);
    control_row_text(to, "login", row->login);
    control_row_text(to, "credential", row->name);
    control_row_text(to, "what", span_text(whats[what][period]));
    control_row_number(to, "used", used);
    control_row_number(to, "limit", most);
    control_row_number(to, "left", used < most ? most - used : 0);
    control_row_time(to, "until", report->until_ms[what][period]);
    control_row_bool(to, "own", report->own[what][period]);
    control_row_time(to, "suspended", report->suspended_ms);
}

static bool list_row(void *context, const struct quota_row *row) {
    struct listing *listing = context;
    struct quota_report report;
    struct account account;
    if (listing->login.n && !span_equal(row->login, listing->login)) return true;
    listing->ok = quota_report(&listing->auth->quota, &row->holder, &report);
    if (listing->ok && row->holder.kind == QUOTA_USER) {
        listing->ok = account_of(listing->auth->house.db, row->holder.id, &account) == ACCOUNT_FOUND;
        report.suspended_ms = account.suspended_ms;
    }
    listing->shown = true;
    for (size_t what = 0; listing->ok && what < QUOTA_WHATS; what++)
        for (size_t period = 0; period < QUOTA_PERIODS; period++) {
            put_row(row, &report, what, period);
            if (!control_answer_send(&control_answer)) return false;
        }
    return listing->ok;
}

static void list(struct auth *auth, struct control_peer *peer, struct span login) {
    struct listing listing = {.auth = auth, .login = login, .ok = true};
    struct account account;
    bool ok = quota_rows(&auth->quota, list_row, &listing) && listing.ok;
    if (ok && login.n && !listing.shown) { /* one who has sent nothing */
        enum account_found found = account_find(auth->house.db, login, &account);
        struct quota_row row = {{QUOTA_USER, account.id, SPAN("")}, login, SPAN(""), SPAN("")};
        if (found == ACCOUNT_NONE) {
            control_end(peer, CONTROL_NOT_FOUND,
                        "no such user, nor a system user of this address who sent something");
            return;
        }
        ok = found == ACCOUNT_FOUND && list_row(&listing, &row);
    }
    control_answer_end(ok ? ACCOUNT_FOUND : ACCOUNT_FAILED);
}

void control_quota_list(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct key key = {0};
    if (control_given(request, "login") && !control_answer_login(auth, peer, request, &key)) return;
    list(auth, peer, key_span(&key));
}

bool control_quota_show(struct auth *auth, const struct account *account) {
    struct quota_holder holder = {QUOTA_USER, account->id, SPAN("")};
    struct quota_report report;
    if (!quota_report(&auth->quota, &holder, &report)) return false;
    for (size_t what = 0; what < QUOTA_WHATS; what++)
        for (size_t period = 0; period < QUOTA_PERIODS; period++) {
            uint8_t storage[80];
            struct buf b = BUF_OVER(storage);
            buf_put_number(&b, report.used[what][period]);
            buf_put_text(&b, " of ");
            buf_put_number(&b, report.limits.most[what][period]);
            buf_put_octet(&b, ' ');
            buf_put_text(&b, whats[what][period]);
            control_row_text(&control_answer.row, "quota", buf_span(&b));
        }
    return true;
}

/* ---- limits of their own */

static const struct {
    const char *name;
    size_t what, period;
} limits[] = {{"messages-per-hour", QUOTA_MESSAGES, QUOTA_HOUR},
              {"messages-per-day", QUOTA_MESSAGES, QUOTA_DAY},
              {"recipients-per-hour", QUOTA_RECIPIENTS, QUOTA_HOUR},
              {"recipients-per-day", QUOTA_RECIPIENTS, QUOTA_DAY}};

/* False: it is given, and no limit. */
static bool read_limit(const struct control_request *request, const char *name, int64_t *out, bool *any) {
    uint64_t value;
    struct span text = control_argument(request, name);
    if (!control_given(request, name)) return true;
    *any = true;
    if (span_equal(text, SPAN("default"))) {
        *out = QUOTA_GENERAL;
        return true;
    }
    if (!span_number(text, QUOTA_MOST_MAX, &value)) return false;
    *out = (int64_t)value;
    return true;
}

struct named {
    enum credential_kind kind;
    struct span name;
    bool found;
};

static bool match(void *context, const struct credential_row *row) {
    struct named *named = context;
    named->found = row->kind == named->kind && span_equal(row->name, named->name);
    return !named->found;
}

/* Whose limits: *kind_out and *name_out empty for the user's. False after answering. */
static bool get_credential(struct auth *auth, struct control_peer *peer, const struct control_request *request,
                           const struct account *account, struct span *kind_out, struct span *name_out) {
    static uint8_t storage[ADDRESS_MAX];
    struct buf normal = BUF_OVER(storage);
    bool app = control_given(request, "app-password"), login = control_given(request, "separate-login");
    struct named named = {CREDENTIAL_APP, control_argument(request, "app-password"), false};
    if (login) {
        if (!identity_login_name(control_argument(request, "separate-login"), &normal)) buf_clear(&normal);
        named = (struct named){CREDENTIAL_LOGIN, buf_span(&normal), false};
    }
    *kind_out = *name_out = SPAN("");
    if (!app && !login) return true;
    if (app && login) {
        control_end(peer, CONTROL_USAGE, "--app-password and --separate-login exclude each other");
        return false;
    }
    enum account_found found = credential_list(auth->house.db, account->id, match, &named);
    if (found != ACCOUNT_FOUND || !named.found) {
        control_end(peer, found == ACCOUNT_FOUND ? CONTROL_NOT_FOUND : CONTROL_FAILED,
                    app ? "this user has no app password of this name" : "this user has no such name to log on with");
        return false;
    }
    *kind_out = span_text(credential_kind_name(named.kind));
    *name_out = named.name;
    return true;
}

void control_user_quota(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct account account;
    struct quota_own own;
    struct span kind, name;
    bool any = false, good = true;
    if (!control_answer_user(auth, peer, request, &account) ||
        !get_credential(auth, peer, request, &account, &kind, &name))
        return;
    if (quota_get_own(&auth->quota, account.id, kind, name, &own) != 0) {
        control_end(peer, CONTROL_FAILED, "the database could not be read");
        return;
    }
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        good = read_limit(request, limits[i].name, &own.most[limits[i].what][limits[i].period], &any) && good;
    good = read_limit(request, "suspend-after", &own.suspend_after, &any) && good;
    if (!good)
        control_end(peer, CONTROL_USAGE,
                    "a limit is a number from 0 to 1000000000, or \"default\" for the configured one");
    else if (!any)
        list(auth, peer, account_login(&account));
    else
        control_answer_change(auth, peer,
                              quota_set_own(&auth->quota, account.id, kind, name, &own) == 0 ? ACCOUNT_CHANGED
                                                                                             : ACCOUNT_CHANGE_FAILED,
                              "user quota", account_login(&account), "", "");
}

/* ---- the end of a suspension */

enum account_change control_quota_lift(struct auth *auth, const struct key *key, enum account_change change) {
    struct account account;
    struct quota_holder holder = {QUOTA_SYSTEM, 0, key_span(key)};
    if (change == ACCOUNT_CHANGED) {
        if (account_find(auth->house.db, key_span(key), &account) != ACCOUNT_FOUND) return ACCOUNT_CHANGE_FAILED;
        holder = (struct quota_holder){QUOTA_USER, account.id, SPAN("")};
    } else if (change != ACCOUNT_MISSING) {
        return change;
    }
    int lifted = quota_lift(&auth->quota, &holder);
    if (lifted < 0) return ACCOUNT_CHANGE_FAILED;
    bool known = change == ACCOUNT_CHANGED || lifted || system_user_has(&auth->house, key);
    return known ? ACCOUNT_CHANGED : ACCOUNT_MISSING;
}
