"""The client for asyncio programs: the same methods as coroutines, over the same core."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType

from holdgate_producer.core.answers import expect
from holdgate_producer.core.entry import Answers
from holdgate_producer.core.link import Link, Request
from holdgate_producer.core.outgoing import command_of, request_of
from holdgate_producer.core.stats import Stats
from holdgate_schema.answers.holds import Answer, Availability, Changed, Extended, Held, Refused, Released
from holdgate_schema.commands.holds import Client, Command, ExtendHold, GetAvailability, ReleaseHold
from holdgate_schema.commands.selling import Pricing

from . import commands
from .aio_selling_calls import AsyncSellingCalls
from .cache import Cache, cache_of, cached_answer
from .client import core_of, timeout_of
from .config import ClientConfig


class AsyncBookingClient(AsyncSellingCalls):
    """`BookingClient` for one event loop, with the same promises and the same errors.

    Cancelling a call stops waiting for the answer; the request is on its way all the same.
    """

    def __init__(
        self, config: ClientConfig | None = None, *, link: Link | None = None, cache: Cache | None = None
    ) -> None:
        self._cache = cache or cache_of(config)
        self._config, self._core = core_of(config, link)
        # Taken in turn, so that a call that waits for room is not overtaken by a later one.
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> AsyncBookingClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close(wait_seconds=self._config.timeout_seconds if kind is None else 0.0)

    # --- holds --------------------------------------------------------------------------------------------------

    async def place(
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
        """Take the whole basket or nothing. Without a session one is issued: `answer.hold.session_id`."""
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
        return expect(await self.call(command, timeout_seconds=timeout_seconds), Held)

    async def change(
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
        return expect(await self.call(command, timeout_seconds=timeout_seconds), Changed)

    async def extend(
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
        return expect(await self.call(command, timeout_seconds=timeout_seconds), Extended)

    async def release(
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
        return expect(await self.call(command, timeout_seconds=timeout_seconds), Released)

    async def availability(
        self,
        occurrence_id: str,
        *,
        cached: bool = False,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Availability | Refused:
        """What could be held right now; see `BookingClient.availability` for `cached`."""
        command = command_of(GetAvailability, request_id=request_id, occurrence_id=occurrence_id)
        if cached and self._cache is not None:
            # In a thread: one implementation for both faces, and its timeouts are short.
            found = await asyncio.to_thread(cached_answer, self._cache, command)
            if found is not None:
                self._core.stats.cached += 1
                return found
        return expect(await self.call(command, timeout_seconds=timeout_seconds), Availability)

    # --- any command --------------------------------------------------------------------------------------------

    async def call(self, command: Command, *, timeout_seconds: float | None = None) -> Answer:
        """Send any command, the catalogue's too, and wait for its answer. Raises `ProducerError`."""
        return await (await self.send(command, timeout_seconds=timeout_seconds))

    async def send(self, command: Command, *, timeout_seconds: float | None = None) -> asyncio.Future[Answer]:
        """Send and do not wait for the answer; see `send_many`."""
        return (await self.send_many([command], timeout_seconds=timeout_seconds))[0]

    async def send_many(
        self, commands: Sequence[Command], *, timeout_seconds: float | None = None
    ) -> list[asyncio.Future[Answer]]:
        """Send in this order, one future per command, each of which ends within the timeout.

        Raises and waits like `BookingClient.send_many`, without blocking the loop.
        """
        loop = asyncio.get_running_loop()
        answers = await self._send(commands, timeout_seconds, follow=False)
        return [asyncio.wrap_future(one.first, loop=loop) for one in answers]

    async def _answers(self, command: Command, timeout_seconds: float | None) -> Answers:
        return (await self._send([command], timeout_seconds, follow=True))[0]

    async def _send(
        self, sent: Sequence[Command], timeout_seconds: float | None, *, follow: bool
    ) -> list[Answers]:
        timeout = timeout_of(self._config, timeout_seconds)
        requests = [request_of(command, self._config.traceparent) for command in sent]
        deadline = asyncio.get_running_loop().time() + timeout
        async with self._turn:
            return await self._take(requests, deadline, follow=follow)

    async def _take(self, requests: Sequence[Request], deadline: float, *, follow: bool) -> list[Answers]:
        loop = asyncio.get_running_loop()
        answers = self._core.take(requests, deadline - loop.time(), follow=follow)
        while len(answers) < len(requests):
            rest = requests[len(answers) :]
            if not await self._room(deadline):
                return answers + self._core.without_room(rest)
            answers += self._core.take(rest, deadline - loop.time(), follow=follow)
        return answers

    async def _room(self, deadline: float) -> bool:
        loop = asyncio.get_running_loop()
        room = asyncio.Event()
        self._core.when_room(lambda: _set(loop, room))
        try:
            async with asyncio.timeout_at(deadline):
                await room.wait()
        except TimeoutError:
            return False
        return loop.time() < deadline

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

    async def wait_connected(self, timeout_seconds: float = 10.0) -> None:
        """Wait for the connection; raises `ConnectionLost` with the reason."""
        await asyncio.to_thread(self._core.wait_up, timeout_seconds)

    async def close(self, *, wait_seconds: float = 0.0) -> None:
        """Wait so long for open answers, then hang up; what is left fails with `ClientClosed`. Idempotent."""
        await asyncio.to_thread(self._core.close, wait_seconds)
        if self._cache is not None:
            await asyncio.to_thread(self._cache.close)


def _set(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    """From any thread, and harmless if the loop has ended."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(event.set)
