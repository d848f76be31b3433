"""The asyncio face gives the same answers and errors, and never blocks the loop."""

from __future__ import annotations

import asyncio

import pytest

from holdgate_producer import (
    AsyncBookingClient,
    Availability,
    Blocked,
    Changed,
    ClientClosed,
    ClientConfig,
    Extended,
    Held,
    HoldShown,
    InvalidRequest,
    Reason,
    Refused,
    Released,
    TimedOut,
    new_request_id,
)
from holdgate_producer.testing import FakeGate
from holdgate_schema.commands.holds import PlaceHold

SHORT = 0.1


def place_command() -> PlaceHold:
    return PlaceHold(request_id=new_request_id(), occurrence_id="occ-1", items={"adult": 1})


def small(in_flight_max: int) -> ClientConfig:
    return ClientConfig(url="amqp://localhost/", app_id="test", in_flight_max=in_flight_max)


def test_a_hold_lives_through_all_commands() -> None:
    async def main() -> None:
        async with AsyncBookingClient(link=FakeGate({"occ-1": 10})) as client:
            await client.wait_connected()
            held = await client.place("occ-1", {"adult": 2})
            assert isinstance(held, Held)
            ids = ("occ-1", held.hold.session_id, held.hold.hold_id)
            shown = await client.hold(*ids)
            assert isinstance(shown, HoldShown)
            assert shown.hold == held.hold
            assert isinstance(await client.change(*ids, {"adult": 3}), Changed)
            assert isinstance(await client.extend(*ids), Extended)
            assert isinstance(await client.availability("occ-1"), Availability)
            assert isinstance(await client.release(*ids), Released)

    asyncio.run(main())


def test_errors_and_refusals_are_the_same() -> None:
    async def main() -> None:
        gate = FakeGate({"occ-1": 10})
        async with AsyncBookingClient(link=gate) as client:
            gate.refuse_next(Reason.UNAVAILABLE)
            assert isinstance(await client.place("occ-1", {"adult": 1}), Refused)
            with pytest.raises(InvalidRequest):
                await client.place("", {"adult": 1})
            gate.drop_next_answer()
            with pytest.raises(TimedOut):
                await client.place("occ-1", {"adult": 1}, timeout_seconds=SHORT)
        with pytest.raises(ClientClosed):
            await client.place("occ-1", {"adult": 1})

    asyncio.run(main())


def test_waiting_for_room_keeps_the_order_of_the_calls() -> None:
    async def main() -> None:
        gate = FakeGate({"occ-1": 1000})
        commands = [place_command() for _ in range(100)]
        async with AsyncBookingClient(small(3), link=gate) as client:
            answers = await asyncio.gather(*(client.call(command) for command in commands))
        assert all(isinstance(answer, Held) for answer in answers)
        assert gate.requests == commands

    asyncio.run(main())


def test_no_room_in_time_is_blocked() -> None:
    async def main() -> None:
        async with AsyncBookingClient(small(1), link=FakeGate(connected=False)) as client:
            first = await client.send(place_command())
            with pytest.raises(Blocked):
                await client.call(place_command(), timeout_seconds=SHORT)
            await client.close()
            with pytest.raises(ClientClosed):
                await first

    asyncio.run(main())


def test_a_cancelled_call_still_happens() -> None:
    async def main() -> None:
        gate = FakeGate({"occ-1": 10}, connected=False)
        async with AsyncBookingClient(link=gate) as client:
            call = asyncio.create_task(client.place("occ-1", {"adult": 1}))
            while client.in_flight == 0:
                await asyncio.sleep(0)
            call.cancel()
            gate.come_up()
        assert gate.available("occ-1") == 9

    asyncio.run(main())
