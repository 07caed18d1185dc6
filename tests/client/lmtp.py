"""lmtp.py - local mail goes by LMTP: to a real Dovecot, by a Unix socket and by TCP, one of three recipients failing; to
servers that do as the test says; by domain. LMTP_MESSAGES (300) in the long case,
LMTP_DOMAINS (20) in the wide one."""
import collections
import contextlib
import os
import re
import sqlite3
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import dovecot  # noqa: E402
from harness import NO_QUOTA, Server, Skipped, body, case, equal, eventually, expect, main, marker  # noqa: E402

MESSAGES = int(os.environ.get("LMTP_MESSAGES", "300"))
DOMAINS = int(os.environ.get("LMTP_DOMAINS", "20"))
GOOD = ["good%d" % i for i in range(4)]


def real():
    why = dovecot.missing()
    if why:
        raise Skipped(why)


def login(name):
    return name + "@example.test"


def front(name, local, users=("alice", "bob"), start=True, **more):
    """A gatepost whose local mail goes to `local`."""
    config = {"delivery": {"foreign": "refuse", "local": local}, "quota": NO_QUOTA}
    config.update(more)
    return Server(name, config=config, users=users, start=start)


def nothing_was_killed(server):
    """No process ended by a signal: SIGSYS is what a system call gets that the filter does not list."""
    found = [line for line in server.log().splitlines() if "signal=" in line]
    expect(not found, "a process was ended by a signal: %s" % found)


def send(wire, mark, recipients, sender="alice@example.test", text="Hello.\r\n"):
    """One message over a session that has logged in; its commands in one piece."""
    lines = ["MAIL FROM:<%s>" % sender] + ["RCPT TO:<%s>" % r for r in recipients] + ["DATA"]
    wire.send("".join(line + "\r\n" for line in lines).encode())
    for line in lines:
        equal(wire.reply().code, 354 if line == "DATA" else 250, line)
    wire.send(body(mark, text, sender) + b".\r\n")
    equal(wire.reply().code, 250, "the message")


def send_one(server, mark, *recipients, **more):
    wire = server.login("submissions")
    send(wire, mark, recipients, **more)
    wire.quit()


def send_many(server, marks, recipients_of, **more):
    """Two sessions at a time, anew for each few hundred messages."""
    def work(part):
        for at in range(0, len(part), 500):
            wire = server.login("submissions")
            for mark in part[at:at + 500]:
                send(wire, mark, recipients_of(mark), **more)
            wire.quit()
    failed = []

    def guarded(part):
        try:
            work(part)
        except Exception as error:
            failed.append(error)
    threads = [threading.Thread(target=guarded, args=(marks[i::2],)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def counted(messages):
    """How often each marker of this test stands in a Subject line or, in a bounce, behind it."""
    found = collections.Counter()
    for message in messages:
        found.update(set(re.findall(rb"Subject: (m\d+-\d+-\d+)", message)))
    return {mark.decode(): n for mark, n in found.items()}


def finished(server, seconds=120):
    """Waits for an empty queue. Between a message that leaves and its bounce it may be empty too, so: twice. A long one
    is asked for seldom, as it is dear."""
    limit, times = time.monotonic() + seconds, 0
    while times < 2:
        waiting = len(server.json("queue", "list"))
        times = 0 if waiting else times + 1
        expect(time.monotonic() < limit, "%d messages are still in the queue" % waiting)
        time.sleep(min(5, 0.1 + waiting / 500))


@case("lmtp: Dovecot, a Unix socket, three recipients of whom one fails, many messages")
def _():
    real()
    mailboxes = {login(name): None for name in GOOD + ["alice"]}
    mailboxes[login("full")] = 1
    with dovecot.Dovecot(mailboxes) as other, \
            front("dovecot", "lmtp:unix:" + other.socket, users=["alice", "full", "ghost"] + GOOD) as server:
        marks = [marker() for _ in range(MESSAGES)]
        failing = {mark: login(("ghost", "full")[i % 2]) for i, mark in enumerate(marks)}
        pairs = {mark: [login(GOOD[i % 2 * 2]), login(GOOD[i % 2 * 2 + 1])] for i, mark in enumerate(marks)}
        begin = time.monotonic()
        send_many(server, marks, lambda mark: [pairs[mark][0], failing[mark], pairs[mark][1]],
                  text=("x" * 70 + "\r\n") * 30)  # more than the full mailbox holds
        finished(server, 120 + MESSAGES / 8)
        took = time.monotonic() - begin
        wanted = {name: {mark: 1 for mark in marks if name in pairs[mark]} for name in mailboxes if name.startswith("good")}
        delivered = 0
        for name, marked in wanted.items():
            found = counted(other.messages(name))
            equal({m: n for m, n in found.items() if n > 1}, {}, "delivered twice to " + name)
            equal(sorted(set(marked) - set(found)), [], "lost on the way to " + name)
            equal(found, marked, "the mailbox of " + name)
            delivered += sum(found.values())
        equal(other.messages(login("full")), [], "the full mailbox")
        bounces = other.messages(login("alice"))
        found = counted(bounces)
        equal(found, {mark: 1 for mark in marks}, "bounces")
        for bounce in bounces:
            mark = re.search(rb"Subject: (m\d+-\d+-\d+)", bounce).group(1).decode()
            word = b"550 5.1.1" if failing[mark].startswith("ghost") else b"552 5.2.2"
            whole = [b"Final-Recipient: rfc822; " + failing[mark].encode(), b"Diagnostic-Code: smtp; " + word]
            expect(all(words in bounce for words in whole) and bounce.count(b"Final-Recipient") == 1,
                   "a bounce for %s: %r" % (failing[mark], bounce[:2000]))
        log = server.log()
        equal(len(re.findall(r"event=delivered ", log)), 3 * MESSAGES, "lines of deliveries")
        equal(len(re.findall(r"event=(?:failed|bounced) .*to=(?:ghost|full)@", log)), MESSAGES, "lines of failures")
        connections = other.connections()
        expect(connections <= 2 + took, "%d connections for %d messages" % (connections, 2 * MESSAGES))
        message = other.messages(login("good0"))[0]
        expect(message.startswith(b"Return-Path: <alice@example.test>\n") and message.count(b"Return-Path") == 1 and
               len(re.findall(rb"\tby mx\.example\.test with ESMTPSA\n", message)) == 1,
               "its head: %r" % message[:900])
        print("    %d messages to 3 recipients each: %d delivered, %d bounced (and delivered to their sender), 0 lost, 0 twice; "
              "%d connections, %.0f s" % (MESSAGES, delivered, len(bounces), connections, took))
        nothing_was_killed(server)


@case("lmtp: Dovecot by TCP, by address and by name")
def _():
    real()
    with dovecot.Dovecot({login("alice"): None}) as other:
        for host in ("127.0.0.1", "localhost"):
            with front("tcp", "lmtp:%s:%d" % (host, other.port)) as server:
                marks = [marker() for _ in range(5)]
                for mark in marks:
                    send_one(server, mark, login("alice"), "Alice+tag@Example.TEST")
                finished(server)
                found = counted(other.messages(login("alice")))
                for mark in marks:
                    equal(found.get(mark), 2, "copies, as each address is one")
                server.log_has(r"event=delivered .*to=alice\+tag@example\.test .*destination=%s:%d .*remote=%s" %
                               (host, other.port, host))
                nothing_was_killed(server)


@case("lmtp: while Dovecot is away mail waits, with one line in the log; nothing is lost when it comes and goes")
def _():
    real()
    with dovecot.Dovecot({login("alice"): None, login("bob"): None}) as other, \
            front("away", "lmtp:unix:" + other.socket) as server:
        other.stop()
        mark = marker()
        send_one(server, mark, login("alice"))
        for name in ("lmtp", "unix:*"):
            rows = server.json("queue", "list", "--destination", name)
            equal([row["recipient"] for row in rows], [login("alice")], "what waits for " + name)
        server.log_has(r"event=deferred .*status=4\.4\.1 .*cannot connect to the LMTP server: "
                       r"(No such file|Connection refused)")
        lines = re.findall(r"event=agent .*destination=unix:\S+ .*cannot connect to the LMTP server", server.log())
        expect(lines, "no line says that the socket cannot be reached")
        other.start()
        eventually(lambda: counted(other.messages(login("alice"))).get(mark) == 1, "the delivery")
        marks = [marker() for _ in range(200)]
        thread = threading.Thread(target=send_many, args=(server, marks, lambda mark: [login("alice"), login("bob")]))
        thread.start()
        for _ in range(3):
            time.sleep(0.3)
            other.stop()
            time.sleep(0.3)
            other.start()
        thread.join()
        finished(server)
        twice = 0
        for name in ("alice", "bob"):
            found = counted(other.messages(login(name)))
            equal([m for m in marks if m not in found], [], "lost on the way to " + name)
            twice += sum(n - 1 for n in found.values())
        print("    Dovecot ended 3 times: 400 of 400 delivered, %d twice" % twice)
        nothing_was_killed(server)


@case("lmtp: a server that was away for a moment is tried again soon, whatever the pauses of queue.retry")
def _():
    path = os.path.join("/var/tmp", "gatepost-lmtp-%d" % os.getpid())
    with front("soon", "lmtp:unix:" + path, queue={"retry": ["1h"], "reserve": "1M"}) as server:
        send_one(server, marker(), login("alice"))
        server.log_has(r"event=deferred .*cannot connect to the LMTP server: No such file")
        try:
            with Playing(path=path) as other:
                send_one(server, marker(), login("bob"))
                eventually(lambda: [recipients for _, recipients, _ in other.seen] == [[login("bob")]], "bob's mail")
                server.command("queue", "retry", "--all")
                finished(server)
                equal(len(other.seen), 2, "messages")
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)


class Playing:
    """LMTP servers that answer each recipient by `answer(address, attempt)`: a text to RCPT, unless it begins with 2; that,
    or the one text of a tuple, after the data; None breaks off instead."""

    def __init__(self, answer=lambda address, attempt: "250 2.1.5 fine", path=None, host="127.0.0.1",
                 extensions=("PIPELINING",), commands=None):
        self.answer, self.extensions, self.commands = answer, extensions, [] if commands is None else commands
        self.seen, self.attempts = [], collections.Counter()  # (address of ours, recipients, octets)
        self.lock = threading.Lock()
        self.server = dovecot.Server(self.play, path, host)
        self.port = self.server.port

    def play(self, reader, client):
        def say(text):
            client.sendall(text.encode() + b"\r\n")
        recipients = []
        say("220 playing")
        for line in iter(reader.readline, b""):
            verb = line.split(b" ")[0].strip().upper()
            self.commands.append(line)
            if verb == b"LHLO":
                say("".join("250-%s\r\n" % word for word in self.extensions) + "250 SIZE")
            elif verb == b"RCPT":
                address = re.search(rb"<(.*?)>", line).group(1).decode()
                with self.lock:
                    self.attempts[address] += 1
                    answer = self.answer(address, self.attempts[address])
                if isinstance(answer, str) and answer[0] != "2":
                    say(answer)
                else:
                    recipients.append((address, answer))
                    say("250 2.1.5 fine")
            elif verb == b"DATA" and not recipients:
                say("503 5.5.1 nobody")
            elif verb == b"DATA":
                say("354 go")
                octets = b""
                while not octets.endswith(b"\r\n.\r\n"):
                    octets += reader.readline()
                with self.lock:
                    self.seen.append((client.getsockname(), [address for address, _ in recipients], octets))
                for _, answer in recipients:
                    if answer is None:  # no more words
                        return
                    say(answer if isinstance(answer, str) else answer[0])
                recipients = []
            elif verb == b"QUIT":
                say("221 bye")
                return
            else:
                if verb in (b"MAIL", b"RSET"):
                    recipients = []
                say("250 2.0.0 fine")

    def close(self):
        self.server.close()

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        self.close()


@case("lmtp: each recipient has an answer of its own, and only who was put off is tried again")
def _():
    def answer(address, attempt):
        if address == login("carol") and attempt == 1:
            return ("451 4.2.1 locked",)
        return ("550 5.7.1 not that",) if address == login("bob") else ("250 2.0.0 saved",)
    with Playing(answer) as other, \
            front("each", "lmtp:127.0.0.1:%d" % other.port, users=("alice", "bob", "carol")) as server:
        send_one(server, marker(), login("alice"), login("bob"), login("carol"))
        finished(server)
        tries = [recipients for _, recipients, octets in other.seen if b"multipart/report" not in octets]
        equal(tries, [[login("alice"), login("bob"), login("carol")], [login("carol")]], "recipients of each attempt")
        bounces = [octets for _, recipients, octets in other.seen if b"multipart/report" in octets]
        expect(len(bounces) == 1 and b"550 5.7.1 not that" in bounces[0], "bounces: %r" % bounces)
        nothing_was_killed(server)


@case("lmtp: a server that breaks off between its replies: who has none is tried again, the others are not")
def _():
    def answer(address, attempt):
        return None if address.startswith("bob") and attempt == 1 else "250 2.0.0 saved"
    with Playing(answer) as other, front("breaks", "lmtp:127.0.0.1:%d" % other.port) as server:
        mark = marker()
        send_one(server, mark, login("alice"), login("bob"))
        finished(server)
        equal([recipients for _, recipients, _ in other.seen], [[login("alice"), login("bob")], [login("bob")]],
              "recipients of each attempt")
        server.log_has(r"event=deferred .*to=bob@example\.test .*which may have been delivered")


@case("lmtp: who asked for it hears of a delivery once: from a server that knows DSN, else from us")
def _():
    for extensions, reports in ((("PIPELINING", "DSN"), 0), (("PIPELINING",), 1)):
        commands = []
        with Playing(extensions=extensions, commands=commands) as other, \
                front("dsn", "lmtp:127.0.0.1:%d" % other.port) as server:
            wire = server.login("submissions")
            wire.want("MAIL FROM:<alice@example.test> RET=HDRS ENVID=QQ1", 250)
            wire.want("RCPT TO:<bob@example.test> NOTIFY=SUCCESS ORCPT=rfc822;bob@example.test", 250)
            equal(wire.data(body(marker())).code, 250, "DATA")
            wire.quit()
            eventually(lambda: len(other.seen) == 1 + reports, "mail by LMTP")
            finished(server)
            equal(len([octets for _, _, octets in other.seen if b"Action: delivered" in octets]), reports, "reports of ours")
            equal(len(other.seen), 1 + reports, "messages")
            words = (b"NOTIFY=SUCCESS ORCPT=rfc822;bob@example.test", b"RET=HDRS ENVID=QQ1")
            told = [line for line in commands if any(word in line for word in words)]
            equal(len(told), 0 if reports else 2, "what the server was told of: %r" % commands)


@case("lmtp: which domains, which way; and changes at a reload")
def _():
    with Playing() as first, Playing() as second:
        domains = [{"name": "example.test"}, {"name": "one.test", "delivery": "lmtp:127.0.0.1:%d" % first.port},
                   {"name": "two.test", "delivery": "lmtp:127.0.0.1:%d" % second.port}]
        with front("domains", "maildir", users=("alice", "ann@one.test", "tom@two.test"), local_domains=domains) as server:
            mark = marker()
            send_one(server, mark, login("alice"), "ann@one.test", "tom@two.test")
            server.message("alice", mark)
            for other, name in ((first, "ann@one.test"), (second, "tom@two.test")):
                eventually(lambda: other.seen, "mail for " + name)
                equal([recipients for _, recipients, _ in other.seen], [[name]], "recipients")
            said = server.command("explain", "--ip", "192.0.2.1", "--role", "mx", "--from", "x@client.example", "--to",
                                  "ann@one.test").stdout
            expect(re.search(r"by LMTP through:? +127\.0\.0\.1:%d\b" % first.port, said), "explain says: " + said)
            server.config["delivery"]["local"] = "lmtp:127.0.0.1:%d" % first.port
            domains[1]["delivery"] = "maildir"
            server.write_config()
            expect(server.reload(), "the reload failed")
            mark = marker()
            send_one(server, mark, login("alice"), "ann@one.test")
            server.message("ann@one.test", mark)
            eventually(lambda: any(recipients == [login("alice")] for _, recipients, _ in first.seen),
                       "alice's mail at the first")
            finished(server)
            nothing_was_killed(server)


@case("lmtp: begins and ends with a reload")
def _():
    with Playing() as other:
        with Server("begins", config={"delivery": {"foreign": "refuse"}}) as server:
            expect(not server.pids("outbound"), "outbound runs for nothing")
            mark = marker()
            send_one(server, mark, login("alice"))
            server.message("alice", mark)
            server.config["delivery"]["local"] = "lmtp:localhost:%d" % other.port
            server.write_config()
            expect(server.reload(), "the reload failed")
            send_one(server, marker(), login("alice"))
            eventually(lambda: other.seen, "mail by LMTP")
            server.config["delivery"]["local"] = "maildir"
            server.write_config()
            expect(server.reload(), "the reload failed")
            mark = marker()
            send_one(server, mark, login("alice"))
            server.message("alice", mark)
            finished(server)


def put_users(server, logins):
    """Users without a password, at once: by the command line, which hashes one for each, a thousand take minutes."""
    with contextlib.closing(sqlite3.connect(server.state + "/auth/gatepost.db")) as database, database:
        database.executemany("INSERT INTO users(login, created, salt) VALUES(?, 0, randomblob(16))", [(one,) for one in logins])


@case("lmtp: many domains, a server for each")
def _():
    with Playing(host="0.0.0.0") as other:
        names = ["d%d.test" % i for i in range(DOMAINS)]
        hosts = ["127.1.%d.%d" % (i // 250, i % 250 + 1) for i in range(DOMAINS)]
        domains = [{"name": "example.test", "delivery": "maildir"}] + [
            {"name": name, "delivery": "lmtp:%s:%d" % (host, other.port)} for name, host in zip(names, hosts)]
        with front("wide", "maildir", users=["alice"], local_domains=domains, start=False) as server:
            put_users(server, ["u@" + name for name in names])
            server.start()
            marks = [marker() for _ in range(3)]
            for mark in marks:
                send_one(server, mark, *["u@" + name for name in names])
            finished(server, 120 + DOMAINS / 5)
            wanted = collections.Counter({(host, "u@" + name): 3 for host, name in zip(hosts, names)})
            found = collections.Counter((address[0], recipient) for address, recipients, _ in other.seen
                                        for recipient in recipients)
            equal(found, wanted, "mail by server")
            print("    %d domains with a server each: 3 messages to all, %d delivered where they belong, %d connections" %
                  (DOMAINS, sum(found.values()), other.server.connections))
            nothing_was_killed(server)


@case("lmtp: a socket that the configuration does not name is out of reach, and agents see no files")
def _():
    directory = os.path.join("/var/tmp", "gatepost-lmtp-%d" % os.getpid())
    os.mkdir(directory)
    try:
        with Playing(path=directory + "/lmtp") as other, front("walls", "lmtp:unix:" + directory + "/lmtp") as server:
            if os.geteuid() != 0:
                os.chmod(directory + "/lmtp", 0o600)
            send_one(server, marker(), login("alice"))
            eventually(lambda: other.seen, "mail by LMTP")
            pids = eventually(lambda: server.agents("outbound"), "an agent")
            for pid in pids:
                with contextlib.suppress(FileNotFoundError), open("/proc/%d/status" % pid) as file:
                    status = file.read()
                    expect(re.search(r"^Seccomp:\s+2$", status, re.M) and re.search(r"^NoNewPrivs:\s+1$", status, re.M),
                           "the agent's filter: %r" % status)
                    if os.geteuid() == 0:
                        expect(os.listdir("/proc/%d/root" % pid) == [], "the agent's root is not empty")
                        expect(not re.search(r"^Uid:\s+0\b", status, re.M), "the agent is root")
            nothing_was_killed(server)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(directory + "/lmtp")
        os.rmdir(directory)


if __name__ == "__main__":
    main()
