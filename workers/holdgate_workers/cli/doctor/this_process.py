"""The doctor on this process: Python, packages, configuration, Redis."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING

from holdgate_workers.cli import exits

from .check import Check, Checks

if TYPE_CHECKING:
    from holdgate_workers.config.environment import ServiceConfig

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)(\[[^]]*\])?(?P<bounds>[^;]*)(;(?P<marker>.*))?")
_LEAST = re.compile(r">=\s*([0-9][0-9.]*)")
OTHERS = ("HOLDGATE_DEBUG", "HOLDGATE_OUTPUT")
OTHER_FAMILIES = ("HOLDGATE_TEST_", "HOLDGATE_DEV_", "HOLDGATE_DEMO_", "HOLDGATE_BENCH_")
REDIS_URL = "HOLDGATE_REDIS_URL"


def here() -> Checks:
    """Python and the packages."""
    yield Check("here", "holdgate", "ok", f"{version('holdgate')} on Python {platform.python_version()}")
    problems, found = [], []
    for text in requires("holdgate") or []:
        match = _REQUIREMENT.match(text)
        if match is None or not _is_ours(match["marker"] or ""):
            continue
        name, problem = match["name"], _package_problem(match["name"], match["bounds"])
        found.append(name)
        if problem:
            problems.append(f"{name} {problem}")
    if problems:
        mend = "pip install --upgrade 'holdgate[service]'"
        yield Check("here", "packages", "fail", "; ".join(problems), mend)
    else:
        yield Check("here", "packages", "ok", f"{len(found)} installed, none too old")


def _is_ours(marker: str) -> bool:
    """The base's and the service's, without what depends on the platform."""
    return "extra ==" not in marker or ("service" in marker and "sys_platform" not in marker)


def _package_problem(name: str, bounds: str) -> str | None:
    try:
        installed = version(name)
    except PackageNotFoundError:
        return "is missing"
    least = _LEAST.search(bounds)
    if least and _numbers(installed) < _numbers(least[1]):
        return f"is {installed}, at least {least[1]} is needed"
    return None


def _numbers(text: str) -> tuple[int, ...]:
    match = re.match(r"[0-9]+(\.[0-9]+)*", text)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def configuration(config: ServiceConfig) -> Checks:
    """Which variables are set, and those that nothing reads."""
    fields = {f"HOLDGATE_{name.upper()}" for name in type(config).model_fields}
    given = sorted(name for name in os.environ if name.startswith("HOLDGATE_"))
    unknown = [
        name for name in given if name not in fields and name not in OTHERS and not name.startswith(OTHER_FAMILIES)
    ]
    if unknown:
        yield Check(
            "here",
            "configuration",
            "warn",
            f"nothing reads {', '.join(unknown)}",
            f"look for a typing mistake; there are: {', '.join(sorted(fields))}",
        )
    else:
        said = ", ".join(name for name in given if name in fields) or "defaults only"
        yield Check("here", "configuration", "ok", said)
    database = "embedded" if config.database_url is None else "by URL"
    queue = "in the database" if config.is_embedded else "RabbitMQ by URL"
    yield Check("here", "mode", "ok", f"database {database}, queue {queue}")


def redis() -> Checks:
    """Redis, if somebody wants it: whether it takes a write."""
    from holdgate_workers.adapters.redis.diagnosis import fault_of, try_writing
    from holdgate_workers.adapters.redis.health_checks import RedisUnavailable, version_of

    url = os.environ.get(REDIS_URL)
    if not url:
        yield Check("redis", "server", "skip", f"{REDIS_URL} is not set; it is optional")
        return
    try:
        yield Check("redis", "server", "ok", f"Redis {version_of(url)}")
    except RedisUnavailable as exc:
        fault = fault_of(exc)
        yield Check("redis", "server", "fail", fault.what, fault.mend, exits.NOT_RUNNING)
        return
    unwritable = try_writing(url, "holdgate:doctor")
    if unwritable is None:
        yield Check("redis", "writing", "ok", "a key was written; it goes by itself")
    else:
        yield Check("redis", "writing", "fail", unwritable.what, unwritable.mend)
