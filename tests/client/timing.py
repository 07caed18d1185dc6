"""timing.py - nobody against somebody: whether a name exists shows neither in words nor in times, whatever the mechanism,
nor in the work that others wait for. With the guessing limits off.

  timing.py                    words, and what each costs the verifiers; a look at the times
  timing.py --timings=2000     so many of each kind of user and mechanism, interleaved at random within each connection;
                               the 95 percent interval of each difference of medians must be within 1 percent of the time
                               of the answer. A quarter of them where each costs two hashes, and behind others in the
                               line. Wants a quiet machine, and on two cores a quarter of an hour.
      --connections=4          at the same time, of those mechanisms that cost a hash; twice as many of others
      --memory=19M             auth.argon2_memory
  and words of the names of the cases: `timing.py --timings=200 PLAIN SCRAM`
"""
import argparse
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from attempts import STEPS, Attempt, connect  # noqa: E402
from harness import Case, Server, b64, case, equal, expect, main  # noqa: E402
from medians import difference, median  # noqa: E402

RIGHT, WRONG = "correct horse battery", "another horse battery"
TWO_FORMS = "anothe\u0301r horse batte"  # as long in octets; RFC 8265 makes another of it, and both are tried
DOMAIN, FOREIGN = "example.test", "example.org"
WARM = 3  # first logins of a connection, which are not counted
FAILURES = 6  # limits.failures_per_session where words are looked at; 1000, the most, where times are

# Of RIGHT, by crypt(3), and as Dovecot writes them; one of them dearer than our own at 19M.
FORMATS = {
    "SHA512-CRYPT": "$6$6ysSxvsC9rXlIXUZ$nzf/YsRKqy3UNi5omsq7.Vput/.wrz6beP6HXQ3zhw3Tyx0YlqsUcnaZ/h/GCceSJ1ycpSS2Z51GLVlGs4"
                    "Caq0",
    "BLF-CRYPT": "$2y$08$Rb1p0dT3Jw9uYk5mQz7VxO94YvmnRJA6/ZuwJM1xj6x3krE4R2zRq",
    "YESCRYPT": "$y$j75$Wq2m8sZr5tKc1vLx0yHd7.$EFOhnR.1zrhI2E9Kq8uLgk8WMZrfPVQSNyj.fPqmYd9",
    "PBKDF2": "{PBKDF2}$1$tG5kYw0Qz8LrVb3N$5000$b8ccce606cc629570d55a3432e92b3d75673ea80",
    "SSHA512": "{SSHA512}hQynBeIN6dBoGlUsmY5/mb6dxMe1SI4nVZX3Xe7VUI+DXNsRgyx1/KwHmYCSHJ+I8O6JI6Yze91iPvVXyQNfHDhvY3RldHMu",
}


class Kind:
    """Somebody or nobody: names of the same length, and what is tried for them."""

    def __init__(self, what, local, password=WRONG, domain=DOMAIN):
        self.what, self.names, self.password = what, ["%s%d@%s" % (local, i, domain) for i in range(2)], password


UNKNOWN = Kind("nobody", "nobody")
KINDS = {
    "foreign": Kind("nobody, at a domain that is not ours", "nobodys", domain=FOREIGN),
    "wrong": Kind("a wrong password", "normal"),
    "apps": Kind("a wrong password, 32 app passwords", "device"),
    "disabled": Kind("a disabled user, the right password", "locked", RIGHT),
    "bare": Kind("not enrolled, the right password", "single", RIGHT),
}
KINDS.update((name, Kind("imported, %s, a wrong password" % name, "old" + "abcdefghij"[i] * 3))
             for i, name in enumerate(FORMATS))
KINDS["keyless"] = Kind("imported, no keys, the right password", "oldaaa", RIGHT)

# mechanism -> kinds to hold against nobody.
TABLE = {
    "PLAIN": ["foreign", "wrong", "apps", "disabled"] + list(FORMATS),
    "LOGIN": ["wrong", "disabled", "SHA512-CRYPT", "SSHA512"],
    "SCRAM-SHA-256": ["foreign", "wrong", "apps", "disabled", "keyless"],
    "NTLM": ["foreign", "wrong", "apps", "disabled", "bare", "keyless"],
}
FORMS = ["wrong", "SHA512-CRYPT", "BLF-CRYPT", "SSHA512"]  # PLAIN, TWO_FORMS
BEHIND = ["wrong", "disabled", "SHA512-CRYPT", "BLF-CRYPT", "SSHA512"]  # PLAIN, what the next in the line waits
HASHED = ("PLAIN", "LOGIN")

arguments = argparse.ArgumentParser(add_help=False)
arguments.add_argument("--timings", type=int, default=0)
arguments.add_argument("--connections", type=int, default=4)
arguments.add_argument("--memory", default="19M")
options = arguments.parse_known_args()[0]
_servers = {}


def populate(server):
    def passwords(*names):
        return "".join("%s:%s:::::\n" % (name, field) for name, field in names)
    server.command("user", "import", "-", stdin=passwords(*((name, FORMATS[scheme]) for scheme in FORMATS
                                                            for name in KINDS[scheme].names)))
    for kind in ("wrong", "apps", "disabled", "bare"):
        for name in KINDS[kind].names:
            server.add_user(name, RIGHT)
            if kind != "bare":
                server.command("user", "spa", "enable", name, "--password-stdin", stdin=RIGHT + "\n")
    for number in range(32):
        server.command("user", "app-password", "add", KINDS["apps"].names[0], "--name", "device %d" % number)
    for name in KINDS["disabled"].names:
        server.command("user", "disable", name)


def server(purpose, failures=1000, verifiers=0):
    """The server for words, times or the line."""
    if purpose not in _servers:
        made = Server(purpose, users=(), start=False, config={
            "auth": {"ntlm": True, "cache": "0s", "argon2_memory": options.memory, "verifiers": verifiers},
            "throttle": {"enabled": False}, "timeouts": {"login": "1h", "command": "1h"},
            "limits": {"failures_per_session": failures}})
        populate(made)
        _servers[purpose] = made.start()
    return _servers[purpose]


def kinds_of(mechanism):
    return [UNKNOWN] + [KINDS[name] for name in TABLE[mechanism]]


class Client:
    """Connections one after the other, each for as many failures as one may have."""

    def __init__(self, one, failures):
        self.server, self.most, self.wire, self.left, self.busy = one, failures - 1, None, 0, False

    def ready(self):
        if self.left == 0:
            self.close()
            self.wire, self.left = connect(self.server), self.most
        self.left -= 1
        return self.wire

    def attempt(self, mechanism, kind, number=0, password=None):
        return Attempt(self.ready(), mechanism, kind.names[number % 2], password or kind.password)

    def close(self):
        if self.wire:
            self.wire.close()


def in_threads(count, work):
    failures = []

    def run(number):
        try:
            work(number)
        except Exception as failure:  # raised below
            failures.append(failure)
    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


# ---- words

def words_server():
    return server("words", FAILURES)


@case("words: the right password is let in, by each client of this test")
def _():
    for mechanism in TABLE:
        attempt = Client(words_server(), FAILURES).attempt(mechanism, KINDS["wrong"], password=RIGHT)
        last = attempt.words[-1]
        expect(last[2][:2] == b"v=" if mechanism == "SCRAM-SHA-256" else last.startswith("235 "), "%s: %r" % (mechanism, last))


@case("words: connections from the greeting to the last failure")
def _():
    def transcript(mechanism, kind, number):
        wire = connect(words_server())
        said = [wire.banner.text, wire.hello]
        while not said[-1].startswith("421"):
            said += Attempt(wire, mechanism, kind.names[number], kind.password).words
            if not said[-1].startswith("421"):
                said += [wire.ask("NOOP").text, wire.ask("MAIL FROM:<%s>" % kind.names[number]).text]
        expect(wire.closed(), "the connection goes on")
        return said
    for mechanism in TABLE:
        kinds = kinds_of(mechanism)
        found = {}
        in_threads(len(kinds), lambda i: found.update({kinds[i]: transcript(mechanism, kinds[i], i % 2)}))
        nobody = found[UNKNOWN]
        equal(sum(str(words).startswith("535") for words in nobody), FAILURES // 2, "refusals of a login by " + mechanism)
        for kind in kinds:
            equal(found[kind], nobody, "%s, %s" % (mechanism, kind.what))


def steadiness(kind):
    """Which forms of the name have the same salt, asked twice in different order."""
    local, domain = kind.names[0].split("@")
    forms = [local, local.upper(), "%s@%s" % (local, domain), "%s@%s" % (local.title(), domain.upper()), local + "+x",
             "%s+x@%s" % (local, domain), "\"%s\"@%s" % (local, domain), "%s@%s." % (local, domain)]
    client, salts = Client(words_server(), FAILURES), []
    for form in forms + forms[::-1]:
        attempt = Attempt(client.ready(), "SCRAM-SHA-256", form, WRONG)
        salts.append(attempt.salt)
    client.close()
    return [salts.index(salt) for salt in salts]


@case("words: salts of SCRAM stay, and are of the name in any form")
def _():
    kinds = kinds_of("SCRAM-SHA-256")
    kinds.remove(KINDS["foreign"])
    found = {}
    in_threads(len(kinds), lambda i: found.update({kinds[i]: steadiness(kinds[i])}))
    equal(len(set(found[UNKNOWN][:4])), 1, "salts of one name")
    for kind in kinds:
        equal(found[kind], found[UNKNOWN], kind.what)


# ---- work, for which no machine need be quiet

def verifiers_ns(one):
    """What the verifiers have had of the processors; from schedstat, since ticks are too coarse."""
    total = 0
    for pid in one.pids("verifier"):
        with open("/proc/%d/schedstat" % pid) as file:
            total += int(file.read().split()[0])
    return total


def check_work(mechanism, password=None, kinds=None):
    """The least of three of each, since a busy machine only adds. A hash costs a hundred times what all else does."""
    def once(client, kind, number):
        before = verifiers_ns(words_server())
        took = sum(client.attempt(mechanism, kind, number, password).took)
        return (verifiers_ns(words_server()) - before) / 1e6, took * 1e3

    def compare(what, other, nobody):
        expect(nobody / 4 < other < nobody * 4, "%s: %.2f ms, and %.2f ms for nobody" % (what, other, nobody))

    def check():
        client, found = Client(words_server(), FAILURES), {kind: [] for kind in kinds or kinds_of(mechanism)}
        for number in range(3):
            for kind, pairs in found.items():
                pairs.append(once(client, kind, number))
        client.close()
        work, soonest = map(min, zip(*found[UNKNOWN]))
        for kind, pairs in found.items():
            if mechanism in HASHED:
                compare(kind.what + ", work of a verifier", min(pair[0] for pair in pairs), work)
            compare(kind.what + ", the soonest answer", min(pair[1] for pair in pairs), soonest)
    return check


for name in TABLE:
    Case.add("work: %s" % name, check_work(name))
Case.add("work: PLAIN, a password of two forms", check_work("PLAIN", TWO_FORMS, [UNKNOWN] + [KINDS[k] for k in FORMS]))


# ---- times

class Progress:
    def __init__(self, what, total):
        self.what, self.total, self.done, self.lock = what, total, 0, threading.Lock()
        self.began = self.said = time.monotonic()

    def step(self):
        with self.lock:
            self.done += 1
            now = time.monotonic()
            if now - self.said >= 20 or self.done == self.total:
                self.said = now
                print("    %s: %d of %d logins, %.0f s" % (self.what, self.done, self.total, now - self.began), flush=True)


def measure(what, mechanism, kinds, password):
    """kind -> a list of what each answer took, for --timings logins; the words are compared too."""
    connections = options.connections * (1 if mechanism in HASHED else 2)
    rounds = -(-options.timings // connections)
    if password:  # each costs two hashes
        connections, rounds = -(-connections // 2), -(-rounds // 2)
    progress = Progress(what, rounds * connections * len(kinds))
    took = {kind: [] for kind in kinds}
    words = Client(server("times"), 1000).attempt(mechanism, UNKNOWN, 0, password).words

    def work(number):
        client, order = Client(server("times"), 1000), list(kinds)
        for at in range(-WARM, rounds):
            random.shuffle(order)
            for kind in order:
                attempt = client.attempt(mechanism, kind, at, password)
                equal(attempt.words, words, "%s, %s" % (what, kind.what))
                if at >= 0:
                    took[kind].append(attempt.took)
                    progress.step()
        client.close()
    in_threads(connections, work)
    return took


def judge(what, step, other, nobody, bound):
    """Prints a line: whether the difference of medians is surely within `bound` seconds, or surely not, or neither."""
    low, high = difference(other, nobody)
    verdict = "the same" if -bound <= low and high <= bound else "DIFFERENT" if low > bound or high < -bound else "UNSURE"
    print("    %s, %s: median %.3f ms, nobody's %.3f ms; difference %+.3f ms [%+.3f, %+.3f], bound %.3f ms: %s" %
          (what, step, median(other) * 1e3, median(nobody) * 1e3, (median(other) - median(nobody)) * 1e3, low * 1e3,
           high * 1e3, bound * 1e3, verdict), flush=True)
    return verdict


def expect_same(verdicts):
    expect("DIFFERENT" not in verdicts, "a client can tell by the time")
    expect("UNSURE" not in verdicts, "it takes more timings, or a quieter machine, to be sure")


def judge_kind(what, steps, others, nobodys):
    """Each answer, and the login in all."""
    bound = median([sum(one) for one in nobodys]) / 100
    verdicts = [judge(what, "in all", [sum(one) for one in others], [sum(one) for one in nobodys], bound)]
    for number, step in enumerate(steps if len(steps) > 1 else ()):
        verdicts.append(judge(what, step, [one[number] for one in others], [one[number] for one in nobodys], bound))
    expect_same(verdicts)


def add_times(what, mechanism, kinds, password=None):
    found = {}

    def check(kind):
        if not found:
            found.update(measure(what, mechanism, [UNKNOWN] + kinds, password))
        judge_kind("%s, %s" % (what, kind.what), STEPS[mechanism], found[kind], found[UNKNOWN])
    for kind in kinds:
        Case.add("times: %s, %s" % (what, kind.what), lambda kind=kind: check(kind))


# ---- the line: with one verifier, how long waits a stranger whose message comes behind another's?

PROBES = 4  # so that nobody waits for the answers that have their fixed time


def send_behind(probe, meter, kind, number):
    """Seconds until a name is answered by LOGIN, which is as soon as the verifier is free."""
    if probe.busy:
        equal(probe.wire.reply().code, 535, "a probe")
    probe.busy = True
    line = "AUTH PLAIN " + b64("\0%s\0%s" % (kind.names[number % 2], kind.password))
    probe.ready().send(line.encode() + b"\r\n")
    wire = meter.ready()
    time.sleep(0.002)  # the verifier has begun
    began = time.perf_counter()
    equal(wire.ask("AUTH LOGIN " + b64(UNKNOWN.names[0])).code, 334, "a name")
    took = time.perf_counter() - began
    equal(wire.ask("*").code, 501, "never mind")
    return took


def measure_behind(kinds):
    one, rounds = server("line", verifiers=1), -(-options.timings // 4)
    progress, took = Progress("behind PLAIN", rounds * len(kinds)), {kind: [] for kind in kinds}
    meter, probes, order, turn = Client(one, 1000), [Client(one, 1000) for _ in range(PROBES)], list(kinds), 0
    answer = median([sum(meter.attempt("PLAIN", UNKNOWN).took) for _ in range(9)])
    for at in range(-WARM, rounds):
        random.shuffle(order)
        for kind in order:
            turn += 1
            waited = send_behind(probes[turn % PROBES], meter, kind, at)
            if at >= 0:
                took[kind].append(waited)
                progress.step()
    return took, answer


_behind = []


def check_behind(name):
    """Hashes from elsewhere take about as long as our own, which one look does not tell and many do, until they are
    replaced; nobody is to be told from those that have ours by any number of looks."""
    kind = KINDS[name]

    def check():
        if not _behind:
            _behind.append(measure_behind([UNKNOWN] + [KINDS[name] for name in BEHIND]))
        took, answer = _behind[0]
        bound = median(took[UNKNOWN]) / 2 if name in FORMATS else answer / 100
        expect_same([judge("behind PLAIN", kind.what, took[kind], took[UNKNOWN], bound)])
    return check


if options.timings:
    for name, chosen in TABLE.items():
        add_times(name, name, [KINDS[kind] for kind in chosen])
    add_times("PLAIN with a password of two forms", "PLAIN", [KINDS[kind] for kind in FORMS], TWO_FORMS)
    for name in BEHIND:
        Case.add("times: behind PLAIN, %s" % KINDS[name].what, check_behind(name))


if __name__ == "__main__":
    main()
