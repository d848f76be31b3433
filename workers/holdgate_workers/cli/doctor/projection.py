"""The doctor on the read side in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdgate_workers.cli.output.formats import span

from .check import Check, Checks
from .cursors import behind

if TYPE_CHECKING:
    from holdgate_workers.adapters.postgres.maintenance.health_checks import Examination
    from holdgate_workers.config.environment import ServiceConfig

LAG_WARN_SECONDS = 30.0
CURSOR = "projection"
MEND = "reads fall back to the gate: holdgate worker projection"


def projection(config: ServiceConfig, examination: Examination) -> Checks:
    """How far the read side is behind, by its cursor and by its own word."""
    from holdgate_workers.adapters.redis.projection import CacheError, ProjectionCache

    if config.redis_url is None:
        yield Check("house", CURSOR, "skip", "there is no Redis, so there is no read side")
        return
    lag = next((lag for lag in examination.cursor_lags() if lag.name == CURSOR), None)
    if lag is None:
        yield Check("house", CURSOR, "warn", "has never run", MEND)
        return
    try:
        cache = ProjectionCache(config.redis_url, config.house)
        try:
            age = cache.age_seconds()
        finally:
            cache.close()
    except CacheError as exc:
        yield Check("house", CURSOR, "warn", f"Redis does not answer: {exc}", MEND)
        return
    if age is None:
        yield Check("house", CURSOR, "warn", "the read side is empty or being filled", MEND)
    elif max(age, lag.seconds) > LAG_WARN_SECONDS:
        yield behind(lag, CURSOR, f"the read side is {span(max(age, lag.seconds))} behind", MEND)
    else:
        yield Check("house", CURSOR, "ok", f"the read side is {span(age)} old")
