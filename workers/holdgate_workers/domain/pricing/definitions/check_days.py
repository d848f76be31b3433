"""What is wrong with a selection of days."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Sequence

from holdgate_schema.errors import FieldError
from holdgate_schema.values.products import Days

_LEAP_YEAR = 2024


def day_errors(name: str, days: Days) -> Iterator[FieldError]:
    """Each problem with its field: nothing selected, a day that no year has, dates out of order or twice."""
    if not (days.every_year or days.months or days.ranges or days.dates):
        yield FieldError(name, "names no day: give every_year, months, ranges or dates")
    for place, span in enumerate(days.every_year):
        for end in ("first", "last"):
            if not _is_in_a_year(getattr(span, end)):
                yield FieldError(f"{name}.every_year[{place}].{end}", f"is no day: {getattr(span, end)!r}")
    for place, dates in enumerate(days.ranges):
        if dates.last < dates.first:
            yield FieldError(f"{name}.ranges[{place}].last", f"must not be before first ({dates.first})")
    yield from _twice(f"{name}.months", days.months)
    yield from _twice(f"{name}.dates", [day.isoformat() for day in days.dates])


def _is_in_a_year(day_of_year: str) -> bool:
    """Month and day, 02-29 included."""
    month, day = (int(part) for part in day_of_year.split("-"))
    return 1 <= month <= 12 and 1 <= day <= monthrange(_LEAP_YEAR, month)[1]


def _twice(name: str, values: Sequence[object]) -> Iterator[FieldError]:
    for value in dict.fromkeys(values):
        if values.count(value) > 1:
            yield FieldError(name, f"{value} is given twice")
