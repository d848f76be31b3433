"""What the doctor asks Redis."""

from __future__ import annotations

import redis

TIMEOUT_SECONDS = 3.0


class RedisUnavailable(Exception):
    """Redis cannot be reached or lets nobody in; the message does not repeat the URL."""


def version_of(url: str) -> str:
    """The version of the server that answers there. Raises `RedisUnavailable`."""
    try:
        with redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
        ) as client:
            found = client.info("server")
    except (redis.RedisError, ValueError, OSError) as exc:
        raise RedisUnavailable(str(exc).replace(url, "…") or type(exc).__name__) from exc
    return str(found.get("redis_version", "?")) if isinstance(found, dict) else "?"
