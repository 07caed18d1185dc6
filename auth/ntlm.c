/* ntlm.c - the grammar of NTLM's messages.
 * Runs in: verifier. Trusts: nothing in a client's octets. Never: allocates, reads outside of the message, decides
 * whether a proof is right. */
#include "auth/ntlm.h"

#include "auth/sasl.h"
#include "auth/utf16.h"
#include "store/wire.h"

enum { TYPE_NEGOTIATE = 1, TYPE_CHALLENGE = 2, TYPE_AUTHENTICATE = 3 };

/* MS-NLMP 2.2.2.5. */
enum {
    FLAG_UNICODE = 0x00000001,
    FLAG_REQUEST_TARGET = 0x00000004,
    FLAG_NTLM = 0x00000200,
    FLAG_ANONYMOUS = 0x00000800,
    FLAG_ALWAYS_SIGN = 0x00008000,
    FLAG_TARGET_SERVER = 0x00020000,
    FLAG_EXTENDED_SECURITY = 0x00080000,
    FLAG_TARGET_INFO = 0x00800000,
    FLAG_128 = 0x20000000
};

/* Given back where asked for. Neither signing, sealing nor key exchange is among them, so no key ever comes of these;
 * but clients demand the first two always, and Windows refuses a server without the last. */
static const uint32_t flags_of_client = FLAG_REQUEST_TARGET | FLAG_ALWAYS_SIGN | FLAG_EXTENDED_SECURITY | FLAG_128;
static const uint32_t flags_of_server = FLAG_UNICODE | FLAG_NTLM | FLAG_TARGET_SERVER | FLAG_TARGET_INFO;

/* MS-NLMP 2.2.2.1. */
enum av {
    AV_EOL = 0,
    AV_NB_COMPUTER = 1,
    AV_NB_DOMAIN = 2,
    AV_DNS_COMPUTER = 3,
    AV_DNS_DOMAIN = 4,
    AV_FLAGS = 6,
    AV_TIMESTAMP = 7,
    AV_BINDING = 10,
    AV_COUNT
};

enum { AV_FLAGS_MIC = 2 };

enum {
    CHALLENGE_FIXED = 56, /* with the version, which is zero */
    CHALLENGE_AT = 24,    /* the server's challenge */
    TARGET_INFO_AT = 40,  /* the field that says where the AV pairs are */
    ANSWER_WITH_MIC = 88, /* older clients leave out version and MIC, or the MIC */
    NETBIOS_MAX = 15,
    V1_RESPONSE = 24,
    AV_PAIRS_AT = 28, /* in NTLMv2_CLIENT_CHALLENGE */
    AV_TIMESTAMP_AND_END = 16
};

static const uint64_t MS_1601_TO_1970 = 11644473600000;

static uint8_t octet_upper(uint8_t c) {
    return c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c;
}

static const struct span signature = {(const uint8_t *)"NTLMSSP", 8};

static bool get_head(struct wire *w, uint32_t type) {
    uint8_t octets[8];
    wire_get_bytes(w, octets, sizeof octets);
    return wire_get_u32(w) == type && span_equal(span_of(octets, sizeof octets), signature);
}

/* A field: length, room, offset. 32 bits are widened before anything is added; an empty buffer is nowhere. */
static bool get_buffer(struct wire *w, struct span message, struct span *out) {
    size_t n = wire_get_u16(w);
    (void)wire_get_u16(w);
    size_t at = wire_get_u32(w);
    *out = span_part(message, n ? at : 0, n);
    return !w->bad && (n == 0 || (at <= message.n && n <= message.n - at));
}

bool ntlm_negotiate_read(struct span message, uint32_t *flags_out) {
    struct wire w = wire_over(message);
    bool ok = message.n <= NTLM_NEGOTIATE_MAX && get_head(&w, TYPE_NEGOTIATE);
    *flags_out = wire_get_u32(&w);
    return ok && !w.bad;
}

/* ---- the challenge */

static void put_field(struct buf *b, size_t n, size_t at) {
    wire_put_u16(b, (uint16_t)n);
    wire_put_u16(b, (uint16_t)n);
    wire_put_u32(b, (uint32_t)at);
}

static void put_wide(struct buf *b, struct span ascii) {
    for (size_t i = 0; i < ascii.n; i++) wire_put_u16(b, ascii.p[i]);
}

static void put_name(struct buf *b, enum av id, struct span name) {
    wire_put_u16(b, (uint16_t)id);
    wire_put_u16(b, (uint16_t)(2 * name.n));
    put_wide(b, name);
}

/* A standalone server's NetBIOS domain is its own name (MS-NLMP 3.2.5.1.1). `room`: for all pairs. */
static void put_pairs(struct buf *b, const struct ntlm_challenge *challenge, struct span netbios, size_t room) {
    struct span host = challenge->hostname, parent = span_from(host, span_find(host, '.') + 1);
    put_name(b, AV_NB_DOMAIN, netbios);
    put_name(b, AV_NB_COMPUTER, netbios);
    if (b->n + 8 + 2 * (parent.n + host.n) + AV_TIMESTAMP_AND_END <= room) {
        if (parent.n) put_name(b, AV_DNS_DOMAIN, parent);
        put_name(b, AV_DNS_COMPUTER, host);
    }
    wire_put_u16(b, AV_TIMESTAMP);
    wire_put_u16(b, 8);
    wire_put_u64(b, (challenge->wall_ms + MS_1601_TO_1970) * 10000); /* FILETIME, MS-DTYP 2.3.3: in 100 ns */
    wire_put_u32(b, AV_EOL);
}

void ntlm_challenge_put(struct buf *out, const struct ntlm_challenge *challenge) {
    uint8_t storage[NTLM_CHALLENGE_MAX], upper[NETBIOS_MAX];
    struct buf pairs = BUF_OVER(storage), name = BUF_OVER(upper);
    for (size_t i = 0; i < challenge->hostname.n && i < NETBIOS_MAX && challenge->hostname.p[i] != '.'; i++)
        buf_put_octet(&name, octet_upper(challenge->hostname.p[i]));
    size_t target_n = challenge->flags & FLAG_REQUEST_TARGET ? 2 * name.n : 0;
    put_pairs(&pairs, challenge, buf_span(&name), NTLM_CHALLENGE_MAX - CHALLENGE_FIXED - target_n);
    buf_put_span(out, signature);
    wire_put_u32(out, TYPE_CHALLENGE);
    put_field(out, target_n, CHALLENGE_FIXED);
    wire_put_u32(out, flags_of_server | (challenge->flags & flags_of_client));
    buf_put(out, challenge->server_challenge, NTLM_SERVER_CHALLENGE_BYTES);
    wire_put_u64(out, 0);
    put_field(out, pairs.n, CHALLENGE_FIXED + target_n);
    wire_put_u64(out, 0);
    if (target_n) put_wide(out, buf_span(&name));
    buf_put_span(out, buf_span(&pairs));
}

struct span ntlm_server_challenge(struct span challenge) {
    return span_part(challenge, CHALLENGE_AT, NTLM_SERVER_CHALLENGE_BYTES);
}

/* ---- what is kept */

void ntlm_kept_put(struct buf *out, const struct ntlm_kept *kept) {
    wire_put_span(out, kept->negotiate);
    wire_put_span(out, kept->challenge);
}

bool ntlm_kept_get(struct span octets, struct ntlm_kept *out) {
    struct wire w = wire_over(octets);
    out->negotiate = wire_get_span(&w, NTLM_NEGOTIATE_MAX);
    out->challenge = wire_get_span(&w, NTLM_CHALLENGE_MAX);
    return wire_end(&w);
}

/* ---- the answer */

struct pairs {
    bool there[AV_COUNT];
    struct span values[AV_COUNT];
};

/* Up to MsvAvEOL, behind which there may be padding; what is there twice could be read in two ways. */
static bool get_pairs(struct span octets, struct pairs *out) {
    struct wire w = wire_over(octets);
    *out = (struct pairs){0};
    for (;;) {
        unsigned id = wire_get_u16(&w);
        size_t n = wire_get_u16(&w);
        if (w.bad || n > w.rest.n) return false;
        if (id == AV_EOL) return n == 0;
        if (id < AV_COUNT) {
            if (out->there[id]) return false;
            out->there[id] = true;
            out->values[id] = span_part(w.rest, 0, n);
        }
        w.rest = span_from(w.rest, n);
    }
}

static bool challenge_pairs(struct span challenge, struct pairs *out) {
    struct wire w = wire_over(span_from(challenge, TARGET_INFO_AT));
    struct span info;
    return get_buffer(&w, challenge, &info) && get_pairs(info, out);
}

static bool same(const struct pairs *a, const struct pairs *b, enum av id) {
    return a->there[id] && b->there[id] && span_equal(a->values[id], b->values[id]);
}

static bool is_zero(struct span s) {
    uint8_t all = 0;
    for (size_t i = 0; i < s.n; i++) all |= s.p[i];
    return all == 0;
}

/* NTLMv2_CLIENT_CHALLENGE, MS-NLMP 2.2.2.7. Its own time is not held against the clock: a server's challenge is good
 * for one answer and some minutes, and a device with a wrong clock is to log in. */
static bool read_client_challenge(const struct ntlm_kept *kept, struct ntlm_answer *out) {
    struct pairs ours, theirs;
    struct span octets = out->client_challenge;
    if (octets.n < AV_PAIRS_AT || octets.p[0] != 1 || octets.p[1] != 1) return false;
    if (!challenge_pairs(kept->challenge, &ours) || !get_pairs(span_from(octets, AV_PAIRS_AT), &theirs)) return false;
    if (!same(&ours, &theirs, AV_NB_DOMAIN) || !same(&ours, &theirs, AV_NB_COMPUTER)) return false;
    if (theirs.there[AV_TIMESTAMP] && !same(&ours, &theirs, AV_TIMESTAMP)) return false;
    if (theirs.there[AV_FLAGS]) {
        if (theirs.values[AV_FLAGS].n != 4) return false;
        out->has_mic = theirs.values[AV_FLAGS].p[0] & AV_FLAGS_MIC;
    }
    if (theirs.there[AV_BINDING]) {
        if (theirs.values[AV_BINDING].n != NTLM_BINDING_BYTES) return false;
        if (!is_zero(theirs.values[AV_BINDING])) out->binding = theirs.values[AV_BINDING];
    }
    return !out->has_mic || out->message.n >= ANSWER_WITH_MIC;
}

static bool is_text(struct span utf16) {
    uint8_t storage[3 * NTLM_NAME_MAX];
    struct buf b = BUF_OVER(storage);
    return utf16.n <= 2 * NTLM_NAME_MAX && utf16_to_utf8(utf16, &b);
}

enum ntlm_answer_kind ntlm_answer_read(struct span message, const struct ntlm_kept *kept, struct ntlm_answer *out) {
    struct wire w = wire_over(message);
    struct span lm, nt, workstation, session_key;
    *out = (struct ntlm_answer){.message = message};
    bool ok = get_head(&w, TYPE_AUTHENTICATE);
    ok = get_buffer(&w, message, &lm) && ok;
    ok = get_buffer(&w, message, &nt) && ok;
    ok = get_buffer(&w, message, &out->domain) && ok;
    ok = get_buffer(&w, message, &out->user) && ok;
    ok = get_buffer(&w, message, &workstation) && ok;
    ok = get_buffer(&w, message, &session_key) && ok;
    uint32_t flags = wire_get_u32(&w);
    if (!ok || w.bad || !(flags & FLAG_UNICODE) || !is_text(out->domain) || !is_text(out->user))
        return NTLM_MALFORMED;
    if ((flags & FLAG_ANONYMOUS) || out->user.n == 0) return NTLM_ANONYMOUS;
    if (nt.n == 0 || nt.n == V1_RESPONSE) return NTLM_OLD; /* the LM response is never looked at */
    out->proof = span_part(nt, 0, NTLM_PROOF_BYTES);
    out->client_challenge = span_from(nt, NTLM_PROOF_BYTES);
    return read_client_challenge(kept, out) ? NTLM_V2 : NTLM_MALFORMED;
}

bool ntlm_answer_login(const struct ntlm_answer *answer, struct buf *out) {
    uint8_t storage[3 * NTLM_NAME_MAX];
    struct buf domain = BUF_OVER(storage);
    size_t begin = out->n;
    if (!utf16_to_utf8(answer->user, out) || !utf16_to_utf8(answer->domain, &domain)) return false;
    bool whole = span_find(span_from(buf_span(out), begin), '@') < out->n - begin;
    if (!whole && span_find(buf_span(&domain), '.') < domain.n) {
        buf_put_octet(out, '@');
        buf_put_span(out, buf_span(&domain));
    }
    return buf_ok(out) && sasl_name(span_from(buf_span(out), begin));
}
