"""A real HTTP server on loopback that does its work, and misbehaves when it is told to."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import takewhile
from urllib.parse import parse_qsl, urlsplit

HUGE_BYTES = 8 << 20
RETRY_AFTER_SECONDS = 7
PACE_SECONDS = 0.01
PATIENCE_SECONDS = 15.0


class Fault(Enum):
    """What goes wrong. Where nothing is said of it, the work was done."""

    HANG = auto()
    """No answer at all."""
    RESET = auto()
    """The connection is reset instead of an answer."""
    ERROR = auto()
    """500, after the work."""
    GARBAGE = auto()
    """200 and half an answer behind a warning of PHP."""
    HTML = auto()
    """200 and a web page."""
    HUGE = auto()
    """200 and more than anybody wants to read."""
    TRICKLE = auto()
    """200 and the body byte by byte, without an end."""
    TRICKLE_HEADERS = auto()
    """The headers byte by byte, without an end."""
    ERROR_BEFORE = auto()
    """500, and nothing was done."""
    BUSY = auto()
    """429 with Retry-After, and nothing was done."""
    MAINTENANCE = auto()
    """503 and a web page with Retry-After: 600, and nothing was done: WordPress updates a plugin."""
    REDIRECT = auto()
    """307 to another place, and nothing was done."""
    LATE = auto()
    """No answer; the work is done long after the caller has gone, when `HttpPeer.release` is set."""


DONE = (
    Fault.HANG,
    Fault.RESET,
    Fault.ERROR,
    Fault.GARBAGE,
    Fault.HTML,
    Fault.HUGE,
    Fault.TRICKLE,
    Fault.TRICKLE_HEADERS,
)
"""The faults after which the work is done and nobody knows it."""


@dataclass(frozen=True)
class Request:
    """What somebody asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What it is answered."""

    status: int
    content: object
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=UTF-8"


class HttpPeer:
    """Serves until it is closed. `choose` says for each request what goes wrong with it; `plan` does so one by one."""

    def __init__(self, work: Callable[[Request], Reply]) -> None:
        self.work = work
        self.requests: list[Request] = []
        self.choose: Callable[[Request], Fault | None] = self._planned
        self.release = threading.Event()
        self.late_work_done = threading.Event()
        self.is_tls = False
        self._plans: deque[tuple[str, Fault]] = deque()
        self._lock = threading.Lock()
        self._underway: dict[socket.socket, object] = {}
        self._moved = threading.Condition()
        peer = self

        class Handler(_Handler):
            def handle_one(self, request: Request) -> None:
                with peer._lock:
                    peer.requests.append(request)
                peer._serve(self, request)

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.arrived, self._server.left = self._arrived, self._left
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def plan(self, *faults: Fault, method: str = "POST") -> None:
        """The next requests with that method go wrong like this."""
        with self._lock:
            self._plans.extend((method, fault) for fault in faults)

    def use_tls(self, wrap: Callable[[socket.socket], socket.socket]) -> None:
        """From now on talk TLS."""
        self._server.socket = wrap(self._server.socket)
        self.is_tls = True

    def settle(self) -> None:
        """Wait until what was sent before this has been worked, also where nobody listens for the answer any more."""
        with socket.create_connection(self._server.server_address) as knock:
            name = knock.getsockname()
            with self._moved:
                assert self._moved.wait_for(lambda: name in self._underway.values(), PATIENCE_SECONDS)
                before = set(takewhile(lambda one: self._underway[one] != name, self._underway))
                done = self._moved.wait_for(lambda: not self._underway.keys() & before, PATIENCE_SECONDS)
        assert done, "a request does not come to its end"

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE_SECONDS)

    def _planned(self, request: Request) -> Fault | None:
        with self._lock:
            if self._plans and self._plans[0][0] == request.method:
                return self._plans.popleft()[1]
        return None

    def _arrived(self, connection: socket.socket, address: object) -> None:
        with self._moved:
            self._underway[connection] = address
            self._moved.notify_all()

    def _left(self, connection: socket.socket) -> None:
        with self._moved:
            self._underway.pop(connection, None)
            self._moved.notify_all()

    def _serve(self, handler: _Handler, request: Request) -> None:
        fault = self.choose(request)
        if fault in _NOT_DONE:
            handler.send(_NOT_DONE[fault])
        elif fault is Fault.LATE:
            handler.wait_until_gone()
            self.release.wait(PATIENCE_SECONDS)
            self.work(request)
            self.late_work_done.set()
        else:
            reply = self.work(request)
            self._left(handler.connection)
            if fault is None:
                handler.send(reply)
            else:
                handler.misbehave(fault, reply)


_NOT_DONE = {
    Fault.ERROR_BEFORE: Reply(
        500, {"code": "internal_server_error", "message": "There has been a critical error."}
    ),
    Fault.BUSY: Reply(429, {"code": "too_many_requests"}, {"Retry-After": str(RETRY_AFTER_SECONDS)}),
    Fault.MAINTENANCE: Reply(
        503, b"<title>Maintenance</title>", {"Retry-After": "600"}, content_type="text/html; charset=utf-8"
    ),
    Fault.REDIRECT: Reply(307, {}, {"Location": "http://127.0.0.1:1/elsewhere?token=geheim"}),
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    arrived: Callable[[socket.socket, object], None]
    left: Callable[[socket.socket], None]

    def process_request(self, request: socket.socket, client_address: object) -> None:
        self.arrived(request, client_address)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:
        self.left(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one(self, request: Request) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.close_connection = True
        self.handle_one(Request(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body))

    do_POST = do_PUT = do_DELETE = do_OPTIONS = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Silent."""

    def send(self, reply: Reply, *, content_type: str | None = None) -> None:
        body = reply.content if isinstance(reply.content, bytes) else json.dumps(reply.content).encode()
        self._start(reply, content_type or reply.content_type, len(body))
        self.wfile.write(body)

    def misbehave(self, fault: Fault, reply: Reply) -> None:
        if fault is Fault.HANG:
            self.wait_until_gone()
        elif fault is Fault.RESET:
            self._reset()
        elif fault is Fault.ERROR:
            self.send(Reply(500, {"code": "internal_server_error", "message": "There has been a critical error."}))
        elif fault is Fault.GARBAGE:
            self.send(Reply(reply.status, b"<br />\n<b>Warning</b>: Undefined variable " + _json(reply)[:40]))
        elif fault is Fault.HTML:
            self.send(Reply(200, b"<html>Checking your browser</html>"), content_type="text/html")
        elif fault is Fault.HUGE:
            self.send(Reply(reply.status, b" " * HUGE_BYTES + _json(reply)))
        elif fault is Fault.TRICKLE:
            self._start(reply, "application/json", 1 << 19)
            self._drip(b" ")
        elif fault is Fault.TRICKLE_HEADERS:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            self._drip(b"x")
        else:
            raise AssertionError(fault)

    def wait_until_gone(self) -> bool:
        """Wait until the client closes its end."""
        self.connection.settimeout(PATIENCE_SECONDS)
        with suppress(OSError):
            return self.connection.recv(1) == b""
        return True

    def _start(self, reply: Reply, content_type: str, length: int) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(length))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _drip(self, drop: bytes) -> None:
        """Byte by byte, until the client closes its end."""
        self.connection.settimeout(PACE_SECONDS)
        while True:
            self.wfile.write(drop)
            with suppress(TimeoutError):
                self.connection.recv(1)
                return

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _json(reply: Reply) -> bytes:
    return json.dumps(reply.content).encode()


@contextmanager
def http_peer(work: Callable[[Request], Reply]) -> Iterator[HttpPeer]:
    """A peer for a while."""
    peer = HttpPeer(work)
    try:
        yield peer
    finally:
        peer.close()
