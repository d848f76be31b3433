"""The price of one ticket: each rule when it should, each of the price without rules, clamped, then rounded."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.pricing import (
    ADULT,
    CHILD,
    SATURDAY,
    TUESDAY,
    a_product,
    a_ticket,
    an_occasion,
    line,
    quoted,
    words,
)

from holdgate_schema.values.products import (
    Adjustment,
    Clamp,
    DateRange,
    Days,
    DemandTier,
    EarlyBird,
    EveryYear,
    LastMinute,
    PriceRules,
    Season,
    WeekdayChange,
)
from holdgate_workers.domain.pricing.price_context import Occasion

EARLY = PriceRules(early_bird=EarlyBird(days_before=30, discount_percent=15))
LATE = PriceRules(last_minute=LastMinute(hours_before=24, discount_percent=20))


def each(rules: PriceRules, on: Occasion | str = TUESDAY, amount: int = 7500) -> int:
    """What one ticket costs."""
    return quoted(a_product(rules, ticket_types=a_ticket(amount)), on=on).total


@pytest.mark.parametrize(
    ("booked", "expected"),
    [("2026-11-08T10:00", 6375), ("2026-11-08T10:01", 7500), ("2026-01-01T00:00", 6375)],
)
def test_early_is_so_many_days_before_at_the_same_time_of_day(booked: str, expected: int) -> None:
    assert each(EARLY, an_occasion("2026-12-08T10:00", booked=booked)) == expected


@pytest.mark.parametrize(("booked", "expected"), [("2026-03-28T10:00", 6375), ("2026-03-28T10:01", 7500)])
def test_early_counts_days_of_the_calendar_where_the_clock_is_changed(booked: str, expected: int) -> None:
    """The night before 29 March 2026 has an hour less in Berlin; a day before is still a day before."""
    rules = PriceRules(early_bird=EarlyBird(days_before=1, discount_percent=15))
    assert each(rules, an_occasion("2026-03-29T10:00", booked=booked)) == expected


@pytest.mark.parametrize(("booked", "expected"), [("2026-12-07T10:00", 6000), ("2026-12-07T09:59", 7500)])
def test_last_minute_is_at_most_so_many_hours_before(booked: str, expected: int) -> None:
    assert each(LATE, an_occasion("2026-12-08T10:00", booked=booked)) == expected


@pytest.mark.parametrize(("booked", "expected"), [("2026-03-28T09:00", 6000), ("2026-03-28T08:59", 7500)])
def test_last_minute_counts_hours_that_pass_where_the_clock_is_changed(booked: str, expected: int) -> None:
    """From nine to ten over the missing hour of 29 March 2026 are 24 hours in Berlin, not 25."""
    assert each(LATE, an_occasion("2026-03-29T10:00", booked=booked)) == expected


def test_early_bird_and_last_minute_can_both_count_and_are_said_in_words() -> None:
    rules = PriceRules(
        early_bird=EarlyBird(days_before=1, discount_percent=15),
        last_minute=LastMinute(hours_before=48, discount_percent=2.5, label="Spontaneous"),
    )
    quote = quoted(a_product(rules), on=an_occasion(TUESDAY, booked="2026-12-07T09:00"))
    assert words(line(quote, "ticket")) == ["Early bird −15 %", "Spontaneous −2.5 %", "Rounded"]
    assert quote.total == 6188, "82.5 % of 7500 are 6187.5"


@pytest.mark.parametrize(("on", "expected"), [(SATURDAY, 9000), ("2026-12-06T10:00", 9000), (TUESDAY, 7000)])
def test_the_day_of_the_week_is_that_of_the_occurrence(on: str, expected: int) -> None:
    rules = PriceRules(
        weekdays=[
            WeekdayChange(days=["sat", "sun"], percent=20, label="Weekend"),
            WeekdayChange(days=["mon", "tue", "wed", "thu", "fri"], amount=-500),
        ]
    )
    assert each(rules, on) == expected


def test_a_weekday_without_a_label_is_named() -> None:
    rules = PriceRules(weekdays=[WeekdayChange(days=["tue"], amount=-500)])
    assert words(line(quoted(a_product(rules)), "ticket")) == ["Tuesday −5.00 EUR"]


@pytest.mark.parametrize(
    ("days", "inside", "outside"),
    [
        (Days(every_year=[EveryYear(first="06-15", last="09-15")]), "2026-06-15", "2026-06-14"),
        (Days(every_year=[EveryYear(first="06-15", last="09-15")]), "2031-09-15", "2031-09-16"),
        (Days(every_year=[EveryYear(first="12-20", last="01-06")]), "2026-12-31", "2026-12-19"),
        (Days(every_year=[EveryYear(first="12-20", last="01-06")]), "2027-01-06", "2027-01-07"),
        (Days(every_year=[EveryYear(first="02-29", last="02-29")]), "2028-02-29", "2027-02-28"),
        (Days(months=[12, 1]), "2027-01-31", "2027-02-01"),
        (Days(ranges=[DateRange(first=date(2026, 12, 20), last=date(2027, 1, 6))]), "2027-01-06", "2027-12-20"),
        (Days(dates=[date(2026, 12, 24)]), "2026-12-24", "2027-12-24"),
        (Days(months=[7], dates=[date(2026, 12, 24)]), "2026-12-24", "2026-12-23"),
    ],
)
def test_a_season_has_its_days_and_no_others(days: Days, inside: str, outside: str) -> None:
    rules = PriceRules(seasons=[Season(label="High season", days=days, percent=10)])
    assert each(rules, f"{inside}T10:00") == 8250
    assert each(rules, f"{outside}T10:00") == 7500


def test_of_two_seasons_the_first_counts() -> None:
    seasons = [
        Season(label="Christmas", days=Days(dates=[date(2026, 12, 24)]), percent=50),
        Season(label="Winter", days=Days(months=[12]), percent=-5),
    ]
    assert each(PriceRules(seasons=seasons), "2026-12-24T10:00") == 11250
    assert each(PriceRules(seasons=seasons), "2026-12-23T10:00") == 7125


@pytest.mark.parametrize(
    ("taken", "sellable", "expected"),
    [
        (0, 10, 7125),
        (5, 10, 7125),
        (6, 10, 8250),
        (7, 10, 8250),
        (8, 10, 9000),
        (10, 10, 9000),
        (12, 10, 9000),  # more taken than there should be
        (0, 0, 9000),  # nothing is on sale, so nothing is left
        (599, 999, 7125),
        (600, 1000, 8250),
        (7, None, 7125),
    ],
)
def test_demand_goes_by_the_occurrences_own_share_of_taken_seats(
    taken: int, sellable: int | None, expected: int
) -> None:
    rules = PriceRules(
        demand=[
            DemandTier(share_percent=0, percent=-5),
            DemandTier(share_percent=60, percent=10),
            DemandTier(share_percent=80, percent=20, label="Nearly sold out"),
        ]
    )
    assert each(rules, an_occasion(taken=taken, sellable=sellable)) == expected


def test_all_other_adjustments_that_match_are_added() -> None:
    rules = PriceRules(
        others=[
            Adjustment(label="Fuel", amount=300),
            Adjustment(label="Anniversary", percent=-10, days=Days(months=[12])),
            Adjustment(label="Summer light", percent=50, days=Days(months=[7])),
        ]
    )
    quote = quoted(a_product(rules))
    assert words(line(quote, "ticket")) == ["Fuel +3.00 EUR", "Anniversary −10 %"]
    assert quote.total == 7500 + 300 - 750


def test_an_exempt_ticket_is_left_alone_by_those_rules_only() -> None:
    rules = PriceRules(
        weekdays=[WeekdayChange(days=["sat"], percent=20)],
        seasons=[Season(label="Winter", days=Days(months=[12]), percent=10)],
    )
    tickets = [ADULT, replace(CHILD, exempt=["weekday", "season"])]
    quote = quoted(a_product(rules, ticket_types=tickets), {"adult": 1, "child": 1}, on=SATURDAY)
    assert [line(quote, "ticket", key).amount for key in ("adult", "child")] == [9750, 5000]


@pytest.mark.parametrize(
    ("percent", "clamp", "expected", "said"),
    [
        (-71, None, 2250, ["Offer −71 %", "At least 30 % of the price"]),
        (-70, None, 2250, ["Offer −70 %"]),
        (150, None, 18750, ["Offer +150 %"]),
        (151, None, 18750, ["Offer +151 %", "At most 250 % of the price"]),
        (-50, Clamp(min_percent=90, max_percent=110), 6750, ["Offer −50 %", "At least 90 % of the price"]),
        (-100, Clamp(min_percent=0), 0, ["Offer −100 %"]),
        (1000, Clamp(max_percent=1000), 75000, ["Offer +1000 %", "At most 1000 % of the price"]),
    ],
)
def test_all_rules_together_move_a_price_only_so_far(
    percent: float, clamp: Clamp | None, expected: int, said: list[str]
) -> None:
    fields: dict[str, Any] = {"clamp": clamp} if clamp else {}
    quote = quoted(a_product(PriceRules(others=[Adjustment(label="Offer", percent=percent)], **fields)))
    assert (quote.total, words(line(quote, "ticket"))) == (expected, said)


@pytest.mark.parametrize(
    ("amount", "percent", "expected", "rounding"),
    [
        (7505, -15, 6379, "-0.25"),
        (1010, -5, 960, "0.5"),  # 959.5, a half, goes up
        (7, 7.14, 7, "-0.4998"),
        (7, 7.15, 8, "0.4995"),
    ],
)
def test_a_unit_price_is_rounded_half_up_once_and_says_so(
    amount: int, percent: float, expected: int, rounding: str
) -> None:
    rules = PriceRules(others=[Adjustment(label="Offer", percent=percent)])
    quote = quoted(a_product(rules, ticket_types=a_ticket(amount)), 3)
    assert quote.total == expected * 3
    last = line(quote, "ticket").steps[-1]
    assert (last.rule, last.label, last.amount) == ("rounding", "Rounded", rounding)


@pytest.mark.parametrize(
    ("currency", "said"), [("JPY", "Fuel +100 JPY"), ("EUR", "Fuel +1.00 EUR"), ("KWD", "Fuel +0.100 KWD")]
)
def test_the_minor_unit_is_that_of_the_currency(currency: str, said: str) -> None:
    """The number is the same, its meaning is not: yen have no cents, dinars a thousand fils."""
    rules = PriceRules(others=[Adjustment(label="Fuel", amount=100), Adjustment(label="Fee", percent=1.65)])
    quote = quoted(a_product(rules, ticket_types=a_ticket(750), currency=currency))
    assert quote.currency == currency
    assert quote.total == 862, "750 + 100 + 12.375"
    assert words(line(quote, "ticket"))[0] == said


def test_a_free_ticket_stays_free() -> None:
    """Percentages and clamp are of its price."""
    rules = PriceRules(others=[Adjustment(label="Fuel", amount=300)])
    assert each(rules, amount=0) == 0
