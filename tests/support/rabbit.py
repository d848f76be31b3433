"""A virtual host of one's own on the RabbitMQ that the tests were given, and the things tests do to a broker."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import pika
import pytest
from tests.support.handshakes import RefusedError, UnreachableError, check
from tests.support.servers import SERVICES, as_root
from tests.support.vhosts import vhosts

AMQP_PORT = 5672
PATIENCE_SECONDS = 60.0

_SERVICE = next(service for service in SERVICES if service.name == "rabbitmq")


@cache
def admin_url() -> str:
    """HOLDGATE_TEST_AMQP_URL, or the usual development login that works.

    Raises RuntimeError, with what was tried, if there is none.
    """
    given = os.environ.get(_SERVICE.variable)
    said: list[str] = []
    for url in [given] if given else _SERVICE.candidates():
        try:
            check(url)
        except (UnreachableError, RefusedError) as exc:
            said.append(str(exc))
        else:
            return url
    raise RuntimeError(f"no RabbitMQ for the tests (set {_SERVICE.variable}): {'; '.join(dict.fromkeys(said))}")


RABBITMQCTL_VARIABLE = "HOLDGATE_TEST_RABBITMQCTL"
"""The command that `rabbitmqctl` is for the broker of the tests, as a shell would read it, if it is another one than
this machine's own."""


def rabbitmqctl(*words: str) -> str:
    """Run the broker's own tool; raises CalledProcessError."""
    given = os.environ.get(RABBITMQCTL_VARIABLE)
    tool = shlex.split(given) if given else [*(as_root() or []), "rabbitmqctl"]
    command = [*tool, "--quiet", *words]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


@contextmanager
def fresh_vhost() -> Iterator[str]:
    """The URL of a new, empty virtual host; some time later it is deleted, whoever is still connected to it."""
    parts = urlsplit(admin_url())
    stock = vhosts(rabbitmqctl, admin_url())
    name = stock.take()
    try:
        yield urlunsplit(parts._replace(path=f"/{name}"))
    finally:
        stock.give_back(name)


@pytest.fixture(scope="session")
def vhost_url() -> Iterator[str]:
    """A virtual host for the whole session."""
    with fresh_vhost() as url:
        yield url


def vhost_of(url: str) -> str:
    return unquote(urlsplit(url).path[1:]) or "/"


@contextmanager
def channel(url: str) -> Iterator[Any]:
    """A plain blocking channel, for doing things to the broker behind our own code's back."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


def eventually(condition: Callable[[], object], what: str = "", timeout: float = PATIENCE_SECONDS) -> Any:
    """Ask again and again until it is true, and give that value; fails the test after the timeout."""
    pause = threading.Event()
    deadline = monotonic() + timeout
    while not (value := condition()):
        assert monotonic() < deadline, f"it did not happen within {timeout} s: {what or condition}"
        pause.wait(0.01)
    return value
