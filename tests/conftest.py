"""What every test gets."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

LONG_FIRST = ("chaos", "crash", "simulation", "e2e", "mutants", "properties")
"""Rooms whose files take long: begun early, so that no process is left with one of them at the end."""
LOGGERS = ("", "pika", "psycopg", "holdgate_workers", "holdgate_producer")

# How hard hypothesis looks, in every room that uses it: `HOLDGATE_EXAMPLES=5000 pytest tests/properties` looks harder.
settings.register_profile(
    "holdgate",
    max_examples=int(os.environ.get("HOLDGATE_EXAMPLES", "100")),
    deadline=None,  # a shared machine is slow at times, which is no defect
    derandomize="CI" in os.environ,  # a change is not held up by what another one did
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("holdgate")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order in which files are dealt out; within a file it stays as it is."""
    places = {room: place for place, room in enumerate(LONG_FIRST)}
    items.sort(key=lambda item: places.get(item.path.relative_to(Path(__file__).parent).parts[0], len(places)))


@pytest.fixture(autouse=True)
def log_levels_stay() -> Iterator[None]:
    """A command that is run in this process sets up logging for itself; the next test must not notice."""
    before = {name: logging.getLogger(name).level for name in LOGGERS}
    handlers = list(logging.getLogger().handlers)
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)
    root = logging.getLogger()
    for handler in list(root.handlers):
        if handler not in handlers and not type(handler).__module__.startswith("_pytest"):
            root.removeHandler(handler)
