"""Two gates, a database that stands still, and partition queues whose consumers are cut off meanwhile.

What a worker was asked for before must not undo what it has been asked for since, and each queue has two consumers
again afterwards.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic

import psycopg
import pytest
from tests.support.postgres import migrated_database
from tests.support.private_servers import PrivateRabbit, private_rabbit
from tests.support.rabbit import AMQP_PORT, eventually
from tests.support.requests import occurrences_in, place_of, put
from tests.support.site import PARTITIONS, TestSite
from tests.support.tcp_proxy import TcpProxy, proxied

from holdgate_producer.client.client import BookingClient
from holdgate_schema.answers.holds import Held
from holdgate_schema.topology import partition_queue
from holdgate_workers.app.partitions.membership import ranked

pytestmark = [pytest.mark.services, pytest.mark.slow]

STALLS = int(os.environ.get("HOLDGATE_TEST_STALLS", "1"))
"""How often the database stands still in each case; the moments of the cuts are drawn at random from the second on."""
STALL_SECONDS = float(os.environ.get("HOLDGATE_TEST_STALL_SECONDS", "0"))
"""How long each of those stalls goes on at least, with a cut about every 13 seconds; 0: as long as its cuts take."""
CUT_EVERY_SECONDS = 13.0
HEALED_SECONDS = 30 if STALLS > 1 else 60
CUTS_MAX = 40
TIMEOUT_MILLISECONDS = 1_500


class Floor:
    """Two gates behind proxies, one occurrence in each partition, and what the broker says of its queues."""

    def __init__(self, site: TestSite, rabbit: PrivateRabbit, proxies: list[TcpProxy], urls: list[str]) -> None:
        self._site = site
        self._rabbit = rabbit
        self._proxies = proxies
        self.gates = [
            site.start("gate", name=name, ready=False, HOLDGATE_AMQP_URL=url)
            for name, url in zip(_fair_names(), urls, strict=True)
        ]
        site.wait_lines(*self.gates)
        self.client: BookingClient = site.client(timeout_seconds=120)
        self._ids = [ids[0] for ids in occurrences_in(PARTITIONS, 1, "stall").values()]
        for occurrence_id in self._ids:
            put(self.client, occurrence_id, 100_000)

    @contextmanager
    def stall(self) -> Iterator[None]:
        """The tables are held; both gates are in the middle of a batch. Afterwards every request gets its answer."""
        with psycopg.connect(self._site.database_url) as locker:
            locker.execute("LOCK TABLE occurrences, pools, holds, journal IN ACCESS EXCLUSIVE MODE")
            futures = self.client.send_many([place_of(occurrence_id) for occurrence_id in self._ids])
            eventually(lambda: self._stuck() >= len(self.gates), "both gates wait for the tables")
            yield
        assert all(isinstance(future.result(), Held) for future in futures)

    def cut(self, partition: int) -> None:
        """Reset the connections of everybody who stands in that line."""
        for proxy in self._proxies:
            proxy.break_connections(saying=_words(partition))

    def asked_to_leave(self) -> int:
        """How often a membership has told its engine to leave a line."""
        return sum(len(gate.logged("partition_left")) for gate in self.gates)

    def lost(self) -> int:
        """How often a consumer has lost its connection."""
        return sum("has no broker connection" in str(entry) for gate in self.gates for entry in gate.log())

    def are_connected(self, partition: int) -> bool:
        """Whether each gate has a connection for that line."""
        return all(proxy.clients(saying=_words(partition)) == 1 for proxy in self._proxies)

    def last_place(self) -> int:
        """The place that was given last in any line, by the record."""
        return int(self._site.value("SELECT coalesce(max(place), 0) FROM partition_lines"))

    def recorded_after(self, place: int) -> int:
        """How many have told since then that they stand in a line."""
        return int(self._site.value("SELECT count(*) FROM partition_lines WHERE place > %s", place))

    def all_recorded(self) -> bool:
        """Whether both gates are recorded in every line."""
        return self._site.value("SELECT count(*) FROM partition_lines") == len(self.gates) * PARTITIONS

    def consumers(self) -> dict[str, int]:
        """How many consumers the broker has for each partition queue, those that wait in line included."""
        listed = self._rabbit.rabbitmqctl("list_consumers", "--no-table-headers", "queue_name", "channel_pid")
        found = Counter(line.split()[0] for line in listed.splitlines() if line.strip())
        return {partition_queue(partition): found[partition_queue(partition)] for partition in range(PARTITIONS)}

    def wait_healed(self) -> float:
        """Each queue has its two consumers, and goes on having them once everybody has worked another batch."""
        began = monotonic()
        self._wait_for_two()
        seconds = monotonic() - began
        self.ask()
        self._wait_for_two()
        return seconds

    def ask(self) -> None:
        """One request in each partition, answered."""
        futures = self.client.send_many([place_of(occurrence_id) for occurrence_id in self._ids])
        assert all(isinstance(future.result(), Held) for future in futures)

    def _wait_for_two(self) -> None:
        eventually(
            lambda: set(self.consumers().values()) == {2} and self.all_recorded(),
            "two consumers for every partition",
            HEALED_SECONDS,
        )

    def prove(self) -> None:
        """The workers needed no correction; one of them is killed, and the other one serves every partition."""
        for gate in self.gates:
            assert gate.logged("line_corrected") == []
            assert gate.logged("engine_failed") == []
        self.gates[0].kill()
        self.ask()

    def _stuck(self) -> int:
        waiting = """SELECT count(DISTINCT a.application_name) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE NOT l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
        return int(self._site.value(waiting))


def _words(partition: int) -> bytes:
    """By which one knows the connection of a line."""
    return b".gate.p%02d" % partition


def _fair_names() -> list[str]:
    """Two gates each of which is the first choice of two partitions."""
    for number in itertools.count():
        names = [f"ann-{number}", f"bob-{number}"]
        firsts = [
            ranked(partition, sorted(f"{name}.gate" for name in names))[0] for partition in range(PARTITIONS)
        ]
        if set(Counter(firsts).values()) == {PARTITIONS // 2}:
            return names
    raise AssertionError


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRabbit]:
    """A node whose settings may be changed."""
    with private_rabbit(tmp_path_factory.mktemp("node") / "rabbit") as server:
        yield server


@pytest.fixture
def open_floor(rabbit: PrivateRabbit, tmp_path: Path) -> Iterator[Callable[[], Floor]]:
    """Opens it once the broker is as the test wants it."""
    with (
        migrated_database() as database_url,
        closing(TestSite(database_url, rabbit.url, tmp_path)) as site,
        proxied(rabbit.url, AMQP_PORT) as (first, first_url),
        proxied(rabbit.url, AMQP_PORT) as (second, second_url),
    ):
        yield lambda: Floor(site, rabbit, [first, second], [first_url, second_url])


def test_every_partition_has_two_consumers_again_after_its_connections_were_cut_during_a_stall(
    open_floor: Callable[[], Floor],
) -> None:
    """The worst moment is made: a gate has been asked to leave, cannot yet, and loses the connection that was meant."""
    floor = open_floor()
    with floor.stall():
        _cut_until_a_leave_waits(floor)
    healed = [floor.wait_healed()]
    for _ in range(STALLS - 1):
        with floor.stall():
            _cut_at_random(floor)
        healed.append(floor.wait_healed())
    print(f"{len(healed)} stalls, {floor.lost()} connections lost, healed within {max(healed):.1f} s")
    floor.prove()


def test_every_partition_has_two_consumers_again_after_the_broker_closed_channels_during_a_stall(
    rabbit: PrivateRabbit, open_floor: Callable[[], Floor]
) -> None:
    """By 406, over messages that were acknowledged too late for its taste."""
    rabbit.rabbitmqctl("eval", _timeouts(TIMEOUT_MILLISECONDS, 300))
    try:
        floor = open_floor()
        healed = []
        for _ in range(STALLS):
            lost, leaves = floor.lost(), floor.asked_to_leave()
            with floor.stall():
                eventually(
                    lambda lost=lost: floor.lost() >= lost + 2 * PARTITIONS, "channels are closed again and again"
                )
                if STALLS == 1:
                    eventually(
                        lambda leaves=leaves: floor.asked_to_leave() > leaves, "one is to leave a line meanwhile"
                    )
                    more = floor.lost() + PARTITIONS
                    eventually(lambda more=more: floor.lost() >= more, "channels are closed once more")
            healed.append(floor.wait_healed())
        assert any("406" in str(entry) for gate in floor.gates for entry in gate.log())
        print(f"{len(healed)} stalls, {floor.lost()} channels closed, healed within {max(healed):.1f} s")
        floor.prove()
    finally:
        rabbit.rabbitmqctl("eval", _timeouts(1_800_000, 60_000))


def _timeouts(consumer: int, tick: int) -> str:
    return (
        f"application:set_env(rabbit, consumer_timeout, {consumer}), "
        f"application:set_env(rabbit, channel_tick_interval, {tick})."
    )


def _cut_until_a_leave_waits(floor: Floor) -> None:
    """Cut all lines until their members come back in the wrong order and one is told to leave; then once more."""
    before = floor.asked_to_leave()
    for _ in range(CUTS_MAX):
        _cut_all(floor)
        if floor.asked_to_leave() > before:
            break
    else:
        raise AssertionError(f"in {CUTS_MAX} cuts nobody came back in the wrong order")
    _cut_all(floor)


def _cut_all(floor: Floor) -> None:
    """Cut every line; wait until everybody is back, or one was told to leave because he came back too early."""
    leaves, place = floor.asked_to_leave(), floor.last_place()
    for partition in range(PARTITIONS):
        eventually(lambda partition=partition: floor.are_connected(partition), "everybody is connected")
        floor.cut(partition)
    eventually(
        lambda: floor.recorded_after(place) == 2 * PARTITIONS or floor.asked_to_leave() > leaves,
        "everybody is back in line",
    )


def _cut_at_random(floor: Floor) -> None:
    """The lines of one partition: two to five times within seconds, or again and again for as long as is wanted."""
    partition = random.randrange(PARTITIONS)
    pause = threading.Event()
    if not STALL_SECONDS:
        for _ in range(random.randint(2, 5)):
            floor.cut(partition)
            pause.wait(random.uniform(0.1, 1.5))
        return
    ends = monotonic() + STALL_SECONDS
    while (left := ends - monotonic()) > 0:
        floor.cut(partition)
        pause.wait(min(left, random.uniform(0.6, 1.4) * CUT_EVERY_SECONDS))
