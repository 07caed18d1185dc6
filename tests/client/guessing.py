"""guessing.py - guessing passwords: what counts, who is held and who is not, what a restart leaves, and what fail2ban makes of
the log. Addresses of 127.0.0.0/8 are clients of their own; those of IPv6 come by PROXY."""
import base64
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import TOP, Server, Skipped, b64, case, equal, eventually, expect, main  # noqa: E402

PROXY = "127.0.0.250"
_server = []
_networks = iter("127.%d.%d.1" % (i // 250 + 2, i % 250 + 1) for i in range(60000))


def config(**rest):
    throttle = dict({"network_failures": 20, "account_failures": 40}, **rest)
    return {"throttle": throttle, "limits": {"failures_per_session": 1000}, "proxy_from": [PROXY]}


def server():
    if not _server:
        _server.append(Server("guessing", users=("alice", "bob", "carol", "dora", "erin", "frank"), config=config()))
        _server[0].command("user", "disable", "carol@example.test")
    return _server[0]


def network():
    """An address that no other case uses."""
    return next(_networks)


def dial(source, one=None, client=None, role="submission"):
    """A connection over TLS; `client`: the address that the PROXY header says."""
    before = b""
    if client:
        source, before = PROXY, ("PROXY TCP6 %s 2001:db8::25 4711 587\r\n" % client).encode()
    wire = (one or server()).dial(role, source=source, before=before)
    if wire.banner.code != 220:
        return wire
    wire.ehlo()
    if role != "submissions":
        wire.starttls()
        wire.ehlo()
    return wire


def login(source, user, password=Server.password, one=None, client=None):
    """The reply to one login in a connection of its own, or to the connection where that is refused."""
    wire = dial(source, one, client)
    reply = wire.auth(user + "@example.test", password) if wire.banner.code == 220 else wire.banner
    wire.close()
    return reply


def guess(source, user, passwords, one=None, client=None):
    """Codes of the replies to these passwords, in one connection if it lasts."""
    codes, wire = [], None
    for password in passwords:
        if wire is None:
            wire = dial(source, one, client)
        if wire.banner.code != 220:
            codes.append(wire.banner.code)
            wire.close()
            wire = None
            continue
        codes.append(wire.auth(user + "@example.test", password).code)
    if wire:
        wire.close()
    return codes


def different(n, word="guess"):
    return ["%s number %d" % (word, i) for i in range(n)]


def row(name, one=None):
    found = [r for r in (one or server()).json("throttle", "list") if r["name"] == name]
    expect(len(found) < 2, "%s is listed %d times" % (name, len(found)))
    return found[0] if found else None


def failures(name, one=None):
    found = row(name, one)
    return found["failures"] if found else 0


# ---- what counts

def no_tls(wire):
    return wire.ask("AUTH PLAIN " + b64("\0alice@example.test\0guess"))


def plain(user, password, act_as=""):
    return lambda wire: wire.ask("AUTH PLAIN " + b64("%s\0%s\0%s" % (act_as, user, password)))


def lines(*texts):
    def say(wire):
        for text in texts:
            reply = wire.ask(text)
        return reply
    return say


def scram(user, proof=b"\1" * 32):
    """A whole SCRAM-SHA-256 with this proof; the replies."""
    def say(wire):
        first = wire.ask("AUTH SCRAM-SHA-256 " + b64("n,,n=%s,r=fyko+d2lbbFgONRv9qkx" % user))
        equal(first.code, 334, "SCRAM's first message, whoever it is")
        nonce = base64.b64decode(first.text[4:]).decode().split(",")[0]
        return wire.ask(b64("c=biws,%s,p=%s" % (nonce, b64(proof))))
    return say


ALICE = "alice@example.test"
GUESS, SAME, FORM = 180, 9, 45  # seconds of draining that each costs: 20 guesses an hour
PATHS = {  # name: (what is said, code of the reply, what three of it cost)
    "unknown user": (plain("nobody@example.test", "guess"), 535, GUESS + 2 * SAME),
    "unknown user, no address": (plain("no address at all", "guess"), 535, GUESS + 2 * SAME),
    "wrong password": (plain(ALICE, "guess"), 535, GUESS + 2 * SAME),
    "wrong password, LOGIN": (lines("AUTH LOGIN", b64(ALICE), b64("guess")), 535, GUESS + 2 * SAME),
    "wrong proof, SCRAM": (scram(ALICE), 535, 3 * GUESS),
    "unknown user, SCRAM": (scram("nobody@example.test"), 535, 3 * GUESS),
    "disabled account": (plain("carol@example.test", Server.password), 535, GUESS + 2 * SAME),
    "another authorization identity": (plain(ALICE, Server.password, "bob@example.test"), 535, GUESS + 2 * SAME),
    "unknown mechanism": (lines("AUTH CRAM-MD5"), 504, 3 * FORM),
    "malformed message": (lines("AUTH PLAIN " + b64("no NUL in it")), 501, 3 * FORM),
    "malformed message, SCRAM": (lines("AUTH SCRAM-SHA-256 " + b64("n,,r=x")), 501, 3 * FORM),
    "malformed base64": (lines("AUTH PLAIN ===="), 501, 3 * FORM),
    "malformed base64, second line": (lines("AUTH LOGIN", b64(ALICE), "===="), 501, 3 * FORM),
    "cancelled": (lines("AUTH LOGIN", "*"), 501, 3 * FORM),
    "cancelled, SCRAM": (lines("AUTH SCRAM-SHA-256 " + b64("n,,n=%s,r=fyko+d2lbbFgONRv9qkx" % ALICE), "*"), 501, 3 * FORM),
}


def check_path(what, code, cost):
    def check():
        source = network()
        wire = dial(source)
        for i in range(1, 4):
            equal(what(wire).code, code, "reply")
            eventually(lambda: failures(source) == i, "%d failures of %s" % (i, source))
        found = row(source)
        lines_of = [line for line in server().log().splitlines() if "event=login-failed" in line and "client=%s " % source in line]
        equal(len(lines_of), 3, "lines in the log")
        empty = parse_time(found["empty"]) - parse_time(found["last"])
        expect(cost - 15 < empty < cost + 3, "three failures cost %d s, not %d" % (empty, cost))
        wire.close()
    return check


def parse_time(text):
    return time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


for _name, (_what, _code, _cost) in PATHS.items():
    case("counts: " + _name)(check_path(_what, _code, _cost))


@case("without TLS nothing is looked at, and it counts")
def _():
    source = network()
    wire = server().dial("submission", source=source)
    wire.ehlo()
    equal(no_tls(wire).code, 538, "AUTH in the clear")
    wire.close()


# ---- networks

@case("20 different passwords hold a network: 454, and 421 to who comes to log in; no verifier is asked")
def _():
    source = network()
    with Server("held", config=config()) as one:
        wire = dial(source, one)
        for i, password in enumerate(different(20)):
            equal(wire.auth("nobody@example.test", password).code, 535, "guess %d" % i)
        for pid in one.pids("verifier"):
            os.kill(pid, signal.SIGSTOP)
        reply = wire.auth("nobody@example.test", "another")
        equal((reply.code, reply.enhanced), (454, "4.7.0"), "the 21st")
        equal(wire.auth("alice@example.test", Server.password).code, 454, "whoever it is")
        equal(wire.ask("AUTH LOGIN").code, 454, "before a name is given")
        refused = one.dial("submission", source=source).banner
        equal((refused.code, refused.enhanced, refused.rule), (421, "4.7.0", "too-many-failed-logins"), "a new connection")
        equal(one.dial("mx", source=source).banner.code, 220, "mail from there still comes")
        for pid in one.pids("verifier"):
            os.kill(pid, signal.SIGCONT)
        wire.close()
        found = row(source, one)
        expect(found["held"] and found["kind"] == "network" and found["failures"] == 20, "%r" % found)
        equal(one.json("status")["auth"][0]["networks_held"], 1, "networks held")
        equal(login(network(), "alice", one=one).code, 235, "another network")


@case("who hammers is turned away at the door, and let in soon after being let off")
def _():
    source = network()
    with Server("hammered", config=config(network_failures=4)) as one:
        guess(source, "nobody", different(4), one)
        replies = [one.dial("submission", source=source).banner for _ in range(30)]
        equal({(r.code, r.rule) for r in replies}, {(421, "too-many-failed-logins")}, "replies")
        expect(one.dial("submissions", source=source, tls=False, greet=False).closed(), "a word before TLS")
        lines_of = [line for line in one.log().splitlines() if "event=connection-refused" in line and "client=%s " % source in line]
        sessions = [line for line in lines_of if " process=auth " in line]
        expect(1 <= len(sessions) < 31, "%d of 31 had a session" % len(sessions))
        one.log_has(r"process=listener event=connection-refused client=%s port=\d+ rule=too-many-failed-logins .*count=" %
                    source.replace(".", "\\."))
        equal(one.dial("mx", source=source).banner.code, 220, "mail from there still comes")
        equal(login(network(), "alice", one=one).code, 235, "another network")
        one.command("throttle", "forget", source)
        eventually(lambda: login(source, "alice", one=one).code == 235, "let off")


@case("a network that takes all the places it can get leaves some to others")
def _():
    limits = {"connections": 24, "connections_per_address": 23, "connections_per_network": 23, "waiting_for_auth": 16}
    with Server("shares", config=dict(config(), limits=limits)) as one:
        source, taken = network(), []
        while len(taken) < 24:
            wire = one.dial("submission", source=source)
            if wire.banner.code != 220:
                break
            taken.append(wire)
        equal((len(taken), wire.banner.code, wire.banner.rule), (12, 421, "too-many-connections"), "of 16 that may wait for a login")
        equal(login(network(), "alice", one=one).code, 235, "another network")
        while len(taken) < 24:
            wire = one.dial("mx", source=source)
            if wire.banner.code != 220:
                break
            taken.append(wire)
        equal((len(taken), wire.banner.code, wire.banner.rule), (18, 421, "too-many-connections"), "of 24 places")
        one.log_has(r"process=listener event=connection-refused .*rule=too-many-connections")
        equal(one.dial("mx", source=network()).banner.code, 220, "another network, mail")
        for wire in taken:
            wire.close()
        eventually(lambda: login(source, "alice", one=one).code == 235, "places come back")


@case("an old phone with one wrong password is not locked out")
def _():
    source = network()
    codes = guess(source, "bob", ["the old password"] * 180)  # an hour of it, every 20 seconds
    equal(set(codes), {535}, "codes")
    equal(login(source, "bob").code, 235, "after it")


@case("one password at many accounts holds soonest")
def _():
    source, codes = network(), []
    wire = dial(source)
    for i in range(12):
        codes.append(wire.auth("somebody%d@example.test" % i, "Summer2026!").code)
    wire.close()
    expect(codes.count(535) <= 8 and codes[-1] == 454, "%r" % codes)


@case("a success forgives its own account alone")
def _():
    source = network()
    equal(guess(source, "erin", different(8)), [535] * 8, "at erin")
    equal(guess(source, "frank", different(5, "other")), [535] * 5, "at frank")
    before = parse_time(row(source)["empty"])
    equal(login(source, "erin").code, 235, "erin")
    after = parse_time(row(source)["empty"])
    expect(8 * 180 - 30 < before - after < 8 * 180 + 30, "%d s were forgiven" % (before - after))
    equal(row("erin@example.test"), None, "erin's counter")
    equal(failures("frank@example.test"), 5, "frank's failures")
    equal(guess(source, "frank", different(16, "third"))[-2:], [535, 454], "what is left to guess")


@case("a password that becomes right is right at once")
def _():
    source = network()
    equal(guess(source, "dora", ["the next password"] * 3), [535] * 3, "before")
    server().command("user", "passwd", "dora@example.test", "--password-stdin", stdin="the next password\n")
    equal(login(source, "dora", "the next password").code, 235, "after")
    server().command("user", "passwd", "dora@example.test", "--password-stdin", stdin=Server.password + "\n")


# ---- accounts

@case("an account under attack opens for networks it was used from, and to others looks like any")
def _():
    home, elsewhere = network(), network()
    one = Server("attacked", config=config(account_failures=10))
    with one:
        equal(login(home, "alice", one=one).code, 235, "before")
        for name in ("alice", "nobody"):
            for i in range(6):
                guess(network(), name, different(2, "from network %d" % i), one)
        held = login(elsewhere, "alice", one=one)
        equal(held.text, login(elsewhere, "nobody", one=one).text, "words of held accounts")
        equal(held.text, login(elsewhere, "bob", "wrong", one=one).text, "words of a wrong password")
        wire = dial(elsewhere, one)
        proofs = [scram(user + "@example.test")(wire).text for user in ("alice", "nobody", "bob")]
        equal(proofs, [held.text] * 3, "words of held accounts and a wrong proof")
        wire.close()
        equal(login(home, "alice", one=one).code, 235, "from home")
        equal(login(elsewhere, "bob", one=one).code, 235, "another account")
        found = row("alice@example.test", one)
        expect(found["held"] and found["kind"] == "account", "%r" % found)
        expect(any(r["name"] == "nobody" and r["held"] for r in one.json("throttle", "list", "--held")), "nobody is held too")
        status = one.json("status")["auth"][0]
        expect(status["accounts_held"] == 2 and status["logins_unchecked"] >= 2, "%r" % status)
        one.command("throttle", "forget", "alice@example.test")
        equal(login(elsewhere, "alice", one=one).code, 235, "forgotten")
        equal(one.command("throttle", "forget", "alice@example.test", check=False).returncode, 3, "forget twice")
        one.command("throttle", "forget", "nobody@example.test")
        equal(one.command("throttle", "forget", check=False).returncode, 2, "forget whom")


# ---- IPv6

@case("a /64 is one network, and its /48 counts too")
def _():
    with Server("ipv6", config=config(network_failures=4)) as one:
        guess(None, "no-one", different(4), one, "2001:db8:1:1::1")
        equal(login(None, "alice", one=one, client="2001:db8:1:1:ffff::2").code, 421, "another address of the /64")
        equal(login(None, "alice", one=one, client="2001:db8:1:2::1").code, 235, "another /64")
        for i in range(3, 7):
            guess(None, "no-one-%d" % i, different(4), one, "2001:db8:1:%d::1" % i)
        equal(login(None, "bob", one=one, client="2001:db8:1:99::1").code, 421, "the /48 is held")
        equal(login(None, "alice", one=one, client="2001:db8:1:2::1").code, 235, "but not where somebody logged in")
        equal(login(None, "bob", one=one, client="2001:db8:2:1::1").code, 235, "another /48")
        expect(row("2001:db8:1::/48", one)["held"], "the row of the /48")
        one.command("throttle", "forget", "2001:db8:1::/48")
        equal(login(None, "bob", one=one, client="2001:db8:1:99::1").code, 235, "forgotten")


# ---- life

@case("counters and known networks outlive a restart; kill -9 costs seconds of them")
def _():
    guesser, home, later = network(), network(), network()
    with Server("kept", config=config(network_failures=4, account_failures=4)) as one:
        equal(login(home, "alice", one=one).code, 235, "home")
        guess(guesser, "alice", different(4), one)
        equal(login(guesser, "bob", one=one).code, 421, "held")
        equal(one.stop(), 0, "exit code")
        offline = row(guesser, one)
        expect(offline["held"] and offline["failures"] == 4, "without a server: %r" % offline)
        one.start()
        equal(login(guesser, "bob", one=one).code, 421, "after a restart")
        equal(login(network(), "alice", one=one).code, 535, "the account is held")
        equal(login(home, "alice", one=one).code, 235, "home is known")
        guess(later, "nobody", different(4), one)
        time.sleep(4)  # written every three seconds
        one.kill()
        one.start()
        equal(login(later, "bob", one=one).code, 421, "after kill -9")
        for pid in one.pids("auth"):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: login(later, "bob", one=one).code == 421, "auth was started again, and has them")


@case("limits change with a reload, and switch off")
def _():
    source = network()
    with Server("switched", config=config(network_failures=2)) as one:
        guess(source, "nobody", different(2), one)
        equal(login(source, "alice", one=one).code, 421, "held")
        one.config["throttle"]["enabled"] = False
        one.write_config()
        expect(one.reload(), "reload")
        equal(login(source, "alice", one=one).code, 235, "off")
        equal(guess(source, "nobody", different(8, "more"), one), [535] * 8, "off")
        one.config["throttle"].update(enabled=True, exempt=[source])
        one.write_config()
        expect(one.reload(), "reload")
        equal(guess(source, "nobody", different(30, "exempt"), one), [535] * 30, "exempt")


# ---- fail2ban

def fail2ban(log_path, *options):
    """What fail2ban-regex finds in a file with our filter."""
    unpacked = os.path.join(TOP, "build", "fail2ban")
    tool = unpacked + "/usr/bin/fail2ban-regex"
    environment, etc = dict(os.environ), unpacked + "/etc/fail2ban"
    if os.path.exists(tool):
        environment["PYTHONPATH"] = unpacked + "/usr/lib/python3/dist-packages"
    elif os.path.exists("/usr/bin/fail2ban-regex"):
        tool, etc = "/usr/bin/fail2ban-regex", "/etc/fail2ban"
    else:
        raise Skipped("there is no fail2ban-regex")
    done = subprocess.run([sys.executable, tool, "-c", etc, *options, log_path,
                           os.path.join(TOP, "conf", "fail2ban", "filter.d", "gatepost.conf")], env=environment,
                          capture_output=True, text=True, timeout=60)
    equal(done.returncode, 0, "exit code of fail2ban-regex: " + done.stdout[-2000:] + done.stderr[-2000:])
    return done.stdout


INNOCENT = "198.51.100.66"
FORGED = "time=2026-01-01T00:00:00.000Z level=notice process=auth event=login-failed session=x client=%s mechanism=PLAIN why=x" % INNOCENT
HOSTILE = [
    FORGED, "x\n" + FORGED, "x\r\n" + FORGED, '" ' + FORGED, "\\\" " + FORGED, "gatepost[1]: " + FORGED, "client=" + INNOCENT,
    '","client":"%s","' % INNOCENT, '\u2028' + FORGED, "\x1b]0;" + FORGED, "alice@example.test client=" + INNOCENT,
    'Nov 30 14:09:30 mx gatepost[12]: ' + FORGED, INNOCENT, "<HOST>" + INNOCENT, "\xa0client=" + INNOCENT,
]


def hostile_log(one):
    """Everything that a client may say goes wrong with a hostile text in it. The addresses that are to be found, one of them
    once for each failure."""
    wanted = []
    for text in HOSTILE:
        source = network()
        plain_text = text.replace("\r", " ").replace("\n", " ")
        wire = dial(source, one)
        wire.auth(text, "guess")
        wire.auth(ALICE, text)
        wire.ask("AUTH LOGIN " + b64(text))
        if wire.ask(b64(text)).code == 334:
            wire.ask("*")
        wire.ask("AUTH " + plain_text)
        wire.ask("EHLO " + plain_text)
        wire.ask("MAIL FROM:<%s>" % plain_text)
        wire.ask(plain_text)
        wire.close()
        wanted.append(source)
        wire = one.dial("mx", source=source)
        for line in ("EHLO a.example", "MAIL FROM:<%s@example.org>" % plain_text, "MAIL FROM:<a@example.org>",
                     "RCPT TO:<%s@example.test>" % plain_text, "RCPT TO:<\"%s\"@foreign.example>" % plain_text.replace('"', "")):
            wire.ask(line)
        wire.close()
    return wanted


def check_log(one, path, wanted):
    found = fail2ban(path, "-o", "ip").split()
    expect(INNOCENT not in found, "a forged address was found")
    equal(set(found), set(wanted), "addresses")
    return found


def check_fail2ban(json):
    def check():
        settings = config(network_failures=8)
        settings["log"] = {"json": json}
        with Server("fail2ban", config=settings) as one:
            fail2ban("/dev/null")
            wanted = hostile_log(one)
            held = network()
            guess(held, "nobody", different(10), one)  # the last two are refused without hash work
            one.dial("submission", source=held).close()
            phone = network()
            guess(phone, "bob", ["the old password"] * 10, one)
            guess(None, "bob", different(2), one, "2001:db8:77::1")
            equal(login(network(), "alice", one=one).code, 235, "a login that is fine")
            one.stop()
            found = check_log(one, one.log_path, wanted + [held, phone, "2001:db8:77::1"])
            expect(found.count(held) == 11, "the held network was found %d times" % found.count(held))
            equal(found.count(phone), 1, "times that the old phone was found")
            equal(found.count("2001:db8:77::1"), 2, "times that the client of IPv6 was found")
            for prefix in ("Nov  3 14:09:30 mx gatepost[123]: ", "2026-11-03T14:09:30.123456+01:00 mx gatepost[123]: ",
                           "mx gatepost[123]: "):
                path = one.directory + "/syslog"
                with open(path, "w") as file:
                    file.writelines(prefix + line + "\n" for line in one.log().splitlines())
                equal(check_log(one, path, set(found)), found, "with %r before it" % prefix)
    return check


for _json in (False, True):
    case("fail2ban finds who failed, and nobody whom a client names" + (", in JSON" if _json else ""))(check_fail2ban(_json))


if __name__ == "__main__":
    server()
    main(parallel=4)  # most of the time somebody is made to wait
