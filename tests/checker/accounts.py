"""What the records say of one another: clients, broker and database, in one pass over the change stream. No model."""

from __future__ import annotations

from typing import Any

from tests.checker.asked import Inquiry
from tests.checker.bodies import OWN
from tests.checker.bookings import Bookings
from tests.checker.books import Books
from tests.checker.decoding import Change, Row, Stream, Transaction
from tests.checker.faults import read_faults
from tests.checker.instants import micros
from tests.checker.jsonl import loads
from tests.checker.order import check_channels, check_real_time
from tests.checker.recording import Limits, Recording
from tests.checker.repeated import unlike_its_row
from tests.checker.second import SecondAnswers
from tests.checker.settled import Settled
from tests.checker.told import Told, events_of
from tests.checker.verdict import Report

TABLES = ("journal", "occurrences", "pools", "holds", "shared_limits", "bookings", "follow_ups")
CLOCK_AHEAD = 250_000
"""So far a worker's idea of the database's time may run ahead; what depends on it, P8 judges by the commit."""


class Accounts:
    """All properties but those that need to know what should have been decided."""

    def __init__(self, report: Report, recording: Recording, inquiry: Inquiry) -> None:
        self.report, self.recording, self.inquiry = report, recording, inquiry
        self.limits = limits = Limits.of(recording.run)
        self.faults = read_faults(recording, report)
        self.told = Told(report, recording)
        self.books = Books(report, limits, self.faults)
        self.bookings = Bookings(report, self.books)
        self.second = SecondAnswers(report, recording, inquiry, limits)
        self.settled = Settled(report, recording, inquiry, self.faults, limits)
        self.decisions = 0
        self._versions: dict[str, int] = {}

    def read(self) -> None:
        """The change stream."""
        if self.recording.stream is None:
            self.report.doubt("P1", "the database's change stream was not recorded")
            return
        stream = Stream(self.recording.stream(), TABLES)
        for transaction in stream:
            self._transaction(transaction)
        if stream.problem is not None:
            self.report.doubt("P1", stream.problem)
        if not stream.ended:
            self.report.doubt("P1", "the change stream is cut off")

    def close(self, fitting: dict[str, list[int]]) -> None:
        """Everything that needs the whole; `fitting`: of requests with several bodies, those that were decided."""
        ended_at = self.recording.run.get("ended_at")
        self.books.close(None if ended_at is None else micros(ended_at))
        self.told.close()
        self.settled.close(fitting)
        self.second.close()
        check_channels(self.report, self.inquiry, self.faults)
        check_real_time(self.report, self.inquiry)
        requests = sum(1 for asked in self.inquiry.asked.values() if asked.sends or asked.decided)
        self.report.figures = {"requests": requests, "commits": self.books.commits}
        if not self.decisions:
            self.report.doubt("P2", "nothing was decided")

    # --- a transaction ------------------------------------------------------------------------------------------

    def _transaction(self, transaction: Transaction) -> None:
        books, xid = self.books, transaction.xid
        books.take(transaction)
        self.bookings.take(transaction)
        rows: list[Row] = []
        told: set[str] = set()
        perhaps: set[str] = set()
        for change in transaction.changes:
            if change.table == "journal":
                self._journal(change, transaction, rows, told, perhaps)
        books.check(xid)
        self.second.take(transaction.changes)
        books.explained(xid, rows, told, perhaps)
        for occurrence_id in {str(row["occurrence_id"]) for row in rows if int(row["version"] or 0)}:
            if occurrence_id not in books.touched_occurrences:
                why = f"{occurrence_id} has decisions in transaction {xid}, but its version is not written"
                self.report.flag("P11", why)
        for occurrence_id, row in books.touched_occurrences.items():
            reached = self._versions.get(occurrence_id, 0)
            if int(row["version"] or 0) != reached:
                what = f"is at version {row['version']}, its decisions at {reached}"
                self.report.flag("P11", f"{occurrence_id} {what}, after transaction {xid}")

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
        version = self._version(row, transaction)
        asked = self.inquiry.of(str(row["request_id"]))
        asked.own = row["kind"] in OWN
        reply_text = str(row["reply"])
        reply: dict[str, Any] = loads(reply_text)
        events = events_of(row, reply, reply_text)
        for problem in unlike_its_row(row, reply, events):
            where = f"{row['occurrence_id']} v{row['version']}"
            self.report.flag("P5", f"request {row['request_id']} at {where}: {problem}")
        for event in events:
            if "hold" in event:
                told.add(event["hold"]["hold_id"])
            elif "booking" in event:
                perhaps.add(event["booking"]["hold_id"])
        self.told.committed(row, events)
        self.second.decided(row, reply_text, asked.bodies, transaction.committed_at)
        self.settled.decided(asked, reply_text, version, str(row["occurrence_id"]), transaction.committed_at)

    def _version(self, row: Row, transaction: Transaction) -> int:
        """P11 for a decision, and whether it names its transaction and a time that had come."""
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
        return version
