"""The client for threaded and plain programs."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from time import monotonic
from types import TracebackType

from holdgate_producer.core.answers import expect
from holdgate_producer.core.core import Core
from holdgate_producer.core.entry import Answers
from holdgate_producer.core.errors import InvalidConfig, InvalidRequest
from holdgate_producer.core.link import Link
from holdgate_producer.core.links import open_link
from holdgate_producer.core.outgoing import command_of, request_of
from holdgate_producer.core.stats import Stats
from holdgate_schema.answers.holds import Answer, Availability, Changed, Extended, Held, Refused, Released
from holdgate_schema.commands.holds import Client, Command, ExtendHold, GetAvailability, ReleaseHold
from holdgate_schema.commands.selling import Pricing
from holdgate_schema.errors import FieldError

from . import commands
from .cache import Cache, cache_of, cached_answer
from .config import ClientConfig, is_positive
from .selling_calls import SellingCalls

DEFAULTS_FOR_A_GIVEN_LINK = ClientConfig(url="amqp://127.0.0.1/", app_id="holdgate-client")


def core_of(config: ClientConfig | None, link: Link | None) -> tuple[ClientConfig, Core]:
    """The core for a client that was given a configuration, a link, or both."""
    if config is None:
        if link is None:
            raise InvalidConfig([FieldError("config", "must be given unless a link is")])
        config = DEFAULTS_FOR_A_GIVEN_LINK
    return config, Core(link or open_link(config), config.in_flight_max, config.repeat_seconds)


def timeout_of(config: ClientConfig, timeout_seconds: float | None) -> float:
    """The timeout of one request; raises `InvalidRequest`."""
    if timeout_seconds is None:
        return config.timeout_seconds
    if not is_positive(timeout_seconds):
        raise InvalidRequest([FieldError("timeout_seconds", "must be a number of seconds above 0")])
    return timeout_seconds


class BookingClient(SellingCalls):
    """Sends booking requests and gets each one's answer. One per process is enough; use it from any thread.

    Promises:
    - A refusal is an answer (`Refused`), also a retryable one; exceptions are for requests without an
      answer, all of them `ProducerError`.
    - A request whose answer is missing is sent again with the same id and body after each reconnect until its
      timeout; the far side decides a request id once.
    - Requests for one occurrence are published in the order of the `send` calls, also after a reconnect.
    - A command that breaks the contract raises `InvalidRequest` before anything is sent.

    Connecting goes on in the background from the start. Make the client after forking, not before. Leaving the
    `with` block waits for open requests, at most `timeout_seconds`; after an exception it does not wait.
    """

    def __init__(
        self, config: ClientConfig | None = None, *, link: Link | None = None, cache: Cache | None = None
    ) -> None:
        self._cache = cache or cache_of(config)
        self._config, self._core = core_of(config, link)

    def __enter__(self) -> BookingClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(wait_seconds=self._config.timeout_seconds if kind is None else 0.0)

    # --- holds --------------------------------------------------------------------------------------------------

    def place(
        self,
        occurrence_id: str,
        items: Mapping[str, int],
        *,
        extras: Mapping[str, int] | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        client: Client | None = None,
        ttl_seconds: int | None = None,
        pricing: Pricing | None = None,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Held | Refused:
        """Take the whole basket or nothing. Without a session one is issued: `answer.hold.session_id`.

        To be told what it costs use `place_priced`.
        """
        command = commands.place_hold(
            occurrence_id,
            items,
            extras=extras,
            session_id=session_id,
            user_id=user_id,
            client=client,
            ttl_seconds=ttl_seconds,
            pricing=pricing,
            request_id=request_id,
        )
        return expect(self.call(command, timeout_seconds=timeout_seconds), Held)

    def change(
        self,
        occurrence_id: str,
        session_id: str,
        hold_id: str,
        items: Mapping[str, int],
        *,
        extras: Mapping[str, int] | None = None,
        pricing: Pricing | None = None,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Changed | Refused:
        """Set the hold's quantities to these absolute numbers; its expiry does not move."""
        command = commands.change_hold(
            occurrence_id, session_id, hold_id, items, extras=extras, pricing=pricing, request_id=request_id
        )
        return expect(self.call(command, timeout_seconds=timeout_seconds), Changed)

    def extend(
        self,
        occurrence_id: str,
        session_id: str,
        hold_id: str,
        *,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Extended | Refused:
        """Give the hold its full time again from now."""
        ids = {"occurrence_id": occurrence_id, "session_id": session_id, "hold_id": hold_id}
        command = command_of(ExtendHold, request_id=request_id, **ids)
        return expect(self.call(command, timeout_seconds=timeout_seconds), Extended)

    def release(
        self,
        occurrence_id: str,
        session_id: str,
        hold_id: str,
        *,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Released | Refused:
        """Give the seats back."""
        ids = {"occurrence_id": occurrence_id, "session_id": session_id, "hold_id": hold_id}
        command = command_of(ReleaseHold, request_id=request_id, **ids)
        return expect(self.call(command, timeout_seconds=timeout_seconds), Released)

    def availability(
        self,
        occurrence_id: str,
        *,
        cached: bool = False,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Availability | Refused:
        """What could be held right now. With `cached`, what could be held at most `cache_age_max_seconds` ago, if
        the cache knows; else the gate is asked all the same."""
        command = command_of(GetAvailability, request_id=request_id, occurrence_id=occurrence_id)
        if cached and self._cache is not None:
            found = cached_answer(self._cache, command)
            if found is not None:
                self._core.stats.cached += 1
                return found
        return expect(self.call(command, timeout_seconds=timeout_seconds), Availability)

    # --- any command --------------------------------------------------------------------------------------------

    def call(self, command: Command, *, timeout_seconds: float | None = None) -> Answer:
        """Send any command, the catalogue's too, and wait for its first answer. Raises `ProducerError`."""
        return self.send(command, timeout_seconds=timeout_seconds).result()

    def send(self, command: Command, *, timeout_seconds: float | None = None) -> Future[Answer]:
        """Send and do not wait for the answer; see `send_many`."""
        return self.send_many([command], timeout_seconds=timeout_seconds)[0]

    def send_many(
        self, commands: Sequence[Command], *, timeout_seconds: float | None = None
    ) -> list[Future[Answer]]:
        """Send in this order, one future per command, each of which ends within the timeout.

        Raises `InvalidRequest` or `ClientClosed` before anything is sent. Waits while `in_flight_max` are open
        or the broker takes nothing, at most the timeout; what found no room fails with `Blocked`. A future's
        callbacks run on the client's own threads: be quick there and wait for nothing. Futures cannot be
        cancelled. Of a command with two answers the future has the first one.
        """
        return [answers.first for answers in self._send(commands, timeout_seconds, follow=False)]

    def follow(self, command: Command, *, timeout_seconds: float | None = None) -> Answers:
        """Send any command and get the futures of its `first` and its `final` answer; see `send_many`."""
        return self._send([command], timeout_seconds, follow=True)[0]

    def _answers(self, command: Command, timeout_seconds: float | None) -> Answers:
        return self.follow(command, timeout_seconds=timeout_seconds)

    def _send(self, sent: Sequence[Command], timeout_seconds: float | None, *, follow: bool) -> list[Answers]:
        timeout = timeout_of(self._config, timeout_seconds)
        requests = [request_of(command, self._config.traceparent) for command in sent]
        answers = self._core.take(requests, timeout, follow=follow)
        deadline = monotonic() + timeout
        while len(answers) < len(requests):
            rest = requests[len(answers) :]
            if not self._wait_for_room(deadline):
                return answers + self._core.without_room(rest)
            answers += self._core.take(rest, deadline - monotonic(), follow=follow)
        return answers

    # --- life ---------------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """How many requests wait for their answer."""
        return self._core.in_flight

    @property
    def is_blocked(self) -> bool:
        """Whether the broker takes no requests at the moment (memory or disk alarm)."""
        return self._core.is_blocked

    @property
    def stats(self) -> Stats:
        """What was counted so far."""
        return self._core.stats

    def wait_connected(self, timeout_seconds: float = 10.0) -> None:
        """Wait for the connection, for example in a start-up check; raises `ConnectionLost` with the reason."""
        self._core.wait_up(timeout_seconds)

    def close(self, *, wait_seconds: float = 0.0) -> None:
        """Wait so long for open answers, then hang up; what is left fails with `ClientClosed`. Idempotent."""
        self._core.close(wait_seconds)
        if self._cache is not None:
            self._cache.close()

    def _wait_for_room(self, deadline: float) -> bool:
        room = threading.Event()
        self._core.when_room(room.set)
        return room.wait(max(deadline - monotonic(), 0.0)) and monotonic() < deadline
