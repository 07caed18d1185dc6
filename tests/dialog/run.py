"""run.py - transcripts against the real server: every *.chat beside this file, or those named on the command line.

A transcript is read line by line; the part after # at the start of a line is a comment.
    @port mx|submission|submissions|pop3|pop3s     where to connect (mx unless said), at the start
    @source ADDRESS                     connect from this loopback address
    @auth-on-mx                         mx offers AUTH (a server of its own)
    @config KEY.KEY = VALUE             configuration for this transcript (it gets a server of its own)
    C: TEXT          a line and CRLF
    bytes: TEXT      octets, with the escapes \\r \\n \\t \\0 \\\\ \\xHH, and nothing after them
    S: TEXT          the next line of the server begins with this
    S~ REGEX         the next line matches
    S+ CODE TEXT     a whole reply of that code; one of its lines holds the text
    S- TEXT          no line of the reply just read holds the text
    TLS              handshake
    MESSAGE          a small message with the marker, stuffed and ended
    SCRAM MECHANISM HEADER NAME right|wrong     AUTH up to the client's second message; with the right password also
                     the server's, which is looked at. "p=tls-server-end-point,," binds to the connection
    CLOSED           the server closes without another word
    REPEAT N LINE    the line N times, {i} counts from 1
    MAILBOX LOGIN REGEX     a message with the marker arrives there (or in "capture"), and matches
    EMPTY LOGIN      no message with the marker is there
    LOG REGEX        the log gets such a line
    COMMAND WORDS    the owner runs gatepost with them
    DIAL PORT        another connection from the same address; the one before stays open
Words: ${id} a marker of this run, ${plain} ${user} ${pass} ${wrong} base64 of alice's login, ${host} ${login} ${from}.
"""
import base64
import glob
import hashlib
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import Case, Failure, HOSTNAME, Server, b64, body, expect, main, marker  # noqa: E402
from scram import Scram  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
servers = {}

ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}


def unescape(text):
    out = re.sub(r"\\(x[0-9a-fA-F]{2}|.)",
                 lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "x" and len(m[1]) == 3 else ESCAPES[m[1]], text)
    return out.encode("latin-1") if all(ord(c) < 256 for c in out) else out.encode("utf-8")


def setting(text):
    key, value = (part.strip() for part in text.split("=", 1))
    if value in ("true", "false"):
        value = value == "true"
    elif value.isdigit():
        value = int(value)
    elif value.startswith("["):
        value = [word.strip().strip('"') for word in value.strip("[]").split(",") if word.strip()]
    else:
        value = value.strip('"')
    for word in reversed(key.split(".")):
        value = {word: value}
    return value


def combine(into, extra):
    for key, value in extra.items():
        into[key] = combine(dict(into.get(key, {})), value) if isinstance(value, dict) else value
    return into


def server_for(config):
    key = repr(sorted(config.items()))
    if key not in servers:
        config = dict(config)
        auth_on_mx, pop3 = config.pop("auth-on-mx", False), config.pop("a-pop3-listener", False)
        server = Server("dialog %d" % (len(servers) + 1), config=config, users=("alice", "bob"), start=False,
                        pop3=pop3)
        if auth_on_mx:
            server.config["listen"][0]["auth"] = True
            server.write_config()
        server.command("alias", "add", "info@example.test", "bob@example.test")
        server.command("alias", "add", "away@example.test", "friend@elsewhere.example", "--forward")
        servers[key] = server.start()
    return servers[key]


class Chat:
    def __init__(self, path):
        self.path, self.config, self.lines, self.port, self.source = path, {}, [], "mx", None
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                line = line.rstrip("\n")
                if not line.strip() or line.startswith("#"):
                    continue
                if line.startswith("@port "):
                    self.port = line[6:].strip()
                elif line.startswith("@source "):
                    self.source = line[8:].strip()
                elif line.startswith("@auth-on-mx"):
                    self.config["auth-on-mx"] = True
                elif line.startswith("@config "):
                    combine(self.config, setting(line[8:]))
                else:
                    self.lines.append((number, line))
        if self.port.startswith("pop3") or any(line.startswith("DIAL pop3") for _, line in self.lines):
            self.config["a-pop3-listener"] = True

    def words(self, text):
        values = {"id": self.id, "plain": b64("\0alice@example.test\0" + Server.password), "host": HOSTNAME,
                  "user": b64("alice@example.test"), "pass": b64(Server.password),
                  "wrong": b64("\0alice@example.test\0wrong password"), "login": "alice@example.test",
                  "from": "sender@client.example"}
        return re.sub(r"\$\{(\w+)\}", lambda m: values[m[1]], text)

    def run(self):
        self.id = marker()
        self.server = server_for(self.config)
        self.wires, self.last = [], None
        self.dial(self.port)
        for number, line in self.lines:
            try:
                self.do(self.words(line))
            except (Failure, OSError) as failure:
                raise Failure("%s:%d: %s\n  %s" % (os.path.relpath(self.path), number, line, failure))
        for wire in self.wires:
            wire.close()

    def dial(self, rest):
        self.port = rest
        self.wire = self.server.dial(rest, greet=False, source=self.source)
        self.wires.append(self.wire)

    def do(self, line):
        if line.startswith("REPEAT "):
            _, times, rest = line.split(" ", 2)
            for i in range(1, int(times) + 1):
                self.do(rest.replace("{i}", str(i)))
            return
        kind, _, rest = line.partition(" ")
        action = {"C:": self.say, "bytes:": self.octets, "S:": self.prefix, "S~": self.regex, "S+": self.whole,
                  "S-": self.absent, "TLS": self.tls, "SCRAM": self.scram, "MESSAGE": self.message, "CLOSED": self.closed,
                  "MAILBOX": self.mailbox, "EMPTY": self.empty, "LOG": self.log,
                  "COMMAND": self.command, "DIAL": self.dial}.get(kind)
        if not action:
            raise Failure("no such step: " + kind)
        action(rest)

    def say(self, rest):
        self.wire.send(rest.encode("utf-8") + b"\r\n")

    def octets(self, rest):
        self.wire.send(unescape(rest))

    def next_line(self):
        line = self.wire.line()
        expect(line is not None, "the server has closed")
        self.last = [line]
        return line

    def prefix(self, rest):
        line = self.next_line()
        expect(line.startswith(rest), "the server said %r" % line)

    def regex(self, rest):
        line = self.next_line()
        expect(re.search(rest, line), "the server said %r" % line)

    def whole(self, rest):
        code, _, text = rest.partition(" ")
        reply = self.wire.reply()
        self.last = reply.lines
        expect(reply.code == int(code) and text in reply.text, "the server said %r" % reply.text)

    def absent(self, rest):
        expect(not any(rest in line for line in self.last), "the server said %r" % self.last)

    def tls(self, rest):
        self.wire.handshake()

    def scram(self, rest):
        mechanism, header, name, secret = rest.split(" ")
        client = Scram(header, name)
        self.say("AUTH %s %s" % (mechanism, b64(client.first)))
        before = "+ " if self.port.startswith("pop3") else "334 "
        self.prefix(before)
        challenge = base64.b64decode(self.last[0][len(before):]).decode()
        binding = hashlib.sha256(self.wire.socket.getpeercert(binary_form=True)).digest() if header[0] == "p" else b""
        password = Server.password if secret == "right" else "wrong password"
        self.say(b64(client.final(challenge, password, binding)))
        if secret == "right":
            self.prefix(before + b64(client.signature))

    def message(self, rest):
        self.wire.send(body(self.id) + b".\r\n")

    def closed(self, rest):
        line = self.wire.line()
        expect(line is None, "the server said %r" % line)

    def mailbox(self, rest):
        login, _, pattern = rest.partition(" ")
        found = self.server.message(login, self.id).decode("utf-8", "surrogateescape")
        expect(re.search(pattern, found, re.M), "the message is\n" + found)

    def empty(self, rest):
        """After a message that did arrive elsewhere, or a moment."""
        time.sleep(0.3)
        self.server.queue_empty()
        expect(not [m for m in self.server.messages(rest) if self.id.encode() in m], "a message is there")

    def command(self, rest):
        self.server.command(*rest.split())

    def log(self, rest):
        self.server.log_has(rest)


for name in sorted(glob.glob(HERE + "/*.chat")):
    Case.add(os.path.basename(name)[:-5], Chat(name).run)

if __name__ == "__main__":
    main()
