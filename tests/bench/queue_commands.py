"""queue_commands.py [MESSAGES] - what the queue commands cost when many messages wait for 1,000 destinations, behind a
smarthost that is not there: seconds of each, memory of the queue process, and what strangers' mail sees of it meanwhile."""
import os
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from harness import BUILD, GATEPOST, Server, body, eventually, free_port, marker  # noqa: E402


def memory(pid):
    with open("/proc/%d/status" % pid) as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["VmRSS"].split()[0]) >> 10, int(lines["VmHWM"].split()[0]) >> 10


def accept_ms(server, n=30):
    """From the final dot to its reply, in the median."""
    times = []
    for _ in range(n):
        wire = server.dial("mx")
        wire.want("HELO client.example", 250)
        wire.want("MAIL FROM:<friend@far.example>", 250)
        wire.want("RCPT TO:<alice@example.test>", 250)
        begin = time.monotonic()
        wire.data(body(marker()))
        times.append((time.monotonic() - begin) * 1000)
        wire.quit()
    return statistics.median(times), max(times)


def run(server, pid, *words):
    begin, lines = time.monotonic(), 0
    process = subprocess.Popen([GATEPOST, "--config", server.config_path] + list(words), stdout=subprocess.PIPE)
    for block in iter(lambda: process.stdout.read(1 << 20), b""):
        lines += block.count(b"\n")
    usage = os.wait4(process.pid, 0)[2]
    process.returncode = 0
    print("%-46s %7.2f s %8d lines   queue %4d MiB   command %3d MiB" % (
        " ".join(words), time.monotonic() - begin, lines, memory(pid)[0], usage.ru_maxrss >> 10), flush=True)


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000
    smarthost = {"foreign": "smarthost", "smarthost": {"host": "127.0.0.1", "port": free_port(), "tls": "none"}}
    server = Server("queue-commands", start=False, config={
        "delivery": smarthost, "queue": {"retry": ["1h"], "expire": "5d", "reserve": "1M"}})
    try:
        state = server.state + "/queue"
        subprocess.run([os.path.join(BUILD, "tests/bench/fill_queue"), "-n", str(n), "-w", "3600", "-m",
                        "connection refused", state], check=True)
        subprocess.run(["chown", "-R", "--reference", state, state], check=True)
        begin = time.monotonic()
        server.start()
        pid = server.pids("queue")[0]
        print("%d messages: ready after %.1f s; queue process %d MiB, at most %d MiB" % ((
            n, time.monotonic() - begin) + memory(pid)), flush=True)
        print("accepted in %.1f ms (median; at most %.1f)" % accept_ms(server))
        for words in (["list"], ["list", "--json"], ["list", "--destination", "d7.example"],
                      ["list", "--from", "sender7@example.test"], ["list", "--to", "*7@d?.example"],
                      ["list", "--state", "held"], ["stats", "--limit", "3"], ["stats", "--by", "sender", "--limit", "3"],
                      ["stats", "--by", "age"], ["hold", "--destination", "d7.example"],
                      ["release", "--destination", "d7.example"], ["remove", "--from", "sender8@example.test"],
                      ["hold", "--all"], ["release", "--all"]):
            run(server, pid, "queue", *words)
        stop = threading.Event()

        def keep_listing():
            while not stop.is_set():
                subprocess.run([GATEPOST, "--config", server.config_path, "queue", "list", "--from", "@nobody.example"],
                               stdout=subprocess.DEVNULL, check=False)
        thread = threading.Thread(target=keep_listing)
        thread.start()
        print("accepted while a filtered list runs in %.1f ms (median; at most %.1f)" % accept_ms(server))
        stop.set()
        thread.join()
        with subprocess.Popen([GATEPOST, "--config", server.config_path, "queue", "list"], stdout=subprocess.PIPE) as slow:
            time.sleep(2)
            print("accepted while a reader does not read in %.1f ms; queue %d MiB" % (accept_ms(server)[0], memory(pid)[0]))
            slow.kill()
    
        run(server, pid, "queue", "remove", "--all")
        eventually(lambda: server.json("queue", "list") == [], "an empty queue")
        print("queue process at the end: %d MiB, at most %d MiB" % memory(pid))
    finally:
        server.close()


if __name__ == "__main__":
    main()
