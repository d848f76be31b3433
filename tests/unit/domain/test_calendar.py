"""Wall times of an occurrence's own zone become instants the same way on every machine and on every day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.domain import NOW, House, a_place, a_put

from holdgate_schema.answers.holds import NotOnSale, Reason
from holdgate_workers.domain.occurrences.wall_time import instant_of, zone_exists


def _wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "wall", "instant"),
    [
        ("Pacific/Pago_Pago", "2026-06-01T12:00", "2026-06-01T23:00"),  # -11
        ("UTC", "2026-06-01T12:00", "2026-06-01T12:00"),
        ("Asia/Kathmandu", "2026-06-01T12:00", "2026-06-01T06:15"),  # +5:45
        ("Pacific/Kiritimati", "2026-06-01T12:00", "2026-05-31T22:00"),  # +14
        ("Europe/Berlin", "2026-06-01T12:00", "2026-06-01T10:00"),
        ("Europe/Berlin", "2026-12-01T12:00", "2026-12-01T11:00"),
        ("Australia/Lord_Howe", "2026-06-01T12:00", "2026-06-01T01:30"),
    ],
)
def test_b03_a_wall_time_is_read_in_the_occurrences_own_zone(zone: str, wall: str, instant: str) -> None:
    """From eleven hours behind UTC to fourteen before it, summer and winter."""
    assert instant_of(_wall(wall), zone) == _utc(instant)
    assert instant_of(_wall(wall), zone).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("zone", "wall", "instant"),
    [
        # Berlin skips 02:00 to 03:00 on 2026-03-29; the gap ends at 01:00 UTC.
        ("Europe/Berlin", "2026-03-29T01:59:59.999999", "2026-03-29T00:59:59.999999"),
        ("Europe/Berlin", "2026-03-29T02:00", "2026-03-29T01:00"),
        ("Europe/Berlin", "2026-03-29T02:00:00.000001", "2026-03-29T01:00"),
        ("Europe/Berlin", "2026-03-29T02:00:00.500000", "2026-03-29T01:00"),
        ("Europe/Berlin", "2026-03-29T02:00:01", "2026-03-29T01:00"),
        ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:00"),
        ("Europe/Berlin", "2026-03-29T02:59:59.999999", "2026-03-29T01:00"),
        ("Europe/Berlin", "2026-03-29T03:00", "2026-03-29T01:00"),
        ("Europe/Berlin", "2026-03-29T03:00:00.000001", "2026-03-29T01:00:00.000001"),
        ("America/New_York", "2026-03-08T02:30", "2026-03-08T07:00"),
        ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30"),  # a gap of half an hour
        ("Pacific/Apia", "2011-12-30T00:00", "2011-12-30T10:00"),  # a whole day is left out
        ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-30T23:59:59.999999", "2011-12-30T10:00"),
    ],
)
def test_b27_a_wall_time_that_the_clock_skips_means_the_end_of_the_gap(zone: str, wall: str, instant: str) -> None:
    """To the microsecond on both sides."""
    assert instant_of(_wall(wall), zone) == _utc(instant)


@pytest.mark.parametrize(
    ("zone", "wall", "instant"),
    [
        # Berlin shows 02:00 to 03:00 twice on 2026-10-25, first from 00:00 UTC.
        ("Europe/Berlin", "2026-10-25T01:59:59", "2026-10-24T23:59:59"),
        ("Europe/Berlin", "2026-10-25T02:00", "2026-10-25T00:00"),
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30"),
        ("Europe/Berlin", "2026-10-25T02:59:59.999999", "2026-10-25T00:59:59.999999"),
        ("Europe/Berlin", "2026-10-25T03:00", "2026-10-25T02:00"),
        ("America/New_York", "2026-11-01T01:30", "2026-11-01T05:30"),
        ("Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-04T14:45"),
    ],
)
def test_b27_a_wall_time_that_the_clock_shows_twice_means_the_first(zone: str, wall: str, instant: str) -> None:
    """Even if the value says that it is the second."""
    assert instant_of(_wall(wall), zone) == _utc(instant)
    assert instant_of(_wall(wall).replace(fold=1), zone) == _utc(instant)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Etc/GMT+12", "America/Argentina/Ushuaia"])
def test_known_zones_exist(zone: str) -> None:
    """They are in the time zone data base."""
    assert zone_exists(zone)


@pytest.mark.parametrize(
    "zone",
    [
        *("Mars/Olympus", "", " ", ".", "..", "../UTC", "/etc/localtime", "Europe", "Europe/", "Europe/Berlin\n"),
        *("a\0b", "x" * 64, "é", "\U0001f600/a", "zone.tab", "tzdata.zi", "+02:00", "a//b", "CON", "\uffff"),
    ],
)
def test_anything_else_is_no_zone_and_no_crash(zone: str) -> None:
    """Names come from outside; they are never paths."""
    assert not zone_exists(zone)


@pytest.mark.parametrize("zone", ["localtime", "posixrules", "right/Europe/Berlin", "posix/Europe/Berlin"])
def test_names_that_mean_something_else_on_another_machine_are_no_zones(zone: str) -> None:
    """`localtime` is whatever the machine was set to, `right/` counts leap seconds."""
    assert not zone_exists(zone)


@pytest.mark.parametrize("zone", ["Pacific/Pago_Pago", "UTC", "Asia/Kathmandu", "Pacific/Kiritimati"])
def test_b27_sales_open_and_close_at_exactly_the_wall_time_given(zone: str) -> None:
    """The first instant is in, the last is out, in every zone."""
    house = House()
    opens, closes = _wall("2026-06-10T09:00"), _wall("2026-06-12T18:00")
    house.put(a_put(timezone=zone, sales_open=opens, sales_close=closes))
    tick = timedelta(microseconds=1)
    for wall, before, after in (
        (opens, NotOnSale.NOT_YET_OPEN, None),
        (closes, None, NotOnSale.PAST_CUTOFF),
    ):
        house.now = instant_of(wall, zone) - tick
        _expect(house, before)
        house.now += tick
        _expect(house, after)


@pytest.mark.parametrize("zone", ["Pacific/Pago_Pago", "UTC", "Asia/Kathmandu", "Pacific/Kiritimati"])
def test_b03_a_hold_lives_as_long_in_every_zone(zone: str) -> None:
    """Also across a night in which the clocks change: life is counted in instants."""
    house = House()
    house.put(a_put(timezone=zone))
    held = house.held(a_place(1))
    assert held.hold.expires_at - held.hold.created_at == timedelta(minutes=15)
    assert held.hold.created_at == NOW


def test_b27_a_window_that_opens_in_a_gap_opens_at_its_end() -> None:
    """The put says 02:30, the clocks go from 02:00 to 03:00."""
    house = House(now=_utc("2026-03-29T00:59:59"))
    house.put(a_put(sales_open=_wall("2026-03-29T02:30:00.25")))
    refused = house.refused(a_place(1), Reason.NOT_ON_SALE)
    assert refused.opens_at == _utc("2026-03-29T01:00")
    house.wait(seconds=1)
    house.held(a_place(1))


def test_b27_sales_close_at_the_cutoff_or_the_wall_time_whichever_is_first() -> None:
    """Berlin, July: 18:00 UTC is 20:00 on the wall."""
    early = House.with_occurrence(sales_close=_wall("2026-07-01T19:00"), cutoff_minutes=30)
    assert early.occurrence().definition.closes_at == _utc("2026-07-01T17:00")
    late = House.with_occurrence(sales_close=_wall("2026-07-01T19:45"), cutoff_minutes=30)
    assert late.occurrence().definition.closes_at == _utc("2026-07-01T17:30")


def _expect(house: House, why: NotOnSale | None) -> None:
    if why is None:
        house.held(a_place(1))
    else:
        assert house.refused(a_place(1), Reason.NOT_ON_SALE).not_on_sale is why
