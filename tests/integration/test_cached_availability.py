"""`availability(…, cached=True)`: from Redis where it is quick and recent, from the gate in every other case."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import msgspec
import pytest
from tests.support.postgres import migrated_database
from tests.support.projection import ReadSideStage, get, place, put
from tests.support.rabbit import eventually
from tests.support.redis import REDIS_PORT, PrivateRedis, private_redis
from tests.support.tcp_proxy import TcpProxy, proxied

from holdgate_producer import AsyncBookingClient, Availability, BookingClient, ClientConfig, InvalidConfig
from holdgate_producer.testing import FakeGate
from holdgate_schema.cache import availability_key, marker_key
from holdgate_schema.codec import decode_answer, encode
from holdgate_workers.app.projection.entries import comparable

pytestmark = pytest.mark.services

OF_THE_GATE = 5
"""Seats that the fake gate has, so that one sees who has answered."""
OF_THE_ROWS = 20
A_WHILE = 3600.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    with private_redis(tmp_path_factory.mktemp("redis")) as found:
        yield found


@pytest.fixture
def redis(server: PrivateRedis) -> PrivateRedis:
    """The module's, with nothing in it."""
    server.flush()
    return server


@pytest.fixture
def stage(redis: PrivateRedis) -> Iterator[ReadSideStage]:
    """An occurrence, and its entry in Redis."""
    with migrated_database() as url:
        made = ReadSideStage(url, redis.url)
        made.work(put("occ-1"))
        projection = made.projection()
        projection.settle()
        projection.close()
        yield made
        made.close()


@pytest.fixture
def proxy(stage: ReadSideStage) -> Iterator[tuple[TcpProxy, str]]:
    with proxied(stage.redis_url, REDIS_PORT) as found:
        yield found


def config(url: str | None, age_max_seconds: float = A_WHILE, timeout_seconds: float = 5.0) -> ClientConfig:
    """A patient client, so that a busy machine decides no test."""
    return ClientConfig(
        url="amqp://127.0.0.1/",
        app_id="test",
        cache_url=url,
        cache_house="test",
        cache_age_max_seconds=age_max_seconds,
        cache_timeout_seconds=timeout_seconds,
    )


def seats(answer: object) -> int | None:
    assert isinstance(answer, Availability)
    return answer.pools["total"].capacity


def ask(settings: ClientConfig) -> tuple[int | None, int]:
    """Whose seats a cached read tells, and how often the gate was asked for it."""
    gate = FakeGate(capacity={"occ-1": OF_THE_GATE})
    with BookingClient(settings, link=gate) as client:
        return seats(client.availability("occ-1", cached=True)), len(gate.requests)


def test_a_recent_entry_is_the_answer_and_the_gate_hears_nothing(stage: ReadSideStage) -> None:
    gate = FakeGate(capacity={"occ-1": OF_THE_GATE})
    (ours,) = stage.work(get("occ-1"))
    request_id = get("occ-1").request_id
    with BookingClient(config(stage.redis_url), link=gate) as client:
        answer = client.availability("occ-1", cached=True, request_id=request_id)
        assert isinstance(answer, Availability)
        assert answer.request_id == request_id
        assert comparable(encode(answer)) == comparable(encode(decode_answer(_json(ours))))
        assert (gate.requests, client.stats.cached) == ([], 1)
        assert seats(client.availability("occ-1")) == OF_THE_GATE, "without `cached` it is always asked"


def test_asyncio_reads_it_as_well(stage: ReadSideStage) -> None:
    gate = FakeGate(capacity={"occ-1": OF_THE_GATE})

    async def both() -> tuple[int | None, int | None]:
        async with AsyncBookingClient(config(stage.redis_url), link=gate) as client:
            return (
                seats(await client.availability("occ-1", cached=True)),
                seats(await client.availability("occ-1")),
            )

    assert asyncio.run(both()) == (OF_THE_ROWS, OF_THE_GATE)


def test_without_a_cache_the_gate_is_asked() -> None:
    assert ask(config(None)) == (OF_THE_GATE, 1)


def test_what_the_read_side_does_not_have_is_asked_of_the_gate(stage: ReadSideStage, redis: PrivateRedis) -> None:
    redis.flush()
    assert ask(config(stage.redis_url)) == (OF_THE_GATE, 1)


def test_another_house_has_other_entries(stage: ReadSideStage) -> None:
    stage.house = "elsewhere"
    other = ClientConfig(url="amqp://127.0.0.1/", app_id="t", cache_url=stage.redis_url, cache_house="elsewhere")
    assert ask(other) == (OF_THE_GATE, 1)


def test_an_entry_of_a_generation_that_is_over_counts_for_nothing(
    stage: ReadSideStage, redis: PrivateRedis
) -> None:
    with redis.client() as client:
        client.hset(marker_key("test"), "generation", "another")
    assert ask(config(stage.redis_url)) == (OF_THE_GATE, 1)


def test_an_entry_that_nobody_vouches_for_any_more_is_too_old(stage: ReadSideStage, redis: PrivateRedis) -> None:
    _age(redis, seconds=100)
    assert ask(config(stage.redis_url, age_max_seconds=60)) == (OF_THE_GATE, 1)
    assert ask(config(stage.redis_url, age_max_seconds=A_WHILE)) == (OF_THE_ROWS, 0)


def test_an_old_entry_that_a_fresh_marker_vouches_for_is_not_old(
    stage: ReadSideStage, redis: PrivateRedis
) -> None:
    with redis.client() as client:
        client.hset(availability_key("test", "occ-1"), "at", 1)
    assert ask(config(stage.redis_url, age_max_seconds=60)) == (OF_THE_ROWS, 0)


def test_an_entry_that_time_has_made_wrong_is_as_old_as_that(stage: ReadSideStage, redis: PrivateRedis) -> None:
    with redis.client() as client:
        key = availability_key("test", "occ-1")
        at = int(str(client.hget(key, "at")))
        client.hset(key, mapping={"at": at - 200_000, "until": at - 100_000})
    assert ask(config(stage.redis_url, age_max_seconds=60)) == (OF_THE_GATE, 1)
    assert ask(config(stage.redis_url, age_max_seconds=A_WHILE)) == (OF_THE_ROWS, 0)


def test_what_cannot_be_read_is_asked_of_the_gate(stage: ReadSideStage, redis: PrivateRedis) -> None:
    for field, value in (("body", "{}"), ("body", "no json"), ("at", "yesterday")):
        with redis.client() as client:
            client.hset(availability_key("test", "occ-1"), field, value)
        assert ask(config(stage.redis_url)) == (OF_THE_GATE, 1)


@pytest.mark.parametrize("how", ["cut", "stalled"])
def test_a_redis_that_is_down_or_hangs_is_left_alone_for_a_while(
    stage: ReadSideStage, proxy: tuple[TcpProxy, str], how: str
) -> None:
    assert ask(config(proxy[1])) == (OF_THE_ROWS, 0)
    between, url = proxy
    with BookingClient(
        config(url, timeout_seconds=0.05), link=FakeGate(capacity={"occ-1": OF_THE_GATE})
    ) as client:
        between.cut() if how == "cut" else between.hold_answers()
        for _ in range(20):
            assert seats(client.availability("occ-1", cached=True)) == OF_THE_GATE
        between.open() if how == "cut" else between.release_answers()
        eventually(
            lambda: seats(client.availability("occ-1", cached=True)) == OF_THE_ROWS, "the cache is used again"
        )


def test_holds_are_answered_the_same_with_and_without_redis(
    stage: ReadSideStage, proxy: tuple[TcpProxy, str]
) -> None:
    between, url = proxy
    projection = stage.projection(url)
    between.hold_answers()
    assert projection.once().failure == "cache"
    answers = stage.work(*(place("occ-1", 3) for _ in range(8)))
    assert [answer["outcome"] for answer in answers] == ["held"] * 6 + ["refused"] * 2


def test_a_cache_whose_package_is_missing_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "redis" or name.startswith("redis.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(InvalidConfig, match=r"pip install 'holdgate\[cache\]'"):
        BookingClient(config("redis://127.0.0.1:1/0"), link=FakeGate())


def _age(redis: PrivateRedis, seconds: int) -> None:
    """As if so much time had passed since anybody wrote."""
    with redis.client() as client:
        for key, fields in ((marker_key("test"), ("fresh",)), (availability_key("test", "occ-1"), ("at",))):
            for field in fields:
                client.hincrby(key, field, -seconds * 1000)


def _json(answer: object) -> bytes:
    return msgspec.json.encode(answer)
