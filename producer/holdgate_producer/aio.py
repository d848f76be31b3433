"""The client for asyncio programs: the same methods as coroutines, over the same core."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType

from holdgate_schema.messages import (
    ChangeHold,
    Client,
    Command,
    ExtendHold,
    GetAvailability,
    PlaceHold,
    ReleaseHold,
)
from holdgate_schema.outcomes import Answer, Availability, Changed, Extended, Held, Refused, Released

from .client import core_of, expect, timeout_of
from .config import ClientConfig
from .core import AnswerFuture, Stats
from .link import Link, Request
from .outgoing import command_of, request_of


class AsyncBookingClient:
    """`BookingClient` for one event loop, with the same promises and the same errors.

    Cancelling a call stops waiting for the answer; the request is on its way all the same.
    """

    def __init__(self, config: ClientConfig | None = None, *, link: Link | None = None) -> None:
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
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Held | Refused:
        """Take the whole basket or nothing. Without a session one is issued: `answer.hold.session_id`."""
        command = command_of(
            PlaceHold,
            request_id=request_id,
            occurrence_id=occurrence_id,
            items=items,
            extras=extras,
            session_id=session_id,
            user_id=user_id,
            client=client,
            ttl_seconds=ttl_seconds,
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
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Changed | Refused:
        """Set the hold's quantities to these absolute numbers; its expiry does not move."""
        command = command_of(
            ChangeHold,
            request_id=request_id,
            occurrence_id=occurrence_id,
            session_id=session_id,
            hold_id=hold_id,
            items=items,
            extras=extras,
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
        self, occurrence_id: str, *, request_id: str | None = None, timeout_seconds: float | None = None
    ) -> Availability | Refused:
        """What could be held right now."""
        command = command_of(GetAvailability, request_id=request_id, occurrence_id=occurrence_id)
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
        timeout = timeout_of(self._config, timeout_seconds)
        requests = [request_of(command, self._config.traceparent) for command in commands]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        async with self._turn:
            futures = await self._take(requests, deadline)
        return [asyncio.wrap_future(future, loop=loop) for future in futures]

    async def _take(self, requests: Sequence[Request], deadline: float) -> list[AnswerFuture]:
        loop = asyncio.get_running_loop()
        futures = self._core.take(requests, deadline - loop.time())
        while len(futures) < len(requests):
            rest = requests[len(futures) :]
            if not await self._room(deadline):
                return futures + self._core.without_room(rest)
            futures += self._core.take(rest, deadline - loop.time())
        return futures

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


def _set(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    """From any thread, and harmless if the loop has ended."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(event.set)
