"""mechanisms.py - each way to log in, by each client that has it, over TLS 1.2 and 1.3: the right secret, and wrong ones.
What a client can do it says itself; what Debian's cannot is told as skipped."""
import base64
import contextlib
import hashlib
import hmac
import os
import re
import secrets
import shutil
import ssl
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import (HOSTNAME, PATIENCE, TOP, Case, Server, Skipped, b64, case, equal, eventually, expect,  # noqa: E402
                     main, marker)

LOGIN = "alice@example.test"
BARE = "bob@example.test"  # not enrolled for NTLM
UMLAUTS = "dora@example.test"
RIGHT = Server.password
WRONG = RIGHT + "?"
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
DEBIAN_PYTHON = "/usr/bin/python3"  # whose module gssapi is
_server = []


def enrol(login, password=RIGHT):
    server().command("user", "spa", "enable", login, "--password-stdin", stdin=password + "\n")


def server():
    """Guesses from one address are what these tests are made of."""
    if not _server:
        _server.append(Server("mechanisms", users=("alice", "bob"),
                              config={"throttle": {"enabled": False}, "auth": {"ntlm": True}}))
        enrol(LOGIN)
    return _server[0]


def run(command, data=b"", environment=None):
    done = subprocess.run(command, input=data, capture_output=True, timeout=PATIENCE * 2,
                          env=dict(os.environ, HOME="/nonexistent", **(environment or {})))
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def priority(version):
    return "NORMAL:-VERS-ALL:+VERS-TLS" + version


# ---- the clients: each logs in by one mechanism over one version of TLS. Exit code and what it said.

def gsasl(mechanism, version, user, password):
    command = ["gsasl", "--smtp", "--connect=localhost:%d" % server().ports["submission"],
               "--mechanism=" + mechanism, "--authentication-id=" + user, "--password=" + password,
               "--x509-ca-file=" + server().certificate, "--priority=" + priority(version), "--verbose"]
    if not mechanism.endswith("-PLUS"):
        command.append("--no-cb")  # it would insist on -PLUS, which is offered
    return run(command)


def gsasl_has():
    return run(["gsasl", "--client-mechanisms"])[1].split()


def msmtp(mechanism, version, user, password):
    return run(["msmtp", "--file=/dev/null", "--host=localhost", "--port=%d" % server().ports["submissions"], "--tls=on",
                "--tls-starttls=off", "--tls-trust-file=" + server().certificate, "--from=" + LOGIN,
                "--domain=client.example", "--tls-priorities=" + priority(version), "--auth=" + mechanism.lower(),
                "--user=" + user, "--passwordeval=printf %s \"$GATEPOST_PASSWORD\"", "--", "bob@example.test"],
               b"Subject: test\n\ntext\n", {"GATEPOST_PASSWORD": password})


def msmtp_has():
    return re.search(r"authentication methods:\n(.*)", run(["msmtp", "--version"])[1]).group(1).upper().split()


def curl(mechanism, version, user, password):
    path = server().directory + "/message"
    with open(path, "wb") as file:
        file.write(b"Subject: test\r\n\r\ntext\r\n")
    return run(["curl", "-sS", "--max-time", str(int(PATIENCE)), "--cacert", server().certificate, "--tlsv" + version,
                "--tls-max", version, "--resolve", "%s:%d:127.0.0.1" % (HOSTNAME, server().ports["submissions"]),
                "--login-options", "AUTH=" + mechanism, "--user", "%s:%s" % (user, password), "--mail-from", LOGIN,
                "--mail-rcpt", "bob@example.test", "--upload-file", path,
                "smtps://%s:%d/client.example" % (HOSTNAME, server().ports["submissions"])])


def curl_has():
    features = re.search(r"(?m)^Features: (.*)", run(["curl", "--version"])[1]).group(1).split()
    return ["PLAIN", "LOGIN"] + ["SCRAM-SHA-256"] * ("gsasl" in features) + ["NTLM"] * ("NTLM" in features)


class Scram:
    """A client of our own: RFC 5802 with Python's arithmetic. `wire` has TLS."""

    def __init__(self, wire, header="n,,", binding=b"", mechanism=None):
        self.wire, self.header, self.binding = wire, header, binding
        self.mechanism = mechanism or "SCRAM-SHA-256" + ("-PLUS" if header.startswith("p") else "")

    def first(self, user):
        self.bare = "n=%s,r=%s" % (user.replace("=", "=3D").replace(",", "=2C"), secrets.token_hex(9))
        reply = self.wire.ask("AUTH %s %s" % (self.mechanism, b64(self.header + self.bare)))
        self.challenge = base64.b64decode(reply.text[4:]).decode() if reply.code == 334 else ""
        return reply

    def final(self, password):
        said = dict(field.split("=", 1) for field in self.challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(said["s"]), int(said["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        final = "c=%s,r=%s" % (b64(self.header.encode() + self.binding), said["r"])
        signed = ",".join([self.bare, self.challenge, final]).encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        self.wanted = "v=" + b64(hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256"))
        self.sent = "%s,p=%s" % (final, b64(bytes(a ^ b for a, b in zip(key, signature))))
        return self.wire.ask(b64(self.sent))

    def log_in(self, user, password):
        reply = self.first(user)
        reply = self.final(password) if reply.code == 334 else reply
        if reply.code != 334:
            return reply
        equal(base64.b64decode(reply.text[4:]).decode(), self.wanted, "the server's signature")
        return self.wire.ask("")


class Ntlm:
    """A client of our own: MS-NLMP with a MIC, which no other here sends. `binding`: what it is bound to."""

    def __init__(self, wire, binding=b""):
        self.wire, self.binding = wire, binding
        self.negotiate = b"NTLMSSP\0" + struct.pack("<IIQQ", 1, 0x20088205, 0, 0)

    def answer(self, challenge, user, password):
        size, _, at = struct.unpack("<HHI", challenge[40:48])
        pairs = challenge[at:at + size - 4] + struct.pack("<HHI", 6, 4, 2)
        if self.binding:
            bound = struct.pack("<QQI", 0, 0, len(self.binding)) + self.binding
            pairs += struct.pack("<HH", 10, 16) + hashlib.md5(bound).digest()
        name, _, domain = user.partition("@")
        key = hmac.digest(md4(wide(password)), wide(name.upper() + domain), "md5")
        temp = b"\1\1" + bytes(6) + struct.pack("<Q", 0x1d0 << 48) + secrets.token_bytes(8) + bytes(4) + pairs + bytes(8)
        proof = hmac.digest(key, challenge[24:32] + temp, "md5")
        parts, fields, at = (b"", proof + temp, wide(domain), wide(name), b"", b""), b"", 88
        for part in parts:
            fields += struct.pack("<HHI", len(part), len(part), at)
            at += len(part)
        head, rest = b"NTLMSSP\0" + struct.pack("<I", 3) + fields + struct.pack("<IQ", 0x20888205, 0), b"".join(parts)
        mic = hmac.digest(hmac.digest(key, proof, "md5"), self.negotiate + challenge + head + bytes(16) + rest, "md5")
        return head + mic + rest

    def log_in(self, user, password, spoil=lambda octets: octets):
        reply = self.wire.ask("AUTH NTLM " + b64(self.negotiate))
        if reply.code != 334:
            return reply
        return self.wire.ask(b64(spoil(self.answer(base64.b64decode(reply.text[4:]), user, password))))


def wide(text):
    return text.encode("utf-16-le")


def md4(octets):
    return subprocess.run(["openssl", "dgst", "-md4", "-provider", "legacy", "-provider", "default", "-binary"], check=True,
                          input=octets, capture_output=True).stdout


@contextlib.contextmanager
def connection(version):
    """A session over this version of TLS, after EHLO."""
    wire = server().dial("submissions", version=VERSIONS[version])
    wire.ehlo()
    try:
        yield wire
    finally:
        wire.close()


def end_point(wire):
    return hashlib.sha256(wire.socket.getpeercert(binary_form=True)).digest()


def own(mechanism, version, user, password):
    with connection(version) as wire:
        if mechanism in ("PLAIN", "LOGIN"):
            reply = wire.auth(user, password, mechanism)
        elif mechanism == "NTLM":
            reply = Ntlm(wire).log_in(user, password)
        elif mechanism == "SCRAM-SHA-256-PLUS":
            reply = Scram(wire, "p=tls-server-end-point,,", end_point(wire)).log_in(user, password)
        else:
            reply = Scram(wire).log_in(user, password)
        return (0 if reply.code == 235 else 1), reply.text


def gss(mechanism, version, user, password, binding=None):
    """gss-ntlmssp; `binding` makes of the connection what it is bound to."""
    with connection(version) as wire:
        arguments = [DEBIAN_PYTHON, TOP + "/tests/client/gss_ntlm.py", user] + ([b64(binding(wire))] if binding else [])
        client = subprocess.Popen(arguments, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  env=dict(os.environ, GATEPOST_PASSWORD=password))
        with client:
            reply = wire.ask("AUTH %s %s" % (mechanism, client.stdout.readline().strip()))
            if reply.code == 334:
                client.stdin.write(reply.text[4:] + "\n")
                client.stdin.flush()
                reply = wire.ask(client.stdout.readline().strip())
        return (0 if reply.code == 235 else 1), reply.text


def gss_has():
    there = os.path.exists(DEBIAN_PYTHON) and run([DEBIAN_PYTHON, "-c", "import gssapi"])[0] == 0
    return ["NTLM"] * (there and os.path.exists("/etc/gss/mech.d/mech.ntlmssp.conf"))


def own_has():
    legacy = run(["openssl", "list", "-providers", "-provider", "legacy"])[0] == 0
    return ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"] + ["NTLM"] * legacy


CLIENTS = {
    "gsasl": (gsasl, gsasl_has),
    "msmtp": (msmtp, msmtp_has),
    "curl": (curl, curl_has),
    "gss-ntlmssp": (gss, gss_has),
    "own": (own, own_has),
}
# Which clients to try with each mechanism. Who has it not, by Debian 12: curl is built without GNU SASL, and msmtp has
# -PLUS from 1.8.25. The NTLM of gsasl and msmtp is NTLMv1.
MECHANISMS = {
    "PLAIN": ("gsasl", "msmtp", "curl", "own"),
    "LOGIN": ("gsasl", "msmtp", "curl", "own"),
    "SCRAM-SHA-256": ("gsasl", "msmtp", "curl", "own"),
    "SCRAM-SHA-256-PLUS": ("gsasl", "msmtp", "own"),
    "NTLM": ("curl", "gss-ntlmssp", "own"),
}


# ---- the same of each

def lacks(client, mechanism):
    """Why it cannot be tried here; None: it can."""
    if client not in ("own", "gss-ntlmssp") and not shutil.which(client):
        return "%s is not installed" % client
    return None if mechanism in CLIENTS[client][1]() else "%s here has no %s" % (client, mechanism)


def need(client, mechanism):
    if lacks(client, mechanism):
        raise Skipped(lacks(client, mechanism))


def attempt(client, mechanism, version, user, password):
    """Exit code, what the client said, and our log of it."""
    start = len(server().log())
    code, text = CLIENTS[client][0](mechanism, version, user, password)
    pattern = r"event=(?:login|login-failed) .*mechanism=%s .*" % mechanism
    found = eventually(lambda: re.search(pattern, server().log()[start:]), "a line about the login\n" + text[-1500:], 15)
    return code, text, found.group(0)


def check_right(client, mechanism, version):
    def check():
        code, text, line = attempt(client, mechanism, version, LOGIN, RIGHT)
        equal(code, 0, "exit of %s: %s" % (client, text[-1500:]))
        expect("event=login " in line and "login=" + LOGIN in line, line)
    return check


def check_wrong(client, mechanism, version, user, password):
    def check():
        code, text, line = attempt(client, mechanism, version, user, password)
        expect(code != 0, "%s logged in: %s" % (client, text[-1500:]))
        expect("event=login-failed " in line, line)
    return check


def add_cases(client, mechanism):
    what = "%s by %s" % (mechanism, client)
    if lacks(client, mechanism):
        Case.add(what, lambda: need(client, mechanism))
        return
    for version in VERSIONS:
        over = "%s over TLS %s: " % (what, version)
        Case.add(over + "right", check_right(client, mechanism, version))
        Case.add(over + "wrong password", check_wrong(client, mechanism, version, LOGIN, WRONG))
        if mechanism == "NTLM":
            Case.add(over + "not enrolled", check_wrong(client, mechanism, version, BARE, RIGHT))
    Case.add(what + ": unknown user", check_wrong(client, mechanism, "1.3", "nobody@example.test", RIGHT))


for mechanism_name, client_names in MECHANISMS.items():
    for client_name in client_names:
        add_cases(client_name, mechanism_name)


# ---- SCRAM alone

def failed_as(wire, reply, words):
    """Answered as any wrong password; the log knows better."""
    equal((reply.code, reply.enhanced), (535, "5.7.8"), "reply")
    expect("event=login-failed" in server().log_has(r".*event=login-failed.*why=\"[^\"]*%s.*" % words).group(0), "log")


@case("SCRAM: a client that was not shown -PLUS")
def _():
    for version in VERSIONS:
        with connection(version) as wire:
            failed_as(wire, Scram(wire, "y,,").log_in(LOGIN, RIGHT), "somebody is in between")


@case("SCRAM: the binding of another connection")
def _():
    for version in VERSIONS:
        with connection(version) as wire, connection(version) as other:
            binding = hashlib.sha256(end_point(wire)).digest()
            failed_as(wire, Scram(wire, "p=tls-server-end-point,,", binding).log_in(LOGIN, RIGHT), "binding of another")
            equal(Scram(other, "p=tls-server-end-point,,", end_point(other)).log_in(LOGIN, RIGHT).code, 235, "its own")


@case("SCRAM: tls-unique under TLS 1.2, its own connection's")
def _():
    with connection("1.2") as wire, connection("1.2") as other:
        unique, others = wire.socket.get_channel_binding("tls-unique"), other.socket.get_channel_binding("tls-unique")
        failed_as(wire, Scram(wire, "p=tls-unique,,", others).log_in(LOGIN, RIGHT), "binding of another")
        equal(Scram(wire, "p=tls-unique,,", unique).log_in(LOGIN, RIGHT).code, 235, "tls-unique")
    with connection("1.3") as wire:
        failed_as(wire, Scram(wire, "p=tls-unique,,", b"x" * 12).log_in(LOGIN, RIGHT), "binding of another")


@case("SCRAM: an old answer")
def _():
    with connection("1.3") as wire:
        first = Scram(wire)
        equal(first.log_in(LOGIN, RIGHT).code, 235, "log in")
    with connection("1.3") as wire:
        equal(Scram(wire).first(LOGIN).code, 334, "challenge")
        equal(wire.ask(b64(first.sent)).code, 535, "again")


@case("SCRAM: nobody's salt is steady, and differs from name to name")
def _():
    def salt(name):
        with connection("1.3") as wire:
            client = Scram(wire)
            equal(client.first(name).code, 334, "challenge for " + name)
            return client.challenge.split(",", 1)[1]
    for name in (LOGIN, "nobody@example.test"):
        equal(salt(name), salt(name.upper()), "salt of " + name)
    expect(len({salt(name) for name in (LOGIN, "bob@example.test", "nobody@example.test", "who@example.test")}) == 4,
           "one salt for two names")
    equal(len(salt("nobody@example.test")), len(salt(LOGIN)), "length of a salt")


@case("SCRAM: a password typed in parts is the composed one")
def _():
    composed, parts = "Zwölf Bücher", "Zwo\u0308lf Bu\u0308cher"
    server().add_user(UMLAUTS, parts)
    for password in (composed, parts, parts.replace(" ", "\u00a0")):
        with connection("1.3") as wire:
            equal(wire.auth(UMLAUTS, password).code, 235, "AUTH PLAIN")
    with connection("1.3") as wire:
        equal(Scram(wire).log_in(UMLAUTS, composed).code, 235, "SCRAM")
    need("gsasl", "SCRAM-SHA-256")
    code, text, line = attempt("gsasl", "SCRAM-SHA-256", "1.3", UMLAUTS, parts)
    equal(code, 0, "exit of gsasl: " + text[-1500:])


@case("SCRAM: mail may be sent after it")
def _():
    mark = marker()
    with connection("1.3") as wire:
        equal(Scram(wire, "p=tls-server-end-point,,", end_point(wire)).log_in(LOGIN, RIGHT).code, 235, "log in")
        equal(wire.mail(LOGIN, "somebody@foreign.example", ("Subject: %s\r\n\r\ntext\r\n" % mark).encode()).code, 250, "mail")
    server().message("capture", mark)


# ---- NTLM alone

def ntlm_end_point(wire):
    return b"tls-server-end-point:" + end_point(wire)


@case("NTLM: forms of the name")
def _():
    need("gss-ntlmssp", "NTLM")
    for user in (LOGIN, "alice", "EXAMPLE.TEST\\alice", "WORKGROUP\\Alice", "\\" + LOGIN):
        code, text = gss("NTLM", "1.3", user, RIGHT)
        equal(code, 0, "%s by gss-ntlmssp: %s" % (user, text))
    for user in ("example.test\\alice", "WORKGROUP\\alice", "alice"):
        code, text = curl("NTLM", "1.3", user, RIGHT)
        equal(code, 0, "%s by curl: %s" % (user, text))


@case("NTLM: the same words for every failure")
def _():
    need("gss-ntlmssp", "NTLM")
    texts = {gss("NTLM", "1.3", user, password)[1]
             for user, password in ((LOGIN, WRONG), (BARE, RIGHT), ("nobody@example.test", RIGHT))}
    equal(len(texts), 1, "replies: %s" % texts)


@case("NTLM: not enrolled, and the log says so")
def _():
    with connection("1.3") as wire:
        failed_as(wire, Ntlm(wire).log_in(BARE, RIGHT), "not enrolled for NTLM")


@case("NTLM: bound to the certificate")
def _():
    need("gss-ntlmssp", "NTLM")
    for version in VERSIONS:
        equal(gss("NTLM", version, LOGIN, RIGHT, ntlm_end_point)[0], 0, "gss-ntlmssp to this connection")
        equal(gss("NTLM", version, LOGIN, RIGHT, lambda wire: b"tls-server-end-point:" + bytes(32))[0], 1, "to another")
        with connection(version) as wire:
            failed_as(wire, Ntlm(wire, b"tls-server-end-point:" + bytes(32)).log_in(LOGIN, RIGHT), "binding of another")
            equal(Ntlm(wire, ntlm_end_point(wire)).log_in(LOGIN, RIGHT).code, 235, "to this connection")


@case("NTLM: an answer that was changed on the way")
def _():
    for at in (60, 72, 87):  # flags, both ends of the MIC
        with connection("1.3") as wire:
            failed_as(wire, Ntlm(wire).log_in(LOGIN, RIGHT, lambda octets: octets[:at] + bytes([octets[at] ^ 0x10]) +
                                              octets[at + 1:]), "wrong password")


@case("NTLM: an old answer")
def _():
    kept = []
    with connection("1.3") as wire:
        equal(Ntlm(wire).log_in(LOGIN, RIGHT, lambda octets: kept.append(octets) or octets).code, 235, "log in")
    with connection("1.3") as wire:
        expect(Ntlm(wire).log_in(LOGIN, RIGHT, lambda octets: kept[0]).code in (501, 535), "again")


@case("NTLM: NTLMv1 is refused, and the log says why")
def _():
    need("gsasl", "NTLM")
    start = len(server().log())
    expect(gsasl("NTLM", "1.3", LOGIN, RIGHT)[0] != 0, "gsasl logged in")
    eventually(lambda: re.search("event=login-failed .*LM or NTLMv1", server().log()[start:]), "the reason in the log")


@case("NTLM: names and passwords beyond ASCII")
def _():
    need("gss-ntlmssp", "NTLM")
    login, password = server().add_user("jürgen@example.test"), "Grüße, 你好 \U0001f511"
    enrol(login, password)
    equal(gss("NTLM", "1.3", login, password)[0], 0, "gss-ntlmssp")
    equal(own("NTLM", "1.3", login, password)[0], 0, "own")


@case("NTLM: app passwords of who is enrolled, until the enrolment ends")
def _():
    login = server().add_user("erin")
    enrol(login)
    app = server().command("user", "app-password", "add", login, "--name", "phone").stdout.split()[-1]
    for password in (app, RIGHT):
        equal(own("NTLM", "1.3", login, password)[0], 0, "enrolled")
    server().command("user", "spa", "disable", login)
    for password in (app, RIGHT):
        equal(own("NTLM", "1.3", login, password)[0], 1, "not any more")
        equal(own("PLAIN", "1.3", login, password)[0], 0, "by PLAIN as before")


@case("NTLM: the key is nobody else's to read, and goes with a backup")
def _():
    key, backup = server().state + "/auth/ntlm.key", server().directory + "/backup"
    status = os.stat(key)
    equal((status.st_mode & 0o7777, status.st_size, status.st_uid), (0o600, 32, os.geteuid()), "mode, size, owner")
    server().command("backup", backup)
    with open(key, "rb") as file, open(backup + "/auth/gatepost.db", "rb") as database:
        expect(file.read() not in database.read(), "the key is in the database too")
    with Server("restored", config={"auth": {"ntlm": True}}, users=(), start=False) as other:
        other.command("restore", backup)
        other.start()
        equal(os.stat(other.state + "/auth/ntlm.key").st_uid, os.geteuid(), "owner after a restore")
        wire = other.dial("submissions")
        wire.ehlo()
        equal(Ntlm(wire).log_in(LOGIN, RIGHT).code, 235, "after a restore")


@case("NTLM: the longest hostname")
def _():
    with Server("long", config={"auth": {"ntlm": True}, "hostname": ".".join(["a" * 61] * 4)}, users=(), start=False) as other:
        other.add_user("alice")
        other.command("user", "spa", "enable", LOGIN, "--password-stdin", stdin=RIGHT + "\n")
        other.start()
        wire = other.dial("submissions")
        wire.ehlo()
        equal(Ntlm(wire).log_in(LOGIN, RIGHT).code, 235, "log in")


if __name__ == "__main__":
    main()
