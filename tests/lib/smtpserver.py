# SPDX-License-Identifier: Apache-2.0
"""The next server, of a test: an SMTP server that keeps what it is given and does what it is told for addresses and moments."""
import base64
import re
import socket
import ssl
import threading


class SmtpServer:
    """@answers: {"bad@x.example": "550 5.1.1 no"} at RCPT; @before: called with the command's word (and "." for the end of a message) before it is answered,
    may return an answer of its own, or "drop"; @tls: (certificate, key) for STARTTLS; @password: {user: password} must log on."""

    def __init__(self, answers=None, before=None, extensions=("PIPELINING", "SIZE 100000000", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"), tls=None,
                 password=None, at_once=False, port=0):
        self.answers, self.before, self.extensions, self.tls, self.password, self.at_once = dict(answers or {}), before, extensions, tls, password, at_once
        self.messages, self.lock, self.port = [], threading.Lock(), port

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *what):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def wrap(self, connection):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.tls)
        return context.wrap_socket(connection, server_side=True)

    def talk(self, connection):
        try:
            connection.settimeout(60)
            self.converse(self.wrap(connection) if self.at_once else connection)
        except (OSError, EOFError):
            pass
        finally:
            connection.close()

    def converse(self, connection):
        file, encrypted, user = connection.makefile("rb"), self.at_once, None
        sender, recipients = None, []

        def say(text):
            connection.sendall(text.encode() + b"\r\n")

        def line():
            got = file.readline()
            if not got.endswith(b"\r\n"):
                raise EOFError
            return got[:-2].decode()

        say("220 relay.example ESMTP")
        while True:
            text = line()
            word = text.split(" ")[0].upper()
            own = self.before(word) if self.before else None
            if own == "drop":
                return
            if own:
                say(own)
            elif word == "EHLO":
                sender, recipients = None, []
                lines = ["relay.example", *self.extensions]
                lines += ["STARTTLS"] if self.tls and not encrypted else []
                lines += ["AUTH PLAIN"] if self.password and (encrypted or not self.tls) else []
                for i, one in enumerate(lines):
                    say(("250 " if i + 1 == len(lines) else "250-") + one)
            elif word == "STARTTLS":
                say("220 go on")
                connection = self.wrap(connection)
                file, encrypted = connection.makefile("rb"), True
            elif word == "AUTH":
                _, name, password = base64.b64decode(text.split(" ")[2]).decode().split("\0")
                user = name if self.password.get(name) == password else None
                say("235 2.7.0 ok" if user else "535 5.7.8 wrong")
            elif word == "MAIL":
                sender = text[len("MAIL FROM:"):]
                say("250 2.1.0 ok" if user or not self.password else "530 5.7.0 log on")
            elif word == "RCPT":
                address = re.search(r"<(.*?)>", text).group(1)
                answer = self.answers.get(address, "250 2.1.5 ok")
                recipients += [text[len("RCPT TO:"):]] if answer[0] == "2" else []
                say(answer)
            elif word == "DATA":
                say("354 go on")
                octets = self.take(file)
                own = self.before(".") if self.before else None
                if own == "drop":
                    return
                if not own or own[0] == "2":
                    with self.lock:
                        self.messages.append((sender, recipients, octets))
                say(own or "250 2.0.0 taken")
                if self.before:
                    self.before("done")
                sender, recipients = None, []
            elif word == "QUIT":
                say("221 2.0.0 bye")
                return
            else:
                say("502 5.5.1 no")

    @staticmethod
    def take(file):
        """As a strict server reads it: CRLF alone ends a line."""
        lines = []
        while True:
            got = file.readline()
            while got and not got.endswith(b"\r\n"):
                more = file.readline()
                if not more:
                    raise EOFError
                got += more
            if not got:
                raise EOFError
            if got == b".\r\n":
                return b"".join(lines)
            lines.append(got[1:] if got.startswith(b".") else got)
