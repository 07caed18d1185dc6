"""outside.py - what a stranger on the wire may try to relay, to smuggle, to forge, to find out or to wear out."""
import os
import re
import socket
import ssl
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import Failure, Server, Wire, b64, body, case, equal, eventually, expect, main, marker  # noqa: E402

STRANGER = "stranger@elsewhere.example"
_servers = {}


def make(name, **rest):
    if name not in _servers:
        _servers[name] = rest.pop("build")()
    return _servers[name]


def build_world():
    one = Server("outside", users=("alice", "bob", "carol"), start=False, config={
        "local_domains": ["example.test", "all.test"], "postmaster": "alice@example.test",
        "limits": {"failures_per_session": 1000}})
    one.command("alias", "add", "team@example.test", "alice@example.test", "bob@example.test")
    one.command("alias", "add", "*@all.test", "bob@example.test")
    one.command("user", "disable", "carol@example.test")
    return one.start()


def build_proxied():
    return Server("proxied", config={"proxy_from": ["127.0.0.2"], "trusted_networks": ["192.0.2.0/24"]})


def world():
    return make("world", build=build_world)


def proxied():
    return make("proxied", build=build_proxied)


def fresh(role="mx", tls=False):
    wire = world().dial(role)
    wire.ehlo()
    if tls and role != "submissions":
        wire.starttls()
        wire.ehlo()
    return wire


def nothing_abroad(server):
    server.queue_empty()
    equal(server.messages("capture"), [], "messages that went abroad")


def replies_until_closed(wire, limit=200):
    found = []
    while len(found) < limit:
        reply = wire.reply()
        if not reply.lines:
            return found
        found.append(reply)
    return found


# ---- relaying

FORMS = [  # each means somebody abroad, or would to another reader
    "<u@ex\u0430mple.test>", "<u@example\u3002evil.test>", "<u@exam\u00adple.test.evil.example>", "<u@\u200dexample.test>",
    "<u@example.test\u0000.evil.example>", "<u@xn--example-.test>", "<u@xn--.test>", "<u@EXAMPLE.TEST..>", "<u@example.test .evil.example>",
    "<u@example.test\t>", "<u@evil.example\t>", "<u@evil.example >", "< u@evil.example>", "<u@evil.example>\t", "<u@evil.example> ", "<u@evil.example>\x0b",
    "<u@evil.example>;", "<u@evil.example>,<alice@example.test>", "<alice@example.test>,<u@evil.example>", "<alice@example.test> <u@evil.example>",
    "<alice@example.test><u@evil.example>", "<alice@example.test>RCPT TO:<u@evil.example>", "<alice@example.test> RCPT=<u@evil.example>",
    "<alice@example.test,u@evil.example>", "<alice@example.test;u@evil.example>", "<alice@example.test u@evil.example>",
    "<alice@example.test@evil.example>", "<u@evil.example@example.test>", "<alice(@example.test)@evil.example>", "<alice@example.test(@evil.example)>",
    "<alice@(x)evil.example>", "<\"alice@example.test\"@evil.example>", "<\"alice@example.test>\"@evil.example>", "<\"a>@example.test\\\"@evil.example>",
    "<\"\\\"@example.test\"@evil.example>", "<\"u@evil.example\"@example.test>", "<\"u@evil.example>\"@example.test>", "<alice+\"u@evil.example\"@example.test>",
    "<\"alice+u@evil.example\"@example.test>", "<\"alice+u%evil.example\"@example.test>", "<alice+u%evil.example@example.test>", "<evil.example!u+alice@example.test>",
    "<u%evil.example@all.test>", "<\"u@evil.example\"@all.test>", "<evil.example!u@all.test>", "<\"u\\@evil.example\"@ALL.TEST.>", "<+u@evil.example@all.test>",
    "<postmaster%evil.example@example.test>", "<postmaster@evil.example>", "<\"postmaster\"@evil.example>", "<@evil.example:postmaster@evil.example>", "<postmaster%evil.example>",
    "<postmaster!evil.example>", "<@example.test:u@evil.example>", "<@example.test,@all.test:u@evil.example>", "<@[127.0.0.1]:u@evil.example>", "<@:u@evil.example>",
    "<@example.test:@all.test:u@evil.example>", "<@example.test:u%evil.example@all.test>", "<u@[127.0.0.1]>", "<u@[IPv6:::1]>", "<u@[ipv6:::ffff:127.0.0.1]>", "<u@[::1]>",
    "<u@[0.0.0.0]>", "<u@[127.1]>", "<u@[2130706433]>", "<u@[127.0.0.1].evil.example>", "<u@[127.0.0.1]example.test>", "<u@[example.test]>", "<u@#2130706433>", "<u@127.0.0.1>",
    "<u@localhost>", "<u@mx.example.test>", "<u@test>", "<u@.example.test>", "<u@example.test/evil.example>", "<u@evil.example?@example.test>", "<u@evil.example#example.test>",
    "<u=evil.example@evil.example>", "<u@evil.example\\@example.test>", "<u\\@evil.example>", "<u@evil.example\\>", "smtp:u@evil.example", "<mailto:u@evil.example>", "<IMCEASMTP-u+40evil+2Eexample@evil.example>",
    "<|/bin/sh@evil.example>", "</dev/null@evil.example>", "<u@%65xample.test>", "<u@example%2etest>",
]


@case("outside: no form brings a stranger's mail abroad")
def _():
    senders = (STRANGER, "", "stranger@evil.example")
    for parameters in ("", " SMTPUTF8"):
        wire = fresh()
        for number, form in enumerate(FORMS):
            wire.want("MAIL FROM:<%s>%s" % (senders[number % 3], parameters), 250)
            reply = wire.ask("RCPT TO:" + form)
            if reply.code == 250:  # then it is a domain of ours after all: the mail stays here, which is seen at the end
                equal(wire.data(body(marker())).code, 250, "DATA for " + form)
            else:
                expect(reply.code >= 500, "RCPT TO:%s was answered %r" % (form, reply.text))
                expect(wire.ask("DATA").code >= 500, "DATA after " + form)
                wire.want("RSET", 250)
    nothing_abroad(world())


@case("outside: headers, ORCPT and AUTH= name nobody")
def _():
    wire, mark = fresh(), marker()
    wire.want("MAIL FROM:<%s> AUTH=alice@example.test ENVID=u@evil.example" % STRANGER, 250)
    wire.want("RCPT TO:<alice@example.test> ORCPT=rfc822;u@evil.example NOTIFY=SUCCESS,FAILURE,DELAY", 250)
    text = b"To: u@evil.example\r\nBcc: u@evil.example\r\nResent-To: u@evil.example\r\nApparently-To: u@evil.example\r\n"
    text += b"Return-Receipt-To: u@evil.example\r\nDisposition-Notification-To: u@evil.example\r\n"
    equal(wire.data(text + body(mark)).code, 250, "DATA")
    world().message("alice", mark)
    # what NOTIFY=SUCCESS asks for goes to the envelope's sender with the headers alone, and to nobody else
    world().queue_empty()
    for message in world().messages("capture"):
        expect(b"Delivered-To: stranger@elsewhere.example" in message and b"\r\nHello." not in message, "%r" % message[:300])
    for path in os.listdir(world().state + "/capture/new"):
        os.unlink(world().state + "/capture/new/" + path)


@case("outside: other servers' words give no right")
def _():
    wire = fresh()
    for line in ("XCLIENT ADDR=192.0.2.1 LOGIN=alice@example.test", "XFORWARD ADDR=192.0.2.1", "XAUTH alice", "ETRN evil.example", "TURN", "ATRN evil.example",
                 "SEND FROM:<alice@example.test>", "SAML FROM:<alice@example.test>", "PROXY TCP4 192.0.2.1 192.0.2.2 1 25", "XTEXT", "LHLO x", "BURL imap://x LAST",
                 "POST / HTTP/1.1", "EXPN team@example.test"):
        reply = wire.ask(line)
        expect(reply.code in (500, 502), "%s was answered %r" % (line, reply.text))
    wire.want("MAIL FROM:<alice@evil.example>", 250)
    wire.want("RCPT TO:<u@evil.example>", 550, "5.7.1", "relay-denied")


@case("outside: a local sender without login is no right")
def _():
    for sender in ("alice@example.test", "ALICE@EXAMPLE.TEST.", "\"alice\"@example.test", "team@example.test", "@evil.example:alice@example.test"):
        wire = fresh()
        reply = wire.ask("MAIL FROM:<%s>" % sender)
        if reply.code == 250:
            expect(wire.ask("RCPT TO:<u@evil.example>").code == 550, "relayed for " + sender)
            expect(wire.ask("RCPT TO:<bob@example.test>").code == 550, "a forged local sender was taken: " + sender)


# ---- PROXY

V2 = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(command=0x21, family=0x11, rest=None, length=None):
    rest = socket.inet_aton("192.0.2.7") + socket.inet_aton("192.0.2.2") + struct.pack("!HH", 1, 25) if rest is None else rest
    return V2 + bytes([command, family]) + struct.pack("!H", len(rest) if length is None else length) + rest


@case("outside: a PROXY header from who is not listed is no address")
def _():
    for header in (b"PROXY TCP4 192.0.2.7 192.0.2.2 1 25\r\n", v2()):
        wire = Wire(proxied().ports["mx"], before=header)
        replies = []
        with_mail = b"EHLO x\r\nMAIL FROM:<a@evil.example>\r\nRCPT TO:<u@evil.example>\r\nQUIT\r\n"
        try:
            wire.send(with_mail)
            replies = replies_until_closed(wire)
        except (ConnectionError, Failure):
            pass
        expect(not any(reply.code == 250 and reply.enhanced == "2.1.5" for reply in replies), "relayed: %r" % replies)


@case("outside: a malformed PROXY header of a listed peer is no session")
def _():
    good4 = socket.inet_aton("192.0.2.7") + socket.inet_aton("192.0.2.2") + struct.pack("!HH", 1, 25)
    bad = [v2(command=0x20), v2(command=0x11), v2(command=0x22), v2(family=0x00), v2(family=0x12), v2(family=0x31), v2(family=0x22), v2(rest=b""),
           v2(rest=good4[:11]), v2(family=0x21), v2(rest=good4 + b"x" * 2000), v2(length=65535), v2(rest=b"", length=0xffff), V2[:11] + b"\x00" * 200,
           b"PROXY UNKNOWN\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.2 1\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.2 1 25 \r\n", b"PROXY TCP4 192.0.2.7 192.0.2.2 1 25\n",
           b"PROXY TCP4 192.0.2.07 192.0.2.2 1 25\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.2 1 65536\r\n", b"PROXY TCP4 ::1 ::1 1 25\r\n", b"PROXY TCP6 192.0.2.7 192.0.2.2 1 25\r\n",
           b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 25\r\n", b"PROXY TCP4  192.0.2.7 192.0.2.2 1 25\r\n", b"proxy TCP4 192.0.2.7 192.0.2.2 1 25\r\n",
           b"PROXY TCP4 192.0.2.7 192.0.2.2 -1 25\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.2 1 25" + b" " * 200 + b"\r\n", b"PROXY \r\nEHLO x\r\nEHLO x\r\n", b"EHLO client.example\r\n" * 3]
    for header in bad:
        wire = Wire(proxied().ports["mx"], source="127.0.0.2", greet=False, before=header)
        try:
            wire.socket.shutdown(socket.SHUT_WR)
            replies = replies_until_closed(wire)
        except (ConnectionError, OSError):
            replies = []
        expect(all(reply.code == 421 for reply in replies), "%r was answered %r" % (header, replies))
    eventually(lambda: proxied().log().count("no usable PROXY header") == len(bad), "a line for each")
    expect("bad-frame" not in proxied().log(), "a session of ours was taken for something else")


@case("outside: a listed peer's TLVs are passed over, and what follows is SMTP")
def _():
    good4 = socket.inet_aton("198.51.100.9") + socket.inet_aton("192.0.2.2") + struct.pack("!HH", 1, 25)
    tlv = b"\x20\x00\x10" + b"\x07" + b"\x00\x00\x00\x00" + b"\x21\x00\x08TLSv1.3x" + b"\x02\x00\x0eexample.test\r\n"
    wire = Wire(proxied().ports["mx"], source="127.0.0.2", before=v2(rest=good4 + tlv))
    wire.ehlo()
    wire.want("MAIL FROM:<a@evil.example>", 250)
    wire.want("RCPT TO:<u@evil.example>", 550, "5.7.1", "relay-denied")
    proxied().log_has(r"client=\"?198\.51\.100\.9")


# ---- STARTTLS and AUTH

@case("outside: what is sent behind STARTTLS in the clear is not obeyed")
def _():
    plain = b64("\0alice@example.test\0" + Server.password)
    for tail in ("EHLO x\r\nMAIL FROM:<alice@example.test>\r\n", "AUTH PLAIN %s\r\n" % plain, "MAIL FROM:<x@evil.example>\r\nRCPT TO:<u@evil.example>\r\n", "RSET\r\n" * 50):
        for role in ("mx", "submission"):
            wire = fresh(role)
            wire.send(("STARTTLS\r\n" + tail).encode())
            equal(wire.reply().code, 220, "STARTTLS")
            try:
                wire.handshake()
            except (ssl.SSLError, OSError):
                continue  # the rest came after the switch, and is no ClientHello
            equal(wire.ask("MAIL FROM:<alice@example.test>").code, 503, "MAIL right after the handshake")
            wire.ehlo()
            expect(wire.ask("MAIL FROM:<alice@example.test>").code in ((530,) if role == "submission" else (250, 550)), "MAIL")


@case("outside: nothing learnt before STARTTLS is known after it")
def _():
    wire = fresh("submission")
    for line in ("AUTH PLAIN " + b64("\0alice@example.test\0" + Server.password), "AUTH LOGIN"):
        equal(wire.ask(line).code, 538, line)
    wire.starttls()
    wire.want("MAIL FROM:<alice@example.test>", 503)
    wire.want("AUTH PLAIN " + b64("\0alice@example.test\0" + Server.password), 503)
    wire.ehlo()
    wire.want("MAIL FROM:<alice@example.test>", 530, rule="auth-required")
    wire.want("STARTTLS", 503)


@case("outside: a failed, cancelled or pipelined AUTH is no login")
def _():
    wrong = b64("\0alice@example.test\0wrong")
    wire = fresh("submission", True)
    wire.send(("AUTH PLAIN %s\r\nMAIL FROM:<alice@example.test>\r\nRCPT TO:<u@evil.example>\r\nDATA\r\n" % wrong).encode())
    codes = [wire.reply().code for _ in range(4)]
    equal((codes[0], codes[1]), (535, 530), "AUTH and MAIL")
    expect(codes[2] >= 500 and codes[3] >= 500, "RCPT and DATA: %r" % codes)
    for lines, last in ((("AUTH LOGIN", "*"), 501), (("AUTH LOGIN", b64("alice@example.test"), "*"), 501), (("AUTH PLAIN", "="), 501), (("AUTH LOGIN", "MAIL FROM:<alice@example.test>"), 501),
                        (("AUTH LOGIN", b64("alice@example.test"), b64("wrong")), 535), (("AUTH PLAIN", b64("bob@example.test\0alice@example.test\0" + Server.password)), 535),
                        (("AUTH PLAIN", b64("\0alice@example.test\0" + Server.password + "\0")), 501), (("AUTH PLAIN", b64("\0alice@example.test\0")), 501),
                        (("AUTH EXTERNAL " + b64("alice@example.test"),), 504), (("AUTH ANONYMOUS",), 504), (("AUTH CRAM-MD5",), 504), (("AUTH NTLM",), 504)):
        for line in lines:
            reply = wire.ask(line)
        equal(reply.code, last, "%r" % (lines,))
        wire.want("MAIL FROM:<alice@example.test>", 530, rule="auth-required")
    equal(wire.auth("alice@example.test", Server.password).code, 235, "AUTH at last")
    wire.want("MAIL FROM:<bob@example.test>", 550, rule="sender-not-yours")
    wire.want("MAIL FROM:<@evil.example:bob@example.test>", 550, rule="sender-not-yours")
    equal(wire.auth("bob@example.test", Server.password).code, 503, "a second AUTH")
    wire.want("RSET", 250)
    wire.ehlo()
    wire.want("MAIL FROM:<bob@example.test>", 550, rule="sender-not-yours")


@case("outside: who exists cannot be told before AUTH, nor by AUTH's words")
def _():
    for role in ("submission", "submissions"):
        wire = fresh(role)
        answers = set()
        for user in ("alice", "nobody", "carol", "team"):
            answers.add(tuple((reply.code, reply.enhanced, reply.rule) for reply in
                              (wire.ask(line % user) for line in ("VRFY %s@example.test", "EXPN %s@example.test", "MAIL FROM:<%s@example.test>", "RCPT TO:<%s@example.test>"))))
        equal(len(answers), 1, "different answers on %s: %r" % (role, answers))
    words = set()
    for user in ("alice@example.test", "nobody@example.test", "carol@example.test", "team@example.test", "x@foreign.example", "alice", "nobody", "carol", "alice@all.test", "\u00e4@example.test"):
        for mechanism in ("PLAIN", "LOGIN"):
            words.add(fresh("submissions").auth(user, "wrong password", mechanism).text)
    equal(words, {words.copy().pop()}, "AUTH's words")
    words = {fresh("submissions").auth(user, Server.password).text for user in ("nobody@example.test", "carol@example.test", "team@example.test")}
    equal(len(words), 1, "AUTH's words for the right password of a disabled user: %r" % words)


# ---- bodies

ENDS = [a + b"." + c for a in (b"\n", b"\r", b"\r\n", b"\r\r\n", b"\n\r", b"\x0b\r\n", b"\x00\r\n", b"\xc2\x85", b"\xe2\x80\xa8", b"\r\n.") for c in (b"\n", b"\r", b"\r\n", b"\r\r\n", b"\n\r", b"\x00\r\n", b" \r\n", b"\xc2\x85")]
INNER = b"MAIL FROM:<evil@smuggled.example>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n.\r\n"


def smuggle(end, split):
    wire = fresh()
    wire.want("MAIL FROM:<%s>" % STRANGER, 250)
    wire.want("RCPT TO:<alice@example.test>", 250)
    wire.want("DATA", 354)
    octets = b"Subject: x\r\n\r\nx" + end + INNER + b"QUIT\r\n"
    if split:
        at = 15 + split
        wire.send(octets[:at])
        time.sleep(0.002)
        octets = octets[at:]
    wire.send(octets)
    codes = [reply.code for reply in replies_until_closed(wire)]
    wire.close()
    return codes


@case("outside: only CRLF.CRLF ends the data, however the packets are cut")
def _():
    honest = 0
    for end in ENDS:
        ends = b"\r\n.\r\n" in end  # the octets are there: what is before them decides about the message
        for split in range(0, len(end) + 2):
            codes = smuggle(end, split)
            if ends:
                expect(len(codes) == 6 and codes[1:] == [250, 250, 354, 250, 221], "%r cut at %d: %r" % (end, split, codes))
                honest += 1
            else:
                expect(len(codes) == 2 and codes[1] == 221 and (codes[0] == 250 or codes[0] >= 500), "%r cut at %d: %r" % (end, split, codes))
    world().queue_empty()
    equal(sum(b"Return-Path: <evil@smuggled.example>" in message for message in world().messages("bob")), honest, "messages behind an end of data")


@case("outside: BDAT counts what it says, and commands within a chunk are octets")
def _():
    inner = b"MAIL FROM:<evil@smuggled.example>\r\nRCPT TO:<bob@example.test>\r\n"
    for line in ("BDAT %d", "BDAT %d LAST", "BDAT %d FIRST", "BDAT 000%d"):
        for prepare in ((), ("MAIL FROM:<%s>" % STRANGER,), ("MAIL FROM:<%s>" % STRANGER, "RCPT TO:<nobody@example.test>"), ("MAIL FROM:<%s>" % STRANGER, "RCPT TO:<u@evil.example>")):
            wire = fresh()
            for command in prepare:
                wire.ask(command)
            wire.send((line % len(inner)).encode() + b"\r\n" + inner + b"NOOP\r\n")
            expect(wire.reply().code >= 500, "%s after %r" % (line, prepare))
            equal(wire.reply().code, 250, "the NOOP behind the chunk")
            wire.close()
    for count in ("9223372036854775808", "18446744073709551616", "18446744073709551660", "-1", "+5", "0x10", "5x", "", "1e3", "5\t", "99999999999999999999999999", "\u0665"):
        wire = fresh()
        wire.want("MAIL FROM:<%s>" % STRANGER, 250)
        wire.want("RCPT TO:<alice@example.test>", 250)
        wire.send(b"BDAT " + count.encode() + b" LAST\r\n" + inner)
        replies = replies_until_closed(wire)
        expect(len(replies) <= 1 and all(reply.code >= 500 or reply.code == 421 for reply in replies), "BDAT %r: %r" % (count, replies))
    wire = fresh()
    wire.want("MAIL FROM:<%s>" % STRANGER, 250)
    wire.want("RCPT TO:<alice@example.test>", 250)
    wire.send(b"BDAT 9223372036854775807 LAST\r\n" + b"x" * 100000)
    wire.socket.shutdown(socket.SHUT_WR)
    equal(replies_until_closed(wire), [], "half a chunk")


@case("outside: no size is large enough to overflow")
def _():
    for size in ("9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "99999999999999999999"):
        fresh().want("MAIL FROM:<%s> SIZE=%s" % (STRANGER, size), 552)
    for size in ("-1", "+1", "1x", "0x1", "", "999999999999999999999"):
        fresh().want("MAIL FROM:<%s> SIZE=%s" % (STRANGER, size), 501)


# ---- forgery

@case("outside: no line of a header, a report or the log can be forged")
def _():
    names = ["x)", "(x", "x;", "<x>", "x\"y", "x\\y", "\u00e4.example", "x,y", "[127.0.0.1]", "[IPv6:::1]", "[x]", "a" * 255, "\x1b[2J", "x\x7f", "x\x9b31m", "\xe2\x80\xaeevil", "=?utf-8?q?=0D=0AX-Forged:_1?=",
             "x%0d%0aX-Forged:1", "x\\r\\nX-Forged:"]
    mark = marker()
    for name in names:
        for verb in ("EHLO ", "HELO "):
            wire = world().dial()
            raw = name.encode("latin-1") if all(ord(c) < 256 for c in name) else name.encode()
            wire.send(verb.encode() + raw + b"\r\n")
            if wire.reply().code != 250:
                continue
            wire.want("MAIL FROM:<%s>" % STRANGER, 250)
            wire.want("RCPT TO:<alice@example.test>", 250)
            equal(wire.data(body(mark)).code, 250, "DATA")
    for argument in ("ENVID=a+0D+0AX-Forged:+201", "ENVID=a+0a", "ENVID=a+7F", "ENVID=a+00", "ENVID=a+1B+5B2J", "ENVID=a\x1b[2J"):
        expect(fresh().ask("MAIL FROM:<%s> %s" % (STRANGER, argument)).code >= 500, argument)
    for argument in ("ORCPT=rfc822;a+0D+0AX-Forged:+201", "ORCPT=rfc822;a+00", "ORCPT=a+0Ab;x", "ORCPT=rfc822;\x1b[2J", "ORCPT=utf-8;\\x{0D}\\x{0A}X-Forged:1", "ORCPT=x\x85;y"):
        wire = fresh()
        wire.want("MAIL FROM:<%s>" % STRANGER, 250)
        reply = wire.ask("RCPT TO:<alice@example.test> %s" % argument)
        expect(reply.code >= 500 or "utf-8" in argument, "%r: %r" % (argument, reply))
    for line in (b"MAIL FROM:<a\x1b[2J@evil.example>", b"MAIL FROM:<\"a\x9b\"@evil.example>", b"RCPT TO:<\"\x1b]0;x\x07\"@example.test>", b"MAIL FROM:<\"a\nX-Forged: 1\"@evil.example>",
                 b"MAIL FROM:<\"time=2026 level=error event=login\"@evil.example>", b"MAIL FROM:<\xe2\x80\xae@evil.example> SMTPUTF8", b"\x1b[2J", b"AUTH PLAIN \x1b[2J"):
        wire = fresh()
        wire.send(line + b"\r\n")
        wire.reply()
    for user in ("x\r\ntime=2026 event=login", "\x1b[2J", "\u202ealice"):
        fresh("submissions").auth(user, "x")
    world().queue_empty()
    for message in world().messages("alice"):
        head = message.split(b"\r\n\r\n" if b"\r\n\r\n" in message else b"\n\n")[0]
        expect(not re.search(rb"(?mi)^x-forged", message), "a forged header: %r" % head)
        expect(not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", head), "a control octet: %r" % head)
        equal(len(re.findall(rb"(?m)^Received:", head)), 1, "Received lines")
    for line in world().log().splitlines():
        expect(re.match(r"time=\S+ level=\w+ process=\S+ event=\S+", line) and not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", line), "log: %r" % line)


# ---- wearing out

@case("outside: each state of a session has its end, and drips do not prolong it")
def _():
    with Server("slow", config={"timeouts": {"command": "2s", "data": "2s", "login": "2s", "tls": "2s", "session": "8s"}}) as one:
        holes = []

        def hole(role, *lines, greet=True, tls=None, drip=b""):
            wire = one.dial(role, tls=tls, greet=greet)
            for line in lines:
                wire.ask(line)
            holes.append((wire, drip))
        local = ("EHLO x", "MAIL FROM:<a@b.example>", "RCPT TO:<alice@example.test>")
        hole("mx", drip=b"E")
        hole("mx", "EHLO x", drip=b"NOOP\r\n")
        hole("mx", *local, drip=b"R")
        hole("mx", *local, "DATA", drip=b"x\r\n")
        hole("mx", "EHLO x", "STARTTLS", drip=b"\x16")
        hole("submissions", tls=False, greet=False)
        hole("submissions", tls=False, greet=False, drip=b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc")
        hole("submission", "EHLO x", drip=b"NOOP\r\n")
        end = time.monotonic() + 60
        open_ones = list(holes)
        while open_ones:
            expect(time.monotonic() < end, "%d sessions never end" % len(open_ones))
            time.sleep(0.3)
            for entry in list(open_ones):
                wire, drip = entry
                try:
                    wire.socket.setblocking(False)
                    if drip:
                        wire.socket.send(drip)
                    while wire.socket.recv(65536):
                        pass
                    open_ones.remove(entry)
                except BlockingIOError:
                    pass
                except OSError:
                    open_ones.remove(entry)


@case("outside: who sends without a pause has his time too")
def _():
    with Server("endless", config={"timeouts": {"command": "2s", "session": "5s"}}) as one:
        ended = []

        def stream(lines, octets):
            wire = one.dial()
            for line in lines:
                wire.ask(line)
            end = time.monotonic() + 60
            try:
                wire.socket.settimeout(5)
                while time.monotonic() < end:
                    wire.send(octets)
            except OSError:
                ended.append(lines)
        local = ("EHLO x", "MAIL FROM:<a@b.example>", "RCPT TO:<alice@example.test>")
        threads = [threading.Thread(target=stream, args=arguments) for arguments in
                   (((), b"x" * 60000), (local + ("DATA",), b"x\r\n" * 20000), (("EHLO x", "BDAT 9223372036854775807"), b"x" * 60000))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(len(ended), 3, "ended sessions")


@case("outside: a line that comes octet by octet has the time of one line")
def _():
    with Server("drip", config={"timeouts": {"command": "2s", "session": "1h"}}) as one:
        for lines in ((), ("EHLO x",), ("EHLO x", "MAIL FROM:<a@b.example>")):
            wire = one.dial()
            for line in lines:
                wire.ask(line)
            end = time.monotonic() + 60
            try:
                while time.monotonic() < end:
                    wire.send(b"N")
                    time.sleep(0.25)
                    wire.socket.setblocking(False)
                    try:
                        if not wire.socket.recv(4096):
                            break
                    except BlockingIOError:
                        pass
                    wire.socket.setblocking(True)
            except OSError:
                pass
            expect(time.monotonic() < end, "a line without end after %r" % (lines,))


@case("outside: TLS renegotiation, giant and broken hellos end one session and nothing else")
def _():
    before = {row["process"]: row["pid"] for row in world().status() if row["process"] in ("auth", "queue", "keys")}
    hellos = [b"\x16\x03\x01\x40\x00" + b"\x01\xff\xff\xff" + b"x" * 16380, b"\x16\x03\x01\xff\xff" + b"x" * 65535, b"\x80\x2e\x01\x03\x01", b"GET / HTTP/1.0\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x28",
              b"\x16\x03\x01\x00\x00" * 5000, b"\x14\x03\x03\x00\x01\x01" * 5000, b"\x17\x03\x03\x00\x01x" * 100, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", b"\x00" * 20000, b"EHLO x\r\n" * 1000]
    hellos += [b"\x16\x03\x01\x40\x00" + b"\x01\x02\x00\x00" + b"x" * 16380 + (b"\x16\x03\x01\x40\x00" + b"x" * 16384) * 7]
    for hello in hellos:
        wire = world().dial("submissions", tls=False, greet=False, before=hello)
        try:
            wire.socket.shutdown(socket.SHUT_WR)
            while wire.socket.recv(65536):
                pass
        except OSError:
            pass
    after = {row["process"]: row["pid"] for row in world().status() if row["process"] in ("auth", "queue", "keys")}
    equal(after, before, "processes")
    expect("session-crashed" not in world().log(), "a session crashed")
    equal(fresh("submissions").ask("NOOP").code, 250, "NOOP")


@case("outside: floods of recipients and commands are bounded, and so is what they leave in the log")
def _():
    with Server("flood") as one:
        wire = one.dial()
        wire.ehlo()
        wire.want("MAIL FROM:<a@b.example>", 250)
        size = len(one.log())
        sent = b"".join(b"RCPT TO:<u%d@evil.example>\r\n" % n for n in range(20000))
        try:
            wire.send(sent)
        except OSError:
            pass
        replies = []
        try:
            replies = replies_until_closed(wire, 30000)
        except (OSError, Failure):
            pass
        expect(len(replies) < 100, "%d replies" % len(replies))
        equal(one.dial().ask("NOOP").code, 250, "NOOP")
        expect(len(one.log()) - size < 40000, "%d octets of log" % (len(one.log()) - size))


@case("outside: at the end nothing of strangers went abroad")
def _():
    for server in list(_servers.values()):
        nothing_abroad(server)


if __name__ == "__main__":
    main()
