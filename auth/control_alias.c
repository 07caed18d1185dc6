/* control_alias.c - the command line's verbs about aliases and sender rights.
 * Runs in: auth. Trusts: the database. Never: makes an alias that leads to itself. */
#include "auth/control_answer.h"
#include "auth/identity.h"
#include "auth/sender.h"

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
    return house_local_domain(&auth->house, key_domain(out)) ? NULL : control_answer_foreign(out);
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

/* Users may come after their aliases. */
static void warn_of_nobody(struct auth *auth, const struct control_request *request, char *text, size_t size) {
    struct buf b = buf_over(text, size - 1);
    struct key key;
    for (size_t i = 0; i < request->n; i++) {
        struct span target = request->arguments[i].value;
        if (strcmp(request->arguments[i].name, "target") != 0 || !key_parse(&key, target)) continue;
        if (!house_local_domain(&auth->house, key_domain(&key))) continue;
        enum expand_outcome outcome = expand_address(&auth->house, &key, key_span(&key), &auth->ends);
        if (outcome == EXPAND_FOUND || outcome == EXPAND_FAILED) continue;
        if (b.cap - b.n < key.n + 80) break; /* those named so far are told */
        buf_put_text(&b, b.n ? ", " : "warning: there is no user or alias ");
        buf_put_span(&b, key_span(&key));
    }
    if (b.n) buf_put_text(&b, " yet, so mail for this alias does not get there");
    text[b.n] = '\0';
}

void control_alias_add(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct key address;
    struct account account;
    char warning[1024];
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
    if (user != ACCOUNT_NONE) return;
    enum account_found clash = identity_address_clashes(auth->house.db, &address);
    if (clash != ACCOUNT_NONE)
        control_end(peer, clash == ACCOUNT_FOUND ? CONTROL_EXISTS : CONTROL_FAILED,
                    clash == ACCOUNT_FOUND ? "a user logs on with this name (user login list)"
                                           : "the database could not be read");
    if (clash != ACCOUNT_NONE) return;
    enum account_change change = add_targets(auth, request, &address);
    if (change == ACCOUNT_CHANGED) {
        warn_of_nobody(auth, request, warning, sizeof warning);
        control_answer_changed(auth, peer, "alias add", key_span(&address), warning);
    } else {
        control_answer_change(auth, peer, change, "alias add", key_span(&address), "",
                              "this alias has these targets already");
    }
}

void control_alias_remove(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
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
    control_answer_change(auth, peer, all, "alias remove", key_span(&address), "no such alias", "");
}

static bool row_alias(void *context, const struct account_row *row) {
    struct control_answer *to = context;
    control_row_open(&to->row);
    control_row_text(&to->row, "address", row->address);
    control_row_text(&to->row, "target", row->target);
    control_row_bool(&to->row, "forward", row->forward);
    control_row_time(&to->row, "created", row->created_ms);
    return control_answer_send(to);
}

void control_alias_list(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct key key = {0};
    struct span address = control_argument(request, "address");
    if (address.n && !key_parse(&key, address))
        control_end(peer, CONTROL_USAGE, "not an address");
    else
        control_answer_end(account_aliases(auth->house.db, key_span(&key), row_alias, &control_answer));
}

/* ---- senders */

void control_sender_change(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    uint8_t storage[ADDRESS_MAX];
    struct buf pattern = BUF_OVER(storage);
    struct key key;
    bool allow = strcmp(request->verb, "sender allow") == 0;
    if (!control_answer_login(auth, peer, request, &key)) return;
    const char *wrong = sender_pattern(control_argument(request, "address"), &pattern);
    if (wrong) {
        control_end(peer, CONTROL_USAGE, wrong);
        return;
    }
    enum account_change change = allow ? account_allow(auth->house.db, key_span(&key), buf_span(&pattern))
                                       : account_deny(auth->house.db, key_span(&key), buf_span(&pattern));
    control_answer_change(auth, peer, change, request->verb, key_span(&key),
                          allow ? "no such user" : "no such user, or no such permission",
                          "this sender is allowed already");
}

static bool row_sender(void *context, const struct account_row *row) {
    struct control_answer *to = context;
    control_row_open(&to->row);
    control_row_text(&to->row, "login", row->login);
    control_row_text(&to->row, "address", row->pattern);
    return control_answer_send(to);
}

void control_sender_list(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    struct key key = {0};
    if (control_given(request, "login") && !control_answer_login(auth, peer, request, &key)) return;
    control_answer_end(account_senders(auth->house.db, key_span(&key), row_sender, &control_answer));
}
