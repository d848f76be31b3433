"""The queues of wake-ups: durable, on whatever kind of virtual host, and such as dramatiq would make them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import unquote, urlsplit, urlunsplit

import pytest
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from pika.exceptions import ChannelClosedByBroker
from tests.support.rabbit import admin_url, channel, fresh_vhost, rabbitmqctl, vhost_of
from tests.support.tasks import ROLE, DeskLog, working

from holdgate_schema.topology import tasks_queue
from holdgate_workers.adapters.dramatiq.rabbit import RabbitWakeups
from holdgate_workers.adapters.rabbit.topology import declare
from holdgate_workers.app.installation import Installation
from holdgate_workers.app.ports import TransportError
from holdgate_workers.app.tasks.tasks import TASK_ROLES, Wakeup

pytestmark = pytest.mark.services


@pytest.fixture(scope="module", params=["classic", "quorum"])
def kind_and_url(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A virtual host whose queues are of this type unless somebody says otherwise."""
    name = f"holdgate-test-{secrets.token_hex(6)}"
    parts = urlsplit(admin_url())
    rabbitmqctl("add_vhost", name, "--default-queue-type", request.param)
    try:
        rabbitmqctl("set_permissions", "-p", name, unquote(parts.username or "guest"), ".*", ".*", ".*")
        url = urlunsplit(parts._replace(path=f"/{name}"))
        declare(url, 1)
        yield request.param, url
    finally:
        rabbitmqctl("delete_vhost", name)


def test_the_queues_are_durable_and_of_the_default_type(kind_and_url: tuple[str, str]) -> None:
    kind, url = kind_and_url
    with closing(RabbitWakeups(url)) as line:
        line.wake([Wakeup(ROLE, 1)])
        with working(line, log := DeskLog()):
            log.wait_for(1)
    said = rabbitmqctl("list_queues", "-p", vhost_of(url), "name", "durable", "type", "--no-table-headers")
    assert sorted(line.split("\t") for line in said.splitlines() if ".tasks." in line) == sorted(
        [f"holdgate.tasks.{role}{ending}", "true", kind] for role in TASK_ROLES for ending in ("", ".DQ", ".XQ")
    )


def test_what_is_no_wakeup_is_put_aside_and_the_next_one_comes(kind_and_url: tuple[str, str]) -> None:
    _, url = kind_and_url
    log = DeskLog()
    with closing(RabbitWakeups(url)) as line, working(line, log):
        line.wake([Wakeup(ROLE, 1)])
        log.wait_for(1)
        with channel(url) as raw:
            raw.basic_publish("", "holdgate.tasks.pricing", b"nonsense")
        line.wake([Wakeup(ROLE, 2)])
        assert log.wait_for(2) == [1, 2]


def test_wakeups_keep_no_connection_that_nobody_serves(kind_and_url: tuple[str, str]) -> None:
    """The server would miss its heartbeats, cut it and complain, for each worker once a minute."""
    _, url = kind_and_url
    with closing(RabbitWakeups(url)) as line, working(line, log := DeskLog()):
        line.wake([Wakeup(ROLE, 1)])
        log.wait_for(1)
        said = rabbitmqctl("list_connections", "vhost", "client_properties", "--no-table-headers")
    mine = [text for text in said.splitlines() if text.startswith(vhost_of(url))]
    assert len(mine) == 3  # the sender, and the consumers of the queue and of the one for delays


def test_a_broker_that_is_not_there_is_a_transport_error() -> None:
    with closing(RabbitWakeups("amqp://127.0.0.1:1/none")) as line:
        with pytest.raises(TransportError, match="wake-ups cannot be sent"):
            line.wake([Wakeup(ROLE, 1)])
        with pytest.raises(TransportError, match="wake-ups cannot be sent"):
            line.waiting(ROLE)


def test_they_are_as_dramatiq_itself_declares_them(kind_and_url: tuple[str, str]) -> None:
    """Its workers may be started with a later version of it: then a difference would show here, and not at night."""
    _, url = kind_and_url
    plain = RabbitmqBroker(url=url)
    try:
        for role in TASK_ROLES:
            plain.declare_queue(tasks_queue(role), ensure=True)
    finally:
        plain.close()


def test_a_worker_waits_for_queues_that_are_not_there_and_makes_none() -> None:
    with fresh_vhost() as url, closing(RabbitWakeups(url)) as line:
        with pytest.raises(TransportError, match="NOT_FOUND"):
            line.waiting(ROLE)
        with channel(url) as raw, pytest.raises(ChannelClosedByBroker):
            raw.queue_declare(tasks_queue(ROLE), passive=True)


def test_wakeups_go_only_where_the_virtual_host_is_ours() -> None:
    ours = Installation("0b5e1a50-1111-4b5e-8b5e-0b5e1a500001", "here")
    theirs = Installation("0b5e1a50-2222-4b5e-8b5e-0b5e1a500002", "there")
    with fresh_vhost() as url, closing(RabbitWakeups(url, ours)) as line:
        declare(url, 1, theirs)
        for ask in (lambda: line.waiting(ROLE), lambda: line.wake([Wakeup(ROLE, 1)])):
            with pytest.raises(TransportError, match=f"NOT_FOUND.*{ours.id}"):
                ask()
        log = DeskLog()
        with working(line, log) as worker, closing(RabbitWakeups(url, theirs)) as owner:
            owner.wake([Wakeup(ROLE, 2)])
            assert worker.problem() is not None
            assert owner.waiting(ROLE) == 1
            assert log.ids == []
