"""The AMQP properties of a request, written once per connection and filled in per request.

Between the requests of one connection only the request id and the type differ. pika builds and encodes all of them
anew for every message, which cost as much as everything else that is done to send one.
"""

from __future__ import annotations

from collections.abc import Callable

from pika.spec import BasicProperties

from holdgate_producer.core.link import Request
from holdgate_schema.codec import CONTENT_TYPE

PERSISTENT = 2

_properties: Callable[..., BasicProperties] = BasicProperties


class _Encoded(BasicProperties):  # type: ignore[misc]  # pika ships no types
    """Properties that are bytes already; pika asks them for nothing else when it publishes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def encode(self) -> list[bytes]:
        """The content of the header frame behind the body size: flags, then values."""
        return [self._data]


def encoded(properties: BasicProperties) -> bytes:
    """Flags and values as pika writes them."""
    pieces: Callable[[], list[bytes]] = properties.encode
    return b"".join(pieces())


class Envelope:
    """Makes the properties of the requests that go out over one connection."""

    def __init__(self, *, reply_to: str, app_id: str, user_id: str) -> None:
        self._same = {"reply_to": reply_to, "app_id": app_id, "user_id": user_id or None}
        self._around: dict[str, tuple[bytes, bytes, bytes]] = {}

    def of(self, request: Request) -> BasicProperties:
        """The properties of this request."""
        if request.traceparent:
            return self._built(request.request_id, request.type, {"traceparent": request.traceparent})
        around = self._around.get(request.type)
        if around is None:
            around = self._around[request.type] = self._parts(request)
        request_id = request.request_id.encode()
        return _Encoded(request_id.join(around))

    def _parts(self, request: Request) -> tuple[bytes, bytes, bytes]:
        """What pika writes before, between and after the two places of the request id."""
        data = encoded(self._built(request.request_id, request.type))
        first, second, third = data.split(request.request_id.encode())
        return first, second, third

    def _built(self, request_id: str, type_: str, headers: dict[str, str] | None = None) -> BasicProperties:
        return _properties(
            content_type=CONTENT_TYPE,
            delivery_mode=PERSISTENT,
            message_id=request_id,
            correlation_id=request_id,
            type=type_,
            headers=headers,
            **self._same,
        )
