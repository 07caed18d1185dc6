#!/usr/bin/env python3
"""autoconfig.py - gatepost autoconfig: read by Thunderbird's own code, held against published elements, looked at, and used.

With $PICTURES the page is kept there as pictures. Runs in: the test runner. Never: reaches the network.
"""
import os
import plistlib
import poplib
import re
import smtplib
import ssl
import sys
import tempfile
import xml.etree.ElementTree as tree
from html.parser import HTMLParser

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import nameserver  # noqa: E402
import thunderbird  # noqa: E402
from harness import case, equal, expect  # noqa: E402

ALICE = "alice@example.test"
HOST = "mail.example.test"
IDN = "xn--bcher-kva.test"
NAME = """Muster & Söhne <"mail'>"""
SSL, STARTTLS = 3, 2
NONE, CLEAR, NTLM = 1, 3, 6


class Shared:
    servers = {}


def server(kind="pop3"):
    """pop3: all of it is here. imap: mail is elsewhere."""
    if kind not in Shared.servers:
        config = {"local_domains": ["example.test", "bücher.test"], "auth": {"ntlm": True},
                  "autoconfig": {"host": HOST, "name": NAME},
                  "grant": {"enabled": True, "networks": ["127.0.0.1", "::1"]}}
        if kind == "imap":
            config["autoconfig"]["imap_host"] = "imap.example.test"
        made = harness.Server("autoconfig-" + kind, config, pop3=kind == "pop3", start=kind == "pop3")
        made.command("user", "spa", "enable", "bob@example.test", "--password-stdin", stdin=made.password + "\n")
        Shared.servers[kind] = made
    return Shared.servers[kind]


def make(form, *words, kind="pop3"):
    return server(kind).command("autoconfig", "--" + form, *words).stdout


# ---- Thunderbird

def servers_of(found, side):
    return [(s["type"], s["hostname"], s["port"], s["socketType"], s["auth"], s["username"]) for s in found[side]]


@case("Thunderbird's own reader takes the file, and makes of it what is configured")
def read_by_thunderbird():
    ports = server().ports
    found = thunderbird.read(make("thunderbird"), ALICE)
    expect("error" not in found, found)
    equal((found["id"], found["domains"], found["displayName"]), ("example.test", ["example.test"], NAME), "provider")
    equal(servers_of(found, "incoming"), [("pop3", HOST, ports["pop3s"], SSL, CLEAR, ALICE),
                                          ("pop3", HOST, ports["pop3"], STARTTLS, CLEAR, ALICE)], "incoming")
    equal(servers_of(found, "outgoing")[0], ("smtp", HOST, ports["submissions"], SSL, CLEAR, ALICE), "outgoing")
    # Thunderbird fills in the name of this one when it comes to it.
    equal(servers_of(found, "outgoing")[1:], [("smtp", HOST, ports["submission"], STARTTLS, CLEAR, "%EMAILADDRESS%")],
          "outgoing, otherwise")
    found = thunderbird.read(make("thunderbird", "--domain", "BÜCHER.test", kind="imap"), "a@" + IDN)
    equal((found["id"], servers_of(found, "incoming")),
          (IDN, [("imap", "imap.example.test", 993, SSL, CLEAR, "a@" + IDN)]), "IMAP elsewhere, domain in UTF-8")


@case("Thunderbird's own reader: another login, mail first, and NTLM for who is enrolled")
def read_other_logins():
    found = thunderbird.read(make("thunderbird", "--user", ALICE, "--log-on-using", "scanner"))
    equal({s["username"] for s in found["outgoing"]}, {"scanner"}, "the name for sending")
    equal({s["username"] for s in found["incoming"]}, {ALICE}, "the name for fetching")
    found = thunderbird.read(make("thunderbird", "--pop-first"))
    equal({(s["auth"], s["username"]) for s in found["outgoing"]}, {(NONE, None)}, "mail first")
    found = thunderbird.read(make("thunderbird", "--user", "bob@example.test"))
    equal({s["auth"] for s in found["incoming"] + found["outgoing"]}, {NTLM}, "who is enrolled")
    found = thunderbird.read(make("thunderbird", "--user", "bob@example.test", kind="imap"))
    equal(({s["auth"] for s in found["incoming"]}, {s["auth"] for s in found["outgoing"]}), ({CLEAR}, {NTLM}),
          "enrolled, but mail is elsewhere")


# What the format's definition knows (wiki.mozilla.org, Thunderbird:Autoconfiguration:ConfigFileFormat): element, its
# children in their order with how often, or its values.
SERVER = [("hostname", 1, 1), ("port", 1, 1), ("socketType", 1, 1), ("username", 0, 1), ("authentication", 1, 9)]
THUNDERBIRD = {
    "clientConfig": [("emailProvider", 1, 1)],
    "emailProvider": [("domain", 1, 99), ("displayName", 0, 1), ("displayShortName", 0, 1), ("incomingServer", 1, 9),
                      ("outgoingServer", 1, 9)],
    "incomingServer": SERVER, "outgoingServer": SERVER,
    "port": r"\d{1,5}", "socketType": "SSL|STARTTLS|plain", "domain": r"[a-z0-9.-]+", "hostname": r"[a-z0-9.-]+",
    "authentication": "password-cleartext|password-encrypted|NTLM|GSSAPI|client-IP-address|TLS-client-cert|OAuth2|none|"
                      "SMTP-after-POP|smtp-after-pop",
    "username": ".+", "displayName": "(?s).+", "displayShortName": "(?s).+",
}


def validate(element, schema, strip=""):
    name = element.tag.replace(strip, "")
    rule = schema.get(name)
    expect(rule is not None, "no element <%s> is published" % name)
    if isinstance(rule, str):
        expect(len(element) == 0 and re.fullmatch(rule, element.text or ""), "<%s> holds %r" % (name, element.text))
        return
    expect(not (element.text or "").strip(), "text in <%s>" % name)
    children = [child.tag.replace(strip, "") for child in element]
    for known, least, most in rule:
        n = 0
        while children and children[0] == known:
            children.pop(0)
            n += 1
        expect(least <= n <= most, "<%s> has %d <%s>" % (name, n, known))
    expect(not children, "<%s> has <%s>, or has it out of order" % (name, children[0] if children else ""))
    for child in element:
        validate(child, schema, strip)


@case("Thunderbird's file has the elements of the format's definition, and those alone")
def thunderbird_schema():
    for words in ((), ("--user", ALICE), ("--pop-first",), ("--user", ALICE, "--log-on-using", "a&b"), ("--domain", IDN)):
        for kind in ("pop3", "imap"):
            root = tree.fromstring(make("thunderbird", *words, kind=kind).encode())
            equal((root.tag, root.attrib), ("clientConfig", {"version": "1.1"}), "root")
            validate(root, THUNDERBIRD)


# ---- Outlook

# Microsoft's list of the elements of POX Autodiscover that mail of this kind has, and their values ([MS-OXDSCLI] 2.2.4).
RESPONSE = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"
OUTER = "{http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006}"
AUTODISCOVER = {
    "Response": [("User", 0, 1), ("Account", 1, 1)], "User": [("DisplayName", 1, 1)],
    "Account": [("AccountType", 1, 1), ("Action", 1, 1), ("Protocol", 1, 9)],
    "Protocol": [("Type", 1, 1), ("Server", 1, 1), ("Port", 1, 1), ("LoginName", 0, 1), ("DomainRequired", 0, 1),
                 ("SPA", 1, 1), ("SSL", 1, 1), ("Encryption", 0, 1), ("AuthRequired", 1, 1), ("UsePOPAuth", 0, 1),
                 ("SMTPLast", 0, 1)],
    "DisplayName": ".+", "AccountType": "email", "Action": "settings|redirectAddr|redirectUrl", "Type": "POP3|IMAP|SMTP",
    "Server": r"[a-z0-9.-]+", "Port": r"\d{1,5}", "LoginName": ".+", "DomainRequired": "on|off", "SPA": "on|off",
    "SSL": "on|off", "Encryption": "None|SSL|TLS|Auto", "AuthRequired": "on|off", "UsePOPAuth": "on|off",
    "SMTPLast": "on|off",
}


def protocols(*words, kind="pop3"):
    root = tree.fromstring(make("autodiscover", *words, kind=kind).encode())
    equal((root.tag, [child.tag for child in root]), (OUTER + "Autodiscover", [RESPONSE + "Response"]), "root")
    validate(root[0], AUTODISCOVER, RESPONSE)
    found = {}
    for protocol in root.iter(RESPONSE + "Protocol"):
        values = {child.tag.replace(RESPONSE, ""): child.text for child in protocol}
        expect(values["Type"] not in found, "two of " + values["Type"])
        found[values["Type"]] = values
    return found


def answer(protocol):
    return tuple(protocol.get(name) for name in ("LoginName", "SPA", "AuthRequired", "UsePOPAuth", "SMTPLast"))


@case("Autodiscover has Microsoft's elements and values, and the three answers of Outlook's dialog")
def autodiscover():
    ports = server().ports
    found = protocols("--user", ALICE)
    equal(sorted(found), ["POP3", "SMTP"], "protocols")
    equal((found["POP3"]["Server"], int(found["POP3"]["Port"]), found["POP3"]["SSL"], found["POP3"]["Encryption"]),
          (HOST, ports["pop3s"], "on", "SSL"), "where to fetch")
    equal(answer(found["POP3"]), (ALICE, "off", "on", None, None), "POP3")
    equal(answer(found["SMTP"]), (ALICE, "off", "on", "on", "off"), "use same settings")
    equal(answer(protocols("--user", ALICE, "--log-on-using", "scanner")["SMTP"]), ("scanner", "off", "on", "off", "off"),
          "log on using")
    equal(answer(protocols("--user", ALICE, "--pop-first")["SMTP"]), (None, "off", "off", "off", "on"),
          "log on to incoming mail server first")
    enrolled = protocols("--user", "bob@example.test")
    equal((enrolled["SMTP"]["SPA"], enrolled["POP3"]["SPA"]), ("on", "on"), "SPA of who is enrolled")
    elsewhere = protocols("--user", "bob@example.test", kind="imap")
    equal((elsewhere["SMTP"]["SPA"], elsewhere["IMAP"]["SPA"], elsewhere["IMAP"]["Port"]), ("on", "off", "993"),
          "SPA where mail is elsewhere")
    equal(answer(protocols()["SMTP"])[0], None, "a login, where none was named")


# ---- Apple

PROFILE = {"PayloadContent": list, "PayloadDescription": str, "PayloadDisplayName": str, "PayloadIdentifier": str,
           "PayloadOrganization": str, "PayloadType": str, "PayloadUUID": str, "PayloadVersion": int}
MAIL = {"EmailAccountDescription": str, "EmailAccountType": str, "EmailAddress": str,
        "PayloadDisplayName": str, "PayloadIdentifier": str, "PayloadType": str, "PayloadUUID": str, "PayloadVersion": int,
        "OutgoingPasswordSameAsIncomingPassword": bool}
for side in ("Incoming", "Outgoing"):
    MAIL.update({side + "MailServer" + key: kind for key, kind in (
        ("Authentication", str), ("HostName", str), ("PortNumber", int), ("UseSSL", bool), ("Username", str))})
OPTIONAL = {"EmailAddress", "IncomingMailServerUsername", "OutgoingMailServerUsername",
            "OutgoingPasswordSameAsIncomingPassword"}


def profile(*words, kind="pop3"):
    whole = plistlib.loads(make("mobileconfig", *words, kind=kind).encode())
    equal({k: type(v) for k, v in whole.items()}, PROFILE, "keys of the profile")
    equal((whole["PayloadType"], whole["PayloadVersion"], len(whole["PayloadContent"])), ("Configuration", 1, 1), "profile")
    mail = whole["PayloadContent"][0]
    for key, value in mail.items():
        expect(type(value) is MAIL.get(key), "%s: %r" % (key, value))
    equal(set(MAIL) - set(mail) - OPTIONAL, set(), "keys that are missing")
    equal(mail["PayloadType"], "com.apple.mail.managed", "payload")
    for one in (whole, mail):
        expect(re.fullmatch(r"[0-9A-F]{8}-[0-9A-F]{4}-8[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}", one["PayloadUUID"]), one)
    expect(whole["PayloadUUID"] != mail["PayloadUUID"], "one UUID for both")
    expect(mail["IncomingMailServerUseSSL"] and mail["OutgoingMailServerUseSSL"], "without TLS")
    return whole, mail


@case("the profile is a property list with Apple's keys; a new one for the same user replaces the old one")
def mobileconfig():
    whole, mail = profile("--user", ALICE)
    equal((mail["EmailAccountType"], mail["EmailAddress"], mail["IncomingMailServerUsername"],
           mail["OutgoingMailServerUsername"], mail["OutgoingPasswordSameAsIncomingPassword"],
           mail["IncomingMailServerPortNumber"], mail["OutgoingMailServerPortNumber"], whole["PayloadDisplayName"]),
          ("EmailTypePOP", ALICE, ALICE, ALICE, True, server().ports["pop3s"], server().ports["submissions"], NAME), "alice")
    equal(profile("--user", ALICE)[0], whole, "the same again")
    other = profile("--user", "bob@example.test")[0]
    expect(other["PayloadUUID"] != whole["PayloadUUID"], "one identifier for two users")
    mail = profile("--user", ALICE, "--log-on-using", "scanner", kind="imap")[1]
    equal((mail["EmailAccountType"], mail["OutgoingMailServerUsername"],
           "OutgoingPasswordSameAsIncomingPassword" in mail), ("EmailTypeIMAP", "scanner", False), "log on using")
    mail = profile("--pop-first")[1]
    equal((mail["OutgoingMailServerAuthentication"], "EmailAddress" in mail), ("EmailAuthNone", False), "mail first")


# ---- zone and page

@case("SRV lines name what is served, and a dot what is not")
def srv():
    ports = server().ports
    zone = nameserver.parse(make("srv", "--domain", "bücher.test"))
    found = {name: zone[name][33][0] for name in zone}
    equal(sorted(found), sorted("_%s._tcp.%s" % (s, IDN) for s in
                                ("submissions", "submission", "imaps", "imap", "pop3s", "pop3")), "names")
    for service in ("submissions", "submission", "pop3s", "pop3"):
        data = found["_%s._tcp.%s" % (service, IDN)]
        equal((int.from_bytes(data[4:6], "big"), data[6:]), (ports[service], nameserver.wire_name(HOST)), service)
    equal(found["_imaps._tcp." + IDN], b"\0" * 7, "what is not offered (RFC 2782)")


class Page(HTMLParser):
    void = {"meta", "br", "link", "img", "input"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text, self.links = [], [], "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "action", "srcset", "data") or name.startswith("on"):
                self.links.append((tag, name, value))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        expect(self.open and self.open.pop() == tag, "</%s> closes something else" % tag)

    def handle_data(self, data):
        self.text += data


def look_at(text):
    page = Page(text)
    equal(page.open, [], "elements that are not closed")
    expect("script" not in page.tags and not page.links, "script or links: %r" % page.links)
    expect(not re.search(r"https?:|url\(|@import", text), "something from elsewhere")
    return re.sub(r"\s+", " ", page.text)


@case("the page says the same to eyes and to screen readers, and asks for nothing from elsewhere")
def page():
    text = look_at(make("page", "--user", ALICE))
    for words in (NAME, HOST, str(server().ports["submissions"]), ALICE,
                  "ticked: My outgoing server (SMTP) requires authentication",
                  "chosen: Use same settings as my incoming mail server", "not chosen: Log on using",
                  "not chosen: Log on to incoming mail server before sending mail",
                  "clear: Require logon using Secure Password Authentication (SPA)"):
        expect(words in text, "the page lacks %r: %s" % (words, text))
    text = look_at(make("page", "--user", ALICE, "--log-on-using", "<b>scanner</b>"))
    expect("chosen: Log on using" in text and "not chosen: Log on using" not in text and "<b>scanner</b>" in text, text)
    text = look_at(make("page", "--pop-first"))
    expect(" chosen: Log on to incoming mail server before sending mail" in text, text)
    text = look_at(make("page", "--user", "bob@example.test"))
    expect("ticked: Require logon using Secure Password Authentication (SPA)" in text, text)


def size_of(path):
    with open(path, "rb") as file:
        head = file.read(24)
    expect(head[:8] == b"\x89PNG\r\n\x1a\n", "no picture in " + path)
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


@case("the page as pictures: light, dark, narrow, with no word cut off")
def pictures():
    keep = os.environ.get("PICTURES")
    with tempfile.TemporaryDirectory(prefix="gatepost-page-", dir="/var/tmp") as directory:
        for form, words in (("same", ()), ("separate", ("--log-on-using", "scanner")), ("pop-first", ("--pop-first",))):
            text = make("page", "--user", ALICE, *words)
            path = os.path.join(directory, form + ".html")
            with open(path, "w") as file:
                file.write(text)
            for look, width, options in (("light", 1100, ()), ("dark", 1100, ("--force-dark-mode",
                                                                              "--blink-settings=preferredColorScheme=0")),
                                         ("narrow", 500, ())):
                picture = os.path.join(keep or directory, "dialog-%s-%s.png" % (form, look))
                thunderbird.run_browser("--screenshot=" + picture, "--window-size=%d,1500" % width, "--hide-scrollbars",
                                        *options, "file://" + path)
                equal(size_of(picture), (width, 1500), "size of the picture")
        probe = os.path.join(directory, "probe.html")
        with open(probe, "w") as file:  # what is wider than it may be
            file.write(text.replace("</body>", "<script>document.title='over=' + [...document.querySelectorAll('*')].filter("
                                    "e => e.className !== 'said' && e.scrollWidth > e.clientWidth + 1 && e.clientWidth)"
                                    ".map(e => e.tagName + '.' + e.className).concat([...document.querySelectorAll("
                                    "'.box.yes')].filter(e => { const r = document.createRange(); r.selectNodeContents(e);"
                                    "const a = r.getBoundingClientRect(), b = e.getBoundingClientRect();"
                                    "return a.left < b.left || a.right > b.right; }).map(e => 'a tick outside its box'))"
                                    ".join()</script></body>"))
        shown = thunderbird.run_browser("--dump-dom", "--window-size=500,1500", "file://" + probe)
        equal(re.search(r"<title>over=([^<]*)</title>", shown).group(1), "", "what is cut off in a narrow window")


# ---- used

def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def send(security, port, login, marker):
    if security == "SSL":
        client = smtplib.SMTP_SSL("127.0.0.1", port, context=context())
    else:
        client = smtplib.SMTP("127.0.0.1", port)
        client.starttls(context=context())
    with client:
        if login:
            client.login(login, server().password)
        client.sendmail(ALICE, ["someone@elsewhere.example"], harness.body(marker, sender=ALICE))
    expect(server().message("capture", marker), marker)


def fetch(security, port, login):
    if security == "SSL":
        client = poplib.POP3_SSL("127.0.0.1", port, context=context())
    else:
        client = poplib.POP3("127.0.0.1", port)
        client.stls(context=context())
    client.user(login)
    client.pass_(server().password)
    client.quit()


@case("what the file says works: fetching and sending, by each of its servers")
def used():
    root = tree.fromstring(make("thunderbird").encode())
    n = 0
    for element in list(root.iter("incomingServer")) + list(root.iter("outgoingServer")):
        values = {child.tag: child.text for child in element}
        login = values["username"].replace("%EMAILADDRESS%", ALICE)
        if element.tag == "incomingServer":
            fetch(values["socketType"], int(values["port"]), login)
        else:
            send(values["socketType"], int(values["port"]), login, harness.marker())
        n += 1
    equal(n, 4, "servers")


@case("what the file says works: mail first, then sending without a login")
def used_pop_first():
    found = protocols("--user", ALICE, "--pop-first")
    equal(found["SMTP"]["SMTPLast"], "on", "SMTPLast")
    server().command("grant", "flush")
    security = {"SSL": "SSL", "TLS": "STARTTLS"}
    smtp = (security[found["SMTP"]["Encryption"]], int(found["SMTP"]["Port"]))
    try:
        send(*smtp, None, harness.marker())
        raise harness.Failure("it was sent before the mail was fetched")
    except smtplib.SMTPSenderRefused as refused:
        equal(refused.smtp_code, 530, "before the mail was fetched")
    fetch(security[found["POP3"]["Encryption"]], int(found["POP3"]["Port"]), ALICE)
    send(*smtp, None, harness.marker())


# ---- refused

@case("wrong command lines, unknown users and domains, and settings that cannot work are refused")
def refused():
    of = server()
    for code, words, why in (
            (2, (), "needs one of"), (2, ("--page", "--srv"), "needs one of"), (2, ("--srv", "--user", "alice"), "full mail"),
            (2, ("--page", "--pop-first", "--log-on-using", "x"), "two answers"),
            (2, ("--srv", "--user", ALICE, "--domain", IDN), "two domains"),
            (3, ("--srv", "--domain", "elsewhere.example"), "not in local_domains"),
            (3, ("--srv", "--user", "a@elsewhere.example"), "not in local_domains"),
            (3, ("--page", "--user", "nobody@example.test"), "no such user")):
        done = of.command("autoconfig", *words, check=False)
        equal((done.returncode, done.stdout, why in done.stderr), (code, "", True), "%r: %s" % (words, done.stderr))
    bare = server("imap")
    kept = bare.config["autoconfig"]
    try:
        bare.config["autoconfig"] = {}
        bare.config["grant"] = {"enabled": False}
        bare.write_config()
        done = bare.command("autoconfig", "--thunderbird", check=False)
        equal((done.returncode, done.stdout), (5, ""), "nowhere to fetch from")
        expect("autoconfig.imap_host" in done.stderr, done.stderr)
        equal(bare.command("autoconfig", "--srv").returncode, 0, "SRV records, all the same")
        done = bare.command("autoconfig", "--srv", "--pop-first", check=False)
        equal((done.returncode, "grant.enabled" in done.stderr), (5, True), "mail first, without grants")
    finally:
        bare.config["autoconfig"] = kept
        bare.config["grant"] = {"enabled": True}
        bare.write_config()


if __name__ == "__main__":
    harness.main(parallel=1)
