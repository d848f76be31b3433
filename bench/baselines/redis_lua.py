"""A counter in Redis, taken by a Lua script: as fast as it gets, and gone with the power.

No durability: what Redis has answered it may have forgotten after a crash, so this one shows what durability costs
rather than what could be used instead.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
import redis

from . import Absent
from .basket import TTL, Answer, Basket, Decide, held, sold_out

URL = os.environ.get("HOLDGATE_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
# The clock is Redis's own. The answer is made by the caller, who knows what is left only now, so the script stores
# what it needs to make the same one again.
TAKE = """
local before = redis.call('HGET', KEYS[2], 'taken')
if before then return cjson.decode(before) end
local left = redis.call('HMGET', KEYS[1], 'seats_left', 'reduced_left')
local time = redis.call('TIME')
local seats, reduced = left[1] - ARGV[1], left[2] - ARGV[2]
if seats < 0 or reduced < 0 then return {0, tonumber(left[1]), tonumber(left[2]), time[1], time[2]} end
redis.call('HSET', KEYS[1], 'seats_left', seats, 'reduced_left', reduced)
local taken = {1, seats, reduced, time[1], time[2]}
redis.call('HSET', KEYS[2], 'session', ARGV[3], 'items', ARGV[4], 'seats', ARGV[1], 'taken', cjson.encode(taken))
redis.call('ZADD', KEYS[3], time[1] + ARGV[5], KEYS[2])
return taken
"""


@contextmanager
def store(occurrence_id: str, capacity: int) -> Iterator[str]:
    """A prefix of one's own with one occurrence under it, as a URL's fragment. Raises `Absent`."""
    client = redis.Redis.from_url(URL)
    prefix = f"holdgate-bench-{secrets.token_hex(4)}"
    try:
        client.hset(f"{prefix}:{occurrence_id}", mapping={"seats_left": capacity, "reduced_left": capacity // 2})
    except redis.ConnectionError as exc:
        raise Absent(f"no Redis at {urlsplit(URL).hostname}: {exc}") from exc
    try:
        yield f"{URL}#{prefix}"
    finally:
        for key in client.scan_iter(f"{prefix}:*", count=1000):
            client.delete(key)
        client.close()


def seats_held(url: str) -> int:
    """What the keys say."""
    url, prefix = url.split("#")
    client = redis.Redis.from_url(url)
    keys = list(client.scan_iter(f"{prefix}:hold:*", count=1000))
    seats = sum(int(client.hget(key, "seats") or 0) for key in keys)
    client.close()
    return seats


def decider(url: str) -> Decide:
    """Decides on a connection of its own."""
    url, prefix = url.split("#")
    client: Any = redis.Redis.from_url(url)
    take = client.register_script(TAKE)

    def decide(basket: Basket) -> Answer:
        command = basket.command
        occurrence = f"{prefix}:{command.occurrence_id}"
        keys = [occurrence, f"{prefix}:hold:{command.request_id}", f"{occurrence}:due"]
        items = msgspec.json.encode(command.items)
        ttl_seconds = int(TTL.total_seconds())
        found = take(keys, [basket.seats, basket.reduced, command.session_id, items, ttl_seconds])
        granted, seats_left, reduced_left, seconds, micros = map(int, found)
        now = datetime.fromtimestamp(seconds + micros / 1e6, UTC)
        return (held if granted else sold_out)(basket, now, seats_left, reduced_left)

    return decide
