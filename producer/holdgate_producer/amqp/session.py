"""One AMQP connection from its first byte to its last: confirmed publishing and a reply queue of its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

import pika
from pika.adapters.select_connection import IOLoop
from pika.channel import Channel
from pika.spec import Basic, BasicProperties

from holdgate_producer.client.config import ClientConfig
from holdgate_producer.core.link import LinkEvents, Request
from holdgate_schema.routing import routing_key
from holdgate_schema.topology import REPLY_QUEUE_PREFIX, REQUESTS_EXCHANGE

from .connection import BatchingConnection
from .properties import Envelope


class AmqpSession:
    """Everything here runs on the loop's thread. `on_end` is called exactly once, and nothing is told after it."""

    def __init__(
        self,
        config: ClientConfig,
        loop: IOLoop,
        *,
        on_ready: Callable[[AmqpSession], None],
        on_unblocked: Callable[[], None],
        on_end: Callable[[AmqpSession, str], None],
    ) -> None:
        self._config = config
        self._loop = loop
        self._on_ready = on_ready
        self._on_unblocked = on_unblocked
        self._on_end = on_end
        self._events: LinkEvents
        self._connection: BatchingConnection | None = None
        self._publishing: Channel | None = None
        self._parameters = parameters(config)
        self._blocked = False
        self._ended = False
        self._was_open = False
        self._steps_left = 2
        self._tag = 0
        self._unconfirmed: dict[int, str] = {}
        self._returned: set[str] = set()
        self._confirms = 0
        self._answers = 0
        self._awaited: set[str] = set()
        """Sent since the last look and not answered yet."""
        self._awaited_before: set[str] = set()
        """Sent before that."""
        # A new name per connection: the broker may not have noticed yet that the last one is dead.
        self.reply_queue = f"{REPLY_QUEUE_PREFIX}{config.app_id}.{secrets.token_hex(8)}"
        login = getattr(self._parameters.credentials, "username", "")
        self._envelope = Envelope(reply_to=self.reply_queue, app_id=config.app_id, user_id=login)

    def start(self, events: LinkEvents) -> None:
        """Begin to connect."""
        self._events = events
        try:
            self._connection = BatchingConnection(
                self._parameters,
                on_open_callback=self._opened,
                on_open_error_callback=lambda _, error: self._end(_told(error)),
                on_close_callback=lambda _, error: self._end(_told(error)),
                custom_ioloop=self._loop,
            )
        except (OSError, pika.exceptions.AMQPError) as exc:
            self._end(_told(exc))

    @property
    def takes_requests(self) -> bool:
        """Whether `publish` may be called."""
        return self._steps_left == 0 and not self._blocked and not self._ended

    def publish(self, requests: Sequence[Request]) -> None:
        """Publish with confirms due. Only while `takes_requests`."""
        connection, channel = self._connection, self._publishing
        if self._ended or connection is None or channel is None:
            return
        try:
            with connection.one_write():
                for request in requests:
                    self._publish(channel, request)
        except (OSError, pika.exceptions.AMQPError) as exc:
            self.drop(_told(exc))

    def _publish(self, channel: Channel, request: Request) -> None:
        properties = self._envelope.of(request)
        key = routing_key(request.occurrence_id)
        channel.basic_publish(REQUESTS_EXCHANGE, key, request.body, properties, mandatory=True)
        self._tag += 1
        self._unconfirmed[self._tag] = request.request_id
        self._awaited.add(request.request_id)

    def close(self) -> None:
        """Say good-bye; `on_end` follows when the broker has answered or the connection is lost."""
        connection = self._connection
        if connection is None or connection.is_closed:
            self._end("closed")
        elif not connection.is_closing:
            connection.close()

    # --- opening ------------------------------------------------------------------------------------------------

    def _opened(self, connection: Any) -> None:
        self._was_open = True
        connection.add_on_connection_blocked_callback(self._now_blocked)
        connection.add_on_connection_unblocked_callback(self._now_unblocked)
        connection.channel(on_open_callback=self._set_up_publishing)
        connection.channel(on_open_callback=self._set_up_replies)

    def _set_up_publishing(self, channel: Channel) -> None:
        self._publishing = channel
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(self._was_returned)
        channel.confirm_delivery(self._was_confirmed, callback=self._step_done)

    def _set_up_replies(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_cancel_callback(lambda _: self.drop("the reply queue was deleted"))
        channel.queue_declare(
            self.reply_queue,
            exclusive=True,
            auto_delete=True,
            arguments={"x-queue-type": "classic"},
            callback=lambda _: self._consume(channel),
        )

    def _consume(self, channel: Channel) -> None:
        channel.basic_consume(self.reply_queue, self._was_answered, auto_ack=True, callback=self._step_done)

    def _step_done(self, _frame: object) -> None:
        self._steps_left -= 1
        if self._steps_left == 0 and not self._ended:
            self._watch_confirms(self._confirms)
            self._watch_answers(self._answers)
            self._on_ready(self)

    # --- what the broker says -----------------------------------------------------------------------------------

    def _was_answered(self, _channel: object, _deliver: object, properties: BasicProperties, body: bytes) -> None:
        request_id = properties.correlation_id or ""
        self._answers += 1
        self._awaited.discard(request_id)
        self._awaited_before.discard(request_id)
        if not self._ended:
            self._events.answered(request_id, body, properties.type)

    def _was_returned(
        self, _channel: object, method: Basic.Return, properties: BasicProperties, _body: bytes
    ) -> None:
        request_id = properties.message_id or ""
        # The confirm that follows a return only says that the broker has dealt with it.
        self._returned.add(request_id)
        if not self._ended:
            self._events.unroutable(request_id, f"{method.reply_code} {method.reply_text}")

    def _was_confirmed(self, frame: Any) -> None:
        method = frame.method
        self._confirms += 1
        for request_id in self._take_tags(method.delivery_tag, method.multiple):
            if request_id in self._returned:
                self._returned.discard(request_id)
            elif self._ended:
                continue
            elif isinstance(method, Basic.Ack):
                self._events.confirmed(request_id)
            else:
                self._events.nacked(request_id, "basic.nack")

    def _take_tags(self, tag: int, multiple: bool) -> list[str]:
        if not multiple:
            request_id = self._unconfirmed.pop(tag, None)
            return [] if request_id is None else [request_id]
        tags = []
        for open_tag in self._unconfirmed:
            if open_tag > tag:
                break
            tags.append(open_tag)
        return [self._unconfirmed.pop(open_tag) for open_tag in tags]

    def _now_blocked(self, _connection: object, frame: Any) -> None:
        self._blocked = True
        if not self._ended:
            self._events.blocked(str(frame.method.reason))

    def _now_unblocked(self, _connection: object, _frame: object) -> None:
        self._blocked = False
        if not self._ended:
            self._events.unblocked()
            self._on_unblocked()

    # --- the end ------------------------------------------------------------------------------------------------

    def _watch_confirms(self, confirms_before: int, *, were_due: bool = False) -> None:
        """No confirm at all for so long while some were due: the connection is dead, whatever it says."""
        if self._ended:
            return
        if were_due and self._unconfirmed and confirms_before == self._confirms and not self._blocked:
            self.drop(f"no publisher confirm for {self._config.confirm_timeout_seconds:g} s")
            return
        confirms, due = self._confirms, bool(self._unconfirmed) and not self._blocked
        self._loop.call_later(
            self._config.confirm_timeout_seconds, lambda: self._watch_confirms(confirms, were_due=due)
        )

    def _watch_answers(self, answers_before: int) -> None:
        """No answer at all for so long while some were due: perhaps nobody finds our reply queue any more.

        A cluster deletes the exclusive queues of a node that it cannot see. When that node is back, the queue, its
        consumer and this connection are all as they were, and no answer ever arrives in it.
        """
        if self._ended:
            return
        if not self._blocked:
            if self._awaited_before and answers_before == self._answers:
                self.drop(f"no answer for {self._config.answer_silence_seconds:g} s")
                return
            self._awaited_before, self._awaited = self._awaited, set()
        answers = self._answers
        self._loop.call_later(self._config.answer_silence_seconds, lambda: self._watch_answers(answers))

    def _channel_closed(self, _channel: object, error: Exception) -> None:
        connection = self._connection
        if connection is not None and not connection.is_closing:
            self.drop(_told(error))

    def drop(self, detail: str) -> None:
        """Give the connection up without waiting for a broker that may never answer."""
        self._end(detail)
        self.abort()

    def abort(self) -> None:
        """Cut the line; `on_end` follows if it was not called yet."""
        connection = self._connection
        if connection is None or connection.is_closed:
            self._end("closed")
        elif self._was_open:
            # pika has no public way to cut the line; its own heartbeat does the same.
            connection._terminate_stream(pika.exceptions.AMQPConnectionError("given up"))
        elif not connection.is_closing:
            connection.close()

    def _end(self, detail: str) -> None:
        if not self._ended:
            self._ended = True
            self._on_end(self, detail)


def parameters(config: ClientConfig) -> pika.URLParameters:
    """What pika needs to know."""
    found = pika.URLParameters(config.url)
    found.heartbeat = config.heartbeat_seconds
    found.blocked_connection_timeout = config.blocked_timeout_seconds
    found.connection_attempts = 1
    found.client_properties = {"connection_name": config.app_id}
    return found


def _told(error: object) -> str:
    """The cause in words. pika wraps it in lists of attempts, and often says nothing but its type."""
    attempts = getattr(error, "exceptions", None)
    if attempts:
        return _told(attempts[-1])
    nested = getattr(error, "exception", None)
    if isinstance(nested, BaseException):
        return _told(nested)
    if isinstance(error, BaseException) and error.args and isinstance(error.args[0], BaseException):
        return _told(error.args[0])
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
