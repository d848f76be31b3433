"""Sending one of the commands that only the house's own may send, and waiting for its answer."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from . import exits
from .failures import Failure

if TYPE_CHECKING:
    from holdgate_schema.messages import Command
    from holdgate_schema.outcomes import Answer
    from holdgate_workers.app.seals import Seals
    from holdgate_workers.bootstrap import Site

    from .site import Access

LOOK_SECONDS = 0.05


def ask_sealed(access: Access, command: Command, timeout_seconds: float) -> Answer:
    """The recorded answer to a sealed command: whoever has the house's secret may send it.

    Raises `DatabaseUnavailable`, `DatabaseError`, `TransportError` and `Failure`.
    """
    import msgspec

    from holdgate_schema.codec import decode_answer
    from holdgate_workers.adapters.postgres.history import History
    from holdgate_workers.bootstrap import open_site
    from holdgate_workers.bootstrap_carts import house_seals

    url = access.database_url()
    site = open_site(access.config(), url, migrate=False)
    _publish(site, command, house_seals(site), timeout_seconds)
    pause = threading.Event()
    deadline = time.monotonic() + timeout_seconds
    with access.opened(History) as history:
        while not (entries := history.of_requests([command.request_id])):
            if time.monotonic() >= deadline:
                raise _late(command)
            pause.wait(LOOK_SECONDS)
    return decode_answer(msgspec.json.encode(entries[0].reply))


def _publish(site: Site, command: Command, seals: Seals, timeout_seconds: float) -> None:
    from holdgate_workers.app.seals import internal_message

    publisher = site.transport.publisher(name="cli")
    try:
        problems = publisher.publish([internal_message(command, seals)]).wait(timeout_seconds)
    finally:
        publisher.close(1.0)
    if problems:
        raise Failure(f"it could not be sent: {problems[0].kind} {problems[0].detail}".rstrip(), exits.NOT_RUNNING)


def _late(command: Command) -> Failure:
    return Failure(
        f"no answer in time; safe to repeat with --request-id {command.request_id}; is a gate worker running?",
        exits.TIMED_OUT,
    )
