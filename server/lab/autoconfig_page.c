/* autoconfig_page.c - settings for people: a table for any mail program, and Outlook's dialogs with the boxes to
 * tick. Runs in: command line. Trusts: the configuration. Never: holds a password, a script, or a thing from
 * elsewhere. */
#include "server/lab/autoconfig.h"
#include "server/lab/markup.h"

#include <stdio.h>

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1b1b1f;--soft:#55555e;--paper:#fff;--face:#f3f3f5;--line:#8a8a94;"
    "--field:#fff;--mark:#0b5cad;--on:#fff}\n"
    "@media (prefers-color-scheme:dark){:root{--ink:#ececf0;--soft:#b4b4bf;--paper:#16161a;--face:#26262c;"
    "--line:#7d7d88;--field:#1c1c21;--mark:#7db8f5;--on:#10151b}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;padding:1.5rem;max-width:60rem;background:var(--paper);color:var(--ink);"
    "font:1rem/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.7rem;line-height:1.25;margin:0 0 .5rem;overflow-wrap:anywhere}\n"
    "h2{font-size:1.25rem;margin:2rem 0 .5rem}\n"
    "table{border-collapse:collapse;width:100%}\n"
    "th,td{border:1px solid var(--line);padding:.4rem .6rem;text-align:left;vertical-align:top;"
    "overflow-wrap:anywhere}\n"
    "thead th{background:var(--face)}\n"
    "code{font-family:ui-monospace,monospace}\n"
    ".dialogs{display:grid;grid-template-columns:repeat(auto-fit,minmax(19rem,1fr));gap:1.25rem;align-items:start}\n"
    "figure{margin:0;break-inside:avoid}\n"
    "figcaption{margin-bottom:.4rem;font-weight:600}\n"
    ".dialog{border:1px solid var(--line);border-radius:.4rem;background:var(--face);overflow:hidden}\n"
    ".bar{padding:.35rem .7rem;border-bottom:1px solid var(--line);font-size:.9rem}\n"
    ".tabs{display:flex;flex-wrap:wrap;margin:.6rem .6rem 0;padding:0;list-style:none;font-size:.85rem}\n"
    ".tabs li{padding:.2rem .6rem;border:1px solid var(--line);border-bottom:0;color:var(--soft)}\n"
    ".tabs .here{background:var(--paper);color:var(--ink);font-weight:600}\n"
    ".sheet{margin:0 .6rem .6rem;padding:.7rem;border:1px solid var(--line);background:var(--paper);"
    "font-size:.9rem}\n"
    ".sheet p{margin:.35rem 0}\n"
    ".bar+.sheet{margin-top:.6rem}\n"
    ".in{margin-left:1.6rem!important}\n"
    ".mark{padding-left:1.6rem;text-indent:-1.6rem}.box,.dot,.n{text-indent:0}\n"
    ".box,.dot{display:inline-block;width:1.05rem;height:1.05rem;margin-right:.5rem;vertical-align:-.15rem;"
    "border:2px solid var(--ink);background:var(--field);color:var(--on);font:700 .8rem/.85rem system-ui,sans-serif;"
    "text-align:center}\n"
    ".dot{border-radius:50%}\n"
    ".box.yes,.dot.yes{background:var(--mark);border-color:var(--mark);print-color-adjust:exact;"
    "-webkit-print-color-adjust:exact}\n"
    ".dot.yes{box-shadow:inset 0 0 0 .17rem var(--field)}\n"
    ".field{display:inline-block;min-width:4rem;padding:0 .4rem;border:1px solid var(--line);"
    "background:var(--field);overflow-wrap:anywhere}\n"
    ".no{color:var(--soft)}\n"
    ".n{display:inline-block;min-width:1.4rem;margin-left:.4rem;border-radius:.7rem;background:var(--mark);"
    "color:var(--on);font:700 .8rem/1.4rem system-ui,sans-serif;text-align:center;print-color-adjust:exact;"
    "-webkit-print-color-adjust:exact}\n"
    ".said{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}\n"
    "ol.why{padding-left:1.6rem}\n"
    "@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--paper:#fff;--face:#f3f3f5;--line:#777;"
    "--field:#fff;--mark:#0b5cad;--on:#fff}body{padding:0;max-width:none;font-size:.85rem}"
    ".dialogs{grid-template-columns:1fr 1fr}}\n";

/* ---- any program */

static const char *security_words(const struct autoconfig_server *server) {
    return server->security == AUTOCONFIG_TLS ? "SSL/TLS" : "STARTTLS";
}

static void put_row(struct buf *out, const struct autoconfig_server *server, const char *what, struct span user,
                    const char *method) {
    char port[8];
    int n = snprintf(port, sizeof port, "%u", server->port);
    const struct markup_field fields[] = {{"what", span_text(what)},
                                          {"host", server->host},
                                          {"port", span_of(port, n > 0 ? (size_t)n : 0)},
                                          {"security", span_text(security_words(server))},
                                          {"user", user},
                                          {"method", span_text(method)}};
    if (server->security == AUTOCONFIG_ABSENT) return;
    MARKUP_FILL(out,
                "<tr><th scope=\"row\">{what}</th><td><code>{host}</code></td><td><code>{port}</code></td>"
                "<td>{security}</td><td><code>{user}</code></td><td>{method}</td></tr>\n",
                fields);
}

static struct span user_of(const struct autoconfig *settings) {
    return settings->user.n ? settings->user : SPAN("your full mail address");
}

static struct span sender_of(const struct autoconfig *settings) {
    if (settings->login == AUTOCONFIG_LOGIN_POP_FIRST) return SPAN("none");
    return settings->login == AUTOCONFIG_LOGIN_SEPARATE ? settings->login_name : user_of(settings);
}

static void put_table(const struct autoconfig *settings, struct buf *out) {
    const char *fetch = settings->spa_incoming ? "normal password, or NTLM" : "normal password";
    const char *send = settings->login == AUTOCONFIG_LOGIN_POP_FIRST ? "none; fetch mail first"
                       : settings->spa                               ? "normal password, or NTLM"
                                                                     : "normal password";
    buf_put_text(out,
                 "<h2>For any mail program</h2>\n<table>\n<thead><tr><th scope=\"col\">What for</th>"
                 "<th scope=\"col\">Server</th><th scope=\"col\">Port</th><th scope=\"col\">Encryption</th>"
                 "<th scope=\"col\">User name</th><th scope=\"col\">Authentication</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < 2; i++) put_row(out, &settings->imap[i], "Fetch (IMAP)", user_of(settings), fetch);
    for (size_t i = 0; i < 2; i++) put_row(out, &settings->pop3[i], "Fetch (POP3)", user_of(settings), fetch);
    for (size_t i = 0; i < 2; i++) put_row(out, &settings->smtp[i], "Send (SMTP)", sender_of(settings), send);
    buf_put_text(out, "</tbody>\n</table>\n<p>Where there are two rows for one thing, take the upper one if the "
                      "program knows it. Without encryption nothing here takes a password.</p>\n");
}

/* ---- Outlook's dialogs */

enum mark { MARK_BOX, MARK_DOT };

/* A box or a button with its label; for who does not see it, in words. */
static void put_mark(struct buf *out, enum mark kind, bool yes, bool inner, const char *label, unsigned number) {
    const struct markup_field fields[] = {{"class", span_text(kind == MARK_BOX ? "box" : "dot")},
                                          {"yes", span_text(yes ? " yes" : "")},
                                          {"tick", span_text(yes && kind == MARK_BOX ? "✓" : "")},
                                          {"state", span_text(kind == MARK_BOX ? yes ? "ticked: " : "clear: "
                                                              : yes            ? "chosen: "
                                                                               : "not chosen: ")},
                                          {"line", span_text(inner ? "in"
                                                             : yes ? "is"
                                                                   : "no")},
                                          {"label", span_text(label)}};
    MARKUP_FILL(out,
                "<p class=\"mark {line}\"><span class=\"{class}{yes}\" aria-hidden=\"true\">{tick}</span>"
                "<span class=\"said\">{state}</span>{label}",
                fields);
    if (number)
        buf_put_format(out, "<span class=\"n\" aria-hidden=\"true\">%u</span><span class=\"said\"> (note %u)</span>",
                       number, number);
    buf_put_text(out, "</p>\n");
}

static void put_field(struct buf *out, const char *label, struct span value, bool inner) {
    const struct markup_field fields[] = {
        {"line", span_text(inner ? "in" : "is")}, {"label", span_text(label)}, {"value", value}};
    MARKUP_FILL(out, "<p class=\"{line}\">{label} <span class=\"field\">{value}</span></p>\n", fields);
}

static void begin_dialog(struct buf *out, const char *caption, const char *title, const char *here) {
    static const char *const tabs[] = {"General", "Outgoing Server", "Advanced"};
    const struct markup_field fields[] = {{"caption", span_text(caption)}, {"title", span_text(title)}};
    MARKUP_FILL(out,
                "<figure>\n<figcaption>{caption}</figcaption>\n<div class=\"dialog\">\n"
                "<div class=\"bar\">{title}</div>\n",
                fields);
    if (here) buf_put_text(out, "<ul class=\"tabs\" aria-hidden=\"true\">");
    for (size_t i = 0; here && i < sizeof tabs / sizeof *tabs; i++)
        buf_put_format(out, "<li%s>%s</li>", strcmp(tabs[i], here) == 0 ? " class=\"here\"" : "", tabs[i]);
    if (here) buf_put_text(out, "</ul>\n");
    buf_put_text(out, "<div class=\"sheet\">\n");
}

static void end_dialog(struct buf *out) {
    buf_put_text(out, "</div>\n</div>\n</figure>\n");
}

static const struct autoconfig_server *incoming_of(const struct autoconfig *settings, bool *imap_out) {
    const struct autoconfig_server *imap = autoconfig_best(settings->imap);
    *imap_out = imap != NULL;
    return imap ? imap : autoconfig_best(settings->pop3);
}

static void put_account(const struct autoconfig *settings, struct buf *out) {
    bool imap;
    const struct autoconfig_server *incoming = incoming_of(settings, &imap);
    begin_dialog(out, "1. The account", "POP and IMAP Account Settings", NULL);
    put_field(out, "E-mail Address:", user_of(settings), false);
    put_field(out, "Account Type:", imap ? SPAN("IMAP") : SPAN("POP3"), false);
    put_field(out, "Incoming mail server:", incoming->host, false);
    put_field(out, "Outgoing mail server (SMTP):", autoconfig_best(settings->smtp)->host, false);
    put_field(out, "User Name:", user_of(settings), false);
    put_field(out, "Password:", SPAN("••••••••"), false);
    put_mark(out, MARK_BOX, settings->spa_incoming, false, "Require logon using Secure Password Authentication (SPA)",
             1);
    end_dialog(out);
}

static void put_outgoing(const struct autoconfig *settings, struct buf *out) {
    bool same = settings->login == AUTOCONFIG_LOGIN_SAME, separate = settings->login == AUTOCONFIG_LOGIN_SEPARATE;
    begin_dialog(out, "2. More Settings, Outgoing Server", "Internet E-mail Settings", "Outgoing Server");
    put_mark(out, MARK_BOX, true, false, "My outgoing server (SMTP) requires authentication", 2);
    put_mark(out, MARK_DOT, same, true, "Use same settings as my incoming mail server", same ? 3 : 0);
    put_mark(out, MARK_DOT, separate, true, "Log on using", separate ? 3 : 0);
    put_field(out, "User Name:", separate ? settings->login_name : SPAN("\u00a0"), true);
    put_field(out, "Password:", separate ? SPAN("••••••••") : SPAN("\u00a0"), true);
    put_mark(out, MARK_BOX, settings->spa && separate, true, "Require Secure Password Authentication (SPA)",
             separate ? 1 : 0);
    put_mark(out, MARK_DOT, settings->login == AUTOCONFIG_LOGIN_POP_FIRST, true,
             "Log on to incoming mail server before sending mail",
             settings->login == AUTOCONFIG_LOGIN_POP_FIRST ? 3 : 0);
    end_dialog(out);
}

static void put_port(struct buf *out, const char *label, const struct autoconfig_server *server) {
    char port[8];
    int n = snprintf(port, sizeof port, "%u", server->port);
    put_field(out, label, span_of(port, n > 0 ? (size_t)n : 0), false);
}

static void put_advanced(const struct autoconfig *settings, struct buf *out) {
    bool imap;
    const struct autoconfig_server *incoming = incoming_of(settings, &imap),
                                   *outgoing = autoconfig_best(settings->smtp);
    begin_dialog(out, "3. More Settings, Advanced", "Internet E-mail Settings", "Advanced");
    put_port(out, imap ? "Incoming server (IMAP):" : "Incoming server (POP3):", incoming);
    if (imap)
        put_field(out, "Use the following type of encrypted connection:",
                  incoming->security == AUTOCONFIG_TLS ? SPAN("SSL/TLS") : SPAN("STARTTLS"), true);
    else
        put_mark(out, MARK_BOX, incoming->security == AUTOCONFIG_TLS, true,
                 "This server requires an encrypted connection (SSL/TLS)", 0);
    put_port(out, "Outgoing server (SMTP):", outgoing);
    put_field(out, "Use the following type of encrypted connection:",
              outgoing->security == AUTOCONFIG_TLS ? SPAN("SSL/TLS") : SPAN("STARTTLS"), true);
    end_dialog(out);
}

static const char *why_this_answer(const struct autoconfig *settings) {
    switch ((enum autoconfig_login)settings->login) {
    case AUTOCONFIG_LOGIN_SAME:
        return "Sending takes the same name and password as fetching.";
    case AUTOCONFIG_LOGIN_SEPARATE:
        return "Sending takes a name of its own here, with a password of its own.";
    case AUTOCONFIG_LOGIN_POP_FIRST:
        return "The program shows who it is by fetching mail, and for a while the server believes whoever comes from "
               "the same address. Behind a router that several people share it does not work.";
    case AUTOCONFIG_LOGIN_NONE:
        break;
    }
    return "";
}

static void put_dialogs(const struct autoconfig *settings, struct buf *out) {
    bool spa = settings->spa || settings->spa_incoming;
    const struct markup_field fields[] = {
        {"spa", span_text(spa ? "Ticked where it is shown ticked: this account is enrolled for it. Clear it again if "
                                "the program asks for the password over and over."
                              : "Leave it clear. It is from times without encryption, and here it is not offered to "
                                "this account: with the box ticked the program is refused.")},
        {"answer", span_text(why_this_answer(settings))}};
    buf_put_text(out, "<h2>In Outlook, box by box</h2>\n<p>File, Account Settings, the account, Change; then More "
                      "Settings for the second and the third.</p>\n<div class=\"dialogs\">\n");
    put_account(settings, out);
    put_outgoing(settings, out);
    put_advanced(settings, out);
    MARKUP_FILL(out,
                "</div>\n<ol class=\"why\">\n<li>{spa}</li>\n"
                "<li>Tick it. A server that sent mail to anywhere for anybody would be an open relay; this one wants "
                "to know who you are. Without it: <code>530 5.7.0</code>, or <code>550 5.7.1</code>.</li>\n"
                "<li>{answer}</li>\n</ol>\n",
                fields);
}

void autoconfig_page(const struct autoconfig *settings, struct buf *out) {
    const struct markup_field fields[] = {
        {"name", settings->name},
        {"whom", settings->user.n ? settings->user : settings->domain},
    };
    if (!autoconfig_whole(settings)) return;
    buf_put_text(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    MARKUP_FILL(out, "<title>Mail settings: {whom}</title>\n", fields);
    buf_put_text(out, "<style>\n");
    buf_put_text(out, style);
    buf_put_text(out, "</style>\n</head>\n<body>\n<main>\n");
    MARKUP_FILL(out,
                "<h1>Mail settings for {whom}</h1>\n<p>{name}. The password is the one that you were given for your "
                "mailbox, or one for this device alone; it is not on this page.</p>\n",
                fields);
    put_table(settings, out);
    put_dialogs(settings, out);
    buf_put_text(out, "</main>\n</body>\n</html>\n");
}
