"""What should have been decided: the model beside the change stream, one commit after another."""

from __future__ import annotations

from typing import Any

from tests.checker.asked import Inquiry
from tests.checker.decoding import Change, Stream, Transaction
from tests.checker.jsonl import loads
from tests.checker.judge import Judge
from tests.checker.line_rows import LineRows
from tests.checker.recording import Limits, Recording
from tests.checker.rows_and_model import Written, check_reads, check_rows
from tests.checker.told import events_of
from tests.checker.verdict import Report
from tests.checker.world import HOUSE, World

TABLES = ("journal", "occurrences", "pools", "holds", "settings", "bookings", "waitlist")
LATE_PAYMENT = "conversion.late_payment"
UNTIL = "conversion.until"


class Replay:
    """P5, P18 and P19."""

    def __init__(self, report: Report, recording: Recording, inquiry: Inquiry) -> None:
        self.report, self.recording, self.inquiry = report, recording, inquiry
        settings = recording.run.get("settings", {})
        house = {name: int(value) for name, value in settings.items() if name in HOUSE}
        self.judge = Judge(report, World(house, Limits.of(recording.run).stale))
        self.judge.world.late_payment = settings.get(LATE_PAYMENT, "fulfil_or_park")
        self.judge.world.until = settings.get(UNTIL, "end")
        self.lines = LineRows(report)
        self.written = Written()
        self.decisions = 0
        self.fitting: dict[str, list[int]] = {}
        """Of requests that were sent with several bodies: the numbers of those that were decided."""
        for reads in inquiry.reads.values():
            reads.sort(key=lambda read: -read[0])

    def read(self) -> None:
        """The change stream."""
        if self.recording.stream is None:
            return
        for transaction in Stream(self.recording.stream(), TABLES):
            self._transaction(transaction)
        if not self.judge.suspended:
            for cart_id in self.judge.carts.unsettled:
                self.report.doubt("P18", f"cart {cart_id} was begun, and how it ended is not here")

    def _transaction(self, transaction: Transaction) -> None:
        self.lines.take(transaction)
        self.written.take(transaction)
        for change in transaction.changes:
            if change.table == "journal" and change.operation == "INSERT":
                self._journal(change)
            elif change.table == "settings":
                self._setting(change)
        if not self.judge.suspended:
            check_rows(self.report, self.written, self.judge, transaction.xid)
            self.lines.check(self.judge.world, self.judge.lost, transaction.xid)
        self.judge.world.just_ended.clear()

    def _journal(self, change: Change) -> None:
        row = change.row
        self.decisions += 1
        occurrence_id, reply_text = str(row["occurrence_id"]), str(row["reply"])
        bodies = self.inquiry.of(str(row["request_id"])).bodies
        reply: dict[str, Any] = loads(reply_text)
        events = events_of(row, reply, reply_text)
        if any("entry_id" in event for event in events):
            self.lines.touched.add(occurrence_id)
        fitting = self.judge.decide(row, bodies, reply, events)
        if len(bodies) > 1:
            self.fitting.setdefault(str(row["request_id"]), fitting)
        version = int(row["version"] or 0)
        if version and not self.judge.suspended:
            check_reads(self.report, self.judge, self.inquiry.reads.get(occurrence_id), occurrence_id, version)

    def _setting(self, change: Change) -> None:
        name, value = str(change.row["name"]), change.row.get("value")
        if name == LATE_PAYMENT:
            self.judge.world.late_payment = str(value).strip('"')
        if name == UNTIL:
            self.judge.world.until = str(value).strip('"')
        if name not in HOUSE:
            return
        if self.decisions:
            self.report.doubt(
                "P5", f"setting {name} was changed during the run; when workers notice is not promised"
            )
            self.judge.suspended = True
        self.judge.world.house[name] = HOUSE[name] if value is None else int(value)
