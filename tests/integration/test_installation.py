"""Whose a virtual host, an embedded queue and a read side are."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from tests.conformance.transport_harness import RecordingSink, numbered
from tests.support.postgres import fresh_database, migrated_database
from tests.support.rabbit import admin_url, channel, eventually, fresh_vhost, rabbitmqctl, vhost_of
from tests.support.redis import PrivateRedis, private_redis
from tests.support.two_houses import installation_of, second_database, second_schema

from holdgate_schema.contract import installation as contract
from holdgate_schema.topology import INSTALLATION_EXCHANGE, installation_mark, partition_queue
from holdgate_workers.adapters.embedded.queue import tables as queue_tables
from holdgate_workers.adapters.embedded.queue.consumer import EmbeddedConsumer
from holdgate_workers.adapters.embedded.queue.publisher import EmbeddedPublisher
from holdgate_workers.adapters.rabbit import topology
from holdgate_workers.adapters.rabbit.consumer import RabbitConsumer
from holdgate_workers.adapters.rabbit.publishing.publisher import RabbitPublisher
from holdgate_workers.adapters.rabbit.stamp import VHOST_BYTES_MAX
from holdgate_workers.app.installation import Installation, NotOurs, NotSetUp, StillServed
from holdgate_workers.app.ports import TransportError
from holdgate_workers.config.environment import read_config
from holdgate_workers.roles.projection import ProjectionWorker
from holdgate_workers.wiring.site import open_site

OURS = Installation("0b5e1a50-1111-4b5e-8b5e-0b5e1a500001", "database shop on db-1:5432")
THEIRS = Installation("0b5e1a50-2222-4b5e-8b5e-0b5e1a500002", "database staging on db-2:5432")
RACES = 5


@pytest.fixture
def vhost() -> Iterator[str]:
    with fresh_vhost() as url:
        yield url


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[PrivateRedis]:
    with private_redis(tmp_path / "redis") as server:
        yield server


@contextmanager
def login(url: str, configure: str, write: str, read: str) -> Iterator[str]:
    """The URL of a login that has only these rights."""
    name, password = f"holdgate-test-{secrets.token_hex(4)}", secrets.token_hex(8)
    rabbitmqctl("add_user", name, password)
    try:
        rabbitmqctl("set_permissions", "-p", vhost_of(url), name, configure, write, read)
        parts = urlsplit(url)
        yield urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}"))
    finally:
        rabbitmqctl("delete_user", name)


# --- RabbitMQ ---------------------------------------------------------------------------------------------------


def test_a_virtual_host_belongs_to_the_first_who_sets_it_up(vhost: str) -> None:
    with pytest.raises(NotSetUp, match=f"{vhost_of(vhost)}.*{OURS.id}.*holdgate migrate"):
        topology.verify(vhost, OURS)
    topology.declare(vhost, 1, OURS)
    topology.declare(vhost, 1, OURS)
    topology.verify(vhost, OURS)
    assert topology.owner(vhost) == OURS
    for refused in (lambda: topology.declare(vhost, 2, THEIRS), lambda: topology.verify(vhost, THEIRS)):
        with pytest.raises(NotOurs) as caught:
            refused()
        for word in (OURS.id, OURS.name, THEIRS.id, THEIRS.name, "take-over", "HOLDGATE_AMQP_URL"):
            assert word in str(caught.value)
    missing = {item.name for item in topology.inspect(vhost, 2) if not item.exists}
    assert partition_queue(1) in missing, "who was refused has changed nothing"


def test_a_worker_with_a_worker_s_rights_can_tell_whose_it_is_and_make_nothing(vhost: str) -> None:
    role = next(role for role in contract.ROLES if role.name.startswith("worker"))
    with login(vhost, role.configure, role.write, role.read) as url:
        with pytest.raises(NotSetUp):
            topology.verify(url, OURS)
        topology.declare(vhost, 1, THEIRS)
        with pytest.raises(NotOurs, match=f"{THEIRS.id}.*{THEIRS.name}.*{OURS.id}"):
            topology.verify(url, OURS)
        topology.verify(url, THEIRS)


def test_a_login_without_any_rights_is_kept_out_as_well(vhost: str) -> None:
    topology.declare(vhost, 1, THEIRS)
    with login(vhost, "^$", "^$", "^$") as url:
        topology.verify(url, THEIRS)
        with pytest.raises(NotOurs, match="may not read"):
            topology.verify(url, OURS)


def test_of_two_that_set_it_up_at_once_one_wins() -> None:
    for _ in range(RACES):
        with fresh_vhost() as url:
            start = threading.Barrier(2)

            def migrate(who: Installation, url: str = url, start: threading.Barrier = start) -> bool:
                start.wait()
                try:
                    topology.declare(url, 1, who)
                except NotOurs:
                    return False
                return True

            with ThreadPoolExecutor(2) as pool:
                won = list(pool.map(migrate, (OURS, THEIRS)))
            assert sum(won) == 1
            winner, loser = (OURS, THEIRS) if won[0] else (THEIRS, OURS)
            topology.verify(url, winner)
            with pytest.raises(NotOurs):
                topology.verify(url, loser)


def test_who_does_not_own_it_neither_consumes_nor_publishes(vhost: str) -> None:
    topology.declare(vhost, 1, THEIRS)
    sink = RecordingSink()
    consumer = RabbitConsumer(vhost, sink, name="stranger", installation=OURS)
    publisher = RabbitPublisher(vhost, name="stranger", installation=OURS)
    owner = RabbitPublisher(vhost, name="owner", installation=THEIRS)
    try:
        consumer.subscribe(0)
        sent = publisher.publish(numbered(1, 2))
        eventually(lambda: _attempts(consumer) >= 2, "it was refused, and tried again")
        eventually(lambda: publisher._attempts >= 2, "it was refused, and tried again")
        assert owner.publish(numbered(3, 4)).wait(30) == []
        assert not sink.subscriptions
        assert not sent.is_settled
        assert publisher.blocked
        assert _waiting(vhost) == 2
        # Once it is theirs they go on by themselves.
        topology.take_over(vhost, OURS)
        sink.wait_for_subscription()
        assert sent.wait(60) == []
    finally:
        consumer.close()
        publisher.close(1)
        owner.close(1)


def _attempts(consumer: RabbitConsumer) -> int:
    return max((line.attempts for line in consumer._lines.values()), default=0)


def _waiting(url: str) -> int:
    with channel(url) as raw:
        return int(raw.queue_declare(partition_queue(0), passive=True).method.message_count)


def test_a_broker_that_comes_back_empty_is_nobody_s_until_it_is_set_up(vhost: str) -> None:
    """Its queues may be there again, from a backup of its definitions: without the stamp nobody works there."""
    topology.declare(vhost, 1, OURS)
    sink = RecordingSink()
    consumer = RabbitConsumer(vhost, sink, name="w", installation=OURS)
    publisher = RabbitPublisher(vhost, name="w", installation=OURS)
    try:
        consumer.subscribe(0)
        sink.wait_for_subscription()
        eventually(lambda: not publisher.blocked, "it is connected")
        with channel(vhost) as raw:
            for name in (installation_mark(OURS.id), INSTALLATION_EXCHANGE):
                raw.exchange_delete(name)
        for line in rabbitmqctl("list_connections", "pid", "vhost").splitlines():
            pid, _, where = line.partition("\t")
            if where == vhost_of(vhost):
                rabbitmqctl("close_connection", pid, "the broker was replaced")
        sink.wait_for_loss()
        eventually(lambda: _attempts(consumer) >= 2 and publisher._attempts >= 2, "both were refused")
        with pytest.raises(NotSetUp):
            topology.verify(vhost, OURS)
        topology.declare(vhost, 1, OURS)
        sink.wait_for_subscription(2)
        eventually(lambda: not publisher.blocked, "it publishes again")
    finally:
        consumer.close()
        publisher.close(1)


def test_what_others_work_at_now_is_not_taken_over(vhost: str) -> None:
    topology.declare(vhost, 1, THEIRS)
    sink = RecordingSink()
    consumer = RabbitConsumer(vhost, sink, name="w", installation=THEIRS)
    try:
        consumer.subscribe(0)
        sink.wait_for_subscription()
        with pytest.raises(StillServed, match=r"1 consumers.*nothing was changed"):
            topology.take_over(vhost, OURS)
        topology.verify(vhost, THEIRS)
    finally:
        consumer.close()
    eventually(lambda: _taken(vhost), "nobody consumes there any more")
    topology.verify(vhost, OURS)
    with pytest.raises(NotOurs):
        topology.verify(vhost, THEIRS)


def _taken(url: str) -> bool:
    try:
        assert topology.take_over(url, OURS) == THEIRS
    except StillServed:
        return False
    return True


@contextmanager
def named_vhost(name: str) -> Iterator[str]:
    """A virtual host with this name."""
    rabbitmqctl("add_vhost", name)
    try:
        parts = urlsplit(admin_url())
        rabbitmqctl("set_permissions", "-p", name, parts.username or "guest", ".*", ".*", ".*")
        yield urlunsplit(parts._replace(path=f"/{name}"))
    finally:
        rabbitmqctl("delete_vhost", name)


def test_a_long_name_of_a_virtual_host_leaves_room_for_its_owner_s() -> None:
    with named_vhost(f"holdgate-test-{secrets.token_hex(4)}-".ljust(VHOST_BYTES_MAX, "x")) as url:
        topology.declare(url, 1, THEIRS)
        with pytest.raises(NotOurs, match=THEIRS.id):
            topology.verify(url, OURS)
        before = topology.take_over(url, OURS)
        assert before is not None
        assert before.id == THEIRS.id
        with pytest.raises(NotOurs, match=OURS.id):
            topology.verify(url, THEIRS)


def test_a_virtual_host_whose_owner_could_not_be_read_is_never_set_up() -> None:
    with named_vhost(f"holdgate-test-{secrets.token_hex(4)}-".ljust(VHOST_BYTES_MAX + 1, "x")) as url:
        for refused in (lambda: topology.declare(url, 1, OURS), lambda: topology.take_over(url, OURS)):
            with pytest.raises(TransportError, match=f"58 bytes. At most {VHOST_BYTES_MAX} are possible"):
                refused()
        assert not any(item.exists for item in topology.inspect(url, 1))


def test_a_database_that_moved_says_its_new_place(vhost: str) -> None:
    topology.declare(vhost, 1, OURS)
    moved = replace(OURS, name="database shop on db-9:5432")
    topology.declare(vhost, 1, moved)
    assert topology.owner(vhost) == moved


# --- the queue in the database ----------------------------------------------------------------------------------


def test_an_embedded_queue_belongs_to_the_first_who_sets_it_up() -> None:
    with fresh_database() as url:
        with pytest.raises(NotSetUp):
            queue_tables.verify(url, OURS)
        queue_tables.declare(url, 1, OURS)
        queue_tables.declare(url, 1, OURS)
        with pytest.raises(NotOurs, match=f"{OURS.id}.*{OURS.name}.*{THEIRS.id}.*take-over"):
            queue_tables.declare(url, 2, THEIRS)
        assert queue_tables.owner(url) == OURS
        assert queue_tables.take_over(url, THEIRS) == OURS
        queue_tables.verify(url, THEIRS)


def test_of_two_that_set_an_embedded_queue_up_at_once_one_wins() -> None:
    for _ in range(RACES):
        with fresh_database() as url:
            start = threading.Barrier(2)

            def migrate(who: Installation, url: str = url, start: threading.Barrier = start) -> bool:
                start.wait()
                try:
                    queue_tables.declare(url, 1, who)
                except NotOurs:
                    return False
                return True

            with ThreadPoolExecutor(2) as pool:
                assert sum(pool.map(migrate, (OURS, THEIRS))) == 1


def test_who_does_not_own_an_embedded_queue_neither_consumes_nor_publishes() -> None:
    with fresh_database() as url:
        queue_tables.declare(url, 1, THEIRS)
        sink, theirs = RecordingSink(), RecordingSink()
        consumer = EmbeddedConsumer(url, sink, name="stranger", installation=OURS)
        publisher = EmbeddedPublisher(url, name="stranger", installation=OURS)
        owner = EmbeddedConsumer(url, theirs, name="owner", installation=THEIRS)
        sender = EmbeddedPublisher(url, name="owner", installation=THEIRS)
        try:
            consumer.subscribe(0)
            sent = publisher.publish(numbered(1, 2))
            owner.subscribe(0)
            assert sender.publish(numbered(3, 4)).wait(30) == []
            theirs.wait_for_deliveries(2)
            assert not sink.subscriptions
            assert not sent.is_settled
            assert publisher.blocked
            with pytest.raises(StillServed):
                queue_tables.take_over(url, OURS)
        finally:
            for one in (consumer, owner):
                one.close()
            for other in (publisher, sender):
                other.close(1)


# --- a database and what belongs to it --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["rabbit", "embedded"])
def test_a_process_of_another_database_is_refused_at_its_start(kind: str) -> None:
    with migrated_database() as first, fresh_vhost() as vhost, second_database() as other:
        amqp_url = vhost if kind == "rabbit" else None
        second = other if kind == "rabbit" else second_schema(first)
        names = installation_of(first), installation_of(second)
        assert names[0].id != names[1].id
        open_site(read_config(database_url=first, amqp_url=amqp_url, partitions=1), first, migrate=True)
        for migrate in (True, False):
            config = read_config(database_url=second, amqp_url=amqp_url, partitions=1)
            with pytest.raises(NotOurs) as caught:
                open_site(config, second, migrate=migrate)
            assert (caught.value.theirs.id, caught.value.ours.id) == (names[0].id, names[1].id)
        open_site(read_config(database_url=first, amqp_url=amqp_url, partitions=1), first, migrate=False)


def test_a_projection_of_another_database_is_refused_at_its_start(redis: PrivateRedis) -> None:
    with migrated_database() as first, second_database() as second:
        sites = [
            open_site(read_config(database_url=url, redis_url=redis.url, partitions=1), url, migrate=True)
            for url in (first, second)
        ]
        with closing(ProjectionWorker(sites[0])) as worker:
            eventually(lambda: worker.round() and redis.client().hget("holdgate:{main}:projection", "house"))
        with pytest.raises(NotOurs) as caught:
            ProjectionWorker(sites[1])
        for word in (
            str(sites[0].installation),
            str(sites[1].installation),
            "projection rebuild",
            "HOLDGATE_HOUSE",
        ):
            assert word in str(caught.value)


def test_a_copy_of_a_database_is_the_same_installation_until_it_gets_an_id_of_its_own(vhost: str) -> None:
    from holdgate_workers.adapters.postgres.maintenance.installation import House

    with migrated_database() as original, migrated_database() as copy:
        assert installation_of(original).id == installation_of(copy).id
        open_site(read_config(database_url=original, amqp_url=vhost, partitions=1), original, migrate=True)
        open_site(read_config(database_url=copy, amqp_url=vhost, partitions=1), copy, migrate=False)
        with closing(House(copy)) as house:
            renewed = house.renew_installation()
        assert renewed == installation_of(copy) != installation_of(original)
        with pytest.raises(NotOurs):
            open_site(read_config(database_url=copy, amqp_url=vhost, partitions=1), copy, migrate=True)


def test_the_name_says_where_the_database_is_without_the_login() -> None:
    with migrated_database() as url:
        name = installation_of(url).name
    assert name.startswith(f"database {urlsplit(url).path[1:]} on ")
    assert f":{urlsplit(url).port}" in name
