"""million.py [MESSAGES [DESTINATIONS [SECONDS]]] - a queue of a million messages to a thousand mailboxes: how long a
start takes, what queue and delivery hold in memory, how soon new mail is accepted meanwhile, how long it takes to list
one destination, and the others' deliveries a second while one destination hangs and while none does (each for SECONDS,
in turns). Prints numbers, asserts nothing. COLD=1: the kernel forgets what it has read of the queue before each start
(root)."""
import glob
import os
import shutil
import signal
import smtplib
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE)]
from harness import BUILD, process_state, Server  # noqa: E402


def say(what, value):
    print("%-64s %s" % (what, value), flush=True)


def fill(server, *options):
    """A new queue in the place of what is there, as its user."""
    directory = server.state + "/queue"
    owner = os.stat(directory)
    for entry in glob.glob(directory + "/*"):
        shutil.rmtree(entry) if os.path.isdir(entry) else os.unlink(entry)
    subprocess.run([BUILD + "/tests/bench/fill_queue"] + list(options) + [directory], check=True)
    for at, directories, files in os.walk(directory):
        for name in directories + files:
            os.chown(at + "/" + name, owner.st_uid, owner.st_gid)
    if os.environ.get("COLD"):
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("1")


def timed_start(server):
    begin = time.monotonic()
    server.start()
    return time.monotonic() - begin


def memory(pids, field="VmRSS"):
    """KiB."""
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/%s" % (pid, "smaps_rollup" if field == "Pss" else "status")) as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith(field + ":"))
        except OSError:
            pass
    return total


def queue_status(server):
    return server.json("status")["queue"][0]


class Probe(threading.Thread):
    """A stranger who sends a message now and then, and notes how long the answer to its end takes."""
    def __init__(self, server):
        super().__init__(daemon=True)
        self.port, self.over, self.took, self.failed = server.ports["mx"], threading.Event(), [], 0

    def run(self):
        while not self.over.wait(0.05):
            try:
                with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as client:
                    client.ehlo("client.example")
                    client.mail("probe@client.example")
                    client.rcpt("alice@example.test")
                    begin = time.monotonic()
                    client.data("Subject: probe\r\n\r\nx\r\n")
                    self.took.append(time.monotonic() - begin)
            except (OSError, smtplib.SMTPException):
                self.failed += 1

    def end(self):
        self.over.set()
        self.join()
        took = sorted(self.took) or [0]
        return "median %.0f ms, 99%% %.0f ms, longest %.0f ms of %d; failed %d" % (
            statistics.median(took) * 1000, took[int(len(took) * 0.99)] * 1000, took[-1] * 1000, len(self.took), self.failed)


def waiting(server, messages, destinations):
    """All have been tried and wait."""
    fill(server, "-n", str(messages), "-d", str(destinations), "-k", "maildir", "-w", "864000")
    say("start until it serves, all waiting, seconds", "%.1f" % timed_start(server))
    queue = server.pids("queue")
    say("queue: resident KiB; octets a message", "%d; %d" % (memory(queue), memory(queue) * 1024 // messages))
    probe = Probe(server)
    probe.start()
    begin = time.monotonic()
    time.sleep(20)
    say("new mail's answers meanwhile", probe.end())
    say("longest round of the queue, ms", queue_status(server)["longest round ms"])
    begin = time.monotonic()
    rows = server.json("queue", "list", "--destination", "user7@example.test")
    say("queue list of one destination: seconds; rows", "%.2f; %d" % (time.monotonic() - begin, len(rows)))
    say("longest round of the queue after that, ms", queue_status(server)["longest round ms"])
    server.stop()


def hang(server):
    """Stops an agent in the middle of what it has to do."""
    while True:
        for pid in server.pids("agent"):
            try:
                os.kill(pid, signal.SIGSTOP)
            except ProcessLookupError:
                continue
            limit = time.monotonic() + 5
            while process_state(pid) not in ("T", "Z", None) and time.monotonic() < limit:
                time.sleep(0.001)  # one that waits for the disk stops behind that
            if process_state(pid) == "T":
                return pid
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass


def rate(server, seconds):
    before, begin = queue_status(server)["delivered"], time.monotonic()
    time.sleep(seconds)
    return (queue_status(server)["delivered"] - before) / (time.monotonic() - begin)


def delivering(server, messages, destinations, seconds):
    fill(server, "-n", str(messages), "-d", str(destinations), "-k", "maildir", "-s", "1000")
    say("start until it serves, all due, seconds", "%.1f" % timed_start(server))
    queue = server.pids("queue")
    probe = Probe(server)
    probe.start()
    with_it, without, held = [], [], []
    rate(server, 2)
    for _ in range(6):
        hanging = hang(server)
        with_it.append(rate(server, seconds))
        agents = server.pids("agent")
        held.append(memory(server.pids("delivery") + agents, "Pss"))
        os.kill(hanging, signal.SIGCONT)
        without.append(rate(server, seconds))
        if queue_status(server)["messages"] < messages // 20:
            del with_it[-1], without[-1]
            say("it ran empty: windows that count, of six", len(without))
            break
    if not without:
        raise SystemExit("the queue is too short for these windows: more messages, or fewer seconds")
    say("delivered a second while one hangs: median of six, each", "%.0f; %s" % (
        statistics.median(with_it), " ".join("%.0f" % r for r in with_it)))
    say("delivered a second while none hangs", "%.0f; %s" % (
        statistics.median(without), " ".join("%.0f" % r for r in without)))
    say("the first of the second", "%.3f" % (statistics.median(with_it) / max(1, statistics.median(without))))
    say("new mail's answers meanwhile", probe.end())
    say("longest round of the queue, ms", queue_status(server)["longest round ms"])
    say("queue: resident KiB", memory(queue))
    say("delivery: proportional KiB of the parent and its agents", "%d" % statistics.median(held))
    server.stop()


def main():
    messages, destinations, seconds = (list(map(int, sys.argv[1:])) + [1000000, 1000, 5][len(sys.argv) - 1:])
    server = Server("million", users=("alice",))
    server.stop()
    try:
        say("messages, destinations", "%d, %d" % (messages, destinations))
        waiting(server, messages, destinations)
        delivering(server, messages, destinations, seconds)
    finally:
        server.close()


if __name__ == "__main__":
    main()
