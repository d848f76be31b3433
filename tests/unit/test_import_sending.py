"""A plan on its way: what waits for what, and what is left when something in the middle fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from tests.support.domain import a_put

from holdgate_producer.client.client import BookingClient
from holdgate_producer.core.errors import TimedOut
from holdgate_schema.answers.holds import Answer, OccurrenceStored, Reason, Refused
from holdgate_schema.commands.holds import Command, PutOccurrence
from holdgate_schema.errors import FieldError
from holdgate_workers.cli.importing.sending import Sent, send
from holdgate_workers.domain.occurrences.catalogue import defined
from holdgate_workers.domain.schedule.dates import Plan, StoredDate, WantedDate
from holdgate_workers.domain.schedule.judging import plan

NOW = datetime(2030, 1, 1, tzinfo=UTC)
FIRST = datetime(2030, 5, 1, 8, tzinfo=UTC)
Fate = Callable[[Command], Answer | Exception | None]


def put(key: str, hour: int) -> PutOccurrence:
    return a_put(key, product_id="tour", starts_at=FIRST + timedelta(hours=hour))


def planned(before: dict[str, int], after: dict[str, int]) -> Plan:
    """From these hours to those."""
    stored = {}
    for key, hour in before.items():
        definition, pools = defined(put(key, hour), None)
        stored[key] = StoredDate(occurrence_id=key, definition=definition, pools=pools)
    wanted = [
        WantedDate(line=line, occurrence_id=key, product_id="tour", put=put(key, hour))
        for line, (key, hour) in enumerate(after.items(), 2)
    ]
    return plan(wanted, stored, NOW)


class Gate:
    """Answers what a test wants it to, in the order of the requests; None: it is stored."""

    def __init__(self, fate: Fate = lambda _: None) -> None:
        self.fate = fate
        self.got: list[PutOccurrence] = []

    def send_many(self, commands: Sequence[Command], *, timeout_seconds: float) -> list[Future[Answer]]:
        return [self._answered(command) for command in commands]

    def _answered(self, command: Command) -> Future[Answer]:
        assert isinstance(command, PutOccurrence)
        self.got.append(command)
        future: Future[Answer] = Future()
        fate = self.fate(command)
        if isinstance(fate, Exception):
            future.set_exception(fate)
        else:
            future.set_result(fate or stored_as(command))
        return future


def stored_as(command: Command) -> OccurrenceStored:
    return OccurrenceStored(
        request_id=command.request_id,
        occurrence_id=command.occurrence_id,
        version=1,
        decided_at=NOW,
        created=False,
        status="active",
        sellable={},
    )


def refused(command: Command) -> Refused:
    return Refused(
        request_id=command.request_id,
        occurrence_id=command.occurrence_id,
        version=1,
        decided_at=NOW,
        reason=Reason.INVALID,
        message="no",
        retryable=False,
        errors=[FieldError("starts_at", "is taken")],
    )


def of(key: str, answer: Callable[[Command], Any]) -> Fate:
    """This date's request is answered so."""
    return lambda command: answer(command) if command.occurrence_id == key else None


def sent_to(gate: Gate, found: Plan) -> Sent:
    return send(cast(BookingClient, gate), found, 1.0)


def test_every_request_has_an_id_of_its_own() -> None:
    gate = Gate()
    sent = sent_to(gate, planned({"a": 0, "b": 1}, {"a": 1, "b": 0}))
    assert (sent.is_whole, sent.total, set(sent.done)) == (True, 2, {"a", "b"})
    assert len({command.request_id for command in gate.got}) == 3


def test_what_waits_for_a_date_that_was_refused_is_not_sent() -> None:
    gate = Gate(of("c", refused))
    sent = sent_to(gate, planned({"a": 0, "b": 1, "c": 2}, {"a": 1, "b": 2, "c": 3}))
    assert [command.occurrence_id for command in gate.got] == ["c"]
    assert sent.failed == {
        "c": ("refused", "starts_at is taken"),
        "b": ("not_sent", "'c' still has the start"),
        "a": ("not_sent", "'b' still has the start"),
    }
    assert not sent.is_whole


@pytest.mark.parametrize("answer", [refused, lambda command: TimedOut("late", request_id=command.request_id)])
def test_what_has_yielded_and_cannot_be_moved_has_its_start_again(answer: Callable[[Command], Any]) -> None:
    gate = Gate(of("b", answer))
    sent = sent_to(gate, planned({"a": 0, "b": 1}, {"a": 1, "b": 0}))
    assert set(sent.failed) == {"a", "b"}
    seen = [(command.occurrence_id, command.starts_at, command.yields_start) for command in gate.got]
    assert seen == [("a", FIRST, True), ("b", FIRST, False), ("a", FIRST, False)]


def test_ctrl_c_keeps_what_is_known_so_far() -> None:
    def stop(command: Command) -> None:
        raise KeyboardInterrupt

    sent = sent_to(Gate(of("b", stop)), planned({"a": 0, "b": 1, "c": 2}, {"a": 1, "b": 2, "c": 3}))
    assert (sent.is_stopped, list(sent.done), sent.failed) == (True, ["c"], {})
