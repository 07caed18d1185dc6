"""postfix.py - a Postfix as the next hop: installed, or unpacked below build/postfix by conf/deps.sh; in a directory of its own.

Runs in: the test programs under tests/client/, as root only, which Postfix needs. Never: touches the system's own Postfix.
"""
import contextlib
import glob
import os
import pwd
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import TOP, Failure, eventually, free_port, make_certificate  # noqa: E402

# Postfix wants a user and a group that nothing else of its own runs as; base-passwd has these everywhere.
OWNER, SETGID_GROUP = "news", "uucp"
DIRECTORIES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "public",
               "maildrop", "trace", "saved", "pid")
SERVICES = (("unix", "cleanup", "cleanup"), ("unix", "qmgr", "qmgr"), ("unix", "tlsmgr", "tlsmgr"),
            ("unix", "rewrite", "trivial-rewrite"), ("unix", "bounce", "bounce"), ("unix", "defer", "bounce"),
            ("unix", "trace", "bounce"), ("unix", "verify", "verify"), ("unix", "flush", "flush"),
            ("unix", "proxymap", "proxymap"), ("unix", "smtp", "smtp"), ("unix", "error", "error"),
            ("unix", "retry", "error"), ("unix", "virtual", "virtual"), ("unix", "anvil", "anvil"),
            ("unix", "scache", "scache"), ("unix-dgram", "postlog", "postlogd"))


def tree():
    """The directory that holds usr/, or None."""
    for top in (os.path.join(TOP, "build", "postfix"), "/"):
        if os.path.exists(os.path.join(top, "usr/lib/postfix/sbin/smtpd")):
            return top
    return None


def missing():
    """Why there can be no Postfix here; None when there can."""
    if os.geteuid() != 0:
        return "a Postfix needs root"
    if not tree():
        return "there is no Postfix; conf/deps.sh --test could not fetch it"
    libraries = os.path.join(tree(), "usr/lib/postfix")
    found = subprocess.run(["ldd", libraries + "/sbin/smtpd"], capture_output=True, text=True,
                           env=dict(os.environ, LD_LIBRARY_PATH=libraries)).stdout
    lost = [line.split()[0] for line in found.splitlines() if "not found" in line]
    return "Postfix lacks " + " ".join(lost) if lost else None


class Logins:
    """Speaks to Cyrus SASL in the place of saslauthd: four counted strings in, "OK" or "NO" out."""

    def __init__(self, path, user, password):
        self.user, self.password, self.asked = user, password, []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        os.chmod(path, 0o666)
        self.socket.listen(16)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                with client, client.makefile("rb") as file:
                    words = [file.read(struct.unpack(">H", file.read(2))[0]).decode() for _ in range(4)]
                    self.asked.append(words[0])
                    name = words[0] if "@" in words[0] or not words[3] else words[0] + "@" + words[3]
                    word = b"OK" if (name, words[1]) == (self.user, self.password) else b"NO"
                    client.sendall(struct.pack(">H", len(word)) + word)


class Postfix:
    """Takes mail for friend@far.example and 8bit@far.example into a Maildir; nobody else is known there. STARTTLS and a
    login are demanded on `port`, implicit TLS and a login on `tls_port`."""

    def __init__(self, user="relay@hub.test", password="a password for Postfix"):
        self.user, self.password = user, password
        base = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
        self.directory = tempfile.mkdtemp(prefix="gatepost-postfix-", dir=base)
        os.chmod(self.directory, 0o755)
        self.port, self.tls_port, self.process = free_port(), free_port(), None
        self.certificate, self.key = make_certificate(self.directory, host="localhost")
        owner = pwd.getpwnam(OWNER)
        for name in DIRECTORIES:
            os.makedirs(self.directory + "/queue/" + name)
            if name != "pid":
                os.chown(self.directory + "/queue/" + name, owner.pw_uid, -1)
        for name in ("data", "mail", "configuration/sasl"):  # Debian's looks for smtpd.conf in sasl/
            os.makedirs(self.directory + "/" + name)
        for name in ("data", "mail"):
            os.chown(self.directory + "/" + name, owner.pw_uid, -1)
        self.logins = Logins(self.directory + "/mux", user, password)
        self.write(owner.pw_uid)
        self.start()

    def write(self, uid):
        top, here = tree(), self.directory
        main = {
            "compatibility_level": "3.6", "mail_owner": OWNER, "setgid_group": SETGID_GROUP, "myhostname": "postfix.hub.test",
            "queue_directory": here + "/queue", "data_directory": here + "/data", "maillog_file": here + "/maillog",
            "maillog_file_prefixes": here, "daemon_directory": os.path.join(top, "usr/lib/postfix/sbin"),
            "command_directory": os.path.join(top, "usr/sbin"), "meta_directory": here + "/configuration",
            "shlib_directory": os.path.join(top, "usr/lib/postfix"), "import_environment": "MAIL_CONFIG LD_LIBRARY_PATH",
            "inet_interfaces": "127.0.0.1, ::1", "inet_protocols": "all", "mydestination": "", "mynetworks": "", "alias_maps": "",
            "alias_database": "", "local_recipient_maps": "", "default_transport": "error:nothing leaves this test",
            "virtual_mailbox_domains": "far.example", "virtual_mailbox_base": here + "/mail", "virtual_minimum_uid": "1",
            "virtual_mailbox_maps": "inline:{{friend@far.example=far/}, {8bit@far.example=far/}}",
            "virtual_uid_maps": "static:%d" % uid, "virtual_gid_maps": "static:%d" % pwd.getpwuid(uid).pw_gid,
            "smtpd_tls_cert_file": self.certificate, "smtpd_tls_key_file": self.key, "smtpd_tls_security_level": "encrypt",
            "smtpd_tls_auth_only": "yes", "smtpd_tls_received_header": "yes", "smtpd_sasl_auth_enable": "yes",
            "smtpd_sasl_type": "cyrus", "smtpd_sasl_path": "smtpd", "cyrus_sasl_config_path": here + "/configuration/sasl",
            "smtpd_sasl_authenticated_header": "yes", "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
            "smtpd_client_restrictions": "permit_sasl_authenticated, reject", "smtpd_peername_lookup": "no",
            "message_size_limit": "2000000",
        }
        with open(here + "/configuration/main.cf", "w") as file:
            file.write("".join("%s = %s\n" % item for item in main.items()))
        with open(here + "/configuration/sasl/smtpd.conf", "w") as file:
            file.write("pwcheck_method: saslauthd\nsaslauthd_path: %s/mux\nmech_list: PLAIN LOGIN\n" % here)
        with open(here + "/configuration/master.cf", "w") as file:
            for port, more in ((self.port, ""), (self.tls_port, " -o smtpd_tls_wrappermode=yes")):
                file.write("127.0.0.1:%d inet n - n - - smtpd%s\n" % (port, more))
            for kind, name, program in SERVICES:
                private = "n" if name in ("cleanup", "qmgr", "flush", "postlog") else "y"
                single = "1" if name in ("qmgr", "tlsmgr", "verify", "anvil", "scache", "postlog") else "-"
                wake = {"qmgr": "300", "tlsmgr": "1000?"}.get(name, "-")
                root = "n" if name == "virtual" else "-"
                count = "0" if program in ("bounce", "cleanup", "flush") else single
                file.write("%s %s %s %s n %s %s %s\n" % (name, kind, private, root, wake, count, program))

    def start(self):
        environment = dict(os.environ, LD_LIBRARY_PATH=os.path.join(tree(), "usr/lib/postfix"))
        with open(self.directory + "/output", "ab") as output:
            self.process = subprocess.Popen([os.path.join(tree(), "usr/lib/postfix/sbin/master"), "-c",
                                             self.directory + "/configuration", "-d"], stdin=subprocess.DEVNULL,
                                            stdout=output, stderr=output, env=environment, start_new_session=True)

        def answers():
            if self.process.poll() is not None:
                raise Failure("Postfix ended with %d:\n%s" % (self.process.returncode, self.log()))
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as client:
                return client.recv(4) == b"220 "
        try:
            eventually(answers, "a greeting of Postfix")
        except Failure as failure:
            text = self.log()
            self.__exit__(None, None, None)
            raise Failure("%s\n%s" % (failure, text))

    def log(self):
        text = ""
        for path in (self.directory + "/output", self.directory + "/maillog"):
            with contextlib.suppress(OSError), open(path, errors="replace") as file:
                text += file.read()
        return text

    def message(self, marker):
        """The one message that holds the marker; waits for it."""
        def look():
            found = []
            for path in glob.glob(self.directory + "/mail/far/new/*"):
                with open(path, "rb") as file:
                    found += [text for text in [file.read()] if marker.encode() in text]
            return found
        found = eventually(look, "a message with %s at Postfix" % marker)
        if len(found) != 1:
            raise Failure("%d messages with %s at Postfix" % (len(found), marker))
        return found[0]

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            print("    log of Postfix:\n      " + "\n      ".join(self.log().splitlines()[-15:]))
        self.process.terminate()
        self.process.wait()
        self.logins.socket.close()
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.directory, ignore_errors=True)
