/* login_identity.c - whose name it is, what a verifier may try for it, and a secret that is written anew.
 * Runs in: auth. Trusts: the database. Never: lets the work or the words differ between somebody and nobody. */
#include "auth/facts.h"
#include "auth/guessing.h"
#include "auth/login_exchange.h"
#include "store/clock.h"

_Static_assert((int)CREDENTIALS_MAX <= (int)VERIFY_CREDENTIALS_MAX && (int)CREDENTIAL_NT_MAX <= (int)VERIFY_NT_MAX,
               "what is stored fits into a frame");
_Static_assert((int)CREDENTIAL_SCRAM_BYTES == (int)VERIFY_SCRAM_BYTES &&
                   (int)ACCOUNT_SALT_BYTES == (int)VERIFY_SALT_BYTES,
               "and is as long there");

/* Nobody acts for another: RFC 4616 2. The same user by another form of the name is no other. */
static bool acts_as(const struct house *house, struct span authorization, struct span name,
                    const struct account *account) {
    struct key key;
    if (authorization.n == 0 || span_equal_nocase(authorization, name)) return true;
    return facts_login_name(house, authorization, &key) && span_equal(key_span(&key), account_login(account));
}

/* What is known against it; NULL: nothing. */
static const char *objection(const struct house *house, struct span authorization, struct span name,
                             const struct identity *identity) {
    if (!identity->account.enabled) return "account disabled";
    if (!acts_as(house, authorization, name, &identity->account)) return "another authorization identity";
    return identity->n ? NULL : "no password";
}

bool login_identify(struct peer *peer, struct span name, struct span authorization, struct identity *out) {
    const struct house *house = &peer->auth->house;
    struct exchange *exchange = &peer->exchange;
    exchange->user_id = exchange->credential_id = 0;
    exchange->login_n = 0;
    exchange->remembered = false;
    exchange->used_ms = 0;
    exchange->why = "unknown user";
    exchange->failure = THROTTLE_FAILED_PASSWORD;
    exchange->attempt.client = peer->client.address;
    exchange->attempt.account = guessing_account(peer->auth, name);
    exchange->attempt.user_id = 0;
    enum credential_scope scope = peer_is_pop3(peer) ? CREDENTIAL_POP3 : CREDENTIAL_SMTP;
    enum account_found found = identity_find(house, name, scope, clock_wall_ms(), out);
    if (found != ACCOUNT_FOUND) return found == ACCOUNT_NONE;
    exchange->login_n = out->account.login_n;
    memcpy(exchange->login, out->account.login_octets, out->account.login_n);
    const char *against = objection(house, authorization, name, out);
    exchange->attempt.user_id = out->account.id;
    if (out->separate) exchange->attempt.account = guessing_login(peer->auth, name);
    exchange->why = against ? against : "wrong password";
    if (against)
        exchange->failure = THROTTLE_FAILED_UNCHECKED;
    else
        exchange->user_id = out->account.id;
    return true;
}

static const struct credential *find_credential(const struct identity *identity, int64_t id) {
    for (size_t i = 0; id && i < identity->n; i++)
        if (identity->credentials[i].id == id) return &identity->credentials[i];
    return NULL;
}

bool login_remembered(struct peer *peer, const struct identity *identity) {
    struct exchange *exchange = &peer->exchange;
    if (!exchange->user_id || !peer->auth->setup.cache_ms) return false;
    int64_t id = login_cache_find(&peer->auth->cache, exchange->tag, exchange->user_id, clock_ms());
    const struct credential *credential = find_credential(identity, id);
    if (!credential) return false;
    exchange->credential_id = credential->id;
    exchange->used_ms = credential->last_used_ms;
    exchange->remembered = true;
    return true;
}

/* As it stands in the database, where it could stand there: what is made up for nobody must not tell how the name was
 * written. */
static void put_normal(const struct house *house, struct span name, struct buf *out) {
    struct key key;
    if (facts_login_name(house, name, &key))
        buf_put_span(out, key_span(&key));
    else if (!identity_login_name(name, out))
        buf_clear(out), buf_put_span(out, span_part(name, 0, ADDRESS_MAX));
}

static void put_credential(struct buf *b, const struct credential *credential) {
    wire_put_u64(b, (uint64_t)credential->id);
    wire_put_text(b, credential->hash);
    wire_put_span(b, span_of(credential->scram, credential->has_scram ? sizeof credential->scram : 0));
    wire_put_span(b, span_of(credential->nt, credential->nt_n));
}

/* Of a user who exists; else zero, which has the verifier make one up. */
static void find_salt(const struct identity *identity, struct span name, uint8_t salt_out[ACCOUNT_SALT_BYTES]) {
    uint8_t storage[ADDRESS_MAX];
    struct buf separate = BUF_OVER(storage);
    memset(salt_out, 0, ACCOUNT_SALT_BYTES);
    if (identity->separate && !identity_login_name(name, &separate)) buf_clear(&separate);
    if (identity->account.id) identity_salt(&identity->account, buf_span(&separate), salt_out);
}

bool login_tell_credentials(struct auth_link *link, const struct peer *peer, struct span name,
                            const struct identity *identity) {
    static uint8_t storage[FRAME_BODY_MAX];
    uint8_t login[ADDRESS_MAX], salt[ACCOUNT_SALT_BYTES];
    struct buf b = BUF_OVER(storage), normal = BUF_OVER(login);
    bool real = peer->exchange.user_id != 0;
    if (identity->account.id)
        buf_put_span(&normal, account_login(&identity->account));
    else
        put_normal(&peer->auth->house, name, &normal);
    wire_put_u64(&b, link->exchange);
    wire_put_u8(&b, real);
    wire_put_span(&b, buf_span(&normal));
    wire_put_u64(&b, real ? (uint64_t)identity->account.id : 0);
    find_salt(identity, name, salt);
    wire_put_bytes(&b, salt, sizeof salt);
    wire_put_u16(&b, (uint16_t)(real ? identity->n : 0));
    for (size_t i = 0; real && i < identity->n; i++) put_credential(&b, &identity->credentials[i]);
    bool told = buf_ok(&b) && auth_tell(link, VERIFY_CREDENTIALS, buf_span(&b), -1);
    buf_wipe(&b);
    return told;
}

/* The last credentials that were written anew, for verdicts that were under way. */
static struct { int64_t from, to; } renamed[16];
static size_t n_renamed;

int64_t login_credential_now(int64_t id) {
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++)
        if (renamed[i].from == id) id = renamed[i].to;
    return id;
}

/* It is the same secret still, for all who came by it. */
static void rename_credential(struct auth *auth, int64_t from, int64_t to) {
    size_t place = n_renamed++ % (sizeof renamed / sizeof *renamed);
    renamed[place].from = from, renamed[place].to = to;
    quota_renamed(&auth->quota, from, to);
    for (struct peer *peer = auth->peers; peer; peer = peer->next) {
        if (peer->exchange.credential_id == from) peer->exchange.credential_id = to;
        if (peer->client.credential_id == from) peer->client.credential_id = to;
    }
}

/* The secret was right, and its hash is old-fashioned or there were no keys of it. */
static void renew(struct auth *auth, struct exchange *exchange, const struct credential_secret *secret) {
    int64_t id;
    switch (credential_renew(auth->house.db, exchange->credential_id, secret, &id)) {
    case ACCOUNT_CHANGED:
        rename_credential(auth, exchange->credential_id, id);
        login_renewed(auth);
        break;
    case ACCOUNT_MISSING: /* it has been changed meanwhile */
        break;
    case ACCOUNT_EXISTS:
    case ACCOUNT_CHANGE_FAILED:
        log_fault("replacing a hash", 0); /* tried again at the next login */
    }
}

void login_settle(struct peer *peer, struct span new_hash, struct span new_scram) {
    struct auth *auth = peer->auth;
    struct exchange *exchange = &peer->exchange;
    struct credential_secret secret = {.hash = new_hash, .scram = new_scram};
    if (new_hash.n || new_scram.n) renew(auth, exchange, &secret);
    uint64_t now = clock_wall_ms();
    if (now - exchange->used_ms >= CREDENTIAL_USED_EVERY_S * UINT64_C(1000) &&
        credential_used(auth->house.db, exchange->credential_id, now) != 0)
        log_fault("noting that a credential was used", 0);
    if (auth->setup.cache_ms && !exchange->remembered)
        login_cache_keep(&auth->cache, exchange->tag, exchange->user_id, exchange->credential_id,
                         clock_ms() + auth->setup.cache_ms);
}

/* ---- changes */

/* What no longer opens anything is not found by what the name opens now; here its place comes back. */
static void changed(void *context, int64_t user_id, int64_t gone) {
    struct auth *auth = context;
    (void)gone;
    login_cache_forget(&auth->cache, user_id);
}

void login_prepare(struct auth *auth) {
    account_watch(changed, auth);
}
