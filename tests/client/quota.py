"""quota.py - how much a user may send: exactly that, in sessions side by side and through kill -9; what follows when
somebody goes on; whose sender addresses are whose, on the envelope and in the From line."""
import concurrent.futures
import contextlib
import email.message
import email.policy
import os
import pwd
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import (GATEPOST, NO_QUOTA, PATIENCE, SANITIZED, Failure, Server, Skipped, Wire, alive, body,  # noqa: E402
                     case, equal, eventually, expect, main, marker)

ALICE, BOB = "alice@example.test", "bob@example.test"
TRIES = 300 if SANITIZED else 1000


def with_quota(name, **quota):
    return Server(name, config={"quota": dict(NO_QUOTA, **quota), "postmaster": ALICE,
                                "limits": {"connections_per_address": 500, "connections_per_network": 500,
                                           "failures_per_session": 1000}})


def session(server, user=BOB, password=None):
    """A session that has logged in, without a thought for a server that goes meanwhile."""
    wire = Wire(server.ports["submissions"], tls=True)
    wire.ehlo()
    reply = wire.auth(user, password or server.password)
    equal(reply.code, 235, "AUTH")
    return wire


def try_one(wire, recipient=ALICE, sender=BOB):
    """One message: the code that it ended with."""
    mark = marker()
    reply = wire.ask("MAIL FROM:<%s>" % sender)
    if reply.code == 250:
        reply = wire.ask("RCPT TO:<%s>" % recipient)
        if reply.code not in (0, 250, 421):
            wire.ask("RSET")
    if reply.code == 250:
        reply = wire.data(body(mark, sender=sender))
    return reply.code


def send_many(server, tries, at=None, then=None):
    """In five sessions side by side; after `at` accepted messages `then` happens, once. How many were accepted, by
    what the clients were told, and every other code."""
    lock, codes, happened = threading.Lock(), [], threading.Event()

    def work():
        wire = None
        for _ in range(tries // 5):
            code = 0
            try:
                wire = wire or session(server)
                code = try_one(wire)
            except (OSError, Failure):
                code = 0
            if code in (0, 421):  # the server went: the next message finds it again
                wire = None
                time.sleep(0.05)
            with lock:
                codes.append(code)
                now = at is not None and codes.count(250) >= at and not happened.is_set()
                if now:
                    happened.set()
            if now:
                then()
        if wire:
            wire.close()

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        for one in [pool.submit(work) for _ in range(5)]:
            one.result()
    expect(at is None or happened.is_set(), "nothing happened on the way")
    return codes.count(250), sorted(set(codes) - {250})


def delivered(server):
    server.queue_empty()
    return len(server.messages(ALICE))


@case("a hundred an hour: of 1,000 through five sessions exactly 100 are taken")
def exactly():
    with with_quota("quota-exact", messages_per_hour=100) as server:
        accepted, others = send_many(server, TRIES)
        equal((accepted, others), (100, [450]), "accepted, and other codes")
        equal(delivered(server), 100, "delivered")
        rows = {row["what"]: row for row in server.json("quota", "list", BOB)}
        equal((rows["messages an hour"]["used"], rows["messages an hour"]["left"]), (100, 0), "quota list")
        expect(rows["messages an hour"]["until"], "when it is free again: %s" % rows)
        equal(rows["recipients an hour"]["used"], 0, "recipients elsewhere")
        server.log_has(r"quota-near .*user=bob@example.test what=\"messages in an hour\" count=80 limit=100")
        server.log_has(r"mail-refused .*rule=over-quota .*login=bob@example.test")
        equal(len(re.findall(r"\bquota-near\b", server.log())), 1, "warnings")


def survives(name, kill):
    with with_quota(name, messages_per_hour=100) as server:
        accepted, _ = send_many(server, TRIES, at=40, then=lambda: kill(server))
        more, _ = send_many(server, 200)
        arrived = delivered(server)
        expect(90 <= accepted + more <= arrived <= 100, "accepted %d and %d, delivered %d" % (accepted, more, arrived))


@case("kill -9 of auth on the way: never more than 100, and at least 90")
def auth_killed():
    def kill(server):
        pid = server.pids("auth")[0]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: server.pids("auth") and server.pids("auth")[0] != pid, "another auth")
    survives("quota-auth-killed", kill)


@case("kill -9 of everything on the way: never more than 100, and at least 90")
def all_killed():
    def kill(server):
        server.kill()
        server.start()
    survives("quota-master-killed", kill)


@case("an orderly restart forfeits nothing")
def restarted():
    with with_quota("quota-restart", messages_per_hour=100) as server:
        first, _ = send_many(server, 50)
        equal(server.stop(), 0, "exit code")
        server.start()
        second, _ = send_many(server, 200)
        equal((first, second), (50, 50), "accepted before and after")


@case("recipients elsewhere are counted by themselves, those here are free")
def recipients():
    with with_quota("quota-recipients", recipients_per_hour=5) as server:
        wire = session(server)
        wire.want("MAIL FROM:<%s>" % BOB, 250)
        for i in range(5):
            wire.want("RCPT TO:<r%d@elsewhere.example>" % i, 250, "2.1.5")
        wire.want("RCPT TO:<r6@elsewhere.example>", 450, "4.7.1", "over-quota")
        wire.want("RCPT TO:<%s>" % ALICE, 250)
        equal(wire.data(body(marker())).code, 250, "what was accepted goes")
        wire.want("MAIL FROM:<%s>" % BOB, 250)
        wire.want("RCPT TO:<r7@elsewhere.example>", 450, "4.7.1", "over-quota")
        wire.want("RCPT TO:<%s>" % ALICE, 250)
        rows = {row["what"]: row["used"] for row in server.json("quota", "list", BOB)}
        equal((rows["messages an hour"], rows["recipients an hour"]), (2, 5), "used")


@case("what was not sent is given back")
def returned():
    with with_quota("quota-returns", messages_per_hour=3, recipients_per_hour=3) as server:
        wire = session(server)

        def used():
            rows = {row["what"]: row["used"] for row in server.json("quota", "list", BOB)}
            return rows["messages an hour"], rows["recipients an hour"]

        for end in ("RSET", "EHLO client.example"):
            wire.want("MAIL FROM:<%s>" % BOB, 250)
            wire.want("RCPT TO:<x@elsewhere.example>", 250)
            equal(used(), (1, 1), "while it is open")
            wire.want(end, 250)
            eventually(lambda: used() == (0, 0), "what was reserved comes back after " + end)
        wire.want("MAIL FROM:<%s>" % BOB, 250)
        wire.want("RCPT TO:<x@elsewhere.example>", 250)
        equal(wire.data(b"Subject: bare\n\r\n").code, 550, "a message that is refused at its end")
        eventually(lambda: used() == (0, 0), "what a refused message had reserved")
        wire.want("MAIL FROM:<%s>" % BOB, 250)
        wire.want("MAIL FROM:<nobody@example.test>", 503)
        wire.want("RCPT TO:<x@elsewhere.example>", 250)
        wire.close()
        eventually(lambda: used() == (0, 0), "what a session that left had reserved")
        wire = session(server)
        for _ in range(3):
            equal(try_one(wire, "x@elsewhere.example"), 250, "a message")
        equal(try_one(wire), 450, "the fourth")


@case("far over the quota: suspended, also where a session is open; the postmaster is told once; user enable lifts it")
def suspended():
    with with_quota("quota-suspend", messages_per_hour=3, suspend_after=5) as server:
        wire, other = session(server), session(server)
        equal([try_one(wire) for _ in range(8)], [250] * 3 + [450] * 5, "codes")
        wire.want("MAIL FROM:<%s>" % BOB, 550, "5.7.1", "account-suspended")
        other.want("MAIL FROM:<%s>" % BOB, 550, "5.7.1", "account-suspended")
        session(server).want("MAIL FROM:<>", 550, "5.7.1", "account-suspended")  # who may still log in
        line = server.log_has(r".* event=suspended .*").group(0)
        expect("user=bob@example.test" in line and "count=5" in line, line)
        expect(server.json("user", "show", BOB)[0]["suspended"], "user show")
        expect([row["suspended"] for row in server.json("user", "list")] == [False, True], "user list")
        expect(all(row["suspended"] for row in server.json("quota", "list", BOB)), "quota list")
        notice = server.message(ALICE, "sending is suspended for bob@example.test").decode()
        for words in ("Subject: Postmaster notice: ", "5 messages were refused over its quota within an hour, the last one "
                      "from 127.0.0.1", "gatepost user enable bob@example.test", "Auto-Submitted: auto-generated"):
            expect(words in notice, "%r is not in %s" % (words, notice))
        for _ in range(10):
            wire.ask("MAIL FROM:<%s>" % BOB)
        equal(server.stop(), 0, "exit code")
        server.start()
        wire = session(server)
        wire.want("MAIL FROM:<%s>" % BOB, 550, "5.7.1", "account-suspended")
        equal(try_one(session(server, ALICE), sender=ALICE), 250, "another user")
        equal(len([m for m in server.messages(ALICE) if b"is suspended for" in m]), 1, "notices")
        server.command("user", "enable", BOB)
        wire.want("MAIL FROM:<%s>" % BOB, 450, "4.7.1", "over-quota")
        server.command("user", "quota", BOB, "--messages-per-hour", "4")
        equal([try_one(wire) for _ in range(2)], [250, 450], "with a limit of its own")
        expect(not server.json("user", "show", BOB)[0].get("suspended"), "user show after user enable")


@case("suspended in the middle of a message: its further recipients are refused")
def suspended_in_between():
    with with_quota("quota-suspend-open", messages_per_hour=3, suspend_after=2) as server:
        opened, wire = session(server), session(server)
        opened.want("MAIL FROM:<%s>" % BOB, 250)
        opened.want("RCPT TO:<%s>" % ALICE, 250)
        equal([try_one(wire) for _ in range(4)], [250, 250, 450, 450], "codes")
        opened.want("RCPT TO:<x@elsewhere.example>", 550, "5.7.1", "account-suspended")


@case("the notice waits for a queue that is not there, and is not lost with auth")
def notice_waits():
    with with_quota("quota-notice", messages_per_hour=1, suspend_after=2) as server:
        server.command("alias", "add", "postmaster@example.test", "alice@example.test")
        wire = session(server)
        equal([try_one(wire) for _ in range(3)], [250, 450, 450], "codes")
        queue = server.pids("queue")[0]
        os.kill(queue, signal.SIGKILL)  # with the notice or before it
        os.kill(server.pids("auth")[0], signal.SIGKILL)
        found = eventually(lambda: [m for m in server.messages(ALICE) if b"is suspended for" in m], "the notice")
        expect(1 <= len(found) <= 2, "%d notices" % len(found))
        expect(not alive(queue), "the queue was killed")


def app_password(server, user, name):
    return server.command("user", "app-password", "add", user, "--name", name).stdout.strip()


@case("an app password: counts for its user, has limits of its own, and is suspended alone")
def app_passwords():
    with with_quota("quota-app", messages_per_hour=10, suspend_after=4) as server:
        secret = app_password(server, BOB, "printer")
        server.command("user", "quota", BOB, "--app-password", "printer", "--messages-per-hour", "2")
        wire, by_mailbox = session(server, BOB, secret), session(server)
        equal([try_one(wire) for _ in range(6)], [250] * 2 + [450] * 4, "codes of the app password")
        wire.want("MAIL FROM:<%s>" % BOB, 550, "5.7.1", "account-suspended")
        equal([try_one(by_mailbox) for _ in range(9)], [250] * 8 + [450], "what is left for its user")
        rows = {(row["credential"], row["what"]): row for row in server.json("quota", "list")}
        equal([rows[key, "messages an hour"]["used"] for key in ("", "printer")], [10, 2], "used")
        equal([rows[key, "messages an hour"]["own"] for key in ("", "printer")], [False, True], "own limits")
        expect(rows["printer", "messages an hour"]["suspended"], "quota list says who is suspended")
        notice = server.message(ALICE, "is suspended for").decode()
        expect("bob@example.test by the credential printer" in notice, notice)
        line = server.log_has(r".* event=suspended .*").group(0)
        expect("user=bob@example.test credential=printer" in line, line)
        server.command("user", "enable", BOB)
        wire.want("MAIL FROM:<%s>" % BOB, 450, "4.7.1", "over-quota")
        server.command("user", "app-password", "revoke", BOB, "--name", "printer")
        expect((wire.line() or "421").startswith("421"), "its session ends")
        done = server.command("user", "quota", BOB, "--app-password", "printer", "--messages-per-day", "1", check=False)
        equal(done.returncode, 3, "an app password that is gone")


@case("user quota: numbers, default, and words for what is neither")
def own_limits():
    with with_quota("quota-own", messages_per_hour=2) as server:
        wire = session(server)
        server.command("user", "quota", BOB, "--messages-per-hour", "0")
        equal(try_one(wire), 450, "with a limit of 0")
        server.command("user", "quota", BOB, "--messages-per-hour", "default", "--recipients-per-day", "7")
        equal([try_one(wire) for _ in range(3)], [250, 250, 450], "with the configured one")
        rows = {row["what"]: (row["limit"], row["own"]) for row in server.json("user", "quota", BOB)}
        equal((rows["messages an hour"], rows["recipients a day"]), ((2, False), (7, True)), "user quota")
        expect("2 of 2 messages an hour" in server.json("user", "show", BOB)[0]["quota"], "user show")
        for words in (["--messages-per-hour", "many"], ["--messages-per-day", "-1"], ["--suspend-after", "1000000001"],
                      ["--app-password", "a", "--separate-login", "b", "--suspend-after", "1"]):
            done = server.command("user", "quota", BOB, *words, check=False)
            equal(done.returncode, 2, "exit code of %s (%s)" % (words, done.stderr))
        equal(server.command("user", "quota", "nobody@example.test", check=False).returncode, 3, "an unknown user")
        equal(server.command("quota", "list", "nobody@example.test", check=False).returncode, 3, "an unknown user")
        equal(server.stop(), 0, "exit code")
        rows = {row["what"]: row["used"] for row in server.json("quota", "list", BOB)}
        equal(rows["messages an hour"], 2, "quota list without a server")
        server.command("user", "quota", BOB, "--messages-per-hour", "3")
        server.start()
        equal([try_one(session(server)) for _ in range(2)], [250, 450], "after a restart")


@case("reload: other limits count at once")
def reloaded():
    with with_quota("quota-reload", messages_per_hour=1) as server:
        wire = session(server)
        equal([try_one(wire) for _ in range(2)], [250, 450], "codes")
        server.config["quota"]["messages_per_hour"] = 2
        server.write_config()
        expect(server.reload(), "the reload")
        equal([try_one(session(server)) for _ in range(2)], [250, 450], "codes after the reload")


@case("system users: www-data has a quota by its name, or its login's; root has none")
def system_users():
    if os.geteuid() != 0:
        raise Skipped("only root may become another user")
    with Server("quota-system", config={
            "postmaster": ALICE, "quota": dict(NO_QUOTA, messages_per_hour=2, suspend_after=2),
            "local": {"users": [{"name": "games", "login": BOB}]}}) as server:
        def send(user):
            entry = pwd.getpwnam(user)

            def become():
                os.setgroups([])
                os.setgid(entry.pw_gid)
                os.setuid(entry.pw_uid)
            done = subprocess.run([GATEPOST, "--config", server.config_path, "sendmail", "alice"], input=b"Subject: x\n\nx\n",
                                  capture_output=True, timeout=PATIENCE * 2, preexec_fn=become, env=server.environment)
            return done.returncode

        equal([send("www-data") for _ in range(5)], [0, 0, 75, 75, 77], "www-data: sent, put off, suspended")
        equal([send("root") for _ in range(5)], [0] * 5, "root")
        equal(try_one(session(server)), 250, "bob")
        equal([send("games") for _ in range(2)], [0, 75], "games, who sends as bob")
        equal(try_one(session(server)), 450, "bob")
        notice = server.message(ALICE, "is suspended for www-data@example.test").decode()
        expect("the last one from this host" in notice, notice)
        expect([r for r in server.json("quota", "list", "www-data@example.test") if r["suspended"]], "quota list")
        server.command("user", "enable", "www-data@example.test")
        equal(send("www-data"), 75, "enabled again, its quota is used up all the same")
        equal(server.command("user", "enable", "nobody-here@example.test", check=False).returncode, 3, "nobody")


@case("a database that cannot be written: 451, and no message more than the quota")
def full_disk():
    if os.geteuid() != 0:
        raise Skipped("only root may mount")
    server = Server("quota-full", start=False, config={"quota": dict(NO_QUOTA, messages_per_hour=20)})
    place, ballast = server.state + "/auth", server.state + "/auth/ballast"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", "/mnt"], capture_output=True).returncode != 0:
        server.close()
        raise Skipped("a file system cannot be mounted here")
    subprocess.run(["umount", "/mnt"], check=True)
    owner = os.stat(place)
    keep = server.directory + "/keep"
    os.rename(place, keep)
    os.mkdir(place, 0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16M,mode=700", "tmpfs", place], check=True)
    try:
        subprocess.run(["cp", "-a", keep + "/.", place], check=True)
        os.chown(place, owner.st_uid, owner.st_gid)
        with contextlib.ExitStack() as stack:
            stack.callback(server.close)
            server.start()
            wire = session(server)
            equal(try_one(wire), 250, "a message")
            with open(ballast, "wb", buffering=0) as file:
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * 4096)
            codes = [try_one(wire) for _ in range(200)]
            expect(set(codes) <= {250, 451} and codes[-1] == 451, "codes on a full disk: %s" % codes)
            os.unlink(ballast)
            sent = 1 + codes.count(250)
            codes = [try_one(wire) for _ in range(40)]
            equal(sent + codes.count(250), 20, "messages in all (%d of them before the disk had room again)" % sent)
            equal(set(codes), {250, 450}, "codes with room again")
    finally:
        subprocess.run(["umount", "-l", place], check=False)


# ---- sender rights

@case("sender allow: addresses, domains, patterns; MAIL follows; nonsense is refused with words")
def patterns():
    with Server("sender-patterns") as server:
        wire = session(server)
        for pattern, stored, yes, no in (
                ("Shared@Elsewhere.Example", "shared@elsewhere.example", "shared@elsewhere.example", "x@elsewhere.example"),
                ("@news.example", "*@news.example", "any.thing@news.example", "x@sub.news.example"),
                ("sales-*@example.test", "sales-*@example.test", "sales-eu@example.test", "sales@example.test"),
                ("*@*.lists.example", "*@*.lists.example", "a@b.c.lists.example", "a@lists.example"),
                ("*", "*", "whoever@anywhere.example", None)):
            wire.want("MAIL FROM:<%s>" % yes, 550, "5.7.1", "sender-not-yours")
            server.command("sender", "allow", BOB, pattern)
            equal([row["address"] for row in server.json("sender", "list", BOB)], [stored], "sender list")
            wire.want("MAIL FROM:<%s>" % yes, 250)
            wire.want("RSET", 250)
            if no:
                wire.want("MAIL FROM:<%s>" % no, 550, "5.7.1", "sender-not-yours")
            equal(server.command("sender", "allow", BOB, pattern, check=False).returncode, 4, "allowed twice")
            server.command("sender", "deny", BOB, pattern)
            equal(server.command("sender", "deny", BOB, pattern, check=False).returncode, 3, "denied twice")
            wire.want("MAIL FROM:<%s>" % yes, 550, "5.7.1", "sender-not-yours")
        for nonsense, says in (("info", "not a sender"), ("@", "not a sender"), ("a@b@c.example", "not a sender"),
                               ("**@example.test", "two stars"), ("*@*", "written *"), ("*@exa*mple.test", "subdomains"),
                               ("a..*@example.test", "a dot where"), ("a b*@example.test", "without quotes")):
            done = server.command("sender", "allow", BOB, nonsense, check=False)
            equal(done.returncode, 2, "exit code for " + nonsense)
            expect(says in done.stderr, "%s: %r" % (nonsense, done.stderr))
        equal(server.json("sender", "list"), [], "nothing was allowed")


# ---- the From line

_from, _making = [], threading.Lock()


def from_server():
    with _making:
        return _from[0] if _from else make_from_server()


def make_from_server():
    if not _from:
        one = Server("header-from", config={
            "local_domains": [{"name": "example.test", "header_from": True}, "other.test"],
            "limits": {"connections_per_address": 500, "connections_per_network": 500, "failures_per_session": 1000}})
        one.add_user("carol@other.test")
        one.command("alias", "add", "team@example.test", BOB)
        one.command("sender", "allow", BOB, "@news.example")
        _from.append(one)
    return _from[0]


def message(mark, **headers):
    made = email.message.EmailMessage(policy=email.policy.SMTP)
    for name, value in dict({"Subject": mark, "To": ALICE}, **headers).items():
        made[name] = value
    made.set_content("Gr\u00fc\u00dfe\n.\n..\nFrom: boss@example.test\n")
    return made.as_bytes()


def hand_in(wire, octets, chunked=False):
    wire.want("MAIL FROM:<%s>" % BOB, 250)
    wire.want("RCPT TO:<%s>" % ALICE, 250)
    if not chunked:
        return wire.data(octets)
    half = len(octets) // 2
    wire.send(b"BDAT %d\r\n" % half + octets[:half] + b"BDAT %d LAST\r\n" % (len(octets) - half) + octets[half:])
    equal(wire.reply().code, 250, "the first chunk")
    return wire.reply()


@case("header_from: what Python's email package writes of the user's own addresses is taken")
def from_own():
    wire = session(from_server())
    for sender in (BOB, "Bob <bob@example.test>", '"B., Bob" <Bob@Example.Test>', "J\u00f6rg M\u00fcller <bob@example.test>",
                   "Bob <bob+shop@example.test>", "Team <team@example.test>", "x@news.example",
                   "Bob <bob@example.test>, Team <team@example.test>", "a very long name " * 12 + "<bob@example.test>"):
        for chunked in (False, True):
            mark = marker()
            reply = hand_in(wire, message(mark, From=sender), chunked)
            equal(reply.code, 250, "From: %s (%r)" % (sender, reply))
            from_server().message(ALICE, mark)


@case("header_from: another's address is refused, whatever else is there")
def from_others():
    server = from_server()
    wire = session(server)
    for sender in (ALICE, "boss@elsewhere.example", "Bob <alice@example.test>", '"bob@example.test" <alice@example.test>',
                   "Bob <bob@example.test>, Alice <alice@example.test>", "nobody@example.test"):
        for chunked in (False, True):
            reply = hand_in(wire, message(marker(), From=sender), chunked)
            equal((reply.code, reply.enhanced, reply.rule), (550, "5.7.1", "from-not-yours"), "From: " + sender)
    expect("does not belong to your account" in reply.text, reply.text)
    server.log_has(r"mail-refused .*rule=from-not-yours from=alice@example.test login=bob@example.test")
    equal(try_one(wire), 250, "the session goes on")


HOSTILE = (
    b"Subject: none\r\n\r\nx",
    b"\r\nFrom: bob@example.test\r\n",
    b"From: bob@example.test\r\nFrom: boss@example.test\r\n\r\nx",
    b"From: bob@example.test\r\nFROM \t: boss@example.test\r\n\r\nx",
    b"From: boss@example.test <bob@example.test>\r\n\r\nx",
    b"From: <boss@example.test> <bob@example.test>\r\n\r\nx",
    b"From: <bob@example.test\r\n\r\nx",
    b"From: Team: bob@example.test;\r\n\r\nx",
    b"From: <@boss.example:bob@example.test>\r\n\r\nx",
    b"From: bob@example.test\r\n boss@example.test\r\n\r\nx",
    b"From: bob@example.test,\r\n\r\nx",
    b"From:\r\n\r\nx",
    b" From: boss@example.test\r\nFrom: bob@example.test\r\n\r\nx",
    b"no field\r\nFrom: bob@example.test\r\n\r\nx",
    b"From bob@example.test Mon Nov 23 2026\r\nFrom: bob@example.test\r\n\r\nx",
    b"\xef\xbb\xbfFrom: boss@example.test\r\nFrom: bob@example.test\r\n\r\nx",
    b"From: \"" + b"a" * 900 + b"\r\n " + b"\r\n ".join([b"b" * 900] * 10) + b"\" <bob@example.test>\r\n\r\nx",
    b"From: " + b",\r\n ".join([b"bob@example.test"] * 17) + b"\r\n\r\nx",
)


@case("header_from: a header that can be read in two ways is refused")
def from_hostile():
    wire = session(from_server())
    for octets in HOSTILE:
        for chunked in (False, True):
            reply = hand_in(wire, octets + b"\r\n" if not octets.endswith(b"\r\n") else octets, chunked)
            equal((reply.code, reply.enhanced, reply.rule), (550, "5.7.1", "from-malformed"), "%r" % octets[:100])
    from_server().log_has(r"protocol .*rule=from-malformed why=\"there are several\"")
    equal(try_one(wire), 250, "the session goes on")


@case("header_from: only for who logged in, and only of that domain")
def from_elsewhere():
    server = from_server()
    with contextlib.closing(server.dial()) as wire:
        wire.ehlo()
        mark = marker()
        equal(wire.mail("x@client.example", ALICE, body(mark, sender="whoever@example.test")).code, 250, "a stranger")
    wire = session(server, "carol@other.test")
    mark = marker()
    equal(wire.mail("carol@other.test", ALICE, body(mark, sender=ALICE)).code, 250, "a user of another domain")
    wire = session(server)
    wire.want("MAIL FROM:<>", 250)
    wire.want("RCPT TO:<%s>" % ALICE, 250)
    equal(wire.data(body(marker(), sender=ALICE)).rule, "from-not-yours", "with an empty envelope sender too")


if __name__ == "__main__":
    main(parallel=2)
