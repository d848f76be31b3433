"""The read side equals the rows, whatever happens to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from msgspec.structs import replace
from tests.support.postgres import fresh_database, migrated_database
from tests.support.projection import SOON, History, Projection, ReadSideStage, get, new_id, place, put
from tests.support.rabbit import eventually
from tests.support.redis import REDIS_PORT, PrivateRedis, private_redis
from tests.support.tcp_proxy import proxied

from holdgate_schema.answers.holds import Availability
from holdgate_schema.cache import availability_key, due_key, marker_key, product_key
from holdgate_schema.codec import decode_answer
from holdgate_schema.commands.selling import JoinWaitlist
from holdgate_workers.adapters.postgres.projection.rows import ProjectionRows
from holdgate_workers.app.installation import NotOurs
from holdgate_workers.app.projection.effects import (
    BeginGeneration,
    LookAtCache,
    MarkFresh,
    ProjectionEffect,
    ReadPage,
    ReadRows,
    Superseded,
    WriteEntries,
    Written,
)
from holdgate_workers.app.projection.entries import Rows, comparable
from holdgate_workers.app.relay.relay import Advance

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


@pytest.fixture
def stage(redis: PrivateRedis) -> Iterator[ReadSideStage]:
    with migrated_database() as url:
        made = ReadSideStage(url, redis.url)
        yield made
        made.close()


def stored(redis: PrivateRedis, occurrence_id: str, house: str = "test") -> Availability:
    """What lies in Redis, past our own reader."""
    with redis.client() as client:
        body = client.hget(availability_key(house, occurrence_id), "body")
    assert isinstance(body, str), f"there is no entry of {occurrence_id}"
    answer = decode_answer(body.encode())
    assert isinstance(answer, Availability)
    return answer


def cursor_of(stage: ReadSideStage) -> tuple[Any, ...]:
    with psycopg.connect(stage.station.url) as connection:
        row = connection.execute("SELECT xid::text, id FROM relay_cursors WHERE name = 'projection'").fetchone()
    assert row is not None
    return row


# --- it equals the rows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_after_a_random_history_every_entry_is_the_gates_own_answer(
    stage: ReadSideStage, redis: PrivateRedis, seed: int
) -> None:
    history = History(stage, seed)
    projection = stage.projection()
    for _ in range(6):
        history.go_on(15)
        projection.once()

    def same() -> bool:
        # A hold's time may be over between the one and the other.
        projection.settle()
        answers = stage.work(*(get(name) for name in history.ids))
        return all(
            comparable(_bytes(answer)) == comparable(_bytes(stored(redis, name)))
            for name, answer in zip(history.ids, answers, strict=True)
        )

    eventually(same, "every entry is what the gate says")
    assert stage.differences() == []


def test_the_sums_of_a_product_are_those_of_its_occurrences(stage: ReadSideStage, redis: PrivateRedis) -> None:
    stage.work(put("a", product_id="p"), put("b", product_id="p", starts_at=SOON + timedelta(days=1)))
    stage.work(place("a", 3), place("b", 4))
    stage.projection().settle()
    sums = _product(redis, "p")
    assert (sums["occurrences"], sums["capacity"], sums["held"], sums["available"]) == (2, 40, 7, 33)


def test_an_occurrence_that_moves_to_another_product_leaves_the_sums_of_the_first(
    stage: ReadSideStage, redis: PrivateRedis
) -> None:
    stage.work(put("a", product_id="p"), put("b", product_id="p", starts_at=SOON + timedelta(days=1)))
    projection = stage.projection()
    projection.settle()
    stage.work(put("b", product_id="q", starts_at=SOON + timedelta(days=1)))
    projection.settle()
    assert (_product(redis, "p")["occurrences"], _product(redis, "q")["occurrences"]) == (1, 1)
    assert stage.differences() == []


def test_what_is_changed_behind_our_back_is_found_and_named(stage: ReadSideStage, redis: PrivateRedis) -> None:
    stage.work(put("missing"), put("behind"), put("differs"))
    stage.projection().settle()
    with redis.client() as client:
        client.delete(availability_key("test", "missing"))
        client.hset(availability_key("test", "behind"), "version", 0)
        body = stored(redis, "differs")
        client.hset(availability_key("test", "differs"), "body", _bytes(_with_seats(body, 99)))
        client.copy(availability_key("test", "differs"), availability_key("test", "ghost"))
        client.hset(product_key("test", "product-of-differs"), "body", "{}")
    found = {(item.kind, item.id): item.why for item in stage.differences(looks=1)}
    assert found == {
        ("availability", "missing"): "missing",
        ("availability", "behind"): "behind",
        ("availability", "differs"): "differs",
        ("availability", "ghost"): "left over",
        ("product", "product-of-differs"): "differs",
    }


# --- time -------------------------------------------------------------------------------------------------------


def test_a_hold_past_its_time_is_no_longer_held_even_if_nobody_expires_it(
    stage: ReadSideStage, redis: PrivateRedis
) -> None:
    stage.work(put("a"), place("a", 5, ttl_seconds=1))
    projection = stage.projection()
    projection.settle()

    def lapsed() -> bool:
        projection.once()
        return stored(redis, "a").pools["total"].held == 0

    eventually(lapsed, "the entry is renewed by time alone")
    assert stored(redis, "a").next_release_at is None
    assert stage.differences() == []


@pytest.mark.parametrize(("elsewhere", "left"), [(0, 1), (1, 4)], ids=["may", "may not, by a limit elsewhere"])
def test_what_comes_back_is_shown_without_what_the_line_gets_of_it(
    stage: ReadSideStage, redis: PrivateRedis, elsewhere: int, left: int
) -> None:
    with psycopg.connect(stage.station.url) as connection:
        connection.execute(
            "INSERT INTO settings (name, value, changed_by) VALUES ('hold.max_per_session', '1', 'test')"
        )
    stage.work(put("a", capacity=4), put("b"), place("a", 4, ttl_seconds=2))
    waiting = JoinWaitlist(request_id=new_id(), occurrence_id="a", items={"adult": 3}, session_id="ann")
    told = stage.work(waiting, *(place("b", session_id="ann") for _ in range(elsewhere)))
    assert [answer["outcome"] for answer in told] == ["waiting", *["held"] * elsewhere], told
    projection = stage.projection()

    def shown() -> bool:
        projection.once()
        return stored(redis, "a").pools["total"].available == left

    eventually(shown, "the hold's time is over, and the line counts")
    (answer,) = stage.work(get("a"))
    assert comparable(_bytes(answer)) == comparable(_bytes(stored(redis, "a")))


def test_an_entry_says_until_when_it_is_true_and_is_listed_for_that_instant(
    stage: ReadSideStage, redis: PrivateRedis
) -> None:
    (_, held) = stage.work(put("a"), place("a", ttl_seconds=600))
    stage.projection().settle()
    with redis.client() as client:
        at, until = (int(value) for value in client.hmget(availability_key("test", "a"), "at", "until"))  # type: ignore[arg-type]
        assert client.zscore(due_key("test"), "a") == until
    assert 590_000 < until - at <= 601_000, held


def test_entries_of_long_past_occurrences_go_by_themselves(stage: ReadSideStage, redis: PrivateRedis) -> None:
    stage.work(put("a"), put("b", starts_at=SOON + timedelta(days=1)))
    projection = stage.projection()
    projection.settle()
    with redis.client() as client:
        years = client.pttl(availability_key("test", "a")) / 1000 / 3600 / 24 / 365
        assert 1 < years < 20, "it stays until a week after the end"
    with psycopg.connect(stage.station.url) as connection:
        connection.execute(
            "UPDATE occurrences SET version = version + 1, starts_at = now() - interval '9 days', "
            "ends_at = now() - interval '8 days', definition = definition || jsonb_build_object("
            "'starts_at', now() - interval '9 days', 'ends_at', now() - interval '8 days', "
            "'closes_at', now() - interval '9 days') WHERE id = 'b'"
        )
    stage.gate = stage.station.worker("another")
    stage.work(place("b"))
    projection.settle()
    with redis.client() as client:
        assert not client.exists(availability_key("test", "b"))
        assert client.zscore(due_key("test"), "b") is None
    assert stage.differences() == []


def test_new_limits_of_the_house_make_every_entry_anew(stage: ReadSideStage, redis: PrivateRedis) -> None:
    stage.work(put("a"))
    projection = stage.projection()
    projection.settle()
    assert stored(redis, "a").ticket_types["adult"].available == 10
    with psycopg.connect(stage.station.url) as connection:
        connection.execute(
            "INSERT INTO settings (name, value, changed_by) VALUES ('hold.max_seats_per_request', '3', 'test')"
        )
    projection.settle()
    assert stored(redis, "a").ticket_types["adult"].available == 3


# --- never backwards --------------------------------------------------------------------------------------------


def until(protocol: Any, projection: Projection, kind: type[ProjectionEffect]) -> Any:
    """Drive a round up to such an effect, which is not done."""
    effect = next(protocol)
    while not isinstance(effect, kind):
        effect = protocol.send(projection.perform(effect))
    return effect


def test_a_write_that_comes_late_never_overwrites_a_newer_one(stage: ReadSideStage, redis: PrivateRedis) -> None:
    stage.work(put("a"))
    slow, quick = stage.projection(), stage.projection()
    slow.settle()
    stage.work(place("a", 2))
    eventually(lambda: _touches(slow), "the row can be read")
    late = until(slow.protocol(), slow, WriteEntries)
    slow._cursor.close()  # its connection is gone, and with it the right to the cursor
    stage.work(place("a", 3))
    quick.settle()
    before = stored(redis, "a")
    result = slow.perform(late)
    assert isinstance(result, Written)
    assert result.stale == len(late.entries) == 2, "the occurrence and its product"
    assert stored(redis, "a") == before
    assert before.pools["total"].held == 5


def test_of_two_reads_of_one_version_the_later_stays(stage: ReadSideStage, redis: PrivateRedis) -> None:
    stage.work(put("a"))
    slow, quick = stage.projection(), stage.projection()
    slow.settle()
    stage.work(place("a", 4, ttl_seconds=1))
    eventually(lambda: _touches(slow), "the row can be read")
    late = until(slow.protocol(), slow, WriteEntries)
    slow._cursor.close()

    def lapsed() -> bool:
        quick.once()
        return stored(redis, "a").pools["total"].held == 0

    eventually(lapsed, "the hold's time is over, without a new version")
    result = slow.perform(late)
    assert isinstance(result, Written)
    assert result.stale == len(late.entries) == 2
    assert stored(redis, "a").pools["total"].held == 0


def test_a_write_for_a_generation_that_is_over_is_refused_whole(stage: ReadSideStage, redis: PrivateRedis) -> None:
    stage.work(put("a"))
    projection = stage.projection()
    projection.settle()
    stage.work(place("a"))
    eventually(lambda: _touches(projection), "the row can be read")
    late = until(projection.protocol(), projection, WriteEntries)
    redis.flush()
    assert projection.perform(late) == Superseded()
    with redis.client() as client:
        assert client.keys("*") == []


def test_two_projections_at_once_do_no_harm(stage: ReadSideStage) -> None:
    history = History(stage, seed=11)
    projections = [stage.projection(), stage.projection()]
    over = threading.Event()
    standby: set[Projection] = set()

    def run(projection: Projection) -> None:
        rounds = 0
        while not over.is_set():
            rounds += 1
            if projection.once().standby:
                standby.add(projection)
                over.wait(0.01)
            elif rounds % 7 == 0:
                projection._cursor.close()  # the other one's turn

    threads = [threading.Thread(target=run, args=[projection]) for projection in projections]
    for thread in threads:
        thread.start()
    history.go_on(120)
    over.set()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    projections[1].close()
    projections[0].settle()
    assert stage.differences() == []


def test_a_second_projection_waits_for_the_first(stage: ReadSideStage) -> None:
    stage.work(put("a"))
    first, second = stage.projection(), stage.projection()
    first.settle()
    assert second.once().standby
    first.close()
    second.settle()


def test_another_house_under_the_same_name_is_left_alone(stage: ReadSideStage, redis: PrivateRedis) -> None:
    with fresh_database() as url:  # an installation of its own
        other = ReadSideStage(url, redis.url)
        try:
            projection = other.projection()  # began while the entries were nobody's
            stage.work(put("a"))
            stage.projection().settle()
            other.work(put("a", capacity=7))
            assert projection.once().failure == "foreign"
            with pytest.raises(NotOurs, match="HOLDGATE_HOUSE"):
                other.projection()
            assert stored(redis, "a").pools["total"].capacity == 20
            projection.close()
            other.projection(house="other").settle()
            assert stored(redis, "a", house="other").pools["total"].capacity == 7
        finally:
            other.close()


# --- Redis forgets, stops, hangs --------------------------------------------------------------------------------

STEPS = (LookAtCache, BeginGeneration, ReadRows, WriteEntries, Advance, ReadPage, MarkFresh)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_flushed_before_any_step_it_heals(
    stage: ReadSideStage, redis: PrivateRedis, step: type[ProjectionEffect]
) -> None:
    history = History(stage, seed=5)
    projection = stage.projection()
    if step not in (BeginGeneration, ReadPage):  # those are only in the first rounds
        projection.settle()
    flushed: list[ProjectionEffect] = []

    def flush(effect: ProjectionEffect) -> None:
        if isinstance(effect, step) and len(flushed) < 3:
            flushed.append(effect)
            redis.flush()

    projection.before = flush
    history.go_on(30)
    eventually(lambda: projection.once() and len(flushed) >= 1, "it came to that step")
    history.go_on(10)
    projection.settle()
    assert stage.differences() == []


def test_flushed_again_and_again_during_an_onsale_it_heals(stage: ReadSideStage, redis: PrivateRedis) -> None:
    history = History(stage, seed=21)
    projection = stage.projection()
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            projection.once()

    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(12):
        history.go_on(10)
        redis.flush()
    over.set()
    thread.join(20)
    projection.settle()
    assert stage.differences() == []


@pytest.mark.parametrize("step", [LookAtCache, MarkFresh], ids=lambda step: step.__name__)
def test_a_replica_that_takes_over_without_the_last_writes_is_noticed_and_filled(
    stage: ReadSideStage, redis: PrivateRedis, step: type[ProjectionEffect]
) -> None:
    history = History(stage, seed=31)
    projection = stage.projection()
    projection.settle()
    for process in (projection, stage.projection()):
        kept = redis.dump()
        history.go_on(20)
        if process is not projection or step is LookAtCache:
            projection.settle()
        if process is not projection:
            projection.close()  # it dies, and with it what it knows

        def take_over(effect: ProjectionEffect, kept: dict[str, bytes] = kept) -> None:
            if kept and isinstance(effect, step):
                redis.restore(kept)
                kept.clear()

        process.before = take_over
        eventually(lambda process=process, kept=kept: process.once() and not kept, "it came to that step")
        process.settle()
        assert stage.differences() == []


@pytest.mark.parametrize("how", ["cut", "stalled"])
def test_without_redis_the_cursor_stays_and_afterwards_everything_is_caught_up(
    stage: ReadSideStage, redis: PrivateRedis, how: str
) -> None:
    history = History(stage, seed=8)
    with proxied(redis.url, REDIS_PORT) as (proxy, url):
        projection = stage.projection(url)
        projection.settle()
        there = cursor_of(stage)
        proxy.cut() if how == "cut" else proxy.hold_answers()
        history.go_on(30)
        for _ in range(2):
            assert projection.once().failure == "cache"
        assert cursor_of(stage) == there
        assert projection.problem is None, "nobody else is taken out of service for it"
        proxy.open() if how == "cut" else proxy.release_answers()
        projection.settle()
        assert cursor_of(stage) != there
    assert stage.differences() == []


@pytest.mark.parametrize("step", [WriteEntries, MarkFresh], ids=lambda step: step.__name__)
def test_redis_gone_in_the_middle_of_a_round_the_page_comes_again(
    stage: ReadSideStage, redis: PrivateRedis, step: type[ProjectionEffect]
) -> None:
    history = History(stage, seed=9)
    with proxied(redis.url, REDIS_PORT) as (proxy, url):
        projection = stage.projection(url)
        projection.settle()
        there = cursor_of(stage)
        history.go_on(10)

        wanted: list[type[ProjectionEffect]] = [WriteEntries] if step is WriteEntries else [Advance, MarkFresh]

        # A round without a page may come first: rows are not seen while an older transaction is open on the server.
        def cut(effect: ProjectionEffect) -> None:
            if wanted and isinstance(effect, wanted[0]):
                wanted.pop(0)
            if not wanted:
                proxy.cut()

        projection.before = cut
        eventually(lambda: projection.once().failure == "cache", "it came to that step")
        assert (cursor_of(stage) == there) == (step is WriteEntries)
        projection.before = None
        proxy.open()
        projection.settle()
    assert stage.differences() == []


def test_waiting_for_redis_takes_longer_and_longer_but_never_very_long(
    stage: ReadSideStage, redis: PrivateRedis
) -> None:
    with proxied(redis.url, REDIS_PORT) as (proxy, url):
        projection = stage.projection(url)
        proxy.cut()
        pauses = [projection.round() for _ in range(8)]
        assert pauses == sorted(pauses)
        assert pauses[0] < pauses[-1] == 5.0
        proxy.open()
        assert projection.round() < 1.0


def test_a_cache_without_the_last_write_is_not_called_fresh(stage: ReadSideStage, redis: PrivateRedis) -> None:
    stage.work(put("a"))
    projection = stage.projection()
    projection.settle()
    with redis.client() as client:
        generation, writes, fresh = client.hmget(marker_key("test"), "generation", "writes", "fresh")
        mark = MarkFresh(str(generation), 0.0, int(str(writes)) + 1)
        assert projection.perform(mark) == Superseded()
        assert client.hget(marker_key("test"), "fresh") == fresh


# --- rebuilt ----------------------------------------------------------------------------------------------------


def test_one_command_fills_it_from_nothing_while_the_role_runs(stage: ReadSideStage, redis: PrivateRedis) -> None:
    history = History(stage, seed=13, occurrences=7)
    projection = stage.projection()
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            projection.once()

    thread = threading.Thread(target=run)
    thread.start()
    side = stage.side()
    try:
        for _ in range(4):
            history.go_on(10)
            side.rebuild()
    finally:
        side.close()
        over.set()
        thread.join(20)
    projection.settle()
    assert stage.differences() == []


def test_one_command_fills_it_without_the_role(stage: ReadSideStage) -> None:
    history = History(stage, seed=14, occurrences=3)
    history.go_on(20)
    said: list[int] = []
    side = stage.side()
    try:
        filled = side.rebuild(said.append)
    finally:
        side.close()
    assert filled.written == said[-1] == 5, "three occurrences and two products"
    assert stage.differences() == []


def test_pages_follow_the_databases_own_order_of_names(stage: ReadSideStage) -> None:
    """In most languages b comes before C and _ counts for little; in Python it is the other way round."""
    names = ["_z", "A", "a", "b", "C", "é", "~"]
    with psycopg.connect(stage.station.url) as connection:
        connection.execute('ALTER TABLE occurrences ALTER COLUMN id TYPE text COLLATE "en-x-icu"')
    stage.work(*(put(name, starts_at=SOON + n * timedelta(days=1)) for n, name in enumerate(names)))
    reader = ProjectionRows(stage.station.url)
    seen: list[str] = []
    after: str | None = ""
    while after is not None and len(seen) <= len(names):
        rows = reader.page(ReadPage("availability", after, rows_max=2))
        assert isinstance(rows, Rows)
        seen += rows.occurrences
        after = rows.last
    reader.close()
    assert sorted(seen) == sorted(names)


def test_after_a_restore_from_a_backup_a_rebuild_lets_older_versions_in(
    stage: ReadSideStage, redis: PrivateRedis
) -> None:
    stage.work(put("a"))
    projection = stage.projection()
    projection.settle()
    with redis.client() as client:
        client.hset(availability_key("test", "a"), "version", 1000)
    stage.work(place("a"))
    projection.settle()
    assert [item.why for item in stage.differences(looks=1)] == ["ahead"]
    side = stage.side()
    side.rebuild()
    side.close()
    projection.settle()
    assert stage.differences() == []
    assert stored(redis, "a").pools["total"].held == 1


def test_the_marker_says_how_fresh_everything_is(stage: ReadSideStage, redis: PrivateRedis) -> None:
    stage.work(put("a"))
    side = stage.side()
    assert side.age_seconds() is None
    stage.projection().settle()
    age = side.age_seconds()
    assert age is not None
    assert 0 <= age < 15
    side.close()
    with redis.client() as client:
        assert client.pttl(marker_key("test")) > 0


# --- helpers ----------------------------------------------------------------------------------------------------


def _touches(projection: Projection) -> bool:
    """Whether the next page has rows."""
    protocol = projection.protocol()
    page = projection.perform(next(protocol))
    protocol.close()
    return bool(page.occurrence_ids)


def _bytes(answer: Any) -> bytes:
    return msgspec.json.encode(answer)


def _with_seats(answer: Availability, held: int) -> Availability:
    return replace(answer, pools={key: replace(pool, held=held) for key, pool in answer.pools.items()})


def _product(redis: PrivateRedis, product_id: str) -> dict[str, Any]:
    with redis.client() as client:
        body = client.hget(product_key("test", product_id), "body")
    found: dict[str, Any] = json.loads(str(body))
    return found
