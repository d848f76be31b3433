"""Any story with waiting lists: the line is served in order, nobody who fits is passed over, no seat is counted twice.

Everything that the machine without lines does happens here, too, and its promises hold. The house
(`tests/support/lines.py`) keeps its own account of every line and checks after each command how it was served.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, multiple, rule
from tests.properties.test_occurrence_machine import IDS, OccurrencesMachine
from tests.support.domain import a_change, a_close, a_place, a_release, an_extend
from tests.support.domain_strategies import TICKETS, baskets, occurrences, some_extras
from tests.support.lines import LineHouse, a_join, a_leave

from holdgate_schema.answers.holds import Held, Reason, Refused
from holdgate_schema.answers.selling import Waiting
from holdgate_schema.commands.holds import PutOccurrence

SESSIONS = st.sampled_from(["ann", "bob", "cat", None, None, None, None])
PURCHASES = st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([None, None, 60, 300]), SESSIONS)
"""(Which ticket, how many more than the least, for how many seconds, by whom)."""


class LinesMachine(OccurrencesMachine):
    """Random commands and time steps, with people in line."""

    house: LineHouse
    entries: Bundle[Waiting] = Bundle("entries")

    @initialize(
        target=entries,
        parties=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), SESSIONS), max_size=8),
        first=occurrences("occ-1"),
        second=occurrences("occ-2"),
        per_session=st.integers(1, 6),
    )
    def begin_sold_out(
        self, parties: list[Any], first: PutOccurrence, second: PutOccurrence, per_session: int
    ) -> Any:
        """Put both, have them bought up, and let people stand in line."""
        self.house = LineHouse()
        self.house.configure(max_per_session=per_session)
        entries = []
        for command in (first, second):
            self.house.put(command)
            self.rush(command.occurrence_id, [])
            tickets = list(self.house.occurrences[command.occurrence_id].definition.ticket_types.values())
            for number, more, session_id in parties:
                ticket = tickets[number % len(tickets)]
                wish = {ticket.key: max(1, ticket.min_per_order) + more}
                answer = self._join(wish, {}, command.occurrence_id, session_id)
                entries += [answer] if isinstance(answer, Waiting) else []
        return multiple(*entries)

    def begin(self, *_: Any) -> None:  # type: ignore[override]
        """Not the way in which the machine without lines begins."""

    @rule(occurrence_id=st.sampled_from(IDS), first=st.lists(PURCHASES, max_size=6))
    def rush(self, occurrence_id: str, first: list[tuple[int, int, int | None, str | None]]) -> None:
        """Whatever is left is bought, in the end ticket by ticket and by strangers."""
        tickets = list(self.house.occurrences[occurrence_id].definition.ticket_types.values())
        rest = [(number, 0, None, None) for number in range(len(tickets)) for _ in range(20)]
        for number, more, ttl, buyer in [*first, *rest]:
            ticket = tickets[number % len(tickets)]
            wanted = {ticket.key: max(1, ticket.min_per_order) + more}
            if self.house.occurrences[occurrence_id].total.available():
                self.house.send(a_place(wanted, occurrence_id=occurrence_id, session_id=buyer, ttl_seconds=ttl))

    @rule(data=st.data(), occurrence_id=st.sampled_from(IDS))
    def somebody_gives_back(self, data: st.DataObject, occurrence_id: str) -> None:
        """Seats come back, by whichever of the holds."""
        holds = list(self.house.occurrences[occurrence_id].holds.values())
        if holds:
            self.house.send(a_release(data.draw(st.sampled_from(holds)).view()))

    @rule(data=st.data(), occurrence_id=st.sampled_from(IDS))
    def somebody_takes_less(self, data: st.DataObject, occurrence_id: str) -> None:
        """Seats come back because a basket shrinks, or is exchanged for another one."""
        holds = list(self.house.occurrences[occurrence_id].holds.values())
        if holds:
            key, quantity = self._some_tickets(data, occurrence_id)
            self.house.send(a_change(data.draw(st.sampled_from(holds)).view(), {key: quantity}))

    def _some_tickets(self, data: st.DataObject, occurrence_id: str) -> tuple[str, int]:
        tickets = self.house.occurrences[occurrence_id].definition.ticket_types
        ticket = tickets[data.draw(st.sampled_from(list(tickets)))]
        least = max(1, ticket.min_per_order)
        return ticket.key, data.draw(st.integers(least, min(ticket.max_per_order, least + 3)))

    @rule(target=entries, data=st.data(), occurrence_id=st.sampled_from(IDS), session_id=SESSIONS)
    def join_for_what_is_there(self, data: st.DataObject, occurrence_id: str, session_id: Any) -> Any:
        """Somebody who has read the catalogue comes too late."""
        key, quantity = self._some_tickets(data, occurrence_id)
        return self._join({key: quantity}, {}, occurrence_id, session_id)

    @rule(target=entries, key=st.sampled_from(TICKETS), quantity=st.integers(1, 4), extras=some_extras(),
          occurrence_id=st.sampled_from(IDS), session_id=SESSIONS)  # fmt: skip
    def join(self, key: str, quantity: int, extras: dict[str, int], occurrence_id: str, session_id: Any) -> Any:
        """Somebody comes too late and stands in line."""
        return self._join({key: quantity}, extras, occurrence_id, session_id)

    @rule(target=entries, items=baskets(), occurrence_id=st.sampled_from(IDS), session_id=SESSIONS)
    def join_for_anything(self, items: dict[str, int], occurrence_id: str, session_id: Any) -> Any:
        """Somebody wants what there may not even be."""
        return self._join(items, {}, occurrence_id, session_id)

    def _join(self, items: dict[str, int], extras: dict[str, int], occurrence_id: str, session_id: Any) -> Any:
        wish = self.house.numbered(a_join(items, extras, occurrence_id=occurrence_id, session_id=session_id))
        instead = a_place(items, extras, occurrence_id=occurrence_id, session_id="newcomer")
        could = self.house.what_if(instead).answer
        answer = self.house.send(wish)
        if isinstance(answer, Waiting):
            assert isinstance(could, Refused), "in line for what could be had"
            assert could.reason is Reason.SOLD_OUT
            assert answer.position == len(self.house.line(occurrence_id))
            return answer
        assert isinstance(answer, Refused)
        if answer.reason is Reason.NOT_SOLD_OUT:
            assert isinstance(could, Held)
        elif answer.reason is Reason.ALREADY_WAITING:
            assert session_id is not None
            assert answer.subject in self.house.line(occurrence_id)
        else:
            assert isinstance(could, Refused)
            assert could.reason is answer.reason
        return multiple()

    @rule(entry=entries, by_owner=st.sampled_from([True, True, False]))
    def leave(self, entry: Waiting, by_owner: bool) -> None:
        """Somebody goes, or declines, or comes too late to do so."""
        if by_owner:
            self.house.send(a_leave(entry))
        else:
            self.house.refused(a_leave(entry, session_id="stranger"), Reason.ENTRY_NOT_FOUND)

    @rule(entry=entries, what=st.sampled_from(["release", "extend", "change"]))
    def use_the_offer(self, entry: Waiting, what: str) -> None:
        """An offer is a hold like any other."""
        about = {"occurrence_id": entry.occurrence_id, "session_id": entry.session_id}
        if what == "release":
            self.house.send(a_release(entry.entry_id, **about))
        elif what == "extend":
            self.house.send(an_extend(entry.entry_id, **about))
        else:
            self.house.send(a_change(entry.entry_id, {next(iter(TICKETS)): 1}, **about))

    @rule(occurrence_id=st.sampled_from(IDS), status=st.sampled_from(["closed", "closed", "closed", "cancelled"]))
    def the_end(self, occurrence_id: str, status: str) -> None:
        """The sale ends, perhaps for good: then nobody stands in line any more."""
        if self.house.line(occurrence_id):
            self.house.send(a_close(status, occurrence_id=occurrence_id))
            assert (self.house.line(occurrence_id) == []) == (status == "cancelled")


TestAnyStoryServesTheLineInOrder = LinesMachine.TestCase
TestAnyStoryServesTheLineInOrder.settings = settings(stateful_step_count=50)
