"""Settings are what operations said, or they are refused with the range. Nothing is clamped or guessed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.support.domain import House, a_change, a_place, a_put, an_extend, got

from holdgate_schema.answers.holds import Changed, Extended, Reason
from holdgate_schema.commands.holds import HoldOverrides
from holdgate_workers.domain.pricing.fees import HOUSE_FEES, PaymentFee
from holdgate_workers.domain.settings.settings import DEFINITIONS, LEGACY_NAMES, InvalidSettings, Settings, parse

RANGES = {
    "hold.ttl_minutes": (5, 120, 15),
    "hold.lifetime_max_minutes": (5, 240, 60),
    "hold.extensions_max": (0, 10, 3),
    "hold.max_per_session": (1, 100, 10),
    "hold.max_seats_per_request": (1, 500, 50),
    "hold.max_seats_per_hold": (1, 500, 50),
    "conversion.timeout_minutes": (1, 60, 10),
    "conversion.paid_wait_minutes": (60, 10_080, 1_440),
    "waitlist.offer_minutes": (5, 120, 30),
    "retention.journal_days": (1, 3650, 400),
    "retention.personal_days": (0, 365, 7),
}
ALERTS = {"alerts.low": (1, 100, 80), "alerts.nearly_full": (1, 100, 95), "alerts.full": (1, 100, 100)}
"""They have to rise, so that not each may have all of its range at once."""
LATE = ("fulfil_or_park", "fulfil_or_refund", "park", "refund")
JUNK: list[object] = [
    *(None, True, False, 15.0, float("nan"), [], {}, b"15", object),
    *("", " ", "-", "--5", "- 5", "+15", "1_5", "0x10", "15.0", "1e1", "fifteen", "15 minutes", "١٥", "１５", "²"),
    *("9" * 40, "9" * 5000, 10**40, -(10**40)),
]


def _value(name: str, settings: Settings) -> int:
    return int(getattr(settings, DEFINITIONS[name].attribute))


def _others(name: str, number: int) -> dict[str, object]:
    """What else must be set for the relations to hold."""
    if name == "hold.ttl_minutes":
        return {"hold.lifetime_max_minutes": 240}
    return {"hold.ttl_minutes": 5} if name == "hold.lifetime_max_minutes" else {}


def test_the_table_of_settings_is_the_one_that_is_documented() -> None:
    """Name, range, default; and each says what it is about."""
    documented: dict[str, Any] = RANGES | ALERTS
    documented |= {"fees.platform_percent": (0, 50, 2.5), "fees.payment": (None, None, HOUSE_FEES.payment)}
    documented |= {"conversion.late_payment": (None, None, "fulfil_or_park")}
    documented |= {"conversion.until": (None, None, "end")}
    assert {
        item.name: (item.kind.low, item.kind.high, item.default) for item in DEFINITIONS.values()
    } == documented
    assert all(item.about for item in DEFINITIONS.values())
    assert set(LEGACY_NAMES.values()) <= DEFINITIONS.keys()


def test_b43_what_is_not_said_has_its_default() -> None:
    """An empty save deletes nothing and changes nothing."""
    assert parse({}) == Settings()
    for name, (_, _, default) in RANGES.items():
        assert _value(name, parse({})) == default


@pytest.mark.parametrize("name", RANGES)
def test_b43_each_setting_takes_its_whole_range(name: str) -> None:
    """As a number or as text, both ends included."""
    low, high, _ = RANGES[name]
    for number in (low, low + 1, high - 1, high):
        for value in (number, str(number), f" {number} "):
            assert _value(name, parse(_others(name, number) | {name: value})) == number


@pytest.mark.parametrize("name", RANGES)
def test_b43_each_setting_refuses_what_is_outside_its_range(name: str) -> None:
    """With the name and the range, so that the operator need not look it up."""
    low, high, _ = RANGES[name]
    for value in (low - 1, high + 1, str(low - 1), str(high + 1), -high, 0 if low else -1):
        with pytest.raises(InvalidSettings) as caught:
            parse(_others(name, low) | {name: value})
        assert [error.field for error in caught.value.errors] == [name]
        assert f"from {low} to {high}" in str(caught.value)


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("junk", JUNK, ids=lambda value: repr(value)[:12])
def test_b43_junk_is_refused_and_never_becomes_a_number(name: str, junk: object) -> None:
    """The old engine read a junk life as five minutes."""
    with pytest.raises(InvalidSettings) as caught:
        parse({name: junk})
    assert caught.value.errors[0].field == name


@pytest.mark.parametrize("policy", LATE)
def test_late_money_is_treated_by_one_of_the_policies_that_there_are(policy: str) -> None:
    """Blanks around it do not matter; a word that is none of them is refused with those that are."""
    kind = DEFINITIONS["conversion.late_payment"].kind
    assert kind.choices == LATE
    assert parse({"conversion.late_payment": f" {policy} "}).late_payment == policy
    assert kind.read("again", kind.text(policy)) == policy == kind.words(policy)


@pytest.mark.parametrize(
    "junk", [*JUNK, "PARK", "park,refund", "fulfil", ("park",)], ids=lambda value: repr(value)[:12]
)
def test_no_other_word_is_a_policy_for_late_money(junk: object) -> None:
    """Guessing here would give money away, or keep it."""
    with pytest.raises(InvalidSettings, match="must be one of fulfil_or_park, fulfil_or_refund, park, refund"):
        parse({"conversion.late_payment": junk})


def _alerts(low: int, nearly_full: int, full: int) -> dict[str, object]:
    return {"alerts.low": low, "alerts.nearly_full": nearly_full, "alerts.full": full}


@pytest.mark.parametrize("thresholds", [(1, 2, 3), (98, 99, 100), (1, 50, 100), (80, 95, 100)])
def test_thresholds_of_alerts_that_rise_are_taken(thresholds: tuple[int, int, int]) -> None:
    """All of them percentages of the sellable seats."""
    rules = parse(_alerts(*thresholds)).alerts_for(None)
    assert (rules.low, rules.nearly_full, rules.full) == thresholds


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        (_alerts(80, 80, 100), ["alerts.nearly_full"]),
        (_alerts(80, 95, 95), ["alerts.full"]),
        (_alerts(90, 80, 70), ["alerts.nearly_full", "alerts.full"]),
        ({"alerts.low": 95}, ["alerts.nearly_full"]),
        ({"alerts.full": 90}, ["alerts.full"]),
        ({"alerts.nearly_full": 101}, ["alerts.nearly_full"]),
        ({"alerts.low": 0}, ["alerts.low"]),
    ],
)
def test_thresholds_of_alerts_that_do_not_rise_are_refused(values: dict[str, object], fields: list[str]) -> None:
    """A default counts like a value; each that is not above the one before it is named."""
    with pytest.raises(InvalidSettings) as caught:
        parse(values)
    assert [error.field for error in caught.value.errors] == fields


PERCENTS = {"0": 0.0, "2.5": 2.5, " 2.50 ": 2.5, "50": 50.0, 7: 7.0, 2.9: 2.9, 0.01: 0.01}


@pytest.mark.parametrize("value", PERCENTS)
def test_the_platforms_share_is_the_decimal_that_was_typed(value: object) -> None:
    """Also as it is written back."""
    kind = DEFINITIONS["fees.platform_percent"].kind
    percent = parse({"fees.platform_percent": value}).fees.platform_percent
    assert percent == PERCENTS[value]  # type: ignore[index]
    assert kind.read("again", kind.text(percent)) == percent


@pytest.mark.parametrize(
    "junk",
    [
        *(None, True, [], {}, "", "2,5", "2.5 %", "+2", "-1", "1e1", "2.555", "50.01", "٢"),
        *(2.555, 50.01, -0.5, 10**400, float("nan"), float("inf")),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_junk_is_no_percentage(junk: object) -> None:
    """Nothing is rounded and nothing clamped."""
    with pytest.raises(InvalidSettings, match="from 0 to 50 with at most two decimals") as caught:
        parse({"fees.platform_percent": junk})
    assert [error.field for error in caught.value.errors] == ["fees.platform_percent"]


def test_the_fees_of_ways_of_paying_are_read_from_json_and_written_back() -> None:
    """What stands there replaces the whole default; an empty object means that none costs anything."""
    kind = DEFINITIONS["fees.payment"].kind
    text = '{"credit_card": {"percent": 2.9, "fixed": {"EUR": 30, "JPY": 40}}, "invoice": {"percent": 1.5}}'
    payment = parse({"fees.payment": text}).fees.payment
    assert payment == {
        "credit_card": PaymentFee(percent=2.9, fixed={"EUR": 30, "JPY": 40}),
        "invoice": PaymentFee(percent=1.5),
    }
    assert kind.read("again", kind.text(payment)) == payment
    assert kind.words(payment) == "credit_card 2.9 % + 0.30 EUR or 40 JPY, invoice 1.5 %"
    assert parse({"fees.payment": "{}"}).fees.payment == {}
    assert parse({}).fees == HOUSE_FEES


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("credit_card=2.9", "fees.payment"),
        ("[]", "fees.payment"),
        ('{"card": {"percent": 1}, "card": {"percent": 2}}', "fees.payment"),
        ('{"card": {"percent": NaN}}', "fees.payment"),
        ('{"card": 2.9}', "fees.payment.card"),
        ('{"credit card": {"percent": 2.9}}', "fees.payment.credit card"),
        ('{"card": {"percent": 51}}', "fees.payment.card.percent"),
        ('{"card": {"percent": 2.999}}', "fees.payment.card.percent"),
        ('{"card": {"per_cent": 2.9}}', "fees.payment.card.per_cent"),
        ('{"card": {"fixed": {"EUR": 0.3}}}', "fees.payment.card.fixed.EUR"),
        ('{"card": {"fixed": {"XXX": 3}}}', "fees.payment.card.fixed.XXX"),
    ],
)
def test_fees_that_are_not_right_are_named_as_deep_as_they_stand(text: str, field: str) -> None:
    """And none of them is taken."""
    with pytest.raises(InvalidSettings) as caught:
        parse({"fees.payment": text})
    assert [error.field for error in caught.value.errors] == [field]


def test_a_name_that_is_no_setting_is_refused_with_those_that_are() -> None:
    """A typing error must not look like success."""
    for name in ("hold.ttl", "ttl_minutes", "stock_hold_duration", ""):
        with pytest.raises(InvalidSettings, match=r"hold\.ttl_minutes"):
            parse({name: 15})


def test_all_problems_are_told_together() -> None:
    """One round is enough to put them right."""
    with pytest.raises(InvalidSettings) as caught:
        parse({"hold.ttl_minutes": 1, "hold.extensions_max": 11, "nonsense": 1})
    assert {error.field for error in caught.value.errors} == {
        "hold.ttl_minutes",
        "hold.extensions_max",
        "nonsense",
    }


@pytest.mark.parametrize(("ttl", "lifetime", "fits"), [(30, 30, True), (30, 31, True), (31, 30, False)])
def test_a_hold_may_always_live_its_first_life(ttl: int, lifetime: int, fits: bool) -> None:
    """The greatest age is at least the life; a default counts like a value."""
    values = {"hold.ttl_minutes": ttl, "hold.lifetime_max_minutes": lifetime}
    if fits:
        assert parse(values).lifetime_max_minutes == lifetime
        return
    with pytest.raises(InvalidSettings, match=r"at least hold\.ttl_minutes"):
        parse(values)


def test_a_life_longer_than_the_default_greatest_age_is_refused() -> None:
    """Sixty minutes is the default."""
    assert parse({"hold.ttl_minutes": 60}).ttl_minutes == 60
    with pytest.raises(InvalidSettings):
        parse({"hold.ttl_minutes": 61})
    with pytest.raises(InvalidSettings):
        parse({"hold.lifetime_max_minutes": 14})


# --- what an occurrence says for itself ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "ttl", "lifetime"),
    [
        (None, 15, 60),
        (HoldOverrides(), 15, 60),
        (HoldOverrides(ttl_minutes=5), 5, 60),
        (HoldOverrides(ttl_minutes=90), 90, 90),
        (HoldOverrides(lifetime_max_minutes=10), 10, 10),
        (HoldOverrides(lifetime_max_minutes=240), 15, 240),
        (HoldOverrides(ttl_minutes=20, lifetime_max_minutes=20), 20, 20),
    ],
)
def test_what_an_occurrence_says_stands_and_the_house_gives_way(
    overrides: HoldOverrides | None, ttl: int, lifetime: int
) -> None:
    """Where the two would not go together."""
    rules = Settings().for_occurrence(overrides)
    assert (rules.ttl_minutes, rules.lifetime_max_minutes) == (ttl, lifetime)
    assert rules.ttl(None) == timedelta(minutes=ttl)
    assert rules.ttl(lifetime * 60) == timedelta(minutes=lifetime)
    assert rules.ttl(lifetime * 60 + 1) is None


@pytest.mark.parametrize("number", [0, 1, 10])
def test_zero_in_an_occurrence_is_zero(number: int) -> None:
    """And not 'as the house has it'."""
    overrides = HoldOverrides(extensions_max=number, max_seats_per_request=7, max_seats_per_hold=8)
    rules = Settings().for_occurrence(overrides)
    assert (rules.extensions_max, rules.max_seats_per_request, rules.max_seats_per_hold) == (number, 7, 8)


def test_an_occurrence_whose_greatest_age_is_below_its_life_is_refused() -> None:
    """Both are its own, so it is its own mistake."""
    refused = House().refused(a_put(hold=HoldOverrides(ttl_minutes=30, lifetime_max_minutes=29)), Reason.INVALID)
    assert [problem.field for problem in refused.errors] == ["hold.lifetime_max_minutes"]


@pytest.mark.parametrize(
    ("limit", "setting"),
    [("seats_per_request", "max_seats_per_request"), ("seats_per_hold", "max_seats_per_hold")],
)
def test_the_limits_of_an_occurrence_are_kept(limit: str, setting: str) -> None:
    """For placing and for changing."""
    fields: dict[str, Any] = {setting: 2}
    house = House.with_occurrence(hold=HoldOverrides(**fields))
    held = house.held(a_place(2))
    for command in (a_place(3), a_change(held, 3)):
        refused = house.refused(command, Reason.LIMIT_PER_REQUEST)
        assert (refused.subject, refused.limit, refused.requested) == (limit, 2, 3)


def test_b11_a_new_setting_does_not_touch_the_holds_there_are() -> None:
    """What was answered is what is stored; only an extension looks at the greatest age anew."""
    house = House.with_occurrence()
    held = house.held(a_place(1))
    house.configure(ttl_minutes=5)
    house.wait(minutes=6)
    changed = got(Changed, house.send(a_change(held, 2)))
    assert changed.hold.expires_at == held.hold.expires_at == house.hold(held).expires_at
    extended = got(Extended, house.send(an_extend(held)))
    assert extended.hold.expires_at == house.now + timedelta(minutes=15) == house.hold(held).expires_at
    assert house.held(a_place(1)).hold.expires_at == house.now + timedelta(minutes=5)


def test_a_lowered_greatest_age_never_shortens_a_hold() -> None:
    """It only refuses to lengthen it."""
    house = House.with_occurrence()
    held = house.held(a_place(1, ttl_seconds=3600))
    house.configure(lifetime_max_minutes=20)
    house.wait(minutes=10)
    house.refused(an_extend(held), Reason.EXTENSION_LIMIT)
    assert house.hold(held).expires_at == held.hold.expires_at
