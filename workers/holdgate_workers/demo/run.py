"""The course of an on-sale: clients get ready, start together, one worker dies, all settle, and it is counted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Protocol

from .notes import read_notes
from .plan import Scenario, plan
from .processes import client, crew, notes_file
from .recount.rows import Ledger, Progress
from .recount.verdict import Verdict, judge

POLL_SECONDS = 0.25
RUN_SECONDS_MAX = 180.0
"""On top of the planned time; clients that hang after that are killed, and what they asked for counts as lost."""
SETTLE_SECONDS_MAX = 20.0
TELL_SECONDS_MAX = 15.0


class Show(Protocol):
    """Who tells the human how it goes."""

    def say(self, text: str) -> None:
        """Something happened."""

    def progress(self, progress: Progress) -> None:
        """The numbers moved."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Course:
    """Everything that a run needs. `kill` ends a worker, is called once `kill_after` requests are decided, and
    says whom it hit."""

    scenario: Scenario
    folder: Path
    told: dict[str, str]
    kill_after: int | None = None
    kill: Callable[[Progress], str] | None = None


def run(course: Course, ledger: Ledger, show: Show) -> Verdict:
    """Run it and judge it. Raises `CrewError` if a client cannot start, `DatabaseUnavailable`."""
    scenario = course.scenario
    paced = scenario.seconds > 0
    scripts = plan(scenario)
    with crew([]) as children:
        children += [
            client(number, script, course.folder, course.told, paced=paced)
            for number, script in enumerate(scripts)
        ]
        for child in children:
            child.wait_ready()
        show.say(f"{len(children)} clients are connected and start together")
        for child in children:
            child.go()
        watch = _Watch(course, ledger, show)
        watch.until(lambda _: all(child.ended for child in children), scenario.seconds + RUN_SECONDS_MAX)
    show.say("every client has its answers; the last short holds run out")
    watch.until(lambda progress: progress.short_lived == 0, SETTLE_SECONDS_MAX)
    rows = ledger.rows()
    events = sum(len(row.events) for row in rows.journal)
    watch.until(lambda progress: progress.told >= events, TELL_SECONDS_MAX)
    notes = read_notes(notes_file(course.folder, number) for number in range(scenario.clients))
    return judge(scenario.put, ledger.rows(), notes)


class _Watch:
    """Looks at the numbers again and again, and kills the worker when it is time."""

    def __init__(self, course: Course, ledger: Ledger, show: Show) -> None:
        self._course = course
        self._ledger = ledger
        self._show = show
        self._kill_after = course.kill_after
        self._pause = threading.Event()

    def until(self, done: Callable[[Progress], bool], seconds: float) -> None:
        """Until it is done or the time is over."""
        deadline = monotonic() + seconds
        while True:
            progress = self._ledger.progress()
            self._show.progress(progress)
            if done(progress) or monotonic() >= deadline:
                return
            if self._kill_after is not None and progress.decided >= self._kill_after and self._course.kill:
                self._kill_after = None
                self._show.say(self._course.kill(progress))
            self._pause.wait(POLL_SECONDS)
