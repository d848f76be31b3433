"""The read side of real workers: holds do not notice what becomes of Redis, and cached reads come right again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result
from tests.support.cli import Terminal, Up, data_folder
from tests.support.projection import place, put
from tests.support.rabbit import eventually
from tests.support.redis import REDIS_PORT, PrivateRedis, private_redis
from tests.support.site import TestSite
from tests.support.tcp_proxy import proxied

from holdgate_producer import Availability, BookingClient, ClientConfig
from holdgate_schema.answers.holds import Held
from holdgate_schema.codec import encode
from holdgate_workers.app.projection.entries import comparable
from holdgate_workers.cli.main import cli

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    with private_redis(tmp_path_factory.mktemp("redis")) as found:
        yield found


@pytest.fixture
def redis(server: PrivateRedis) -> PrivateRedis:
    """The module's, with nothing in it."""
    server.flush()
    return server


def cached_client(site: TestSite, url: str, house: str) -> BookingClient:
    config = ClientConfig(
        url=site.amqp_url or "amqp://unused",
        app_id="test",
        timeout_seconds=30,
        cache_url=url,
        cache_house=house,
        cache_age_max_seconds=600,
        cache_timeout_seconds=5,
    )
    return BookingClient(config, link=site.link("cached"))


def test_with_redis_flushed_stalled_and_stopped_during_an_onsale_holds_are_answered_and_reads_come_right(
    site: TestSite, redis: PrivateRedis
) -> None:
    name = f"onsale-{site.kind}"
    with proxied(redis.url, REDIS_PORT) as (proxy, url):
        site.start("gate", "expiry", "relay")
        projection = site.start("projection", HOLDGATE_REDIS_URL=url, HOLDGATE_HOUSE=name)
        client = site.client()
        client.call(put(name, capacity=400))

        def onsale(count: int) -> None:
            futures = client.send_many([place(name) for _ in range(count)])
            assert all(isinstance(future.result(), Held) for future in futures)

        onsale(50)
        redis.flush()
        onsale(50)
        proxy.hold_answers()
        onsale(50)
        failed = "holdgate_projection_errors_total"
        eventually(lambda: projection.metric(failed, why="cache") > 0, "the projection waits for Redis")
        assert projection.get("/readyz")[0] == 200
        assert site.unread("projection") > 0, "its cursor waits as well"
        proxy.release_answers()
        proxy.cut()
        onsale(50)
        proxy.open()
        with cached_client(site, redis.url, name) as reader:

            def right() -> bool:
                before = reader.stats.cached
                answer = reader.availability(name, cached=True)
                assert isinstance(answer, Availability)
                return reader.stats.cached > before and answer.pools["total"].held == 200

            eventually(right, "the cached answer has every hold")
            asked, cached = reader.availability(name), reader.availability(name, cached=True)
            assert isinstance(asked, Availability)
            assert isinstance(cached, Availability)
            assert comparable(encode(asked)) == comparable(encode(cached))


def test_a_projection_killed_at_any_step_is_followed_by_the_next_and_nothing_is_missing(
    site: TestSite, redis: PrivateRedis
) -> None:
    variables = {"HOLDGATE_REDIS_URL": redis.url, "HOLDGATE_HOUSE": f"killed-{site.kind}"}
    site.start("gate")
    client = site.client()
    ids = [f"killed-{site.kind}-{number}" for number in range(3)]
    for name in ids:
        client.call(put(name, product_id=name, capacity=500))
    for step in ("before:WriteEntries", "after:WriteEntries", "before:Advance", "after:Advance"):
        victim = site.start("projection", **variables)
        victim.arm(f"{step}:1:kill")
        for future in client.send_many([place(name) for name in ids for _ in range(5)]):
            assert isinstance(future.result(), Held)
        victim.wait_killed()
    site.start("projection", **variables)
    ran = _holdgate(site, variables, "projection", "check")
    assert ran.exit_code == 0, ran.output


def test_the_command_line_fills_checks_and_reads_it(site: TestSite, redis: PrivateRedis) -> None:
    house = f"cli-{site.kind}"
    variables = {"HOLDGATE_REDIS_URL": redis.url, "HOLDGATE_HOUSE": house}
    site.start("gate")
    client = site.client()
    name = f"cli-{site.kind}"
    client.call(put(name, product_id=name))
    assert _holdgate(site, variables, "projection", "check").exit_code == 1
    assert "entries written" in _holdgate(site, variables, "projection", "rebuild").output
    assert _holdgate(site, variables, "projection", "check").exit_code == 0
    ran = _holdgate(site, variables, "availability", name, "--cached", "--output", "json")
    assert (ran.exit_code, "the gate was asked" in ran.output) == (0, False), ran.output
    redis.flush()
    ran = _holdgate(site, variables, "availability", name, "--cached")
    assert "so the gate was asked" in ran.output


def test_without_redis_the_command_line_says_so(site: TestSite, redis: PrivateRedis) -> None:
    assert _holdgate(site, {}, "projection", "check").exit_code == 2
    nowhere = {"HOLDGATE_REDIS_URL": "redis://127.0.0.1:1/0"}
    ran = _holdgate(site, nowhere, "projection", "check")
    assert (ran.exit_code, "Redis cannot be used" in ran.output) == (3, True), ran.output
    assert _holdgate(site, {}, "worker", "projection").exit_code == 2


def _holdgate(site: TestSite, variables: dict[str, str], *words: str) -> Result:
    """The command in this process, on this site."""
    environment = {"HOLDGATE_DATABASE_URL": site.database_url, "HOLDGATE_AMQP_URL": site.amqp_url, **variables}
    return CliRunner().invoke(cli, list(words), env=environment, catch_exceptions=False)


def test_up_runs_it_where_there_is_a_redis_and_the_doctor_looks_at_it(redis: PrivateRedis) -> None:
    with data_folder() as data:
        up = Up(data, HOLDGATE_REDIS_URL=redis.url)
        try:
            assert "projection" in up.said["workers"]
            terminal = Terminal(data)

            def looked_at() -> bool:
                ran = terminal("doctor", "--output", "json", HOLDGATE_REDIS_URL=redis.url)
                (check,) = [check for check in ran.json["checks"] if check["name"] == "projection"]
                return bool(check["status"] == "ok")

            eventually(looked_at, "the read side is filled", 60)
        finally:
            up.stop()
