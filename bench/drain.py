"""How fast a backlog is worked off: published beforehand, then measured from the first to the last answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from holdgate_schema.answers.holds import Held
from holdgate_schema.codec import decode_answer

from .amqp import Received
from .load import Replies, publish_messages
from .processes import Child, cpu_seconds, per_request

QUIET_SECONDS = 30.0


@dataclass(frozen=True)
class Drained:
    """What came of a backlog."""

    per_second: float
    cpu_us: dict[str, float]
    """Processor time per request by process group, in µs; empty where there is no /proc."""
    received: list[Received] = field(repr=False)

    @cached_property
    def outcomes(self) -> Counter[str]:
        """Answers by type. Raises `AssertionError` if a request was answered twice."""
        assert len(self.by_request) == len(self.received), "answered twice"
        return Counter(str(received.properties.type) for received in self.received)

    @cached_property
    def by_request(self) -> dict[str, set[bytes]]:
        """The different answers to each request: there must be but one."""
        answers: dict[str, set[bytes]] = {}
        for received in self.received:
            answers.setdefault(received.properties.correlation_id, set()).add(received.body)
        return answers

    @cached_property
    def seats(self) -> int:
        """How many seats the answers grant."""
        answers = (decode_answer(body) for bodies in self.by_request.values() for body in bodies)
        return sum(answer.hold.seats for answer in answers if isinstance(answer, Held))


def drain(amqp_url: str, messages: Sequence[bytes], consumers: Sequence[Child]) -> Drained:
    """Publish the messages, let the consumers begin, and wait for every answer.

    Raises `TimeoutError` if some stay away.
    """
    replies = Replies(amqp_url)
    try:
        publish_messages(amqp_url, messages)
        for consumer in consumers:
            consumer.go()
        replies.wait_for(1, QUIET_SECONDS)
        seen, before = len(replies.received), cpu_seconds()
        replies.wait_for(len(messages), QUIET_SECONDS)
        # On a machine that stood still, all of them may have come before anybody looked.
        left = len(messages) - seen
        cpu = per_request(before, cpu_seconds(), left) if left else {}
    finally:
        replies.close()
    first, last = replies.received[0].at, replies.received[-1].at
    return Drained((len(messages) - 1) / (last - first), cpu, replies.received)
