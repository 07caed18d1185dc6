/* verify_password.c - the mechanisms that show the password: PLAIN and LOGIN.
 * Runs in: verifier. Trusts: auth. Never: holds a password longer than its exchange. */
#include "auth/password.h"
#include "auth/sasl.h"
#include "auth/verify.h"
#include "store/secret.h"

static struct secret held; /* from a message until its check */

static void forget(void) {
    secret_wipe(&held);
}

static enum verify_outcome keep(struct span password, struct verify_identity *out) {
    if (!secret_set(&held, password)) return VERIFY_MALFORMED;
    out->password = secret_span(&held);
    return VERIFY_CHECK;
}

static enum verify_outcome read_plain(const struct verify *verify, const struct verify_message *message,
                                      struct verify_identity *out) {
    struct sasl_plain plain;
    (void)verify;
    if (message->step != 0 || !sasl_plain(message->message, &plain)) return VERIFY_MALFORMED;
    buf_put_span(&out->name, plain.name);
    if (plain.authorization.n) buf_put_span(&out->authorization, plain.authorization);
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
    buf_put_span(&out->name, message->state);
    return keep(message->message, out);
}

static bool costs_as_configured(const struct verify *verify, const char *hash) {
    struct password_cost cost;
    return password_format_read(span_text(hash), &cost) && cost.passes == verify->setup.argon2_passes &&
           cost.memory_kib == verify->setup.argon2_memory_bytes / 1024;
}

/* A hash of another cost is made anew while the password is there. Where that fails the old one stays. */
static void renew(const struct verify *verify, const struct verify_credential *credential,
                  struct verify_result *out) {
    if (!costs_as_configured(verify, credential->hash) &&
        password_hash(secret_span(&held), verify->setup.argon2_memory_bytes, verify->setup.argon2_passes,
                      out->new_hash) != 0)
        memset(out->new_hash, 0, sizeof out->new_hash);
}

static enum verify_verdict check(const struct verify *verify, const struct verify_credentials *credentials,
                                 struct verify_result *out) {
    const struct verify_credential *slow = credentials->n ? &credentials->list[0] : NULL;
    bool matches = password_check(secret_span(&held), slow ? slow->hash : verify->dummy);
    if (!matches || !slow) return VERIFY_REJECTED;
    out->credential_id = slow->id;
    renew(verify, slow, out);
    return VERIFY_ACCEPTED;
}

const struct verify_mechanism verify_plain = {read_plain, check, forget}, verify_login = {read_login, check, forget};
