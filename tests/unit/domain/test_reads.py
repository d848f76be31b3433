"""`hold.get` and `waitlist.get`: what is, said without a trace."""

from __future__ import annotations

import pytest
from tests.support.domain import ANY_ID, House, a_place, a_release, got

from holdgate_schema.answers.holds import Held, HoldShown, Reason, Refused
from holdgate_schema.answers.selling import Waiting, WaitlistPlace
from holdgate_schema.commands.holds import GetHold
from holdgate_schema.commands.selling import GetWaitlistEntry, JoinWaitlist


@pytest.fixture
def house() -> House:
    return House.with_occurrence()


def a_hold_get(held: Held, **fields: str) -> GetHold:
    about = {"session_id": held.hold.session_id, "hold_id": held.hold.hold_id} | fields
    return GetHold(request_id=ANY_ID, occurrence_id=held.occurrence_id, **about)


def test_a_hold_is_shown_as_it_is_and_nothing_is_recorded(house: House) -> None:
    held = got(Held, house.send(a_place(ttl_seconds=60)))
    version = house.occurrence().version
    assert got(HoldShown, house.send(a_hold_get(held))).hold == held.hold
    house.wait(seconds=60)
    assert got(HoldShown, house.send(a_hold_get(held))).hold.state == "expired"
    assert house.occurrence().version == version
    assert house.occurrence().holds[held.hold.hold_id].state == "active", "to look expires nothing"


def test_a_hold_that_has_ended_is_shown_too(house: House) -> None:
    held = got(Held, house.send(a_place()))
    house.send(a_release(held))
    assert got(HoldShown, house.send(a_hold_get(held))).hold.state == "released"


def test_another_sessions_hold_looks_as_if_it_did_not_exist(house: House) -> None:
    held = got(Held, house.send(a_place()))
    for fields in ({"session_id": "another"}, {"hold_id": ANY_ID}):
        refused = got(Refused, house.send(a_hold_get(held, **fields)))
        assert (refused.reason, refused.version) == (Reason.HOLD_NOT_FOUND, house.occurrence().version)


def test_an_entry_is_shown_with_its_place_and_then_with_its_offer(house: House) -> None:
    everything = house.occurrence().total.available()
    assert everything is not None
    taken = [got(Held, house.send(a_place(items={"adult": 1}, session_id=f"s{n}"))) for n in range(everything)]
    joining = JoinWaitlist(request_id=ANY_ID, occurrence_id="occ-1", items={"adult": 1}, session_id="ann")
    waiting = got(Waiting, house.send(joining))
    asking = GetWaitlistEntry(
        request_id=ANY_ID, occurrence_id="occ-1", session_id="ann", entry_id=waiting.entry_id
    )
    place = got(WaitlistPlace, house.send(asking))
    assert (place.state, place.position, place.items, place.hold) == ("waiting", 1, {"adult": 1}, None)
    house.send(a_release(taken[0]))
    place = got(WaitlistPlace, house.send(asking))
    assert (place.state, place.position) == ("offered", None)
    assert place.hold is not None
    assert (place.hold.hold_id, place.hold.state) == (waiting.entry_id, "active")
    stranger = GetWaitlistEntry(
        request_id=ANY_ID, occurrence_id="occ-1", session_id="bob", entry_id=waiting.entry_id
    )
    assert got(Refused, house.send(stranger)).reason is Reason.ENTRY_NOT_FOUND
