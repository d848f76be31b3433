"""Publishing with asynchronous confirms, on a thread and a connection of its own."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any

from pika import exceptions

from holdgate_workers.adapters.rabbit.amqp.frames import message_frames
from holdgate_workers.adapters.rabbit.amqp.wire import IoThread, WireConnection, drop, jitter
from holdgate_workers.adapters.rabbit.connection import (
    STEADY_SECONDS,
    backoff_seconds,
    connection_parameters,
    explain,
)
from holdgate_workers.adapters.rabbit.diagnosis import fault_of
from holdgate_workers.adapters.rabbit.stamp import mark_of
from holdgate_workers.app.installation import Installation
from holdgate_workers.app.ports import Outgoing, Receipt

from .receipts import GroupReceipt, Ledger

_log = logging.getLogger(__name__)

WAITING_MAX = 100_000
HEARTBEAT_SECONDS = 10
TURN_MESSAGES = 1000
"""So many are written before the loop looks for confirms and heartbeats again."""
HANG_UP_TIMEOUT_SECONDS = 2.0
CONNECTION_FORCED = 320


class RabbitPublisher:
    """`app.ports.Publisher` on RabbitMQ.

    What is written and then cut off is `lost` and never sent again by itself: it may have arrived, and only the
    caller knows whether twice is harmless. What is not written yet waits for the next connection, `waiting_max`
    messages at most; a group that does not fit is refused as a whole, `blocked` or `lost`. A message that no
    connection could carry (a routing key over 255 bytes) is `unroutable`. Sends only where the virtual host bears the
    installation's stamp, if one is given; otherwise it tries again.
    With `redial_seconds` it comes back after that time, without a growing pause, when the broker has closed the
    connection over something that was published.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        waiting_max: int = WAITING_MAX,
        heartbeat_seconds: int = HEARTBEAT_SECONDS,
        installation: Installation | None = None,
        redial_seconds: float | None = None,
    ) -> None:
        self._mark = None if installation is None else mark_of(installation)
        self._is_ours = False
        self._dialling = connection_parameters(url, name=f"{name}.publish", heartbeat_seconds=heartbeat_seconds)
        self._waiting_max = waiting_max
        self._redial_seconds = redial_seconds
        self.closed_by_broker = False
        """Whether the broker has closed the last connection or channel over something that was published, as it does
        over what it cannot stand. To be read when a receipt settles with `lost`."""
        self._lock = threading.Lock()  # for the two sides of the waiting line, once per group
        self._line: deque[GroupReceipt] = deque()
        self._position = 0  # how much of the first group in the line is written
        self._waiting = 0
        self._given = 0
        self._settled = 0
        self._wake = False
        self._ledger = Ledger(self._on_settled)
        self._connection: Any = None
        self._channel: Any = None
        self._ready = False
        self._alarm = ""
        self._opened_at: float | None = None
        self._attempts = 0
        self._timer: Any = None
        self._closing = False
        self._hanging_up = False
        self._drained = threading.Event()
        self._hung_up = threading.Event()
        self._io = IoThread(f"{name}-publish")
        self._io.call(self._dial)

    # --- the port, from any thread -----------------------------------------------------------------------------

    def publish(self, messages: Sequence[Outgoing]) -> Receipt:
        """Send a group. Returns at once."""
        group = GroupReceipt(messages)
        number = len(messages)
        if not number:
            return group
        with self._lock:
            refusal = self._refusal(number)
            if not refusal:
                self._given += number
                self._waiting += number
                self._line.append(group)
                wake, self._wake = not self._wake, True
        if refusal:
            kind, detail = refusal
            for index in range(number):
                group.fail(index, kind, detail)
        elif wake:
            self._io.call(self._write)
        return group

    @property
    def unconfirmed(self) -> int:
        """How many messages wait for their confirm, those not yet written included."""
        return self._given - self._settled

    @property
    def blocked(self) -> bool:
        """Whether the broker has blocked the connection or it is down."""
        return not self._ready or bool(self._alarm)

    def close(self, timeout_seconds: float) -> None:
        """Wait for open confirms up to the time given, then stop. Idempotent."""
        if self._closing:
            return
        self._closing = True
        self._io.call(self._check_drained)
        self._drained.wait(timeout_seconds)
        self._io.call(self._hang_up)
        self._hung_up.wait(HANG_UP_TIMEOUT_SECONDS)
        self._io.stop()

    def _refusal(self, number: int) -> tuple[str, str] | None:
        if self._closing:
            return "lost", "the publisher is closed"
        if self._waiting + number <= self._waiting_max:
            return None
        if self._alarm:
            return "blocked", f"the broker takes no messages ({self._alarm}) and {self._waiting} wait already"
        return "lost", f"the connection cannot keep up or is down and {self._waiting} messages wait already"

    # --- writing, on the I/O thread ----------------------------------------------------------------------------

    def _write(self) -> None:
        self._wake = False
        if not self._ready or self._alarm:
            return
        frames: list[bytes] = []
        written = 0
        while self._line and written < TURN_MESSAGES:
            written += self._write_group(self._line[0], TURN_MESSAGES - written, frames)
        if frames:
            self._connection.write(b"".join(frames))
        with self._lock:
            self._waiting -= written
            wake = bool(self._line) and not self._wake
            self._wake = self._wake or wake
        if wake:
            self._io.call(self._write)

    def _write_group(self, group: GroupReceipt, room: int, frames: list[bytes]) -> int:
        """Go on in the first group of the line, as far as there is room."""
        start = self._position
        stop = min(len(group.messages), start + room)
        channel, body_max = self._channel.channel_number, self._connection.body_bytes_max
        written = self._ledger.written
        for index in range(start, stop):
            message = group.messages[index]
            try:
                frames.append(message_frames(channel, message, body_max))
            except Exception as exc:  # noqa: BLE001  # whatever it is, the others must go out
                _log.warning("a message for %r cannot be written: %s", message.exchange, explain(exc))
                group.fail(index, "unroutable", f"it cannot be written: {explain(exc)}")
                self._on_settled(1)
            else:
                written(group, index, mandatory=message.mandatory)
        if stop == len(group.messages):
            self._line.popleft()
            self._position = 0
        else:
            self._position = stop
        return stop - start

    def _on_settled(self, number: int) -> None:
        self._settled += number
        if self._closing:
            self._check_drained()

    def _check_drained(self) -> None:
        if self._given == self._settled:
            self._drained.set()

    # --- the connection, on the I/O thread ---------------------------------------------------------------------

    def _dial(self) -> None:
        self._timer = None
        try:
            self._connection = WireConnection(
                self._dialling,
                on_open_callback=self._on_open,
                on_open_error_callback=self._on_end,
                on_close_callback=self._on_end,
                custom_ioloop=self._io.loop,
            )
        except (exceptions.AMQPError, OSError, RuntimeError, ValueError) as exc:
            _log.exception("the publishing connection could not even be begun")
            self._on_end(None, exc)

    def _on_open(self, connection: Any) -> None:
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        self._open_channel()

    def _open_channel(self) -> None:
        self._connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_return_callback(self._on_return)
        self._connection.confirm_with(channel.channel_number, self._on_ack)
        if self._mark is None or self._is_ours:
            self._on_ours()
        else:
            # Where it is not there the broker closes the channel: the virtual host is not ours.
            channel.exchange_declare(self._mark, passive=True, callback=self._on_ours)

    def _on_ours(self, _frame: Any = None) -> None:
        self._is_ours = True
        self._channel.confirm_delivery(self._on_nack, callback=self._on_confirming)

    def _on_confirming(self, _frame: Any) -> None:
        self._opened_at = monotonic()
        self._ready = True
        self._write()

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._ledger.confirmed(tag, multiple=multiple, nacked=False)

    def _on_nack(self, frame: Any) -> None:
        self._ledger.confirmed(frame.method.delivery_tag, multiple=frame.method.multiple, nacked=True)

    def _on_return(self, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        detail = f"{method.reply_code} {method.reply_text}"
        self._ledger.returned(method.exchange, method.routing_key, properties.message_id, body, detail)

    def _on_blocked(self, _connection: Any, frame: Any) -> None:
        self._alarm = str(frame.method.reason or "alarm")
        _log.warning("the broker has blocked publishing: %s", self._alarm)

    def _on_unblocked(self, _connection: Any, _frame: Any) -> None:
        self._alarm = ""
        _log.info("the broker takes messages again")
        self._write()

    def _on_channel_closed(self, _channel: Any, reason: BaseException) -> None:
        """One message the broker cannot stand (no such exchange, no permission) ends the channel for all."""
        self._ready = False
        self.closed_by_broker = _is_refusal(reason)
        self._ledger.lost(explain(reason))
        if not self._is_ours and self._connection.is_open:
            drop(self._connection, explain(reason))  # and the next try comes after a pause
        elif self._connection.is_open and not self._closing:
            _log.warning("the broker closed the publishing channel: %s", explain(reason))
            self._open_channel()

    def _on_end(self, _connection: Any, error: BaseException | None) -> None:
        self._ready = self._is_ours = False
        self._alarm = ""
        self._channel = None
        self.closed_by_broker = _is_refusal(error)
        self._ledger.lost(explain(error))
        if self._opened_at is not None and monotonic() - self._opened_at >= STEADY_SECONDS:
            self._attempts = 0
        self._opened_at = None
        if self._hanging_up:
            self._hung_up.set()
            return
        if self._redial_seconds is not None and self.closed_by_broker:
            self._timer = self._io.call_later(self._redial_seconds, self._dial)
            return
        seconds = backoff_seconds(self._attempts, jitter())
        self._attempts += 1
        self._timer = self._io.call_later(seconds, self._dial)
        _log.warning(
            "no broker connection to publish on: %s (%s); next try in %.2f s",
            fault_of(error),
            explain(error),
            seconds,
        )

    def _hang_up(self) -> None:
        self._hanging_up = True
        self._give_up_line()
        if self._timer is not None:
            self._io.forget(self._timer)
            self._hung_up.set()
        elif self._connection.is_open and not self._alarm:
            self._connection.close()  # nothing is consumed here, so the polite way is right
        else:
            drop(self._connection, "closed")

    def _give_up_line(self) -> None:
        while self._line:
            group = self._line.popleft()
            start, self._position = self._position, 0
            for index in range(start, len(group.messages)):
                group.fail(index, "lost", "the publisher was closed before it could be sent")
            self._on_settled(len(group.messages) - start)


def _is_refusal(error: BaseException | None) -> bool:
    """Whether the broker closed it over what we did, and not because an operator or a shutdown wanted it so."""
    closed = (exceptions.ConnectionClosedByBroker, exceptions.ChannelClosedByBroker)
    return isinstance(error, closed) and error.reply_code != CONNECTION_FORCED


__all__ = ["WAITING_MAX", "RabbitPublisher"]
