"""B31: order events in every order, with duplicates: the end depends only on the last state of the order, and on
whether all of the money went back, which no later state undoes."""

from __future__ import annotations

from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.box_office import ORDER_ID, TOTAL, BoxOffice, stories

from holdgate_workers.domain.settings.settings import parse

STATES = ("paid", "refunded", "cancelled", "failed")
Said = tuple[str, int, int]
"""The state, when, and how much had been given back by then."""

END = {
    "paid": ("confirmed", "none", (0, 2)),
    "refunded": ("cancelled", "done", (0, 0)),
    "cancelled": ("cancelled", "due", (0, 0)),
    "failed": ("cancelled", "due", (0, 0)),
}
"""Where a confirmed booking that was paid ends, by the last state of its order, if nothing was given back before."""


def life_of(states: list[str]) -> list[Said]:
    """An order's life as the shop would tell it."""
    refunded = 0
    told = []
    for at, state in enumerate(states, start=1):
        refunded = TOTAL if state == "refunded" else refunded
        told.append((state, at, refunded))
    return told


def end_of(begins: str, told: list[Said]) -> tuple[object, ...]:
    """Where the booking ends, if it is told in this order."""
    box = BoxOffice()
    booking_id = box.hold()
    box.convert(booking_id, status="pending")
    if begins == "confirmed":
        box.settle(booking_id, status="pending")
    for state, at, refunded in told:
        box.note(booking_id, state, at, refunded=refunded)
    if begins == "converting":
        box.settle(booking_id, status="pending")
    booking = box.bookings[booking_id]
    assert booking.order is not None
    assert booking.order.order_id == ORDER_ID
    return booking.state, booking.refund, booking.order.status, box.seats


@pytest.mark.parametrize("begins", ["confirmed", "converting"])
@pytest.mark.parametrize("life", list(permutations(STATES)), ids=lambda life: "-".join(life))
def test_b31_in_every_permutation_the_end_is_that_of_the_last_state(begins: str, life: tuple[str, ...]) -> None:
    told = life_of(list(life))
    ends = {end_of(begins, list(arrived)) for arrived in permutations(told)}
    assert len(ends) == 1, ends
    [(state, refund, status, seats)] = ends
    assert status == life[-1]
    wanted_state, _, wanted_seats = END[life[-1]]
    if life[-1] == "paid":
        # All of it went back before, so it is not sold again: a person looks.
        wanted_state, wanted_seats = "parked", (0, 0)
    if begins == "converting" and wanted_state == "cancelled":
        wanted_state = "failed"  # it never was one
    assert (state, seats) == (wanted_state, wanted_seats)
    # All four happened, so the money was given back at some time, which stays true.
    assert refund == "done"


@given(
    life=st.lists(st.sampled_from(STATES), min_size=1, max_size=5),
    begins=st.sampled_from(["confirmed", "converting"]),
    data=st.data(),
)
def test_duplicates_and_any_order_end_alike(life: list[str], begins: str, data: st.DataObject) -> None:
    told = life_of(life)
    more = data.draw(st.lists(st.sampled_from(told), max_size=4))
    arrived = data.draw(st.permutations([*told, *more]))
    assert end_of(begins, arrived) == end_of(begins, told)


@pytest.mark.parametrize("state", STATES)
def test_one_event_told_any_number_of_times_is_one_event(state: str) -> None:
    [said] = life_of([state])
    box_end = end_of("confirmed", [said] * 5)
    assert box_end == end_of("confirmed", [said])
    wanted_state, _, wanted_seats = END[state]
    assert (box_end[0], box_end[3]) == (wanted_state, wanted_seats)


# --- every state, every word, every fact about money ------------------------------------------------------------------

WORDS = ("pending", "paid", "cancelled", "failed", "refunded", "other")
PART = TOTAL // 5


@pytest.mark.parametrize("is_news", [True, False], ids=["newer", "older"])
@pytest.mark.parametrize("state", stories)
def test_in_every_state_and_whatever_is_said_what_was_paid_is_kept_owed_or_gone(state: str, is_news: bool) -> None:
    """A full refund is final, nothing is owed twice, and more than was paid is never given back."""
    for policy, before, word, gone in product(
        ("fulfil_or_park", "refund"), (0, PART, TOTAL), WORDS, (0, PART, TOTAL)
    ):
        box = BoxOffice()
        booking_id = box.story(state)
        box.note(booking_id, "other", 50, refunded=before)
        was = box.bookings[booking_id]
        box.settings = parse({"conversion.late_payment": policy})
        for again in range(3):
            # Told again with a later time, it is another word of the same kind.
            at_seconds = 60 + again if is_news else 2 + again
            box.note(booking_id, word, at_seconds, refunded=gone)
            _the_money_adds_up(box, booking_id, max(before, TOTAL if word == "refunded" else gone))
        now = box.bookings[booking_id]
        if now.is_given_back and was.state != "converting":
            where = (state, policy, before, word, gone)
            assert now.state != "confirmed", where
            assert box.seats == (0, 0), where
        if was.state == "converting":
            box.settle(booking_id)
            _the_money_adds_up(box, booking_id, now.refunded)
            assert (box.bookings[booking_id].state == "confirmed") <= (not now.is_given_back)


def _the_money_adds_up(box: BoxOffice, booking_id: str, gone: int) -> None:
    booking = box.bookings[booking_id]
    assert booking.refunded == gone, "what went back is known"
    assert booking.refund_due + booking.refunded <= TOTAL, "more is to go back than was paid"
    assert booking.refund == ("due" if booking.refund_due else "done" if gone else "none")
    if booking.state in ("cancelled", "failed", "refund_required"):
        assert booking.refund_due + booking.refunded == TOTAL, (booking.state, "money is neither owed nor gone")


def test_a_late_processing_does_not_sell_again_what_was_given_back() -> None:
    box = BoxOffice()
    booking_id = box.story("confirmed")
    box.note(booking_id, "refunded", 1, refunded=TOTAL)
    box.note(booking_id, "paid", 2)
    booking = box.bookings[booking_id]
    assert (booking.state, booking.refund, booking.refund_due, box.seats) == ("parked", "done", 0, (0, 0))


def test_what_a_person_fulfils_although_it_was_given_back_stays_sold() -> None:
    box = BoxOffice()
    booking_id = box.story("confirmed")
    box.note(booking_id, "refunded", 1)
    box.note(booking_id, "paid", 2)
    box.resolve(booking_id, "fulfil")
    box.note(booking_id, "paid", 3, refunded=TOTAL)
    booking = box.bookings[booking_id]
    assert (booking.state, box.seats) == ("confirmed", (0, 2))
    box.cancel(booking_id)
    assert box.bookings[booking_id].refund_due == 0, "it went back already"


def test_what_the_settlement_says_was_paid_is_owed_when_the_order_dies() -> None:
    """The buyer said that payment was pending, and only the order said that it is paid."""
    box = BoxOffice()
    booking_id = box.hold()
    box.convert(booking_id, status="pending")
    box.settle(booking_id, status="paid")
    box.note(booking_id, "cancelled", 5)
    assert (box.bookings[booking_id].refund, box.bookings[booking_id].refund_due) == ("due", TOTAL)
