#!/usr/bin/env python3
"""hooks.py - logins at another server, told to gatepost: gatepost-pop3-login by itself, in a chain of tcpserver, behind
the real Dovecot; Dovecot's reports of failed logins; and all of it while gatepost is dead, deaf or without a disk.

Runs in: `make test`. Trusts: nothing. Never: touches the system's own Dovecot, asserts how long something takes but
against the same without a fault.
"""
import contextlib
import http.client
import json
import os
import poplib
import pwd
import re
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import dovecot  # noqa: E402
from harness import (BUILD, TOP, Failure, Server, Skipped, Wire, case, equal, eventually, expect, free_port, main,  # noqa: E402
                     marker)

PROGRAM = os.path.join(BUILD, "gatepost-pop3-login")
SECRET = "Sw0rdfishSw0rdfishSw0rdfish"
ALICE, BOB = "alice@example.test", "bob@example.test"
BUDGET = 0.2  # seconds that a login may take longer than usual
# Who reports, when this runs as root; else everybody is who runs this.
REPORTER, OTHER = ("news", "games") if os.geteuid() == 0 else (pwd.getpwuid(os.geteuid()).pw_name, None)
ADDRESSES = iter("198.51.100.%d" % n for n in range(1, 255))  # each case has its own, so that none is shared


def address():
    return next(ADDRESSES)


# ---- gatepost with everything that a hook needs

class Gatepost(Server):
    def __init__(self, name, config=None, **rest):
        self.policy = free_port()
        super().__init__(name, start=False)
        secret = self.directory + "/secret"
        with open(secret, "w") as file:
            file.write(SECRET + "\n")
        os.chmod(secret, 0o600)
        self.config.update({
            "proxy_from": ["127.0.0.1"],
            "grant": {"enabled": True},
            "hooks": {"users": [REPORTER], "policy": ["127.0.0.1:%d" % self.policy], "policy_secret_file": secret},
        })
        for key, value in (config or {}).items():
            self.config[key] = dict(self.config.get(key, {}), **value) if isinstance(value, dict) else value
        self.write_config()
        if rest.get("start", True):
            self.start()

    @property
    def login_socket(self):
        return self.run + "/login.sock"

    def smtp(self, client, role="mx"):
        """A session of a client at this address."""
        family = "TCP6 %s 2001:db8::1" if ":" in client else "TCP4 %s 192.0.2.1"
        wire = Wire(self.ports[role], before=("PROXY %s 4711 25\r\n" % (family % client)).encode())
        wire.ehlo()
        return wire

    def may_relay(self, client, sender=ALICE):
        """Whether a client at this address, without AUTH, may send abroad with this sender. What refuses it is a rule."""
        wire = self.smtp(client)
        first = wire.ask("MAIL FROM:<%s>" % sender)
        reply = wire.ask("RCPT TO:<%s@elsewhere.example>" % marker()) if first.code == 250 else first
        wire.close()
        expect(reply.code in (250, 550), "neither accepted nor refused: %r" % reply)
        return reply.code == 250

    def grants(self):
        return self.json("grant", "list")


_shared = {}


def server():
    if "server" not in _shared:
        _shared["server"] = Gatepost("hooks")
    return _shared["server"]


# ---- the program by itself

# What became of the program: it says which descriptors it has, and what they are, over one of its own.
SHOW = """
import json, os, sys
out = int(sys.argv[1])
said = {"arguments": sys.argv[2:], "environment": dict(os.environ), "descriptors": {}}
for name in os.listdir("/proc/self/fd"):
    try:
        said["descriptors"][name] = os.readlink("/proc/self/fd/" + name)
    except OSError:
        pass
os.write(out, json.dumps(said).encode())
os.write(1, b"out")
sys.exit(7)
"""


def environment(**rest):
    return dict({"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}, **rest)


def report(*words, user=REPORTER, env=None, socket_path=None):
    """gatepost-pop3-login from the command line; what it printed and its exit code."""
    options = ["--socket", socket_path] if socket_path else []
    done = subprocess.run([PROGRAM] + options + list(words), env=environment(**(env or {})), capture_output=True, text=True,
                          user=user if os.geteuid() == 0 else None, stdin=subprocess.DEVNULL)
    equal(done.stdout, "", "what it wrote to standard output")
    return done


def becomes(*options, env=None, keep=()):
    """Runs it with a program behind it; what that program saw, and the time it took to get there."""
    ends, inside = os.pipe(), socket.socketpair()
    third = socket.socketpair()
    began = time.monotonic()
    process = subprocess.Popen([PROGRAM] + list(options) + [sys.executable, "-c", SHOW, str(ends[1]), "a", "", "--user"],
                               stdin=inside[1], stdout=inside[1], stderr=inside[1], env=environment(**(env or {})),
                               pass_fds=(ends[1], third[1].fileno()) + tuple(keep))
    os.close(ends[1])
    octets = b""
    while True:
        more = os.read(ends[0], 65536)
        if not more:
            break
        octets += more
    took = time.monotonic() - began
    equal(process.wait(), 7, "exit code of the program behind it")
    os.close(ends[0])
    inside[1].close()
    heard = b""
    inside[0].settimeout(60)
    while True:
        more = inside[0].recv(65536)
        if not more:
            break
        heard += more
    equal(heard, b"out", "what came over descriptors 0 to 2")
    saw = json.loads(octets)
    equal(saw["arguments"], ["a", "", "--user"], "arguments of the program behind it")
    for n in (0, 1, 2, third[1].fileno()):
        expect(str(n) in saw["descriptors"], "descriptor %d is gone: %s" % (n, saw["descriptors"]))
    wanted = {0, 1, 2, ends[1], third[1].fileno()} | set(keep)
    found = {int(n) for n, what in saw["descriptors"].items() if not what.startswith("/proc/")}
    equal(found, wanted, "open descriptors")
    for end in (inside[0],) + third:
        end.close()
    return saw, took


@contextlib.contextmanager
def fake(play=None, listening=True):
    """A login socket of the test's own; `play` gets each connection."""
    path = "/tmp/gatepost-login-%d-%s" % (os.getpid(), marker())
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    os.chmod(path, 0o777)
    if listening:
        listener.listen(0)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                with contextlib.suppress(OSError):
                    play(peer)
    if play:
        threading.Thread(target=serve, daemon=True).start()
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        os.unlink(path)


def quick(times, usual, what):
    """The quickest of several is within the budget of the quickest without a fault: a busy machine slows both."""
    expect(min(times) - min(usual) < BUDGET, "%s took %.3f s, usually %.3f s" % (what, min(times), min(usual)))


DOVECOT = {"USER": ALICE, "IP": "198.51.100.250"}


@case("the program becomes what it was called with, whatever is at the socket")
def becomes_whatever():
    def garbage(peer):
        peer.send(b"\xff" * 60000)

    def closes(peer):
        peer.close()

    kept = []
    usual = [becomes("--socket", "/nowhere/login.sock")[1] for _ in range(3)]  # no user: nothing is tried
    with fake(garbage) as loud, fake(closes) as closing, fake(kept.append) as silent, fake() as deaf, \
            fake(listening=False) as unheard:
        full = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        full.connect(deaf)  # its backlog of one
        for name, path in (("no socket", "/nowhere/login.sock"), ("garbage", loud), ("an end", closing),
                           ("silence", silent), ("nobody", unheard), ("a full backlog", deaf), ("a directory", "/tmp"),
                           ("too long a path", "/" + "x" * 300)):
            quick([becomes("--socket", path, env=DOVECOT)[1] for _ in range(3)], usual, name)
        full.close()


@case("the program becomes what it was called with, whatever it was told")
def becomes_whoever():
    with fake(lambda peer: peer.send(b"ok")) as path:
        for env in ({}, {"USER": ALICE}, {"IP": "x"}, {"USER": "", "IP": ""}, {"USER": "x" * 100000, "IP": "192.0.2.1"},
                    {"USER": "a\nb\x01", "IP": "::1"}, {"MASTER_USER": "root", "USER": ALICE, "IP": "192.0.2.1"}):
            saw, _ = becomes("--socket", path, env=env)
            for name, value in env.items():
                equal(saw["environment"].get(name), value, "the environment's " + name)
        for options in (["--nothing"], ["--nothing=1"], ["-x"], ["--user"], ["--"], ["--service", "", "--"]):
            if options != ["--user"]:
                becomes("--socket", path, *options, env=DOVECOT)
    done = subprocess.run([PROGRAM, "--socket", "/nowhere", "/nowhere/program"], env=environment(**DOVECOT), capture_output=True)
    equal((done.returncode, done.stdout, done.stderr), (111, b"", b""), "a program that is not there")


@case("the program says who, from where and by what, once")
def says():
    heard = []

    def play(peer):
        heard.append(peer.recv(65536))
        peer.send(b"ok")
    with fake(play) as path:
        for env, options, wanted in (
                ({"USER": ALICE, "IP": "192.0.2.1"}, [], (ALICE, "192.0.2.1", "pop3")),
                ({"USER": ALICE, "IP": "2001:db8::1", "AUTHUSER": "x", "TCPREMOTEIP": "192.0.2.9"}, ["--service", "imap"],
                 (ALICE, "2001:db8::1", "imap")),
                ({"USER": "mail", "AUTHUSER": ALICE, "TCPREMOTEIP": "192.0.2.1", "SERVICE": "pop3s"}, [],
                 (ALICE, "192.0.2.1", "pop3s")),
                ({"USER": ALICE, "TCP6REMOTEIP": "2001:db8::2"}, [], (ALICE, "2001:db8::2", "pop3")),
                ({"USER": "x", "IP": "y"}, ["--user=" + BOB, "--address=192.0.2.3"], (BOB, "192.0.2.3", "pop3"))):
            del heard[:]
            becomes("--socket", path, *options, env=env)
            equal(heard, [b"".join(word.encode() + b"\0" for word in ("gatepost-login 1",) + wanted)], "the record")
        del heard[:]
        becomes("--socket", path, env={"USER": ALICE, "IP": "192.0.2.1", "MASTER_USER": "root"})
        equal(heard, [], "the record of a master user's login")
        equal(report("--user", ALICE, "--address", "192.0.2.1", socket_path=path).returncode, 0, "exit code")


# ---- auth at the other end

@case("a report makes a grant for that user at that address")
def grants():
    here, there = address(), address()
    expect(not server().may_relay(here), "a stranger may relay")
    done = report("--user", ALICE, "--address", here, socket_path=server().login_socket)
    equal((done.returncode, done.stderr), (0, ""), "the report")
    expect(server().may_relay(here), "the user may not send after the report")
    expect(not server().may_relay(here, sender=BOB), "with another's sender")
    expect(not server().may_relay(there), "from another address")
    server().log_has(r"login-reported .*user=%s .*client=%s .*service=pop3" % (ALICE, here))
    six = "2001:db8:77::1"
    expect(not server().may_relay(six), "a stranger may relay by IPv6")
    report("--user", "ALICE", "--address", six, socket_path=server().login_socket)
    expect(server().may_relay(six) and not server().may_relay("2001:db8:77::2"), "IPv6")


@case("who is not listed, not known or nowhere gets no grant")
def refusals():
    before = len(server().grants())
    for words, wanted in ((["--user", "nobody", "--address", address()], "unknown user"),
                          (["--user", ALICE, "--address", "localhost"], "no address"),
                          (["--user", ALICE, "--address", "198.51.100.300"], "no address"),
                          (["--user", ALICE, "--address", address(), "--service", "a b"], "malformed report"),
                          (["--user", ALICE, "--address", "127.0.0.1"], "the address does not say who it is")):
        done = report(*words, socket_path=server().login_socket)
        equal(done.returncode, 1, " ".join(words))
        expect(wanted in done.stderr, "%s: %r" % (" ".join(words), done.stderr))
    if OTHER:
        for user in (OTHER, "root"):
            done = report("--user", ALICE, "--address", address(), user=user, socket_path=server().login_socket)
            equal(done.returncode, 69, "a report of %s's" % user)
        server().log_has(r"report-refused .*not in hooks.users")
    equal(len(server().grants()), before, "grants")


def as_reporter(code):
    """Python in a process of the reporter's, with `connect()` to the login socket."""
    head = ("import socket, sys, time\n"
            "def connect():\n"
            "    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
            "    peer.settimeout(60)\n"
            "    peer.connect(%r)\n"
            "    return peer\n" % server().login_socket)
    return subprocess.Popen([sys.executable, "-c", head + code], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            user=REPORTER if os.geteuid() == 0 else None)


@case("garbage at the login socket grants nothing and harms nobody")
def garbage():
    before, auth = server().grants(), server().pids("auth")
    child = as_reporter(r"""
import random
good = b"gatepost-login 1\0alice@example.test\000198.51.100.99\0pop3\0"
records = [b"x", b"\0", b"\0" * 1024, b"\xff" * 60000, good[:-1], good + b"\0", good + b"x", good * 2, good[1:], b"gatepost-login 2" + good[16:],
           good.replace(b"alice@example.test", b""), good.replace(b"alice@example.test", b"a" * 900), good.replace(b"pop3", b""),
           good.replace(b"pop3", b"p" * 33), good.replace(b"198.51.100.99", b"198.51.100.99\n"), good.replace(b"198", b"0x198")]
state = random.Random(5)
for n in range(300):
    one = bytearray(good)
    one[state.randrange(16)] ^= 1 << state.randrange(8)
    records.append(bytes(one))
for record in records:
    peer = connect()
    peer.send(record)
    answer = peer.recv(4096)
    if answer == b"ok":
        print("granted by", record)
    peer.close()
""")
    equal(child.communicate()[0], "", "answers to garbage")
    equal(child.returncode, 0, "exit code")
    equal(server().grants(), before, "grants")
    equal(server().pids("auth"), auth, "the auth process")


@case("silent peers at the login socket keep nobody waiting")
def silence():
    child = as_reporter("peers = [connect() for _ in range(100)]\nprint('there', flush=True)\nsys.stdin.read()\n")
    equal(child.stdout.readline(), "there\n", "its word")
    try:
        here = address()
        equal(report("--user", ALICE, "--address", here, socket_path=server().login_socket).returncode, 0, "the report")
        expect(server().may_relay(here), "no grant")
    finally:
        child.communicate("")


@case("the socket is for the group that is named")
def group():
    if os.geteuid() != 0:
        raise Skipped("a group of its own needs root")
    with Gatepost("group", {"hooks": {"users": ["news", "games"], "group": "news"}}) as one:
        status = os.stat(one.login_socket)
        equal((oct(status.st_mode & 0o777), status.st_gid), ("0o660", pwd.getpwnam("news").pw_gid), "mode and group")
        equal(report("--user", ALICE, "--address", address(), socket_path=one.login_socket).returncode, 0, "news")
        equal(report("--user", ALICE, "--address", address(), user="games", socket_path=one.login_socket).returncode, 69, "games")
        one.config["hooks"]["users"] = ["games"]
        one.write_config()
        expect(one.reload(), "the reload")
        equal(report("--user", ALICE, "--address", address(), socket_path=one.login_socket).returncode, 69, "news, after it")
        one.config["hooks"]["users"] = []
        one.write_config()
        expect(not one.reload(), "a reload that takes the socket away")
    with Gatepost("no-hooks", {"hooks": {"users": [], "policy": []}}) as one:
        expect(not os.path.exists(one.login_socket), "there is a socket that nobody asked for")
        equal(one.pids("policy"), [], "a policy process that nobody asked for")


if __name__ == "__main__":
    main()
