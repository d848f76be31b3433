"""The zones of one calendar: what its TZIDs mean, by their names or by the rules that the file brings for them."""

from __future__ import annotations

from datetime import tzinfo
from typing import TYPE_CHECKING

from holdgate_workers.cli.importing.reading.rows import Reading

from .content_lines import Component, Property
from .moments import AT_UTC, FLOATING, Place
from .zones import Meant, ZoneNames

if TYPE_CHECKING:
    from collections.abc import Iterable

CALENDAR_ZONE = ("X-WR-TIMEZONE", "TIMEZONE-ID")
_LOCATION = ("X-LIC-LOCATION", "X-MICROSOFT-CDO-TZID", "TZURL")


class UnknownZone(ValueError):
    """A TZID that stands for no zone, and the file brings no rules for it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"names a zone that is not known: {name!r}")
        self.advice = f"say which it is: --zone-map '{name}=Area/City'"
        self.is_told = False


class CalendarZones:
    """Every TZID is looked up once. A zone whose meaning was concluded is told once."""

    def __init__(self, calendar: Component, names: ZoneNames, reading: Reading) -> None:
        self._names = names
        self._reading = reading
        self._rules = {
            prop.text: component for component in calendar.walk("VTIMEZONE") for prop in component.all("TZID")
        }
        self._places: dict[str, Place | UnknownZone] = {}
        self.of_calendar = self._said_for_all(calendar.properties)

    def place(self, prop: Property) -> Place:
        """Where the clock of this time hangs. Raises `UnknownZone`."""
        name = prop.params.get("TZID", "").strip().strip('"')
        if not name:
            return FLOATING
        if name not in self._places:
            self._places[name] = self._found(name, prop.line)
        found = self._places[name]
        if isinstance(found, UnknownZone):
            raise found
        return found

    def _found(self, name: str, line: int) -> Place | UnknownZone:
        meant = self._names.meant(name)
        component = self._rules.get(name)
        if meant.zone is None and component is not None:
            meant = self._by_location(component) or meant
        if meant.zone is not None:
            if meant.is_concluded:
                self._reading.notice(
                    line,
                    "TZID",
                    f"{name!r} is read as {meant.zone}",
                    f"--zone-map '{name}=Area/City' says otherwise",
                )
            return Place(meant.zone)
        if meant.fixed is not None:
            return Place(rules=meant.fixed) if meant.offset else AT_UTC
        rules = None if component is None else _rules(component)
        return UnknownZone(name) if rules is None else Place(rules=rules)

    def _by_location(self, component: Component) -> Meant | None:
        for name in _LOCATION:
            text = component.text(name)
            meant = self._names.meant(text) if text else None
            if meant is not None and meant.zone is not None:
                return meant
        return None

    def _said_for_all(self, properties: Iterable[Property]) -> str | None:
        """The zone of the calendar. UTC is none: it says where the program runs and not where anything takes place."""
        for prop in properties:
            if prop.name in CALENDAR_ZONE and prop.text:
                meant = self._names.meant(prop.text)
                if meant.zone is None and meant.offset is None:
                    self._reading.notice(
                        prop.line,
                        prop.name,
                        f"names a zone that is not known: {prop.text!r}",
                        f"say which it is: --zone-map '{prop.text}=Area/City'",
                    )
                return meant.zone
        return None


def _rules(component: Component) -> tzinfo | None:
    """The clock that a VTIMEZONE describes."""
    from icalendar import Timezone

    lines = [
        line for line in component.raw if not line.upper().startswith(("COMMENT", "X-", "TZURL", "LAST-MODIFIED"))
    ]
    try:
        made = Timezone.from_ical("\r\n".join(lines))
        return made.to_tz(lookup_tzid=False) if isinstance(made, Timezone) else None
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, AssertionError):
        # The library is made for rules that are right.
        return None
