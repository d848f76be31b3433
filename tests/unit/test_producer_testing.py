"""The test double that we ship behaves like Holdgate where it says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from holdgate_producer import BookingClient, Held, Reason, Refused, Released, new_request_id
from holdgate_producer.testing import FakeGate
from holdgate_schema.answers.holds import NotOnSale, OccurrenceStored, Swept
from holdgate_schema.commands.holds import PlaceHold, PutOccurrence, SetCapacity, SweepHolds, TicketType


def refused(answer: object) -> Refused:
    assert isinstance(answer, Refused)
    return answer


def held(answer: object) -> Held:
    assert isinstance(answer, Held)
    return answer


def test_it_grants_until_the_seats_are_gone_and_teaches_what_is_left() -> None:
    with BookingClient(link=FakeGate({"occ-1": 3})) as client:
        assert held(client.place("occ-1", {"adult": 2})).available == {"total": 1}
        answer = refused(client.place("occ-1", {"adult": 2}))
        assert answer.reason is Reason.SOLD_OUT
        assert (answer.available, answer.held, answer.requested) == ({"total": 1}, {"total": 2}, 2)
        assert answer.next_release_at is not None


def test_releases_and_time_give_seats_back() -> None:
    gate = FakeGate({"occ-1": 2})
    with BookingClient(link=gate) as client:
        hold = held(client.place("occ-1", {"adult": 1})).hold
        assert isinstance(client.release("occ-1", hold.session_id, hold.hold_id), Released)
        assert refused(client.release("occ-1", hold.session_id, hold.hold_id)).hold_state == "released"
        held(client.place("occ-1", {"adult": 2}, ttl_seconds=60))
        gate.advance(60)
        held(client.place("occ-1", {"adult": 2}))


def test_a_request_id_gets_its_answer_again_and_never_another_decision() -> None:
    gate = FakeGate({"occ-1": 5})
    with BookingClient(link=gate) as client:
        request_id = new_request_id()
        first = client.place("occ-1", {"adult": 1}, request_id=request_id)
        assert client.place("occ-1", {"adult": 1}, request_id=request_id) == first
        conflict = refused(client.place("occ-1", {"adult": 2}, request_id=request_id))
        assert conflict.reason is Reason.REQUEST_CONFLICT
        assert gate.available("occ-1") == 4
    assert len(gate.requests) == 3


def test_a_refusal_is_remembered_unless_it_is_retryable() -> None:
    gate = FakeGate({"occ-1": 5})
    gate.refuse_next(Reason.SOLD_OUT)
    gate.refuse_next(Reason.UNAVAILABLE)
    with BookingClient(link=gate) as client:
        sticky, retryable = new_request_id(), new_request_id()
        for _ in range(2):
            assert refused(client.place("occ-1", {"adult": 1}, request_id=sticky)).reason is Reason.SOLD_OUT
        assert refused(client.place("occ-1", {"adult": 1}, request_id=retryable)).reason is Reason.UNAVAILABLE
        held(client.place("occ-1", {"adult": 1}, request_id=retryable))


def test_a_scripted_refusal_carries_its_fields() -> None:
    gate = FakeGate({"occ-1": 5})
    gate.refuse_next(Reason.LIMIT_PER_SESSION, limit=10, used=10)
    with BookingClient(link=gate) as client:
        answer = refused(client.place("occ-1", {"adult": 1}))
    assert (answer.limit, answer.used, answer.retryable) == (10, 10, False)


def test_another_sessions_hold_is_not_found() -> None:
    with BookingClient(link=FakeGate({"occ-1": 5})) as client:
        hold = held(client.place("occ-1", {"adult": 1}, session_id="mine")).hold
        assert refused(client.release("occ-1", "yours", hold.hold_id)).reason is Reason.HOLD_NOT_FOUND


def test_extensions_run_out() -> None:
    with BookingClient(link=FakeGate({"occ-1": 5})) as client:
        hold = held(client.place("occ-1", {"adult": 1})).hold
        for _ in range(3):
            client.extend("occ-1", hold.session_id, hold.hold_id)
        answer = refused(client.extend("occ-1", hold.session_id, hold.hold_id))
        assert answer.reason is Reason.EXTENSION_LIMIT


def test_an_own_hold_can_be_changed_within_its_own_seats() -> None:
    with BookingClient(link=FakeGate({"occ-1": 5})) as client:
        hold = held(client.place("occ-1", {"adult": 5})).hold
        ids = ("occ-1", hold.session_id, hold.hold_id)
        assert not isinstance(client.change(*ids, {"child": 5}), Refused)
        assert refused(client.change(*ids, {"child": 6})).reason is Reason.SOLD_OUT


def test_the_catalogue_can_be_played_too() -> None:
    start = datetime(2030, 6, 1, 10, tzinfo=UTC)
    put = PutOccurrence(
        request_id=new_request_id(),
        occurrence_id="new",
        product_id="p",
        starts_at=start,
        ends_at=start + timedelta(hours=1),
        timezone="Europe/Vienna",
        capacity=2,
        ticket_types=[TicketType(key="adult")],
        status="closed",
    )
    with BookingClient(link=FakeGate()) as client:
        assert refused(client.place("new", {"adult": 1})).reason is Reason.UNKNOWN_OCCURRENCE
        stored = client.call(put)
        assert isinstance(stored, OccurrenceStored)
        assert stored.created
        assert refused(client.place("new", {"adult": 1})).not_on_sale is NotOnSale.CLOSED
        more = SetCapacity(request_id=new_request_id(), occurrence_id="new", capacity=9)
        assert client.call(more).version == 2
        assert isinstance(client.call(SweepHolds(request_id=new_request_id(), occurrence_id="new")), Swept)


def test_waiting_for_requests_that_do_not_come_says_so() -> None:
    gate = FakeGate({"occ-1": 5})
    with BookingClient(link=gate) as client:
        client.send(PlaceHold(request_id=new_request_id(), occurrence_id="occ-1", items={"adult": 1}))
        assert len(gate.wait_for_requests(1)) == 1
        with pytest.raises(TimeoutError, match="1 of 2"):
            gate.wait_for_requests(2, timeout_seconds=0.01)


def test_it_can_be_scripted_before_the_client_exists_and_read_after_it_is_closed() -> None:
    gate = FakeGate({"occ-1": 5}, connected=False)
    gate.go_down()
    gate.nack_next()
    with BookingClient(link=gate) as client:
        assert client.in_flight == 0
    gate.close()
    assert gate.requests == []
