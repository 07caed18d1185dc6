/* test_ntlm.c - NTLM's messages: the vectors of MS-NLMP 4.2.4, and every way in which they can be wrong. */
#include "auth/sasl.h"
#include "store/wire.h"
#include "tests/unit/ntlm_client.h"

#include <criterion/criterion.h>

#define BYTES(literal)                                                                                               \
    { (const uint8_t *)(literal), sizeof(literal) - 1 }

/* ---- MS-NLMP 4.2.1, 4.2.4: user "User", domain "Domain", password "Password", server "Server" */

static const struct span spec_user = BYTES("U\0s\0e\0r\0"), spec_domain = BYTES("D\0o\0m\0a\0i\0n\0");
static const uint8_t spec_challenge[] = {
    0x4e, 0x54, 0x4c, 0x4d, 0x53, 0x53, 0x50, 0x00, 0x02, 0x00, 0x00, 0x00, 0x0c, 0x00, 0x0c, 0x00, 0x38, 0x00,
    0x00, 0x00, 0x33, 0x82, 0x8a, 0xe2, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x24, 0x00, 0x24, 0x00, 0x44, 0x00, 0x00, 0x00, 0x06, 0x00, 0x70, 0x17, 0x00, 0x00,
    0x00, 0x0f, 0x53, 0x00, 0x65, 0x00, 0x72, 0x00, 0x76, 0x00, 0x65, 0x00, 0x72, 0x00, 0x02, 0x00, 0x0c, 0x00,
    0x44, 0x00, 0x6f, 0x00, 0x6d, 0x00, 0x61, 0x00, 0x69, 0x00, 0x6e, 0x00, 0x01, 0x00, 0x0c, 0x00, 0x53, 0x00,
    0x65, 0x00, 0x72, 0x00, 0x76, 0x00, 0x65, 0x00, 0x72, 0x00, 0x00, 0x00, 0x00, 0x00};
static const uint8_t spec_answer[] = {
    0x4e, 0x54, 0x4c, 0x4d, 0x53, 0x53, 0x50, 0x00, 0x03, 0x00, 0x00, 0x00, 0x18, 0x00, 0x18, 0x00, 0x6c, 0x00,
    0x00, 0x00, 0x54, 0x00, 0x54, 0x00, 0x84, 0x00, 0x00, 0x00, 0x0c, 0x00, 0x0c, 0x00, 0x48, 0x00, 0x00, 0x00,
    0x08, 0x00, 0x08, 0x00, 0x54, 0x00, 0x00, 0x00, 0x10, 0x00, 0x10, 0x00, 0x5c, 0x00, 0x00, 0x00, 0x10, 0x00,
    0x10, 0x00, 0xd8, 0x00, 0x00, 0x00, 0x35, 0x82, 0x88, 0xe2, 0x05, 0x01, 0x28, 0x0a, 0x00, 0x00, 0x00, 0x0f,
    0x44, 0x00, 0x6f, 0x00, 0x6d, 0x00, 0x61, 0x00, 0x69, 0x00, 0x6e, 0x00, 0x55, 0x00, 0x73, 0x00, 0x65, 0x00,
    0x72, 0x00, 0x43, 0x00, 0x4f, 0x00, 0x4d, 0x00, 0x50, 0x00, 0x55, 0x00, 0x54, 0x00, 0x45, 0x00, 0x52, 0x00,
    0x86, 0xc3, 0x50, 0x97, 0xac, 0x9c, 0xec, 0x10, 0x25, 0x54, 0x76, 0x4a, 0x57, 0xcc, 0xcc, 0x19, 0xaa, 0xaa,
    0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0x68, 0xcd, 0x0a, 0xb8, 0x51, 0xe5, 0x1c, 0x96, 0xaa, 0xbc, 0x92, 0x7b,
    0xeb, 0xef, 0x6a, 0x1c, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x0c, 0x00,
    0x44, 0x00, 0x6f, 0x00, 0x6d, 0x00, 0x61, 0x00, 0x69, 0x00, 0x6e, 0x00, 0x01, 0x00, 0x0c, 0x00, 0x53, 0x00,
    0x65, 0x00, 0x72, 0x00, 0x76, 0x00, 0x65, 0x00, 0x72, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xc5, 0xda, 0xd2, 0x54, 0x4f, 0xc9, 0x79, 0x90, 0x94, 0xce, 0x1c, 0xe9, 0x0b, 0xc9, 0xd0, 0x3e};

static struct ntlm_kept spec_kept(void) {
    return (struct ntlm_kept){{0}, span_of(spec_challenge, sizeof spec_challenge)};
}

Test(ntlm, spec_values) {
    static const uint8_t ntowf_v2[] = {0x0c, 0x86, 0x8a, 0x40, 0x3b, 0xfd, 0x7a, 0x93,
                                       0xa3, 0x00, 0x1e, 0xf2, 0x2e, 0xf0, 0x2e, 0x3f}; /* 4.2.4.1.1 */
    static const uint8_t session_base_key[] = {0x8d, 0xe4, 0x0c, 0xca, 0xdb, 0xc1, 0x4a, 0x82,
                                               0xf1, 0x5c, 0xb0, 0xad, 0x0d, 0xe9, 0x5c, 0xa3}; /* 4.2.4.1.2 */
    static const uint8_t proof_str[] = {0x68, 0xcd, 0x0a, 0xb8, 0x51, 0xe5, 0x1c, 0x96,
                                        0xaa, 0xbc, 0x92, 0x7b, 0xeb, 0xef, 0x6a, 0x1c}; /* 4.2.4.2.2 */
    struct span temp = span_part(span_of(spec_answer, sizeof spec_answer), 148, 68);     /* 4.2.4.1.3 */
    uint8_t hash[NT_HASH_BYTES], key[NTLM_KEY_BYTES], proof[NTLM_PROOF_BYTES], session_key[NTLM_KEY_BYTES];
    cr_assert(nt_hash_make(SPAN("Password"), hash));
    ntlm_proof_key(hash, spec_user, spec_domain, key);
    cr_expect_arr_eq(key, ntowf_v2, sizeof key);
    ntlm_proof_make(key, ntlm_server_challenge(span_of(spec_challenge, sizeof spec_challenge)), temp, proof);
    cr_expect_arr_eq(proof, proof_str, sizeof proof);
    ntlm_proof_session_key(key, proof, session_key);
    cr_expect_arr_eq(session_key, session_base_key, sizeof session_key);
}

Test(ntlm, spec_message) {
    struct ntlm_kept kept = spec_kept();
    struct ntlm_answer answer;
    uint8_t hash[NT_HASH_BYTES], name[256];
    struct buf login = BUF_OVER(name);
    cr_assert_eq(ntlm_answer_read(span_of(spec_answer, sizeof spec_answer), &kept, &answer), NTLM_V2);
    cr_expect(span_equal(answer.user, spec_user));
    cr_expect(span_equal(answer.domain, spec_domain));
    cr_expect_not(answer.has_mic);
    cr_expect_eq(answer.binding.n, 0);
    cr_assert(ntlm_answer_login(&answer, &login));
    cr_expect(span_equal(buf_span(&login), SPAN("User")));
    cr_assert(nt_hash_make(SPAN("Password"), hash));
    cr_expect(ntlm_proof_check(&answer, &kept, hash));
    cr_assert(nt_hash_make(SPAN("password"), hash));
    cr_expect_not(ntlm_proof_check(&answer, &kept, hash));
}

/* Every octet of what is signed counts. */
Test(ntlm, spec_message_changed) {
    uint8_t message[sizeof spec_answer], hash[NT_HASH_BYTES];
    struct ntlm_kept kept = spec_kept();
    struct ntlm_answer answer;
    cr_assert(nt_hash_make(SPAN("Password"), hash));
    for (size_t at = 132; at < 216; at++) { /* the response: proof and temp */
        memcpy(message, spec_answer, sizeof message);
        message[at] ^= 1;
        if (ntlm_answer_read(span_of(message, sizeof message), &kept, &answer) != NTLM_V2) continue;
        cr_expect_not(ntlm_proof_check(&answer, &kept, hash), "octet %zu", at);
    }
}

/* ---- our own challenge */

static uint8_t challenge_octets[NTLM_CHALLENGE_MAX], negotiate_octets[64], answer_octets[4096];

static struct ntlm_kept ask(uint32_t flags, const char *hostname) {
    struct buf challenge = BUF_OVER(challenge_octets), negotiate = BUF_OVER(negotiate_octets);
    struct ntlm_challenge of = {
        .hostname = span_text(hostname), .server_challenge = {1, 2, 3, 4, 5, 6, 7, 8}, .wall_ms = 1700000000123};
    ntlm_client_negotiate(&negotiate, flags);
    cr_assert(ntlm_negotiate_read(buf_span(&negotiate), &of.flags));
    cr_assert_eq(of.flags, flags);
    ntlm_challenge_put(&challenge, &of);
    cr_assert(buf_ok(&challenge));
    return (struct ntlm_kept){buf_span(&negotiate), buf_span(&challenge)};
}

Test(ntlm, challenge) {
    static const struct span expected =
        BYTES("NTLMSSP\0\2\0\0\0"
              "\x10\0\x10\0\x38\0\0\0"
              "\x05\x82\x8a\x20"
              "\1\2\3\4\5\6\7\x08"
              "\0\0\0\0\0\0\0\0"
              "\x82\0\x82\0\x48\0\0\0"
              "\0\0\0\0\0\0\0\0"
              "M\0A\0I\0L\0-\0S\0R\0V\0"
              "\2\0\x10\0M\0A\0I\0L\0-\0S\0R\0V\0"
              "\1\0\x10\0M\0A\0I\0L\0-\0S\0R\0V\0"
              "\4\0\x18\0e\0x\0a\0m\0p\0l\0e\0.\0t\0e\0s\0t\0"
              "\3\0\x2a\0m\0a\0i\0l\0-\0s\0r\0v\0.\0e\0x\0a\0m\0p\0l\0e\0.\0t\0e\0s\0t\0"
              "\7\0\x08\0\xb0\xc4\x7f\xc6\x47\x17\xda\x01"
              "\0\0\0\0");
    struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, "mail-srv.example.test");
    cr_expect_eq(kept.challenge.n, expected.n, "%zu", kept.challenge.n);
    for (size_t i = 0; i < expected.n && i < kept.challenge.n; i++)
        cr_expect_eq(kept.challenge.p[i], expected.p[i], "octet %zu: %02x", i, kept.challenge.p[i]);
}

static uint32_t flags_of(struct span challenge) {
    struct wire w = wire_over(span_from(challenge, 20));
    return wire_get_u32(&w);
}

/* Never signing, sealing, key exchange, LM, datagrams, OEM, a domain's or share's name, anonymous: whatever is asked.
 */
Test(ntlm, challenge_flags) {
    static const struct {
        uint32_t asked, given;
    } rows[] = {
        {0, 0x00820201},
        {NTLM_CLIENT_OEM, 0x008a8205},
        {NTLM_CLIENT_FLAGS, 0x208a8205},
        {0xffffffff, 0x208a8205},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(flags_of(ask(rows[i].asked, "a.example").challenge), rows[i].given, "%zu: %08x", i,
                     flags_of(ask(rows[i].asked, "a.example").challenge));
    struct ntlm_kept kept = ask(0, "a.example");
    cr_expect_eq(kept.challenge.p[12], 0, "no target's name, for nobody asked");
}

/* Whatever the hostname, the challenge fits into a reply line, and an answer to it is understood. */
Test(ntlm, challenge_lengths) {
    char hostname[254];
    for (size_t n = 1; n < sizeof hostname; n++) {
        for (size_t i = 0; i < n; i++) hostname[i] = i % 64 == 40 ? '.' : 'x';
        hostname[n] = 0;
        struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, hostname);
        struct ntlm_client client = {.user = "alice", .domain = "", .password = "word", .mic = true};
        struct buf b = BUF_OVER(answer_octets);
        struct ntlm_answer answer;
        cr_assert_leq(SPAN("334 \r\n").n + (kept.challenge.n + 2) / 3 * 4, 512, "%zu", n);
        ntlm_client_answer(&b, &client, kept.negotiate, kept.challenge);
        cr_expect_eq(ntlm_answer_read(buf_span(&b), &kept, &answer), NTLM_V2, "%zu", n);
    }
    struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, "a-name-of-more-than-15-octets.test");
    cr_expect_eq(kept.challenge.p[12], 30, "NetBIOS names have 15");
}

Test(ntlm, negotiate_refused) {
    uint32_t flags;
    struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, "a.example");
    uint8_t long_octets[NTLM_NEGOTIATE_MAX + 1] = {0};
    memcpy(long_octets, kept.negotiate.p, kept.negotiate.n);
    cr_expect(ntlm_negotiate_read(span_part(kept.negotiate, 0, 16), &flags), "of the oldest clients");
    cr_expect_not(ntlm_negotiate_read(span_part(kept.negotiate, 0, 15), &flags));
    cr_expect_not(ntlm_negotiate_read(SPAN(""), &flags));
    cr_expect(ntlm_negotiate_read(span_of(long_octets, NTLM_NEGOTIATE_MAX), &flags));
    cr_expect_not(ntlm_negotiate_read(span_of(long_octets, NTLM_NEGOTIATE_MAX + 1), &flags));
    long_octets[8] = 3;
    cr_expect_not(ntlm_negotiate_read(span_of(long_octets, 40), &flags), "another type");
    long_octets[8] = 1, long_octets[0] = 'n';
    cr_expect_not(ntlm_negotiate_read(span_of(long_octets, 40), &flags), "another protocol");
}

Test(ntlm, kept) {
    uint8_t octets[NTLM_KEPT_MAX];
    struct buf b = BUF_OVER(octets);
    struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, "mail.example.test"), again;
    ntlm_kept_put(&b, &kept);
    cr_assert(buf_ok(&b));
    cr_assert(ntlm_kept_get(buf_span(&b), &again));
    cr_expect(span_equal(kept.negotiate, again.negotiate) && span_equal(kept.challenge, again.challenge));
    cr_expect_not(ntlm_kept_get(span_part(buf_span(&b), 0, b.n - 1), &again));
}

/* ---- answers */

static enum ntlm_answer_kind answer_of(const struct ntlm_client *client, const struct ntlm_kept *kept,
                                       struct ntlm_answer *out) {
    struct buf b = BUF_OVER(answer_octets);
    ntlm_client_answer(&b, client, kept->negotiate, kept->challenge);
    cr_assert(buf_ok(&b));
    return ntlm_answer_read(buf_span(&b), kept, out);
}

Test(ntlm, logins) {
    static const struct {
        const char *user, *domain, *login; /* NULL: cannot be a name */
    } rows[] = {
        {"alice@example.test", "", "alice@example.test"},
        {"alice@example.test", "WORKGROUP", "alice@example.test"},
        {"alice@example.test", "other.test", "alice@example.test"},
        {"alice", "example.test", "alice@example.test"},
        {"alice", "EXAMPLE.TEST", "alice@EXAMPLE.TEST"},
        {"alice", "WORKGROUP", "alice"},
        {"alice", "", "alice"},
        {"j\xc3\xbcrgen",
         "b\xc3\xbc"
         "cher.example",
         "j\xc3\xbcrgen@b\xc3\xbc"
         "cher.example"},
        {"al\nice", "", NULL},
        {"alice", "exam\nple.test", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ntlm_client client = {.user = rows[i].user, .domain = rows[i].domain, .password = "word"};
        struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, "mail.example.test");
        struct ntlm_answer answer;
        uint8_t storage[256], hash[NT_HASH_BYTES];
        struct buf login = BUF_OVER(storage);
        cr_assert_eq(answer_of(&client, &kept, &answer), NTLM_V2, "%zu", i);
        cr_assert(nt_hash_make(SPAN("word"), hash));
        cr_expect(ntlm_proof_check(&answer, &kept, hash), "%zu", i);
        bool ok = ntlm_answer_login(&answer, &login);
        cr_assert_eq(ok, rows[i].login != NULL, "%zu", i);
        if (ok) cr_expect(span_equal(buf_span(&login), span_text(rows[i].login)), "%zu", i);
    }
}

Test(ntlm, login_lengths) {
    char user[300] = "", domain[300] = "";
    for (size_t n = 200; n < 256; n++) {
        struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, "mail.example.test");
        struct ntlm_client client = {.user = user, .domain = domain, .password = "word"};
        struct ntlm_answer answer;
        uint8_t storage[600];
        struct buf login = BUF_OVER(storage);
        memset(user, 'a', n), memset(domain, '.', 54);
        cr_assert_eq(answer_of(&client, &kept, &answer), NTLM_V2, "%zu", n);
        cr_expect_eq(ntlm_answer_login(&answer, &login), n + 1 + 54 <= SASL_PART_MAX, "%zu", n);
    }
    struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, "mail.example.test");
    struct ntlm_client client = {.user = user, .domain = "", .password = "word"};
    struct ntlm_answer answer;
    user[255] = 'a';
    cr_expect_eq(answer_of(&client, &kept, &answer), NTLM_MALFORMED, "256 units");
}

/* Windows puts the domain into the key, others do not: MS-NLMP 3.2.5.1.2. Nobody puts another there. */
Test(ntlm, domain_in_key) {
    struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, "mail.example.test");
    struct ntlm_client client = {.user = "alice", .domain = "example.test", .password = "word", .mic = true};
    struct ntlm_answer answer;
    uint8_t hash[NT_HASH_BYTES];
    cr_assert(nt_hash_make(SPAN("word"), hash));
    cr_assert_eq(answer_of(&client, &kept, &answer), NTLM_V2);
    cr_expect(ntlm_proof_check(&answer, &kept, hash));
    client.domain_not_in_key = true;
    cr_assert_eq(answer_of(&client, &kept, &answer), NTLM_V2);
    cr_expect(ntlm_proof_check(&answer, &kept, hash));
    answer.domain = (struct span)BYTES("E\0X\0");
    client.domain_not_in_key = false;
    cr_assert_eq(answer_of(&client, &kept, &answer), NTLM_V2);
    answer.domain = (struct span)BYTES("E\0X\0");
    cr_expect_not(ntlm_proof_check(&answer, &kept, hash));
}

Test(ntlm, case_of_user) {
    struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, "mail.example.test");
    struct ntlm_client client = {.user = "\xc3\xa4lice", .domain = "", .password = "word"};
    struct ntlm_answer answer;
    uint8_t hash[NT_HASH_BYTES];
    cr_assert(nt_hash_make(SPAN("word"), hash));
    cr_assert_eq(answer_of(&client, &kept, &answer), NTLM_V2);
    answer.user = (struct span)BYTES("\xc4\0L\0i\0C\0E\0");
    cr_expect(ntlm_proof_check(&answer, &kept, hash));
}

Test(ntlm, mic) {
    struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, "mail.example.test"), other = kept;
    struct ntlm_client client = {.user = "alice", .domain = "", .password = "word", .mic = true};
    struct ntlm_answer answer;
    uint8_t hash[NT_HASH_BYTES], changed[64];
    cr_assert(nt_hash_make(SPAN("word"), hash));
    cr_assert_eq(answer_of(&client, &kept, &answer), NTLM_V2);
    cr_expect(answer.has_mic);
    cr_expect(ntlm_proof_check(&answer, &kept, hash));
    for (size_t at = 0; at < answer.message.n; at++) { /* also what the proof is not over: LM, workstation, flags */
        answer_octets[at] ^= 1;
        struct ntlm_answer again;
        if (ntlm_answer_read(answer.message, &kept, &again) == NTLM_V2)
            cr_expect_not(ntlm_proof_check(&again, &kept, hash), "octet %zu", at);
        answer_octets[at] ^= 1;
    }
    memcpy(changed, kept.negotiate.p, kept.negotiate.n);
    changed[12] ^= 0x10;
    other.negotiate = span_of(changed, kept.negotiate.n);
    cr_expect_not(ntlm_proof_check(&answer, &other, hash), "another first message");
    challenge_octets[22] ^= 0x10;
    cr_expect_not(ntlm_proof_check(&answer, &kept, hash), "other flags in the challenge");
}

/* Made without our code, by Python's hmac and struct: the answer of user "alice" of domain "example.test", password
 * "Password", with MIC, to ask(NTLM_CLIENT_FLAGS, "a.example"). */
static const uint8_t answer_with_mic[] = {
    0x4e, 0x54, 0x4c, 0x4d, 0x53, 0x53, 0x50, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x58, 0x00, 0x00,
    0x00, 0xb0, 0x00, 0xb0, 0x00, 0x58, 0x00, 0x00, 0x00, 0x18, 0x00, 0x18, 0x00, 0x08, 0x01, 0x00, 0x00, 0x0a, 0x00,
    0x0a, 0x00, 0x20, 0x01, 0x00, 0x00, 0x10, 0x00, 0x10, 0x00, 0x2a, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x3a,
    0x01, 0x00, 0x00, 0x05, 0x82, 0x88, 0x20, 0x0a, 0x00, 0x63, 0x45, 0x00, 0x00, 0x00, 0x0f, 0x01, 0x5d, 0x27, 0xeb,
    0x9f, 0x9b, 0x9d, 0x4d, 0x9a, 0x89, 0x58, 0xda, 0x59, 0x54, 0x58, 0x3b, 0xff, 0x3f, 0xb1, 0xef, 0x27, 0xf5, 0xe6,
    0x5f, 0x5e, 0x73, 0xe9, 0x23, 0xc2, 0x2e, 0x9b, 0x81, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xb0, 0xc4,
    0x7f, 0xc6, 0x47, 0x17, 0xda, 0x01, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0x00, 0x00, 0x00, 0x00, 0x02,
    0x00, 0x02, 0x00, 0x41, 0x00, 0x01, 0x00, 0x02, 0x00, 0x41, 0x00, 0x04, 0x00, 0x0e, 0x00, 0x65, 0x00, 0x78, 0x00,
    0x61, 0x00, 0x6d, 0x00, 0x70, 0x00, 0x6c, 0x00, 0x65, 0x00, 0x03, 0x00, 0x12, 0x00, 0x61, 0x00, 0x2e, 0x00, 0x65,
    0x00, 0x78, 0x00, 0x61, 0x00, 0x6d, 0x00, 0x70, 0x00, 0x6c, 0x00, 0x65, 0x00, 0x07, 0x00, 0x08, 0x00, 0xb0, 0xc4,
    0x7f, 0xc6, 0x47, 0x17, 0xda, 0x01, 0x06, 0x00, 0x04, 0x00, 0x02, 0x00, 0x00, 0x00, 0x09, 0x00, 0x1c, 0x00, 0x53,
    0x00, 0x4d, 0x00, 0x54, 0x00, 0x50, 0x00, 0x2f, 0x00, 0x61, 0x00, 0x2e, 0x00, 0x65, 0x00, 0x78, 0x00, 0x61, 0x00,
    0x6d, 0x00, 0x70, 0x00, 0x6c, 0x00, 0x65, 0x00, 0x0a, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x65, 0x00,
    0x78, 0x00, 0x61, 0x00, 0x6d, 0x00, 0x70, 0x00, 0x6c, 0x00, 0x65, 0x00, 0x2e, 0x00, 0x74, 0x00, 0x65, 0x00, 0x73,
    0x00, 0x74, 0x00, 0x61, 0x00, 0x6c, 0x00, 0x69, 0x00, 0x63, 0x00, 0x65, 0x00, 0x43, 0x00, 0x4f, 0x00, 0x4d, 0x00,
    0x50, 0x00, 0x55, 0x00, 0x54, 0x00, 0x45, 0x00, 0x52, 0x00};

Test(ntlm, mic_vector) {
    struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, "a.example");
    struct span message = span_of(answer_with_mic, sizeof answer_with_mic);
    struct ntlm_answer answer;
    uint8_t hash[NT_HASH_BYTES], storage[256];
    struct buf login = BUF_OVER(storage);
    cr_assert_eq(ntlm_answer_read(message, &kept, &answer), NTLM_V2);
    cr_expect(answer.has_mic);
    cr_assert(nt_hash_make(SPAN("Password"), hash));
    cr_expect(ntlm_proof_check(&answer, &kept, hash));
    cr_assert(ntlm_answer_login(&answer, &login));
    cr_expect(span_equal(buf_span(&login), SPAN("alice@example.test")));
}

/* The response's client challenge lies over the head from octet 34 on, its pairs over the flags: as short as a
 * message can be. One octet less than the MIC's end is no room for a MIC. */
Test(ntlm, mic_without_place) {
    static const struct span head = BYTES("NTLMSSP\0\3\0\0\0"
                                          "\0\0\0\0\0\0\0\0"
                                          "\x44\0\0\0\x12\0\0\0"
                                          "\0\0\0\0\0\0\1\1"
                                          "\2\0\0\0\0\0\0\0"
                                          "\0\0\0\0\0\0\0\0"
                                          "\0\0\0\0\0\0\0\0"
                                          "\1\0\2\0");
    static const struct span tail = BYTES("\2\0A\0\1\0\2\0A\0\6\0\4\0\2\0\0\0\0\0\0\0\0\0");
    struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, "a");
    struct ntlm_answer answer;
    struct buf b = BUF_OVER(answer_octets);
    buf_put_span(&b, head), buf_put_span(&b, tail);
    cr_assert_eq(b.n, 88);
    cr_expect_eq(ntlm_answer_read(span_part(buf_span(&b), 0, 88), &kept, &answer), NTLM_V2);
    cr_expect(answer.has_mic);
    cr_expect_eq(ntlm_answer_read(span_part(buf_span(&b), 0, 87), &kept, &answer), NTLM_MALFORMED);
    answer_octets[78] = 0; /* no MIC in the flags */
    cr_expect_eq(ntlm_answer_read(span_part(buf_span(&b), 0, 87), &kept, &answer), NTLM_V2);
}

Test(ntlm, binding) {
    /* A SHA-256 digest of a certificate; the value was made by Python's hashlib and struct alone. */
    static const uint8_t end_point[] = {0xea, 0x05, 0xfe, 0xfe, 0xcc, 0x6b, 0x0b, 0xd5, 0x71, 0xdb, 0xbc,
                                        0x5b, 0xaa, 0x3e, 0xd4, 0x53, 0x86, 0xd0, 0x44, 0x68, 0x35, 0xf7,
                                        0xb7, 0x4c, 0x85, 0x62, 0x1b, 0x99, 0x83, 0x47, 0x5f, 0x95};
    static const uint8_t expected[] = {0x65, 0x86, 0xe9, 0x9d, 0x81, 0xc2, 0xfc, 0x98,
                                       0x4e, 0x47, 0x17, 0x2f, 0xd4, 0xdd, 0x03, 0x10};
    static const uint8_t zeros[NTLM_BINDING_BYTES];
    struct span whole = span_of(end_point, sizeof end_point);
    struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, "mail.example.test");
    struct ntlm_client client = {.user = "alice", .domain = "", .password = "word"};
    struct ntlm_answer answer;
    uint8_t binding[NTLM_BINDING_BYTES];
    ntlm_proof_binding(whole, binding);
    cr_expect_arr_eq(binding, expected, sizeof binding);
    client.binding = binding;
    cr_assert_eq(answer_of(&client, &kept, &answer), NTLM_V2);
    cr_expect_eq(answer.binding.n, NTLM_BINDING_BYTES);
    cr_expect(ntlm_proof_is_bound(&answer, whole));
    cr_expect_not(ntlm_proof_is_bound(&answer, span_part(whole, 0, 31)), "another certificate");
    cr_expect_not(ntlm_proof_is_bound(&answer, SPAN("")), "no certificate known");
    ntlm_proof_binding(SPAN(""), binding);
    cr_assert_eq(answer_of(&client, &kept, &answer), NTLM_V2);
    cr_expect_not(ntlm_proof_is_bound(&answer, SPAN("")), "bound to nothing");
    client.binding = zeros;
    cr_assert_eq(answer_of(&client, &kept, &answer), NTLM_V2);
    cr_expect(ntlm_proof_is_bound(&answer, whole), "the client knew none");
    client.binding = NULL;
    cr_assert_eq(answer_of(&client, &kept, &answer), NTLM_V2);
    cr_expect(ntlm_proof_is_bound(&answer, whole));
}

Test(ntlm, old_and_anonymous) {
    static const uint8_t old[24] = {1};
    static const struct {
        const char *user;
        struct span nt;
        size_t lm_n;
        uint32_t flags;
        enum ntlm_answer_kind kind;
    } rows[] = {
        {"alice", {old, 24}, 24, 0, NTLM_OLD},
        {"alice", {old, 24}, 0, 0, NTLM_OLD},
        {"alice", {old, 0}, 24, 0, NTLM_OLD}, /* LM alone */
        {"alice", {old, 0}, 0, 0, NTLM_OLD},
        {"", {old, 0}, 1, 0, NTLM_ANONYMOUS},
        {"", {old, 24}, 24, 0, NTLM_ANONYMOUS},
        {"alice", {NULL, 0}, 0, NTLM_CLIENT_FLAGS | 0x800, NTLM_ANONYMOUS},
        {"alice", {old, 23}, 24, 0, NTLM_MALFORMED},
        {"alice", {old, 16}, 24, 0, NTLM_MALFORMED},
        {"alice", {old, 24}, 24, NTLM_CLIENT_OEM, NTLM_MALFORMED}, /* not Unicode */
        {"alice", {NULL, 0}, 24, 0, NTLM_V2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, "mail.example.test");
        struct ntlm_client client = {.user = rows[i].user,
                                     .domain = "",
                                     .password = "word",
                                     .nt = rows[i].nt,
                                     .lm_n = rows[i].lm_n,
                                     .flags = rows[i].flags};
        struct ntlm_answer answer;
        cr_expect_eq(answer_of(&client, &kept, &answer), rows[i].kind, "%zu", i);
    }
}

#define NAMES "\2\0\2\0A\0\1\0\2\0A\0"
#define TIME "\7\0\x08\0\xb0\xc4\x7f\xc6\x47\x17\xda\x01"
#define END "\0\0\0\0"

/* The challenge has both names "A", and a time. */
Test(ntlm, pairs) {
    static const struct {
        struct span pairs;
        bool ok;
    } rows[] = {
        {BYTES(NAMES TIME END), true},
        {BYTES(TIME NAMES END "padding"), true},
        {BYTES(NAMES END), true}, /* no time */
        {BYTES(NAMES "\x08\0\3\0abc\x09\0\0\0\x63\0\1\0x" END), true},
        {BYTES(NAMES TIME "\6\0\4\0\0\0\0\0\x0a\0\x10\0"
                          "0123456789abcdef" END),
         true},
        {BYTES(NAMES TIME), false}, /* no end */
        {BYTES(NAMES TIME "\0\0"), false},
        {BYTES(NAMES TIME "\0\0\0"), false},
        {BYTES(NAMES TIME "\0\0\1\0x"), false}, /* an end with a value */
        {BYTES(END NAMES TIME END), false},     /* what is behind the end is not there */
        {BYTES(TIME END), false},
        {BYTES("\2\0\2\0A\0" TIME END), false},
        {BYTES("\1\0\2\0A\0" TIME END), false},
        {BYTES("\2\0\2\0A\0\1\0\2\0B\0" END), false}, /* another server's */
        {BYTES("\2\0\2\0B\0\1\0\2\0A\0" END), false},
        {BYTES("\2\0\0\0\1\0\0\0" END), false},
        {BYTES(NAMES NAMES END), false}, /* twice */
        {BYTES(NAMES TIME TIME END), false},
        {BYTES(NAMES "\x09\0\0\0\x09\0\0\0" END), false},
        {BYTES(NAMES "\7\0\x08\0\xb1\xc4\x7f\xc6\x47\x17\xda\x01" END), false}, /* of another challenge */
        {BYTES(NAMES "\7\0\7\0\xb0\xc4\x7f\xc6\x47\x17\xda" END), false},
        {BYTES(NAMES "\6\0\3\0\0\0\0" END), false},
        {BYTES(NAMES "\6\0\5\0\0\0\0\0\0" END), false},
        {BYTES(NAMES "\x0a\0\x0f\0"
                     "0123456789abcde" END),
         false},
        {BYTES(NAMES "\x0a\0\x11\0"
                     "0123456789abcdefg" END),
         false},
        {BYTES(NAMES "\x63\0\2\0x"), false}, /* beyond the end */
        {BYTES(NAMES "\x63\0\xff\xff" END), false},
        {BYTES("\1"), false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, "a");
        struct ntlm_client client = {.user = "alice", .domain = "", .password = "word", .pairs = rows[i].pairs};
        struct ntlm_answer answer;
        cr_expect_eq(answer_of(&client, &kept, &answer), rows[i].ok ? NTLM_V2 : NTLM_MALFORMED, "%zu", i);
    }
}

Test(ntlm, client_challenge) {
    struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, "a");
    struct ntlm_client client = {.user = "alice", .domain = "", .password = "word"};
    struct ntlm_answer answer;
    cr_assert_eq(answer_of(&client, &kept, &answer), NTLM_V2);
    size_t at = (size_t)(answer.client_challenge.p - answer_octets);
    for (size_t i = 0; i < 2; i++) { /* RespType, HiRespType */
        answer_octets[at + i] = 2;
        cr_expect_eq(ntlm_answer_read(answer.message, &kept, &answer), NTLM_MALFORMED, "%zu", i);
        answer_octets[at + i] = 1;
    }
    for (size_t i = 2; i < 28; i++) { /* reserved, or the client's own business */
        answer_octets[at + i] ^= 0xff;
        cr_expect_eq(ntlm_answer_read(answer.message, &kept, &answer), NTLM_V2, "%zu", i);
        answer_octets[at + i] ^= 0xff;
    }
}

/* ---- bounds: each of the six buffers, in and out of the message by one */

static void put_field(size_t field, uint16_t n, uint32_t at) {
    struct buf b = buf_over(answer_octets + 12 + 8 * field, 8);
    wire_put_u16(&b, n), wire_put_u16(&b, 0), wire_put_u32(&b, at);
}

Test(ntlm, bounds) {
    enum { LM, NT, DOMAIN, USER, WORKSTATION, SESSION_KEY, FIELDS };
    struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, "a");
    struct ntlm_client client = {.user = "alice", .domain = "A", .password = "word"};
    struct ntlm_answer whole, answer;
    cr_assert_eq(answer_of(&client, &kept, &whole), NTLM_V2);
    uint32_t n = (uint32_t)whole.message.n;
    const struct {
        uint16_t n;
        uint32_t at;
    } outside[] = {{1, n},          {2, n - 1},           {(uint16_t)(n + 1), 0}, {0xffff, 0},    {0xffff, n},
                   {1, 0xffffffff}, {0xffff, 0xffffffff}, {0xffff, 0xffff0001},   {2, 0x80000000}};
    for (size_t field = 0; field < FIELDS; field++) {
        cr_assert_eq(answer_of(&client, &kept, &whole), NTLM_V2);
        for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
            put_field(field, outside[i].n, outside[i].at);
            cr_expect_eq(ntlm_answer_read(whole.message, &kept, &answer), NTLM_MALFORMED, "field %zu, row %zu", field,
                         i);
        }
        if (field == NT || field == USER) continue; /* which must not be empty */
        put_field(field, 0, 0xffffffff);
        cr_expect_eq(ntlm_answer_read(whole.message, &kept, &answer), NTLM_V2, "field %zu, nothing nowhere", field);
        put_field(field, 2, 24); /* in the head, and over others */
        cr_expect_eq(ntlm_answer_read(whole.message, &kept, &answer), NTLM_V2, "field %zu, overlapping", field);
    }
    cr_assert_eq(answer_of(&client, &kept, &whole), NTLM_V2);
    for (size_t cut = 0; cut < whole.message.n; cut++)
        cr_expect_neq(ntlm_answer_read(span_part(whole.message, 0, cut), &kept, &answer), NTLM_V2, "%zu octets", cut);
}

Test(ntlm, head_and_texts) {
    struct ntlm_kept kept = ask(NTLM_CLIENT_FLAGS, "a"), none = {{0}, SPAN("")};
    struct ntlm_client client = {.user = "alice", .domain = "AB", .password = "word"};
    struct ntlm_answer whole, answer;
    cr_assert_eq(answer_of(&client, &kept, &whole), NTLM_V2);
    cr_expect_eq(ntlm_answer_read(whole.message, &none, &answer), NTLM_MALFORMED, "no challenge");
    struct span texts[] = {whole.user, whole.domain};
    for (size_t i = 0; i < 2; i++) {
        size_t at = (size_t)(texts[i].p - answer_octets);
        answer_octets[at + 1] = 0xd8; /* half a pair */
        cr_expect_eq(ntlm_answer_read(whole.message, &kept, &answer), NTLM_MALFORMED);
        answer_octets[at + 1] = 0;
        put_field(i ? 2 : 3, 3, (uint32_t)at);
        cr_expect_eq(ntlm_answer_read(whole.message, &kept, &answer), NTLM_MALFORMED, "half a unit");
        put_field(i ? 2 : 3, 4, (uint32_t)at);
        cr_expect_eq(ntlm_answer_read(whole.message, &kept, &answer), NTLM_V2);
    }
    answer_octets[8] = 1;
    cr_expect_eq(ntlm_answer_read(whole.message, &kept, &answer), NTLM_MALFORMED, "another type");
    answer_octets[8] = 3, answer_octets[6] = 'Q';
    cr_expect_eq(ntlm_answer_read(whole.message, &kept, &answer), NTLM_MALFORMED, "another protocol");
}
