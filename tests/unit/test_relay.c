/* test_relay.c - the relay decision over every combination of facts, against the policy stated another way.
 * Runs in: the test runner. Trusts: nothing of auth/relay.c. Never: talks to a socket.
 *
 * The statement: on facts that are all known, the outcome is read from small tables (policy_sender,
 * policy_recipient). On facts of which some are unknown, the outcome is the one that all ways to fill them in
 * agree on; where they differ it is not decided. That is worked out for all combinations from the back: the
 * value 0 (unknown) of a fact comes after its other values. */
#include "auth/relay.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { FACTS = 11, ROLES = 5, RECIPIENTS = RECIPIENT_FOREIGN + 1 };
enum { FACT_COMBINATIONS = 177147 /* 3 to the 11th */ };
enum { SENDER_COMBINATIONS = ROLES * FACT_COMBINATIONS, COMBINATIONS = RECIPIENTS * SENDER_COMBINATIONS };

/* Combination number i: the facts are its digits, the recipient last and the role before it. */
static struct relay_facts combination(size_t i) {
    enum fact digits[FACTS];
    for (size_t k = 0; k < FACTS; k++, i /= 3) digits[k] = (enum fact)(i % 3);
    return (struct relay_facts){
        .role = (enum relay_role)(i % ROLES),
        .recipient = (enum relay_recipient)(i / ROLES),
        .identity = digits[0],
        .granted = digits[1],
        .suspended = digits[2],
        .sender_parses = digits[3],
        .sender_empty = digits[4],
        .sender_allowed = digits[5],
        .sender_local = digits[6],
        .local_sender_host = digits[7],
        .trusted_network = digits[8],
        .message_quota_left = digits[9],
        .recipient_quota_left = digits[10],
    };
}

static bool has_principal(const struct relay_facts *f) {
    return f->identity == FACT_YES || f->granted == FACT_YES;
}

/* What a known principal may be refused for, as a set; its first member is the answer. */
static enum reason policy_sender(const struct relay_facts *f) {
    if (f->sender_parses == FACT_NO) return REASON_MALFORMED_SENDER;
    if (!has_principal(f)) return f->role == RELAY_ROLE_MX ? REASON_SENDER_ACCEPTED : REASON_AUTH_REQUIRED;
    bool stolen = f->sender_empty != FACT_YES && f->sender_allowed != FACT_YES;
    unsigned faults =
        (f->suspended == FACT_YES ? 1u : 0) | (stolen ? 2u : 0) | (f->message_quota_left == FACT_NO ? 4u : 0);
    static const enum reason first[8] = {
        REASON_SENDER_ACCEPTED, REASON_ACCOUNT_SUSPENDED, REASON_SENDER_NOT_YOURS, REASON_ACCOUNT_SUSPENDED,
        REASON_OVER_QUOTA,      REASON_ACCOUNT_SUSPENDED, REASON_SENDER_NOT_YOURS, REASON_ACCOUNT_SUSPENDED,
    };
    return first[faults];
}

/* What a recipient gets for what it is, whoever asks. */
static enum reason own_answer(enum relay_recipient recipient) {
    static const enum reason answers[RECIPIENTS] = {
        [RECIPIENT_MALFORMED] = REASON_MALFORMED_RECIPIENT, [RECIPIENT_POSTMASTER] = REASON_POSTMASTER,
        [RECIPIENT_SECOND_ROUTING] = REASON_SECOND_ROUTING, [RECIPIENT_LOCAL] = REASON_LOCAL_RECIPIENT,
        [RECIPIENT_FORWARD] = REASON_RELAY_ALIAS,           [RECIPIENT_NOBODY] = REASON_UNKNOWN_RECIPIENT,
        [RECIPIENT_LITERAL] = REASON_FOREIGN_LITERAL,
    };
    return answers[recipient];
}

static bool is_foreign(enum relay_recipient r) {
    return r == RECIPIENT_FOREIGN || r == RECIPIENT_RELAY_DOMAIN;
}

static enum reason policy_recipient(const struct relay_facts *f) {
    bool whoever = f->recipient == RECIPIENT_MALFORMED || f->recipient == RECIPIENT_POSTMASTER ||
                   f->recipient == RECIPIENT_SECOND_ROUTING;
    bool pretends = f->role == RELAY_ROLE_MX && !has_principal(f) && f->sender_local == FACT_YES &&
                    f->local_sender_host == FACT_NO;
    if (pretends && !whoever) return REASON_LOCAL_SENDER_NEEDS_AUTH;
    if (!is_foreign(f->recipient)) return own_answer(f->recipient);
    if (has_principal(f) && f->recipient_quota_left == FACT_NO) return REASON_OVER_QUOTA;
    const struct {
        bool held;
        enum reason right;
    } rights[] = {
        {f->identity == FACT_YES && f->role != RELAY_ROLE_LOCAL, REASON_RELAY_AUTHENTICATED},
        {f->identity == FACT_YES, REASON_RELAY_LOCAL},
        {f->granted == FACT_YES, REASON_RELAY_GRANTED},
        {f->recipient == RECIPIENT_RELAY_DOMAIN, REASON_RELAY_DOMAIN},
        {f->trusted_network == FACT_YES, REASON_RELAY_TRUSTED},
        {true, REASON_RELAY_DENIED},
    };
    size_t i = 0;
    while (!rights[i].held) i++;
    return rights[i].right;
}

/* The first of the unknown facts: the distance between its values' combinations, and how many it has; 0 when all
 * are known. With `sender` the recipient is not asked for. */
static size_t first_unknown(size_t i, bool sender, size_t *values_out) {
    size_t distance = 1;
    for (size_t k = 0; k < FACTS; k++, i /= 3, distance *= 3) {
        *values_out = 3;
        if (i % 3 == 0) return distance;
    }
    *values_out = ROLES;
    if (i % ROLES == 0) return distance;
    *values_out = RECIPIENTS;
    return !sender && i / ROLES == 0 ? distance * ROLES : 0;
}

static uint8_t *state_policy(size_t combinations, bool sender) {
    uint8_t *outcomes = malloc(combinations);
    cr_assert_not_null(outcomes);
    for (size_t i = combinations; i-- > 0;) {
        size_t values, distance = first_unknown(i, sender, &values);
        struct relay_facts facts = combination(i);
        if (distance == 0) {
            outcomes[i] = (uint8_t)(sender ? policy_sender(&facts) : policy_recipient(&facts));
            continue;
        }
        outcomes[i] = outcomes[i + distance];
        for (size_t value = 2; value < values; value++)
            if (outcomes[i + value * distance] != outcomes[i]) outcomes[i] = REASON_NOT_DECIDED;
    }
    return outcomes;
}

Test(test_relay, every_combination_at_mail_is_as_stated) {
    uint8_t *stated = state_policy(SENDER_COMBINATIONS, true);
    size_t wrong = 0, undecided = 0;
    for (size_t i = 0; i < SENDER_COMBINATIONS; i++) {
        struct relay_facts facts = combination(i);
        enum reason decided = relay_decide_sender(&facts);
        wrong += decided != stated[i];
        undecided += decided == REASON_NOT_DECIDED;
    }
    free(stated);
    cr_expect_eq(wrong, (size_t)0);
    cr_expect_gt(undecided, (size_t)1000);
}

Test(test_relay, every_combination_at_rcpt_is_as_stated) {
    uint8_t *stated = state_policy(COMBINATIONS, false);
    size_t wrong = 0, seen[REASON_COUNT] = {0};
    for (size_t i = 0; i < COMBINATIONS; i++) {
        struct relay_facts facts = combination(i);
        enum reason decided = relay_decide_recipient(&facts);
        wrong += decided != stated[i];
        seen[decided < REASON_COUNT ? decided : 0]++;
    }
    free(stated);
    cr_expect_eq(wrong, (size_t)0);
    for (size_t i = 0; relay_recipient_rules[i]; i++)
        cr_expect_gt(seen[relay_recipient_rules[i]], (size_t)0, "%s", reason_reply(relay_recipient_rules[i])->name);
}

/* DESIGN.md 4: foreign and accepted implies identity, live grant, or an exception that the owner named. */
Test(test_relay, nothing_foreign_without_a_right) {
    size_t breaches = 0, accepted = 0;
    for (size_t i = 0; i < COMBINATIONS; i++) {
        struct relay_facts f = combination(i);
        bool ours = f.recipient == RECIPIENT_POSTMASTER || f.recipient == RECIPIENT_LOCAL;
        if (ours || !reason_reply(relay_decide_recipient(&f))->accepts) continue;
        bool exception = f.recipient == RECIPIENT_RELAY_DOMAIN || f.recipient == RECIPIENT_FORWARD ||
                         (f.recipient == RECIPIENT_FOREIGN && f.trusted_network == FACT_YES);
        bool right = f.recipient == RECIPIENT_FOREIGN && has_principal(&f);
        breaches += !exception && !right;
        accepted++;
    }
    cr_expect_eq(breaches, (size_t)0);
    cr_expect_gt(accepted, (size_t)1000);
}

/* RFC 6409 4.3: on the submission ports nobody gets past MAIL without a principal; not on an unknown role either. */
Test(test_relay, no_submission_without_a_principal) {
    for (size_t i = 0; i < SENDER_COMBINATIONS; i++) {
        struct relay_facts f = combination(i);
        if (relay_decide_sender(&f) == REASON_SENDER_ACCEPTED && f.role != RELAY_ROLE_MX)
            cr_assert(has_principal(&f), "combination %zu", i);
    }
}

/* The rules one by one, as explain shows them, lead to the decision; each says why. */
static void agrees(const struct relay_facts *facts, const enum reason *rules, enum reason decided,
                   enum fact (*rule)(enum reason, const struct relay_facts *, const char **)) {
    enum reason first = REASON_NOT_DECIDED;
    bool found = false;
    for (size_t i = 0; rules[i]; i++) {
        const char *why = NULL;
        enum fact applies = rule(rules[i], facts, &why);
        cr_assert(why && *why);
        if (!found && applies == FACT_YES) first = rules[i];
        found = found || applies != FACT_NO;
    }
    cr_assert_eq(first, decided, "%s for %s", reason_reply(first)->name, reason_reply(decided)->name);
}

Test(test_relay, explain_agrees_with_the_decision) {
    for (size_t i = 0; i < COMBINATIONS; i += 37) {
        struct relay_facts facts = combination(i);
        agrees(&facts, relay_recipient_rules, relay_decide_recipient(&facts), relay_rule_recipient);
        agrees(&facts, relay_sender_rules, relay_decide_sender(&facts), relay_rule_sender);
    }
}

Test(test_relay, rules_of_the_other_table_never_apply) {
    const char *why;
    struct relay_facts facts = combination(COMBINATIONS - 1);
    cr_expect_eq(relay_rule_sender(REASON_RELAY_DENIED, &facts, &why), FACT_NO);
    cr_expect_eq(relay_rule_recipient(REASON_SENDER_ACCEPTED, &facts, &why), FACT_NO);
    cr_expect_eq(relay_rule_recipient(REASON_NOT_DECIDED, &facts, &why), FACT_NO);
    cr_expect_eq(relay_rule_recipient((enum reason)4711, &facts, &why), FACT_NO);
}

Test(test_relay, nothing_known_decides_nothing) {
    struct relay_facts facts = {0};
    cr_expect_eq(relay_decide_sender(&facts), REASON_NOT_DECIDED);
    cr_expect_eq(relay_decide_recipient(&facts), REASON_NOT_DECIDED);
}

/* A number that is no member of its enum is as good as unknown. */
Test(test_relay, strange_numbers_are_unknown) {
    enum { STRANGE = 77 };
    for (size_t i = 0; i < COMBINATIONS; i += 41) {
        struct relay_facts unknown = combination(i), strange;
        memcpy(&strange, &unknown, sizeof strange);
        unsigned *numbers = (unsigned *)(void *)&strange;
        for (size_t k = 0; k < sizeof strange / sizeof *numbers; k++)
            if (numbers[k] == 0) numbers[k] = STRANGE;
        cr_assert_eq(relay_decide_sender(&strange), relay_decide_sender(&unknown), "combination %zu", i);
        cr_assert_eq(relay_decide_recipient(&strange), relay_decide_recipient(&unknown), "combination %zu", i);
    }
}

/* DESIGN.md 4, row by row. */
Test(test_relay, rules_stand_in_the_order_of_the_design) {
    static const char *const mail[] = {"malformed-sender", "auth-required", "account-suspended",
                                       "sender-not-yours", "over-quota",    "sender-accepted"};
    static const char *const rcpt[] = {
        "malformed-recipient", "postmaster",          "second-routing",    "local-sender-needs-auth",
        "local-recipient",     "relay-alias",         "unknown-recipient", "foreign-literal",
        "over-quota",          "relay-authenticated", "relay-local",       "relay-granted",
        "relay-domain",        "relay-trusted",       "relay-denied"};
    size_t n = 0;
    for (; relay_sender_rules[n]; n++) cr_assert_str_eq(reason_reply(relay_sender_rules[n])->name, mail[n]);
    cr_expect_eq(n, sizeof mail / sizeof *mail);
    for (n = 0; relay_recipient_rules[n]; n++)
        cr_assert_str_eq(reason_reply(relay_recipient_rules[n])->name, rcpt[n]);
    cr_expect_eq(n, sizeof rcpt / sizeof *rcpt);
}

#define KNOWN_STRANGER                                                                                               \
    .role = RELAY_ROLE_MX, .identity = FACT_NO, .granted = FACT_NO, .sender_parses = FACT_YES,                       \
    .sender_empty = FACT_NO, .sender_local = FACT_NO, .trusted_network = FACT_NO
#define KNOWN_USER                                                                                                   \
    .role = RELAY_ROLE_SUBMISSION, .identity = FACT_YES, .granted = FACT_NO, .suspended = FACT_NO,                   \
    .sender_parses = FACT_YES, .sender_empty = FACT_NO, .sender_allowed = FACT_YES, .message_quota_left = FACT_YES,  \
    .recipient_quota_left = FACT_YES

/* The four pictures of the README and some more, written out. */
Test(test_relay, plain_cases) {
    static const struct {
        struct relay_facts facts;
        enum reason mail, rcpt;
    } cases[] = {
        {{KNOWN_STRANGER, .recipient = RECIPIENT_LOCAL}, REASON_SENDER_ACCEPTED, REASON_LOCAL_RECIPIENT},
        {{KNOWN_STRANGER, .recipient = RECIPIENT_FOREIGN}, REASON_SENDER_ACCEPTED, REASON_RELAY_DENIED},
        {{KNOWN_STRANGER, .recipient = RECIPIENT_NOBODY}, REASON_SENDER_ACCEPTED, REASON_UNKNOWN_RECIPIENT},
        {{KNOWN_STRANGER, .recipient = RECIPIENT_RELAY_DOMAIN}, REASON_SENDER_ACCEPTED, REASON_RELAY_DOMAIN},
        {{KNOWN_USER, .recipient = RECIPIENT_FOREIGN}, REASON_SENDER_ACCEPTED, REASON_RELAY_AUTHENTICATED},
        {{KNOWN_USER, .recipient = RECIPIENT_RELAY_DOMAIN}, REASON_SENDER_ACCEPTED, REASON_RELAY_AUTHENTICATED},
        {{KNOWN_USER, .recipient = RECIPIENT_LITERAL}, REASON_SENDER_ACCEPTED, REASON_FOREIGN_LITERAL},
        {{.role = RELAY_ROLE_MX,
          .identity = FACT_NO,
          .granted = FACT_YES,
          .suspended = FACT_NO,
          .sender_parses = FACT_YES,
          .sender_empty = FACT_NO,
          .sender_allowed = FACT_YES,
          .message_quota_left = FACT_YES,
          .recipient_quota_left = FACT_YES,
          .recipient = RECIPIENT_FOREIGN},
         REASON_SENDER_ACCEPTED,
         REASON_RELAY_GRANTED},
        /* A grant of a suspended account gives nothing. */
        {{.role = RELAY_ROLE_MX,
          .identity = FACT_NO,
          .granted = FACT_YES,
          .suspended = FACT_YES,
          .sender_parses = FACT_YES,
          .recipient = RECIPIENT_FOREIGN},
         REASON_ACCOUNT_SUSPENDED,
         REASON_NOT_DECIDED},
        /* A principal may send from <>, whatever it owns: receipts and the like. */
        {{.role = RELAY_ROLE_SUBMISSIONS,
          .identity = FACT_YES,
          .suspended = FACT_NO,
          .sender_parses = FACT_YES,
          .sender_empty = FACT_YES,
          .message_quota_left = FACT_YES,
          .recipient_quota_left = FACT_YES,
          .recipient = RECIPIENT_FOREIGN},
         REASON_SENDER_ACCEPTED,
         REASON_RELAY_AUTHENTICATED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_expect_eq(relay_decide_sender(&cases[i].facts), cases[i].mail, "case %zu at MAIL", i);
        cr_expect_eq(relay_decide_recipient(&cases[i].facts), cases[i].rcpt, "case %zu at RCPT", i);
    }
}
