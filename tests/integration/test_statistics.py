"""The numbers that people are shown are those of the rows, counted again the slow and plain way."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row
from tests.support.domain import a_capacity, a_change, a_place, a_put, a_release, a_sweep, request_id
from tests.support.drive import Station
from tests.support.postgres import migrated_database

from holdgate_schema.commands.holds import AlertOverrides, Command, PoolDefinition, TicketType
from holdgate_schema.commands.selling import CancelBooking, ConvertBooking, PaymentNotice, PriceHold, SettleBooking
from holdgate_schema.values.views import BookedOrder, QuoteView
from holdgate_workers.adapters.postgres.expiry.due import DueHolds
from holdgate_workers.adapters.postgres.maintenance.installation import House
from holdgate_workers.adapters.postgres.reports.figures import Stats
from holdgate_workers.adapters.postgres.reports.statistics import PARKED_MAX, Statistics

pytestmark = pytest.mark.services

STARTS = datetime(2090, 7, 1, 18, tzinfo=UTC)
HASH = "a" * 64
ORDER = BookedOrder(gateway="local", order_id="77", status="paid")
STATES = ("converting", "confirmed", "cancelled", "failed", "parked", "refund_required")
LIVE = ("active", "converting")
Row = dict[str, Any]


@pytest.fixture
def station() -> Iterator[Station]:
    with migrated_database() as url:
        opened = Station(url)
        yield opened
        opened.close()


def read(station: Station, **wanted: str) -> Stats:
    reader = Statistics(station.url)
    try:
        return reader.read(**wanted)
    finally:
        reader.close()


# --- a history ---------------------------------------------------------------------------------------------------


class History:
    """Random requests on four occurrences of two products."""

    def __init__(self, station: Station, seed: int) -> None:
        self.station, self.random, self.number = station, random.Random(seed), 0
        self.holds: list[tuple[str, str, str]] = []
        self.worker = station.worker("first")
        for number, capacity in enumerate((6, 12, 0, 40)):
            self.send(
                a_put(
                    f"occ-{number}",
                    product_id=f"tour-{number % 2}",
                    capacity=capacity,
                    overbooking_percent=self.random.choice([0, 25]),
                    starts_at=STARTS + timedelta(days=number),
                    ticket_types=[TicketType(key="adult", pools=["deck"])],
                    pools=[PoolDefinition(key="deck", capacity=None)],
                    alerts=AlertOverrides(low=40, nearly_full=60, full=70) if number == 1 else None,
                )
            )

    def send(self, command: Command) -> dict[str, Any]:
        self.number += 1
        numbered = type(command)(**_fields(command) | {"request_id": request_id(self.number)})
        (answer,) = self.station.work(numbered, by=self.worker)
        return answer

    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            what = self.random.choice(["place"] * 5 + ["sell"] * 3 + ["release", "change", "resize", "lapse"])
            if what == "place" or not self.holds:
                self.place()
            else:
                hold = self.holds.pop(self.random.randrange(len(self.holds)))
                getattr(self, what)(*hold)

    def one_of_each(self) -> None:
        """Whatever the story was, every way to end is there."""
        self.send(a_capacity(500, occurrence_id="occ-3"))
        for number, outcome in enumerate(("ordered", "cancelled", "failed", "unknown", None)):
            for _ in range(2):  # the second stays as it is
                about: dict[str, Any] = {"occurrence_id": "occ-3", "session_id": f"last-{number}"}
                hold_id: str = self.send(a_place(1, **about))["hold"]["hold_id"]
            self.sell(**about, hold_id=hold_id, outcome=outcome)
        self.lapse("occ-3", "last-0", self.send(a_place(1, **about))["hold"]["hold_id"], swept=True)
        self.release(**about, hold_id=self.send(a_place(1, **about))["hold"]["hold_id"])

    def place(self) -> None:
        occurrence_id, session_id = f"occ-{self.random.randrange(4)}", f"session-{self.random.randrange(14)}"
        answer = self.send(a_place(self.random.randint(1, 4), occurrence_id=occurrence_id, session_id=session_id))
        if answer["outcome"] == "held":
            self.holds.append((occurrence_id, session_id, answer["hold"]["hold_id"]))

    def sell(self, occurrence_id: str, session_id: str, hold_id: str, outcome: Any = "random") -> None:
        """As far as it goes: converting, sold, given back, failed, parked."""
        items = self.items_of(hold_id)
        quote = QuoteView(hash=HASH, currency="EUR", total=5000, tickets_total=5000, extras_total=0)
        about: dict[str, Any] = {"request_id": hold_id, "occurrence_id": occurrence_id}
        payment = PaymentNotice(method="card", amount=5000, currency="EUR", status="paid")
        self.send(PriceHold(**about, hold_id=hold_id, items=items, quote=quote))
        self.send(
            ConvertBooking(**about, session_id=session_id, hold_id=hold_id, quote_hash=HASH, payment=payment)
        )
        if outcome == "random":
            outcome = self.random.choice(["ordered", "ordered", "cancelled", "failed", "unknown", None])
        if outcome in ("ordered", "cancelled"):
            self.send(SettleBooking(**about, booking_id=hold_id, outcome="ordered", order=ORDER))
        elif outcome is not None:
            self.send(SettleBooking(**about, booking_id=hold_id, outcome=outcome, reason="nobody knows"))
        if outcome == "cancelled":
            self.send(CancelBooking(**about, session_id=session_id, booking_id=hold_id))

    def release(self, occurrence_id: str, session_id: str, hold_id: str) -> None:
        self.send(a_release(hold_id, occurrence_id=occurrence_id, session_id=session_id))

    def change(self, occurrence_id: str, session_id: str, hold_id: str) -> None:
        number = self.random.randint(1, 4)
        self.send(a_change(hold_id, number, occurrence_id=occurrence_id, session_id=session_id))
        self.holds.append((occurrence_id, session_id, hold_id))

    def resize(self, occurrence_id: str, session_id: str, hold_id: str) -> None:
        self.send(a_capacity(self.random.randint(0, 30), occurrence_id=occurrence_id))
        self.holds.append((occurrence_id, session_id, hold_id))

    def lapse(self, occurrence_id: str, _session_id: str, hold_id: str, swept: bool | None = None) -> None:
        """A hold whose time is over, swept or not yet."""
        self.execute("UPDATE holds SET expires_at = clock_timestamp() - interval '1 s' WHERE id = %s", hold_id)
        self.worker.die()
        self.worker = self.station.worker("next")
        if self.random.random() < 0.7 if swept is None else swept:
            self.send(a_sweep(occurrence_id=occurrence_id))

    def stand_in_line(self, entries: int) -> None:
        """Last of all: nobody is offered anything any more."""
        for _ in range(entries):
            self.number += 1
            state = self.random.choice(["waiting", "waiting", "offered", "left"])
            self.execute(
                "INSERT INTO waitlist (id, occurrence_id, session_id, state, basket, seats, place, joined_at) "
                "VALUES (%s, %s, 'x', %s, '{}', 2, 1, clock_timestamp())",
                *(request_id(self.number), f"occ-{self.random.randrange(4)}", state),
            )

    def items_of(self, hold_id: str) -> dict[str, int]:
        ((items,),) = self.execute("SELECT basket -> 'items' FROM holds WHERE id = %s", hold_id)
        found: dict[str, int] = items
        return found

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.station.url) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []


def _fields(command: Command) -> dict[str, Any]:
    return {name: getattr(command, name) for name in command.__struct_fields__}


# --- the recount -------------------------------------------------------------------------------------------------


class Recount:
    """Every row, and sums over them in Python."""

    def __init__(self, station: Station, keep: Any, now: datetime) -> None:
        with psycopg.connect(station.url, row_factory=dict_row) as connection:

            def rows(table: str) -> list[Row]:
                return connection.execute(f"SELECT * FROM {table}").fetchall()

            self.now = now
            self.occurrences = {row["id"]: row for row in rows("occurrences") if keep(row)}
            self.pools = {row["occurrence_id"]: row for row in rows("pools") if row["key"] == "total"}
            self.holds = [row for row in rows("holds") if row["occurrence_id"] in self.occurrences]
            self.bookings = [row for row in rows("bookings") if row["occurrence_id"] in self.occurrences]
            self.line = Counter(row["occurrence_id"] for row in rows("waitlist") if row["state"] == "waiting")

    def numbers(self, ids: list[str], thresholds: tuple[int, int, int]) -> Row:
        pools = [self.pools[one] for one in ids]
        counts = {name: sum(pool[name] for pool in pools) for name in ("capacity", "sellable", "held", "sold")}
        taken = counts["held"] + counts["sold"]
        share = Fraction(100 * taken, counts["sellable"]) if counts["sellable"] else Fraction(100)
        level = sum(share >= threshold for threshold in thresholds)
        ends = [
            hold["expires_at"]
            for hold in self.holds
            if hold["occurrence_id"] in ids and hold["state"] == "active" and hold["expires_at"] > self.now
        ]
        return {
            **counts,
            "available": sum(max(0, _target(pool) - pool["held"] - pool["sold"]) for pool in pools),
            "utilisation_percent": float(int(share * 10)) / 10 if ids else 0.0,
            "band": ("open", "low", "nearly_full", "full")[level] if ids else "open",
            "next_release_at": min(ends, default=None),
            "waiting": sum(self.line[one] for one in ids),
        }

    def states(self) -> Counter[str]:
        return Counter(hold["state"] for hold in self.holds)

    def top(self, column: str) -> list[Row]:
        live = [hold for hold in self.holds if hold["state"] in LIVE]
        holds = Counter(hold[column] for hold in live)
        seats = {one: sum(hold["seats"] for hold in live if hold[column] == one) for one in holds}
        first = sorted(holds, key=lambda one: (-holds[one], -seats[one], one))[:10]
        return [{"id": one, "holds": holds[one], "seats": seats[one]} for one in first]

    def average_life(self) -> float | None:
        lives = [
            (hold["ended_at"] - hold["created_at"]).total_seconds()
            for hold in self.holds
            if hold["state"] in ("expired", "released")
        ]
        return sum(lives) / len(lives) if lives else None


def _target(pool: Row) -> int:
    capacity: int = pool["capacity"] * (100 + pool["overbooking_percent"]) // 100
    return max(0, capacity - pool["buffer"])


def _agree(found: Stats, recount: Recount, house: tuple[int, int, int]) -> None:
    assert [line.occurrence_id for line in found.occurrences] == sorted(recount.occurrences)
    for line in found.occurrences:
        own = recount.occurrences[line.occurrence_id]["definition"].get("alerts")
        thresholds = (own["low"], own["nearly_full"], own["full"]) if own else house
        told = asdict(line)
        assert recount.numbers([line.occurrence_id], thresholds).items() <= told.items()
    products: dict[str, list[str]] = {}
    for one, row in recount.occurrences.items():
        products.setdefault(row["product_id"], []).append(one)
    assert [product.product_id for product in found.products] == sorted(products)
    for product in found.products:
        ids = products[product.product_id]
        assert asdict(product) == recount.numbers(ids, house) | {
            "product_id": product.product_id,
            "occurrences": len(ids),
        }
    everything = list(recount.occurrences)
    assert asdict(found.totals) == recount.numbers(everything, house) | {"occurrences": len(everything)}


def _holds_agree(found: Stats, recount: Recount) -> None:
    holds, states = found.holds, recount.states()
    for state in ("active", "converting", "confirmed", "expired", "released", "cancelled"):
        assert getattr(holds, state) == states[state], state
    overdue = [hold for hold in recount.holds if hold["state"] == "active" and hold["expires_at"] <= recount.now]
    assert holds.due == len(overdue)
    assert [asdict(most) for most in holds.by_session] == recount.top("session_id")
    assert [asdict(most) for most in holds.by_occurrence] == recount.top("occurrence_id")
    assert holds.average_life_seconds == pytest.approx(recount.average_life())
    sold = states["confirmed"] + states["cancelled"]
    ended = sold + states["expired"] + states["released"]
    assert holds.conversion_percent == (round(100 * sold / ended, 1) if ended else None)


def _bookings_agree(found: Stats, recount: Recount) -> None:
    states = Counter(booking["state"] for booking in recount.bookings)
    assert {state: getattr(found.bookings, state) for state in STATES} == {
        state: states[state] for state in STATES
    }
    parked = [booking for booking in recount.bookings if booking["state"] in ("parked", "refund_required")]
    parked.sort(key=lambda booking: (booking["changed_at"], UUID(str(booking["id"]))))
    assert [(item.booking_id, item.state, item.since) for item in found.bookings.waiting_for_a_person] == [
        (str(booking["id"]), booking["state"], booking["changed_at"]) for booking in parked[:PARKED_MAX]
    ]
    for item in found.bookings.waiting_for_a_person:
        assert (item.total, item.currency, item.reason) == (5000, "EUR", "nobody knows")


@pytest.mark.parametrize("seed", range(4))
def test_b40_the_numbers_equal_a_recount_of_the_rows(station: Station, seed: int) -> None:
    """Of everything, of each product, of each occurrence; with the house's thresholds as they are set."""
    history = History(station, seed)
    history.go_on(90)
    history.one_of_each()
    history.stand_in_line(12)
    house = (80, 95, 100) if seed % 2 else (30, 50, 90)
    settings = House(station.url)
    named = ("alerts.low", "alerts.nearly_full", "alerts.full")
    settings.change({name: str(value) for name, value in zip(named, house, strict=True)}, changed_by="test")
    settings.close()
    asked: list[dict[str, str]] = [{}, *({"product": f"tour-{n}"} for n in range(2))]
    asked += [{"occurrence": f"occ-{n}"} for n in range(4)]
    for wanted in asked:
        found = read(station, **wanted)
        recount = Recount(station, lambda row, w=wanted: _is_wanted(row, w), found.read_at)
        _agree(found, recount, house)
        _holds_agree(found, recount)
        _bookings_agree(found, recount)
    everything = read(station)
    for state in ("active", "converting", "confirmed", "expired", "released", "cancelled"):
        assert getattr(everything.holds, state), state
    for state in ("converting", "confirmed", "cancelled", "failed", "parked"):
        assert getattr(everything.bookings, state), state


def _is_wanted(row: Row, wanted: dict[str, str]) -> bool:
    names = {"product": "product_id", "occurrence": "id"}
    return all(row[names[name]] == value for name, value in wanted.items())


def test_an_empty_house_is_counted_too(station: Station) -> None:
    found = read(station)
    assert (found.occurrences, found.products, found.holds.average_life_seconds) == ([], [], None)
    assert (found.totals.occurrences, found.totals.utilisation_percent, found.totals.band) == (0, 0.0, "open")


def test_one_seat_short_of_full_is_not_shown_as_full(station: Station) -> None:
    """Neither by its band nor by a rounded percentage."""
    station.work(a_put(capacity=3000, starts_at=STARTS, ticket_types=[TicketType(key="adult", max_per_order=500)]))
    with psycopg.connect(station.url) as connection:
        connection.execute("UPDATE pools SET held = 2999")
    (line,) = read(station).occurrences
    assert (line.utilisation_percent, line.band, line.available) == (99.9, "nearly_full", 1)


def test_what_is_open_is_counted_for_the_metrics(station: Station) -> None:
    """By the indexes that have just those rows; states without any are there as well."""
    history = History(station, seed=5)
    history.go_on(60)
    history.stand_in_line(9)
    due = DueHolds(station.url)
    counted = due.open_work()
    due.close()
    ((waiting,),) = history.execute("SELECT count(*) FROM waitlist WHERE state = 'waiting'")
    states = Counter(state for (state,) in history.execute("SELECT state FROM bookings"))
    assert counted.waiting == waiting > 0
    assert counted.bookings == {state: states[state] for state in ("converting", "parked", "refund_required")}
