"""The wire between workers and servers: a relay that knows whose connection is whose, cuts it, and holds a COMMIT back.

Clients say who they are in their first words, AMQP and PostgreSQL alike; a connection is known by any part of those.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from tests.crash.frontend import Frames

T = TypeVar("T")

CHUNK_BYTES = 256 * 1024
FIRST_WORDS_BYTES = 4096
TURN_SECONDS = 10.0

Where = tuple[str, int] | Path
"""Host and port, or a Unix socket."""


How = Literal["kept", "unanswered"]

_COMMITTED = b"COMMIT\0"
"""The end of the server's word that it is done."""


class CommitTrap:
    """Catches the next COMMIT on the connections of one name: `kept` before the server hears of it, or `unanswered`
    though the server has done it. Until `release` nothing more goes in that direction.
    """

    def __init__(self, name: str, how: How, loop: asyncio.AbstractEventLoop) -> None:
        self.name, self.how = name.encode(), how
        self.caught = threading.Event()
        self._loop = loop
        self._released = asyncio.Event()

    def release(self) -> None:
        """Let go on what is left of it."""
        self._loop.call_soon_threadsafe(self._released.set)

    async def hold(self) -> None:
        """It is caught; comes back when it is released. For the relay."""
        self.caught.set()
        await self._released.wait()


class Wire:
    """Relays connections from a port of its own to one server."""

    def __init__(self, server: Where, *, speaks_postgres: bool = False) -> None:
        self._server = server
        self.speaks_postgres = speaks_postgres
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
        self._links: set[_Link] = set()
        self._listener: asyncio.Server | None = None
        self.trap: CommitTrap | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._listener = self._run(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TURN_SECONDS)
        self._loop.close()

    def cut(self, name: str) -> int:
        """Reset the connections of this name, both ends; how many there were."""
        return self._run(self._cut(name.encode()))

    def set_trap(self, name: str, how: How) -> CommitTrap:
        """Catch a COMMIT. One at a time."""
        self.trap = CommitTrap(name, how, self._loop)
        return self.trap

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(TURN_SECONDS)

    async def _cut(self, name: bytes) -> int:
        links = [link for link in self._links if name in link.first_words]
        for link in links:
            link.cut()
        return len(links)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(self, writer)
        self._links.add(link)
        try:
            if isinstance(self._server, Path):
                there = await asyncio.open_unix_connection(str(self._server))
            else:
                there = await asyncio.open_connection(*self._server)
            await link.relay(reader, *there)
        except OSError:
            pass
        finally:
            link.end()
            self._links.discard(link)

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Link:
    """One connection."""

    def __init__(self, wire: Wire, client: asyncio.StreamWriter) -> None:
        self.first_words = b""
        self._wire, self._client = wire, client
        self._far: asyncio.StreamWriter | None = None
        self._trap: CommitTrap | None = None
        self._frames = Frames() if wire.speaks_postgres else None

    def cut(self) -> None:
        """What a reset does. A COMMIT that is being kept is on its way and will arrive."""
        self._client.transport.abort()
        if self._far is not None and (self._trap is None or self._trap.how != "kept"):
            self._far.transport.abort()

    def end(self) -> None:
        """Whatever is still open."""
        self._client.transport.abort()
        if self._far is not None:
            self._far.transport.abort()

    async def relay(
        self, client: asyncio.StreamReader, server: asyncio.StreamReader, far: asyncio.StreamWriter
    ) -> None:
        """Until both directions are done."""
        self._far = far
        await asyncio.gather(self._thither(client, far), self._back(server))

    async def _thither(self, reader: asyncio.StreamReader, far: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if len(self.first_words) < FIRST_WORDS_BYTES:
                    self.first_words += data[:FIRST_WORDS_BYTES]
                await self._send(data, far)
        # What was said before the end is heard first.
        with suppress(OSError, RuntimeError):
            far.write_eof()

    async def _send(self, data: bytes, far: asyncio.StreamWriter) -> None:
        if self._frames is None:
            far.write(data)
        else:
            for piece, is_commit in self._frames.feed(data):
                if is_commit:
                    await self._look_for_trap()
                far.write(piece)
        await far.drain()

    async def _look_for_trap(self) -> None:
        trap = self._wire.trap
        if trap is not None and trap.name in self.first_words:
            self._wire.trap, self._trap = None, trap
            if trap.how == "kept":
                await trap.hold()

    async def _back(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                trap = self._trap
                if trap is not None and trap.how == "unanswered" and _COMMITTED in data:
                    await trap.hold()
                self._client.write(data)
                await self._client.drain()
        self._client.close()
