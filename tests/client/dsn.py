"""dsn.py - reports on mail, read by a parser: who gets which, and what stands in them (RFC 3461 to 3464, 6533)."""
import email
import email.policy
import os
import socketserver
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import HOSTNAME, Server, body, case, equal, eventually, expect, main, marker  # noqa: E402


class Smarthost(socketserver.StreamRequestHandler):
    """Answers RCPT by the local part: fail..., wait..., else it takes the mail. Knows nothing of DSN."""
    def handle(self):
        def say(line):
            self.wfile.write(line.encode() + b"\r\n")
        say("220 next.example ESMTP")
        for line in self.rfile:
            word = line.decode("utf-8", "replace").strip()
            verb = word[:4].upper()
            if verb == "EHLO":
                say("250-next.example\r\n250-8BITMIME\r\n250 SMTPUTF8")
            elif verb == "RCPT" and ":<fail" in word:
                say("550 5.1.1 nobody <here>")
            elif verb == "RCPT" and ":<wait" in word:
                say("451 4.2.0 not now")
            elif verb == "DATA":
                say("354 go on")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
                say("250 2.0.0 taken")
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("250 2.1.0 fine")


class Listening(socketserver.ThreadingTCPServer):
    daemon_threads, allow_reuse_address = True, True


def front(name, **queue):
    hop = Listening(("127.0.0.1", 0), Smarthost)
    threading.Thread(target=hop.serve_forever, daemon=True).start()
    settings = {"host": "127.0.0.1", "port": hop.server_address[1], "tls": "none"}
    return Server(name, config={"delivery": {"foreign": "smarthost", "smarthost": settings},
                                "queue": dict({"retry": ["1s"], "reserve": "1M"}, **queue)})


def send(server, mark, recipients, mail="", sender="alice@example.test", text="Hello.\r\n"):
    wire = server.login("submissions")
    wire.want("MAIL FROM:<%s>%s" % (sender, mail), 250)
    for recipient in recipients:
        wire.want("RCPT TO:" + recipient, 250)
    equal(wire.data(body(mark, text)).code, 250, "DATA")
    wire.quit()


def blocks(octets):
    """The groups of fields of a delivery status."""
    groups = [g for g in octets.replace(b"\r\n", b"\n").strip().split(b"\n\n") if g.strip()]
    return [{k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in g.decode("utf-8").split("\n"))}
            for g in groups]


class Report:
    """The one report in alice's mailbox that holds the marker."""
    def __init__(self, server, mark, kind="delivery-status", login="alice"):
        self.octets = server.message(login, mark)
        self.message = email.message_from_bytes(self.octets, policy=email.policy.default)
        equal(self.message.defects, [], "defects that the parser finds")
        equal(self.message.get_content_type(), "multipart/report", "type")
        equal(self.message.get_param("report-type"), kind, "report-type")
        equal(self.message["Auto-Submitted"], "auto-replied", "Auto-Submitted")
        expect(b"Return-Path: <>" in self.octets, "not under the null sender: %r" % self.octets[:300])
        for field in ("From", "To", "Subject", "Date", "Message-ID"):
            equal(len(self.message.get_all(field, [])), 1, field)
        separator = b"--" + self.message.get_boundary().encode()
        raw = [part.split(b"\n\n", 1) for part in self.octets.replace(b"\r\n", b"\n").split(separator)[1:-1]]
        self.types = [part.get_content_type() for part in self.message.iter_parts()]
        equal(len(raw), 3, "parts")
        status = blocks(raw[1][1])
        self.of_message, self.of_recipients = status[0], status[1:]
        self.returned = raw[2][1]
        equal(self.of_message["reporting-mta"], "dns; " + HOSTNAME, "Reporting-MTA")
        expect(email.utils.parsedate_to_datetime(self.of_message["arrival-date"]), "Arrival-Date")
        for recipient in self.of_recipients:
            expect(email.utils.parsedate_to_datetime(recipient["last-attempt-date"]), "Last-Attempt-Date")


def fields(recipient, **wanted):
    for name, value in wanted.items():
        equal(recipient.get(name.replace("_", "-")), value, name)


@case("dsn: a failure, with all of the message")
def _():
    with front("full") as server:
        mark = marker()
        send(server, mark, ["<fail@far.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;first+2Bx@far.example",
                            "<fail2@far.example>", "<never-fail@far.example> NOTIFY=NEVER", "<fine@far.example>"],
             " RET=FULL ENVID=QQ+2B314159", text="the text\r\n")
        report = Report(server, mark)
        equal(report.types, ["text/plain", "message/delivery-status", "message/rfc822"], "types")
        equal(report.of_message["original-envelope-id"], "QQ+314159", "in clear, RFC 3464 2.2.1")
        equal(len(report.of_recipients), 2, "recipients")
        fields(report.of_recipients[0], original_recipient="rfc822;first+x@far.example",
               final_recipient="rfc822; fail@far.example", action="failed", status="5.1.1",
               remote_mta="dns; 127.0.0.1", diagnostic_code="smtp; 550 5.1.1 nobody <here>")
        fields(report.of_recipients[1], original_recipient=None, final_recipient="rfc822; fail2@far.example")
        expect(b"the text" in report.returned and mark.encode() in report.returned, "not all of it")
        server.queue_empty()
        equal(len(server.messages("alice")), 1, "reports")


@case("dsn: a failure, headers only; and nobody hears who did not want to")
def _():
    with front("headers") as server:
        mark, silent = marker(), marker()
        send(server, silent, ["<fail@far.example> NOTIFY=NEVER", "<fail2@far.example> NOTIFY=SUCCESS"])
        send(server, mark, ["<fail@far.example>"], " RET=HDRS", text="the text\r\n")
        report = Report(server, mark)
        equal(report.types[2], "text/rfc822-headers", "type")
        expect(b"the text" not in report.octets, "the text came back")
        server.queue_empty()
        equal(len(server.messages("alice")), 1, "reports")


@case("dsn: success, where it was delivered and where it went on to who knows no DSN")
def _():
    with front("success") as server:
        mark = marker()
        send(server, mark, ["<bob@example.test> NOTIFY=SUCCESS", "<fine@far.example> NOTIFY=SUCCESS,FAILURE"],
             " RET=FULL", text="the text\r\n")
        found = {}
        eventually(lambda: len(server.messages("alice")) >= 1 and not server.json("queue", "list"), "the reports")
        for octets in server.messages("alice"):
            expect(b"the text" not in octets, "RFC 3461 4.3: RET=FULL is about failures")
            for group in octets.replace(b"\r\n", b"\n").split(b"\n\n"):
                if group.startswith((b"Final-Recipient", b"Original-Recipient")):
                    one = blocks(group)[0]
                    found[one["final-recipient"]] = one
        fields(found["rfc822; bob@example.test"], action="delivered", diagnostic_code=None)
        fields(found["rfc822; fine@far.example"], action="relayed", diagnostic_code=None)
        expect(all(one["status"].startswith("2.") for one in found.values()), "status of a success: %r" % found)


@case("dsn: a delay, then the end; what was said last is not taken for a reply")
def _():
    with front("delay", delay_warning="2s", expire="9s") as server:
        mark = marker()
        send(server, mark, ["<wait@far.example>"])
        report = Report(server, mark)
        fields(report.of_recipients[0], action="delayed", status="4.2.0", diagnostic_code="smtp; 451 4.2.0 not now")
        expect(email.utils.parsedate_to_datetime(report.of_recipients[0]["will-retry-until"]), "Will-Retry-Until")
        equal(report.types[2], "text/rfc822-headers", "type")
        eventually(lambda: len(server.messages("alice")) == 2, "the second report")
        last, = [m for m in server.messages("alice") if b"Action: failed" in m]
        expect(b"Status: 5.4.7" in last and b"Diagnostic-Code: x-gatepost; expired in the queue; last: 451" in last,
               "the end: %r" % last)
        server.queue_empty()


@case("dsn: international addresses")
def _():
    with front("utf8") as server:
        mark = marker()
        send(server, mark, ["<fail-jürgen@bücher.example> ORCPT=utf-8;j\\x{FC}rgen@b\\x{FC}cher.example"],
             " SMTPUTF8 BODY=8BITMIME RET=FULL", text="Grüße\r\n")
        report = Report(server, mark, "global-delivery-status")
        equal(report.types, ["text/plain", "message/global-delivery-status", "message/global"], "types, RFC 6533 4 to 6")
        fields(report.of_recipients[0], final_recipient="utf-8; fail-jürgen@bücher.example", action="failed",
               original_recipient="utf-8;j\\x{FC}rgen@b\\x{FC}cher.example")
        expect("Grüße".encode() in report.returned, "not all of it")
        headers = marker()
        send(server, headers, ["<fail-jürgen@bücher.example>"], " SMTPUTF8")
        equal(Report(server, headers, "global-delivery-status").types[2], "message/global-headers", "type")


@case("dsn: nothing is said to the null sender; the postmaster hears of it")
def _():
    with front("null") as server:
        mark = marker()
        send(server, mark, ["<fail@far.example>"], sender="")
        server.log_has(r"event=failed .* to=fail@far\.example")
        server.queue_empty()
        notice, = server.messages("alice")  # who is the postmaster
        expect(b"To: <postmaster@" in notice and b"Subject: Postmaster notice: " in notice, "not a notice: %r" % notice)


if __name__ == "__main__":
    main()
