"""Products: what is sold and what it costs, with the price rules as data. Closed objects, bounded everywhere.

Amounts are whole minor units of the product's currency (7500 is 75.00 EUR). Percentages are JSON numbers with at
most two decimals and mean the decimal that they show; a double holds each of them exactly enough to be read back.
`docs/pricing.md` says in which order everything is applied; `domain/pricing/definitions/checks.py` checks what a type
cannot.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from holdgate_schema.decoding.prepared import Prepared
from holdgate_schema.ids import ExtraKey, ProductId, TicketKey

from .currencies import CurrencyCode
from .fields import AMOUNT_MAX, QUANTITY_MAX, Amount, AwareTime, Label, VoucherCode

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
PriceRule = Literal["early_bird", "last_minute", "weekday", "season", "demand", "other"]
"""The rules that change the price of one ticket."""

SignedAmount = Annotated[
    int, Meta(ge=-AMOUNT_MAX, le=AMOUNT_MAX, description="Minor units, such as 2050 for 20.50 EUR")
]
Discount = Annotated[float, Meta(gt=0, le=100, description="Percent off, at most two decimals")]
SignedPercent = Annotated[float, Meta(ge=-100, le=1000, description="Percent of the price, at most two decimals")]
SharePercent = Annotated[int, Meta(ge=0, le=100)]
RuleLabel = Annotated[Label, Meta(min_length=1, description="What buyers read beside the amount")]
Weekdays = Annotated[list[Weekday], Meta(min_length=1, max_length=7)]
Threshold = Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]
DayOfYear = Annotated[str, Meta(pattern=r"^[0-9]{2}-[0-9]{2}$(?!\n)", description="Month and day, such as 12-24")]


class _Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of everything in a product: a closed object."""


# --- days --------------------------------------------------------------------------------------------------------


class EveryYear(_Rule, frozen=True, kw_only=True):
    """From one day to another of every year, both included; from 12-20 to 01-06 goes over the new year."""

    first: DayOfYear
    last: DayOfYear


class DateRange(_Rule, frozen=True, kw_only=True):
    """From one date to another, both included."""

    first: date
    last: date


class Days(_Rule, frozen=True, kw_only=True):
    """Some days of the calendar: those that at least one of the parts names. At least one part is given."""

    every_year: Annotated[list[EveryYear], Meta(max_length=20)] = []
    months: Annotated[list[Annotated[int, Meta(ge=1, le=12)]], Meta(max_length=12)] = []
    ranges: Annotated[list[DateRange], Meta(max_length=50)] = []
    dates: Annotated[list[date], Meta(max_length=366)] = []


# --- the price of one ticket -------------------------------------------------------------------------------------


class _Change(_Rule, frozen=True, kw_only=True):
    """Up or down by either a percentage of the price without any rule or an amount: exactly one is given."""

    percent: SignedPercent | None = None
    amount: SignedAmount | None = None


class EarlyBird(_Rule, frozen=True, kw_only=True):
    """Booked at least so many days before the start, to the minute on the occurrence's own clock."""

    days_before: Annotated[int, Meta(ge=1, le=730)]
    discount_percent: Discount
    label: RuleLabel = "Early bird"


class LastMinute(_Rule, frozen=True, kw_only=True):
    """Booked at most so many hours before the start."""

    hours_before: Annotated[int, Meta(ge=1, le=720)]
    discount_percent: Discount
    label: RuleLabel = "Last minute"


class WeekdayChange(_Change, frozen=True, kw_only=True):
    """The occurrence is on one of these days of the week. Without a label the day's own name is shown."""

    days: Weekdays
    label: Label = ""


class Season(_Change, frozen=True, kw_only=True):
    """The occurrence is on one of these days. Of several seasons the first that has the day counts."""

    label: RuleLabel
    days: Days


class DemandTier(_Change, frozen=True, kw_only=True):
    """At least this share of the occurrence's sellable seats is held or sold. Only the highest tier counts."""

    share_percent: SharePercent
    label: RuleLabel = "Demand"


class Adjustment(_Change, frozen=True, kw_only=True):
    """Anything else; without `days` always. All that match count."""

    label: RuleLabel
    days: Days | None = None


class Clamp(_Rule, frozen=True, kw_only=True):
    """How far all rules together may move the price of a ticket, in percent of its price without them."""

    min_percent: Annotated[float, Meta(ge=0, le=100)] = 30
    max_percent: Annotated[float, Meta(ge=100, le=1000)] = 250


# --- all tickets together ----------------------------------------------------------------------------------------


WEEKEND: tuple[Weekday, ...] = ("sat", "sun")


class GroupTier(_Rule, frozen=True, kw_only=True):
    """At least so many tickets of all types together. Exactly one of the discounts is given."""

    tickets_min: Threshold
    discount_percent: Discount | None = None
    discount_amount: Annotated[int, Meta(ge=1, le=AMOUNT_MAX)] | None = None


GROUP_DISCOUNTS = (GroupTier(tickets_min=5, discount_percent=10), GroupTier(tickets_min=10, discount_percent=15))


class WeekendAmount(_Rule, frozen=True, kw_only=True):
    """Added once per order if the occurrence is on one of these days of the week: Saturday and Sunday, unless
    given."""

    amount: Amount
    days: Weekdays = field(default_factory=lambda: list(WEEKEND))
    label: RuleLabel = "Weekend"


class Holiday(_Rule, frozen=True, kw_only=True):
    """Added once per order if the occurrence is on one of these days. Of several the first counts."""

    label: RuleLabel
    days: Days
    amount: Amount


class PriceRules(_Rule, frozen=True, kw_only=True):
    """What moves the price of tickets. `group_discounts` is 5 or more 10 %, 10 or more 15 %, unless given."""

    early_bird: EarlyBird | None = None
    last_minute: LastMinute | None = None
    weekdays: Annotated[list[WeekdayChange], Meta(max_length=7)] = []
    seasons: Annotated[list[Season], Meta(max_length=50)] = []
    demand: Annotated[list[DemandTier], Meta(max_length=10)] = []
    others: Annotated[list[Adjustment], Meta(max_length=50)] = []
    clamp: Clamp = Clamp()
    group_discounts: Annotated[list[GroupTier], Meta(max_length=10)] = field(
        default_factory=lambda: list(GROUP_DISCOUNTS)
    )
    weekend: WeekendAmount | None = None
    holidays: Annotated[list[Holiday], Meta(max_length=50)] = []
    minimum_total: Amount = 0


# --- extras ------------------------------------------------------------------------------------------------------


class BulkTier(_Rule, frozen=True, kw_only=True):
    """At least so many of one extra."""

    quantity_min: Threshold
    discount_percent: Discount


class ComboTier(_Rule, frozen=True, kw_only=True):
    """At least so many different extras that cost something."""

    kinds_min: Annotated[int, Meta(ge=2, le=50)]
    discount_percent: Discount


BULK_DISCOUNTS = (
    BulkTier(quantity_min=3, discount_percent=5),
    BulkTier(quantity_min=5, discount_percent=10),
    BulkTier(quantity_min=10, discount_percent=15),
)
COMBO_DISCOUNTS = (ComboTier(kinds_min=2, discount_percent=5), ComboTier(kinds_min=3, discount_percent=10))


class ExtraPrice(_Rule, frozen=True, kw_only=True):
    """What an extra costs, for each one ordered: as it is, or times the people, adults or children of the basket.

    `per` `order` is charged once, however many are ordered, and knows no bulk discount. `bulk_discounts` is 3 or
    more 5 %, 5 or more 10 %, 10 or more 15 %, unless given.
    """

    key: ExtraKey
    price: Amount
    label: Label = ""
    per: Literal["fixed", "order", "person", "adult", "child"] = "fixed"
    seasons: Annotated[list[Season], Meta(max_length=50)] = []
    bulk_discounts: Annotated[list[BulkTier], Meta(max_length=10)] = field(
        default_factory=lambda: list(BULK_DISCOUNTS)
    )


# --- products and vouchers ---------------------------------------------------------------------------------------


class TicketPrice(_Rule, frozen=True, kw_only=True):
    """What a ticket costs before any rule. `counts_as` is for extras per adult or child; every ticket is a person.

    `exempt` names the rules that leave this ticket alone.
    """

    key: TicketKey
    price: Amount
    counts_as: Literal["adult", "child", "other"]
    label: Label = ""
    exempt: Annotated[list[PriceRule], Meta(max_length=6)] = []


class Product(_Rule, frozen=True, kw_only=True, tag_field="type", tag="product.put.v1"):
    """What is sold. A ticket or an extra that is not here has no price, and no basket with it is priced.

    `timezone` is for what has no occurrence yet; prices go by the local date of the occurrence itself.
    `combo_discounts` is 2 kinds of extras 5 %, 3 or more 10 %, unless given.
    """

    product_id: ProductId
    currency: CurrencyCode
    timezone: Annotated[str, Meta(min_length=1, max_length=64, description="IANA name")]
    ticket_types: Annotated[list[TicketPrice], Meta(min_length=1, max_length=50)]
    label: Label = ""
    extras: Annotated[list[ExtraPrice], Meta(max_length=50)] = []
    rules: PriceRules = PriceRules()
    combo_discounts: Annotated[list[ComboTier], Meta(max_length=10)] = field(
        default_factory=lambda: list(COMBO_DISCOUNTS)
    )


class Voucher(_Rule, frozen=True, kw_only=True, tag_field="type", tag="voucher.put.v1"):
    """Money or a percentage off an order: exactly one is given. What is not used of an amount is not kept.

    It counts for bookings made from `valid_from` on and before `valid_until`. Amounts are in `currency`, which a
    voucher with an amount or a minimum has. Without `products` it is good for all of them. `uses_max` is kept by
    whoever redeems, not by the price.
    """

    code: VoucherCode
    percent: Discount | None = None
    amount: (
        Annotated[int, Meta(ge=1, le=AMOUNT_MAX, description="Minor units, such as 2050 for 20.50 EUR")] | None
    ) = None
    currency: CurrencyCode | None = None
    valid_from: AwareTime | None = None
    valid_until: AwareTime | None = None
    minimum: Amount = 0
    products: Annotated[list[ProductId], Meta(max_length=100)] = []
    uses_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 1


PRODUCT: Prepared[Product] = Prepared(Product)
VOUCHER: Prepared[Voucher] = Prepared(Voucher)
