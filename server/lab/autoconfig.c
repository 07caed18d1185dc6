/* autoconfig.c - settings of mail programs in bytes, and the files of Thunderbird and Outlook and the zone's lines.
 * Runs in: page, command line. Trusts: the configuration. Never: says whether a user exists, holds a password. */
#include "server/lab/autoconfig.h"

#include "server/lab/markup.h"

#include <stdio.h>

static void put_server(struct buf *b, const struct autoconfig_server *server) {
    wire_put_span(b, server->host);
    wire_put_u16(b, server->port);
    wire_put_u8(b, server->security);
}

static bool get_server(struct wire *w, struct autoconfig_server *out) {
    out->host = wire_get_span(w, AUTOCONFIG_TEXT_MAX);
    out->port = wire_get_u16(w);
    out->security = wire_get_u8(w);
    return out->security <= AUTOCONFIG_STARTTLS;
}

void autoconfig_put(struct buf *b, const struct autoconfig *settings) {
    wire_put_span(b, settings->name);
    wire_put_span(b, settings->domain);
    wire_put_span(b, settings->user);
    wire_put_span(b, settings->login_name);
    for (size_t i = 0; i < 2; i++) {
        put_server(b, &settings->imap[i]);
        put_server(b, &settings->pop3[i]);
        put_server(b, &settings->smtp[i]);
    }
    wire_put_u8(b, settings->login);
    wire_put_u8(b, settings->spa);
    wire_put_u8(b, settings->spa_incoming);
}

int autoconfig_get(struct wire *w, struct autoconfig *out) {
    bool ok = true;
    out->name = wire_get_span(w, AUTOCONFIG_TEXT_MAX);
    out->domain = wire_get_span(w, AUTOCONFIG_TEXT_MAX);
    out->user = wire_get_span(w, AUTOCONFIG_TEXT_MAX);
    out->login_name = wire_get_span(w, AUTOCONFIG_TEXT_MAX);
    for (size_t i = 0; i < 2; i++) {
        ok = get_server(w, &out->imap[i]) && ok;
        ok = get_server(w, &out->pop3[i]) && ok;
        ok = get_server(w, &out->smtp[i]) && ok;
    }
    out->login = wire_get_u8(w);
    out->spa = wire_get_u8(w);
    out->spa_incoming = wire_get_u8(w);
    return ok && !w->bad && out->login <= AUTOCONFIG_LOGIN_POP_FIRST && out->spa <= 1 && out->spa_incoming <= 1 ? 0
                                                                                                                : -1;
}

const struct autoconfig_server *autoconfig_best(const struct autoconfig_server pair[2]) {
    for (size_t i = 0; i < 2; i++)
        if (pair[i].security != AUTOCONFIG_ABSENT) return &pair[i];
    return NULL;
}

bool autoconfig_whole(const struct autoconfig *settings) {
    bool fetches = autoconfig_best(settings->imap) || autoconfig_best(settings->pop3);
    return fetches && autoconfig_best(settings->smtp) && settings->login != AUTOCONFIG_LOGIN_NONE;
}

/* Decimal digits of a port. */
static struct span port_text(uint16_t port, char storage[8]) {
    int n = snprintf(storage, 8, "%u", port);
    return span_of(storage, n > 0 ? (size_t)n : 0);
}

/* ---- Thunderbird */

/* In the order in which a program should try them: it takes the first method that it knows. */
static void put_methods(struct buf *out, const struct autoconfig *settings, bool outgoing) {
    if (outgoing && settings->login == AUTOCONFIG_LOGIN_POP_FIRST) {
        /* The first is how the format writes it, the second how Thunderbird reads it. */
        buf_put_text(out, "      <authentication>SMTP-after-POP</authentication>\n"
                          "      <authentication>smtp-after-pop</authentication>\n");
        return;
    }
    if (outgoing ? settings->spa : settings->spa_incoming)
        buf_put_text(out, "      <authentication>NTLM</authentication>\n");
    buf_put_text(out, "      <authentication>password-cleartext</authentication>\n"); /* within TLS */
}

static void put_thunderbird_server(struct buf *out, const struct autoconfig *settings,
                                   const struct autoconfig_server *server, const char *element, const char *type) {
    char port[8];
    bool outgoing = *type == 's', named = !outgoing || settings->login != AUTOCONFIG_LOGIN_POP_FIRST;
    bool other = outgoing && settings->login == AUTOCONFIG_LOGIN_SEPARATE;
    struct span user = settings->user.n ? settings->user : SPAN("%EMAILADDRESS%");
    const struct markup_field fields[] = {
        {"element", span_text(element)},
        {"type", span_text(type)},
        {"host", server->host},
        {"port", port_text(server->port, port)},
        {"security", server->security == AUTOCONFIG_TLS ? SPAN("SSL") : SPAN("STARTTLS")},
        {"user", other ? settings->login_name : user},
    };
    if (server->security == AUTOCONFIG_ABSENT) return;
    MARKUP_FILL(out,
                "    <{element} type=\"{type}\">\n"
                "      <hostname>{host}</hostname>\n"
                "      <port>{port}</port>\n"
                "      <socketType>{security}</socketType>\n",
                fields);
    if (named) MARKUP_FILL(out, "      <username>{user}</username>\n", fields);
    put_methods(out, settings, outgoing);
    MARKUP_FILL(out, "    </{element}>\n", fields);
}

void autoconfig_thunderbird(const struct autoconfig *settings, struct buf *out) {
    const struct markup_field fields[] = {{"domain", settings->domain}, {"name", settings->name}};
    MARKUP_FILL(out,
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                "<clientConfig version=\"1.1\">\n"
                "  <emailProvider id=\"{domain}\">\n"
                "    <domain>{domain}</domain>\n"
                "    <displayName>{name}</displayName>\n"
                "    <displayShortName>{name}</displayShortName>\n",
                fields);
    for (size_t i = 0; i < 2; i++)
        put_thunderbird_server(out, settings, &settings->imap[i], "incomingServer", "imap");
    for (size_t i = 0; i < 2; i++)
        put_thunderbird_server(out, settings, &settings->pop3[i], "incomingServer", "pop3");
    for (size_t i = 0; i < 2; i++)
        put_thunderbird_server(out, settings, &settings->smtp[i], "outgoingServer", "smtp");
    buf_put_text(out, "  </emailProvider>\n</clientConfig>\n");
}

/* ---- Outlook */

static const char response_head[] =
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
    "<Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006\">\n";

static struct span on_off(bool on) {
    return on ? SPAN("on") : SPAN("off");
}

static void put_protocol(struct buf *out, const struct autoconfig *settings, const struct autoconfig_server *server,
                         const char *type) {
    char port[8];
    bool outgoing = *type == 'S', pop_first = settings->login == AUTOCONFIG_LOGIN_POP_FIRST;
    bool other = outgoing && settings->login == AUTOCONFIG_LOGIN_SEPARATE;
    struct span user = other ? settings->login_name : settings->user;
    if (!server) return;
    const struct markup_field fields[] = {
        {"type", span_text(type)},
        {"host", server->host},
        {"port", port_text(server->port, port)},
        {"user", user},
        {"spa", on_off(outgoing ? settings->spa : settings->spa_incoming)}, /* absent, it would be on */
        {"encryption", server->security == AUTOCONFIG_TLS ? SPAN("SSL") : SPAN("TLS")},
        {"auth", on_off(!outgoing || !pop_first)},
        {"same", on_off(settings->login == AUTOCONFIG_LOGIN_SAME)},
        {"last", on_off(pop_first)},
    };
    MARKUP_FILL(out,
                "      <Protocol>\n"
                "        <Type>{type}</Type>\n"
                "        <Server>{host}</Server>\n"
                "        <Port>{port}</Port>\n",
                fields);
    if (user.n && (!outgoing || !pop_first)) MARKUP_FILL(out, "        <LoginName>{user}</LoginName>\n", fields);
    MARKUP_FILL(out,
                "        <DomainRequired>off</DomainRequired>\n"
                "        <SPA>{spa}</SPA>\n"
                "        <SSL>on</SSL>\n"
                "        <Encryption>{encryption}</Encryption>\n"
                "        <AuthRequired>{auth}</AuthRequired>\n",
                fields);
    if (outgoing)
        MARKUP_FILL(out,
                    "        <UsePOPAuth>{same}</UsePOPAuth>\n"
                    "        <SMTPLast>{last}</SMTPLast>\n",
                    fields);
    buf_put_text(out, "      </Protocol>\n");
}

void autoconfig_autodiscover(const struct autoconfig *settings, struct buf *out) {
    const struct markup_field fields[] = {{"user", settings->user}};
    buf_put_text(out, response_head);
    buf_put_text(out, "  <Response "
                      "xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a\">\n");
    if (settings->user.n)
        MARKUP_FILL(out, "    <User>\n      <DisplayName>{user}</DisplayName>\n    </User>\n", fields);
    buf_put_text(out, "    <Account>\n"
                      "      <AccountType>email</AccountType>\n"
                      "      <Action>settings</Action>\n");
    put_protocol(out, settings, autoconfig_best(settings->imap), "IMAP");
    put_protocol(out, settings, autoconfig_best(settings->pop3), "POP3");
    put_protocol(out, settings, autoconfig_best(settings->smtp), "SMTP");
    buf_put_text(out, "    </Account>\n  </Response>\n</Autodiscover>\n");
}

void autoconfig_autodiscover_error(struct buf *out) {
    buf_put_text(out, response_head);
    buf_put_text(out, "  <Response>\n"
                      "    <Error Time=\"00:00:00.0000000\" Id=\"0\">\n"
                      "      <ErrorCode>600</ErrorCode>\n"
                      "      <Message>Invalid Request</Message>\n"
                      "      <DebugData />\n"
                      "    </Error>\n"
                      "  </Response>\n"
                      "</Autodiscover>\n");
}

/* ---- zone */

static void put_srv(struct buf *out, const struct autoconfig *settings, const char *service,
                    const struct autoconfig_server *server, unsigned priority) {
    buf_put_text(out, service);
    buf_put_text(out, "._tcp.");
    buf_put_span(out, settings->domain);
    if (server->security == AUTOCONFIG_ABSENT) {
        buf_put_text(out, ". 3600 IN SRV 0 0 0 .\n");
        return;
    }
    buf_put_format(out, ". 3600 IN SRV %u 1 %u ", priority, server->port);
    buf_put_span(out, server->host);
    buf_put_text(out, ".\n");
}

/* RFC 6186 3.4: priorities tell which of the services is preferred. Those of RFC 8314 5.1 come first. */
void autoconfig_srv(const struct autoconfig *settings, struct buf *out) {
    put_srv(out, settings, "_submissions", &settings->smtp[0], 0);
    put_srv(out, settings, "_submission", &settings->smtp[1], 10);
    put_srv(out, settings, "_imaps", &settings->imap[0], 0);
    put_srv(out, settings, "_imap", &settings->imap[1], 10);
    put_srv(out, settings, "_pop3s", &settings->pop3[0], 20);
    put_srv(out, settings, "_pop3", &settings->pop3[1], 30);
}
