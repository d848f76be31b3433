"""One pass over the change stream, with everything else beside it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.checker.asked import Inquiry
from tests.checker.bodies import OWN
from tests.checker.bookings import Bookings
from tests.checker.books import Books
from tests.checker.decoding import Change, Row, Stream, Transaction
from tests.checker.faults import read_faults
from tests.checker.instants import micros
from tests.checker.jsonl import loads
from tests.checker.judge import Judge
from tests.checker.order import check_channels, check_real_time
from tests.checker.recording import Limits, Recording
from tests.checker.rows_and_model import check_reads, check_rows
from tests.checker.second import SecondAnswers
from tests.checker.settled import Settled
from tests.checker.told import Told, events_of
from tests.checker.verdict import Report
from tests.checker.world import HOUSE, World

LATE_PAYMENT = "conversion.late_payment"
CLOCK_AHEAD = 250_000
"""So far a worker's idea of the database's time may run ahead; what depends on it, P8 judges by the commit."""


def check(recording: Recording) -> Report:
    """Judge a recording."""
    with _no_collecting():
        return _Check(recording).run()


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Millions of objects and no cycles: looking for those again and again would take half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Check:
    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.report = report = Report()
        self.limits = limits = Limits.of(recording.run)
        self.faults = read_faults(recording, report)
        self.inquiry = Inquiry(report)
        self.inquiry.read_clients(recording)
        self.inquiry.read_tap(recording)
        self.told = Told(report, recording)
        self.books = Books(report, limits, self.faults)
        house = {name: int(value) for name, value in recording.run.get("settings", {}).items() if name in HOUSE}
        self.judge = Judge(report, World(house, limits.stale))
        self.judge.world.late_payment = recording.run.get("settings", {}).get(LATE_PAYMENT, "fulfil_or_park")
        self.bookings = Bookings(report, self.books)
        self.second = SecondAnswers(report, recording, self.inquiry, limits)
        self.settled = Settled(report, recording, self.inquiry, self.faults, limits)
        self.decisions = 0
        self._versions: dict[str, int] = {}
        for reads in self.inquiry.reads.values():
            reads.sort(key=lambda read: -read[0])

    def run(self) -> Report:
        if self.recording.stream is None:
            self.report.doubt("P1", "the database's change stream was not recorded")
        else:
            self._read(Stream(self.recording.stream()))
        ended_at = self.recording.run.get("ended_at")
        self.books.close(None if ended_at is None else micros(ended_at))
        self.told.close()
        self.settled.close()
        self.second.close()
        if not self.judge.suspended:
            for cart_id in self.judge.carts.unsettled:
                self.report.doubt("P18", f"cart {cart_id} was begun, and how it ended is not here")
        check_channels(self.report, self.inquiry, self.faults)
        check_real_time(self.report, self.inquiry)
        requests = sum(1 for asked in self.inquiry.asked.values() if asked.sends or asked.decided)
        self.report.figures = {"requests": requests, "commits": self.books.commits}
        if not self.decisions:
            self.report.doubt("P2", "nothing was decided")
        return self.report

    def _read(self, stream: Stream) -> None:
        for transaction in stream:
            self._transaction(transaction)
        if stream.problem is not None:
            self.report.doubt("P1", stream.problem)
        if not stream.ended:
            self.report.doubt("P1", "the change stream is cut off")

    def _transaction(self, transaction: Transaction) -> None:
        books = self.books
        books.take(transaction)
        self.bookings.take(transaction)
        rows: list[Row] = []
        told: set[str] = set()
        perhaps: set[str] = set()
        for change in transaction.changes:
            if change.table == "journal":
                self._journal(change, transaction, rows, told, perhaps)
            elif change.table == "settings":
                self._setting(change)
        books.check(transaction.xid)
        self.second.take(transaction.changes)
        books.explained(transaction.xid, rows, told, perhaps)
        for occurrence_id in {str(row["occurrence_id"]) for row in rows if int(row["version"] or 0)}:
            if occurrence_id not in books.touched_occurrences:
                why = f"{occurrence_id} has decisions in transaction {transaction.xid}, but its version is not written"
                self.report.flag("P11", why)
        for occurrence_id, row in books.touched_occurrences.items():
            reached = self._versions.get(occurrence_id, 0)
            if int(row["version"] or 0) != reached:
                what = f"is at version {row['version']}, its decisions at {reached}"
                self.report.flag("P11", f"{occurrence_id} {what}, after transaction {transaction.xid}")
        if not self.judge.suspended:
            check_rows(self.report, books, self.judge, transaction.xid)
            for problem in self.bookings.unlike(self.judge.world.deals, self.judge.lost):
                self.report.flag("P5", f"after transaction {transaction.xid}: {problem}")
        self.judge.world.just_ended.clear()

    def _journal(
        self, change: Change, transaction: Transaction, rows: list[Row], told: set[str], perhaps: set[str]
    ) -> None:
        row = change.row
        if change.operation != "INSERT":
            if not self.recording.run.get("erasure"):
                self.report.flag(
                    "P9", f"a recorded decision was changed: {change.operation} {row.get('request_id')}"
                )
            return
        rows.append(row)
        self.decisions += 1
        if int(row["xid"] or 0) % (1 << 32) != transaction.xid:
            self.report.flag(
                "P11", f"request {row['request_id']} names transaction {row['xid']}, not {transaction.xid}"
            )
        occurrence_id, version = str(row["occurrence_id"]), int(row["version"] or 0)
        known = self._versions.get(occurrence_id, 0)
        if version or known:
            unread = version == 0 and row["reason"] in ("invalid", "forbidden", "unknown_occurrence")
            if not unread:
                self._versions[occurrence_id] = self.books.versioned(
                    occurrence_id, version, known, transaction.xid
                )
        early = micros(str(row["decided_at"])) - transaction.committed_at
        if early > self.limits.skew + CLOCK_AHEAD:
            self.report.flag("P4", f"request {row['request_id']} was decided {early / 1e6:.3f} s after its commit")
        asked = self.inquiry.of(str(row["request_id"]))
        asked.own = row["kind"] in OWN
        reply_text = str(row["reply"])
        reply: dict[str, Any] = loads(reply_text)
        events = events_of(row, reply, reply_text)
        for event in events:
            if "hold" in event:
                told.add(event["hold"]["hold_id"])
            elif "booking" in event:
                perhaps.add(event["booking"]["hold_id"])
        bodies = self.judge.decide(row, asked.bodies, reply, events)
        if version and not self.judge.suspended:
            check_reads(self.report, self.judge, self.inquiry.reads.get(occurrence_id), occurrence_id, version)
        self.told.committed(row, events)
        self.second.decided(row, reply_text, asked.bodies, transaction.committed_at)
        self.settled.decided(asked, reply_text, bodies, version, occurrence_id, transaction.committed_at)

    def _setting(self, change: Change) -> None:
        name, value = str(change.row["name"]), change.row.get("value")
        if name == LATE_PAYMENT:
            self.judge.world.late_payment = str(value).strip('"')
        if name not in HOUSE:
            return
        if self.decisions:
            self.report.doubt(
                "P5", f"setting {name} was changed during the run; when workers notice is not promised"
            )
            self.judge.suspended = True
        self.judge.world.house[name] = HOUSE[name] if value is None else int(value)
