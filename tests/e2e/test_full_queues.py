"""Full dead letters stop nobody, and lose nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pika
import pytest
from tests.support.forged_replies import Honest
from tests.support.rabbit import channel, eventually, rabbitmqctl, vhost_of
from tests.support.requests import put
from tests.support.site import TestSite, kinds, open_test_site

from holdgate_schema.routing import routing_key
from holdgate_schema.topology import DEAD_QUEUE, REQUESTS_EXCHANGE

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif("rabbit" not in kinds(), reason="the broker is left out of this run"),
]

OCCURRENCE = "full"
JUNK = 30
RETRY_SETTING = "dead_letter_worker_publisher_confirm_timeout"
RETRY_MILLISECONDS = 2_000
"""How often RabbitMQ tries again to bring a letter to where there was no room for it: 3 minutes unless it is told
otherwise, and it asks for that when a queue is declared."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[TestSite]:
    before = rabbitmqctl("eval", f"{{ok, Value}} = application:get_env(rabbit, {RETRY_SETTING}), Value.").strip()
    rabbitmqctl("eval", f"application:set_env(rabbit, {RETRY_SETTING}, {RETRY_MILLISECONDS}).")
    try:
        with open_test_site("rabbit", tmp_path) as site:
            site.start("gate")
            put(site.client(), OCCURRENCE, 100_000)
            yield site
    finally:
        rabbitmqctl("eval", f"application:set_env(rabbit, {RETRY_SETTING}, {before}).")


def test_full_dead_letters_stop_nobody_and_lose_nothing(site: TestSite) -> None:
    """Messages that nobody can read keep coming; those that can be read are answered in between. What found no room is
    kept by its own queue, and is there once there is some."""
    assert site.amqp_url is not None
    vhost = vhost_of(site.amqp_url)
    short = ("set_policy", "-p", vhost, "--apply-to", "queues", "short", f"^{DEAD_QUEUE}$", '{"max-length": 3}')
    rabbitmqctl(*short)
    honest = Honest(site.amqp_url, OCCURRENCE, direct=False)
    with channel(site.amqp_url) as raw:
        for number in range(JUNK):
            properties = pika.BasicProperties(delivery_mode=2, message_id=f"junk-{number}")
            raw.basic_publish(REQUESTS_EXCHANGE, routing_key(OCCURRENCE), b"junk %d" % number, properties)
            assert honest.ask()["outcome"] == "held"
        hostile = pika.BasicProperties(delivery_mode=2, headers={"x-death": ["x"]})
        raw.basic_publish(REQUESTS_EXCHANGE, routing_key(OCCURRENCE), b"junk", hostile)
        assert honest.ask()["outcome"] == "held"
    honest.close()  # nobody would answer its heartbeats while the letters are waited for
    worker = site.workers[0]
    eventually(lambda: worker.logged("dead_letter_dropped"), "it could be kept nowhere, and that is said")
    kept = {letter.body for letter in site.dead_letters()}
    assert len(kept) < JUNK
    rabbitmqctl("clear_policy", "-p", vhost, "short")
    sent = {b"junk %d" % number for number in range(JUNK)}
    eventually(lambda: {letter.body for letter in site.dead_letters()} >= sent, "every one of them is there")
