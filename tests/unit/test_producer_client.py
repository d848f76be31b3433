"""What `BookingClient` promises its callers, over the in-memory gate."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest

from holdgate_producer import (
    Availability,
    Blocked,
    BookingClient,
    Changed,
    ClientClosed,
    ClientConfig,
    ConnectionLost,
    Extended,
    Held,
    HoldShown,
    InvalidConfig,
    InvalidRequest,
    Nacked,
    Reason,
    Refused,
    Released,
    TimedOut,
    UnreadableAnswer,
    Unroutable,
    new_request_id,
)
from holdgate_producer.testing import FakeGate
from holdgate_schema.answers.holds import Answer, OccurrenceStored
from holdgate_schema.commands.holds import Client, CloseOccurrence, PlaceHold
from holdgate_schema.contract.examples.holds import as_json, examples

LONG = 120.0
SHORT = 0.1


def config(**settings: object) -> ClientConfig:
    return ClientConfig(url="amqp://localhost/", app_id="test", **settings)  # type: ignore[arg-type]


def place_command(occurrence_id: str = "occ-1", request_id: str | None = None, seats: int = 1) -> PlaceHold:
    return PlaceHold(
        request_id=request_id or new_request_id(), occurrence_id=occurrence_id, items={"adult": seats}
    )


def until(is_so: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(5000):
        if is_so():
            return
        pause.wait(0.002)
    raise AssertionError("it did not happen")


def test_a_hold_lives_through_all_commands() -> None:
    """Each method gives the answer of its command."""
    with BookingClient(link=FakeGate({"occ-1": 10})) as client:
        held = client.place("occ-1", {"adult": 2, "child": 1}, user_id="u1", client=Client(address="192.0.2.1"))
        assert isinstance(held, Held)
        hold = held.hold
        changed = client.change("occ-1", hold.session_id, hold.hold_id, {"adult": 5})
        assert isinstance(changed, Changed)
        assert changed.available == {"total": 5}
        assert isinstance(client.extend("occ-1", hold.session_id, hold.hold_id), Extended)
        seen = client.availability("occ-1")
        assert isinstance(seen, Availability)
        assert seen.pools["total"].held == 5
        assert isinstance(client.release("occ-1", hold.session_id, hold.hold_id), Released)


def test_a_refusal_is_a_value_even_if_it_is_retryable() -> None:
    gate = FakeGate({"occ-1": 1})
    gate.refuse_next(Reason.UNAVAILABLE)
    with BookingClient(link=gate) as client:
        answer = client.place("occ-1", {"adult": 1})
        assert isinstance(answer, Refused)
        assert answer.reason is Reason.UNAVAILABLE
        assert answer.retryable


def test_catalogue_commands_go_through_call() -> None:
    with BookingClient(link=FakeGate({"occ-1": 1})) as client:
        answer = client.call(CloseOccurrence(request_id=new_request_id(), occurrence_id="occ-1"))
    assert isinstance(answer, OccurrenceStored)


@pytest.mark.parametrize(
    ("occurrence_id", "items", "more", "field"),
    [
        ("", {"adult": 1}, {}, "occurrence_id"),
        ("occ-1", {}, {}, "items"),
        ("occ-1", {"adult": 0}, {}, "items.adult"),
        ("occ-1", {"adult": 1.5}, {}, "items.adult"),
        ("occ-1", {"adult": 1}, {"ttl_seconds": 0}, "ttl_seconds"),
        ("occ-1", {"adult": 1}, {"request_id": "7"}, "request_id"),
        ("occ-1", {"adult": 1}, {"session_id": "a b"}, "session_id"),
        ("occ-1", {"adult": object()}, {}, "body"),
        ("occ-\ud800", {"adult": 1}, {}, "body"),
    ],
)
def test_a_command_that_breaks_the_contract_is_not_sent(
    occurrence_id: str, items: dict[str, int], more: dict[str, object], field: str
) -> None:
    gate = FakeGate({"occ-1": 10})
    with BookingClient(link=gate) as client:
        with pytest.raises(InvalidRequest) as caught:
            client.place(occurrence_id, items, **more)  # type: ignore[arg-type]
        assert [error.field for error in caught.value.errors] == [field]
        assert client.in_flight == 0
    assert gate.requests == []


def test_one_bad_command_among_many_sends_none() -> None:
    gate = FakeGate({"occ-1": 10})
    with BookingClient(link=gate) as client, pytest.raises(InvalidRequest):
        client.send_many([place_command(), place_command(occurrence_id="")])
    assert gate.requests == []


@pytest.mark.parametrize("timeout_seconds", [0, -1, float("nan"), float("inf"), "1", True])
def test_a_timeout_must_be_a_number_of_seconds(timeout_seconds: float) -> None:
    with BookingClient(link=FakeGate()) as client, pytest.raises(InvalidRequest, match="timeout_seconds"):
        client.place("occ-1", {"adult": 1}, timeout_seconds=timeout_seconds)


def test_a_lost_answer_times_out_and_the_same_id_gets_it_later() -> None:
    """The timeout names the request id; trying again with it takes no second seat."""
    gate = FakeGate({"occ-1": 10})
    gate.drop_next_answer()
    with BookingClient(link=gate) as client:
        with pytest.raises(TimedOut) as caught:
            client.place("occ-1", {"adult": 1}, session_id="s", timeout_seconds=SHORT)
        assert caught.value.accepted
        request_id = caught.value.request_id
        assert request_id is not None
        assert request_id in str(caught.value)
        assert "safe to send again with the same id" in str(caught.value)
        again = client.place("occ-1", {"adult": 1}, session_id="s", request_id=request_id)
        assert isinstance(again, Held)
    assert gate.available("occ-1") == 9


def test_without_a_connection_the_timeout_says_why() -> None:
    gate = FakeGate({"occ-1": 10}, connected=False)
    with BookingClient(link=gate) as client:
        gate.go_down("no route to host")
        with pytest.raises(ConnectionLost, match="no route to host"):
            client.place("occ-1", {"adult": 1}, timeout_seconds=SHORT)
        with pytest.raises(ConnectionLost, match="no route to host"):
            client.wait_connected(SHORT)
        gate.come_up()
        client.wait_connected(SHORT)


def test_unroutable_and_nacked_requests_fail_with_their_own_errors() -> None:
    gate = FakeGate({"occ-1": 10})
    with BookingClient(link=gate) as client:
        gate.unroutable_next("312 NO_ROUTE")
        with pytest.raises(Unroutable, match="312 NO_ROUTE") as unroutable:
            client.place("occ-1", {"adult": 1})
        assert unroutable.value.request_id
        gate.nack_next()
        with pytest.raises(Nacked) as nacked:
            client.place("occ-1", {"adult": 1})
        assert nacked.value.request_id
        assert isinstance(client.place("occ-1", {"adult": 1}, request_id=nacked.value.request_id), Held)


def test_after_a_lost_connection_open_requests_go_out_again_first_and_in_order() -> None:
    """Ids, bodies and order are those of the first attempt; new requests follow."""
    gate = FakeGate({"occ-1": 100}, connected=False)
    with BookingClient(link=gate) as client:
        first = [place_command() for _ in range(20)]
        futures = client.send_many(first)
        gate.block()
        gate.come_up()
        gate.go_down()
        second = [place_command() for _ in range(20)]
        futures += client.send_many(second)
        gate.come_up()
        assert all(isinstance(future.result(LONG), Held) for future in futures)
    assert gate.requests == first + second


def test_an_answer_that_was_lost_with_the_connection_comes_after_the_reconnect() -> None:
    gate = FakeGate({"occ-1": 10})
    gate.drop_next_answer()
    with BookingClient(link=gate) as client:
        future = client.send(place_command())
        gate.wait_for_requests(1)
        gate.go_down()
        gate.come_up()
        assert isinstance(future.result(LONG), Held)
        assert client.stats.resent == 1
    assert gate.available("occ-1") == 9


def test_late_answers_are_dropped_and_counted() -> None:
    gate = FakeGate({"occ-1": 10})
    with BookingClient(link=gate) as client:
        gate.block()
        gate.unblock()
        client._core.answered(new_request_id(), b"{}", None)
        assert client.stats.late == 1


def test_an_answer_counts_even_if_the_confirm_comes_later_or_is_bad() -> None:
    gate = FakeGate({"occ-1": 10})
    with BookingClient(link=gate) as client:
        command = place_command()
        assert isinstance(client.call(command), Held)
        client._core.nacked(command.request_id, "too late to matter")
        client._core.confirmed(command.request_id)
        assert client.in_flight == 0


def test_an_answer_that_cannot_be_read_says_so_at_once() -> None:
    gate = FakeGate({"occ-1": 10})
    gate.drop_next_answer()
    with BookingClient(link=gate) as client:
        command = place_command()
        future = client.send(command)
        gate.wait_for_requests(1)
        client._core.answered(command.request_id, b'{"outcome":"from_the_future"}', "answer.from_the_future.v1")
        with pytest.raises(UnreadableAnswer, match="from_the_future"):
            future.result(LONG)


def test_the_same_request_in_flight_twice_is_one_request() -> None:
    gate = FakeGate({"occ-1": 10}, connected=False)
    with BookingClient(link=gate) as client:
        command = place_command()
        first, second = client.send_many([command, command])
        other = client.send(place_command(request_id=command.request_id, seats=3))
        with pytest.raises(InvalidRequest, match="another body"):
            other.result(LONG)
        gate.come_up()
        assert first.result(LONG) == second.result(LONG)
    assert gate.requests == [command]


def test_room_is_waited_for_and_then_blocked_is_told() -> None:
    """Not more than in_flight_max are open; what finds no room in time was not sent."""
    gate = FakeGate({"occ-1": 10}, connected=False)
    client = BookingClient(config(in_flight_max=2), link=gate)
    fitting = client.send_many([place_command() for _ in range(2)])
    with pytest.raises(Blocked, match="was not sent: 2 are in flight"):
        client.place("occ-1", {"adult": 1}, timeout_seconds=SHORT)
    gate.come_up()
    assert all(isinstance(future.result(LONG), Held) for future in fitting)
    client.close()
    assert len(gate.requests) == 2


def test_send_many_goes_on_as_room_comes_free() -> None:
    gate = FakeGate({"occ-1": 1000})
    with BookingClient(config(in_flight_max=7), link=gate) as client:
        commands = [place_command() for _ in range(200)]
        futures = client.send_many(commands)
        assert all(isinstance(future.result(LONG), Held) for future in futures)
    assert gate.requests == commands


def test_a_blocked_broker_gets_nothing_new_until_it_is_unblocked() -> None:
    """Sending waits; it goes on after the alarm, and fails with Blocked and the reason if that is too late."""
    gate = FakeGate({"occ-1": 10})
    with BookingClient(link=gate) as client:
        client.wait_connected()
        gate.block("low on memory")
        assert client.is_blocked
        with pytest.raises(Blocked, match="low on memory"):
            client.place("occ-1", {"adult": 1}, timeout_seconds=SHORT)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.place, "occ-1", {"adult": 1})
            gate.unblock()
            assert isinstance(waiting.result(LONG), Held)
        assert not client.is_blocked
    assert len(gate.requests) == 1


def test_what_was_sent_before_the_alarm_is_answered_after_it() -> None:
    gate = FakeGate({"occ-1": 10}, connected=False)
    with BookingClient(link=gate) as client:
        future = client.send(place_command())
        gate._is_blocked = True
        gate.come_up()
        gate.unblock()
        assert isinstance(future.result(LONG), Held)


def test_a_lost_connection_ends_the_alarm() -> None:
    gate = FakeGate({"occ-1": 10})
    with BookingClient(link=gate) as client:
        client.wait_connected()
        gate.block()
        gate.go_down()
        gate.come_up()
        assert isinstance(client.place("occ-1", {"adult": 1}), Held)


def test_closing_fails_what_is_open_and_refuses_what_comes_after() -> None:
    gate = FakeGate({"occ-1": 10}, connected=False)
    client = BookingClient(link=gate)
    future = client.send(place_command())
    client.close()
    client.close()
    with pytest.raises(ClientClosed) as caught:
        future.result(LONG)
    assert caught.value.request_id
    with pytest.raises(ClientClosed):
        client.place("occ-1", {"adult": 1})
    with pytest.raises(ClientClosed):
        client.wait_connected(SHORT)


def test_closing_wakes_those_who_wait_for_room() -> None:
    client = BookingClient(config(in_flight_max=1), link=FakeGate(connected=False))
    client.send(place_command())
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.send, place_command())
        until(lambda: bool(client._core._waiting_for_room))
        client.close()
        with pytest.raises(ClientClosed):
            waiting.result(LONG)


def test_leaving_the_block_waits_for_open_answers_but_not_after_an_error() -> None:
    gate = FakeGate({"occ-1": 100})
    with BookingClient(link=gate) as client:
        futures = client.send_many([place_command() for _ in range(50)])
    assert all(future.done() and isinstance(future.result(), Held) for future in futures)
    left = []

    def fail() -> None:
        with BookingClient(link=FakeGate(connected=False)) as client:
            left.append(client.send(place_command()))
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert isinstance(left[0].exception(), ClientClosed)


def test_a_callback_may_use_the_client_and_close_it() -> None:
    """Callbacks run without any lock, on the link's thread."""
    gate = FakeGate({"occ-1": 10})
    client = BookingClient(link=gate)
    closed = threading.Event()

    def again(_: Future[Answer]) -> None:
        client.send(place_command()).add_done_callback(close)

    def close(_: Future[Answer]) -> None:
        client.close()
        closed.set()

    client.send(place_command()).add_done_callback(again)
    assert closed.wait(LONG)


def test_eight_threads_get_each_their_own_answers() -> None:
    gate = FakeGate({f"occ-{number}": 1000 for number in range(8)})

    def work(number: int) -> list[str]:
        answers = [client.place(f"occ-{number}", {"adult": 1}, session_id=f"s{number}") for _ in range(50)]
        return [answer.hold.session_id for answer in answers if isinstance(answer, Held)]

    with BookingClient(link=gate) as client, ThreadPoolExecutor(8) as pool:
        done = [pool.submit(work, number) for number in range(8)]
        wait(done)
        assert [future.result() for future in done] == [[f"s{number}"] * 50 for number in range(8)]


def test_deadlines_do_not_pile_up() -> None:
    """Ten thousand answered requests leave next to nothing behind."""
    with BookingClient(link=FakeGate({"occ-1": 1_000_000})) as client:
        for _ in range(10):
            for future in client.send_many([place_command() for _ in range(1000)]):
                future.result(LONG)
        assert len(client._core._deadlines._heap) < 6_000
        assert client.stats.answered == 10_000


def test_a_shorter_timeout_is_not_held_up_by_a_longer_one() -> None:
    with BookingClient(link=FakeGate(connected=False)) as client:
        slow = client.send(place_command(), timeout_seconds=LONG)
        with pytest.raises(ConnectionLost):
            client.place("occ-1", {"adult": 1}, timeout_seconds=SHORT)
        assert not slow.done()
        client.close()


def test_a_client_needs_a_configuration_or_a_link() -> None:
    with pytest.raises(InvalidConfig):
        BookingClient()


def test_the_trace_context_is_sent_along() -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    gate = FakeGate({"occ-1": 1}, connected=False)
    client = BookingClient(config(traceparent=lambda: trace), link=gate)
    client.send(place_command())
    (entry,) = client._core._open.values()
    assert entry.request.traceparent == trace
    client.close()


def test_a_reason_or_a_state_that_is_not_known_yet_is_answered_as_it_came() -> None:
    """A newer service may say new words; the client passes them on."""
    gate = FakeGate({"occ-1": 10})
    with BookingClient(link=gate) as client:
        for number, (name, field) in enumerate(
            [("answer.refused.v1", {"reason": "rained_off"}), ("answer.held.v1", {})], start=1
        ):
            gate.drop_next_answer()
            command = place_command()
            future = client.send(command)
            gate.wait_for_requests(number)
            sent = as_json(examples()[name]) | field
            if "hold" in sent:
                sent["hold"] |= {"state": "frozen"}
            client._core.answered(command.request_id, json.dumps(sent).encode(), name)
            answer = future.result(LONG)
            assert isinstance(answer, Refused | Held)
            said = answer.reason if isinstance(answer, Refused) else answer.hold.state
            assert said == ("rained_off" if field else "frozen")


def test_a_hold_can_be_looked_at_and_another_sessions_cannot() -> None:
    with BookingClient(link=FakeGate({"occ-1": 10})) as client:
        held = client.place("occ-1", {"adult": 1})
        assert isinstance(held, Held)
        shown = client.hold("occ-1", held.hold.session_id, held.hold.hold_id)
        assert isinstance(shown, HoldShown)
        assert shown.hold == held.hold
        other = client.hold("occ-1", "another", held.hold.hold_id)
        assert isinstance(other, Refused)
        assert other.reason is Reason.HOLD_NOT_FOUND
