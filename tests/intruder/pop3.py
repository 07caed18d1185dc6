#!/usr/bin/env python3
"""pop3.py - a POP3 session that was taken over, against mailboxes (mailboxes.c). The intruder stands in the place of
gatepost-pop3; it knows alice's password. Afterwards bob's mailbox is as it was and so is alice's: she never said QUIT.
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
    """A copy of gatepost and its programs in which the POP3 session is the intruder; the path of gatepost."""
    place = os.path.join(directory, "programs")
    os.makedirs(os.path.join(place, "build"))
    shutil.copy(harness.GATEPOST, place)
    for path in glob.glob(os.path.join(harness.BUILD, "gatepost-*")):
        if os.access(path, os.X_OK) and not path.endswith(".d"):
            shutil.copy(path, os.path.join(place, "build"))
    shutil.copy(os.path.join(harness.BUILD, "tests", "intruder", "gatepost-session"),
                os.path.join(place, "build", "gatepost-pop3"))
    os.chmod(os.path.join(place, "build"), 0o777)
    return os.path.join(place, "gatepost")


server = Server("intruder-pop3", pop3=True)
client = server.dial()
client.ehlo()
for user, text in (("alice", "alice's own, one"), ("alice", "alice's own, two"), ("bob", "bob's secret")):
    equal(client.mail("sender@client.example", user + "@example.test", harness.body(text, text + "\r\n")).code, 250, text)
client.quit()


def mail():
    found = {}
    for user in ("alice", "bob"):
        for place in ("new", "cur"):
            for path in glob.glob(os.path.join(server.maildir(user + "@example.test"), place, "*")):
                with open(path, "rb") as file:
                    found[path] = file.read()
    return found


eventually(lambda: len(mail()) == 3, "the mail")
server.stop()
before = mail()
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
processes = {row["process"]: row["pid"] for row in server.status()}
eventually(lambda: "ok end" in lines, "the end of the attacks", 600)


def held(line):
    def check():
        expect(line.startswith("ok "), line)
    return check


for line in lines:
    harness.Case.add(line[3:] if line.startswith("ok ") else line, held(line))


@case("every attack ran")
def attacks_ran():
    expect(len(lines) >= 38, "only %d results: %s" % (len(lines), lines))


@case("every message is where it was, as it was")
def nothing_is_gone():
    equal(mail(), before, "the mail")


@case("no other mailbox was made, and no mail was sent")
def nothing_else():
    equal(sorted(os.listdir(server.state + "/mail/example.test")), ["alice", "bob"], "mailboxes")
    equal(server.json("queue", "list"), [], "the queue")


@case("what an agent was told wrongly is in the log, under the session's name")
def bad_frames_are_logged():
    expect("event=mailbox-bad-frame login=alice@example.test of=" in server.log(), server.log()[-2000:])
    expect("login=bob@example.test" not in "".join(l for l in server.log().splitlines() if "event=mailbox" in l),
           "an agent of bob's")


@case("auth, delivery, queue and keys are the processes they were")
def neighbours_live():
    after = {row["process"]: row["pid"] for row in server.status()}
    for name in ("auth", "queue", "keys", "log", "delivery"):
        equal(after.get(name), processes.get(name), "pid of " + name)
    expect("signal=" not in "".join(l for l in server.log().splitlines() if "child-exited" in l), "a child crashed")


if __name__ == "__main__":
    main()
