# SPDX-License-Identifier: Apache-2.0
"""A client's side of SCRAM (RFC 5802, RFC 7677), from the RFC and hashlib alone."""
import base64
import hashlib
import hmac
import os


class Scram:
    def __init__(self, mechanism, user, password, binding=None, flag=None, authzid=""):
        """binding: (name, octets) of the channel; flag: what is said of it in place of what is so."""
        self.hash = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}[mechanism.removesuffix("-PLUS")]
        self.user, self.password, self.binding = user, password.encode(), binding
        self.gs2 = f"{flag or ('p=' + binding[0] if binding else 'n')},{authzid and 'a=' + authzid},"
        self.nonce = base64.b64encode(os.urandom(12)).decode()
        self.messages = [self.first, self.final, self.confirm]
        self.proved = False

    def digest(self, key, text):
        return hmac.digest(key, text, self.hash)

    def first(self, challenge):
        assert challenge == b""
        escaped = self.user.replace("=", "=3D").replace(",", "=2C")
        self.bare = f"n={escaped},r={self.nonce}"
        return self.gs2 + self.bare

    def final(self, challenge):
        self.server_first = challenge.decode()
        fields = dict(part.split("=", 1) for part in self.server_first.split(","))
        assert fields["r"].startswith(self.nonce) and len(fields["r"]) > len(self.nonce)
        self.salt, self.rounds = fields["s"], int(fields["i"])
        salted = hashlib.pbkdf2_hmac(self.hash, self.password, base64.b64decode(self.salt), self.rounds)
        bound = base64.b64encode(self.gs2.encode() + (self.binding[1] if self.gs2.startswith("p") else b"")).decode()
        without = f"c={bound},r={fields['r']}"
        signed = f"{self.bare},{self.server_first},{without}".encode()
        key = self.digest(salted, b"Client Key")
        signature = self.digest(hashlib.new(self.hash, key).digest(), signed)
        self.verifier = self.digest(self.digest(salted, b"Server Key"), signed)
        return without + ",p=" + base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()

    def confirm(self, challenge):
        assert challenge == b"v=" + base64.b64encode(self.verifier)
        self.proved = True
        return ""

    def __call__(self, challenge):
        """As imaplib's authenticate calls it."""
        return self.messages.pop(0)(challenge).encode()
