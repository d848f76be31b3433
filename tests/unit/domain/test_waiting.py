"""Waiting lists: who may join, who is offered what, and what ends an entry. See docs/waiting-lists.md."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.domain import (
    STARTS,
    House,
    a_capacity,
    a_change,
    a_close,
    a_get,
    a_place,
    a_put,
    a_release,
    a_sweep,
    an_extend,
    got,
    request_id,
)
from tests.support.lines import LineHouse, a_join, a_leave, decision_of, refused_as

from holdgate_schema.answers.holds import Availability, Held, Reason, Refused, Swept
from holdgate_schema.answers.selling import LeftWaitlist, Waiting
from holdgate_schema.commands.holds import ExtraDefinition, HoldOverrides, PoolDefinition, SharedStock, TicketType
from holdgate_schema.commands.selling import ConvertBooking, PaymentNotice
from holdgate_schema.events.holds import HoldReleased, event_type
from holdgate_schema.events.selling import WaitlistJoined, WaitlistLeft
from holdgate_workers.domain.bookings.booking import HoldQuote
from holdgate_workers.domain.decision import LimitKey
from holdgate_workers.domain.occurrences.occurrence import Occurrence
from holdgate_workers.domain.waitlist import offers as offering

KIDS: dict[str, Any] = {
    "ticket_types": [TicketType(key="adult"), TicketType(key="child", pools=["kids"])],
    "pools": [PoolDefinition(key="kids", capacity=2)],
}
GUIDE: dict[str, Any] = {"extras": [ExtraDefinition(key="guide", stock=SharedStock(key="guides", cap=1))]}


def a_full_house(capacity: int = 6, **fields: Any) -> tuple[LineHouse, Held]:
    """A sold-out house, and the hold that has all of it."""
    house = LineHouse()
    house.put(a_put(capacity=capacity, **fields))
    return house, house.held(a_place(capacity, session_id="owner", ttl_seconds=900))


# --- joining ----------------------------------------------------------------------------------------------------


def test_whoever_joins_is_told_the_place_and_the_entry_has_the_id_of_the_request() -> None:
    house, _ = a_full_house()
    first = house.joined(a_join(2, request_id=request_id(900)))
    second = house.joined(a_join(1, session_id="bob", user_id="u-1"))
    assert (first.entry_id, first.position, first.seats) == (request_id(900), 1, 2)
    assert (second.position, second.session_id) == (2, "bob")
    assert first.session_id.startswith("hgs."), "a session is issued where none is given"
    told = [event for event in house.events if isinstance(event, WaitlistJoined)]
    assert [(event.entry_id, event.seats, event.user_id) for event in told] == [
        (first.entry_id, 2, None),
        (second.entry_id, 1, "u-1"),
    ]
    assert house.pool().held == 6, "an entry holds nothing"


def test_whoever_could_have_the_basket_is_sent_to_place_it() -> None:
    """Also where what is left is too small for everybody in line: a walk-in may have that."""
    house = LineHouse()
    house.put(a_put(capacity=6))
    assert house.refused(a_join(6), Reason.NOT_SOLD_OUT).available == {"total": 6}
    house.held(a_place(5, session_id="owner"))
    house.joined(a_join(4))
    house.refused(a_join(1), Reason.NOT_SOLD_OUT)
    house.joined(a_join(2))
    house.held(a_place(1))


def test_a_session_stands_in_line_once_per_occurrence() -> None:
    house, _ = a_full_house()
    house.joined(a_join(1))
    entry = house.joined(a_join(2, session_id="ann"))
    refused = house.refused(a_join(1, session_id="ann"), Reason.ALREADY_WAITING)
    assert (refused.subject, refused.used) == (entry.entry_id, 2)
    house.send(a_leave(entry))
    house.joined(a_join(1, session_id="ann"))


def test_nobody_is_sent_away_from_the_line_for_stock_that_is_only_guessed_to_be_there() -> None:
    house = LineHouse()
    house.put(a_put(capacity=6, **GUIDE))
    house.limits.guess(LimitKey("stock", "guides"), 0)
    command = house.numbered(a_join(1, {"guide": 1}))
    assert house.what_if(command).unsure == (LimitKey("stock", "guides"),)
    house.limits.read()
    assert not house.what_if(command).unsure


@pytest.mark.parametrize(
    ("items", "extras", "reason"),
    [
        ({"ghost": 1}, {}, Reason.UNKNOWN_TICKET),
        ({"adult": 1}, {"ghost": 1}, Reason.UNKNOWN_EXTRA),
        ({"child": 1}, {}, Reason.BELOW_MIN),
        ({"adult": 11}, {}, Reason.ABOVE_MAX),
        ({"adult": 5}, {}, Reason.LIMIT_PER_REQUEST),
    ],
)
def test_a_basket_that_nobody_could_hold_is_refused_as_a_hold_would_be(
    items: dict[str, int], extras: dict[str, int], reason: Reason
) -> None:
    tickets = [TicketType(key="adult"), TicketType(key="child", min_per_order=2)]
    house, _ = a_full_house(4, ticket_types=tickets, hold=HoldOverrides(max_seats_per_hold=4))
    house.refused(a_join(items, extras), reason)
    refused_as(house, a_place(items, extras), reason)


def test_nobody_stands_in_line_for_what_is_not_on_sale() -> None:
    house, _ = a_full_house()
    house.now = STARTS
    house.refused(a_join(1), Reason.NOT_ON_SALE)


def test_the_line_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdgate_workers.domain.waitlist.entries.WAITING_MAX", 2)
    house, _ = a_full_house()
    house.joined(a_join(1))
    first = house.joined(a_join(1))
    refused = house.refused(a_join(1), Reason.SOLD_OUT)
    assert (refused.subject, refused.limit, refused.used) == ("waitlist", 2, 2)
    house.send(a_leave(first))
    house.joined(a_join(1))


def test_the_longest_line_is_served_by_one_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    """So nothing is left over that a walk-in could take before the next one."""
    house = LineHouse()
    house.put(a_put(capacity=0))
    with monkeypatch.context() as unchecked:
        unchecked.setattr(House, "check", lambda house: None)
        for _ in range(offering.WAITING_MAX):
            house.joined(a_join(1))
        house.refused(a_join(1), Reason.SOLD_OUT)
    house.send(a_capacity(1000))
    assert len(house.offers) == offering.WAITING_MAX
    assert house.pool().held == offering.WAITING_MAX


# --- what frees seats -------------------------------------------------------------------------------------------

FREES: dict[str, Callable[[LineHouse, Held], object]] = {
    "release": lambda house, held: house.send(a_release(held)),
    "fewer seats": lambda house, held: house.send(a_change(held, 1)),
    "more capacity": lambda house, held: house.send(a_capacity(12)),
    "a new definition": lambda house, held: house.send(a_put(capacity=12)),
    "a sweep": lambda house, held: (house.wait(minutes=15), house.send(a_sweep())),
    "an owner too late": lambda house, held: (house.wait(minutes=15), house.send(an_extend(held))),
    "a walk-in who meets a dead hold": lambda house, held: (house.wait(minutes=15), house.send(a_place(1))),
    "somebody else who joins": lambda house, held: (house.wait(minutes=15), house.send(a_join(6))),
}


@pytest.mark.parametrize("frees", FREES.values(), ids=FREES)
def test_the_decision_that_frees_seats_offers_them(frees: Callable[[LineHouse, Held], object]) -> None:
    """To the first in line, for as long as the setting says, under the entry's own id."""
    house, held = a_full_house()
    first, second = house.joined(a_join(2)), house.joined(a_join(3, session_id="bob"))
    version = house.occurrence().version
    frees(house, held)
    assert house.occurrence().version == version + 1, "it took one decision"
    assert house.offers == [first.entry_id, second.entry_id]
    offer = house.occurrence().holds[second.entry_id]
    assert (offer.session_id, offer.seats, offer.expires_at) == ("bob", 3, house.now + timedelta(minutes=30))


def test_first_in_line_that_fits_and_who_does_not_fit_keeps_the_place() -> None:
    house, held = a_full_house(6)
    big, small, tiny = (house.joined(a_join(seats)) for seats in (5, 3, 1))
    house.send(a_change(held, 3))
    assert house.offers == [small.entry_id]
    assert house.line() == [big.entry_id, tiny.entry_id]
    house.send(a_change(held, 2))
    assert house.offers == [small.entry_id, tiny.entry_id]
    house.send(a_release(small.entry_id, session_id=small.session_id))
    house.send(a_release(held))
    assert house.offers[-1] == big.entry_id


def test_every_pool_of_the_basket_must_have_room() -> None:
    house = LineHouse()
    house.put(a_put(capacity=6, **KIDS))
    kids = house.held(a_place({"child": 2}, session_id="owner"))
    adults = house.held(a_place({"adult": 4}, session_id="owner"))
    family = house.joined(a_join({"adult": 1, "child": 1}))
    pair = house.joined(a_join({"adult": 2}))
    house.send(a_change(adults, 2))
    assert house.offers == [pair.entry_id]
    house.send(a_release(kids))
    assert house.offers == [pair.entry_id, family.entry_id]


def test_shared_stock_must_be_there_and_what_was_freed_elsewhere_is_offered_by_the_next_sweep() -> None:
    house = LineHouse()
    house.put(a_put(capacity=2, **GUIDE))
    house.put(a_put("occ-2", capacity=2, starts_at=STARTS + timedelta(days=1), **GUIDE))
    elsewhere = house.held(a_place(1, {"guide": 1}, occurrence_id="occ-2", session_id="owner"))
    house.refused(a_place(1, {"guide": 1}), Reason.SOLD_OUT)
    guided = house.joined(a_join(1, {"guide": 1}))
    house.send(a_release(elsewhere))
    assert house.offers == []
    assert got(Swept, house.send(a_sweep())).expired == 0
    assert house.offers == [guided.entry_id]


def test_a_session_at_its_limit_is_passed_over_this_time_and_keeps_its_place() -> None:
    house, held = a_full_house(6)
    house.configure(max_per_session=1)
    busy, next_one = house.joined(a_join(2, session_id="owner")), house.joined(a_join(2))
    house.send(a_change(held, 2))
    assert house.offers == [next_one.entry_id]
    assert house.line() == [busy.entry_id]
    house.send(a_release(held))
    assert house.offers == [next_one.entry_id, busy.entry_id]


def test_a_limit_that_is_only_guessed_is_read_before_anybody_is_passed_over() -> None:
    """Such a decision is not used; the one after the look is."""
    house, held = a_full_house()
    waiting = house.joined(a_join(2, session_id="bob"))
    house.limits.guess(LimitKey("session", "bob"), 10)
    command = house.numbered(a_release(held))
    assert house.what_if(command).unsure == (LimitKey("session", "bob"),)
    house.limits.read()
    house.send(command)
    assert house.offers == [waiting.entry_id]


def test_a_catalogue_that_no_longer_has_the_ticket_leaves_the_party_in_line() -> None:
    house, held = a_full_house(6, **KIDS)
    child = house.joined(a_join({"child": 1}))
    house.send(a_put(capacity=6, pools=KIDS["pools"], ticket_types=[TicketType(key="adult")]))
    house.send(a_release(held))
    assert house.line() == [child.entry_id]
    house.send(a_put(capacity=6, **KIDS))
    assert house.offers == [child.entry_id]


def test_seats_above_the_capacity_are_nobodys() -> None:
    """What comes back below a capacity that was lowered is not offered."""
    house, held = a_full_house(6)
    first = house.joined(a_join(2))
    house.send(a_capacity(3))
    house.send(a_change(held, 3))
    assert house.offers == []
    house.send(a_change(held, 1))
    assert house.offers == [first.entry_id]
    assert house.pool().sellable == 3


def test_an_offer_lives_no_longer_than_a_hold_may() -> None:
    house, held = a_full_house(hold=HoldOverrides(ttl_minutes=10, lifetime_max_minutes=20))
    first = house.joined(a_join(2))
    house.send(a_release(held))
    assert house.occurrence().holds[first.entry_id].ttl == timedelta(minutes=20)


def test_an_offer_ends_with_sales_and_cannot_be_extended_beyond_them() -> None:
    house, held = a_full_house(cutoff_minutes=60)
    entry = house.joined(a_join(2))
    closes_at = STARTS - timedelta(minutes=60)
    house.now = closes_at - timedelta(minutes=10)
    house.send(a_release(held))
    offer = house.occurrence().holds[entry.entry_id]
    assert offer.expires_at == closes_at
    refused = house.refused(an_extend(offer.view()), Reason.EXTENSION_LIMIT)
    assert refused.subject == "sales_close"
    assert closes_at.isoformat() in refused.message


# --- walk-ins ---------------------------------------------------------------------------------------------------


def test_a_walk_in_gets_what_fits_nobody_in_line_and_nothing_else() -> None:
    house, held = a_full_house(6)
    house.joined(a_join(4))
    house.send(a_change(held, 3))
    house.held(a_place(2))
    house.refused(a_place(2), Reason.SOLD_OUT)


def test_a_dead_hold_is_the_lines_and_not_the_walk_ins() -> None:
    """The seats that come back under his very hands go to whoever was there before."""
    house, held = a_full_house(2)
    first = house.joined(a_join(2))
    house.now = held.hold.expires_at
    refused = house.refused(a_place(2), Reason.SOLD_OUT)
    assert house.offers == [first.entry_id]
    assert refused.available == {"total": 0}
    assert refused.held == {"total": 2}
    assert refused.next_release_at == house.now + timedelta(minutes=30), "the offer may come back"


def test_availability_says_what_a_walk_in_would_get_and_changes_nothing() -> None:
    house, held = a_full_house(6)
    house.joined(a_join(4))
    house.now = held.hold.expires_at
    look = got(Availability, house.send(a_get()))
    assert look.pools["total"].available == 2
    assert look.ticket_types["adult"].available == 2
    assert house.offers == []
    assert decision_of(house, a_place(3)).answer.reason is Reason.SOLD_OUT  # type: ignore[union-attr]
    house.held(a_place(2))


def test_an_owner_may_keep_and_change_what_he_has_whoever_waits() -> None:
    house, held = a_full_house(6)
    house.joined(a_join(1))
    house.send(a_change(held, {"adult": 5, "child": 1}))
    assert house.offers == []


def test_who_paid_too_late_takes_his_own_seats_again_before_the_line_is_served() -> None:
    """As long as nobody has noticed that the hold is over. Once it was, they are somebody else's."""
    house, held = a_full_house(2)
    house.joined(a_join(2))
    hold = house.hold(held)
    quote = HoldQuote(hash="c" * 64, currency="EUR", total=100)
    house.occurrence().holds[hold.id] = replace(hold, quote=quote)
    house.now = hold.expires_at
    convert = ConvertBooking(
        request_id=request_id(901),
        occurrence_id=hold.occurrence_id,
        session_id=hold.session_id,
        hold_id=hold.id,
        quote_hash=quote.hash,
        payment=PaymentNotice(method="card", amount=100, currency="EUR", status="paid"),
    )
    decision = house.what_if(convert)
    told = [event_type(event) for event in decision.events]
    assert (told[0], told[-1]) == ("hold.expired.v1", "booking.converting.v1")
    assert decision.held == {"total": 0}
    assert decision.waiting == []
    house.occurrence().holds[hold.id] = hold
    house.send(a_sweep())
    house.ended[hold.id] = replace(house.ended[hold.id], quote=quote)
    assert got(Refused, house.what_if(convert).answer).reason is Reason.PARKED


# --- offers that end --------------------------------------------------------------------------------------------

ENDS: dict[str, Callable[[LineHouse, Waiting], object]] = {
    "declined by release": lambda house, entry: house.send(a_release(entry.entry_id, session_id=entry.session_id)),
    "declined by leaving": lambda house, entry: house.send(a_leave(entry)),
    "expired": lambda house, _: (house.wait(minutes=30), house.send(a_sweep())),
}


@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS)
def test_an_offer_that_ends_is_passed_on_in_the_same_decision(
    ends: Callable[[LineHouse, Waiting], object],
) -> None:
    """And whoever had it stands in line no more: one offer each."""
    house, held = a_full_house(2)
    first, second = house.joined(a_join(2)), house.joined(a_join(1))
    house.send(a_release(held))
    assert house.offers == [first.entry_id]
    version = house.occurrence().version
    ends(house, first)
    assert house.occurrence().version == version + 1
    assert house.offers == [first.entry_id, second.entry_id]
    assert house.line() == []
    house.refused(a_leave(first), Reason.HOLD_FINAL)


def test_an_offer_that_is_given_back_is_told_as_declined_and_another_hold_is_not() -> None:
    house, held = a_full_house(2)
    first = house.joined(a_join(2))
    house.send(a_release(held))
    house.send(a_change(first.entry_id, 1, session_id=first.session_id))
    house.send(a_release(first.entry_id, session_id=first.session_id))
    reasons = [event.reason for event in house.events if isinstance(event, HoldReleased)]
    assert reasons == ["by_owner", "offer_declined"]


def test_leaving_before_an_offer_ends_the_entry() -> None:
    house, held = a_full_house(2)
    first, second = house.joined(a_join(2)), house.joined(a_join(2))
    got(LeftWaitlist, house.send(a_leave(first)))
    left = [event for event in house.events if isinstance(event, WaitlistLeft)]
    assert [(event.entry_id, event.reason) for event in left] == [(first.entry_id, "by_owner")]
    house.send(a_release(held))
    assert house.offers == [second.entry_id]
    house.refused(a_leave(first), Reason.ENTRY_NOT_FOUND)


def test_an_entry_that_is_somebody_elses_is_not_there() -> None:
    """Before the offer and after it, and a hold that was never offered is no entry."""
    house, held = a_full_house(2)
    first = house.joined(a_join(2))
    house.refused(a_leave(first, session_id="stranger"), Reason.ENTRY_NOT_FOUND)
    owners = a_leave(first, session_id="owner", entry_id=held.hold.hold_id)
    house.refused(owners, Reason.ENTRY_NOT_FOUND)
    house.send(a_release(held))
    house.refused(a_leave(first, session_id="stranger"), Reason.ENTRY_NOT_FOUND)
    assert house.occurrence().holds.keys() == {first.entry_id}


def test_an_offer_that_is_being_bought_cannot_be_left() -> None:
    house, held = a_full_house(2)
    first = house.joined(a_join(2))
    house.send(a_release(held))
    house.force_state(first.entry_id, "converting")
    answer = house.what_if(house.numbered(a_leave(first))).answer
    assert got(Refused, answer).reason is Reason.HOLD_FINAL


# --- not on sale ------------------------------------------------------------------------------------------------


def test_what_comes_back_while_it_is_closed_is_offered_when_it_is_open_again() -> None:
    house, held = a_full_house(2)
    first = house.joined(a_join(2))
    house.send(a_close())
    house.send(a_release(held))
    assert (house.offers, house.line()) == ([], [first.entry_id])
    house.send(a_put(capacity=2))
    assert house.offers == [first.entry_id]


def test_nothing_is_offered_after_the_start() -> None:
    house, held = a_full_house(2)
    house.joined(a_join(2))
    house.now = STARTS
    house.send(a_sweep())
    assert held.hold.hold_id not in house.occurrence().holds
    assert house.offers == []


def test_a_sale_that_opens_by_the_clock_is_noticed_by_the_sweep() -> None:
    house, held = a_full_house(2)
    first = house.joined(a_join(2))
    opens = (house.now + timedelta(hours=1)).replace(tzinfo=None)
    house.send(a_put(capacity=2, timezone="UTC", sales_open=opens))
    house.send(a_release(held))
    house.send(a_sweep())
    assert house.offers == []
    house.wait(hours=1)
    house.send(a_sweep())
    assert house.offers == [first.entry_id]


@pytest.mark.parametrize("status", ["cancelled", "completed"])
def test_the_end_of_the_occurrence_ends_the_line_but_not_an_offer(status: str) -> None:
    house, held = a_full_house(2)
    first, second, third = (house.joined(a_join(2)) for _ in range(3))
    house.send(a_release(held))
    house.send(a_close(status))
    left = [event for event in house.events if isinstance(event, WaitlistLeft)]
    assert [(event.entry_id, event.reason) for event in left] == [
        (second.entry_id, "occurrence_ended"),
        (third.entry_id, "occurrence_ended"),
    ]
    assert house.line() == []
    assert house.occurrence().holds.keys() == {first.entry_id}


# --- bounds -----------------------------------------------------------------------------------------------------


def test_more_dead_holds_than_one_decision_ends_are_still_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A walk-in does not take one of those that are left over."""
    monkeypatch.setattr(offering, "SWEEP_HOLDS_MAX", 1)
    house = LineHouse()
    house.put(a_put(capacity=4))
    for _ in range(4):
        house.held(a_place(1, session_id=None, ttl_seconds=60))
    house.joined(a_join(3))
    house.wait(minutes=1)
    house.send(a_place(2, session_id="walk-in"))
    assert not [hold for hold in house.occurrence().holds.values() if hold.session_id == "walk-in"]
    house.send(a_sweep())
    assert len(house.offers) == 1


def test_an_occurrence_without_a_line_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this is on the way of a hold where nobody waits."""

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the line was served though there is none")

    for name in ("serve_before", "serve_after"):
        monkeypatch.setattr(f"holdgate_workers.domain.decide.{name}", never)
    house = LineHouse()
    house.put(a_put(capacity=2))
    house.send(a_release(house.held(a_place(2))))


def test_an_entry_is_kept_in_the_order_of_joining_whatever_is_loaded_first() -> None:
    house, _ = a_full_house()
    entries = [house.joined(a_join(1)) for _ in range(3)]
    waiting = house.occurrence().waiting
    fresh = Occurrence("occ-1", house.occurrence().definition, {})
    for entry in sorted(waiting.values(), key=lambda entry: entry.place):
        fresh.stand(entry)
    fresh.stand(replace(waiting[entries[0].entry_id], state="offered"))
    assert list(fresh.waiting) == [entry.entry_id for entry in entries[1:]]
