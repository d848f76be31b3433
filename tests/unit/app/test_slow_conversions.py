"""A conversion whose shop is not asked within its time: what was paid waits, is told of, and never fails."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support.saga_desk import SagaDesk

from holdgate_schema.events.selling import BookingChanged
from holdgate_workers.app.ordering.orders import Unavailable

DOWN = Unavailable("HTTP 503")


def test_what_was_paid_is_confirmed_by_a_worker_that_comes_hours_late() -> None:
    """The feeder or the orders worker was down."""
    desk = SagaDesk(5000)
    desk.box.now += timedelta(hours=5)
    desk.settle()
    assert desk.booking.state == "confirmed"
    assert len(desk.shop.orders) == 1


def test_that_it_waits_is_told_once() -> None:
    desk = SagaDesk(5000)
    desk.shop.is_down = DOWN
    desk.box.now = desk.booking.timeout_at
    for _ in range(3):
        desk.look()
        desk.box.now += timedelta(minutes=1)
    assert desk.booking.state == "converting"
    assert "paid, and without an order yet" in desk.booking.reason
    told = [event for event in desk.box.events if isinstance(event, BookingChanged)]
    assert len(told) == 1
    desk.shop.is_down = None
    desk.settle()
    assert (desk.booking.state, desk.booking.reason) == ("confirmed", "")


@pytest.mark.parametrize("was_sent", [True, False], ids=["sent", "never sent"])
def test_what_was_paid_is_parked_with_its_seats_at_the_second_limit(was_sent: bool) -> None:
    desk = SagaDesk(5000)
    desk.shop.is_down = DOWN
    if was_sent:
        desk.look()
    desk.box.now = desk.booking.wait_until
    desk.shop.is_down = None if was_sent else DOWN
    desk.settle()
    assert desk.booking.state == "parked"
    assert desk.box.seats[0] > 0, "its seats are held for whoever decides"
    assert desk.booking.refund == "none"


def test_what_was_not_paid_fails_at_its_time_as_before() -> None:
    desk = SagaDesk(5000, status="pending")
    desk.box.now = desk.booking.timeout_at
    desk.settle()
    assert desk.booking.state == "failed"
