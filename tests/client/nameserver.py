"""nameserver.py - an authoritative name server for tests: zones as text, answers over UDP, on loopback.

Runs in: the test programs under tests/client/. Never: asks another server, listens on anything but loopback.
"""
import contextlib
import shlex
import socket
import struct
import threading

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "TLSA": 52}


def wire_name(name):
    labels = [label for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def rdata(kind, words):
    """The octets of a record's data, from the words of its line."""
    if kind == "A":
        return socket.inet_pton(socket.AF_INET, words[0])
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, words[0])
    if kind in ("PTR", "CNAME", "NS"):
        return wire_name(words[0])
    if kind == "MX":
        return struct.pack(">H", int(words[0])) + wire_name(words[1])
    if kind == "SRV":
        return struct.pack(">HHH", *map(int, words[:3])) + wire_name(words[3])
    if kind == "TXT":
        pieces = [word[i:i + 255].encode() for word in words for i in range(0, max(len(word), 1), 255)]
        return b"".join(bytes([len(piece)]) + piece for piece in pieces)
    if kind == "TLSA":
        return bytes(map(int, words[:3])) + bytes.fromhex(words[3])
    raise ValueError("a record of type %s" % kind)


def parse(text):
    """Lines as in a zone file, "name. [ttl] [IN] TYPE data": {name: {type: [octets]}}."""
    zone = {}
    for line in text.splitlines():
        words = shlex.split(line.split(";")[0] if '"' not in line else line)
        if not words:
            continue
        name, rest = words[0].rstrip(".").lower(), words[1:]
        while rest[0].isdigit() or rest[0].upper() == "IN":
            rest = rest[1:]
        kind = rest[0].upper()
        zone.setdefault(name, {}).setdefault(TYPES[kind], []).append(rdata(kind, rest[1:]))
    return zone


class NameServer:
    """Answers from a zone; a name that is not in it does not exist. `mute`: names about which it says nothing."""

    def __init__(self, text, mute=()):
        self.zone, self.mute, self.asked = parse(text), set(mute), []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.address = "127.0.0.1:%d" % self.port
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                question, client = self.socket.recvfrom(4096)
                answer = self.answer(question)
                if answer:
                    self.socket.sendto(answer, client)

    def records(self, name, kind):
        """(name, type, data) of the answer, aliases followed as far as this zone goes."""
        found, here = [], self.zone.get(name, {})
        while TYPES["CNAME"] in here and kind != TYPES["CNAME"] and len(found) < 8:
            data = here[TYPES["CNAME"]][0]
            found.append((name, TYPES["CNAME"], data))
            name, at = "", 0
            while data[at]:
                name += "." * bool(name) + data[at + 1:at + 1 + data[at]].decode().lower()
                at += 1 + data[at]
            here = self.zone.get(name, {})
        return found + [(name, kind, data) for data in here.get(kind, [])]

    def exists(self, name):
        return any(known == name or known.endswith("." + name) for known in self.zone)

    def answer(self, question):
        at, labels = 12, []
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode().lower())
            at += 1 + question[at]
        kind, = struct.unpack(">H", question[at + 1:at + 3])
        name, end = ".".join(labels), at + 5
        self.asked.append((name, kind))
        if name in self.mute:
            return None
        found = self.records(name, kind)
        answers = b"".join(wire_name(owner) + struct.pack(">HHIH", type_, 1, 60, len(data)) + data
                           for owner, type_, data in found)
        soa = wire_name("ns.test") + wire_name("root.test") + struct.pack(">IIIII", 1, 60, 60, 60, 60)
        authority = b"" if found else wire_name("test") + struct.pack(">HHIH", TYPES["SOA"], 1, 60, len(soa)) + soa
        flags = 0x8580 | (0 if found or self.exists(name) else 3)
        return question[:2] + struct.pack(">HHHHH", flags, 1, len(found), 0 if found else 1, 0) + question[12:end] + \
            answers + authority

    def close(self):
        self.socket.close()
