"""What every test gets."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

LOGGERS = ("", "pika", "psycopg", "holdgate_workers", "holdgate_producer")


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
