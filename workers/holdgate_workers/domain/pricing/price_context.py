"""What a price may look at besides product and basket: the occurrence, and when it was booked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from holdgate_schema.values.products import Days, EveryYear, Weekday
from holdgate_workers.domain.occurrences.wall_time import instant_of

WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEKDAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(slots=True, frozen=True, kw_only=True)
class Occasion:
    """The occurrence as it is at `booked_at`.

    `taken` is what others hold and have bought of `sellable` (None: unlimited). The basket's own seats do not count:
    it costs the same before it is held and after.
    """

    occurrence_id: str
    starts_at: datetime
    timezone: str
    booked_at: datetime
    taken: int = 0
    sellable: int | None = None

    @property
    def day(self) -> date:
        """The day of the start on the occurrence's own calendar."""
        return self._wall.date()

    @property
    def weekday(self) -> Weekday:
        """The day of the week of `day`."""
        return WEEKDAYS[self.day.weekday()]

    @property
    def weekday_name(self) -> str:
        """The same in words."""
        return WEEKDAY_NAMES[self.day.weekday()]

    def is_days_before(self, days: int) -> bool:
        """Whether it was booked so many days before the start or earlier: at the same wall time of that day."""
        return self.booked_at <= instant_of(self._wall - timedelta(days=days), self.timezone)

    def is_within_hours(self, hours: int) -> bool:
        """Whether no more than so many hours were left to the start."""
        return self.starts_at - self.booked_at <= timedelta(hours=hours)

    def reaches(self, share_percent: int) -> bool:
        """Whether at least this share of the sellable seats is taken. Where nothing is sellable all of it is."""
        if self.sellable is None:
            return share_percent == 0
        return self.taken * 100 >= self.sellable * share_percent

    @property
    def _wall(self) -> datetime:
        return self.starts_at.astimezone(ZoneInfo(self.timezone)).replace(tzinfo=None)


def has(days: Days, day: date) -> bool:
    """Whether one of the parts names the day."""
    return (
        any(_comes_round(span, day) for span in days.every_year)
        or day.month in days.months
        or any(span.first <= day <= span.last for span in days.ranges)
        or day in days.dates
    )


def _comes_round(span: EveryYear, day: date) -> bool:
    today = f"{day:%m-%d}"
    if span.first <= span.last:
        return span.first <= today <= span.last
    return today >= span.first or today <= span.last
