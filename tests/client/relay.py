"""relay.py - every form of a recipient on every port: what is foreign is refused without a login, with the reply of the
decision's table, what is ours is taken on mx, and a user reaches the world over STARTTLS and implicit TLS."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import Server, body, case, equal, expect, main, marker  # noqa: E402

REPLIES = {  # rule: code and status, DESIGN 4
    "relay-denied": (550, "5.7.1"), "second-routing": (550, "5.7.1"), "foreign-literal": (550, "5.1.2"),
    "malformed-recipient": (501, "5.1.3"), "unknown-recipient": (550, "5.1.1"), "utf8-not-declared": (553, "5.6.7"),
    "local-sender-needs-auth": (550, "5.7.1"), "auth-required": (530, "5.7.0"),
}

FOREIGN = [  # argument of RCPT TO:, rule on mx without login
    ("<u@foreign.example>", "relay-denied"),
    ("<U@FOREIGN.EXAMPLE>", "relay-denied"),
    ("<u@Foreign.eXample>", "relay-denied"),
    ("<u@foreign.example.>", "relay-denied"),
    (" <u@foreign.example>", "relay-denied"),
    ("<\"u\"@foreign.example>", "relay-denied"),
    ("<\"u v\"@foreign.example>", "relay-denied"),
    ("<\"u\\@v\"@foreign.example>", "relay-denied"),
    ("<\"alice@example.test\"@foreign.example>", "relay-denied"),
    ("<alice%example.test@foreign.example>", "relay-denied"),
    ("<example.test!alice@foreign.example>", "relay-denied"),
    ("<postmaster@foreign.example>", "relay-denied"),
    ("<alice+example.test@foreign.example>", "relay-denied"),
    ("<u@example.test.evil.example>", "relay-denied"),
    ("<u@evilexample.test>", "relay-denied"),
    ("<u@evil-example.test>", "relay-denied"),
    ("<u@sub.example.test>", "relay-denied"),
    ("<u@mx.example.test>", "relay-denied"),
    ("<u@test>", "relay-denied"),
    ("<u@localhost>", "relay-denied"),
    ("<u@xn--bcher-kva.example>", "relay-denied"),
    ("<u@XN--BCHER-KVA.EXAMPLE>", "relay-denied"),
    ("<u@127.0.0.1>", "relay-denied"),
    # source routes
    ("<@relay.example:u@foreign.example>", "relay-denied"),
    ("<@mx.example.test:u@foreign.example>", "relay-denied"),
    ("<@example.test:u@foreign.example>", "relay-denied"),
    ("<@example.test,@mx.example.test:u@foreign.example>", "relay-denied"),
    ("<@EXAMPLE.TEST:U@FOREIGN.EXAMPLE>", "relay-denied"),
    ("<@foreign.example:u%foreign.example@example.test>", "second-routing"),
    # routing in the local part
    ("<u%foreign.example@example.test>", "second-routing"),
    ("<u%foreign.example@EXAMPLE.TEST.>", "second-routing"),
    ("<u%a.example%b.example@example.test>", "second-routing"),
    ("<foreign.example!u@example.test>", "second-routing"),
    ("<a!b!u@example.test>", "second-routing"),
    ("<\"u@foreign.example\"@example.test>", "second-routing"),
    ("<\"u%foreign.example\"@example.test>", "second-routing"),
    ("<\"foreign.example!u\"@example.test>", "second-routing"),
    ("<\"u\\@foreign.example\"@example.test>", "second-routing"),
    ("<\"@foreign.example:u\"@example.test>", "second-routing"),
    ("<alice%foreign.example@example.test>", "second-routing"),
    ("<alice+u%foreign.example@example.test>", "second-routing"),
    # literals
    ("<u@[192.0.2.1]>", "foreign-literal"),
    ("<u@[IPv6:2001:db8::1]>", "foreign-literal"),
    ("<u@[IPv6:::ffff:192.0.2.1]>", "foreign-literal"),
    ("<alice@[192.0.2.1]>", "foreign-literal"),
    ("<@example.test:u@[192.0.2.1]>", "foreign-literal"),
    # what does not parse
    ("u@foreign.example", "malformed-recipient"),
    ("<u@foreign.example", "malformed-recipient"),
    ("u@foreign.example>", "malformed-recipient"),
    ("<<u@foreign.example>>", "malformed-recipient"),
    ("<u@foreign.example> <alice@example.test>", None),
    ("<u@foreign.example>,<alice@example.test>", "malformed-recipient"),
    ("<u@example.test@foreign.example>", "malformed-recipient"),
    ("<u@foreign.example@example.test>", "malformed-recipient"),
    ("<u@foreign.example%example.test>", "malformed-recipient"),
    ("<u@foreign..example>", "malformed-recipient"),
    ("<u@.foreign.example>", "malformed-recipient"),
    ("<u@-foreign.example>", "malformed-recipient"),
    ("<u@>", "malformed-recipient"),
    ("<@foreign.example>", "malformed-recipient"),
    ("<@example.test:>", "malformed-recipient"),
    ("<@example.test,u@foreign.example>", "malformed-recipient"),
    ("<u>", "malformed-recipient"),
    ("<foreign.example!u>", "malformed-recipient"),
    ("<u%foreign.example>", "malformed-recipient"),
    ("<>", "malformed-recipient"),
    ("<\"u@foreign.example>", "malformed-recipient"),
    ("<u v@foreign.example>", "malformed-recipient"),
    ("<(comment)u@foreign.example>", "malformed-recipient"),
    ("<u@[foreign.example]>", "malformed-recipient"),
    ("<u@[192.0.2.256]>", "malformed-recipient"),
    ("<u@[X25:123]>", "malformed-recipient"),
    ("<u@192.0.2.1]>", "malformed-recipient"),
    ("User <u@foreign.example>", "malformed-recipient"),
    # without SMTPUTF8: what is refused for lack of a right is not told what else it lacks
    ("<u@bücher.example>", "relay-denied"),
    ("<ü@foreign.example>", "relay-denied"),
]

FOREIGN_UTF8 = [  # after MAIL with SMTPUTF8
    ("<u@bücher.example>", "relay-denied"),
    ("<U@BÜCHER.EXAMPLE>", "relay-denied"),
    ("<ü@foreign.example>", "relay-denied"),
    ("<u@straße.example>", "relay-denied"),
    ("<u@bücher.example.>", "relay-denied"),
    ("<ü%foreign.example@example.test>", "second-routing"),
    ("<u@münchen.test.evil.example>", "relay-denied"),
    ("<u@munchen.test>", "relay-denied"),
]

OURS = [
    "<alice@example.test>", "<ALICE@EXAMPLE.TEST>", "<Alice@Example.Test>", "<alice@example.test.>",
    " <alice@example.test>", "<\"alice\"@example.test>", "<\"al\\ice\"@example.test>", "<alice+x@example.test>",
    "<alice+a+b@example.test>", "<@relay.example:alice@example.test>",
    "<@foreign.example,@relay.example:alice@example.test>", "<info@example.test>", "<INFO@example.test>",
    "<alice@xn--mnchen-3ya.test>", "<ALICE@XN--MNCHEN-3YA.TEST>", "<postmaster>", "<PostMaster>",
    "<postmaster@example.test>", "<POSTMASTER@EXAMPLE.TEST>", "<postmaster@xn--mnchen-3ya.test>",
]
OURS_UTF8 = ["<alice@münchen.test>", "<ALICE@MÜNCHEN.TEST>", "<alice@münchen.test.>"]

ABROAD = ["<u@foreign.example>", "<U@FOREIGN.EXAMPLE.>", "<@relay.example:u@foreign.example>",
          "<u%further.example@foreign.example>", "<further.example!u@foreign.example>",
          "<\"u@further.example\"@foreign.example>", "<u@xn--bcher-kva.example>"]

_server = []


def server():
    if not _server:
        one = Server("relay", users=(), start=False, config={
            "local_domains": ["example.test", "münchen.test"], "postmaster": "alice@example.test",
            "limits": {"failures_per_session": 1000}})
        one.add_user("alice@example.test")
        one.add_user("alice@xn--mnchen-3ya.test")
        one.command("alias", "add", "info@example.test", "alice@example.test")
        _server.append(one.start())
    return _server[0]


def refused(wire, argument, rule):
    reply = wire.ask("RCPT TO:" + argument)
    expect(500 <= reply.code < 560, "RCPT TO:%s was answered %r" % (argument, reply.text))
    if rule:
        equal((reply.rule, reply.code, reply.enhanced), (rule,) + REPLIES[rule], "RCPT TO:" + argument)


def try_all(wire, rows, sender, parameters=""):
    for argument, rule in rows:
        wire.want("MAIL FROM:<%s>%s" % (sender, parameters), 250)
        refused(wire, argument, rule)
        reply = wire.ask("DATA")
        expect(reply.code in (503, 554), "DATA after RCPT TO:%s was answered %r" % (argument, reply.text))
        wire.want("RSET", 250)


def fresh(role="mx", tls=False):
    wire = server().dial(role)
    wire.ehlo()
    if tls and role != "submissions":
        wire.starttls()
        wire.ehlo()
    return wire


# RSET counts as a junk command: a session for each 80.
def in_parts(rows):
    return [rows[i:i + 40] for i in range(0, len(rows), 40)]


@case("relay: foreign forms on mx, in the clear")
def _():
    for part in in_parts(FOREIGN):
        try_all(fresh(), part, "stranger@elsewhere.example")


@case("relay: foreign forms on mx, under TLS")
def _():
    for part in in_parts(FOREIGN):
        try_all(fresh(tls=True), part, "stranger@elsewhere.example")


@case("relay: foreign forms on mx, null sender")
def _():
    for part in in_parts(FOREIGN):
        try_all(fresh(), part, "")


@case("relay: foreign forms on mx, SMTPUTF8")
def _():
    try_all(fresh(), FOREIGN_UTF8, "stranger@elsewhere.example", " SMTPUTF8")


@case("relay: foreign forms on mx over IPv6")
def _():
    wire = server().dial("mx", host="::1")
    wire.ehlo()
    try_all(wire, FOREIGN[:30], "stranger@elsewhere.example")


@case("relay: foreign forms behind a local recipient stay refused")
def _():
    wire = fresh()
    wire.want("MAIL FROM:<stranger@elsewhere.example>", 250)
    wire.want("RCPT TO:<alice@example.test>", 250)
    for argument, rule in FOREIGN:
        refused(wire, argument, rule)
    mark = marker()
    equal(wire.data(body(mark)).code, 250, "DATA")
    server().message("alice", mark)
    expect(not [m for m in server().messages("capture") if mark.encode() in m], "a copy went abroad")


@case("relay: foreign forms in one pipelined group")
def _():
    wire = fresh()
    group = ["MAIL FROM:<stranger@elsewhere.example>"] + ["RCPT TO:" + argument for argument, _ in FOREIGN] + ["DATA"]
    wire.send("".join(line + "\r\n" for line in group).encode())
    equal(wire.reply().code, 250, "MAIL")
    for argument, rule in FOREIGN:
        reply = wire.reply()
        expect(500 <= reply.code < 560, "RCPT TO:%s in a group was answered %r" % (argument, reply.text))
        if rule:
            equal((reply.rule, reply.code, reply.enhanced), (rule,) + REPLIES[rule], "RCPT TO:" + argument)
    equal(wire.reply().code, 554, "DATA")


@case("relay: a local sender on mx needs a login")
def _():
    wire = fresh()
    for sender in ("bob@example.test", "BOB@EXAMPLE.TEST.", "nobody@xn--mnchen-3ya.test",
                   "@relay.example:alice@example.test"):
        for argument in ("<alice@example.test>", "<u@foreign.example>"):
            wire.want("MAIL FROM:<%s>" % sender, 250)
            refused(wire, argument, "local-sender-needs-auth")
            wire.want("RSET", 250)


def submission_refuses(role, tls):
    wire = fresh(role, tls)
    for number, (argument, _) in enumerate(FOREIGN + [(one, None) for one in OURS]):
        sender = ("alice@example.test", "stranger@elsewhere.example", "")[number % 3]
        reply = wire.ask("MAIL FROM:<%s>" % sender)
        equal((reply.code, reply.enhanced, reply.rule), (530, "5.7.0", "auth-required"), "MAIL on " + role)
        reply = wire.ask("RCPT TO:" + argument)
        equal(reply.code, 503, "RCPT TO:%s on %s" % (argument, role))
    equal(wire.ask("DATA").code, 503, "DATA")


@case("relay: submission without login, in the clear")
def _():
    submission_refuses("submission", False)


@case("relay: submission without login, under TLS")
def _():
    submission_refuses("submission", True)


@case("relay: submissions without login")
def _():
    submission_refuses("submissions", True)


@case("relay: a failed login gives no right")
def _():
    wire = fresh("submissions", True)
    equal(wire.auth("alice@example.test", "wrong password").code, 535, "AUTH")
    wire.want("MAIL FROM:<alice@example.test>", 530, "5.7.0", "auth-required")


@case("relay: every form of ours is taken on mx")
def _():
    for argument in OURS:
        wire = fresh()
        wire.want("MAIL FROM:<stranger@elsewhere.example>", 250)
        wire.want("RCPT TO:" + argument, 250, "2.1.5")
        wire.quit()
    wire = fresh()
    wire.want("MAIL FROM:<stranger@elsewhere.example> SMTPUTF8", 250)
    for argument in OURS_UTF8:
        wire.want("RCPT TO:" + argument, 250, "2.1.5")


@case("relay: forms of ours arrive")
def _():
    for argument, box in (("<ALICE+shop@Example.Test.>", "alice@example.test"),
                          ("<@relay.example:info@example.test>", "alice@example.test"),
                          ("<\"al\\ice\"@example.test>", "alice@example.test"),
                          ("<postmaster>", "alice@example.test"),
                          ("<ALICE@XN--MNCHEN-3YA.TEST>", "alice@xn--mnchen-3ya.test")):
        wire, mark = fresh(), marker()
        wire.want("MAIL FROM:<stranger@elsewhere.example>", 250)
        wire.want("RCPT TO:" + argument, 250)
        equal(wire.data(body(mark)).code, 250, "DATA for " + argument)
        server().message(box, mark)


def user_reaches(role):
    wire = server().login(role)
    for argument in ABROAD:
        mark = marker()
        wire.want("MAIL FROM:<alice@example.test>", 250)
        wire.want("RCPT TO:" + argument, 250, "2.1.5")
        equal(wire.data(body(mark)).code, 250, "DATA for " + argument)
        server().message("capture", mark)
    wire.want("MAIL FROM:<alice@example.test>", 250)
    wire.want("RCPT TO:<ü@bücher.example>", 553, "5.6.7", "utf8-not-declared")
    wire.want("RSET", 250)
    wire.want("MAIL FROM:<alice@example.test> SMTPUTF8", 250)
    wire.want("RCPT TO:<ü@bücher.example>", 250)
    wire.want("RCPT TO:<alice@example.test>", 250)
    wire.want("RCPT TO:<nobody@example.test>", 550, "5.1.1", "unknown-recipient")
    wire.want("RCPT TO:<u@[192.0.2.1]>", 550, "5.1.2", "foreign-literal")
    wire.want("RCPT TO:<u%foreign.example@example.test>", 550, "5.7.1", "second-routing")
    mark = marker()
    equal(wire.data(body(mark)).code, 250, "DATA")
    server().message("capture", mark)
    server().message("alice", mark)
    wire.quit()


@case("relay: a user reaches the world over STARTTLS")
def _():
    user_reaches("submission")


@case("relay: a user reaches the world over implicit TLS")
def _():
    user_reaches("submissions")


@case("relay: the null sender of a user may go abroad")
def _():
    wire = server().login("submissions")
    wire.want("MAIL FROM:<>", 250)
    wire.want("RCPT TO:<u@foreign.example>", 250)


@case("relay: a login ends with its session")
def _():
    server().login("submission").quit()
    wire = fresh("submission", True)
    wire.want("MAIL FROM:<alice@example.test>", 530, "5.7.0", "auth-required")


@case("relay: at the end nothing from strangers is in the capture Maildir")
def _():
    server().queue_empty()
    for message in server().messages("capture"):
        expect(b"Return-Path: <alice@example.test>" in message, "went abroad:\n%r" % message[:500])


if __name__ == "__main__":
    main()
