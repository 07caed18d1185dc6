"""syncs.py [MESSAGES] [THREADS] - how often each of our processes syncs, for one message that a stranger sends and that
is delivered (4 KiB, one a session): calls of fsync and fdatasync, calls of io_submit, and the files that these have
the kernel fsync. Needs root and perf. Another server is counted in the same way: perf stat -p its processes, or -a -G
its cgroup, while as many messages go through it."""
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "crash")]
from harness import program_of  # noqa: E402
from kill import build_load, drained, loaded_server  # noqa: E402

CALLS = ["fsync", "fdatasync", "io_submit"]


def begin_count(pid):
    """Counts calls of the process, and of those it forks from now on."""
    events = ",".join("syscalls:sys_enter_" + call for call in CALLS)
    return subprocess.Popen(["perf", "stat", "-x", ";", "-e", events, "-p", str(pid)], stderr=subprocess.PIPE, text=True)


def end_count(counter):
    counter.send_signal(2)
    text = counter.communicate()[1]
    return [int((re.search(r"^(\d+);.*sys_enter_%s;" % call, text, re.M) or [0, 0])[1]) for call in CALLS]


def begin_submitted(pids, path):
    """Records what each io_submit returned: for how many files."""
    return subprocess.Popen(["perf", "record", "-q", "-e", "syscalls:sys_exit_io_submit", "-o", path, "-p",
                             ",".join(str(pid) for pid in pids)], stderr=subprocess.DEVNULL)


def end_submitted(recorder, path):
    recorder.send_signal(2)
    recorder.wait()
    text = subprocess.run(["perf", "script", "-i", path], capture_output=True, text=True).stdout
    return sum(int(word, 16) for word in re.findall(r"sys_exit_io_submit: (0x[0-9a-f]+)", text))


def send(load, server, messages, threads):
    subprocess.run([load, "-t", str(threads), "-m", str(server.ports["mx"]), "-s", str(server.ports["submissions"]),
                    "-p", "", "-u", "1", "-b", "4096", "-n", str(messages)], check=True, stdout=subprocess.DEVNULL)
    drained(server)


def main():
    messages, threads = (int(word) for word in (sys.argv[1:] + ["5000", "20"][len(sys.argv) - 1:]))
    load, server = build_load(), loaded_server("syncs")
    try:
        send(load, server, 100, 1)
        counters = {pid: begin_count(pid) for pid in server.tree()}
        names = {pid: program_of(pid) for pid in counters}
        path = os.path.join(server.directory, "submitted")
        recorder = begin_submitted(counters, path)
        time.sleep(1)  # both are there by then
        send(load, server, messages, threads)
        files = end_submitted(recorder, path)
        total = [0] * len(CALLS)
        print("%-24s" % ("of %d messages, each" % messages) + "".join("%18s" % call for call in CALLS))
        for pid, counter in counters.items():
            counts = end_count(counter)
            total = [a + b for a, b in zip(total, counts)]
            if any(counts):
                print("%-24s" % names[pid] + "".join("%18.3f" % (n / messages) for n in counts))
        print("%-24s" % "all" + "".join("%18.3f" % (n / messages) for n in total))
        print("files synced by io_submit %.3f, syncs in all %.3f" % (files / messages,
                                                                    (files + total[0] + total[1]) / messages))
    finally:
        server.close()


if __name__ == "__main__":
    main()
