"""What a dead letter becomes when it is sent again."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from holdgate_schema.envelope import (
    BODY_BYTES_HEADER,
    BODY_SHA256_HEADER,
    HEADERS_BYTES_HEADER,
    HeaderValue,
    Properties,
)
from holdgate_schema.ids import OccurrenceId
from holdgate_schema.routing import routing_key
from holdgate_schema.topology import REQUESTS_EXCHANGE
from holdgate_workers.app.ports import DeadLetter, Outgoing, Oversized

REASON_HEADER = "x-holdgate-reason"
DETAIL_HEADER = "x-holdgate-detail"
PARTITION_HEADER = "x-holdgate-partition"
ROUTING_KEY_HEADER = "x-holdgate-routing-key"
DIED_AT_HEADER = "x-holdgate-died-at"
REPLAYS_HEADER = "x-holdgate-replays"

UNREADABLE_HEADER = "x-holdgate-unreadable"
"""Stands in for a header table that could not be decoded."""

OF_THE_LETTER = frozenset(
    {
        REASON_HEADER,
        DETAIL_HEADER,
        PARTITION_HEADER,
        ROUTING_KEY_HEADER,
        DIED_AT_HEADER,
        BODY_BYTES_HEADER,
        BODY_SHA256_HEADER,
    }
)
"""What only a gate may say. A sender can set them, too, and is not believed."""
OF_US = OF_THE_LETTER | {REPLAYS_HEADER, UNREADABLE_HEADER, HEADERS_BYTES_HEADER}
_OF_DYING = OF_US | {
    "x-delivery-count",
    "x-acquired-count",
    # The broker would send copies elsewhere.
    "CC",
    "BCC",
}
_OF_THE_BROKERS_DYING = ("x-death", "x-first-death-", "x-last-death-")


class _Occurrence(Struct):
    occurrence_id: OccurrenceId


_decoder = msgspec.json.Decoder(_Occurrence)


def replayable(letter: DeadLetter) -> Outgoing:
    """The letter as a request again: same body and message id, to the queue its occurrence has today.

    Nobody waits for the answer any more, so it has no reply address; and no login, because the broker would
    compare it with the operator's. If the body does not name its occurrence, it goes where it went before.
    """
    headers: dict[str, HeaderValue] = {
        name: value for name, value in letter.headers.items() if not _is_of_dying(name)
    }
    headers[REPLAYS_HEADER] = letter.replays + 1
    return Outgoing(
        exchange=REQUESTS_EXCHANGE,
        routing_key=_routing_key(letter),
        body=letter.body,
        properties=replace(letter.properties, reply_to=None, user_id=None, expiration=None, headers=headers),
        mandatory=True,
    )


def as_sent(properties: Properties) -> dict[str, HeaderValue]:
    """The headers without those that only the gate and the broker may set: a sender cannot invent a death."""
    return {
        name: value
        for name, value in properties.headers.items()
        if name not in OF_THE_LETTER and not name.startswith(_OF_THE_BROKERS_DYING)
    }


def oversized_of(headers: Mapping[str, HeaderValue]) -> Oversized | None:
    """What the gate has written about a body that it did not keep."""
    size, sha256 = headers.get(BODY_BYTES_HEADER), headers.get(BODY_SHA256_HEADER)
    return Oversized(size, sha256) if isinstance(size, int) and isinstance(sha256, str) else None


def _is_of_dying(name: str) -> bool:
    return name in _OF_DYING or name.startswith(_OF_THE_BROKERS_DYING)


def _routing_key(letter: DeadLetter) -> str:
    try:
        return routing_key(_decoder.decode(letter.body).occurrence_id)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return letter.routing_key
