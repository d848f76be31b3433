"""The doctor on what follows from decisions: tasks, and bookings that wait for a person."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from holdgate_workers.cli.output.formats import span

from .check import Check, Checks

if TYPE_CHECKING:
    from holdgate_workers.adapters.postgres.tasks.table import TaskCount

OVERDUE_WARN_SECONDS = 60.0
WAITING = ("parked", "refund_required")
MONEY = (
    ("due", "refunds", "still to be given back"),
    ("refused", "refused payments", "paid, and nothing was sold for it"),
)


def tasks(url: str) -> Checks:
    """Whether tasks are worked, and which ones will not be again unless somebody sees to it."""
    from holdgate_workers.adapters.postgres.tasks.table import TaskBook

    with closing(TaskBook(url)) as book:
        counts = book.open_counts()
    late = [count for count in counts if count.overdue and count.oldest_seconds > OVERDUE_WARN_SECONDS]
    dead = [count for count in counts if count.dead]
    for count in late:
        detail = f"{count.overdue} of {count.kind} are due, the first one for {span(count.oldest_seconds)}"
        yield Check("selling", f"{count.role} tasks", "warn", detail, f"holdgate worker {count.role}")
    if dead:
        mend = "holdgate task list --state dead, mend what it says, then holdgate task retry"
        yield Check("selling", "dead tasks", "warn", _named(dead), mend)
    if not late and not dead:
        yield Check("selling", "tasks", "ok", f"{sum(count.open for count in counts)} open, none late, none dead")


def bookings(url: str) -> Checks:
    """How many wait for a person, which conversions are late, and what is owed."""
    from holdgate_workers.adapters.postgres.expiry.due import DueHolds

    with closing(DueHolds(url)) as due:
        work = due.open_work()
    if work.conversions_overdue:
        detail = f"{work.conversions_overdue} still under way after their time; what was paid waits for the shop"
        mend = "are the workers feeder and orders running, and the shop? holdgate task list --role orders"
        yield Check("selling", "conversions", "warn", detail, mend)
    for kind, name, what in MONEY:
        found = {currency: sums for (of, currency), sums in work.money.items() if of == kind}
        if found:
            said = ", ".join(f"{number} in {currency}" for currency, (number, _) in sorted(found.items()))
            yield Check("selling", name, "warn", f"{what}: {said}", "holdgate booking money")
    states = work.bookings
    waiting = {state: states[state] for state in WAITING if states.get(state)}
    if not waiting:
        yield Check("selling", "bookings", "ok", "none waits for a person")
        return
    detail = ", ".join(f"{number} {state}" for state, number in waiting.items())
    mend = " ".join(["holdgate booking list", *(f"--state {state}" for state in waiting)])
    yield Check("selling", "bookings", "warn", detail, f"{mend}, then holdgate booking resolve")


def _named(dead: list[TaskCount]) -> str:
    most = sorted(dead, key=lambda count: (-count.dead, count.kind))
    return ", ".join(f"{count.dead} {count.kind}" for count in most)
