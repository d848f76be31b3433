"""The publisher of a gate: answers to direct reply-to addresses go apart from everything else."""

from __future__ import annotations

from collections.abc import Sequence

from holdgate_workers.app.installation import Installation
from holdgate_workers.app.ports import Outgoing, Receipt

from .direct_replies import PREFIX, BothReceipts, DirectReplies
from .publisher import RabbitPublisher


class AnsweringPublisher:
    """`app.ports.Publisher` on RabbitMQ, with `DirectReplies` beside it.

    The receipt of a group counts the answers to direct reply-to addresses only if their address is trusted and their
    connection is up: nothing waits for an address that may be forged. What it does not count may be lost.
    """

    def __init__(self, url: str, *, name: str, installation: Installation | None = None) -> None:
        self._shared = RabbitPublisher(url, name=name, installation=installation)
        self._direct = DirectReplies(url, name=name, installation=installation)

    def publish(self, messages: Sequence[Outgoing]) -> Receipt:
        """Send a group. Returns at once."""
        direct = [message for message in messages if _is_direct(message)]
        if not direct:
            return self._shared.publish(messages)
        others = self._shared.publish([message for message in messages if not _is_direct(message)])
        answers = self._direct.publish(direct)
        return others if answers is None or self._direct.blocked else BothReceipts(others, answers)

    @property
    def unconfirmed(self) -> int:
        """How many messages wait for their confirm, without those to direct reply-to."""
        return self._shared.unconfirmed

    @property
    def blocked(self) -> bool:
        """Whether the broker has blocked the connection or it is down; not that of direct reply-to."""
        return self._shared.blocked

    def close(self, timeout_seconds: float) -> None:
        """Wait for open confirms up to the time given, then stop. Idempotent."""
        self._shared.close(timeout_seconds)
        self._direct.close(timeout_seconds)


def _is_direct(message: Outgoing) -> bool:
    return message.routing_key.startswith(PREFIX) and not message.exchange


__all__ = ["AnsweringPublisher"]
