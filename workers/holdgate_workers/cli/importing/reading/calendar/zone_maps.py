"""What the caller says that names of zones mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from .zones import iana_name


def explained(given: Iterable[str]) -> dict[str, str]:
    """Names to zones: of each `NAME=ZONE`, or of the lines of a file. Raises `ValueError`, `OSError`."""
    found: dict[str, str] = {}
    for text in given:
        for where, pair in _pairs(text):
            name, equals, zone = pair.rpartition("=")
            known = iana_name(zone.strip().strip("\"'"))
            if not equals or not name.strip():
                raise ValueError(f"{where}{pair!r} is not NAME=Area/City, nor a file that is there")
            if known is None:
                raise ValueError(f"{where}{zone.strip()!r} is not a known IANA zone, such as Europe/Rome")
            found[name.strip().strip("\"'")] = known
    return found


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """The pair itself, or those of the file, each with the place to name where it is wrong."""
    if "=" in text:
        yield "", text
        return
    file = Path(text)
    if not file.is_file():
        yield "", text
        return
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as exc:
        raise ValueError(f"{text} is not UTF-8") from exc
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield f"{text}, line {number}: ", line
