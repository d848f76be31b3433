"""Calendar feeds beside `/metrics`: `GET /calendar/<product>.ics?token=…`, for programs that subscribe to them."""

from __future__ import annotations

import hmac
import re
import threading
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import structlog

from holdgate_workers.adapters.calendars.feed import product_feed
from holdgate_workers.adapters.postgres.connection import DatabaseError, DatabaseUnavailable
from holdgate_workers.adapters.postgres.slots import ProductSlots, SlotBook

from .health import PageAnswer

log = structlog.get_logger("holdgate.calendar")

FRESH_SECONDS = 300
RETRY_SECONDS = 30
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
            # One at a time, on a connection of its own: feeds are asked for every few minutes.
            with self._lock, closing(SlotBook(self._database_url)) as book:
                found = book.of_product(path[1])
        except (DatabaseUnavailable, DatabaseError) as exc:
            log.error("calendar_not_read", problem=str(exc))
            return _said(HTTPStatus.SERVICE_UNAVAILABLE, "not now", **{"Retry-After": str(RETRY_SECONDS)})
        if found is None:
            return _said(HTTPStatus.NOT_FOUND, "there is no such product")
        return self._feed(found, environ)

    def _feed(self, found: ProductSlots, environ: Mapping[str, Any]) -> PageAnswer:
        content = product_feed(found.title, found.slots, domain=self._domain)
        etag = f'"{sha256(content).hexdigest()[:32]}"'
        headers = {"ETag": etag, "Cache-Control": f"private, max-age={FRESH_SECONDS}"}
        if found.changed_at is not None:
            headers["Last-Modified"] = format_datetime(found.changed_at.astimezone(UTC), usegmt=True)
        if _is_known(environ, etag, found.changed_at):
            return PageAnswer(HTTPStatus.NOT_MODIFIED, headers=headers)
        headers |= {"Content-Type": "text/calendar; charset=utf-8", "Content-Length": str(len(content))}
        return PageAnswer(HTTPStatus.OK, content, headers)


def _text(path: str) -> str:
    """The path as it was meant: WSGI hands bytes over as if they were Latin-1."""
    return path.encode("latin-1").decode(errors="replace")


def _token(environ: Mapping[str, Any]) -> bytes:
    query = parse_qs(str(environ.get("QUERY_STRING", ""))[:QUERY_CHARS_MAX])
    return query.get("token", [""])[0].encode()


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
