"""scram.py - the client's side of SCRAM-SHA-256 (RFC 5802 3, RFC 7677), for transcripts."""
import base64
import hashlib
import hmac
import os


class Scram:
    def __init__(self, header, name):
        """header: the gs2-header, as "n,,"; name as it stands in the message."""
        self.header = header
        self.bare = "n=%s,r=%s" % (name, base64.b64encode(os.urandom(18)).decode())
        self.first = header + self.bare

    def final(self, challenge, password, binding=b""):
        """What answers the server's challenge; self.signature is then what the server has to say."""
        values = dict(part.split("=", 1) for part in challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(values["s"]), int(values["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        channel = base64.b64encode(self.header.encode() + binding).decode()
        without = "c=%s,r=%s" % (channel, values["r"])
        message = ",".join((self.bare, challenge, without)).encode()
        proof = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
        proof = bytes(a ^ b for a, b in zip(proof, client_key))
        signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
        self.signature = "v=" + base64.b64encode(signature).decode()
        return without + ",p=" + base64.b64encode(proof).decode()
