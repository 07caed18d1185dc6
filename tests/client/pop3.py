"""pop3.py - mail that came by SMTP is fetched by POP3: with curl, mpop, fetchmail, getmail and Python's poplib, over STLS and
implicit TLS, and compared octet by octet; and what a session is held to."""
import glob
import os
import poplib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import (HOSTNAME, PATIENCE, Case, Failure, Server, b64, case, equal, eventually, expect, main,  # noqa: E402
                     marker)

ROLES = ("pop3", "pop3s")
_server = []


def server():
    if not _server:
        _server.append(Server("pop3", users=("alice", "bob"), pop3=True,
                              config={"limits": {"connections_per_address": 500, "connections_per_network": 500}}))
    return _server[0]


def new_user():
    return server().add_user("u" + marker().replace("-", ""))


def message(mark, text):
    return ("From: <sender@client.example>\r\nMessage-ID: <%s@client.example>\r\nSubject: %s\r\n\r\n" %
            (mark, mark)).encode() + text


BODIES = {
    "dots": b".\r\n..\r\n.dot first\r\nx\r\n.\r\n..two\r\n",
    "long lines": (b"x" * 998 + b"\r\n") * 3 + b"." + b"y" * 997 + b"\r\n",
    "8-bit": "Grüße, 你好, \U0001f600\r\n".encode() + bytes(range(128, 256)) + b"\r\n",
    "no body": b"",
    "blank lines": b"\r\n\r\n\r\n\r\n",
    "looks like From": b"From here\r\n>From there\r\n",
}
LARGE = b"".join(b"%07d " % i + b"." * (i % 66) + b"\r\n" for i in range(10 << 20 >> 5))[:10 << 20].rpartition(b"\r\n")[0] + b"\r\n"


def send(recipient, octets, to=None, chunks=False):
    """By SMTP from outside, by DATA or by BDAT, and waits until it lies in the mailbox."""
    one = to or server()
    before = len(one.messages(recipient))
    wire = one.dial("mx")
    wire.ehlo()
    wire.want("MAIL FROM:<sender@client.example> BODY=8BITMIME", 250)
    wire.want("RCPT TO:<%s>" % recipient, 250)
    if chunks:
        wire.send(b"BDAT %d LAST\r\n" % len(octets) + octets)
    else:
        wire.want("DATA", 354)
        wire.send(re.sub(rb"(?m)^\.", b"..", octets) + b".\r\n")
    equal(wire.reply().code, 250, "the message")
    wire.want("QUIT", 221)
    eventually(lambda: len(one.messages(recipient)) > before, "the message in the mailbox")


def without_trace(octets, end):
    """What is behind Return-Path, Delivered-To, Received and its folded lines."""
    lines = octets.split(end)
    while lines and re.match(rb"(Return-Path|Delivered-To|Received):|[ \t]", lines[0]):
        lines.pop(0)
    return end.join(lines)


def run(command, environment=None):
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE * 3, env=dict(os.environ, **(environment or {})))
    return done.returncode, done.stdout, (done.stdout + done.stderr).decode("utf-8", "replace")[-1500:]


def scratch():
    path = "%s/fetch-%s" % (server().directory, marker())
    os.mkdir(path, 0o700)
    return path


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o600)
    return path


# ---- the clients: each fetches all messages of a user; the octets, the line end that it leaves, and what it said

def context():
    return ssl.create_default_context(cafile=server().certificate)


def connect(role, login=None, password=None, to=None):
    one = to or server()
    trust = ssl.create_default_context(cafile=one.certificate)
    if role == "pop3s":
        client = poplib.POP3_SSL("localhost", one.ports[role], timeout=PATIENCE, context=trust)
    else:
        client = poplib.POP3("localhost", one.ports[role], timeout=PATIENCE)
        client.stls(trust)
    if login:
        client.user(login)
        client.pass_(password or one.password)
    return client


def python(role, login, password):
    client = connect(role, login, password)
    count, _ = client.stat()
    poplib._MAXLINE = 4096
    found = []
    for number in range(1, count + 1):
        said = int(client.list(number).split()[2])
        octets = b"\r\n".join(client.retr(number)[1]) + b"\r\n"
        equal(len(octets), said, "octets that LIST had said")
        found.append(octets)
        client.dele(number)
    client.quit()
    return found, b"\r\n", ""


def curl_one(role, login, password, path, more=()):
    scheme = "pop3s" if role == "pop3s" else "pop3"
    command = ["curl", "-sS", "--max-time", str(int(PATIENCE)), "--cacert", server().certificate, "--resolve",
               "%s:%d:127.0.0.1" % (HOSTNAME, server().ports[role]), "--user", "%s:%s" % (login, password), *more,
               "%s://%s:%d/%s" % (scheme, HOSTNAME, server().ports[role], path)]
    if role == "pop3":
        command.insert(1, "--ssl-reqd")
    return run(command)


def curl(role, login, password):
    code, listing, text = curl_one(role, login, password, "")
    expect(code == 0, "curl: %s" % text)
    found = []
    for line in listing.split(b"\r\n"):
        if not line:
            continue
        number, size = line.split()
        code, octets, text = curl_one(role, login, password, number.decode())
        expect(code == 0, "curl: %s" % text)
        equal(len(octets), int(size), "octets that LIST had said")
        found.append(octets)
        code, _, text = curl_one(role, login, password, "1", ["--request", "NOOP", "--head"])  # and an odd request
    return found, b"\r\n", ""


def mpop(role, login, password, auth="on"):
    there = scratch()
    for part in ("cur", "new", "tmp"):
        os.mkdir("%s/%s" % (there, part))
    conf = write(there + "/mpoprc", "account a\nhost localhost\nport %d\ntls on\ntls_starttls %s\ntls_trust_file %s\nuser %s\n"
                 "passwordeval printf %%s \"$GATEPOST_PASSWORD\"\ndelivery maildir %s\nreceived_header off\nkeep off\n"
                 "uidls_file %s/uidls\nauth %s\n" % (server().ports[role], "off" if role == "pop3s" else "on", server().certificate, login,
                                            there, there, auth))
    code, _, text = run(["mpop", "--file=" + conf, "a"], {"GATEPOST_PASSWORD": password})
    expect(code == 0, "mpop: " + text)
    return [read(path) for path in glob.glob(there + "/new/*")], b"\n", text


def fetchmail(role, login, password):
    there = scratch()
    conf = write(there + "/fetchmailrc",
                 "set invisible\nset no bouncemail\nset pidfile \"%s/pid\"\nset idfile \"%s/ids\"\n"
                 "poll localhost service %d proto pop3 timeout 60:\n  user \"%s\" password \"%s\" %s sslcertck sslcertfile \"%s\"\n"
                 "  fetchall nokeep norewrite mda \"cat >%s/m.$$\"\n"
                 % (there, there, server().ports[role], login, password, "ssl" if role == "pop3s" else "sslproto \"TLS1.2+\"",
                    server().certificate, there))
    code, _, text = run(["fetchmail", "--fetchmailrc", conf, "--nosyslog", "-v"], {"HOME": there, "FETCHMAILHOME": there})
    expect(code == 0, "fetchmail ended with %d: %s" % (code, text))
    return [read(path) for path in glob.glob(there + "/m.*")], b"\n", text


def getmail(role, login, password):
    there = scratch()
    # It waits for its child without having looked whether it has ended already: so the child takes its time.
    conf = write(there + "/getmailrc",
                 "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = localhost\nport = %d\nusername = %s\npassword = %s\n"
                 "ca_certs = %s\n[destination]\ntype = MDA_external\npath = /bin/sh\nallow_root_commands = true\n"
                 "arguments = (\"-c\", \"cat >%s/m.$$; sleep 0.3\")\n[options]\ndelete = true\nreceived = false\ndelivered_to = false\n"
                 % (server().ports[role], login, password, server().certificate, there))
    code, _, text = run(["getmail", "--getmaildir", there, "--rcfile", conf])
    expect(code == 0, "getmail: " + text)
    return [read(path) for path in glob.glob(there + "/m.*")], b"\n", text


def read(path):
    with open(path, "rb") as file:
        return file.read()


CLIENTS = {"poplib": python, "curl": curl, "mpop": mpop, "fetchmail": fetchmail, "getmail": getmail}
KEEPS = ("curl",)  # what is fetched so stays


def check_round_trip(name, role):
    def check():
        login = new_user()
        sent = {}
        for kind, text in BODIES.items():
            mark = marker()
            sent[mark.encode()] = (kind, message(mark, text))
            send(login, sent[mark.encode()][1])
        mark = marker()  # RFC 3030: the last line may lack its end, which the server gives it
        send(login, message(mark, b"no end of line"), chunks=True)
        sent[mark.encode()] = ("no final newline", message(mark, b"no end of line\r\n"))
        found, end, text = CLIENTS[name](role, login, Server.password)
        equal(len(found), len(sent), "messages that %s fetched: %s" % (name, text))
        for octets in found:
            mark = next((m for m in sent if m in octets), None)
            expect(mark, "an unknown message: %r" % octets[:300])
            kind, wanted = sent.pop(mark)
            wanted = wanted.replace(b"\r\n", end)
            got = without_trace(octets, end)
            if name == "fetchmail":  # it puts an end to a message that has no body
                got, wanted = got.rstrip(b"\n"), wanted.rstrip(b"\n")
            expect(got == wanted, "%s, sent\n%r\nfetched\n%r" % (kind, wanted[:1500], got[:1500]))
        equal(len(server().messages(login)), len(BODIES) + 1 if name in KEEPS else 0, "messages that stay")
    return check


def check_wrong_password(name, role):
    def check():
        login = new_user()
        send(login, message(marker(), b"never\r\n"))
        try:
            found, _, text = CLIENTS[name](role, login, "wrong password")
        except (Failure, poplib.error_proto) as why:
            expect(re.search(r"wrong|denied|[Aa]uth|password|refused", str(why)), "%s says %s" % (name, why))
            found = []
        expect(not found, "%s got mail with a wrong password" % name)
        equal(len(server().messages(login)), 1, "messages")
    return check


for client_name in CLIENTS:
    if client_name != "poplib" and not shutil.which(client_name):
        print("    %s is not installed: left out" % client_name)
        continue
    for client_role in ROLES if client_name != "getmail" else ("pop3s",):  # which knows no STLS
        Case.add("%s %s: what was sent comes back" % (client_name, client_role), check_round_trip(client_name, client_role))
        Case.add("%s %s: a wrong password" % (client_name, client_role), check_wrong_password(client_name, client_role))


@case("10 MiB come back, octet by octet")
def ten_mib():
    login, mark = new_user(), marker()
    octets = message(mark, LARGE)
    send(login, octets)
    for role in ROLES:
        code, got, text = curl_one(role, login, Server.password, "1")
        expect(code == 0, "curl: " + text)
        expect(without_trace(got, b"\r\n") == octets, "%d octets sent, %d fetched" % (len(octets), len(got)))
    found, end, _ = python("pop3s", login, Server.password)
    expect(without_trace(found[0], end) == octets, "poplib got something else")


def check_mechanism(name):
    def check():
        login = new_user()
        send(login, message(marker(), b"x\r\n"))
        try:
            mpop("pop3s", login, "wrong password", name)
            raise AssertionError("in with a wrong password")
        except Failure as why:
            expect("[AUTH]" in str(why) or "wrong" in str(why) or "uthentication" in str(why), "mpop says %s" % why)
        found, _, text = mpop("pop3s", login, Server.password, name)
        equal(len(found), 1, "messages: " + text)
        used = {"user": "plain"}.get(name, name)
        server().log_has("event=login .*mechanism=%s login=%s" % (used.upper(), login))
    return check


if shutil.which("mpop"):
    for mechanism in ("user", "plain", "login", "scram-sha-256"):
        Case.add("mpop logs in by %s" % mechanism, check_mechanism(mechanism))


class Line:
    """A connection line by line."""
    def __init__(self, role="pop3s", to=None, login=None, **rest):
        self.wire = (to or server()).dial(role, greet=False, **rest)
        self.want("+OK")
        if login:
            self.ask("USER " + login, "+OK")
            self.ask("PASS " + Server.password, "+OK")

    def want(self, start):
        line = self.wire.line()
        expect(line is not None and line.startswith(start), "the server said %r, not %s" % (line, start))
        return line

    def ask(self, text, start):
        self.wire.send(text.encode() + b"\r\n")
        return self.want(start)

    def rest(self):
        lines = []
        while (line := self.wire.line()) != ".":
            expect(line is not None, "the server has closed within a list")
            lines.append(line)
        return lines

    def closed(self):
        line = self.wire.line()
        expect(line is None, "the server said %r" % line)


@case("all at once: replies come in order, and a message that goes is not sent after QUIT")
def pipelined():
    login, marks = new_user(), [marker() for _ in range(3)]
    for mark in marks:
        send(login, message(mark, b"..a\r\n"))
    one = Line()
    one.wire.send(("USER %s\r\nPASS %s\r\nSTAT\r\nRETR 2\r\nDELE 2\r\nLIST\r\nRETR 2\r\nUIDL 3\r\nNOOP\r\nQUIT\r\n" %
                   (login, Server.password)).encode())
    one.want("+OK Now")
    one.want("+OK 3 messages")
    one.want("+OK 3 ")
    one.want("+OK")
    expect("...a" in one.rest(), "the dots")
    one.want("+OK Marked")
    one.want("+OK 2 messages")
    equal([line.split()[0] for line in one.rest()], ["1", "3"], "LIST without what is marked")
    one.want("-ERR This message is marked")
    one.want("+OK 3 ")
    one.want("+OK")
    one.want("+OK Goodbye")
    one.closed()
    equal(sorted(m for m in marks if any(m.encode() in text for text in server().messages(login))),
          sorted([marks[0], marks[2]]), "what is left")


@case("marks are forgotten by RSET, by a connection's end, and by silence")
def marks_forgotten():
    login = new_user()
    send(login, message(marker(), b"1\r\n"))
    one = Line(login=login)
    one.ask("DELE 1", "+OK")
    one.ask("DELE 1", "-ERR")
    one.ask("STAT", "+OK 0 0")
    one.ask("RSET", "+OK 1 messages")
    one.ask("QUIT", "+OK")
    equal(len(server().messages(login)), 1, "messages after RSET")
    one = Line(login=login)
    one.ask("DELE 1", "+OK")
    one.wire.socket.close()
    again = eventually(lambda: logged_in(login), "the mailbox is free again")
    again.ask("STAT", "+OK 1 ")
    with Server("pop3 silent", pop3=True, config={"timeouts": {"pop3": "1s"}}) as silent:
        send("alice@example.test", message(marker(), b"1\r\n"), to=silent)
        one = Line(to=silent, login="alice@example.test")
        one.ask("DELE 1", "+OK")
        one.closed()
        silent.log_has("session-ended.*why=timeout")
        equal(len(silent.messages("alice@example.test")), 1, "messages after silence (RFC 1939 3)")


def logged_in(login, role="pop3s"):
    try:
        return Line(role, login=login)
    except Failure as failure:
        if "[IN-USE]" in str(failure):
            return None
        raise


@case("a second login is told that the mailbox is in use; the first goes on")
def in_use():
    login = new_user()
    first, second = Line(login=login), Line()
    second.ask("USER " + login, "+OK")
    second.ask("PASS " + Server.password, "-ERR [IN-USE]")
    second.closed()
    first.ask("STAT", "+OK 0 0")
    first.ask("QUIT", "+OK")
    eventually(lambda: logged_in(login), "the mailbox is free")


@case("arguments")
def arguments():
    login = new_user()
    send(login, message(marker(), b"one\r\ntwo\r\nthree\r\n"))
    one = Line(login=login)
    for text in ("RETR", "RETR x", "RETR 1 1", "DELE -1", "TOP 1", "TOP 1 x", "LIST 1x", "UIDL +1", "STAT 1"):
        one.ask(text, "-ERR")
    for text in ("RETR 0", "RETR 2", "LIST 99999999999999999999999999", "TOP 2 1", "DELE 4294967297"):
        one.ask(text, "-ERR There is no such message")
    one.ask("top 01 0", "+OK")
    lines = one.rest()
    expect(lines[-1] == "" and "one" not in lines, "TOP 1 0 brings the header and the blank line")
    one.ask("TOP 1 2", "+OK")
    equal(one.rest()[-3:], ["", "one", "two"], "TOP 1 2")
    one.ask("TOP 1 99999999999999999999", "+OK")
    equal(one.rest()[-3:], ["one", "two", "three"], "TOP with more lines than there are")
    one.ask("USER alice", "-ERR You are logged in already")
    one.ask("STLS", "-ERR")


@case("an app password opens what it is for; SMTP and POP3 are counted together")
def scopes():
    login = new_user()
    words = server().command("user", "app-password", "add", login, "--name", "phone", "--scope", "pop3")
    secret = words.stdout.split()[-1]
    client = connect("pop3s", login, secret)
    client.quit()
    wire = server().dial("submissions")
    wire.ehlo()
    equal(wire.auth(login, secret).code, 535, "an app password for POP3 by SMTP")
    name = "scanner-" + marker()[:8]
    server().command("user", "login", "add", login, name, "--password-stdin", stdin="the scanner's own\n")
    equal(wire.auth(name, "the scanner's own").code, 235, "a separate name by SMTP")
    line = Line()
    line.ask("USER " + name, "+OK")
    line.ask("PASS the scanner's own", "-ERR [AUTH]")  # which opens no mailbox
    with Server("pop3 throttle", pop3=True, config={"throttle": {"network_failures": 6, "account_failures": 1000}}) as one:
        for i in range(6):
            wire = one.dial("submissions")
            wire.ehlo()
            wire.auth("alice@example.test", "wrong %d" % i)
        said = one.dial("pop3", greet=False).line() or ""
        expect(said.startswith("-ERR [SYS/TEMP]") and "too-many-failed-logins" in said, "POP3 said %r" % said)


@case("without TLS nobody logs in but from where the owner says so")
def in_clear():
    equal(Line("pop3").ask("USER alice", "-ERR")[:27], "-ERR Switch on encryption (", "without TLS")
    with Server("pop3 clear", pop3=True, config={"pop3": {"clear_login_from": ["127.0.0.2"]}}) as one:
        Line("pop3", to=one).ask("USER alice", "-ERR Switch on")
        line = Line("pop3", to=one, source="127.0.0.2")
        line.ask("CAPA", "+OK")
        expect({"USER", "STLS"} <= set(line.rest()), "USER is offered")
        line.ask("USER alice", "+OK")
        line.ask("PASS " + Server.password, "+OK")
        line.ask("QUIT", "+OK")
        line = Line("pop3", to=one, source="127.0.0.2")
        line.ask("AUTH PLAIN " + b64("\0alice@example.test\0" + Server.password), "+OK")


@case("a reload keeps sessions, and takes listeners in and out")
def reload():
    with Server("pop3 reload", pop3=True) as one:
        line = Line(to=one, login="alice@example.test")
        pop3 = one.pids("pop3")
        equal(len(pop3), 1, "processes for POP3")
        expect(one.reload(), "the reload failed")
        eventually(lambda: set(one.pids("pop3")) - set(pop3), "a new listener for POP3")
        line.ask("STAT", "+OK 0 0")
        Line(to=one)
        listeners = one.config["listen"]
        one.config["listen"] = listeners[:3]
        one.write_config()
        expect(one.reload(), "the reload failed")

        def refused():
            try:
                socket.create_connection(("127.0.0.1", one.ports["pop3s"]), 5).close()
            except ConnectionRefusedError:
                return True
            return False
        eventually(refused, "nobody listens for POP3")
        line.ask("STAT", "+OK 0 0")
        one.config["listen"] = listeners
        one.write_config()
        expect(one.reload(), "the reload failed")
        eventually(lambda: not refused(), "somebody listens for POP3 again")
        line.ask("QUIT", "+OK")
        Line(to=one, login="alice@example.test").ask("QUIT", "+OK")


@case("a listener that is killed comes again; sessions of another password end when it is changed")
def life():
    with Server("pop3 life", pop3=True) as one:
        line = Line(to=one, login="alice@example.test")
        one.command("user", "passwd", "alice@example.test", "--password-stdin", stdin="another good password\n")
        line.closed()
        one.log_has("login-revoked")
        before = one.pids("pop3")
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: one.pids("pop3") and one.pids("pop3") != before, "a new listener")
        eventually(lambda: any(r["process"] == "pop3" and r["state"] == "serving" for r in one.status()), "it serves")
        client = connect("pop3s", "alice@example.test", "another good password", to=one)
        client.quit()


@case("a PROXY header names the client")
def proxied():
    with Server("pop3 proxy", pop3=True, config={"proxy_from": ["127.0.0.1"]}) as one:
        header = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 110\r\n"
        line = Line("pop3", to=one, before=header)
        line.ask("QUIT", "+OK")
        one.log_has("connected.*client=203.0.113.9.*role=pop3")
        wire = one.dial("pop3", greet=False, before=b"CAPA\r\nPROXY x\r\n")
        expect((wire.line() or "").startswith("-ERR [SYS/PERM] No usable PROXY header"), "no header, and served")


@case("too many are told so")
def too_many():
    with Server("pop3 many", pop3=True, config={"limits": {"connections_per_address": 2}}) as one:
        held = [Line("pop3", to=one), Line("pop3", to=one)]
        wire = one.dial("pop3", greet=False)
        expect((wire.line() or "").startswith("-ERR [SYS/TEMP]"), "a third connection is served")
        held[0].ask("QUIT", "+OK")


def wants_to_send(one, host, **rest):
    """What a client at this address hears of mail to elsewhere, without a login."""
    wire = one.dial("mx", host=host, **rest)
    wire.ehlo()
    wire.want("MAIL FROM:<alice@example.test>", 250)
    reply = wire.ask("RCPT TO:<friend@elsewhere.example>")
    wire.socket.close()
    return reply.code, reply.rule


@case("who has fetched his mail may send from there, until long after he has left")
def fetched_first():
    with Server("pop3 grants", pop3=True, config={
            "grant": {"enabled": True, "lifetime": "4s", "networks": ["127.0.0.0/8", "::1"]},
            "local_domains": [{"name": "example.test", "sender_needs_auth": False}]}) as one:
        for host, source, other in (("127.0.0.1", "127.0.4.1", "127.0.4.2"), ("::1", None, None)):
            rest = {"source": source} if source else {}
            equal(wants_to_send(one, host, **rest), (550, "relay-denied"), "before")
            line = Line(to=one, host=host, **rest)
            line.ask("USER alice", "+OK")
            line.ask("PASS wrong password", "-ERR [AUTH]")
            equal(wants_to_send(one, host, **rest), (550, "relay-denied"), "after a wrong password")
            line.ask("USER alice", "+OK")
            line.ask("PASS " + Server.password, "+OK")
            equal(wants_to_send(one, host, **rest), (250, None), "while he fetches")
            if other:
                equal(wants_to_send(one, host, source=other), (550, "relay-denied"), "from elsewhere")
            began = time.monotonic()
            while time.monotonic() - began < 6:  # longer than a grant lasts: the session keeps it
                time.sleep(0.5)
                line.ask("NOOP", "+OK")
            equal(wants_to_send(one, host, **rest), (250, None), "as long as the session is open")
            line.ask("QUIT", "+OK")
            equal(wants_to_send(one, host, **rest), (250, None), "after he has left")
            limit = time.monotonic() + PATIENCE
            while wants_to_send(one, host, **rest) == (250, None):  # not too often: what may be sent on it is counted
                expect(time.monotonic() < limit, "the grant does not end")
                time.sleep(0.5)
            equal(wants_to_send(one, host, **rest), (550, "relay-denied"), "after its time")
        one.log_has("event=granted.*alice@example.test")


@case("the password is changed: the session ends, and so does what it granted")
def granted_and_revoked():
    with Server("pop3 grants end", pop3=True, config={
            "grant": {"enabled": True, "networks": ["127.0.0.0/8"]},
            "local_domains": [{"name": "example.test", "sender_needs_auth": False}]}) as one:
        here = {"host": "127.0.0.1", "source": "127.0.4.3"}  # which is nobody's own
        line = Line(to=one, login="alice", source=here["source"])
        equal(wants_to_send(one, **here), (250, None), "while he fetches")
        one.command("user", "passwd", "alice@example.test", "--password-stdin", stdin="another good password\n")
        line.closed()
        equal(wants_to_send(one, **here), (550, "relay-denied"), "with a session of the old password")
        line = Line(to=one, source=here["source"])
        line.ask("USER alice", "+OK")
        line.ask("PASS another good password", "+OK")
        equal(wants_to_send(one, **here), (250, None), "with a new one")
        one.command("grant", "revoke", "alice@example.test")
        time.sleep(2)  # the session stays open; what was taken away is not made anew by that
        equal(wants_to_send(one, **here), (550, "relay-denied"), "after the owner took it away")
        line.ask("QUIT", "+OK")


@case("a password for fetching alone makes no grant, and keeps none")
def fetches_alone():
    with Server("pop3 grants scope", pop3=True, config={
            "grant": {"enabled": True, "networks": ["127.0.0.0/8"]},
            "local_domains": [{"name": "example.test", "sender_needs_auth": False}]}) as one:
        here = {"host": "127.0.0.1", "source": "127.0.4.4"}
        for scope, fetches in (("pop3", 550), (None, 250)):
            words = one.command("user", "app-password", "add", "alice@example.test", "--name", "the %s one" % scope,
                                *(["--scope", scope] if scope else []))
            line = Line(to=one, source=here["source"])
            line.ask("USER alice", "+OK")
            line.ask("PASS " + words.stdout.split()[-1], "+OK")
            equal(wants_to_send(one, **here)[0], fetches, "with an app password of scope %s" % scope)
            line.ask("QUIT", "+OK")
        one.log_has("event=grant-refused.*alice@example.test.*fetching mail alone")


@case("who is suspended for sending too much gets no mailbox, and no grant")
def suspended():
    with Server("pop3 suspended", pop3=True, config={
            "quota": {"messages_per_hour": 1, "suspend_after": 1}, "postmaster": "bob@example.test",
            "grant": {"enabled": True, "networks": ["127.0.0.0/8"]}}) as one:
        wire = one.dial("submissions")
        wire.ehlo()
        wire.auth("alice@example.test", Server.password)
        for _ in range(4):
            if (wire.ask("MAIL FROM:<alice@example.test>")).rule == "account-suspended":
                break
            wire.ask("RCPT TO:<friend@elsewhere.example>")
            wire.ask("DATA")
            wire.ask("Subject: x\r\n\r\nx\r\n.")
        line = Line(to=one, source="127.0.4.5")
        line.ask("USER alice", "+OK")
        line.ask("PASS " + Server.password, "-ERR [SYS/PERM]")
        line.closed()
        one.log_has("event=grant-refused.*alice@example.test.*suspended")
        one.command("user", "enable", "alice@example.test")
        Line(to=one, login="alice").ask("STAT", "+OK")


if __name__ == "__main__":
    main(parallel=2)
