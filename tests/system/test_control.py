# SPDX-License-Identifier: Apache-2.0
"""What an administrator asks of the running outpostd: outpostctl status, who, kick, reload; and the metrics."""
import datetime
import imaplib
import json
import os
import re
import socket
import ssl
import stat
import subprocess

import pytest
from dovecot import free_port
from outpostd import metrics, wait_until


def ask(made, octets):
    """As it goes over the socket."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(os.path.join(made.folder, "control.sock"))
        s.sendall(octets)
        s.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: s.recv(65536), b""))


def test_status_tells_what_runs(made):
    with made:
        client = made.log_on("alice", "wonderland")
        other = imaplib.IMAP4("localhost", made.imap)
        one, = made.lines("status")
        assert one["sessions"] == {"imap": 1, "imaps": 1} and one["loggedOn"] == 1
        assert one["folder"] == made.folder and one["name"] == "localhost" and one["version"]
        assert one["listening"] == [f"imap 127.0.0.1:{made.imap}", f"imaps 127.0.0.1:{made.imaps}", f"lmtp {made.folder}/lmtp.sock"]
        since = datetime.datetime.fromisoformat(one["since"].replace("Z", "+00:00"))
        assert abs((datetime.datetime.now(datetime.timezone.utc) - since).total_seconds()) < 60
        said = made.ctl("status")
        assert "up since" in said and f"listening: imaps 127.0.0.1:{made.imaps}" in said
        client.logout()
        other.logout()
        wait_until(lambda: made.lines("status")[0]["sessions"] == {})


def test_who_tells_of_each_session(made):
    with made:
        alice = made.log_on("alice", "wonderland")
        alice.select('"Sent Items"')
        bob = imaplib.IMAP4("localhost", made.imap)
        bob.login("bob", "builder")
        stranger = imaplib.IMAP4("localhost", made.imap)
        by_user = {line["user"]: line for line in made.lines("who")}
        assert set(by_user) == {"alice@example.org", "bob@example.org", None}
        assert len({line["id"] for line in by_user.values()}) == 3
        a, b = by_user["alice@example.org"], by_user["bob@example.org"]
        assert (a["protocol"], a["tls"], a["folder"], a["address"]) == ("imaps", True, "Sent Items", "127.0.0.1")
        assert (b["protocol"], b["tls"], b["folder"]) == ("imap", False, None) and 0 <= b["idle"] < 60
        alice.unselect()
        made.ctl("mailbox", "rename", "alice@example.org", "alicia@example.org")
        renamed = [line for line in made.lines("who") if line["protocol"] == "imaps"][0]
        assert (renamed["user"], renamed["folder"]) == ("alicia@example.org", None)
        said = made.ctl("who").splitlines()
        assert len(said) == 4 and any("bob@example.org" in line and "127.0.0.1" in line for line in said)
        for client in (alice, bob, stranger):
            client.logout()


def test_kick_ends_a_session_or_all_of_a_user(made):
    with made:
        alices = [made.log_on("alice", "wonderland") for _ in range(3)]
        bob = made.log_on("bob", "builder")
        ids = [line["id"] for line in made.lines("who") if line["user"] == "alice@example.org"]
        assert "1 session ended" in made.ctl("kick", str(ids[0]))
        wait_until(lambda: len(made.lines("who")) == 3)
        assert alices[0].readline() == b"* BYE an administrator ended this session\r\n"
        assert made.lines("kick", "alice")[0] == {"kicked": 2}
        wait_until(lambda: [line["user"] for line in made.lines("who")] == ["bob@example.org"])
        assert bob.noop()[0] == "OK"
        assert "alice@example.org has no session" in made.ctl("kick", "alice", code=3)
        assert "no mailbox nobody" in made.ctl("kick", "nobody", code=3)
        assert "outpostctl who" in made.ctl("kick", str(ids[0]), code=3)
        assert "is neither" in made.ctl("kick", "a\nwho", code=2)
        made.log_on("alice", "wonderland").logout()  # it is no ban
        bob.logout()


def fingerprint(made):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(socket.create_connection(("127.0.0.1", made.imaps))) as s:
        return s.getpeercert(True)


def test_reload_takes_a_new_certificate_and_limits_and_drops_nobody(made):
    with made:
        client, before = made.log_on("alice", "wonderland"), fingerprint(made)
        tls = os.path.join(made.folder, "tls")
        subprocess.run(["certtool", "--generate-privkey", "--outfile", tls + "/new-key.pem"], check=True, capture_output=True)
        open(tls + "/template", "w").write('cn = "localhost"\ndns_name = "localhost"\nexpiration_days = 10\n')
        subprocess.run(["certtool", "--generate-self-signed", "--load-privkey", tls + "/new-key.pem", "--template", tls + "/template", "--outfile",
                        tls + "/certificate.pem"], check=True, capture_output=True)
        assert "can't be used" in made.ctl("reload", code=2)  # a certificate without its key
        assert fingerprint(made) == before
        os.rename(tls + "/new-key.pem", tls + "/key.pem")
        made.configure("#connections-per-address = 100", "connections-per-address = 2")
        made.configure("name = localhost", "name = mail.example.org")
        said = made.ctl("reload")
        assert "certificate was read" in said
        assert "In use from now on: [server] connections-per-address: 100 -> 2" in said and "Needs a restart: [server] name: localhost -> mail.example.org" in said
        assert fingerprint(made) != before
        assert client.noop()[0] == "OK"
        wait_until(lambda: len(made.lines("who")) == 1)
        second = imaplib.IMAP4("localhost", made.imap)
        with pytest.raises(imaplib.IMAP4.error, match="too many connections"):
            imaplib.IMAP4("localhost", made.imap)
        again = made.lines("reload")[0]
        assert again["inUse"] == [] and len(again["restart"]) == 1
        made.configure("connections-per-address = 2", "connections-per-address = many")
        assert "must be a number" in made.ctl("reload", code=2)
        made.configure("connections-per-address = many", "#")
        made.ctl("reload")
        for one in (client, second, imaplib.IMAP4("localhost", made.imap)):
            one.logout()


def test_without_a_server_the_next_step_is_told(made):
    for verb in (["status"], ["who"], ["kick", "alice"], ["reload"]):
        assert "no server is running" in made.ctl(*verb, code=3)
    with made:
        pass
    assert "outpostd --dir" in made.ctl("status", code=3)
    made.configure("listen = control.sock", "listen =")
    assert "[control]" in made.ctl("status", code=2)
    with made:
        assert not os.path.exists(os.path.join(made.folder, "control.sock"))


def test_the_socket_is_its_owners_and_takes_anything(made):
    with made:
        mode = os.stat(os.path.join(made.folder, "control.sock")).st_mode
        assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
        for nonsense in (b"\n", b"nonsense\n", b"status now\n", b"kick\n", b"kick \n", b"\xff\xfe\n", b"kick " + b"x" * 900 + b"\n", b"kick 99999999999999999999999\n"):
            last = json.loads(ask(made, nonsense))
            assert last["ok"] is False and last["kind"] in ("usage", "not-found") and last["error"]
        assert "at most 1000 octets" in json.loads(ask(made, b"x" * 1500))["error"]
        assert [json.loads(line).get("ok") for line in ask(made, b"status\nwho\nstatus\n").splitlines()] == [None, True, True, None, True]
        assert json.loads(ask(made, b"status\n").splitlines()[-1]) == {"ok": True}


def test_another_user_is_not_answered(made):
    if os.geteuid() != 0:
        return  # only root can be another user
    with made:
        path = os.path.join(made.folder, "control.sock")
        for folder in (made.folder, os.path.dirname(made.folder)):
            os.chmod(folder, 0o755)
        os.chmod(path, 0o666)  # the mode is not all that guards it
        script = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({path!r}); print(s.recv(1000).decode())"
        done = subprocess.run(["/usr/bin/python3", "-c", script], user="nobody", capture_output=True, text=True)
        assert json.loads(done.stdout)["error"] == "this socket is another user's", done


def test_metrics_count_what_happens(made):
    port = free_port()
    made.configure("#listen = 127.0.0.1:9143", f"listen = 127.0.0.1:{port}")
    with made, made.lmtp() as lmtp:
        before = metrics(port)
        assert before['outpost_connections{service="imaps"}'] == 0
        client = made.log_on("alice", "wonderland")
        client.select("INBOX")
        with pytest.raises(imaplib.IMAP4.error):
            made.log_on("alice", "wrong")
        lmtp.sendmail("a@elsewhere.example", ["alice@example.org"], b"Subject: x\r\n\r\n" + b"y" * 10000 + b"\r\n")
        client.noop()
        after = metrics(port)
        assert after['outpost_log_ons_total{result="good"}'] == after['outpost_log_ons_total{result="bad"}'] == 1
        assert after['outpost_deliveries_total{result="delivered"}'] == 1 and after["outpost_delivered_bytes_total"] > 10000
        assert after['outpost_connections{service="lmtp"}'] == 1 and after['outpost_connections_total{service="imaps"}'] == 2
        assert after['outpost_received_bytes_total{service="lmtp"}'] > 10000 and after['outpost_sent_bytes_total{service="imaps"}'] > 500
        counts = {re.search('"(.*)"', name).group(1): n for name, n in after.items() if "_seconds_count" in name}
        assert counts["LOGIN"] == 2 and counts["SELECT"] == counts["NOOP"] == 1
        assert after['outpost_command_duration_seconds_bucket{command="SELECT",le="+Inf"}'] == 1
        assert made.lines("status")[0]["deliveries"] == 1 and "metrics 127.0.0.1" in made.ctl("status")
        assert "alice" not in str(after)
        client.logout()


def test_metrics_are_this_machines_alone(made):
    made.configure("#listen = 127.0.0.1:9143", "listen = 0.0.0.0:9143")
    assert "only addresses of this machine" in made.run("outpostd", code=2)
