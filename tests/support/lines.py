"""Waiting lists for tests of the domain: builders, and a house that keeps its own account of every line.

After every command the house knows from the answers and events alone who stands where, and proves that the line was
served as docs/waiting-lists.md says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from tests.support.domain import ANY_ID, OCCURRENCE, Account, House, got, taken_by

from holdgate_schema.answers.holds import Answer, Held, Reason, Refused
from holdgate_schema.answers.selling import Waiting
from holdgate_schema.commands.holds import ChangeHold, Command, PlaceHold
from holdgate_schema.commands.selling import JoinWaitlist, LeaveWaitlist
from holdgate_schema.events.holds import HoldCreated
from holdgate_schema.events.selling import WaitlistJoined, WaitlistLeft, WaitlistOffered
from holdgate_workers.domain.decision import Decision, LimitKey
from holdgate_workers.domain.holds.placing import not_on_sale
from holdgate_workers.domain.occurrences.occurrence import Occurrence

Counts = dict[str, int]


def a_join(
    items: Counts | int = 1,
    extras: Counts | None = None,
    *,
    occurrence_id: str = OCCURRENCE,
    session_id: str | None = None,
    **fields: Any,
) -> JoinWaitlist:
    """A wish for a basket; a bare number means so many adults."""
    return JoinWaitlist(
        occurrence_id=occurrence_id,
        session_id=session_id,
        items={"adult": items} if isinstance(items, int) else dict(items),
        extras=dict(extras or {}),
        **({"request_id": ANY_ID} | fields),
    )


def a_leave(waiting: Waiting, **fields: Any) -> LeaveWaitlist:
    """A place in line given up, or an offer declined, by its owner unless said otherwise."""
    about = {
        "request_id": ANY_ID,
        "occurrence_id": waiting.occurrence_id,
        "session_id": waiting.session_id,
        "entry_id": waiting.entry_id,
    }
    return LeaveWaitlist(**(about | fields))


@dataclass
class Party:
    """Somebody in line, as the test has it."""

    entry_id: str
    session_id: str
    items: Counts
    extras: Counts


@dataclass
class LineHouse(House):
    """A house that keeps account of its lines."""

    lines: dict[str, list[Party]] = field(default_factory=dict)
    offers: list[str] = field(default_factory=list)
    """Every entry that was ever offered something, in order."""

    # --- doing ---

    def joined(self, command: JoinWaitlist) -> Waiting:
        """Send a join that must be granted."""
        return got(Waiting, self.send(command))

    def send(self, command: Command) -> Answer:
        """Decide and apply, and check the line."""
        command = self.numbered(command)
        before = len(self.events)
        line_before = list(self.lines.get(command.occurrence_id, []))
        answer = super().send(command)
        events = self.events[before:]
        offered = [event for event in events if isinstance(event, WaitlistOffered)]
        self._account_for_line(command, answer)
        for event in events:
            self._move(command, event)
        occurrence = self.occurrences.get(command.occurrence_id)
        if occurrence is not None:
            self._check_line(occurrence)
            self._check_service(occurrence, command, answer, line_before, [event.entry_id for event in offered])
        return answer

    def offers_of(self, answer: Answer) -> list[str]:
        """The entries that a decision made offers to."""
        return [
            event.entry_id
            for event in self.events
            if isinstance(event, WaitlistOffered) and event.event_id.startswith(answer.request_id)
        ]

    def line(self, occurrence_id: str = OCCURRENCE) -> list[str]:
        """The entries in line."""
        return [party.entry_id for party in self.lines.get(occurrence_id, [])]

    # --- its own account ---

    def _account_for_line(self, command: Command, answer: Answer) -> None:
        if isinstance(command, JoinWaitlist) and isinstance(answer, Waiting):
            line = self.lines.setdefault(command.occurrence_id, [])
            line.append(Party(answer.entry_id, answer.session_id, command.items, command.extras))

    def _move(self, command: Command, event: object) -> None:
        line = self.lines.get(command.occurrence_id, [])
        if isinstance(event, WaitlistOffered):
            party = next(party for party in line if party.entry_id == event.entry_id)
            assert event.hold.hold_id == event.entry_id not in self.offers, "one offer each"
            assert (event.hold.items, event.hold.extras) == (party.items, party.extras)
            assert event.hold.session_id == party.session_id
            created = [e for e in self.events if isinstance(e, HoldCreated) and e.hold.hold_id == event.entry_id]
            assert [e.hold for e in created] == [event.hold], "an offer is one hold"
            self.offers.append(event.entry_id)
            line.remove(party)
        elif isinstance(event, WaitlistLeft):
            line.remove(next(party for party in line if party.entry_id == event.entry_id))
        elif isinstance(event, WaitlistJoined):
            assert line[-1].entry_id == event.entry_id

    def _check_line(self, occurrence: Occurrence) -> None:
        assert list(occurrence.waiting) == self.line(occurrence.id), "the line is not the line"
        places = [entry.place for entry in occurrence.waiting.values()]
        assert places == sorted(set(places)), "the order of joining would not survive"
        assert all(entry.state == "waiting" for entry in occurrence.waiting.values())

    def _check_service(
        self,
        occurrence: Occurrence,
        command: Command,
        answer: Answer,
        line_before: list[Party],
        offered: list[str],
    ) -> None:
        on_sale = not_on_sale(occurrence.definition, self.now) is None
        assert on_sale or not offered, "an offer was made though the occurrence is not on sale"
        order = [party.entry_id for party in line_before]
        if not isinstance(command, ChangeHold):  # it serves the line twice, before it takes and after it gives
            assert offered == [entry_id for entry_id in order if entry_id in offered], "out of order"
        if answer.version != occurrence.version or not on_sale:
            return
        waiting = self.lines.get(occurrence.id, [])
        for party in waiting:
            assert not self._fits(occurrence, party, {}, {}), "somebody in line was passed over who fits"
        if isinstance(command, PlaceHold) and isinstance(answer, Held):
            account = self.accounts[answer.hold.hold_id]
            for party in waiting:
                fits = self._fits(occurrence, party, account.draws, account.stock, answer.hold.session_id)
                assert not fits, "a walk-in took what somebody in line could have had"
        self._check_no_overtaking(occurrence, line_before, offered)

    def _check_no_overtaking(self, occurrence: Occurrence, line_before: list[Party], offered: list[str]) -> None:
        waiting = {party.entry_id for party in self.lines.get(occurrence.id, [])}
        for place, party in enumerate(line_before):
            if party.entry_id not in waiting or not self._may_have(occurrence, party):
                continue
            draws, stock = self._wants(occurrence, party)
            for later in line_before[place:]:
                if later.entry_id in offered:
                    account: Account = self.accounts[later.entry_id]
                    less = all(account.draws.get(pool, 0) >= n for pool, n in draws.items())
                    less = less and all(account.stock.get(key, 0) >= n for key, n in stock.items())
                    assert not less, "somebody was overtaken by one who wants as much or more"

    def _fits(
        self, occurrence: Occurrence, party: Party, more: Counts, more_stock: Counts, but: str | None = None
    ) -> bool:
        """Whether the party could have its basket, if so much more were free (and `but` had one hold less)."""
        if not self._may_have(occurrence, party, but):
            return False
        draws, stock = self._wants(occurrence, party)
        for pool, wanted in draws.items():
            available = occurrence.pools[pool].available()
            if available is not None and wanted > available + more.get(pool, 0):
                return False
        return all(
            self.limits.numbers.get(LimitKey("stock", key), 0) - more_stock.get(key, 0) + wanted
            <= occurrence.stock_cap(key)
            for key, wanted in stock.items()
        )

    def _may_have(self, occurrence: Occurrence, party: Party, but: str | None = None) -> bool:
        """Whether the catalogue and the session's limit allow the party its basket now."""
        definition = occurrence.definition
        rules = self.settings.for_occurrence(definition.hold)
        known = (
            party.items.keys() <= definition.ticket_types.keys()
            and party.extras.keys() <= definition.extras.keys()
        )
        if not known or sum(party.items.values()) > min(rules.max_seats_per_hold, rules.max_seats_per_request):
            return False
        for key, quantity in party.items.items():
            ticket = definition.ticket_types[key]
            if not ticket.min_per_order <= quantity <= ticket.max_per_order:
                return False
        if any(n > definition.extras[key].max_per_order for key, n in party.extras.items()):
            return False
        used = self.limits.numbers.get(LimitKey("session", party.session_id), 0) - (but == party.session_id)
        return used < self.settings.max_per_session

    def _wants(self, occurrence: Occurrence, party: Party) -> tuple[Counts, Counts]:
        basket = msgspec.structs.replace(
            PlaceHold(request_id=ANY_ID, occurrence_id=occurrence.id, items=party.items), extras=party.extras
        )
        return taken_by(occurrence.definition, basket)  # type: ignore[arg-type]

    def _snapshot(self, occurrence: Occurrence | None) -> bytes:
        line = [] if occurrence is None else list(occurrence.waiting.values())
        return super()._snapshot(occurrence) + msgspec.msgpack.encode(line)


def refused_as(house: House, command: Command, reason: Reason) -> Refused:
    """What a command would be refused with."""
    answer = got(Refused, house.what_if(house.numbered(command)).answer)
    assert answer.reason is reason, answer.message
    return answer


def decision_of(house: House, command: Command) -> Decision:
    """What a command would come to."""
    return house.what_if(house.numbered(command))
