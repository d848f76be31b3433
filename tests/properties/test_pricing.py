"""What holds for any rules, any basket and any day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Context, Decimal, setcontext
from decimal import getcontext as the_context
from fractions import Fraction
from math import floor
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.pricing import a_product, a_ticket, line, quoted
from tests.support.pricing_strategies import baskets, fees, good_for, occasions, products, rules, vouchers

from holdgate_schema.values.products import (
    Adjustment,
    Clamp,
    DateRange,
    Days,
    PriceRules,
    Product,
    Voucher,
    WeekendAmount,
)
from holdgate_schema.values.quotes import Quote, Unpriced, is_intact
from holdgate_workers.domain.pricing import money
from holdgate_workers.domain.pricing.basket import Basket
from holdgate_workers.domain.pricing.engine import price
from holdgate_workers.domain.pricing.explaining import explained
from holdgate_workers.domain.pricing.fees import Fees
from holdgate_workers.domain.pricing.price_context import WEEKDAYS, Occasion

TICKET_KINDS = ("ticket", "group_discount", "weekend", "holiday", "minimum")
UNIT_RULES = ("early_bird", "last_minute", "weekdays", "seasons", "demand", "others")
FREE = Fees(platform_percent=0)
WIDE = Clamp(min_percent=0, max_percent=1000)


def priced(*args: Any, **fields: Any) -> Quote:
    quote = price(*args, **fields)
    assert isinstance(quote, Quote), quote
    return quote


def half_up(amount: Fraction) -> int:
    """Independent of the engine's own: away from zero from the half on."""
    return floor(amount + Fraction(1, 2)) if amount >= 0 else -half_up(-amount)


@given(products, baskets, occasions, fees, st.none() | vouchers)
def test_no_total_is_negative_and_the_lines_add_up_exactly(
    product: Product, basket: Basket, occasion: Occasion, charged: Fees, voucher: Voucher | None
) -> None:
    quote = priced(product, basket, occasion, fees=charged, voucher=voucher and good_for(product, voucher))
    assert quote.total == sum(line.amount for line in quote.lines) >= 0
    tickets = [line.amount for line in quote.lines if line.kind in TICKET_KINDS]
    extras = [line.amount for line in quote.lines if line.kind in ("extra", "combo_discount")]
    assert (sum(tickets), sum(extras)) == (quote.tickets_total, quote.extras_total)
    assert min(quote.tickets_total, quote.extras_total) >= 0
    for found in quote.lines:
        if found.each is not None:
            assert sum(Fraction(step.amount) for step in found.steps) == Fraction(found.each)
            assert found.amount == half_up(Fraction(found.each) * found.quantity) >= 0
    assert is_intact(quote)
    rows = explained(quote)
    assert len(rows) == sum(1 + len(line.steps) for line in quote.lines) + 1


@given(products, baskets, occasions, fees, st.none() | vouchers)
def test_the_same_question_has_the_same_answer_to_the_byte(
    product: Product, basket: Basket, occasion: Occasion, charged: Fees, voucher: Voucher | None
) -> None:
    """Asked again, with every key in another order, after a trip over the wire, in a thread that rounds by itself."""
    first = msgspec.json.encode(
        priced(product, basket, occasion, fees=charged, voucher=voucher and good_for(product, voucher))
    )
    turned = Basket(
        items=_turned(dict(basket.items)),
        extras=_turned(dict(basket.extras)),
        payment_method=basket.payment_method,
    )
    sent = msgspec.json.decode(msgspec.json.encode(_turned(msgspec.to_builtins(product))), type=Product)
    before = the_context()
    setcontext(Context(prec=2, rounding=ROUND_DOWN))
    try:
        second = priced(sent, turned, occasion, fees=charged, voucher=voucher and good_for(product, voucher))
    finally:
        setcontext(before)
    assert msgspec.json.encode(second) == first


def _turned(value: Any) -> Any:
    """The same document with the keys of every object in the other order."""
    if isinstance(value, dict):
        return {key: _turned(item) for key, item in reversed(value.items())}
    return [_turned(item) for item in value] if isinstance(value, list) else value


@given(rules, st.integers(0, 100_000), occasions)
def test_no_rule_compounds(found: PriceRules, amount: int, occasion: Occasion) -> None:
    """All rules together move a price by what each of them moves it alone."""
    alone = PriceRules(clamp=WIDE, group_discounts=[])
    together = replace(alone, **{name: getattr(found, name) for name in UNIT_RULES})
    each_alone = [replace(alone, **{name: getattr(found, name)}) for name in UNIT_RULES[:-1]]
    each_alone += [replace(alone, others=[other]) for other in found.others]

    def moved(by: PriceRules) -> Fraction:
        ticket = line(quoted(a_product(by, ticket_types=a_ticket(amount)), on=occasion), "ticket")
        steps = [step for step in ticket.steps[1:] if step.rule not in ("clamp", "rounding")]
        return sum((Fraction(step.amount) for step in steps), Fraction(0))

    assert moved(together) == sum(map(moved, each_alone))


@given(rules, st.integers(0, 100_000), occasions)
def test_no_unit_price_leaves_its_bounds(found: PriceRules, amount: int, occasion: Occasion) -> None:
    """To the rounding of the bound itself; and one that no rule has pushed out is not clamped."""
    ticket = line(quoted(a_product(found, ticket_types=a_ticket(amount)), on=occasion), "ticket")
    low, high = (
        Fraction(repr(percent)) * amount / 100 for percent in (found.clamp.min_percent, found.clamp.max_percent)
    )
    assert half_up(low) <= ticket.amount // ticket.quantity <= half_up(high)
    by_rules = [step for step in ticket.steps if step.rule not in ("clamp", "rounding")]
    raw = sum((Fraction(step.amount) for step in by_rules), Fraction(0))
    assert Fraction(ticket.each or "") == half_up(min(max(raw, low), high))
    assert ("clamp" in [step.rule for step in ticket.steps]) == (not low <= raw <= high)


@given(products, baskets, occasions, vouchers)
def test_a_voucher_takes_off_at_most_what_there_is(
    product: Product, basket: Basket, occasion: Occasion, voucher: Voucher
) -> None:
    without = priced(product, basket, occasion, fees=FREE)
    with_it = priced(product, basket, occasion, fees=FREE, voucher=good_for(product, voucher))
    worth = (
        Fraction(voucher.amount)
        if voucher.amount is not None
        else Fraction(repr(voucher.percent)) * without.total / 100
    )
    assert with_it.total == without.total - min(half_up(worth), without.total)
    assert 0 <= with_it.total <= without.total


@given(products, baskets, occasions, fees)
def test_each_fee_is_on_the_subtotal_alone(
    product: Product, basket: Basket, occasion: Occasion, charged: Fees
) -> None:
    quote = priced(product, basket, occasion, fees=charged)
    due = quote.tickets_total + quote.extras_total
    fee = charged.payment.get(basket.payment_method or "")
    platform = half_up(Fraction(repr(charged.platform_percent)) * due / 100)
    payment = half_up(Fraction(repr(fee.percent)) * due / 100 + fee.fixed.get(product.currency, 0)) if fee else 0
    assert quote.total == (due + platform + payment if due else 0)


@given(products, baskets, occasions, st.text("abcdefgh", min_size=1), st.booleans())
def test_nothing_without_a_price_is_ever_priced(
    product: Product, basket: Basket, occasion: Occasion, key: str, as_extra: bool
) -> None:
    """However much of the basket has one."""
    unknown = {f"x-{key}": 1}
    wider = Basket(
        items={**basket.items, **({} if as_extra else unknown)},
        extras={**basket.extras, **(unknown if as_extra else {})},
    )
    unpriced = price(product, wider, occasion, fees=FREE)
    assert isinstance(unpriced, Unpriced)
    assert [(found.what, found.key) for found in unpriced.problems] == [
        ("extra" if as_extra else "ticket", f"x-{key}")
    ]


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


CHANGES = [
    # zone, the instant at which its clock is changed, minutes from UTC before and after
    ("Europe/Berlin", _utc("2026-03-29T01:00"), 60, 120),
    ("America/New_York", _utc("2026-11-01T06:00"), -240, -300),
    ("America/Havana", _utc("2026-03-08T05:00"), -300, -240),  # the hour after midnight is left out
    ("Australia/Lord_Howe", _utc("2026-10-03T15:30"), 630, 660),
    ("Pacific/Chatham", _utc("2026-09-26T14:00"), 765, 825),
]


@pytest.mark.parametrize(("zone", "change", "before", "after"), CHANGES, ids=[row[0] for row in CHANGES])
@given(minutes=st.integers(-3 * 1440, 3 * 1440), booked=st.integers(0, 90 * 1440))
def test_the_price_is_that_of_the_occurrences_local_date(
    zone: str, change: datetime, before: int, after: int, minutes: int, booked: int
) -> None:
    """Three days to both sides of a change of the clock: weekday, weekend and season go by the calendar there,
    whatever the day is elsewhere, and whenever it was booked."""
    starts_at = change + timedelta(minutes=minutes)
    day = (starts_at + timedelta(minutes=after if minutes >= 0 else before)).date()
    product = a_product(
        PriceRules(
            others=[
                Adjustment(label="That day", amount=100, days=Days(ranges=[DateRange(first=day, last=day)])),
                Adjustment(label="The same day", amount=10, days=Days(months=[day.month], dates=[day])),
            ],
            weekend=WeekendAmount(amount=1, days=[WEEKDAYS[day.weekday()]]),
        )
    )
    occasion = Occasion(
        occurrence_id="occ-1",
        starts_at=starts_at,
        timezone=zone,
        booked_at=starts_at - timedelta(minutes=booked),
    )
    assert quoted(product, on=occasion).total == 7500 + 100 + 10 + 1
    elsewhere = replace(product, rules=PriceRules(others=[Adjustment(label="Next", amount=1, days=_all_but(day))]))
    assert quoted(elsewhere, on=occasion).total == 7500


def _all_but(day: Any) -> Days:
    one = timedelta(days=1)
    return Days(
        ranges=[
            DateRange(first=day - 400 * one, last=day - one),
            DateRange(first=day + one, last=day + 400 * one),
        ]
    )


@given(st.decimals(-(10**9), 10**9, places=4))
def test_the_engine_rounds_half_up_and_loses_nothing(amount: Decimal) -> None:
    assert money.half_up(amount) == half_up(Fraction(amount))
    assert Fraction(money.written(amount)) == Fraction(amount)
