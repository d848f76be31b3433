"""The prepared properties are, byte for byte, what pika would have written."""

from __future__ import annotations

import pytest

from holdgate_producer import new_request_id
from holdgate_producer.amqp.properties import Envelope, encoded
from holdgate_producer.core.link import Request


@pytest.mark.parametrize("user_id", ["guest", ""])
def test_prepared_properties_equal_pikas(user_id: str) -> None:
    envelope = Envelope(reply_to="holdgate.reply.shop.0123", app_id="shop", user_id=user_id)
    for kind in ("hold.place.v1", "hold.release.v1", "hold.place.v1"):
        request = Request(new_request_id(), "occ-1", kind, b"{}")
        assert encoded(envelope.of(request)) == encoded(envelope._built(request.request_id, kind))


def test_a_trace_goes_into_the_headers() -> None:
    envelope = Envelope(reply_to="holdgate.reply.shop.0123", app_id="shop", user_id="guest")
    properties = envelope.of(Request(new_request_id(), "occ-1", "hold.place.v1", b"{}", "00-aa-bb-01"))
    assert properties.headers == {"traceparent": "00-aa-bb-01"}
