"""Reply addresses that were forged hurt nobody but their sender."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from tests.support.forged_replies import Honest, forged, hostile, true_address
from tests.support.rabbit import vhost_of
from tests.support.requests import put
from tests.support.site import TestSite, kinds, open_test_site

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif("rabbit" not in kinds(), reason="the broker is left out of this run"),
]

OCCURRENCE = "forged"
QUESTIONS = 100


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestSite]:
    with open_test_site("rabbit", tmp_path_factory.mktemp("forged")) as site:
        site.start("gate")
        put(site.client(), OCCURRENCE, 100_000)
        yield site


def publishing_connections(site: TestSite) -> set[str]:
    """Those that a gate answers reply queues on, by the broker's name for them."""
    assert site.amqp_url is not None
    listed = site.rabbitmqctl("list_connections", "pid", "vhost", "client_properties")
    wanted = (vhost_of(site.amqp_url), ".gate.publish")
    return {line.split("\t")[0] for line in listed.splitlines() if all(word in line for word in wanted)}


def test_forged_direct_reply_addresses_hurt_nobody_else(site: TestSite) -> None:
    """Neither those who use direct reply-to themselves nor those with a queue: each answer comes, and none is sent
    for twice."""
    assert site.amqp_url is not None
    addresses = forged(true_address(site.amqp_url))
    clients = [Honest(site.amqp_url, OCCURRENCE, direct=direct) for direct in (True, False)]
    before = publishing_connections(site)
    outcomes: list[str] = []

    def ask(client: Honest) -> None:
        outcomes.extend(client.ask()["outcome"] for _ in range(QUESTIONS))

    with hostile(site.amqp_url, OCCURRENCE, addresses, per_second=50) as sent:
        threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        while len(sent) < len(addresses):  # each of them was tried while somebody waits for answers
            outcomes.append(clients[0].ask()["outcome"])
            outcomes.append(clients[1].ask()["outcome"])
    assert len(outcomes) >= 2 * QUESTIONS
    assert set(outcomes) == {"held"}
    assert publishing_connections(site) == before
    for client in clients:
        client.close()
