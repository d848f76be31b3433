"""Each role with exactly the rights that the contract names on the broker, and with rows only in the database."""

from __future__ import annotations

import json
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from tests.support.cli import COMMAND, environment
from tests.support.postgres import admin_url as database_admin
from tests.support.postgres import migrated_database
from tests.support.rabbit import eventually, fresh_vhost, rabbitmqctl, vhost_of
from tests.support.requests import place_of, put
from tests.support.site import CLIENT_SECONDS, PARTITIONS, TestSite, open_client, open_link

from holdgate_producer import Held
from holdgate_schema.contract.installation import roles

pytestmark = pytest.mark.slow

ROWS_ONLY = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}"


def with_login(url: str, name: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}"))


@contextmanager
def logins(url: str) -> Iterator[dict[str, str]]:
    """A broker login for each row of the contract's table."""
    given = {role.name: f"holdgate-test-{secrets.token_hex(4)}" for role in roles("shop")}
    password = secrets.token_hex(8)
    wanted = {
        "users": [{"name": name, "password": password, "tags": ""} for name in given.values()],
        "permissions": [
            {
                "user": given[role.name],
                "vhost": vhost_of(url),
                "configure": role.configure,
                "write": role.write,
                "read": role.read,
            }
            for role in roles("shop")
        ],
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(json.dumps(wanted))
        file.flush()
        Path(file.name).chmod(0o644)  # the tool may run under the broker's own account
        rabbitmqctl("import_definitions", file.name)
    try:
        yield {role: with_login(url, name, password) for role, name in given.items()}
    finally:
        for name in given.values():
            rabbitmqctl("delete_user", name)


@contextmanager
def rows_only(url: str) -> Iterator[str]:
    """A database login that may read and change rows, and nothing else."""
    name = f"holdgate_test_{secrets.token_hex(4)}"
    with psycopg.connect(database_admin(), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
        try:
            with psycopg.connect(url, autocommit=True) as owner:
                owner.execute(ROWS_ONLY.format(name))
                yield with_login(url, name, "secret")
                owner.execute(f"DROP OWNED BY {name}")
        finally:
            admin.execute(f"DROP ROLE {name}")


def test_every_role_does_its_work_with_exactly_the_rights_of_the_contract(tmp_path: Path) -> None:
    with ExitStack() as opened:
        owner = opened.enter_context(migrated_database())
        urls = opened.enter_context(logins(opened.enter_context(fresh_vhost())))
        rows = opened.enter_context(rows_only(owner))
        house = TestSite(owner, urls["operator"], tmp_path)  # which migrates, as the operator
        opened.callback(house.close)
        for role in ("gate", "expiry", "relay", "feeder", "pricing", "orders"):
            house.start(role, name=role, **variables(rows, urls[f"worker {role}"]))
        notify = opened.enter_context(notifications(rows, urls["worker notifications"], tmp_path))
        assert notify == {"ready": True, "problems": {}}

        client = open_client(open_link(owner, urls["producer"], "shop"), "shop", CLIENT_SECONDS)
        opened.callback(client.close)
        put(client, "occ-1", 2)
        answer = client.call(place_of("occ-1"))
        assert isinstance(answer, Held)
        for cursor in ("events", "tasks"):
            eventually(lambda cursor=cursor: house.unread(cursor) == 0, f"{cursor} are read to the end")

        gate = next(worker for worker in house.workers if worker.name == "gate")
        gate.terminate()
        house.rows("UPDATE holds SET expires_at = clock_timestamp() - interval '1 s'")
        house.start("gate", name="gate-2", **variables(rows, urls["worker gate"]))
        eventually(lambda: house.value("SELECT state FROM holds") == "expired", "the hold was swept")


def variables(database_url: str, amqp_url: str) -> dict[str, str]:
    return {"HOLDGATE_DATABASE_URL": database_url, "HOLDGATE_AMQP_URL": amqp_url}


@contextmanager
def notifications(database_url: str, amqp_url: str, folder: Path) -> Iterator[dict[str, object]]:
    """What the real command says of itself once it is ready."""
    words = [COMMAND, "worker", "notifications", "--output", "json"]
    given = environment(folder / "data", HOLDGATE_PARTITIONS=str(PARTITIONS), **variables(database_url, amqp_url))
    with subprocess.Popen(words, env=given, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        text = ""
        for line in process.stdout:
            text += line
            if line.rstrip() == "}":
                break
        said = json.loads(text)
        yield {name: said[name] for name in ("ready", "problems")}
        process.terminate()
