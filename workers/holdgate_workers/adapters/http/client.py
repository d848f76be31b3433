"""One request to one target, bounded in every way.

Each request has a connection of its own. A kept one may be closed by the server in the moment in which we write to
it, and then nobody knows whether the request was done; a handshake costs less than finding out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from .responses import Answer, NoAnswer, Outcome, retry_after_seconds
from .target import Target

BODY_BYTES_MAX = 1 << 20
DETAIL_CHARACTERS_MAX = 200

_HEADERS = {
    "User-Agent": "holdgate",
    "Accept": "application/json",
    # A few bytes can unpack to gigabytes.
    "Accept-Encoding": "identity",
    "Connection": "close",
}
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.ProxyError,
)

# They log whole addresses and headers, and the address of a hook may be its secret.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(slots=True, frozen=True)
class Timeouts:
    """`read_seconds` is the longest silence, `total_seconds` the longest request, however busy the line is."""

    connect_seconds: float = 5.0
    read_seconds: float = 20.0
    total_seconds: float = 30.0


TIMEOUTS = Timeouts()


class HttpClient:
    """Sends requests to one target and reads JSON. Safe for several threads; not for use inside an event loop.

    Certificates are always verified (SSL_CERT_FILE adds a private authority), redirects are not followed, nothing is
    taken from the environment's proxy settings, and answers are read up to `body_bytes_max`. `headers` go with
    every request and may be secret: they appear in no log, repr or result.
    """

    def __init__(
        self,
        target: Target,
        *,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts = TIMEOUTS,
        body_bytes_max: int = BODY_BYTES_MAX,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.target = target
        self._headers = {**_HEADERS, **(headers or {})}
        self._timeouts = timeouts
        self._body_bytes_max = body_bytes_max
        self._transport = transport
        self._tls = httpx.create_ssl_context()

    def send(
        self,
        method: str,
        path: str = "",
        *,
        query: tuple[tuple[str, str], ...] = (),
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Send a request, with a JSON body if one is given. Never raises for what the network or the server does."""
        given = {**self._headers, **(headers or {})}
        if body is not None:
            given.setdefault("Content-Type", "application/json")
        exchange = _Exchange(self._body_bytes_max)
        request = httpx.Request(method, self.target.url(path, query), headers=given, content=body)
        request.extensions = {"trace": exchange.note, "timeout": self._httpx_timeout().as_dict()}
        return asyncio.run(self._run(exchange, request))

    async def _run(self, exchange: _Exchange, request: httpx.Request) -> Outcome:
        try:
            async with asyncio.timeout(self._timeouts.total_seconds), self._httpx_client() as client:
                response = await client.send(request, stream=True)
                try:
                    return await exchange.read(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            return exchange.broken(f"took longer than {self._timeouts.total_seconds:g} s", exchange.sending)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as exc:
            return exchange.broken(_short(exc), exchange.sending or not isinstance(exc, _NOT_SENT))

    def _httpx_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=self._tls, transport=self._transport, follow_redirects=False, trust_env=False
        )

    def _httpx_timeout(self) -> httpx.Timeout:
        timeouts = self._timeouts
        return httpx.Timeout(timeouts.read_seconds, connect=timeouts.connect_seconds)


class _Exchange:
    """How far one request has come."""

    def __init__(self, body_bytes_max: int) -> None:
        self._body_bytes_max = body_bytes_max
        self._answer: Answer | None = None
        self.sending = False

    async def note(self, event: str, _info: Mapping[str, Any]) -> None:
        """Told by the connection at every step."""
        if event.endswith("send_request_headers.started"):
            self.sending = True

    def broken(self, problem: str, sent: bool) -> Outcome:
        """It ended before its end: from the status line on, at least that is known."""
        if self._answer is None:
            return NoAnswer(sent, problem)
        return self._without_body(problem)

    async def read(self, response: httpx.Response) -> Answer:
        self._answer = Answer(
            response.status_code,
            retry_after_seconds=retry_after_seconds(response.headers),
            redirect_to=_origin_of_redirect(response),
        )
        problem = self._unreadable(response)
        if problem:
            return self._without_body(problem)
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._body_bytes_max:
                return self._without_body(f"the answer is larger than {self._body_bytes_max} bytes")
        return self._with(body=bytes(body))

    def _unreadable(self, response: httpx.Response) -> str:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            return "the answer is compressed, which was not asked for"
        length = response.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._body_bytes_max:
            return f"the answer is larger than {self._body_bytes_max} bytes"
        if not _is_json(response.headers.get("content-type", "")):
            return "the answer is not JSON"
        return ""

    def _without_body(self, problem: str) -> Answer:
        return self._with(problem=problem)

    def _with(self, *, body: bytes = b"", problem: str = "") -> Answer:
        seen = self._answer
        assert seen is not None
        return Answer(seen.status, body, problem, seen.retry_after_seconds, seen.redirect_to)


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _origin_of_redirect(response: httpx.Response) -> str:
    if not response.is_redirect:
        return ""
    try:
        to = response.url.join(response.headers["location"])
    except (httpx.InvalidURL, KeyError, UnicodeError):
        return "somewhere"
    return f"{to.scheme}://{to.host}"


def _short(exc: Exception) -> str:
    text = " ".join(str(exc).split())[:DETAIL_CHARACTERS_MAX]
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__
