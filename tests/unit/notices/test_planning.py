"""Which tasks follow from a decision: those of what is on, once each, with nobody in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from tests.support.notices import BOOKING_ID, NOW, START

from holdgate_schema.events.holds import Event, HoldCreated, HoldReleased, OccurrenceChanged
from holdgate_schema.events.selling import BookingCancelled, BookingConfirmed, BookingConverting, BookingParked
from holdgate_schema.values.views import BookingView, HoldView, Payment, QuoteRef
from holdgate_workers.app.notifications.planning import (
    PLAN_MAILS,
    POST_EVENT,
    REPORT_EVENT,
    notice_planners,
    plan_analytics,
    plan_mails,
)
from holdgate_workers.app.notifications.webhooks import WebhookTarget
from holdgate_workers.app.tasks.tasks import DecidedRow, NewTask, Planner

SESSION = "session-of-zoe"
SECRETS = ("a secret of 24 bytes or more",)
HEAD: dict[str, Any] = {"event_id": f"{BOOKING_ID}/0", "occurrence_id": "occ-1", "version": 7, "occurred_at": NOW}


def a_view(**fields: Any) -> BookingView:
    return BookingView(
        **fields,
        booking_id=BOOKING_ID,
        hold_id=BOOKING_ID,
        occurrence_id="occ-1",
        session_id=SESSION,
        user_id="zoe",
        state="confirmed",
        items={"adult": 2},
        seats=2,
        quote=QuoteRef(hash="a" * 64, currency="EUR", total=5000),
        payment=Payment(method="card", amount=5000, currency="EUR", status="paid", reference="4242"),
        created_at=NOW,
        timeout_at=NOW,
    )


def a_hold() -> HoldView:
    return HoldView(
        hold_id=BOOKING_ID,
        occurrence_id="occ-1",
        session_id=SESSION,
        state="active",
        items={"adult": 2},
        seats=2,
        created_at=NOW,
        expires_at=NOW,
    )


CREATED = HoldCreated(**HEAD, hold=a_hold())
CONVERTING = BookingConverting(**HEAD, booking=a_view())
CONFIRMED = BookingConfirmed(**HEAD, booking=a_view())
SOLD: dict[str, Any] = {"confirmed_at": NOW, "refund": "due"}
CANCELLED = BookingCancelled(**HEAD, booking=a_view(**SOLD), refund="due")
NEVER_SOLD = BookingCancelled(**HEAD, booking=a_view(refund="due"), refund="due")
GIVEN_BACK = BookingParked(**HEAD, booking=a_view(**SOLD))
KEPT_MONEY = BookingCancelled(**HEAD, booking=a_view(), refund="none")
PARKED = BookingParked(**HEAD, booking=a_view())
TIMES: dict[str, Any] = {"product_id": "tour", "status": "active", "starts_at": START, "ends_at": START}
NEW = OccurrenceChanged(**HEAD, **TIMES, created=True)
MOVED = OccurrenceChanged(**HEAD, **TIMES)
RELEASED = HoldReleased(**HEAD, hold=a_hold())
ALL: Sequence[Event] = (CREATED, CONVERTING, CONFIRMED, CANCELLED, KEPT_MONEY, PARKED, NEW, MOVED, RELEASED)


def planned(planner: Planner, *events: Event) -> list[NewTask]:
    row = DecidedRow(
        request_id=BOOKING_ID,
        kind="test.v1",
        outcome="held",
        occurrence_id="occ-1",
        version=7,
        session_id=SESSION,
        hold_id=BOOKING_ID,
        events=events,
        decided_at=NOW,
    )
    tasks = list(planner(row))
    assert tasks == list(planner(row))
    assert all(isinstance(task, NewTask) for task in tasks)
    return [task for task in tasks if isinstance(task, NewTask)]


@pytest.mark.parametrize(
    ("event", "reported"),
    [
        (CREATED, "add_to_cart"),
        (CONVERTING, "begin_checkout"),
        (CONFIRMED, "purchase"),
        (CANCELLED, "refund"),
        (NEVER_SOLD, None),
        (GIVEN_BACK, "refund"),
        (KEPT_MONEY, None),
        (PARKED, None),
        (MOVED, None),
        (RELEASED, None),
    ],
)
def test_each_step_of_a_booking_is_reported_once(event: Event, reported: str | None) -> None:
    keys = [task.key for task in planned(plan_analytics, event)]
    assert keys == ([] if reported is None else [f"analytics/{reported}/{BOOKING_ID}"])


@pytest.mark.parametrize("event", ALL, ids=lambda event: type(event).__name__)
def test_mails_are_planned_after_what_customers_care_for(event: Event) -> None:
    tasks = planned(plan_mails, event)
    assert bool(tasks) == (event in (CONFIRMED, CANCELLED, KEPT_MONEY, PARKED, MOVED))
    assert all(task.kind == PLAN_MAILS for task in tasks)


def test_a_target_gets_what_it_asked_for() -> None:
    targets = [
        WebhookTarget(name="all", url="https://a.example/", secrets=SECRETS),
        WebhookTarget(name="crm", url="https://b.example/", secrets=SECRETS, events=("booking.confirmed",)),
    ]
    [planner] = notice_planners(mails=False, analytics=False, targets=targets)
    assert [task.key for task in planned(planner, CONFIRMED)] == [
        f"webhook/all/{BOOKING_ID}/0",
        f"webhook/crm/{BOOKING_ID}/0",
    ]
    assert [task.key for task in planned(planner, PARKED)] == [f"webhook/all/{BOOKING_ID}/0"]


def test_what_is_off_is_not_planned() -> None:
    assert notice_planners(mails=False, analytics=False) == ()
    assert notice_planners(mails=True, analytics=False) == (plan_mails,)
    assert notice_planners(mails=False, analytics=True) == (plan_analytics,)


def test_tasks_hold_ids_alone() -> None:
    targets = [WebhookTarget(name="all", url="https://a.example/t0ken", secrets=SECRETS)]
    tasks = [
        task
        for planner in notice_planners(mails=True, analytics=True, targets=targets)
        for task in planned(planner, *ALL)
    ]
    assert {task.kind for task in tasks} == {PLAN_MAILS, REPORT_EVENT, POST_EVENT}
    for task in tasks:
        written = f"{task.key} {msgspec.json.encode(task.payload).decode()}"
        assert not any(word in written for word in (SESSION, "zoe", "4242", "t0ken", *SECRETS))
