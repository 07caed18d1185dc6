"""kill.py - kill -9 under load: every message that was acknowledged is delivered.

usage: kill.py [MESSAGES] (5000; also $MESSAGES)
Nine messages in ten come from strangers, one a session, the rest in long sessions of users who logged in. About once a second
(four times as often in a short run) a process is killed, drawn by role first; when it was the master, its children must vanish, and it is started anew as a
service manager would.
"""
import glob
import os
import random
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import BUILD, NO_QUOTA, Failure, Server, alive, b64, children_of, eventually, expect  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROLES = ["master", "listener", "session", "auth", "verifier", "keys", "queue", "delivery", "agent", "log"]
USERS, THREADS = 20, 20


def build_load():
    """The load client, compiled when its source is newer."""
    out, source = os.path.join(BUILD, "tests", "load"), os.path.join(HERE, "load.c")
    os.makedirs(os.path.dirname(out), exist_ok=True)
    if not os.path.exists(out) or os.path.getmtime(out) < os.path.getmtime(source):
        subprocess.run([os.environ.get("CC", "cc"), "-std=c17", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
                        "-o", out, source, "-lssl", "-lcrypto", "-lpthread"], check=True)
    return out


def loaded_server(name):
    """A server with users user0..user19 who share a password, and limits that do not bind."""
    server = Server(name, users=["user%d" % i for i in range(USERS)], start=False, config={
        "limits": {"messages_per_session": 100000, "connections": 500}, "quota": NO_QUOTA,
        "queue": {"retry": ["1s"], "reserve": "1M"}})
    return server.start()


def kill_one(server, dice, killed):
    """Kills a process of a role that is drawn; the role, or None when it has none just now."""
    role = dice.choice(ROLES)
    pids = server.pids(role)
    if not pids:
        return None
    if role == "master":
        server.kill()
        server.start()
    else:
        try:
            os.kill(dice.choice(pids), signal.SIGKILL)
        except ProcessLookupError:
            return None
    killed[role] = killed.get(role, 0) + 1
    return role


def identifiers(server):
    """How many times each Message-ID of the load was delivered."""
    found = {}
    for path in glob.glob(server.state + "/mail/*/*/[nc][eu][wr]/*") + glob.glob(server.state + "/capture/[nc][eu][wr]/*"):
        with open(path, "rb") as file:
            match = re.search(rb"^Message-ID: <([^>]*@load\.example)>", file.read(4096), re.M)
        if match:
            found[match[1].decode()] = found.get(match[1].decode(), 0) + 1
    return found


def drained(server):
    """Waits until the queue is empty; a queue that stands still is a failure, a slow one is not."""
    last, since = None, time.monotonic()
    while True:
        n = len(server.json("queue", "list"))
        if n == 0:
            return
        if n != last:
            last, since = n, time.monotonic()
        if time.monotonic() - since > 120:
            raise Failure("%d messages stay in the queue:\n%s" % (n, server.command("queue", "list").stdout[:2000]))
        time.sleep(0.2)


def run(messages, pause=1.0):
    dice = random.Random(int(os.environ.get("SEED", time.time())))
    load, killed = build_load(), {}
    server = loaded_server("kill")
    try:
        record = server.directory + "/acknowledged"
        command = [load, "-n", str(messages), "-t", str(THREADS), "-m", str(server.ports["mx"]), "-s",
                   str(server.ports["submissions"]), "-p", b64("\0user0@example.test\0" + Server.password), "-a", "10",
                   "-A", "50", "-u", str(USERS), "-o", record, "-f", "foreign.example"]
        client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            while client.poll() is None:
                time.sleep(dice.uniform(0.7, 1.3) * pause)
                if client.poll() is None:
                    kill_one(server, dice, killed)
            said = client.stdout.read().strip()
        finally:
            if client.poll() is None:
                client.kill()
                client.wait()
        expect(client.returncode == 0, "the client ended with %d" % client.returncode)
        settle(server)
        drained(server)
        report(server, record, killed, said)
        server.stop()
        expect(server.process.returncode == 0, "exit code %d at the end" % server.process.returncode)
    finally:
        problem = server.close()
        if problem:
            print("    " + problem)


def settle(server):
    """All roles are back."""
    for role in ("listener", "auth", "verifier", "keys", "queue", "delivery", "log"):
        eventually(lambda: server.pids(role), "a new %s process" % role)
    eventually(lambda: server.command("status", check=False).returncode == 0, "a server that answers")
    expect(alive(server.process.pid) and children_of(server.process.pid), "the server lives")


def report(server, record, killed, said):
    with open(record) as file:
        acknowledged = [line.strip() for line in file]
    found = identifiers(server)
    lost = [one for one in acknowledged if one not in found]
    twice = sum(1 for n in found.values() if n > 1)
    print("    client: " + said)
    print("    killed: %d (%s)" % (sum(killed.values()), " ".join("%s %d" % k for k in sorted(killed.items()))))
    print("    acknowledged %d, delivered %d, of these unacknowledged %d, lost %d, delivered twice or more %d" %
          (len(acknowledged), len(found), len(set(found) - set(acknowledged)), len(lost), twice))
    crashes = re.findall(r"(?:session-crashed|fault|bug|damaged|bad-frame).*", server.log())
    bugs = [line for line in server.log().splitlines() if re.search(r"\b(bug|damaged)\b", line)]
    if bugs:
        print("    the log has: " + bugs[0] + " (%d such lines, %d of faults)" % (len(bugs), len(crashes)))
    expect(not lost, "lost: %s" % " ".join(lost[:20]))
    expect(len(acknowledged) == len(set(acknowledged)), "a Message-ID was used twice by the client")


if __name__ == "__main__":
    numbers = [a for a in sys.argv[1:] if a.isdigit()]
    count = int(numbers[0]) if numbers else int(os.environ.get("MESSAGES", "5000"))
    try:
        run(count, 1.0 if count >= 20000 else 0.25)
        print("1 passed, 0 failed")
    except Failure as failure:
        print("FAILED kill -9 under load (%d messages)\n    %s" % (count, failure))
        print("0 passed, 1 failed")
        sys.exit(1)
