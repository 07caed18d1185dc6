#!/usr/bin/env python3
"""mailbox.py - one mailbox by POP3 while others use it: a second session, deliveries, an IMAP server's moves; sessions,
agents and their parent killed at any moment. Nothing is lost, and nothing is removed without QUIT.

GATEPOST_SEED and GATEPOST_ROUNDS choose other runs.
"""
import contextlib
import os
import poplib
import random
import signal
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness
from harness import Server, body, case, equal, eventually, expect, main, marker

SEED = int(os.environ.get("GATEPOST_SEED", "1"))
ROUNDS = int(os.environ.get("GATEPOST_ROUNDS", "40"))

server = Server("mailbox", pop3=True, config={"local_domains": ["example.test", {
    "name": "lmtp.test", "delivery": "lmtp:127.0.0.1:9"}]})
context = ssl._create_unverified_context()


class Refused(Exception):
    """What the server said in place of +OK."""


def login(user="alice", domain="example.test"):
    client = poplib.POP3_SSL("127.0.0.1", server.ports["pop3s"], context=context, timeout=60)
    try:
        client.user("%s@%s" % (user, domain))
        client.pass_(Server.password)
    except poplib.error_proto as error:
        client.close()
        raise Refused(error.args[0].decode()) from None
    return client


def login_when_free(user="alice"):
    """The agent of the session before may still be on its way out."""
    limit = time.monotonic() + harness.PATIENCE
    while True:
        try:
            return login(user)
        except Refused as error:
            if "[IN-USE]" not in str(error) or time.monotonic() > limit:
                raise
            time.sleep(0.01)


def refusal(*words, **names):
    try:
        login(*words, **names).close()
    except Refused as error:
        return str(error)
    return "+OK"


def deliver(user, text="Hello.\r\n"):
    mark = marker()
    client = server.dial()
    client.ehlo()
    client.mail("sender@client.example", user + "@example.test", body(mark, text))
    client.quit()
    eventually(lambda: mark in all_marks(user), "the delivery")
    return mark


def files(user):
    found = []
    for place in ("new", "cur"):
        directory = os.path.join(server.maildir(user + "@example.test"), place)
        with contextlib.suppress(FileNotFoundError):
            found += [os.path.join(directory, name) for name in os.listdir(directory)]
    return found


def mark_in(text):
    for line in text.split("\n"):
        if line.startswith("Subject: "):
            return line[9:].strip()
    return None


def all_marks(user):
    marks = []
    for path in files(user):
        with contextlib.suppress(FileNotFoundError), open(path, encoding="latin-1", newline="") as file:
            marks.append(mark_in(file.read()))
    return marks


@case("a second session is told [IN-USE], and is let in when the first has gone")
def _():
    server.add_user("twice")
    mark = deliver("twice")
    first = login("twice")
    equal(first.stat()[0], 1, "messages")
    expect("[IN-USE]" in refusal("twice"), refusal("twice"))
    first.dele(1)
    first.close()  # without QUIT
    second = login_when_free("twice")
    equal([mark_in(b"\n".join(second.retr(1)[1]).decode())], [mark], "what is left")
    second.dele(1)
    second.quit()
    eventually(lambda: not files("twice"), "the removal")
    eventually(lambda: server.log_has(r"event=mailbox login=twice@example\.test of=\S+ what=removed count=1"), "the log line")


@case("mail that goes to an LMTP server is not here")
def _():
    server.add_user("far@lmtp.test")
    expect("[SYS/PERM]" in refusal("far", "lmtp.test"), refusal("far", "lmtp.test"))


@case("an agent that is killed, delivery that is killed: QUIT fails, and the next session finds all of it")
def _():
    server.add_user("killed")
    marks = [deliver("killed") for _ in range(3)]
    for role in ("agents", "delivery"):
        client = login_when_free("killed")
        client.dele(1)
        agents = server.agents("delivery")
        for pid in agents if role == "agents" else server.pids("delivery"):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not any(harness.alive(pid) for pid in agents), "the end of the agents")
        try:
            answer = client.quit()
            raise harness.Failure("QUIT without %s: %r" % (role, answer))
        except (poplib.error_proto, OSError):
            pass
        eventually(lambda: server.pids("delivery"), "delivery")
        eventually(lambda: "[SYS/TEMP]" not in refusal("killed"), "a mailbox again")
        equal(sorted(all_marks("killed")), sorted(marks), "what is left after killing " + role)


@case("no process of delivery's is ended by its filter")
def _():
    expect("signal=31" not in server.log(), "a process was ended by SIGSYS:\n" + server.log()[-2000:])


class Story:
    """One mailbox under several hands. `kept` must be there; `doomed` may be, since QUIT was sent and not answered."""

    def __init__(self, number):
        self.random = random.Random(SEED * 100003 + number)
        self.user = "story%d" % number
        self.kept, self.doomed, self.clients = set(), set(), []
        server.add_user(self.user)

    def deliver(self):
        self.kept.add(deliver(self.user, "".join("line %d\r\n" % i for i in range(self.random.choice((1, 50, 5000))))))

    def enter(self):
        if len(self.clients) == 2:
            return
        try:
            client = login(self.user)
        except (Refused, OSError, EOFError):
            return
        client.marks, client.chosen = [], set()
        self.clients.append(client)

    def broken(self, client):
        with contextlib.suppress(ValueError):
            self.clients.remove(client)
        client.close()

    def fetch(self, client):
        """What comes is a message that was delivered."""
        count = client.stat()[0]
        if count:
            number = self.random.randint(1, count)
            with contextlib.suppress(poplib.error_proto):
                lines = client.retr(number)[1]
                mark = mark_in(b"\n".join(lines).decode("latin-1"))
                expect(mark in self.kept | self.doomed, "%r was never delivered" % mark)

    def choose(self, client):
        count = client.stat()[0]
        for number in range(1, count + 1):
            if self.random.random() < 0.3:
                with contextlib.suppress(poplib.error_proto):
                    mark = mark_in(b"\n".join(client.top(number, 0)[1]).decode("latin-1"))
                    client.dele(number)
                    client.chosen.add(mark)

    def quit(self, client):
        """From QUIT on they may go; after +OK they have gone."""
        self.kept -= client.chosen
        self.doomed |= client.chosen
        killer = threading.Timer(self.random.random() * 0.02, self.kill) if self.random.random() < 0.4 else None
        if killer:
            killer.start()
        try:
            client.quit()
            left = client.chosen & set(all_marks(self.user))
            expect(not left, "%s are there after QUIT" % left)
        except (poplib.error_proto, OSError, EOFError):
            pass
        finally:
            if killer:
                killer.join()
            self.broken(client)

    def move(self):
        for path in files(self.user):
            if self.random.random() < 0.5:
                base = os.path.basename(path).split(":")[0]
                target = os.path.join(server.maildir(self.user + "@example.test"), "cur",
                                      base + self.random.choice((":2,", ":2,S", ":2,FRST")))
                with contextlib.suppress(FileNotFoundError):
                    os.rename(path, target)

    def kill(self):
        """An agent or a session, whichever it meets."""
        what = self.random.choice(("agents", "sessions"))
        victims = server.agents("delivery") if what == "agents" else server.agents("pop3")
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def step(self):
        client = self.random.choice(self.clients) if self.clients else None
        deeds = [self.deliver, self.enter, self.enter, self.move, self.kill]
        if client:
            deeds += [lambda: self.fetch(client), lambda: self.fetch(client), lambda: self.choose(client),
                      lambda: self.choose(client), lambda: self.quit(client), lambda: self.broken(client)]
        try:
            self.random.choice(deeds)()
        except (poplib.error_proto, OSError, EOFError):
            self.broken(client)
        there = all_marks(self.user)
        for mark in self.kept:
            equal(there.count(mark), 1, "how often %s of %s is there" % (mark, self.user))


@case("%d interleavings of sessions, deliveries, moves and kills (seed %d)" % (ROUNDS, SEED))
def _():
    for number in range(ROUNDS):
        story = Story(number)
        for _ in range(12):
            story.step()
        for client in list(story.clients):
            story.quit(client)


if __name__ == "__main__":
    sys.exit(main())
