#!/usr/bin/env python3
"""mailbox.py [MESSAGES [ROUNDS]] - a large Maildir by POP3: time of login, STAT, UIDL, LIST and RETR of the last, and the
most memory of the process that serves it; next to Dovecot on the same Maildir, where there is one and this is root.
"First" is with what a server remembers of the Maildir removed, "again" with it. Ours speaks TLS, Dovecot does not.
"""
import glob
import os
import pwd
import shutil
import socket
import ssl
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "client")]
import dovecot  # noqa: E402
from harness import Server, children_of, free_port  # noqa: E402

STEPS = ("login", "STAT", "UIDL", "LIST", "RETR", "QUIT")


class Dovecot(dovecot.Process):
    """Serves the Maildir by POP3 to whoever says its user's name."""

    def __init__(self, home, owner):
        super().__init__()
        self.port, self.home, self.owner = free_port(), home, owner
        self.start()

    def configuration(self):
        return self.common() + """
protocols = pop3
disable_plaintext_auth = no
mail_location = maildir:{home}
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={home}
}}
service pop3-login {{
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
""".format(home=self.home, uid=self.owner.pw_uid, gid=self.owner.pw_gid, port=self.port)

    def answers(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as client:
            return client.recv(3) == b"+OK"

    def server_pid(self):
        waiting, found = [self.process.pid], []
        while waiting:
            pid = waiting.pop()
            waiting += children_of(pid)
            with open("/proc/%d/comm" % pid) as file:
                if file.read().strip() == "pop3":
                    found.append(pid)
        return found[0]


class Client:
    def __init__(self, port, tls):
        self.socket = socket.create_connection(("127.0.0.1", port), 600)
        if tls:
            self.socket = ssl._create_unverified_context().wrap_socket(self.socket)
        self.rest = b""
        self.until(b"\r\n")

    def until(self, end):
        text = bytearray(self.rest)
        while end not in text[-len(end) - 65536:]:
            part = self.socket.recv(65536)
            if not part:
                raise SystemExit("the server has left: %r" % bytes(text[-200:]))
            text += part
        at = text.rindex(end) + len(end)
        self.rest = bytes(text[at:])
        return bytes(text[:at])

    def ask(self, line, end=b"\r\n"):
        self.socket.sendall(line.encode() + b"\r\n")
        text = self.until(end)
        if not text.startswith(b"+OK"):
            raise SystemExit("%s: %r" % (line, text[:200]))
        return text


def most_kilobytes(pid):
    with open("/proc/%d/status" % pid) as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))


def session(port, tls, count, user, password, pid_of):
    """Seconds of each step, and kilobytes."""
    client, times = Client(port, tls), {}
    multi = b"\r\n.\r\n"

    def timed(step, *asks):
        begin = time.monotonic()
        for ask in asks:
            text = client.ask(*ask)
        times[step] = time.monotonic() - begin
        return text

    timed("login", ("USER " + user,), ("PASS " + password,))
    pid = pid_of()
    stat = timed("STAT", ("STAT",))
    if int(stat.split()[1]) != count:
        raise SystemExit("STAT says %r of %d messages" % (stat, count))
    lines = timed("UIDL", ("UIDL", multi)).count(b"\r\n")
    if lines != count + 2:
        raise SystemExit("UIDL has %d lines" % lines)
    sizes = timed("LIST", ("LIST", multi))
    last = timed("RETR", ("RETR %d" % count, multi))
    if len(last) - last.index(b"\r\n") - 2 - 3 != int(sizes.split(b"\r\n")[count].split()[1]):
        raise SystemExit("the size of the last is not what LIST says")
    times["kilobytes"] = most_kilobytes(pid)
    timed("QUIT", ("QUIT",))
    return times


def fill(directory, count, owner):
    text = "".join("line %d of a message like many others, neither long nor short\n" % i for i in range(28))
    for place in ("", "tmp", "new", "cur"):
        os.makedirs(os.path.join(directory, place), exist_ok=True)
    for i in range(count):
        name = "%d.M%dP7.host:2,S" % (1600000000 + i, i % 1000000)
        with open(os.path.join(directory, "cur", name), "w") as file:
            file.write("Subject: %d\n\n%s" % (i, text))
    for top, _, names in os.walk(os.path.dirname(os.path.dirname(directory))):
        for name in [top] + [os.path.join(top, name) for name in names]:
            os.chown(name, owner.pw_uid, owner.pw_gid)


def forget(directory):
    for path in glob.glob(directory + "/dovecot*") + glob.glob(directory + "/gatepost-sizes*"):
        os.unlink(path)


def main():
    count, rounds = (int(word) for word in (sys.argv[1:] + ["100000", "3"][len(sys.argv) - 1:])[:2])
    server = Server("bench-mailbox", pop3=True, users=("big",))
    owner = pwd.getpwnam("_gatepost-mail") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    directory = server.maildir("big@example.test")
    other = None
    try:
        fill(directory, count, owner)
        rows = [("gatepost", server.ports["pop3s"], True, Server.password, lambda: server.agents("delivery")[0])]
        why = dovecot.missing()
        if why or not os.path.exists(os.path.join(dovecot.tree(), "usr/lib/dovecot/pop3")):
            print("without Dovecot: %s" % (why or "it has no POP3"))
        else:
            os.chmod(server.state, 0o755)  # its mail directory lies there
            other = Dovecot(directory, owner)
            rows.append(("Dovecot", other.port, False, "x", other.server_pid))
        results = {}
        for _ in range(rounds):
            for name, port, tls, password, pid_of in rows:
                forget(directory)
                for when in ("first", "again"):
                    results.setdefault((name, when), []).append(
                        session(port, tls, count, "big@example.test", password, pid_of))
                    time.sleep(0.2)  # its processes leave
        print("%-16s" % ("%d messages" % count) + "".join("%9s" % step for step in STEPS) + "      MiB   (ms, medians of %d)" % rounds)
        for (name, when), all_times in results.items():
            print("%-16s" % (name + ", " + when) +
                  "".join("%9.1f" % (1000 * statistics.median(t[step] for t in all_times)) for step in STEPS) +
                  "%9.1f" % (statistics.median(t["kilobytes"] for t in all_times) / 1024))
    finally:
        if other:
            other.stop()
            shutil.rmtree(other.directory, ignore_errors=True)
        server.close()


if __name__ == "__main__":
    main()
