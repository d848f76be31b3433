"""The steps of a plan, sent round by round. It can be stopped anywhere: the same file goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from holdgate_schema.answers.holds import Answer, OccurrenceStored, Refused
from holdgate_workers.cli.failures import one_line, stderr_is_terminal
from holdgate_workers.domain.schedule.dates import Plan, Step
from holdgate_workers.domain.schedule.steps import put_as_stored
from holdgate_workers.ids import new_request_id

if TYPE_CHECKING:
    from holdgate_producer.client.client import BookingClient

AT_ONCE = 500
"""So many requests are under way at a time: enough to keep the queues busy, few enough to watch them."""

Failing = Literal["refused", "unknown", "not_sent"]


@dataclass(slots=True)
class Sent:
    """What became of the steps so far. `is_stopped`: somebody stopped it before its end."""

    total: int
    done: dict[str, str] = field(default_factory=dict)
    """Date -> what is to be said about it, mostly nothing."""
    failed: dict[str, tuple[Failing, str]] = field(default_factory=dict)
    """Date -> how, and why."""
    is_stopped: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether everything was done."""
        return not self.is_stopped and not self.failed


def send(client: BookingClient, plan: Plan, timeout_seconds: float) -> Sent:
    """Carry the plan out. A step whose start is not free because another one failed is not sent."""
    steps = [step for steps in plan.rounds for step in steps]
    sent = Sent(total=len({step.occurrence_id for step in steps}))
    left: set[str] = set()
    try:
        with _progress(len(steps)) as advance:
            for round_ in plan.rounds:
                for begin in range(0, len(round_), AT_ONCE):
                    _send_part(client, round_[begin : begin + AT_ONCE], plan, timeout_seconds, sent, left, advance)
        _take_back(client, plan, steps, sent, timeout_seconds)
    except KeyboardInterrupt:
        sent.is_stopped = True
    return sent


def _send_part(
    client: BookingClient,
    steps: Sequence[Step],
    plan: Plan,
    timeout_seconds: float,
    sent: Sent,
    left: set[str],
    advance: Callable[[], None],
) -> None:
    ready = []
    for step in steps:
        waits_for = None if step.yields else plan.after.get(step.occurrence_id)
        if waits_for is None or waits_for in left:
            ready.append(step)
        else:
            sent.failed[step.occurrence_id] = "not_sent", f"{waits_for!r} still has the start"
            advance()
    commands = [replace(step.command, request_id=new_request_id()) for step in ready]
    futures = client.send_many(commands, timeout_seconds=timeout_seconds)
    for step, future in zip(ready, futures, strict=True):
        problem, remark = _outcome(future)
        if problem is not None:
            sent.failed[step.occurrence_id] = problem, remark
        else:
            left.add(step.occurrence_id)
            if not step.yields:
                sent.done[step.occurrence_id] = remark
        advance()


def _take_back(
    client: BookingClient, plan: Plan, steps: Sequence[Step], sent: Sent, timeout_seconds: float
) -> None:
    """What yielded its start and then could not be moved has it again, unless another date is there by now."""
    before = {date.occurrence_id: date.before for date in plan.dates}
    stayed = [step.occurrence_id for step in steps if step.yields and step.occurrence_id not in sent.done]
    commands = [
        replace(put_as_stored(found), request_id=new_request_id())
        for key in stayed
        if (found := before[key]) is not None
    ]
    for future in client.send_many(commands, timeout_seconds=timeout_seconds):
        _outcome(future)


def _outcome(future: Future[Answer]) -> tuple[Failing | None, str]:
    from holdgate_producer.core.errors import ProducerError

    try:
        answer = future.result()
    except ProducerError as exc:
        return "unknown", one_line(str(exc))
    if isinstance(answer, OccurrenceStored):
        return None, ", ".join(f"{key}: {number} over capacity" for key, number in answer.deficit.items())
    if not isinstance(answer, Refused):
        return "refused", type(answer).__name__
    why = "; ".join(f"{error.field} {error.reason}" for error in answer.errors)
    return "refused", why or f"{answer.reason.value}: {answer.message}"


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("Putting dates"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not stderr_is_terminal(), transient=True) as progress:
        task = progress.add_task("put", total=total)
        yield lambda: progress.advance(task)
