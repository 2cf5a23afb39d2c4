"""A server of media on this machine: what results are fetched from."""

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FILM = b"film" * 50_000
FILM_HASH = hashlib.sha256(FILM).hexdigest()


class Storage(ThreadingHTTPServer):
    """A storage server that knows parts and versions, and can break off."""

    daemon_threads = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = {}
        self.requests = []
        self.keys = []
        self.targets = []
        """Paths as they were asked for, with their queries."""
        self.refused = {}
        """The status to answer a path with, or a path with its query."""
        self.cut = {}
        """How many bytes of a path to send before the connection breaks, once."""
        self.asked = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def put(self, path, body=FILM, *, content_type="video/mp4", etag='"v1"'):
        self.files[path] = (body, content_type, etag)
        return self.url(path)

    def url(self, path=""):
        return f"http://127.0.0.1:{self.server_port}{path}"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.partition("?")[0]
        asked = self.headers["Range"]
        self.server.requests.append((path, asked))
        self.server.targets.append(self.path)
        self.server.keys.append(self.headers["Authorization"])
        self.server.asked.set()
        self.server.open.wait()
        refused = self.server.refused.get(self.path, self.server.refused.get(path))
        if refused or path not in self.server.files:
            self.send_error(refused or 404)
            return
        body, content_type, etag = self.server.files[path]
        start = int(asked[6:-1]) if asked and self.headers["If-Range"] == etag else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        for name, value in [("Content-Type", content_type), ("ETag", etag)]:
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        self.wfile.write(body[start:][: self.server.cut.pop(path, None)])

    def log_message(self, *args):
        pass


@contextmanager
def serving():
    """A storage server at work."""
    with Storage() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.open.set()
        server.shutdown()
        thread.join()
