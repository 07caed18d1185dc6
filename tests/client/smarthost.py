"""smarthost.py - mail for elsewhere goes through another gatepost: STARTTLS and implicit TLS, verified, with a login; what
cannot be handed over waits or comes back as a bounce."""
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import postfix  # noqa: E402
from harness import HOSTNAME, Server, Skipped, body, case, equal, eventually, expect, main, make_certificate, marker  # noqa: E402
from nexthop import NameServer  # noqa: E402

_hub = []


def hub():
    """The smarthost: takes mail from relay@hub.test for everywhere, and captures it."""
    if not _hub:
        one = Server("hub", users=(), start=False, config={"local_domains": ["hub.test"], "hostname": "localhost"})
        one.add_user("relay@hub.test")
        one.command("sender", "allow", "relay@hub.test", "*@example.test")
        _hub.append(one.start())
    return _hub[0]


def front(name, tls="starttls", start=True, **smarthost):
    one = Server(name, start=False)
    password = one.directory + "/password"
    with open(password, "w") as file:
        file.write(smarthost.pop("password", Server.password) + "\n")
    os.chmod(password, 0o600)
    settings = {"host": "localhost", "port": hub().ports["submission" if tls == "starttls" else "submissions"], "tls": tls,
                "ca_file": hub().certificate, "user": "relay@hub.test", "password_file": password}
    settings.update(smarthost)
    one.config["delivery"] = {"foreign": "smarthost", "smarthost": settings}
    one.write_config()
    return one.start() if start else one


def send(server, mark, recipient="friend@far.example", text="Hello.\r\n", parameters="", sender="alice@example.test"):
    wire = server.login("submissions")
    wire.want("MAIL FROM:<%s>%s" % (sender, parameters), 250)
    wire.want("RCPT TO:<%s>" % recipient, 250)
    reply = wire.data(body(mark, text))
    equal(reply.code, 250, "DATA")
    wire.quit()


def nothing_was_killed(server):
    """No process ended by a signal: SIGSYS is what a system call gets that the filter does not list."""
    found = [line for line in server.log().splitlines() if "signal=" in line]
    expect(not found, "a process was ended by a signal: %s" % found)


def hands_over(name, tls):
    with front(name, tls) as server:
        marks = [marker() for _ in range(5)]
        for mark in marks:
            send(server, mark, text=".dot\r\n..\r\n\r\nend\r\n")
        for mark in marks:
            message = hub().message("capture", mark)
            expect(b"\n\n.dot\n..\n\nend\n" in message, "changed on the way: %r" % message)
            expect(re.search(rb"with (UTF8SMTP|ESMTP)SA\b", message), "not by TLS and login: %r" % message)
        server.queue_empty()


@case("smarthost: STARTTLS with a login")
def _():
    hands_over("starttls", "starttls")


@case("smarthost: implicit TLS with a login")
def _():
    hands_over("implicit", "implicit")


@case("smarthost: 8-bit and UTF-8 addresses")
def _():
    with front("utf8") as server:
        mark = marker()
        send(server, mark, recipient="jürgen@bücher.example", text="Grüße\r\n", parameters=" SMTPUTF8 BODY=8BITMIME")
        expect("Grüße".encode() in hub().message("capture", mark), "changed on the way")


@case("smarthost: its name is looked up in DNS, again after a reload with other name servers")
def _():
    first, second = NameServer({HOSTNAME: ["127.0.0.1"]}), NameServer({HOSTNAME: ["127.0.0.1", "::1"]})
    with front("dns", start=False, host=HOSTNAME) as server:
        path = server.directory + "/resolv.conf"
        server.config["delivery"]["resolv_file"] = path
        server.write_config()
        for names in (first, second):
            with open(path, "w") as file:
                file.write("# written by a test\nsearch example\nnameserver 127.0.0.1@%d\n" % names.port)
            if server.process:
                eventually(lambda: not server.agents("outbound"), "the end of the agent")
                expect(server.reload(), "the reload failed")
            else:
                server.start()
            pids = server.pids("resolver")
            mark = marker()
            send(server, mark)
            hub().message("capture", mark)
            expect(any(name == HOSTNAME for name, _ in names.asked), "it was not asked")
            equal(server.pids("resolver"), pids, "processes of the resolver")
        server.queue_empty()
        nothing_was_killed(server)


@case("smarthost: mail for a name that DNS does not know waits, and comes back when it has expired")
def _():
    names = NameServer({})
    with front("nxdomain", start=False, host="nowhere.example") as server:
        path = server.directory + "/resolv.conf"
        with open(path, "w") as file:
            file.write("nameserver 127.0.0.1@%d\n" % names.port)
        server.config["delivery"]["resolv_file"] = path
        server.config["queue"] = {"retry": ["1s"], "expire": "6s", "reserve": "1M"}
        server.write_config()
        server.start()
        mark = marker()
        send(server, mark)
        server.log_has(r"event=agent .*name has no address")
        row = server.json("queue", "list")[0]
        shown = server.json("queue", "show", row["id"])
        expect(any("no address" in r.get("why", "") for r in shown), "queue show does not say why: %r" % shown)
        bounce = server.message("alice", mark)
        expect(re.search(rb"Status: 5\.4\.7", bounce) and b"name has no address" in bounce, "not said why: %r" % bounce)
        expect(re.search(r"event=failed .* to=friend@far\.example", server.log()), "no recipient in the log")
        server.queue_empty()
        nothing_was_killed(server)


@case("smarthost: other authorities at a reload, and a busy agent goes by them")
def _():
    with front("authorities", start=False) as server:
        bundle = server.directory + "/bundle.pem"
        shutil.copyfile(make_certificate(server.directory, "other", "localhost")[0], bundle)
        server.config["delivery"]["smarthost"]["ca_file"] = bundle
        server.write_config()
        server.start()
        mark = marker()
        send(server, mark)
        server.log_has(r"deferred")
        with open(bundle, "w") as file:
            for path in ("/etc/ssl/certs/ca-certificates.crt", hub().certificate):  # more than fit qsort() on its stack
                with open(path) as certificates:
                    file.write(certificates.read())
        pids = server.pids("outbound")
        expect(server.reload(), "the reload failed")
        hub().message("capture", mark)
        equal(server.pids("outbound"), pids, "processes of outbound")
        server.queue_empty()
        nothing_was_killed(server)


@case("smarthost: another login at a reload, while the connection is busy")
def _():
    with front("login", password="wrong at first") as server:
        password = server.config["delivery"]["smarthost"]["password_file"]
        marks = [marker() for _ in range(3)]
        for mark in marks:
            send(server, mark)
        server.log_has(r"deferred .*status=4\.7\.8")
        with open(password, "w") as file:
            file.write(Server.password + "\n")
        expect(server.reload(), "the reload failed")
        for mark in marks:
            hub().message("capture", mark)
        server.queue_empty()


@case("smarthost: a large message")
def _():
    with front("large") as server:
        mark, text = marker(), "".join("%06d line\r\n" % i for i in range(100000))
        send(server, mark, text=text)
        expect(text.replace("\r\n", "\n").encode() in hub().message("capture", mark), "changed on the way")


@case("smarthost: a certificate that is not trusted, or not its own, gets no mail")
def _():
    for what in ("trust", "name"):
        with front("unverified-" + what, start=False) as server:
            settings = server.config["delivery"]["smarthost"]
            if what == "trust":
                settings["ca_file"] = make_certificate(server.directory, "other", "localhost")[0]
            else:
                settings["host"] = "127.0.0.2"
            server.write_config()
            server.start()
            mark = marker()
            send(server, mark)
            server.log_has(r"deferred")
            expect(server.json("queue", "list"), "the queue is empty")
            expect(not [m for m in hub().messages("capture") if mark.encode() in m], "it was handed over")


@case("smarthost: a wrong password defers")
def _():
    with front("wrong", password="no such password") as server:
        mark = marker()
        send(server, mark)
        server.log_has(r"deferred")
        expect(server.json("queue", "list"), "the queue is empty")
        expect("no such password" not in server.log(), "the password is in the log")


@case("smarthost: a refusal comes back as a bounce")
def _():
    with front("bounce") as server:
        mark = marker()
        send(server, mark, recipient="nobody@hub.test")
        bounce = server.message("alice", mark)
        expect(b"Return-Path: <>" in bounce, "return path: %r" % bounce[:300])
        for word in (rb"multipart/report", rb"report-type=\"?delivery-status", rb"message/delivery-status", rb"Action: failed",
                     rb"Status: 5\.1\.1", rb"Final-Recipient: rfc822; ?nobody@hub\.test", rb"Diagnostic-Code: smtp; ?550"):
            expect(re.search(word, bounce, re.I), "no %r in %r" % (word, bounce))
        server.queue_empty()


@case("smarthost: expired mail comes back, and a bounce never bounces")
def _():
    with front("expired", start=False, port=1) as server:
        server.config["queue"] = {"retry": ["1s"], "expire": "2s", "reserve": "1M"}
        server.config["delivery"]["smarthost"]["port"] = 9
        server.config["postmaster"] = "bob@example.test"
        server.write_config()
        server.start()
        mark = marker()
        send(server, mark)
        bounce = server.message("alice", mark)
        expect(re.search(rb"Status: [45]\.4\.[1-7]", bounce), "status: %r" % bounce)
        mark = marker()
        send(server, mark, sender="")
        server.queue_empty()
        expect(not [m for m in server.messages("alice") if mark.encode() in m], "the null sender got a bounce")
        expect(b"Postmaster notice" in server.message("bob", mark), "the postmaster was not told")


@case("smarthost: a sender hears of a delay, unless NOTIFY says otherwise")
def _():
    with front("delay", start=False, port=9) as server:
        server.config["queue"] = {"retry": ["1s"], "delay_warning": "2s", "reserve": "1M"}
        server.write_config()
        server.start()
        silent, mark = marker(), marker()
        wire = server.login("submissions")
        for which, parameters in ((silent, " NOTIFY=FAILURE,SUCCESS"), (mark, "")):
            wire.want("MAIL FROM:<alice@example.test>", 250)
            wire.want("RCPT TO:<friend@far.example>" + parameters, 250)
            equal(wire.data(body(which)).code, 250, "DATA")
        told = server.message("alice", mark)
        for word in (b"Subject: Your message is delayed", b"Action: delayed", b"Status: 4.4.1", b"Will-Retry-Until: ",
                     b"Connection refused"):
            expect(word in told, "no %r in %r" % (word, told))
        server.log_has(r"event=delay-told .*to=alice@example\.test")
        eventually(lambda: [r for r in server.json("queue", "list") if r["attempts"] > 5], "more attempts")
        expect(not [m for m in server.messages("alice") if silent.encode() in m], "told in spite of NOTIFY")
        equal(len([m for m in server.messages("alice") if mark.encode() in m]), 1, "times told")


@case("smarthost: mail waits while it is down")
def _():
    with front("down") as server:
        hub().stop()
        marks = [marker() for _ in range(3)]
        for mark in marks:
            send(server, mark)
        server.log_has("deferred")
        hub().start()
        for mark in marks:
            hub().message("capture", mark)
        server.queue_empty()


@case("smarthost: a Postfix: STARTTLS and implicit TLS, a login, a refusal, 8 bits, too large")
def _():
    why = postfix.missing()
    if why:
        raise Skipped(why)
    with postfix.Postfix() as other:
        for tls, port in (("starttls", other.port), ("implicit", other.tls_port)):
            with front("postfix-" + tls, tls, port=port, ca_file=other.certificate, user=other.user,
                       password=other.logins.password) as server:
                marks = [marker() for _ in range(5)]
                for mark in marks:
                    send(server, mark, text=".dot\r\n..\r\n\r\nend\r\n")
                for mark in marks:
                    message = other.message(mark)
                    expect(b"\n\n.dot\n..\n\nend\n" in message, "changed on the way: %r" % message)
                    expect(b"(Authenticated sender: relay" in message and b"ESMTPSA" in message, "not by TLS and login: %r" % message)
                mark = marker()
                send(server, mark, recipient="8bit@far.example", text="Grüße\r\n", parameters=" BODY=8BITMIME")
                expect("Grüße".encode() in other.message(mark), "changed on the way")
                mark = marker()
                send(server, mark, recipient="nobody@far.example")
                bounce = server.message("alice", mark)
                expect(b"Status: 5.1.1" in bounce and b"Diagnostic-Code: smtp; 550 5.1.1" in bounce, "bounce: %r" % bounce)
                mark = marker()
                send(server, mark, text="0123456789\r\n" * 200000)
                expect(b"Status: 5.3.4" in server.message("alice", mark), "no bounce for what is too large")
                server.queue_empty()
                nothing_was_killed(server)
        with front("postfix-password", port=other.port, ca_file=other.certificate, user=other.user, password="wrong") as server:
            send(server, marker())
            server.log_has(r"deferred .*status=4\.7\.8 .*refused our login")


@case("smarthost: refuse is refuse")
def _():
    with Server("refuse", config={"delivery": {"foreign": "refuse"}}) as server:
        wire = server.login("submissions")
        wire.want("MAIL FROM:<alice@example.test>", 250)
        reply = wire.ask("RCPT TO:<u@foreign.example>")
        expect(reply.code == 550, "a foreign recipient is answered %r" % reply.text)
        wire.want("RCPT TO:<bob@example.test>", 250)


if __name__ == "__main__":
    main()
