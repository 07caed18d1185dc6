#!/usr/bin/env python3
"""check_dns.py - gatepost check --dns against a good zone and broken ones, from a name server of the test's own.

Runs in: the test runner. Never: asks a name server of this machine or of the network.
"""
import base64
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import Failure, case, equal, expect  # noqa: E402
from nameserver import NameServer  # noqa: E402

IDN = "xn--bcher-kva.test"  # bücher.test
CLIENT_HOST = "mail.example.test"
RSA = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, check=True).stdout
RSA = subprocess.run(["openssl", "rsa", "-pubout", "-outform", "DER"], input=RSA, capture_output=True, check=True).stdout
KEY = base64.b64encode(RSA).decode()

HOST = """
mx.example.test.            3600 IN A    192.0.2.10
mx.example.test.            3600 IN AAAA 2001:db8::10
10.2.0.192.in-addr.arpa.    3600 IN PTR  mx.example.test.
0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 3600 IN PTR mx.example.test.
mail.example.test.          3600 IN CNAME mx.example.test.
"""


def domain(name):
    """What a domain needs, as the configuration below has it."""
    return """
%(d)s.                      3600 IN MX  10 mx.example.test.
%(d)s.                      3600 IN TXT "some-other-service=1"
%(d)s.                      3600 IN TXT "v=spf1 mx ip4:198.51.100.0/24 -all"
m2026._domainkey.%(d)s.     3600 IN TXT "v=DKIM1; k=rsa; p=%(key)s"
_dmarc.%(d)s.               3600 IN TXT "v=DMARC1; p=reject; rua=mailto:dmarc@%(d)s"
_submissions._tcp.%(d)s.    3600 IN SRV 0 1 %(submissions)d mail.example.test.
_submission._tcp.%(d)s.     3600 IN SRV 10 1 %(submission)d mail.example.test.
_pop3s._tcp.%(d)s.          3600 IN SRV 20 1 %(pop3s)d mail.example.test.
_pop3._tcp.%(d)s.           3600 IN SRV 30 1 %(pop3)d mail.example.test.
_imaps._tcp.%(d)s.          3600 IN SRV 0 0 0 .
""" % dict(PORTS, d=name, key=KEY)


class Shared:
    server = None


def server():
    """One configuration for all cases; check needs no running server."""
    if not Shared.server:
        made = harness.Server("check-dns", {
            "local_domains": ["example.test", "bücher.test"],
            "autoconfig": {"host": CLIENT_HOST},
            "dns": {"dkim_selectors": ["m2026"]},
            "delivery": {"foreign": "refuse"}}, start=False, users=(), pop3=True)
        certify(made, "DNS:mx.example.test,DNS:*.example.test")
        made.write_config()
        Shared.server = made
    return Shared.server


def certify(of, names, days="90"):
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-days", days, "-subj", "/CN=test", "-addext", "subjectAltName=" + names, "-keyout", of.key, "-out",
                    of.certificate], check=True, capture_output=True)
    os.chmod(of.key, 0o600)


PORTS = {role: server().ports[role] for role in ("submissions", "submission", "pop3s", "pop3")}
GOOD = HOST + domain("example.test") + domain(IDN)


def replace(text, old, new):
    if old not in text:
        raise Failure("the zone has no %r" % old)
    return text.replace(old, new)


class Checked:
    def __init__(self, zone, mute=(), config=None):
        of = server()
        kept = json.loads(json.dumps(of.config))
        harness.merge(of.config, config)
        of.write_config()
        names = NameServer(zone, mute)
        try:
            done = of.command("check", "--dns", "--server", names.address, "--json", check=False)
            self.code, self.errors = done.returncode, done.stderr
            self.findings = json.loads(done.stdout)
            self.asked = names.asked
        finally:
            names.close()
            of.config = kept
            of.write_config()

    def of(self, check, name=None, level=None):
        return [f for f in self.findings if f["check"] == check and name in (None, f["name"]) and
                level in (None, f["level"])]

    def only(self, *wrong):
        """Just these (check, name, level) are wrong, unknown, or warnings; the certificate signs itself."""
        found = {(f["check"], f["name"], f["level"]) for f in self.findings if f["level"] not in ("good", "note") and
                 not (f["check"] == "certificate" and "signed by itself" in f["text"])}
        equal(found, set(wrong), "what is not good")


def says(findings, words, line=None):
    expect(len(findings) == 1, "one finding, not %r" % findings)
    expect(words in findings[0]["text"], "%r does not say %r" % (findings[0]["text"], words))
    if line is not None:
        equal(findings[0]["line"], line, "the line to paste")


@case("a good zone: everything is good, in both domains, and nothing is left to paste")
def good():
    checked = Checked(GOOD)
    checked.only()
    equal(checked.code, 0, "exit code")
    for name in ("example.test", IDN):
        equal(sorted({f["check"] for f in checked.findings if f["name"] == name and f["level"] == "good"}),
              ["DKIM", "DMARC", "MX", "SPF", "SRV"], "what is good at " + name)
    equal(len(checked.of("PTR", "mx.example.test", "good")), 2, "addresses with names")
    equal(len(checked.of("certificate", level="good")), 2, "names in the certificate: one of them by a star")
    expect(not any(f["line"] for f in checked.findings), "a line to paste: %r" % checked.findings)


@case("broken: MX names another server, and an alias of ours; the domain in UTF-8 has none")
def broken_mx():
    zone = replace(GOOD, "example.test.                      3600 IN MX  10 mx.example.test.",
                   "example.test. 3600 IN MX 10 elsewhere.test.\nelsewhere.test. 3600 IN A 198.51.100.9")
    zone = replace(zone, IDN + ".                      3600 IN MX  10 mx.example.test.\n", "")
    checked = Checked(zone)
    checked.only(("MX", "example.test", "wrong"), ("MX", IDN, "wrong"), ("SPF", "example.test", "wrong"),
                 ("SPF", IDN, "wrong"))
    equal(checked.code, 1, "exit code")
    says(checked.of("MX", "example.test"), "elsewhere.test is another server",
         "example.test. 3600 IN MX 10 mx.example.test.")
    says(checked.of("MX", IDN), "no record", IDN + ". 3600 IN MX 10 mx.example.test.")
    alias = Checked(replace(GOOD, "example.test.                      3600 IN MX  10 mx.example.test.",
                            "example.test. 3600 IN MX 10 mail.example.test."))
    alias.only(("MX", "example.test", "wrong"))
    says(alias.of("MX", "example.test"), "mail.example.test is an alias")
    null = Checked(replace(GOOD, "example.test.                      3600 IN MX  10 mx.example.test.",
                           "example.test. 3600 IN MX 0 ."))
    says(null.of("MX", "example.test"), "takes no mail")


@case("broken: no name for the IPv4 address, a name that does not lead back for the IPv6 one")
def broken_ptr():
    zone = replace(GOOD, "10.2.0.192.in-addr.arpa.    3600 IN PTR  mx.example.test.\n", "")
    zone = replace(zone, "ip6.arpa. 3600 IN PTR mx.example.test.",
                   "ip6.arpa. 3600 IN PTR host.provider.test.\nhost.provider.test. 3600 IN AAAA 2001:db8::99")
    checked = Checked(zone)
    checked.only(("PTR", "mx.example.test", "wrong"))
    equal(checked.code, 1, "exit code")
    none, other = checked.of("PTR")
    says([none], "192.0.2.10 has no name", "10.2.0.192.in-addr.arpa. 3600 IN PTR mx.example.test.")
    says([other], "2001:db8::10 is called host.provider.test, and that name does not lead back")
    smart = Checked(zone, config={"delivery": {"foreign": "smarthost", "smarthost": {"host": "192.0.2.10"}}})
    equal({f["level"] for f in smart.of("PTR")}, {"warning"}, "without a name, behind a smarthost")


@case("broken: SPF forbids this server, lets everybody send, or does not count")
def broken_spf():
    record = '"v=spf1 mx ip4:198.51.100.0/24 -all"'
    include = replace(GOOD, record, '"v=spf1 include:a.test -all"')
    endless = "".join('a%d.test. 3600 IN TXT "v=spf1 include:a%d.test -all"\n' % (i, i + 1) for i in range(12))
    for zone, level, words in (
            (replace(GOOD, record, '"v=spf1 ip4:198.51.100.0/24 -all"'), "wrong", "192.0.2.10, this server, is not named"),
            (replace(GOOD, record, '"v=spf1 mx +all"'), "wrong", "everybody"),
            (replace(GOOD, record, '"v=spf1 mx"'), "warning", "let it end in -all"),
            (GOOD + 'example.test. 3600 IN TXT "v=spf1 a -all"\n', "wrong", "2 records"),
            (replace(GOOD, record, '"v=spf2 mx -all"'), "wrong", "no record"),
            (replace(GOOD, record, '"v=spf1 mx ipv4:192.0.2.1 -all"'), "wrong", "ipv4:192.0.2.1 is no mechanism"),
            (replace(GOOD, record, '"v=spf1 ipv4:192.0.2.10 mx -all"'), "wrong", "ipv4:192.0.2.10 is no mechanism"),
            (replace(GOOD, record, '"v=spf1 ip4:192.0.2.300 -all"'), "wrong", "ip4:192.0.2.300 names no network"),
            (include, "wrong", "a.test, which it refers to, has no such record"),
            (include + 'a.test. 3600 IN TXT "v=spf1 include:a.test -all"\n', "wrong", "more than 10 questions"),
            (replace(GOOD, record, '"v=spf1 include:a0.test -all"') + endless, "wrong", "more than 10 questions"),
            (include + 'a.test. 3600 IN TXT "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 ?all"\n', "good", "this server"),
            (replace(GOOD, record, '"v=spf1 redirect=a.test"') +
             'a.test. 3600 IN TXT "v=spf1 a:mx.example.test//64 -all"\n', "good", "this server"),
            (replace(GOOD, record, '"v=spf1 -ip4:192.0.2.10 mx -all"'), "wrong", "192.0.2.10, this server, is not named"),
            (replace(GOOD, record, '"v=spf1 exists:%{i}.list.test -all"'), "unknown", "could not be found out")):
        checked = Checked(zone)
        found = checked.of("SPF", "example.test")
        expect(found and found[0]["level"] == level and words in found[0]["text"],
               "%r is not %s, %r" % (found, level, words))
        equal(checked.code, {"wrong": 1, "unknown": 69}.get(level, 0), "exit code with " + words)
    smart = Checked(GOOD, config={"delivery": {"foreign": "smarthost", "smarthost": {"host": "203.0.113.25"}}})
    says(smart.of("SPF", "example.test", "warning"), "203.0.113.25, the smarthost, is not named",
         'example.test. 3600 IN TXT "v=spf1 mx ip4:203.0.113.25 -all"')
    equal(smart.code, 0, "exit code of a warning")


@case("broken: DKIM has no key, a revoked one, a short one; DMARC is missing, without policy, or twice there")
def broken_signatures():
    key = '"v=DKIM1; k=rsa; p=%s"' % KEY
    zone = replace(GOOD, 'm2026._domainkey.example.test.     3600 IN TXT ' + key + "\n", "")
    zone = replace(zone, '_dmarc.example.test.               3600 IN TXT "v=DMARC1; p=reject; rua=mailto:dmarc@example.test"', "")
    checked = Checked(zone)
    checked.only(("DKIM", "example.test", "wrong"), ("DMARC", "example.test", "wrong"))
    equal(checked.code, 1, "exit code")
    says(checked.of("DMARC", "example.test"), "no record", '_dmarc.example.test. 3600 IN TXT "v=DMARC1; p=quarantine"')
    for record, level, words in (('"v=DKIM1; p="', "wrong", "revoked"), ('"v=DKIM1; k=rsa"', "wrong", "no key"),
                                 ('"v=DKIM1; p=%s"' % KEY[:100], "wrong", "cut short"),
                                 ('"v=DKIM1; p=!!!"', "wrong", "no base64"),
                                 ('"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="', "good", "has a key")):
        found = Checked(replace(GOOD, key, record)).of("DKIM", "example.test")
        equal((len(found), found[0]["level"], words in found[0]["text"]), (1, level, True), "DKIM %s: %r" % (record, found))
    policy = '"v=DMARC1; p=reject; rua=mailto:dmarc@example.test"'
    for record, level, words in (('"v=DMARC1; p=none"', "warning", "none"), ('"v=DMARC1; sp=reject"', "wrong", "does not count"),
                                 (policy + "\n_dmarc.example.test. 3600 IN TXT " + policy, "wrong", "2 records")):
        found = Checked(replace(GOOD, policy, record)).of("DMARC", "example.test")
        equal((len(found), found[0]["level"], words in found[0]["text"]), (1, level, True), "DMARC %s: %r" % (record, found))


@case("broken: SRV is missing, names the wrong port, and a service that the configuration does not know")
def broken_services():
    good = "_submissions._tcp.example.test.    3600 IN SRV 0 1 %(submissions)d mail.example.test." % PORTS
    zone = replace(GOOD, good, "_submissions._tcp.example.test. 3600 IN SRV 0 1 2525 mail.example.test.")
    zone = replace(zone, "_pop3s._tcp.example.test.          3600 IN SRV 20 1 %(pop3s)d mail.example.test." % PORTS, "")
    zone = replace(zone, "_imaps._tcp.example.test.          3600 IN SRV 0 0 0 .",
                   "_imaps._tcp.example.test. 3600 IN SRV 0 1 993 imap.example.test.")
    checked = Checked(zone)
    checked.only(("SRV", "example.test", "wrong"), ("SRV", "example.test", "warning"))
    equal(checked.code, 1, "exit code")
    says(checked.of("SRV", "example.test", "wrong"), "mail.example.test port 2525", re.sub(" +", " ", good))
    texts = sorted(f["text"] for f in checked.of("SRV", "example.test", "warning"))
    expect(texts[0].startswith("_imaps names imap.example.test port 993") and texts[1].startswith("no _pop3s"), texts)


@case("the lines that it prints, pasted into an empty zone, make a good one")
def paste():
    of = server()
    names = NameServer("mx.example.test. 3600 IN A 192.0.2.10\nmail.example.test. 3600 IN A 192.0.2.10\n")
    text = of.command("check", "--dns", "--server", names.address, check=False).stdout
    names.close()
    lines = re.findall(r"(?m)^\S+\. 3600 IN .*$", text)
    expect(len(lines) > 10, text)
    zone = "\n".join(lines).replace("PUBLIC-KEY-OF-WHO-SIGNS", KEY)
    checked = Checked("mx.example.test. 3600 IN A 192.0.2.10\nmail.example.test. 3600 IN A 192.0.2.10\n" + zone)
    checked.only()
    equal(checked.code, 0, "exit code")


@case("a name server that is mute or not there: unknown, never good, and in bounded time")
def mute():
    checked = Checked(GOOD, mute=("example.test",))
    equal(checked.code, 69, "exit code")
    expect(checked.of("MX", "example.test", "unknown") and not checked.of("MX", "example.test", "good"), checked.findings)
    done = server().command("check", "--dns", "--server", "127.0.0.1:%d" % harness.free_port(), "--json", check=False)
    equal(done.returncode, 69, "exit code without a name server")
    found = json.loads(done.stdout)
    equal({f["level"] for f in found if f["check"] not in ("certificate", "DKIM")}, {"unknown"}, "levels")


@case("TLSA is held against the certificate's key")
def tlsa():
    der = subprocess.run(["openssl", "x509", "-in", server().certificate, "-pubkey", "-noout"], capture_output=True,
                         check=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=der, capture_output=True, check=True).stdout
    digest = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=der, capture_output=True, check=True).stdout[:64].decode()
    record = "_25._tcp.mx.example.test. 3600 IN TLSA 3 1 1 %s"
    expect(Checked(GOOD + record % digest).of("TLSA", level="good"), "ours")
    wrong = Checked(GOOD + record % ("00" * 32))
    says(wrong.of("TLSA", level="wrong"), "another key", record % digest)
    equal(wrong.code, 1, "exit code")


@case("what a record says cannot write to the terminal, and names that are none do no harm")
def hostile():
    zone = replace(GOOD, '"v=spf1 mx ip4:198.51.100.0/24 -all"', '"v=spf1 mx \x1b[31mred -all"')
    zone = replace(zone, "10.2.0.192.in-addr.arpa.    3600 IN PTR  mx.example.test.",
                   "10.2.0.192.in-addr.arpa. 3600 IN PTR evil\x1b[2J.test.")
    names = NameServer(zone)
    done = server().command("check", "--dns", "--server", names.address, check=False)
    names.close()
    equal(done.returncode, 1, "exit code")
    expect("\x1b" not in done.stdout + done.stderr, "an escape sequence in %r" % done.stdout)
    expect("\\x1B[31mred" in done.stdout or "\\x1b[31mred" in done.stdout, "the record as it is: " + done.stdout)


@case("certificates: a name that is missing, and an end that is near or past")
def certificates():
    of = server()
    with open(of.certificate, "rb") as file:
        kept = file.read()
    with open(of.key, "rb") as file:
        kept_key = file.read()
    try:
        certify(of, "DNS:mx.example.test", days="3")
        checked = Checked(GOOD)
        says(checked.of("certificate", CLIENT_HOST, "wrong"), "no certificate has this name")
        expect("expires soon" in checked.of("certificate", of.certificate)[0]["text"], checked.findings)
        equal(checked.code, 1, "exit code")
    finally:
        for path, octets in ((of.certificate, kept), (of.key, kept_key)):
            with open(path, "wb") as file:
                file.write(octets)


@case("--json and --server go with --dns; a server that is no address is a wrong command line")
def usage():
    of = server()
    equal(of.command("check", "--json", check=False).returncode, 2, "check --json")
    equal(of.command("check", "--server", "127.0.0.1", check=False).returncode, 2, "check --server")
    equal(of.command("check", "--dns", "--server", "name", check=False).returncode, 2, "a name")


if __name__ == "__main__":
    harness.main(parallel=1)
