/* facts.c - what is true of a client, a sender and a recipient.
 * Runs in: auth. Trusts: the database, the setup, the client's address as announced. Never: takes a session's word
 * for anything but the octets of the command. */
#include "auth/facts.h"

#include "auth/domain_idn.h"
#include "auth/postmaster.h"
#include "auth/sender.h"

static enum fact is(bool holds) {
    return holds ? FACT_YES : FACT_NO;
}

static bool in_networks(const struct network *networks, uint32_t n, const struct netaddr *address) {
    for (uint32_t i = 0; i < n; i++)
        if (network_holds(&networks[i], address)) return true;
    return false;
}

static enum fact is_not(enum fact fact) {
    return fact == FACT_UNKNOWN ? FACT_UNKNOWN : is(fact == FACT_NO);
}

static bool account_may_send(const struct account *account) {
    return account->enabled && !account->suspended_ms;
}

/* A system user whom the configuration did not give another's login needs no account. */
static enum fact system_enabled(const struct system_user *user, enum account_found found,
                                const struct account *account) {
    if (found == ACCOUNT_FAILED) return FACT_UNKNOWN;
    return is(found == ACCOUNT_FOUND ? account_may_send(account) : !user->given);
}

enum fact facts_enabled(const struct house *house, const struct facts_client *client,
                        const struct quota_principal *payer) {
    struct account account;
    enum fact enabled = FACT_YES;
    int64_t id = client->user_id ? client->user_id : payer->user_id;
    if (client->role == RELAY_ROLE_LOCAL) {
        if (!client->system) return FACT_YES;
        enum account_found found = account_find(house->db, key_span(&client->system->login), &account);
        enabled = system_enabled(client->system, found, &account);
    } else if (id) {
        enum account_found found = account_of(house->db, id, &account);
        if (found == ACCOUNT_FAILED) return FACT_UNKNOWN;
        enabled = is(found == ACCOUNT_FOUND && account_may_send(&account));
    }
    return enabled == FACT_YES ? is_not(quota_suspended(house->quota, payer)) : enabled;
}

enum fact facts_may_use(const struct house *house, const struct facts_client *client,
                        const struct quota_principal *payer, const struct key *address) {
    struct account account;
    if (client->role == RELAY_ROLE_LOCAL) {
        if (!client->system) return FACT_NO;
        enum account_found found = account_find(house->db, key_span(&client->system->login), &account);
        return sender_allowed_system(house, client->system, found, address);
    }
    int64_t id = client->user_id ? client->user_id : payer->user_id;
    enum account_found found = id ? account_of(house->db, id, &account) : ACCOUNT_NONE;
    if (found != ACCOUNT_FOUND) return found == ACCOUNT_NONE ? FACT_NO : FACT_UNKNOWN;
    return sender_allowed(house, address, account_login(&account));
}

/* What the quotas say of who pays. A suspension that is known stays one. */
static void quota_facts(const struct house *house, struct facts_sender *out) {
    struct relay_facts *facts = &out->facts;
    if (facts->suspended == FACT_NO) facts->suspended = quota_suspended(house->quota, &out->payer);
    facts->message_quota_left = quota_left(house->quota, &out->payer, QUOTA_MESSAGES);
    facts->recipient_quota_left = quota_left(house->quota, &out->payer, QUOTA_RECIPIENTS);
}

/* On the local socket the identity is the peer's uid; nothing else is. */
static void system_facts(const struct house *house, const struct facts_client *client, struct facts_sender *out) {
    struct relay_facts *facts = &out->facts;
    struct account account;
    const struct system_user *user = client->system;
    facts->identity = is(user != NULL);
    facts->granted = facts->suspended = facts->sender_allowed = FACT_NO;
    facts->message_quota_left = facts->recipient_quota_left = FACT_YES;
    if (!user) return;
    enum account_found found = account_find(house->db, key_span(&user->login), &account);
    enum fact enabled = system_enabled(user, found, &account);
    facts->suspended = is_not(enabled);
    if (found == ACCOUNT_FOUND && (user->given || !user->trusted))
        out->payer.user_id = account.id;
    else if (!user->trusted) /* who is, like root, could do without us too */
        out->payer.system = key_span(&user->login);
    out->login_n = user->login.n;
    memcpy(out->login, user->login.octets, user->login.n);
    if (facts->sender_empty == FACT_NO && facts->sender_parses == FACT_YES)
        facts->sender_allowed = sender_allowed_system(house, user, found, &out->key);
    quota_facts(house, out);
}

/* What there is to know of a user as the principal. */
static void user_facts(const struct house *house, int64_t id, struct facts_sender *out) {
    struct account account;
    struct relay_facts *facts = &out->facts;
    enum account_found found = account_of(house->db, id, &account);
    if (found == ACCOUNT_FAILED) {
        facts->suspended = facts->sender_allowed = FACT_UNKNOWN;
        return;
    }
    facts->suspended = is(found == ACCOUNT_NONE || !account_may_send(&account));
    facts->sender_allowed = FACT_NO;
    if (found == ACCOUNT_NONE) return;
    out->login_n = account.login_n;
    memcpy(out->login, account.login_octets, account.login_n);
    if (facts->sender_empty == FACT_NO && facts->sender_parses == FACT_YES)
        facts->sender_allowed = sender_allowed(house, &out->key, account_login(&account));
    out->payer.user_id = id;
}

static void forget_user(struct facts_sender *out) {
    out->facts.suspended = out->facts.sender_allowed = FACT_NO;
    out->payer = (struct quota_principal){0};
    out->login_n = 0;
}

/* A grant's budget is a quota too. */
static void budget_facts(const struct grant *grant, struct facts_sender *out) {
    if (!grant->id) return;
    out->budget_used = !grant->messages_left && out->facts.message_quota_left == FACT_YES;
    if (!grant->messages_left) out->facts.message_quota_left = FACT_NO;
    if (!grant->recipients_left) out->facts.recipient_quota_left = FACT_NO;
}

/* A grant counts only for the user's own addresses, DESIGN 4: the client is a stranger otherwise, and <> is nobody's
 * own. */
static void granted_facts(const struct house *house, const struct facts_client *client, struct facts_sender *out) {
    struct grant candidates[GRANT_CANDIDATES] = {{.user_id = client->granted_id}};
    struct relay_facts *facts = &out->facts;
    size_t n = client->granted_id != 0;
    if (facts->sender_empty == FACT_YES || facts->sender_parses != FACT_YES) return;
    if (!n && house->grants && grant_find(house->grants, &client->address, candidates, &n) != ACCOUNT_FOUND) {
        facts->granted = FACT_UNKNOWN;
        return;
    }
    for (size_t i = 0; i < n && facts->granted == FACT_NO; i++) {
        user_facts(house, candidates[i].user_id, out);
        facts->granted = facts->sender_allowed;
        if (facts->granted == FACT_NO) forget_user(out);
        if (facts->granted != FACT_YES) continue;
        out->grant_id = candidates[i].id;
        quota_facts(house, out);
        budget_facts(&candidates[i], out);
    }
    out->granted_others = n && facts->granted == FACT_NO;
}

static void principal_facts(const struct house *house, const struct facts_client *client, struct facts_sender *out) {
    struct relay_facts *facts = &out->facts;
    facts->identity = is(client->user_id != 0);
    facts->granted = facts->suspended = facts->sender_allowed = FACT_NO;
    facts->message_quota_left = facts->recipient_quota_left = FACT_YES;
    if (!client->user_id) {
        granted_facts(house, client, out);
        return;
    }
    user_facts(house, client->user_id, out);
    if (!out->payer.user_id) return;
    out->payer.credential_id = client->credential_id;
    quota_facts(house, out);
}

enum reason facts_mail(const struct house *house, const struct facts_client *client, struct span argument,
                       struct facts_sender *out) {
    *out = (struct facts_sender){0};
    struct relay_facts *facts = &out->facts;
    bool parses = address_parse(&out->address, argument, true, &out->rest);
    if (parses && !out->address.empty) parses = key_make(&out->key, &out->address);
    facts->role = client->role;
    facts->sender_parses = is(parses);
    facts->sender_empty = is(parses && out->address.empty);
    facts->sender_local = FACT_NO;
    if (parses && !out->address.empty) {
        const struct auth_domain *domain = house_local_domain(house, key_domain(&out->key));
        facts->sender_local = is(domain && domain->sender_needs_auth);
    }
    const struct auth_setup *setup = house->setup;
    if (client->role == RELAY_ROLE_LOCAL) { /* which has no address */
        facts->local_sender_host = facts->trusted_network = FACT_NO;
        system_facts(house, client, out);
        return relay_decide_sender(facts);
    }
    facts->local_sender_host =
        is(in_networks(setup->local_sender_hosts, setup->n_local_sender_hosts, &client->address));
    facts->trusted_network = is(in_networks(setup->trusted_networks, setup->n_trusted_networks, &client->address));
    principal_facts(house, client, out);
    return relay_decide_sender(facts);
}

static bool is_foreign(enum relay_recipient recipient) {
    return recipient == RECIPIENT_FOREIGN || recipient == RECIPIENT_RELAY_DOMAIN || recipient == RECIPIENT_LITERAL;
}

/* The owner's two ways to keep mail in: each may only refuse what the rules accepted. */
static enum reason decide(const struct house *house, const struct relay_facts *facts, bool foreign, bool *no_way_out,
                          bool *no_local_relay) {
    enum reason reason = relay_decide_recipient(facts);
    *no_local_relay = reason == REASON_RELAY_LOCAL && !house->setup->local_relay;
    if (*no_local_relay)
        reason = facts->recipient == RECIPIENT_RELAY_DOMAIN ? REASON_RELAY_DOMAIN : REASON_RELAY_DENIED;
    *no_way_out = foreign && house->setup->foreign == DESTINATION_NONE && reason_reply(reason)->accepts;
    return *no_way_out ? REASON_RELAY_DENIED : reason;
}

enum reason facts_foreign(const struct house *house, const struct relay_facts *facts) {
    bool no_way_out, no_local_relay;
    struct relay_facts foreign = *facts;
    foreign.recipient = RECIPIENT_FOREIGN;
    return decide(house, &foreign, true, &no_way_out, &no_local_relay);
}

static enum expand_outcome expand_postmaster(const struct house *house, const struct key *key,
                                             struct expansion *ends) {
    enum postmaster_way way = postmaster_expand(house, key, ends);
    if (way == POSTMASTER_UNKNOWN) return EXPAND_FAILED;
    return way == POSTMASTER_NOBODY ? EXPAND_NOBODY : EXPAND_FOUND;
}

/* The address as the next hop or the mailbox is told it: local part as written, domain as A-labels. */
static struct span written_form(const struct address *address, const struct key *key, struct buf *b) {
    buf_put_span(b, address->local);
    buf_put_span(b, span_from(key_span(key), key->local_n));
    return buf_ok(b) ? buf_span(b) : key_span(key);
}

static void put_foreign(const struct house *house, struct span address, struct expansion *ends) {
    ends->n = ends->found = 1;
    ends->forwards = true;
    struct expansion_entry *entry = &ends->entries[0];
    *entry = (struct expansion_entry){.kind = house->setup->foreign, .address_n = (uint16_t)address.n};
    memcpy(entry->address, address.p, address.n);
}

static enum relay_recipient of_outcome(enum expand_outcome outcome, const struct expansion *ends) {
    switch (outcome) {
    case EXPAND_FOUND:
        return ends->forwards ? RECIPIENT_FORWARD : RECIPIENT_LOCAL;
    case EXPAND_NOBODY:
        return RECIPIENT_NOBODY;
    case EXPAND_SECOND_ROUTING:
        return RECIPIENT_SECOND_ROUTING;
    case EXPAND_FAILED:
        break;
    }
    return RECIPIENT_UNKNOWN;
}

/* The classifier: the domain is what follows the last unquoted @. */
static enum relay_recipient classify(const struct house *house, const struct address *address, const struct key *key,
                                     struct span written, struct expansion *ends) {
    ends->n = ends->found = 0;
    ends->forwards = false;
    if (address->postmaster ||
        (span_equal(key_local(key), SPAN("postmaster")) && house_local_domain(house, key_domain(key))))
        return expand_postmaster(house, key, ends) == EXPAND_FOUND ? RECIPIENT_POSTMASTER : RECIPIENT_UNKNOWN;
    if (house_local_domain(house, key_domain(key)))
        return of_outcome(expand_address(house, key, written, ends), ends);
    if (address->literal) return RECIPIENT_LITERAL;
    put_foreign(house, written, ends);
    const struct auth_relay_domain *relay = house_relay_domain(house, key_domain(key));
    if (!relay) return RECIPIENT_FOREIGN;
    if (house_relay_lists(house, relay, key)) return RECIPIENT_RELAY_DOMAIN;
    return address_second_routing(address) ? RECIPIENT_SECOND_ROUTING : RECIPIENT_FOREIGN;
}

/* Root's mail, and that of other system users from this host or as a bounce, where nobody else has it. */
static bool is_for_system_user(const struct house *house, const struct relay_facts *facts, const struct key *key) {
    if (facts->recipient != RECIPIENT_NOBODY) return false;
    if (system_user_is_root(house, key)) return true;
    return (facts->role == RELAY_ROLE_LOCAL || facts->sender_empty == FACT_YES) && system_user_has(house, key);
}

static enum relay_recipient to_postmaster(const struct house *house, struct expansion *ends) {
    static const struct key bare = {0};
    if (expand_postmaster(house, &bare, ends) != EXPAND_FOUND) return RECIPIENT_UNKNOWN;
    return ends->forwards ? RECIPIENT_FORWARD : RECIPIENT_LOCAL;
}

enum reason facts_rcpt(const struct house *house, struct relay_facts *facts, struct span argument,
                       struct facts_recipient *out, struct expansion *ends) {
    uint8_t storage[ADDRESS_MAX];
    struct buf b = BUF_OVER(storage);
    struct key key = {0};
    bool postmasters = false;
    *out = (struct facts_recipient){0};
    ends->n = ends->found = 0;
    ends->forwards = false;
    facts->recipient = RECIPIENT_MALFORMED;
    if (address_parse(&out->address, argument, false, &out->rest) &&
        (out->address.postmaster || key_make(&key, &out->address))) {
        out->original_n = out->address.whole.n < ADDRESS_MAX ? out->address.whole.n : 0;
        if (out->original_n) memcpy(out->original, out->address.whole.p, out->original_n);
        struct span written = key.n ? written_form(&out->address, &key, &b) : span_of(NULL, 0);
        facts->recipient = classify(house, &out->address, &key, written, ends);
        postmasters = out->address.postmaster || span_equal(key_local(&key), SPAN("postmaster"));
        if (is_for_system_user(house, facts, &key)) {
            facts->recipient = to_postmaster(house, ends);
            postmasters = true;
        }
    }
    out->no_postmaster = facts->recipient == RECIPIENT_UNKNOWN && postmasters && account_count(house->db) == 0;
    return decide(house, facts, is_foreign(facts->recipient) || ends->forwards, &out->no_way_out,
                  &out->no_local_relay);
}

enum expand_outcome facts_route(const struct house *house, struct span plain, struct expansion *ends) {
    uint8_t storage[ADDRESS_MAX];
    struct buf b = BUF_OVER(storage);
    struct address address;
    struct key key = {0};
    ends->n = ends->found = 0;
    ends->forwards = false;
    if (plain.n == 0) return expand_postmaster(house, &key, ends);
    if (!address_parse_plain(&address, plain) || !key_make(&key, &address)) return EXPAND_NOBODY;
    if (house_local_domain(house, key_domain(&key))) {
        if (span_equal(key_local(&key), SPAN("postmaster"))) return expand_postmaster(house, &key, ends);
        enum expand_outcome outcome = expand_address(house, &key, written_form(&address, &key, &b), ends);
        bool system = outcome == EXPAND_NOBODY && system_user_has(house, &key);
        return system ? expand_postmaster(house, &(struct key){0}, ends) : outcome;
    }
    if (address.literal || house->setup->foreign == DESTINATION_NONE) return EXPAND_NOBODY;
    put_foreign(house, written_form(&address, &key, &b), ends);
    return EXPAND_FOUND;
}

bool facts_login_name(const struct house *house, struct span name, struct key *out) {
    uint8_t storage[ADDRESS_MAX];
    struct buf b = BUF_OVER(storage);
    if (span_find(name, '@') == name.n && house->setup->n_local_domains == 1) {
        buf_put_span(&b, name);
        buf_put_octet(&b, '@');
        buf_put_span(&b, house->setup->local_domains[0].name);
        return buf_ok(&b) && key_parse(out, buf_span(&b));
    }
    return key_parse(out, name);
}
