"""restore.py - a backup that was taken under load, put back elsewhere: the users log in, what was queued is delivered,
and every message that was acknowledged before the backup began arrives. Backups that are no longer whole are refused.
"""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import GATEPOST, Failure, Server, b64, body, case, equal, eventually, expect, main, marker  # noqa: E402

DEAD = {"delivery": {"foreign": "smarthost", "smarthost": {"host": "127.0.0.1", "port": 9, "tls": "none"}},
        "queue": {"retry": ["1h"], "segment": "1M"}}
LARGE = "y" * 70 + "\r\n"


def files_of(directory):
    return sorted(os.path.relpath(path, directory) for path in glob.glob(directory + "/**", recursive=True)
                  if os.path.isfile(path))


def restore(server, backup, *words, code=0):
    done = server.command("restore", backup, *words, check=False)
    equal(done.returncode, code, "exit code of restore (%s%s)" % (done.stdout, done.stderr))
    return done.stdout + done.stderr


class Load:
    """Sends until it is stopped; `acknowledged` holds (marker, recipient, when), with the time when 250 had come."""

    def __init__(self, server, threads=4):
        self.acknowledged, self.stop, self.server = [], threading.Event(), server
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        try:
            wire = self.server.login("submissions")
            turn = number
            while not self.stop.is_set():
                turn += 1
                mark, to = marker(), ("bob@example.test", "far@elsewhere.example")[turn % 2]
                size = 4500 if turn % 9 == 0 else 20
                if wire.mail("alice@example.test", to, body(mark, LARGE * size)).code == 250:
                    self.acknowledged.append((mark, to, time.monotonic()))
        except (OSError, Failure):  # the server was killed
            return

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


@case("restore: a backup under load, into an empty place: users log in, and nothing that was acknowledged is missing")
def _():
    with Server("lived", config=DEAD) as server, \
            Server("far", users=("far@elsewhere.example",), config={"local_domains": ["elsewhere.example"]}) as far, \
            Server("restored", config=DEAD, users=(), start=False) as other:
        other.config["delivery"] = json.loads(json.dumps(other.config["delivery"]))
        other.config["delivery"]["smarthost"]["port"] = far.ports["mx"]
        other.write_config()
        server.command("alias", "add", "info@example.test", "bob@example.test")
        load = Load(server)
        eventually(lambda: len(load.acknowledged) > 150, "a queue with mail in it")
        server.add_user("late")
        began = time.monotonic()
        server.command("backup", server.directory + "/backup")
        eventually(lambda: load.acknowledged[-1][2] > began, "mail after the backup")
        server.kill()
        load.end()
        before = [one for one in load.acknowledged if one[2] < began]
        expect(len(before) > 150, "the load had begun")
        had = b"\n".join(server.messages("bob"))
        missing_there = [one for one in before if one[1].startswith("bob") and one[0].encode() not in had]
        expect(any(one[1].startswith("far") for one in before), "some wait for elsewhere")
        shutil.rmtree(other.state, ignore_errors=True)
        said = restore(other, server.directory + "/backup")
        expect("3 users" in said and "delivered again" in said, said)
        equal(os.stat(other.state + "/auth").st_mode & 0o7777, 0o711, "mode of auth")
        for path in glob.glob(other.state + "/queue/**", recursive=True):
            equal(os.stat(path).st_mode & 0o7777, 0o700 if os.path.isdir(path) else 0o600, "mode of " + path)
            equal(os.stat(path).st_uid, os.stat(server.state + "/queue").st_uid, "owner of " + path)
        whole = [row for row in other.json("queue", "list") if row["bytes"] > 262144]
        expect(whole, "a large message waits")
        for row in whole[:2]:
            equal(len(other.command("queue", "cat", row["id"], text=False).stdout), row["bytes"], "octets of a body")
        # What had been delivered lies there still: it is found, and not delivered twice.
        shutil.copytree(server.state + "/mail", other.state + "/mail", dirs_exist_ok=True)
        if os.geteuid() == 0:
            for path in glob.glob(other.state + "/mail/**", recursive=True):
                os.chown(path, os.stat(server.state + "/mail").st_uid, os.stat(server.state + "/mail").st_gid)
        for path in glob.glob(other.state + "/mail/example.test/bob/new/*")[::2]:  # a mail program has seen some
            os.rename(path, path.replace("/new/", "/cur/") + ":2,S")
        other.start()
        other.command("queue", "retry", "--all")
        other.queue_empty()
        far.queue_empty()
        other.login("submission", "late@example.test").quit()
        expect("info@example.test" in other.command("alias", "list").stdout, "the alias is gone")
        expect("event=damaged" not in other.log(), "recovery found damage:\n" + other.log())
        boxes = {"bob": other.messages("bob"), "far": far.messages("far@elsewhere.example")}
        for mark, to, _ in before:
            n = sum(1 for m in boxes[to.split("@")[0]] if b"Subject: " + mark.encode() + b"\n" in m)
            equal(n, 1, "times that %s to %s is there (%d had not been delivered when it was killed)" %
                  (mark, to, len(missing_there)))


@case("restore: only a whole backup, of a version that is known, into an empty place")
def _():
    with Server("kept", config=DEAD) as server, Server("fresh", config=DEAD, users=(), start=False) as other:
        wire = server.login()
        equal(wire.mail("alice@example.test", "far@elsewhere.example", body(marker(), LARGE * 5000)).code, 250, "mail")
        wire.quit()
        backup, half = server.directory + "/backup", server.directory + "/half"
        server.command("backup", backup)
        equal({os.stat(backup + "/" + file).st_mode & 0o7777 for file in files_of(backup)}, {0o600}, "modes of the files")
        expect("another server runs" in restore(server, backup, code=5), "a server runs")
        with open(backup + "/manifest") as file:
            manifest = file.read()
        large = glob.glob(backup + "/queue/body/*")[0]

        def refused(change, words):
            shutil.rmtree(half, ignore_errors=True)
            shutil.copytree(backup, half)
            change()
            said = restore(other, half, code=5)
            expect(words in said and "nothing was restored" in said or "written last" in said, said)
            expect(not glob.glob(other.state + "/[qar]*/*"), "something was: %r" % glob.glob(other.state + "/*/*"))

        def altered(path, at=100):
            with open(path.replace(backup, half), "r+b") as file:
                file.seek(at)
                octet = file.read(1)
                file.seek(at)
                file.write(bytes([octet[0] ^ 1]))

        def write(text):
            with open(half + "/manifest", "w") as file:
                file.write(text)
        refused(lambda: os.unlink(half + "/manifest"), "written last")
        refused(lambda: altered(large), "altered")
        refused(lambda: altered(backup + "/auth/gatepost.db"), "altered")
        refused(lambda: os.truncate(large.replace(backup, half), 300000), "cut short")
        refused(lambda: os.unlink(half + "/queue/key"), "No such file")
        refused(lambda: altered(backup + "/manifest", len(manifest) // 2), "altered")
        refused(lambda: write(manifest[:len(manifest) // 2]), "cut short")
        refused(lambda: write(manifest.replace("gatepost-backup 1", "gatepost-backup 2")), "newer")
        refused(lambda: write(manifest.replace(" auth/gatepost.db", " auth/../../x")), "altered")
        os.makedirs(other.state, exist_ok=True)
        os.symlink(other.directory, other.state + "/queue")
        expect("is a link" in restore(other, backup, code=5), "a queue elsewhere")
        os.unlink(other.state + "/queue")
        restore(other, backup)
        other.start()
        equal(len(other.json("queue", "list")), 1, "messages that wait")
        other.login().quit()
        equal(other.stop(), 0, "exit code")
        # In use: refused, or moved aside whole.
        other.add_user("zoe")
        before = files_of(other.state + "/auth"), files_of(other.state + "/queue")
        expect("not empty" in restore(other, backup, code=5), "a place in use")
        equal((files_of(other.state + "/auth"), files_of(other.state + "/queue")), before, "what is there")
        said = restore(other, backup, "--force")
        aside = re.search(r"(/\S*before-restore-\S*)\.\n", said)[1]
        equal((files_of(aside + "/auth"), files_of(aside + "/queue")), before, "what was moved aside")
        expect("zoe" not in other.command("user", "list").stdout, "the users of the backup")
        # Cut short: nothing starts from a half.
        os.mkdir(other.state + "/restore-unfinished")
        done = other.command("user", "list", check=False)
        expect(done.returncode != 0 and "restore again" in done.stderr, "a restore that was cut short: %r" % done.stderr)
        restore(other, backup, "--force")
        equal(len(other.json("user", "list")), 2, "users at last")


@case("restore: a backup during which a process was started anew is none")
def _():
    with Server("anew", config=DEAD) as server:
        wire = server.login()
        for _ in range(12):
            equal(wire.mail("alice@example.test", "far@elsewhere.example", body(marker(), LARGE * 40000)).code, 250, "mail")
        wire.quit()
        for attempt in range(20):
            place = "%s/backup%d" % (server.directory, attempt)
            copier = subprocess.Popen([GATEPOST, "-c", server.config_path, "backup", place], stderr=subprocess.PIPE,
                                      text=True)
            while not glob.glob(place + "/queue/body/*") and copier.poll() is None:
                pass
            copier.send_signal(signal.SIGSTOP)
            if not os.path.exists(place + "/gatepost.conf"):
                break  # in the midst of the queue
            copier.send_signal(signal.SIGCONT)
            copier.communicate()
        else:
            raise Failure("every backup was too quick to be stopped")
        eventually(lambda: not glob.glob(server.state + "/auth/*.backup"), "the copy of the database is removed")
        old = server.pids("queue")
        os.kill(old[0], signal.SIGKILL)
        eventually(lambda: server.pids("queue") not in ([], old), "a new queue")
        copier.send_signal(signal.SIGCONT)
        said = copier.communicate()[1]
        expect(copier.returncode == 1 and "meanwhile" in said and "do not use it" in said, said)
        equal(server.stop(), 0, "exit code")
        for part in ("auth", "queue"):
            os.rename(server.state + "/" + part, server.directory + "/old-" + part)
        expect("written last" in restore(server, place, code=5), "it is refused")


@case("restore: a copier that stops for ever ends with its process, and the queue removes again")
def _():
    with Server("stopped", config={"queue": {"segment": "1M"}}) as server:
        copier = subprocess.Popen([sys.executable, "-c", """
import socket, struct, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
s.send(struct.pack("<HI", 0x0d01, 12) + b"queue backup")
while struct.unpack_from("<H", s.recv(65536))[0] != 0x0d82: pass
print("held", flush=True)
time.sleep(1000)""", server.run + "/queue.sock"], stdout=subprocess.PIPE, text=True)
        try:
            equal(copier.stdout.readline(), "held\n", "the copier")
            wire = server.login()
            for _ in range(4):
                equal(wire.mail("alice@example.test", "bob@example.test", body(marker(), LARGE * 5000)).code, 250, "mail")
            server.queue_empty()
            wire.quit()
            bodies = server.state + "/queue/body/*"
            equal(len(glob.glob(bodies)), 4, "bodies while they may be copied")
        finally:
            copier.kill()
            copier.wait()
        eventually(lambda: not glob.glob(bodies), "bodies of delivered messages are removed")


if __name__ == "__main__":
    main(parallel=3)
