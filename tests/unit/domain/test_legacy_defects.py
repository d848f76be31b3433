"""What the engine before this one did wrong and this one must not. The numbers are those of the list of defects.

Others of the list are proved where they belong: B1 and B34 in `tests/properties`, B3 and B27 with the calendar,
B33 with capacity, B38 with addresses, B43 with settings, B13 with sessions, B15 with expiry.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.domain import (
    STARTS,
    House,
    a_change,
    a_close,
    a_get,
    a_place,
    a_put,
    a_release,
    a_sweep,
    an_extend,
    got,
)

from holdgate_schema.answers.holds import Availability, Changed, Extended, Held, NotOnSale, Reason, Refused
from holdgate_schema.codec import decode_command
from holdgate_schema.commands.holds import TicketType
from holdgate_schema.errors import InvalidMessage
from holdgate_schema.events.holds import HoldCreated, HoldExtended


@pytest.mark.parametrize(
    "items", [{"ghost": 1}, {"adult": 1, "ghost": 1}, {"total": 1}, {"Adult": 1}, {"adult ": 1}]
)
def test_b02_unknown_ticket_keys_reserve_nothing(items: dict[str, int]) -> None:
    """Nor does a basket that has one among good ones."""
    house = House.with_occurrence()
    refused = house.refused(a_place(items), Reason.UNKNOWN_TICKET)
    assert refused.subject not in {"adult", "child"}
    assert "adult, child" in refused.message
    assert house.pool().held == 0
    assert not house.occurrence().holds


def test_b08_the_cap_of_seats_cannot_be_passed_by_adding() -> None:
    """49 and then 49 more is 98, and no hold has 98."""
    tickets = [TicketType(key=key, max_per_order=500) for key in ("adult", "child")]
    house = House.with_occurrence(capacity=500, ticket_types=tickets)
    held = house.held(a_place(49))
    for items in ({"adult": 98}, {"adult": 49, "child": 49}, {"adult": 51}):
        refused = house.refused(a_change(held, items), Reason.LIMIT_PER_REQUEST)
        assert refused.limit == 50
    got(Changed, house.send(a_change(held, 50)))
    house.refused(a_place(51, session_id="bob"), Reason.LIMIT_PER_REQUEST)
    assert house.pool().held == 50


def test_b09_an_expired_hold_that_nobody_swept_does_not_stop_its_session_from_holding_again() -> None:
    """The same session, the same tickets, no clean-up in between."""
    house = House.with_occurrence(capacity=2)
    house.held(a_place(2))
    house.wait(minutes=15)
    house.held(a_place(2))
    assert house.pool().held == 2
    assert len(house.occurrence().holds) == 1


def test_b10_every_hold_counts_also_those_of_one_session_made_in_one_instant() -> None:
    """Two requests are two holds with their own ids and their own seats, and both count against the limit."""
    house = House.with_occurrence(capacity=10)
    house.configure(max_per_session=2)
    first, second = house.held(a_place(3)), house.held(a_place(3))
    assert first.hold.hold_id != second.hold.hold_id
    assert first.hold.expires_at == second.hold.expires_at
    assert house.pool().held == 6
    house.refused(a_place(3), Reason.LIMIT_PER_SESSION)
    house.send(a_release(first))
    assert house.pool().held == 3


def test_b11_the_expiry_that_is_answered_is_the_one_that_is_stored_and_told() -> None:
    """After placing, changing and extending, with a life of its own or of the house."""
    house = House.with_occurrence()
    for ttl_seconds in (None, 77):
        held = house.held(a_place(1, ttl_seconds=ttl_seconds))
        answers: list[Held | Changed | Extended] = [held]
        house.configure(ttl_minutes=30)
        house.wait(seconds=30)
        answers.append(got(Changed, house.send(a_change(held, 2))))
        answers.append(got(Extended, house.send(an_extend(held))))
        told = [event.hold for event in house.events_of(held)]
        assert told == [answer.hold for answer in answers]
        assert house.hold(held).view() == answers[-1].hold
        assert answers[0].hold.expires_at == answers[1].hold.expires_at < answers[2].hold.expires_at


def test_b12_refreshing_for_ever_ends_at_the_greatest_age() -> None:
    """Neither extensions nor changes carry a hold past it; then its seats are free."""
    house = House.with_occurrence(capacity=1)
    house.configure(extensions_max=10)
    held = house.held(a_place(1))
    while house.hold(held).state == "active":
        house.wait(seconds=59)
        house.send(an_extend(held))
        house.send(a_change(held, 1))
        assert house.hold(held).expires_at <= held.hold.created_at + timedelta(minutes=60)
    assert house.hold(held).ended_at is not None
    assert sum(isinstance(event, HoldExtended) for event in house.events) == 10
    house.held(a_place(1, session_id="bob"))


def test_b12_without_extensions_a_hold_lives_its_life_and_no_longer() -> None:
    """A change does not refresh it."""
    house = House.with_occurrence()
    house.configure(extensions_max=0)
    held = house.held(a_place(1))
    house.wait(minutes=14)
    house.refused(an_extend(held), Reason.EXTENSION_LIMIT)
    assert got(Changed, house.send(a_change(held, 2))).hold.expires_at == held.hold.expires_at


def test_b14_another_sessions_hold_cannot_be_released_and_looks_like_none() -> None:
    """Not found, whether or not it exists; the seats stay, nothing is told."""
    house = House.with_occurrence()
    held = house.held(a_place(2))
    told = len(house.events)
    foreign = house.refused(a_release(held, session_id="bob"), Reason.HOLD_NOT_FOUND)
    nobodys = house.refused(a_release("0" * 8 + held.hold.hold_id[8:-1] + "f"), Reason.HOLD_NOT_FOUND)
    assert foreign.message == nobodys.message
    assert (foreign.hold_state, nobodys.hold_state) == (None, None)
    assert len(house.events) == told
    assert house.pool().held == 2


def test_b14_a_hold_is_released_once_and_the_second_time_says_so() -> None:
    """Each outcome has its own answer; only a change is told."""
    house = House.with_occurrence()
    held = house.held(a_place(2))
    house.send(a_release(held))
    assert house.refused(a_release(held), Reason.HOLD_FINAL).hold_state == "released"
    assert len(house.events_of(held)) == 2
    assert house.pool().held == 0


def test_b22_a_hold_placed_later_survives_the_end_of_another() -> None:
    """Of the same session, by release and by expiry."""
    house = House.with_occurrence()
    first, second, third = (house.held(a_place(1)), house.held(a_place(2)), house.held(a_place(3, ttl_seconds=60)))
    house.send(a_release(first))
    house.wait(seconds=60)
    house.send(a_sweep())
    assert [house.hold(held).state for held in (first, second, third)] == ["released", "active", "expired"]
    assert house.pool().held == 2


def test_b24_a_failing_change_leaves_the_hold_as_it_was() -> None:
    """Two seats, three more wanted, four left in all: still two seats."""
    house = House.with_occurrence(capacity=4)
    held = house.held(a_place(2))
    before = house.hold(held)
    house.refused(a_change(held, 5), Reason.SOLD_OUT)
    house.refused(a_change(held, {"adult": 2, "ghost": 3}), Reason.UNKNOWN_TICKET)
    assert house.hold(held) == before
    assert house.pool().held == 2


def test_b25_a_basket_is_taken_whole_or_not_at_all() -> None:
    """One ticket too many of one kind, and nothing of any kind is held."""
    house = House.with_occurrence(capacity=5)
    house.refused(a_place({"adult": 3, "child": 3}), Reason.SOLD_OUT)
    assert house.pool().held == 0
    house.held(a_place({"adult": 3, "child": 2}))


def test_b26_a_time_that_nobody_put_has_no_seats() -> None:
    """No request creates an occurrence, but a put."""
    house = House.with_occurrence()
    for command in (a_place(1, occurrence_id="occ-2"), a_get("occ-2"), a_sweep(occurrence_id="occ-2")):
        house.refused(command, Reason.UNKNOWN_OCCURRENCE)
    assert set(house.occurrences) == {"occ-1"}


def test_b26_two_occurrences_of_a_product_cannot_start_at_the_same_time() -> None:
    """However the instant is written; at another time, or of another product, they may."""
    house = House()
    house.put(a_put("occ-1", product_id="tour"))
    same = STARTS.astimezone(datetime.fromisoformat("2026-01-01T00:00+05:45").tzinfo)
    refused = house.refused(a_put("occ-2", product_id="tour", starts_at=same), Reason.INVALID)
    assert [problem.field for problem in refused.errors] == ["starts_at"]
    assert "occ-1" in refused.message
    house.put(a_put("occ-2", product_id="tour", starts_at=STARTS + timedelta(microseconds=1)))
    house.put(a_put("occ-3", product_id="other"))
    house.put(a_put("occ-1", product_id="tour"))  # itself is no stranger
    house.refused(a_put("occ-3", product_id="tour"), Reason.INVALID)
    assert house.occurrence("occ-3").definition.product_id == "other"


def test_b26_instants_are_stored_as_utc() -> None:
    """Whatever offset they came with."""
    local = datetime.fromisoformat("2026-07-01T20:00+02:00")
    definition = House.with_occurrence(starts_at=local).occurrence().definition
    assert definition.starts_at == STARTS
    assert definition.starts_at.tzinfo is UTC
    assert definition.ends_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("status", "now", "why"),
    [
        ("active", "2026-06-09T23:59:59.999999", NotOnSale.NOT_YET_OPEN),
        ("active", "2026-06-10T00:00", None),
        ("active", "2026-07-01T16:59:59.999999", None),
        ("active", "2026-07-01T17:00", NotOnSale.PAST_CUTOFF),
        ("active", "2026-07-01T17:59:59.999999", NotOnSale.PAST_CUTOFF),
        ("active", "2026-07-01T18:00", NotOnSale.STARTED),
        ("active", "2027-01-01T00:00", NotOnSale.STARTED),
        ("closed", "2026-06-15T00:00", NotOnSale.CLOSED),
        ("cancelled", "2026-06-15T00:00", NotOnSale.CANCELLED),
        ("completed", "2026-06-15T00:00", NotOnSale.COMPLETED),
        ("closed", "2026-06-01T00:00", NotOnSale.CLOSED),
        ("cancelled", "2027-01-01T00:00", NotOnSale.CANCELLED),
    ],
)
def test_b27_nothing_is_held_when_the_occurrence_is_not_on_sale(
    status: str, now: str, why: NotOnSale | None
) -> None:
    """By status, start, window and cut-off, to the microsecond; the look and the hold agree."""
    house = House.with_occurrence(
        timezone="UTC", sales_open=datetime.fromisoformat("2026-06-10T00:00"), cutoff_minutes=60
    )
    if status != "active":
        house.send(a_close(status))
    house.now = datetime.fromisoformat(now).replace(tzinfo=UTC)
    look = got(Availability, house.send(a_get()))
    assert (look.on_sale, look.not_on_sale) == (why is None, why)
    answer = house.send(a_place(1))
    if why is None:
        assert isinstance(answer, Held)
        return
    assert got(Refused, answer).not_on_sale is why
    assert look.ticket_types["adult"].available == 0
    assert not any(isinstance(event, HoldCreated) for event in house.events)


@pytest.mark.parametrize(
    "quantity",
    ["-1", "0", "-0", "501", "1.0", "1.5", "1e2", '"1"', "true", "null", "[1]", "{}", "9" * 30, "-" + "9" * 30],
)
def test_b32_a_quantity_is_a_whole_number_from_one_to_five_hundred(quantity: str) -> None:
    """Anything else is refused by name before anybody counts."""
    body = (
        '{"type":"hold.place.v1","request_id":"00000000-0000-4000-8000-000000000001",'
        '"occurrence_id":"occ-1","session_id":"ann","items":{"adult":QUANTITY}}'
    )
    assert decode_command(body.replace("QUANTITY", "500").encode())
    with pytest.raises(InvalidMessage) as caught:
        decode_command(body.replace("QUANTITY", quantity).encode())
    assert caught.value.errors[0].field.startswith("items")
    assert caught.value.request_id is not None
