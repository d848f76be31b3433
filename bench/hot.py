"""One hot occurrence with a backlog: how fast it drains, beside the floor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from holdgate_schema.slots import partition_of, slot_of
from holdgate_schema.topology import partition_queue
from holdgate_workers.bootstrap import booking_client

from .load import Replies, a_place, an_occurrence, publish_backlog
from .place import Place, fresh_place

OCCURRENCE = "bench-hot"
TIMEOUT_SECONDS = 120.0


def ours(requests: int) -> float:
    """Decided and answered holds per second."""
    with fresh_place() as place, _process(place, "-m", "bench.gate") as start:
        prepare(place, requests * 2)
        return _drain(place, requests, start)


def floor(requests: int) -> float:
    """Replied and acknowledged messages per second."""
    with fresh_place() as place:
        queue = partition_queue(partition_of(slot_of(OCCURRENCE), place.site.partitions))
        with _process(place, "-m", "bench.floor", place.amqp_url, queue) as start:
            return _drain(place, requests, start)


def prepare(place: Place, capacity: int) -> None:
    """Create the occurrence with a short-lived worker."""
    with _process(place, "-m", "bench.gate") as start:
        start()
        with booking_client(place.site.config, place.database_url, app_id="bench", timeout_seconds=30) as client:
            client.call(an_occurrence(OCCURRENCE, capacity))


def _drain(place: Place, requests: int, start: object) -> float:
    """Publish the backlog, start the consumer, and measure from the first to the last reply."""
    replies = Replies(place.amqp_url)
    try:
        publish_backlog(place.amqp_url, [a_place(number, OCCURRENCE) for number in range(requests)])
        start()
        replies.wait_for(requests, TIMEOUT_SECONDS)
        return (requests - 1) / (replies.arrived[requests - 1] - replies.arrived[0])
    finally:
        replies.close()


@contextmanager
def _process(place: Place, *arguments: str) -> Iterator[object]:
    """A child process that begins when the yielded function is called and ends with the block."""
    children: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        environment = {
            **os.environ,
            "HOLDGATE_DATABASE_URL": place.database_url,
            "HOLDGATE_AMQP_URL": place.amqp_url,
        }
        children.append(subprocess.Popen([sys.executable, *arguments], env=environment))

    try:
        yield start
    finally:
        for child in children:
            child.send_signal(signal.SIGTERM)
            child.wait(20)


def verify(place: Place) -> None:
    """The rows say what the replies said."""
    with psycopg.connect(place.database_url) as connection:
        row = connection.execute("SELECT held FROM pools WHERE key = 'total'").fetchone()
        assert row is not None
