"""clients.py - the clients that people use: curl, swaks, msmtp and Python's smtplib, over STARTTLS and implicit TLS, with
right and wrong passwords; what arrives is compared octet by octet."""
import os
import re
import shutil
import smtplib
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import HOSTNAME, PATIENCE, Case, Failure, Server, case, equal, expect, main, marker  # noqa: E402

LOGIN = "alice@example.test"
_server = []


def server():
    if not _server:
        _server.append(Server("clients", users=("alice", "bob")))
    return _server[0]


def arrived(box, mark):
    """The octets after what was added on the way: Return-Path, Delivered-To, Received and its folded lines."""
    message = server().message(box, mark)
    lines = message.split(b"\n")
    while lines and re.match(rb"(Return-Path|Delivered-To|Received):|[ \t]", lines[0]):
        lines.pop(0)
    return b"\n".join(lines)


def message(mark, text):
    return ("From: %s\nTo: somebody@foreign.example\nDate: Mon, 01 Jan 2024 00:00:00 +0000\nMessage-ID: <%s@c.example>\n"
            "Subject: test\n\n" % (LOGIN, mark)).encode() + text


BODIES = {
    "plain": b"Hello.\n",
    "dots": b".\n..\n.dot first\nx\n.\n..two\n",
    "long line": b"x" * 998 + b"\nshort\n",
    "8-bit": "Grüße, 你好, \U0001f600\n".encode() + bytes(range(128, 256)) + b"\n",
    "empty body": b"",
    "blank lines": b"\n\n\n\n",
    "looks like From": b"From here\n>From there\n",
}


def run(command, data=None, environment=None):
    done = subprocess.run(command, input=data, capture_output=True, timeout=PATIENCE * 2,
                          env=dict(os.environ, **(environment or {})))
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


# ---- the clients: each sends octets to one recipient, and says whether that worked

def curl(role, password, octets, recipient="somebody@foreign.example"):
    scheme = "smtps" if role == "submissions" else "smtp"
    path = server().directory + "/curl-" + marker()
    with open(path, "wb") as file:
        file.write(octets.replace(b"\n", b"\r\n"))
    command = ["curl", "-sS", "--max-time", str(int(PATIENCE)), "--cacert", server().certificate, "--resolve",
               "%s:%d:127.0.0.1" % (HOSTNAME, server().ports[role]), "--mail-from", LOGIN, "--mail-rcpt", recipient,
               "--upload-file", path, "%s://%s:%d/client.example" % (scheme, HOSTNAME, server().ports[role])]
    if role != "submissions":
        command.insert(1, "--ssl-reqd")
    if password:
        command[1:1] = ["--user", "%s:%s" % (LOGIN, password)]
    return run(command)


def swaks(role, password, octets, recipient="somebody@foreign.example"):
    path = server().directory + "/swaks-" + marker()
    with open(path, "wb") as file:
        file.write(octets.replace(b"\n", b"\r\n"))
    command = ["swaks", "--server", "127.0.0.1", "--port", str(server().ports[role]), "--from", LOGIN, "--to", recipient,
               "--helo", "client.example", "--data", "@" + path, "--tls-on-connect" if role == "submissions" else "--tls"]
    if password:
        command += ["--auth", "PLAIN,LOGIN", "--auth-user", LOGIN, "--auth-password", password]
    return run(command)


def msmtp(role, password, octets, recipient="somebody@foreign.example"):
    command = ["msmtp", "--file=/dev/null", "--host=localhost", "--port=%d" % server().ports[role], "--tls=on",
               "--tls-starttls=" + ("off" if role == "submissions" else "on"), "--tls-trust-file=" + server().certificate,
               "--from=" + LOGIN, "--domain=client.example"]
    if password:
        command += ["--auth=on", "--user=" + LOGIN, "--passwordeval=printf %s \"$GATEPOST_PASSWORD\""]
    return run(command + ["--", recipient], octets, {"GATEPOST_PASSWORD": password or ""})


def python(role, password, octets, recipient="somebody@foreign.example"):
    context = ssl.create_default_context(cafile=server().certificate)
    try:
        if role == "submissions":
            client = smtplib.SMTP_SSL("localhost", server().ports[role], timeout=PATIENCE, context=context)
        else:
            client = smtplib.SMTP("localhost", server().ports[role], timeout=PATIENCE)
            client.starttls(context=context)
        with client:
            if password:
                client.login(LOGIN, password)
            client.sendmail(LOGIN, [recipient], octets.replace(b"\n", b"\r\n"),
                            mail_options=["BODY=8BITMIME"] if any(c > 127 for c in octets) else [])
    except (smtplib.SMTPException, OSError) as error:
        return 1, repr(error)
    return 0, ""


CLIENTS = {"curl": curl, "swaks": swaks, "msmtp": msmtp, "smtplib": python}


def check_body(name, role, kind):
    def check():
        mark = marker()
        octets = message(mark, BODIES[kind])
        code, text = CLIENTS[name](role, Server.password, octets)
        equal(code, 0, "exit of %s: %s" % (name, text[-1500:]))
        found = arrived("capture", mark)
        if name == "swaks":  # it puts a blank line at the end of what it is given
            found, octets = found.rstrip(b"\n"), octets.rstrip(b"\n")
        if found != octets:
            raise Failure("sent     %r\narrived  %r" % (octets[:1500], found[:1500]))
    return check


def check_local(name, role):
    def check():
        mark = marker()
        code, text = CLIENTS[name](role, Server.password, message(mark, b"to one of ours\n"), "bob@example.test")
        equal(code, 0, "exit of %s: %s" % (name, text[-1500:]))
        expect(arrived("bob", mark).startswith(message(mark, b"to one of ours\n").rstrip(b"\n")), "changed on the way")
    return check


def check_refused(name, role, password):
    def check():
        mark = marker()
        code, text = CLIENTS[name](role, password, message(mark, b"never\n"))
        expect(code != 0, "%s sent mail with the password %r" % (name, password))
        expect(re.search(r"53[05]|log in|denied|[Aa]uth", text), "%s says nothing of a login: %s" % (name, text[-800:]))
        server().queue_empty()
        expect(not [m for m in server().messages("capture") if mark.encode() in m], "it arrived")
    return check


for client_name in CLIENTS:
    if client_name != "smtplib" and not shutil.which(client_name):
        print("    %s is not installed: left out" % client_name)
        continue
    for port_role in ("submission", "submissions"):
        for body_kind in BODIES:
            Case.add("%s on %s: %s" % (client_name, port_role, body_kind), check_body(client_name, port_role, body_kind))
        Case.add("%s on %s: to one of ours" % (client_name, port_role), check_local(client_name, port_role))
        Case.add("%s on %s: wrong password" % (client_name, port_role),
                 check_refused(client_name, port_role, "wrong password"))
        Case.add("%s on %s: no login" % (client_name, port_role), check_refused(client_name, port_role, None))


@case("octets: 10 MiB")
def _():
    mark = marker()
    octets = message(mark, b"".join(b"%07d %s\n" % (i, b"y" * 62) for i in range(10 * 1024 * 1024 // 71)))
    code, text = python("submissions", Server.password, octets)
    equal(code, 0, "exit: " + text)
    expect(arrived("capture", mark) == octets, "10 MiB changed on the way")


@case("octets: 300 KiB to user and abroad at once")
def _():
    mark = marker()
    octets = message(mark, b"".join(b"%07d .\n.\n" % i for i in range(28000)))
    wire = server().login("submission")
    wire.want("MAIL FROM:<%s> SIZE=%d" % (LOGIN, len(octets)), 250)
    wire.want("RCPT TO:<bob@example.test>", 250)
    wire.want("RCPT TO:<alice@example.test>", 250)
    wire.want("RCPT TO:<somebody@foreign.example>", 250)
    equal(wire.data(octets.replace(b"\n", b"\r\n")).code, 250, "DATA")
    for box in ("bob", "alice", "capture"):
        expect(arrived(box, mark) == octets, "changed on the way to " + box)


@case("octets: BDAT without a final line end")
def _():
    mark = marker()
    octets = message(mark, b"no end").replace(b"\n", b"\r\n")
    wire = server().login("submissions")
    wire.want("MAIL FROM:<%s>" % LOGIN, 250)
    wire.want("RCPT TO:<bob@example.test>", 250)
    half = len(octets) // 2
    wire.send(b"BDAT %d\r\n%s" % (half, octets[:half]))
    equal(wire.reply().code, 250, "BDAT")
    wire.send(b"BDAT %d LAST\r\n%s" % (len(octets) - half, octets[half:]))
    equal(wire.reply().code, 250, "BDAT LAST")
    equal(arrived("bob", mark), message(mark, b"no end\n"), "what arrived")


@case("octets: a body in single octets")
def _():
    mark = marker()
    octets = message(mark, b".one\n.\ntwo\n").replace(b"\n", b"\r\n").replace(b"\r\n.", b"\r\n..")
    wire = server().dial("mx")
    wire.ehlo()
    wire.want("MAIL FROM:<a@b.example>", 250)
    wire.want("RCPT TO:<bob@example.test>", 250)
    equal(wire.ask("DATA").code, 354, "DATA")
    for octet in octets + b".\r\n":
        wire.send(bytes([octet]))
    equal(wire.reply().code, 250, "end of data")
    equal(arrived("bob", mark), message(mark, b".one\n.\ntwo\n"), "what arrived")


@case("octets: a body without a header")
def _():
    mark = marker()
    wire = server().dial("mx")
    wire.ehlo()
    equal(wire.mail("a@b.example", "bob@example.test", ("no header %s\r\n" % mark).encode()).code, 250, "DATA")
    expect(mark.encode() in arrived("bob", mark), "it is not there")


@case("clients: the certificate is checked by name")
def _():
    context = ssl.create_default_context(cafile=server().certificate)
    for role in ("submissions",):
        with smtplib.SMTP_SSL("127.0.0.1", server().ports[role], timeout=PATIENCE, context=context) as client:
            equal(client.ehlo()[0], 250, "EHLO")


@case("clients: TLS 1.2 and 1.3, and nothing older")
def _():
    import socket
    for version, fine in ((ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
        context = ssl.create_default_context(cafile=server().certificate)
        context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", server().ports["submissions"]), PATIENCE) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as wrapped:
                expect(wrapped.recv(3) == b"220" and fine, "banner over " + version.name)
    done = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % server().ports["submissions"], "-tls1_1",
                           "-cipher", "ALL:@SECLEVEL=0"], stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
    expect(done.returncode != 0, "TLS 1.1 was taken")


if __name__ == "__main__":
    main()
