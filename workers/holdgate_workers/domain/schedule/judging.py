"""Each date of a list against what is stored, and all of them against one another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from holdgate_workers.domain.occurrences.catalogue import defined, pools_in_use
from holdgate_workers.domain.occurrences.occurrence import Definition, Occurrence, Pool

from .dates import CHANGES, Judged, Plan, StoredDate, Verdict, WantedDate
from .steps import ordered

Claim = tuple[str, datetime]
_Found = Callable[..., Judged]


def plan(
    wanted: Sequence[WantedDate],
    stored: Mapping[str, StoredDate],
    now: datetime,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    close_missing: bool = False,
) -> Plan:
    """What the list comes to. `stored` has the dates that it names and the upcoming ones of the same products.

    `since` and `until` bound what counts as missing from the list; without an offset they are wall times of each
    date's zone.
    """
    dates = _clashes([_judged(date, stored.get(date.occurrence_id), now) for date in wanted], stored)
    missing = _missing(dates, stored, now, since, until)
    if close_missing:
        dates += [_closed(date) for date in missing]
        missing = []
    found = Plan(dates, missing)
    if not found.problems:
        found.rounds, found.after = ordered(dates, stored)
    return found


def _judged(wanted: WantedDate, before: StoredDate | None, now: datetime) -> Judged:
    def found(verdict: Verdict, why: str = "") -> Judged:
        return Judged(
            line=wanted.line,
            occurrence_id=wanted.occurrence_id,
            product_id=wanted.product_id or (before.definition.product_id if before is not None else None),
            verdict=verdict,
            why=why,
            put=wanted.put if verdict not in ("cancelled", "skipped") else None,
            before=before,
        )

    if before is not None and wanted.product_id not in (None, before.definition.product_id):
        return found("clashing", f"is stored as a date of {before.definition.product_id!r}, which it stays")
    if wanted.is_cancelled:
        return _cancelled(before, now, found)
    assert wanted.put is not None
    if before is None:
        return found("created")
    if before.is_final:
        return _final(wanted, before, found)
    in_use = pools_in_use(wanted.put, before.pools)
    if in_use:
        return found("refused", "; ".join(f"{error.field} {error.reason}" for error in in_use))
    return found(_difference(wanted, before))


def _cancelled(before: StoredDate | None, now: datetime, found: _Found) -> Judged:
    if before is None:
        return found("skipped", "is cancelled in the file and not stored")
    if before.definition.status == "cancelled":
        return found("unchanged")
    if before.definition.status == "completed" or before.definition.ends_at <= now:
        return found("skipped", "is cancelled in the file, but it is over already")
    return found("cancelled")


def _final(wanted: WantedDate, before: StoredDate, found: _Found) -> Judged:
    """What is over or off stays so, and need not be said again where the list still has it as it was."""
    status = before.definition.status
    if _difference(wanted, before) == "unchanged":
        return found("unchanged", "stays cancelled, which is final" if status == "cancelled" else "")
    return found("refused", f"is {status}, which is final; a new date needs an id of its own")


def _difference(wanted: WantedDate, before: StoredDate) -> Verdict:
    assert wanted.put is not None
    occurrence = Occurrence(before.occurrence_id, before.definition, dict(before.pools))
    definition, pools = defined(wanted.put, occurrence)
    old = before.definition
    if before.is_final:
        definition = msgspec.structs.replace(definition, status=old.status)
    if (definition.starts_at, definition.ends_at, definition.timezone) != (
        old.starts_at,
        old.ends_at,
        old.timezone,
    ):
        return "moved"
    return "unchanged" if definition == old and _sizes(pools) == _sizes(before.pools) else "changed"


def _sizes(pools: Mapping[str, Pool]) -> dict[str, tuple[int | None, int, int]]:
    return {key: (pool.capacity, pool.overbooking_percent, pool.buffer) for key, pool in pools.items()}


def _clashes(dates: list[Judged], stored: Mapping[str, StoredDate]) -> list[Judged]:
    """The same with those marked that want a start which another date will have.

    A date that clashes stays where it is, so that it may keep a third from moving there: again until nothing changes.
    """
    while True:
        holders = _holders(dates, stored)
        marked = [_clashing(date, holders) for date in dates]
        if marked == dates:
            return dates
        dates = marked


def _holders(dates: Sequence[Judged], stored: Mapping[str, StoredDate]) -> dict[Claim, list[Judged | StoredDate]]:
    """Who has which start in the end: first those that stay where they are, then those of the list, in its order."""
    by_id = {date.occurrence_id: date for date in dates if date.verdict in CHANGES}
    holders: dict[Claim, list[Judged | StoredDate]] = {}
    for before in stored.values():
        leaves = by_id.get(before.occurrence_id)
        if before.definition.claim is not None and (leaves is None or leaves.verdict == "closed"):
            holders.setdefault(before.definition.claim, []).append(before)
    for date in by_id.values():
        if date.put is not None:
            holders.setdefault((date.put.product_id, date.put.starts_at.astimezone(UTC)), []).append(date)
    return holders


def _clashing(date: Judged, holders: Mapping[Claim, Sequence[Judged | StoredDate]]) -> Judged:
    if date.put is None or date.verdict not in CHANGES:
        return date
    first = holders[date.put.product_id, date.put.starts_at.astimezone(UTC)][0]
    if first.occurrence_id == date.occurrence_id:
        return date
    if isinstance(first, Judged):
        why = f"{first.occurrence_id!r} (line {first.line}) is to have this start"
    else:
        why = f"{first.occurrence_id!r} has this start, and the file does not move it"
    return replace(date, verdict="clashing", why=why)


def _missing(
    dates: Iterable[Judged],
    stored: Mapping[str, StoredDate],
    now: datetime,
    since: datetime | None,
    until: datetime | None,
) -> list[StoredDate]:
    """What is on sale, still to come, in the window, and of a product that the list has dates of."""
    named = {date.occurrence_id for date in dates}
    products = {date.product_id for date in dates}
    found = [
        before
        for before in stored.values()
        if before.occurrence_id not in named
        and before.definition.product_id in products
        and before.definition.status == "active"
        and before.definition.ends_at > now
        and (since is None or not _starts_before(before.definition, since))
        and (until is None or _starts_before(before.definition, until))
    ]
    return sorted(found, key=lambda before: (before.definition.starts_at, before.occurrence_id))


def _starts_before(definition: Definition, bound: datetime) -> bool:
    if bound.tzinfo is not None:
        return definition.starts_at < bound
    return definition.starts_at.astimezone(ZoneInfo(definition.timezone)).replace(tzinfo=None) < bound


def _closed(before: StoredDate) -> Judged:
    why = ""
    if before.buyers:
        why = f"its {before.buyers} bookings stay; `holdgate occurrence close` cancels them"
    return Judged(
        line=0,
        occurrence_id=before.occurrence_id,
        product_id=before.definition.product_id,
        verdict="closed",
        why=why,
        before=before,
    )
