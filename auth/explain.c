/* explain.c - the decision in words, by the functions that decide live.
 * Runs in: auth. Trusts: the command line. Never: decides by itself. */
#include "auth/explain.h"

#include "auth/account.h"

enum { LINE_MAX_OCTETS = 2048 };

struct explanation {
    struct auth *auth;
    struct control_peer *peer;
    bool json;
    struct control_row row;
    uint8_t storage[LINE_MAX_OCTETS];
};

static struct explanation at_hand; /* one at a time */

static const char *fact_word(enum fact fact) {
    return fact == FACT_YES ? "yes" : fact == FACT_NO ? "no" : "unknown";
}

static void send_line(struct explanation *to, struct buf *b) {
    control_row_open(&to->row);
    control_row_line(&to->row, buf_span(b));
    (void)control_row_send(&to->row, to->peer); /* a peer that is gone is dropped by the server */
}

static void say_fact(struct explanation *to, const char *name, struct span value) {
    struct buf b = BUF_OVER(to->storage);
    if (to->json) {
        control_row_open(&to->row);
        control_row_text(&to->row, "kind", SPAN("fact"));
        control_row_text(&to->row, "name", span_text(name));
        control_row_text(&to->row, "value", value);
        (void)control_row_send(&to->row, to->peer);
        return;
    }
    buf_put_format(&b, "  %-22s ", name);
    buf_put_span(&b, value);
    send_line(to, &b);
}

static void say_title(struct explanation *to, const char *title, struct span value) {
    struct buf b = BUF_OVER(to->storage);
    if (to->json) return;
    buf_put_text(&b, title);
    buf_put_span(&b, value);
    send_line(to, &b);
}

static void say_rule(struct explanation *to, const char *at, enum reason rule, enum fact applies, const char *why) {
    struct buf b = BUF_OVER(to->storage);
    const char *name = reason_reply(rule)->name;
    if (to->json) {
        control_row_open(&to->row);
        control_row_text(&to->row, "kind", SPAN("rule"));
        control_row_text(&to->row, "at", span_text(at));
        control_row_text(&to->row, "rule", span_text(name));
        control_row_text(&to->row, "applies", span_text(fact_word(applies)));
        control_row_text(&to->row, "why", span_text(why));
        (void)control_row_send(&to->row, to->peer);
        return;
    }
    buf_put_format(&b, "  %-24s %-8s %s", name, fact_word(applies), why);
    send_line(to, &b);
}

static void say_reply(struct explanation *to, const char *at, enum reason reason) {
    struct buf b = BUF_OVER(to->storage);
    const struct reason_reply *reply = reason_reply(reason);
    if (to->json) {
        control_row_open(&to->row);
        control_row_text(&to->row, "kind", SPAN("reply"));
        control_row_text(&to->row, "at", span_text(at));
        control_row_text(&to->row, "rule", span_text(reply->name));
        control_row_number(&to->row, "code", reply->code);
        control_row_text(&to->row, "status", span_text(reply->enhanced));
        control_row_text(&to->row, "text", span_text(reply->text));
        control_row_bool(&to->row, "accepts", reply->accepts);
        (void)control_row_send(&to->row, to->peer);
        return;
    }
    buf_put_format(&b, "  => %u %s %s [%s]", reply->code, reply->enhanced, reply->text, reply->name);
    send_line(to, &b);
}

static const char *recipient_word(enum relay_recipient recipient) {
    static const char *const words[] = {
        [RECIPIENT_UNKNOWN] = "unknown",
        [RECIPIENT_MALFORMED] = "malformed",
        [RECIPIENT_POSTMASTER] = "postmaster",
        [RECIPIENT_SECOND_ROUTING] = "local or backed-up domain, local part with % ! or @, no exact entry",
        [RECIPIENT_LOCAL] = "user or alias of ours",
        [RECIPIENT_FORWARD] = "alias that forwards abroad",
        [RECIPIENT_NOBODY] = "local domain, nobody of that name",
        [RECIPIENT_LITERAL] = "address literal that is not ours",
        [RECIPIENT_RELAY_DOMAIN] = "listed in a domain that we back up",
        [RECIPIENT_FOREIGN] = "foreign",
    };
    return recipient < sizeof words / sizeof *words ? words[recipient] : "unknown";
}

static void say_facts(struct explanation *to, const struct relay_facts *facts) {
    const struct {
        const char *name;
        enum fact fact;
    } all[] = {
        {"identity", facts->identity},
        {"granted", facts->granted},
        {"suspended", facts->suspended},
        {"sender_parses", facts->sender_parses},
        {"sender_empty", facts->sender_empty},
        {"sender_allowed", facts->sender_allowed},
        {"sender_local", facts->sender_local},
        {"local_sender_host", facts->local_sender_host},
        {"trusted_network", facts->trusted_network},
        {"message_quota_left", facts->message_quota_left},
        {"recipient_quota_left", facts->recipient_quota_left},
    };
    say_title(to, "Facts", span_of(NULL, 0));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        say_fact(to, all[i].name, span_text(fact_word(all[i].fact)));
}

/* Each rule up to the one that answers. */
static void say_rules(struct explanation *to, const char *at, const enum reason *rules,
                      enum fact (*judge)(enum reason, const struct relay_facts *, const char **),
                      const struct relay_facts *facts) {
    for (size_t i = 0; rules[i] != REASON_NOT_DECIDED; i++) {
        const char *why = "";
        enum fact applies = judge(rules[i], facts, &why);
        say_rule(to, at, rules[i], applies, why);
        if (applies != FACT_NO) return;
    }
}

/* "<a@b>" as it stands, "a@b" in brackets; what is in it is for the parser. */
static struct span bracket(struct span text, struct buf *b) {
    if (text.n && text.p[0] == '<') return text;
    buf_put_octet(b, '<');
    buf_put_span(b, text);
    buf_put_octet(b, '>');
    return buf_span(b);
}

static void say_owner(struct explanation *to, const struct relay_facts *facts, const struct expansion_entry *end) {
    uint8_t storage[ADDRESS_MAX + 16];
    struct buf b = BUF_OVER(storage);
    if (!end->alias_n || facts->sender_empty != FACT_NO) return;
    expand_owner(&to->auth->house, end, &b);
    say_fact(to, "with the sender", buf_span(&b));
}

static void say_way(struct explanation *to, const struct expansion_entry *end) {
    struct recipient way = {0};
    struct key mailbox;
    expand_way(&to->auth->house, end, &mailbox, &way);
    if (way.kind == DESTINATION_LMTP) say_fact(to, "by LMTP through", way.destination);
}

static void explain_recipient(struct explanation *to, struct relay_facts *facts, struct span text) {
    uint8_t storage[1024];
    struct buf b = BUF_OVER(storage);
    struct facts_recipient recipient;
    struct expansion *ends = &to->auth->ends;
    enum reason reason = facts_rcpt(&to->auth->house, facts, bracket(text, &b), &recipient, ends);
    say_title(to, "RCPT TO ", text);
    say_fact(to, "recipient", span_text(recipient_word(facts->recipient)));
    for (size_t i = 0; i < ends->n && reason_reply(reason)->accepts; i++)
        if (ends->entries[i].kind != DESTINATION_NONE) {
            say_fact(to, ends->entries[i].kind == DESTINATION_MAILDIR ? "delivered to" : "sent on to",
                     ends->entries[i].login_n ? span_of(ends->entries[i].login, ends->entries[i].login_n)
                                              : span_of(ends->entries[i].address, ends->entries[i].address_n));
            say_way(to, &ends->entries[i]);
            say_owner(to, facts, &ends->entries[i]);
        }
    say_rules(to, "rcpt", relay_recipient_rules, relay_rule_recipient, facts);
    if (recipient.no_way_out)
        say_fact(to, "no way out", SPAN("delivery.foreign is refuse: no mail leaves this installation"));
    if (recipient.no_local_relay)
        say_fact(to, "no way out", SPAN("local.relay is false: system users reach local domains only"));
    say_reply(to, "rcpt", reason);
}

/* The user of this name; 0 when none was asked for, -1 after answering that there is none. */
static int64_t get_user(struct auth *auth, struct control_peer *peer, const struct control_request *request,
                        const char *name) {
    struct account account;
    struct key key;
    struct span login = control_argument(request, name);
    if (login.n == 0) return 0;
    enum account_found found = facts_login_name(&auth->house, login, &key)
                                   ? account_find(auth->house.db, key_span(&key), &account)
                                   : ACCOUNT_NONE;
    if (found == ACCOUNT_FOUND) return account.id;
    control_end(peer, found == ACCOUNT_NONE ? CONTROL_NOT_FOUND : CONTROL_FAILED, "no such user");
    return -1;
}

static enum relay_role role_named(struct span name) {
    if (span_equal_nocase(name, SPAN("mx"))) return RELAY_ROLE_MX;
    if (span_equal_nocase(name, SPAN("submission"))) return RELAY_ROLE_SUBMISSION;
    if (span_equal_nocase(name, SPAN("submissions"))) return RELAY_ROLE_SUBMISSIONS;
    if (span_equal_nocase(name, SPAN("local"))) return RELAY_ROLE_LOCAL;
    return RELAY_ROLE_UNKNOWN;
}

/* False: answered what is wrong. */
static bool get_client(struct auth *auth, struct control_peer *peer, const struct control_request *request,
                       struct facts_client *client, struct system_user *system) {
    struct span name = control_argument(request, "system-user");
    bool local = client->role == RELAY_ROLE_LOCAL;
    const char *wrong = NULL;
    if (client->role == RELAY_ROLE_UNKNOWN)
        wrong = "role is mx, submission, submissions or local";
    else if (!local && !netaddr_parse(&client->address, control_argument(request, "ip")))
        wrong = "ip is an address; only the role local has none";
    else if (local != (name.n > 0))
        wrong = "the role local, and no other, has a system-user";
    if (!wrong && local && !system_user_named(&auth->house, name, system)) {
        control_end(peer, CONTROL_NOT_FOUND, "no such system user");
        return false;
    }
    if (wrong) control_end(peer, CONTROL_USAGE, wrong);
    if (local) client->system = system;
    return !wrong;
}

/* Whether grants have a part in it. */
static void say_grant(struct explanation *to, const struct facts_client *client, const struct facts_sender *sender) {
    const struct grant_limits *limits = &to->auth->setup.grant;
    const char *fault = limits->enabled ? grant_address_fault(limits, &client->address) : NULL;
    if (sender->facts.granted == FACT_YES)
        say_fact(to, "grant of", span_of(sender->login, sender->login_n));
    else if (sender->granted_others)
        say_fact(to, "grant", SPAN("there is one for this address, but not for this sender"));
    if (client->role == RELAY_ROLE_LOCAL || client->user_id) return;
    if (!limits->enabled)
        say_fact(to, "grants are", SPAN("off: grant.enabled is false"));
    else if (fault)
        say_fact(to, "no grant, address is", span_text(fault));
    else if (!grant_helps(&to->auth->grants, &client->address))
        say_fact(to, "no grant, address is", SPAN("one from which several users logged in lately"));
}

void explain(struct auth *auth, struct control_peer *peer, const struct control_request *request) {
    uint8_t storage[1024];
    struct buf b = BUF_OVER(storage);
    struct facts_client client = {.role = role_named(control_argument(request, "role"))};
    struct system_user system;
    struct facts_sender sender;
    struct explanation *to = &at_hand;
    to->auth = auth;
    to->peer = peer;
    to->json = control_given(request, "json");
    if (!get_client(auth, peer, request, &client, &system)) return;
    if ((client.user_id = get_user(auth, peer, request, "auth")) < 0) return;
    if ((client.granted_id = get_user(auth, peer, request, "granted")) < 0) return;
    struct span from = control_argument(request, "from");
    enum reason reason = facts_mail(&auth->house, &client, bracket(from, &b), &sender);
    say_title(to, "MAIL FROM ", from.n ? from : SPAN("<>"));
    say_facts(to, &sender.facts);
    say_grant(to, &client, &sender);
    say_title(to, "Rules", span_of(NULL, 0));
    say_rules(to, "mail", relay_sender_rules, relay_rule_sender, &sender.facts);
    say_reply(to, "mail", reason);
    for (size_t i = 0; reason_reply(reason)->accepts && i < request->n; i++)
        if (strcmp(request->arguments[i].name, "to") == 0)
            explain_recipient(to, &sender.facts, request->arguments[i].value);
    control_end(peer, CONTROL_OK, "");
}
