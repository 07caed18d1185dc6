"""attempts.py - logins by hand, one message at a time: the words of each answer, without what is drawn anew each time,
and how long it took. A client that is told no says no more.

Runs in: test programs. Trusts: nothing. Never: judges."""
import base64
import functools
import hashlib
import hmac
import os
import socket
import struct
import subprocess
import time

from harness import Failure, b64

# What each answer of a refused login is, in order.
STEPS = {
    "PLAIN": ("the refusal",),
    "LOGIN": ("the question", "after the name", "after the password"),
    "SCRAM-SHA-256": ("the challenge", "the refusal"),
    "NTLM": ("the challenge", "the refusal"),
}


class Attempt:
    """One login on a connection: `words` of each answer, `took` seconds each, `salt` (SCRAM)."""

    def __init__(self, wire, mechanism, name, password):
        self.words, self.took, self.salt = [], [], None
        self.wire, self.name, self.password = wire, name, password
        CLIENTS[mechanism](self)

    def say(self, text, shape=lambda challenge: challenge):
        """Sends a line; the challenge that answers it, or None. `shape` takes out of it what never is the same."""
        octets = text.encode() + b"\r\n"
        began = time.perf_counter()
        self.wire.send(octets)
        reply = self.wire.reply()
        self.took.append(time.perf_counter() - began)
        challenge = base64.b64decode(reply.lines[0][4:]) if reply.code == 334 else None
        self.words.append(reply.text if challenge is None else (334, len(reply.lines[0]), shape(challenge)))
        return challenge


def connect(server):
    """A connection over TLS that has said EHLO."""
    wire = server.dial("submissions")
    wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wire.hello = wire.ehlo().text
    return wire


# ---- PLAIN (RFC 4616), LOGIN

def plain(attempt):
    attempt.say("AUTH PLAIN " + b64("\0%s\0%s" % (attempt.name, attempt.password)))


def login(attempt):
    for text in ("AUTH LOGIN", b64(attempt.name), b64(attempt.password)):
        if attempt.say(text) is None:
            return


# ---- SCRAM (RFC 5802)

def fields_of(challenge):
    return dict(part.split("=", 1) for part in challenge.decode().split(","))


def shape_scram(nonce):
    def shape(challenge):
        fields = fields_of(challenge)
        if not fields["r"].startswith(nonce):
            raise Failure("the client's nonce is not in %r" % challenge)
        return list(fields), len(fields["r"]), len(base64.b64decode(fields["s"])), fields["i"]
    return shape


@functools.lru_cache(1000)
def salted(password, salt, rounds):
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)


def scram(attempt):
    nonce = b64(os.urandom(18))
    bare = "n=%s,r=%s" % (attempt.name, nonce)
    first = attempt.say("AUTH SCRAM-SHA-256 " + b64("n,," + bare), shape_scram(nonce))
    if first is None:
        return
    fields = fields_of(first)
    attempt.salt = base64.b64decode(fields["s"])
    final = "c=biws,r=" + fields["r"]
    key = hmac.new(salted(attempt.password, attempt.salt, int(fields["i"])), b"Client Key", "sha256").digest()
    signed = ",".join((bare, first.decode(), final)).encode()
    mask = hmac.new(hashlib.sha256(key).digest(), signed, "sha256").digest()
    attempt.say(b64(final + ",p=" + b64(bytes(a ^ b for a, b in zip(key, mask)))))


# ---- NTLM (MS-NLMP)

@functools.lru_cache(1000)
def nt_hash(password):
    """Where this OpenSSL has no MD4 every password is a wrong one."""
    done = subprocess.run(["openssl", "dgst", "-md4", "-provider", "legacy", "-provider", "default", "-binary"],
                          input=password.encode("utf-16-le"), capture_output=True)
    return done.stdout if done.returncode == 0 else bytes(16)


def pairs_of(challenge):
    size, _, at = struct.unpack("<HHI", challenge[40:48])
    return challenge[at:at + size]


def shape_ntlm(challenge):
    """Without the server's eight octets and the time (MsvAvTimestamp)."""
    rest, pairs = pairs_of(challenge), []
    while len(rest) >= 4:
        kind, size = struct.unpack("<HH", rest[:4])
        pairs.append((kind, size if kind == 7 else rest[4:4 + size]))
        rest = rest[4 + size:]
    return challenge[:24], challenge[32:48], pairs


def ntlm(attempt):
    negotiate = b"NTLMSSP\0" + struct.pack("<IIQQ", 1, 0x20088205, 0, 0)
    challenge = attempt.say("AUTH NTLM " + b64(negotiate), shape_ntlm)
    if challenge is None:
        return
    name, _, domain = attempt.name.partition("@")
    wide_name, wide_domain = name.encode("utf-16-le"), domain.encode("utf-16-le")
    key = hmac.new(nt_hash(attempt.password), name.upper().encode("utf-16-le") + wide_domain, "md5").digest()
    temp = b"\1\1" + bytes(6) + struct.pack("<Q", 133000000000000000) + os.urandom(8) + bytes(4)
    temp += pairs_of(challenge) + bytes(4)
    proof = hmac.new(key, challenge[24:32] + temp, "md5").digest()
    parts, fields, at = [b"", proof + temp, wide_domain, wide_name, b"P\0C\0", b""], b"", 72
    for part in parts:
        fields += struct.pack("<HHI", len(part), len(part), at)
        at += len(part)
    head = b"NTLMSSP\0" + struct.pack("<I", 3) + fields + struct.pack("<IQ", 0x20088205, 0)
    attempt.say(b64(head + b"".join(parts)))


CLIENTS = {"PLAIN": plain, "LOGIN": login, "SCRAM-SHA-256": scram, "NTLM": ntlm}
