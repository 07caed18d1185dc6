"""measure.py MESSAGES THREADS ROUNDS - messages accepted and delivered a second, and refusals a second: medians."""
import os
import re
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "crash")]
from harness import b64, Server  # noqa: E402
from kill import build_load, drained, loaded_server  # noqa: E402


def cpu_seconds(server):
    """User and system time of the master and all that it has waited for or that still runs."""
    ticks = 0
    for pid in server.tree():
        try:
            with open("/proc/%d/stat" % pid) as file:
                fields = file.read().rsplit(")", 1)[1].split()
            ticks += sum(int(word) for word in fields[11:15])
        except OSError:
            pass
    return ticks / os.sysconf("SC_CLK_TCK")


def run(load, server, threads, *words):
    begin, cpu = time.monotonic(), cpu_seconds(server)
    out = subprocess.run([load, "-t", str(threads), "-m", str(server.ports["mx"]), "-s", str(server.ports["submissions"]),
                          "-p", b64("\0user0@example.test\0" + Server.password), "-u", "20", "-b", "4096"] + list(words),
                         check=True, capture_output=True, text=True).stdout
    accepted = float(re.search(r"per_second ([0-9.]+)", out)[1])
    drained(server)
    n = int(words[1])
    return accepted, n / (time.monotonic() - begin), (cpu_seconds(server) - cpu) * 1e6 / n


def main():
    messages, threads, rounds = (int(word) for word in sys.argv[1:4])
    load, server = build_load(), loaded_server("bench")
    rows = [("strangers, 1 message a session", ["-n", str(messages)]),
            ("strangers, 50 messages a session", ["-n", str(messages), "-k", "50"]),
            ("users over TLS, 50 messages a session", ["-n", str(messages), "-a", "100", "-A", "50"]),
            ("refused recipients, 10 a session", ["-n", str(messages), "-k", "10", "-r"])]
    print("%-40s %12s %12s %14s" % ("4 KiB, %d threads, medians of %d" % (threads, rounds), "accepted/s", "delivered/s",
                                    "CPU us each"))
    try:
        for name, words in rows:
            results = [run(load, server, threads, *words) for _ in range(rounds)]
            print("%-40s %12.0f %12.0f %14.0f" % ((name,) + tuple(statistics.median(c) for c in zip(*results))), flush=True)
    finally:
        server.close()


if __name__ == "__main__":
    main()
