/* postmaster.c - the postmaster's mail, which may not be refused for ever: RFC 5321 4.5.1.
 * Runs in: auth. Trusts: the database, the setup. Never: sends it abroad where no mail leaves this installation. */
#include "auth/postmaster.h"

/* Whether mail for the address ends with somebody; ends that there is no way to are dropped. */
static enum expand_outcome expand_usable(const struct house *house, const struct key *key, struct expansion *out) {
    enum expand_outcome outcome = expand_address(house, key, key_span(key), out);
    if (outcome != EXPAND_FOUND || !out->forwards || house->setup->foreign != DESTINATION_NONE) return outcome;
    for (size_t i = 0; i < out->n; i++) {
        if (out->entries[i].kind == DESTINATION_NONE || out->entries[i].kind == DESTINATION_MAILDIR) continue;
        out->entries[i].kind = DESTINATION_NONE;
        out->found--;
    }
    out->forwards = false;
    return out->found ? EXPAND_FOUND : EXPAND_NOBODY;
}

enum postmaster_way postmaster_expand(const struct house *house, const struct key *key, struct expansion *out) {
    struct key owner;
    struct account first;
    /* An alias that cannot be followed (too many targets) is no better than one that leads to nobody. */
    if (key->n && expand_usable(house, key, out) == EXPAND_FOUND) return POSTMASTER_NAMED;
    if (key_parse(&owner, house->setup->postmaster) && house_local_domain(house, key_domain(&owner)) &&
        expand_usable(house, &owner, out) == EXPAND_FOUND)
        return POSTMASTER_NAMED;
    switch (account_first(house->db, &first)) {
    case ACCOUNT_FOUND:
        expand_user(&first, out);
        return POSTMASTER_STAND_IN;
    case ACCOUNT_NONE:
        return POSTMASTER_NOBODY;
    case ACCOUNT_FAILED:
        break;
    }
    return POSTMASTER_UNKNOWN;
}

bool postmaster_warning(const struct house *house, struct expansion *scratch, struct buf *out) {
    static const struct key bare = {0};
    switch (postmaster_expand(house, &bare, scratch)) {
    case POSTMASTER_NAMED:
        return false;
    case POSTMASTER_STAND_IN:
        buf_put_span(out, house->setup->postmaster);
        buf_put_text(out, " leads to nobody, so the oldest user, ");
        buf_put_span(out, span_of(scratch->entries[0].login, scratch->entries[0].login_n));
        buf_put_text(out, ", gets the mail for postmaster; set postmaster to a user, or add an alias of that name");
        return true;
    case POSTMASTER_NOBODY:
        buf_put_text(out, "there is no user yet, so mail for postmaster is put off with 451; add one with user add");
        return true;
    case POSTMASTER_UNKNOWN:
        break;
    }
    buf_put_text(out, "where mail for postmaster goes could not be looked up");
    return true;
}
