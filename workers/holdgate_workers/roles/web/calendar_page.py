"""Calendar feeds beside `/metrics`: `GET /calendar/<product>.ics?token=…`, for programs that subscribe to them."""

from __future__ import annotations

import hmac
import re
import threading
from collections.abc import Mapping
from contextlib import ExitStack, closing
from datetime import UTC, date, datetime, time, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import IO, Any, cast
from urllib.parse import parse_qs

import structlog

from holdgate_workers.adapters.calendars.feed import feed_tag, left_out, product_feed
from holdgate_workers.adapters.postgres.connection import DatabaseError, DatabaseUnavailable
from holdgate_workers.adapters.postgres.notifications.slots import SlotBook
from holdgate_workers.app.notifications.facts import ProductSlots
from holdgate_workers.roles.process.health import PageAnswer
from holdgate_workers.wiring.faults import told

log = structlog.get_logger("holdgate.calendar")

FRESH_SECONDS = 300
RETRY_SECONDS = 30
PAST = timedelta(weeks=6)
"""A feed has what started since then, unless it is asked for more."""
IN_MEMORY_BYTES_MAX = 1 << 20
QUERY_CHARS_MAX = 1000

_PATH = re.compile(r"/calendar/(\S{1,64})\.ics")
_TEXT = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}


class CalendarPage:
    """A `Page`. Whoever has the token may see all products; the time that a wrong one takes says nothing of it."""

    def __init__(self, database_url: str, *, token: str, domain: str) -> None:
        self._database_url = database_url
        self._lock = threading.Lock()
        self._token = token.encode()
        self._domain = domain

    def __call__(self, environ: Mapping[str, Any]) -> PageAnswer | None:
        """A feed; 304 where the caller has it already."""
        path = _PATH.fullmatch(_text(environ.get("PATH_INFO", "")))
        if path is None:
            return None
        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            return _said(HTTPStatus.METHOD_NOT_ALLOWED, "only GET", Allow="GET, HEAD")
        if not hmac.compare_digest(_token(environ), self._token):
            return _said(HTTPStatus.FORBIDDEN, "a token is needed")
        try:
            since, until = _window(environ)
        except ValueError as exc:
            return _said(HTTPStatus.BAD_REQUEST, str(exc))
        try:
            # One at a time, on a connection of its own: feeds are asked for every few minutes.
            with self._lock, closing(SlotBook(self._database_url)) as book:
                answer = book.of_product(
                    path[1], lambda found: self._feed(found, environ), since=since, until=until, past=PAST
                )
        except (DatabaseUnavailable, DatabaseError) as exc:
            log.error("calendar_not_read", problem=told(exc))
            return _said(HTTPStatus.SERVICE_UNAVAILABLE, "not now", **{"Retry-After": str(RETRY_SECONDS)})
        return answer or _said(HTTPStatus.NOT_FOUND, "there is no such product")

    def _feed(self, found: ProductSlots, environ: Mapping[str, Any]) -> PageAnswer:
        etag = f'"{feed_tag(found, domain=self._domain)}"'
        headers = {"ETag": etag, "Cache-Control": f"private, max-age={FRESH_SECONDS}"}
        if found.changed_at is not None:
            headers["Last-Modified"] = format_datetime(found.changed_at.astimezone(UTC), usegmt=True)
        if _is_known(environ, etag, found.changed_at):
            return PageAnswer(HTTPStatus.NOT_MODIFIED, headers=headers)
        if found.left_out:
            headers["X-Holdgate-Left-Out"] = left_out(found)
        # Written aside first: a caller who reads slowly must not keep the database waiting.
        with ExitStack() as stack:
            file = stack.enter_context(SpooledTemporaryFile(max_size=IN_MEMORY_BYTES_MAX))
            for piece in product_feed(found, domain=self._domain):
                file.write(piece)
            stack.pop_all()
        headers |= {"Content-Type": "text/calendar; charset=utf-8", "Content-Length": str(file.tell())}
        file.seek(0)
        return PageAnswer(HTTPStatus.OK, headers=headers, file=cast(IO[bytes], file))


def _text(path: str) -> str:
    """The path as it was meant: WSGI hands bytes over as if they were Latin-1."""
    return path.encode("latin-1").decode(errors="replace")


def _token(environ: Mapping[str, Any]) -> bytes:
    query = parse_qs(str(environ.get("QUERY_STRING", ""))[:QUERY_CHARS_MAX])
    return query.get("token", [""])[0].encode()


def _window(environ: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    """From `from` on and before `until`, which are days in UTC. Raises `ValueError`."""
    query = parse_qs(str(environ.get("QUERY_STRING", ""))[:QUERY_CHARS_MAX])
    days: dict[str, datetime] = {}
    for name in ("from", "until"):
        if name in query:
            try:
                days[name] = datetime.combine(date.fromisoformat(query[name][0]), time(), UTC)
            except ValueError:
                raise ValueError(f"{name} is a day such as 2030-05-01") from None
    return days.get("from"), days.get("until")


def _is_known(environ: Mapping[str, Any], etag: str, changed_at: datetime | None) -> bool:
    """Whether the caller has just this (RFC 9110, 13.1: an ETag counts before a time)."""
    tags = environ.get("HTTP_IF_NONE_MATCH")
    if tags is not None:
        return "*" in tags or etag in (tag.strip().removeprefix("W/") for tag in tags.split(","))
    since = environ.get("HTTP_IF_MODIFIED_SINCE")
    if since is None or changed_at is None:
        return False
    try:
        return parsedate_to_datetime(since) >= changed_at.replace(microsecond=0)
    except (ValueError, TypeError):
        return False


def _said(status: HTTPStatus, words: str, **headers: str) -> PageAnswer:
    return PageAnswer(status, f"{words}\n".encode(), {**_TEXT, **headers})
