"""Hypothesis strategies: any product that passes the checks, and what is bought of it on any day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy as Strategy
from msgspec.structs import replace
from tests.support.pricing import a_product

from holdgate_schema.values.products import (
    Adjustment,
    BulkTier,
    Clamp,
    ComboTier,
    DateRange,
    Days,
    DemandTier,
    EarlyBird,
    EveryYear,
    ExtraPrice,
    GroupTier,
    Holiday,
    LastMinute,
    PriceRules,
    Product,
    Season,
    TicketPrice,
    Voucher,
    WeekdayChange,
    WeekendAmount,
)
from holdgate_workers.domain.pricing.basket import Basket
from holdgate_workers.domain.pricing.fees import Fees, PaymentFee
from holdgate_workers.domain.pricing.price_context import WEEKDAYS, Occasion

T = TypeVar("T")
Fields = dict[str, Any]

ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati", "Pacific/Pago_Pago")
TICKETS = ("adult", "child")
EXTRAS = ("guide", "lunch", "map")
METHODS = ("credit_card", "wallet")
FIRST, LAST = date(2026, 1, 1), date(2028, 12, 31)

amounts = st.one_of(st.integers(0, 30), st.integers(0, 20_000), st.integers(0, 1_000_000))
discounts = st.integers(1, 10_000).map(lambda hundredths: hundredths / 100)
percents = st.one_of(st.integers(-10_000, 100_000), st.integers(-3_000, 3_000)).map(lambda n: n / 100)
labels = st.sampled_from(["Offer", "High season", "Ferien & Feste", "値引き"])
dates = st.dates(FIRST, LAST)
day_of_year = st.dates(date(2028, 1, 1), date(2028, 12, 31)).map(lambda day: f"{day:%m-%d}")


# Built once: hypothesis spends more time on making strategies than on drawing from them.

_changes: Strategy[Fields] = st.one_of(
    percents.map(lambda percent: {"percent": percent}),
    st.integers(-30_000, 30_000).map(lambda amount: {"amount": amount}),
)
_off: Strategy[Fields] = discounts.map(lambda percent: {"discount_percent": percent})
_group_off: Strategy[Fields] = _off | st.integers(1, 30_000).map(lambda amount: {"discount_amount": amount})
_span = st.tuples(dates, dates).map(sorted).map(lambda ends: DateRange(first=ends[0], last=ends[1]))
_every_year = st.builds(EveryYear, first=day_of_year, last=day_of_year)
_days = st.one_of(
    st.lists(_every_year, min_size=1, max_size=2).map(lambda spans: Days(every_year=spans)),
    st.sets(st.integers(1, 12), min_size=1, max_size=6).map(lambda months: Days(months=list(months))),
    st.tuples(_span, dates).map(lambda both: Days(ranges=[both[0]], dates=[both[1]])),
)


def _with_change(kind: Callable[..., T], **fields: Strategy[Any]) -> Strategy[T]:
    """A rule with these fields and either a percentage or an amount."""
    return st.builds(lambda change, **given: kind(**given, **change), _changes, **fields)


def _tiers(
    make: Callable[..., T], threshold: str, least: int, most: int, what: Strategy[Fields]
) -> Strategy[list[T]]:
    """Tiers with rising thresholds."""
    bounds = st.dictionaries(st.integers(least, most), what, max_size=2)
    return bounds.map(lambda found: [make(**{threshold: bound}, **found[bound]) for bound in sorted(found)])


_seasons = st.lists(_with_change(Season, label=labels, days=_days), max_size=2)
_weekday_changes = st.dictionaries(st.sampled_from(WEEKDAYS), _changes, max_size=2).map(
    lambda found: [WeekdayChange(days=[day], **change) for day, change in found.items()]
)
_clamps = st.builds(
    lambda low, high: Clamp(min_percent=low / 100, max_percent=high / 100),
    st.integers(0, 10_000),
    st.integers(10_000, 100_000),
)

rules = st.builds(
    PriceRules,
    early_bird=st.none() | st.builds(EarlyBird, days_before=st.integers(1, 60), discount_percent=discounts),
    last_minute=st.none() | st.builds(LastMinute, hours_before=st.integers(1, 72), discount_percent=discounts),
    weekdays=_weekday_changes,
    seasons=_seasons,
    demand=_tiers(DemandTier, "share_percent", 0, 100, _changes),
    others=st.lists(_with_change(Adjustment, label=labels, days=st.none() | _days), max_size=2),
    clamp=st.just(Clamp()) | _clamps,
    group_discounts=_tiers(GroupTier, "tickets_min", 1, 12, _group_off),
    weekend=st.none() | st.builds(WeekendAmount, amount=amounts),
    holidays=st.lists(st.builds(Holiday, label=labels, days=_days, amount=amounts), max_size=2),
    minimum_total=st.just(0) | amounts,
)

_tickets = st.builds(
    TicketPrice,
    key=st.just("any"),
    price=amounts,
    counts_as=st.sampled_from(["adult", "child", "other"]),
    exempt=st.lists(st.sampled_from(["season", "demand", "weekday"]), unique=True, max_size=1),
)
_extras = st.builds(
    ExtraPrice,
    key=st.just("any"),
    price=amounts,
    per=st.sampled_from(["fixed", "order", "person", "adult", "child"]),
    seasons=_seasons,
    bulk_discounts=_tiers(BulkTier, "quantity_min", 1, 9, _off),
)

products = st.builds(
    lambda rules, tickets, extras, **fields: a_product(
        rules,
        ticket_types=[replace(ticket, key=key) for key, ticket in zip(TICKETS, tickets, strict=True)],
        extras=[replace(extra, key=key) for key, extra in zip(EXTRAS, extras, strict=True)],
        **fields,
    ),
    rules,
    st.tuples(*[_tickets] * len(TICKETS)),
    st.tuples(*[_extras] * len(EXTRAS)),
    currency=st.sampled_from(["EUR", "JPY", "KWD"]),
    combo_discounts=_tiers(ComboTier, "kinds_min", 2, 4, _off),
)
"""Products with all tickets and extras that pass the checks, every rule now and then."""

baskets = st.builds(
    Basket,
    items=st.dictionaries(st.sampled_from(TICKETS), st.integers(1, 12), min_size=1),
    extras=st.dictionaries(st.sampled_from(EXTRAS), st.integers(1, 12)),
    payment_method=st.sampled_from([None, *METHODS, "cash"]),
)
"""Tickets, extras and a way of paying, all of them known."""


def _occasion(minutes: int, before: int, **fields: Any) -> Occasion:
    starts_at = datetime(2026, 1, 3, tzinfo=UTC) + timedelta(minutes=minutes)
    booked_at = starts_at - timedelta(minutes=before)
    return Occasion(occurrence_id="occ-1", starts_at=starts_at, booked_at=booked_at, **fields)


occasions = st.builds(
    _occasion,
    minutes=st.integers(0, 2 * 365 * 1440),
    before=st.integers(-60, 4320) | st.integers(-60, 90 * 1440),
    timezone=st.sampled_from(ZONES),
    taken=st.integers(0, 40),
    sellable=st.none() | st.integers(0, 40),
)
"""Any day, booked from long before to a little after its start, in any of the zones."""

_fee_percents = st.integers(0, 5_000).map(lambda hundredths: hundredths / 100)
_fixed_fees = st.fixed_dictionaries(dict.fromkeys(("EUR", "JPY", "KWD"), st.integers(0, 500)))

fees = st.builds(
    Fees,
    platform_percent=_fee_percents,
    payment=st.dictionaries(
        st.sampled_from(METHODS), st.builds(PaymentFee, percent=_fee_percents, fixed=st.just({}) | _fixed_fees)
    ),
)
"""Fees that are known in every currency."""

vouchers = st.one_of(
    discounts.map(lambda percent: Voucher(code="WINTER-26", percent=percent)),
    st.integers(1, 2_000_000).map(lambda amount: Voucher(code="WINTER-26", amount=amount, currency="EUR")),
)
"""Vouchers that are good for anything, once `good_for` has given them the product's currency."""


def good_for(product: Product, voucher: Voucher) -> Voucher:
    """The voucher in the product's currency."""
    return replace(voucher, currency=product.currency) if voucher.currency else voucher
