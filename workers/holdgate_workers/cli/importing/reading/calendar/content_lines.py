"""The lines of an iCalendar file as a tree of components, each property with the line that it stands on.

The parser of the icalendar library takes a file or refuses it, and knows no lines. Files in the wild have stray lines,
ends that are missing and properties that are broken; what of that nobody needs must cost nothing. So the file is taken
apart here without judging what is in it, and each value is judged where it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from holdgate_workers.cli.importing.reading.text import lines_of

_NAME = re.compile(r"[A-Za-z0-9-]+\s*(?=[;:])")
_PARAM = re.compile(r';\s*(?P<name>[A-Za-z0-9-]+)\s*=\s*(?P<value>(?:"[^"]*"|[^;:"])*)')
_ESCAPED = re.compile(r"\\([\\;,:\"nN])")
DEPTH_MAX = 20
"""Deeper than any calendar; a file of nothing but BEGINs is no tree."""


class Property(NamedTuple):
    """One property: its name in capitals, its parameters likewise, its value as it stands there."""

    line: int
    name: str
    params: dict[str, str]
    value: str

    @property
    def text(self) -> str:
        """The value as text on one line, without its escapes."""
        plain = _ESCAPED.sub(lambda match: " " if match[1] in "nN" else match[1], self.value)
        return " ".join(plain.split())


@dataclass(slots=True)
class Component:
    """One component, its properties in their order, and those inside it. `is_ended`: its END was found."""

    name: str
    line: int
    properties: list[Property] = field(default_factory=list)
    inside: list[Component] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    is_ended: bool = False

    def get(self, name: str) -> Property | None:
        """The first property of this name that says anything."""
        return next(self.all(name), None)

    def all(self, name: str) -> Iterator[Property]:
        """Every property of this name that says anything."""
        return (found for found in self.properties if found.name == name and found.value.strip())

    def text(self, name: str) -> str | None:
        """The property as text, None if it says nothing."""
        found = self.get(name)
        return found.text or None if found is not None else None

    def walk(self, name: str) -> Iterator[Component]:
        """Every component of this name in this one."""
        for component in self.inside:
            if component.name == name:
                yield component
            yield from component.walk(name)


class Tree(NamedTuple):
    """The file's components; lines that are no property of anything, and properties in no component."""

    root: Component
    stray: list[int]


def tree(text: str) -> Tree:
    """The file taken apart. Never fails: what cannot be placed is left out and named in `stray`."""
    root, stray = Component("", 1), list[int]()
    open_: list[Component] = [root]
    for number, line in _unfolded(text):
        match = _NAME.match(line)
        if match is None:
            stray.append(number)
            continue
        name = match[0].strip().upper()
        if name == "BEGIN":
            open_.append(_begun(open_, number, line))
        elif name == "END":
            _end(open_, line[match.end() + 1 :].strip().upper())
        else:
            open_[-1].properties.append(_property(number, name, line, match.end()))
        if name != "END":
            for component in open_:
                if component.name == "VTIMEZONE":
                    component.raw.append(line)
    return Tree(root, stray)


def _begun(open_: list[Component], number: int, line: str) -> Component:
    name = line.partition(":")[2].strip().upper()
    if name in ("VEVENT", "VCALENDAR"):
        # Neither stands in another of its kind: the one before did not end.
        while any(component.name == name for component in open_) or open_[-1].name in ("VEVENT", "VALARM"):
            open_.pop()
    if len(open_) > DEPTH_MAX:
        open_.pop()
    component = Component(name, number)
    open_[-1].inside.append(component)
    return component


def _end(open_: list[Component], name: str) -> None:
    """Everything up to the one that ends is over; an END of something that never began is none."""
    for place in range(len(open_) - 1, 0, -1):
        if open_[place].name == name:
            open_[place].is_ended = True
            for outer in open_[: place + 1]:
                if outer.name == "VTIMEZONE":
                    outer.raw.append(f"END:{name}")
            del open_[place:]
            return


def _property(number: int, name: str, line: str, at: int) -> Property:
    params: dict[str, str] = {}
    while (match := _PARAM.match(line, at)) is not None:
        params[match["name"].upper()] = match["value"].strip()
        at = match.end()
    _, _, value = line[at:].partition(":")
    zone = params.get("TZID", "")
    if zone.count("(") > zone.count(")"):
        # `TZID=(UTC+01:00) Berlin:20300501T100000`, without the quotes that it would need.
        rest, _, value = value.rpartition(":")
        params["TZID"] = f"{zone}:{rest}"
    return Property(number, name, params, value)


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """Each content line with the number of its first line (RFC 5545, 3.1)."""
    number, parts = 0, list[str]()
    for current, line in enumerate(lines_of(text), 1):
        if parts and line[:1] in (" ", "\t"):
            parts.append(line[1:])
            continue
        if not line.strip():
            continue
        if parts:
            yield number, "".join(parts)
        number, parts = current, [line]
    if parts:
        yield number, "".join(parts)
