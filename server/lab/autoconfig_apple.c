/* autoconfig_apple.c - a configuration profile: a property list in XML with one payload, com.apple.mail.managed.
 * Runs in: command line. Trusts: the configuration. Never: holds a password. */
#include "auth/siphash.h"
#include "server/lab/autoconfig.h"
#include "server/lab/markup.h"

#include <stdio.h>

/* A UUID of version 8 (RFC 9562 5.8) that depends on the text alone: names, not secrets, so the key is a constant. */
static struct span uuid_of(struct span text, uint8_t which, char storage[40]) {
    uint64_t half[2];
    for (uint8_t i = 0; i < 2; i++) {
        uint8_t key[SIPHASH_KEY_BYTES] = {which, i};
        half[i] = siphash(key, text);
    }
    half[0] = (half[0] & ~UINT64_C(0xf000)) | 0x8000;
    half[1] = (half[1] & ~(UINT64_C(3) << 62)) | (UINT64_C(2) << 62);
    int n = snprintf(storage, 40, "%08llX-%04llX-%04llX-%04llX-%012llX", (unsigned long long)(half[0] >> 32),
                     (unsigned long long)(half[0] >> 16 & 0xffff), (unsigned long long)(half[0] & 0xffff),
                     (unsigned long long)(half[1] >> 48), (unsigned long long)(half[1] & UINT64_C(0xffffffffffff)));
    return span_of(storage, n > 0 ? (size_t)n : 0);
}

static void put_string(struct buf *out, const char *key, struct span value) {
    const struct markup_field fields[] = {{"key", span_text(key)}, {"value", value}};
    MARKUP_FILL(out, "      <key>{key}</key>\n      <string>{value}</string>\n", fields);
}

/* One of the two sides: "Incoming" or "Outgoing". An empty login is asked for. */
static void put_side(struct buf *out, const char *side, const struct autoconfig_server *server, struct span login,
                     bool logs_in) {
    char text[64];
    (void)snprintf(text, sizeof text, "%sMailServerAuthentication", side);
    put_string(out, text, logs_in ? SPAN("EmailAuthPassword") : SPAN("EmailAuthNone"));
    (void)snprintf(text, sizeof text, "%sMailServerHostName", side);
    put_string(out, text, server->host);
    buf_put_format(out, "      <key>%sMailServerPortNumber</key>\n      <integer>%u</integer>\n", side, server->port);
    buf_put_format(out, "      <key>%sMailServerUseSSL</key>\n      <true/>\n", side);
    (void)snprintf(text, sizeof text, "%sMailServerUsername", side);
    if (login.n && logs_in) put_string(out, text, login);
}

static void put_payload(const struct autoconfig *settings, const char *uuid, struct buf *out) {
    const struct autoconfig_server *imap = autoconfig_best(settings->imap), *pop3 = autoconfig_best(settings->pop3);
    const struct autoconfig_server *incoming = imap ? imap : pop3, *outgoing = autoconfig_best(settings->smtp);
    bool same = settings->login == AUTOCONFIG_LOGIN_SAME, logs_in = settings->login != AUTOCONFIG_LOGIN_POP_FIRST;
    if (!incoming || !outgoing) return;
    put_string(out, "EmailAccountDescription", settings->name);
    put_string(out, "EmailAccountType", imap ? SPAN("EmailTypeIMAP") : SPAN("EmailTypePOP"));
    if (settings->user.n) put_string(out, "EmailAddress", settings->user);
    put_side(out, "Incoming", incoming, settings->user, true);
    put_side(out, "Outgoing", outgoing, same ? settings->user : settings->login_name, logs_in);
    if (same) buf_put_text(out, "      <key>OutgoingPasswordSameAsIncomingPassword</key>\n      <true/>\n");
    put_string(out, "PayloadDisplayName", settings->name);
    buf_put_format(out,
                   "      <key>PayloadIdentifier</key>\n      <string>gatepost.%s.mail</string>\n"
                   "      <key>PayloadType</key>\n      <string>com.apple.mail.managed</string>\n"
                   "      <key>PayloadUUID</key>\n      <string>%s</string>\n"
                   "      <key>PayloadVersion</key>\n      <integer>1</integer>\n",
                   uuid, uuid);
}

void autoconfig_mobileconfig(const struct autoconfig *settings, struct buf *out) {
    char whole[40], payload[40];
    struct span text = settings->user.n ? settings->user : settings->domain;
    (void)uuid_of(text, 1, payload);
    const struct markup_field fields[] = {
        {"name", settings->name}, {"domain", settings->domain}, {"uuid", uuid_of(text, 0, whole)}};
    buf_put_text(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                      "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
                      "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
                      "<plist version=\"1.0\">\n<dict>\n  <key>PayloadContent</key>\n  <array>\n    <dict>\n");
    put_payload(settings, payload, out);
    MARKUP_FILL(out,
                "    </dict>\n  </array>\n"
                "  <key>PayloadDescription</key>\n  <string>Mail at {domain}</string>\n"
                "  <key>PayloadDisplayName</key>\n  <string>{name}</string>\n"
                "  <key>PayloadIdentifier</key>\n  <string>gatepost.{uuid}</string>\n"
                "  <key>PayloadOrganization</key>\n  <string>{name}</string>\n"
                "  <key>PayloadType</key>\n  <string>Configuration</string>\n"
                "  <key>PayloadUUID</key>\n  <string>{uuid}</string>\n"
                "  <key>PayloadVersion</key>\n  <integer>1</integer>\n"
                "</dict>\n</plist>\n",
                fields);
}
