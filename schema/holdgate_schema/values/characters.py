"""Which characters an id and a text may have: what cannot be seen is in no id, what turns lines around in no text.

Two ids that look the same are one id for a person and two routing keys for the broker. So ids have no character that
is not drawn, and are composed (Unicode normalisation form C). The classes are written for regular expressions.
"""

from __future__ import annotations

import re
from unicodedata import is_normalized

CONTROL = r"\x00-\x1f\x7f-\x9f"
"""C0, DEL and C1: terminals obey them."""
BIDI = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""What turns the direction of writing: a text with them is shown in another order than it is stored."""
LINE = r"\u2028\u2029"
UNDRAWN = (
    r"\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff"
)
"""What has a code and no shape: zero-width characters, fillers, selectors, tags, marks of byte order."""

ID_CLASS = rf"[^\s{CONTROL}{BIDI}{UNDRAWN}]"
TEXT_CLASS = rf"[^{CONTROL}{LINE}{BIDI}\ufeff]"
"""Of what people read. Joiners stay: Persian, Hindi and many symbols need them."""

_NOT_IN_ID = re.compile(rf"[{CONTROL}{BIDI}{UNDRAWN}]")
_NOT_IN_TEXT = re.compile(rf"[{CONTROL}{LINE}{BIDI}\ufeff]")


def hidden_in_id(text: str) -> str | None:
    """The first character that no id may have because it is not drawn, as `U+200B`. White space is another matter."""
    return _named(_NOT_IN_ID.search(text))


def hidden_in_text(text: str) -> str | None:
    """The first character that no text of one line may have, as `U+202E`."""
    return _named(_NOT_IN_TEXT.search(text))


def is_composed(text: str) -> bool:
    """Whether the text is in normalisation form C, in which every id has to be."""
    return text.isascii() or is_normalized("NFC", text)


def _named(found: re.Match[str] | None) -> str | None:
    return None if found is None else f"U+{ord(found[0]):04X}"
