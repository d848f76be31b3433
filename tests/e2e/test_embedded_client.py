"""`BookingClient` by URL on an embedded installation, as a developer's own program uses it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.cli import Up, data_folder, running

from holdgate_producer import (
    AsyncBookingClient,
    Availability,
    BookingClient,
    ClientConfig,
    ConnectionLost,
    Held,
    Refused,
)

OCCURRENCE = (
    "--product",
    "tour",
    "--starts",
    "2030-05-01T10:00",
    "--timezone",
    "Europe/Rome",
    "--ticket",
    "adult",
    "--duration",
    "90",
)


def config(data: Path, timeout_seconds: float = 60.0) -> ClientConfig:
    return ClientConfig(url=f"embedded:{data}", app_id="shop", timeout_seconds=timeout_seconds)


def test_plain_and_asyncio_clients_hold_on_what_holdgate_up_runs() -> None:
    async def left() -> Availability:
        async with AsyncBookingClient(config(data)) as client:
            answer = await client.availability("occ-1")
            assert isinstance(answer, Availability)
            return answer

    with running() as (up, terminal):
        data = up.data
        assert terminal("occurrence", "put", "occ-1", *OCCURRENCE, "--capacity", "5").code == 0
        with BookingClient(config(data)) as client:
            assert isinstance(client.place("occ-1", {"adult": 2}), Held)
        assert asyncio.run(left()).pools["total"].held == 2


def test_the_client_may_be_there_first_and_outlives_a_restart() -> None:
    with data_folder() as data, BookingClient(config(data)) as client:
        for _ in range(2):
            up = Up(data)
            try:
                # Unknown, but answered: the gate that runs now has decided.
                assert isinstance(client.place("occ-1", {"adult": 1}), Refused)
            finally:
                up.stop()


def test_where_nothing_runs_the_error_says_how_to_start_it(tmp_path: Path) -> None:
    with BookingClient(config(tmp_path / "none", timeout_seconds=0.5)) as client:
        with pytest.raises(ConnectionLost) as caught:
            client.wait_connected(0.5)
        assert f"nothing runs in {tmp_path / 'none'}; start it with: holdgate --data-dir" in str(caught.value)
