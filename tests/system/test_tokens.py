# SPDX-License-Identifier: Apache-2.0
"""Log-ons by OAuth tokens at IMAP and submission: OAUTHBEARER, XOAUTH2; JSON Web Tokens and introspection."""
import base64
import hashlib
import hmac
import http.server
import json
import os
import random
import re
import shutil
import smtplib
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import urllib.parse

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from dovecot import free_port
from outpostd import BUILD, Server, wait_until

ALICE, BOB, ISSUER = "alice@example.org", "bob@example.org", "https://id.example.org"
RSA, OTHER, SMALL, EC = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256R1())
SECRET = bytes(range(40))


def coded(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def number(n):
    return coded(n.to_bytes((n.bit_length() + 7) // 8, "big"))


def public(key, **more):
    n = key.public_key().public_numbers()
    if isinstance(key, rsa.RSAPrivateKey):
        return dict(kty="RSA", n=number(n.n), e=number(n.e), **more)
    return dict(kty="EC", crv="P-256", x=coded(n.x.to_bytes(32, "big")), y=coded(n.y.to_bytes(32, "big")), **more)


def sign(algorithm, key, text):
    if algorithm == "RS256":
        return key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    if algorithm == "ES256":
        r, s = utils.decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return hmac.new(key, text, hashlib.sha256).digest()


def claims(**other):
    now = int(time.time())
    return {key: value for key, value in dict(dict(iss=ISSUER, aud="outpost", exp=now + 86400, iat=now, email=ALICE, scope="openid mail"), **other).items() if value is not None}


def token(algorithm="RS256", key=RSA, header=None, body=None, **other):
    head = dict({"alg": algorithm, "typ": "JWT", "kid": {"RS256": "r", "ES256": "e"}.get(algorithm, "h")}, **(header or {}))
    head = {name: value for name, value in head.items() if value is not None}
    text = (coded(json.dumps(head).encode()) + "." + coded(body or json.dumps(claims(**other)).encode())).encode()
    return text.decode() + "." + coded(sign(algorithm, key, text))


def bearer(text, user=ALICE, gs2=None):
    return (gs2 if gs2 is not None else f"n,a={user}," if user else "n,,").encode() + b"\x01host=localhost\x01port=143\x01auth=Bearer " + text.encode() + b"\x01\x01"


def xoauth2(text, user=ALICE):
    return f"user={user}\x01auth=Bearer {text}\x01\x01".encode()


class Wire:
    """Lines to and from the server, from this machine, where no TLS is wanted."""

    def __init__(self, port):
        there = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"  # who was wrong has to wait
        self.socket = socket.create_connection(("127.0.0.1", port), 30, (there, 0))
        self.file = self.socket.makefile("rwb")
        self.greeting = self.file.readline()

    def say(self, line):
        self.file.write(line + b"\r\n")
        self.file.flush()
        return self.file.readline()

    def close(self):
        self.file.close()
        self.socket.close()


def imap(server, first, mechanism="OAUTHBEARER"):
    """(the challenge, if there is one, and the last answer)"""
    wire = Wire(server.imap)
    line = wire.say(b"a AUTHENTICATE " + mechanism.encode() + b" " + base64.b64encode(first))
    challenge = None
    if line.startswith(b"+ "):
        challenge = json.loads(base64.b64decode(line[2:]))
        line = wire.say(base64.b64encode(b"\x01") if mechanism == "OAUTHBEARER" else b"")
    wire.close()
    return challenge, line.decode()


def is_let_in(server, text, **how):
    while True:
        challenge, line = imap(server, bearer(text, **how))
        if "too many log-ons failed" not in line:
            break
        time.sleep(1)
    assert (challenge is None) == line.startswith("a OK"), (challenge, line)
    return challenge is None


def log(server):
    return open(os.path.join(server.folder, "log")).read()


def allow(server, text):
    server.configure("[oauth]\n", "[oauth]\n" + text)


def write_keys(server, *keys):
    with open(os.path.join(server.folder, "new.jwks"), "w") as file:
        json.dump({"keys": list(keys)}, file)
    os.rename(file.name, os.path.join(server.folder, "issuer.jwks"))


@pytest.fixture
def signed(made):
    """It takes signed tokens, and mail to be sent."""
    made.submission = free_port()
    made.configure("#listen = 0.0.0.0:587", f"listen = 127.0.0.1:{made.submission}")
    made.configure("#log-on-delay-max = 300", "log-on-delay-max = 1")
    allow(made, f"keys = issuer.jwks\nissuer = {ISSUER}\naudience = outpost\nscope = mail\n")
    write_keys(made, public(RSA, kid="r", alg="RS256", use="sig"), public(EC, kid="e"), {"kty": "oct", "k": coded(SECRET), "kid": "h"}, {"kty": "OKP", "crv": "Ed25519", "x": "AA"})
    with made:
        yield made


def test_signed_tokens_let_in_by_every_way(signed):
    for algorithm, key in (("RS256", RSA), ("ES256", EC), ("HS256", SECRET)):
        assert is_let_in(signed, token(algorithm, key)), algorithm
        assert imap(signed, xoauth2(token(algorithm, key)), "XOAUTH2")[1].startswith("a OK"), algorithm
    assert is_let_in(signed, token(aud=["other", "outpost"], scope=None, scp=["mail"])) and is_let_in(signed, token(header={"kid": None, "typ": "at+jwt"}), user=None)
    capability = Wire(signed.imap)
    assert b"AUTH=OAUTHBEARER AUTH=XOAUTH2" in capability.say(b"a CAPABILITY")
    capability.close()
    with smtplib.SMTP("127.0.0.1", signed.submission) as smtp:
        smtp.ehlo()
        assert "OAUTHBEARER XOAUTH2" in smtp.esmtp_features["auth"]
        assert smtp.docmd("AUTH", "OAUTHBEARER " + base64.b64encode(bearer(token())).decode())[0] == 235
    with smtplib.SMTP("127.0.0.1", signed.submission) as smtp:
        smtp.ehlo()
        code, text = smtp.docmd("AUTH", "XOAUTH2 " + base64.b64encode(xoauth2(token("RS256", OTHER))).decode())
        assert code == 334 and json.loads(base64.b64decode(text)) == {"status": "401", "schemes": "bearer", "scope": "mail"}
        assert smtp.docmd("")[0] == 535
    said = log(signed)
    assert "by=OAUTHBEARER" in said and "by=XOAUTH2" in said and "eyJ" not in said and "Bearer" not in said


def test_what_is_wrong_with_a_token_is_told_as_rfc_7628_wants(signed):
    challenge, line = imap(signed, bearer(token(exp=int(time.time()) - 3600)))
    assert challenge == {"status": "invalid_token", "scope": "mail"} and line.startswith("a NO [AUTHENTICATIONFAILED]")
    wire = Wire(signed.imap)  # without an initial response, and given up
    assert wire.say(b"a AUTHENTICATE OAUTHBEARER") == b"+ \r\n"
    assert wire.say(base64.b64encode(bearer(token("RS256", OTHER)))).startswith(b"+ ey")
    assert wire.say(b"*").startswith(b"a BAD")
    assert wire.say(b"b NOOP").startswith(b"b OK")
    wire.close()


NOW = int(time.time())
HEAD = coded(b'{"alg":"RS256","typ":"JWT"}')
PEM = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


WRONG = (  # signatures are different in each process: the number is the name
    (token(exp=NOW - 31), "it has ended"), (token(exp=None), "does not say when it ends"), (token(exp="9999999999"), "a time of it is no number"),
    (token(exp=1e300), "a time of it is no number"), (token(nbf=NOW + 86400), "does not hold yet"), (token(iat=NOW + 2 * 86400), "does not hold yet"),
    (token(aud="other"), "another audience"), (token(aud=["a", "b"]), "another audience"), (token(aud=None), "another audience"), (token(aud="outpost other"), "another audience"),
    (token(iss="https://evil.example"), "another issuer"), (token(iss=None), "another issuer"), (token(iss=ISSUER + "/"), "another issuer"),
    (token(scope="email"), "scope"), (token(scope=None), "scope"), (token(scope="mailx xmail"), "scope"), (token(email=None), "whose"), (token(email=7), "whose"),
    (token(email_verified=False), "not verified"), (token(email="nobody@example.org"), "nobody@example.org"), (token(email=BOB), "to be logged on"),
    (token("RS256", OTHER), "no key of ours"), (token("RS256", SMALL), "no key of ours"), (token("ES256", ec.generate_private_key(ec.SECP256R1())), "no key of ours"),
    (token("HS256", b"x" * 40), "no key of ours"),
    (token()[:-8] + "AAAAAAAA", "no key of ours"), (token("ES256", EC)[:-86] + coded(bytes(64)), "no key of ours"), (".".join(token().split(".")[:2]) + ".", "no key of ours"),
    # the token chooses nothing: none, another way than the key's, the public key as a secret
    (token(header={"alg": "none"}).rsplit(".", 1)[0] + ".", "no key of ours"), (token(header={"alg": "NONE"}), "no key of ours"), (token(header={"alg": "HS256"}), "no key of ours"),
    (token("HS256", PEM, header={"kid": "r"}), "no key of ours"), (token("HS256", PEM, header={"kid": None}), "no key of ours"), (token(header={"alg": "ES256"}), "no key of ours"),
    (token(header={"alg": "RS512"}), "no key of ours"), (token(header={"kid": "h"}), "no key of ours"), (token("HS256", SECRET, header={"kid": "r"}), "no key of ours"),
    (token(header={"alg": ["RS256"]}), "what is not known here"), (token(header={"crit": ["exp"]}), "what is not known here"), (token(header={"typ": "dpop+jwt"}), "another kind"),
    (token(header={"kid": 7}), "its header is wrong"), (token(header={"jwk": public(OTHER)}, key=OTHER), "no key of ours"),
    (token(body=b'{"iss":"a","iss":"b"}'), "can't be read"), (token(body=b"[1]"), "can't be read"), (token(body=b"{" * 5000), "can't be read"), (token(body=b'{"a":' + b"[" * 3000), "can't be read"),
    ("a.b.c", "header can't be read"), (HEAD + "." + HEAD + ".A", "no key of ours"), ("..", "header can't be read"), ("opaque", "no JSON Web Token"), ("a.b.c.d", "no JSON Web Token"),
)


@pytest.mark.parametrize("which", range(len(WRONG)))
def test_no_other_token_does(shared, which):
    what, why = WRONG[which]
    assert not is_let_in(shared, what, user=ALICE if why == "to be logged on" else None)
    refused = log(shared).splitlines()[-1]
    assert why in refused and what[:20] not in refused, refused


@pytest.fixture(scope="module")
def shared():
    """One server for the table above."""
    folder = tempfile.mkdtemp(prefix="outpostd-")
    server = Server(os.path.join(folder, "mail"))
    server.create(ALICE, "wonderland")
    server.create(BOB, "builder")
    server.configure("#log-on-delay-max = 300", "log-on-delay-max = 1")
    allow(server, f"keys = issuer.jwks\nissuer = {ISSUER}\naudience = outpost\nscope = mail\n")
    write_keys(server, public(RSA, kid="r"), public(EC, kid="e"), {"kty": "oct", "k": coded(SECRET), "kid": "h"})
    with server:
        yield server
    shutil.rmtree(folder)


@pytest.mark.parametrize("message", [
    b"", b"\x01", b"n,,", b"n,,\x01", b"n,,\x01auth=Bearer \x01\x01", b"n,,\x01auth=Basic abc\x01\x01", b"n,,\x01auth=Bearer a b\x01\x01", b"n,,\x01auth=Bearer a\x01", b"n,,\x01auth=Bearer a",
    b"n,,\x01auth=Bearer a\x01\x01x", b"n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01", b"n,a=,\x01auth=Bearer a\x01\x01", b"p=tls-unique,,\x01auth=Bearer a\x01\x01",
    b"n,b=x,\x01auth=Bearer a\x01\x01", b"n,,x\x01auth=Bearer a\x01\x01", b"n,,\x01auth=Bearer a\0b\x01\x01", b"n,,\x01auth=Bearer \xff\x01\x01", b"n,,\x01auth=Bearer " + b"a" * 8193 + b"\x01\x01",
    b"n,,\x01auth=Bearer ===\x01\x01", b"user=alice\x01auth=Bearer a\x01\x01",
])
def test_what_is_no_message_is_bad(shared, message):
    challenge, line = imap(shared, message or b"\x01")
    assert challenge is None and line.startswith("a BAD"), line


def test_a_name_that_no_text_is_lets_nobody_in(shared):
    assert imap(shared, b"n,a=\xff\xfe,\x01auth=Bearer " + token().encode() + b"\x01\x01")[1].startswith("a NO")
    assert imap(shared, b"n,,\x01auth=Bearer " + b"a." * 4000 + b"\x01\x01")[1].startswith("a NO")
    assert is_let_in(shared, token()) and is_let_in(shared, token(email=ALICE.upper()), user="Alice@Example.org")


def test_the_directory_has_the_last_word(signed):
    path = os.path.join(signed.folder, "directory.db")
    with sqlite3.connect(path, timeout=30) as db:
        assert db.execute("DELETE FROM verifier").rowcount > 0
    db.close()
    assert is_let_in(signed, token())  # without a password
    signed.ctl("mailbox", "disable", ALICE)
    assert not is_let_in(signed, token()) and "no key" not in log(signed)
    signed.ctl("mailbox", "enable", ALICE)
    signed.ctl("alias", "add", "second@example.org", ALICE)
    assert is_let_in(signed, token(), user=None) and not is_let_in(signed, token(email="second@example.org"), user=None)


def test_keys_that_change_are_read_again_and_wrong_ones_change_nothing(signed):
    assert is_let_in(signed, token()) and not is_let_in(signed, token("RS256", OTHER, header={"kid": "new"}))
    write_keys(signed, public(OTHER, kid="new"))
    assert is_let_in(signed, token("RS256", OTHER, header={"kid": "new"})) and not is_let_in(signed, token())
    for wrong in ("{", '{"keys": 1}', '{"keys": []}', json.dumps({"keys": [public(SMALL)]}), json.dumps({"keys": [{"kty": "oct", "k": "c2hvcnQ"}]}), json.dumps({"keys": [public(RSA)] * 101}),
                  " " * (2 << 20)):
        with open(os.path.join(signed.folder, "issuer.jwks"), "w") as file:
            file.write(wrong)
        assert is_let_in(signed, token("RS256", OTHER, header={"kid": "new"}))
        assert "the keys stay as they were" in log(signed) and "c2hvcnQ" not in log(signed)


def test_settings_that_can_not_be_are_told_at_the_start(made):
    path = os.path.join(made.folder, "outpostd.conf")
    plain = open(path).read()
    write_keys(made, public(RSA))
    for text, why in (("keys = issuer.jwks\n", "issuer and audience"), (f"keys = nothing\nissuer = {ISSUER}\naudience = a\n", "nothing"), ("introspection = http://id.example.org/\n", "https://"),
                      ("introspection = https://id.example.org/\nintrospection-secret-file = nothing\n", "nothing")):
        allow(made, text)
        done = subprocess.run([os.path.join(BUILD, "outpostd", "outpostd"), "--dir", made.folder], capture_output=True, text=True, env=made.environment, timeout=30)
        assert done.returncode and why in done.stderr, (text, done.stderr)
        open(path, "w").write(plain)
    with made:
        wire = Wire(made.imap)
        assert b"OAUTH" not in wire.say(b"a CAPABILITY") and wire.file.readline().startswith(b"a OK")
        assert wire.say(b"b AUTHENTICATE OAUTHBEARER").startswith(b"b NO [CANNOT]")
        wire.close()


class Issuer(http.server.BaseHTTPRequestHandler):
    known, asked, wait, answer = {}, [], 0, None

    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.asked.append((self.path, form, self.headers["Authorization"]))
        time.sleep(self.wait)
        said = self.answer if self.answer is not None else (200, json.dumps(self.known.get(form["token"][0], {"active": False})).encode())
        try:
            self.send_response(said[0])
            if said[0] == 302:
                self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", str(len(said[1])))
            self.end_headers()
            self.wfile.write(said[1])
        except OSError:
            pass

    def log_message(self, *what):
        pass


@pytest.fixture
def issuer():
    handler = type("Handler", (Issuer,), {"known": {}, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever).start()
    handler.port = server.server_address[1]
    yield handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def asking(made, issuer):
    with open(os.path.join(made.folder, "introspection.secret"), "w") as file:
        file.write("s3cret\n")
    made.configure("#log-on-delay-max = 300", "log-on-delay-max = 1")
    allow(made, f"introspection = http://127.0.0.1:{issuer.port}/introspect\nintrospection-client = outpost\nintrospection-secret-file = introspection.secret\nscope = mail\naudience = outpost\n")
    with made:
        yield made


def test_opaque_tokens_are_asked_about_and_remembered_for_a_while(asking, issuer):
    good = "gA+/~.-_x=="
    issuer.known[good] = dict(claims(iss=None), active=True)
    assert is_let_in(asking, good) and is_let_in(asking, good)
    assert issuer.asked == [("/introspect", {"token_type_hint": ["access_token"], "token": [good]}, "Basic " + base64.b64encode(b"outpost:s3cret").decode())]
    for n, wrong in enumerate((dict(active=False), dict(active="true"), dict(aud="other"), dict(scope="email"), dict(exp=1), dict(email=BOB), dict(email=None), dict(nbf=NOW + 9999))):
        issuer.known[f"wrong{n}"] = dict(claims(), active=True) | wrong
        assert not is_let_in(asking, f"wrong{n}"), wrong
    assert not is_let_in(asking, "unknown")
    assert good not in log(asking) and "s3cret" not in log(asking)


def test_an_issuer_that_is_slow_wrong_or_gone_lets_nobody_in_and_holds_up_nobody(asking, issuer):
    issuer.known["good"] = dict(claims(), active=True)
    for answer in ((500, b"{}"), (302, b"{}"), (200, b"no json"), (200, b"[]"), (200, b'{"active": true, "pad": "' + b"x" * 70000 + b'"}'), (200, b"")):
        issuer.answer = answer
        challenge, line = imap(asking, bearer("good"))
        assert challenge is None and line.startswith("a NO [UNAVAILABLE]"), (answer[:20], line)
    issuer.answer, issuer.wait = None, 30
    began = time.monotonic()
    threads = [threading.Thread(target=imap, args=(asking, bearer(f"slow{n}", user=None))) for n in range(12)]
    for thread in threads:
        thread.start()
    wait_until(lambda: sum("slow" in repr(form) for _, form, _ in issuer.asked) == 4)
    asking.log_on(ALICE, "wonderland").logout()  # workers are left for others
    assert time.monotonic() - began < 4
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 12 and sum("slow" in repr(form) for _, form, _ in issuer.asked) == 4  # the others were told to come again
    issuer.wait = 0
    assert is_let_in(asking, "good")


def test_many_tokens_fill_no_memory(asking, issuer):
    for n in range(1100):
        issuer.known[f"t{n}"] = dict(claims(), active=True)

    def try_some(start):
        for n in range(start, 1100, 4):
            assert is_let_in(asking, f"t{n}")
    threads = [threading.Thread(target=try_some, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before = len(issuer.asked)
    assert is_let_in(asking, "t0") and len(issuer.asked) in (before, before + 1)


def test_curl_and_our_own_client_log_on_with_a_token(signed, program):
    for scheme in (f"imap://127.0.0.1:{signed.imap}/INBOX", f"smtp://127.0.0.1:{signed.submission}"):
        for text, code in ((token(), 0), (token("RS256", OTHER), 67)):
            how = ["-X", "NOOP"] if scheme.startswith("smtp") else ["-X", "EXAMINE INBOX"]
            done = subprocess.run(["curl", "-sS", "--url", scheme, *how, "--user", ALICE + ":", "--oauth2-bearer", text], capture_output=True, text=True, timeout=60)
            assert done.returncode == code, (scheme, done.stderr)
    program.ok("logon", program.ADDRESS, "--server", f"imap://127.0.0.1:{signed.imap}", "--user", ALICE, "--token", "--password-command", f"printf %s {token()}")
    assert "INBOX" in program.folders()
    assert re.search(r"by=(OAUTHBEARER|XOAUTH2)", log(signed))
