"""Waiting lists in the rows: the gate's own protocol on a real PostgreSQL, by workers that come and go."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.support.domain import a_capacity, a_place, a_put, a_release, request_id
from tests.support.drive import Station, held_of
from tests.support.lines import a_join
from tests.support.postgres import migrated_database

from holdgate_schema.commands.holds import Command, SweepHolds
from holdgate_schema.commands.selling import (
    CancelBooking,
    ConvertBooking,
    LeaveWaitlist,
    PaymentNotice,
    PriceHold,
    SettleBooking,
)
from holdgate_schema.values.views import BookedOrder, QuoteView
from holdgate_workers.adapters.postgres.expiry.due import DueHolds
from holdgate_workers.adapters.postgres.gate.store import PostgresStore
from holdgate_workers.app.expiry.sweep import Due, ReadDue
from holdgate_workers.app.gate.effects import Commit, Load, Loaded

pytestmark = pytest.mark.services

STARTS = datetime(2090, 7, 1, 18, tzinfo=UTC)
HASH = "b" * 64
ids = itertools.count(1000)


@pytest.fixture
def station() -> Iterator[Station]:
    with migrated_database() as url:
        opened = Station(url)
        yield opened
        opened.close()


def new(command: Any, **fields: Any) -> Any:
    """A builder's command with a request id of its own."""
    return command(request_id=request_id(next(ids)), **fields)


def sold_out(station: Station, *sizes: int, occurrence_id: str = "occ-1", **fields: Any) -> list[Command]:
    """An occurrence whose seats are held in these parts; the commands that took them."""
    starts = {"starts_at": STARTS} | fields
    put = a_put(occurrence_id, request_id=request_id(next(ids)), capacity=sum(sizes), **starts)
    holds = [place(size, occurrence_id=occurrence_id, session_id=f"owner-{next(ids)}") for size in sizes]
    assert held_of(station.work(put, *holds)) == ["occurrence_stored"] + ["held"] * len(sizes)
    return holds


def place(seats: int, **fields: Any) -> Any:
    return a_place(seats, request_id=request_id(next(ids)), **fields)


def join(seats: int, **fields: Any) -> Any:
    defaults = {"session_id": f"party-{next(ids)}", "request_id": request_id(next(ids))}
    return a_join(seats, **(defaults | fields))


def release(hold: Any, **fields: Any) -> Any:
    about = {"occurrence_id": hold.occurrence_id, "session_id": hold.session_id}
    return a_release(hold.request_id, request_id=request_id(next(ids)), **(about | fields))


def leave(entry: Any) -> LeaveWaitlist:
    return new(
        LeaveWaitlist, occurrence_id=entry.occurrence_id, session_id=entry.session_id, entry_id=entry.request_id
    )


def rows(station: Station, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(station.url) as connection:
        return connection.execute(statement, values or None).fetchall()


def states(station: Station, *entries: Any) -> list[str]:
    """What has become of these entries, by the rows: an offer shows the state of its hold."""
    found = {
        entry_id: hold or state
        for entry_id, state, hold in rows(
            station, "SELECT w.id::text, w.state, h.state FROM waitlist w LEFT JOIN holds h ON h.id = w.id"
        )
    }
    return [found[entry.request_id] for entry in entries]


def test_the_line_survives_every_worker_in_the_order_of_joining(station: Station) -> None:
    """Each request is worked by another worker, who has to read the line first."""
    (held,) = sold_out(station, 6)
    parties = [join(seats) for seats in (4, 2, 3, 1)]
    for number, party in enumerate(parties, 1):
        (answer,) = station.work(party)
        assert (answer["outcome"], answer["position"]) == ("waiting", number)
    station.work(release(held))
    assert states(station, *parties) == ["active", "active", "waiting", "waiting"]
    station.work(release(parties[1]))
    assert states(station, *parties) == ["active", "released", "waiting", "active"]
    station.work(leave(parties[0]))
    assert states(station, *parties) == ["released", "released", "active", "active"]
    assert station.problems() == []
    told = [reason for (reason,) in rows(station, _RELEASES)]
    assert told == ["by_owner", "offer_declined", "offer_declined"]


_RELEASES = """
SELECT coalesce(e ->> 'reason', 'by_owner') FROM journal, json_array_elements(events) AS e
WHERE e ->> 'type' = 'hold.released.v1' ORDER BY version"""


def test_a_line_is_read_in_the_order_in_which_it_was_joined(station: Station) -> None:
    """Whatever order the ids or the batches have."""
    sold_out(station, 1)
    parties = [join(1, request_id=request_id(10_000 - number)) for number in range(40)]
    for start in range(0, 40, 7):
        station.work(*parties[start : start + 7])
    store = PostgresStore(station.url, name="reader")
    loaded = store.load(Load(occurrences=["occ-1"]))
    store.close()
    assert isinstance(loaded, Loaded)
    assert list(loaded.occurrences["occ-1"].waiting) == [party.request_id for party in parties]


def test_joining_and_being_offered_in_one_batch_is_one_row_and_one_hold(station: Station) -> None:
    (held,) = sold_out(station, 3)
    first, second, third = join(2), join(1), join(1)
    answers = station.work(first, second, third, release(held), leave(second))
    assert held_of(answers) == ["waiting"] * 3 + ["released", "left_waitlist"]
    assert states(station, first, second, third) == ["active", "released", "active"]
    assert station.problems() == []


def test_a_zombie_makes_no_offers(station: Station) -> None:
    """It freezes with a decided offer in its hands, and its queue is given to another worker, whose offer counts."""
    (held,) = sold_out(station, 2)
    first, second = join(2), join(2)
    zombie = station.worker("zombie")
    station.work(first, second, by=zombie)
    station.send(release(held))
    zombie.take().until(Commit)
    zombie.lose_queue()
    station.work(leave(first))
    assert states(station, first, second) == ["released", "active"]
    zombie.step()
    zombie.until(Load)  # it was fenced: otherwise it would answer now
    zombie.finish()
    assert states(station, first, second) == ["released", "active"]
    assert rows(station, "SELECT held FROM pools") == [(2,)]
    assert station.problems() == []


def test_an_offer_that_was_decided_too_late_is_decided_anew(station: Station) -> None:
    """Who left meanwhile is not offered anything."""
    (held,) = sold_out(station, 2)
    first, second = join(2), join(2)
    late = station.worker("late")
    station.work(first, second, by=late)
    station.send(release(held))
    late.take().until(Commit)
    station.work(leave(first))
    late.step()
    late.until(Load)
    late.finish()
    assert states(station, first, second) == ["left", "active"]
    assert rows(station, "SELECT count(*) FROM holds WHERE state = 'active'") == [(1,)]
    assert station.problems() == []


def test_a_session_that_reached_its_limit_elsewhere_is_passed_over_and_served_by_a_sweep(station: Station) -> None:
    """The worker remembers that the session had room; the claim in the commit knows better."""
    (held,) = sold_out(station, 2)
    sold_out(station, 1, occurrence_id="occ-2", starts_at=STARTS + timedelta(days=1))
    station.work(a_capacity(50, occurrence_id="occ-2"))
    bob, next_one = join(2, session_id="bob"), join(2)
    gate = station.worker("gate")
    station.work(bob, next_one, by=gate)
    elsewhere = [place(1, occurrence_id="occ-2", session_id="bob") for _ in range(10)]
    station.work(*elsewhere)
    station.work(release(held), by=gate)
    assert states(station, bob, next_one) == ["waiting", "active"]
    station.work(release(next_one), by=gate)
    assert states(station, bob) == ["waiting"]
    station.work(release(elsewhere[0]))
    station.work(new(SweepHolds, occurrence_id="occ-1"), by=gate)
    assert states(station, bob) == ["active"]
    assert station.problems() == []


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_seats_that_come_back_from_a_booking_are_offered_in_that_decision(station: Station, end: str) -> None:
    """Whether they were held for it or sold to it."""
    (held,) = sold_out(station, 2)
    first = join(2)
    station.work(first)
    convert = _convert(station, held)
    (version,) = rows(station, "SELECT version FROM occurrences")[0]
    if end == "failed":
        station.work(_settle(held, convert, "failed"))
    else:
        station.work(_settle(held, convert, "ordered"))
        version += 1
        assert states(station, first) == ["waiting"]
        station.work(
            new(CancelBooking, occurrence_id="occ-1", session_id=held.session_id, booking_id=held.request_id)
        )
    assert states(station, first) == ["active"]
    assert rows(station, "SELECT held, sold FROM pools") == [(2, 0)]
    assert rows(station, "SELECT version FROM occurrences") == [(version + 1,)]
    assert station.problems() == []


def _convert(station: Station, held: Any) -> ConvertBooking:
    quote = QuoteView(hash=HASH, currency="EUR", total=5000, tickets_total=5000, extras_total=0)
    about = {"occurrence_id": held.occurrence_id, "hold_id": held.request_id}
    payment = PaymentNotice(method="card", amount=5000, currency="EUR", status="paid")
    convert = new(ConvertBooking, **about, session_id=held.session_id, quote_hash=HASH, payment=payment)
    station.work(new(PriceHold, **about, items=held.items, quote=quote), convert)
    return convert


def _settle(held: Any, convert: Any, outcome: Any) -> SettleBooking:
    return new(
        SettleBooking,
        occurrence_id=held.occurrence_id,
        booking_id=held.request_id,
        outcome=outcome,
        answers=convert.request_id,
        order=BookedOrder(gateway="local", order_id="77", status="paid") if outcome == "ordered" else None,
    )


def test_the_expiry_worker_finds_the_lines_that_could_be_served_and_no_others(station: Station) -> None:
    """Room for the smallest party is what it looks at; whether anybody fits is decided by the gate."""
    later = (STARTS + timedelta(days=number) for number in itertools.count(1))
    for occurrence_id in ("room", "too small", "full", "over"):
        name = occurrence_id.replace(" ", "-")
        sold_out(station, 4, occurrence_id=name, starts_at=next(later))
        station.work(join(2, occurrence_id=name), join(3, occurrence_id=name))
    with psycopg.connect(station.url, autocommit=True) as connection:
        for name, held in (("room", 2), ("too-small", 3), ("over", 0)):
            connection.execute("UPDATE pools SET held = %s WHERE occurrence_id = %s", [held, name])
        connection.execute("UPDATE occurrences SET starts_at = clock_timestamp() WHERE id = 'over'")
    due = DueHolds(station.url)
    assert due.read(ReadDue(10)).lines == []  # type: ignore[union-attr]
    found = due.read(ReadDue(10, lines_too=True))
    due.close()
    assert isinstance(found, Due)
    assert found.lines == ["room"]


def test_the_journal_finds_an_entry_by_the_session_that_was_issued_for_it(station: Station) -> None:
    sold_out(station, 1)
    party = join(1, session_id=None)
    (answer,) = station.work(party)
    found = rows(station, "SELECT hold_id::text FROM journal WHERE session_id = %s", answer["session_id"])
    assert found == [(party.request_id,)]
