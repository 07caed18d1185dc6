/* verify_password.c - the mechanisms that show the password: PLAIN and LOGIN.
 * Runs in: verifier. Trusts: auth. Never: holds a password longer than its exchange. */
#include "auth/password.h"
#include "auth/password_app.h"
#include "auth/prepare.h"
#include "auth/sasl.h"
#include "auth/scram.h"
#include "auth/verify.h"
#include "store/secret.h"

/* From a message until its check: the password in the form of RFC 8265, and as it came where that is another. Hashes
 * from elsewhere and from before are of what was typed. */
static struct secret prepared, typed;

static void forget(void) {
    secret_wipe(&prepared);
    secret_wipe(&typed);
}

static enum verify_outcome keep(struct span password, struct verify_identity *out) {
    bool allowed = prepare_password(password, &prepared);
    if (!allowed || !span_equal(secret_span(&prepared), password))
        if (!secret_set(&typed, password)) return VERIFY_MALFORMED;
    out->password = allowed ? secret_span(&prepared) : secret_span(&typed);
    return VERIFY_CHECK;
}

static enum verify_outcome read_plain(const struct verify *verify, const struct verify_message *message,
                                      struct verify_identity *out) {
    struct sasl_plain plain;
    (void)verify;
    if (message->step != 0 || !sasl_plain(message->message, &plain)) return VERIFY_MALFORMED;
    if (!prepare_name(plain.name, &out->name)) return VERIFY_DENIED;
    if (plain.authorization.n && !prepare_name(plain.authorization, &out->authorization)) return VERIFY_DENIED;
    return keep(plain.password, out);
}

/* A name, then a password. */
static enum verify_outcome read_login(const struct verify *verify, const struct verify_message *message,
                                      struct verify_identity *out) {
    (void)verify;
    if (message->step == 0) {
        if (!sasl_name(message->message)) return VERIFY_MALFORMED;
        buf_put_span(&out->state, message->message);
        buf_put_text(&out->challenge, "Password:");
        return VERIFY_CONTINUE;
    }
    if (message->step != 1 || !sasl_password(message->message)) return VERIFY_MALFORMED;
    if (!prepare_name(message->state, &out->name)) return VERIFY_DENIED;
    return keep(message->message, out);
}

static bool costs_as_configured(const struct verify *verify, const char *hash) {
    struct password_cost cost;
    return password_format_read(span_text(hash), &cost) && cost.passes == verify->setup.argon2_passes &&
           cost.memory_kib == verify->setup.argon2_memory_bytes / 1024;
}

static void make_keys(const struct verify_credentials *credentials, struct verify_result *out) {
    struct scram_keys keys;
    scram_keys_make(secret_span(&prepared), span_of(credentials->salt, VERIFY_SALT_BYTES), SCRAM_ITERATIONS, &keys);
    memcpy(out->new_scram, keys.stored, SCRAM_HASH_BYTES);
    memcpy(out->new_scram + SCRAM_HASH_BYTES, keys.server, SCRAM_HASH_BYTES);
    explicit_bzero(&keys, sizeof keys);
}

/* A hash of another cost or form is made anew while the password is there, and keys that are not there yet. Where
 * that fails the old one stays, and so does that of a password which RFC 8265 does not allow. */
static void renew(const struct verify *verify, const struct verify_credentials *credentials,
                  const struct verify_credential *credential, bool as_typed, struct verify_result *out) {
    if (prepared.n == 0) return;
    bool keys = credential->scram.n == 0 && credentials->has_salt;
    if (keys) make_keys(credentials, out);
    if ((as_typed || !costs_as_configured(verify, credential->hash)) &&
        password_hash(secret_span(&prepared), verify->setup.argon2_memory_bytes, verify->setup.argon2_passes,
                      out->new_hash) != 0)
        memset(out->new_hash, 0, sizeof out->new_hash);
}

static bool is_app(const struct verify_credential *credential) {
    return password_app_is(span_text(credential->hash));
}

/* An app password costs next to nothing, right or wrong: it goes first, and who has one has no slow hash made. */
static const struct verify_credential *find_app(const struct verify_credentials *credentials) {
    const struct verify_credential *found = NULL;
    for (size_t i = 0; i < credentials->n; i++)
        if (is_app(&credentials->list[i]) && password_app_check(secret_span(&prepared), credentials->list[i].hash))
            found = &credentials->list[i];
    return found;
}

static const struct verify_credential *find_slow(const struct verify_credentials *credentials) {
    for (size_t i = 0; i < credentials->n; i++)
        if (!is_app(&credentials->list[i])) return &credentials->list[i];
    return NULL;
}

/* A hash that takes less than our own, from another server or of a lower cost, is made up for: who waits for this
 * verifier meanwhile, or sees the answer go past its time, is not to tell such a user from nobody. */
static void make_up(const struct verify *verify, struct span password, const char *hash) {
    char other[VERIFY_HASH_BYTES];
    struct password_cost cost;
    uint64_t kib = verify->setup.argon2_memory_bytes / 1024, passes = verify->setup.argon2_passes;
    if (!password_format_read(span_text(hash), &cost) || password_work(&cost) >= kib * passes) return;
    kib -= password_work(&cost) / passes;
    if (password_hash(password, kib * 1024, verify->setup.argon2_passes, other) != 0) return; /* too little is left */
    explicit_bzero(other, sizeof other);
}

static bool check_slow(const struct verify *verify, struct span password, const char *hash) {
    if (password_check(password, hash)) return true;
    make_up(verify, password, hash);
    return false;
}

/* Whoever it is, each form of the password is hashed once. */
static enum verify_verdict check(const struct verify *verify, const struct verify_credentials *credentials,
                                 struct verify_result *out) {
    const struct verify_credential *app = prepared.n ? find_app(credentials) : NULL;
    const struct verify_credential *slow = find_slow(credentials);
    const char *hash = slow ? slow->hash : verify->dummy;
    if (app) {
        out->credential_id = app->id;
        if (app->scram.n == 0 && credentials->has_salt) make_keys(credentials, out);
        return VERIFY_ACCEPTED;
    }
    bool matches = prepared.n && check_slow(verify, secret_span(&prepared), hash), as_typed = false;
    if (!matches && typed.n) matches = as_typed = check_slow(verify, secret_span(&typed), hash);
    if (!matches || !slow) return VERIFY_REJECTED;
    out->credential_id = slow->id;
    renew(verify, credentials, slow, as_typed, out);
    return VERIFY_ACCEPTED;
}

const struct verify_mechanism verify_plain = {read_plain, check, forget}, verify_login = {read_login, check, forget};
