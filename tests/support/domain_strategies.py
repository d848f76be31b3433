"""Hypothesis strategies: any message of the language, and occurrences small enough for things to collide."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import cache, partial
from typing import Any
from unicodedata import normalize

import msgspec
from hypothesis import strategies as st
from tests.support.domain import OCCURRENCE, a_put

from holdgate_schema.commands.holds import (
    ExtraDefinition,
    HoldOverrides,
    PoolDefinition,
    PutOccurrence,
    SharedStock,
    TicketType,
)
from holdgate_schema.ids import NAME_PATTERN, UUID_PATTERN, VISIBLE_PATTERN
from holdgate_schema.values.characters import hidden_in_id

_OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_ANY_CHAR = st.characters(codec="utf-8")
_VISIBLE_CHAR = st.characters(
    exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), exclude_characters="\ufffe\uffff"
).filter(lambda letter: hidden_in_id(letter) is None)
_ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "Asia/Kathmandu",
        "Pacific/Kiritimati",
        "Pacific/Pago_Pago",
        "Mars/Olympus",
        "localtime",
    ]
)


@cache
def any_message(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Any value of a message type that the contract allows, read off its own definition."""
    return _any(msgspec.inspect.type_info(kind))


def _any(info: Any, name: str = "") -> st.SearchStrategy[Any]:
    match info:
        case msgspec.inspect.Metadata():
            return _any(info.type, name)
        case msgspec.inspect.NoneType():
            return st.none()
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.IntType():
            return st.integers(-(2**53) if info.ge is None else info.ge, 2**53 if info.le is None else info.le)
        case msgspec.inspect.LiteralType() | msgspec.inspect.EnumType():
            values = info.values if isinstance(info, msgspec.inspect.LiteralType) else list(info.cls)
            return st.sampled_from(list(values))
        case msgspec.inspect.StrType():
            return _ZONES if name == "timezone" else _text(info)
        case msgspec.inspect.DateTimeType():
            return _times(st.none() if info.tz is False else _OFFSETS)
        case msgspec.inspect.ListType():
            return st.lists(
                _any(info.item_type), min_size=info.min_length or 0, max_size=min(info.max_length or 4, 4)
            )
        case msgspec.inspect.DictType():
            least, most = info.min_length or 0, min(info.max_length or 4, 4)
            return st.dictionaries(_any(info.key_type), _any(info.value_type), min_size=least, max_size=most)
        case msgspec.inspect.UnionType():
            return st.one_of(*(_any(item, name) for item in info.types))
        case msgspec.inspect.StructType():
            required = {item.name: _any(item.type, item.name) for item in info.fields if item.required}
            optional = {item.name: _any(item.type, item.name) for item in info.fields if not item.required}
            return st.fixed_dictionaries(required, optional=optional).map(lambda fields: info.cls(**fields))
    raise AssertionError(f"no strategy for {info}")


def _times(zones: st.SearchStrategy[Any]) -> st.SearchStrategy[datetime]:
    """Any time that can be written, now and then the very first or last."""
    ends = st.builds(datetime.replace, st.sampled_from([datetime.min, datetime.max]), tzinfo=zones)  # noqa: DTZ901
    return st.one_of(st.datetimes(timezones=zones), st.datetimes(timezones=zones), ends)


def _text(info: Any) -> st.SearchStrategy[str]:
    least, most = info.min_length or 0, info.max_length or 20
    match info.pattern:
        case None:
            return st.text(_ANY_CHAR, min_size=least, max_size=most)
        case text if text == UUID_PATTERN:
            return st.uuids().map(str)
        case text if text == NAME_PATTERN:
            return st.one_of(
                st.sampled_from(["total", "adult", "child", "guide"]),
                st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,9}", fullmatch=True),
            )
        case text if text == VISIBLE_PATTERN or text.startswith(r"^[^\s"):
            return _composed(max(1, least), most)
        case text if text.startswith("^[0-9a-fA-F:.]"):
            return st.one_of(
                st.ip_addresses().map(str), st.text("0123456789abcdefABCDEF:.", min_size=2, max_size=20)
            )
        case text if "[0-9a-f]{64}" in text:
            return st.binary(min_size=32, max_size=32).map(bytes.hex)
        case text if "x7f]*$" in text:
            return st.text(_VISIBLE_CHAR, min_size=least, max_size=min(most, 12))
        case text:
            whole = text.removeprefix("^").removesuffix("$(?!\\n)")
            return st.from_regex(whole, fullmatch=True).filter(
                lambda found: least <= len(found) <= (info.max_length or 50)
            )


def _composed(least: int, most: int) -> st.SearchStrategy[str]:
    """Names in the one spelling that ids may have."""
    spelled = st.text(_VISIBLE_CHAR, min_size=least, max_size=min(most, 12)).map(partial(normalize, "NFC"))
    return spelled.filter(lambda text: least <= len(text) <= most)


# --- occurrences ------------------------------------------------------------------------------------------------

TICKETS = ("adult", "child", "teen", "vip")
EXTRAS = ("guide", "lunch")
POOLS = ("young", "best", "meals")
STOCKS = ("guides", "boats")


@st.composite
def occurrences(draw: st.DrawFn, occurrence_id: str = OCCURRENCE) -> PutOccurrence:
    """A put that is always valid: few seats, shared caps, shared stock, every setting now and then."""
    pools = draw(st.lists(st.sampled_from(POOLS), unique=True, max_size=3))
    tickets = draw(st.sampled_from([TICKETS, TICKETS, TICKETS, TICKETS[:1], TICKETS[1:]]))
    extras = draw(st.sampled_from([EXTRAS, EXTRAS, EXTRAS[:1], ()]))
    some_pools = st.lists(st.sampled_from(pools), unique=True, max_size=2) if pools else st.just([])
    extra_pools = st.lists(st.sampled_from(["total", *pools]), unique=True, max_size=2)
    caps = {stock: draw(st.integers(0, 6)) for stock in STOCKS}
    leasts = st.sampled_from([0, 0, 0, 0, 1, 3])
    return a_put(
        occurrence_id,
        capacity=draw(st.one_of(st.integers(6, 18), st.integers(0, 18))),
        overbooking_percent=draw(st.sampled_from([0, 0, 10, 50])),
        buffer=draw(st.sampled_from([0, 0, 1, 3])),
        ticket_types=[
            TicketType(
                key=key,
                pools=draw(some_pools),
                min_per_order=(least := draw(leasts)),
                max_per_order=least + draw(st.integers(2, 8)),
            )
            for key in tickets
        ],
        pools=[
            PoolDefinition(
                key=key,
                capacity=draw(st.one_of(st.none(), st.integers(0, 10), st.integers(4, 10))),
                overbooking_percent=draw(st.sampled_from([0, 0, 50])),
                buffer=draw(st.sampled_from([0, 0, 2])),
            )
            for key in pools
        ],
        extras=[
            ExtraDefinition(
                key=key,
                pools=draw(extra_pools),
                stock=draw(
                    st.sampled_from([None, *(SharedStock(key=stock, cap=caps[stock]) for stock in STOCKS)])
                ),
            )
            for key in extras
        ],
        hold=draw(st.sampled_from([None, None, HoldOverrides(max_seats_per_hold=6, extensions_max=1)])),
    )


def baskets() -> st.SearchStrategy[dict[str, int]]:
    """Ticket items, now and then one that does not exist."""
    keys = st.sampled_from([*TICKETS, *TICKETS, *TICKETS, "ghost"])
    return st.dictionaries(keys, st.integers(1, 4), min_size=1, max_size=3)


def some_extras() -> st.SearchStrategy[dict[str, int]]:
    """Often none."""
    return st.one_of(st.just({}), st.dictionaries(st.sampled_from(EXTRAS), st.integers(1, 3), max_size=2))


def spans() -> st.SearchStrategy[timedelta]:
    """Steps of time, some of them just about a hold's life."""
    second, minute = timedelta(seconds=1), timedelta(minutes=1)
    edges = [timedelta(0), timedelta.resolution, second, minute, minute, 15 * minute, 60 * minute]
    return st.one_of(
        st.sampled_from(edges),
        st.integers(0, 300).map(lambda seconds: seconds * second),
    )
