#!/usr/bin/env python3
"""run.py - a session that was taken over, against its real neighbours.

The intruder (intruder.c) stands in the place of gatepost-session, under the same confinement, and runs every attack of
attacks.c in a pool child of its own. Afterwards nothing foreign may be queued or delivered, no header or log line may be
forged, and auth, queue and keys must be the same processes as before.
"""
import glob
import os
import shutil
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness
from harness import Server, case, equal, eventually, expect, main


def programs_with_intruder(directory):
    """A copy of gatepost and its programs in which the session is the intruder; the path of gatepost."""
    place = os.path.join(directory, "programs")
    os.makedirs(os.path.join(place, "build"))
    shutil.copy(harness.GATEPOST, place)
    for path in glob.glob(os.path.join(harness.BUILD, "gatepost-*")):
        if os.access(path, os.X_OK) and not path.endswith(".d"):
            shutil.copy(path, os.path.join(place, "build"))
    shutil.copy(os.path.join(harness.BUILD, "tests", "intruder", "gatepost-session"), os.path.join(place, "build"))
    os.chmod(os.path.join(place, "build"), 0o777)
    return os.path.join(place, "gatepost")


server = Server("intruder", start=False)
harness.GATEPOST = programs_with_intruder(server.directory)
results_path = os.path.join(server.directory, "programs", "build", "intruder.out")
os.mkfifo(results_path)  # no file: the listener's limit for the size of files is zero, and it is the intruder's too
os.chmod(results_path, 0o622)
lines = []


def read_results():
    with open(os.open(results_path, os.O_RDWR)) as pipe:
        for line in pipe:
            lines.append(line.rstrip("\n"))


threading.Thread(target=read_results, daemon=True).start()
server.start()
before = {row["process"]: row["pid"] for row in server.status()}
eventually(lambda: "ok end" in lines, "the end of the attacks", 600)


def held(line):
    def check():
        expect(line.startswith("ok "), line)
    return check


for number, line in enumerate(lines):
    harness.Case.add(line[3:] if line.startswith("ok ") else line, held(line))


def delivered():
    """Every file under mail and capture, as bytes."""
    found = {}
    for top in (server.state + "/mail", server.state + "/capture"):
        for directory, _, names in os.walk(top):
            for name in names:
                with open(os.path.join(directory, name), "rb") as file:
                    found[os.path.join(directory, name)] = file.read()
    return found


@case("every attack ran")
def attacks_ran():
    expect(len(lines) >= 56, "only %d results: %s" % (len(lines), lines))


@case("nothing foreign was queued or delivered")
def nothing_foreign():
    eventually(lambda: not server.json("queue", "list"), "the queue to drain")
    captured = [path for path in delivered() if path.startswith(server.state + "/capture")]
    equal(captured, [], "captured mail")
    for path, text in delivered().items():
        expect("example.test/alice" in path, "mail for somebody else: " + path)
        expect(b"intruder.example" in text, "mail from nowhere: " + path)


@case("honest mail of the same session was delivered, the stolen and the dead was not")
def only_honest():
    senders = sorted(text.split(b"\n", 1)[0] for text in delivered().values())
    text = b"\n".join(senders)
    expect(b"once@intruder.example" in text, "the honest message of 'second commit' is missing: %r" % senders)
    expect(b"owner@intruder.example" in text, "the owner's message is missing: %r" % senders)
    for word in (b"thief", b"unknown-transaction", b"wrong-count", b"after-reset", b"beyond-size", b"control@"):
        expect(word not in text, "delivered: %r" % word)
    equal(len([s for s in senders if b"once@" in s]), 1, "copies of a message committed twice")


@case("no header is forged")
def no_forged_header():
    for path, text in delivered().items():
        for line in text.split(b"\n"):
            expect(not line.lower().startswith(b"x-forged"), "%s: %r" % (path, line))
        equal(text.count(b"\nReceived: "), 1, "Received lines in " + path)
        expect(b"127.0.0.1" in text, "the believed client is missing in " + path)


@case("no log line is forged")
def no_forged_log():
    for line in server.log().splitlines():
        expect("X-Forged login" not in line or "bad-frame" in line, line)
        expect("session=X-Forged" not in line, line)
        expect("\x1b" not in line, repr(line))
        expect(line.startswith("time=") or line.startswith("gatepost"), "a line begins inside another: %r" % line)


@case("no session fills the log")
def log_is_bounded():
    text = server.log()
    expect(text.count("F" * 1000) > 0, "the flood is not in the log at all")
    expect(len(text) < 4 << 20, "%d octets of log" % len(text))
    expect("too much to log" in text, "nothing says that lines were dropped")
    expect(text.count("flooded@elsewhere.example") < 5000, "%d lines of one session" % text.count("flooded@elsewhere.example"))
    expect(text.count("event=queue-refused") < 100, "lines of stray commits")


@case("auth, queue and keys are the processes they were")
def neighbours_live():
    after = {row["process"]: row["pid"] for row in server.status()}
    for name in ("auth", "queue", "keys", "log", "delivery"):
        equal(after.get(name), before.get(name), "pid of " + name)
    expect("signal=" not in "".join(l for l in server.log().splitlines() if "child-exited" in l), "a child crashed")


if __name__ == "__main__":
    main()
