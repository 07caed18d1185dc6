/* fault_login.c - the name in a login.
 * Runs in: session; builds with FAULTS=1 only. Trusts: nothing in a message. Never: keeps a password. */
#include "server/lab/fault_login.h"

#include "store/base64.h"

enum { MESSAGE_MAX = 12288, NTLM_USER_AT = 36, NTLM_HEADER = 44 };

static BUF_LARGE uint8_t message_storage[MESSAGE_MAX];

static CHILD_STATE struct {
    enum { OTHER, PLAIN, LOGIN, SCRAM, NTLM } mechanism;
    uint8_t name[FAULT_NAME_MAX];
    size_t name_bytes;
    bool past; /* the message that may hold it */
} login;

struct span fault_login_name(void) {
    return span_of(login.name, login.name_bytes);
}

void fault_login_user(struct span name) {
    login.name_bytes = name.n <= sizeof login.name ? name.n : 0;
    if (login.name_bytes) memcpy(login.name, name.p, login.name_bytes);
}

/* RFC 4616 2: authzid NUL authcid NUL password. */
static struct span name_in_plain(struct span message) {
    struct span rest = span_from(message, span_find(message, 0) + 1);
    return span_part(rest, 0, span_find(rest, 0));
}

/* RFC 5802 7: gs2-header, then "n=" and the name up to a comma. */
static struct span name_in_scram(struct span message) {
    for (int i = 0; i < 2; i++) message = span_from(message, span_find(message, ',') + 1);
    if (!span_starts_nocase(message, SPAN("n="))) return (struct span){0};
    message = span_from(message, 2);
    return span_part(message, 0, span_find(message, ','));
}

/* AUTHENTICATE of NTLM (MS-NLMP 2.2.1.3): length and offset of the user name, UTF-16LE; ASCII is enough here. */
static struct span name_in_ntlm(struct span message) {
    static CHILD_STATE uint8_t name[FAULT_NAME_MAX];
    size_t n = 0;
    bool is_one = message.n >= NTLM_HEADER && span_equal(span_part(message, 0, 12), SPAN("NTLMSSP\0\3\0\0\0"));
    if (!is_one) return (struct span){0};
    const uint8_t *p = message.p + NTLM_USER_AT;
    size_t bytes = p[0] | (size_t)p[1] << 8, from = p[4] | (size_t)p[5] << 8 | (size_t)p[6] << 16;
    struct span wide = span_part(message, from, bytes);
    for (size_t i = 0; i + 1 < wide.n && n < sizeof name; i += 2) name[n++] = wide.p[i + 1] ? '?' : wide.p[i];
    return span_of(name, n);
}

static bool find_name(struct span text) {
    struct buf message = BUF_OVER(message_storage);
    struct span name = {0};
    if (login.past || login.mechanism == OTHER || !base64_decode(text, &message)) return false;
    struct span octets = buf_span(&message);
    if (login.mechanism == PLAIN) name = name_in_plain(octets);
    if (login.mechanism == LOGIN) name = octets;
    if (login.mechanism == SCRAM) name = name_in_scram(octets);
    if (login.mechanism == NTLM) name = name_in_ntlm(octets);
    fault_login_user(name);
    explicit_bzero(message_storage, message.n);
    login.past = login.mechanism != NTLM || name.n;
    return name.n > 0;
}

bool fault_login_begin(struct span argument) {
    size_t end = span_find(argument, ' ');
    struct span word = span_part(argument, 0, end), text = span_trim(span_from(argument, end));
    login.name_bytes = 0;
    login.past = false;
    login.mechanism = span_equal_nocase(word, SPAN("PLAIN"))     ? PLAIN
                      : span_equal_nocase(word, SPAN("LOGIN"))   ? LOGIN
                      : span_starts_nocase(word, SPAN("SCRAM-")) ? SCRAM
                      : span_equal_nocase(word, SPAN("NTLM"))    ? NTLM
                                                                 : OTHER;
    return text.n && find_name(text);
}

bool fault_login_next(struct span line) {
    return find_name(line);
}
