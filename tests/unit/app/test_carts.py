"""Carts: what comes next in every state, who is made to look when, and that a look can be repeated and cut off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.carts import SEALS

from holdgate_schema.answers.holds import FieldProblem, HoldState, HoldView
from holdgate_schema.codec import decode_command, encode
from holdgate_schema.commands.holds import Command
from holdgate_schema.commands.selling import CartLeg, HoldCartLeg, ReleaseCartLeg, SettleCart
from holdgate_schema.events.holds import Event, HoldCreated, HoldExpired, HoldReleased
from holdgate_schema.events.selling import CartBegun, CartLegRefused, CartSettled
from holdgate_workers.app.carts.next_step import (
    MESSAGE_CHARS_MAX,
    Answered,
    Cart,
    Ended,
    GiveBack,
    Judge,
    LegSeen,
    Seen,
    Settle,
    TakeLeg,
    Verdict,
    cart_of,
    commands,
    hold_id_of,
    hold_ids,
    next_step,
    progress,
    seen_of,
    settle_id_of,
)
from holdgate_workers.app.carts.protocol import (
    ADVANCE,
    RECONCILE,
    RECONCILE_AFTER_SECONDS,
    CartHandler,
    Look,
    cart_tasks,
)
from holdgate_workers.app.ports import Outgoing, PublishProblem
from holdgate_workers.app.tasks.tasks import Again, CancelTask, Dead, DecidedRow, Done, NewTask, Task, TaskOutcome

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
CART = "11111111-0000-4000-8000-000000000001"
BEGUN = CartBegun(
    event_id=f"{CART}/0",
    occurrence_id="c",
    version=7,
    occurred_at=NOON,
    cart_id=CART,
    session_id="ann",
    legs=[CartLeg(occurrence_id=key, items={"adult": 2}) for key in ("c", "a", "b")],
    ttl_seconds=600,
)
A_CART = cart_of(BEGUN, reply_to="replies", correlation_id="theirs", verdict=None)
HELD = Verdict(outcome="held")
REFUSED = Verdict(outcome="refused", occurrence_id="b", reason="sold_out", message="Not enough is left")

waiting = LegSeen()
taken = LegSeen(outcome="held", hold="active")
sold_out = LegSeen(outcome="refused", reason="sold_out", message="Not enough is left")


def ended(state: HoldState) -> LegSeen:
    return LegSeen(outcome="held", hold=state)


def seen(a: LegSeen, b: LegSeen, c: LegSeen, *, settled: bool = False) -> Seen:
    return Seen(legs={"a": a, "b": b, "c": c}, is_settled=settled)


def leg(key: str) -> CartLeg:
    return next(leg for leg in A_CART.legs if leg.occurrence_id == key)


def judged(verdict: Verdict) -> Cart:
    return replace(A_CART, verdict=verdict)


# --- what comes next --------------------------------------------------------------------------------------------


def test_the_legs_are_taken_in_the_order_that_all_carts_share_whatever_the_buyer_said() -> None:
    assert [leg.occurrence_id for leg in A_CART.legs] == ["a", "b", "c"]
    assert next_step(A_CART, seen(waiting, waiting, waiting)) == TakeLeg(leg("a"))


@pytest.mark.parametrize(
    ("found", "key"),
    [(seen(taken, waiting, waiting), "b"), (seen(taken, taken, waiting), "c"), (seen(waiting, taken, taken), "a")],
)
def test_the_first_leg_without_an_answer_is_the_next_one(found: Seen, key: str) -> None:
    assert next_step(A_CART, found) == TakeLeg(leg(key))


def test_a_leg_is_not_asked_for_before_the_one_before_it_is_answered_even_if_that_has_ended_meanwhile() -> None:
    """What was sent must be answered before anything is judged: else it could be taken after all was given back."""
    assert next_step(A_CART, seen(ended("expired"), waiting, waiting)) == TakeLeg(leg("b"))


@pytest.mark.parametrize("found", [seen(taken, sold_out, waiting), seen(ended("expired"), sold_out, waiting)])
def test_a_refused_leg_ends_the_cart_with_its_reason(found: Seen) -> None:
    assert next_step(A_CART, found) == Judge(REFUSED)


def test_the_first_refused_leg_is_the_one_that_is_told() -> None:
    found = seen(LegSeen(outcome="refused", reason="not_on_sale", message="no"), sold_out, waiting)
    assert next_step(A_CART, found) == Judge(
        Verdict(outcome="refused", occurrence_id="a", reason="not_on_sale", message="no")
    )


def test_a_long_message_is_cut_to_what_a_command_may_carry() -> None:
    told = LegSeen(outcome="refused", reason="unknown_ticket", message="x" * 1000)
    step = next_step(A_CART, seen(told, waiting, waiting))
    assert isinstance(step, Judge)
    assert len(step.verdict.message) == MESSAGE_CHARS_MAX
    [settle] = commands(A_CART, Settle(step.verdict))
    assert decode_command(encode(settle))[0] == settle


@pytest.mark.parametrize("state", ["active", "converting", "confirmed"])
def test_a_cart_is_held_when_the_last_leg_is_answered_and_every_hold_is_alive(state: HoldState) -> None:
    assert next_step(A_CART, seen(ended(state), taken, taken)) == Judge(HELD)


@pytest.mark.parametrize("state", ["released", "expired", "cancelled"])
def test_a_hold_that_has_ended_before_the_last_leg_was_answered_refuses_the_cart(state: HoldState) -> None:
    step = next_step(A_CART, seen(taken, ended(state), taken))
    assert isinstance(step, Judge)
    assert (step.verdict.outcome, step.verdict.occurrence_id, step.verdict.reason) == (
        "refused",
        "b",
        "hold_final",
    )
    assert state in step.verdict.message


def test_a_cart_that_is_judged_as_held_is_settled_whatever_becomes_of_its_holds_later() -> None:
    for found in (seen(taken, taken, taken), seen(taken, ended("expired"), taken)):
        assert next_step(judged(HELD), found) == Settle(HELD)


def test_every_leg_that_is_held_is_given_back_before_the_buyer_is_told() -> None:
    found = seen(taken, sold_out, waiting)
    assert next_step(judged(REFUSED), found) == GiveBack((leg("a"),))
    found = seen(taken, ended("expired"), taken)
    assert next_step(judged(REFUSED), found) == GiveBack((leg("a"), leg("c")))


def test_the_buyer_is_told_once_nothing_is_held_any_more() -> None:
    for state in ("released", "expired", "cancelled"):
        assert next_step(judged(REFUSED), seen(ended(state), sold_out, waiting)) == Settle(REFUSED)


@pytest.mark.parametrize("state", ["converting", "confirmed"])
def test_a_leg_that_its_owner_has_bought_meanwhile_stays_his(state: HoldState) -> None:
    assert next_step(judged(REFUSED), seen(ended(state), sold_out, waiting)) == Settle(REFUSED)


def test_a_settled_cart_has_ended_for_good() -> None:
    for verdict in (HELD, REFUSED):
        assert next_step(judged(verdict), seen(taken, taken, taken, settled=True)) == Ended(verdict)


def test_asking_twice_says_the_same_words_under_the_same_ids() -> None:
    for cart, found in (
        (A_CART, seen(waiting, waiting, waiting)),
        (judged(REFUSED), seen(taken, ended("expired"), taken)),
        (judged(REFUSED), seen(sold_out, waiting, waiting)),
        (judged(HELD), seen(taken, taken, taken)),
    ):
        step = next_step(cart, found)
        assert isinstance(step, TakeLeg | GiveBack | Settle)
        assert commands(cart, step) == commands(cart, step)


def test_the_commands_say_what_the_cart_says() -> None:
    [hold] = commands(A_CART, TakeLeg(leg("a")))
    assert hold == HoldCartLeg(
        request_id=hold_id_of(CART, "a"),
        occurrence_id="a",
        cart_id=CART,
        items={"adult": 2},
        session_id="ann",
        ttl_seconds=600,
    )
    [release] = commands(A_CART, GiveBack((leg("a"),)))
    assert isinstance(release, ReleaseCartLeg)
    assert (release.occurrence_id, release.hold_id, release.session_id) == ("a", hold.request_id, "ann")
    [settle] = commands(A_CART, Settle(HELD))
    assert isinstance(settle, SettleCart)
    assert (settle.occurrence_id, settle.answers, settle.hold_ids) == ("c", CART, hold_ids(A_CART))
    [settle] = commands(A_CART, Settle(REFUSED))
    assert isinstance(settle, SettleCart)
    assert (settle.hold_ids, settle.refused_occurrence_id, settle.reason) == ({}, "b", "sold_out")


def test_what_has_become_of_each_leg_is_shown_in_a_word() -> None:
    found = seen(ended("released"), sold_out, waiting)
    assert progress(A_CART, found) == {"a": "released", "b": "refused", "c": "waiting"}


def test_rows_are_read_by_the_ids_that_follow_from_the_cart() -> None:
    answers = {
        hold_id_of(CART, "a"): Answered("held"),
        hold_id_of(CART, "b"): Answered("refused", "sold_out", "Not enough is left"),
        "somebody else's": Answered("held"),
    }
    found = seen_of(A_CART, answers, {hold_id_of(CART, "a"): "active", "somebody else's": "active"})
    assert found == seen(taken, sold_out, waiting)
    assert seen_of(A_CART, {**answers, settle_id_of(CART): Answered("refused")}, {}).is_settled


# --- who is made to look when -----------------------------------------------------------------------------------


def row(kind: str, *events: Event, hold_id: str | None = None) -> DecidedRow:
    return DecidedRow(
        request_id="r1",
        kind=kind,
        outcome="",
        occurrence_id="a",
        version=1,
        session_id=None,
        hold_id=hold_id,
        events=events,
        decided_at=NOON,
    )


def of_hold(event: Callable[..., Event], *, cart_id: str | None = CART, **fields: Any) -> Event:
    hold = HoldView(
        hold_id="h",
        occurrence_id="a",
        session_id="ann",
        state="active",
        items={"adult": 1},
        seats=1,
        created_at=NOON,
        expires_at=NOON,
        cart_id=cart_id,
    )
    return event(event_id="r1/0", occurrence_id="a", version=1, occurred_at=NOON, hold=hold, **fields)


def refused_leg() -> Event:
    return CartLegRefused(
        event_id="r1/0", occurrence_id="a", version=1, occurred_at=NOON, cart_id=CART, reason="x", message="x"
    )


def look(key: str) -> NewTask:
    return NewTask(role="orders", kind=ADVANCE, key=key, payload={"cart_id": CART})


def test_a_cart_that_begins_is_looked_at_at_once_and_again_until_it_is_settled() -> None:
    due_at = NOON + timedelta(seconds=RECONCILE_AFTER_SECONDS)
    later = NewTask(role="orders", kind=RECONCILE, key=CART, payload={"cart_id": CART}, due_at=due_at)
    assert list(cart_tasks(row("cart.place.v1", BEGUN))) == [look(CART), later]


def test_every_answer_about_a_leg_makes_somebody_look() -> None:
    for decided in (
        row("cart.hold.v1", of_hold(HoldCreated)),
        row("cart.hold.v1", refused_leg()),
        row("cart.release.v1", of_hold(HoldReleased, reason="compensation"), hold_id="h"),
        row("cart.release.v1", of_hold(HoldExpired, reason="touched_late"), hold_id="h"),
    ):
        assert list(cart_tasks(decided)) == [look(f"{CART}/r1")]


def test_a_settled_cart_is_looked_at_once_more_and_then_no_longer() -> None:
    settled = CartSettled(
        event_id="r1/0", occurrence_id="c", version=1, occurred_at=NOON, cart_id=CART, outcome="held"
    )
    assert list(cart_tasks(row("cart.settle.v1", settled))) == [CancelTask(RECONCILE, CART), look(f"{CART}/r1")]


def test_what_is_none_of_a_carts_business_makes_nobody_look() -> None:
    assert not list(cart_tasks(row("hold.place.v1", of_hold(HoldCreated, cart_id=None))))
    assert not list(cart_tasks(row("hold.sweep.v1", of_hold(HoldExpired))))
    assert not list(cart_tasks(row("hold.release.v1", of_hold(HoldReleased), hold_id="h")))


# --- the handler ------------------------------------------------------------------------------------------------


@dataclass
class Rows:
    """Rows that say what a test says."""

    found: Seen
    cart: Cart | None = A_CART
    stands: Verdict | None = None
    shown: list[tuple[str, Any]] = field(default_factory=list)
    closed: bool = False

    def look(self, cart_id: str) -> Look | None:
        assert cart_id == CART
        return None if self.cart is None else Look(self.cart, self.found)

    def write_verdict(self, cart: Cart, verdict: Verdict) -> Verdict:
        self.stands = self.stands or verdict
        return self.stands

    def show(self, cart: Cart, state: str, legs: Any) -> None:
        self.shown.append((state, legs))

    def close(self) -> None:
        self.closed = True


@dataclass
class Publishing:
    """A publisher that keeps what it was given, or fails."""

    problem: str | None = None
    messages: list[Outgoing] = field(default_factory=list)
    unconfirmed: int = 0
    blocked: bool = False
    closed: bool = False

    def publish(self, messages: Sequence[Outgoing]) -> Any:
        self.messages += messages
        return self

    def wait(self, timeout_seconds: float) -> list[PublishProblem]:
        return [] if self.problem is None else [PublishProblem(self.messages[0], self.problem, "why")]

    def close(self, timeout_seconds: float) -> None:
        self.closed = True


def handled(rows: Rows, publisher: Publishing, kind: str = ADVANCE) -> TaskOutcome:
    values: dict[str, Any] = dict.fromkeys(("id", "attempts"), 1)
    values |= dict.fromkeys(("created_at", "due_at", "claimed_until"), NOON)
    values |= dict.fromkeys(("reply_to", "correlation_id", "last_error"))
    task = Task(role="orders", kind=kind, key=CART, payload={"cart_id": CART}, claimed_by="me", **values)
    return CartHandler(kind, rows, publisher, SEALS).handle(task)


def sent(publisher: Publishing) -> list[Command]:
    return [decode_command(message.body)[0] for message in publisher.messages]


def test_a_leg_is_asked_for_under_seal_and_nobody_is_answered_yet() -> None:
    publisher = Publishing()
    rows = Rows(seen(waiting, waiting, waiting))
    assert handled(rows, publisher) == Done()
    assert sent(publisher) == commands(A_CART, TakeLeg(leg("a")))
    [message] = publisher.messages
    assert SEALS.is_sealed(message.body, message.properties.headers["holdgate-seal"])
    assert message.properties.reply_to is None
    assert rows.shown == [("placing", {"a": "waiting", "b": "waiting", "c": "waiting"})]


def test_the_last_command_goes_with_the_buyers_own_address() -> None:
    publisher = Publishing()
    rows = Rows(seen(taken, taken, taken))
    assert handled(rows, publisher) == Done()
    assert rows.stands == HELD
    assert sent(publisher) == commands(A_CART, Settle(HELD))
    [message] = publisher.messages
    assert (message.properties.reply_to, message.properties.correlation_id) == ("replies", "theirs")


def test_the_first_verdict_stands_whatever_a_later_look_would_have_said() -> None:
    publisher = Publishing()
    rows = Rows(seen(taken, taken, ended("expired")), stands=HELD)
    assert handled(rows, publisher) == Done()
    assert sent(publisher) == commands(A_CART, Settle(HELD))


def test_a_verdict_is_written_before_anything_is_given_back() -> None:
    publisher = Publishing()
    rows = Rows(seen(taken, sold_out, waiting))
    handled(rows, publisher)
    assert rows.stands == REFUSED
    assert sent(publisher) == commands(A_CART, GiveBack((leg("a"),)))


def test_what_was_not_confirmed_is_sent_again() -> None:
    outcome = handled(Rows(seen(waiting, waiting, waiting)), Publishing(problem="lost"))
    assert outcome == Again(None, "lost: why")


def test_reconciling_goes_on_until_the_cart_is_settled() -> None:
    outcome = handled(Rows(seen(taken, waiting, waiting)), Publishing(), RECONCILE)
    assert outcome == Again(None, "waits for the hold on 'b'")
    outcome = handled(Rows(seen(taken, sold_out, waiting), judged(REFUSED)), Publishing(), RECONCILE)
    assert outcome == Again(None, "waits for the release of 'a'")
    outcome = handled(Rows(seen(taken, taken, taken), judged(HELD)), Publishing(), RECONCILE)
    assert outcome == Again(None, "waits to be settled")
    rows, publisher = Rows(seen(taken, taken, taken, settled=True), judged(HELD)), Publishing()
    assert handled(rows, publisher, RECONCILE) == Done()
    assert not publisher.messages
    assert rows.shown == [("held", {"a": "active", "b": "active", "c": "active"})]


def test_a_cart_that_the_journal_does_not_know_is_for_a_person_to_look_at() -> None:
    assert isinstance(handled(Rows(seen(waiting, waiting, waiting), None), Publishing()), Dead)


def test_a_handler_closes_what_is_its_own() -> None:
    rows, publisher = Rows(seen(waiting, waiting, waiting)), Publishing()
    CartHandler(ADVANCE, rows, publisher, SEALS).close()
    assert rows.closed
    assert publisher.closed


def test_what_was_wrong_with_a_leg_is_passed_on_with_its_refusal() -> None:
    problem = FieldProblem(code="out_of_range", field="ttl_seconds", reason="is too long", pointer="/ttl_seconds")
    invalid = LegSeen(outcome="refused", reason="invalid", message="no", errors=[problem])
    step = next_step(A_CART, seen(invalid, waiting, waiting))
    assert isinstance(step, Judge)
    assert step.verdict.errors == [problem]
    [settling] = commands(A_CART, Settle(step.verdict))
    assert isinstance(settling, SettleCart)
    assert settling.errors == [problem]
