"""What a file says, and nothing that it does not say: rows, and findings about the file.

Every reader yields these, whatever the file is. A field that is None was not said: an option, what is stored already or
a default may fill it, which is for whoever imports to decide. Nothing here knows options of a call or the database.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from holdgate_schema.ids import OccurrenceId
from holdgate_workers.cli.occurrences.specs import Document
from holdgate_workers.domain.occurrences.wall_time import instant_of

RowStatus = Literal["active", "closed", "cancelled"]


class UnreadableFile(ValueError):
    """The file as a whole is not what its name says; `line` is where that shows."""

    def __init__(self, line: int, reason: str, advice: str = "") -> None:
        super().__init__(reason)
        self.line = line
        self.advice = advice


class Finding(NamedTuple):
    """One thing about the file that its owner should know.

    An error keeps the whole file from being imported; a notice says what was read in a way that might surprise.
    `advice` is the way out. Line 0 is the file as a whole.
    """

    line: int
    field: str
    reason: str
    advice: str = ""
    is_error: bool = True

    @property
    def text(self) -> str:
        """What is wrong and the way out, on one line."""
        return f"{self.reason}; {self.advice}" if self.advice else self.reason


class Length(NamedTuple):
    """How long a date lasts: whole days of the calendar first, then time by the clock (RFC 5545, 3.3.6).

    A day on which the clock changes is one day and not 24 hours; `exact` is never stretched or shortened.
    """

    days: int = 0
    exact: timedelta = timedelta()


class Times(NamedTuple):
    """The instants of a date, in UTC. No end: neither the row nor a default says one."""

    starts_at: datetime
    ends_at: datetime | None


@dataclass(slots=True, frozen=True, kw_only=True)
class Row:
    """One date as the file has it. None: the file does not say.

    `starts_at`, `ends_at`: an instant if aware, else the wall time of the zone that the row gets. `ends_at` or
    `length`, never both. `timezone` is an IANA name; times in UTC or with a bare offset say none.
    `status` is `closed` for what is not (or not yet) to be sold, `cancelled` for what does not take place.
    `title` is what people call it: a product can be made of it where nothing else names one.
    """

    line: int
    occurrence_id: OccurrenceId | None = None
    uid: str | None = None
    recurrence_id: str | None = None
    title: str | None = None
    product_id: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    length: Length | None = None
    timezone: str | None = None
    capacity: int | None = None
    ticket_types: tuple[Document, ...] | None = None
    pools: tuple[Document, ...] | None = None
    extras: tuple[Document, ...] | None = None
    overbooking_percent: int | None = None
    buffer: int | None = None
    cutoff_minutes: int | None = None
    sales_open: datetime | None = None
    sales_close: datetime | None = None
    status: RowStatus | None = None
    alerts: Document | None = None

    def times(self, zone: str, default_length: Length | None = None) -> Times:
        """The instants in this zone. Raises `ValueError` if the start is not said or an instant cannot be had."""
        if self.starts_at is None:
            raise ValueError("the start is missing")
        starts_at = instant(self.starts_at, zone)
        if self.ends_at is not None:
            return Times(starts_at, instant(self.ends_at, zone))
        length = self.length or default_length
        return Times(starts_at, None if length is None else lengthened(starts_at, length, zone))


@dataclass(slots=True, frozen=True)
class Window:
    """Which dates were asked for: from `since` on, before `until`. Without an offset: wall time of each date's zone."""

    since: datetime | None = None
    until: datetime | None = None

    def has(self, starts_at: datetime, zone: str | None) -> bool:
        """Whether a date that starts then, and has this zone, is asked for."""
        return not (
            (self.since is not None and _before(starts_at, self.since, zone))
            or (self.until is not None and not _before(starts_at, self.until, zone))
        )


@dataclass(slots=True)
class Reading:
    """A file that was read to its end.

    `horizon` is the window that was read of series without an end, if the file has any: dates beyond it are not missing
    from the file.
    """

    file: str
    rows: list[Row] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    horizon: Window | None = None

    @property
    def errors(self) -> list[Finding]:
        """What keeps the file from being imported."""
        return [finding for finding in self.findings if finding.is_error]

    @property
    def notices(self) -> list[Finding]:
        """What its owner should know besides."""
        return [finding for finding in self.findings if not finding.is_error]

    def error(self, line: int, name: str, reason: str, advice: str = "") -> None:
        """Note an error."""
        self.findings.append(Finding(line, name, reason, advice))

    def notice(self, line: int, name: str, reason: str, advice: str = "") -> None:
        """Note a notice."""
        self.findings.append(Finding(line, name, reason, advice, is_error=False))

    def ordered(self) -> Reading:
        """The same, rows and findings by their line."""
        self.rows.sort(key=_place)
        self.findings = _once(sorted(self.findings, key=lambda finding: finding.line))
        return self


def _place(row: Row) -> tuple[int, datetime]:
    """Dates of a series have one line."""
    return row.line, (row.starts_at or datetime.min).replace(tzinfo=None)  # noqa: DTZ901


def instant(time: datetime, zone: str) -> datetime:
    """The instant in UTC: the time's own offset counts if it has one."""
    return time.astimezone(UTC) if time.tzinfo is not None else instant_of(time, zone)


def lengthened(starts_at: datetime, length: Length, zone: str) -> datetime:
    """The end: the days by the calendar of the zone, then the rest by the clock."""
    if not length.days:
        return starts_at + length.exact
    wall = starts_at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) + timedelta(days=length.days)
    return instant_of(wall, zone) + length.exact


def _before(time: datetime, bound: datetime, zone: str | None) -> bool:
    """Instants, if both are or can be had; else what a clock shows."""
    if time.tzinfo is None and bound.tzinfo is not None and zone is not None:
        time = instant_of(time, zone)
    elif time.tzinfo is not None and bound.tzinfo is None and zone is not None:
        time = time.astimezone(ZoneInfo(zone))
    if time.tzinfo is None or bound.tzinfo is None:
        return time.replace(tzinfo=None) < bound.replace(tzinfo=None)
    return time < bound


def _once(findings: Iterable[Finding]) -> list[Finding]:
    return list(dict.fromkeys(findings))
