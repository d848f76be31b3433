"""Cached reads without a server: the test double, the configuration, and how old an entry is."""

from __future__ import annotations

import asyncio

import pytest

from holdgate_producer import (
    AsyncBookingClient,
    Availability,
    BookingClient,
    ClientConfig,
    InvalidConfig,
    InvalidRequest,
)
from holdgate_producer.testing import FakeCache, FakeGate
from holdgate_schema.cache import age_milliseconds


def left(answer: object) -> int | None:
    assert isinstance(answer, Availability)
    return answer.pools["total"].available


def test_the_double_answers_cached_reads_with_what_the_test_has_kept() -> None:
    gate = FakeGate(capacity={"occ-1": 2})
    cache = FakeCache(gate.availability)
    with BookingClient(link=gate, cache=cache) as client:
        cache.keep("occ-1")
        client.place("occ-1", {"adult": 2})
        assert left(client.availability("occ-1", cached=True)) == 2, "it has not heard of the hold"
        assert left(client.availability("occ-1")) == 0
        cache.keep("occ-1")
        assert left(client.availability("occ-1", cached=True)) == 0
        assert client.stats.cached == 2
    assert cache.reads == ["occ-1", "occ-1"]


def test_the_double_can_be_flushed_and_go_down() -> None:
    gate = FakeGate(capacity={"occ-1": 2})
    cache = FakeCache(gate.availability)
    with BookingClient(link=gate, cache=cache) as client:
        cache.keep("occ-1")
        cache.go_down()
        client.place("occ-1", {"adult": 1})
        assert left(client.availability("occ-1", cached=True)) == 1
        cache.come_up()
        assert left(client.availability("occ-1", cached=True)) == 2
        cache.flush()
        assert left(client.availability("occ-1", cached=True)) == 1


def test_the_double_serves_asyncio_as_well() -> None:
    async def run() -> int | None:
        gate = FakeGate(capacity={"occ-1": 2})
        cache = FakeCache(gate.availability)
        async with AsyncBookingClient(link=gate, cache=cache) as client:
            cache.keep("occ-1")
            await client.place("occ-1", {"adult": 2})
            return left(await client.availability("occ-1", cached=True))

    assert asyncio.run(run()) == 2


def test_the_double_does_not_know_what_the_gate_does_not_know() -> None:
    with pytest.raises(KeyError):
        FakeCache(FakeGate().availability).keep("nowhere")


def test_a_cached_answer_carries_the_callers_own_request_id() -> None:
    gate = FakeGate(capacity={"occ-1": 2})
    cache = FakeCache(gate.availability)
    cache.keep("occ-1")
    asked = "11111111-1111-4111-8111-111111111111"
    with BookingClient(link=gate, cache=cache) as client:
        assert client.availability("occ-1", cached=True, request_id=asked).request_id == asked
    assert gate.requests == []


def test_a_cached_read_that_breaks_the_contract_is_refused_like_any_other() -> None:
    gate = FakeGate()
    with BookingClient(link=gate, cache=FakeCache(gate.availability)) as client, pytest.raises(InvalidRequest):
        client.availability("no spaces please", cached=True)


def test_every_wrong_setting_of_the_cache_is_named() -> None:
    with pytest.raises(InvalidConfig) as caught:
        ClientConfig(
            url="amqp://127.0.0.1/",
            app_id="test",
            cache_url="http://secret@127.0.0.1/",
            cache_house="no such name",
            cache_age_max_seconds=0,
            cache_timeout_seconds=-1,
        )
    fields = [error.field for error in caught.value.errors]
    assert sorted(fields) == ["cache_age_max_seconds", "cache_house", "cache_timeout_seconds", "cache_url"]
    assert "secret" not in str(caught.value)


def test_an_entry_is_as_old_as_the_last_instant_at_which_it_is_known_to_have_been_true() -> None:
    assert age_milliseconds(now=1000, at=400, until=None, fresh=None) == 600, "nobody vouches for it"
    assert age_milliseconds(now=1000, at=400, until=None, fresh=900) == 100, "still true when all was caught up"
    assert age_milliseconds(now=1000, at=400, until=700, fresh=900) == 300, "time made it wrong before that"
    assert age_milliseconds(now=1000, at=950, until=None, fresh=900) == 50, "read after that"
    assert age_milliseconds(now=1000, at=1200, until=None, fresh=900) == 0, "clocks may go back"
