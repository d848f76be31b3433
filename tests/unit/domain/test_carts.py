"""Carts at the gate: begun and settled without touching a seat, legs that are holds, releases that can be repeated."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.carts import a_cart
from tests.support.domain import ANY_ID, KEYS, House, a_place, a_put, a_release, got

from holdgate_schema.answers.holds import FieldProblem, Held, Reason, Refused
from holdgate_schema.answers.selling import CartHeld, CartLegReleased, CartStarted
from holdgate_schema.commands.holds import Command
from holdgate_schema.commands.selling import CartLeg, HoldCartLeg, ReleaseCartLeg, SettleCart
from holdgate_schema.events.holds import Event, HoldCreated, HoldExpired, HoldReleased
from holdgate_schema.events.selling import CartBegun, CartLegRefused, CartSettled
from holdgate_workers.domain.decide import decide
from holdgate_workers.domain.decision import Decision

CART = a_cart("ann", "a", "b")
CART_ID = CART.request_id


@pytest.fixture
def house() -> House:
    house = House()
    for key in ("a", "b"):
        house.put(a_put(key, capacity=5))
    return house


def a_leg(occurrence_id: str = "a", seats: int = 1, **fields: Any) -> HoldCartLeg:
    defaults: dict[str, Any] = {"request_id": ANY_ID, "cart_id": CART_ID, "session_id": "ann"}
    defaults |= {"occurrence_id": occurrence_id, "items": {"adult": seats}}
    return HoldCartLeg(**(defaults | fields))


def a_giving_back(held: Held, **fields: Any) -> ReleaseCartLeg:
    defaults: dict[str, Any] = {"request_id": ANY_ID, "cart_id": CART_ID, "session_id": "ann"}
    about = {"occurrence_id": held.occurrence_id, "hold_id": held.hold.hold_id}
    return ReleaseCartLeg(**(defaults | about | fields))


def a_settling(outcome: Any, **fields: Any) -> SettleCart:
    return SettleCart(request_id=ANY_ID, occurrence_id="a", answers=CART_ID, outcome=outcome, **fields)


def last(house: House) -> Event:
    return house.events[-1]


def decided(house: House, command: Command) -> Decision:
    return decide(house.occurrences.get(command.occurrence_id), command, house.context())


# --- beginning ----------------------------------------------------------------------------------------------------


def test_a_cart_is_noted_and_nothing_is_taken(house: House) -> None:
    answer = got(CartStarted, house.send(CART))
    assert (answer.cart_id, answer.session_id, answer.occurrence_ids) == (CART_ID, "ann", ["a", "b"])
    assert last(house) == CartBegun(
        event_id=f"{CART_ID}/0",
        occurrence_id="a",
        version=answer.version,
        occurred_at=house.now,
        cart_id=CART_ID,
        session_id="ann",
        legs=CART.legs,
    )
    assert [house.pool("total", key).held for key in ("a", "b")] == [0, 0]


def test_a_second_answer_is_promised(house: House) -> None:
    assert decided(house, CART).wish is not None
    assert decided(house, replace(CART, occurrence_id="nowhere")).wish is None


def test_a_cart_without_a_session_gets_one_that_only_this_house_can_issue(house: House) -> None:
    answer = got(CartStarted, house.send(replace(CART, session_id=None)))
    assert answer.session_id == KEYS.issue(CART_ID)
    begun = last(house)
    assert isinstance(begun, CartBegun)
    assert begun.session_id == answer.session_id


def test_a_cart_goes_to_the_queue_of_its_first_leg(house: House) -> None:
    refused = house.refused(replace(CART, occurrence_id="b"), Reason.INVALID)
    assert [error.field for error in refused.errors] == ["occurrence_id"]


def test_an_occurrence_is_in_a_cart_once(house: House) -> None:
    legs = [CartLeg(occurrence_id=key, items={"adult": 1}) for key in ("a", "b", "a", "b")]
    refused = house.refused(replace(CART, legs=legs), Reason.INVALID)
    assert [error.field for error in refused.errors] == ["legs[2].occurrence_id", "legs[3].occurrence_id"]


def test_a_cart_whose_first_occurrence_nobody_knows_is_refused(house: House) -> None:
    house.refused(a_cart("bob", "nowhere", "a"), Reason.UNKNOWN_OCCURRENCE)


def test_a_cart_that_cannot_be_is_invalid_before_its_occurrence_is_looked_for(house: House) -> None:
    house.refused(a_cart("bob", "nowhere", "nowhere"), Reason.INVALID)


# --- the legs -----------------------------------------------------------------------------------------------------


def test_a_leg_is_a_hold_that_knows_its_cart(house: House) -> None:
    leg = a_leg(seats=2, user_id="u1", ttl_seconds=600, request_id=CART_ID)
    held = house.send(leg)
    assert isinstance(held, Held)
    assert (held.hold.hold_id, held.hold.cart_id, held.hold.session_id) == (CART_ID, CART_ID, "ann")
    assert (held.hold.seats, held.hold.user_id) == (2, "u1")
    assert (held.hold.expires_at - held.hold.created_at).total_seconds() == 600
    event = last(house)
    assert isinstance(event, HoldCreated)
    assert event.hold == held.hold


def test_nobody_waits_for_the_price_of_a_leg(house: House) -> None:
    assert decided(house, a_leg()).wish is None


@pytest.mark.parametrize(
    ("leg", "reason"),
    [
        (a_leg(seats=6), Reason.SOLD_OUT),
        (a_leg(items={"nobody": 1}), Reason.UNKNOWN_TICKET),
        (a_leg(ttl_seconds=7200), Reason.INVALID),
    ],
)
def test_a_leg_is_refused_for_what_a_hold_is_refused_for_and_the_world_is_told(
    house: House, leg: HoldCartLeg, reason: Reason
) -> None:
    refused = house.refused(leg, reason)
    assert refused.cart_id == CART_ID
    told = last(house)
    assert isinstance(told, CartLegRefused)
    assert (told.cart_id, told.reason, told.message) == (CART_ID, reason.value, refused.message)
    assert house.pool("total", "a").held == 0


def test_holds_that_expire_on_the_way_to_a_refusal_are_told_before_it(house: House) -> None:
    house.held(a_place(1, occurrence_id="a", session_id="bob", ttl_seconds=60))
    house.wait(seconds=60)
    house.refused(a_leg(seats=6), Reason.SOLD_OUT)
    assert [type(event) for event in house.events[-2:]] == [HoldExpired, CartLegRefused]


def test_a_leg_on_an_occurrence_that_nobody_knows_is_told_as_well(house: House) -> None:
    """Else nobody would hear that the cart cannot go on."""
    decision = decided(house, a_leg("nowhere"))
    answer = decision.answer
    assert isinstance(answer, Refused)
    assert (answer.reason, answer.version, decision.recorded) == (Reason.UNKNOWN_OCCURRENCE, 0, True)
    [told] = decision.events
    assert isinstance(told, CartLegRefused)
    assert (told.cart_id, told.reason) == (CART_ID, "unknown_occurrence")


# --- giving back --------------------------------------------------------------------------------------------------


def test_a_leg_that_is_given_back_says_that_it_makes_up_for_another(house: House) -> None:
    held = got(Held, house.send(a_leg()))
    answer = got(CartLegReleased, house.send(a_giving_back(held)))
    assert (answer.cart_id, answer.hold_id) == (CART_ID, held.hold.hold_id)
    event = last(house)
    assert isinstance(event, HoldReleased)
    assert (event.reason, event.hold.cart_id) == ("compensation", CART_ID)
    assert house.pool("total", "a").held == 0


def test_giving_back_what_has_ended_is_the_same_answer_and_changes_nothing(house: House) -> None:
    for end in (a_giving_back, a_release):
        held = got(Held, house.send(a_leg()))
        house.send(end(held))
        told = len(house.events)
        got(CartLegReleased, house.send(a_giving_back(held)))
        assert len(house.events) == told


def test_a_leg_whose_time_is_over_has_expired_and_is_not_released(house: House) -> None:
    held = got(Held, house.send(a_leg(ttl_seconds=60)))
    house.wait(seconds=60)
    got(CartLegReleased, house.send(a_giving_back(held)))
    assert isinstance(last(house), HoldExpired)


@pytest.mark.parametrize("state", ["converting", "confirmed"])
def test_a_leg_that_is_being_bought_is_not_taken_away(house: House, state: Any) -> None:
    held = got(Held, house.send(a_leg()))
    house.force_state(held.hold.hold_id, state, "a")
    answer = decided(house, a_giving_back(held)).answer
    assert isinstance(answer, Refused)
    assert (answer.reason, answer.hold_state) == (Reason.HOLD_FINAL, state)


def test_a_cart_gives_back_nothing_but_its_own_holds(house: House) -> None:
    held = got(Held, house.send(a_leg()))
    for other in (a_giving_back(held, cart_id=ANY_ID), a_giving_back(held, occurrence_id="b")):
        house.refused(other, Reason.HOLD_NOT_FOUND)
    mine = house.held(a_place(1, occurrence_id="a"))
    house.refused(a_giving_back(mine), Reason.HOLD_NOT_FOUND)


# --- the end ------------------------------------------------------------------------------------------------------


def test_a_cart_that_is_held_is_told_to_whoever_asked_for_it(house: House) -> None:
    holds = {"a": CART_ID, "b": ANY_ID}
    assert decided(house, a_settling("held", hold_ids=holds)).answers == CART_ID
    answer = got(CartHeld, house.send(a_settling("held", hold_ids=holds)))
    assert (answer.cart_id, answer.hold_ids) == (CART_ID, holds)
    event = last(house)
    assert isinstance(event, CartSettled)
    assert (event.cart_id, event.outcome, event.hold_ids) == (CART_ID, "held", holds)


def test_a_cart_that_is_refused_says_which_leg_it_was_and_why(house: House) -> None:
    settling = a_settling("refused", refused_occurrence_id="b", reason="sold_out", message="Not enough is left")
    assert decided(house, settling).answers == CART_ID
    answer = house.refused(settling, Reason.SOLD_OUT)
    assert (answer.cart_id, answer.subject, answer.message) == (CART_ID, "b", "Not enough is left")
    event = last(house)
    assert isinstance(event, CartSettled)
    assert (event.outcome, event.reason, event.hold_ids) == ("refused", "sold_out", {})


def test_a_reason_that_only_a_newer_version_knows_still_ends_the_cart(house: House) -> None:
    settling = a_settling("refused", reason="too_loud", message="The neighbours complained")
    answer = got(Refused, house.send(settling))
    assert (answer.reason, answer.message) == ("too_loud", "The neighbours complained")


def test_a_cart_that_is_refused_as_invalid_says_what_is_wrong(house: House) -> None:
    """As the leg did: without that its buyer would know that something is wrong, and not what."""
    problem = FieldProblem(code="out_of_range", field="ttl_seconds", reason="is too long", pointer="/ttl_seconds")
    refused = house.refused(
        a_settling("refused", reason="invalid", message="No", errors=[problem]), Reason.INVALID
    )
    assert refused.errors == [problem]
