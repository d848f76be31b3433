"""Bugs to plant in what has to do with money, lines and carts. As `mutants.py`."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from holdgate_schema.commands.selling import ConvertBooking, PriceHold
from holdgate_schema.values.views import OrderStatus
from holdgate_workers.app.carts import next_step as carts
from holdgate_workers.app.carts import protocol as cart_saga
from holdgate_workers.app.carts.next_step import Cart, GiveBack, Judge, Seen, Settle
from holdgate_workers.app.gate import deciding
from holdgate_workers.app.gate.batch import Batch
from holdgate_workers.app.gate.deciding import Decider
from holdgate_workers.app.gate.effects import Unavailable
from holdgate_workers.app.gate.incoming import Incoming
from holdgate_workers.app.ordering import next_step as booking_saga
from holdgate_workers.app.ordering import protocol as converting
from holdgate_workers.app.ordering.facts import Create, Facts, Run, Terms
from holdgate_workers.app.ordering.next_step import Ask, Step
from holdgate_workers.app.relay.relay import Position
from holdgate_workers.app.tasks.tasks import Plan, plan
from holdgate_workers.domain import decide
from holdgate_workers.domain.bookings import conversion, order_events
from holdgate_workers.domain.bookings import steps as booking_steps
from holdgate_workers.domain.bookings.booking import Booking, HoldQuote
from holdgate_workers.domain.decision import Decision
from holdgate_workers.domain.draft import Draft
from holdgate_workers.domain.occurrences.occurrence import Hold, Occurrence, WaitEntry
from holdgate_workers.domain.pricing import quotes as quoting
from holdgate_workers.domain.settings.settings import HoldRules
from holdgate_workers.domain.waitlist import offers as offering

from . import transaction as transactions
from .desks import FeederWorker, asked_for
from .mutants import Plant
from .mutants import _replace as replaced
from .task_tables import PLANNERS, TaskTables, decided_row

# --- holds and bookings -----------------------------------------------------------------------------------------


def converting_hold_expirable(plant: Plant) -> None:
    """The time of a hold goes on while its order is being made."""

    def due(self: Occurrence, now: datetime) -> Iterator[Hold]:
        over = [hold for hold in self.holds.values() if hold.expires_at <= now]
        return iter(sorted(over, key=lambda hold: hold.expires_at))

    replaced(plant, Occurrence, "due", due)
    _ends_anything(plant)


def late_conversion_not_refused(plant: Plant) -> None:
    """A hold that nobody has expired yet can be converted, whatever the time is."""
    original = conversion.convert

    def convert(draft: Draft, occurrence: Occurrence, command: Any) -> Decision:
        hold = occurrence.holds.get(command.hold_id)
        if hold is None or hold.state != "active" or hold.expires_at > draft.context.now:
            return original(draft, occurrence, command)
        before = draft.context
        draft.context = _at(before, hold.created_at)
        decision = original(draft, occurrence, command)
        decision.answer = replace(decision.answer, decided_at=before.now)
        return decision

    _ruled(plant, ConvertBooking, convert)


def quote_not_honoured(plant: Plant) -> None:
    """Nobody compares the price that the buyer agreed to with the hold's."""
    replaced(plant, conversion, "_other_price", lambda draft, quote, command: None)


def price_of_another_basket(plant: Plant) -> None:
    """A price counts for the hold, whatever is in it by now."""
    original = quoting.price

    def price(draft: Draft, occurrence: Occurrence, command: Any) -> Decision:
        hold = occurrence.holds.get(command.hold_id)
        if hold is not None:
            command = replace(command, items=hold.items, extras=hold.extras)
        return original(draft, occurrence, command)

    _ruled(plant, PriceHold, price)


def compensation_run_twice(plant: Plant) -> None:
    """Each time that an order's end is heard of, everything is given back."""

    def _order_is_over(draft: Draft, occurrence: Occurrence, booking: Booking, *rest: Any) -> Decision:
        if booking.state not in ("failed", "cancelled"):
            return original(draft, occurrence, booking, *rest)
        hold = booking_steps.hold_of(draft, occurrence, booking.hold_id)
        if hold is not None:
            draft.take({pool: -taken for pool, taken in hold.draws.items()})
        return booking_steps.changed(draft, booking)

    original = order_events._order_is_over
    replaced(plant, order_events, "_order_is_over", _order_is_over)


def voucher_not_given_back(plant: Plant) -> None:
    """A voucher stays redeemed, whatever becomes of the booking."""
    original = booking_steps.claim_voucher

    def claim_voucher(draft: Draft, quote: HoldQuote, uses: int) -> None:
        if uses > 0:
            original(draft, quote, uses)

    replaced(plant, booking_steps, "claim_voucher", claim_voucher)


def full_refund_forgotten(plant: Plant) -> None:
    """That all of the money went back is looked at only when it is told."""
    replaced(plant, Booking, "is_given_back", property(lambda self: False))


def partial_refund_forgotten(plant: Plant) -> None:
    """What is owed is what was paid, whatever went back before."""
    replaced(plant, Booking, "kept", property(lambda self: self.paid))


def refused_money_not_told(plant: Plant) -> None:
    """A conversion is refused, and nobody hears that it was paid."""
    replaced(plant, decide, "tell_refused_payment", lambda *_, **__: None)


def order_event_out_of_order(plant: Plant) -> None:
    """Whatever the shop says is taken for the latest."""

    class Newer(tuple[Any, ...]):
        def __ge__(self, other: object) -> bool:
            return False

    def _place(status: OrderStatus, changed_at: datetime) -> Newer:
        return Newer((changed_at, status))

    replaced(plant, order_events, "_place", _place)


# --- the orders worker --------------------------------------------------------------------------------------------


def order_retried_without_search(plant: Plant) -> None:
    """What was sent and not answered is sent again."""
    original = booking_saga.next_step

    def next_step(facts: Facts, terms: Terms, run: Run) -> Step:
        step = original(facts, terms, run)
        if isinstance(step, Ask) and isinstance(step.call, Create):
            return Ask(Create(step.call.order, sent_before=False))
        return step

    replaced(plant, converting, "next_step", next_step)


def call_not_written_down_first(plant: Plant) -> None:
    """That an order was asked for is written down when there is an answer: who crashes before has asked nothing."""
    replaced(plant, converting, "begun", lambda saga, call: saga)
    replaced(plant, converting, "CHANGING", ())


# --- what is said -------------------------------------------------------------------------------------------------


def second_answer_to_a_loser(plant: Plant) -> None:
    """Whoever settles too late answers the client, too."""
    original = Batch.add

    def add(self: Batch, item: Incoming, decision: Decision) -> None:
        original(self, item, decision)
        if decision.answers is None and getattr(item.command, "answers", None) is not None:
            self.reply(item, self.known[item.request_id or ""])

    replaced(plant, Batch, "add", add)


def loser_answered_when_repeated(plant: Plant) -> None:
    """What came too late to be a second answer becomes one when it comes again."""
    replaced(plant, deciding, "_answered_by", lambda item: [])


def seal_unchecked(plant: Plant) -> None:
    """Whoever may publish may say how a conversion ended."""
    replaced(plant, Decider, "_is_sealed", lambda self, item: True)


# --- lines --------------------------------------------------------------------------------------------------------


def offer_without_holding(plant: Plant) -> None:
    """An offer is made and nothing is counted for it: somebody else can have the seats, too."""
    original = offering._offer

    def _offer(draft: Draft, occurrence: Occurrence, entry: WaitEntry, rules: HoldRules) -> bool:
        if not original(draft, occurrence, entry, rules):
            return False
        draft.take({pool: -taken for pool, taken in draft.holds[-1].draws.items()})
        return True

    replaced(plant, offering, "_offer", _offer)


def last_come_first_served(plant: Plant) -> None:
    """Whoever joins stands in front."""

    def stand(self: Occurrence, entry: WaitEntry) -> None:
        self.waiting.pop(entry.id, None)
        if entry.state == "waiting":
            self.waiting = {entry.id: entry, **self.waiting}

    replaced(plant, Occurrence, "stand", stand)


def line_forgotten_when_seats_free(plant: Plant) -> None:
    """Only who comes to take something serves the line first."""
    replaced(plant, decide, "serve_after", lambda draft, occurrence, command, decision: None)


# --- carts and tasks ----------------------------------------------------------------------------------------------


def cart_not_released_after_a_crash(plant: Plant) -> None:
    """Only whoever finds that a cart is refused gives its legs back; who comes later tells the buyer."""
    original, judging = carts.next_step, set[str]()

    def next_step(cart: Cart, seen: Seen) -> Any:
        step = original(cart, seen)
        if isinstance(step, Judge):
            judging.add(cart.id)
        elif isinstance(step, GiveBack):
            if cart.id not in judging:
                assert cart.verdict is not None
                return Settle(cart.verdict)
            judging.discard(cart.id)
        return step

    replaced(plant, cart_saga, "next_step", next_step)


def tasks_cursor_moved_first(plant: Plant) -> None:
    """The cursor is moved in a transaction of its own, and what follows is written in the next one."""

    def feed(self: FeederWorker) -> Generator[Any, Any, Any]:
        rows: Any = yield "move"
        if isinstance(rows, Unavailable) or not rows:
            return rows if isinstance(rows, Unavailable) else 0
        yield plan((*PLANNERS, asked_for), [row for row in map(decided_row, rows) if row.events])
        return len(rows)

    def perform(self: FeederWorker, effect: Any) -> None:
        tables = self.site.tasks
        self.ask(_written, tables, effect) if isinstance(effect, Plan) else self.ask(_moved, tables)

    replaced(plant, FeederWorker, "_feed", feed)
    replaced(plant, FeederWorker, "perform", perform)


def _moved(tables: TaskTables, answer: Any) -> None:
    rows, end = tables.database.rows_after(tables.cursor, 20)
    tables.cursor = max(tables.cursor, end) if rows else Position(tables.cursor.xid, tables.cursor.id)
    answer(rows)


def _written(tables: TaskTables, planned: Plan, answer: Any) -> None:
    tables.keep(planned)
    answer(None)


def _ruled(plant: Plant, command: type, rule: Any) -> None:
    assert command in decide._RULES, f"{command.__name__} has no rule any more: plant this mutant anew"
    replaced(plant, decide, "_RULES", {**decide._RULES, command: rule})


def _at(context: Any, now: datetime) -> Any:
    fields = {name: getattr(context, name) for name in type(context).__slots__}
    return type(context)(**(fields | {"now": now}))


def _ends_anything(plant: Plant) -> None:
    """A draft ends holds in any state, and the rows let it."""
    end = Draft.end

    def careless(self: Draft, hold: Hold, state: Any) -> Hold:
        return end(self, replace(hold, state="active"), state)

    replaced(plant, Draft, "end", careless)
    replaced(plant, transactions, "_may_move", lambda before, after: True)
