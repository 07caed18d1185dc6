/* relay.c - may this client send as this sender, and to this recipient?
 * Runs in: auth, command line (explain). Trusts: facts that auth established itself.
 * Never: reads a clock or a file, waits, allocates, logs. */
#include "auth/relay.h"

const enum reason relay_sender_rules[] = {
    REASON_MALFORMED_SENDER, REASON_AUTH_REQUIRED,   REASON_ACCOUNT_SUSPENDED, REASON_SENDER_NOT_YOURS,
    REASON_OVER_QUOTA,       REASON_SENDER_ACCEPTED, REASON_NOT_DECIDED,
};

const enum reason relay_recipient_rules[] = {
    REASON_MALFORMED_RECIPIENT, REASON_POSTMASTER,          REASON_SECOND_ROUTING,    REASON_LOCAL_SENDER_NEEDS_AUTH,
    REASON_LOCAL_RECIPIENT,     REASON_RELAY_ALIAS,         REASON_UNKNOWN_RECIPIENT, REASON_FOREIGN_LITERAL,
    REASON_OVER_QUOTA,          REASON_RELAY_AUTHENTICATED, REASON_RELAY_LOCAL,       REASON_RELAY_GRANTED,
    REASON_RELAY_DOMAIN,        REASON_RELAY_TRUSTED,       REASON_RELAY_DENIED,      REASON_NOT_DECIDED,
};

/* Whether a rule applies, and the words for it. */
struct finding {
    enum fact applies;
    const char *why;
};

/* A number that is no member of the enum is not known either. */
static enum fact known(enum fact fact) {
    return fact == FACT_YES || fact == FACT_NO ? fact : FACT_UNKNOWN;
}

static enum fact no(enum fact fact) {
    switch (fact) {
    case FACT_YES:
        return FACT_NO;
    case FACT_NO:
        return FACT_YES;
    case FACT_UNKNOWN:
        break;
    }
    return FACT_UNKNOWN;
}

static enum fact is(bool holds) {
    return holds ? FACT_YES : FACT_NO;
}

static enum fact principal(const struct relay_facts *facts) {
    if (facts->identity == FACT_YES || facts->granted == FACT_YES) return FACT_YES;
    if (facts->identity == FACT_NO && facts->granted == FACT_NO) return FACT_NO;
    return FACT_UNKNOWN;
}

static enum fact role_is(const struct relay_facts *facts, enum relay_role role) {
    switch (facts->role) {
    case RELAY_ROLE_MX:
    case RELAY_ROLE_SUBMISSION:
    case RELAY_ROLE_SUBMISSIONS:
    case RELAY_ROLE_LOCAL:
        return is(facts->role == role);
    case RELAY_ROLE_POP3:
    case RELAY_ROLE_POP3S:
    case RELAY_ROLE_UNKNOWN:
        break;
    }
    return FACT_UNKNOWN;
}

static enum fact role_is_mx(const struct relay_facts *facts) {
    return role_is(facts, RELAY_ROLE_MX);
}

static enum fact recipient_is(const struct relay_facts *facts, enum relay_recipient kind) {
    switch (facts->recipient) {
    case RECIPIENT_MALFORMED:
    case RECIPIENT_POSTMASTER:
    case RECIPIENT_SECOND_ROUTING:
    case RECIPIENT_LOCAL:
    case RECIPIENT_FORWARD:
    case RECIPIENT_NOBODY:
    case RECIPIENT_LITERAL:
    case RECIPIENT_RELAY_DOMAIN:
    case RECIPIENT_FOREIGN:
        return is(facts->recipient == kind);
    case RECIPIENT_UNKNOWN:
        break;
    }
    return FACT_UNKNOWN;
}

static enum fact recipient_is_foreign(const struct relay_facts *facts) {
    enum fact foreign = recipient_is(facts, RECIPIENT_FOREIGN);
    return foreign == FACT_NO ? recipient_is(facts, RECIPIENT_RELAY_DOMAIN) : foreign;
}

static struct finding applies(const char *why) {
    return (struct finding){FACT_YES, why};
}

/* One more condition of a rule. The first NO settles it, whatever else is unknown. */
static struct finding and (struct finding so_far, enum fact condition, const char *why_not, const char *why_unknown) {
    if (so_far.applies == FACT_NO || condition == FACT_YES) return so_far;
    if (condition == FACT_NO) return (struct finding){FACT_NO, why_not};
    return so_far.applies == FACT_UNKNOWN ? so_far : (struct finding){FACT_UNKNOWN, why_unknown};
}

static struct finding and_principal(struct finding so_far, const struct relay_facts *facts) {
    return and(so_far, principal(facts), "neither identity nor grant",
               "not known whether there is an identity or grant");
}

static struct finding and_stranger(struct finding so_far, const struct relay_facts *facts) {
    return and(so_far, no(principal(facts)), "the client has an identity or a grant",
               "not known whether there is an identity or grant");
}

static struct finding and_foreign(struct finding so_far, const struct relay_facts *facts) {
    return and(so_far, recipient_is_foreign(facts), "the recipient is not foreign", "the recipient is not known");
}

static struct finding if_recipient(const struct relay_facts *facts, enum relay_recipient kind, const char *why,
                                   const char *why_not) {
    return and(applies(why), recipient_is(facts, kind), why_not, "the recipient is not known");
}

static struct finding sender_not_yours(const struct relay_facts *facts) {
    struct finding rule = applies("the sender is neither the principal's own nor allowed to it");
    rule = and_principal(rule, facts);
    rule = and(rule, no(known(facts->sender_empty)), "the sender is empty", "not known whether the sender is empty");
    return and(rule, no(known(facts->sender_allowed)), "the sender is the principal's own or allowed to it",
               "not known whether the sender is the principal's");
}

static struct finding sender_rule(enum reason rule, const struct relay_facts *facts) {
    switch (rule) {
    case REASON_MALFORMED_SENDER:
        return and(applies("the sender's path does not parse"), no(known(facts->sender_parses)),
                   "the sender's path parses", "not known whether the sender's path parses");
    case REASON_AUTH_REQUIRED:
        return and_stranger(and(applies("a submission role, neither identity nor grant"), no(role_is_mx(facts)),
                                "the role is mx", "the role is not known"),
                            facts);
    case REASON_ACCOUNT_SUSPENDED:
        return and(and_principal(applies("the principal is suspended"), facts), known(facts->suspended),
                   "the principal is not suspended", "not known whether the principal is suspended");
    case REASON_SENDER_NOT_YOURS:
        return sender_not_yours(facts);
    case REASON_OVER_QUOTA:
        return and(and_principal(applies("the principal's messages are used up"), facts),
                   no(known(facts->message_quota_left)), "messages of the principal are left",
                   "not known whether messages of the principal are left");
    case REASON_SENDER_ACCEPTED:
        return applies("no rule before it refuses");
    default:
        return (struct finding){FACT_NO, "not a rule of MAIL"};
    }
}

static struct finding local_sender_needs_auth(const struct relay_facts *facts) {
    struct finding rule = applies("a sender of ours from a stranger on mx");
    rule = and(rule, role_is_mx(facts), "the role is not mx", "the role is not known");
    rule = and_stranger(rule, facts);
    rule = and(rule, known(facts->sender_local), "the sender is not in a domain of ours that asks for AUTH",
               "not known whether the sender's domain is ours");
    return and(rule, no(known(facts->local_sender_host)), "the client is listed in local_sender_hosts",
               "not known whether the client is in local_sender_hosts");
}

static struct finding over_quota(const struct relay_facts *facts) {
    struct finding rule = and_principal(applies("the principal's recipients are used up"), facts);
    rule = and_foreign(rule, facts);
    return and(rule, no(known(facts->recipient_quota_left)), "recipients of the principal are left",
               "not known whether recipients of the principal are left");
}

/* The rules that give a right to relay. */
static struct finding relay_rule(enum reason rule, const struct relay_facts *facts) {
    struct finding finding = applies("foreign recipient, identity");
    switch (rule) {
    case REASON_RELAY_AUTHENTICATED:
        finding = and(finding, known(facts->identity), "no identity", "not known whether there is an identity");
        finding = and(finding, no(role_is(facts, RELAY_ROLE_LOCAL)), "the identity is a system user's",
                      "the role is not known");
        return and_foreign(finding, facts);
    case REASON_RELAY_LOCAL:
        finding.why = "foreign recipient, system user of this host";
        finding = and(finding, known(facts->identity), "no identity", "not known whether there is an identity");
        finding = and(finding, role_is(facts, RELAY_ROLE_LOCAL), "the role is not local", "the role is not known");
        return and_foreign(finding, facts);
    case REASON_RELAY_GRANTED:
        finding.why = "foreign recipient, live grant, budget left";
        finding = and(finding, known(facts->granted), "no live grant", "not known whether there is a live grant");
        finding = and(finding, known(facts->recipient_quota_left), "the grant's budget is used up",
                      "not known whether budget is left");
        return and_foreign(finding, facts);
    case REASON_RELAY_DOMAIN:
        return if_recipient(facts, RECIPIENT_RELAY_DOMAIN, "the recipient is in a domain that we back up",
                            "the recipient is not listed in a domain that we back up");
    case REASON_RELAY_TRUSTED:
        finding.why = "foreign recipient, client in trusted_networks";
        finding = and(finding, known(facts->trusted_network), "the client is not in trusted_networks",
                      "not known whether the client is in trusted_networks");
        return and_foreign(finding, facts);
    case REASON_RELAY_DENIED:
        return applies("no rule before it applies");
    default:
        return (struct finding){FACT_NO, "not a rule of RCPT"};
    }
}

static struct finding recipient_rule(enum reason rule, const struct relay_facts *facts) {
    switch (rule) {
    case REASON_MALFORMED_RECIPIENT:
        return if_recipient(facts, RECIPIENT_MALFORMED, "the recipient's path does not parse",
                            "the recipient's path parses");
    case REASON_POSTMASTER:
        return if_recipient(facts, RECIPIENT_POSTMASTER, "the recipient is postmaster, bare or at a local domain",
                            "the recipient is not postmaster");
    case REASON_SECOND_ROUTING:
        return if_recipient(facts, RECIPIENT_SECOND_ROUTING, "the local part holds % ! or @, and is nobody's address",
                            "the local part routes nowhere else");
    case REASON_LOCAL_SENDER_NEEDS_AUTH:
        return local_sender_needs_auth(facts);
    case REASON_LOCAL_RECIPIENT:
        return if_recipient(facts, RECIPIENT_LOCAL, "the recipient is a user or alias of ours",
                            "the recipient is not a user or alias of ours");
    case REASON_RELAY_ALIAS:
        return if_recipient(facts, RECIPIENT_FORWARD, "the recipient is an alias made to forward abroad",
                            "the recipient is not an alias made to forward abroad");
    case REASON_UNKNOWN_RECIPIENT:
        return if_recipient(facts, RECIPIENT_NOBODY, "a local domain, nobody of that name",
                            "the recipient is known or not in a local domain");
    case REASON_FOREIGN_LITERAL:
        return if_recipient(facts, RECIPIENT_LITERAL, "an address literal that is not ours",
                            "the recipient's domain is no foreign address literal");
    case REASON_OVER_QUOTA:
        return over_quota(facts);
    default:
        return relay_rule(rule, facts);
    }
}

enum reason relay_decide_sender(const struct relay_facts *facts) {
    for (size_t i = 0; relay_sender_rules[i] != REASON_NOT_DECIDED; i++) {
        enum fact applied = sender_rule(relay_sender_rules[i], facts).applies;
        if (applied == FACT_YES) return relay_sender_rules[i];
        if (applied != FACT_NO) return REASON_NOT_DECIDED;
    }
    return REASON_NOT_DECIDED;
}

enum reason relay_decide_recipient(const struct relay_facts *facts) {
    for (size_t i = 0; relay_recipient_rules[i] != REASON_NOT_DECIDED; i++) {
        enum fact applied = recipient_rule(relay_recipient_rules[i], facts).applies;
        if (applied == FACT_YES) return relay_recipient_rules[i];
        if (applied != FACT_NO) return REASON_NOT_DECIDED;
    }
    return REASON_NOT_DECIDED;
}

enum fact relay_rule_sender(enum reason rule, const struct relay_facts *facts, const char **why_out) {
    struct finding finding = sender_rule(rule, facts);
    *why_out = finding.why;
    return finding.applies;
}

enum fact relay_rule_recipient(enum reason rule, const struct relay_facts *facts, const char **why_out) {
    struct finding finding = recipient_rule(rule, facts);
    *why_out = finding.why;
    return finding.applies;
}
