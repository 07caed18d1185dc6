"""explain.py - `gatepost explain` and the server say the same: for combinations of client, port, TLS, login, sender and
recipient, the reply and the rule of a real session equal those of explain, asked of the running server."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import Case, Failure, Server, case, equal, expect, main  # noqa: E402

LOCAL, TRUSTED, LISTED, STRANGER = "127.0.0.1", "127.0.1.1", "127.0.2.1", "127.0.3.1"
USERS = {None: None, "alice": "alice@example.test", "suspended": "eve@example.test"}
SENDERS = ["", "alice@example.test", "ALICE+tag@Example.Test", "bob@example.test", "eve@example.test",
           "stranger@elsewhere.example", "open@open.test", "shared@elsewhere.example", "not an address"]
RECIPIENTS = ["postmaster", "postmaster@example.test", "alice@example.test", "ALICE+x@EXAMPLE.TEST.", "info@example.test",
              "away@example.test", "nobody@example.test", "u%foreign.example@example.test", "u@foreign.example",
              "u@[192.0.2.1]", "listed@backup.test", "unlisted@backup.test", "u!v@backup.test", "not an address", "u@x..y"]
_server = []


def server():
    if not _server:
        one = Server("explain", users=("alice", "bob", "eve"), start=False, config={
            "local_domains": ["example.test", {"name": "open.test", "sender_needs_auth": False}],
            "relay_domains": [{"name": "backup.test", "recipients": ["listed@backup.test"]}],
            "trusted_networks": [TRUSTED], "local_sender_hosts": [LISTED], "postmaster": "alice@example.test",
            "limits": {"failures_per_session": 1000}})
        one.config["local_domains"] = [{"name": "example.test"}, {"name": "open.test", "sender_needs_auth": False}]
        one.config["listen"][0]["auth"] = True
        one.write_config()
        one.command("alias", "add", "info@example.test", "bob@example.test")
        one.command("alias", "add", "away@example.test", "friend@elsewhere.example", "--forward")
        one.command("sender", "allow", "alice@example.test", "shared@elsewhere.example")
        _server.append(one.start())
    return _server[0]


def verdict_of(rows):
    """Code, status and rule of the last reply that explain names."""
    for row in reversed(rows):
        if row.get("kind") == "reply":
            return row["code"], row["status"], row["rule"]
    raise Failure("explain --json names no reply: %r" % rows)


def explain(address, role, tls, login, sender, recipient):
    words = ["explain", "--ip", address, "--role", role, "--from", sender, "--to", recipient]
    if tls:
        words += ["--tls"]
    if login:
        words += ["--auth", login]
    done = server().command(*words, "--json", check=False)
    expect(done.returncode == 0, "%s: exit code %d, %s" % (" ".join(words), done.returncode, done.stderr))
    return json.loads(done.stdout)


def session(address, role, tls, login, password):
    wire = server().dial(role, source=address)
    wire.ehlo()
    if tls and role != "submissions":
        wire.starttls()
        wire.ehlo()
    if login:
        equal(wire.auth(login, password).code, 235, "AUTH")
    return wire


def compare(address, role, tls, who):
    def check():
        login = USERS[who]
        wire = session(address, role, tls, login, Server.password)
        if who == "suspended":
            server().command("user", "disable", login)
        try:
            count = 0
            senders = SENDERS if address == STRANGER else SENDERS[::3] + SENDERS[3:6]
            for sender in senders:
                mail = wire.ask("MAIL FROM:<%s>" % sender)
                if mail.code == 421:
                    wire = session(address, role, tls, login, Server.password)
                    mail = wire.ask("MAIL FROM:<%s>" % sender)
                recipients = RECIPIENTS if mail.code == 250 else RECIPIENTS[8:9]
                for recipient in recipients:
                    reply = wire.ask("RCPT TO:<%s>" % recipient) if mail.code == 250 else mail
                    compare_one(reply, explain(address, role, tls, login, sender, recipient),
                                "%s %s%s auth=%s from=<%s> to=<%s>" %
                                (address, role, " tls" if tls else "", login, sender, recipient))
                    count += 1
                if mail.code == 250:
                    wire.ask("RSET")
            expect(count >= len(senders), "too few rows")
        finally:
            if who == "suspended":
                server().command("user", "enable", login)
    return check


def compare_one(reply, rows, where):
    code, status, rule = verdict_of(rows)
    equal((code, status), (reply.code, reply.enhanced), "explain and the server for " + where)
    if reply.code >= 400:
        equal(rule, reply.rule, "the rule by explain and by the server for " + where)


for client in (STRANGER, TRUSTED, LISTED):
    for port in ("mx", "submission", "submissions"):
        for under_tls in ((True,) if port == "submissions" else (False, True)):
            for user in USERS:
                if user and not under_tls:
                    continue
                if user == "suspended" and client != STRANGER:
                    continue
                Case.add("explain: %s %s%s %s" % (client, port, " tls" if under_tls else "", user or "no login"),
                         compare(client, port, under_tls, user))

if __name__ == "__main__":
    main()
