"""Pricing after the decision: what is to be priced, which price it gets, and what the gate is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace as changed
from tests.support.pricing import ADULT, FREE, a_product, a_ticket, an_occasion, quoted

from holdgate_schema.answers.holds import HoldView
from holdgate_schema.codec import BODY_BYTES_MAX, decode_command, encode
from holdgate_schema.commands.selling import PriceHold, Pricing, PutQuote
from holdgate_schema.events.holds import Event, HoldChanged, HoldCreated, HoldExpired
from holdgate_schema.events.selling import QuoteRequested, WaitlistOffered
from holdgate_schema.values.products import EarlyBird, PriceRules, Voucher
from holdgate_schema.values.quotes import PriceStep, QuoteLine
from holdgate_schema.values.views import QuoteRef
from holdgate_workers.app.ports import Outgoing, PublishProblem
from holdgate_workers.app.pricing.quoting import (
    PROBLEMS_MAX,
    HoldSeen,
    KeptQuote,
    PriceLook,
    Wanted,
    bounded,
    hold_command,
    priced,
)
from holdgate_workers.app.pricing.tasks import PRICE_HOLD, PRICE_QUOTE, PricingHandler, pricing_tasks
from holdgate_workers.app.seals import SEAL_HEADER, Seals
from holdgate_workers.app.tasks.tasks import Again, DecidedRow, Done, NewTask, Task

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
HOLD = "4f7d6b1e-0c55-4f0a-9a53-2f8f3f0f7c01"
OTHER = "4f7d6b1e-0c55-4f0a-9a53-2f8f3f0f7c02"
SEALS = Seals(b"0123456789abcdef")
PRODUCT = a_product(ticket_types=a_ticket(2500))
WISH = msgspec.json.encode(Pricing(payment_method="card", voucher="WINTER-26"))


# --- what is to be priced ---------------------------------------------------------------------------------------


def hold(hold_id: str = HOLD, **fields: Any) -> HoldView:
    values: dict[str, Any] = {
        "hold_id": hold_id,
        "occurrence_id": "occ-1",
        "session_id": "s",
        "state": "active",
        "items": {"adult": 2},
        "seats": 2,
        "created_at": NOON,
        "expires_at": NOON + timedelta(minutes=15),
    }
    return HoldView(**(values | fields))


def told(kind: type, **fields: Any) -> Event:
    head = {"event_id": "r/0", "occurrence_id": "occ-1", "version": 3, "occurred_at": NOON}
    event: Event = kind(**head, **fields)
    return event


def row(*events: Event, **fields: Any) -> DecidedRow:
    values: dict[str, Any] = {
        "request_id": HOLD,
        "kind": "hold.place.v1",
        "outcome": "held",
        "occurrence_id": "occ-1",
        "version": 3,
        "session_id": "s",
        "hold_id": HOLD,
        "events": events,
        "decided_at": NOON,
    }
    return DecidedRow(**(values | fields))


def planned(given: DecidedRow) -> list[NewTask]:
    found = list(pricing_tasks(given))
    assert all(isinstance(task, NewTask) for task in found)
    return [task for task in found if isinstance(task, NewTask)]


def test_a_hold_whose_price_was_asked_for_is_priced_with_its_wish_and_answered() -> None:
    (task,) = planned(row(told(HoldCreated, hold=hold()), wish=WISH, reply_to="q", correlation_id="c"))
    wanted = task.payload["wanted"]
    assert (task.kind, task.reply_to, task.correlation_id) == (PRICE_HOLD, "q", "c")
    assert (wanted.is_asked, wanted.pricing.voucher, wanted.hold_id) == (True, "WINTER-26", HOLD)
    assert wanted.decided_at == NOON


def test_a_hold_that_nobody_asked_about_is_priced_without_an_answer() -> None:
    (task,) = planned(row(told(HoldCreated, hold=hold()), reply_to="q", correlation_id="c"))
    assert (task.reply_to, task.payload["wanted"].is_asked) == (None, False)


def test_each_change_is_another_task_and_the_same_row_is_always_the_same_one() -> None:
    change = row(told(HoldChanged, hold=hold(items={"adult": 3})), request_id=OTHER)
    keys = [task.key for given in (row(told(HoldCreated, hold=hold())), change, change) for task in planned(given)]
    assert len(keys) == 3
    assert len(set(keys)) == 2


def test_a_wish_is_only_for_its_own_hold() -> None:
    """Seats that came free in somebody's change were offered to others: those have not asked for any voucher."""
    events = [
        told(HoldChanged, hold=hold(items={"adult": 1})),
        told(HoldCreated, hold=hold(OTHER)),
        told(WaitlistOffered, hold=hold(OTHER), entry_id=OTHER),
    ]
    own, offered = planned(row(*events, wish=WISH, reply_to="q", correlation_id="c"))
    assert (own.payload["wanted"].is_asked, own.reply_to) == (True, "q")
    assert (offered.payload["wanted"].is_asked, offered.reply_to) == (False, None)
    assert offered.payload["wanted"].pricing == Pricing()


@pytest.mark.parametrize(
    "event",
    [
        told(HoldExpired, hold=hold(state="expired")),
        told(HoldCreated, hold=hold(state="converting")),
        told(HoldCreated, hold=hold(quote=QuoteRef(hash="0" * 64, currency="EUR", total=1))),
    ],
)
def test_what_has_a_price_or_needs_none_is_left_alone(event: Event) -> None:
    assert planned(row(event)) == []


def test_a_price_without_a_hold_is_a_task_of_its_kind() -> None:
    event = told(QuoteRequested, product_id="p", items={"adult": 1})
    (task,) = planned(row(event, wish=WISH, reply_to="q", hold_id=None))
    assert (task.kind, task.reply_to, task.payload["wanted"].hold_id) == (PRICE_QUOTE, "q", None)


# --- which price ------------------------------------------------------------------------------------------------


def wanted(**fields: Any) -> Wanted:
    values: dict[str, Any] = {
        "request_id": HOLD,
        "occurrence_id": "occ-1",
        "version": 3,
        "decided_at": NOON,
        "items": {"adult": 2},
        "hold_id": HOLD,
        "is_asked": True,
    }
    return Wanted(**(values | fields))


def look(**fields: Any) -> PriceLook:
    values: dict[str, Any] = {
        "read_at": NOON + timedelta(seconds=1),
        "fees": FREE,
        "product_id": PRODUCT.product_id,
        "product": PRODUCT,
        "occasion": an_occasion(),
        "hold": HoldSeen("active", is_changed=False),
    }
    return PriceLook(**(values | fields))


def kept(*, until: datetime | None = NOON, **fields: Any) -> KeptQuote:
    quote = quoted(a_product(ticket_types=a_ticket(1000)), 2, method="card")
    return KeptQuote(changed(quote, **fields), until)


def naming(quote: KeptQuote, **terms: Any) -> Wanted:
    return wanted(pricing=Pricing(quote_hash=quote.quote.hash, **terms))


def test_a_quote_that_is_still_valid_is_used_as_it_is() -> None:
    earlier = kept()
    found = priced(naming(earlier), look(earlier=earlier))
    assert (found.quote, found.outdated_hash) == (earlier.quote, None)


def test_a_quote_is_valid_by_the_instant_of_the_hold_not_by_that_of_the_pricing() -> None:
    earlier = kept(until=NOON)
    late = look(earlier=earlier, read_at=NOON + timedelta(hours=1))
    assert priced(naming(earlier), late).quote == earlier.quote


@pytest.mark.parametrize(
    ("earlier", "terms"),
    [
        (kept(until=NOON - timedelta(seconds=1)), {}),
        (kept(until=None), {}),
        (kept(occurrence_id="occ-2"), {}),
        (kept(items={"adult": 3}), {}),
        (kept(extras={"guide": 1}), {}),
        (kept(), {"payment_method": "invoice"}),
    ],
)
def test_an_outdated_quote_or_one_of_another_basket_is_not_honoured_and_remembered(
    earlier: KeptQuote, terms: dict[str, Any]
) -> None:
    found = priced(naming(earlier, **terms), look(earlier=earlier))
    assert found.quote is not None
    assert found.quote.total == 5000
    assert found.outdated_hash == earlier.quote.hash


def test_an_unknown_quote_is_remembered_too_unless_the_price_is_the_same_again() -> None:
    assert priced(wanted(pricing=Pricing(quote_hash="0" * 64)), look()).outdated_hash == "0" * 64
    again = priced(wanted(), look()).quote
    assert again is not None
    assert priced(wanted(pricing=Pricing(quote_hash=again.hash)), look()).outdated_hash is None


def test_the_terms_of_an_outdated_quote_are_kept_where_nothing_else_is_said() -> None:
    earlier = kept(until=None)
    found = priced(naming(earlier), look(earlier=earlier))
    assert found.quote is not None
    assert found.quote.payment_method == "card"


def test_the_price_is_that_of_the_instant_of_the_hold() -> None:
    early = a_product(
        PriceRules(early_bird=EarlyBird(days_before=30, discount_percent=50)), ticket_types=a_ticket(2500)
    )
    seen = look(product=early, occasion=an_occasion(booked="2020-01-01T10:00"))
    now, then = priced(wanted(), seen), priced(wanted(decided_at=NOON - timedelta(days=60)), seen)
    assert now.quote is not None
    assert then.quote is not None
    assert (now.quote.total, then.quote.total) == (5000, 2500)


@pytest.mark.parametrize(
    ("seen", "what"),
    [
        (look(product=None), "order.product"),
        (look(occasion=None, product=None, product_id=None), "order.product"),
        (look(voucher=None), "voucher.WINTER-26"),
    ],
)
def test_what_is_not_there_is_a_problem_and_never_free(seen: PriceLook, what: str) -> None:
    found = priced(wanted(pricing=Pricing(voucher="WINTER-26")), seen)
    assert found.quote is None
    assert f"{found.problems[0].what}.{found.problems[0].key}" == what


def test_a_voucher_goes_with_its_limit() -> None:
    voucher = Voucher(code="WINTER-26", percent=10, uses_max=7)
    asked = wanted(pricing=Pricing(voucher="WINTER-26"))
    command = hold_command(asked, priced(asked, look(voucher=voucher)), voucher)
    assert (command.voucher, command.voucher_uses_max) == ("WINTER-26", 7)
    assert command.quote is not None
    assert command.quote.total == 4500


def test_so_many_problems_are_told_and_the_message_stays_within_bounds() -> None:
    items = {f"{'x' * 45}{number:02}": 1 for number in range(50)}
    known = a_product(ticket_types=[changed(ADULT, key=f"{'y' * 45}{number:02}") for number in range(50)])
    command = hold_command(wanted(items=items), priced(wanted(items=items), look(product=known)), None)
    assert len(command.problems) == PROBLEMS_MAX
    assert len(encode(bounded(command))) <= BODY_BYTES_MAX


def test_a_quote_that_is_too_long_goes_without_its_lines() -> None:
    quote = quoted(PRODUCT, 2)
    step = PriceStep(rule="other", label="l" * 100, amount="1")
    lines = [QuoteLine(kind="ticket", label="l" * 100, amount=1, key="adult", steps=[step] * 20)] * 20
    found = priced(wanted(), look(earlier=KeptQuote(quote, NOON)))
    command = hold_command(wanted(), changed(found, quote=changed(quote, lines=lines)), None)
    assert len(encode(command)) > BODY_BYTES_MAX
    short = bounded(command)
    assert len(encode(short)) <= BODY_BYTES_MAX
    assert short.quote is not None
    assert (short.quote.lines, short.quote.hash, short.quote.total) == ([], quote.hash, quote.total)
    small = hold_command(wanted(), priced(wanted(), look()), None)
    assert bounded(small) is small


# --- the handler ------------------------------------------------------------------------------------------------


@dataclass
class Rows:
    seen: PriceLook
    kept: list[tuple[str, datetime | None]] = field(default_factory=list)
    closed: int = 0

    def look(self, _: Wanted) -> PriceLook:
        return self.seen

    def keep(self, quote: Any, valid_until: datetime | None) -> None:
        self.kept.append((quote.hash, valid_until))

    def close(self) -> None:
        self.closed += 1


@dataclass
class Line:
    problem: str | None = None
    sent: list[Outgoing] = field(default_factory=list)
    closed: int = 0
    unconfirmed = 0
    blocked = False

    def publish(self, messages: Sequence[Outgoing]) -> Line:
        self.sent += messages
        return self

    is_settled = True

    def on_settled(self, callback: Any) -> None:
        callback()

    def wait(self, timeout_seconds: float) -> Sequence[PublishProblem]:
        assert timeout_seconds > 0
        return [] if self.problem is None else [PublishProblem(self.sent[-1], self.problem)]

    def close(self, timeout_seconds: float) -> None:
        assert timeout_seconds > 0
        self.closed += 1


def task_of(given: Wanted, **fields: Any) -> Task:
    values: dict[str, Any] = {
        "id": 1,
        "role": "pricing",
        "kind": PRICE_HOLD,
        "key": "k",
        "payload": {"wanted": msgspec.json.decode(msgspec.json.encode(given))},
        "reply_to": "q" if given.is_asked else None,
        "correlation_id": "c" if given.is_asked else None,
        "created_at": NOON,
        "due_at": NOON,
        "last_error": None,
        "attempts": 1,
        "claimed_by": "w",
        "claimed_until": NOON,
    }
    return Task(**(values | fields))


def handled(given: Wanted, seen: PriceLook, line: Line, kind: str = PRICE_HOLD) -> tuple[Any, Rows]:
    rows = Rows(seen)
    handler = PricingHandler(kind, rows, line, SEALS)
    outcome = handler.handle(task_of(given))
    handler.close()
    assert (rows.closed, line.closed) == (1, 1)
    return outcome, rows


def test_the_quote_is_kept_before_the_gate_is_told_under_seal() -> None:
    line = Line()
    outcome, rows = handled(wanted(), look(), line)
    assert outcome == Done()
    (message,) = line.sent
    command = decode_command(message.body)[0]
    assert isinstance(command, PriceHold)
    assert command.quote is not None
    assert rows.kept == [(command.quote.hash, None)]
    assert (command.answers, command.hold_id, command.items) == (HOLD, HOLD, {"adult": 2})
    assert SEALS.is_sealed(message.body, message.properties.headers[SEAL_HEADER])
    assert (message.properties.reply_to, message.properties.correlation_id) == ("q", "c")


def test_a_quote_without_a_hold_is_valid_for_fifteen_minutes_from_now() -> None:
    line = Line()
    _, rows = handled(wanted(hold_id=None), look(hold=None), line, PRICE_QUOTE)
    command = decode_command(line.sent[0].body)[0]
    assert isinstance(command, PutQuote)
    until = NOON + timedelta(minutes=15, seconds=1)
    assert command.valid_until == until
    assert [valid_until for _, valid_until in rows.kept] == [until]


def test_doing_it_again_says_the_same_under_the_same_id_or_nothing_at_all() -> None:
    """A worker that died before it could say that it was done; another one that was slow."""
    first, second, third = Line(), Line(), Line()
    handled(wanted(), look(), first)
    handled(wanted(), look(), second)
    assert first.sent == second.sent
    outcome, rows = handled(wanted(), look(is_answered=True), third)
    assert (outcome, third.sent, rows.kept) == (Done(), [], [])


@pytest.mark.parametrize(
    "gone", [None, HoldSeen("released", is_changed=False), HoldSeen("active", is_changed=True)]
)
def test_a_hold_that_is_gone_or_changed_is_left_alone_unless_somebody_waits(gone: HoldSeen | None) -> None:
    quiet, asked = Line(), Line()
    outcome, rows = handled(wanted(is_asked=False), look(hold=gone), quiet)
    assert (outcome, quiet.sent, rows.kept) == (Done(), [], [])
    handled(wanted(), look(hold=gone), asked)
    command = decode_command(asked.sent[0].body)[0]
    assert isinstance(command, PriceHold)
    assert (command.quote, command.answers) == (None, HOLD)


def test_what_has_no_price_is_only_told_to_whoever_waits() -> None:
    quiet, asked = Line(), Line()
    handled(wanted(is_asked=False), look(product=None), quiet)
    assert quiet.sent == []
    handled(wanted(), look(product=None), asked)
    command = decode_command(asked.sent[0].body)[0]
    assert isinstance(command, PriceHold)
    assert [problem.key for problem in command.problems] == ["product"]


def test_what_the_broker_did_not_take_is_tried_again() -> None:
    outcome, _ = handled(wanted(), look(), Line(problem="nacked"))
    assert isinstance(outcome, Again)
    assert "nacked" in outcome.error


def test_holds_and_quotes_are_two_kinds_and_no_third() -> None:
    with pytest.raises(AssertionError):
        PricingHandler("order.create", Rows(look()), Line(), SEALS)
    assert replace(task_of(wanted()), kind=PRICE_QUOTE).kind == PRICE_QUOTE


def test_a_change_that_asks_for_nothing_keeps_what_the_owner_asked_for_before() -> None:
    before = Pricing(payment_method="card")
    seen = look(hold=HoldSeen("active", is_changed=False, terms=before))
    found = priced(wanted(is_asked=False), seen)
    assert found.quote is not None
    assert found.quote.payment_method == "card"


def test_what_is_asked_for_now_replaces_what_was_asked_for_before() -> None:
    seen = look(hold=HoldSeen("active", is_changed=False, terms=Pricing(payment_method="card")))
    found = priced(wanted(pricing=Pricing()), seen)
    assert found.quote is not None
    assert found.quote.payment_method is None
