"""faults.py - `gatepost serve --faults FILE` (gatepost-faults.5) in a build with FAULTS=1, which is made here where it
is not there: every form of a rule is played exactly when its script says, over SMTP and POP3; and the packaged build
has neither the option nor the code. One server reads one script after the other by SIGHUP.

Runs in: tests/run.sh. Never: leaves a server behind, asserts an upper bound of a time.
"""
import contextlib
import os
import poplib
import re
import shutil
import smtplib
import ssl
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests"))
PACKAGED = os.environ.get("BUILD", "build")
SANITIZE = ["SANITIZE=1"] if "sanitize" in os.path.basename(PACKAGED) else []
os.environ["BUILD"] = "build/sanitize-faults" if SANITIZE else "build/faults"

import harness  # noqa: E402: it reads BUILD
from harness import BUILD, Failure, Server, b64, body, case, equal, expect  # noqa: E402

SIGNS = re.compile(r"\b(fault_(judge|play|hear|script_read|smtp_\w+|pop3_\w+|login_\w+)|faults_open|client_(cut|slow|drop|pause))\b")


def build():
    environment = {k: v for k, v in os.environ.items() if k not in ("BUILD", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    done = subprocess.run(["make", "--no-print-directory", "-s", "-j2", "FAULTS=1"] + SANITIZE + ["faults"], cwd=TOP,
                          env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print("FAILED make FAULTS=1: " + done.stderr[-3000:] + "\n0 passed, 1 failed")
        sys.exit(1)


# ---- the server, and one script after the other

class Lab:
    server = None

    @classmethod
    def get(cls):
        if not cls.server:
            cls.path = os.path.join(tempfile.mkdtemp(prefix="gatepost-faults-"), "script")
            cls.write("")
            cls.server = Server("faults", pop3=True, users=("alice", "bob", "reply-451-pass", "delay-300ms-retr"),
                                config={"timeouts": {"command": "20s"}}, options=("--faults", cls.path))
        return cls.server

    @classmethod
    def write(cls, script):
        with open(cls.path, "w") as file:
            file.write(script)

    @classmethod
    def play(cls, *lines):
        """The server, once all its listeners play these lines and counting has begun anew."""
        server = cls.get()
        cls.write("\n".join(lines) + "\n")
        pop3 = server.pids("pop3")
        with contextlib.suppress(BlockingIOError):  # or the master would wait for who reads its notifications
            server.notify.setblocking(False)
            while server.notify.recv(4096):
                pass
        expect(server.reload(), "the script was refused: " + server.log()[-500:])

        def serving():
            rows = [r["pid"] for r in server.status() if r["process"] == "pop3" and r["state"] == "serving"]
            return rows and not set(rows) & set(pop3)
        harness.eventually(serving, "a new listener for POP3")
        return server


def session(server, role="mx", **rest):
    wire = server.dial(role, **rest)
    wire.ehlo()
    return wire


def fate(wire):
    """How the connection ends: "reset" or "closed", which under TLS says so (close_notify); and what came before."""
    wire.socket.settimeout(harness.PATIENCE)
    if isinstance(wire.socket, ssl.SSLSocket):
        wire.socket.suppress_ragged_eofs = False  # or a reset under TLS would look like an end in order
    got = wire.buffer
    while True:
        try:
            more = wire.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError):
            return "reset", got
        except ssl.SSLZeroReturnError:
            return "closed", got
        if not more:
            return "closed", got
        got += more


def lasts(least, action):
    """The action takes at least so long; its result."""
    begin = time.monotonic()
    result = action()
    took = time.monotonic() - begin
    expect(took >= least, "it took %.3f s, not at least %.3f" % (took, least))
    return result


class Pop(poplib.POP3):
    """A session over POP3 under TLS that has logged in, or not."""

    def __new__(cls, server, user=None, password=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        pop = poplib.POP3_SSL("127.0.0.1", server.ports["pop3s"], timeout=harness.PATIENCE, context=context)
        if user:
            pop.user(user)
            try:
                pop.pass_(password or server.password)
            except poplib.error_proto as error:
                if "[IN-USE]" not in str(error):
                    raise
                time.sleep(0.1)  # the session before is on its way out
                return cls.__new__(cls, server, user, password)
        return pop


def pop_wire(server, user):
    """The same at the level of octets, as soon as no session before has the mailbox."""
    def attempt():
        wire = server.dial("pop3s", greet=False)
        wire.line()
        for line in ("USER " + user, "PASS " + server.password):
            wire.send(line.encode() + b"\r\n")
            answer = wire.line()
            if "[IN-USE]" in answer:
                return None
            expect(answer[:3] == "+OK", answer)
        return wire
    return harness.eventually(attempt, "a mailbox that is free")


def refused(call, *words):
    """What a POP3 command is refused with."""
    try:
        found = call(*words)
    except poplib.error_proto as error:
        return error.args[0] if isinstance(error.args[0], bytes) else str(error).encode()
    raise Failure("%s was not refused: %r" % (call.__name__, found))


def codes(wire, line, n):
    return [wire.ask(line).code for _ in range(n)]


# ---- conditions: a counted NOOP shows when

@case("conditions: nth")
def nth():
    server = Lab.play("on noop nth 2 reply 451")
    equal(codes(session(server), "NOOP", 4), [250, 451, 250, 250], "NOOPs")


@case("conditions: first")
def first():
    server = Lab.play("on noop first 2 reply 451")
    equal(codes(session(server), "NOOP", 4), [451, 451, 250, 250], "NOOPs")


@case("conditions: every")
def every():
    server = Lab.play("on noop every 2 reply 451")
    equal(codes(session(server), "NOOP", 5), [250, 451, 250, 451, 250], "NOOPs")


@case("conditions: from")
def from_():
    server = Lab.play("on noop from 3 reply 451")
    equal(codes(session(server), "NOOP", 4), [250, 250, 451, 451], "NOOPs")


@case("conditions: counts are the whole server's, over sessions, protocols and processes at once")
def counts_over_all():
    server = Lab.play("on noop nth 5 reply 452 \"here\"", "on noop from 41 reply 453")
    wires = [session(server) for _ in range(3)]
    found = [wires[0].ask("NOOP").code, wires[1].ask("NOOP").code]
    pop = Pop(server, "alice@example.test")
    pop.noop()
    pop.noop()
    found += [wires[2].ask("NOOP").code, wires[0].ask("NOOP").code]
    equal(found, [250, 250, 452, 250], "NOOPs of three sessions, and two by POP3 between them")
    results, lock = [], threading.Lock()

    def many():
        wire = session(server)
        mine = codes(wire, "NOOP", 10)
        with lock:
            results.extend(mine)
    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(sorted(results), [250] * 34 + [453] * 6, "of 40 more NOOPs at once six are beyond the 40th")  # 6 were before
    expect(refused(pop.noop).startswith(b"-ERR [SYS/TEMP]"), "by POP3 it is refused too")


@case("conditions: match, at sender, recipient, name and mechanism")
def match():
    server = Lab.play('on rcpt match "*@slow.test" reply 450', 'on mail match "bad@*" reply 552',
                      'on ehlo match "evil.*" reply 554', 'on data match "late@*" reply 452',
                      'on auth match login reply 504')
    wire = server.dial()
    wire.want("EHLO evil.example", 554)
    wire.want("EHLO good.example", 250)
    wire.want("MAIL FROM:<bad@client.example>", 552)
    wire.want("MAIL FROM:<late@client.example> SIZE=10", 250)
    wire.want("RCPT TO:<x@SLOW.test>", 450)
    wire.want("RCPT TO:<alice@example.test>", 250)
    wire.want("DATA", 452)
    wire = server.dial("submissions")
    wire.ehlo()
    wire.want("AUTH LOGIN", 504)
    equal(wire.auth("alice@example.test", server.password).code, 235, "AUTH PLAIN")


@case("conditions: client and role")
def client_and_role():
    server = Lab.play("on noop client 127.0.0.9 reply 451", "on noop client ::1/128 reply 452",
                      "on noop role submission reply 453")
    equal(session(server).ask("NOOP").code, 250, "from 127.0.0.1")
    equal(session(server, source="127.0.0.9").ask("NOOP").code, 451, "from 127.0.0.9")
    equal(session(server, host="::1").ask("NOOP").code, 452, "from ::1")
    equal(session(server, "submission").ask("NOOP").code, 453, "on submission")
    Pop(server, "alice@example.test").noop()


@case("conditions: chance with a seed is the same again, and another with another")
def chance():
    def once(seed):
        server = Lab.play("seed %d" % seed, "on noop chance 50% reply 451")
        return codes(session(server), "NOOP", 60)
    first_time, again, other = once(1), once(1), once(2)
    equal(again, first_time, "the same seed")
    expect(first_time != other, "another seed changes nothing")
    expect(10 < first_time.count(451) < 50, "%d of 60 at 50%%" % first_time.count(451))


@case("conditions: user, by every mechanism and of who is logged in")
def user():
    server = Lab.play("on auth user=bob reply 454", 'on mail user "a*@example.test" reply 450')
    for mechanism in ("PLAIN", "LOGIN"):
        wire = session(server, "submissions")
        equal(wire.auth("bob@example.test", server.password, mechanism).code, 454, "bob by " + mechanism)
        equal(wire.auth("alice@example.test", server.password, mechanism).code, 235, "alice by " + mechanism)
        wire.want("MAIL FROM:<alice@example.test>", 450)
    wire = session(server, "submissions")
    wire.want("AUTH SCRAM-SHA-256 " + b64("n,,n=bob@example.test,r=fyko+d2lbbFgONRv9qkxdawL"), 454)
    wire.want("AUTH PLAIN", 334)
    wire.want(b64("\0bob@example.test\0" + server.password), 454)
    wire.want("NOOP", 250)
    pop = Pop(server)
    pop.user("bob@example.test")
    equal(refused(pop._shortcmd, "AUTH PLAIN " + b64("\0bob@example.test\0" + server.password))[:15],
          b"-ERR [SYS/TEMP]", "AUTH by POP3")
    pop.user("bob@example.test")
    pop.pass_(server.password)


# ---- places and actions, SMTP

@case("smtp: connect drop, close")
def connect_ends():
    server = Lab.play("on connect nth 1 drop", "on connect nth 2 close")
    equal(fate(server.dial(greet=False)), ("reset", b""), "drop")
    equal(fate(server.dial(greet=False)), ("closed", b""), "close")
    equal(server.dial().banner.code, 220, "the third")


@case("smtp: connect reply, say, cut, delay")
def connect_words():
    server = Lab.play("on connect nth 1 reply 554 \"no service\"", "on connect nth 2 say \"hello?\"",
                      "on connect nth 3 cut 6", "on connect nth 4 delay 700ms", "on connect nth 5 reply 220 \"odd\"")
    equal(fate(server.dial(greet=False)), ("closed", b"554 no service\r\n"), "reply")
    wire = server.dial(greet=False)
    equal(wire.line(), "hello?", "say")
    wire.want("NOOP", 250)
    equal(fate(server.dial(greet=False)), ("closed", b"220 mx"), "cut")
    equal(lasts(0.7, server.dial).banner.code, 220, "delay")
    wire = server.dial()
    equal(wire.banner.text, "220 odd", "reply 220")
    wire.ehlo()


@case("smtp: connect on a port that begins with TLS")
def connect_tls():
    server = Lab.play("on connect nth 1 reply 421", "on connect nth 2 drop")
    wire = server.dial("submissions")
    equal(wire.banner.code, 421, "within TLS")
    expect(wire.closed(), "421 leaves")
    wire = server.dial("submissions", tls=False, greet=False)
    equal(fate(wire), ("reset", b""), "drop, before TLS")


@case("smtp: tls fail, drop, close, delay, by STARTTLS and from the first octet")
def tls():
    server = Lab.play("tls handshake nth 1 fail", "on tls nth 2 fail", "on tls nth 3 drop", "on tls nth 4 close",
                      "on tls nth 5 delay 600ms")

    def starttls():
        wire = session(server, "submission")
        wire.want("STARTTLS", 220)
        return wire

    def failure(call):
        try:
            call()
        except (ssl.SSLError, ConnectionError) as error:
            return error
        raise Failure("the handshake went well")
    expect("HANDSHAKE_FAILURE" in str(failure(starttls().handshake)).upper().replace(" ", "_"), "an alert by STARTTLS")
    expect("HANDSHAKE_FAILURE" in str(failure(lambda: server.dial("submissions"))).upper().replace(" ", "_"),
           "an alert from the first octet")
    equal(fate(starttls())[0], "reset", "drop")
    equal(fate(starttls()), ("closed", b""), "close")
    wire = starttls()
    lasts(0.6, wire.handshake)
    wire.ehlo()


@case("smtp: a reply with a text, with none, and 421; the command is not carried out")
def replies():
    server = Lab.play('on rcpt nth 1 reply 451 "4.3.0 \\"later\\""', "on rcpt nth 2 reply 250", "on rset reply 421")
    wire = session(server)
    wire.want("MAIL FROM:<a@client.example>", 250)
    equal(wire.ask("RCPT TO:<alice@example.test>").text, '451 4.3.0 "later"', "with a text")
    equal(wire.ask("RCPT TO:<alice@example.test>").text, "250 2.0.0 A fault, as asked", "with none")
    wire.want("DATA", 503)  # no recipient was taken
    equal(wire.ask("RSET").code, 421, "421")
    expect(wire.closed(), "421 leaves")


@case("smtp: each command can be refused")
def each_command():
    words = "helo ehlo starttls auth mail rcpt data bdat rset noop vrfy help quit".split()
    server = Lab.play(*["on %s reply %d" % (word, 430 + i) for i, word in enumerate(words)])
    wire = server.dial("submission")
    rest = {"mail": "MAIL FROM:<a@b.example>", "rcpt": "RCPT TO:<a@b.example>", "auth": "AUTH PLAIN AA==",
            "bdat": "BDAT 0 LAST", "helo": "HELO x", "ehlo": "EHLO x", "vrfy": "VRFY x"}
    for i, word in enumerate(words):
        wire.want(rest.get(word, word.upper()), 430 + i)
    server = Lab.play("on command nth 3 reply 499")
    wire = session(server)
    equal([wire.ask("NOOP").code, wire.ask("BANANA").code, wire.ask("NOOP").code], [250, 499, 250], "any command")


@case("smtp: say, cut, drop, close at a command")
def command_ends():
    server = Lab.play('on noop nth 1 say "25"', 'on noop nth 2 say "250-a\\r\\n250 b"', "on noop nth 3 cut 4",
                      "on noop nth 4 cut 0", "on noop nth 5 drop", "on noop nth 6 close", "on noop nth 7 cut 100")
    wire = session(server)
    wire.send(b"NOOP\r\n")
    equal(wire.line(), "25", "say")
    equal(wire.ask("NOOP").lines, ["250-a", "250 b"], "say with more lines")
    for what, end, before in (("cut 4", "closed", b"250 "), ("cut 0", "closed", b""), ("drop", "reset", b""),
                              ("close", "closed", b"")):
        wire.send(b"NOOP\r\n")
        equal(fate(wire), (end, before), what)
        wire = session(server)
    equal(codes(wire, "NOOP", 2), [250, 250], "what is longer than the reply cuts nothing")


@case("smtp: delay at a command; waiting times add up, and the first answer counts")
def delays():
    server = Lab.play("on noop nth 1 delay 500ms", "on noop nth 1 delay 400ms", "on noop nth 1 reply 451",
                      "on noop nth 1 reply 452")
    wire = session(server)
    equal(lasts(0.9, lambda: wire.ask("NOOP")).code, 451, "the first of two")
    equal(wire.ask("NOOP").code, 250, "the second")


@case("smtp: in a pipelined group each reply keeps its place")
def pipelined():
    server = Lab.play('on rcpt match "b*" reply 451', 'on rcpt match "d*" delay 300ms', 'on rcpt match "e*" cut 5')
    wire = session(server)
    lines = ["MAIL FROM:<x@client.example>"] + ["RCPT TO:<%s@example.test>" % name for name in
                                               ("alice", "b1", "nobody", "d1", "b2", "alice")] + ["RSET"]
    wire.send("".join(line + "\r\n" for line in lines).encode())
    equal([wire.reply().code for _ in lines], [250, 250, 451, 550, 550, 451, 250, 250], "replies of the group")
    wire.send(b"MAIL FROM:<x@client.example>\r\nRCPT TO:<alice@example.test>\r\nRCPT TO:<e@example.test>\r\nNOOP\r\n")
    equal([wire.reply().code for _ in range(2)], [250, 250], "before the one that is cut")
    equal(fate(wire), ("closed", b"550 5"), "what is left of the third, and nothing of the fourth")


def send(server, marker, octets=None, wire=None):
    wire = wire or session(server)
    wire.want("MAIL FROM:<a@client.example>", 250)
    wire.want("RCPT TO:<bob@example.test>", 250)
    return wire, wire.data(octets or body(marker))


@case("smtp: data and body reply; a message with another answer than the commit's is not kept")
def body_replies():
    server = Lab.play("on data nth 1 reply 451", "on body nth 1 reply 452", "on body nth 2 reply 250 \"2.0.0 lost\"")
    wire, reply = send(server, "faults-data")
    equal(reply.code, 451, "data")
    wire.want("RSET", 250)
    equal(send(server, "faults-refused", wire=wire)[1].code, 452, "body")
    wire.want("NOOP", 250)
    equal(send(server, "faults-lost", wire=wire)[1].text, "250 2.0.0 lost", "accepted and lost")
    equal(send(server, "faults-kept", wire=wire)[1].code, 250, "the fourth")
    server.message("bob", "faults-kept")
    for marker in (b"faults-data", b"faults-refused", b"faults-lost"):
        equal([m for m in server.messages("bob") if marker in m], [], "%s is not there" % marker)


@case("smtp: body cut 0: the message is kept and its reply is lost")
def body_lost_reply():
    server = Lab.play("on body nth 1 cut 0")
    wire, reply = send(server, "faults-replyless")
    equal(reply.lines, [], "no reply")
    server.message("bob", "faults-replyless")


@case("smtp: body after so many octets, and not before")
def body_after():
    server = Lab.play("on body after 8k close")
    small = body("faults-small", "x" * 70 + "\r\n")
    small += (b"x" * 70 + b"\r\n") * ((8192 - 3 - len(small)) // 72)
    small += b"y" * (8192 - 4 - 2 - len(small)) + b"\r\n"
    equal(len(small), 8188, "with the final dot 8191 octets")
    equal(send(server, "", small)[1].code, 250, "8191 octets are not 8k")
    wire = session(server)
    wire.want("MAIL FROM:<a@client.example>", 250)
    wire.want("RCPT TO:<bob@example.test>", 250)
    wire.want("DATA", 354)
    wire.send(small + b"zz\r\n")
    equal(fate(wire), ("closed", b""), "8191 octets and no end: closed at 8192")
    server = Lab.play("on body after 1k nth 2 drop", "on body after 2k reply 451 \"big\"")
    equal(send(server, "", body("faults-big", ("x" * 70 + "\r\n") * 40))[1].text, "451 big", "a reply waits for the end")
    wire, reply = send(server, "faults-little")
    equal(reply.code, 250, "neither 1k nor 2k")
    wire.want("MAIL FROM:<a@client.example>", 250)
    wire.want("RCPT TO:<bob@example.test>", 250)
    wire.want("DATA", 354)
    wire.send(b"x: y\r\n" * 200)
    equal(fate(wire)[0], "reset", "the second of more than 1k")


@case("smtp: body by BDAT")
def body_bdat():
    server = Lab.play("on body after 100 close", "on body nth 1 reply 451", "on bdat nth 3 reply 450")
    wire = session(server)
    wire.want("MAIL FROM:<a@client.example>", 250)
    wire.want("RCPT TO:<bob@example.test>", 250)
    wire.send(b"BDAT 20\r\nSubject: chunked\r\n\r\n")
    equal(wire.reply().code, 250, "the first chunk")
    wire.send(b"BDAT 5 LAST\r\nabc\r\n")
    equal(wire.reply().code, 451, "the last")
    wire.want("MAIL FROM:<a@client.example>", 250)
    wire.want("RCPT TO:<bob@example.test>", 250)
    wire.send(b"BDAT 5 LAST\r\nabc\r\n")
    equal(wire.reply().code, 450, "bdat: its octets are taken")
    wire.want("NOOP", 250)
    wire.send(b"BDAT 80\r\n" + b"x" * 78 + b"\r\n")
    equal(wire.reply().code, 250, "80 octets")
    wire.send(b"BDAT 80\r\n" + b"x" * 78 + b"\r\n")
    equal(fate(wire), ("closed", b""), "160 octets")


@case("smtp: slow, in both directions")
def slow():
    server = Lab.play("on ehlo slow 200/s")
    wire = server.dial()
    reply = lasts(0.4, wire.ehlo)
    expect(len(reply.text) > 100, "a long reply")
    wire.want("MAIL FROM:<a@client.example>", 250)
    wire.want("RCPT TO:<bob@example.test>", 250)
    lasts(1.5, lambda: wire.data(body("faults-slow", "x" * 300 + "\r\n")))
    server.message("bob", "faults-slow")


@case("smtp: under TLS, with a real client")
def real_client():
    server = Lab.play('on rcpt match "bob@*" first 1 reply 451 "4.7.1 greylisted"', "on quit close")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = smtplib.SMTP("127.0.0.1", server.ports["submission"], timeout=harness.PATIENCE)
    client.starttls(context=context)
    client.login("alice@example.test", server.password)
    text = body("faults-real", sender="alice@example.test")
    try:
        client.sendmail("alice@example.test", ["bob@example.test"], text)
        raise Failure("the first recipient was taken")
    except smtplib.SMTPRecipientsRefused as refusal:
        equal(refusal.recipients["bob@example.test"], (451, b"4.7.1 greylisted"), "the first time")
    equal(client.sendmail("alice@example.test", ["bob@example.test"], text), {}, "the second time")
    server.message("bob", "faults-real")
    with contextlib.suppress(ssl.SSLError):
        try:
            client.quit()
            raise Failure("QUIT was answered")
        except smtplib.SMTPServerDisconnected:
            pass


# ---- places and actions, POP3

def fill(server, marker, lines=0):
    Lab.play()
    wire, reply = send(server, marker, body(marker, "Hello.\r\n" + ("x" * 70 + "\r\n") * lines))
    equal(reply.code, 250, "a message for bob")
    server.message("bob", marker)


@case("pop3: connect, in the words of POP3")
def pop3_connect():
    server = Lab.play("on connect nth 1 reply 451", "on connect nth 2 drop", "on connect nth 3 reply 554 \"no\"")
    wire = server.dial("pop3", greet=False)
    equal(fate(wire), ("closed", b"-ERR [SYS/TEMP] A fault, as asked\r\n"), "reply")
    equal(fate(server.dial("pop3", greet=False)), ("reset", b""), "drop")
    equal(fate(server.dial("pop3", greet=False)), ("closed", b"-ERR [SYS/PERM] no\r\n"), "reply 5xx")


@case("pop3: tls fail, by STLS and from the first octet")
def pop3_tls():
    server = Lab.play("on tls role pop3s fail", "tls handshake nth 2 fail")
    wire = server.dial("pop3", greet=False)
    equal(wire.line()[:3], "+OK", "greeting")
    wire.send(b"STLS\r\n")
    equal(wire.line()[:3], "+OK", "STLS")
    wire.handshake()
    for role in ("pop3s", "pop3"):
        try:
            wire = server.dial(role, greet=False)
            wire.send(b"STLS\r\n")
            wire.line(), wire.line()
            wire.handshake()
        except (ssl.SSLError, ConnectionError) as error:
            expect("alert" in str(error).lower() or isinstance(error, ConnectionError), str(error))
        else:
            expect(role == "pop3", "the handshake on %s went well" % role)


@case("pop3: each command can be refused")
def pop3_each_command():
    Lab.get()
    fill(Lab.server, "faults-pop3")
    words = "capa stat list uidl retr top dele rset noop quit".split()
    server = Lab.play(*["on %s role pop3s reply %d \"%s\"" % (word, 451 if i % 2 else 551, word)
                        for i, word in enumerate(words)])
    pop = Pop(server, "bob@example.test")
    rest = {"retr": "RETR 1", "top": "TOP 1 0", "dele": "DELE 1", "list": "LIST 1", "uidl": "UIDL"}
    for i, word in enumerate(words):
        wanted = b"-ERR [SYS/%s] %s" % (b"TEMP" if i % 2 else b"PERM", word.encode())
        equal(refused(pop._shortcmd, rest.get(word, word.upper())), wanted, word)
    server = Lab.play("on user nth 1 reply 451", "on pass user bob nth 1 reply 535", "on stls reply 451")
    pop = Pop(server)
    equal(refused(pop.user, "bob@example.test")[:15], b"-ERR [SYS/TEMP]", "user")
    pop.user("bob@example.test")
    equal(refused(pop.pass_, server.password), b"-ERR [AUTH] A fault, as asked", "pass")
    pop.user("bob@example.test")
    pop.pass_(server.password)
    expect(pop.stat()[0] >= 1, "the message is there")


@case("pop3: say, cut, drop, close, delay at a command")
def pop3_command_ends():
    server = Lab.play('on noop nth 1 say "+OK\\r\\nwhat?"', "on noop nth 2 cut 2", "on noop nth 3 drop",
                      "on noop nth 4 close", "on noop nth 5 delay 600ms", 'on pass user bob say "-ERR [IN-USE] busy"')

    def next_one():
        wire = pop_wire(server, "alice@example.test")
        wire.send(b"NOOP\r\n")
        return wire
    wire = next_one()
    equal([wire.line(), wire.line()], ["+OK", "what?"], "say")
    wire.close()
    for what, end, before in (("cut 2", "closed", b"+O"), ("drop", "reset", b""), ("close", "closed", b"")):
        equal(fate(next_one()), (end, before), what)
    equal(lasts(0.6, lambda: next_one().line())[:3], "+OK", "delay")
    pop = Pop(server)
    pop.user("bob@example.test")
    equal(refused(pop.pass_, server.password), b"-ERR [IN-USE] busy", "say at pass")


@case("pop3: body after so many octets, cut of a long answer, slow")
def pop3_body():
    Lab.get()
    fill(Lab.server, "faults-long", 200)
    server = Lab.play("on body after 1000 nth 1 close", "on retr nth 2 cut 30", "on retr nth 4 slow 20k/s",
                      "on body nth 4 close")
    number = str(next(i + 1 for i, octets in enumerate(sizes(server)) if octets > 10000))

    def retr():
        wire = pop_wire(server, "bob@example.test")
        wire.send(b"RETR " + number.encode() + b"\r\n")
        return wire
    end, text = fate(retr())
    equal((end, text[:3], len(text) - len(b"+OK It follows\r\n")), ("closed", b"+OK", 1000), "body after 1000")
    end, text = fate(retr())
    equal((end, len(text)), ("closed", 30), "cut 30")

    def whole(wire):
        while not wire.buffer.endswith(b"\r\n.\r\n"):
            wire.buffer += wire.socket.recv(65536)
        return wire.buffer
    full = whole(retr())
    equal(len(lasts(0.5, lambda: whole(retr()))), len(full), "slow and whole")
    pop = Pop(server, "bob@example.test")
    expect(len(pop.retr(number)[1]) > 200, "the fifth")


def sizes(server):
    Lab_pop = Pop(server, "bob@example.test")
    found = [int(line.split()[1]) for line in Lab_pop.list()[1]]
    Lab_pop.quit()
    return found


@case("pop3: quit that is refused removes nothing")
def pop3_quit():
    Lab.get()
    fill(Lab.server, "faults-quit")
    server = Lab.play("on quit role pop3s nth 1 close")
    pop = Pop(server, "bob@example.test")
    before = pop.stat()[0]
    pop.dele(1)
    try:
        pop.quit()
        raise Failure("QUIT was answered")
    except (poplib.error_proto, OSError):
        pass
    pop = Pop(server, "bob@example.test")
    equal(pop.stat()[0], before, "messages")


# ---- magic local parts

@case("magic: at its own command, and later in the transaction")
def magic():
    server = Lab.play("magic")
    wire = session(server)
    wire.want("MAIL FROM:<reply-452@client.example>", 452)
    wire.want("MAIL FROM:<reply-453-data@client.example>", 250)
    wire.want("RCPT TO:<reply-451@example.test>", 451)
    wire.want("RCPT TO:<alice+reply-450-rcpt@example.test>", 450)
    wire.want("RCPT TO:<alice@example.test>", 250)
    wire.want("DATA", 453)
    wire.want("DATA", 453)
    wire.want("RSET", 250)
    wire.want("MAIL FROM:<a@client.example>", 250)
    lasts(0.5, lambda: wire.want("RCPT TO:<alice+delay-500ms@example.test>", 250))
    wire.want("DATA", 354)
    wire.send(body("faults-magic") + b".\r\n")
    equal(wire.reply().code, 250, "a new transaction has forgotten the one before")
    for local, end in (("drop-data", "reset"), ("close-data", "closed"), ("close-body", "closed"),
                       ("close-body-100", "closed"), ("cut-0-body", "closed")):
        wire = session(server)
        wire.want("MAIL FROM:<a@client.example>", 250)
        wire.want("RCPT TO:<alice+%s@example.test>" % local, 250)
        wire.send(b"DATA\r\n")
        if local.endswith("data"):
            equal(fate(wire), (end, b""), local)
            continue
        equal(wire.reply().code, 354, "DATA with " + local)
        wire.send(body("faults-" + local, "x" * 100 + "\r\n") + (b"" if local.endswith("100") else b".\r\n"))
        equal(fate(wire), (end, b""), local)
    server.message("alice", "faults-cut-0-body")
    equal([m for m in server.messages("alice") if b"faults-close-body" in m], [], "what was closed in its body")


@case("magic: a login's, over SMTP and POP3")
def magic_login():
    server = Lab.play("magic")
    wire = session(server, "submissions")
    equal(wire.auth("reply-454@example.test", "x").code, 454, "AUTH")
    equal(wire.auth("bob+reply-454-auth@example.test", "x", "LOGIN").code, 454, "AUTH LOGIN")
    pop = Pop(server)
    pop.user("reply-451-pass@example.test")
    equal(refused(pop.pass_, server.password)[:15], b"-ERR [SYS/TEMP]", "pass")
    pop = Pop(server)
    equal(refused(pop.user, "reply-551@example.test")[:15], b"-ERR [SYS/PERM]", "user")
    pop = Pop(server, "delay-300ms-retr@example.test")
    lasts(0.3, lambda: refused(pop.retr, 1))


@case("magic: only where the script says so, and plain local parts are plain")
def magic_off():
    server = Lab.play("on noop reply 451")
    wire = session(server)
    wire.want("MAIL FROM:<reply-452@client.example>", 250)
    server = Lab.play("magic")
    wire = session(server)
    for local in ("reply", "reply-", "reply-199", "reply-451-nowhere", "reply-451-rcpt-x", "drop-off", "delay-3",
                  "delay-3s-", "close-tls", "fail", "say-hello", "cut"):
        wire.want("MAIL FROM:<%s@client.example>" % local, 250)
        wire.want("RSET", 250)


# ---- scripts and the log

@case("script: mistakes name the line and the likely meant word, and the script before stays")
def mistakes():
    server = Lab.play("on noop reply 451")
    Lab.write("seed 1\non rctp drop\non rcpt mach x drop\non rcpt repyl 451\n")
    expect(not server.reload(), "a script with mistakes was taken")
    for text in (r"script:2: no such place: rctp; did you mean rcpt\?", r"script:3: .*mach; did you mean match\?",
                 r"script:4: .*repyl; did you mean reply\?"):
        server.log_has(text)
    equal(session(server).ask("NOOP").code, 451, "the script before")
    Lab.write("on drop\n")
    done = subprocess.run([harness.GATEPOST, "--config", server.config_path, "serve", "--faults", Lab.path],
                          capture_output=True, text=True, timeout=harness.PATIENCE, check=False)
    expect(done.returncode != 0, "a second server beside the first, or a bad script, started")


@case("script: the log says which rule was played")
def logged():
    server = Lab.play("", "on noop nth 1 reply 451")
    session(server).want("NOOP", 451)
    server.log_has(r'fault played.*line 2: on noop reply')


@case("script: refused at start with its mistakes, unless all listens on loopback, and where the file is not there")
def refused_at_start():
    def attempt(script, address=None):
        with Server("faults-start", start=False, users=()) as server:
            path = server.directory + "/script"
            if script is not None:
                with open(path, "w") as file:
                    file.write(script)
            if address:
                server.config["listen"][0]["address"] = ["%s:%d" % (address, server.ports["mx"])]
                server.write_config()
            return subprocess.run([harness.GATEPOST, "--config", server.config_path, "serve", "--faults", path],
                                  capture_output=True, text=True, timeout=harness.PATIENCE * 2, check=False)
    done = attempt("on noop repyl 451\n")
    expect(done.returncode == 1 and "script:1: " in done.stderr and "did you mean reply?" in done.stderr, done.stderr)
    done = attempt("", "0.0.0.0")
    expect(done.returncode == 1 and "for this host alone" in done.stderr, done.stderr)
    done = attempt(None)
    expect(done.returncode == 1 and "No such file" in done.stderr, done.stderr)


@case("script: no file but local parts")
def magic_alone():
    with Server("faults-magic", users=("alice",), options=("--faults", "")) as server:
        wire = session(server)
        wire.want("MAIL FROM:<reply-452@client.example>", 452)


# ---- units, and the packaged build

@case("units: parser and engine")
def units():
    found = sorted(os.listdir(os.path.join(BUILD, "tests", "unit")))
    names = [n for n in found if n.startswith("test_fault_") and "." not in n]
    expect(names, "no unit was built")
    for name in names:
        done = subprocess.run([os.path.join(BUILD, "tests", "unit", name), "--jobs", "2", "--color=never"],
                              capture_output=True, text=True, timeout=180, check=False)
        tested = re.search(r"Tested: *(\d+)", done.stdout + done.stderr)
        expect(done.returncode == 0 and tested and int(tested.group(1)) > 0, name + ": " + done.stderr[-2000:])


def programs(build_directory):
    names = sorted(n for n in os.listdir(build_directory) if n.startswith("gatepost-") and "." not in n)
    main = os.path.join(TOP, "gatepost") if build_directory == os.path.join(TOP, "build") else build_directory + "/gatepost"
    return [main] + [os.path.join(build_directory, n) for n in names]


def signs(path):
    """Names of functions, and texts once debugging information is away."""
    symbols = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory() as directory:
        bare = os.path.join(directory, "bare")
        subprocess.run(["strip", "-o", bare, path], check=True)
        with open(bare, "rb") as file:
            octets = file.read()
    texts = [t for t in (b"fault, as asked", b"fault played", b"gatepost-faults", b"did you mean rcpt") if t in octets]
    return sorted({m.group(0) for m in SIGNS.finditer(symbols)}) + texts


@case("packaged: neither the option nor the code")
def packaged():
    directory = os.path.join(TOP, PACKAGED)
    for path in programs(directory):
        equal(signs(path), [], "of faults in " + path)
    equal(len(signs(os.path.join(BUILD, "gatepost-session"))) > 5, True, "the same look finds it in the other build")
    expect(b"gatepost-faults" in signs(os.path.join(BUILD, "gatepost")), "the same look finds the option there")
    with Server("faults-packaged", start=False, users=()) as server:
        path = server.directory + "/script"
        with open(path, "w") as file:
            file.write("on noop drop\n")
        done = subprocess.run([programs(directory)[0], "--config", server.config_path, "serve", "--faults", path],
                              capture_output=True, text=True, timeout=harness.PATIENCE, check=False)
        expect(done.returncode == 2 and "'serve' has no option --faults" in done.stderr, done.stderr)
        text = subprocess.run([programs(directory)[0], "serve", "--help"], capture_output=True, text=True, check=True)
        expect("--faults" not in text.stdout and "--pid-file" in text.stdout, text.stdout)


if __name__ == "__main__":
    build()
    try:
        harness.main()
    finally:
        if Lab.server:
            shutil.rmtree(os.path.dirname(Lab.path), ignore_errors=True)
