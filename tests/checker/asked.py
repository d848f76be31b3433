"""What was asked, by whom, when, and what came back: the clients' notes and the tap on the requests exchange."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from tests.checker.bodies import identity, said
from tests.checker.jsonl import loads
from tests.checker.recording import Notes, Recording
from tests.checker.verdict import Report

CONFIRMED, LOST, NOT_TAKEN = "confirmed", "lost", "not taken"


def _may_be_special(text: str) -> bool:
    """Whether an answer may be one that is not recorded; a loop would be too slow here."""
    return (
        '"request_conflict"' in text
        or '"availability"' in text
        or '"swept"' in text
        or '"booking"' in text
        or '"booking_not_found"' in text
        or ('"retryable"' in text and '"retryable":false' not in text)
    )


class Asked:
    """One request id, over all its attempts."""

    __slots__ = (
        "accepted",
        "answered",
        "at_commit",
        "bodies",
        "conflicts",
        "dead",
        "decided",
        "first_sent",
        "gave_up",
        "heard",
        "id",
        "mute",
        "not_taken",
        "occurrence",
        "own",
        "reads",
        "reply_first",
        "reply_hash",
        "reply_wall",
        "retryable",
        "senders",
        "sends",
        "sent_wall",
        "tapped",
        "version",
    )  # fmt: skip

    def __init__(self, request_id: str) -> None:
        self.id = request_id
        self.senders = ""
        """Who sent the first body."""
        self.bodies: list[str] = []
        """Different texts that were sent under the id; almost always one."""
        self.sends = 0
        self.accepted = False
        self.not_taken = 0
        self.gave_up = False
        self.mute = False
        """It asked for no answer."""
        self.tapped = 0
        self.dead = False
        self.first_sent: int | None = None
        self.sent_wall: int | None = None
        self.answered = 0
        self.heard = False
        self.reply_hash: int | None = None
        self.reply_first: int | None = None
        self.reply_wall: int | None = None
        self.conflicts = 0
        self.retryable = 0
        self.reads: list[tuple[int, int, int | None]] | None = None
        """Availability that was answered: (when, version, wall time)."""
        self.occurrence: str | None = None
        self.version: int | None = None
        self.at_commit: int | None = None
        self.decided = 0
        self.own = False
        """The service asked for it itself."""


class Heard:
    """A second answer, as it was first heard."""

    __slots__ = ("digest", "request_id", "wall")

    def __init__(self, request_id: str, digest: int, wall: int | None) -> None:
        self.request_id, self.digest, self.wall = request_id, digest, wall


class Channel:
    """The first attempts that one sender made on one channel, in their order."""

    __slots__ = ("asked", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[Asked] = []


_ENOUGH = (b'"sent"', b'"end"', b"availability", b"booking")
"""What stands in the notes that say what was asked, and what was read."""


class Inquiry:
    """Everything that the outside knows of the requests; unless `whole`, only what was asked and what was read."""

    def __init__(self, report: Report, *, whole: bool = True) -> None:
        self.report, self._having = report, () if whole else _ENOUGH
        self.asked: dict[str, Asked] = {}
        self.channels: list[Channel] = []
        self.reads: dict[str, list[tuple[int, dict[str, Any], Asked]]] = defaultdict(list)
        """Availability that was answered, by occurrence."""
        self.second: dict[str, Heard] = {}
        """Second answers, by the requests that brought them."""
        self.answered_by: dict[str, str] = {}
        """Which second answer a request got."""
        self.unreadable: Counter[str] = Counter()
        """Messages without ids that the broker took."""
        self.clients_whole = True
        self.clients = 0
        self._senders: dict[str, dict[str, set[int]]] = {}

    # --- the clients' notes -------------------------------------------------------------------------------------

    def read_clients(self, recording: Recording) -> None:
        """All notes; more than one file may know of a request."""
        for name, lines in recording.clients.items():
            notes = Notes(lines, self._having)
            _Reader(self, name).read(notes)
            self.clients += 1
            if not notes.ended or notes.broken:
                self.clients_whole = False
                if not recording.run.get("clients_may_be_cut"):
                    self.report.doubt("P2", f"the notes of client {name} are cut off")
        expected = recording.run.get("clients")
        if expected is not None and sorted(expected) != sorted(recording.clients):
            self.clients_whole = False
            self.report.doubt(
                "P2", f"notes of {sorted(set(expected) ^ set(recording.clients))} missing or unplanned"
            )

    def of(self, request_id: str) -> Asked:
        asked = self.asked.get(request_id)
        if asked is None:
            asked = self.asked[request_id] = Asked(request_id)
        return asked

    def sent_as(self, asked: Asked, text: str, sender: str) -> None:
        """Keep a body, once; who sent which is kept only where ids are used twice."""
        bodies = asked.bodies
        if not bodies:
            bodies.append(text)
            asked.senders = sender
            return
        if text == bodies[0]:
            number = 0
        elif text in bodies:
            number = bodies.index(text)
        else:
            same = [n for n, one in enumerate(bodies) if said(one) == said(text)]
            number = same[0] if same else len(bodies)
            if not same:
                bodies.append(text)
        if number == 0 and len(bodies) == 1:
            if sender not in asked.senders.split():
                asked.senders += f" {sender}"
            return
        users = self._senders.setdefault(asked.id, {name: {0} for name in asked.senders.split()})
        users.setdefault(sender, set()).add(number)

    def bodies_of(self, asked: Asked, sender: str) -> set[int]:
        """Which of its bodies a sender used; empty if unknown."""
        return self._senders.get(asked.id, {}).get(sender, set())

    # --- the tap ------------------------------------------------------------------------------------------------

    def read_tap(self, recording: Recording) -> None:
        """What the broker took."""
        if recording.tap_requests is None:
            self.report.doubt("P14", "the requests were not tapped")
            return
        notes = Notes(recording.tap_requests)
        for note in notes:
            if note.get("again"):
                continue  # the tap itself was cut off and got it a second time
            text = note["body"]
            request_id = note.get("id") or identity(text)
            if request_id is None:
                self.unreadable[text] += 1
                continue
            asked = self.of(request_id)
            if not asked.tapped and not asked.sends:
                asked.sent_wall = note.get("w")
            asked.tapped += 1
            self._tapped_as(asked, text)
        if not notes.ended or notes.broken:
            self.report.doubt("P14", "the tap on the requests is cut off")

    def _tapped_as(self, asked: Asked, text: str) -> None:
        if not asked.bodies:
            asked.bodies.append(text)
        elif text != asked.bodies[0] and all(text != one and said(text) != said(one) for one in asked.bodies):
            if asked.sends and self.clients_whole:
                self.report.flag(
                    "P14", f"request {asked.id}: the broker took a body that nobody sent: {text[:200]}"
                )
            else:
                asked.bodies.append(text)


class _Reader:
    """One client's notes."""

    def __init__(self, inquiry: Inquiry, name: str) -> None:
        self._inquiry = inquiry
        self._report = inquiry.report
        self._name = name
        self._channels: dict[int, Channel] = {}
        self._number = 0

    def read(self, notes: Iterable[dict[str, Any]]) -> None:
        for note in notes:
            if "sent" in note:
                self._sent(note)
            elif "got" in note:
                self._got(note)
            elif "confirmed" in note:
                self._inquiry.of(note["confirmed"]).accepted = True
            elif "nacked" in note or "returned" in note:
                self._inquiry.of(note.get("nacked") or note["returned"]).not_taken += 1
            elif "connected" in note:
                self._number = note["connected"]
            elif "gave_up" in note:
                for request_id in note["gave_up"]:
                    self._inquiry.of(request_id).gave_up = True

    def _sent(self, note: dict[str, Any]) -> None:
        text = note["sent"]
        if not isinstance(text, str):
            text = json.dumps(text, separators=(",", ":"), ensure_ascii=False)
        request_id = note.get("id") or identity(text)
        if request_id is None:
            return  # nobody can be asked about it; the dead letters account for it
        asked = self._inquiry.of(request_id)
        self._inquiry.sent_as(asked, text, self._name)
        asked.sends += 1
        asked.mute = asked.mute or bool(note.get("mute"))
        moment = note.get("t")
        if moment is None:
            self._report.doubt("P7", f"client {self._name} notes no times")
        elif asked.first_sent is None or moment < asked.first_sent:
            asked.first_sent = moment
        wall = note.get("w")
        if wall is not None and (asked.sent_wall is None or wall < asked.sent_wall):
            asked.sent_wall = wall
        if asked.sends == 1:
            number = note.get("ch", self._number)
            channel = self._channels.get(number)
            if channel is None:
                channel = self._channels[number] = Channel(f"{self._name}/{number}")
                self._inquiry.channels.append(channel)
            channel.asked.append(asked)

    def _got(self, note: dict[str, Any]) -> None:
        text = note["got"]
        if not isinstance(text, str):
            text = json.dumps(text, separators=(",", ":"), ensure_ascii=False)
        asked = self._inquiry.of(note["for"])
        asked.heard = True
        if f'"request_id":"{asked.id}"' not in text and '"request_id":"' in text:
            self._second(asked, text, note.get("w"))
            return
        if _may_be_special(text) and self._special(asked, text, note):
            return
        asked.answered += 1
        digest = hash(text)
        if asked.reply_hash is None:
            asked.reply_hash = digest
        elif asked.reply_hash != digest:
            self._report.flag("P4", f"request {asked.id}: two different answers, the second {text[:300]}")
        moment, wall = note.get("t"), note.get("w")
        if wall is None:
            self._report.doubt("P4", f"client {self._name} notes no times")
        elif asked.reply_wall is None or wall < asked.reply_wall:
            asked.reply_wall = wall
        if moment is not None and (asked.reply_first is None or moment < asked.reply_first):
            asked.reply_first = moment

    def _second(self, asked: Asked, text: str, wall: int | None) -> None:
        """Heard under the id of one request, but about another: the second answer, always the same."""
        answer = loads(text)
        if answer.get("retryable"):
            return  # the service will try again
        told_by = answer["request_id"]
        first = self._inquiry.answered_by.setdefault(asked.id, told_by)
        if first != told_by:
            self._report.flag("P17", f"request {asked.id} got two second answers, {first} and {told_by}")
        heard = self._inquiry.second.get(told_by)
        if heard is None:
            self._inquiry.second[told_by] = Heard(asked.id, hash(text), wall)
        elif heard.digest != hash(text) or heard.request_id != asked.id:
            self._report.flag("P17", f"second answer {told_by} was told twice, with different words: {text[:300]}")
        elif wall is not None and heard.wall is not None:
            heard.wall = min(wall, heard.wall)

    def _special(self, asked: Asked, text: str, note: dict[str, Any]) -> bool:
        """Answers that are decided afresh each time; False if it is not one of them."""
        answer = loads(text)
        if answer["outcome"] in ("availability", "booking"):
            self._inquiry.reads[answer["occurrence_id"]].append((answer["version"], answer, asked))
            moment = note.get("t")
            if moment is not None:
                asked.reads = [*(asked.reads or ()), (moment, answer["version"], note.get("w"))]
                asked.occurrence = answer["occurrence_id"]
        elif (answer.get("reason") == "booking_not_found" and asked.bodies[0].find("booking.get.v1") >= 0) or (
            answer["outcome"] == "swept" and not answer.get("expired")
        ):
            pass
        elif answer.get("reason") == "request_conflict":
            asked.conflicts += 1
            return True
        elif answer.get("retryable") and answer.get("reason") == "unavailable":
            asked.retryable += 1
        else:
            return False
        if answer["request_id"] != asked.id:
            self._report.flag("P4", f"the answer for {asked.id} is about {answer['request_id']}")
        return True
