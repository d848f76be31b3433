"""A TCP relay that can be cut: what a client behind it does then is what a killed process does to its server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

_CHUNK_BYTES = 256 * 1024
_FIRST_BYTES = 2_000


class TcpProxy:
    """Relays connections to one server. Closes both ends with a reset when it is cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._first_words: dict[asyncio.StreamWriter, bytearray] = {}
        self._answers = asyncio.Event()
        self._answers.set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)
        self._thread.start()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.open()

    def open(self) -> None:
        """Accept connections, on the same port as before."""
        self._server = self._run(asyncio.start_server(self._relay, "127.0.0.1", self.port))
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Reset every connection; new ones are refused until `open`."""
        self._run(self._cut())

    def break_connections(self, *, saying: bytes = b"") -> int:
        """Reset every connection, or those whose clients have said this in their first bytes; new ones are welcome.
        Returns how many clients were cut off."""
        return int(self._run(self._break(saying)))

    def clients(self, *, saying: bytes) -> int:
        """How many clients are connected that have said this in their first bytes."""
        return sum(saying in said for said in self._first_words.copy().values())

    def hold_answers(self) -> None:
        """Keep what the server says from now on, while it hears everything."""
        self._loop.call_soon_threadsafe(self._answers.clear)

    def release_answers(self) -> None:
        self._loop.call_soon_threadsafe(self._answers.set)

    def tell_clients(self, data: bytes) -> None:
        """Say something in the server's name; sensible only while the server itself says nothing."""
        self._run(self._tell(data))

    def close(self) -> None:
        self.release_answers()
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _run(self, coroutine):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(5)

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._reset()

    async def _tell(self, data: bytes) -> None:
        for writer in self._clients:
            writer.write(data)

    async def _break(self, saying: bytes) -> int:
        if not saying:
            number = len(self._clients)
            await self._reset()
            return number
        hit = [writer for writer, said in self._first_words.items() if saying in said]
        for writer in hit:
            writer.transport.abort()
        return len(hit)

    async def _reset(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()
        self._answers.set()
        while self._writers:
            await asyncio.sleep(0.001)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._clients.add(writer)
        said = self._first_words[writer] = bytearray()
        try:
            there, thither = await asyncio.open_connection(*self._target)
            self._writers.add(thither)
            try:
                await asyncio.gather(_pump(reader, thither, said=said), _pump(there, writer, self._answers))
            finally:
                thither.transport.abort()
                self._writers.discard(thither)
        except OSError:
            pass
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._clients.discard(writer)
            self._first_words.pop(writer, None)


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    gate: asyncio.Event | None = None,
    said: bytearray | None = None,
) -> None:
    """One direction; when it ends, both do."""
    with suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            if gate is not None:
                await gate.wait()
            if said is not None and len(said) < _FIRST_BYTES:
                said += data[:_FIRST_BYTES]
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


@contextmanager
def proxied(url: str, default_port: int) -> Iterator[tuple[TcpProxy, str]]:
    """A proxy in front of the URL's server, and the URL that leads through it."""
    parts = urlsplit(url)
    proxy = TcpProxy(parts.hostname or "127.0.0.1", parts.port or default_port)
    login = parts.netloc.rpartition("@")[0]
    netloc = f"{login}@127.0.0.1:{proxy.port}" if login else f"127.0.0.1:{proxy.port}"
    try:
        yield proxy, urlunsplit(parts._replace(netloc=netloc))
    finally:
        proxy.close()
