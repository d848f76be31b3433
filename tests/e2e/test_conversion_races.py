"""Expiry and conversion at the same instant, many times, through the real queue and the real sweeper."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.support.rabbit import eventually
from tests.support.recount import Books
from tests.support.requests import place_of, put
from tests.support.site import TestSite, kinds, open_test_site

from holdgate_producer import BookingClient, Held
from holdgate_schema.answers.holds import Refused
from holdgate_schema.answers.selling import Confirmed
from holdgate_schema.commands.selling import ConvertBooking, PaymentNotice, PriceHold
from holdgate_schema.values.quotes import Quote, QuoteLine, sealed
from holdgate_schema.values.views import QuoteView
from holdgate_workers.adapters.postgres.maintenance.installation import House
from holdgate_workers.app.seals import Seals, internal_message
from holdgate_workers.ids import new_request_id

pytestmark = [pytest.mark.services, pytest.mark.slow]

EACH = 50
GROUPS = int(os.environ.get("HOLDGATE_TEST_RACES", "250")) // EACH
EARLY = 5
"""So many are converted as soon as they can be: on a machine that is slow enough, expiry wins all other races."""
PAUSE = timedelta(seconds=0.2)
TTL_SECONDS = 20
TOTAL = 2500
LONG = 120.0


@pytest.fixture(params=kinds())
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestSite]:
    """A site that takes its orders itself, and sweeps five times a second."""
    with open_test_site(request.param, tmp_path_factory.mktemp("races")) as site:
        gate = site.start("gate", "feeder", name="gate")
        site.start("expiry", name="expiry", HOLDGATE_SWEEP_INTERVAL_SECONDS="0.2")
        site.start("orders", name="orders")
        site.wait_lines(gate)
        yield site


def a_quote(occurrence_id: str) -> Quote:
    line = QuoteLine(kind="ticket", label="Adult", key="adult", amount=TOTAL)
    return sealed(
        Quote(
            product_id="tour",
            occurrence_id=occurrence_id,
            currency="EUR",
            items={"adult": 1},
            lines=[line],
            tickets_total=TOTAL,
            extras_total=0,
            total=TOTAL,
        )
    )


def prices_of(holds: list[Held], quotes: dict[str, Quote], seals: Seals) -> list[Any]:
    """What the pricing worker would say, without the time that it takes."""
    messages = []
    for held in holds:
        quote = quotes[held.occurrence_id]
        view = QuoteView(
            hash=quote.hash, currency="EUR", total=TOTAL, tickets_total=TOTAL, extras_total=0, lines=quote.lines
        )
        command = PriceHold(
            request_id=new_request_id(),
            occurrence_id=held.occurrence_id,
            hold_id=held.hold.hold_id,
            items=held.hold.items,
            quote=view,
        )
        messages.append(internal_message(command, seals))
    return messages


def convert_of(held: Held, quote: Quote) -> ConvertBooking:
    return ConvertBooking(
        request_id=new_request_id(),
        occurrence_id=held.occurrence_id,
        session_id=held.hold.session_id,
        hold_id=held.hold.hold_id,
        quote_hash=quote.hash,
        payment=PaymentNotice(method="card", amount=TOTAL, currency="EUR", status="pending"),
    )


def wait_until(house: TestSite, instant: datetime) -> None:
    """By the clock that decides."""
    eventually(lambda: house.value("SELECT clock_timestamp()") >= instant, f"it is {instant}", LONG)


def placed(house: TestSite, client: BookingClient, names: list[str]) -> list[Held]:
    """Groups of holds whose times are over one group after another."""
    holds: list[Held] = []
    for group in range(GROUPS):
        name = names[group % len(names)]
        futures = [client.send(place_of(name, ttl_seconds=TTL_SECONDS)) for _ in range(EACH)]
        answers = [future.result(LONG) for future in futures]
        assert all(isinstance(answer, Held) for answer in answers), answers[:3]
        holds += answers
        wait_until(house, answers[-1].decided_at + PAUSE)
    return holds


def test_of_expiry_and_conversion_at_the_same_instant_exactly_one_wins(house: TestSite) -> None:
    names = [f"race-{number}" for number in range(5)]
    quotes = {name: a_quote(name) for name in names}
    with closing(House(house.database_url)) as agreements:
        seals = Seals(agreements.session_secret())
    client = house.client()
    for name in names:
        put(client, name, capacity=GROUPS * EACH)
        house.rows(
            "INSERT INTO quotes (hash, occurrence_id, document) VALUES (%s, %s, %s)",
            quotes[name].hash,
            name,
            msgspec.json.encode(quotes[name]).decode(),
        )
    holds = placed(house, client, names)
    publisher = house.site.transport.publisher(name="prices")
    try:
        assert publisher.publish(prices_of(holds, quotes, seals)).wait(LONG) == []
    finally:
        publisher.close(1.0)
    eventually(lambda: house.value("SELECT count(*) FROM holds WHERE quote IS NULL") == 0, "all are priced", LONG)
    middle = holds[len(holds) // 2].hold.expires_at
    commands = [convert_of(held, quotes[held.occurrence_id]) for held in holds]
    early, commands = commands[-EARLY:], commands[:-EARLY]
    finals = {command.hold_id: client.follow(command, timeout_seconds=LONG).final for command in early}
    random.Random(29).shuffle(commands)
    wait_until(house, middle - PAUSE)
    finals |= {command.hold_id: client.follow(command, timeout_seconds=LONG).final for command in commands}
    won = {hold_id: final.result(LONG) for hold_id, final in finals.items()}
    _check(house, won)


def _check(house: TestSite, won: dict[str, Any]) -> None:
    live = "SELECT count(*) FROM holds WHERE state IN ('active', 'converting')"
    eventually(lambda: house.value(live) == 0, "every hold has come to its end", LONG)
    states = dict(house.rows("SELECT id::text, state FROM holds"))
    bookings = dict(house.rows("SELECT id::text, state FROM bookings"))
    for hold_id, answer in won.items():
        if isinstance(answer, Confirmed):
            assert (states[hold_id], bookings[hold_id]) == ("confirmed", "confirmed")
        else:
            assert isinstance(answer, Refused), answer
            assert answer.reason == "hold_final"
            assert (states[hold_id], bookings.get(hold_id)) == ("expired", None)
    sold = sum(isinstance(answer, Confirmed) for answer in won.values())
    assert 0 < sold < GROUPS * EACH == len(won)
    assert house.value("SELECT sum(sold) FROM pools WHERE key = 'total'") == sold
    assert house.value("SELECT count(*) FROM orders") == sold
    # Each hold has exactly one end, and the events say the same: counted by hand.
    assert Books(house.database_url).problems() == []
