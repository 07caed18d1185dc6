/* verify_password.c - the mechanisms that show the password: PLAIN and LOGIN.
 * Runs in: verifier. Trusts: auth. Never: holds a password longer than its exchange. */
#include "auth/password.h"
#include "auth/password_app.h"
#include "auth/prepare.h"
#include "auth/sasl.h"
#include "auth/scram.h"
#include "auth/verify.h"
#include "store/secret.h"

static struct secret held; /* from a message until its check */

static void forget(void) {
    secret_wipe(&held);
}

static enum verify_outcome keep(struct span password, struct verify_identity *out) {
    if (!prepare_password(password, &held)) return VERIFY_DENIED; /* RFC 4616 2; nobody has one like that */
    out->password = secret_span(&held);
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
    scram_keys_make(secret_span(&held), span_of(credentials->salt, VERIFY_SALT_BYTES), SCRAM_ITERATIONS, &keys);
    memcpy(out->new_scram, keys.stored, SCRAM_HASH_BYTES);
    memcpy(out->new_scram + SCRAM_HASH_BYTES, keys.server, SCRAM_HASH_BYTES);
    explicit_bzero(&keys, sizeof keys);
}

/* A hash of another cost is made anew while the password is there, and keys that are not there yet. Where that fails
 * the old one stays. */
static void renew(const struct verify *verify, const struct verify_credentials *credentials,
                  const struct verify_credential *credential, struct verify_result *out) {
    if (credential->scram.n == 0 && credentials->has_salt) make_keys(credentials, out);
    if (!costs_as_configured(verify, credential->hash) &&
        password_hash(secret_span(&held), verify->setup.argon2_memory_bytes, verify->setup.argon2_passes,
                      out->new_hash) != 0)
        memset(out->new_hash, 0, sizeof out->new_hash);
}

/* The app password that it is; 0: none. All are tried, whichever fits. */
static int64_t find_app(const struct verify_credentials *credentials) {
    int64_t found = 0;
    for (size_t i = 0; i < credentials->n; i++)
        if (password_app_check(secret_span(&held), credentials->list[i].hash)) found = credentials->list[i].id;
    return found;
}

/* Whatever it is, one slow hash is worked out: of nobody's where there are app passwords alone. */
static enum verify_verdict check(const struct verify *verify, const struct verify_credentials *credentials,
                                 struct verify_result *out) {
    const struct verify_credential *slow = credentials->n ? &credentials->list[0] : NULL;
    if (slow && password_app_is(span_text(slow->hash))) slow = NULL;
    bool matches = password_check(secret_span(&held), slow ? slow->hash : verify->dummy);
    out->credential_id = find_app(credentials);
    if (out->credential_id) return VERIFY_ACCEPTED;
    if (!matches || !slow) return VERIFY_REJECTED;
    out->credential_id = slow->id;
    renew(verify, credentials, slow, out);
    return VERIFY_ACCEPTED;
}

const struct verify_mechanism verify_plain = {read_plain, check, forget}, verify_login = {read_login, check, forget};
