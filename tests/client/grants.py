"""grants.py - POP before SMTP at a real server: who may send from where, in IPv4 and IPv6, for how long, what ends it;
addresses that mean nothing; addresses that several users share. A login to the mail is the owner's `grant add` here,
which makes a grant by the same rules. Clients have the addresses that a load balancer's PROXY header says."""
import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import (NO_QUOTA, PATIENCE, Failure, Server, Skipped, body, case, equal, eventually, expect,  # noqa: E402
                     main, marker)

BALANCER = "127.0.0.250"
ALICE, BOB, FOREIGN = "alice@example.test", "bob@example.test", "friend@elsewhere.example"
GRANTED = (250, None)
MX_REFUSED, SUBMISSION_REFUSED = (550, "local-sender-needs-auth"), (530, "auth-required")
_servers = {}
_numbers = iter(range(1, 1 << 16))


def config(more=None, **grant):
    grant = dict({"enabled": True}, **grant)
    return dict({"grant": grant, "proxy_from": [BALANCER], "limits": {"failures_per_session": 1000}}, **(more or {}))


def server():
    if not _servers:
        _servers[0] = Server("grants", users=("alice", "bob", "carol"), config=config())
    return _servers[0]


def address(kind):
    """One that no other case uses."""
    n = next(_numbers)
    return "203.0.%d.%d" % (n // 250 + 100, n % 250 + 1) if kind == 4 else "2001:db8:%x::7" % n


def dial(client, role="mx", one=None):
    """A connection of a client with this address; None: of one on loopback."""
    six = client and ":" in client
    port = {"mx": 25, "submission": 587, "submissions": 465}[role]
    before = ("PROXY %s %s %s 4711 %d\r\n" % ("TCP6" if six else "TCP4", client,
                                             "2001:db8::25" if six else "192.0.2.25", port)).encode()
    wire = (one or server()).dial(role, source=BALANCER if client else None, before=before if client else b"")
    equal(wire.banner.code, 220, "the greeting for %s" % client)
    wire.ehlo()
    return wire


def sends(client, sender=ALICE, role="mx", one=None, to=FOREIGN, mark=None):
    """How a message from there ends: the last code, and the rule that refused it."""
    with contextlib.closing(dial(client, role, one)) as wire:
        reply = wire.ask("MAIL FROM:<%s>" % sender)
        if reply.code == 250:
            reply = wire.ask("RCPT TO:<%s>" % to)
        if reply.code == 250:
            reply = wire.data(body(mark or marker(), sender=sender))
        return reply.code, reply.rule if reply.code != 250 else None


def grant(user, client, one=None, code=0):
    done = (one or server()).command("grant", "add", user, client, check=False)
    equal(done.returncode, code, "grant add %s %s (%s%s)" % (user, client, done.stdout, done.stderr))
    return done.stdout + done.stderr


def database(one, statement, *values):
    with contextlib.closing(sqlite3.connect(one.state + "/auth/gatepost.db")) as opened, opened:
        return opened.execute(statement, values).fetchall()


@case("grants: before none, then from that address as that user, on every port, in IPv4 and IPv6")
def _():
    for kind in (4, 6):
        here, there = address(kind), address(kind)
        equal(sends(here), MX_REFUSED, "before")
        equal(sends(here, role="submission"), SUBMISSION_REFUSED, "before, submission")
        grant(ALICE, here)
        for role in ("mx", "submission", "submissions"):
            mark = marker()
            equal(sends(here, role=role, mark=mark), GRANTED, role)
            received = server().message("capture", mark).decode()
            expect(re.search(r"with ESMTPS?\r?\n\s+\(sender has just checked the mail\)", received),
                   "no user who logged in: %s" % received[:400])
        server().log_has(r"event=recipient-accepted .*client=%s rule=relay-granted to=<%s> login=%s" %
                         (re.escape(here), FOREIGN, ALICE))
        equal(sends(here, BOB), MX_REFUSED, "as somebody else")
        equal(sends(here, BOB, "submission"), SUBMISSION_REFUSED, "as somebody else")
        equal(sends(here, "x@elsewhere.example"), (550, "relay-denied"), "as a stranger")
        equal(sends(here, "", ), (550, "relay-denied"), "with the empty sender")
        equal(sends(there), MX_REFUSED, "from elsewhere")
        equal(sends(there, role="submission"), SUBMISSION_REFUSED, "from elsewhere")
        equal(sends(None), MX_REFUSED, "from loopback")
        equal(sends(here, BOB, to=ALICE), MX_REFUSED, "to us, as somebody else of ours")
        equal(sends(here, to=BOB), GRANTED, "to us")


@case("grants: IPv4 is one address also where it is written in IPv6, and its neighbours are not it")
def _():
    here = address(4)
    grant(ALICE, "::ffff:" + here)
    equal([row["address"] for row in server().json("grant", "list", ALICE) if row["address"] == here], [here], "the list")
    equal(sends(here), GRANTED, "the address")
    first, _, last = here.rpartition(".")
    equal(sends("%s.%d" % (first, int(last) + 1)), MX_REFUSED, "its neighbour")


def end_revoked(one):
    one.command("grant", "revoke", ALICE)


def end_one(one):
    row = one.json("grant", "list", ALICE)[0]
    one.command("grant", "revoke", ALICE, row["address"])


def end_flushed(one):
    one.command("grant", "flush")


def end_password(one):
    one.command("user", "passwd", ALICE, "--password-stdin", stdin=Server.password + "\n")


def end_disabled(one):
    one.command("user", "disable", ALICE)
    one.command("user", "enable", ALICE)


def end_removed(one):
    one.command("user", "remove", ALICE)
    one.add_user("alice")


def end_switched_off(one):
    for on in (False, True):
        one.config["grant"]["enabled"] = on
        one.write_config()
        expect(one.reload(), "the reload")


def end_other_boot(one):
    one.stop()
    database(one, "UPDATE grants SET boot = zeroblob(16)")
    one.start()


def end_restored(one):
    """A grant of the time of a backup does not come back with it."""
    backup = one.directory + "/backup%d" % next(_numbers)
    one.command("backup", backup)
    one.command("grant", "flush")
    one.stop()
    one.command("restore", backup, "--force")
    one.start()


@case("grants: each way to end one ends it at once")
def _():
    ways = {name[4:]: way for name, way in globals().items() if name.startswith("end_")}
    expect(len(ways) == 9, "ways: %s" % ways)
    with Server("ends", config=config()) as one:
        for name, way in ways.items():
            for kind in (4, 6):
                here = address(kind)
                grant(ALICE, here, one)
                equal(sends(here, one=one), GRANTED, "before " + name)
                way(one)
                equal(sends(here, one=one), MX_REFUSED, name)
                equal(sends(here, role="submission", one=one), SUBMISSION_REFUSED, name)
                equal(one.json("grant", "list"), [], "the list after " + name)
        log = one.log()
        for why in ("revoked by the owner", "all were revoked by the owner", "a password of the user", "the user was disabled",
                    "the user was removed", "grants were switched off"):
            expect(re.search(r'event=grant-ended .*client=\S+ .*why="%s' % why, log), "the log says: " + why)


@case("grants: suspension, for sending too much, ends them and the user's right")
def _():
    quota = dict(NO_QUOTA, messages_per_hour=2, suspend_after=2)
    with Server("suspended", config=config({"quota": quota, "postmaster": BOB})) as one:
        here = address(4)
        grant(ALICE, here, one)
        for _ in range(2):
            equal(sends(here, one=one), GRANTED, "within the quota")
        equal(sends(here, one=one), (450, "over-quota"), "over it")
        equal(sends(here, one=one), (450, "over-quota"), "over it")
        equal(sends(here, one=one), MX_REFUSED, "suspended")
        one.log_has(r'event=grant-ended .*user=%s why="the user was suspended"' % ALICE)
        expect("suspended" in grant(ALICE, here, one, code=5), "no other one")


@case("grants: they last their time and no longer, by restarts, crashes and renewals")
def _():
    with Server("lifetime", config=config(lifetime="4s")) as one:
        here, there = address(4), address(6)
        grant(ALICE, here, one)
        equal(sends(here, one=one), GRANTED, "at first")
        eventually(lambda: sends(here, one=one) == MX_REFUSED, "its end")
        equal(one.json("grant", "list"), [], "the list")
        one.config["grant"]["lifetime"] = "1h"
        one.write_config()
        expect(one.reload(), "the reload")
        grant(ALICE, there, one)
        one.stop()
        one.start()
        equal(sends(there, one=one), GRANTED, "after a restart")
        pid = one.pids("auth")[0]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: one.pids("auth") and one.pids("auth")[0] != pid, "another auth")

        def again():
            with contextlib.suppress(Failure, OSError):
                return sends(there, one=one) == GRANTED
        eventually(again, "after a crash")
        left = one.json("grant", "list")[0]
        expect(3000 < left["seconds_left"] <= 3600, "what is left: %s" % left)
        one.config["grant"]["lifetime"] = "1s"
        one.write_config()
        expect(one.reload(), "the reload")
        eventually(lambda: sends(there, one=one) == MX_REFUSED, "the end by a shorter lifetime")


@case("grants: what a login lets its user send")
def _():
    with Server("budget", config=config(messages=2, recipients=3)) as one:
        here = address(4)
        grant(ALICE, here, one)
        with contextlib.closing(dial(here, one=one)) as wire:
            wire.want("MAIL FROM:<%s>" % ALICE, 250)
            for _ in range(3):
                wire.want("RCPT TO:<%s>" % FOREIGN, 250)
            wire.want("RCPT TO:<%s>" % FOREIGN, 450, rule="over-quota")
            equal(wire.data(body(marker())).code, 250, "the first message")
            wire.want("MAIL FROM:<%s>" % ALICE, 250)
            wire.want("RCPT TO:<%s>" % FOREIGN, 450, rule="over-quota")
            wire.want("RCPT TO:<%s>" % BOB, 250)
            equal(wire.data(body(marker())).code, 250, "the second")
            wire.want("MAIL FROM:<%s>" % ALICE, 450, rule="over-quota")
            one.log_has(r'event=mail-refused .*rule=over-quota .*login=%s why="what one login' % ALICE)
            grant(ALICE, here, one)
            wire.want("MAIL FROM:<%s>" % ALICE, 250)
        row = one.json("grant", "list")[0]
        equal((row["messages_left"], row["recipients_left"], row["source"]), (2, 3, "owner"), "the list")


@case("grants: a message under way when its grant is revoked is not taken")
def _():
    here, mark = address(4), marker()
    grant(ALICE, here)
    with contextlib.closing(dial(here)) as wire:
        wire.want("MAIL FROM:<%s>" % ALICE, 250)
        wire.want("RCPT TO:<%s>" % FOREIGN, 250)
        equal(wire.ask("DATA").code, 354, "DATA")
        server().command("grant", "revoke", ALICE, here)
        wire.send(body(mark) + b".\r\n")
        equal(wire.reply().code, 451, "the end of data")
    server().queue_empty()
    expect(not [m for m in server().messages("capture") if mark.encode() in m], "it was taken")


@case("grants: whoever sends first is told to check the mail, where that helps")
def _():
    words = "check your mail first, over the same kind of address (IPv4 or IPv6), then send again"
    for role, first in (("mx", 250), ("submission", 530)):
        for client, told in ((address(4), True), (address(6), True), (None, False), ("10.1.2.3", False)):
            with contextlib.closing(dial(client, role)) as wire:
                reply = wire.want("MAIL FROM:<%s>" % ALICE, first)
                if first == 250:
                    reply = wire.want("RCPT TO:<%s>" % FOREIGN, 550)
                equal(words in reply.text, told, "%s from %s: %s" % (role, client, reply.text))
                expect("My outgoing server requires authentication" in reply.text, reply.text)
    with Server("off", config={"proxy_from": [BALANCER]}) as one, contextlib.closing(dial(address(4), one=one)) as wire:
        wire.want("MAIL FROM:<%s>" % ALICE, 250)
        expect(words not in wire.want("RCPT TO:<%s>" % FOREIGN, 550).text, "without grants")
        expect("grant.enabled" in grant(ALICE, address(4), one, code=5), "without grants")


@case("grants: an address of each kind that means nothing carries none, and the log says why")
def _():
    kinds = {"127.0.0.9": "loopback", "::1": "this host's own", "10.0.0.9": "private", "172.16.3.9": "private",
             "192.168.1.9": "private", "100.64.0.9": "carrier-grade NAT", "169.254.7.9": "link-local",
             "fe80::9": "link-local", "fd12::9": "unique local", "224.0.0.9": "multicast", "ff02::9": "multicast",
             "0.0.0.0": "no host's address", "255.255.255.255": "reserved", "2002:a00:9::1": "private",
             "64:ff9b::7f00:9": "loopback", BALANCER: "a load balancer's"}
    if os.path.exists("/proc/net/route"):
        with open("/proc/net/route", encoding="ascii") as file:
            for line in file.readlines()[1:]:
                octets = bytes.fromhex(line.split()[2])[::-1 if sys.byteorder == "little" else 1]
                if any(octets):
                    kinds[".".join(map(str, octets))] = "this host's gateway's"
    own = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
    kinds.update((one, "this host's own") for one in own)
    for client, kind in kinds.items():
        said = grant(ALICE, client, code=5)
        expect("the address is " + kind in said, "%s: %s" % (client, said))
        server().log_has(r'event=grant-refused .*client=%s user=%s source=owner why="the address is %s' %
                         (re.escape(client), ALICE, kind))
        if client not in ("0.0.0.0", BALANCER):
            equal(sends(client), MX_REFUSED, "%s, %s" % (client, kind))


@case("grants: a network that is listed carries them, and this host's own address only by itself")
def _():
    with Server("listed", config=config(networks=["10.20.0.0/16", "127.0.0.0/8"])) as one:
        grant(ALICE, "10.20.3.4", one)
        equal(sends("10.20.3.4", one=one), GRANTED, "listed")
        grant(ALICE, "10.21.3.4", one, code=5)
        grant(ALICE, "127.0.0.1", one, code=5)
        one.config["grant"]["networks"] = ["127.0.0.1", "::1"]
        one.write_config()
        expect(one.reload(), "the reload")
        equal(sends("10.20.3.4", one=one), MX_REFUSED, "not listed any more")
        grant(ALICE, "127.0.0.1", one)
        equal(sends(None, one=one), GRANTED, "loopback, listed")


@case("grants: an IPv6 network of the configured width is one address")
def _():
    with Server("widths", config=config(ipv6_bits=64)) as one:
        grant(ALICE, "2001:db8:1:2::1", one)
        equal(sends("2001:db8:1:2:aaaa::99", one=one), GRANTED, "a privacy address in it")
        equal(sends("2001:db8:1:3::1", one=one), MX_REFUSED, "the network beside it")
        equal(one.json("grant", "list")[0]["address"], "2001:db8:1:2::/64", "the list")


@case("grants: where several users log in, by the mail or by AUTH, they must use AUTH")
def _():
    here, there = address(4), address(6)
    grant(ALICE, here)
    expect("several users" in grant(BOB, here, code=5), "the second user")
    equal(sends(here), MX_REFUSED, "the first one's has ended")
    expect("several users" in grant(ALICE, here, code=5), "nor another")
    grant(ALICE, there)
    equal(sends(there), GRANTED, "alone")
    with contextlib.closing(dial(there, "submissions")) as wire:
        equal(wire.auth(ALICE, Server.password).code, 235, "her own login")
    equal(sends(there), GRANTED, "alone still")
    with contextlib.closing(dial(there, "submissions")) as wire:
        equal(wire.auth(BOB, "wrong").code, 535, "a wrong password")
        equal(sends(there), GRANTED, "that was no login")
        equal(wire.auth(BOB, Server.password).code, 235, "bob's login")
        equal(wire.mail(BOB, FOREIGN, body(marker(), sender=BOB)).code, 250, "who uses AUTH")
    equal(sends(there), MX_REFUSED, "with bob")
    server().log_has(r'event=grant-ended .*client=%s user=%s why="several users' % (re.escape(there), ALICE))


@case("grants: where users are let share an address, each sends as itself")
def _():
    with Server("shared", config=config(users_per_address=2)) as one:
        here = address(4)
        grant(ALICE, here, one)
        grant(BOB, here, one)
        equal([sends(here, who, one=one) for who in (ALICE, BOB)], [GRANTED] * 2, "both")
        equal(sends(here, "carol@example.test", one=one), MX_REFUSED, "a third")
        one.command("grant", "revoke", ALICE)
        equal([sends(here, who, one=one) for who in (ALICE, BOB)], [MX_REFUSED, GRANTED], "one")


@case("grants: a submission session that has sent by one waits for no login")
def _():
    with Server("patient", config=config({"timeouts": {"login": "1s"}})) as one:
        here = address(4)
        with contextlib.closing(dial(here, "submission", one)) as wire:
            wire.want("MAIL FROM:<%s>" % ALICE, 530)
            equal(wire.reply().code, 421, "without one, in time")
        grant(ALICE, here, one)
        with contextlib.closing(dial(here, "submission", one)) as wire:
            wire.want("MAIL FROM:<%s>" % ALICE, 250)
            time.sleep(2)
            wire.want("RCPT TO:<%s>" % FOREIGN, 250)
            equal(wire.data(body(marker())).code, 250, "the message")


@case("grants: explain says what they have to do with it")
def _():
    def explain(client, *more):
        return server().command("explain", "--ip", client, "--role", "mx", "--from", ALICE, "--to", FOREIGN, *more).stdout
    here = address(4)
    expect("[local-sender-needs-auth]" in explain(here), "without one")
    expect("[relay-granted]" in explain(here, "--granted", ALICE), "if there were one")
    grant(ALICE, here)
    expect(re.search(r"grant of +%s.*\[relay-granted\]" % ALICE, explain(here), re.S), "a live one: " + explain(here))
    expect(re.search(r"no grant, address is +private", explain("10.0.0.1")), "an address that carries none")
    rows = json.loads(explain(here, "--json"))
    expect({"kind": "fact", "name": "granted", "value": "yes"} in rows, "as JSON: %s" % rows)


@case("grants: on a full disk nothing is granted, and the server goes on")
def _():
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", "/mnt"], capture_output=True).returncode != 0:
        raise Skipped("no file system can be mounted here")
    subprocess.run(["umount", "/mnt"], check=True)
    one = Server("full", config=config(), start=False)
    place = one.state + "/auth"
    with open(place + "/gatepost.db", "rb") as file:
        old, owner = file.read(), os.stat(place + "/gatepost.db")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M,mode=700", "tmpfs", place], check=True)
    try:
        with open(place + "/gatepost.db", "wb") as file:
            file.write(old)
        for path in (place, place + "/gatepost.db"):
            os.chown(path, owner.st_uid, owner.st_gid)
        with one:
            one.start()
            here = address(4)
            with contextlib.suppress(OSError), open(place + "/filler", "wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))

            def failed():
                return one.command("grant", "add", ALICE, address(4), check=False).returncode == 1
            eventually(failed, "a grant that cannot be written")  # the log of the database may have room left
            equal(one.command("grant", "add", ALICE, here, check=False).returncode, 1, "grant add")
            equal(sends(here, one=one), MX_REFUSED, "what could not be written")
            os.unlink(place + "/filler")
            grant(ALICE, here, one)
            equal(sends(here, one=one), GRANTED, "with room again")
    finally:
        eventually(lambda: subprocess.run(["umount", place], capture_output=True).returncode == 0, "umount", PATIENCE)


if __name__ == "__main__":
    main()
