/* control_secret.c - what the command line derived of a password, read from its request.
 * Runs in: auth. Trusts: the command line to have derived it of a password that is good. Never: sees a password. */
#include "auth/control_answer.h"
#include "auth/identity.h"
#include "auth/password_app.h"
#include "auth/password_format.h"
#include "store/base64.h"
#include "store/random.h"

/* Exactly `n` octets, or with n 0 any number that fits; false when it is given and is no such thing. */
static bool get_octets(const struct control_request *request, const char *name, size_t n, void *out, size_t cap,
                       struct span *span_out) {
    struct buf b = buf_over(out, cap);
    *span_out = span_of(NULL, 0);
    if (!control_given(request, name)) return true;
    if (!base64_decode(control_argument(request, name), &b) || !buf_ok(&b) || b.n == 0 || (n && b.n != n))
        return false;
    *span_out = buf_span(&b);
    return true;
}

static const char *get_hash(struct auth *auth, const struct control_request *request, enum credential_kind kind,
                            struct control_secret *out) {
    struct password_cost cost = {0};
    struct span hash = control_argument(request, "hash");
    if (hash.n == 0 || hash.n >= sizeof out->hash) return "a hash is missing";
    if (kind == CREDENTIAL_APP && !password_app_is(hash)) return "not the hash of an app password";
    if (kind != CREDENTIAL_APP && (!password_format_read(hash, &cost) || cost.scheme != PASSWORD_ARGON2ID))
        return "not an Argon2id hash within 64 MiB";
    if (password_work(&cost) > auth->dearest_work) auth->dearest_work = password_work(&cost);
    memcpy(out->hash, hash.p, hash.n);
    out->is.hash = span_of(out->hash, hash.n);
    return NULL;
}

/* Whether it was derived for the user as the user is now. */
static bool fits_user(const struct account *user, struct span separate, bool spa, const struct control_secret *secret,
                      struct span salt) {
    uint8_t wanted[ACCOUNT_SALT_BYTES];
    if (user) identity_salt(user, separate, wanted);
    if (user && salt.n && memcmp(wanted, secret->salt, sizeof wanted) != 0) return false;
    return (secret->is.nt.n > 0) == spa;
}

bool control_answer_secret(struct auth *auth, struct control_peer *peer, const struct control_request *request,
                           const struct account *user, enum credential_kind kind, bool spa,
                           struct control_secret *out) {
    uint8_t storage[ADDRESS_MAX];
    struct buf separate = BUF_OVER(storage);
    struct span salt;
    if (kind == CREDENTIAL_LOGIN && !identity_login_name(control_argument(request, "name"), &separate))
        buf_clear(&separate);
    *out = (struct control_secret){0};
    const char *wrong = get_hash(auth, request, kind, out);
    bool whole = get_octets(request, "salt", sizeof out->salt, out->salt, sizeof out->salt, &salt) &&
                 get_octets(request, "scram", sizeof out->scram, out->scram, sizeof out->scram, &out->is.scram) &&
                 get_octets(request, "nt", 0, out->nt, sizeof out->nt, &out->is.nt);
    if (!wrong && (!whole || (out->is.scram.n && !salt.n))) wrong = "keys or their salt are malformed";
    if (wrong)
        control_end(peer, CONTROL_USAGE, wrong);
    else if (!user && !salt.n && random_draw(out->salt, sizeof out->salt) != 0)
        control_end(peer, CONTROL_FAILED, "no random numbers");
    else if (!fits_user(user, buf_span(&separate), spa, out, salt))
        control_end(peer, CONTROL_FAILED, "the user was changed meanwhile: once more, please");
    else
        return true;
    explicit_bzero(out, sizeof *out);
    return false;
}
