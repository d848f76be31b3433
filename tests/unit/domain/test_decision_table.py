"""What every command comes to: each outcome, each reason for a refusal, what it teaches, and in which order.

The stories are in the language of `tests/support/domain_script.py`. A refusal must teach what its line says and
nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.domain import (
    House,
    a_change,
    a_close,
    a_place,
    a_put,
    a_release,
    an_extend,
    got,
    request_id,
)
from tests.support.domain_script import FORGED_SESSION, NOBODYS_HOLD, WORLD, Script

from holdgate_schema.answers.holds import Reason, Refused
from holdgate_schema.commands.holds import Command
from holdgate_schema.errors import FieldError
from holdgate_workers.domain.decide import refuse_conflict, refuse_unreadable
from holdgate_workers.domain.decision import LimitKey

OF_SELLING = {
    *(
        Reason.BOOKING_NOT_FOUND,
        Reason.BOOKING_FINAL,
        Reason.TOO_LATE,
        Reason.UNPAID,
        Reason.UNPRICED,
        Reason.QUOTE_EXPIRED,
    ),
    *(
        Reason.PRICE_CHANGED,
        Reason.PAYMENT_MISMATCH,
        Reason.VOUCHER_USED_UP,
        Reason.PARKED,
        Reason.REFUND_REQUIRED,
    ),
    *(Reason.ORDER_FAILED, Reason.ENTRY_NOT_FOUND, Reason.ALREADY_WAITING, Reason.NOT_SOLD_OUT),
}
"""Told by test_conversion.py, test_order_events.py, test_reducing.py and test_waiting.py."""

STORIES = {
    # --- place ---
    "place: a basket is held whole": """
        place ann adult=2 vip=1 +guide=1 => held version=2 hold.seats=3 hold.expires_at=+15m hold.state=active \
            hold.session_id=ann available.total=9 available.vip=2 / created
    """,
    "place: pools without a limit answer null": """
        place ann adult=1 +lunch=2 => held available.lunches=none available.total=11
    """,
    "place: a shorter life can be asked for": """
        place ann adult=1 ttl=1    => held hold.expires_at=+1s
        place ann adult=1 ttl=3600 => held hold.expires_at=+1h
    """,
    "place: invalid: longer than a hold may live": """
        place ann adult=1 ttl=3601 => refused invalid errors.0.field=ttl_seconds errors.1=nothing /
    """,
    "place: forbidden: a forged session": """
        place ! adult=1 => refused forbidden /
    """,
    "place: unknown_occurrence": """
        @nowhere place ann adult=1 => refused unknown_occurrence version=0 /
    """,
    "place: not_on_sale: each status": """
        close closed
        place ann adult=1 => refused not_on_sale not_on_sale=closed
        close completed
        place ann adult=1 => refused not_on_sale not_on_sale=completed
        @two put
        @two close cancelled
        @two place ann adult=1 => refused not_on_sale not_on_sale=cancelled
    """,
    "place: not_on_sale: not yet open teaches when": """
        put sales_open=2026-06-02T10:00
        place ann adult=1 => refused not_on_sale not_on_sale=not_yet_open opens_at=2026-06-02T08:00+00:00
    """,
    "place: not_on_sale: past the cut-off, then started": """
        put cutoff_minutes=60 sales_open=2026-06-01T14:00
        wait 30d4h59m59s
        place ann adult=1 => held
        wait 1s
        place ann adult=1 => refused not_on_sale not_on_sale=past_cutoff
        wait 1h
        place ann adult=1 => refused not_on_sale not_on_sale=started
    """,
    "place: unknown_ticket": "place ann adult=1 ghost=1 => refused unknown_ticket subject=ghost /",
    "place: unknown_extra": "place ann adult=1 +ghost=1 => refused unknown_extra subject=ghost /",
    "place: below_min": "place ann group=4 => refused below_min subject=group limit=5 requested=4 /",
    "place: above_max: tickets": """
        place ann adult=11 => refused above_max subject=adult limit=10 requested=11 /
    """,
    "place: above_max: extras": """
        place ann adult=1 +guide=5 => refused above_max subject=guide limit=4 requested=5 /
    """,
    "place: limit_per_request": """
        house max_seats_per_request=3
        place ann adult=2 child=2 => refused limit_per_request subject=seats_per_request limit=3 used=0 \
            requested=4 /
        house max_seats_per_hold=3
        place ann adult=2 child=2 => refused limit_per_request subject=seats_per_hold limit=3 used=0 \
            requested=4 /
        place ann adult=2 child=1 +lunch=50 => held hold.seats=3   # extras are no seats
    """,
    "place: limit_per_session": """
        house max_per_session=2
        place ann adult=1 -> first
        place ann adult=1
        place ann adult=1 => refused limit_per_session subject=holds_per_session limit=2 used=2 requested=1 /
        place bob adult=1
        release ann first
        place ann adult=1 => held
    """,
    "place: sold_out: what is available, what is merely held, when the earliest could end": """
        place ann adult=8 vip=1 ttl=600
        wait 1m
        place bob vip=1
        place eve vip=2 +lunch=1 => refused sold_out subject=vip requested=2 available.total=2 available.vip=1 \
            available.lunches=none held.total=10 held.vip=2 held.lunches=0 next_release_at=+10m /
    """,
    "place: sold_out: none at all": """
        place ann nobody=1 => refused sold_out subject=shut requested=1 available.shut=0 available.total=12 \
            held.shut=0 held.total=0 /
    """,
    "place: sold_out: one basket that draws twice from a pool is summed first": """
        place ann child=2 teen=2 +toy=1 => refused sold_out subject=young requested=5 available.young=4 \
            available.total=12 held.young=0 held.total=0
        place ann child=2 teen=1 +toy=1 => held available.young=0 available.total=9
    """,
    "place: sold_out: a stock that several occurrences share": """
        @two put
        @two place ann adult=1 +guide=3
        place bob adult=1 +guide=3 => refused sold_out subject=guides limit=5 used=3 requested=3 \
            available.guides=2 /
        place bob adult=1 +guide=2 => held
    """,
    # --- change ---
    "change: absolute quantities, up and down, the expiry stays": """
        place ann adult=2 -> h
        wait 5m
        change ann h adult=4 vip=1 => changed hold.seats=5 hold.expires_at=+15m available.total=7 \
            available.vip=2 / changed
        change ann h adult=4 vip=1 => changed hold.seats=5 / changed
        change ann h child=1       => changed hold.seats=1 available.total=11 available.young=3
    """,
    "change: its own seats never stand in its way": """
        put capacity=3
        place ann adult=2 -> h
        change ann h adult=3 => changed available.total=0
        change ann h vip=3   => changed available.vip=0
        change ann h adult=4 => refused sold_out subject=total requested=1 available.total=0 available.vip=0 \
            held.total=3 held.vip=3 next_release_at=+15m
    """,
    "change: forbidden, unknown_occurrence, hold_not_found, hold_final": """
        place ann adult=1 -> h
        change ! h adult=1        => refused forbidden
        @nowhere change ann h adult=1 => refused unknown_occurrence
        change bob h adult=1      => refused hold_not_found subject=00000000-0000-4000-8000-000000000002
        change ann nosuch adult=1 => refused hold_not_found subject=00000000-0000-4000-8000-00000000dead
        release ann h
        change ann h adult=1      => refused hold_final subject=00000000-0000-4000-8000-000000000002 \
            hold_state=released
    """,
    "change: the checks of a basket": """
        place ann adult=1 -> h
        house max_seats_per_request=6
        change ann h ghost=1           => refused unknown_ticket subject=ghost
        change ann h adult=1 +ghost=1  => refused unknown_extra subject=ghost
        change ann h group=1           => refused below_min subject=group limit=5 requested=1
        change ann h adult=11          => refused above_max subject=adult limit=10 requested=11
        change ann h adult=7           => refused limit_per_request subject=seats_per_request limit=6 used=0 \
            requested=7
        change ann h vip=4             => refused sold_out subject=vip requested=4 available.vip=3 \
            available.total=11 held.vip=0 held.total=1 next_release_at=+15m /
        close
        change ann h adult=1           => refused not_on_sale not_on_sale=closed
    """,
    "change: shared stock is claimed and given back by the difference": """
        place ann adult=1 +guide=3 -> h
        place bob adult=1 +guide=2
        change ann h adult=1 +guide=4 => refused sold_out subject=guides limit=5 used=5 requested=1 \
            available.guides=0
        change ann h adult=1 +guide=1 => changed
        place eve adult=1 +guide=2 => held
    """,
    # --- extend ---
    "extend: the full time again from now, so often and so long": """
        place ann adult=1 -> h
        wait 10m
        extend ann h => extended hold.expires_at=+25m hold.extensions_used=1 extensions_left=2 / extended
        wait 10m
        extend ann h => extended hold.expires_at=+35m hold.extensions_used=2 extensions_left=1
        extend ann h => extended hold.expires_at=+35m hold.extensions_used=3 extensions_left=0
        extend ann h => refused extension_limit subject=extensions limit=3 used=3 requested=1 /
    """,
    "extend: not beyond the greatest age": """
        house lifetime_max_minutes=20
        place ann adult=1 -> h
        wait 14m
        extend ann h => extended hold.expires_at=+20m
        wait 1m
        extend ann h => refused extension_limit subject=lifetime_minutes limit=20 used=15 requested=15 /
    """,
    "extend: by the life the hold was given, also at the very instant of its creation": """
        place ann adult=1 ttl=60 -> h
        extend ann h => extended hold.expires_at=+1m extensions_left=2
        wait 30s
        extend ann h => extended hold.expires_at=+1m30s
    """,
    "extend: forbidden, unknown_occurrence, hold_not_found, hold_final": """
        place ann adult=1 -> h
        extend ! h        => refused forbidden
        @nowhere extend ann h => refused unknown_occurrence
        extend bob h      => refused hold_not_found subject=00000000-0000-4000-8000-000000000002
        wait 15m
        extend ann h      => refused hold_final subject=00000000-0000-4000-8000-000000000002 hold_state=expired \
            / expired:touched_late
        extend ann h      => refused hold_final subject=00000000-0000-4000-8000-000000000002 hold_state=expired /
    """,
    "extend: also when the occurrence is off sale": """
        place ann adult=1 -> h
        close cancelled
        wait 1m
        extend ann h => extended
    """,
    # --- release ---
    "release: the seats are free again": """
        place ann adult=2 vip=1 +guide=5 => refused above_max subject=guide limit=4 requested=5
        place ann adult=2 vip=1 +guide=4 +lunch=2 -> h
        release ann h => released hold.state=released hold.seats=3 / released:by_owner
        get => availability pools.total.held=0 pools.vip.held=0 pools.lunches.held=0
        place bob adult=1 +guide=4 => held
    """,
    "release: forbidden, unknown_occurrence, hold_not_found, hold_final": """
        place ann adult=1 -> h
        release ! h        => refused forbidden
        @nowhere release ann h => refused unknown_occurrence
        @two put
        @two release ann h => refused hold_not_found subject=00000000-0000-4000-8000-000000000002 /
        release bob h      => refused hold_not_found subject=00000000-0000-4000-8000-000000000002 /
        release ann h      => released
        release ann h      => refused hold_final subject=00000000-0000-4000-8000-000000000002 \
            hold_state=released /
        @two release ann h => refused hold_not_found subject=00000000-0000-4000-8000-000000000002 /
    """,
    "release: also when the occurrence is off sale": """
        place ann adult=1 -> h
        close completed
        release ann h => released
    """,
    # --- sweep ---
    "sweep: what is due, and whether more is": """
        place ann adult=1 ttl=10
        place ann adult=1 ttl=20
        place ann adult=1 ttl=30
        wait 9s
        sweep   => swept expired=0 more=false version=4 /
        wait 11s
        sweep 1 => swept expired=1 more=true version=5 / expired:swept
        sweep 1 => swept expired=1 more=false version=6 / expired:swept
        sweep 1 => swept expired=0 more=false version=6 /
        @nowhere sweep => refused unknown_occurrence
    """,
    # --- availability ---
    "get: what could be held now": """
        place ann adult=4 vip=1 ttl=60
        get => availability version=2 on_sale=true not_on_sale=none status=active pools.total.held=5 \
            pools.total.available=7 pools.total.sellable=12 pools.total.capacity=12 \
            pools.lunches.available=none pools.lunches.capacity=none ticket_types.adult.available=7 \
            ticket_types.vip.available=2 ticket_types.nobody.available=0 ticket_types.group.available=7 \
            next_release_at=+1m /
        place bob adult=3
        get => availability ticket_types.group.available=0 ticket_types.adult.available=4   # fewer than the \
            least of a group
        wait 1m
        get => availability version=3 pools.total.held=3 pools.vip.held=0 ticket_types.vip.available=3 \
            next_release_at=+15m /
        close
        get => availability on_sale=false not_on_sale=closed status=closed ticket_types.adult.available=0 \
            pools.total.available=9
        @nowhere get => refused unknown_occurrence version=0
    """,
    # --- the catalogue ---
    "put: created, then redefined": """
        @two put capacity=7 buffer=2 => occurrence_stored created=true version=1 status=active sellable.total=5 \
            sellable.vip=3 sellable.lunches=none deficit.total=nothing / occurrence.changed
        @two put capacity=8          => occurrence_stored created=false version=2 sellable.total=8 / \
            occurrence.changed
        @two put status=closed       => occurrence_stored status=closed
        @two put                     => occurrence_stored status=active
    """,
    "put: final states are final": """
        close cancelled
        put => refused invalid errors.0.field=status /
    """,
    "close: closed can be opened again, the others are final": """
        close           => occurrence_stored status=closed created=false / occurrence.changed
        close closed    => occurrence_stored status=closed
        close completed => occurrence_stored status=completed
        close completed => occurrence_stored status=completed
        close closed    => refused invalid errors.0.field=status /
        close cancelled => refused invalid errors.0.field=status
        @nowhere close  => refused unknown_occurrence
    """,
    "capacity: one pool at a time": """
        capacity total=2    => occurrence_stored sellable.total=2 sellable.vip=3 / occurrence.changed
        capacity vip=none   => occurrence_stored sellable.vip=none
        capacity ghost=1    => refused invalid errors.0.field=pool /
        capacity total=none => refused invalid errors.0.field=capacity
        @nowhere capacity total=1 => refused unknown_occurrence
    """,
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_commands_come_to_what_the_table_says(story: str) -> None:
    """Each line's answer, what it teaches and its events are as written."""
    Script().run(story)


def test_the_table_knows_every_reason_that_a_command_can_be_refused_for() -> None:
    """A new reason needs a story; some never come from a decision about an occurrence, others only where it is sold."""
    found: set[str] = set()
    for story in STORIES.values():
        found |= Script().run(story).reasons
    elsewhere = {Reason.REQUEST_CONFLICT, Reason.UNAVAILABLE}
    assert found == set(Reason) - elsewhere - OF_SELLING


# --- the order of the checks ------------------------------------------------------------------------------


@dataclass
class Wrong:
    """A request in the making, and the house it will be sent to."""

    house: House
    hold: Any
    fields: dict[str, Any] = field(default_factory=dict)
    items: dict[str, int] = field(default_factory=lambda: {"adult": 1})
    extras: dict[str, int] = field(default_factory=dict)


def _close(wrong: Wrong) -> None:
    wrong.house.send(a_close())


def _end(wrong: Wrong) -> None:
    wrong.house.send(a_release(wrong.hold))


def _use_up_extensions(wrong: Wrong) -> None:
    for _ in range(3):
        wrong.house.send(an_extend(wrong.hold))


def _too_many_seats(wrong: Wrong) -> None:
    wrong.house.configure(max_seats_per_request=2, max_per_session=wrong.house.settings.max_per_session)
    wrong.items["child"] = 3


def _no_more_holds(wrong: Wrong) -> None:
    limit = wrong.house.settings.max_seats_per_request
    wrong.house.configure(max_seats_per_request=limit, max_per_session=1)


FAULTS: dict[Reason, Callable[[Wrong], object]] = {
    Reason.FORBIDDEN: lambda wrong: wrong.fields.update(session_id=FORGED_SESSION),
    Reason.UNKNOWN_OCCURRENCE: lambda wrong: wrong.fields.update(occurrence_id="nowhere"),
    Reason.INVALID: lambda wrong: wrong.fields.update(ttl_seconds=7200),
    Reason.HOLD_NOT_FOUND: lambda wrong: wrong.fields.update(hold_id=NOBODYS_HOLD),
    Reason.HOLD_FINAL: _end,
    Reason.NOT_ON_SALE: _close,
    Reason.UNKNOWN_TICKET: lambda wrong: wrong.items.update(ghost=1),
    Reason.UNKNOWN_EXTRA: lambda wrong: wrong.extras.update(ghost=1),
    Reason.BELOW_MIN: lambda wrong: wrong.items.update(group=1),
    Reason.ABOVE_MAX: lambda wrong: wrong.extras.update(guide=5),
    Reason.LIMIT_PER_REQUEST: _too_many_seats,
    Reason.EXTENSION_LIMIT: _use_up_extensions,
    Reason.LIMIT_PER_SESSION: _no_more_holds,
    Reason.SOLD_OUT: lambda wrong: wrong.items.update(nobody=1),
}
"""One way to be wrong for each reason, in the order in which the checks are made.

What only the occurrence can say is invalid (a life longer than its holds may have) can be said no earlier than the
occurrence is found; what is invalid in itself never gets here, the codec refuses it.
"""
_BASKET = (Reason.NOT_ON_SALE, Reason.UNKNOWN_TICKET, Reason.UNKNOWN_EXTRA, Reason.BELOW_MIN, Reason.ABOVE_MAX)
_ABOUT_A_HOLD = (Reason.FORBIDDEN, Reason.UNKNOWN_OCCURRENCE, Reason.HOLD_NOT_FOUND, Reason.HOLD_FINAL)
OF_COMMAND = {
    "place": (
        Reason.FORBIDDEN,
        Reason.UNKNOWN_OCCURRENCE,
        Reason.INVALID,
        *_BASKET,
        Reason.LIMIT_PER_REQUEST,
        Reason.LIMIT_PER_SESSION,
        Reason.SOLD_OUT,
    ),
    "change": (*_ABOUT_A_HOLD, *_BASKET, Reason.LIMIT_PER_REQUEST, Reason.SOLD_OUT),
    "extend": (*_ABOUT_A_HOLD, Reason.EXTENSION_LIMIT),
    "release": _ABOUT_A_HOLD,
}
PAIRS = [
    (verb, first, second) for verb, reasons in OF_COMMAND.items() for first, second in combinations(reasons, 2)
]


def _wrong_request(verb: str, reasons: tuple[Reason, ...]) -> tuple[House, Command]:
    house = House.with_occurrence(**WORLD)
    wrong = Wrong(house, house.held(a_place(1)))
    for reason in sorted(reasons, key=list(FAULTS).index, reverse=True):
        FAULTS[reason](wrong)
    match verb:
        case "place":
            return house, a_place(wrong.items, wrong.extras, **wrong.fields)
        case "change":
            return house, a_change(wrong.hold, wrong.items, wrong.extras, **wrong.fields)
        case "extend":
            return house, an_extend(wrong.hold, **wrong.fields)
    return house, a_release(wrong.hold, **wrong.fields)


@pytest.mark.parametrize(("verb", "first", "second"), PAIRS, ids=lambda value: str(value))
def test_a_request_wrong_in_two_ways_gets_the_earlier_reason(verb: str, first: Reason, second: Reason) -> None:
    """The order is fixed, whatever else is wrong."""
    house, command = _wrong_request(verb, (first, second))
    house.refused(command, first)


@pytest.mark.parametrize("verb", OF_COMMAND)
def test_each_way_to_be_wrong_alone_gets_its_own_reason(verb: str) -> None:
    """What the test above rests on."""
    for reason in OF_COMMAND[verb]:
        house, command = _wrong_request(verb, (reason,))
        house.refused(command, reason)


def test_the_order_is_that_of_the_list_of_reasons() -> None:
    """But for `invalid`, which is first in the list because the codec is."""
    tried = [reason for reason in FAULTS if reason is not Reason.INVALID]
    assert tried == [reason for reason in Reason if reason in tried]


# --- refusals without a decision about an occurrence ------------------------------------------------------


def test_an_unreadable_message_is_refused_under_its_own_name_with_every_problem() -> None:
    """And recorded: its request id has its answer."""
    house = House.with_occurrence()
    errors = [FieldError("items", "is not an object"), FieldError("ttl_seconds", "is too large")]
    decision = refuse_unreadable(house.occurrence(), request_id(7), "occ-1", errors, house.context())
    answer = got(Refused, decision.answer)
    assert (answer.request_id, answer.reason, answer.retryable) == (request_id(7), Reason.INVALID, False)
    assert [(problem.field, problem.reason) for problem in answer.errors] == [
        (error.field, error.reason) for error in errors
    ]
    assert decision.recorded
    assert answer.version == house.occurrence().version + 1


def test_a_conflicting_request_leaves_no_trace() -> None:
    """The id has its answer already."""
    decision = refuse_conflict(request_id(7), "occ-1", House().context())
    assert got(Refused, decision.answer).reason is Reason.REQUEST_CONFLICT
    assert not decision.recorded
    assert decision.answer.version == 0


def test_only_what_was_not_recorded_may_be_asked_again() -> None:
    """A refusal is as sticky as a grant."""
    assert {reason for reason in Reason if reason.retryable} == {Reason.UNAVAILABLE}


def test_reads_leave_no_trace_even_when_refused() -> None:
    """Asked again after the put, the same request is answered afresh."""
    for story in ("@nowhere get => refused unknown_occurrence", "@nowhere sweep => refused unknown_occurrence"):
        house = House()
        Script(house).run(story)
    house = House.with_occurrence(**WORLD)
    script = Script(house)
    for verb in ("get", "sweep"):
        assert not house.decide(script.command(verb, [], "nowhere")).recorded
        assert not house.decide(script.command(verb, [], "occ-1")).recorded
    assert house.decide(a_place(1, occurrence_id="nowhere")).recorded


# --- guesses ----------------------------------------------------------------------------------------------


def test_a_refusal_never_rests_on_a_guess() -> None:
    """It asks for the number instead; a grant may rest on one, it is verified at the commit."""
    house = House.with_occurrence(**WORLD)
    session, stock = LimitKey("session", "ann"), LimitKey("stock", "guides")
    house.limits.guess(session, 10)
    house.limits.guess(stock, 5)
    assert set(house.decide(a_place(1)).unsure) == {session}
    assert set(house.decide(a_place(1, {"guide": 1}, session_id="bob")).unsure) == {stock}
    assert not house.decide(a_place(1, session_id="bob")).unsure
    house.limits.guess(session, 9)
    assert not house.decide(a_place(1)).unsure
    house.limits.read()
    house.held(a_place(1, {"guide": 1}))


# --- the life of a hold -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["converting", "confirmed", "released", "expired", "cancelled"])
def test_a_hold_that_is_not_active_moves_by_no_command(state: str) -> None:
    """Final states absorb, and a hold on its way to an order is nobody's to change; nor does time end it."""
    story = f"""
        place ann adult=2 -> h
        state h {state}
        change ann h adult=1 => refused hold_final subject={request_id(2)} hold_state={state} /
        extend ann h         => refused hold_final subject={request_id(2)} hold_state={state} /
        release ann h        => refused hold_final subject={request_id(2)} hold_state={state} /
        wait 3h
        sweep                => swept expired=0 /
        place bob adult=2
        release ann h        => refused hold_final subject={request_id(2)} hold_state={state} /
        release bob h        => refused hold_not_found subject={request_id(2)} /
    """
    script = Script().run(story)
    assert script.house.hold(script.named["h"]).state == state


@pytest.mark.parametrize(
    ("step", "state"),
    [("change ann h adult=1", "active"), ("extend ann h", "active"), ("release ann h", "released")],
)
def test_an_active_hold_moves_only_as_the_table_says(step: str, state: str) -> None:
    """`active -> released` by its owner, `active -> expired` by time, anything else keeps it active."""
    script = Script().run(f"place ann adult=2 -> h\n wait 1m\n {step}")
    assert script.house.hold(script.named["h"]).state == state
    script = Script().run("place ann adult=2 -> h\n wait 15m\n sweep")
    assert script.house.hold(script.named["h"]).state == "expired"


def test_a_hold_of_another_occurrence_is_none_of_this_one() -> None:
    """Though it was looked up and found, its session asks, and it lives: its seats are not here."""
    house = House.with_occurrence(**WORLD)
    house.put(a_put("two", **WORLD))
    held = house.held(a_place(1))
    house.ended[held.hold.hold_id] = house.hold(held)
    for command in (a_release(held), an_extend(held), a_change(held, 1)):
        house.refused(replace(command, occurrence_id="two"), Reason.HOLD_NOT_FOUND)


def test_putting_an_occurrence_anew_keeps_its_holds() -> None:
    """What was taken stays taken, whatever the catalogue says now; its end gives back exactly that."""
    Script().run("""
        place ann adult=1 vip=2 +guide=2 -> h
        put capacity=20
        get           => availability pools.total.held=3 pools.vip.held=2 pools.total.available=17
        release ann h => released
        get           => availability pools.total.held=0 pools.vip.held=0
    """)


def test_a_ticket_that_draws_from_another_pool_now_gives_back_what_it_drew() -> None:
    """A hold remembers its draws."""
    house = House.with_occurrence(**WORLD)
    held = house.held(a_place({"vip": 2}, {"guide": 3}))
    tickets = [ticket for ticket in WORLD["ticket_types"] if ticket.key != "vip"]
    house.put(a_put(**(WORLD | {"ticket_types": tickets, "extras": []})))
    assert house.pool("vip").held == 2
    house.send(a_release(held))
    assert (house.pool("vip").held, house.pool().held) == (0, 0)
    assert house.limits.used(LimitKey("stock", "guides")) == 0
