"""Answers to direct reply-to addresses, on connections of their own.

The broker decodes such an address inside the channel that publishes to it. One that it cannot decode, or that names a
node it does not know, makes it close the whole connection (541 INTERNAL_ERROR), and with it everything that is on
its way there. The address is made by the broker and not checked by anybody before it comes back to us, so a client
may write whatever it likes into it. See docs/adr/0013.
"""

from __future__ import annotations

import logging
import random
import threading
from base64 import b64decode
from binascii import Error as Base64Error
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from time import monotonic
from typing import TypeVar

from holdgate_workers.app.installation import Installation
from holdgate_workers.app.ports import Outgoing, PublishProblem, Receipt

from .publisher import RabbitPublisher

_log = logging.getLogger(__name__)

V = TypeVar("V")

PREFIX = "amq.rabbitmq.reply-to."
KNOWN_MAX = 10_000
REFUSED_MAX = 10_000
WAITING_MAX = 10_000
"""Answers that wait for the trial of their address; what is over that is dropped, as an answer may be."""
PER_ORIGIN_MAX = 1_000
TRIES_MAX = 3
REFUSED_SECONDS = 600.0
TRIAL_REDIAL_SECONDS = 0.01

_PID_TAG = b"\x83\x58"
_ATOM_TAGS = {118: 2, 119: 1}
"""Erlang's tags of an atom in UTF-8, and how many bytes say its length."""
_REST_BYTES = 12
_NARROW_NUMBER, _NARROW_SERIAL = 1 << 15, 1 << 13
"""What Erlang 25 numbers its processes with; it cannot read more in one of its own. Later ones can, and use it."""
_KEY_BYTES = 16


@lru_cache(maxsize=4096)
def origin(address: str) -> str:
    """What decides whether the broker can stand the address.

    If it has the shape that RabbitMQ gives it, that is the node it names and whether its numbers are wide: `node …`.
    If it has not, it is the address as a whole, because nothing can be said about it.
    """
    pid, _, key = address.removeprefix(PREFIX).partition(".")
    try:
        term = b64decode(pid, validate=True)
        secret = b64decode(key, validate=True)
    except (Base64Error, ValueError):
        return address
    sized = _ATOM_TAGS.get(term[2]) if len(term) > 4 and term[:2] == _PID_TAG else None
    if sized is None or len(secret) != _KEY_BYTES:
        return address
    length = int.from_bytes(term[3 : 3 + sized], "big")
    name, rest = term[3 + sized : 3 + sized + length], term[3 + sized + length :]
    number, serial = int.from_bytes(rest[:4], "big"), int.from_bytes(rest[4:8], "big")
    node = name.decode("ascii", "replace")
    if (
        len(name) != length
        or len(rest) != _REST_BYTES
        or not node.startswith("reply@")
        or not node[6:].isascii()
        or not node[6:].isdigit()
    ):
        return address
    wide = " wide" if number >= _NARROW_NUMBER or serial >= _NARROW_SERIAL else ""
    return f"node {term[2]} {node[6:]}{wide}"


class DirectReplies:
    """Publishes to direct reply-to addresses so that a forged one hurts nobody else.

    An address is trusted by its `origin`, which the broker must have stood once. Those that are trusted share a
    connection. The others are tried, one at a time, on a second connection that may die as often as it likes; an
    address that closed it is refused for a while, and its origin is in doubt from then on: the addresses of such a one
    are tried each by itself. So it goes also if the broker closes the shared connection all the same (a node has
    left the cluster, say), with all that was on its way there.

    Answers may come twice then, or be lost, like any answer. From any thread; both connections are opened when they
    are first needed.
    """

    def __init__(self, url: str, *, name: str, installation: Installation | None = None) -> None:
        self._url, self._name, self._installation = url, name, installation
        self._lock = threading.Lock()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._doubted: OrderedDict[str, None] = OrderedDict()
        self._refused: OrderedDict[str, float] = OrderedDict()
        self._waiting: dict[str, list[Outgoing]] = {}
        self._waiting_number = 0
        self._tries: dict[str, int] = {}
        self._trial: object | None = None
        self._closed = False
        self._shared: RabbitPublisher | None = None
        self._trials: RabbitPublisher | None = None

    def publish(self, messages: Sequence[Outgoing]) -> Receipt | None:
        """Send answers. Returns at once, with a receipt for those whose address is trusted, if there are any."""
        trusted: list[Outgoing] = []
        with self._lock:
            if self._closed:
                return None
            for message in messages:
                self._sort(message, trusted)
        receipt = self._send(trusted) if trusted else None
        self._try_next()
        return receipt

    @property
    def blocked(self) -> bool:
        """Whether the shared connection is down or blocked."""
        return self._shared is not None and self._shared.blocked

    def close(self, timeout_seconds: float) -> None:
        """Close both connections. Idempotent."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            publishers = [one for one in (self._shared, self._trials) if one is not None]
        for publisher in publishers:
            publisher.close(timeout_seconds)

    def _sort(self, message: Outgoing, trusted: list[Outgoing]) -> None:
        of = self._key(message)
        if of in self._known:
            self._known.move_to_end(of)
            trusted.append(message)
        else:
            self._wait(message)

    def _key(self, message: Outgoing) -> str:
        """What the address is trusted by."""
        of = origin(message.routing_key)
        return message.routing_key if of in self._doubted else of

    def _wait(self, message: Outgoing) -> None:
        """For its trial, unless its address is refused."""
        if self._refused.get(message.routing_key, 0.0) > monotonic():
            return
        of = self._key(message)
        waiting = self._waiting.setdefault(of, [])
        if len(waiting) < PER_ORIGIN_MAX and self._waiting_number < WAITING_MAX:
            waiting.append(message)
            self._waiting_number += 1
        elif not waiting:
            del self._waiting[of]

    # --- the trusted ones ----------------------------------------------------------------------------------------

    def _send(self, messages: list[Outgoing]) -> Receipt:
        with self._lock:
            if self._shared is None:
                self._shared = RabbitPublisher(
                    self._url, name=f"{self._name}.direct", installation=self._installation
                )
            shared = self._shared
        receipt = shared.publish(messages)
        receipt.on_settled(lambda: self._sent(shared, receipt))
        return receipt

    def _sent(self, shared: RabbitPublisher, receipt: Receipt) -> None:
        """If the broker has closed the connection over one of them, nobody knows which: all are tried again."""
        if not shared.closed_by_broker:
            return
        with self._lock:
            for problem in receipt.wait(0):
                if problem.kind == "lost" and not self._closed:
                    self._doubt(self._key(problem.message))
                    self._wait(problem.message)
        self._try_next()

    # --- the others ----------------------------------------------------------------------------------------------

    def _try_next(self) -> None:
        with self._lock:
            if self._closed or self._trial is not None or not self._waiting:
                return
            # By chance: with a long line of forged ones in front, an honest one would wait for all of them.
            of = random.choice(list(self._waiting))  # noqa: S311
            self._trial = trial = object()
            message = self._waiting[of][0]
            if self._trials is None:
                self._trials = RabbitPublisher(
                    self._url,
                    name=f"{self._name}.trial",
                    installation=self._installation,
                    redial_seconds=TRIAL_REDIAL_SECONDS,
                )
            trials = self._trials
        receipt = trials.publish([message])
        receipt.on_settled(lambda: self._tried(trial, of, message, trials, receipt))

    def _tried(self, trial: object, of: str, message: Outgoing, trials: RabbitPublisher, receipt: Receipt) -> None:
        trusted: list[Outgoing] = []
        with self._lock:
            if self._trial is not trial:
                return  # told twice
            self._trial = None
            if not receipt.wait(0):
                trusted = self._taken(of)[1:]
                _remember(self._known, of, None, KNOWN_MAX)
            elif trials.closed_by_broker:
                self._refuse(of, message.routing_key)
            else:
                # The connection was cut off for another reason: nothing is known about the address.
                self._tries[of] = self._tries.get(of, 0) + 1
                if self._tries[of] >= TRIES_MAX:
                    self._taken(of)
        if trusted:
            self._send(trusted)
        self._try_next()

    def _refuse(self, of: str, address: str) -> None:
        """The address, and no other of the same origin."""
        waiting = self._taken(of)
        _remember(self._refused, address, monotonic() + REFUSED_SECONDS, REFUSED_MAX)
        self._doubt(of)
        for message in waiting:
            self._wait(message)
        _log.warning(
            "the broker closed the connection over a direct reply-to address (%.60s); answers to it are dropped for "
            "%.0f s",
            of,
            REFUSED_SECONDS,
        )

    def _doubt(self, of: str) -> None:
        self._known.pop(of, None)
        if not of.startswith(PREFIX):
            _remember(self._doubted, of, None, KNOWN_MAX)

    def _taken(self, of: str) -> list[Outgoing]:
        taken = self._waiting.pop(of, [])
        self._waiting_number -= len(taken)
        self._tries.pop(of, None)
        return taken


def _remember(where: OrderedDict[str, V], of: str, what: V, maximum: int) -> None:
    where[of] = what
    where.move_to_end(of)
    while len(where) > maximum:
        where.popitem(last=False)


class BothReceipts:
    """`app.ports.Receipt` over two others."""

    def __init__(self, first: Receipt, second: Receipt) -> None:
        self._both = (first, second)

    @property
    def is_settled(self) -> bool:
        """Whether both are."""
        return all(receipt.is_settled for receipt in self._both)

    def on_settled(self, callback: Callable[[], None]) -> None:
        """Call back once both are."""
        for receipt in self._both:
            receipt.on_settled(lambda: callback() if self.is_settled else None)

    def wait(self, timeout_seconds: float) -> list[PublishProblem]:
        """Wait for both."""
        deadline = monotonic() + timeout_seconds
        return [problem for receipt in self._both for problem in receipt.wait(max(0.0, deadline - monotonic()))]
