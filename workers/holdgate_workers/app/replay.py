"""What a dead letter becomes when it is sent again."""

from __future__ import annotations

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from holdgate_schema.envelope import HeaderValue
from holdgate_schema.ids import OccurrenceId
from holdgate_schema.slots import routing_key
from holdgate_schema.topology import REQUESTS_EXCHANGE

from .ports import DeadLetter, Outgoing

REASON_HEADER = "x-holdgate-reason"
DETAIL_HEADER = "x-holdgate-detail"
PARTITION_HEADER = "x-holdgate-partition"
ROUTING_KEY_HEADER = "x-holdgate-routing-key"
DIED_AT_HEADER = "x-holdgate-died-at"
REPLAYS_HEADER = "x-holdgate-replays"

_OF_DYING = frozenset(
    {
        REASON_HEADER,
        DETAIL_HEADER,
        PARTITION_HEADER,
        ROUTING_KEY_HEADER,
        DIED_AT_HEADER,
        REPLAYS_HEADER,
        "x-delivery-count",
        "x-acquired-count",
        "x-holdgate-unreadable",
        # The broker would send copies elsewhere.
        "CC",
        "BCC",
    }
)
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


def _is_of_dying(name: str) -> bool:
    return name in _OF_DYING or name.startswith(_OF_THE_BROKERS_DYING)


def _routing_key(letter: DeadLetter) -> str:
    try:
        return routing_key(_decoder.decode(letter.body).occurrence_id)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return letter.routing_key
