#!/usr/bin/env python3
"""pop3_net.py - attacks on POP3, grants and reports from where an attacker stands: the network, a mail user's own
Maildir, the policy port. What holds is that others are served, nothing grows, and nobody gets more than is his.
"""
import contextlib
import json
import os
import re
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import (SANITIZED, Failure, Server, Wire, b64, body, case, equal, eventually, expect, free_port,  # noqa: E402
                     main, marker)

BALANCER, FOREIGN = "127.0.0.250", "friend@elsewhere.example"
SECRET = "Sw0rdfishSw0rdfishSw0rdfish"
MIB = 1 << 20
_server = []


def server():
    if _server:
        return _server[0]
    one = Server("attacks", users=("alice", "bob", "mallory"), pop3=True, start=False)
    one.policy = free_port()
    with open(one.directory + "/secret", "w") as file:
        file.write(SECRET + "\n")
    os.chmod(one.directory + "/secret", 0o600)
    one.config.update({
        "proxy_from": [BALANCER], "limits": {"connections_per_address": 50, "connections_per_network": 100},
        "grant": {"enabled": True, "messages": 5, "recipients": 12},
        "timeouts": {"data": "4s", "login": "8s", "session": "40s"},
        "hooks": {"users": [], "policy": ["127.0.0.1:%d" % one.policy], "policy_secret_file": one.directory + "/secret"},
    })
    one.config["throttle"].update({"window": "1d"})
    one.write_config()
    _server.append(one.start())
    return one


class Pop3(Wire):
    """A POP3 client at the level of octets."""

    def __init__(self, role="pop3s", client=None, login=None, **rest):
        before = b"PROXY TCP4 %s 192.0.2.1 4711 110\r\n" % client.encode() if client else b""
        super().__init__(server().ports[role], tls=role == "pop3s", source=BALANCER if client else None, greet=False,
                         before=before, **rest)
        self.banner = self.line()
        if login:
            self.login(login)

    def ask(self, text):
        self.send((text.encode() if isinstance(text, str) else text) + b"\r\n")
        return self.line()

    def ok(self, text):
        reply = self.ask(text)
        expect(reply is not None and reply.startswith("+OK"), "%r was answered %r" % (text[:80], reply))
        return reply

    def no(self, text):
        reply = self.ask(text)
        expect(reply is not None and reply.startswith("-ERR"), "%r was answered %r" % (text[:80], reply))
        return reply

    def text(self):
        """The lines up to the dot, as they are sent."""
        lines = []
        while True:
            while b"\n" not in self.buffer:
                more = self.socket.recv(65536)
                expect(more, "the text ended early")
                self.buffer += more
            line, self.buffer = self.buffer.split(b"\n", 1)
            if line == b".\r":
                return lines
            lines.append(line + b"\n")

    def login(self, login):
        self.ok("USER %s@example.test" % login)
        return self.ok("PASS " + Server.password)


def works(login="bob", client=None):
    """Somebody else's session, whole."""
    wire = Pop3(client=client, login=login)
    wire.ok("STAT")
    wire.ok("QUIT")
    wire.close()


def resident(role):
    """Kilobytes of all processes of a role."""
    total = 0
    for pid in server().pids(role):
        with contextlib.suppress(OSError), open("/proc/%d/status" % pid) as file:
            total += int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))
    return total


def pids():
    return {role: server().pids(role) for role in ("auth", "delivery", "queue", "keys", "log", "policy")}


def deliver(login, octets):
    login += "@example.test"
    before = len(server().messages(login))
    wire = server().dial()
    wire.ehlo()
    equal(wire.mail("sender@client.example", login, octets).code, 250, "the message")
    wire.quit()
    eventually(lambda: len(server().messages(login)) > before, "the message in the mailbox")


def empty(login):
    for place in ("new", "cur"):
        directory = server().maildir(login) + "/" + place
        for name in os.listdir(directory) if os.path.isdir(directory) else []:
            os.unlink(directory + "/" + name)


# ---- the protocol

@case("a flood of commands at once is answered in order, and one of bad ones is cut")
def flood():
    wire, n = Pop3(login="mallory"), 20000
    before = resident("auth") + resident("delivery")

    def pour():
        with contextlib.suppress(OSError):
            wire.send(b"NOOP\r\nSTAT\r\n" * n + b"QUIT\r\n")
    thread = threading.Thread(target=pour)
    thread.start()
    for at in range(2 * n + 1):
        line = wire.line()
        expect(line and line.startswith("+OK"), "answer %d is %r" % (at, line))
    thread.join()
    expect(wire.closed(), "more than was asked for")
    expect(resident("auth") + resident("delivery") < before + 8192, "auth or delivery has grown")
    for junk in (b"XYZZY\r\n", b"RETR 1\r\n", b"USER\r\n", b"PASS x\r\n", b"AUTH NOTHING\r\n", b"AUTH PLAIN !\r\n",
                 b"CAPA \0\r\n", b"CAPA\r \r\n", b"x" * 20000 + b"\r\n"):
        wire = Pop3()
        with contextlib.suppress(OSError):
            wire.send(junk * 200)
        answers = 0
        with contextlib.suppress(Failure, OSError):
            while wire.line() is not None:
                answers += 1
        expect(answers < 50, "%r: %d answers" % (junk[:20], answers))
    works()


@case("a line of a megabyte, NUL, CR and LF alone are errors, and the next command is the next")
def lines():
    for role in ("pop3", "pop3s"):
        for octets in (b"x" * MIB, b"USER " + b"y" * MIB, b"CAPA" + b"\0" * 1000, b"NOOP\0\rCAPA", b"\r" * 5000, b"CAPA\x01",
                       b"\x7f", b"AUTH PLAIN " + b"A" * 300000, b"PASS " + b"\xff" * 5000, b""):
            wire = Pop3(role)
            wire.no(octets)
            wire.ok("CAPA")
            wire.text()
            wire.close()
        for octets in (b"CAPA\nCAPA\r\n", b"\nUSER x\r\n", b"STLS\n\r\n"):
            wire = Pop3(role)
            wire.send(octets)
            expect(wire.line().startswith("-ERR"), "a bare LF")
            wire.close()
    works()


@case("what is sent in the clear is not heard behind STLS, and no name is kept")
def stls():
    for before, after in ((b"", b"CAPA\r\nQUIT\r\n"), (b"USER alice@example.test\r\n", b""), (b"", b"USER alice@example.test\r\n"),
                          (b"", b"\x16\x03\x01\x02\x00" + b"x" * 100)):
        wire = Pop3("pop3")
        wire.send(before)
        if before:
            wire.line()
        wire.send(b"STLS\r\n" + after)
        expect(wire.line().startswith("+OK"), "STLS")
        try:
            wire.handshake()
        except OSError:
            expect(after.startswith(b"\x16"), "no handshake behind %r" % after)
            continue
        wire.no("PASS " + Server.password)
        wire.ok("CAPA")
        expect(b"STLS\r\n" not in wire.text(), "STLS twice")
        wire.no("STLS")
        wire.close()


@case("exchanges that are aborted, doubled, or too large end as they should")
def exchanges():
    wire = Pop3()
    for _ in range(2):
        expect(wire.ask("AUTH PLAIN").startswith("+ "), "no challenge")
        wire.no("*")
        expect(wire.ask("AUTH PLAIN").startswith("+ "), "no challenge")
        wire.no("CAPA" * 5000)
        wire.ok("CAPA")
        wire.text()
    wire.close()
    for size in (0, 1, 100, 1000, 6000, 9000, 12000, 12288, 100000):
        wire = Pop3()
        wire.no("AUTH PLAIN " + b64(b"\0alice@example.test\0" + b"p" * size))
        wire.ok("CAPA")
        wire.close()
    for words in ("AUTH PLAIN ==", "AUTH PLAIN = =", "AUTH PLAIN\tAAAA", "AUTH SCRAM-SHA-256 " + b64("n,,n=" + "a" * 5000 + ",r=x"),
                  "AUTH SCRAM-SHA-256 " + b64("y,a=bob,n=alice@example.test,r=" + "\0"), "AUTH PLAIN " + b64("a\0b\0c\0d")):
        wire = Pop3()
        wire.no(words)
        wire.close()
    wire = Pop3(login="mallory")
    for words in ("USER alice@example.test", "PASS x", "AUTH PLAIN " + b64("\0alice@example.test\0" + Server.password)):
        wire.no(words)
    wire.ok("STAT")
    wire.close()
    works()


@case("connections that stay half open keep nobody else out")
def half_open():
    before, held = pids(), []
    for n in range(300 if SANITIZED else 1500):
        with contextlib.suppress(OSError):
            one = socket.create_connection(("127.0.0.1", server().ports["pop3" if n % 2 else "pop3s"]), 60,
                                           source_address=("127.0.%d.%d" % (n % 50 + 1, n % 7 + 1), 0))
            one.setblocking(False)
            with contextlib.suppress(OSError):
                one.send((b"", b"US", b"\x16\x03\x01", b"STLS\r\n")[n % 4])
            held.append(one)
    works(client="198.51.100.9")

    def enters():
        with contextlib.suppress(OSError):
            works()
            return True
    eventually(enters, "a login from the attacker's own network")
    for one in held:
        one.close()
    equal(pids(), before, "processes")
    works()


@case("who does not read a large message grows no process, and holds the mailbox no longer than the time for data")
def stalled():
    empty("mallory")
    text = b"From: <a@client.example>\r\nMessage-ID: <%s@client.example>\r\n\r\n" % marker().encode()
    deliver("mallory", text + (b"x" * 76 + b"\r\n") * (9 * MIB // 78))
    works("mallory")
    roles = ("auth", "delivery", "session", "log")
    before = {role: resident(role) for role in roles}
    wire = Pop3(login="mallory")
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.send(b"RETR 1\r\nDELE 1\r\nQUIT\r\n")
    other = Pop3()
    other.ok("USER mallory@example.test")
    reply = other.no("PASS " + Server.password)
    expect("[IN-USE]" in reply, "not in use: %r" % reply)
    works()
    for role in roles:
        expect(resident(role) < before[role] + 24576, "%s has grown: %d after %d" % (role, resident(role), before[role]))

    def enters():
        again = Pop3()
        again.ok("USER mallory@example.test")
        reply = again.ask("PASS " + Server.password)
        again.close()
        return reply.startswith("+OK")
    eventually(enters, "the end of the session that does not read")
    wire.close()
    equal(len(server().messages("mallory")), 1, "messages: QUIT behind what was not read removed it")


@case("who reads an octet now and then is cut when the session has lasted its time")
def trickle():
    wire = Pop3(login="mallory", timeout=120)
    wire.send(b"RETR 1\r\n" * 3)
    began, octets = time.monotonic(), 0
    with contextlib.suppress(OSError):
        while time.monotonic() - began < 300:
            more = wire.socket.recv(20000)
            if not more:
                break
            octets += len(more)
            time.sleep(0.2)
    expect(time.monotonic() - began < 300, "never cut; it got %d octets" % octets)
    server().log_has("session too long|event=session-ended")
    works("mallory")


@case("marks without QUIT remove nothing, whatever ends the session")
def marks():
    empty("mallory")
    for n in range(5):
        deliver("mallory", body(marker()))
    for end in (b"", b"RSET", b"QUI", b"QUIT \0\r\n", b"QUIT x\r\n", b"quit\n", b"x" * 70000, b"QUIT\r"):
        wire = Pop3(login="mallory")
        for n in range(1, 6):
            wire.ok("DELE %d" % n)
        wire.send(end)
        wire.socket.close()
        eventually(lambda: works("mallory") or True, "the mailbox")
        equal(len(server().messages("mallory")), 5, "messages after %r" % end)
    for words in ("DELE 0", "DELE 6", "DELE 4294967297", "DELE 18446744073709551617", "DELE -1", "DELE 1 2", "DELE 1x", "RETR 0",
                  "TOP 1 -1", "TOP 1", "TOP 6 1", "LIST 0", "UIDL 99999999999999999999", "LIST 1 1"):
        wire = Pop3(login="mallory")
        wire.no(words)
        wire.ok("STAT")
        wire.close()


@case("two sessions race for one mailbox: one is in it, and what both remove goes once")
def race():
    for _ in range(5):
        inside, refused = [], []

        def enter():
            wire = Pop3()
            wire.ok("USER mallory@example.test")
            reply = wire.ask("PASS " + Server.password)
            (inside if reply.startswith("+OK") else refused).append((wire, reply))
        threads = [threading.Thread(target=enter) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(len(inside), 1, "sessions in the mailbox")
        expect(all("[IN-USE]" in reply for _, reply in refused), "refused otherwise: %s" % refused)
        for wire, _ in inside + refused:
            wire.close()
        eventually(lambda: works("mallory") or True, "the mailbox")


# ---- what lies in a Maildir

def put(name, octets, place="new"):
    path = "%s/%s/%s" % (server().maildir("mallory"), place, name)
    with open(path, "wb") as file:
        file.write(octets)
    status = os.stat(server().maildir("mallory"))
    os.chown(path, status.st_uid, status.st_gid)


@case("what a message holds cannot end its text early, and its size is what is sent")
def contents():
    works("mallory")
    empty("mallory")
    texts = [b"", b"\n", b".\n", b".\r\n.\r\nQUIT\r\n", b"a\r.\r\nb", b"\r.\r", b"\0\0\0", b"A: b\n\n" + b"x" * (10 * MIB),
             b"A: b", b"A: b\r\n\r\n.", b"\n.\n..\n", b"x\r", b"\r\n.\r\n" * 30000, b"." * 70000, (b"y" * 65535 + b"\r\n") * 3,
             b"z" * 65533 + b"\r\n.\r\n", b"z" * 65534 + b"\r\n.\r\n", b"z" * 65535 + b"\r\n.\r\n", b"z" * 32767 + b"\n.\n"]
    for n, text in enumerate(texts):
        put("17000000%02d.M1P1.host" % n, text)
    wire = Pop3(login="mallory")
    wire.ok("LIST")
    sizes = {int(a): int(b) for a, b in (line.split() for line in wire.text())}
    equal(len(sizes), len(texts), "messages")
    for n, text in enumerate(texts, 1):
        wire.ok("RETR %d" % n)
        got = wire.text()
        expect(not any(line == b"." or line.startswith(b".") and not line.startswith(b"..") for line in got), "a dot alone")
        plain = b"".join(line[1:] if line.startswith(b".") else line for line in got)
        equal(len(plain), sizes[n], "size of message %d" % n)
        ended = text if text.endswith(b"\n") or not text else text + b"\r\n"
        equal(plain.replace(b"\r\n", b"\n"), ended.replace(b"\r\n", b"\n"), "message %d" % n)
        wire.ok("TOP %d 0" % n)
        wire.text()
    wire.ok("QUIT")


@case("links, pipes and directories in a Maildir are no messages, and name no other's")
def prepared():
    works("mallory")
    empty("mallory")
    top = server().maildir("mallory")
    deliver("alice", body("alice-secret"))
    secret = [os.path.join(server().maildir("alice"), "new", name) for name in os.listdir(server().maildir("alice") + "/new")][0]
    before = len(server().log())
    n = 400
    for i in range(n):
        os.symlink((secret, "/etc/passwd", "/dev/zero", "../../alice/new")[i % 4], "%s/new/15%08d.l" % (top, i))
        os.mkfifo("%s/new/16%08d.f" % (top, i))
        if i < 10:
            os.mkdir("%s/new/17%08d.d" % (top, i))
    put("1800000000." + "n" * 244, b"longest\n")
    put("1800000001.\xff \n\t*?", b"odd\n")
    put("1800000002.a:2,SFR", b"flags\n", "cur")
    for name in ("new", "cur"):
        with contextlib.suppress(OSError):
            os.chmod(top + "/" + name, 0o700)
    os.symlink("/etc/passwd", top + "/gatepost-sizes.new")
    wire = Pop3(login="mallory")
    expect(wire.ok("STAT").startswith("+OK 3 "), "not the three messages")
    wire.ok("UIDL")
    ids = [line.split()[1] for line in wire.text()]
    expect(len(set(ids)) == 3 and all(re.match(rb"[!-~]{1,70}$", one) for one in ids), "unique ids: %s" % ids)
    for i in range(1, 4):
        wire.ok("RETR %d" % i)
        expect(b"secret" not in b"".join(wire.text()), "another's message")
    wire.ok("QUIT")
    wire.close()
    lines = [line for line in server().log()[before:].splitlines() if "measuring a message" in line]
    expect(len(lines) <= 4, "%d lines of log for one login" % len(lines))
    for name in os.listdir(top + "/new"):
        path = top + "/new/" + name
        os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)


@case("a Maildir whose parts are links elsewhere gives no other's mail")
def linked():
    works("mallory")
    top, other = server().maildir("mallory"), server().maildir("alice")
    for name in ("cur", "new"):
        os.rename(top + "/" + name, top + "/" + name + "-")
        os.symlink(other + "/" + name, top + "/" + name)
        wire = Pop3()
        wire.ok("USER mallory@example.test")
        reply = wire.ask("PASS " + Server.password)
        if reply.startswith("+OK"):
            wire.ok("LIST")
            for line in wire.text():
                wire.ask("RETR " + line.split()[0].decode())
                expect(b"alice-secret" not in b"".join(wire.text()), "alice's mail")
        wire.close()
        os.unlink(top + "/" + name)
        os.rename(top + "/" + name + "-", top + "/" + name)
    eventually(lambda: works("mallory") or True, "the mailbox as it was")


@case("a file that shrinks, grows or goes while it is read ends its text or the connection, never in order with less")
def shrinking():
    works("mallory")
    empty("mallory")
    path = server().maildir("mallory") + "/new/1700000000.M1P1.host"
    for after in (0, 100, None):
        put(os.path.basename(path), b"A: b\r\n\r\n" + (b"x" * 76 + b"\r\n") * (6 * MIB // 78))
        wire = Pop3(login="mallory")
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.send(b"RETR 1\r\n")
        wire.line()
        os.truncate(path, after) if after is not None else os.unlink(path)
        with contextlib.suppress(Failure, OSError):
            wire.text()
        wire.close()
    eventually(lambda: works("mallory") or True, "the mailbox")
    works()


# ---- grants

_addresses = iter("203.0.113.%d" % n for n in range(1, 250))


def smtp(client):
    form = "TCP6 %s 2001:db8::1" if ":" in client else "TCP4 %s 192.0.2.1"
    wire = Wire(server().ports["mx"], source=BALANCER, before=("PROXY %s 4711 25\r\n" % (form % client)).encode())
    equal(wire.banner.code, 220, "the greeting")
    wire.ehlo()
    return wire


def grant(client, user="mallory"):
    server().command("grant", "add", user + "@example.test", client)


@case("a grant's budget is spent once, however many sessions spend it at a time")
def budget():
    here, taken, lock = next(_addresses), [], threading.Lock()
    grant(here)

    def spend():
        for _ in range(3):
            with contextlib.closing(smtp(here)) as wire:
                if wire.ask("MAIL FROM:<mallory@example.test>").code != 250:
                    continue
                if wire.ask("RCPT TO:<%s>" % FOREIGN).code != 250:
                    continue
                if wire.data(body(marker(), sender="mallory@example.test")).code == 250:
                    with lock:
                        taken.append(1)
    threads = [threading.Thread(target=spend) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(0 < len(taken) <= 5, "%d messages on a budget of 5" % len(taken))
    here = next(_addresses)
    grant(here)
    wires = [smtp(here) for _ in range(5)]
    for wire in wires:
        wire.ask("MAIL FROM:<mallory@example.test>")
    accepted = sum(wire.ask("RCPT TO:<r%d@elsewhere.example>" % n).code == 250 for n in range(6) for wire in wires)
    equal(accepted, 12, "recipients on a budget of 12")
    for wire in wires:
        wire.close()


@case("a session that is open when its grant ends sends nothing more by it, nor does its transaction")
def ended():
    def passwd():
        server().command("user", "passwd", "mallory@example.test", "--password-stdin", stdin=Server.password + "\n")

    def disable():
        server().command("user", "disable", "mallory@example.test")
        server().command("user", "enable", "mallory@example.test")
    for end in (lambda: server().command("grant", "revoke", "mallory@example.test"), passwd, disable):
        here = next(_addresses)
        grant(here)
        idle, mailed, received, sending = (smtp(here) for _ in range(4))
        for wire in (mailed, received, sending):
            wire.want("MAIL FROM:<mallory@example.test>", 250)
        for wire in (received, sending):
            wire.want("RCPT TO:<%s>" % FOREIGN, 250)
        equal(sending.ask("DATA").code, 354, "DATA")
        end()
        grant(here)  # another one does not bring back what rested on the first
        server().command("grant", "revoke", "mallory@example.test", here)
        idle.ask("MAIL FROM:<mallory@example.test>")
        equal(idle.ask("RCPT TO:<%s>" % FOREIGN).rule, "local-sender-needs-auth", "a new transaction")
        sending.send(body(marker()) + b".\r\n")
        for reply in (mailed.ask("RCPT TO:<%s>" % FOREIGN), received.data(body(marker())), sending.reply()):
            expect(reply.code == 0 or reply.code >= 400, "taken by a grant that has ended: %r" % reply)
        for wire in (idle, mailed, received, sending):
            wire.close()


@case("no form of an address is another's, or escapes what it means")
def forms():
    for text in ("::ffff:127.0.0.1", "::ffff:10.1.2.3", "::127.0.0.1", "fe80::1", "fe80::1%lo", "64:ff9b::7f00:1", "64:ff9b::10.1.2.3",
                 "2002:7f00:1::1", "2002:a01:203::1", "::", "0.0.0.0", "0", "127.1", "0x7f.1", "010.1.2.3", "2130706433", "203.0.113.1/24",
                 "::1%1", "[::1]", "203.0.113.1 ", "203.0.113.256", "100.64.1.1", "fec0::1", "ff02::1", "255.255.255.255",
                 "::ffff:0:10.1.2.3", "::ffff:0:127.0.0.1"):
        done = server().command("grant", "add", "mallory@example.test", text, check=False)
        expect(done.returncode != 0, "a grant for %r: %s" % (text, done.stdout))
    grant("2001:0DB8:0:0::0007")
    for text, code in (("2001:db8::7", 250), ("2001:db8:0:0:0:0:0:7", 250), ("2001:db8::8", 550), ("2001:db8::7:0", 550)):
        with contextlib.closing(smtp(text)) as wire:
            wire.ask("MAIL FROM:<mallory@example.test>")
            equal(wire.ask("RCPT TO:<%s>" % FOREIGN).code == 250, code == 250, "sending from " + text)
    for header in ("TCP4 ::ffff:203.0.113.9 192.0.2.1 1 2", "TCP6 203.0.113.9 192.0.2.1 1 2", "TCP6 fe80::1%lo ::1 1 2",
                   "TCP4 203.0.113.009 192.0.2.1 1 2", "TCP4 203.0.113.9 192.0.2.1 1 2 3", "UNKNOWN"):
        wire = Wire(server().ports["pop3"], source=BALANCER, before=("PROXY %s\r\n" % header).encode(), greet=False)
        line = wire.line()
        expect(line is None or line.startswith("-ERR"), "%s was let in: %r" % (header, line))


# ---- the policy port

def failure(client, **rest):
    return json.dumps(dict({"login": "alice@example.test", "protocol": "imap", "pwhash": "0523", "remote": client, "success": False},
                           **rest)).encode()


def counted(client):
    return sum(row["failures"] for row in server().json("throttle", "list") if row["name"].startswith(client))


def policy(octets):
    """All that is answered to this."""
    with socket.create_connection(("127.0.0.1", server().policy), 60) as wire:
        heard = b""
        with contextlib.suppress(OSError):
            wire.sendall(octets)
            wire.shutdown(socket.SHUT_WR)
            while True:
                more = wire.recv(65536)
                if not more:
                    break
                heard += more
        return heard


@case("requests that two readers would understand differently count for nothing")
def smuggling():
    here = next(_addresses)
    good = b"POST /?command=report HTTP/1.1\r\nX-Gatepost-Secret: %s\r\nContent-Length: %d\r\n\r\n%s" % (
        SECRET.encode(), len(failure(here)), failure(here))
    bare = b"POST /?command=report HTTP/1.1\r\n"
    secret = b"X-Gatepost-Secret: " + SECRET.encode() + b"\r\n"
    text, n = failure(here), len(failure(here))
    for octets in (bare + secret + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (n, text),
                   bare + secret + b"Content-Length: %d\r\nTransfer-Encoding: identity\r\n\r\n%s" % (n, text),
                   bare + secret + b"Content-Length: %d\r\nContent-Length: %d\r\n\r\n%s" % (n, n, text),
                   bare + secret + b"Content-Length: +%d\r\n\r\n%s" % (n, text),
                   bare + secret + b"Content-Length: %d, %d\r\n\r\n%s" % (n, n, text),
                   bare + secret + b"Content-Length: 0x%x\r\n\r\n%s" % (n, text),
                   bare + secret + b"Content-Length : %d\r\n\r\n%s" % (n, text),
                   bare + secret + b"Content-Length:\r\n %d\r\n\r\n%s" % (n, text),
                   bare + secret + b"Content-Length: %d\r\n\r\n%s" % (n - 1, text),
                   bare + secret + b"Content-Length: %d\r\n\r\n%s" % (n + 1, text),
                   bare + secret + b"Content-Length: 18446744073709551615\r\n\r\n" + text,
                   bare + secret + b"\r\n" + text,
                   bare + secret + secret + b"Content-Length: %d\r\n\r\n%s" % (n, text),
                   bare + b"Content-Length: %d\r\n%s\r\n" % (len(good), b"") + good,
                   bare + b"Content-Length: %d\r\n\r\n" % (n + len(secret)) + secret + text,
                   bare.replace(b"\r\n", b"\n") + secret.replace(b"\r\n", b"\n") + b"Content-Length: %d\n\n%s" % (n, text),
                   b"POST http://x/?command=report HTTP/1.1\r\n" + secret + b"Content-Length: %d\r\n\r\n%s" % (n, text),
                   b"POST /?command=report HTTP/2.0\r\n" + secret + b"Content-Length: %d\r\n\r\n%s" % (n, text),
                   b"POST /?command=report  HTTP/1.1\r\n" + secret + b"Content-Length: %d\r\n\r\n%s" % (n, text),
                   b"POST /?command=report\0 HTTP/1.1\r\n" + secret + b"Content-Length: %d\r\n\r\n%s" % (n, text),
                   bare + secret + b"Content-Length: 8000\r\n\r\n" + b"[" * 8000,
                   bare + secret + b'Content-Length: 4000\r\n\r\n{"x":' + b"[" * 3995,
                   bare + secret + b'Content-Length: 4000\r\n\r\n{"x":' + b'{"x":' * 799):
        heard = policy(octets)
        expect(b"200 OK" not in heard, "%r was answered %r" % (octets[:120], heard[:60]))
    equal(counted(here), 0, "failures")
    expect(b"200 OK" in policy(good), "the good one")
    eventually(lambda: counted(here) == 1, "the one failure")


@case("a thousand clients who say nothing, or all of it slowly, keep no report out")
def crowd():
    before, here = pids(), next(_addresses)
    held = []
    for n in range(1000):
        one = socket.create_connection(("127.0.0.1", server().policy), 60)
        with contextlib.suppress(OSError):
            one.send(b"POST /"[:n % 7])
        held.append(one)
        if len(held) > 200:
            held.pop(0).close()
    good = b"POST /?command=report HTTP/1.1\r\nX-Gatepost-Secret: %s\r\nContent-Length: %d\r\n\r\n%s" % (
        SECRET.encode(), len(failure(here)), failure(here))
    expect(b"200 OK" in policy(good), "the report")
    eventually(lambda: counted(here) == 1, "the failure")
    for one in held:
        one.close()
    equal(pids(), before, "processes")


@case("no process has crashed, and none was ended by its filter")
def nobody_crashed():
    expect("signal=" not in "".join(line for line in server().log().splitlines() if "child-exited" in line), "a child crashed")


if __name__ == "__main__":
    main()
