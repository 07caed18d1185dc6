/* account_control.c - the command line's verbs.
 * Runs in: auth. Trusts: peers whose uid the kernel vouched for. Never: sees a password, returns a hash. */
#include "auth/account_control.h"

#include "auth/account.h"
#include "auth/explain.h"
#include "auth/password_format.h"
#include "auth/peer.h"
#include "store/log.h"

#include <errno.h>
#include <unistd.h>

#define BACKUP_FILE "gatepost.db.backup"

struct answer { /* rows on their way */
    struct auth *auth;
    struct control_peer *peer;
    struct control_row row;
    size_t n;
};

static struct answer answer; /* one at a time: verbs are answered at once */

static void end_change(struct auth *auth, struct control_peer *peer, enum account_change change, const char *verb,
                       struct span who, const char *missing, const char *exists) {
    struct log_line line;
    switch (change) {
    case ACCOUNT_CHANGED:
        break;
    case ACCOUNT_EXISTS:
        control_end(peer, CONTROL_EXISTS, exists);
        return;
    case ACCOUNT_MISSING:
        control_end(peer, CONTROL_NOT_FOUND, missing);
        return;
    case ACCOUNT_CHANGE_FAILED:
        control_end(peer, CONTROL_FAILED, "the database could not be changed");
        return;
    }
    log_open(&line, LOG_ACCOUNT_CHANGED);
    log_text(&line, KEY_WHAT, verb);
    log_span(&line, KEY_USER, who);
    log_send(&line);
    bool told = dovecot_export_reconcile(&auth->dovecot, auth->house.db, &auth->setup) == 0;
    control_end(peer, told ? CONTROL_OK : CONTROL_FAILED, told ? "" : "changed, but dovecot.db could not be written");
}

/* The login in its normal form; answers itself when it is none. */
static bool get_login(struct auth *auth, struct control_peer *peer, const struct control_request *request,
                      struct key *out) {
    if (facts_login_name(&auth->house, control_argument(request, "login"), out)) return true;
    control_end(peer, CONTROL_USAGE, "not a full address: a login looks like alice@example.test");
    return false;
}

static bool get_hash(struct control_peer *peer, const struct control_request *request, struct span *out) {
    struct password_cost cost;
    *out = control_argument(request, "hash");
    if (password_format_read(*out, &cost)) return true;
    control_end(peer, CONTROL_USAGE, "not an Argon2id hash within 64 MiB");
    return false;
}

/* ---- users */

static bool is_alias(struct auth *auth, const struct key *key, bool *failed);

static void user_add(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct key key;
    struct span hash;
    bool failed;
    if (!get_login(auth, peer, request, &key) || !get_hash(peer, request, &hash)) return;
    if (key.local_n == 0 || key.octets[0] == '.' || key.octets[0] == '"' || span_find(key_span(&key), '/') < key.n)
        control_end(peer, CONTROL_REFUSED, "a login is a directory's name too: no quotes, slashes or leading dot");
    else if (!house_local_domain(&auth->house, key_domain(&key)))
        control_end(peer, CONTROL_REFUSED, "its domain is not in local_domains");
    else if (is_alias(auth, &key, &failed) || failed)
        control_end(peer, failed ? CONTROL_FAILED : CONTROL_EXISTS, "there is an alias of this name");
    else
        end_change(auth, peer, account_add(auth->house.db, key_span(&key), hash), "user add", key_span(&key), "",
                   "there is a user of this name");
}

static void user_passwd(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct key key;
    struct span hash;
    if (!get_login(auth, peer, request, &key) || !get_hash(peer, request, &hash)) return;
    end_change(auth, peer, account_set_hash(auth->house.db, key_span(&key), hash), "user passwd", key_span(&key),
               "no such user", "");
}

static void user_remove(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct key key;
    if (get_login(auth, peer, request, &key))
        end_change(auth, peer, account_remove(auth->house.db, key_span(&key)), "user remove", key_span(&key),
                   "no such user", "");
}

static void user_enable(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    bool enable = strcmp(request->verb, "user enable") == 0;
    struct key key;
    if (get_login(auth, peer, request, &key))
        end_change(auth, peer, account_enable(auth->house.db, key_span(&key), enable), request->verb, key_span(&key),
                   "no such user", "");
}

static bool send_row(struct answer *to) {
    to->n++;
    return control_row_send(&to->row, to->peer);
}

static void end_rows(enum account_found found) {
    control_end(answer.peer, found == ACCOUNT_FAILED ? CONTROL_FAILED : CONTROL_OK,
                found == ACCOUNT_FAILED ? "the database could not be read" : "");
}

static bool row_user(void *context, const struct account_row *row) {
    struct answer *to = context;
    control_row_open(&to->row);
    control_row_text(&to->row, "login", row->login);
    control_row_bool(&to->row, "enabled", row->enabled);
    control_row_time(&to->row, "created", row->created_ms);
    control_row_bool(&to->row, "password", row->hash.n > 0);
    return send_row(to);
}

static void user_list(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    (void)peer;
    (void)request;
    end_rows(account_users(auth->house.db, row_user, &answer));
}

static bool add_pattern(void *context, const struct account_row *row) {
    struct answer *to = context;
    control_row_text(&to->row, "sender", row->pattern);
    return to->row.b.n < sizeof to->row.storage / 2;
}

struct aliases_of {
    struct answer *to;
    struct span login;
};

static bool add_alias(void *context, const struct account_row *row) {
    struct aliases_of *of = context;
    if (span_equal(row->target, of->login)) control_row_text(&of->to->row, "alias", row->address);
    return of->to->row.b.n < sizeof of->to->row.storage / 2;
}

static void user_show(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct account account;
    struct key key;
    if (!get_login(auth, peer, request, &key)) return;
    enum account_found found = account_find(auth->house.db, key_span(&key), &account);
    if (found != ACCOUNT_FOUND) {
        control_end(peer, found == ACCOUNT_NONE ? CONTROL_NOT_FOUND : CONTROL_FAILED, "no such user");
        return;
    }
    struct aliases_of of = {&answer, key_span(&key)};
    control_row_open(&answer.row);
    control_row_text(&answer.row, "login", account_login(&account));
    control_row_bool(&answer.row, "enabled", account.enabled);
    control_row_time(&answer.row, "created", account.created_ms);
    bool ok = account_aliases(auth->house.db, span_of(NULL, 0), add_alias, &of) == ACCOUNT_FOUND &&
              account_senders(auth->house.db, key_span(&key), add_pattern, &answer) == ACCOUNT_FOUND;
    if (ok) (void)send_row(&answer);
    end_rows(ok ? ACCOUNT_FOUND : ACCOUNT_FAILED);
}

/* ---- aliases */

static bool stop_at_first(void *context, const struct account_row *row) {
    bool *any = context;
    (void)row;
    *any = true;
    return false;
}

static bool is_alias(struct auth *auth, const struct key *key, bool *failed) {
    bool any = false;
    *failed = account_aliases(auth->house.db, key_span(key), stop_at_first, &any) == ACCOUNT_FAILED;
    return any;
}

/* Whether mail for `from` passes through `address`: an alias of it to `from` would be a loop. */
static bool leads_to(struct auth *auth, const struct key *from, struct span address, bool *failed) {
    struct expansion *ends = &auth->ends;
    *failed = expand_address(&auth->house, from, key_span(from), ends) == EXPAND_FAILED;
    for (size_t i = 0; !*failed && i < ends->n; i++)
        if (span_equal_nocase(span_of(ends->entries[i].address, ends->entries[i].address_n), address)) return true;
    return false;
}

/* "*@example.test" or an address in a local domain, in its normal form; NULL, or what is wrong with it. */
static const char *alias_address(struct auth *auth, struct span text, struct key *out) {
    if (!key_parse(out, text)) return "not an address: aliases look like info@example.test or *@example.test";
    return house_local_domain(&auth->house, key_domain(out)) ? NULL : "its domain is not in local_domains";
}

struct target {
    struct key key;
    uint8_t storage[ADDRESS_MAX];
    struct buf text; /* as it is stored */
    bool forward;
};

/* NULL, or what is wrong with it. */
static const char *alias_target(struct auth *auth, struct span text, bool forward, const struct key *address,
                                struct target *out) {
    struct address parsed;
    bool failed;
    out->text = BUF_OVER(out->storage);
    if (!address_parse_plain(&parsed, text) || !key_make(&out->key, &parsed)) return "a target is not an address";
    bool ours = house_local_domain(&auth->house, key_domain(&out->key));
    if (!ours && !forward) return "a target is in a domain that is not ours: --forward lets its mail leave this host";
    if (!ours && parsed.literal) return "a target is an address literal";
    out->forward = !ours;
    if (ours)
        buf_put_span(&out->text, key_span(&out->key));
    else {
        buf_put_span(&out->text, parsed.local);
        buf_put_span(&out->text, span_from(key_span(&out->key), out->key.local_n));
    }
    if (!ours) return NULL;
    if (span_equal(key_span(&out->key), key_span(address)) || leads_to(auth, &out->key, key_span(address), &failed))
        return "this would be a loop";
    return failed ? "a target could not be looked up" : NULL;
}

static const char *check_targets(struct auth *auth, const struct control_request *request,
                                 const struct key *address) {
    struct target target;
    const char *wrong = NULL;
    bool forward = control_given(request, "forward");
    for (size_t i = 0; i < request->n && !wrong; i++)
        if (strcmp(request->arguments[i].name, "target") == 0)
            wrong = alias_target(auth, request->arguments[i].value, forward, address, &target);
    return wrong;
}

static enum account_change add_targets(struct auth *auth, const struct control_request *request,
                                       const struct key *address) {
    struct target target;
    enum account_change all = ACCOUNT_EXISTS;
    if (database_begin(auth->house.db) != 0) return ACCOUNT_CHANGE_FAILED;
    for (size_t i = 0; i < request->n && all != ACCOUNT_CHANGE_FAILED; i++) {
        if (strcmp(request->arguments[i].name, "target") != 0) continue;
        /* Checked before; again, since targets of one request may make a loop together. */
        bool good = !alias_target(auth, request->arguments[i].value, true, address, &target);
        enum account_change one =
            good ? account_alias_add(auth->house.db, key_span(address), buf_span(&target.text), target.forward)
                 : ACCOUNT_CHANGE_FAILED;
        if (one != ACCOUNT_EXISTS) all = one;
    }
    if (all == ACCOUNT_CHANGED && database_commit(auth->house.db) != 0) all = ACCOUNT_CHANGE_FAILED;
    if (all != ACCOUNT_CHANGED) database_rollback(auth->house.db);
    return all;
}

static void alias_add(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct key address;
    struct account account;
    const char *wrong = alias_address(auth, control_argument(request, "address"), &address);
    if (!wrong && !control_given(request, "target")) wrong = "an alias needs a target";
    if (!wrong) wrong = check_targets(auth, request, &address);
    if (wrong) {
        control_end(peer, CONTROL_REFUSED, wrong);
        return;
    }
    enum account_found user = account_find(auth->house.db, key_span(&address), &account);
    if (user != ACCOUNT_NONE)
        control_end(peer, user == ACCOUNT_FOUND ? CONTROL_EXISTS : CONTROL_FAILED, "there is a user of this name");
    else
        end_change(auth, peer, add_targets(auth, request, &address), "alias add", key_span(&address), "",
                   "this alias has these targets already");
}

static void alias_remove(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct key address;
    struct span text = control_argument(request, "address");
    enum account_change all = ACCOUNT_MISSING;
    /* Also where the domain is no longer ours. */
    bool parses = key_parse(&address, text);
    if (!parses) {
        control_end(peer, CONTROL_USAGE, "not an address");
        return;
    }
    if (!control_given(request, "target"))
        all = account_alias_remove(auth->house.db, key_span(&address), span_of(NULL, 0));
    for (size_t i = 0; i < request->n && all != ACCOUNT_CHANGE_FAILED; i++) {
        if (strcmp(request->arguments[i].name, "target") != 0 || request->arguments[i].value.n == 0) continue;
        enum account_change one =
            account_alias_remove(auth->house.db, key_span(&address), request->arguments[i].value);
        if (one != ACCOUNT_MISSING) all = one;
    }
    end_change(auth, peer, all, "alias remove", key_span(&address), "no such alias", "");
}

static bool row_alias(void *context, const struct account_row *row) {
    struct answer *to = context;
    control_row_open(&to->row);
    control_row_text(&to->row, "address", row->address);
    control_row_text(&to->row, "target", row->target);
    control_row_bool(&to->row, "forward", row->forward);
    control_row_time(&to->row, "created", row->created_ms);
    return send_row(to);
}

static void alias_list(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct key key = {0};
    struct span address = control_argument(request, "address");
    if (address.n && !key_parse(&key, address))
        control_end(peer, CONTROL_USAGE, "not an address");
    else
        end_rows(account_aliases(auth->house.db, key_span(&key), row_alias, &answer));
}

/* ---- senders */

/* "*", or local@domain with stars; the domain in its normal form where it has none. */
static bool sender_pattern(struct span text, struct buf *b) {
    struct key key;
    size_t at = text.n;
    if (span_equal(text, SPAN("*"))) {
        buf_put_span(b, text);
        return true;
    }
    if (key_parse(&key, text)) {
        buf_put_span(b, key_span(&key));
        return buf_ok(b);
    }
    while (at > 0 && text.p[at - 1] != '@') at--;
    if (at < 2 || at == text.n) return false;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = octet_lower(text.p[i]);
        if (c <= ' ' || c > '~' || (i >= at && c == '@')) return false;
        buf_put_octet(b, c);
    }
    return buf_ok(b);
}

static void sender_change(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    uint8_t storage[ADDRESS_MAX];
    struct buf pattern = BUF_OVER(storage);
    struct key key;
    bool allow = strcmp(request->verb, "sender allow") == 0;
    if (!get_login(auth, peer, request, &key)) return;
    if (!sender_pattern(control_argument(request, "address"), &pattern)) {
        control_end(peer, CONTROL_USAGE, "not a sender: an address, *@example.test, or * for any");
        return;
    }
    enum account_change change = allow ? account_allow(auth->house.db, key_span(&key), buf_span(&pattern))
                                       : account_deny(auth->house.db, key_span(&key), buf_span(&pattern));
    end_change(auth, peer, change, request->verb, key_span(&key),
               allow ? "no such user" : "no such user, or no such permission", "this sender is allowed already");
}

static bool row_sender(void *context, const struct account_row *row) {
    struct answer *to = context;
    control_row_open(&to->row);
    control_row_text(&to->row, "login", row->login);
    control_row_text(&to->row, "address", row->pattern);
    return send_row(to);
}

static void sender_list(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct key key = {0};
    if (control_given(request, "login") && !get_login(auth, peer, request, &key)) return;
    end_rows(account_senders(auth->house.db, key_span(&key), row_sender, &answer));
}

/* ---- the process */

static void status(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    uint64_t verifiers = 0, busy = 0, logged_in = 0;
    (void)request;
    for (size_t i = 0; i < auth->n_links; i++) {
        if (auth->links[i].kind != ROLE_VERIFIER || !auth->links[i].alive) continue;
        verifiers++;
        if (auth->links[i].exchange) busy++;
    }
    for (const struct peer *one = auth->peers; one; one = one->next) logged_in += one->client.user_id != 0;
    int64_t users = account_count(auth->house.db);
    control_row_open(&answer.row);
    control_row_number(&answer.row, "users", users < 0 ? 0 : (uint64_t)users);
    control_row_number(&answer.row, "channels", auth->n_peers);
    control_row_number(&answer.row, "sessions", auth->sessions);
    control_row_number(&answer.row, "logged_in", logged_in);
    control_row_number(&answer.row, "verifiers", verifiers);
    control_row_number(&answer.row, "verifiers_busy", busy);
    control_row_number(&answer.row, "logins_waiting", auth->logins.n);
    control_row_bool(&answer.row, "queue", auth_find_link(auth, ROLE_QUEUE, 0) != NULL);
    control_row_bool(&answer.row, "keys", auth_find_link(auth, ROLE_KEYS, 0) != NULL);
    control_row_bool(&answer.row, "dovecot_db", auth->dovecot.db != NULL);
    (void)control_row_send(&answer.row, peer);
    control_end(peer, CONTROL_OK, "");
}

static void backup(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    (void)request;
    if (unlink(BACKUP_FILE) != 0 && errno != ENOENT) {
        control_end(peer, CONTROL_FAILED, "the copy before this one cannot be removed");
        return;
    }
    if (database_copy(auth->house.db, BACKUP_FILE) != 0) {
        control_end(peer, CONTROL_FAILED, "the database could not be copied");
        return;
    }
    control_row_open(&answer.row);
    control_row_text(&answer.row, "file", SPAN(BACKUP_FILE));
    (void)control_row_send(&answer.row, peer);
    control_end(peer, CONTROL_OK, "");
}

static const struct {
    const char *verb;
    void (*run)(struct auth *auth, struct control_peer *peer, const struct control_request *request);
} verbs[] = {
    {"user add", user_add},
    {"user list", user_list},
    {"user show", user_show},
    {"user remove", user_remove},
    {"user passwd", user_passwd},
    {"user enable", user_enable},
    {"user disable", user_enable},
    {"alias add", alias_add},
    {"alias list", alias_list},
    {"alias remove", alias_remove},
    {"sender allow", sender_change},
    {"sender deny", sender_change},
    {"sender list", sender_list},
    {"explain", explain},
    {"status", status},
    {"backup", backup},
};

void account_control(void *context, struct control_peer *peer, const struct control_request *request) {
    struct auth *auth = context;
    answer.auth = auth;
    answer.peer = peer;
    answer.n = 0;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verbs[i].verb, request->verb) != 0) continue;
        verbs[i].run(auth, peer, request);
        return;
    }
    control_end(peer, CONTROL_USAGE, "auth knows no such verb");
}
