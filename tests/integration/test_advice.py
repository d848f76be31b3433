"""Each thing that can be wrong with a server has a sentence of its own, by its code, and shows no secret."""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
import trustme
from tests.support.cli import Terminal
from tests.support.postgres import admin_url as database_admin
from tests.support.postgres import migrated_database
from tests.support.rabbit import admin_url, channel, fresh_vhost, rabbitmqctl, vhost_of
from tests.support.redis import PrivateRedis, private_redis

from holdgate_schema.topology import EVENTS_EXCHANGE
from holdgate_workers.adapters.postgres import diagnosis as database
from holdgate_workers.adapters.rabbit import diagnosis as broker
from holdgate_workers.adapters.rabbit.topology import connected
from holdgate_workers.adapters.redis import diagnosis as cache
from holdgate_workers.app.ports import TransportError
from holdgate_workers.config.environment import ConfigError, read_config

SECRET = "hunter2"


@contextmanager
def another(url: str, **parts: str | int | None) -> Iterator[str]:
    yield changed(url, **parts)


def changed(url: str, *, login: str | None = None, port: int | None = None, path: str | None = None) -> str:
    """The URL with another login, port or path; the host may stand in the login."""
    found = urlsplit(url)
    who = found.netloc.rpartition("@")[0] if login is None else login
    netloc = f"{who}@{found.hostname}:{port or found.port}" if who else f"{found.hostname}:{port or found.port}"
    return urlunsplit(found._replace(netloc=netloc, path=found.path if path is None else path))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with migrated_database() as found:
        yield found


@pytest.fixture
def login(url: str) -> Iterator[tuple[str, str]]:
    """A database login that has no right but to connect."""
    name = f"holdgate_test_{secrets.token_hex(4)}"
    with psycopg.connect(database_admin(), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{SECRET}' CONNECTION LIMIT 1")
        try:
            yield name, changed(url, login=f"{name}:{SECRET}")
        finally:
            with psycopg.connect(url, autocommit=True) as owner:
                owner.execute(f"DROP OWNED BY {name}")
            admin.execute(f"DROP ROLE {name}")


@contextmanager
def tls_server(folder: Path) -> Iterator[int]:
    """Something that speaks TLS, whatever then comes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    link, _ = server.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(link, server_side=True).close()
                except OSError:
                    link.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


# --- PostgreSQL -------------------------------------------------------------------------------------------------


def test_each_fault_of_a_database_by_its_sqlstate(url: str, login: tuple[str, str]) -> None:
    name, mine = login
    server = url.replace("127.0.0.1", "localhost")
    with ExitStack() as holding:
        assert database.diagnose(url) is None
        assert database.try_writing(url) is None
        found = {
            "no_such_database": database.diagnose(changed(url, path="/there_is_none")),
            "login_refused": database.diagnose(changed(url, login=f"there_is_none:{SECRET}")),
            "closed_port": database.diagnose(changed(url, port=1)),
            "unknown_host": database.diagnose("postgresql://u@no-such-host.invalid/x"),
            "no_rights": database.try_writing(mine),
            "no_tls": database.diagnose(f"{changed(server, port=amqp_port())}?sslmode=require"),
            "no_postgres": database.diagnose(changed(url, port=amqp_port())),
        }
        holding.enter_context(psycopg.connect(mine))
        found["too_many_clients"] = database.diagnose(mine)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER ROLE {name} SET default_transaction_read_only = on")
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
    found["read_only"] = database.try_writing(mine)
    said = {kind: fault.kind for kind, fault in found.items() if fault is not None}
    assert said == {kind: kind for kind in found}
    assert len({fault.what for fault in found.values() if fault}) == len(found)
    assert SECRET not in str(found)


def amqp_port() -> int:
    return urlsplit(admin_url()).port or 5672


# --- RabbitMQ ---------------------------------------------------------------------------------------------------


def broker_fault(url: str) -> str:
    try:
        with connected(url, "test") as connection:
            connection.channel().exchange_declare(EVENTS_EXCHANGE, "topic", durable=True)
    except TransportError as exc:
        fault = broker.fault_of(exc)
        assert SECRET not in str(fault)
        return fault.kind
    return "none"


def test_each_fault_of_a_broker_by_its_code(tmp_path: Path) -> None:
    name = f"holdgate-test-{secrets.token_hex(4)}"
    with fresh_vhost() as url, tls_server(tmp_path) as tls, socket.create_server(("127.0.0.1", 0)) as silent:
        rabbitmqctl("add_user", name, SECRET)
        try:
            rabbitmqctl("set_permissions", "-p", vhost_of(url), name, "^$", "^$", "^$")
            cases = {
                "none": url,
                "wrong_password": changed(url, login=f"guest:{SECRET}"),
                "no_vhost": changed(url, path="/there-is-none"),
                "no_rights": changed(url, login=f"{name}:{SECRET}"),
                "closed_port": changed(url, port=1),
                "unknown_host": f"amqp://u:{SECRET}@no-such-host.invalid/x",
                "no_tls": url.replace("amqp://", "amqps://"),
                "no_amqp": changed(url, port=tls),
                "no_answer": f"{changed(url, port=silent.getsockname()[1])}?stack_timeout=1",
            }
            assert {kind: broker_fault(case) for kind, case in cases.items()} == {kind: kind for kind in cases}
            with channel(url) as raw:
                raw.exchange_delete(EVENTS_EXCHANGE)
                raw.exchange_declare(EVENTS_EXCHANGE, "fanout", durable=True)
            assert broker_fault(url) == "other_arguments"
        finally:
            rabbitmqctl("delete_user", name)


# --- Redis ------------------------------------------------------------------------------------------------------


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[PrivateRedis]:
    with private_redis(tmp_path / "redis") as server:
        yield server


def test_each_fault_of_a_redis(redis: PrivateRedis, tmp_path: Path) -> None:
    def kind(url: str) -> str:
        fault = cache.try_writing(url, "holdgate:test")
        assert SECRET not in str(fault)
        return "none" if fault is None else fault.kind

    client = redis.client()
    assert kind(redis.url) == "none"
    assert kind(changed(redis.url, port=1)) == "closed_port"
    assert kind(changed(redis.url, login=f"nobody:{SECRET}")) == "wrong_password"
    assert kind(redis.url.replace("redis://", "rediss://")) == "no_tls"
    assert kind("redis://no-such-host.invalid:6379/0") == "unknown_host"
    client.execute_command("ACL", "SETUSER", "reader", "on", f">{SECRET}", "~*", "+@read", "+ping", "+client")
    assert kind(changed(redis.url, login=f"reader:{SECRET}")) == "no_rights"
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    assert kind(redis.url) == "read_only"


# --- what people read -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["hun/ter2", "hun#ter2", "hun@ter2", "hun?ter2"])
@pytest.mark.parametrize("variable", ["database_url", "amqp_url", "redis_url"])
def test_a_password_that_is_not_encoded_is_not_shown(variable: str, password: str) -> None:
    scheme = {"database_url": "postgresql", "amqp_url": "amqp", "redis_url": "redis"}[variable]
    with pytest.raises(ConfigError, match=rf"HOLDGATE_{variable.upper()}: .*%2F") as caught:
        read_config(**{variable: f"{scheme}://user:{password}@db:5432/x"})
    for part in ("hun", "ter2"):
        assert part not in str(caught.value)
    read_config(**{variable: f"{scheme}://user:{quote(password, safe='')}@db:5432/x"})


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("database_url", "mysql://u:hunter2@db/x"),
        ("database_url", "postgresql+psycopg://u:hunter2@db/x"),
        ("amqp_url", "http://u:hunter2@mq/"),
        ("amqp_url", "mq:5672"),
        ("redis_url", "redis:hunter2"),
        ("amqp_url", "amqp://u:hunter2@mq:amqp/"),
    ],
)
def test_a_url_that_cannot_be_meant_names_its_variable(variable: str, url: str) -> None:
    with pytest.raises(ConfigError, match=f"HOLDGATE_{variable.upper()}: ") as caught:
        read_config(**{variable: url})
    assert SECRET not in str(caught.value)


def said_by_both(folder: Path, url: str) -> tuple[str, str]:
    """What the doctor fails for first, and what a worker says that cannot start."""
    terminal = Terminal(folder / "data")
    doctor = terminal("doctor", "--no-probe", "--output", "json", HOLDGATE_DATABASE_URL=url)
    worker = terminal("worker", "relay", HOLDGATE_DATABASE_URL=url)
    assert doctor.code == worker.code
    failed = next(check for check in doctor.json["checks"] if check["status"] == "fail")
    return f"{failed['detail']}; {failed['mend']}", worker.err


@pytest.mark.parametrize("case", ["no database", "closed port", "unknown login", "no rights", "too many clients"])
def test_the_doctor_and_a_role_that_cannot_start_say_the_same(
    url: str, login: tuple[str, str], tmp_path: Path, case: str
) -> None:
    _, mine = login
    cases = {
        "no database": changed(url, path="/there_is_none"),
        "closed port": changed(url, port=1),
        "unknown login": changed(url, login=f"there_is_none:{SECRET}"),
    }
    with ExitStack() as holding:
        if case == "too many clients":
            holding.enter_context(psycopg.connect(mine))
        doctor, worker = said_by_both(tmp_path, cases.get(case, mine))
    assert " ".join(doctor.split()) in " ".join(worker.split())
    assert SECRET not in doctor + worker


def test_of_a_url_that_cannot_be_read_both_name_the_variable(tmp_path: Path) -> None:
    doctor, worker = said_by_both(tmp_path, f"postgresql://u:{SECRET}/x@db:5432/y")
    assert "HOLDGATE_DATABASE_URL" in doctor
    assert "HOLDGATE_DATABASE_URL" in worker
    assert SECRET not in doctor + worker
