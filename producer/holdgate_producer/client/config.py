"""How a client is set up: one frozen object, checked once, all problems told together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite
from urllib.parse import urlsplit

import pika

from holdgate_producer.core.errors import InvalidConfig
from holdgate_schema.cache import HOUSE_DEFAULT, is_house
from holdgate_schema.errors import FieldError

APP_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")

_SECONDS = (
    "timeout_seconds",
    "confirm_timeout_seconds",
    "answer_silence_seconds",
    "repeat_seconds",
    "blocked_timeout_seconds",
    "reconnect_min_seconds",
    "reconnect_max_seconds",
    "cache_age_max_seconds",
    "cache_timeout_seconds",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """Settings of one client. Raises `InvalidConfig` with every problem at once.

    - `url`: `amqp://user:password@host:port/vhost` or `amqps://…`; never shown in errors or `repr`. Where
      the service is installed beside the client also `embedded:` and the data folder of a `holdgate up` on this
      machine (`embedded:.holdgate`).
    - `app_id`: the name of your program, 1 to 64 of `A–Z a–z 0–9 _ . -`; seen by operators.
    - `timeout_seconds`: how long a request may wait for its answer, reconnects included.
    - `confirm_timeout_seconds`: so long without any publisher confirm while some are due, and the connection
      counts as dead and is replaced.
    - `answer_silence_seconds`: so long, or up to twice as long, without any answer while some are due, and the
      connection is replaced: the broker may have forgotten where the answers go.
    - `repeat_seconds`: so long without a second answer, and the request is sent again to ask for it; the pause is
      doubled a few times.
    - `in_flight_max`: unanswered requests at one time; further sends wait for room, at most their own timeout.
    - `heartbeat_seconds`, `blocked_timeout_seconds`: AMQP heartbeat; how long the broker may block the connection.
    - `reconnect_min_seconds`, `reconnect_max_seconds`: the pause before a new connection is drawn at random
      from 0 to a bound that doubles from the first to the second.
    - `cache_url`: `redis://…` or `rediss://…` of the read side, for `availability(…, cached=True)`; needs
      `holdgate[cache]`. None: such calls ask the gate.
    - `cache_house`: the house's name in that Redis, HOLDGATE_HOUSE of its workers.
    - `cache_age_max_seconds`: how long ago a cached answer may have been the gate's own; an older one is not used.
    - `cache_timeout_seconds`: how long Redis may take, for connecting and for each answer, before the gate is asked.
    - `traceparent`: called per request for the W3C trace context to send along.
    """

    url: str
    app_id: str
    timeout_seconds: float = 10.0
    confirm_timeout_seconds: float = 5.0
    answer_silence_seconds: float = 15.0
    repeat_seconds: float = 5.0
    in_flight_max: int = 5_000
    heartbeat_seconds: int = 10
    blocked_timeout_seconds: float = 60.0
    reconnect_min_seconds: float = 0.2
    reconnect_max_seconds: float = 10.0
    cache_url: str | None = None
    cache_house: str = HOUSE_DEFAULT
    cache_age_max_seconds: float = 5.0
    cache_timeout_seconds: float = 0.1
    traceparent: Callable[[], str | None] | None = None

    def __post_init__(self) -> None:
        errors = [*_url_errors(self.url), *self._other_errors()]
        if errors:
            raise InvalidConfig(errors)

    def __repr__(self) -> str:
        return f"ClientConfig(app_id={self.app_id!r}, timeout_seconds={self.timeout_seconds!r}, …)"

    @property
    def scheme(self) -> str:
        """What the URL begins with: `amqp`, `amqps` or `embedded`."""
        return urlsplit(self.url).scheme

    def _other_errors(self) -> Iterator[FieldError]:
        if not isinstance(self.app_id, str) or not APP_ID.match(self.app_id):
            yield FieldError("app_id", "must be 1 to 64 of A-Z a-z 0-9 _ . -")
        for name in _SECONDS:
            if not is_positive(getattr(self, name)):
                yield FieldError(name, "must be a number of seconds above 0")
        if not _is_int(self.in_flight_max) or not 1 <= self.in_flight_max <= 100_000:
            yield FieldError("in_flight_max", "must be a whole number from 1 to 100000")
        if not _is_int(self.heartbeat_seconds) or not 2 <= self.heartbeat_seconds <= 600:
            yield FieldError("heartbeat_seconds", "must be a whole number from 2 to 600")
        if self.cache_url is not None and not _is_redis(self.cache_url):
            yield FieldError("cache_url", "must be redis://user:password@host:port/number or rediss://…")
        if not is_house(self.cache_house):
            yield FieldError("cache_house", "must be 1 to 64 of A-Z a-z 0-9 _ . -")
        pauses = (self.reconnect_min_seconds, self.reconnect_max_seconds)
        if all(map(is_positive, pauses)) and pauses[0] > pauses[1]:
            yield FieldError("reconnect_max_seconds", "must not be below reconnect_min_seconds")


def is_positive(seconds: object) -> bool:
    """Whether this is a usable number of seconds."""
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and isfinite(seconds) and seconds > 0


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_redis(url: object) -> bool:
    try:
        return isinstance(url, str) and urlsplit(url).scheme in ("redis", "rediss")
    except ValueError:
        return False


def _url_errors(url: object) -> Iterator[FieldError]:
    """What is wrong with the URL, without repeating any of it: it has a password."""
    wanted = "must be amqp://user:password@host:port/vhost, amqps://… or embedded:folder"
    try:
        if not isinstance(url, str) or urlsplit(url).scheme not in ("amqp", "amqps", "embedded"):
            yield FieldError("url", wanted)
        elif urlsplit(url).scheme != "embedded":
            pika.URLParameters(url)
    except (ValueError, TypeError, OSError):
        yield FieldError("url", wanted)
