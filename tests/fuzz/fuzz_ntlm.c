/* fuzz_ntlm.c - NTLM's messages. The first octet of an input says what the rest is: a client's first message; an
 * answer as it is; an answer that a right client makes of the texts in it, with fields then put elsewhere; octets for
 * UTF-16. Of inputs that are answers as they are, the mutator also changes lengths and offsets as such.
 * Runs in: fuzzing. Trusts: nothing. Never: lets a view leave its message, or a wrong proof pass. */
#include "auth/sasl.h"
#include "auth/utf16.h"
#include "store/wire.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/ntlm_client.h"

enum { KIND_NEGOTIATE, KIND_ANSWER, KIND_CLIENT, KIND_UTF16, KINDS };
enum { FIELDS = 6, FIELDS_AT = 12, FIELD_BYTES = 8, ANSWER_MAX = 4096, TEXT_MAX = 300 };

size_t LLVMFuzzerMutate(uint8_t *p, size_t n, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *p, size_t n, size_t max, unsigned seed);

static uint8_t negotiate_octets[NTLM_NEGOTIATE_MAX + 1], challenge_octets[NTLM_CHALLENGE_MAX];

static struct ntlm_kept make_kept(struct span negotiate, uint32_t flags, struct span hostname) {
    struct buf challenge = BUF_OVER(challenge_octets);
    struct ntlm_challenge of = {
        .flags = flags, .hostname = hostname, .server_challenge = {1, 2, 3, 4, 5, 6, 7, 8}, .wall_ms = 1700000000123};
    ntlm_challenge_put(&challenge, &of);
    HOLDS(buf_ok(&challenge));
    return (struct ntlm_kept){negotiate, buf_span(&challenge)};
}

static struct ntlm_kept usual_kept(void) {
    struct buf negotiate = BUF_OVER(negotiate_octets);
    ntlm_client_negotiate(&negotiate, NTLM_CLIENT_FLAGS);
    return make_kept(buf_span(&negotiate), NTLM_CLIENT_FLAGS, SPAN("a.example"));
}

static void within(struct span part, struct span message) {
    HOLDS(part.n == 0 || (part.p >= message.p && part.p + part.n <= message.p + message.n));
}

/* The six buffers once more, by other arithmetic. */
static bool buffers_fit(struct span message) {
    for (size_t i = 0; i < FIELDS; i++) {
        const uint8_t *p = message.p + FIELDS_AT + i * FIELD_BYTES;
        uint64_t n = p[0] + 256ULL * p[1];
        uint64_t end = n + p[4] + 256ULL * p[5] + 65536ULL * p[6] + 16777216ULL * p[7];
        if (n && end > message.n) return false;
    }
    return true;
}

static enum ntlm_answer_kind read_answer(struct span message, const struct ntlm_kept *kept,
                                         struct ntlm_answer *answer) {
    uint8_t name[256];
    struct buf login = BUF_OVER(name);
    enum ntlm_answer_kind kind = ntlm_answer_read(message, kept, answer);
    if (kind == NTLM_MALFORMED) return kind;
    HOLDS(message.n >= 64 && buffers_fit(message));
    within(answer->user, message), within(answer->domain, message);
    if (kind != NTLM_V2) return kind;
    within(answer->proof, message), within(answer->client_challenge, message), within(answer->binding, message);
    HOLDS(answer->user.n > 0 && answer->user.n % 2 == 0 && answer->domain.n % 2 == 0);
    HOLDS(answer->proof.n == NTLM_PROOF_BYTES && answer->client_challenge.n >= 32);
    HOLDS(answer->binding.n == 0 || answer->binding.n == NTLM_BINDING_BYTES);
    HOLDS(!answer->has_mic || message.n >= 88);
    if (ntlm_answer_login(answer, &login)) HOLDS(sasl_name(buf_span(&login)));
    (void)ntlm_proof_is_bound(answer, SPAN("0123456789abcdef0123456789abcdef"));
    return kind;
}

static void try_negotiate(struct span in) {
    uint8_t octets[NTLM_KEPT_MAX];
    struct buf b = BUF_OVER(octets);
    struct ntlm_kept again;
    uint32_t flags;
    /* The hostname is the owner's: any name of the DNS. */
    static uint8_t hostname[253];
    for (size_t i = 0; i < sizeof hostname; i++) hostname[i] = i % 64 == 63 ? '.' : 'x';
    if (!ntlm_negotiate_read(in, &flags)) return;
    struct ntlm_kept kept = make_kept(in, flags, span_of(hostname, 1 + in.n % sizeof hostname));
    ntlm_kept_put(&b, &kept);
    HOLDS(buf_ok(&b) && ntlm_kept_get(buf_span(&b), &again));
    HOLDS(span_equal(again.negotiate, in) && span_equal(again.challenge, kept.challenge));
}

/* Nobody has this hash, so no proof is right. */
static void try_answer(struct span in) {
    static const uint8_t hash[NT_HASH_BYTES] = {0x5a, 1, 2, 3};
    struct ntlm_kept kept = usual_kept(), raw;
    struct ntlm_answer answer;
    if (read_answer(in, &kept, &answer) == NTLM_V2) HOLDS(!ntlm_proof_check(&answer, &kept, hash));
    if (ntlm_kept_get(in, &raw)) (void)read_answer(span_part(in, in.n / 2, in.n), &raw, &answer);
}

static const char *text(struct span *in, char *storage, const char *otherwise) {
    uint8_t octets[2 * TEXT_MAX];
    struct buf b = BUF_OVER(octets);
    struct span line = fuzz_line(in);
    size_t n = line.n < TEXT_MAX - 1 ? line.n : TEXT_MAX - 1;
    if (n) memcpy(storage, line.p, n);
    storage[n] = 0;
    return storage[0] && utf16_from_utf8(span_text(storage), &b) ? storage : otherwise;
}

/* Lengths and offsets near a bound, or any. */
static uint32_t near(uint8_t choice, uint8_t by, size_t n) {
    uint32_t bounds[] = {0, 64, 72, 88, (uint32_t)n, 0xffff, 0x80000000, 0xffffffff};
    return bounds[choice % 8] + (uint32_t)(int8_t)by;
}

static void patch(uint8_t *message, size_t n, uint8_t choice, uint8_t bound, uint8_t by) {
    uint32_t value = near(bound, by, n);
    uint8_t *field = message + FIELDS_AT + (choice & 7) % FIELDS * FIELD_BYTES;
    if (choice & 8)
        field[0] = (uint8_t)value, field[1] = (uint8_t)(value >> 8);
    else
        for (int i = 0; i < 4; i++) field[4 + i] = (uint8_t)(value >> (8 * i));
}

static void try_client(struct span in) {
    static uint8_t message[ANSWER_MAX];
    static const uint8_t binding[NTLM_BINDING_BYTES] = {1, 2, 3};
    char user[TEXT_MAX], domain[TEXT_MAX], password[TEXT_MAX];
    uint8_t hash[NT_HASH_BYTES];
    struct ntlm_kept kept = usual_kept();
    struct ntlm_answer answer;
    struct buf b = BUF_OVER(message);
    uint8_t choices = fuzz_octet(&in);
    struct ntlm_client client = {.user = text(&in, user, "alice"),
                                 .domain = text(&in, domain, ""),
                                 .password = text(&in, password, "word"),
                                 .domain_not_in_key = choices & 1,
                                 .mic = choices & 2,
                                 .binding = choices & 4 ? binding : NULL,
                                 .lm_n = choices & 8 ? 24 : 0};
    ntlm_client_answer(&b, &client, kept.negotiate, kept.challenge);
    HOLDS(buf_ok(&b) && nt_hash_make(span_text(client.password), hash));
    bool fits = read_answer(buf_span(&b), &kept, &answer) == NTLM_V2;
    if (fits) {
        HOLDS(ntlm_proof_check(&answer, &kept, hash));
        hash[0] ^= 1;
        HOLDS(!ntlm_proof_check(&answer, &kept, hash));
    }
    while (in.n) {
        uint8_t choice = fuzz_octet(&in), bound = fuzz_octet(&in), by = fuzz_octet(&in);
        patch(message, b.n, choice, bound, by);
        if (read_answer(buf_span(&b), &kept, &answer) == NTLM_V2) HOLDS(!ntlm_proof_check(&answer, &kept, hash));
    }
}

static void try_utf16(struct span in) {
    static uint8_t octets[1 << 14], again[1 << 15];
    struct buf utf8 = BUF_OVER(octets), utf16 = BUF_OVER(again), upper = BUF_OVER(octets);
    if (in.n > 4096 || !utf16_to_utf8(in, &utf8)) return;
    HOLDS(utf16_from_utf8(buf_span(&utf8), &utf16) && span_equal(buf_span(&utf16), in));
    utf16_upper(in, &upper);
    HOLDS(buf_ok(&upper) && upper.n == in.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static void (*const tries[KINDS])(struct span in) = {try_negotiate, try_answer, try_client, try_utf16};
    struct span in = span_of(p, n);
    unsigned kind = fuzz_octet(&in) % KINDS;
    if (in.n <= ANSWER_MAX) tries[kind](in);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *p, size_t n, size_t max, unsigned seed) {
    if (n < 65 || p[0] % KINDS != KIND_ANSWER || seed % 2) return LLVMFuzzerMutate(p, n, max);
    patch(p + 1, n - 1, (uint8_t)(seed >> 1), (uint8_t)(seed >> 5), (uint8_t)(seed >> 8) % 5 - 2);
    memcpy(p + 1, "NTLMSSP\0\3\0\0", 12);
    return n;
}
