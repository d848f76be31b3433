"""What a client writes down: everything that goes over its wire, in the words of tests/checker/README.md."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from time import monotonic_ns, time_ns
from typing import Any

from holdgate_producer.client.client import BookingClient
from holdgate_producer.client.config import ClientConfig
from holdgate_producer.core.link import Link, LinkEvents, Request

END = '{"end":true}\n'


def is_asked_once(request_id: str) -> bool:
    """Every second request is not sent again once the broker has accepted it, whatever becomes of its answer.

    A client that asks until it is answered would never notice that a worker had lost its request.
    """
    return int(request_id[-1], 16) % 2 == 0


class NotingLink:
    """A `Link` that writes down what goes over it, before it does."""

    def __init__(self, link: Link, file: TextIOWrapper) -> None:
        self._link, self._file = link, file
        self._done: set[str] = set()
        """Accepted by the broker and not to be sent again."""
        self._writing = threading.Lock()
        self._connects = 0
        self._unconfirmed: set[str] = set()
        self._events: LinkEvents

    def note(self, **what: Any) -> None:
        """One line, with the time on both clocks."""
        what |= {"t": monotonic_ns(), "w": time_ns() // 1000}
        line = json.dumps(what, ensure_ascii=False, separators=(",", ":")) + "\n"
        with self._writing:  # requests and answers are noted on two threads
            self._file.write(line)

    # --- the link -----------------------------------------------------------------------------------------------

    def open(self, events: LinkEvents) -> None:
        self._events = events
        self._link.open(self)

    def send(self, requests: Sequence[Request]) -> None:
        requests = [request for request in requests if request.request_id not in self._done]
        for request in requests:
            # Who asks only once cannot count on the answer: it is best-effort, the outcome is not.
            mute = {"mute": True} if is_asked_once(request.request_id) else {}
            self.note(sent=request.body.decode(), id=request.request_id, ch=self._connects, **mute)
            self._unconfirmed.add(request.request_id)
        self._link.send(requests)

    def is_done(self, request_id: str) -> bool:
        """Whether it would not be sent again."""
        return request_id in self._done

    def close(self) -> None:
        self._link.close()

    # --- its events ---------------------------------------------------------------------------------------------

    def up(self, reply_address: str) -> None:
        self._connects += 1
        self.note(connected=self._connects)
        self._events.up(reply_address)

    def down(self, detail: str) -> None:
        self.note(down=detail)
        while self._unconfirmed:  # others send meanwhile
            self.note(lost=self._unconfirmed.pop())
        self._events.down(detail)

    def blocked(self, reason: str) -> None:
        self.note(blocked=reason)
        self._events.blocked(reason)

    def unblocked(self) -> None:
        self.note(unblocked=True)
        self._events.unblocked()

    def confirmed(self, request_id: str) -> None:
        self._unconfirmed.discard(request_id)
        if is_asked_once(request_id):
            self._done.add(request_id)
        self.note(confirmed=request_id)
        self._events.confirmed(request_id)

    def unroutable(self, request_id: str, detail: str) -> None:
        self._unconfirmed.discard(request_id)
        self.note(returned=request_id)
        self._events.unroutable(request_id, detail)

    def nacked(self, request_id: str, detail: str) -> None:
        self._unconfirmed.discard(request_id)
        self.note(nacked=request_id)
        self._events.nacked(request_id, detail)

    def answered(self, correlation_id: str, body: bytes, type_: str | None) -> None:
        self.note(got=body.decode(), **{"for": correlation_id})
        self._events.answered(correlation_id, body, type_)


class NotingClient:
    """The product's own client, with notes in a file."""

    def __init__(
        self, amqp_url: str, name: str, path: Path, *, in_flight_max: int, attempt_seconds: float
    ) -> None:
        # Imported late: the link is the one thing here that needs a driver.
        from holdgate_producer.amqp.link import AmqpLink

        self._file = path.open("w", encoding="utf-8", newline="\n")
        config = ClientConfig(
            url=amqp_url,
            app_id=name,
            timeout_seconds=attempt_seconds,
            in_flight_max=in_flight_max,
            reconnect_min_seconds=0.05,
            reconnect_max_seconds=1,
        )
        self.link = NotingLink(AmqpLink(config), self._file)
        self.client = BookingClient(config, link=self.link)

    def close(self, gave_up: Sequence[str] = ()) -> None:
        """Hang up and end the notes."""
        self.client.close()
        self.link.note(gave_up=list(gave_up))
        self._file.write(END)
        self._file.close()
