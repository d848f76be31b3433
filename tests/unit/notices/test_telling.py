"""What a customer is told, whatever happens to a booking and in whatever order it is planned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.notices import NOW, START, a_booking, a_slot

from holdgate_workers.app.notifications.facts import Booking
from holdgate_workers.app.notifications.mails import MailNotice
from holdgate_workers.app.notifications.telling import CANCELLED, CONFIRMED, MOVED, Told, tell


@dataclass
class Customer:
    """Somebody's mails, as the table keeps them: recorded under their keys, together with what was told."""

    booking: Booking = field(default_factory=a_booking)
    told: Told | None = None
    mails: dict[str, MailNotice] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)

    def plan(self, event: str) -> list[str]:
        """The kinds that are new."""
        telling = tell(event, self.booking, self.told, NOW)
        if telling is None:
            return []
        if telling.plan.withdraw_others:
            self.withdrawn |= self.mails.keys()
        new = [notice for notice in telling.plan.send if notice.key not in self.mails]
        self.mails |= {notice.key: notice for notice in new}
        self.told = telling.told
        return [str(notice.kind) for notice in new]

    def set(self, **fields: Any) -> None:
        slot = {name: fields.pop(name) for name in ("starts_at", "status") if name in fields}
        self.booking = replace(self.booking, version=self.booking.version + 1, **fields)
        if slot:
            starts_at = slot.get("starts_at", self.booking.slot.starts_at)
            times = {"starts_at": starts_at, "ends_at": starts_at + timedelta(hours=2)}
            new = {**times, "version": self.booking.version, **slot}
            self.booking = replace(self.booking, slot=replace(self.booking.slot, **new))


def test_confirmed_moved_cancelled() -> None:
    customer = Customer()
    assert customer.plan(CONFIRMED) == ["confirmation", "reminder", "reminder"]
    customer.set(starts_at=START + timedelta(days=1))
    assert customer.plan(MOVED) == ["change", "reminder", "reminder"]
    customer.set(state="cancelled")
    assert customer.plan(CANCELLED) == ["cancellation"]
    assert len(customer.withdrawn) == 6


def test_a_repeated_plan_is_the_same_plan() -> None:
    customer = Customer()
    customer.plan(CONFIRMED)
    assert customer.plan(CONFIRMED) == customer.plan(MOVED) == []
    customer.set(state="cancelled")
    customer.plan(CANCELLED)
    assert customer.plan(CANCELLED) == customer.plan(CONFIRMED) == customer.plan(MOVED) == []


def test_a_late_confirmation_does_not_hide_that_the_booking_was_moved() -> None:
    """Planned after the change, before the change is."""
    customer = Customer()
    customer.plan(CONFIRMED)
    customer.set(starts_at=START + timedelta(days=1))
    customer.plan(CONFIRMED)
    assert "change" in customer.plan(MOVED)


def test_nobody_hears_of_the_change_of_a_booking_that_they_never_heard_of() -> None:
    customer = Customer()
    customer.set(starts_at=START + timedelta(days=1))
    assert customer.plan(MOVED) == []


def test_with_the_occurrence_cancelled_the_booking_is_cancelled_once() -> None:
    customer = Customer()
    customer.plan(CONFIRMED)
    customer.set(status="cancelled")
    assert customer.plan(MOVED) == ["cancellation"]
    customer.set(state="cancelled")
    assert customer.plan(CANCELLED) == customer.plan(MOVED) == []


def test_what_comes_back_is_confirmed_anew_and_can_be_cancelled_anew() -> None:
    customer = Customer()
    for _ in range(3):
        customer.set(state="confirmed")
        assert customer.plan(CONFIRMED) == ["confirmation", "reminder", "reminder"]
        customer.set(state="cancelled")
        assert customer.plan(CANCELLED) == ["cancellation"]


MOVES = st.sampled_from(
    [
        {"state": "confirmed"},
        {"state": "cancelled"},
        *({"starts_at": START + timedelta(days=days)} for days in range(3)),
    ]
)
PLANS = st.sampled_from([CONFIRMED, CANCELLED, MOVED])


@given(st.lists(MOVES | PLANS, max_size=30))
def test_whatever_happens_in_the_end_the_customer_knows_how_it_is(steps: Sequence[Any]) -> None:
    """Whatever was planned late, twice or in the wrong order: once all is planned, the last thing told is true, and
    exactly its reminders wait."""
    customer = Customer()
    for step in steps:
        if isinstance(step, str):
            customer.plan(step)
        else:
            customer.set(**step)
    for event in (CONFIRMED, CANCELLED, MOVED):
        customer.plan(event)
    if customer.told is None:
        assert customer.booking.state != "confirmed"
        return
    assert customer.told.is_cancelled == (customer.booking.state == "cancelled")
    if customer.told.is_cancelled:
        assert all(
            key in customer.withdrawn or notice.kind == "cancellation" for key, notice in customer.mails.items()
        )
        return
    slot = customer.booking.slot
    assert (customer.told.starts_at, customer.told.ends_at) == (slot.starts_at, slot.ends_at)
    waiting = [
        notice
        for key, notice in customer.mails.items()
        if notice.kind == "reminder" and notice.starts_at == slot.starts_at and key not in customer.withdrawn
    ]
    assert sorted(notice.due_at for notice in waiting) == [
        slot.starts_at - timedelta(hours=hours) for hours in (24, 2)
    ]


def test_slots_are_told_in_the_zone_that_they_had() -> None:
    told = Told(starts_at=START, ends_at=START, timezone="Europe/London")
    assert told.slot(a_slot()).timezone == "Europe/London"
