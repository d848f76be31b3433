"""What a text must be, in words: one line for each form that a message may ask for."""

from __future__ import annotations

from collections.abc import Mapping

from holdgate_schema.commands.selling import EMAIL_PATTERN, LOCALE_PATTERN
from holdgate_schema.errors import ProblemCode
from holdgate_schema.ids import NAME_PATTERN, REQUEST_ID_PATTERN, UUID_PATTERN, VISIBLE_PATTERN
from holdgate_schema.values.characters import hidden_in_id, hidden_in_text, is_composed
from holdgate_schema.values.currencies import CurrencyCode
from holdgate_schema.values.fields import TEXT_PATTERN, Address, VoucherCode
from holdgate_schema.values.products import DayOfYear
from holdgate_schema.values.quotes import ExactAmount, QuoteHash


def _pattern(annotated: object) -> str:
    found: str = annotated.__metadata__[0].pattern  # type: ignore[attr-defined]
    return found


IN_WORDS: Mapping[str, str] = {
    UUID_PATTERN: "must be a UUID of 36 characters in lower case, such as 4f7d6b1e-0c55-4f0a-9a53-2f8f3f0f7c01",
    REQUEST_ID_PATTERN: "must be a UUID of 36 characters in lower case, such as 4f7d6b1e-0c55-4f0a-9a53-2f8f3f0f7c01",
    NAME_PATTERN: "must be 1 to 50 of a-z, 0-9, '_', '.' and '-', a letter or a digit first",
    VISIBLE_PATTERN: "must be visible characters without white space",
    TEXT_PATTERN: "must be text on one line, without control characters",
    EMAIL_PATTERN: "must be one address such as name@example.org, or empty",
    LOCALE_PATTERN: "must be a language tag such as de-AT, or empty",
    _pattern(Address): "must be an IP address such as 203.0.113.9 or 2001:db8::1",
    _pattern(VoucherCode): "must be 4 to 50 of A-Z, 0-9 and '-', a letter or a digit first, such as WINTER-26",
    _pattern(CurrencyCode): "must be a currency of ISO 4217, such as EUR",
    _pattern(QuoteHash): "must be the hash of a quote: 64 of 0-9 and a-f",
    _pattern(ExactAmount): "must be an exact decimal such as -1125.75",
    _pattern(DayOfYear): "must be a month and a day, such as 12-24",
}
"""Pattern -> what it asks for. `tests/contract` sees to it that no pattern of a message lacks its line."""

_HIDDEN = {VISIBLE_PATTERN: hidden_in_id, EMAIL_PATTERN: hidden_in_id, TEXT_PATTERN: hidden_in_text}


def unfit(text: str, pattern: str, *, matches: bool) -> tuple[ProblemCode, str] | None:
    """What is wrong with a text of this form: the code and the words; None if nothing is.

    `matches`: whether the pattern found it right. An id must be composed, too, which no pattern can say.
    """
    if matches:
        if pattern == VISIBLE_PATTERN and not is_composed(text):
            return ProblemCode.NOT_NORMALIZED, "must be in Unicode normalisation form C (NFC); compose it first"
        return None
    if pattern == REQUEST_ID_PATTERN and len(text) == 36 and not set(text) - set("0f-") and len(set(text)) == 2:
        return ProblemCode.RESERVED_ID, "must be a UUID made for this request, not the nil or the max UUID"
    hidden = _HIDDEN.get(pattern, lambda _: None)(text)
    if hidden is not None:
        return ProblemCode.INVISIBLE_CHARACTER, f"must not have the invisible or control character {hidden}"
    return ProblemCode.WRONG_FORMAT, IN_WORDS[pattern]
