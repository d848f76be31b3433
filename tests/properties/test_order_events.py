"""B31: order events in every order, with duplicates: the end depends only on the last state of the order."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.box_office import ORDER_ID, TOTAL, BoxOffice

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
    if begins == "converting" and wanted_state == "cancelled":
        wanted_state = "failed"  # it never was one
    assert (state, seats) == (wanted_state, wanted_seats)
    # All four happened, so the money was given back at some time.
    assert refund == ("none" if life[-1] == "paid" else "done")


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
