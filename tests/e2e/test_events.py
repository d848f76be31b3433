"""What the world is told: every event that was committed, in the language's own words, in order per occurrence."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from tests.support.events import EventTap
from tests.support.rabbit import eventually
from tests.support.requests import place_of, put
from tests.support.site import TestSite

from holdgate_producer.client.client import BookingClient
from holdgate_schema.answers.holds import Held
from holdgate_schema.commands.holds import ChangeHold, ExtendHold, ReleaseHold, SetCapacity
from holdgate_schema.events.holds import EVENT_TYPES, event_type
from holdgate_schema.events.selling import SELLING_EVENT_TYPES
from holdgate_workers.ids import new_request_id

pytestmark = pytest.mark.services

HOLDS = 300
PATIENCE_SECONDS = 60.0


def committed(site: TestSite, *occurrence_ids: str) -> dict[str, list[str]]:
    """The ids of the events in the journal, in order, per occurrence."""
    rows = site.rows(
        "SELECT j.occurrence_id, e->>'event_id' FROM journal j, "
        "json_array_elements(j.events) WITH ORDINALITY AS told (e, n) "
        "WHERE j.occurrence_id = ANY(%s) ORDER BY j.version, n",
        list(occurrence_ids),
    )
    found: dict[str, list[str]] = defaultdict(list)
    for occurrence_id, event_id in rows:
        found[occurrence_id].append(event_id)
    return found


def told(events: EventTap, *occurrence_ids: str) -> dict[str, list[str]]:
    """The ids of the events that were heard, in order, per occurrence, each once."""
    return {i: list(dict.fromkeys(event["event_id"] for event in events.heard(i))) for i in occurrence_ids}


def test_b42_every_kind_of_event_is_told_as_the_language_says(
    house: TestSite, client: BookingClient, events: EventTap
) -> None:
    """`EventTap` decodes each one strictly; here every kind that needs no other role happens at least once."""
    put(client, "b42", 5)
    held, ending = client.call(place_of("b42")), client.call(place_of("b42", ttl_seconds=1))
    assert isinstance(held, Held)
    assert isinstance(ending, Held)
    ids: dict[str, Any] = {
        "occurrence_id": "b42",
        "session_id": held.hold.session_id,
        "hold_id": held.hold.hold_id,
    }
    client.call(ChangeHold(request_id=new_request_id(), items={"adult": 3}, **ids))
    client.call(ExtendHold(request_id=new_request_id(), **ids))
    client.call(SetCapacity(request_id=new_request_id(), occurrence_id="b42", capacity=1))
    client.call(ReleaseHold(request_id=new_request_id(), **ids))
    client.call(SetCapacity(request_id=new_request_id(), occurrence_id="b42", capacity=5))
    eventually(lambda: events.ends(ending.hold.hold_id), "the short hold has ended")
    alone = {event_type(kind) for kind in EVENT_TYPES if kind not in SELLING_EVENT_TYPES}
    assert alone <= {event["type"] for event in events.heard("b42")}
    assert told(events, "b42") == committed(house, "b42")


@pytest.mark.parametrize("failpoint", ["before:Announce:2:kill", "before:Advance:2:kill", "after:Advance:2:kill"])
def test_a_killed_relay_loses_no_event_and_the_next_one_keeps_the_order(site: TestSite, failpoint: str) -> None:
    """Two relays; the one that has the cursor dies before it tells, or between the telling and the noting."""
    events = EventTap(site)
    site.start("gate")
    first = site.start("relay")
    site.wait_cursor()
    site.start("relay")
    client = site.client()
    ids = [f"relay-{failpoint}-{number}" for number in range(3)]
    for occurrence_id in ids:
        put(client, occurrence_id, 10 * HOLDS)
    first.arm(failpoint)
    placed = 0
    # What waits is told all at once, and when depends on the oldest transaction of the whole server: there is a
    # second time when all was told and there is more.
    while placed < HOLDS or not first.has_struck:
        answers = [future.result() for future in client.send_many([place_of(i) for i in ids for _ in range(5)])]
        assert all(isinstance(answer, Held) for answer in answers)
        placed += len(answers)
        if placed >= HOLDS:
            eventually(
                lambda: first.has_struck or told(events, *ids) == committed(site, *ids),
                "it tells",
                PATIENCE_SECONDS,
            )
    first.wait_killed()
    expected = committed(site, *ids)
    assert sum(map(len, expected.values())) == len(ids) + placed
    eventually(lambda: told(events, *ids) == expected, "everything was told, in order", PATIENCE_SECONDS)
