"""Prices of holds, and of baskets that nobody holds: made after the decision, brought to the gate as a command.

A price never stands in the way of a hold, and the gate knows none: it notes what this worker says, under its seal. The
first word on a request stands. Whatever is done twice here comes to the same, because the first answer is looked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from holdgate_schema.answers.holds import HoldView
from holdgate_schema.commands.selling import PriceHold, Pricing, PutQuote
from holdgate_schema.decoding.prepared import Prepared
from holdgate_schema.events.holds import HoldChanged, HoldCreated
from holdgate_schema.events.selling import QuoteRequested
from holdgate_schema.values.quotes import Quote
from holdgate_workers.app.ports import Publisher
from holdgate_workers.app.seals import Seals, internal_message
from holdgate_workers.app.tasks.tasks import (
    PRICING,
    Again,
    CancelTask,
    DecidedRow,
    Done,
    NewTask,
    Retries,
    Task,
    TaskOutcome,
)

from .quoting import AS_IT_IS, HoldSeen, Priced, PriceLook, Wanted, bounded, hold_command, priced, quote_command

PRICE_HOLD = "hold.price"
PRICE_QUOTE = "quote.price"
PRICING_RETRIES = Retries(attempts_max=15, first_seconds=0.25, cap_seconds=60.0)
"""Somebody waits for it, and a hold has ended after some minutes."""
QUOTE_MINUTES = 15
CONFIRM_SECONDS = 10.0
"""Well within a task's lease."""

_pricings = msgspec.json.Decoder(Pricing)
_wanted: Prepared[Wanted] = Prepared(Wanted)


# --- what is to be priced ---------------------------------------------------------------------------------------


def pricing_tasks(row: DecidedRow) -> Iterable[NewTask | CancelTask]:
    """The planner: a price for each basket that was taken or changed, and for each that was asked about."""
    for event in row.events:
        match event:
            case HoldCreated(hold=hold) | HoldChanged(hold=hold) if hold.state == "active" and hold.quote is None:
                yield _task(PRICE_HOLD, f"{row.request_id}/{hold.hold_id}", _of_hold(row, hold), row)
            case QuoteRequested():
                yield _task(PRICE_QUOTE, row.request_id, _of_quote(row, event), row)


def _of_hold(row: DecidedRow, hold: HoldView) -> Wanted:
    # An offer to somebody in line may have been made by the same decision; the wish is not theirs.
    wish = row.wish if hold.hold_id == row.hold_id else None
    return Wanted(
        request_id=row.request_id,
        occurrence_id=row.occurrence_id,
        version=row.version,
        decided_at=row.decided_at,
        items=hold.items,
        extras=hold.extras,
        pricing=AS_IT_IS if wish is None else _pricings.decode(wish),
        hold_id=hold.hold_id,
        is_asked=wish is not None,
    )


def _of_quote(row: DecidedRow, event: QuoteRequested) -> Wanted:
    return Wanted(
        request_id=row.request_id,
        occurrence_id=row.occurrence_id,
        version=row.version,
        decided_at=row.decided_at,
        items=event.items,
        extras=event.extras,
        pricing=AS_IT_IS if row.wish is None else _pricings.decode(row.wish),
        is_asked=True,
    )


def _task(kind: str, key: str, wanted: Wanted, row: DecidedRow) -> NewTask:
    told = wanted.is_asked
    return NewTask(
        role=PRICING,
        kind=kind,
        key=key,
        payload={"wanted": wanted},
        reply_to=row.reply_to if told else None,
        correlation_id=row.correlation_id if told else None,
    )


# --- the rows ---------------------------------------------------------------------------------------------------


class PriceRows(Protocol):
    """What prices are made from, and where they are kept. Not thread-safe; every call may raise."""

    def look(self, wanted: Wanted) -> PriceLook:
        """Read it. The voucher is the one that is wished for, else the earlier quote's."""

    def keep(self, quote: Quote, valid_until: datetime | None) -> None:
        """Keep a quote; one that is there already is valid until the later of the two times."""

    def close(self) -> None:
        """Close the connection. Idempotent."""


# --- the handler ------------------------------------------------------------------------------------------------


class PricingHandler:
    """`app.tasks.tasks.Handler` of the kinds `hold.price` and `quote.price`: one of them each."""

    def __init__(self, kind: str, rows: PriceRows, publisher: Publisher, seals: Seals) -> None:
        assert kind in (PRICE_HOLD, PRICE_QUOTE), kind
        self.kind = kind
        self._rows = rows
        self._publisher = publisher
        self._seals = seals

    def handle(self, task: Task) -> TaskOutcome:
        """Price it, keep the quote, tell the gate."""
        wanted = _wanted.convert(task.payload["wanted"])
        command = self._command(wanted)
        if command is None:
            return Done()
        message = internal_message(
            bounded(command), self._seals, reply_to=task.reply_to, correlation_id=task.correlation_id
        )
        problems = self._publisher.publish([message]).wait(CONFIRM_SECONDS)
        if problems:
            return Again(None, "; ".join(f"{problem.kind}: {problem.detail}" for problem in problems))
        return Done()

    def close(self) -> None:
        """Close the rows and the publisher."""
        self._rows.close()
        self._publisher.close(CONFIRM_SECONDS)

    def _command(self, wanted: Wanted) -> PutQuote | PriceHold | None:
        """What is to be sent; None if there is nothing to do any more."""
        look = self._rows.look(wanted)
        if look.is_answered:
            return None
        if wanted.hold_id is not None and _is_gone(look.hold):
            # The gate has the last word on that, and says it to whoever waits.
            return hold_command(wanted, Priced(), None) if wanted.is_asked else None
        found = priced(wanted, look)
        if found.quote is None and not wanted.is_asked:
            return None
        valid_until = None if wanted.hold_id is not None else look.read_at + timedelta(minutes=QUOTE_MINUTES)
        if found.quote is not None:
            self._rows.keep(found.quote, valid_until)
        if valid_until is not None:
            return quote_command(wanted, found, valid_until)
        return hold_command(wanted, found, look.voucher)


def _is_gone(hold: HoldSeen | None) -> bool:
    return hold is None or hold.state != "active" or hold.is_changed
