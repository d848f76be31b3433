"""Each role with exactly the rights that the contract names on the broker, and with rows only in the database."""

from __future__ import annotations

import json
import secrets
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from pika import BasicProperties, BlockingConnection, URLParameters
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker
from tests.support.cli import COMMAND, COMMAND_SECONDS, environment
from tests.support.postgres import admin_url as database_admin
from tests.support.postgres import migrated_database
from tests.support.rabbit import eventually, fresh_vhost, rabbitmqctl, vhost_of
from tests.support.requests import place_of, put
from tests.support.selling import convert_of, priced, sell
from tests.support.site import CLIENT_SECONDS, PARTITIONS, TestSite, open_client, open_link

from holdgate_producer import BookingClient, Held
from holdgate_schema.answers.holds import Refused
from holdgate_schema.answers.selling import Confirmed
from holdgate_schema.commands.selling import CartLeg
from holdgate_schema.contract.installation import roles
from holdgate_schema.routing import routing_key
from holdgate_schema.topology import EVENTS_EXCHANGE, REQUESTS_EXCHANGE
from holdgate_workers.ids import new_request_id

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


@dataclass(frozen=True)
class Least:
    """A house in which each process has the rights of its row and no others."""

    house: TestSite
    client: BookingClient
    owner: str
    rows: str
    """The login that may change rows only."""
    brokers: Mapping[str, str]
    mails: Path


@pytest.fixture(scope="module")
def least(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Least]:
    folder = tmp_path_factory.mktemp("least")
    with ExitStack() as opened:
        owner = opened.enter_context(migrated_database())
        urls = opened.enter_context(logins(opened.enter_context(fresh_vhost())))
        rows = opened.enter_context(rows_only(owner))
        house = TestSite(owner, urls["operator"], folder)  # which migrates, as the operator
        opened.callback(house.close)
        mails = folder / "mails"
        for role in ("gate", "expiry", "relay", "feeder", "pricing", "orders"):
            house.start(role, name=role, **variables(rows, urls[f"worker {role}"]), **mailing(mails))
        notify = opened.enter_context(notifications(rows, urls["worker notifications"], folder, mails))
        assert notify == {"ready": True, "problems": {}}
        client = open_client(open_link(owner, urls["producer"], "shop"), "shop", CLIENT_SECONDS)
        opened.callback(client.close)
        yield Least(house, client, owner, rows, urls, mails)


def test_holds_are_taken_told_and_swept(least: Least) -> None:
    house, client = least.house, least.client
    put(client, "occ-1", 2)
    answer = client.call(place_of("occ-1"))
    assert isinstance(answer, Held)
    for cursor in ("events", "tasks"):
        eventually(lambda cursor=cursor: house.unread(cursor) == 0, f"{cursor} are read to the end")
    gate = next(worker for worker in house.workers if worker.name == "gate")
    gate.terminate()
    house.rows("UPDATE holds SET expires_at = clock_timestamp() - interval '1 s'")
    house.start("gate", name="gate-2", **variables(least.rows, least.brokers["worker gate"]))
    eventually(lambda: house.value("SELECT state FROM holds") == "expired", "the hold was swept")


def test_a_hold_is_priced_ordered_and_told_to_its_buyer(least: Least) -> None:
    """By the roles pricing, orders and notifications."""
    sell(least.house, least.client, "sold")
    hold = priced(least.client, "sold")
    confirmed = least.client.follow(convert_of(hold)).final.result(CLIENT_SECONDS)
    assert isinstance(confirmed, Confirmed)
    eventually(lambda: any(least.mails.rglob("*.eml")), "a mail was written")
    legs = [CartLeg(occurrence_id=name, items={"adult": 1}) for name in ("sold", "occ-unknown")]
    cart = least.client.place_cart(legs)
    assert isinstance(cart.final.result(CLIENT_SECONDS), Refused), "nobody has put the second one"


def test_a_listener_reads_events_from_a_queue_of_its_own(least: Least) -> None:
    url = URLParameters(least.brokers["listener"])
    with closing(BlockingConnection(url)) as connection:
        channel = connection.channel()
        channel.queue_declare("shop.events", exclusive=True)
        channel.queue_bind("shop.events", EVENTS_EXCHANGE, "occurrence.#")
        put(least.client, "occ-heard", 2)
        got: list[bytes] = []
        eventually(lambda: _next_of(channel, "shop.events", got), "an event arrived")
        assert json.loads(got[0])["occurrence_id"] == "occ-heard"
        with pytest.raises(ChannelClosedByBroker, match="ACCESS_REFUSED"):
            connection.channel().queue_declare("holdgate.requests.00", passive=False)


def test_an_operator_looks_at_dead_letters_and_replays_them(least: Least) -> None:
    with closing(BlockingConnection(URLParameters(least.brokers["producer"]))) as connection:
        connection.channel().basic_publish(
            REQUESTS_EXCHANGE, routing_key("occ-1"), b"{", BasicProperties(message_id=new_request_id())
        )
    given = environment(
        least.mails.parent / "data",
        HOLDGATE_PARTITIONS=str(PARTITIONS),
        **variables(least.rows, least.brokers["operator"]),
    )

    def told(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *words], env=given, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )

    eventually(lambda: least.house.dead_letters(), "it is a dead letter")
    listed = told("dlq", "list", "--output", "json")
    assert listed.returncode == 0, listed.stderr
    assert len(json.loads(listed.stdout)["letters"]) == 1
    replayed = told("dlq", "replay", "--all", "--yes", "--output", "json")
    assert "rights" not in replayed.stderr + replayed.stdout, replayed
    for words in (("hold", "show", "00000000"), ("booking", "list"), ("stats",), ("task", "list"), ("history",)):
        assert "permission" not in told(*words).stderr, words


def _next_of(channel: BlockingChannel, queue: str, got: list[bytes]) -> bool:
    _, _, body = channel.basic_get(queue, auto_ack=True)
    if body is not None:
        got.append(body)
    return bool(got)


def mailing(mails: Path) -> dict[str, str]:
    """Mails are files. The feeder plans only what is on."""
    return {
        "HOLDGATE_MAIL_URL": f"file:{mails}",
        "HOLDGATE_MAIL_FROM": "tours@example.org",
        "HOLDGATE_MAIL_FROM_NAME": "Harbour tours",
    }


def variables(database_url: str, amqp_url: str) -> dict[str, str]:
    return {"HOLDGATE_DATABASE_URL": database_url, "HOLDGATE_AMQP_URL": amqp_url}


@contextmanager
def notifications(database_url: str, amqp_url: str, folder: Path, mails: Path) -> Iterator[dict[str, object]]:
    """What the real command says of itself once it is ready."""
    words = [COMMAND, "worker", "notifications", "--output", "json"]
    given = environment(
        folder / "data",
        HOLDGATE_PARTITIONS=str(PARTITIONS),
        **mailing(mails),
        **variables(database_url, amqp_url),
    )
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
