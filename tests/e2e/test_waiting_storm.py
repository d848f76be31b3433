"""Fifty parties stand in line while thirty client processes place and give back, and one of two gates is killed."""

from __future__ import annotations

import itertools
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support import clients, recount
from tests.support.clients import NotedClient, Spec
from tests.support.events import EventTap
from tests.support.line_books import LineBooks
from tests.support.rabbit import eventually
from tests.support.requests import place_of, put
from tests.support.site import TestSite

from holdgate_schema.answers.holds import Held, Reason, Refused, Released
from holdgate_schema.answers.selling import LeftWaitlist, Waiting
from holdgate_schema.commands.holds import ReleaseHold
from holdgate_schema.commands.selling import JoinWaitlist, LeaveWaitlist
from holdgate_workers.ids import new_request_id

pytestmark = [pytest.mark.services, pytest.mark.slow]

OCCURRENCES = ("opening-night", "matinée", "last-night")
PROCESSES = {"rabbit": 30, "embedded": 6}
"""In the embedded mode each client has connections to the database, of which the tests' server has a hundred."""
REQUESTS, PARTIES = 1800, 50
BLOCKS, BLOCK_SEATS = 16, 8
"""Everything is held in so many blocks of so many seats to begin with, which come back one by one."""


class Storm:
    """One client of the test's own, who holds what is given back, and the parties."""

    def __init__(self, site: TestSite) -> None:
        self.site = site
        self.boss = NotedClient(site, "boss")
        self.tap = EventTap(site)
        self.parties: dict[str, Waiting] = {}
        self.answered: set[str] = set()
        self._random = random.Random(11)
        self._where = itertools.cycle(OCCURRENCES)
        self.blocks: list[Held] = []

    def sell_out(self) -> None:
        for occurrence_id in OCCURRENCES:
            put(self.boss.client, occurrence_id, BLOCKS * BLOCK_SEATS, kids=40)
        for occurrence_id in OCCURRENCES * BLOCKS:
            held = self.boss.client.call(
                place_of(occurrence_id, {"adult": BLOCK_SEATS}, session_id=f"block-{len(self.blocks)}")
            )
            assert isinstance(held, Held)
            self.blocks.append(held)

    def join(self) -> None:
        """One more party, of one to six, now and then with a child or two. Where there is room that is taken first."""
        seats = self._random.randrange(1, 7)
        children = self._random.choice((0, 0, 1, 2)) if seats > 2 else 0
        items = {"adult": seats - children} | ({"child": children} if children else {})
        occurrence_id = next(self._where)
        for _ in range(BLOCKS * BLOCK_SEATS):
            wish = JoinWaitlist(request_id=new_request_id(), occurrence_id=occurrence_id, items=items)
            answer = self.boss.client.call(wish)
            if isinstance(answer, Waiting):
                self.parties[answer.entry_id] = answer
                return
            assert isinstance(answer, Refused)
            assert answer.reason is Reason.NOT_SOLD_OUT
            self.boss.client.call(place_of(occurrence_id, items, session_id=f"luck-{wish.request_id}"))
        raise AssertionError(f"{occurrence_id} never sells out")

    def give_back(self) -> None:
        """One block."""
        held = self.blocks.pop(0)
        assert isinstance(
            self.boss.client.call(_release(held.occurrence_id, held.hold.session_id, held.hold.hold_id)), Released
        )

    def answer_offers(self) -> None:
        """Every third party keeps what it is offered, the others decline in one way or the other."""
        for event in self.tap.heard():
            if event["type"] != "waitlist.offered.v1" or event["entry_id"] in self.answered:
                continue
            self.answered.add(event["entry_id"])
            party = self.parties[event["entry_id"]]
            if len(self.answered) % 3 == 1:
                leave = LeaveWaitlist(
                    request_id=new_request_id(),
                    occurrence_id=party.occurrence_id,
                    session_id=party.session_id,
                    entry_id=party.entry_id,
                )
                assert isinstance(self.boss.client.call(leave), LeftWaitlist)
            elif len(self.answered) % 3 == 2:
                release = _release(party.occurrence_id, party.session_id, party.entry_id)
                assert isinstance(self.boss.client.call(release), Released)

    def clear_the_house(self) -> None:
        """Everybody but the parties gives back what they have, until nobody is in line."""
        rows = self.site.rows(
            "SELECT h.occurrence_id, h.session_id, h.id::text FROM holds h LEFT JOIN waitlist w ON w.id = h.id "
            "WHERE h.state = 'active' AND w.id IS NULL"
        )
        for row in rows:
            self.boss.client.call(_release(*row))

    def decided(self) -> int:
        count: int = self.site.value("SELECT count(*) FROM journal WHERE kind <> 'hold.sweep.v1'")
        return count

    def in_line(self) -> int:
        count: int = self.site.value("SELECT count(*) FROM waitlist WHERE state = 'waiting'")
        return count


def test_every_party_is_served_in_order_in_the_middle_of_a_storm(site: TestSite) -> None:
    gates = [site.start("gate", ready=False) for _ in range(2)]
    site.start("expiry", "relay", HOLDGATE_SWEEP_INTERVAL_SECONDS="0.2")
    site.wait_lines(*gates)
    storm = Storm(site)
    storm.sell_out()
    for _ in range(PARTIES // 2):
        storm.join()
    assert len(storm.parties) == PARTIES // 2, "sold out, and whoever comes stands in line"
    with crowd(site) as specs:
        first = storm.decided()
        steps = BLOCKS * len(OCCURRENCES)
        for step in range(steps):
            wanted = first + step * REQUESTS // (steps + 2)
            eventually(lambda wanted=wanted: storm.decided() >= wanted, "the storm goes on", 90)
            if step == steps // 2:
                gates[0].kill()
            storm.give_back()
            if len(storm.parties) < PARTIES:
                storm.join()
            storm.answer_offers()
    for _ in range(PARTIES - len(storm.parties)):
        storm.join()
    eventually(lambda: _served(storm), "everybody is served once the others have gone home", 60)
    prove(site, storm, specs)


def _served(storm: Storm) -> bool:
    storm.clear_the_house()
    storm.answer_offers()
    return not storm.in_line()


def prove(site: TestSite, storm: Storm, specs: list[Spec]) -> None:
    """By the rows, the journal and the notes of everybody."""
    lines = LineBooks(site.database_url)
    assert lines.problems() == []
    assert lines.books.problems() == []
    notes = {**clients.notes_of(specs), storm.boss.name: storm.boss.notes}
    assert recount.against_notes(lines.books, notes) == []
    assert site.dead_letters() == []
    ours = [row for row in lines.entries.values() if row[1] in OCCURRENCES]
    assert {row[0] for row in ours} == storm.parties.keys()
    assert [row[2] for row in ours] == ["offered"] * len(ours)
    told = [event["entry_id"] for event in storm.tap.heard() if event["type"] == "waitlist.offered.v1"]
    assert set(told) == storm.parties.keys()
    kept = sum(row[3] == "active" for row in lines.books.holds if row[0] in storm.parties)
    walk_ins = sum(row[3] == "hold.place.v1" and row[4] == "held" for row in lines.books.journal)
    assert walk_ins > BLOCKS * len(OCCURRENCES) + PARTIES // 2, "there was no storm"
    print({"parties": len(ours), "kept": kept, "walk-ins held": walk_ins, "decided": storm.decided()})


def _release(occurrence_id: str, session_id: str, hold_id: str) -> Any:
    return ReleaseHold(
        request_id=new_request_id(), occurrence_id=occurrence_id, session_id=session_id, hold_id=hold_id
    )


@contextmanager
def crowd(site: TestSite) -> Iterator[list[Spec]]:
    """The client processes at work; at the end of the block they have ended well."""
    specs = list(clients.crowd(site, *OCCURRENCES, processes=PROCESSES[site.kind], requests=REQUESTS))
    started: list[subprocess.Popen[bytes]] = [clients.start(spec) for spec in specs]
    try:
        yield specs
        for spec, process in zip(specs, started, strict=True):
            code = process.wait(clients.PATIENCE_SECONDS + 60)
            assert code == 0, Path(f"{spec.notes}.log").read_text(encoding="utf-8")[-4000:]
    finally:
        for process in started:
            process.kill()
            process.wait()
