"""Requests that come when they come: at random moments fixed beforehand, whether or not we keep up.

Latency counts from the moment a request was meant to be sent, so that a stall is felt by everybody who would have
come during it (no coordinated omission).
"""

from __future__ import annotations

import gc
import math
import random
import select
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from holdgate_schema.commands.holds import PlaceHold

from .amqp import Wire, publisher
from .load import Replies, message

LEAD_SECONDS = 0.1
GRACE_SECONDS = 60.0
QUIET_SECONDS = 2.0
CHUNK = 50
"""So many overdue requests are sent before answers are looked for again."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A request and its answer; the times are seconds since the beginning."""

    intended: float
    at: float
    kind: str

    @property
    def latency(self) -> float:
        """From the moment it was meant to be sent."""
        return self.at - self.intended


@dataclass(frozen=True)
class Run:
    """What came of an open loop, in the order in which the requests were sent."""

    started: float
    """On the monotonic clock."""
    answered: list[Answered]
    late_seconds: float
    """How late the latest request left our hands; it counts as latency."""
    asked_again: int = 0
    """Of how many the answer was lost; only where somebody dies."""

    def latencies(self, start: float = 0.0, end: float = math.inf) -> list[float]:
        """Sorted, of the requests meant to be sent in this time."""
        return sorted(found.latency for found in self.answered if start <= found.intended < end)

    def windows(self, width_seconds: float, percent: float) -> list[tuple[float, float]]:
        """The beginning of each stretch of time, and that percentile of the latencies in it, in ms."""
        by_window: dict[int, list[float]] = {}
        for found in self.answered:
            by_window.setdefault(int(found.intended / width_seconds), []).append(found.latency)
        return [
            (number * width_seconds, percentile(sorted(latencies), percent) * 1e3)
            for number, latencies in sorted(by_window.items())
        ]


@dataclass
class Alarm:
    """Something to be done at a moment of the run. `rang` is when it really was."""

    at: float
    ring: Callable[[], None]
    rang: float = math.nan


def poisson(rate_per_second: float, seconds: float, *, seed: int = 1) -> list[float]:
    """Moments at which independent buyers come, so many a second on average."""
    generator = random.Random(seed)
    moments: list[float] = []
    moment = generator.expovariate(rate_per_second)
    while moment < seconds:
        moments.append(moment)
        moment += generator.expovariate(rate_per_second)
    return moments


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent do not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def run(
    url: str,
    commands: Sequence[PlaceHold],
    moments: Sequence[float],
    alarms: Sequence[Alarm] = (),
    *,
    somebody_dies: bool = False,
) -> Run:
    """Send each request at its moment and wait for all the answers. Raises `TimeoutError` if some stay away.

    Each request has exactly one answer. If somebody dies, an answer may come twice, then the first counts, and one
    that is lost with him is asked for again under the same id, as any client would.
    """
    messages = [message(command) for command in commands]
    replies, out = Replies(url), publisher(url)
    try:
        with _no_garbage_collection():
            started = time.monotonic() + LEAD_SECONDS
            late = _send(replies.wire, out, messages, [started + moment for moment in moments], alarms, started)
            asked_again = _ask_again(replies, out, commands) if somebody_dies else 0
            # Nothing else meanwhile: what is read late counts as answered late.
            replies.wait_for(len(commands), GRACE_SECONDS)
            while len(answers := _first_answers(replies)) < len(commands):
                replies.wait_for(len(replies.received) + len(commands) - len(answers), GRACE_SECONDS)
    finally:
        out.close()
        replies.close()
    assert not out.received, "a request could not be routed"
    assert somebody_dies or len(answers) == len(replies.received), "answered twice"
    found = [
        Answered(moment, at - started, kind)
        for command, moment in zip(commands, moments, strict=True)
        for at, kind in [answers[command.request_id]]
    ]
    return Run(started, found, late, asked_again)


def _first_answers(replies: Replies) -> dict[str, tuple[float, str]]:
    """When, and what, by request id."""
    answers: dict[str, tuple[float, str]] = {}
    for at, found in replies.decoded():
        answers.setdefault(found.correlation_id, (at, found.type))
    return answers


def _ask_again(replies: Replies, out: Wire, commands: Sequence[PlaceHold]) -> int:
    """Once nothing has come for a while, send what is unanswered; how many that were."""
    while replies.wire.read(QUIET_SECONDS):
        pass
    answers = _first_answers(replies)
    unanswered = [message(command) for command in commands if command.request_id not in answers]
    out.publish(b"".join(unanswered), len(unanswered))
    return len(unanswered)


def _send(
    answers: Wire,
    out: Wire,
    messages: Sequence[bytes],
    due: Sequence[float],
    alarms: Sequence[Alarm],
    started: float,
) -> float:
    """One thread, two sockets: what is due goes out, what has come is noted. How late the latest request was."""
    waiting = deque(sorted(alarms, key=lambda alarm: alarm.at))
    late, following, pending = 0.0, 0, memoryview(b"")
    while following < len(messages) or pending or waiting:
        now = time.monotonic()
        if waiting and waiting[0].at <= now - started:
            waiting[0].rang = now - started
            waiting.popleft().ring()
        if not pending and following < len(messages) and due[following] <= now:
            first = following
            while following < min(len(messages), first + CHUNK) and due[following] <= now:
                following += 1
            pending = memoryview(b"".join(messages[first:following]))
            late = max(late, now - due[first])
        pending = pending[out.publish_some(pending) :] if pending else pending
        alarm = started + waiting[0].at if waiting else math.inf
        wake = min(alarm, due[following] if following < len(due) and not pending else math.inf)
        timeout = min(1.0, max(0.0, wake - time.monotonic()))
        for wire in select.select([answers, out], [out] if pending else [], [], timeout)[0]:
            wire.read(0)
    return late


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A collection among so many messages would look like somebody's latency."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
