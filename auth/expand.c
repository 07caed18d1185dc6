/* expand.c - following users, aliases and catch-alls to where mail ends.
 * Runs in: auth. Trusts: the database. Never: follows an address twice, or further than its limits. */
#include "auth/expand.h"

#include "auth/domain_idn.h"
#include "store/log.h"

bool key_make(struct key *out, const struct address *address) {
    struct buf b = BUF_OVER(out->octets);
    *out = (struct key){0};
    if (address->empty || address->postmaster || !address_local_normal(address, &b)) return false;
    out->local_n = b.n;
    buf_put_octet(&b, '@');
    if (address->literal)
        address_domain_lower(address, &b);
    else if (!domain_idn_normal(address->domain, &b))
        return false;
    out->n = b.n;
    return buf_ok(&b);
}

bool key_parse(struct key *out, struct span plain) {
    struct address address;
    *out = (struct key){0};
    return address_parse_plain(&address, plain) && key_make(out, &address);
}

const struct auth_domain *house_local_domain(const struct house *house, struct span domain) {
    const struct auth_domain *domains = house->setup->local_domains;
    size_t from = 0, to = house->setup->n_local_domains;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = domain_compare(domain, domains[middle].name);
        if (order == 0) return &domains[middle];
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return NULL;
}

const struct auth_relay_domain *house_relay_domain(const struct house *house, struct span domain) {
    for (uint32_t i = 0; i < house->setup->n_relay_domains; i++)
        if (span_equal(domain, house->setup->relay_domains[i].name)) return &house->setup->relay_domains[i];
    return NULL;
}

bool house_relay_lists(const struct house *house, const struct auth_relay_domain *domain, const struct key *key) {
    for (uint32_t i = 0; i < domain->n; i++) {
        struct span listed = house->setup->relay_recipients[domain->first + i];
        if (span_equal(listed, key_span(key))) return true;
        if (listed.n > 2 && listed.p[0] == '*' && span_equal(span_from(listed, 2), key_domain(key))) return true;
    }
    return false;
}

static struct span entry_address(const struct expansion_entry *entry) {
    return span_of(entry->address, entry->address_n);
}

/* False when there are too many. An address that is there already is not followed again: loops end. */
static bool push(struct expansion *all, struct span address, unsigned depth, uint8_t kind, struct span alias) {
    for (size_t i = 0; i < all->n; i++)
        if (span_equal_nocase(entry_address(&all->entries[i]), address)) return true;
    if (all->n == EXPANSION_STEPS_MAX || address.n > ADDRESS_MAX || alias.n > ADDRESS_MAX ||
        depth > EXPANSION_DEPTH_MAX)
        return false;
    struct expansion_entry *entry = &all->entries[all->n++];
    entry->kind = kind;
    entry->depth = (uint8_t)depth;
    entry->address_n = (uint16_t)address.n;
    entry->login_n = 0;
    entry->alias_n = kind == DESTINATION_NONE ? 0 : (uint16_t)alias.n;
    memcpy(entry->address, address.p, address.n);
    if (entry->alias_n) memcpy(entry->alias, alias.p, alias.n);
    if (kind != DESTINATION_NONE) all->found++, all->forwards = true;
    return all->found <= EXPANSION_MAX;
}

struct targets {
    const struct house *house;
    struct expansion *all;
    unsigned depth;
    bool any, full;
};

static bool take_target(void *context, const struct account_row *row) {
    struct targets *targets = context;
    struct key key;
    targets->any = true;
    bool ours = key_parse(&key, row->target) && house_local_domain(targets->house, key_domain(&key));
    /* A target elsewhere without --forward: its domain was ours when the alias was made. It does not make us
     * relay. */
    if (!ours && !row->forward) return true;
    uint8_t kind = ours ? DESTINATION_NONE : targets->house->setup->foreign;
    if (!ours && kind == DESTINATION_NONE) kind = DESTINATION_SMARTHOST; /* refused later: there is no way out */
    targets->full = !push(targets->all, row->target, targets->depth, kind, row->address);
    return !targets->full;
}

/* A user of that login, or an alias: its targets go to the end of the list. */
static enum expand_outcome follow(const struct house *house, struct span address, size_t at, struct expansion *all) {
    struct account account;
    struct expansion_entry *entry = &all->entries[at];
    enum account_found found = account_find(house->db, address, &account);
    if (found == ACCOUNT_FAILED) return EXPAND_FAILED;
    if (found == ACCOUNT_FOUND) {
        for (size_t i = 0; i < all->n; i++) /* two addresses of one user: one copy */
            if (all->entries[i].login_n &&
                span_equal(span_of(all->entries[i].login, all->entries[i].login_n), account_login(&account)))
                return EXPAND_FOUND;
        entry->kind = DESTINATION_MAILDIR;
        entry->login_n = (uint16_t)account.login_n;
        memcpy(entry->login, account.login_octets, account.login_n);
        all->found++;
        return all->found <= EXPANSION_MAX ? EXPAND_FOUND : EXPAND_FAILED;
    }
    struct targets targets = {house, all, entry->depth + 1U, false, false};
    if (account_aliases(house->db, address, take_target, &targets) == ACCOUNT_FAILED) return EXPAND_FAILED;
    if (targets.full) {
        log_fault("an alias has too many targets or steps", 0);
        return EXPAND_FAILED;
    }
    return targets.any ? EXPAND_FOUND : EXPAND_NOBODY;
}

/* Offset of the delimiter of plus-addressing, or the local part's length. A quoted local part is not cut. */
static size_t delimiter_at(const struct house *house, const struct key *key) {
    struct span local = key_local(key), set = house->setup->recipient_delimiter;
    if (local.n && local.p[0] == '"') return local.n;
    for (size_t i = 1; i < local.n; i++)
        if (span_find(set, local.p[i]) < set.n) return i;
    return local.n;
}

/* The mailbox's own address. The written one may have its domain in another form, and be an alias's. */
static struct span mailbox_of(const struct house *house, const struct expansion_entry *entry, struct key *storage) {
    struct span login = span_of(entry->login, entry->login_n);
    struct buf b = BUF_OVER(storage->octets);
    struct key written;
    size_t at = login.n;
    while (at > 0 && login.p[at - 1] != '@') at--;
    if (at == 0 || !key_parse(&written, entry_address(entry))) return login;
    size_t cut = delimiter_at(house, &written);
    struct span local = span_part(login, 0, at - 1), tag = span_from(key_local(&written), cut);
    if (tag.n == 0 || !span_equal(span_part(key_local(&written), 0, cut), local)) return login;
    buf_put_span(&b, local);
    buf_put_span(&b, tag);
    buf_put_span(&b, span_from(login, at - 1));
    return buf_ok(&b) ? buf_span(&b) : login;
}

void expand_way(const struct house *house, const struct expansion_entry *entry, struct key *storage,
                struct recipient *out) {
    struct span login = span_of(entry->login, entry->login_n);
    size_t at = login.n;
    out->kind = entry->kind;
    out->destination = login;
    out->address = entry_address(entry);
    if (entry->kind != DESTINATION_MAILDIR) return;
    while (at > 0 && login.p[at - 1] != '@') at--;
    const struct auth_domain *domain = house_local_domain(house, span_from(login, at));
    if (!domain || domain->lmtp.n == 0) return;
    out->kind = DESTINATION_LMTP;
    out->destination = domain->lmtp;
    out->address = mailbox_of(house, entry, storage);
}

static bool second_routing(const struct key *key) {
    struct address address;
    return address_parse_plain(&address, key_span(key)) && address_second_routing(&address);
}

/* Exact entry, then without its tag, then the domain's catch-all. */
static enum expand_outcome look_up(const struct house *house, const struct key *key, size_t at,
                                   struct expansion *all) {
    uint8_t storage[ADDRESS_MAX + 2];
    struct buf b = BUF_OVER(storage);
    enum expand_outcome outcome = follow(house, key_span(key), at, all);
    if (outcome != EXPAND_NOBODY) return outcome;
    if (second_routing(key)) return EXPAND_SECOND_ROUTING;
    size_t cut = delimiter_at(house, key);
    if (cut < key->local_n) {
        buf_put_span(&b, span_part(key_local(key), 0, cut));
        buf_put_span(&b, span_from(key_span(key), key->local_n));
        outcome = follow(house, buf_span(&b), at, all);
        if (outcome != EXPAND_NOBODY) return outcome;
    }
    buf_clear(&b);
    buf_put_octet(&b, '*');
    buf_put_span(&b, span_from(key_span(key), key->local_n));
    return follow(house, buf_span(&b), at, all);
}

enum expand_outcome expand_address(const struct house *house, const struct key *key, struct span written,
                                   struct expansion *out) {
    out->n = out->found = 0;
    out->forwards = false;
    if (!push(out, written, 0, DESTINATION_NONE, span_of(NULL, 0))) return EXPAND_FAILED;
    for (size_t i = 0; i < out->n; i++) {
        struct key step = *key;
        if (out->entries[i].kind != DESTINATION_NONE) continue;
        if (i > 0 && !key_parse(&step, entry_address(&out->entries[i]))) continue;
        enum expand_outcome outcome = look_up(house, &step, i, out);
        if (outcome == EXPAND_FAILED) return EXPAND_FAILED;
        if (i == 0 && outcome != EXPAND_FOUND) return outcome;
    }
    return out->found ? EXPAND_FOUND : EXPAND_NOBODY;
}

static bool ends_here(const struct house *house, struct span plain) {
    static struct expansion all; /* large; no caller is inside another */
    struct key key;
    return key_parse(&key, plain) && expand_address(house, &key, plain, &all) == EXPAND_FOUND && !all.forwards;
}

void expand_owner(const struct house *house, const struct expansion_entry *entry, struct buf *out) {
    struct span alias = span_of(entry->alias, entry->alias_n);
    size_t at = alias.n;
    while (at > 0 && alias.p[at - 1] != '@') at--;
    if (alias.n && alias.p[0] != '*' && alias.p[0] != '"') {
        buf_put_text(out, "owner-");
        buf_put_span(out, alias);
        if (buf_ok(out) && ends_here(house, buf_span(out))) return;
    }
    buf_clear(out);
    buf_put_text(out, "postmaster@");
    buf_put_span(out, span_from(alias, at));
}

void expand_user(const struct account *account, struct expansion *out) {
    struct expansion_entry *entry = &out->entries[0];
    out->n = out->found = 1;
    out->forwards = false;
    *entry = (struct expansion_entry){
        .kind = DESTINATION_MAILDIR, .address_n = (uint16_t)account->login_n, .login_n = (uint16_t)account->login_n};
    memcpy(entry->address, account->login_octets, account->login_n);
    memcpy(entry->login, account->login_octets, account->login_n);
}

enum account_found expand_reaches(const struct house *house, const struct key *key, struct span login) {
    static struct expansion all; /* large; no caller is inside another */
    enum expand_outcome outcome = expand_address(house, key, key_span(key), &all);
    if (outcome == EXPAND_FAILED) return ACCOUNT_FAILED;
    for (size_t i = 0; outcome == EXPAND_FOUND && i < all.n; i++)
        if (all.entries[i].kind == DESTINATION_MAILDIR &&
            span_equal(span_of(all.entries[i].login, all.entries[i].login_n), login))
            return ACCOUNT_FOUND;
    return ACCOUNT_NONE;
}
