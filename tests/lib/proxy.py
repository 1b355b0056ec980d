# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy on loopback: counts octets and flights, delays, and cuts a connection after the n-th octet."""
import socket
import struct
import threading
import time


class Proxy:
    """cut_down/cut_up: the connection is reset after so many octets from/to the server, over all connections;
    delay: seconds one way; host: the address it listens on; record: keeps what passed, by connection. A flight is a change of
    direction from the server's talking to the client's."""

    def __init__(self, port, cut_down=None, cut_up=None, delay=0.0, host="127.0.0.1", record=False):
        self.target, self.delay, self.host = port, delay, host
        self.cut = {"down": cut_down, "up": cut_up}
        self.octets = {"down": 0, "up": 0}
        self.flights = self.connections = self.serial = 0
        self.last = {}
        self.recorded = {} if record else None
        self.lock = threading.Lock()
        self.open = []
        self.closing = False
        self.listener = socket.create_server((host, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.closing:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections += 1
                self.serial += 1
                number = self.serial
                self.open += [client, server]
            for source, sink, way in ((client, server, "up"), (server, client, "down")):
                threading.Thread(target=self.pump, args=(source, sink, way, number), daemon=True).start()

    def reset(self, *ends):
        for end in ends:
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def pump(self, source, sink, way, number):
        while True:
            try:
                data = source.recv(1 << 18)
            except OSError:
                data = b""
            if not data:
                try:
                    sink.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                return
            with self.lock:
                if way == "up" and self.last.get(number) != "up":
                    self.flights += 1
                self.last[number] = way
                room = None if self.cut[way] is None else self.cut[way] - self.octets[way]
                if room is not None and room < len(data):
                    data = data[:max(room, 0)]
                self.octets[way] += len(data)
                if self.recorded is not None:
                    self.recorded.setdefault((number, way), bytearray()).extend(data)
            if self.delay:
                time.sleep(self.delay)
            try:
                sink.sendall(data)
            except OSError:
                return
            if room is not None and room <= len(data):
                self.reset(source, sink)
                return

    def streams(self, way):
        with self.lock:
            return [bytes(data) for (_, w), data in self.recorded.items() if w == way]

    def counts(self):
        with self.lock:
            return dict(self.octets, flights=self.flights, connections=self.connections)

    def clear(self):
        with self.lock:
            self.octets = {"down": 0, "up": 0}
            self.flights = self.connections = 0
            if self.recorded is not None:
                self.recorded = {}

    def close(self):
        self.closing = True
        for end in [self.listener] + self.open:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()

    @property
    def url(self):
        return f"imap://{self.host}:{self.port}"
