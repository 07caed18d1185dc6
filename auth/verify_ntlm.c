/* verify_ntlm.c - NTLM, MS-NLMP by way of MS-SMTPNTLM: a first message, our challenge, an answer that holds a proof.
 * Runs in: verifier. Trusts: auth; the key that the master gave. Never: shows whether a user is enrolled, keeps an NT
 * hash longer than its check. */
#include "auth/ntlm_proof.h"
#include "auth/verify.h"
#include "store/clock.h"
#include "store/random.h"

_Static_assert((int)NTLM_KEPT_MAX <= (int)SEAL_CLEAR_MAX, "both messages are kept");
_Static_assert((int)NTLM_CHALLENGE_MAX <= (int)VERIFY_CHALLENGE_BYTES, "a challenge fits into its frame");
_Static_assert((int)NT_SEALED_BYTES <= (int)VERIFY_NT_MAX, "and a sealed hash into its");

/* From an answer until its check. */
static struct {
    uint8_t message[VERIFY_MESSAGE_MAX], kept_octets[NTLM_KEPT_MAX], end_point[CHANNEL_BINDING_MAX];
    size_t end_point_n;
    struct ntlm_kept kept;     /* views into these */
    struct ntlm_answer answer; /* likewise */
} held;

static void forget(void) {
    explicit_bzero(&held, sizeof held);
}

/* Each challenge is drawn anew, and the sealed state is good for one answer of this exchange. */
static enum verify_outcome read_negotiate(const struct verify *verify, struct span message,
                                          struct verify_identity *out) {
    struct ntlm_challenge challenge = {.hostname = verify->setup.hostname, .wall_ms = clock_wall_ms()};
    if (!ntlm_negotiate_read(message, &challenge.flags)) return VERIFY_MALFORMED;
    if (random_draw(challenge.server_challenge, sizeof challenge.server_challenge) != 0) return VERIFY_MALFORMED;
    ntlm_challenge_put(&out->challenge, &challenge);
    ntlm_kept_put(&out->state, &(struct ntlm_kept){message, buf_span(&out->challenge)});
    return VERIFY_CONTINUE;
}

static bool hold(const struct verify_message *message) {
    struct buf kept = BUF_OVER(held.kept_octets), text = BUF_OVER(held.message), end_point = BUF_OVER(held.end_point);
    buf_put_span(&kept, message->state);
    buf_put_span(&text, message->message);
    buf_put_span(&end_point, message->end_point);
    held.end_point_n = end_point.n;
    return buf_ok(&kept) && buf_ok(&text) && buf_ok(&end_point) && ntlm_kept_get(buf_span(&kept), &held.kept);
}

static enum verify_outcome read_answer(const struct verify_message *message, struct verify_identity *out) {
    if (!hold(message)) return VERIFY_MALFORMED;
    switch (ntlm_answer_read(span_of(held.message, message->message.n), &held.kept, &held.answer)) {
    case NTLM_V2:
        return ntlm_answer_login(&held.answer, &out->name) ? VERIFY_CHECK : VERIFY_MALFORMED;
    case NTLM_OLD:
        out->why = VERIFY_WHY_OLD_NTLM;
        return VERIFY_DENIED;
    case NTLM_ANONYMOUS:
        return VERIFY_DENIED;
    case NTLM_MALFORMED:
        break;
    }
    return VERIFY_MALFORMED;
}

static enum verify_outcome read_message(const struct verify *verify, const struct verify_message *message,
                                        struct verify_identity *out) {
    if (!verify->setup.ntlm || message->step > 1) return VERIFY_MALFORMED;
    return message->step == 0 ? read_negotiate(verify, message->message, out) : read_answer(message, out);
}

/* Of nobody's hash when `sealed` does not open: the same work. */
static bool proves(const struct verify *verify, struct span login, struct span sealed) {
    uint8_t hash[NT_HASH_BYTES];
    bool opened = nt_hash_open(verify->setup.nt_key, login, sealed, hash);
    bool right = ntlm_proof_check(&held.answer, &held.kept, hash);
    explicit_bzero(hash, sizeof hash);
    return opened && right;
}

static enum verify_verdict check(const struct verify *verify, const struct verify_credentials *credentials,
                                 struct verify_result *out) {
    bool bound = ntlm_proof_is_bound(&held.answer, span_of(held.end_point, held.end_point_n));
    bool enrolled = false, right = false;
    for (size_t i = 0; i < credentials->n; i++) {
        const struct verify_credential *credential = &credentials->list[i];
        if (credential->nt.n == 0) continue;
        enrolled = true;
        if (!proves(verify, credentials->login, credential->nt)) continue;
        right = true;
        out->credential_id = credential->id;
        break;
    }
    if (!enrolled) (void)proves(verify, credentials->login, span_of(NULL, 0));
    out->why = !bound                           ? VERIFY_WHY_BINDING
               : credentials->real && !enrolled ? VERIFY_WHY_NOT_ENROLLED
                                                : VERIFY_WHY_NONE;
    return right && bound ? VERIFY_ACCEPTED : VERIFY_REJECTED;
}

const struct verify_mechanism verify_ntlm = {read_message, check, forget};
