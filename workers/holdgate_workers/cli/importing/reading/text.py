"""From the bytes of a file to its text, whatever program wrote it."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

SAVE_AS_UTF8 = "save it as UTF-8 (in Excel: 'CSV UTF-8'), or name its encoding with --encoding"

_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
WESTERN = "windows-1252"
DAMAGE_SHARE = 2
"""UTF-8 saves more bytes than so many for every place that is damaged, or it is something else."""
_NUL_SHARE = 4
"""UTF-16 of any European text is half zeros; a quarter is evidence enough."""
_LINE_ENDS = re.compile(r"\r\n|\r|\n")
# What no Western word has in it: a sign or a capital inside it, four letters with accents in a row.
_NO_WESTERN_WORD = re.compile(
    r"[A-Za-zÀ-ÖØ-öø-ÿŠŒŽšœžŸ][\u0080-¿×÷‚ƒ„†‡ˆ‰‹˜›]+[a-zà-öø-ÿ]|[a-zß-öø-ÿ][À-ÖØ-ÞŠŒŽŸ]|[À-ÖØ-öø-ÿŠŒŽšœžŸ]{4}"
)
_HYPHENS = re.compile("[\u00a0\u00ad\u00b7\u2019\u2018\u2013\u2014\u2026\u201c\u201d\u2022]")


class NotText(ValueError):
    """The bytes are no text in any encoding that is read here; the message says so and what to do."""


class Text(NamedTuple):
    """The text and how it was encoded. `is_assumed`: that was concluded, for nothing in the file says it."""

    content: str
    encoding: str
    is_assumed: bool = False
    lost: int = 0


def decoded(data: bytes, encoding: str | None = None, *, may_lose: bool = False) -> Text:
    """The text of the bytes: in `encoding` if given, else by its mark, as UTF-8, or as what the bytes give evidence of.

    With `may_lose` UTF-8 that is damaged here and there is text, too; `lost` counts the places. Raises `NotText`.
    """
    if encoding is not None:
        return Text(_as(data, encoding).removeprefix("\ufeff"), encoding)
    for mark, name in _MARKS:
        if data.startswith(mark):
            return Text(_as(data[len(mark) :], name), name)
    unmarked = _utf16_without_mark(data)
    if unmarked is not None:
        return Text(_as(data, unmarked), unmarked, is_assumed=True)
    try:
        return Text(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError as exc:
        if data[:2] in (b"PK", b"\xd0\xcf") or data[:4] == b"%PDF":
            raise NotText(
                "is not text but a document of another program (a workbook?); save it as CSV UTF-8"
            ) from exc
        western = _western(data)
        damaged = data.decode("utf-8", errors="replace")
        lost = damaged.count("\ufffd")
        if western is None and may_lose and lost * DAMAGE_SHARE < len(data) - len(damaged):
            return Text(damaged, "utf-8", lost=lost)
        if western is None:
            raise NotText(f"is not UTF-8: {exc.reason} at byte {exc.start}; {SAVE_AS_UTF8}") from exc
        return Text(western, WESTERN, is_assumed=True)


def lines_of(text: str) -> list[str]:
    """The lines, whichever of the three line ends the file has; no other character ends one."""
    return _LINE_ENDS.split(text)


def _as(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except LookupError as exc:
        raise NotText(f"has an encoding that is not known: {encoding!r}; try utf-8 or windows-1252") from exc
    except (UnicodeError, ValueError) as exc:
        if encoding.startswith("utf-16") and len(data) % 2:
            return _as(data[:-1], encoding)
        raise NotText(f"is not {encoding.upper()}, as it seems to be: {exc}; {SAVE_AS_UTF8}") from exc


def _utf16_without_mark(data: bytes) -> str | None:
    """Text in the Latin alphabet has a zero in every other byte."""
    even, odd = data[0::2].count(0), data[1::2].count(0)
    if max(even, odd) * _NUL_SHARE < len(data) or min(even, odd) * _NUL_SHARE > max(even, odd):
        return None
    return "utf-16-be" if even > odd else "utf-16-le"


def _western(data: bytes) -> str | None:
    """The text as Windows-1252, if that makes words of it; other code pages make signs in the middle of words."""
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return None
    return None if _NO_WESTERN_WORD.search(_HYPHENS.sub(" ", text)) else text
