"""harness.py - real servers for tests: each in a directory of its own, on free loopback ports, stopped by process id.

Runs in: the test programs under tests/. Never: kills what it did not start, asserts how long something takes.
"""
import atexit
import base64
import contextlib
import glob
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))
GATEPOST = os.path.join(TOP, "gatepost") if BUILD == os.path.join(TOP, "build") else os.path.join(BUILD, "gatepost")
SANITIZED = "sanitize" in os.path.basename(BUILD)
PATIENCE = 120.0 if SANITIZED else 60.0  # for things that happen at once on an idle machine
ROLE_USERS = ("session", "auth", "verifier", "keys", "queue", "mail", "resolver", "policy", "log", "pop3")
HOSTNAME = "mx.example.test"
NO_QUOTA = {"messages_per_hour": 1000000, "messages_per_day": 1000000, "recipients_per_hour": 1000000,
            "recipients_per_day": 1000000, "suspend_after": 0}  # one that does not bind


# What a sanitizer says of the processes, who share the master's stderr in that build: once confined they can open no file.
REPORT = re.compile(r"ERROR: (Address|Leak)Sanitizer|runtime error:|Sanitizer: |Can't open file: ")


def own_environment(extra=None):
    """The environment of what is started: sanitizers report to stderr, where it is looked for."""
    environment = dict(os.environ, **(extra or {}))
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        words = [w for w in environment.get(name, "").split(":") if w and not w.startswith("log_path=")]
        if name in environment:
            environment[name] = ":".join(words)
    if SANITIZED:  # the leak check stops the world by ptrace, which no confined process can; the units have it
        # and the names of functions come from a program of its own, which none can start: addresses will do
        for name, options in (("ASAN_OPTIONS", "detect_leaks=0:symbolize=0"), ("UBSAN_OPTIONS", "symbolize=0")):
            environment[name] = ":".join(filter(None, [environment.get(name), options]))
    return environment


def look_for_reports(text, where):
    """A sanitizer's report in the text fails the case, and is kept in $REPORTS."""
    if not SANITIZED or not REPORT.search(text):
        return None
    directory = os.environ.get("REPORTS")
    if directory:
        with tempfile.NamedTemporaryFile("w", dir=directory, prefix="server.", delete=False) as file:
            file.write(where + "\n" + text)
    return "a sanitizer's report from %s: %s" % (where, text[REPORT.search(text).start():][:1500])


# ---- cases

class Failure(AssertionError):
    pass


class Skipped(Exception):
    """What the case needs is not to be had here: neither passed nor failed, and counted apart."""


class Case:
    """A named function; main() runs those whose names hold a word of the command line, or all."""
    registered = []

    def __init__(self, name, function):
        self.name, self.function = name, function

    @classmethod
    def add(cls, name, function):
        cls.registered.append(cls(name, function))


def case(name):
    def register(function):
        Case.add(name, function)
        return function
    return register


def expect(condition, text):
    if not condition:
        raise Failure(text)


def equal(found, wanted, what):
    if found != wanted:
        raise Failure("%s: %r, not %r" % (what, found, wanted))


def eventually(condition, what, seconds=None):
    """The value of condition() as soon as it is true."""
    limit = time.monotonic() + (seconds or PATIENCE)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > limit:
            raise Failure("never happened: " + what)
        time.sleep(0.02)


def _run_one(one, verbose):
    try:
        one.function()
    except Skipped as why:
        return "skipped %s: %s" % (one.name, why)
    except Exception as error:  # a test program goes on to the next case whatever happened
        text = str(error) if isinstance(error, Failure) else traceback.format_exc()
        return "FAILED %s\n    %s" % (one.name, text.rstrip().replace("\n", "\n    "))
    return "ok %s" % one.name if verbose else None


def main(parallel=1):
    """Runs the cases, prints failures and the count, stops the shared servers, exits 1 when one failed."""
    words = [a for a in sys.argv[1:] if not a.startswith("-")]
    verbose = "-v" in sys.argv
    chosen = [c for c in Case.registered if not words or any(w in c.name for w in words)]
    waiting, lock, failed, skipped = list(chosen), threading.Lock(), [], []

    def worker():
        while True:
            with lock:
                if not waiting:
                    return
                one = waiting.pop(0)
            text = _run_one(one, verbose)
            if text:
                with lock:
                    print(text, flush=True)
                    if text.startswith("FAILED"):
                        failed.append(one.name)
                    if text.startswith("skipped"):
                        skipped.append(one.name)

    threads = [threading.Thread(target=worker) for _ in range(parallel)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for server in list(Server.running):
            if failed and (verbose or len(Server.running) == 1):
                print("    last of the log of %s:\n      %s" %
                      (server.name, "\n      ".join(server.log().splitlines()[-15:])))
            problem = server.close()
            if problem:
                failed.append(problem)
                print("FAILED closing %s: %s" % (server.name, problem))
    print("%d passed, %d failed" % (max(0, len(chosen) - len(failed) - len(skipped)), len(failed)))
    sys.exit(1 if failed or not chosen else 0)


# ---- processes

def process_state(pid):
    """Letter of /proc/PID/stat, or None when there is no such process."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None


def alive(pid):
    return process_state(pid) not in (None, "Z", "X")


def children_of(pid):
    found = []
    for path in glob.glob("/proc/%d/task/*/children" % pid):
        with contextlib.suppress(OSError):
            with open(path) as file:
                found += [int(word) for word in file.read().split()]
    return found


def program_of(pid):
    """Name of the executable without "gatepost-"; None when it cannot be told."""
    try:
        name = os.path.basename(os.readlink("/proc/%d/exe" % pid).split(" ")[0])
    except PermissionError:  # ours cannot be dumped, and tell only root; how they were called they tell all
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as file:
                name = os.path.basename(file.read().split(b"\0")[0].decode())
        except OSError:
            return None
    except OSError:
        return None
    return name[9:] if name.startswith("gatepost-") else name


# ---- what a server needs

def make_users():
    """The role users, when running as root: as conf/install.sh does, or by useradd."""
    if os.geteuid() != 0:
        return
    import pwd
    names = ["_gatepost-" + role for role in ROLE_USERS]

    def missing():
        known = {entry.pw_name for entry in pwd.getpwall()}
        return [name for name in names if name not in known]

    script = os.path.join(TOP, "conf", "install.sh")
    if missing() and os.path.exists(script):
        subprocess.run(["sh", script, "users"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)

    def made():
        for name in missing():  # another test program may be at it, and have the lock of /etc/passwd
            subprocess.run(["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
                            "--shell", "/usr/sbin/nologin", name], stderr=subprocess.DEVNULL, check=False)
        return not missing()
    eventually(made, "role users", 20)


def make_certificate(directory, name="certificate", host=HOSTNAME, kind="ec"):
    """PEM certificate and key for `host` and loopback; the paths."""
    certificate, key = os.path.join(directory, name + ".pem"), os.path.join(directory, name + ".key")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"] if kind == "ec" else ["-newkey", "rsa:2048"]
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=" + host, "-addext",
                    "subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1,IP:::1" % host, "-keyout", key, "-out",
                    certificate] + new, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.chmod(key, 0o600)
    return certificate, key


_claimed = []


def free_port(hosts=("127.0.0.1", "::1")):
    """A port that is this process's alone among the tests, which run beside others, as long as it lives; and outside the
    range from which the kernel gives clients theirs, as a server is started again while they dial."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        low = int(file.read().split()[0])
    ports = range(10000, low if low > 12000 else 32768)
    for port in random.sample(ports, 200):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind("\0gatepost-test-port-%d" % port)
            for host in hosts:
                with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                    probe.bind((host, port))
        except OSError:
            claim.close()
            continue
        _claimed.append(claim)
        return port
    raise Failure("no free port")


def merge(into, extra):
    for key, value in (extra or {}).items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value
    return into


def render(value, depth=0):
    """libconfig text of dict (group), list of dict (list), list (array), str, int, bool."""
    if isinstance(value, dict):
        inner = "".join("    " * (depth + 1) + "%s = %s;\n" % (k, render(v, depth + 1)) for k, v in value.items())
        return "{\n" + inner + "    " * depth + "}"
    if isinstance(value, (list, tuple)):
        groups = any(isinstance(v, dict) for v in value)
        return ("( %s )" if groups else "[ %s ]") % ", ".join(render(v, depth + 1) for v in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return '"%s"' % str(value).replace("\\", "\\\\").replace('"', '\\"')


# ---- a server

class Server:
    running = []
    password = "correct horse battery"

    def __init__(self, name, config=None, users=("alice", "bob"), start=True, environment=None, pop3=False, options=()):
        make_users()
        self.name, self.process, self.notify = name, None, None
        self.environment, self.options = own_environment(environment), tuple(options)  # of serve
        base = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
        self.directory = tempfile.mkdtemp(prefix="gatepost-", dir=base)
        os.chmod(self.directory, 0o755)
        self.state, self.run = self.directory + "/state", self.directory + "/run"
        self.certificate, self.key = make_certificate(self.directory)
        self.config_path, self.log_path = self.directory + "/gatepost.conf", self.directory + "/log"
        self.roles = ("mx", "submission", "submissions") + (("pop3", "pop3s") if pop3 else ())
        self.ports = {role: free_port() for role in self.roles}
        self.config = merge(self.standard(), config)
        self.write_config()
        Server.running.append(self)
        for user in users:
            self.add_user(user)
        if start:
            self.start()

    def standard(self):
        def listener(role):
            return {"role": role, "address": ["127.0.0.1:%d" % self.ports[role], "[::1]:%d" % self.ports[role]]}
        return {
            "hostname": HOSTNAME, "state_directory": self.state, "run_directory": self.run,
            "local_domains": ["example.test"],
            "listen": [listener(role) for role in self.roles],
            "tls": {"certificates": [{"certificate_file": self.certificate, "key_file": self.key}]},
            "auth": {"argon2_memory": "19M", "argon2_passes": 2},
            "limits": {"connections_per_address": 500, "connections_per_network": 500},
            "throttle": {"network_failures": 100000, "account_failures": 100000},  # all come from one address
            "quota": dict(NO_QUOTA),
            "queue": {"retry": ["1s"], "reserve": "1M"},
            "delivery": {"foreign": "capture"},
        }

    def write_config(self, text=None):
        if text is None:
            text = "".join("%s = %s;\n" % (k, render(v)) for k, v in self.config.items())
        with open(self.config_path, "w") as file:
            file.write(text)

    # -- the command line

    def command(self, *words, stdin=None, check=True, text=True):
        done = subprocess.run([GATEPOST, "--config", self.config_path] + list(words), input=stdin, text=text,
                              capture_output=True, timeout=PATIENCE * 2, env=self.environment)
        report = look_for_reports(done.stderr if text else done.stderr.decode("utf-8", "replace"), " ".join(words))
        expect(not report, report)
        if check and done.returncode != 0:
            raise Failure("gatepost %s: exit code %d\n%s%s" %
                          (" ".join(words), done.returncode, done.stdout, done.stderr))
        return done

    def json(self, *words):
        text = self.command(*words, "--json").stdout
        return [json.loads(line) for line in text.splitlines()] if words[0] == "queue" else json.loads(text)

    def add_user(self, user, password=None):
        login = user if "@" in user else user + "@example.test"
        self.command("user", "add", login, "--password-stdin", stdin=(password or self.password) + "\n")
        return login

    # -- life

    def start(self, wait=True):
        path = self.directory + "/notify"
        with contextlib.suppress(OSError):
            os.unlink(path)
        if self.notify:
            self.notify.close()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(path)
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen([GATEPOST, "--config", self.config_path, "serve", *self.options], stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log, env=dict(self.environment, NOTIFY_SOCKET=path))
        log.close()
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, word=b"READY=1"):
        limit = time.monotonic() + PATIENCE * 2
        self.notify.settimeout(0.2)
        while time.monotonic() < limit:
            with contextlib.suppress(socket.timeout):
                if word in self.notify.recv(4096):
                    return
            if self.process.poll() is not None:
                raise Failure("the server %s ended with %d while starting:\n%s" %
                              (self.name, self.process.returncode, self.log()[-3000:]))
        raise Failure("the server %s is not ready:\n%s" % (self.name, self.log()[-3000:]))

    def reload(self):
        """SIGHUP, and waits until the new listener serves alone or the reload has failed."""
        before = self.pids("listener")
        start = len(self.log())
        self.process.send_signal(signal.SIGHUP)
        eventually(lambda: re.search(r"\b(reloaded|reload-failed)\b", self.log()[start:]), "the reload")
        if "reload-failed" in self.log()[start:]:
            return False

        def replaced():
            rows = [r for r in self.status() if r["process"] == "listener" and r["state"] == "serving"]
            return rows and all(r["pid"] not in before for r in rows)
        eventually(replaced, "a new listener after the reload")
        return True

    def status(self):
        return self.json("status")["processes"]

    def terminate(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def stop(self):
        """SIGTERM and wait; the exit code."""
        self.terminate()
        try:
            return self.process.wait(PATIENCE * 2)
        except subprocess.TimeoutExpired:
            pids = self.tree()
            self.process.kill()
            self.process.wait()
            raise Failure("SIGTERM did not end the server; its processes were %s" % pids)

    def kill(self):
        """kill -9 of the master, as a crash; waits until all its children are gone."""
        if not self.process or self.process.poll() is not None:
            return
        pids = self.tree()
        self.process.kill()
        self.process.wait()
        for pid in pids:  # a test may have stopped some
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        eventually(lambda: not any(alive(pid) for pid in pids), "the end of the children of a killed master")

    def close(self):
        """Ends it and removes its directory. What went wrong, or None."""
        Server.running.remove(self)
        problem = None
        if self.process and self.process.poll() is None:
            try:
                if self.stop() != 0:
                    problem = "exit code %d" % self.process.returncode
            except Failure as failure:
                problem = str(failure)
        if self.notify:
            self.notify.close()
        if os.path.exists(self.log_path):
            problem = look_for_reports(self.log(), self.name) or problem
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.directory, ignore_errors=True)
        else:
            print("kept: " + self.directory)
        return problem

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            print("    log of %s:\n      %s" % (self.name, "\n      ".join(self.log().splitlines()[-12:])))
        problem = self.close()
        if problem and not kind:
            raise Failure("%s did not end well: %s" % (self.name, problem))

    # -- its processes

    def tree(self):
        """Every process of the server, the master included."""
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting += children_of(pid)
        return found

    def pids(self, role):
        """master, listener, session (pool included), agent, or a program's name."""
        master = self.process.pid
        if role == "master":
            return [master]
        if role in ("session", "agent"):
            parents = self.pids("listener" if role == "session" else "delivery")
            return [child for parent in parents for child in children_of(parent)]
        program = "session" if role == "listener" else role
        return [pid for pid in children_of(master) if program_of(pid) == program]

    def agents(self, role):
        """The agents of delivery or of outbound."""
        return [child for parent in self.pids(role) for child in children_of(parent)]

    # -- what it leaves

    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def log_has(self, pattern):
        return eventually(lambda: re.search(pattern, self.log()), "a log line like " + pattern)

    def maildir(self, login):
        if login == "capture":
            return self.state + "/capture"
        local, domain = login.split("@") if "@" in login else (login, "example.test")
        return "%s/mail/%s/%s" % (self.state, domain, local)

    def messages(self, login):
        """Every message of a mailbox (or "capture"), as octets."""
        found = []
        for path in sorted(glob.glob(self.maildir(login) + "/new/*") + glob.glob(self.maildir(login) + "/cur/*")):
            with contextlib.suppress(FileNotFoundError):
                with open(path, "rb") as file:
                    found.append(file.read())
        return found

    def message(self, login, marker):
        """The one message that holds the marker; waits for it."""
        marker = marker.encode() if isinstance(marker, str) else marker

        def look():
            return [m for m in self.messages(login) if marker in m]
        found = eventually(look, "a message with %r in the mailbox of %s" % (marker, login))
        equal(len(found), 1, "messages with %r in the mailbox of %s" % (marker, login))
        return found[0]

    def queue_empty(self):
        return eventually(lambda: self.json("queue", "list") == [], "an empty queue")

    # -- clients

    def dial(self, role="mx", tls=None, host="127.0.0.1", greet=True, **rest):
        return Wire(self.ports[role], host=host, tls=role in ("submissions", "pop3s") if tls is None else tls, greet=greet, **rest)

    def login(self, role="submission", user="alice@example.test", password=None):
        """A session that has logged in over TLS."""
        wire = self.dial(role)
        wire.ehlo()
        if role != "submissions":
            wire.starttls()
            wire.ehlo()
        reply = wire.auth(user, password or self.password)
        equal(reply.code, 235, "AUTH")
        return wire


@atexit.register
def _leave_nothing():
    for server in list(Server.running):
        with contextlib.suppress(Failure, OSError):
            server.kill()
        server.close()


signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # a time limit outside: the above runs


# ---- a client at the level of octets

class Reply:
    def __init__(self, lines):
        self.lines = lines
        self.code = int(lines[0][:3]) if lines and lines[0][:3].isdigit() else 0
        self.text = "\n".join(lines)

    def __repr__(self):
        return repr(self.text)

    @property
    def enhanced(self):
        match = re.match(r"\d{3}[ -](\d\.\d{1,3}\.\d{1,3})\b", self.lines[0]) if self.lines else None
        return match.group(1) if match else None

    @property
    def rule(self):
        match = re.search(r"\(([a-z0-9-]+)\)$", self.lines[-1]) if self.lines else None
        return match.group(1) if match else None


class Wire:
    def __init__(self, port, host="127.0.0.1", tls=False, greet=True, source=None, timeout=None, before=b"", version=None):
        self.buffer, self.version = b"", version
        self.socket = socket.create_connection((host, port), timeout or PATIENCE,
                                               source_address=(source, 0) if source else None)
        if before:
            self.socket.sendall(before)
        if tls:
            self.handshake()
        self.banner = self.reply() if greet else None

    def handshake(self, name=HOSTNAME, version=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.version:
            context.minimum_version = context.maximum_version = self.version
        self.socket = context.wrap_socket(self.socket, server_hostname=name)
        self.buffer = b""

    def send(self, octets):
        self.socket.sendall(octets)

    def line(self):
        """The next line without its end; None when the server has closed."""
        while b"\n" not in self.buffer:
            try:
                more = self.socket.recv(65536)
            except (ConnectionResetError, ssl.SSLError):
                more = b""
            except socket.timeout:
                raise Failure("no line from the server in time; so far %r" % self.buffer)
            if not more:
                if self.buffer:
                    raise Failure("the connection ended within a line: %r" % self.buffer)
                return None
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\n", 1)
        expect(line.endswith(b"\r"), "a line of the server ends without CR: %r" % line)
        expect(len(line) + 1 <= 512, "a reply line is longer than 512 octets (RFC 5321 4.5.3.1.5): %r" % line)
        return line[:-1].decode("utf-8")

    def reply(self):
        """A whole reply; code 0 and no lines when the server has closed."""
        lines = []
        while True:
            line = self.line()
            if line is None:
                return Reply(lines)
            expect(re.match(r"\d{3}([ -]|$)", line), "no reply line: %r" % line)
            expect(not lines or line[:3] == lines[0][:3], "codes differ within one reply: %r" % (lines + [line]))
            lines.append(line)
            if line[3:4] != "-":
                return Reply(lines)

    def ask(self, text):
        self.send((text.encode("utf-8") if isinstance(text, str) else text) + b"\r\n")
        return self.reply()

    def want(self, text, code, enhanced=None, rule=None):
        """Sends a line and checks its reply."""
        reply = self.ask(text)
        if reply.code != code or (enhanced and reply.enhanced != enhanced) or (rule and reply.rule != rule):
            raise Failure("%r was answered %r, not %s %s %s" % (text, reply.text, code, enhanced or "", rule or ""))
        return reply

    def ehlo(self, name="client.example"):
        reply = self.ask("EHLO " + name)
        equal(reply.code, 250, "EHLO after %r" % self.banner)
        return reply

    def starttls(self):
        reply = self.ask("STARTTLS")
        equal(reply.code, 220, "STARTTLS")
        self.handshake()

    def auth(self, user, password, mechanism="PLAIN"):
        if mechanism == "PLAIN":
            return self.ask("AUTH PLAIN " + b64("\0%s\0%s" % (user, password)))
        reply = self.ask("AUTH LOGIN")
        reply = self.ask(b64(user)) if reply.code == 334 else reply
        return self.ask(b64(password)) if reply.code == 334 else reply

    def data(self, octets):
        """DATA and the body, which is stuffed here; the last reply."""
        reply = self.ask("DATA")
        if reply.code != 354:
            return reply
        if not octets.endswith(b"\r\n"):
            octets += b"\r\n"
        self.send(re.sub(rb"(?m)^\.", b"..", octets) + b".\r\n")
        return self.reply()

    def mail(self, sender, recipient, octets):
        self.want("MAIL FROM:<%s>" % sender, 250)
        self.want("RCPT TO:<%s>" % recipient, 250)
        return self.data(octets)

    def closed(self):
        """Whether the server closes without another word."""
        return self.line() is None

    def quit(self):
        reply = self.ask("QUIT")
        self.close()
        return reply

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.close()


def b64(text):
    return base64.b64encode(text.encode("utf-8") if isinstance(text, str) else text).decode()


def body(marker, text="Hello.\r\n", sender="sender@client.example"):
    return ("From: <%s>\r\nSubject: %s\r\nMessage-ID: <%s@client.example>\r\n\r\n%s" %
            (sender, marker, marker, text)).encode()


_numbers = iter(range(1, 1 << 30))


def marker():
    """A word that occurs nowhere else."""
    return "m%d-%d-%d" % (os.getpid(), int(time.time()), next(_numbers))
