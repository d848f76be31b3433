"""The verdict on an on-sale passes what the gate really did, and finds each way in which it could be wrong. (B39.)

The golden run is made once, by the gate itself; each test gets a copy and tampers with one thing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec
import psycopg
import pytest
from msgspec.structs import replace
from tests.support.drive import Station
from tests.support.postgres import fresh_database, migrated_database
from tests.support.requests import place_of, put_of

from holdgate_schema.codec import encode
from holdgate_schema.commands.holds import ChangeHold, Command, PlaceHold, PutOccurrence, ReleaseHold, SweepHolds
from holdgate_workers.demo.notes import Answered, Failed, Note, Sent
from holdgate_workers.demo.recount.rows import Ledger
from holdgate_workers.demo.recount.verdict import Verdict, judge
from holdgate_workers.ids import new_request_id

pytestmark = pytest.mark.services

OCCURRENCE = "night"
CAPACITY = 10

EXPIRES_IN_CENTURY = (
    'UPDATE journal SET events = replace(events::text, \'"expires_at":"20\', \'"expires_at":"{}\')::json '
    "WHERE request_id = %s"
)


class Night:
    """A small on-sale that went well: sold out, one hold released, one changed, one expired and sold again."""

    def __init__(self, url: str) -> None:
        self.put: PutOccurrence = put_of(OCCURRENCE, CAPACITY, kids=4)
        self.notes: list[Note] = []
        self._station = Station(url)
        self._worker = self._station.worker("gate")
        self._now_ns = 0
        self._station.work(self.put, by=self._worker)
        self._play()
        self._station.close()

    def _play(self) -> None:
        self.kept = self._placed({"adult": 2, "child": 2}, session_id="kept")
        self.freed = self._placed({"adult": 2}, session_id="freed")
        self.moved = self._placed({"adult": 1}, session_id="moved")
        self.short = self._placed({"adult": 3}, session_id="short", ttl_seconds=1)
        self._send(ReleaseHold(**self._of(self.freed)))
        self._send(ChangeHold(**self._of(self.moved), items={"adult": 3}))
        self.denied = self._placed({"adult": 1}, session_id="denied")
        self._send(self.kept)  # the same again
        self._send(replace(self.kept, items={"adult": 9}))  # the same id, another body
        self._expire()
        self.resold = self._placed({"senior": 2}, session_id="resold")

    def _placed(self, items: dict[str, int], **more: Any) -> PlaceHold:
        command = place_of(OCCURRENCE, items, **more)
        self._send(command)
        return command

    def _of(self, place: PlaceHold) -> dict[str, Any]:
        return {
            "request_id": new_request_id(),
            "occurrence_id": OCCURRENCE,
            "session_id": place.session_id,
            "hold_id": place.request_id,
        }

    def _send(self, command: Command) -> None:
        self._now_ns += 1_000_000
        self.notes.append(Sent(command.request_id, encode(command).decode(), self._now_ns))
        (answer,) = self._station.work(command, by=self._worker)
        body = msgspec.json.encode(answer).decode()
        self.notes.append(Answered(command.request_id, body, self._now_ns + 500_000))

    def _expire(self) -> None:
        """Sweep until the short hold is over; nobody notes a sweep."""
        pause = threading.Event()
        for _ in range(100):
            sweep = SweepHolds(request_id=new_request_id(), occurrence_id=OCCURRENCE)
            (answer,) = self._station.work(sweep, by=self._worker)
            if answer["expired"]:
                return
            pause.wait(0.05)
        raise AssertionError("the short hold did not expire")


class Golden:
    """A copy of the night to tamper with."""

    def __init__(self, url: str, night: Night) -> None:
        self.url = url
        self.put = night.put
        self.notes = list(night.notes)
        self.kept, self.freed, self.moved = night.kept, night.freed, night.moved
        self.short, self.denied = night.short, night.denied
        self._ledger = Ledger(url, OCCURRENCE, 0)

    def tamper(self, statement: str, *values: object) -> None:
        """Change rows behind everybody's back; it must hit something."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            assert connection.execute(statement.encode(), values).rowcount > 0

    def verdict(self, put: PutOccurrence | None = None) -> Verdict:
        """What the judge says now."""
        return judge(put or self.put, self._ledger.rows(), self.notes)

    def close(self) -> None:
        self._ledger.close()


@pytest.fixture(scope="module")
def original() -> Iterator[tuple[str, Night]]:
    """The database of the night, and the night."""
    with migrated_database() as url:
        yield urlsplit(url).path.lstrip("/"), Night(url)


@pytest.fixture
def golden(original: tuple[str, Night]) -> Iterator[Golden]:
    name, night = original
    with fresh_database(template=name) as url:
        copy = Golden(url, night)
        yield copy
        copy.close()


def failed(verdict: Verdict, check: str) -> None:
    """The verdict is FAILED, also for this reason."""
    assert not verdict.is_ok
    assert verdict.line().startswith("verdict: FAILED ")
    assert check in {problem.check for problem in verdict.problems}, verdict.problems


def test_a_run_that_went_well_is_ok_and_every_number_is_right(golden: Golden) -> None:
    verdict = golden.verdict()
    assert verdict.problems == []
    assert verdict.line() == ("verdict: ok requests=8 answered=8 held=5 denied=1 duplicates=1 lost=0 oversold=0")
    assert verdict.conflicts == 1
    assert verdict.seats["total"].peak == CAPACITY
    assert verdict.seats["total"].at_end == 9
    assert verdict.seats["concession"].at_end == 4
    assert verdict.seats_granted == 12
    assert verdict.hold_states == {"active": 3, "released": 1, "expired": 1}
    assert verdict.percentile_ms(50) == 0.5


# --- overselling ---


def test_holds_for_more_than_is_on_sale_are_found_in_their_rows(golden: Golden) -> None:
    golden.tamper(
        "UPDATE holds SET basket = jsonb_set(basket, '{draws,total}', '50') WHERE id = %s", golden.kept.request_id
    )
    verdict = golden.verdict()
    failed(verdict, "oversold")
    assert verdict.oversold == 46 + 9 - CAPACITY


def test_a_moment_of_overselling_is_found_though_it_is_over(golden: Golden) -> None:
    """Nine seats are taken at the end, ten were for a while: too many if there were only nine."""
    verdict = golden.verdict(replace(golden.put, capacity=CAPACITY - 1))
    failed(verdict, "oversold")
    assert verdict.oversold == 1


def test_a_shared_cap_counts_like_the_total(golden: Golden) -> None:
    pools = [replace(pool, capacity=3) for pool in golden.put.pools]
    failed(golden.verdict(replace(golden.put, pools=pools)), "oversold")


def test_a_counter_that_does_not_agree_with_the_holds_is_found(golden: Golden) -> None:
    golden.tamper("UPDATE pools SET held = held - 1 WHERE key = 'total'")
    failed(golden.verdict(), "counters")


def test_a_session_count_that_does_not_agree_is_found(golden: Golden) -> None:
    golden.tamper("UPDATE shared_limits SET used = 0 WHERE key = 'kept'")
    failed(golden.verdict(), "counters")


# --- answers ---


def test_a_request_that_was_never_answered_is_lost(golden: Golden) -> None:
    golden.notes = [
        note
        for note in golden.notes
        if not (isinstance(note, Answered) and note.request_id == golden.denied.request_id)
    ]
    golden.notes.append(Failed(golden.denied.request_id, "TimedOut: no answer", 1))
    verdict = golden.verdict()
    failed(verdict, "lost")
    assert (verdict.lost, verdict.answered) == (1, 7)


def test_a_repeat_that_was_never_answered_is_found(golden: Golden) -> None:
    golden.notes.append(Sent(golden.denied.request_id, encode(golden.denied).decode(), 1))
    failed(golden.verdict(), "answers")


def test_an_answer_without_a_row_is_lost(golden: Golden) -> None:
    """It was said and not kept."""
    golden.tamper("DELETE FROM journal WHERE request_id = %s", golden.denied.request_id)
    verdict = golden.verdict()
    failed(verdict, "lost")
    failed(verdict, "history")
    assert verdict.lost == 1


def test_a_reply_that_was_changed_afterwards_is_found(golden: Golden) -> None:
    other = "UPDATE journal SET reply = replace(reply::text, '\"adult\":2', '\"adult\":1')::json "
    golden.tamper(other + "WHERE request_id = %s", golden.kept.request_id)
    failed(golden.verdict(), "answers")


def test_two_different_answers_to_one_request_are_found(golden: Golden) -> None:
    first = next(note for note in golden.notes if isinstance(note, Answered))
    other = first.body.replace('"child":2', '"child":1')
    assert other != first.body
    golden.notes.append(Answered(first.request_id, other, 1))
    failed(golden.verdict(), "answers")


def test_an_answer_to_what_nobody_sent_is_found(golden: Golden) -> None:
    first = next(note for note in golden.notes if isinstance(note, Answered))
    golden.notes.append(Answered(new_request_id(), first.body, 1))
    failed(golden.verdict(), "answers")


def test_a_decision_that_nobody_asked_for_is_found(golden: Golden) -> None:
    golden.notes = [note for note in golden.notes if note.request_id != golden.denied.request_id]
    failed(golden.verdict(), "journal")


def test_a_request_in_the_dead_letters_is_found_though_a_repeat_was_answered(golden: Golden) -> None:
    refusal = msgspec.json.decode(next(n.body for n in golden.notes if isinstance(n, Answered)))
    unavailable = {
        **{key: refusal[key] for key in ("request_id", "occurrence_id", "decided_at")},
        "outcome": "refused", "version": 0, "reason": "unavailable", "retryable": True, "message": "",
    }  # fmt: skip
    golden.notes.append(Answered(golden.kept.request_id, msgspec.json.encode(unavailable).decode(), 1))
    failed(golden.verdict(), "answers")


# --- the life of holds ---


def test_a_hold_that_ended_twice_is_found(golden: Golden) -> None:
    """Released, and then expired as well."""
    golden.tamper(
        "UPDATE journal j SET events = replace(j.events::text, 'hold.changed.v1', 'hold.expired.v1')::json "
        "WHERE kind = 'hold.change.v1'"
    )
    golden.tamper(
        "UPDATE journal SET events = replace(events::text, %s, %s)::json WHERE kind = 'hold.change.v1'",
        golden.moved.request_id,
        golden.freed.request_id,
    )
    failed(golden.verdict(), "holds")


def test_a_hold_that_was_reopened_is_found(golden: Golden) -> None:
    golden.tamper("UPDATE holds SET state = 'active', ended_at = NULL WHERE id = %s", golden.freed.request_id)
    failed(golden.verdict(), "holds")


def test_a_hold_that_vanished_is_found(golden: Golden) -> None:
    golden.tamper("DELETE FROM holds WHERE id = %s", golden.kept.request_id)
    failed(golden.verdict(), "holds")


def test_a_hold_that_expired_early_is_found(golden: Golden) -> None:
    golden.tamper(EXPIRES_IN_CENTURY.format(29), golden.short.request_id)
    failed(golden.verdict(), "expiry")


def test_a_hold_that_outlives_its_time_is_found(golden: Golden) -> None:
    past = "UPDATE holds SET expires_at = clock_timestamp() - interval '1 minute' WHERE id = %s"
    golden.tamper(past, golden.kept.request_id)
    failed(golden.verdict(), "expiry")


# --- liveness ---


def test_a_refusal_though_there_was_room_is_found(golden: Golden) -> None:
    """Ten seats were taken; had there been twelve, nobody should have been turned away."""
    failed(golden.verdict(replace(golden.put, capacity=CAPACITY + 2)), "liveness")


def test_a_refusal_because_of_a_dead_hold_is_found(golden: Golden) -> None:
    """The hold that stood in the way was past its time; nobody had noticed."""
    golden.tamper(EXPIRES_IN_CENTURY.format(19), golden.short.request_id)
    failed(golden.verdict(), "liveness")


def test_the_rows_are_removed_without_a_trace_of_them(golden: Golden) -> None:
    ledger = Ledger(golden.url, OCCURRENCE, 0)
    ledger.remove()
    ledger.close()
    with psycopg.connect(golden.url) as connection:
        for table in ("occurrences", "pools", "holds", "journal", "shared_limits"):
            assert connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (0,), table
