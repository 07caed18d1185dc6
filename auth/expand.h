/* expand.h - where mail for an address of ours ends: users and aliases, plus-addressing, catch-alls. */
#ifndef AUTH_EXPAND_H
#define AUTH_EXPAND_H

#include "auth/account.h"
#include "auth/auth_setup.h"
#include "store/envelope.h"

/* What facts are established from. */
struct quota;
struct grants;
struct house {
    struct database *db;
    const struct auth_setup *setup;
    struct quota *quota;   /* auth/quota.h */
    struct grants *grants; /* auth/grant.h; NULL: there are none */
};

/* An address in the form in which addresses are compared: local part as address_local_normal writes it, domain as
 * A-labels in lower case (a literal in lower case). */
struct key {
    uint8_t octets[ADDRESS_MAX];
    size_t n, local_n;
};

static inline struct span key_span(const struct key *key) {
    return span_of(key->octets, key->n);
}
static inline struct span key_local(const struct key *key) {
    return span_of(key->octets, key->local_n);
}
static inline struct span key_domain(const struct key *key) {
    return span_of(key->octets + key->local_n + 1, key->n - key->local_n - 1);
}

/* False when the domain is none, or it does not fit; the bare postmaster and <> have no key. */
bool key_make(struct key *out, const struct address *address) MUST_USE;
bool key_parse(struct key *out, struct span plain) MUST_USE;

/* The domain's row, or NULL when it is not one of ours. */
const struct auth_domain *house_local_domain(const struct house *house, struct span domain);
const struct auth_relay_domain *house_relay_domain(const struct house *house, struct span domain);
/* Whether the backed-up domain's list names the address, or *@domain. */
bool house_relay_lists(const struct house *house, const struct auth_relay_domain *domain, const struct key *key);

/* One address on the way, or at its end when kind is not DESTINATION_NONE. */
struct expansion_entry {
    uint8_t kind;  /* enum destination_kind; MAILDIR of `login`, else foreign */
    uint8_t depth; /* of aliases before it */
    uint16_t address_n, login_n, alias_n;
    uint8_t address[ADDRESS_MAX]; /* as it is delivered */
    uint8_t login[ADDRESS_MAX];
    uint8_t alias[ADDRESS_MAX]; /* that forwards there, where it is foreign */
};

enum { EXPANSION_MAX = 100, EXPANSION_DEPTH_MAX = 10, EXPANSION_STEPS_MAX = 200 };

struct expansion {
    size_t n, found; /* entries; those that are ends */
    bool forwards;   /* one of the ends is foreign */
    struct expansion_entry entries[EXPANSION_STEPS_MAX];
};

enum expand_outcome {
    EXPAND_FAILED = 0, /* the database, or an alias over the limits; logged */
    EXPAND_NOBODY,
    EXPAND_SECOND_ROUTING, /* local part with % ! or @, and no exact entry */
    EXPAND_FOUND
};

/* For an address in a local domain. `written`: the form that a mailbox of that very address is told. */
enum expand_outcome expand_address(const struct house *house, const struct key *key, struct span written,
                                   struct expansion *out) MUST_USE;

/* Whose name mail that an alias forwards abroad bears as its envelope sender, and who gets its bounces: owner-ALIAS
 * where mail for that stays here, else postmaster at the alias's domain. */
void expand_owner(const struct house *house, const struct expansion_entry *entry, struct buf *out);

/* The way to an end: sets kind, destination and address of `out`, which are views into the entry, the setup and
 * `storage`. An LMTP server is told the user's login, with the tag of plus-addressing. */
void expand_way(const struct house *house, const struct expansion_entry *entry, struct key *storage,
                struct recipient *out);

/* One user as the only end. */
void expand_user(const struct account *account, struct expansion *out);

/* Whether mail for the address would be delivered to this user; FAILED: it could not be looked up. */
enum account_found expand_reaches(const struct house *house, const struct key *key, struct span login) MUST_USE;

#endif
