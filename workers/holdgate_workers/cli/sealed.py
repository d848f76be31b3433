"""Sending one of the commands that only the house's own may send, and waiting for its answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from . import exits
from .failures import Failure

if TYPE_CHECKING:
    from holdgate_schema.answers.holds import Answer
    from holdgate_schema.commands.holds import Command
    from holdgate_workers.app.seals import Seals
    from holdgate_workers.wiring.site import Site

    from .access import Access

LOOK_SECONDS = 0.05
IN_FLIGHT = 50
"""So many commands are on their way at once."""


def ask_sealed(access: Access, command: Command, timeout_seconds: float) -> Answer:
    """The recorded answer to a sealed command: whoever has the house's secret may send it.

    Raises `DatabaseUnavailable`, `DatabaseError`, `TransportError` and `Failure`.
    """
    import msgspec

    from holdgate_schema.codec import decode_answer
    from holdgate_workers.adapters.postgres.reports.history import History
    from holdgate_workers.wiring.carts import house_seals
    from holdgate_workers.wiring.site import open_site

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


def ask_sealed_all(
    access: Access, commands: Sequence[Command], timeout_seconds: float
) -> Iterator[tuple[Command, Answer]]:
    """The answers to many sealed commands, `IN_FLIGHT` at a time, in the order of the commands. Whoever stops in
    between has asked for no more than that many of which the answers were not read. Raises as `ask_sealed`."""
    import msgspec

    from holdgate_schema.codec import decode_answer
    from holdgate_workers.adapters.postgres.reports.history import History
    from holdgate_workers.app.seals import internal_message
    from holdgate_workers.wiring.carts import house_seals
    from holdgate_workers.wiring.site import open_site

    site = open_site(access.config(), access.database_url(), migrate=False)
    seals, pause = house_seals(site), threading.Event()
    publisher = site.transport.publisher(name="cli")
    try:
        with access.opened(History) as history:
            for first in range(0, len(commands), IN_FLIGHT):
                some = commands[first : first + IN_FLIGHT]
                messages = [internal_message(command, seals) for command in some]
                problems = publisher.publish(messages).wait(timeout_seconds)
                if problems:
                    said = f"{problems[0].kind} {problems[0].detail}".rstrip()
                    raise Failure(f"it could not be sent: {said}; safe to repeat", exits.NOT_RUNNING)
                deadline = time.monotonic() + timeout_seconds
                wanted = [command.request_id for command in some]
                while len(entries := history.of_requests(wanted)) < len(wanted):
                    if time.monotonic() >= deadline:
                        said = "no answer in time; safe to repeat; is a gate worker running?"
                        raise Failure(said, exits.TIMED_OUT)
                    pause.wait(LOOK_SECONDS)
                replies = {entry.request_id: entry.reply for entry in entries}
                for command in some:
                    yield command, decode_answer(msgspec.json.encode(replies[command.request_id]))
    finally:
        publisher.close(1.0)


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
