"""What became of published messages: one receipt per group, one entry per message that waits for its confirm."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from holdgate_workers.app.ports import Outgoing, PublishProblem

_OPEN = 0
_SETTLED = 1


class GroupReceipt:
    """`app.ports.Receipt`: a countdown over one group. Settled on the I/O thread, waited for on any."""

    __slots__ = ("_callback", "_left", "_marks", "_over", "_problems", "messages")

    def __init__(self, messages: Sequence[Outgoing]) -> None:
        self.messages = messages
        self._left = len(messages)
        self._marks = bytearray(self._left)
        self._problems: list[PublishProblem] = []
        self._over = threading.Event()
        self._callback: Callable[[], None] | None = None
        if not messages:
            self._over.set()

    @property
    def is_settled(self) -> bool:
        """Whether each message was confirmed or failed."""
        return self._over.is_set()

    def on_settled(self, callback: Callable[[], None]) -> None:
        """Call back once that is so."""
        self._callback = callback
        if self._over.is_set():
            callback()

    def wait(self, timeout_seconds: float) -> Sequence[PublishProblem]:
        """Wait until each message was confirmed or failed. Those still open at the end count as `lost`."""
        if self._over.wait(timeout_seconds):
            return self._problems
        late = [
            PublishProblem(message, "lost", f"no confirm within {timeout_seconds:g} s")
            for message, mark in zip(self.messages, bytes(self._marks), strict=True)
            if mark == _OPEN
        ]
        return [*self._problems, *late]

    def settle(self, index: int) -> None:
        """The message got through."""
        if self._marks[index] == _OPEN:
            self._marks[index] = _SETTLED
            self._left -= 1
            if not self._left:
                self._over.set()
                if self._callback is not None:
                    self._callback()

    def fail(self, index: int, kind: str, detail: str) -> None:
        """The message did not, or nobody knows."""
        if self._marks[index] == _OPEN:
            self._problems.append(PublishProblem(self.messages[index], kind, detail))
            self.settle(index)


class Ledger:
    """The messages written on one channel, by delivery tag, until the broker's word on each. Not thread-safe.

    A returned message is recognised by what it says. The broker returns in the order of publishing, and before
    it confirms, so the one meant is the first mandatory message after the previous return that has the same
    exchange, routing key, message id and body. Two that agree in all that are the same message to everyone.
    """

    def __init__(self, on_settled: Callable[[int], None]) -> None:
        self._on_settled = on_settled
        self._open: dict[int, tuple[GroupReceipt, int]] = {}
        self._mandatory: deque[int] = deque()
        self._returned: dict[int, str] = {}
        self._next = 1
        self._lowest = 1

    def written(self, receipt: GroupReceipt, index: int, *, mandatory: bool) -> None:
        """The next message of the channel was written."""
        tag = self._next
        self._next = tag + 1
        self._open[tag] = (receipt, index)
        if mandatory:
            self._mandatory.append(tag)

    def returned(self, exchange: str, routing_key: str, message_id: str | None, body: bytes, detail: str) -> None:
        """The broker gave a mandatory message back. Its confirm is still to come."""
        while self._mandatory:
            tag = self._mandatory.popleft()
            entry = self._open.get(tag)
            if entry is None:
                continue
            message = entry[0].messages[entry[1]]
            if (
                message.routing_key == routing_key
                and message.exchange == exchange
                and message.body == body
                and message.properties.message_id == message_id
            ):
                self._returned[tag] = detail
                return

    def confirmed(self, tag: int, *, multiple: bool, nacked: bool) -> None:
        """The broker's word on one message, or on all up to and including this one."""
        settled = 0
        for each in range(self._lowest, tag + 1) if multiple else (tag,):
            entry = self._open.pop(each, None)
            if entry is None:
                continue
            settled += 1
            receipt, index = entry
            if nacked:
                receipt.fail(index, "nacked", "the broker refused it; perhaps a queue is full")
            elif self._returned and each in self._returned:
                receipt.fail(index, "unroutable", self._returned.pop(each))
            else:
                receipt.settle(index)
        if multiple and tag >= self._lowest:
            self._lowest = tag + 1
        while self._mandatory and self._mandatory[0] not in self._open:
            self._mandatory.popleft()
        if settled:
            self._on_settled(settled)

    def lost(self, detail: str) -> None:
        """The channel is gone: the outcome of all that are open is unknown. Tags begin anew."""
        entries = list(self._open.values())
        self._open.clear()
        self._mandatory.clear()
        self._returned.clear()
        self._next = self._lowest = 1
        for receipt, index in entries:
            receipt.fail(index, "lost", detail)
        if entries:
            self._on_settled(len(entries))
