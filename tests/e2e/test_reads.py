"""`hold.get` and `waitlist.get` over the real queue: each state that there is, to its owner and to nobody else."""

from __future__ import annotations

import pytest
from tests.support.requests import put
from tests.support.site import TestSite

from holdgate_producer import BookingClient, Held, new_request_id
from holdgate_schema.answers.holds import HoldShown, Reason, Refused
from holdgate_schema.answers.selling import LeftWaitlist, Waiting, WaitlistPlace

pytestmark = pytest.mark.services


def shown(client: BookingClient, held: Held) -> HoldShown:
    answer = client.hold(held.occurrence_id, held.hold.session_id, held.hold.hold_id)
    assert isinstance(answer, HoldShown), answer
    return answer


def refused(answer: object) -> Reason:
    assert isinstance(answer, Refused), answer
    return answer.reason


def held_in(client: BookingClient, occurrence_id: str, session_id: str, seats: int = 1) -> Held:
    answer = client.place(occurrence_id, {"adult": seats}, session_id=session_id)
    assert isinstance(answer, Held), answer
    return answer


def test_a_hold_is_shown_in_each_of_its_states_and_looking_leaves_no_trace(
    house: TestSite, client: BookingClient
) -> None:
    put(client, "look", 4)
    first = held_in(client, "look", "ann")
    assert shown(client, first).hold == first.hold
    client.extend("look", "ann", first.hold.hold_id)
    assert shown(client, first).hold.extensions_used == 1
    client.release("look", "ann", first.hold.hold_id)
    assert shown(client, first).hold.state == "released"
    decided = house.value("SELECT count(*) FROM journal WHERE occurrence_id = 'look'")
    for session, hold_id in (("bob", first.hold.hold_id), ("ann", new_request_id())):
        assert refused(client.hold("look", session, hold_id)) is Reason.HOLD_NOT_FOUND
    assert refused(client.hold("nowhere", "ann", first.hold.hold_id)) is Reason.UNKNOWN_OCCURRENCE
    assert house.value("SELECT count(*) FROM journal WHERE occurrence_id = 'look'") == decided == 4


def test_a_place_in_line_is_shown_until_its_owner_leaves_and_as_the_offer_that_came_of_it(
    house: TestSite, client: BookingClient
) -> None:
    put(client, "line", 2)
    taken = held_in(client, "line", "early", 2)
    entries = {}
    for session in ("ann", "bob", "eve"):
        answer = client.join_waitlist("line", {"adult": 1}, session_id=session)
        assert isinstance(answer, Waiting), answer
        entries[session] = answer.entry_id

    def place(session: str, entry_of: str | None = None) -> WaitlistPlace | Refused:
        return client.waitlist_entry("line", session, entries[entry_of or session])

    def told(session: str) -> WaitlistPlace:
        answer = place(session)
        assert isinstance(answer, WaitlistPlace), answer
        return answer

    assert [told(session).position for session in entries] == [1, 2, 3]
    assert isinstance(client.leave_waitlist("line", "ann", entries["ann"]), LeftWaitlist)
    assert refused(place("ann")) is Reason.ENTRY_NOT_FOUND
    assert (told("bob").position, told("eve").position) == (1, 2)
    client.release("line", "early", taken.hold.hold_id)
    for session in ("bob", "eve"):
        offered = told(session)
        assert (offered.state, offered.position) == ("offered", None)
        assert offered.hold is not None
        assert (offered.hold.hold_id, offered.hold.state) == (entries[session], "active")
    assert refused(place("bob", entry_of="eve")) is Reason.ENTRY_NOT_FOUND
    assert isinstance(client.leave_waitlist("line", "bob", entries["bob"]), LeftWaitlist)
    declined = told("bob")
    assert declined.hold is not None
    assert (declined.state, declined.hold.state) == ("offered", "released")
