"""Defects of the old engine about time and expiry, each with its number, on the whole gate."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import pytest
from tests.support.events import EventTap
from tests.support.rabbit import eventually
from tests.support.recount import Books
from tests.support.requests import STARTS, place_of, put
from tests.support.site import TestSite

from holdgate_producer.client.client import BookingClient
from holdgate_schema.answers.holds import Availability, Extended, Held, Reason, Refused, Released
from holdgate_schema.commands.holds import ExtendHold, ReleaseHold
from holdgate_workers.ids import new_request_id

pytestmark = pytest.mark.services

ZONES = ("Pacific/Pago_Pago", "UTC", "Asia/Kathmandu", "Pacific/Kiritimati")
"""-11:00, 0, +5:45, +14:00."""

EARLY_SECONDS = (0.0, 0.005, 0.02, 0.08, 0.3)
"""Some win their race however busy the machine is, some lose it."""


def database_time(site: TestSite) -> datetime:
    """The only clock that counts."""
    now: datetime = site.value("SELECT clock_timestamp()")
    return now


def wait_until(site: TestSite, instant: datetime) -> None:
    """Wait until the database's clock says so."""
    eventually(lambda: database_time(site) >= instant, f"it is {instant}")


def placed(client: BookingClient, occurrence_id: str, **more: Any) -> Held:
    """A hold that was granted."""
    answer = client.call(place_of(occurrence_id, **more))
    assert isinstance(answer, Held), answer
    return answer


@pytest.mark.slow
def test_b3_the_time_zones_of_process_and_database_change_nothing(site: TestSite) -> None:
    """The same story in four zones has the same ending, second by second; a short hold ends in time in each."""
    endings = []
    for number, zone in enumerate(ZONES):
        database = site.value("SELECT current_database()")
        site.rows(f"""ALTER DATABASE "{database}" SET timezone TO '{zone}'""")
        worker = site.start(TZ=zone, HOLDGATE_SWEEP_INTERVAL_SECONDS="0.1")
        endings.append(_story(site, site.client(), f"b3-{number}"))
        worker.terminate()
    assert endings[0]["short hold"] == {"ttl": 3.0, "in time": True}
    assert all(ending == endings[0] for ending in endings), endings


def _story(site: TestSite, client: BookingClient, occurrence_id: str) -> dict[str, Any]:
    closes = STARTS.replace(tzinfo=None) - timedelta(hours=30)  # wall time is meant
    put(client, occurrence_id, 2, starts_at=STARTS, product_id=occurrence_id, sales_close=closes)
    long, short = placed(client, occurrence_id), placed(client, occurrence_id, ttl_seconds=3)
    refused = client.place(occurrence_id, {"adult": 1})
    ended = eventually(
        lambda: site.rows(
            "SELECT state, expires_at, ended_at FROM holds WHERE id = %s AND ended_at IS NOT NULL",
            short.hold.hold_id,
        )
    )
    state, expires_at, ended_at = ended[0]
    seen = client.availability(occurrence_id)
    assert isinstance(seen, Availability)
    assert isinstance(refused, Refused)
    return {
        "long hold": (long.hold.expires_at - long.hold.created_at).total_seconds(),
        "short hold": {
            "ttl": (short.hold.expires_at - short.hold.created_at).total_seconds(),
            "in time": 0 <= (ended_at - expires_at).total_seconds() < 5,
        },
        "state": state,
        "stored as answered": expires_at == short.hold.expires_at,
        "refused": (refused.reason, refused.next_release_at == short.hold.expires_at),
        "seen": (seen.starts_at, seen.pools, seen.on_sale),
        "closes": site.value("SELECT definition->>'closes_at' FROM occurrences WHERE id = %s", occurrence_id),
    }


def test_b15_every_hold_has_exactly_one_terminal_event_with_its_reason(
    client: BookingClient, house: TestSite, events: EventTap
) -> None:
    """Released by its owner, swept, or ended because somebody touched it: told once, and kept in the journal."""
    put(client, "b15", 100)
    released = [placed(client, "b15") for _ in range(20)]
    swept = [placed(client, "b15", ttl_seconds=1) for _ in range(20)]
    for held in released:
        assert isinstance(client.release("b15", held.hold.session_id, held.hold.hold_id), Released)
    ids = [held.hold.hold_id for held in released + swept]
    eventually(lambda: len(events.ends(*ids)) >= 40, "all ends are told")
    ends = {
        event["hold"]["hold_id"]: (event["type"], event.get("reason"))
        for event in events.heard("b15")
        if event["type"] in ("hold.released.v1", "hold.expired.v1")
    }
    assert Counter(events.ends(*ids)) == {"hold.released.v1": 20, "hold.expired.v1": 20}
    assert {ends[held.hold.hold_id] for held in released} == {("hold.released.v1", None)}
    assert {ends[held.hold.hold_id][0] for held in swept} == {"hold.expired.v1"}
    assert Books(house.database_url).problems() == []


def test_b16_without_expiry_worker_everything_is_right_and_with_it_the_backlog_goes(site: TestSite) -> None:
    """A dead hold stands in nobody's way; when the worker comes, what is overdue is expired once and the lag falls."""
    gate = site.start("gate", "relay")
    client, events = site.client(), EventTap(site)
    put(client, "b16", 3)
    held = [placed(client, "b16", ttl_seconds=1) for _ in range(3)]
    put(client, "b16-backlog", 1000)
    backlog = [client.send(place_of("b16-backlog", ttl_seconds=1)) for _ in range(300)]
    last = max(answer.hold.expires_at for f in backlog if isinstance(answer := f.result(), Held))
    wait_until(site, last)
    seen = client.availability("b16")
    assert isinstance(seen, Availability)
    assert (seen.pools["total"].held, seen.pools["total"].available) == (0, 3)
    placed(client, "b16", items={"adult": 2})
    assert site.held("b16") == 3, "the third dead hold was in nobody's way"
    expiry = site.start("expiry", HOLDGATE_SWEEP_INTERVAL_SECONDS="0.1")
    eventually(lambda: site.held("b16-backlog") == 0, "the backlog is expired")
    eventually(lambda: expiry.metric("holdgate_due_holds") == 0, "nothing is due any more")
    assert expiry.metric("holdgate_expiry_lag_seconds") == 0
    assert gate.metric("holdgate_conflicts_total", kind="early") == 0
    ids = [answer.hold.hold_id for f in backlog if isinstance(answer := f.result(), Held)]
    ids += [answer.hold.hold_id for answer in held]
    eventually(lambda: len(events.ends(*ids)) >= 303, "all ends are told")
    assert len(events.ends(*ids)) == 303
    assert Books(site.database_url).problems() == []


def test_b17_expiry_racing_an_extension_or_a_release_has_one_winner(
    client: BookingClient, house: TestSite, events: EventTap
) -> None:
    """Two hundred holds end; in the very moment one half of them is extended and the other released, while the
    expiry worker sweeps: each ends once, and what was answered is what happened."""
    put(client, "b17", 1000)
    pause = threading.Event()
    futures = []
    for _ in range(200):
        futures.append(client.send(place_of("b17", ttl_seconds=1)))
        pause.wait(0.002)
    held = [answer for future in futures if isinstance(answer := future.result(), Held)]
    ahead = database_time(house).timestamp() - monotonic()
    races = []
    for number, answer in enumerate(held):
        hold = answer.hold
        early = EARLY_SECONDS[number % len(EARLY_SECONDS)]
        pause.wait(max(0.0, hold.expires_at.timestamp() - early - (monotonic() + ahead)))
        command = (ExtendHold, ReleaseHold)[number % 2](
            request_id=new_request_id(), occurrence_id="b17", session_id=hold.session_id, hold_id=hold.hold_id
        )
        races.append((hold.hold_id, client.send(command)))
    outcomes = {hold_id: future.result() for hold_id, future in races}
    ids = [answer.hold.hold_id for answer in held]
    eventually(lambda: len(events.ends(*ids)) >= len(ids), "every hold has ended")
    assert len(events.ends(*ids)) == len(ids) == 200
    ended = dict(house.rows("SELECT id::text, state FROM holds WHERE occurrence_id = 'b17'"))
    for hold_id, outcome in outcomes.items():
        if isinstance(outcome, Released):
            assert ended[hold_id] == "released"
        else:
            assert isinstance(outcome, Extended) or outcome.reason is Reason.HOLD_FINAL  # type: ignore[union-attr]
            assert ended[hold_id] == "expired"
    assert len({type(outcome) for outcome in outcomes.values()}) > 1, "it was a race"
    assert Books(house.database_url).problems() == []
