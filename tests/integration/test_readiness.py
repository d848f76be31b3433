"""Ready means that the role could do its work now: each role, against each thing that keeps it from that."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from tests.support.postgres import admin_url as database_admin
from tests.support.postgres import migrated_database
from tests.support.rabbit import channel, eventually, fresh_vhost, rabbitmqctl, vhost_of
from tests.support.redis import private_redis
from tests.support.site import TestSite, open_test_site

from holdgate_schema.contract.installation import ROLES as RIGHTS
from holdgate_schema.topology import installation_mark, partition_queue, tasks_queue
from holdgate_workers.adapters.rabbit.topology import declare
from holdgate_workers.config.environment import read_config
from holdgate_workers.roles.process.readiness import NEEDS, Readiness
from holdgate_workers.wiring.site import Site, open_site

BROKER_ROLES = tuple(role for role, needs in NEEDS.items() if needs.exchanges or needs.wakeups)
LOST = {
    "gate": lambda raw: raw.queue_delete(partition_queue(0)),
    "expiry": lambda raw: raw.exchange_delete("holdgate.requests"),
    "relay": lambda raw: raw.exchange_delete("holdgate.events"),
    "feeder": lambda raw: raw.queue_delete(tasks_queue("pricing")),
    "pricing": lambda raw: raw.queue_delete(tasks_queue("pricing")),
    "orders": lambda raw: raw.queue_delete(tasks_queue("orders")),
    "notifications": lambda raw: raw.queue_delete(tasks_queue("notifications")),
}
"""What of the topology each role cannot do without."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as opened:
        url = opened.enter_context(migrated_database())
        vhost = opened.enter_context(fresh_vhost())
        server = opened.enter_context(private_redis(tmp_path_factory.mktemp("redis")))
        config = read_config(database_url=url, amqp_url=vhost, redis_url=server.url, partitions=1)
        yield open_site(config, url, migrate=True)


def kinds(site: Site, role: str) -> list[str]:
    """What stands between the role and its work, tried once."""
    readiness = Readiness(site, role)
    try:
        return [fault.kind for fault in readiness.look()]
    finally:
        readiness._database.close()


def changed(site: Site, **fields: str) -> Site:
    return replace(site, config=site.config.model_copy(update=fields))


def with_login(url: str, name: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}"))


@contextmanager
def broker_login(url: str, configure: str, write: str, read: str) -> Iterator[str]:
    name, password = f"holdgate-test-{secrets.token_hex(4)}", secrets.token_hex(8)
    rabbitmqctl("add_user", name, password)
    try:
        rabbitmqctl("set_permissions", "-p", vhost_of(url), name, configure, write, read)
        yield with_login(url, name, password)
    finally:
        rabbitmqctl("delete_user", name)


@contextmanager
def database_login(url: str, *grants: str) -> Iterator[str]:
    name = f"holdgate_test_{secrets.token_hex(4)}"
    with psycopg.connect(database_admin(), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
        try:
            with psycopg.connect(url, autocommit=True) as owner:
                for grant in grants:
                    owner.execute(grant.format(name))
                yield with_login(url, name, "secret")
                owner.execute(f"DROP OWNED BY {name}")
        finally:
            admin.execute(f"DROP ROLE {name}")


@pytest.mark.parametrize("role", NEEDS)
def test_with_everything_in_place_each_role_is_ready(site: Site, role: str) -> None:
    assert kinds(site, role) == []


@pytest.mark.parametrize("role", NEEDS)
def test_a_database_that_takes_no_writes(site: Site, role: str) -> None:
    read_only = f"{site.database_url}?options=-cdefault_transaction_read_only%3Don"
    assert kinds(replace(site, database_url=read_only), role) == ["read_only"]


@pytest.mark.parametrize("role", NEEDS)
def test_a_database_login_that_may_only_read(site: Site, role: str) -> None:
    grants = ("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}",)
    with database_login(site.database_url, *grants) as url:
        assert kinds(replace(site, database_url=url), role) == ["no_rights"]


@pytest.mark.parametrize("role", NEEDS)
def test_a_database_login_with_nothing_but_reading_and_changing_rows_is_enough(site: Site, role: str) -> None:
    grants = ("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}",)
    with database_login(site.database_url, *grants) as url:
        assert kinds(replace(site, database_url=url), role) == []


@pytest.mark.parametrize("role", NEEDS)
def test_no_database(site: Site, role: str) -> None:
    nowhere = urlsplit(site.database_url)
    url = urlunsplit(nowhere._replace(netloc="root@127.0.0.1:1"))
    assert kinds(replace(site, database_url=url), role) == ["closed_port"]


@pytest.mark.parametrize("role", BROKER_ROLES)
def test_a_wrong_password_of_the_broker(site: Site, role: str) -> None:
    assert site.config.amqp_url is not None
    wrong = with_login(site.config.amqp_url, "guest", "wrong")
    assert kinds(changed(site, amqp_url=wrong), role) == ["wrong_password"]


@pytest.mark.parametrize("role", [role for role in BROKER_ROLES if NEEDS[role].exchanges])
def test_no_rights_on_the_broker(site: Site, role: str) -> None:
    assert site.config.amqp_url is not None
    with broker_login(site.config.amqp_url, "^$", "^$", ".*") as url:
        assert kinds(changed(site, amqp_url=url), role) == ["no_rights"]


@pytest.mark.parametrize("role", BROKER_ROLES)
def test_the_rights_of_the_contract_are_enough_to_be_ready(site: Site, role: str) -> None:
    assert site.config.amqp_url is not None
    rights = next(item for item in RIGHTS if item.name == f"worker {role}")
    with broker_login(site.config.amqp_url, rights.configure, rights.write, rights.read) as url:
        assert kinds(changed(site, amqp_url=url), role) == []


@pytest.mark.parametrize("role", BROKER_ROLES)
def test_a_missing_part_of_the_topology(site: Site, role: str) -> None:
    assert site.config.amqp_url is not None
    with channel(site.config.amqp_url) as raw:
        LOST[role](raw)
    try:
        assert kinds(site, role) == ["not_set_up"]
    finally:
        declare(site.config.amqp_url, 1, site.installation)


@pytest.mark.parametrize("role", BROKER_ROLES)
def test_a_virtual_host_without_our_stamp(site: Site, role: str) -> None:
    assert site.config.amqp_url is not None
    with channel(site.config.amqp_url) as raw:
        raw.exchange_delete(installation_mark(site.installation.id))
    try:
        assert kinds(site, role) == ["not_set_up"]
    finally:
        declare(site.config.amqp_url, 1, site.installation)


def test_no_redis(site: Site) -> None:
    assert kinds(changed(site, redis_url="redis://127.0.0.1:1/0"), "projection") == ["closed_port"]


def test_trying_leaves_no_message_anywhere(site: Site) -> None:
    assert site.config.amqp_url is not None
    for role in BROKER_ROLES:
        assert kinds(site, role) == []
    with channel(site.config.amqp_url) as raw:
        for queue in ("holdgate.dead", partition_queue(0), *(tasks_queue(role) for role in ("pricing", "orders"))):
            assert raw.queue_declare(queue, passive=True).method.message_count == 0


def test_one_look_that_fails_does_not_make_unready_and_two_do(site: Site) -> None:
    readiness = Readiness(site, "relay")
    assert readiness.problem() is not None
    said: list[str | None] = []
    for answer in ("slow", None, "slow", None, "gone", "gone", None):
        readiness._tell(answer)
        said.append(readiness.problem())
    assert said == ["slow", None, None, None, None, "gone", None]


def test_a_process_stays_alive_and_becomes_unready_and_ready_again(tmp_path: Path) -> None:
    with open_test_site("rabbit", tmp_path) as house:
        worker = house.start("relay", "expiry")
        name = urlsplit(house.database_url).path[1:]
        house.rows(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        end_sessions(house)
        eventually(
            lambda: worker.get("/readyz")[0] == 503 and "read-only" in worker.get("/readyz")[1], "it notices"
        )
        assert worker.get("/livez")[0] == 200
        with psycopg.connect(house.database_url, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        end_sessions(house)
        eventually(lambda: worker.get("/readyz")[0] == 200, "it is ready again")


def end_sessions(house: TestSite) -> None:
    """As a restart of the server does, so that each session has the setting."""
    house.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
