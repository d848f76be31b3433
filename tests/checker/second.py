"""P17: second answers. Prices and orders come later than the request, and its answer is told then."""

from __future__ import annotations

from typing import Any

from tests.checker.asked import Inquiry
from tests.checker.decoding import Change, Row
from tests.checker.jsonl import loads
from tests.checker.recording import Limits, Notes, Recording
from tests.checker.verdict import Report

_PROMISES = ("held", "changed", "quoting", "converting", "cart_started")
"""Outcomes after which a second answer may come."""


class SecondAnswers:
    """What the database says of them, beside what the clients heard."""

    def __init__(self, report: Report, recording: Recording, inquiry: Inquiry, limits: Limits) -> None:
        self.report, self.recording, self.inquiry, self.limits = report, recording, inquiry, limits
        self._promised: dict[str, str | None] = {}
        """Request -> by which request it was answered the second time."""
        self._outcomes: dict[str, str] = {}
        """Of this transaction's decisions."""
        self._unlike: dict[str, str] = {}
        """Second answers that were told with another text than the recorded one."""

    def decided(self, row: Row, reply_text: str, bodies: list[str], at_commit: int) -> None:
        """A journal row was committed: perhaps a second answer that somebody has heard."""
        request_id = str(row["request_id"])
        self._outcomes[request_id] = str(row["outcome"])
        heard = self.inquiry.second.pop(request_id, None)
        if heard is None:
            return
        self.report.count("P17")
        if heard.wall is not None and heard.wall + self.limits.skew < at_commit:
            early = (at_commit - heard.wall) / 1e6
            self.report.flag("P17", f"second answer {request_id} was told {early:.6f} s before its commit")
        if heard.digest != hash(reply_text):
            self._unlike[request_id] = reply_text
        answers = _answers(bodies)
        if answers is not None and answers != heard.request_id:
            self.report.flag("P17", f"{request_id} answers {answers}, and was told to {heard.request_id}")

    def take(self, changes: list[Change]) -> None:
        """What a transaction promised and kept, once its decisions were read."""
        for change in changes:
            if change.table != "follow_ups":
                continue
            row = change.row
            request_id, answered_by = str(row["request_id"]), row.get("answered_by")
            if change.operation == "INSERT":
                self._promise(request_id)
            before = self._promised.get(request_id)
            if before is not None and answered_by != before:
                self.report.flag("P17", f"request {request_id} got a second answer twice: {before}, {answered_by}")
            elif before is None and answered_by is not None and answered_by not in self._outcomes:
                self.report.flag(
                    "P17", f"{answered_by} answers {request_id}, and was not decided in its transaction"
                )
            self._promised[request_id] = answered_by
        self._outcomes.clear()

    def _promise(self, request_id: str) -> None:
        self.report.count("P17")
        if request_id in self._promised:
            self.report.flag("P17", f"request {request_id} was promised a second answer twice")
        outcome = self._outcomes.get(request_id)
        if outcome not in _PROMISES:
            why = f"was {outcome}" if outcome else "was not decided in the same transaction"
            self.report.flag("P17", f"request {request_id} was promised a second answer and {why}")

    def close(self) -> None:
        """What was told and never recorded, and what was told otherwise."""
        for request_id, heard in self.inquiry.second.items():
            self.report.flag(
                "P17", f"second answer {request_id} to {heard.request_id} was told and is not recorded"
            )
        for request_id, answered_by in self.inquiry.answered_by.items():
            meant = self._promised.get(request_id)
            if meant is not None and meant != answered_by:
                self.report.flag(
                    "P17", f"request {request_id} was told the answer {answered_by}, its own is {meant}"
                )
            elif request_id in self._promised and meant is None:
                self.report.flag("P17", f"request {request_id} was told {answered_by}, and its row knows of none")
            elif request_id not in self._promised:
                self.report.flag("P17", f"request {request_id} got a second answer that it was never promised")
        if not self._unlike:
            return
        for name, lines in self.recording.clients.items():
            for note in Notes(lines):
                if "got" in note:
                    self._compare(name, note["got"])

    def _compare(self, client: str, got: Any) -> None:
        answer = loads(got) if isinstance(got, str) else got
        recorded = self._unlike.get(answer["request_id"])
        if recorded is None or answer == loads(recorded):
            return
        meant = loads(recorded)
        differs = sorted(name for name in {**answer, **meant} if answer.get(name) != meant.get(name))
        what = f"the second answer {answer['request_id']}, with other words in {', '.join(differs)}"
        self.report.flag("P17", f"{client} was told {what}")


def _answers(bodies: list[str]) -> str | None:
    found = {loads(text).get("answers") for text in bodies}
    return found.pop() if len(found) == 1 else None
