"""dovecot.py - a Dovecot that takes mail by LMTP, and one that reads dovecot.db by the sample configuration: installed, or
unpacked below build/dovecot by conf/deps.sh; in a directory of its own.

Runs in: the test programs under tests/client/, as root only, which its processes need to be others'. Never: touches the
system's own Dovecot.
"""
import base64
import contextlib
import glob
import itertools
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import TOP, Failure, eventually, free_port  # noqa: E402

# Dovecot's own processes and its mailboxes belong to two users that base-passwd has everywhere.
OWNER, MAIL_OWNER = "news", "uucp"
CLIENTS = itertools.count(os.getpid())  # it knows its clients by their pids, and each only once


def tree():
    """The directory that holds usr/, or None."""
    for top in (os.path.join(TOP, "build", "dovecot"), "/"):
        if os.path.exists(os.path.join(top, "usr/lib/dovecot/lmtp")):
            return top
    return None


def command(*words):
    """The command line that runs `words` where Dovecot finds its modules, which it looks for in /usr/lib alone: one that
    is unpacked is seen there by nobody else, in a mount namespace of its own."""
    if tree() == "/":
        return list(words)
    script = 'mount -t overlay overlay -o lowerdir="$0":/usr/lib /usr/lib && exec "$@"'
    return ["unshare", "-m", "sh", "-c", script, os.path.join(tree(), "usr/lib")] + list(words)


def missing():
    """Why there can be no Dovecot here; None when there can."""
    if os.geteuid() != 0:
        return "a Dovecot with users of its own needs root"
    if not tree():
        return "there is no Dovecot; conf/deps.sh --test could not fetch it"
    done = subprocess.run(command("ldd", "/usr/lib/dovecot/lmtp", "/usr/lib/dovecot/auth"), capture_output=True, text=True)
    lost = {line.split()[0] for line in done.stdout.splitlines() if "not found" in line}
    if done.returncode != 0:
        return "Dovecot's files cannot be put where it looks for them: " + done.stderr.strip()
    return "Dovecot lacks " + " ".join(sorted(lost)) if lost else None


class Process:
    """A Dovecot with the configuration that `configuration()` returns, which is ready when `answers()` is true."""

    def __init__(self):
        base = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
        self.directory = tempfile.mkdtemp(prefix="gatepost-dovecot-", dir=base)
        os.chmod(self.directory, 0o755)
        self.process = None

    def common(self):
        return """
base_dir = {here}/run
state_dir = {here}/state
libexec_dir = /usr/lib/dovecot
default_internal_user = {owner}
default_internal_group = {owner}
default_login_user = {owner}
first_valid_uid = 1
ssl = no
log_path = {here}/log
auth_verbose = yes
""".format(here=self.directory, owner=OWNER)

    def start(self):
        with open(self.directory + "/dovecot.conf", "w") as file:
            file.write(self.configuration())
        top = tree()
        with open(self.directory + "/output", "ab") as output:
            # as dovecot(1) starts itself: by doveconf, which it would look for in /usr/bin
            self.process = subprocess.Popen(command(
                os.path.join(top, "usr/bin/doveconf"), "-f", "service=master", "-m", "master", "-c",
                self.directory + "/dovecot.conf", "-e", os.path.join(top, "usr/sbin/dovecot"), "-F", "-c",
                self.directory + "/dovecot.conf"), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True)

        def ready():
            if self.process.poll() is not None:
                raise Failure("Dovecot ended with %d:\n%s" % (self.process.returncode, self.log()))
            with contextlib.suppress(OSError):
                return self.answers()
        try:
            eventually(ready, "an answer of Dovecot")
        except Failure as failure:
            text = self.log()
            self.__exit__(None, None, None)
            raise Failure("%s\n%s" % (failure, text))

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def log(self):
        text = ""
        for path in (self.directory + "/output", self.directory + "/log"):
            with contextlib.suppress(OSError), open(path, errors="replace") as file:
                text += file.read()
        return text

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            print("    log of Dovecot:\n      " + "\n      ".join(self.log().splitlines()[-15:]))
        self.stop()
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.directory, ignore_errors=True)


class Dovecot(Process):
    """Takes mail for `users`, a dictionary: login -> kilobytes that its mailbox may hold, or None; at `socket` and at
    127.0.0.1:`port`. Nobody else is known there."""

    def __init__(self, users):
        super().__init__()
        self.socket, self.port = self.directory + "/run/lmtp", free_port()
        os.makedirs(self.directory + "/mail")
        owner = pwd.getpwnam(MAIL_OWNER)
        os.chown(self.directory + "/mail", owner.pw_uid, owner.pw_gid)
        with open(self.directory + "/users", "w") as file:
            for login, limit in users.items():
                quota = "userdb_quota_rule=*:storage=%dK" % limit if limit else ""
                file.write("%s::%d:%d::%s/mail/%s::%s\n" % (login, owner.pw_uid, owner.pw_gid, self.directory, login, quota))
        self.start()

    def configuration(self):
        return self.common() + """
mail_plugins = quota
protocols = lmtp
mail_location = maildir:~/Maildir
hostname = dovecot.test
postmaster_address = postmaster@dovecot.test
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {here}/users
}}
plugin {{
  quota = maildir:mailbox
  quota_grace = 0
}}
service lmtp {{
  unix_listener lmtp {{
    mode = 0600
  }}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
""".format(here=self.directory, port=self.port)

    def answers(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as client:
            return client.recv(4) == b"220 "

    def connections(self):
        """How many clients have come by LMTP, the test's own to see whether it answers apart."""
        return len(re.findall(r"lmtp\(\d+\): (?:Info: )?Connect from local", self.log()))

    def messages(self, login):
        """Every message of a mailbox, as octets."""
        found = []
        for path in glob.glob("%s/mail/%s/Maildir/new/*" % (self.directory, login)):
            with open(path, "rb") as file:
                found.append(file.read())
        return found


class Checker(Process):
    """Checks passwords, and no more."""

    def dial(self):
        """A connection to the authentication process, as its login processes have it, and a reader of its lines."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(60)
        client.connect(self.directory + "/run/auth-client")
        client.sendall(b"VERSION\t1\t2\nCPID\t%d\n" % next(CLIENTS))
        lines = client.makefile("rb")
        for line in lines:
            if line == b"DONE\n":
                return client, lines
        raise OSError("no greeting")

    def common(self):
        # without the delays that grow with each wrong password
        return super().common() + """
protocols =
auth_failure_delay = 0
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
"""

    def answers(self):
        client, lines = self.dial()
        lines.close()
        client.close()
        return True

    def check(self, pairs):
        """Of pairs (login, password) those logins that are refused. Many are asked about at once: it holds each refusal back
        for half a second."""
        client, lines = self.dial()
        asked, refused = {}, []
        with client, lines:
            for number, (login, password) in enumerate(pairs, 1):
                response = base64.b64encode(("\0%s\0%s" % (login, password)).encode()).decode()
                client.sendall(("AUTH\t%d\tPLAIN\tservice=smtp\tsecured\tresp=%s\n" % (number, response)).encode())
                asked[number] = login
                while len(asked) > 100 or number == len(pairs) and asked:
                    answer = lines.readline().decode().rstrip("\n").split("\t")
                    if answer[0] not in ("OK", "FAIL") or "temp" in answer:
                        raise Failure("Dovecot answered %r:\n%s" % (answer, self.log()[-2000:]))
                    login = asked.pop(int(answer[1]))
                    if answer[0] == "FAIL":
                        refused.append(login)
        return refused

    def accepts(self, login, password):
        return not self.check([(login, password)])


class Reader(Checker):
    """By the sample configuration conf/dovecot-2.3.conf, with `database` in the place of dovecot.db."""

    def __init__(self, database):
        super().__init__()
        self.database = database
        self.start()

    def sample(self, name, before, after):
        """A sample with one of its values changed, which must be there."""
        with open(os.path.join(TOP, "conf", name)) as file:
            text = file.read()
        if before not in text:
            raise Failure("%s has no %s" % (name, before))
        return text.replace(before, after)

    def configuration(self):
        queries = self.directory + "/sql.conf"
        with open(queries, "w") as file:
            file.write(self.sample("dovecot-2.3-sql.conf", "/var/lib/gatepost/auth/dovecot/dovecot.db", self.database))
        return self.common() + self.sample("dovecot-2.3.conf", "/etc/dovecot/dovecot-2.3-sql.conf", queries)


class PasswdFile(Checker):
    """By the lines of a passwd-file."""

    def __init__(self, lines):
        super().__init__()
        with open(self.directory + "/passwd", "w") as file:
            file.write(lines)
        self.start()

    def configuration(self):
        return self.common() + """
passdb {{
  driver = passwd-file
  args = {here}/passwd
}}
userdb {{
  driver = passwd-file
  args = {here}/passwd
}}
""".format(here=self.directory)


class Server:
    """An LMTP server that plays a script for each connection: a function of (reader, writer) of binary files."""

    def __init__(self, play, path=None, host="127.0.0.1"):
        self.play, self.connections = play, 0
        self.socket = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.socket.bind(path or (host, 0))
        self.socket.listen(128)
        self.port = None if path else self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                self.connections += 1
                threading.Thread(target=self.one, args=(client,), daemon=True).start()

    def one(self, client):
        with client, client.makefile("rb") as reader, contextlib.suppress(OSError, ValueError):
            self.play(reader, client)

    def close(self):
        self.socket.close()
