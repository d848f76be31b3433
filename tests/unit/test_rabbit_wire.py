"""The parts of the RabbitMQ adapter that need no broker: frames, properties, confirms, back-off, replays."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from itertools import zip_longest
from typing import Any

import pika
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from pika import frame, spec

from holdgate_schema.envelope import BODY_BYTES_KEPT, BODY_BYTES_MAX, HEADERS_MAX, Properties
from holdgate_schema.routing import routing_key
from holdgate_workers.adapters.rabbit.amqp.frames import (
    CONFIRM,
    Received,
    message_frames,
    read_confirm,
    read_delivery,
    read_head,
)
from holdgate_workers.adapters.rabbit.amqp.properties import INT_MAX, from_wire, to_wire
from holdgate_workers.adapters.rabbit.amqp.wire import WireConnection, oversized_of
from holdgate_workers.adapters.rabbit.connection import (
    BACKOFF_CAP_SECONDS,
    BACKOFF_FIRST_SECONDS,
    BACKOFF_LEAST_SECONDS,
    backoff_seconds,
    connection_parameters,
)
from holdgate_workers.adapters.rabbit.publishing.receipts import GroupReceipt, Ledger
from holdgate_workers.app.dead_letters.replay import replayable
from holdgate_workers.app.ports import DeadLetter, Outgoing, Oversized, TransportError

BODY_MAX = 131_072 - 8

short = st.none() | st.text(max_size=40)
headers = st.dictionaries(
    st.text(min_size=1, max_size=20),
    st.none() | st.booleans() | st.integers(-INT_MAX, INT_MAX) | st.text(max_size=40) | st.binary(max_size=40),
    max_size=6,
)
properties = st.builds(
    Properties,
    message_id=short,
    correlation_id=short,
    reply_to=short,
    type=short,
    app_id=short,
    user_id=short,
    timestamp=st.none() | st.integers(0, 2**63 - 1),
    content_type=short,
    content_encoding=short,
    expiration=short,
    headers=headers,
)
outgoing = st.builds(
    Outgoing,
    exchange=st.text(max_size=30),
    routing_key=st.text(max_size=30),
    body=st.binary(max_size=200),
    properties=properties,
    mandatory=st.booleans(),
    persistent=st.booleans(),
)


def pikas_frames(message: Outgoing) -> bytes:
    publish = spec.Basic.Publish(
        exchange=message.exchange, routing_key=message.routing_key, mandatory=message.mandatory
    )
    header = to_wire(message.properties, persistent=message.persistent)
    parts = [frame.Method(7, publish).marshal(), frame.Header(7, len(message.body), header).marshal()]
    if message.body:
        parts.append(frame.Body(7, message.body).marshal())
    return b"".join(parts)


@given(outgoing)
def test_we_write_the_same_bytes_as_pika(message: Outgoing) -> None:
    assert message_frames(7, message, BODY_MAX) == pikas_frames(message)


@given(outgoing, st.integers(1, 2**63), st.booleans())
def test_we_read_what_pika_writes(message: Outgoing, tag: int, redelivered: bool) -> None:
    deliver = spec.Basic.Deliver("a tag", tag, redelivered, message.exchange, message.routing_key)
    method = frame.Method(7, deliver).marshal()
    content = pikas_frames(message)[len(frame.Method(7, _publish(message)).marshal()) :]
    buffer = b"before" + method + content + b"behind"
    received = read_delivery(buffer, 6, 6 + len(method), BODY_MAX)
    assert received == (
        tag,
        redelivered,
        message.routing_key,
        message.properties,
        message.body,
        len(buffer) - 6,
    )


def _publish(message: Outgoing) -> Any:
    return spec.Basic.Publish(
        exchange=message.exchange, routing_key=message.routing_key, mandatory=message.mandatory
    )


def test_an_incomplete_delivery_is_waited_for_at_every_byte() -> None:
    message = Outgoing(exchange="", routing_key="k", body=b"body", properties=Properties(headers={"a": 1}))
    method = frame.Method(7, spec.Basic.Deliver("tag", 1, False, "", "k")).marshal()
    whole = method + pikas_frames(message)[len(frame.Method(7, _publish(message)).marshal()) :]
    for length in range(len(method), len(whole)):
        with pytest.raises(EOFError):
            read_delivery(whole[:length], 0, len(method), BODY_MAX)
    assert read_delivery(whole, 0, len(method), BODY_MAX) is not None


def _wire(message: Outgoing, frame_bytes: int, channel: int = 7) -> bytes:
    """A delivery as a broker sends it whose frames hold so much."""
    whole = message_frames(channel, message, frame_bytes)
    deliver = spec.Basic.Deliver("tag", 3, True, message.exchange, message.routing_key)
    return frame.Method(channel, deliver).marshal() + whole[read_head(whole, 0)[2] + 8 :]


class _Loose(WireConnection):
    """One that is fed by hand."""

    def __init__(self) -> None:
        self._frame_buffer = b""
        self._body_max_length = BODY_MAX
        self.bytes_received = 0
        self.frames: list[Any] = []
        self.received: list[tuple[Received, Oversized | None]] = []

    def _process_frame(self, value: Any) -> None:
        self.frames.append(value)

    @property
    def waiting_bytes(self) -> int:
        return len(self._frame_buffer) + sum(len(one.body) for one in (self._contents or {}).values())


@pytest.mark.parametrize(
    ("size", "chunk"),
    [
        *itertools.product([0, 5, BODY_BYTES_MAX], [1, 7, 4096, 1 << 20]),
        *itertools.product([BODY_BYTES_MAX + 1, 50_000], [7, 4096, 1 << 20]),  # byte by byte they take too long
    ],
)
@pytest.mark.parametrize("quick", [True, False])
def test_bodies_come_through_however_they_are_cut_up(size: int, chunk: int, quick: bool) -> None:
    body = bytes(number % 251 for number in range(size))
    message = Outgoing(exchange="", routing_key="k", body=body, properties=Properties(headers={"a": 1}))
    connection = _Loose()
    if quick:
        connection.receive_with(7, lambda received, oversized: connection.received.append((received, oversized)))
    stream = _wire(message, 4000) + _wire(structs.replace(message, body=b"next"), 4000)
    for start in range(0, len(stream), chunk):
        connection._on_data_available(stream[start : start + chunk])
    oversized = Oversized(size, sha256(body).hexdigest()) if size > BODY_BYTES_MAX else None
    kept = body if oversized is None else body[:BODY_BYTES_KEPT]
    if quick:
        (first, cut), (second, _) = connection.received
        assert (first[0], first[1], first[2], first[3], first[4]) == (3, True, "k", message.properties, kept)
        assert (cut, second[4]) == (oversized, b"next")
    else:
        header = connection.frames[1]
        assert header.body_size == len(kept)
        assert b"".join(one.fragment for one in connection.frames[2:-3] if isinstance(one, frame.Body)) == kept
        assert oversized_of(header.properties) == oversized
        assert connection.frames[-1].fragment == b"next"


def test_what_is_over_the_limit_is_not_even_kept_for_a_moment() -> None:
    message = Outgoing(exchange="", routing_key="k", body=b"x" * (4 << 20), properties=Properties())
    connection = _Loose()
    connection.receive_with(7, lambda received, oversized: connection.received.append((received, oversized)))
    stream, most = _wire(message, BODY_MAX), 0
    for start in range(0, len(stream), 65_536):
        connection._on_data_available(stream[start : start + 65_536])
        most = max(most, connection.waiting_bytes)
    assert most <= BODY_MAX + 65_536 + BODY_BYTES_KEPT
    assert connection.received[0][1] == Oversized(4 << 20, sha256(message.body).hexdigest())


def test_contents_of_two_channels_do_not_mix() -> None:
    """Each channel's frames are in order; between them they are not."""
    connection = _Loose()
    long = Outgoing(exchange="", routing_key="k", body=b"a" * 20_000, properties=Properties())
    short = structs.replace(long, body=b"b" * 9_000)
    first, second = _split(_wire(long, 4000, 1)), _split(_wire(short, 4000, 2))
    both = [part for pair in zip_longest(first, second, fillvalue=b"") for part in pair]
    connection._on_data_available(b"".join([first[0] + first[1], second[0] + second[1], *both[4:]]))
    bodies = {one.channel_number: one.fragment for one in connection.frames if isinstance(one, frame.Body)}
    assert bodies == {1: b"a" * BODY_BYTES_KEPT, 2: b"b" * 9_000}


def _split(stream: bytes) -> list[bytes]:
    parts, at = [], 0
    while at < len(stream):
        size = read_head(stream, at)[2] + 8
        parts.append(stream[at : at + size])
        at += size
    return parts


def test_a_large_body_goes_in_several_frames() -> None:
    message = Outgoing(exchange="", routing_key="k", body=b"0123456789", properties=Properties())
    assert message_frames(1, message, 4).count(b"\xce") == 5


@pytest.mark.parametrize("key", ["k" * 256, "ü" * 128])
def test_a_routing_key_that_is_too_long_is_not_cut(key: str) -> None:
    with pytest.raises(ValueError, match="255"):
        message_frames(1, Outgoing(exchange="", routing_key=key, body=b"", properties=Properties()), BODY_MAX)


# --- properties -------------------------------------------------------------------------------------------------


def test_odd_properties_become_plain_ones() -> None:
    found = from_wire(
        pika.BasicProperties(
            correlation_id=b"\xff\xfe",
            headers={
                b"\xff": "key",
                "date": datetime(2026, 11, 22, tzinfo=UTC),
                "decimal": Decimal("1.5"),
                "list": [1, {"a": [2]}],
                "long": "x" * 10_000,
            },
        )
    )
    assert found.correlation_id == "��"
    assert found.headers["�"] == "key"
    assert found.headers["date"] == "2026-11-22T00:00:00+00:00"
    assert found.headers["decimal"] == 1.5
    assert isinstance(found.headers["list"], str)
    assert len(str(found.headers["long"])) == 512


def test_too_many_headers_are_cut_so_that_it_still_shows() -> None:
    found = from_wire(pika.BasicProperties(headers={f"h{number}": number for number in range(1000)}))
    assert len(found.headers) == HEADERS_MAX + 1


def test_what_amqp_cannot_hold_is_cut_and_never_raises() -> None:
    odd = Properties(
        correlation_id="ü" * 300,
        message_id="\ud800",
        timestamp=-1,
        headers={"k" * 300: 1.5, "huge": 2**70, "surrogate": "\ud800", "long": "x" * 100_000},
    )
    message = Outgoing(exchange="", routing_key="k", body=b"", properties=odd)
    encoded = message_frames(1, message, BODY_MAX)
    assert len(encoded) < 5000
    assert len(to_wire(odd, persistent=True).correlation_id.encode()) <= 255


# --- confirms ---------------------------------------------------------------------------------------------------


def message(number: int, *, mandatory: bool = False, key: str = "k") -> Outgoing:
    return Outgoing(
        exchange="",
        routing_key=key,
        body=b"%d" % number,
        properties=Properties(message_id=str(number)),
        mandatory=mandatory,
    )


def written(ledger: Ledger, messages: Sequence[Outgoing]) -> GroupReceipt:
    receipt = GroupReceipt(messages)
    for index, each in enumerate(messages):
        ledger.written(receipt, index, mandatory=each.mandatory)
    return receipt


@pytest.mark.parametrize("multiple", [True, False])
def test_a_confirm_is_read_as_pika_writes_it(multiple: bool) -> None:
    written = frame.Method(1, spec.Basic.Ack(2**40 + 7, multiple)).marshal()
    assert written[7:11] == CONFIRM
    assert read_confirm(b"before" + written, len(b"before")) == (2**40 + 7, multiple)


def test_confirms_may_come_in_any_order_and_many_at_once() -> None:
    settled: list[int] = []
    ledger = Ledger(settled.append)
    first = written(ledger, [message(number) for number in range(1, 6)])
    second = written(ledger, [message(number) for number in range(6, 11)])
    ledger.confirmed(4, multiple=False, nacked=False)
    ledger.confirmed(9, multiple=False, nacked=False)
    ledger.confirmed(3, multiple=True, nacked=False)
    assert [problem.kind for problem in first.wait(0)] == ["lost"]
    ledger.confirmed(8, multiple=True, nacked=True)
    assert [(problem.kind, problem.message.body) for problem in first.wait(0)] == [("nacked", b"5")]
    ledger.confirmed(10, multiple=True, nacked=False)
    assert [problem.message.body for problem in second.wait(0)] == [b"6", b"7", b"8"]
    assert sum(settled) == 10


def test_returns_belong_to_the_right_message() -> None:
    ledger = Ledger(lambda _number: None)
    messages = [message(number, mandatory=number % 2 == 0) for number in range(1, 11)]
    receipt = written(ledger, messages)
    for number in (4, 8):
        ledger.returned("", "k", str(number), b"%d" % number, "312 NO_ROUTE")
    ledger.confirmed(10, multiple=True, nacked=False)
    problems = receipt.wait(0)
    assert [(problem.kind, problem.message.body) for problem in problems] == [
        ("unroutable", b"4"),
        ("unroutable", b"8"),
    ]


def test_equal_messages_that_are_returned_are_each_reported() -> None:
    ledger = Ledger(lambda _number: None)
    receipt = written(ledger, [message(1, mandatory=True)] * 3)
    for _ in range(2):
        ledger.returned("", "k", "1", b"1", "312 NO_ROUTE")
    ledger.confirmed(3, multiple=True, nacked=False)
    assert len(receipt.wait(0)) == 2


def test_a_lost_channel_loses_what_is_open_and_starts_its_tags_anew() -> None:
    ledger = Ledger(lambda _number: None)
    old = written(ledger, [message(1), message(2)])
    ledger.confirmed(1, multiple=False, nacked=False)
    ledger.lost("reset by peer")
    assert [(problem.kind, problem.detail) for problem in old.wait(0)] == [("lost", "reset by peer")]
    new = written(ledger, [message(3)])
    ledger.confirmed(1, multiple=False, nacked=False)
    assert new.wait(0) == []


# --- connections ------------------------------------------------------------------------------------------------


def test_the_first_retry_is_quick_and_none_waits_longer_than_the_cap() -> None:
    assert BACKOFF_LEAST_SECONDS <= backoff_seconds(0, 0.0) <= backoff_seconds(0, 0.999) < BACKOFF_FIRST_SECONDS
    ceilings = [backoff_seconds(attempt, 1.0) for attempt in range(100)]
    assert ceilings == sorted(ceilings)
    assert ceilings[-1] == BACKOFF_CAP_SECONDS
    assert {backoff_seconds(attempt, 0.0) for attempt in range(100)} == {BACKOFF_LEAST_SECONDS}


def test_the_connection_says_who_it_is_and_beats_quickly() -> None:
    found = connection_parameters("amqp://u:p@h:1/v", name="worker-1.p03")
    assert (found.host, found.port, found.virtual_host, found.heartbeat) == ("h", 1, "v", 5)
    assert found.client_properties["connection_name"] == "worker-1.p03"


def test_the_url_has_the_last_word() -> None:
    found = connection_parameters("amqp://u:p@h/?heartbeat=7&blocked_connection_timeout=9", name="x")
    assert (found.heartbeat, found.blocked_connection_timeout) == (7, 9)


@pytest.mark.parametrize(
    "url", ["http://u:hunter2@h", "amqp://u:hunter2@h:port/", "amqp://u:hunter2@h/?heartbeat=x"]
)
def test_a_url_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(TransportError) as caught:
        connection_parameters(url, name="x")
    assert "hunter2" not in str(caught.value)


# --- replays ----------------------------------------------------------------------------------------------------


def letter(**changes: object) -> DeadLetter:
    dead = DeadLetter(
        id="1",
        reason="delivery_limit",
        detail="",
        died_at="",
        partition=0,
        routing_key="slot.001",
        body=b'{"occurrence_id": "occ-1", "other": 1}',
        properties=Properties(
            message_id="m", correlation_id="c", reply_to="holdgate.reply.x", user_id="shop", expiration="1"
        ),
        replays=2,
        headers={
            "traceparent": "t",
            "x-death": "[]",
            "x-first-death-queue": "q",
            "x-last-death-reason": "r",
            "x-delivery-count": 3,
            "x-holdgate-reason": "r",
            "x-holdgate-replays": 2,
            "CC": "other",
        },
    )
    return replace(dead, **changes)  # type: ignore[arg-type]


def test_a_replay_is_the_request_without_its_death() -> None:
    found = replayable(letter())
    assert found.routing_key == routing_key("occ-1")
    assert found.mandatory
    assert found.properties == Properties(
        message_id="m", correlation_id="c", headers={"traceparent": "t", "x-holdgate-replays": 3}
    )


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[]", b'{"occurrence_id": 5}', b'{"occurrence_id": ""}', b"[" * 100_000]
)
def test_a_replay_that_names_no_occurrence_goes_where_it_went(body: bytes) -> None:
    assert replayable(letter(body=body)).routing_key == "slot.001"


def test_a_frame_is_what_the_specification_says() -> None:
    """By hand, so that it does not rest on pika alone."""
    found = message_frames(1, Outgoing(exchange="", routing_key="k", body=b"b", properties=Properties()), BODY_MAX)
    content = b"\x00\x3c\x00\x00" + struct.pack(">Q", 1) + b"\x90\x00" + b"\x10application/json" + b"\x02"
    assert found == (
        b"\x01\x00\x01\x00\x00\x00\x0a\x00\x3c\x00\x28\x00\x00\x00\x01k\x00\xce\x02\x00\x01"
        + struct.pack(">I", len(content))
        + content
        + b"\xce\x03\x00\x01\x00\x00\x00\x01b\xce"
    )
