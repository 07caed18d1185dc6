"""mechanisms.py - real clients log in by mechanisms that do not show the password, over TLS 1.2 and 1.3: with the right
secret, a wrong one, as users who have no such secret, and as nobody."""
import base64
import hashlib
import hmac
import os
import re
import shutil
import ssl
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import (HOSTNAME, PATIENCE, TOP, Case, Server, Skipped, b64, body, case, equal, eventually,  # noqa: E402
                     expect, main, marker)

USER, BARE, NOBODY = "alice@example.test", "bob@example.test", "nobody@example.test"  # bob is enrolled for nothing
DEBIAN_PYTHON = "/usr/bin/python3"  # where python3-gssapi is installed
VERSIONS = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}
_server = []


def server():
    if not _server:
        made = Server("mechanisms", config={"auth": {"ntlm": True}, "throttle": {"enabled": False}}, start=False)
        made.command("user", "spa", "enable", USER, "--password-stdin", stdin=Server.password + "\n")
        _server.append(made.start())
    return _server[0]


def session(version):
    """A session of our own over this TLS, and the digest of its certificate (RFC 5929 4)."""
    wire = server().dial("submission")
    wire.ehlo()
    equal(wire.ask("STARTTLS").code, 220, "STARTTLS")
    wire.handshake(version=VERSIONS[version])
    equal(wire.socket.version(), version.replace(" ", "v"), "version of TLS")
    wire.ehlo()
    return wire, hashlib.sha256(wire.socket.getpeercert(True)).digest()


def end_point(digest):
    return b"tls-server-end-point:" + digest


def logged(before, pattern):
    """Waits for a line behind what was there before."""
    eventually(lambda: re.search(pattern, server().log()[before:]), "a log line like " + pattern)


# ---- clients: each logs in as `user` over this TLS; whether it worked, and what was said

def curl(mechanism, version, user, password, *more):
    number = version[4:]
    mark, path = marker(), server().directory + "/curl-" + marker()
    with open(path, "wb") as file:
        file.write(body(mark, sender=USER))
    command = ["curl", "-sSv", "--max-time", str(int(PATIENCE)), "--cacert", server().certificate, "--tlsv" + number,
               "--tls-max", number, "--resolve", "%s:%d:127.0.0.1" % (HOSTNAME, server().ports["submissions"]),
               "--login-options", "AUTH=" + mechanism, "--user", "%s:%s" % (user, password), "--mail-from", USER,
               "--mail-rcpt", "somebody@foreign.example", "--upload-file", path, *more,
               "smtps://%s:%d/client.example" % (HOSTNAME, server().ports["submissions"])]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE * 2)
    text = done.stderr.decode("utf-8", "replace")
    expect("SSL connection using " + version.replace(" ", "v") in text, "another version of TLS:\n" + text)
    if done.returncode == 0:
        server().message("capture", mark)
    return done.returncode == 0, text


def curl_ntlm(version, user, password):
    return curl("NTLM", version, user, password)


def curl_ntlm_initial(version, user, password):
    return curl("NTLM", version, user, password, "--sasl-ir")


def have_gss():
    try:
        done = subprocess.run([DEBIAN_PYTHON, "-c", "import gssapi"], capture_output=True)
        return done.returncode == 0 and os.path.exists("/etc/gss/mech.d/mech.ntlmssp.conf")
    except OSError:
        return False


def gss_ntlm(version, user, password, binding=None):
    """gss-ntlmssp; `binding` makes of the certificate's digest what it is bound to."""
    if not have_gss():
        raise Skipped("gss-ntlmssp and python3-gssapi are not installed")
    wire, digest = session(version)
    arguments = [user] + ([b64(binding(digest))] if binding else [])
    client = subprocess.Popen([DEBIAN_PYTHON, os.path.join(TOP, "tests/client/gss_ntlm.py")] + arguments, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              env=dict(os.environ, GATEPOST_PASSWORD=password))
    with client:
        challenge = wire.want("AUTH NTLM " + client.stdout.readline().strip(), 334).lines[0][4:]
        client.stdin.write(challenge + "\n")
        client.stdin.flush()
        reply = wire.ask(client.stdout.readline().strip())
    wire.close()
    return reply.code == 235, reply.text


def digest_md4(octets):
    done = subprocess.run(["openssl", "dgst", "-md4", "-provider", "legacy", "-provider", "default", "-binary"], input=octets,
                          capture_output=True)
    if done.returncode != 0:
        raise Skipped("this OpenSSL has no MD4")
    return done.stdout


def own_ntlm(version, user, password, binding=None, spoil=None):
    """Written for this test, since no client here sends a MIC; `spoil` changes the answer after it."""
    def mac(key, octets):
        return hmac.new(key, octets, "md5").digest()

    def wide(text):
        return text.encode("utf-16-le")
    wire, digest = session(version)
    negotiate = b"NTLMSSP\0" + struct.pack("<IIQQ", 1, 0x20088205, 0, 0)
    challenge = base64.b64decode(wire.want("AUTH NTLM " + b64(negotiate), 334).lines[0][4:])
    size, _, at = struct.unpack("<HHI", challenge[40:48])
    pairs = challenge[at:at + size - 4] + struct.pack("<HHI", 6, 4, 2)
    if binding:
        hashed = struct.pack("<QQI", 0, 0, len(binding(digest))) + binding(digest)
        pairs += struct.pack("<HH", 10, 16) + hashlib.md5(hashed).digest()
    name, _, domain = user.partition("@")
    key = mac(digest_md4(wide(password)), wide(name.upper()) + wide(domain))
    temp = b"\1\1" + bytes(6) + struct.pack("<Q", 133000000000000000) + os.urandom(8) + bytes(4) + pairs + bytes(8)
    proof = mac(key, challenge[24:32] + temp)
    parts, fields, at = [b"", proof + temp, wide(domain), wide(name), wide("PC"), b""], b"", 88
    for part in parts:
        fields += struct.pack("<HHI", len(part), len(part), at)
        at += len(part)
    head, rest = b"NTLMSSP\0" + struct.pack("<I", 3) + fields + struct.pack("<IQ", 0x20888205, 0), b"".join(parts)
    answer = head + mac(mac(key, proof), negotiate + challenge + head + bytes(16) + rest) + rest
    reply = wire.ask(b64(spoil(answer) if spoil else answer))
    wire.close()
    return reply.code == 235, reply.text


CLIENTS = {
    "NTLM": {"curl": curl_ntlm, "curl with initial response": curl_ntlm_initial, "gss-ntlmssp": gss_ntlm,
             "with a MIC": own_ntlm},
}


# ---- the table

def check_right(mechanism, name, version):
    def check():
        before = len(server().log())
        ok, text = CLIENTS[mechanism][name](version, USER, Server.password)
        expect(ok, "not let in:\n" + text)
        logged(before, r"event=login .*mechanism=%s login=%s" % (mechanism, USER))
    return check


def check_wrong(mechanism, name, version, user, password):
    def check():
        before = len(server().log())
        ok, text = CLIENTS[mechanism][name](version, user, password)
        expect(not ok, "let in:\n" + text)
        expect(re.search(r"\b535\b", text), "not told that it is refused:\n" + text)
        logged(before, r"event=login-failed .*mechanism=%s %s" % (mechanism, "why=" if user == NOBODY else "login=" + user))
    return check


for mechanism_name, clients in CLIENTS.items():
    for client_name in clients:
        for tls_version in VERSIONS:
            what = "%s by %s over %s: " % (mechanism_name, client_name, tls_version)
            Case.add(what + "the right password", check_right(mechanism_name, client_name, tls_version))
            for kind, who, secret in (("a wrong password", USER, "wrong password"),
                                      ("a user without keys", BARE, Server.password),
                                      ("nobody", NOBODY, Server.password)):
                Case.add(what + kind, check_wrong(mechanism_name, client_name, tls_version, who, secret))


# ---- NTLM

@case("NTLM: forms of the name")
def _():
    for user in (USER, "alice", "EXAMPLE.TEST\\alice", "WORKGROUP\\Alice", "\\" + USER):
        ok, text = gss_ntlm("TLS 1.3", user, Server.password)
        expect(ok, "%s is not let in: %s" % (user, text))
    for user in ("example.test\\alice", "WORKGROUP\\alice", "alice"):
        ok, text = curl_ntlm("TLS 1.3", user, Server.password)
        expect(ok, "%s is not let in: %s" % (user, text))


@case("NTLM: the same words for every failure")
def _():
    texts = {gss_ntlm("TLS 1.3", user, password)[1]
             for user, password in ((USER, "wrong password"), (BARE, Server.password), (NOBODY, Server.password))}
    equal(len(texts), 1, "replies: %s" % texts)


@case("NTLM: bound to the certificate, over each TLS")
def _():
    for version in VERSIONS:
        for client in (gss_ntlm, own_ntlm):
            ok, text = client(version, USER, Server.password, end_point)
            expect(ok, "bound to this connection: " + text)
            before = len(server().log())
            ok, text = client(version, USER, Server.password, lambda digest: end_point(bytes(32)))
            expect(not ok and text.startswith("535"), "bound to another connection: " + text)
            logged(before, "login-failed .*channel binding")


@case("NTLM: a message that was changed on the way")
def _():
    for at in (60, 72, 87):  # flags, both ends of the MIC
        ok, text = own_ntlm("TLS 1.3", USER, Server.password,
                            spoil=lambda octets: octets[:at] + bytes([octets[at] ^ 0x10]) + octets[at + 1:])
        expect(not ok and text.startswith("535"), "octet %d: %s" % (at, text))


@case("NTLM: NTLMv1 is refused, and the log says why")
def _():
    if not shutil.which("gsasl"):
        raise Skipped("gsasl is not installed")
    before = len(server().log())
    done = subprocess.run(["gsasl", "--smtp", "--connect=127.0.0.1:%d" % server().ports["submission"], "--mechanism=NTLM",
                           "--authentication-id=" + USER, "--password=" + Server.password, "--hostname=" + HOSTNAME,
                           "--x509-ca-file=" + server().certificate], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=PATIENCE)
    expect(done.returncode != 0, "gsasl was let in: " + done.stdout)
    logged(before, "login-failed .*LM or NTLMv1")


@case("NTLM: passwords and names beyond ASCII")
def _():
    login, password = server().add_user("jürgen@example.test"), "Grüße, 你好 \U0001f511"
    server().command("user", "spa", "enable", login, "--password-stdin", stdin=password + "\n")
    for client in (gss_ntlm, own_ntlm):
        ok, text = client("TLS 1.3", login, password)
        expect(ok, text)


@case("NTLM: app passwords of who is enrolled, until the enrolment ends")
def _():
    login = server().add_user("erin")
    server().command("user", "spa", "enable", login, "--password-stdin", stdin=Server.password + "\n")
    app = server().command("user", "app-password", "add", login, "--name", "phone").stdout.split()[-1]
    expect(gss_ntlm("TLS 1.3", login, app)[0] and gss_ntlm("TLS 1.3", login, Server.password)[0], "enrolled")
    server().command("user", "spa", "disable", login)
    expect(not gss_ntlm("TLS 1.3", login, app)[0] and not gss_ntlm("TLS 1.3", login, Server.password)[0], "not any more")
    expect(server().login("submissions", login, app), "by PLAIN as before")


@case("NTLM: the key is nobody else's to read, and goes with a backup")
def _():
    key = server().state + "/auth/ntlm.key"
    status = os.stat(key)
    equal((status.st_mode & 0o7777, status.st_size, status.st_uid), (0o600, 32, os.geteuid()), "mode, size, owner")
    backup = server().directory + "/backup"
    server().command("backup", backup)
    with open(key, "rb") as file, open(server().state + "/auth/gatepost.db", "rb") as database:
        expect(file.read() not in database.read(), "the key is in the database too")
    with Server("restored", config={"auth": {"ntlm": True}}, users=(), start=False) as other:
        other.command("restore", backup)
        other.start()
        equal(os.stat(other.state + "/auth/ntlm.key").st_uid, os.geteuid(), "owner after a restore")
        first, _server[0] = _server[0], other
        try:
            ok, text = own_ntlm("TLS 1.3", USER, Server.password)
        finally:
            _server[0] = first
        expect(ok, "after a restore: " + text)


if __name__ == "__main__":
    main()
