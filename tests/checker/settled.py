"""P2, P4, P14 and P15: who asked what, what became of it, and what was told."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.checker.asked import Asked, Inquiry
from tests.checker.bodies import INTERNAL, OWN
from tests.checker.faults import Faults
from tests.checker.jsonl import loads
from tests.checker.recording import Limits, Notes, Recording
from tests.checker.verdict import Report

_UNRECORDED = ("availability.get.v1", "hold.get.v1", "waitlist.get.v1", "hold.sweep.v1", "booking.get.v1")
_AFRESH = ("availability", "swept", "booking")
_MAY_BE_UNRECORDED = (*_UNRECORDED, "booking.note_order.v1")
_MAY_BE_ANSWERED_ONLY = (*_UNRECORDED, *INTERNAL)


class Settled:
    """Compares once the whole stream was read."""

    def __init__(
        self, report: Report, recording: Recording, inquiry: Inquiry, faults: Faults, limits: Limits
    ) -> None:
        self.report, self.recording, self.inquiry = report, recording, inquiry
        self.faults, self.limits = faults, limits
        self.again: dict[str, str] = {}
        """Requests whose answers must be read once more, with the recorded ones."""
        self._fitting: dict[str, list[int]] = {}
        self._final = recording.final or {}
        self._tapped = recording.tap_requests is not None

    # --- while the stream is read -------------------------------------------------------------------------------

    def decided(self, asked: Asked, reply_text: str, version: int, occurrence: str, at_commit: int) -> None:
        """A journal row was committed."""
        asked.decided += 1
        if asked.decided > 1:
            self.report.flag("P2", f"request {asked.id} has {asked.decided} outcomes")
            self.report.flag("P3", f"request {asked.id} was applied {asked.decided} times")
            return
        asked.occurrence, asked.at_commit = occurrence, at_commit
        asked.version = version
        if asked.reply_hash is not None:
            self.report.count("P4")
        if asked.reply_wall is not None and asked.reply_wall + self.limits.skew < at_commit:
            early = (at_commit - asked.reply_wall) / 1e6
            self.report.flag("P4", f"request {asked.id} was answered {early:.6f} s before its commit")
        unlike = asked.reply_hash is not None and asked.reply_hash != hash(reply_text)
        if unlike or len(asked.bodies) > 1 or asked.conflicts:
            self.again[asked.id] = reply_text

    # --- at the end ---------------------------------------------------------------------------------------------

    def close(self, fitting: dict[str, list[int]]) -> None:
        """Everything that needs the whole; `fitting`: of requests with several bodies, those that were decided."""
        self._fitting = fitting
        self._read_dead()
        missing = [asked for asked in self.inquiry.asked.values() if self._is_missing(asked)]
        queued = sum(self._final.get("queued", {}).values())
        for asked in missing:
            where = "accepted" if asked.accepted else "taken by the broker"
            if len(missing) <= queued:
                self.report.doubt("P2", f"{queued} requests were still queued")
            else:
                self.report.flag(
                    "P2" if asked.accepted else "P14", f"request {asked.id} was {where} and has no outcome"
                )
        for asked in self.inquiry.asked.values():
            self._account(asked)
            self._in_time(asked)
        self._answers()
        if queued:
            self.report.flag("P15", f"{queued} requests are still queued at the end")
        if self.recording.final is None:
            self.report.doubt("P14", "nobody looked at the queues and dead letters at the end")

    def _read_dead(self) -> None:
        buried: Counter[str] = Counter()
        for letter in self._final.get("dead", ()):
            request_id = letter.get("request_id")
            if request_id:
                self.inquiry.of(request_id).dead = True
            else:
                buried[letter.get("body", "")] += 1
        if not self._tapped or self.recording.final is None:
            return
        taken = self.inquiry.unreadable
        for text in taken.keys() | buried.keys():
            # A worker that dies after it has buried one and before it has acknowledged it has it buried once more.
            again = self.faults.any and buried[text] > taken[text] > 0
            if buried[text] != taken[text] and not again:
                there = f"taken by the broker {taken[text]} times, {buried[text]} times in the dead letters"
                self.report.flag("P14", f"a message without ids was {there}: {text[:100]!r}")

    def _is_missing(self, asked: Asked) -> bool:
        if asked.decided or asked.dead or not (asked.tapped or (asked.accepted and not asked.not_taken)):
            return False
        if asked.retryable and not asked.answered:
            return False
        kind = _kind(asked)
        refused = kind in INTERNAL and asked.sends
        return not (refused or kind in _MAY_BE_UNRECORDED)

    def _account(self, asked: Asked) -> None:
        self.report.count("P2")
        somebody_would_know = self._tapped or (self.inquiry.clients_whole and not asked.own)
        if asked.decided and not asked.sends and not asked.tapped and somebody_would_know:
            self.report.flag("P2", f"request {asked.id} has an outcome, but nobody asked")
        if not self._tapped:
            return
        self.report.count("P14")
        if asked.tapped == 0 and asked.decided and asked.sends:
            self.report.flag("P14", f"request {asked.id} was decided, but the tap never saw it")
        elif asked.tapped == 0 and asked.accepted and not asked.not_taken:
            self.report.flag("P14", f"request {asked.id} was confirmed, but the tap never saw it")
        elif asked.tapped and not asked.sends and self.inquiry.clients_whole and _kind(asked) not in OWN:
            self.report.flag("P14", f"request {asked.id} was taken by the broker, but no client sent it")
        if asked.dead and asked.decided and not asked.retryable and not asked.answered and asked.tapped == 1:
            self.report.flag("P14", f"request {asked.id} was decided and is a dead letter as well")

    def _in_time(self, asked: Asked) -> None:
        if not asked.sends:
            return
        self.report.count("P15")
        if asked.gave_up:
            self.report.flag("P15", f"the client gave up on request {asked.id}")
        elif not asked.heard and not asked.mute and self.inquiry.clients_whole and not asked.dead:
            self.report.flag("P15", f"request {asked.id} never got an answer")
        if asked.at_commit is None or asked.sent_wall is None or asked.not_taken:
            return
        if asked.sends > 1 and not asked.accepted:
            return
        waited = asked.at_commit - self.faults.healed_after(asked.sent_wall, asked.at_commit)
        if waited > self.limits.drain:
            self.report.flag("P15", f"request {asked.id} waited {waited / 1e6:.1f} s, with nothing in its way")

    # --- answers ------------------------------------------------------------------------------------------------

    def _answers(self) -> None:
        for asked in self.inquiry.asked.values():
            if asked.answered and not asked.decided and _kind(asked) not in _MAY_BE_ANSWERED_ONLY:
                self.report.flag("P4", f"request {asked.id} was answered, but nothing is recorded")
            if asked.conflicts and not asked.decided:
                self.report.flag("P4", f"request {asked.id} was told request_conflict, but nothing is recorded")
        if not self.again:
            return
        for name, lines in self.recording.clients.items():
            for note in Notes(lines):
                if "got" in note and note["for"] in self.again:
                    self._compare(name, self.inquiry.asked[note["for"]], note["got"])

    def _compare(self, client: str, asked: Asked, got: Any) -> None:
        answer = loads(got) if isinstance(got, str) else got
        if answer.get("request_id") != asked.id and asked.id in self.inquiry.answered_by:
            return  # its second answer
        recorded, decided = self.again[asked.id], set(self._fitting.get(asked.id, ()))
        sent = self.inquiry.bodies_of(asked, client) if len(asked.bodies) > 1 else {0}
        if answer.get("reason") == "request_conflict":
            if len(asked.bodies) < 2 or (len(sent) == 1 and sent == decided):
                self.report.flag(
                    "P4", f"{client} was told request_conflict for {asked.id}, which it always sent alike"
                )
        elif answer.get("reason") == "unavailable" or answer["outcome"] in _AFRESH:
            return  # decided afresh each time
        elif answer != loads(recorded):
            differs = ", ".join(sorted(_differing(answer, loads(recorded))))
            self.report.flag("P4", f"{client} was told another answer for {asked.id} than was recorded: {differs}")
        elif sent and decided and not sent & decided:
            self.report.flag(
                "P4", f"{client} asked something else under {asked.id} and got the first one's answer"
            )


def _differing(answer: dict[str, Any], recorded: dict[str, Any]) -> list[str]:
    names = {*answer, *recorded}
    return [f"{name} {answer.get(name)!r} for {recorded.get(name)!r}" for name in names
            if answer.get(name) != recorded.get(name)]  # fmt: skip


def _kind(asked: Asked) -> str:
    try:
        return str(loads(asked.bodies[0])["type"])
    except (ValueError, KeyError, IndexError, TypeError):
        return ""
