"""What every baseline reads and answers: the language of the house, so that all bodies are alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from holdgate_schema.answers.holds import Held, HoldView, Reason, Refused, answer_type
from holdgate_schema.codec import encode
from holdgate_schema.commands.holds import PlaceHold

TTL = timedelta(minutes=15)
REDUCED = ("child", "senior")

Answer = tuple[str, bytes]
"""The AMQP type and the body."""
Decide = Callable[["Basket"], Answer]

_decoder = msgspec.json.Decoder(PlaceHold)


@dataclass(slots=True, frozen=True)
class Basket:
    """A request, and what it takes from the two counters."""

    command: PlaceHold
    seats: int
    reduced: int


def read(body: bytes) -> Basket:
    """The basket that a message asks for."""
    command = _decoder.decode(body)
    reduced = sum(command.items.get(key, 0) for key in REDUCED)
    return Basket(command, sum(command.items.values()), reduced)


def held(basket: Basket, now: datetime, seats_left: int, reduced_left: int) -> Answer:
    """The basket is held; so much is left afterwards."""
    command = basket.command
    assert command.session_id is not None
    view = HoldView(
        hold_id=command.request_id,
        occurrence_id=command.occurrence_id,
        session_id=command.session_id,
        state="active",
        items=command.items,
        seats=basket.seats,
        created_at=now,
        expires_at=now + TTL,
    )
    return _typed(
        Held(
            request_id=command.request_id,
            occurrence_id=command.occurrence_id,
            version=1,
            decided_at=now,
            hold=view,
            available={"total": seats_left, "reduced": reduced_left},
        )
    )


def sold_out(basket: Basket, now: datetime, seats_left: int, reduced_left: int) -> Answer:
    """Not enough is left; so much is."""
    return _typed(
        Refused(
            request_id=basket.command.request_id,
            occurrence_id=basket.command.occurrence_id,
            version=1,
            decided_at=now,
            reason=Reason.SOLD_OUT,
            retryable=False,
            message="Not enough is left",
            requested=basket.seats,
            available={"total": seats_left, "reduced": reduced_left},
        )
    )


def again(body: str | bytes) -> Answer:
    """The answer of a hold that was stored before."""
    return "answer.held.v1", body.encode() if isinstance(body, str) else body


def _typed(answer: Held | Refused) -> Answer:
    return answer_type(answer), encode(answer)
