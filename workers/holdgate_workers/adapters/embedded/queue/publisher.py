"""The publishing side of the embedded queue: one thread, one connection, one transaction for all that waits."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count, islice

from holdgate_workers.app.installation import Installation
from holdgate_workers.app.ports import Outgoing, PublishProblem, TransportError

from .routes import Posting, Routes
from .session import Session, SessionThread, broken

WAITING_MAX = 50_000
"""How many messages are kept at most; what is given beyond that is refused as `lost`."""
TRANSACTION_MAX = 1_000
"""About how many messages go into one transaction, when many groups wait."""

_IDLE_SECONDS = 60.0


class EmbeddedReceipt:
    """What became of one group."""

    def __init__(self, messages: Sequence[Outgoing]) -> None:
        self.messages = tuple(messages)
        self._problems: list[PublishProblem] = []
        self._settled = threading.Event()
        self._callback: Callable[[], None] | None = None

    @property
    def is_settled(self) -> bool:
        return self._settled.is_set()

    def on_settled(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        if self._settled.is_set():
            callback()

    def settle(self, problems: Sequence[PublishProblem]) -> None:
        self._problems = list(problems)
        self._settled.set()
        if self._callback is not None:
            self._callback()

    def fail(self, kind: str, detail: str) -> None:
        self.settle([PublishProblem(message, kind, detail) for message in self.messages])

    def wait(self, timeout_seconds: float) -> Sequence[PublishProblem]:
        if self._settled.wait(timeout_seconds):
            return self._problems
        return [PublishProblem(message, "lost", "not confirmed in time") for message in self.messages]


class EmbeddedPublisher:
    """Implements `Publisher` on the tables of the embedded queue.

    A group is confirmed when its transaction is committed. What could not be sent at all is sent again after a
    reconnect; what was cut off during its commit is reported as `lost`.
    """

    def __init__(
        self, url: str, *, name: str, waiting_max: int = WAITING_MAX, installation: Installation | None = None
    ) -> None:
        self._waiting_max = waiting_max
        self._lock = threading.Lock()
        self._drained = threading.Condition(self._lock)
        self._groups: deque[EmbeddedReceipt] = deque()
        self._open = 0
        self._closed = False
        self._poster = _Poster(url, f"{name}.publish", self, installation)
        self._poster.start()

    def publish(self, messages: Sequence[Outgoing]) -> EmbeddedReceipt:
        receipt = EmbeddedReceipt(messages)
        with self._lock:
            refusal = self._refusal(len(messages))
            if not refusal and messages:
                self._open += len(messages)
                self._groups.append(receipt)
        if refusal or not messages:
            receipt.fail("lost", refusal)
        else:
            self._poster.wake.set()
        return receipt

    def _refusal(self, more: int) -> str:
        if self._closed:
            return "the publisher is closed"
        if self._open + more > self._waiting_max:
            return f"{self._open} messages wait already"
        return ""

    @property
    def unconfirmed(self) -> int:
        return self._open

    @property
    def blocked(self) -> bool:
        return not self._poster.connected

    def close(self, timeout_seconds: float) -> None:
        with self._lock:
            self._closed = True
            self._drained.wait_for(lambda: self._open == 0, timeout_seconds)
        self._poster.stop()
        with self._lock:
            left = list(self._groups)
            self._groups.clear()
        for receipt in left:
            self.settled(receipt, "lost", "the publisher was closed before it could be sent")

    def take(self) -> list[EmbeddedReceipt]:
        """The groups for the next transaction."""
        taken: list[EmbeddedReceipt] = []
        size = 0
        with self._lock:
            while self._groups and size < TRANSACTION_MAX:
                receipt = self._groups.popleft()
                taken.append(receipt)
                size += len(receipt.messages)
        return taken

    def put_back(self, receipts: Sequence[EmbeddedReceipt]) -> None:
        """Groups that certainly were not sent, to the front."""
        with self._lock:
            self._groups.extendleft(reversed(receipts))

    def settled(
        self, receipt: EmbeddedReceipt, kind: str = "", detail: str = "", problems: Sequence[PublishProblem] = ()
    ) -> None:
        """One group is through, or failed as a whole in the way that `kind` says."""
        if kind:
            receipt.fail(kind, detail)
        else:
            receipt.settle(problems)
        with self._lock:
            self._open -= len(receipt.messages)
            if self._open == 0:
                self._drained.notify_all()


class _Poster(SessionThread):
    """The publisher's thread."""

    def __init__(
        self, url: str, name: str, publisher: EmbeddedPublisher, installation: Installation | None
    ) -> None:
        super().__init__(url, name, installation)
        self._publisher = publisher
        self._routes = Routes()
        self.connected = False

    def opened(self, _session: Session) -> None:
        self.connected = True

    def dropped(self, _detail: str) -> None:
        self.connected = False

    def turn(self, session: Session, _touched: set[int]) -> float | None:
        if self.stopping:
            return None
        groups = self._publisher.take()
        if not groups:
            return _IDLE_SECONDS
        self._post(session, groups)
        return 0.0

    def _post(self, session: Session, groups: list[EmbeddedReceipt]) -> None:
        posting = Posting([message for receipt in groups for message in receipt.messages])
        try:
            posting.commit(session.connection, self._routes)
        except TransportError as exc:
            self._failed(session, groups, posting, str(exc))
            return
        places = count()
        for receipt in groups:
            found = [posting.problems.get(place) for place in islice(places, len(receipt.messages))]
            self._publisher.settled(receipt, problems=[problem for problem in found if problem is not None])

    def _failed(self, session: Session, groups: list[EmbeddedReceipt], posting: Posting, detail: str) -> None:
        if broken(session.connection) and not posting.sent:
            self._publisher.put_back(groups)
            raise TransportError(detail)
        if broken(session.connection):
            for receipt in groups:
                self._publisher.settled(receipt, "lost", detail)
            raise TransportError(detail)
        if len(groups) == 1:
            self._publisher.settled(groups[0], "nacked", detail)
            return
        # One group that the server refuses must not take the others with it.
        for receipt in groups:
            self._post(session, [receipt])
