"""What an import would do, and what it did, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from holdgate_workers.cli.output.output import Column, Output
from holdgate_workers.domain.schedule.dates import PROBLEMS, Judged, Plan, StoredDate, Verdict

from .reading.rows import Finding
from .sending import Sent

ROWS_SHOWN = 20
VERDICTS: tuple[Verdict, ...] = (
    "created",
    "moved",
    "changed",
    "cancelled",
    "closed",
    "unchanged",
    "skipped",
    "clashing",
    "refused",
)
ALWAYS_SAID = ("created", "moved", "changed", "unchanged")


def counts_of(plan: Plan) -> dict[str, int]:
    """How many dates have each verdict, those that everybody asks about also where there are none."""
    found = {verdict: plan.count(verdict) for verdict in VERDICTS}
    return {verdict: number for verdict, number in found.items() if number or verdict in ALWAYS_SAID}


def tell_plan(out: Output, plan: Plan) -> None:
    """Each date that changes or cannot, how many there are of each kind, and how many customers are written to."""
    told = [date for date in plan.dates if date.verdict != "unchanged" or date.why]
    told.sort(key=lambda date: (date.verdict not in PROBLEMS, not date.buyers, date.line or 1 << 30))
    if told:
        _dates(out, told[:ROWS_SHOWN])
        _more(out, len(told))
        out.line()
    out.line(f"{sentence(plan)}.")
    if plan.buyers:
        out.line(f"To be written to: {customers(plan)}.", style="bold yellow")


def sentence(plan: Plan) -> str:
    """`2 created, 5 moved, 93 unchanged`."""
    return ", ".join(f"{number:,} {verdict}" for verdict, number in counts_of(plan).items())


def customers(plan: Plan) -> str:
    """How many customers are written to, and why."""
    moved = sum(date.buyers for date in plan.dates if date.verdict == "moved")
    reasons = {"moved": moved, "cancelled": plan.buyers - moved}
    why = ", ".join(f"{reason}: {number:,}" for reason, number in reasons.items() if number)
    number = "1 customer" if plan.buyers == 1 else f"{plan.buyers:,} customers"
    return f"{number} with confirmed bookings ({why})"


def tell_sent(out: Output, plan: Plan, sent: Sent) -> None:
    """What was done, and each date that was not or that there is something to say about."""
    lines = {date.occurrence_id: date.line for date in plan.dates}
    rows = [(lines.get(key) or "–", key, how.replace("_", " "), why) for key, (how, why) in sent.failed.items()]
    rows += [(lines.get(key) or "–", key, "done", remark) for key, remark in sent.done.items() if remark]
    if rows:
        columns: list[Column | str] = [
            Column("line", right=True),
            "occurrence",
            "outcome",
            Column("why", wrap=True),
        ]
        out.table(columns, rows[:ROWS_SHOWN])
        _more(out, len(rows))
        out.line()
    if sent.is_whole:
        out.line(f"Done: {sentence(plan)}.", style="bold green")
        if plan.buyers:
            out.line(f"Written to: {customers(plan)}.")
    else:
        out.line(f"{len(sent.done):,} of {sent.total:,} changes are done.", style="bold yellow")


def as_json(
    plan: Plan, *, sent: Sent | None, problems: Sequence[Finding] = (), notices: Sequence[Finding] = ()
) -> dict[str, Any]:
    """The whole of it, nothing left out."""
    is_ok = not plan.problems and not problems and (sent is None or sent.is_whole)
    return {
        "ok": is_ok,
        "sent": 0 if sent is None else len(sent.done),
        "counts": {verdict: plan.count(verdict) for verdict in VERDICTS},
        "customers": plan.buyers,
        "problems": found(problems),
        "notices": found(notices),
        "occurrences": [_fields(date, sent) for date in plan.dates],
        "missing": [_stored(date) for date in plan.missing],
    }


def found(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """As JSON has them."""
    return [
        {"line": item.line, "field": item.field, "reason": item.reason, "advice": item.advice} for item in findings
    ]


def tell_problems(out: Output, file: Path, problems: Sequence[Finding], notices: Sequence[Finding]) -> None:
    """What is wrong with the file, which keeps all of it from being sent."""
    if out.is_json:
        out.json({"ok": False, "sent": 0, "problems": found(problems), "notices": found(notices)})
        return
    out.table(
        [Column("line", right=True), "field", Column("problem", wrap=True)],
        [(problem.line or "", problem.field, problem.text) for problem in problems[:ROWS_SHOWN]],
    )
    _more(out, len(problems))
    number = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
    out.line(f"{number} in {file}; nothing was sent.", style="bold red")


def _dates(out: Output, dates: Sequence[Judged]) -> None:
    has_buyers = any(date.buyers for date in dates)
    columns: list[Column | str] = [
        Column("line", right=True),
        Column("occurrence", wrap=not out.is_plain),
        "starts",
        "outcome",
        *([Column("mails", right=True)] if has_buyers else []),
        Column("why", wrap=True),
    ]
    out.table(
        columns,
        [
            (
                date.line or "–",
                date.occurrence_id,
                "–" if date.starts_at is None else wall(date.starts_at, date.timezone),
                date.verdict,
                *([date.buyers or ""] if has_buyers else []),
                date.why or _was(date),
            )
            for date in dates
        ],
    )


def _was(date: Judged) -> str:
    """From where it moves, as far as it is another time."""
    if date.verdict != "moved" or date.before is None or date.put is None:
        return ""
    old, new = date.before.definition, date.put
    if old.timezone != new.timezone:
        return f"was {wall(old.starts_at, old.timezone)} {old.timezone}"
    zone = ZoneInfo(new.timezone)
    if old.starts_at == new.starts_at:
        return f"ended {old.ends_at.astimezone(zone):%H:%M}, ends {new.ends_at.astimezone(zone):%H:%M}"
    before, after = old.starts_at.astimezone(zone), new.starts_at.astimezone(zone)
    form = "%H:%M" if before.date() == after.date() else "%m-%d %H:%M"
    if before.year != after.year:
        form = f"%Y-{form}"
    return f"was {before.strftime(form)}"


def tell_missing(out: Output, missing: Sequence[StoredDate]) -> None:
    """What is on sale and not in the file, and how it is taken off sale."""
    if not missing:
        return
    number = "1 upcoming date on sale is" if len(missing) == 1 else f"{len(missing):,} upcoming dates on sale are"
    out.line()
    out.line(f"{number} stored and not in the file; --close-missing takes them off sale:")
    out.table(
        ["occurrence", "product", Column("starts", wrap=not out.is_plain), Column("bookings", right=True)],
        [
            (
                date.occurrence_id,
                date.definition.product_id,
                wall(date.definition.starts_at, date.definition.timezone),
                date.buyers or "",
            )
            for date in missing[:ROWS_SHOWN]
        ],
    )
    _more(out, len(missing))


def _more(out: Output, number: int) -> None:
    if number > ROWS_SHOWN:
        out.line(f"… and {number - ROWS_SHOWN:,} more; --output json has all")


def wall(instant: datetime, zone: str) -> str:
    """What a clock at the place shows."""
    return instant.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


def _fields(date: Judged, sent: Sent | None) -> dict[str, object]:
    outcome: str = date.verdict
    why = date.why
    if sent is not None:
        if date.occurrence_id in sent.failed:
            outcome, why = sent.failed[date.occurrence_id]
        elif date.occurrence_id in sent.done:
            why = why or sent.done[date.occurrence_id]
        elif date.verdict not in ("unchanged", "skipped"):
            outcome, why = "not_sent", "the import was stopped"
    before = date.before
    return {
        "line": date.line,
        "occurrence_id": date.occurrence_id,
        "product_id": date.product_id,
        "outcome": outcome,
        "starts_at": date.starts_at,
        "started_at_before": None if before is None else before.definition.starts_at,
        "customers": date.buyers,
        "why": why,
    }


def _stored(date: StoredDate) -> dict[str, object]:
    return {
        "occurrence_id": date.occurrence_id,
        "product_id": date.definition.product_id,
        "starts_at": date.definition.starts_at,
        "bookings": date.buyers,
    }
