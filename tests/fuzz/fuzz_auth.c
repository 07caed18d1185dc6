/* fuzz_auth.c - auth's receivers of a session's frames, with verifier and queue in any mood.
 * Runs in: fuzzing. Trusts: nothing. Never: lets a session have a recipient that the queue was not told of. */
#include "auth/auth.h"
#include "auth/credential.h"
#include "auth/guessing.h"
#include "auth/login.h"
#include "auth/peer.h"
#include "auth/transaction.h"
#include "auth/transaction_grant.h"
#include "store/envelope.h"
#include "tests/fuzz/fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

enum { SESSIONS = 3, QUEUE_LINK = 0, VERIFIER_LINK, KEYS_LINK };

static struct auth auth;
static int queue_end = -1, verifier_end = -1, keys_end = -1, sessions[SESSIONS];
static uint64_t exchange;
static uint8_t storage[FRAME_MAX], body[FRAME_MAX];
static struct auth_domain local_domains[] = {{{(const uint8_t *)"example.test", 12}, 1, 1, {NULL, 0}}};

static void add_link(size_t i, enum role role, int *mine) {
    int ends[2];
    HOLDS(frame_pair(ends, true) == 0);
    *mine = ends[0];
    auth.links[i] = (struct auth_link){.auth = &auth,
                                       .kind = (uint8_t)role,
                                       .alive = true,
                                       .watch = {.fd = ends[1]},
                                       .backlog = {.cap_bytes = 1 << 20}};
    auth.n_links = i + 1;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    fuzz_quiet();
    fuzz_directory();
    auth.setup = (struct auth_setup){.hostname = SPAN("mx.example.test"),
                                     .recipient_delimiter = SPAN("+"),
                                     .postmaster = SPAN("alice@example.test"),
                                     .local_domains = local_domains,
                                     .n_local_domains = 1,
                                     .foreign = DESTINATION_CAPTURE,
                                     .verifiers = 1,
                                     .waiting_max = 2,
                                     .argon2_memory_bytes = 1 << 20,
                                     .argon2_passes = 1,
                                     .connections = 100,
                                     .network_ipv4_bits = 24,
                                     .network_ipv6_bits = 64,
                                     .messages_per_session = 50,
                                     .recipients_per_message = 5,
                                     .failures_per_session = 10,
                                     .message_bytes = 100000,
                                     .login_ms = 60000,
                                     .quota = {{{1000000, 1000000}, {1000000, 1000000}}, 0},
                                     .mx_auth = 1,
                                     .scram = 1,
                                     .scram_plus = 1,
                                     .cache_ms = 1000};
    HOLDS(loop_open(&auth.loop) == 0);
    auth.house =
        (struct house){database_open("gatepost.db", DATABASE_ACCOUNTS), &auth.setup, &auth.quota, &auth.grants};
    HOLDS(auth.house.db && quota_open(&auth.quota, auth.house.db, &auth.setup.quota) == 0);
    auth.setup.grant = (struct grant_limits){.enabled = true,
                                             .boot = {1},
                                             .lifetime_ms = 60000,
                                             .ipv6_bits = 128,
                                             .messages = 20,
                                             .recipients = 20,
                                             .users_per_address = 1,
                                             .shared_ms = 60000};
    transaction_grant_watch(&auth);
    HOLDS(grant_open(&auth.grants, auth.house.db, &auth.setup.grant) == 0);
    const struct credential_secret secret = {.hash = SPAN("$argon2id$v=19$m=1024,t=1,p=1$AAAA$AAAA")};
    const uint8_t salt[ACCOUNT_SALT_BYTES] = {0};
    HOLDS(account_add(auth.house.db, SPAN("alice@example.test"), salt, &secret) == ACCOUNT_CHANGED);
    auth.setup.throttle = (struct throttle_limits){.enabled = true,
                                                   .network_ipv4_bits = 24,
                                                   .network_ipv6_bits = 64,
                                                   .network_failures = 20,
                                                   .account_failures = 10,
                                                   .window_ms = 60000,
                                                   .known_ms = 60000};
    HOLDS(guessing_open(&auth) == 0);
    login_prepare(&auth);
    HOLDS(account_alias_add(auth.house.db, SPAN("team@example.test"), SPAN("alice@example.test"), false) ==
          ACCOUNT_CHANGED);
    add_link(QUEUE_LINK, ROLE_QUEUE, &queue_end);
    add_link(VERIFIER_LINK, ROLE_VERIFIER, &verifier_end);
    add_link(KEYS_LINK, ROLE_KEYS, &keys_end);
    return 0;
}

static void new_session(size_t i, uint8_t role) {
    struct netaddr address;
    int ends[2];
    HOLDS(frame_pair(ends, true) == 0 && netaddr_parse(&address, SPAN("198.51.100.7")));
    peer_add_client(&auth, getpid(), (enum relay_role)(RELAY_ROLE_MX + role % 3), &address, &address, ends[1]);
    sessions[i] = ends[0];
}

/* No recipient abroad: nobody here may. */
/* What the queue is told holds, whoever is behind it. */
static void check_told(const struct frame *frame) {
    struct wire w = wire_over(frame->body);
    uint8_t name[TRANSACTION_BYTES];
    if (frame->type == TRANSACTION_OPEN) {
        struct envelope envelope;
        wire_get_bytes(&w, name, sizeof name);
        envelope_get(&w, &envelope);
        HOLDS(wire_end(&w));
        for (size_t i = 0; i < envelope.helo.n; i++) HOLDS(envelope.helo.p[i] > ' ' && envelope.helo.p[i] < 0x7f);
        for (size_t i = 0; i < envelope.sender.n; i++)
            HOLDS(envelope.sender.p[i] >= ' ' && envelope.sender.p[i] != 0x7f);
    } else if (frame->type == TRANSACTION_RCPT) {
        wire_get_bytes(&w, name, sizeof name);
        (void)wire_get_u32(&w);
        while (w.rest.n && !w.bad) {
            struct recipient recipient;
            recipient_get(&w, &recipient);
            HOLDS(w.bad || recipient.kind == DESTINATION_MAILDIR || auth.peers);
            if (!w.bad && recipient.kind != DESTINATION_MAILDIR) {
                bool known = false;
                for (struct peer *peer = auth.peers; peer; peer = peer->next) known = known || peer->client.user_id;
                HOLDS(known);
            }
        }
        HOLDS(wire_end(&w));
    }
}

static void drain(void) {
    struct frame frame;
    for (size_t i = 0; i < SESSIONS; i++)
        while (sessions[i] >= 0 && frame_receive(sessions[i], storage, true, &frame) == FRAME_RECEIVED)
            if (frame.fd >= 0) close(frame.fd);
    while (frame_receive(keys_end, storage, true, &frame) == FRAME_RECEIVED)
        if (frame.fd >= 0) close(frame.fd);
    while (frame_receive(queue_end, storage, true, &frame) == FRAME_RECEIVED) {
        if (frame.fd >= 0) close(frame.fd);
        struct wire bundled = wire_over(frame.body);
        if (frame.type != FRAME_BUNDLE) {
            check_told(&frame);
            continue;
        }
        while (frame_bundle_next(&bundled, &frame)) check_told(&frame);
        HOLDS(wire_end(&bundled));
    }
    while (frame_receive(verifier_end, storage, false, &frame) == FRAME_RECEIVED) {
        struct wire w = wire_over(frame.body);
        exchange = wire_get_u64(&w);
    }
}

/* A verifier is trusted to be well formed and in turn, not in what it finds. */
static void verifier_says(uint8_t what, struct span name) {
    struct buf b = buf_over(body, FRAME_BODY_MAX);
    static const uint8_t zeros[VERIFY_STATE_BYTES];
    struct auth_link *link = &auth.links[VERIFIER_LINK];
    if (!link->exchange) return;
    wire_put_u64(&b, link->exchange);
    wire_put_u8(&b, (what >> 4) % (what & 4 ? VERIFY_ACCEPTED + 1 : VERIFY_DENIED + 1));
    wire_put_u8(&b, what % VERIFY_WHY_COUNT);
    if (what & 4) {
        wire_put_u64(&b, what & 1);
    } else {
        name = span_part(name, 0, VERIFY_NAME_BYTES);
        wire_put_bytes(&b, name.p ? (const void *)name.p : "", name.n);
        wire_put_bytes(&b, zeros, VERIFY_NAME_BYTES - name.n);
        wire_put_bytes(&b, what & 1 ? (const void *)"bob" : zeros, 3);
        wire_put_bytes(&b, zeros, VERIFY_NAME_BYTES - 3);
        wire_put_bytes(&b, zeros, VERIFY_TAG_BYTES + VERIFY_FINGERPRINT_BYTES);
    }
    wire_put_u16(&b, what);
    wire_put_bytes(&b, zeros, VERIFY_CHALLENGE_BYTES);
    wire_put_bytes(&b, zeros, VERIFY_STATE_BYTES);
    if (what & 4) wire_put_bytes(&b, zeros, VERIFY_HASH_BYTES + VERIFY_SCRAM_BYTES);
    struct frame frame = {
        .type = (uint16_t)(what & 4 ? VERIFY_RESULT : VERIFY_IDENTITY), .body = buf_span(&b), .fd = -1};
    login_verifier_frame(link, &frame);
}

static void session_says(int fd, uint8_t what, struct span line) {
    static const char *const mechanisms[] = {"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"};
    struct buf b = buf_over(body, FRAME_BODY_MAX);
    uint16_t type = (uint16_t)(SESSION_ANNOUNCE + what % 10);
    uint8_t octet = (uint8_t)(what >> 4);
    switch (what & 8 ? 0 : type) {
    case SESSION_TLS:
        wire_put_span(&b, line);
        break;
    case SESSION_AUTH:
        octet = fuzz_octet(&line);
        wire_put_u8(&b, octet & 1);
        wire_put_text(&b, mechanisms[octet >> 1 & 3]);
        wire_put_u8(&b, octet & 8 ? 1 : 0);
        wire_put_span(&b, octet & 8 ? line : (struct span){0});
        wire_put_span(&b, span_part(line, 0, CHANNEL_BINDING_MAX));
        wire_put_span(&b, span_of(NULL, 0));
        break;
    case SESSION_AUTH_NEXT:
        wire_put_u8(&b, octet & 1);
        wire_put_span(&b, line);
        break;
    case SESSION_MAIL:
        wire_put_u8(&b, octet & 1);
        wire_put_span(&b, octet & 2 ? line : SPAN("client.example"));
        wire_put_span(&b, line);
        break;
    case SESSION_RCPT:
        wire_put_u16(&b, (uint16_t)((octet & 3) + 1));
        for (int i = 0; i <= (octet & 3); i++) wire_put_span(&b, i ? SPAN("<alice@example.test>") : line);
        break;
    case SESSION_KEYS:
    case SESSION_RESET:
        break;
    case SESSION_FAILURE:
        wire_put_u8(&b, octet & 3);
        break;
    default: /* as it comes */
        if (line.n) buf_put_span(&b, line);
    }
    if (frame_send(fd, type, buf_span(&b)) != 0) return;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct span in = span_of(p, n < 4000 ? n : 4000);
    for (size_t i = 0; i < SESSIONS; i++) new_session(i, fuzz_octet(&in));
    while (in.n) {
        uint8_t which = fuzz_octet(&in), what = fuzz_octet(&in);
        struct span line = fuzz_line(&in);
        size_t i = which % SESSIONS;
        if (which & 64) {
            verifier_says(what, line);
        } else if (which & 32 && sessions[i] >= 0) {
            close(sessions[i]);
            sessions[i] = -1;
        } else if (which & 16) {
            for (uint32_t k = 0; k < auth.login_timers.n; k++)
                auth.login_timers.heap[k]->at_ms = 0; /* still a heap */
        } else if (sessions[i] >= 0) {
            session_says(sessions[i], what, line);
        }
        HOLDS(loop_round(&auth.loop, 0) == 0);
        (void)login_round(&auth);
        drain();
    }
    while (auth.peers) peer_drop(auth.peers);
    HOLDS(auth.n_peers == 0 && auth.login_timers.n == 0 && login_queue_waiting(&auth.logins) == 0);
    for (size_t i = 0; i < SESSIONS; i++)
        if (sessions[i] >= 0) close(sessions[i]);
    drain();
    auth.links[VERIFIER_LINK].exchange = 0;
    (void)throttle_forget_all(auth.throttle);
    return 0;
}
