"""Takes the webhooks of a WooCommerce shop: checks each one, and hands on what it says of an order of ours.

WooCommerce does not send again what was not taken, and gives a webhook up after five failures in a row. So everything
that can be answered is answered with 200, and what was missed is found by looking at the orders that are still open.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any, assert_never
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import CollectorRegistry, Counter

from holdgate_workers.adapters.shops.woocommerce.events import (
    BODY_BYTES_MAX,
    LookAgain,
    NotOurs,
    Ping,
    Rejected,
    looked_at,
    read_delivery,
)
from holdgate_workers.app.ordering.orders import FindResult, Found, NotFound, OrderEvent

log = structlog.get_logger("holdgate.order_webhooks")

PATH = "/webhooks/woocommerce"
SILENCE_SECONDS = 10.0
"""The longest that a sender may say nothing in the middle of its request."""
CONNECTIONS_MAX = 32
KEYS_MAX = 10_000
UNREAD_BYTES_MAX = 8 << 20
"""So much of a body that is too large is taken in without looking, or its sender would not hear the answer."""
_CHUNK_BYTES = 1 << 16

_REJECTED = {
    "unsigned": HTTPStatus.UNAUTHORIZED,
    "bad_signature": HTTPStatus.UNAUTHORIZED,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "no_json": HTTPStatus.BAD_REQUEST,
}

Accept = Callable[[OrderEvent], bool]
"""True once the event is durable. It is called again for what it did not take, and may be called again for what it
took: `delivery_key` tells."""
Answer = tuple[HTTPStatus, str]
"""The status and, in one word, what became of the delivery."""


class OrderWebhooks:
    """What is done with one delivery, whatever it came over. Safe for several threads.

    `look` asks the shop how an order is (`OrderGateway.get`), where a delivery is not to be taken at its word.
    """

    def __init__(
        self,
        *,
        secrets: Sequence[str],
        accept: Accept,
        look: Callable[[str], FindResult],
        now: Callable[[], datetime],
        registry: CollectorRegistry,
    ) -> None:
        assert secrets, "without a secret nothing can be believed"
        self._secrets = tuple(secrets)
        self._accept = accept
        self._look = look
        self._now = now
        self._taken = _Recent(KEYS_MAX)
        self._deliveries = Counter(
            "holdgate_order_webhooks",
            "Deliveries of the shop by what became of them",
            ["outcome"],
            registry=registry,
        )

    def take(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Check a delivery and hand it on. Never raises for what somebody may send."""
        read = read_delivery(headers, body, secrets=self._secrets, now=self._now())
        return self.answered(*self._answer(read))

    def answered(self, status: HTTPStatus, outcome: str) -> Answer:
        """Count the outcome."""
        self._deliveries.labels(outcome).inc()
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE):
            log.warning("order_webhook_not_taken", outcome=outcome, status=status.value)
        return status, outcome

    def _answer(self, read: OrderEvent | LookAgain | NotOurs | Ping | Rejected) -> Answer:
        match read:
            case OrderEvent():
                return self._hand_on(read)
            case LookAgain():
                return self._look_again(read)
            case NotOurs():
                return HTTPStatus.OK, "not_ours"
            case Ping():
                return HTTPStatus.OK, "ping"
            case Rejected(reason):
                return _REJECTED[reason], reason
            case other:
                assert_never(other)

    def _look_again(self, named: LookAgain) -> Answer:
        found = self._look(named.order_id)
        if isinstance(found, NotFound):
            log.info("order_gone", order_id=named.order_id)
            return HTTPStatus.OK, "gone"
        if not isinstance(found, Found):
            return HTTPStatus.SERVICE_UNAVAILABLE, "not_looked_at"
        event = looked_at(found.order)
        return self._hand_on(event) if isinstance(event, OrderEvent) else (HTTPStatus.OK, "not_ours")

    def _hand_on(self, event: OrderEvent) -> Answer:
        if not event.is_fresh and event.delivery_key in self._taken:
            return HTTPStatus.OK, "repeated"
        try:
            taken = self._accept(event)
        except Exception:
            log.exception("order_event_failed", reference=event.order.reference, status=event.order.status)
            taken = False
        if not taken:
            return HTTPStatus.SERVICE_UNAVAILABLE, "not_taken"
        self._taken.add(event.delivery_key)
        log.info(
            "order_event",
            reference=event.order.reference,
            status=event.order.status,
            delivery_id=event.delivery_id,
        )
        return HTTPStatus.OK, "taken"


class OrderWebhookServer:
    """Serves `PATH` until it is stopped. `port` is the real one, also when 0 was asked for.

    It speaks plain HTTP: a proxy in front of it has the certificate.
    """

    def __init__(
        self, webhooks: OrderWebhooks, *, host: str, port: int, silence_seconds: float = SILENCE_SECONDS
    ) -> None:
        self._webhooks = webhooks
        handler = type("_Handler", (_QuietHandler,), {"timeout": silence_seconds})
        self._server = make_server(host, port, self._serve, server_class=_Server, handler_class=handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="order webhooks", daemon=True, args=(0.1,)
        )
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more, and answer what was taken: the shop would not send it again. Idempotent."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, words = self._answer(environ)
        headers = [("Content-Type", "text/plain"), ("Cache-Control", "no-store")]
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", "POST"))
        start_response(f"{status.value} {status.phrase}", headers)
        return [f"{words}\n".encode()]

    def _answer(self, environ: dict[str, Any]) -> Answer:
        if environ.get("PATH_INFO", "").rstrip("/") != PATH:
            return HTTPStatus.NOT_FOUND, f"there is {PATH}"
        if environ["REQUEST_METHOD"] != "POST":
            return HTTPStatus.METHOD_NOT_ALLOWED, "only POST"
        body = _body(environ)
        if isinstance(body, bytes):
            return self._webhooks.take(_headers(environ), body)
        return self._webhooks.answered(*body)


def _body(environ: Mapping[str, Any]) -> bytes | Answer:
    """The whole body, or why there is none."""
    length, stream = environ.get("CONTENT_LENGTH") or "", environ["wsgi.input"]
    if not length:
        return HTTPStatus.LENGTH_REQUIRED, "no_length"
    if not (length.isascii() and length.isdigit()):
        return HTTPStatus.BAD_REQUEST, "bad_length"
    try:
        if int(length) > BODY_BYTES_MAX:
            _take_in(stream, min(int(length), UNREAD_BYTES_MAX))
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large"
        body = stream.read(int(length))
    except OSError:
        return HTTPStatus.REQUEST_TIMEOUT, "no_body"
    assert isinstance(body, bytes)
    return body if len(body) == int(length) else (HTTPStatus.BAD_REQUEST, "no_body")


def _take_in(stream: Any, length: int) -> None:
    while length > 0 and (chunk := stream.read(min(length, _CHUNK_BYTES))):
        length -= len(chunk)


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    return {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }


class _Recent:
    """The last keys that were added, so many of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: str) -> bool:
        with self._lock:
            return key in self._keys

    def add(self, key: str) -> None:
        with self._lock:
            self._keys[key] = None
            if len(self._keys) > self._most:
                self._keys.popitem(last=False)


class _Server(ThreadingMixIn, WSGIServer):
    """One thread for each connection, so many of them and no more; `server_close` waits for them."""

    daemon_threads = False
    request_queue_size = CONNECTIONS_MAX

    def __init__(self, *args: Any, **fields: Any) -> None:
        self._places = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__(*args, **fields)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Whoever finds no place is turned away."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Give the place back at the end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Senders that go away or fall silent are not worth a line."""


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """What became of a delivery is counted and logged by itself."""
