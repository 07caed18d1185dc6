"""long.py - random kill -9 of any process under mixed load, on a small disk that is filled and freed: what was accepted
is delivered, bounced or queued, and nothing is missing.

usage: long.py [SECONDS [FILLS]] (1800 and 10; SEED=N draws the same again)
Runs as root, for the file system of its own: ext4 in a file, where that can be mounted, else tmpfs. Every fourth fill
takes the inodes, not the space. About once a second a process is killed, drawn by role; a master is started anew, and
again when it ends by itself, which counts as a failure; and on each full disk it is restarted in order. What has lain
in a mailbox for a while is collected, as a mail program does, so that a redelivery after that is a duplicate.
"""
import contextlib
import glob
import os
import random
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import NO_QUOTA, Failure, Server, b64, eventually, expect, make_users  # noqa: E402
from kill import ROLES, build_load  # noqa: E402

USERS, THREADS, PAUSE_MS = 20, 16, 100
SPACE, INODES = "160M", 24000
FULL_SECONDS = 6      # how long it stays full
COLLECT_SECONDS = 20  # how long mail lies in its mailbox
ROLES = ROLES + ["outbound", "resolver"]


# ---- the small disk

class Disk:
    def __init__(self, server):
        self.path, self.image, self.kind = server.state, server.directory + "/disk", "ext4"
        os.mkdir(self.path)
        subprocess.run(["truncate", "-s", SPACE, self.image], check=True)
        made = subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", "-N", str(INODES), self.image], capture_output=True)
        if made.returncode or subprocess.run(["mount", "-o", "loop", self.image, self.path], capture_output=True).returncode:
            self.kind = "tmpfs"
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%s,nr_inodes=%d,mode=755" % (SPACE, INODES), "none",
                            self.path], check=True)
        os.chmod(self.path, 0o755)

    def fill_space(self):
        file = os.open(self.path + "/filler", os.O_WRONLY | os.O_CREAT, 0o600)
        at = 0
        for step in (4 << 20, 256 << 10, 4096):
            with contextlib.suppress(OSError):
                while True:
                    os.posix_fallocate(file, at, step)
                    at += step
        os.close(file)

    def fill_inodes(self):
        os.makedirs(self.path + "/fillers", exist_ok=True)
        with contextlib.suppress(OSError):
            for n in range(10 * INODES):
                os.close(os.open("%s/fillers/%d" % (self.path, n), os.O_WRONLY | os.O_CREAT, 0o600))

    def free(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path + "/filler")
        subprocess.run(["rm", "-rf", self.path + "/fillers"], check=True)

    def close(self):
        if subprocess.run(["umount", self.path], capture_output=True).returncode:
            subprocess.run(["umount", "-l", self.path], check=False)


# ---- what was accepted, and what has become of it

class Account:
    def __init__(self, server, record):
        self.server, self.record, self.read_to = server, record, 0
        self.accepted = {}  # (id, recipient): (kind, the queue's name)
        self.ids = {}
        self.found = {}     # (id, recipient): times
        self.reports = {}   # (id, recipient, action): times
        self.seen, self.names, self.cut, self.others = {}, set(), [], 0
        self.again = 0      # deliveries of a name that had been collected
        self.last_accepted = 0.0

    def read_record(self):
        if not os.path.exists(self.record):
            return
        with open(self.record) as file:
            file.seek(self.read_to)
            text = file.read()
        text = text[:text.rfind("\n") + 1]
        self.read_to += len(text)
        for line in text.splitlines():
            when, identifier, kind, name, recipients = line.split()
            self.last_accepted = max(self.last_accepted, float(when))
            expect(identifier not in self.ids, "a Message-ID was used twice by the client")
            self.ids[identifier] = kind
            for recipient in recipients.split(","):
                self.accepted[identifier, recipient] = (kind, name)

    def take(self, path, octets):
        """One delivered file: a message of the load, a report on one, or something else."""
        head, _, body = octets.partition(b"\n\n")
        to = re.search(rb"^Delivered-To: (.*)$", head, re.M)[1].decode()
        own = re.search(rb"^Message-ID: <([^>]*@load\.example)>", head, re.M)
        name = os.path.basename(path)
        seen = name in self.names
        self.again += seen
        self.names.add(name)
        if own:
            identifier = own[1].decode()
            key = identifier, to
            self.found[key] = self.found.get(key, 0) + 1
            size = len(body)
            large = b"\nX-Large: 1\n" in head + b"\n"
            if not body.endswith(b"end " + own[1] + b"\n") or (size < 250000) == large or size < 500:
                self.cut.append(path)
            return
        about = re.search(rb"^Message-ID: <([^>]*@load\.example)>", body, re.M)
        if not about:
            self.others += 1
            return
        if seen:  # the same report, after the mailbox was emptied
            return
        for recipient, action in re.findall(rb"^Final-Recipient: [^;\n]*; *(\S+)\n(?:.*\n)*?Action: (\w+)", body, re.M):
            key = about[1].decode(), recipient.decode(), action.decode()
            self.reports[key] = self.reports.get(key, 0) + 1

    def collect(self, everything=False):
        """Reads what is new in the mailboxes, and takes away what has lain there for a while."""
        now = time.time()
        for path in glob.glob(self.server.state + "/mail/*/*/new/*"):
            try:
                status = os.stat(path)
            except FileNotFoundError:
                continue
            key = path, status.st_ino, status.st_ctime_ns
            if key not in self.seen:
                with open(path, "rb") as file:
                    self.take(path, file.read())
                self.seen[key] = now
            if everything or now - self.seen[key] > COLLECT_SECONDS:
                os.unlink(path)
                del self.seen[key]

    def logged(self, word):
        """(queue's name, recipient) of the log's lines of one event."""
        found = set()
        with open(self.server.log_path, errors="replace") as file:
            for line in file:
                if " event=%s " % word in line:
                    fields = dict(re.findall(r"(\w+)=(\S+)", line))
                    found.add((fields.get("message"), fields.get("to", fields.get("recipient"))))
        return found

    def balance(self):
        """Prints the table; what is missing."""
        missing, delivered, bounced, told_in_log, reports_missing = [], 0, 0, 0, 0
        for key, (kind, name) in self.accepted.items():
            if key in self.found:
                delivered += 1
            elif key + ("failed",) in self.reports:
                bounced += 1
            else:
                missing.append((key, kind, name))
            if kind == "success" and key in self.found and key + ("delivered",) not in self.reports:
                reports_missing += 1
        if missing:  # a stranger's bounce has no way back here: the log says that it was given up
            failed = self.logged("failed")
            told_in_log = sum(1 for key, _, name in missing if (name, key[1]) in failed)
            missing = [one for one in missing if (one[2], one[0][1]) not in failed]
        kinds = {}
        for kind in self.ids.values():
            kinds[kind] = kinds.get(kind, 0) + 1
        strange = {key[0] for key in self.found} - set(self.ids)
        queued = len(self.server.json("queue", "list"))
        print("    accepted      %6d messages (%s)" % (len(self.ids), " ".join("%s %d" % k for k in sorted(kinds.items()))))
        print("    accepted      %6d recipients" % len(self.accepted))
        print("    = delivered   %6d" % delivered)
        print("    + bounced     %6d to the sender, %d of strangers given up in the log" % (bounced, told_in_log))
        print("    + queued      %6d" % queued)
        print("    + missing     %6d" % len(missing))
        print("    reports of success that are missing %d" % reports_missing)
        twice = [key for key, n in self.reports.items() if n > 1]
        print("    delivered twice or more %d (%d copies), reported twice or more %d; %d after the mailbox was emptied" %
              (sum(1 for n in self.found.values() if n > 1), sum(self.found.values()) - len(self.found), len(twice),
               self.again))
        print("    unacknowledged and delivered all the same %d messages; cut or altered %d; notices and others %d" %
              (len(strange), len(self.cut), self.others))
        return missing, reports_missing, twice


# ---- the run

class Run:
    def __init__(self, seconds, fills):
        self.seconds, self.fills = seconds, fills
        self.seed = int(os.environ.get("SEED", time.time()))
        self.dice, self.killed, self.back, self.ended = random.Random(self.seed), {}, [], 0
        self.server = Server("long", users=(), start=False, config={
            "limits": {"messages_per_session": 100000, "connections": 500}, "quota": NO_QUOTA,
            "queue": {"retry": ["2s"], "expire": "60s" if seconds > 120 else "25s", "delay_warning": "0s",
                      "reserve": "8M", "segment": "4M"},
            "delivery": {"foreign": "smarthost", "smarthost": {"host": "127.0.0.1", "port": 9, "tls": "none"}}})
        self.disk = Disk(self.server)
        self.account = Account(self.server, self.server.directory + "/acknowledged")

    def keep_up(self):
        """A service manager: starts a master that has ended, a second after the last time."""
        server = self.server
        if server.process.poll() is None:
            return
        self.ended += 1
        time.sleep(1)
        server.start(wait=False)

    def kill(self):
        server, role = self.server, self.dice.choice(ROLES)
        if server.process.poll() is not None:
            return
        if role == "master":
            server.kill()
            server.start(wait=False)
        else:
            pids = server.pids(role)
            if not pids:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.dice.choice(pids), signal.SIGKILL)
        self.killed[role] = self.killed.get(role, 0) + 1

    def step(self, pause):
        """About a second: collect, kill one."""
        until = time.monotonic() + pause * self.dice.uniform(0.7, 1.3)
        self.account.read_record()
        self.account.collect()
        self.keep_up()
        time.sleep(max(0.0, until - time.monotonic()))
        self.kill()

    def restart_full(self, fill):
        """In order, and on a disk where nothing is free."""
        self.keep_up()
        eventually(lambda: self.server.command("status", check=False).returncode == 0, "a server that answers")
        fill()
        self.server.stop()
        fill()
        self.server.start()

    def fill(self, number, pause):
        inodes = number % 4 == 1
        fill = self.disk.fill_inodes if inodes else self.disk.fill_space
        fill()
        self.restart_full(fill)
        limit = time.monotonic() + FULL_SECONDS
        while time.monotonic() < limit:
            self.step(pause)
            fill()  # what was collected or removed meanwhile gave some back
        self.disk.free()
        freed, since = time.time(), time.monotonic()
        while True:
            self.account.read_record()
            if self.account.last_accepted > freed:
                break
            expect(time.monotonic() - since < 120, "nothing is accepted two minutes after the disk was freed (fill %d)" %
                   (number + 1))
            self.step(pause)
        self.back.append(("inodes" if inodes else "space", self.account.last_accepted - freed))

    def load(self):
        self.server.start()
        return subprocess.Popen(
            [build_load(), "-M", "-d", str(self.seconds), "-w", str(PAUSE_MS), "-t", str(THREADS), "-m",
             str(self.server.ports["mx"]), "-s", str(self.server.ports["submissions"]), "-p",
             b64("\0user0@example.test\0" + Server.password), "-a", "30", "-A", "50", "-u", str(USERS), "-o",
             self.account.record, "-f", "dead.example"], stdout=subprocess.PIPE, text=True)

    def torment(self, client):
        pause = 1.0 if self.seconds > 120 else 0.5
        begin, number = time.monotonic(), 0
        while client.poll() is None:
            if number < self.fills and time.monotonic() - begin > (number + 0.5) * self.seconds / (self.fills + 0.5):
                self.fill(number, pause)
                number += 1
            self.step(pause)
        expect(number == self.fills, "only %d of %d fills fitted in" % (number, self.fills))

    def drain(self):
        """Waits until the queue is empty; one that stands still is a failure."""
        last, since = None, time.monotonic()
        while True:
            self.keep_up()
            self.account.collect()
            done = self.server.command("queue", "list", "--json", check=False)
            n = done.stdout.count('"id"') if done.returncode == 0 else None
            if n == 0:
                return
            if n != last:
                last, since = n, time.monotonic()
            expect(time.monotonic() - since < 200, "the queue does not drain: %s messages\n%s\n%s" %
                   (n, done.stderr, self.server.command("queue", "list", check=False).stdout[:2000]))
            time.sleep(1)

    def report(self, said):
        self.account.read_record()
        self.account.collect(everything=True)
        print("    disk: %s of %s, %d inodes; %d s; seed %d" % (self.disk.kind, SPACE, INODES, self.seconds, self.seed))
        for line in said.splitlines():
            print("    client: " + line)
        print("    killed: %d (%s); masters that ended by themselves %d" %
              (sum(self.killed.values()), " ".join("%s %d" % k for k in sorted(self.killed.items())), self.ended))
        print("    accepting again after a fill: " + ", ".join("%s %.1f s" % one for one in self.back))
        events = {}
        with open(self.server.log_path, errors="replace") as log:
            for line in log:
                match = re.search(r"level=(?:error|warning) process=(\S+) event=(\S+)(?:.* what=(\"[^\"]*\"|\S+))?", line)
                if match:
                    key = "%s %s %s" % (match[1], match[2], match[3] or "")
                    events[key] = events.get(key, 0) + 1
        for key, n in sorted(events.items(), key=lambda item: -item[1])[:25]:
            print("    log: %6d %s" % (n, key))
        missing, reports_missing, twice = self.account.balance()
        for (identifier, recipient), kind, name in missing[:20]:
            print("    missing: %s to %s (%s), %s" % (identifier, recipient, kind, name))
        expect(not missing, "%d recipients of accepted messages are missing" % len(missing))
        expect(not self.ended, "%d masters ended by themselves" % self.ended)
        expect(not self.account.cut, "delivered cut or altered: %s" % self.account.cut[:3])
        expect(not reports_missing, "%d reports of success are missing" % reports_missing)
        expect(not twice, "reported twice: %s" % twice[:3])

    def run(self):
        client = None
        try:
            for n in range(USERS):
                self.server.add_user("user%d" % n)
            client = self.load()
            self.torment(client)
            said = client.stdout.read().strip()
            expect(client.returncode == 0, "the client ended with %d" % client.returncode)
            self.drain()
            self.report(said)
            self.server.stop()
            expect(self.server.process.returncode == 0, "exit code %d at the end" % self.server.process.returncode)
        finally:
            if client and client.poll() is None:
                client.kill()
                client.wait()
            self.server.kill()
            self.disk.close()
            problem = self.server.close()
            if problem:
                print("    " + problem)


if __name__ == "__main__":
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
    span = numbers[0] if numbers else 1800
    if os.geteuid() != 0:
        print("skipped kill -9 on a disk that is filled: only root can mount one\n0 passed, 0 failed")
        sys.exit(0)
    make_users()
    try:
        Run(span, numbers[1] if len(numbers) > 1 else 10).run()
        print("1 passed, 0 failed")
    except Failure as failure:
        print("FAILED kill -9 on a disk that is filled (%d s)\n    %s" % (span, failure))
        print("0 passed, 1 failed")
        sys.exit(1)
