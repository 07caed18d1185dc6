"""nexthop.py - what a server of ours meets on its way out, for tests: name servers and SMTP servers that do as a test says.

Runs in: the test programs under tests/client/. Never: listens on anything but loopback.
"""
import contextlib
import socket
import struct
import threading


class NameServer:
    """Answers A and AAAA questions over UDP from a dictionary: name -> list of addresses. What is not in it does not exist."""

    def __init__(self, names):
        self.names, self.asked = names, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                question, client = self.socket.recvfrom(4096)
                answer = self.answer(question)
                if answer:
                    self.socket.sendto(answer, client)

    def answer(self, question):
        at, labels = 12, []
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode().lower())
            at += 1 + question[at]
        kind, = struct.unpack(">H", question[at + 1:at + 3])
        name, end = ".".join(labels), at + 5
        self.asked.append((name, kind))
        family = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
        found = [a for a in self.names.get(name, []) if (":" in a) == (family == socket.AF_INET6)] if family else []
        records = b"".join(struct.pack(">HHHIH", 0xc00c, kind, 1, 60, 4 if kind == 1 else 16) + socket.inet_pton(family, a)
                           for a in found)
        flags = 0x8180 | (0 if name in self.names else 3)
        return question[:2] + struct.pack(">HHHHH", flags, 1, len(found), 0, 0) + question[12:end] + records

    def close(self):
        self.socket.close()
