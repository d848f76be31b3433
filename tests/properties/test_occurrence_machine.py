"""Any story whatever on several occurrences: after every step the books are right and the rules hold.

The house (`tests/support/domain.py`) checks after every command, against its own account of every hold: for every
pool held is the sum of what the live holds draw, held + sold <= sellable, available is never negative, sellable is
the target or sinking to it; the events add up to the state and no hold has two ends; deciding changes nothing and
comes out the same twice; answers and events survive the wire.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from msgspec.structs import replace
from tests.support.domain import (
    House,
    a_capacity,
    a_change,
    a_close,
    a_get,
    a_place,
    a_release,
    a_sweep,
    an_extend,
    got,
)
from tests.support.domain_strategies import POOLS, TICKETS, baskets, occurrences, some_extras, spans

from holdgate_schema.answers.holds import Availability, Held, Reason, Refused, Swept
from holdgate_schema.commands.holds import PlaceHold, PutOccurrence

IDS = ("occ-1", "occ-2")
PLACING = st.fixed_dictionaries(
    {
        "occurrence_id": st.sampled_from(IDS),
        "session_id": st.sampled_from(["ann", "bob", None, None]),
        "ttl_seconds": st.sampled_from([None, 1, 60, 60, 3600]),
    }
)
NEWCOMER = "newcomer"


class OccurrencesMachine(RuleBasedStateMachine):
    """Random commands and time steps on two occurrences that share sessions and stock."""

    holds: Bundle[Held] = Bundle("holds")

    @initialize(first=occurrences("occ-1"), second=occurrences("occ-2"), per_session=st.integers(1, 6))
    def begin(self, first: PutOccurrence, second: PutOccurrence, per_session: int) -> None:
        """Put both."""
        self.house = House()
        self.house.configure(max_per_session=per_session)
        self.house.put(first)
        self.house.put(second)

    @rule(target=holds, items=baskets(), extras=some_extras(), fields=PLACING)
    def place(self, items: dict[str, int], extras: dict[str, int], fields: dict[str, Any]) -> Any:
        """Somebody wants a basket; what he is told is so."""
        return self._place(items, extras, fields)

    @rule(target=holds, data=st.data(), extras=some_extras(), fields=PLACING)
    def place_what_is_there(self, data: st.DataObject, extras: dict[str, int], fields: dict[str, Any]) -> Any:
        """Somebody has read the catalogue."""
        definition = self.house.occurrences[fields["occurrence_id"]].definition
        keys = data.draw(st.lists(st.sampled_from(list(definition.ticket_types)), min_size=1, max_size=2))
        tickets = [definition.ticket_types[key] for key in keys]
        items = {
            ticket.key: data.draw(st.integers(max(1, ticket.min_per_order), ticket.max_per_order))
            for ticket in tickets
        }
        return self._place(items, {key: n for key, n in extras.items() if key in definition.extras}, fields)

    @rule(target=holds, fields=PLACING, key=st.sampled_from(TICKETS), quantity=st.integers(1, 3))
    def place_a_few(self, key: str, quantity: int, fields: dict[str, Any]) -> Any:
        """Somebody wants little."""
        return self._place({key: quantity}, {}, fields)

    def _place(self, items: dict[str, int], extras: dict[str, int], fields: dict[str, Any]) -> Any:
        answer = self.house.send(a_place(items, extras, **fields))
        if isinstance(answer, Held):
            assert answer.hold.seats == sum(items.values())
            return answer
        self._must_be_right(got(Refused, answer))
        return multiple()

    @rule(hold=holds, items=baskets(), extras=some_extras())
    def change(self, hold: Held, items: dict[str, int], extras: dict[str, int]) -> None:
        """An owner wants something else."""
        answer = self.house.send(a_change(hold, items, extras))
        if isinstance(answer, Refused):
            self._must_be_right(answer)

    @rule(hold=holds)
    def change_to_the_same(self, hold: Held) -> None:
        """An owner's own seats are never in his way: what he has he may have again, as long as it is on sale."""
        live = self.house.occurrences[hold.occurrence_id].holds.get(hold.hold.hold_id)
        if live is not None:
            answer = self.house.send(a_change(hold, live.items, live.extras))
            if isinstance(answer, Refused) and answer.reason is Reason.SOLD_OUT:
                # only a catalogue that draws otherwise by now can say so
                occurrence = self.house.occurrences[hold.occurrence_id]
                now = occurrence.draws_of(live.items, live.extras), occurrence.stock_of(live.extras)
                assert now != (live.draws, live.stock)

    @rule(hold=holds)
    def extend(self, hold: Held) -> None:
        """An owner wants more time."""
        self.house.send(an_extend(hold))

    @rule(hold=holds, by_owner=st.sampled_from([True, True, False]))
    def release(self, hold: Held, by_owner: bool) -> None:
        """An owner gives back, or somebody else tries to."""
        if by_owner:
            self.house.send(a_release(hold))
        else:
            self.house.refused(a_release(hold, session_id="stranger"), Reason.HOLD_NOT_FOUND)

    @rule(
        data=st.data(),
        occurrence_id=st.sampled_from(IDS),
        what=st.sampled_from(["capacity"] * 6 + ["put", "close"]),
    )
    def catalogue(self, data: st.DataObject, occurrence_id: str, what: str) -> None:
        """The catalogue changes one number, everything, or ends the sale until it is put again."""
        if what == "put" or self.house.occurrences[occurrence_id].definition.status == "closed":
            self.house.send(data.draw(occurrences(occurrence_id)))
        elif what == "close":
            self.house.send(a_close(occurrence_id=occurrence_id))
        else:
            pool = data.draw(st.sampled_from(["total", "total", *POOLS]))
            capacity = data.draw(st.one_of(st.none(), st.integers(0, 16), st.integers(8, 20)))
            self.house.send(a_capacity(capacity, pool, occurrence_id=occurrence_id))

    @rule(span=spans(), occurrence_id=st.sampled_from(IDS), bound=st.sampled_from([0, 0, 0, 1, 2, 500]))
    def wait(self, span: timedelta, occurrence_id: str, bound: int) -> None:
        """Time goes by, and now and then the expiry worker comes by."""
        self.house.now += span
        if bound:
            due = len(list(self.house.occurrences[occurrence_id].due(self.house.now)))
            swept = got(Swept, self.house.send(a_sweep(bound, occurrence_id=occurrence_id)))
            assert (swept.expired, swept.more) == (min(due, bound), due > bound)

    @invariant()
    def b34_what_is_offered_is_what_a_hold_alone_would_get(self) -> None:
        """For each ticket type: so many are granted, and one more is not."""
        for occurrence_id in IDS if hasattr(self, "house") else ():
            look = got(Availability, self.house.what_if(a_get(occurrence_id)).answer)
            for key, ticket in look.ticket_types.items():
                alone = a_place({key: 1}, occurrence_id=occurrence_id, session_id=NEWCOMER)
                if ticket.available:
                    assert isinstance(self._outcome(alone, key, ticket.available), Held)
                    assert ticket.available >= ticket.min_per_order
                assert isinstance(self._outcome(alone, key, ticket.available + 1), Refused)

    @invariant()
    def all_that_is_due_could_be_swept(self) -> None:
        """And nothing else: never early."""
        for occurrence in self.house.occurrences.values() if hasattr(self, "house") else ():
            due = {hold.id for hold in occurrence.due(self.house.now)}
            assert due == {hold.id for hold in occurrence.holds.values() if hold.expires_at <= self.house.now}

    def _outcome(self, alone: PlaceHold, key: str, quantity: int) -> object:
        return self.house.what_if(replace(alone, items={key: quantity})).answer

    def _must_be_right(self, refused: Refused) -> None:
        """A refusal for want of seats is true for the living, and helps."""
        if refused.reason is not Reason.SOLD_OUT or refused.limit is not None:
            return
        assert refused.subject is not None
        assert refused.requested is not None
        available = refused.available[refused.subject]
        assert available is not None
        assert refused.requested > available
        living = [
            hold
            for hold in self.house.occurrences[refused.occurrence_id].holds.values()
            if hold.expires_at > self.house.now
        ]
        drawn = sum(hold.draws.get(refused.subject, 0) for hold in living)
        assert refused.held[refused.subject] == drawn, "a dead hold is in somebody's way"
        assert refused.next_release_at == min((hold.expires_at for hold in living), default=None)


TestB01AndB34AnyStoryKeepsTheBooksRight = OccurrencesMachine.TestCase
TestB01AndB34AnyStoryKeepsTheBooksRight.settings = settings(stateful_step_count=40)
