"""Servers on this machine, most of them hostile, and what is said to them."""

import io
import socket
import struct
import threading
from contextlib import suppress
from datetime import timedelta
from itertools import chain, repeat

from receiver.outbound import download

PUBLIC = "93.184.215.14"
SOON = timedelta(seconds=0.3)
LATE = 5.0
RESET = object()


class Server:
    """Records each request and sends the pieces that `answer` makes of it."""

    def __init__(self, answer, *, greeting=b"", keep=False, tls=None):
        self.answer = answer if callable(answer) else lambda request: [answer]
        self.greeting = greeting
        self.keep = keep
        self.tls = tls
        self.requests = []
        self.connections = 0
        self.sockets = []
        self.stopped = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._listen)]
        self.threads[0].start()

    def url(self, path="/", *, host="127.0.0.1"):
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}"

    def stop(self):
        self.stopped.set()
        with socket.create_connection(("127.0.0.1", self.port)):
            self.threads[0].join()
        self.listener.close()
        for connection in self.sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()

    def _listen(self):
        while True:
            connection, _ = self.listener.accept()
            if self.stopped.is_set():
                connection.close()
                return
            self.connections += 1
            self.sockets.append(connection)
            self.threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self.threads[-1].start()

    def _serve(self, connection):
        # A client may go away at any time.
        with connection, suppress(OSError):
            connection.settimeout(LATE)
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
                self.sockets.append(connection)
            with connection, connection.makefile("rb") as incoming:
                connection.sendall(self.greeting)
                while request := read_request(incoming):
                    self.requests.append(request)
                    for piece in self.answer(request):
                        if piece is RESET:
                            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                            return
                        if self.stopped.is_set():
                            return
                        connection.sendall(piece)
                    if not self.keep:
                        return

    def trickle(self, *pieces):
        """An answer of these pieces, the last of them for ever, with a pause after each."""

        def answer(request):
            for piece in chain(pieces, repeat(pieces[-1])):
                yield piece
                if self.stopped.wait(0.02):
                    return

        self.answer = answer


def read_request(incoming):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = incoming.readline()
        if not line:
            return ""
        head += line
    length = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return (head + incoming.read(*length or [0])).decode("latin-1")


def http(body=b"", *, status=200, length=None, **headers):
    fields = {"content-length": len(body) if length is None else length, **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode("latin-1") + body


def endless(request):
    yield b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    while True:
        yield b"10000\r\n" + bytes(2**16) + b"\r\n"


def header(request, name):
    return [line.partition(": ")[2] for line in request.split("\r\n") if line.lower().startswith(f"{name}: ")]


def fetch(server_or_url, file=None, *, max_bytes=10**6, timeout=timedelta(seconds=LATE), allow_private=True, **options):
    url = server_or_url if isinstance(server_or_url, str) else server_or_url.url("/video.mp4")
    file = io.BytesIO() if file is None else file
    return download(url, file, max_bytes=max_bytes, timeout=timeout, allow_private=allow_private, **options)
