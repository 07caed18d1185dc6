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
        return sorted((row["login"], row["address"]) for row in self.json("grant", "list"))

    def granted(self, client, login=ALICE):
        return (login, client) in self.grants()


_shared = {}


def server():
    if "server" not in _shared:
        # every failure is to be seen: their counters hardly drain
        _shared["server"] = Gatepost("hooks", {"throttle": {"network_failures": 1000, "account_failures": 1000, "window": "1d"}})
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


def as_user(name):
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def report(*words, user=REPORTER, env=None, socket_path=None):
    """gatepost-pop3-login from the command line; what it printed and its exit code."""
    options = ["--socket", socket_path] if socket_path else []
    done = subprocess.run([PROGRAM] + options + list(words), env=environment(**(env or {})), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, **as_user(user))
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


def quick(attempt, usual, what, *words):
    """Done again and again, it once takes no longer than the quickest without a fault and the budget: a busy machine slows
    some, a wait that is too long slows all."""
    times = []
    for _ in range(40):
        times.append(attempt(*words))
        if len(times) > 2 and min(times) - min(usual) < BUDGET:
            return
    raise Failure("%s took %.3f s, usually %.3f s" % (what, min(times), min(usual)))


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
            quick(lambda: becomes("--socket", path, env=DOVECOT)[1], usual, name)
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


def connect(one=None):
    """A connection to the login socket, as the reporter."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer.settimeout(60)
    root = os.geteuid() == 0
    if root:
        os.seteuid(pwd.getpwnam(REPORTER).pw_uid)
    try:
        peer.connect((one or server()).login_socket)
    finally:
        if root:
            os.seteuid(0)
    return peer


def tell(record, one=None):
    with contextlib.closing(connect(one)) as peer:
        peer.send(record)
        return peer.recv(4096)


@case("garbage at the login socket grants nothing and harms nobody")
def garbage():
    before, auth, here = server().grants(), server().pids("auth"), address().encode()
    good = b"gatepost-login 1\0alice@example.test\0" + here + b"\0pop3\0"
    records = [b"x", b"\0", b"\0" * 1024, b"\xff" * 60000, good[:-1], good + b"\0", good + b"x", good * 2, good[1:],
               b"gatepost-login 2" + good[16:], good.replace(b"alice@example.test", b""),
               good.replace(b"alice@example.test", b"a" * 900), good.replace(b"pop3", b""), good.replace(b"pop3", b"p" * 33),
               good.replace(here, here + b"\n"), good.replace(here, b"0x" + here), good.replace(here, b"::ffff:" + here + b"/1")]
    for at in range(16):  # each bit of the head
        for bit in range(8):
            one = bytearray(good)
            one[at] ^= 1 << bit
            records.append(bytes(one))
    for record in records:
        answer = tell(record)
        expect(answer.startswith(b"no "), "%r was answered %r" % (record[:80], answer))
    equal(server().grants(), before, "grants")
    equal(tell(good), b"ok", "answer to the record without a fault")
    equal(server().pids("auth"), auth, "the auth process")


@case("refused reports are counted in the log, not all of them told one by one")
def flood():
    with Gatepost("flood", {"hooks": {"policy": []}}) as one:
        began = time.monotonic()
        for _ in range(100):
            tell(b"x", one)
        eventually(lambda: tell(b"x", one) and re.search("event=report-refused .*count=", one.log()), "a count of what was left out")
        told = len(re.findall("event=report-refused .*malformed", one.log()))
        most = 10 * (time.monotonic() - began + 2)
        expect(told <= most, "%d lines where %d may be" % (told, most))


@case("silent peers at the login socket keep nobody waiting")
def silence():
    silent = [connect() for _ in range(100)]
    here = address()
    equal(report("--user", ALICE, "--address", here, socket_path=server().login_socket).returncode, 0, "the report")
    expect(server().may_relay(here), "no grant")
    for peer in silent:
        peer.close()


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


# ---- a chain of tcpserver

POPUP = """#!{python}
import os, sys
out = lambda text: os.write(1, text.encode() + b"\\r\\n")
octets = b""
def line():
    global octets
    while b"\\n" not in octets:
        more = os.read(0, 1)
        if not more:
            sys.exit(1)
        octets += more
    first, octets = octets.split(b"\\n", 1)
    return first.rstrip(b"\\r")
out("+OK <1.2@%s>" % sys.argv[1])
user = line().split(b" ", 1)[1]
out("+OK")
password = line().split(b" ", 1)[1]
ends = os.pipe()
if os.fork() == 0:
    os.close(ends[1])
    os.dup2(ends[0], 3)
    os.set_inheritable(3, True)
    os.execvp(sys.argv[2], sys.argv[2:])
os.close(ends[0])
os.write(ends[1], user + b"\\0" + password + b"\\0Y1234\\0")
os.close(ends[1])
if os.wait()[1]:
    out("-ERR authorization failed")
"""
CHECKPASSWORD = """#!{python}
import os, sys
user, password = os.read(3, 512).split(b"\\0")[:2]
os.close(3)
if password != {password!r}:
    sys.exit(1)
os.environ["USER"] = user.decode()
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({gid})
    os.setuid({uid})
os.execvp(sys.argv[1], sys.argv[1:])
"""
POP3D = """#!/bin/sh
[ "$1" = Maildir ] || exit 1
printf '+OK \\r\\n'
while read -r word; do
    case $word in QUIT*) break ;; *) printf '+OK 0 0\\r\\n' ;; esac
done
printf '+OK \\r\\n'
"""


class Chain:
    """The sample conf/checkpassword-run with programs of the test's own beside the real tcpserver."""

    def __init__(self, directory, login_socket):
        tcpserver = next((path for path in (os.path.join(TOP, "build/tcpserver/usr/bin/tcpserver"), "/usr/bin/tcpserver")
                          if os.path.exists(path)), None)
        if not tcpserver:
            raise Skipped("there is no tcpserver; conf/deps.sh --test could not fetch it")
        self.port = free_port()
        place = directory + "/chain"
        os.mkdir(place)
        entry = pwd.getpwnam(REPORTER)
        values = {"python": sys.executable, "password": Server.password.encode(), "uid": entry.pw_uid, "gid": entry.pw_gid}
        for name, text in (("qmail-popup", POPUP.format(**values)), ("checkpassword", CHECKPASSWORD.format(**values)),
                           ("qmail-pop3d", POP3D), ("run", self.sample(login_socket))):
            with open(place + "/" + name, "w") as file:
                file.write(text)
            os.chmod(place + "/" + name, 0o755)
        self.log = open(place + "/log", "w+")
        self.process = subprocess.Popen([place + "/run"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        env=environment(PATH=place + ":" + os.path.dirname(tcpserver) + ":" + os.environ["PATH"]))
        eventually(self.answers, "an answer of tcpserver")

    def sample(self, login_socket):
        with open(os.path.join(TOP, "conf", "checkpassword-run")) as file:
            text = file.read()
        for before, after in ((" 0.0.0.0 110 ", " 127.0.0.1 %d " % self.port),
                              ("/usr/local/sbin/gatepost-pop3-login ", PROGRAM + " --socket " + login_socket + " ")):
            expect(before in text, "conf/checkpassword-run has no" + before)
            text = text.replace(before, after)
        return text

    def answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as client:
            return client.recv(3) == b"+OK"

    def login(self, source, user=ALICE, password=Server.password):
        """Logs in from this address; seconds that it took."""
        client = poplib.POP3.__new__(PopFrom)
        client.source = source
        poplib.POP3.__init__(client, "127.0.0.1", self.port, 60)
        return timed_login(client, user, password)

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


class PopFrom(poplib.POP3):
    source = None

    def _create_socket(self, timeout):
        return socket.create_connection((self.host, self.port), timeout, source_address=(self.source, 0))


def timed_login(client, user, password):
    began = time.monotonic()
    client.user(user)
    client.pass_(password)
    client.stat()
    took = time.monotonic() - began
    client.quit()
    client.close()
    return took


def refused_login(login, *words):
    try:
        login(*words)
    except poplib.error_proto:
        return
    raise Failure("%s logged in with a wrong password" % (words,))


@case("a chain of tcpserver and checkpassword")
def tcpserver():
    # its clients are on loopback, which the owner of this one has listed
    with Gatepost("chain", {"grant": {"enabled": True, "networks": ["127.0.0.0/8"]}}) as one:
        chain = Chain(one.directory, one.login_socket)
        try:
            refused_login(chain.login, "127.0.0.5", ALICE, "wrong")
            expect(not one.may_relay("127.0.0.5"), "granted to a wrong password")
            usual = [chain.login("127.0.0.5") for _ in range(5)]
            expect(one.may_relay("127.0.0.5"), "no grant after a login")
            expect(not one.may_relay("127.0.0.6"), "from another address")
            expect(not one.may_relay("127.0.0.5", BOB), "for another user")
            os.unlink(one.login_socket)
            quick(chain.login, usual, "without the socket", "127.0.0.6")
            expect(not one.may_relay("127.0.0.6"), "granted without the socket")
        finally:
            chain.close()


# ---- Dovecot

class Dovecot(dovecot.Process):
    """By the sample conf/dovecot-2.3-hooks.conf, for users of its own; a load balancer tells it where clients are."""

    def __init__(self, one, policy=False, secret=SECRET):
        super().__init__()
        self.one, self.policy, self.secret, self.port = one, policy, secret, free_port()
        owner = pwd.getpwnam(dovecot.MAIL_OWNER)
        os.makedirs(self.directory + "/mail")
        os.chown(self.directory + "/mail", owner.pw_uid, owner.pw_gid)
        for name, users in (("users", ("alice", "bob", "carol")), ("masters", ("root",))):
            with open("%s/%s" % (self.directory, name), "w") as file:
                for user in users:
                    file.write("%s%s:{PLAIN}%s:%d:%d::%s/mail/%s::\n" % (user, "" if name == "masters" else "@example.test",
                                                                         Server.password, owner.pw_uid, owner.pw_gid,
                                                                         self.directory, user))
        self.start()

    def sample(self):
        with open(os.path.join(TOP, "conf", "dovecot-2.3-hooks.conf")) as file:
            text = file.read()
        if self.policy:
            text = re.sub(r"(?m)^#(auth_policy_\w+ = .*)", r"\1", text)
            expect(text.count("\nauth_policy_") == 6, "the sample's lines on policy")
        for before, after in (("/usr/local/sbin/gatepost-pop3-login ", PROGRAM + " --socket " + self.one.login_socket + " "),
                              (":8025/", ":%d/" % self.one.policy), ("Secret: SECRET", "Secret: " + self.secret),
                              ("= NONCE", "= " + SECRET)):
            expect(before in text, "the sample has no " + before)
            text = text.replace(before, after)
        return text

    def configuration(self):
        return self.common() + """
protocols = pop3
disable_plaintext_auth = no
mail_location = maildir:~/
auth_master_user_separator = *
auth_failure_delay = 0
haproxy_trusted_networks = 127.0.0.1
passdb {{
  driver = passwd-file
  master = yes
  args = {here}/masters
}}
passdb {{
  driver = passwd-file
  args = {here}/users
}}
userdb {{
  driver = passwd-file
  args = {here}/users
}}
service pop3-login {{
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {port}
    haproxy = yes
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
""".format(here=self.directory, port=self.port) + self.sample()

    def answers(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as client:
            client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 110\r\n")
            return client.recv(3) == b"+OK"

    def login(self, client, user=ALICE, password=Server.password):
        """Logs in as a client at this address; seconds that it took."""
        wire = poplib.POP3.__new__(PopVia)
        wire.source = client
        poplib.POP3.__init__(wire, "127.0.0.1", self.port, 60)
        return timed_login(wire, user, password)

    def logins(self, client, times=5, **rest):
        return [self.login(client, **rest) for _ in range(times)]


class PopVia(poplib.POP3):
    source = None

    def _create_socket(self, timeout):
        wire = socket.create_connection((self.host, self.port), timeout)
        family = "TCP6 %s 2001:db8::1" if ":" in self.source else "TCP4 %s 192.0.2.1"
        wire.sendall(("PROXY %s 4711 110\r\n" % (family % self.source)).encode())
        return wire


def need_dovecot():
    why = dovecot.missing()
    if not why and not os.path.exists(os.path.join(dovecot.tree(), "usr/lib/dovecot/pop3-login")):
        why = "Dovecot lacks its POP3 server; rm -r build/dovecot and conf/deps.sh --test fetches it"
    if why:
        raise Skipped(why)


@case("Dovecot's post-login script")
def dovecot_login():
    need_dovecot()
    with Dovecot(server()) as other:
        for here, there in ((address(), address()), ("2001:db8:88::1", "2001:db8:88::2")):
            refused_login(other.login, here, ALICE, "wrong")
            expect(not server().may_relay(here), "granted to a wrong password")
            other.login(here)
            expect(server().may_relay(here), "no grant after a login")
            expect(not server().may_relay(here, BOB), "for another user")
            expect(not server().may_relay(there), "from another address")
        here = address()
        other.login(here, user="Alice@Example.test")
        expect(server().may_relay(here), "no grant for a name in capitals")
        here = address()
        other.login(here, user=ALICE + "*root")
        expect(not server().granted(here), "granted to a master user")
        other.login(here, user="carol@example.test")
        server().log_has(r"report-refused .*unknown user")
        expect(not any(where == here for _, where in server().grants()), "granted to who is no user here")


@case("Dovecot's users log in as ever while gatepost is away, deaf or dying")
def dovecot_faults():
    need_dovecot()
    with Gatepost("faults") as one, Dovecot(one) as other:
        usual = other.logins(address())
        here = address()
        for pid in one.pids("auth"):
            os.kill(pid, signal.SIGSTOP)
        try:
            quick(other.login, usual, "with auth deaf", here)
        finally:
            for pid in one.pids("auth"):
                os.kill(pid, signal.SIGCONT)
        one.log_has("report-refused .*nobody waits")
        expect(not one.granted(here), "granted when the login was long over")

        here = address()
        stop = threading.Event()

        def kill():
            while not stop.wait(0.2):
                for pid in one.pids("auth"):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        killer = threading.Thread(target=kill)
        killer.start()
        try:
            quick(other.login, usual, "with auth killed again and again", here)
        finally:
            stop.set()
            killer.join()

        os.rename(one.login_socket, one.login_socket + ".away")
        here = address()
        quick(other.login, usual, "without the socket", here)
        os.rename(one.login_socket + ".away", one.login_socket)
        eventually(lambda: len(one.pids("auth")) == 1 and one.command("user", "list", check=False).returncode == 0, "auth")
        expect(not one.granted(here), "granted without the socket")
        other.login(here)
        expect(one.granted(here), "no grant when all is well again")
        one.stop()
        quick(other.login, usual, "with gatepost stopped", address())
        one.start()


@case("Dovecot's users log in as ever while the disk is full, and nothing is granted")
def dovecot_full_disk():
    need_dovecot()
    with Gatepost("full", {"queue": {"retry": ["1s"], "reserve": "1M", "segment": "1M"}}, start=False) as one:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24M,mode=755", "tmpfs", one.state],
                          capture_output=True).returncode != 0:
            raise Skipped("no file system can be mounted here")
        try:
            one.add_user("alice")
            one.start()
            with Dovecot(one) as other:
                usual = other.logins(address())
                with contextlib.suppress(OSError), open(one.state + "/filler", "wb", buffering=0) as file:
                    while file.write(b"x" * 4096):
                        pass
                # what the database has room for without the disk is taken first
                for n in range(3000):
                    done = report("--user", ALICE, "--address", "203.0.113.%d" % (n % 250), "--service", "x%d" % n,
                                  socket_path=one.login_socket)
                    if done.returncode != 0:
                        break
                expect("try again later" in done.stderr, "the last report: %r" % done.stderr)
                here = address()
                quick(other.login, usual, "on a full disk", here)
                one.log_has("storage-full")
                os.unlink(one.state + "/filler")
                expect(not one.granted(here), "granted on a full disk")
                one.log_has("storage-back")
                other.login(here)
                expect(one.may_relay(here), "no grant when there is room again")
            one.stop()
        finally:
            subprocess.run(["umount", "-l", one.state], check=False)


# ---- Dovecot's reports of failed logins

def counted(client, one=None):
    return sum(row["failures"] for row in (one or server()).json("throttle", "list") if row["name"].startswith(client))


def post(octets, secret=SECRET, command="report", one=None, header="X-Gatepost-Secret"):
    connection = http.client.HTTPConnection("127.0.0.1", (one or server()).policy, timeout=60)
    try:
        headers = {header: secret} if secret is not None else {}
        connection.request("POST", "/?command=" + command, octets, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def failed(client, login=ALICE, **rest):
    return json.dumps(dict({"device_id": "", "login": login, "protocol": "imap", "pwhash": "0523", "remote": client,
                            "session_id": "x", "success": False, "policy_reject": False, "tls": False}, **rest)).encode()


def held(client, one):
    """Whether a login from there is turned away before anybody looks at it."""
    wire = Wire(one.ports["submissions"], tls=False, greet=False,
                before=("PROXY TCP4 %s 192.0.2.1 4711 465\r\n" % client).encode())
    with contextlib.closing(wire):
        try:
            wire.handshake()
        except OSError:  # before TLS there are no words
            return True
        banner = wire.reply()
        if banner.code == 220:
            wire.ehlo()
            banner = wire.auth(ALICE, Server.password)
        return banner.code != 235


@case("a report with the secret counts a failure, and nothing else")
def policy_counts():
    here = address()
    for number in range(1, 4):
        equal(post(failed(here, pwhash="%04x" % number)), (200, b'{"status":0,"msg":""}'), "the answer")
        eventually(lambda: counted(here) == number, "%d failures at %s" % (number, here))
    server().log_has(r"failure-reported .*login=%s .*client=%s .*service=imap" % (ALICE, here))
    before = server().grants()
    for octets, command in ((failed(here, success=True), "report"), (failed(here, policy_reject=True), "report"),
                            (failed(here, fail_type="internal"), "report"), (failed(here), "allow"),
                            (failed(here, success=True), "allow"), (failed(""), "report")):
        equal(post(octets, command=command), (200, b'{"status":0,"msg":""}'), "the answer to %s %s" % (command, octets))
    equal(counted(here), 3, "failures after what does not count")
    equal(server().grants(), before, "grants")


@case("without the secret nothing counts")
def policy_secret():
    here = address()
    for secret in (None, "", SECRET[:-1], SECRET + "x", SECRET.lower(), "x" * len(SECRET)):
        equal(post(failed(here), secret)[0], 401, "status for %r" % secret)
    equal(post(failed(here), SECRET, header="Authorization")[0], 401, "in another header")
    server().log_has("event=policy .*without the secret")
    equal(post(failed(here))[0], 200, "status with the secret")
    eventually(lambda: counted(here) == 1, "the one failure")


@case("garbage and slow clients at the policy port harm nobody")
def policy_garbage():
    here, pids = address(), (server().pids("policy"), server().pids("auth"))

    def dial():
        return socket.create_connection(("127.0.0.1", server().policy), 60)
    slow = [dial() for _ in range(40)]
    for wire in slow[:20]:
        with contextlib.suppress(OSError):
            wire.sendall(b"POST /?command=report HTTP/1.1\r\nX-Gatepost-Secret: ")
    for octets in (b"\xff" * 100000, b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
                   b"\r\n" * 5000, b"POST / HTTP/1.1\r\n" + b"A: b\r\n" * 4000):
        with dial() as wire, contextlib.suppress(OSError):
            wire.sendall(octets)
            while wire.recv(65536):
                pass
    for octets in (b"", b"{", b"[" * 4000, b'{"success":false}x', failed(here, login="x" * 400), failed(here, login=["x"])):
        equal(post(octets)[0], 400, "status for %r" % octets[:40])
    equal(counted(here), 0, "failures")
    equal(post(failed(here))[0], 200, "status of a report among them")
    eventually(lambda: counted(here) == 1, "the one failure")
    for wire in slow:
        wire.close()
    with dial() as wire:  # two reports in one packet, over one connection
        text = failed(here, pwhash="1111"), failed(here, pwhash="2222")
        wire.sendall(b"".join(b"POST /?command=report HTTP/1.1\r\nX-Gatepost-Secret: %s\r\nContent-Length: %d\r\n\r\n%s" %
                              (SECRET.encode(), len(one), one) for one in text))
        eventually(lambda: counted(here) == 3, "both")
    equal((server().pids("policy"), server().pids("auth")), pids, "processes")


@case("who guesses at Dovecot is held at SMTP")
def policy_dovecot():
    need_dovecot()
    with Gatepost("guesses", {"throttle": {"network_failures": 10, "account_failures": 100}}) as one:
        here, there, other_secret = address(), address(), "x" * len(SECRET)
        with Dovecot(one, policy=True, secret=other_secret) as other:
            for n in range(3):
                refused_login(other.login, here, ALICE, "guess %d" % n)
            one.log_has("event=policy .*without the secret")
            equal(counted(here, one), 0, "failures reported without the secret")
        with Dovecot(one, policy=True) as other:
            other.login(there)
            for _ in range(5):  # the same password: an old telephone, and no guess
                refused_login(other.login, there, ALICE, "old password")
            for n in range(12):
                refused_login(other.login, here, ALICE, "guess %d" % n)
            eventually(lambda: counted(here, one) >= 12, "failures that Dovecot reported: %d" % counted(here, one))
            expect(held(here, one), "a login from where twelve passwords were guessed is looked at")
            expect(not held(there, one), "a login from where one password was wrong five times is not looked at")
            expect(one.granted(there) and not one.granted(here), "grants: %s" % one.grants())
            equal(counted(there, one), 0, "failures from where a login at SMTP was right by now")
            for pid in one.pids("policy"):
                os.kill(pid, signal.SIGKILL)
            other.login(there)
            one.log_has("child-restarted .*of=policy")
            refused_login(other.login, there, ALICE, "another")
            eventually(lambda: counted(there, one) == 1, "a failure that the new process heard of")


if __name__ == "__main__":
    main()
