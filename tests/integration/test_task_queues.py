"""The queues that dramatiq declares for us: durable, on whatever kind of virtual host."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import unquote, urlsplit, urlunsplit

import pytest
from tests.support.rabbit import admin_url, channel, rabbitmqctl, vhost_of
from tests.support.tasks import ROLE, DeskLog, working

from holdgate_workers.adapters.dramatiq.rabbit import RabbitWakeups
from holdgate_workers.app.ports import TransportError
from holdgate_workers.app.tasks import Wakeup

pytestmark = pytest.mark.services


@pytest.fixture(scope="module", params=["classic", "quorum"])
def kind_and_url(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A virtual host whose queues are of this type unless somebody says otherwise."""
    name = f"holdgate-test-{secrets.token_hex(6)}"
    parts = urlsplit(admin_url())
    rabbitmqctl("add_vhost", name, "--default-queue-type", request.param)
    try:
        rabbitmqctl("set_permissions", "-p", name, unquote(parts.username or "guest"), ".*", ".*", ".*")
        yield request.param, urlunsplit(parts._replace(path=f"/{name}"))
    finally:
        rabbitmqctl("delete_vhost", name)


def test_the_queues_are_durable_and_of_the_default_type(kind_and_url: tuple[str, str]) -> None:
    kind, url = kind_and_url
    with closing(RabbitWakeups(url)) as line:
        line.wake([Wakeup(ROLE, 1)])
        with working(line, log := DeskLog()):
            log.wait_for(1)
    said = rabbitmqctl("list_queues", "-p", vhost_of(url), "name", "durable", "type", "--no-table-headers")
    assert sorted(line.split("\t") for line in said.splitlines()) == [
        [f"holdgate.tasks.pricing{ending}", "true", kind] for ending in ("", ".DQ", ".XQ")
    ]


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
