"""The wire as the client needs it. AMQP, the embedded mode and the test double are three implementations.

The client keeps every request until it is answered or out of time; a link only moves bytes and tells what
happened to them. So a link never stores anything for longer than one connection lives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True)
class Request:
    """One command on its way: already validated, encoded once, the same bytes on every attempt.

    `request_id` is the AMQP `message_id` and the `correlation_id` under which the answer comes back;
    `type` is the command's type such as `hold.place.v1`, and `answers` how many answers there will be.
    """

    request_id: str
    occurrence_id: str
    type: str
    body: bytes
    traceparent: str | None = None
    answers: int = 1


class LinkEvents(Protocol):
    """What a link tells the client.

    Called one at a time on a thread of the link, never from inside `open`, `send` or `close` of the thread that
    called those, and with no lock of the link held. The calls are quick and do not raise.
    """

    def up(self, reply_address: str) -> None:
        """Requests can be sent, and answers to `reply_address` will be seen.

        Before this returns, the client gives the link every unanswered request again, in the original order.
        """

    def down(self, detail: str) -> None:
        """The connection is gone or could not be made, and `detail` says why. May be told repeatedly.

        Everything given and not reported is lost; when this returns, the link forgets what it still had.
        The client sends nothing until the next `up`.
        """

    def blocked(self, reason: str) -> None:
        """The far side takes no requests for now (memory or disk alarm); answers may still come."""

    def unblocked(self) -> None:
        """The far side takes requests again."""

    def confirmed(self, request_id: str) -> None:
        """The request is safe with the far side. The answer may come before this."""

    def unroutable(self, request_id: str, detail: str) -> None:
        """No queue takes requests for this occurrence: the request went nowhere."""

    def nacked(self, request_id: str, detail: str) -> None:
        """The far side refused to take the request, for example because its queue is full."""

    def answered(self, correlation_id: str, body: bytes, type_: str | None) -> None:
        """An answer arrived, perhaps not the only one. Unknown ids (late, or for somebody before us) are welcome; they
        are counted."""


class Link(Protocol):
    """A connection that keeps itself alive, between `open` and `close`."""

    def open(self, events: LinkEvents) -> None:
        """Begin to connect, in the background; returns at once. Called once."""

    def send(self, requests: Sequence[Request]) -> None:
        """Send in this order. From any thread; returns at once and does not raise.

        The caller makes sure that two calls do not overlap and that nothing is sent while the link is down.
        While it is blocked, the link keeps what it is given and sends it afterwards.
        """

    def close(self) -> None:
        """Hang up and stop the threads. Waits; no event is told after it returns. Idempotent.

        Must not be called from within an event.
        """
