"""What stands in one cell of a table. A value that two people could read in two ways is refused, never guessed."""

from __future__ import annotations

import re
from datetime import datetime

from holdgate_workers.cli.importing.reading.rows import RowStatus

NUMBER_DIGITS_MAX = 9
TIME_FORM = "2030-05-01T10:00"

_BLANKS = re.compile(r"[\s\u00a0\u2007\u202f\u200b\ufeff\x00]+")
_ISO = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[ Tt]\s?(?P<time>\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,6})?)?)"
    r"\s?(?P<offset>[Zz]|[+-]\d{2}(?::?\d{2})?)?"
)
# With points it is the day that comes first, wherever that form is used.
_POINTED = re.compile(
    r"(?P<day>\d{1,2})\.\s?(?P<month>\d{1,2})\.\s?(?P<year>\d{4}),?[ T]\s?(?P<time>\d{1,2}:\d{2}(?::\d{2})?)"
)
_DATE_ONLY = re.compile(
    r"\d{4}-\d{2}-\d{2}|\d{1,2}\.\d{1,2}\.\d{4}|\d{1,2}/\d{1,2}/\d{2,4}|(?:19|20|21)\d{6}|\d{4}-?W\d{2}-?\d?"
)
_SLASHED = re.compile(r"\d{1,4}[/-]\d{1,2}[/-]\d{1,4}\b.*")
_SERIAL = re.compile(r"\d{4,6}(?:[.,]\d+)?")
_WHOLE = re.compile(r"(?P<number>\d{1,9})(?:[.,]0{1,2})?")
_GROUPED = re.compile(r"\d{1,3}(?:[ '’]\d{3})+")
_THOUSANDS = re.compile(r"\d{1,3}(?:[.,]\d{3})+(?:[.,]\d+)?")
_SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?[Ee]\+?\d+")
_STATUS: dict[str, RowStatus] = {
    "active": "active",
    "closed": "closed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
}


def tidied(cell: str) -> str:
    """The cell without the blanks around it that nobody sees, and on one line."""
    return _BLANKS.sub(" ", cell).strip()


def time(text: str) -> datetime:
    """A date with a time of day; aware if it has an offset. Raises `ValueError` with what would be understood."""
    iso, pointed = _ISO.fullmatch(text), _POINTED.fullmatch(text)
    try:
        if iso is not None:
            clock = (
                iso["time"].replace(",", ".").zfill(5) if len(iso["time"]) < 5 else iso["time"].replace(",", ".")
            )
            hours, _, rest = clock.partition(":")
            seconds, point, fraction = rest.partition(".")
            fraction = f".{fraction:0<6}" if point else ""
            return datetime.fromisoformat(f"{iso['date']}T{hours:0>2}:{seconds}{fraction}{_offset(iso['offset'])}")
        if pointed is not None:
            year, month, day = (int(pointed[name]) for name in ("year", "month", "day"))
            clock = [int(part) for part in pointed["time"].split(":")]
            return datetime(year, month, day, *clock)  # noqa: DTZ001  (the wall time of the zone)
    except ValueError as exc:
        raise ValueError(f"is not a time that exists: {text!r} ({exc})") from None
    raise ValueError(_no_time(text))


def _offset(text: str | None) -> str:
    if text is None:
        return ""
    if text in "Zz":
        return "+00:00"
    digits = text[1:].replace(":", "")
    return f"{text[0]}{digits[:2]}:{digits[2:] or '00'}"


def _no_time(text: str) -> str:
    if _DATE_ONLY.fullmatch(text):
        return f"has no time of day: {text!r}; write {TIME_FORM}"
    if _SERIAL.fullmatch(text):
        return (
            f"is a number, as spreadsheets keep dates: {text!r}; give the column the format yyyy-mm-dd hh:mm and save"
            " again"
        )
    if _SLASHED.fullmatch(text):
        return f"could mean two days: {text!r}; write {TIME_FORM}, year first"
    return f"is a time such as {TIME_FORM}, not {text!r}"


def whole_number(text: str) -> int:
    """A number without a fraction. Raises `ValueError`."""
    match = _WHOLE.fullmatch(text)
    if match is not None:
        return int(match["number"])
    if _GROUPED.fullmatch(text):
        digits = re.sub(r"\D", "", text)
        if len(digits) <= NUMBER_DIGITS_MAX:
            return int(digits)
    if _THOUSANDS.fullmatch(text):
        raise ValueError(f"could mean thousands or a fraction: {text!r}; write it without point or comma")
    raise ValueError(f"is a whole number, not {text!r}")


def identifier(text: str) -> str:
    """An id as it is. Raises `ValueError` for what a spreadsheet made of a long number: its last digits are lost."""
    if _SCIENTIFIC.fullmatch(text):
        raise ValueError(
            f"was a long number until a spreadsheet rounded it: {text!r}; "
            "give the column the format text, and the ids again"
        )
    return text


def status(text: str) -> RowStatus:
    """The status, in any case. Raises `ValueError`."""
    found = _STATUS.get(text.casefold())
    if found is None:
        raise ValueError(f"is active, closed or cancelled, not {text!r}")
    return found
