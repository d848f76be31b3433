"""The defects of the engine before this one that are about prices, by their numbers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import msgspec
from msgspec.structs import replace
from tests.support.pricing import ADULT, a_product, an_extra, an_occasion, problems, quote_of, quoted

from holdgate_schema.values.products import Days, Holiday, PriceRules, WeekendAmount
from holdgate_schema.values.quotes import Quote, is_intact


def test_b18_a_booking_that_is_priced_by_many_at_once_has_one_quote() -> None:
    """Twenty consumers of the same request come to the same bytes and the same hash."""
    product = a_product(extras=[an_extra(10_00), an_extra(7_77, "map")])
    with ThreadPoolExecutor(20) as consumers:
        quotes = consumers.map(
            lambda _: quoted(product, {"child": 2, "adult": 5}, {"map": 1, "guide": 3}), range(20)
        )
        assert len({msgspec.json.encode(quote) for quote in quotes}) == 1


def test_b20_a_quote_of_another_product_occurrence_or_basket_is_told_apart() -> None:
    """It was skipped in silence; here nothing of what is paid for can be exchanged without a trace."""
    quote = quoted(a_product(), 2)
    others = [
        quoted(a_product(product_id="other-tour"), 2),
        quoted(a_product(), 2, on=an_occasion(occurrence_id="occ-2")),
        quoted(a_product(), {"adult": 1, "child": 1}),
    ]
    assert all(other.hash != quote.hash for other in others)
    assert not any(is_intact(replace(other, hash=quote.hash)) for other in others)


def test_b23_a_price_that_changes_after_the_quote_does_not_change_the_quote() -> None:
    """It was read again when the order was made; a quote needs no product to say what it costs."""
    before = quoted(a_product(), 2)
    stored = msgspec.json.encode(before)
    after = quoted(a_product(ticket_types=[replace(ADULT, price=9900)]), 2)
    assert (after.total, after.hash == before.hash) == (198_00, False)
    honoured = msgspec.json.decode(stored, type=Quote)
    assert is_intact(honoured)
    assert (honoured.total, honoured.hash) == (150_00, before.hash)


def test_b23_what_has_no_price_is_refused_and_never_free() -> None:
    """Unknown prices counted as 0, unknown tickets were skipped; a price of 0 must be written down."""
    product = a_product(ticket_types=[ADULT, replace(ADULT, key="guide", price=0)])
    assert [found.key for found in problems(product, {"adult": 1, "senior": 1}, {"lunch": 1})] == [
        "senior",
        "lunch",
    ]
    assert quoted(product, {"guide": 1}).total == 0


def test_b41_a_price_with_a_date_is_a_price_on_every_day() -> None:
    """Asking for holidays failed after the seats had been taken. No day of four years fails here."""
    rules = PriceRules(
        weekend=WeekendAmount(amount=15_00),
        holidays=[Holiday(label="Leap day", days=Days(dates=[date(2028, 2, 29)]), amount=10_00)],
    )
    product = a_product(rules)
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(4 * 365 + 1)]
    totals = {day: quoted(product, on=f"{day}T10:00").total for day in days}
    assert all(totals[day] == 75_00 + 15_00 * (day.weekday() >= 5) for day in days if day != date(2028, 2, 29))
    assert totals[date(2028, 2, 29)] == 85_00


def test_b41_what_cannot_be_priced_is_a_value_and_no_error() -> None:
    """So whoever asks before taking seats has nothing to give back."""
    unpriced = quote_of(a_product(), {"senior": 1})
    assert not isinstance(unpriced, Quote)
    assert msgspec.json.decode(msgspec.json.encode(unpriced), type=type(unpriced)) == unpriced
