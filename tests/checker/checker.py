"""The verdict on a recording: the records among themselves, and all decisions against the model.

The two look at the same recording and need nothing of one another but, at the end, which of several bodies was decided.
So each can have a process of its own.
"""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.checker.accounts import Accounts
from tests.checker.asked import Inquiry
from tests.checker.recording import Recording
from tests.checker.replay import Replay
from tests.checker.verdict import Report

Replayed = tuple[Report, dict[str, list[int]]]


def check(recording: Recording, *, processes: int = 1) -> Report:
    """Judge a recording, with one process or two. The report is the same."""
    with _no_collecting():
        report = Report()
        ahead = _beside if processes > 1 else _at_once
        with ahead(lambda: _replayed(recording)) as replayed:
            accounts = Accounts(report, recording, _asked(recording, Inquiry(report)))
            accounts.read()
            found, fitting = replayed()
        report.add(found)
        accounts.close(fitting)
        return report


def _asked(recording: Recording, inquiry: Inquiry) -> Inquiry:
    inquiry.read_clients(recording)
    inquiry.read_tap(recording)
    return inquiry


def _replayed(recording: Recording) -> Replayed:
    replay = Replay(Report(), recording, _asked(recording, Inquiry(Report(), whole=False)))
    replay.read()
    return replay.report, replay.fitting


@contextmanager
def _at_once(work: Callable[[], Replayed]) -> Iterator[Callable[[], Replayed]]:
    done = work()
    yield lambda: done


@contextmanager
def _beside(work: Callable[[], Replayed]) -> Iterator[Callable[[], Replayed]]:
    """In a copy of this process."""
    here, there = multiprocessing.Pipe(duplex=False)

    def tell() -> None:
        there.send(work())

    process = multiprocessing.get_context("fork").Process(target=tell, name="replay", daemon=True)
    process.start()
    there.close()
    try:
        yield here.recv
    finally:
        process.terminate()
        process.join()


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Millions of objects and no cycles: looking for those again and again would take half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
