"""What holds for any basket, any crowd and any request at all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.domain import (
    NOW,
    OCCURRENCE,
    House,
    a_change,
    a_get,
    a_place,
    a_put,
    an_extend,
    got,
    taken_by,
)
from tests.support.domain_strategies import any_message, baskets, occurrences, some_extras

from holdgate_schema.answers.holds import Answer, Availability, Extended, Held, Reason, Refused
from holdgate_schema.commands.holds import (
    COMMAND_TYPES,
    Command,
    ExtraDefinition,
    PutOccurrence,
    SharedStock,
    TicketType,
)

ANY_COMMAND = st.one_of(*(any_message(kind) for kind in COMMAND_TYPES))


@given(put=occurrences(), wanted=st.lists(st.tuples(baskets(), some_extras()), max_size=30))
def test_b01_random_baskets_over_many_keys_never_take_more_than_there_is(
    put: PutOccurrence, wanted: list[tuple[dict[str, int], dict[str, int]]]
) -> None:
    """Counted from the answers alone: seats over all keys, and per pool whatever draws from it."""
    house = House()
    house.put(put)
    definition = house.occurrence().definition
    taken: dict[str, int] = {}
    for number, (items, extras) in enumerate(wanted):
        answer = house.send(a_place(items, extras, session_id=f"s{number}"))
        if isinstance(answer, Held):
            for pool, drawn in taken_by(definition, answer.hold)[0].items():
                taken[pool] = taken.get(pool, 0) + drawn
            assert all(left == (house.pool(key).available()) for key, left in answer.available.items())
    for limited in house.occurrence().pools.values():
        if limited.capacity is not None:
            most = limited.capacity * (100 + limited.overbooking_percent) // 100 - limited.buffer
            assert taken.get(limited.key, 0) <= max(0, most)


@given(st.integers(0, 30), st.integers(0, 40), st.integers(1, 5))
def test_b39_as_many_are_granted_as_there_are_seats(capacity: int, crowd: int, seats: int) -> None:
    """Not oversold and not undersold: whoever can be served is."""
    house = House.with_occurrence(capacity=capacity)
    answers = [house.send(a_place(seats, session_id=f"s{number}")) for number in range(crowd)]
    granted = [answer for answer in answers if isinstance(answer, Held)]
    assert len(granted) == min(crowd, capacity // seats)
    assert answers[: len(granted)] == granted, "the first to come are the first to be served"


@given(st.text(max_size=60).filter(lambda key: key not in {"adult", "child"}), st.integers(1, 500))
def test_b02_no_unknown_key_reserves_anything(key: str, quantity: int) -> None:
    """Whatever it is, even what no codec would let through."""
    house = House.with_occurrence()
    house.refused(a_place({"adult": 1, key: quantity}), Reason.UNKNOWN_TICKET)
    assert house.pool().held == 0


@given(st.lists(st.tuples(st.sampled_from(["occ-1", "occ-2"]), st.integers(1, 3), st.booleans()), max_size=20))
def test_b28_occurrences_never_share_out_more_stock_than_there_is(wanted: list[tuple[str, int, bool]]) -> None:
    """The last guide goes to one of them; a hold that ends gives back what it had."""
    extras = [ExtraDefinition(key="guide", stock=SharedStock(key="guides", cap=4))]
    house = House.with_occurrence("occ-1", extras=extras, capacity=100)
    house.put(a_put("occ-2", extras=extras, capacity=100))
    for number, (occurrence_id, guides, late) in enumerate(wanted):
        fields: dict[str, Any] = {"occurrence_id": occurrence_id, "session_id": f"s{number}"}
        answer = house.send(a_place(1, {"guide": guides}, **fields))
        taken = sum(
            account.stock.get("guides", 0) for account in house.accounts.values() if not account.terminal_events
        )
        assert taken <= 4
        if isinstance(answer, Refused):
            assert taken + guides > 4
        if late:
            house.wait(minutes=15)


@given(st.lists(st.integers(0, 1200), max_size=30), st.integers(5, 60), st.integers(0, 10))
def test_b12_no_pattern_of_extensions_outlives_the_greatest_age(
    steps: list[int], lifetime: int, extensions: int
) -> None:
    """Nor is there one extension more than allowed, and none shortens a life."""
    house = House.with_occurrence()
    house.configure(ttl_minutes=5, lifetime_max_minutes=lifetime, extensions_max=extensions)
    held = house.held(a_place(1))
    expires_at = held.hold.expires_at
    granted = 0
    for seconds in steps:
        house.wait(seconds=seconds)
        answer = house.send(an_extend(held))
        if isinstance(answer, Extended):
            granted += 1
            assert house.now < expires_at <= answer.hold.expires_at <= NOW + timedelta(minutes=lifetime)
            expires_at = answer.hold.expires_at
            assert answer.extensions_left == extensions - granted >= 0
        elif house.now < expires_at:
            used_up = granted == extensions or expires_at == NOW + timedelta(minutes=lifetime)
            assert used_up, got(Refused, answer).message


@given(put=occurrences(), data=st.data(), second=baskets(), extras=some_extras())
def test_a_change_comes_to_what_a_new_hold_of_that_basket_would(
    put: PutOccurrence, data: st.DataObject, second: dict[str, int], extras: dict[str, int]
) -> None:
    """Absolute quantities: the way there does not matter, and refused it leaves everything as it was."""
    changing, fresh = House(), House()
    changing.put(put)
    fresh.put(put)
    on_offer = got(Availability, changing.send(a_get())).ticket_types
    possible = [{key: ticket.available} for key, ticket in on_offer.items() if ticket.available]
    assume(possible)
    held = changing.held(a_place(data.draw(st.sampled_from(possible))))
    before = (
        dict(changing.occurrence().holds),
        {key: pool.held for key, pool in changing.occurrence().pools.items()},
    )
    changed = changing.send(a_change(held, second, extras))
    placed = fresh.send(a_place(second, extras))
    if isinstance(placed, Held):
        assert not isinstance(changed, Refused)
        counts = [
            {key: pool.held for key, pool in house.occurrence().pools.items()} for house in (changing, fresh)
        ]
        assert counts[0] == counts[1]
    else:
        assert got(Refused, changed).reason is got(Refused, placed).reason
        assert before == (
            dict(changing.occurrence().holds),
            {key: pool.held for key, pool in changing.occurrence().pools.items()},
        )


@given(commands=st.lists(ANY_COMMAND, max_size=6), here=st.booleans())
def test_every_command_that_the_contract_allows_gets_an_answer(commands: list[Command], here: bool) -> None:
    """However strange: nothing that can be decoded makes a decision fail."""
    house = House.with_occurrence(
        ticket_types=[TicketType(key="adult"), TicketType(key="child", max_per_order=500)]
    )
    held = house.held(a_place(1))
    answers: list[Answer] = []
    for command in commands:
        # No two requests of one story have one id: the journal sees to that.
        known = {**house.accounts}
        if command.request_id in known:
            continue
        fields: dict[str, Any] = {"occurrence_id": OCCURRENCE} if here else {}
        about = {"hold_id": held.hold.hold_id, "session_id": held.hold.session_id}
        if here and hasattr(command, "hold_id"):
            fields |= {name: value for name, value in about.items() if hasattr(command, name)}
        answers.append(house.send(replace(command, **fields)))
    assert all(answer.decided_at == house.now for answer in answers)
