"""The read side in Redis, as the client uses it: quick, or not at all.

It can be absent, down, slow, empty or behind, and none of that is an error: the gate is asked instead. Only a cache
that is configured without the package that it needs is one, when the client is made.
"""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import Any, Protocol

from msgspec.structs import replace

from holdgate_producer.core.errors import InvalidConfig
from holdgate_producer.core.outgoing import request_of
from holdgate_schema.answers.holds import Availability
from holdgate_schema.cache import (
    AT,
    BODY,
    FRESH,
    GENERATION,
    UNTIL,
    age_milliseconds,
    availability_key,
    marker_key,
)
from holdgate_schema.codec import decode_answer
from holdgate_schema.commands.holds import GetAvailability
from holdgate_schema.errors import FieldError, InvalidMessage

from .config import ClientConfig

REST_SECONDS = 1.0
"""After a failure Redis is left alone for so long, so that one that hangs does not cost every call its timeout."""
CONNECTIONS_MAX = 32


class Cache(Protocol):
    """Where availabilities may be found. Used from any thread; quick, and raises nothing."""

    def read(self, occurrence_id: str) -> Availability | None:
        """An answer that is not too old, or None."""

    def close(self) -> None:
        """Hang up. Idempotent."""


def cache_of(config: ClientConfig | None) -> Cache | None:
    """The cache that the configuration asks for; raises `InvalidConfig` if its package is not installed."""
    return None if config is None or config.cache_url is None else RedisCache(config)


def cached_answer(cache: Cache, command: GetAvailability) -> Availability | None:
    """The cached answer to this very command; raises `InvalidRequest` for one that the gate would not read."""
    request_of(command)
    found = cache.read(command.occurrence_id)
    return None if found is None else replace(found, request_id=command.request_id)


class RedisCache:
    """The entries that the role `projection` writes."""

    def __init__(self, config: ClientConfig) -> None:
        assert config.cache_url is not None
        self._house = config.cache_house
        self._age_max = config.cache_age_max_seconds * 1000
        self._redis, self._errors = _connected(config.cache_url, config.cache_timeout_seconds)
        self._rests_until = 0.0
        self._closed = False

    def read(self, occurrence_id: str) -> Availability | None:
        """The entry, unless Redis fails, has none, or cannot say that it is fresh enough."""
        if self._closed or monotonic() < self._rests_until:
            return None
        try:
            pipeline = self._redis.pipeline(transaction=False)
            # In this order: every decision up to the marker's instant is in the entry that is read after it.
            pipeline.hmget(marker_key(self._house), GENERATION, FRESH)
            pipeline.hmget(availability_key(self._house, occurrence_id), GENERATION, AT, UNTIL, BODY)
            pipeline.time()
            marker, entry, now = pipeline.execute()
            return self._usable(marker, entry, now)
        except self._errors:
            self._rests_until = monotonic() + REST_SECONDS
            return None

    def close(self) -> None:
        """Hang up; nothing is found any more."""
        self._closed = True
        with suppress(*self._errors):
            self._redis.close()

    def _usable(
        self, marker: list[bytes | None], entry: list[bytes | None], now: tuple[int, int]
    ) -> Availability | None:
        generation, fresh = marker
        written, at, until, body = entry
        if generation is None or written != generation or at is None or body is None:
            return None
        age = age_milliseconds(
            int(now[0]) * 1000 + int(now[1]) // 1000,
            int(at),
            int(until) if until else None,
            int(fresh) if fresh else None,
        )
        if age > self._age_max:
            return None
        try:
            answer = decode_answer(body)
        except InvalidMessage:
            return None
        return answer if isinstance(answer, Availability) else None


def _connected(url: str, timeout_seconds: float) -> tuple[Any, tuple[type[Exception], ...]]:
    """A client that connects on first use, and what it may raise."""
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ModuleNotFoundError as exc:
        text = f"needs a package that is not installed ({exc.name}): pip install 'holdgate[cache]'"
        raise InvalidConfig([FieldError("cache_url", text)]) from exc
    try:
        client = redis.Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            max_connections=CONNECTIONS_MAX,
            retry=Retry(NoBackoff(), 0),
            client_name="holdgate-client",
        )
    except ValueError:
        text = "must be redis://user:password@host:port/number or rediss://…"
        raise InvalidConfig([FieldError("cache_url", text)]) from None
    return client, (redis.RedisError, OSError, ValueError)
