"""What the rows, the journal and the clients' notes say, counted again by hand.

Nothing of the product is used here, only SQL and JSON: where this and the product's own counters agree, it is not
because they share a mistake. Every function gives a list of problems, empty if all is well.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import psycopg

Note = Mapping[str, Any]
Rows = list[tuple[Any, ...]]

_NOT_RECORDED = {"availability", "swept", "booking"}
_MAY_LEAVE_NO_TRACE = (
    "availability.get.v1",
    "hold.get.v1",
    "waitlist.get.v1",
    "hold.sweep.v1",
    "booking.get.v1",
    "booking.note_order.v1",
)
_ENDS = ("hold.released.v1", "hold.expired.v1")
_TAKING = ("active", "converting", "confirmed")


class Broken(str):
    """A promise that was not kept, in words. CI, which tries what failed once more, takes it for final."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"broken promise: {self}"


class Books:
    """A snapshot of a database."""

    def __init__(self, database_url: str) -> None:
        with psycopg.connect(database_url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

            def read(statement: str) -> Rows:
                return connection.execute(statement).fetchall()

            self.journal = read(
                "SELECT request_id::text, occurrence_id, version, kind, outcome, reply, events FROM journal "
                "ORDER BY occurrence_id, version, xid, id"
            )
            self.holds = read("SELECT id::text, occurrence_id, session_id, state, basket FROM holds")
            self.pools = read("SELECT occurrence_id, key, capacity, sellable, held, sold FROM pools")
            self.definitions: dict[str, Any] = dict(read("SELECT id, definition FROM occurrences"))
            self.versions: dict[str, int] = dict(read("SELECT id, version FROM occurrences"))
            self.second: dict[str, str] = dict(
                read("SELECT request_id::text, answered_by::text FROM follow_ups WHERE answered_by IS NOT NULL")
            )
            self.bookings = read("SELECT state, document FROM bookings")
            self.limits = read("SELECT scope, key, used, cap FROM shared_limits")

    def problems(self) -> list[Broken]:
        """Whatever does not add up within the database."""
        found = chain(
            self._pools_against_holds(),
            self._limits_against_holds(),
            self._bookings_against_holds(),
            self._versions(),
            self._events_against_holds(),
            self._refusals_against_events(),
        )
        return [Broken(problem) for problem in found]

    # --- rows against rows --------------------------------------------------------------------------------------

    def _pools_against_holds(self) -> Iterable[str]:
        held: Counter[tuple[str, str]] = Counter()
        bought: Counter[tuple[str, str]] = Counter()
        for _, occurrence_id, _, state, basket in self.holds:
            if state in ("active", "converting", "confirmed"):
                counter = bought if state == "confirmed" else held
                for pool, taken in self._draws(occurrence_id, basket["items"], basket.get("extras", {})).items():
                    counter[occurrence_id, pool] += taken
        for occurrence_id, pool, _, sellable, counted, sold in self.pools:
            if counted != held[occurrence_id, pool]:
                yield f"{occurrence_id}/{pool}: held {counted} in the counter, {held[occurrence_id, pool]} in holds"
            if sold != bought[occurrence_id, pool]:
                yield f"{occurrence_id}/{pool}: sold {sold} in the counter, {bought[occurrence_id, pool]} in holds"
            if sellable is not None and held[occurrence_id, pool] + sold > sellable:
                yield f"{occurrence_id}/{pool}: OVERSOLD, {held[occurrence_id, pool]} + {sold} of {sellable}"

    def _limits_against_holds(self) -> Iterable[str]:
        used: Counter[tuple[str, str]] = Counter()
        for _, occurrence_id, session_id, state, basket in self.holds:
            if state in ("active", "converting"):
                used["session", session_id] += 1
            if state in ("active", "converting", "confirmed"):
                for extra, quantity in basket.get("extras", {}).items():
                    stock = self.definitions[occurrence_id]["extras"][extra].get("stock")
                    if stock is not None:
                        used["stock", stock["key"]] += quantity
        for _, document in self.bookings:
            if document["quote"].get("voucher") and document["hold_id"] in self._taking():
                used["voucher", document["quote"]["voucher"]] += 1
        counted = {(scope, key): number for scope, key, number, _ in self.limits}
        for limit in {*used, *counted}:
            if used[limit] != counted.get(limit, 0):
                yield f"limit {limit}: {counted.get(limit, 0)} in the counter, {used[limit]} in holds"
        for scope, key, number, cap in self.limits:
            if number > cap:
                yield f"limit {scope}/{key}: {number} of {cap}"

    def _taking(self) -> set[str]:
        """The holds that have become bookings and still have seats."""
        return {row[0] for row in self.holds if row[3] in ("converting", "confirmed")}

    def _bookings_against_holds(self) -> Iterable[str]:
        states = {row[0]: row[3] for row in self.holds}
        allowed = {
            "converting": {"converting"},
            "confirmed": {"confirmed"},
            "cancelled": {"cancelled", "expired", "released"},
            "failed": {"released", "expired"},
            "parked": {"converting", "expired", "released", "cancelled"},
            "refund_required": {"expired", "released", "cancelled"},
        }
        booked = set()
        for state, document in self.bookings:
            booked.add(document["hold_id"])
            if states.get(document["hold_id"]) not in allowed[state]:
                yield f"booking {document['id']}: {state}, its hold is {states.get(document['hold_id'])}"
        for hold_id, state in states.items():
            if state in ("converting", "confirmed") and hold_id not in booked:
                yield f"hold {hold_id}: {state} without a booking"

    def _draws(self, occurrence_id: str, items: Mapping[str, int], extras: Mapping[str, int]) -> Counter[str]:
        definition = self.definitions[occurrence_id]
        draws: Counter[str] = Counter()
        for ticket, quantity in items.items():
            for pool in ("total", *definition["ticket_types"][ticket].get("pools", [])):
                draws[pool] += quantity
        for extra, quantity in extras.items():
            for pool in definition["extras"][extra].get("pools", []):
                draws[pool] += quantity
        return draws

    # --- the journal against the rows ---------------------------------------------------------------------------

    def _versions(self) -> Iterable[str]:
        """Each version of an occurrence was made by one decision, and none is missing."""
        made: dict[str, Counter[int]] = defaultdict(Counter)
        for _, occurrence_id, version, *_ in self.journal:
            if occurrence_id in self.versions and version > 0:
                made[occurrence_id][version] += 1
        for occurrence_id, versions in made.items():
            twice = sorted(version for version, times in versions.items() if times > 1)
            if twice:
                yield f"{occurrence_id}: versions made twice: {twice[:5]}"
            if max(versions) != self.versions[occurrence_id]:
                yield f"{occurrence_id}: at version {self.versions[occurrence_id]}, the journal at {max(versions)}"
            if len(versions) != max(versions):
                yield f"{occurrence_id}: {len(versions)} of {max(versions)} versions are in the journal"

    def _events_against_holds(self) -> Iterable[str]:
        """Replay the events: never more than there is, one end per hold, and the rows are what is left."""
        for occurrence_id, ledger in self._ledgers().items():
            yield from ledger.problems
            taking = {row[0] for row in self.holds if row[1] == occurrence_id and row[3] in _TAKING}
            if taking != ledger.holds.keys():
                yield f"{occurrence_id}: holds with seats in rows and events differ: {taking ^ ledger.holds.keys()}"
        ended = {row[0]: row[3] for row in self.holds if row[3] in ("released", "expired")}
        told: Counter[str] = Counter()
        for row in self.journal:
            for event in row[6] or []:
                if event["type"] in _ENDS:
                    told[event["hold"]["hold_id"]] += 1
                    if ended.get(event["hold"]["hold_id"]) != event["type"].split(".")[1]:
                        yield f"hold {event['hold']['hold_id']}: {event['type']} was told, the row differs"
        for hold_id in {*ended, *told}:
            if told[hold_id] != 1:
                yield f"hold {hold_id}: {told[hold_id]} terminal events"

    def _refusals_against_events(self) -> Iterable[str]:
        """Who was told `sold_out` was told the truth of that version."""
        ledgers = self._ledgers()
        for request_id, occurrence_id, _, _, outcome, reply, events in self.journal:
            if outcome != "refused" or reply["reason"] != "sold_out":
                continue
            ledger = ledgers.get(occurrence_id)
            if ledger is None or events:
                continue
            for pool, told in reply.get("available", {}).items():
                if ledger.has(pool) and told != ledger.free_at(reply["version"], pool):
                    free = ledger.free_at(reply["version"], pool)
                    yield f"request {request_id}: was told {told} of {pool} are free, it was {free}"

    def _ledgers(self) -> dict[str, _Ledger]:
        ledgers: dict[str, _Ledger] = {}
        sellable: dict[str, dict[str, int | None]] = defaultdict(dict)
        for occurrence_id, pool, _, number, _, _ in self.pools:
            sellable[occurrence_id][pool] = number
        for _, occurrence_id, version, _, _, _, events in self.journal:
            if occurrence_id in self.definitions:
                ledger = ledgers.setdefault(occurrence_id, _Ledger(self, occurrence_id, sellable[occurrence_id]))
                for event in events or []:
                    ledger.take(version, event)
        return ledgers


class _Ledger:
    """One occurrence, event by event."""

    def __init__(self, books: Books, occurrence_id: str, sellable: Mapping[str, int | None]) -> None:
        self._books = books
        self._occurrence_id = occurrence_id
        self._sellable = sellable
        self._taken: Counter[str] = Counter()
        self._versions: list[int] = [0]
        self._history: dict[int, dict[str, int]] = {0: {}}
        self.holds: dict[str, Counter[str]] = {}
        self.problems: list[str] = []

    def take(self, version: int, event: Mapping[str, Any]) -> None:
        hold = event.get("hold")
        if hold is not None:
            hold_id, kind = hold["hold_id"], event["type"]
            before = self.holds.pop(hold_id, None)
            if (before is None) != (kind == "hold.created.v1"):
                self.problems.append(
                    f"hold {hold_id}: {kind} at version {version} does not follow what was before"
                )
            if kind not in _ENDS:
                draws = self._books._draws(self._occurrence_id, hold["items"], hold.get("extras", {}))
                self.holds[hold_id] = draws
                self._taken.update(draws)
            self._taken.subtract(before or {})
        if event["type"] == "booking.reduced.v1":
            before = self.holds.get(event["booking"]["hold_id"], Counter())
            kept = event["booking"]
            draws = self._books._draws(self._occurrence_id, kept["items"], kept.get("extras", {}))
            self._taken.subtract(before)
            self._taken.update(draws)
            self.holds[kept["hold_id"]] = draws
        if event["type"] == "booking.cancelled.v1":
            self._taken.subtract(self.holds.pop(event["booking"]["hold_id"], {}))
        for pool, sellable in self._sellable.items():
            if sellable is not None and not 0 <= self._taken[pool] <= sellable:
                self.problems.append(
                    f"{self._occurrence_id}/{pool}: OVERSOLD at version {version}, {self._taken[pool]} of {sellable}"
                )
        if version != self._versions[-1]:
            self._versions.append(version)
        self._history[version] = dict(self._taken)

    def has(self, pool: str) -> bool:
        """Whether it is a pool, and not a stock that is shared with other occurrences."""
        return pool in self._sellable

    def free_at(self, version: int, pool: str) -> int | None:
        """What was free at a version; None if that is unlimited."""
        sellable = self._sellable.get(pool)
        if sellable is None:
            return None
        last = self._versions[bisect_right(self._versions, version) - 1]
        return sellable - self._history[last].get(pool, 0)


# --- the clients against the journal ----------------------------------------------------------------------------


def against_notes(books: Books, notes: Mapping[str, Sequence[Note]]) -> list[Broken]:
    """Each request that was sent has one durable outcome, and each answer to it is that one.

    The notes must be those of everybody who asked anything of these occurrences. Who notes `"mute": true` with a
    request does not insist on its answer.
    """
    recorded = {row[0]: row[5] for row in books.journal}
    sent: dict[str, str] = {}
    unasked_answers: set[str] = set()
    asked_of: set[str] = set()
    answered: Counter[str] = Counter()
    problems: list[str] = []
    for name, entries in notes.items():
        for entry in entries:
            if "sent" in entry:
                sent[entry["sent"]["request_id"]] = entry["sent"]["type"]
                if entry.get("mute") or entry["sent"].get("answers"):
                    unasked_answers.add(entry["sent"]["request_id"])
                asked_of.add(entry["sent"]["occurrence_id"])
            elif "got" in entry:
                answered[entry["for"]] += 1
                problems += _answer_problems(name, entry, recorded, books.second)
            elif entry.get("gave_up"):
                problems.append(f"{name} gave up on {entry['gave_up'][:3]}")
    for request_id, kind in sent.items():
        if kind not in _MAY_LEAVE_NO_TRACE and request_id not in recorded:
            problems.append(f"request {request_id} ({kind}) has no outcome")
        if not answered[request_id] and request_id not in unasked_answers:
            problems.append(f"request {request_id} ({kind}) got no answer")
    for request_id, occurrence_id, _, kind, *_ in books.journal:
        if request_id not in sent and occurrence_id in asked_of and kind != "hold.sweep.v1":
            problems.append(f"the journal has {request_id} ({kind}), which nobody sent")
    return [Broken(problem) for problem in problems]


def _answer_problems(
    name: str, entry: Note, recorded: Mapping[str, Any], second: Mapping[str, str]
) -> Iterable[str]:
    answer = entry["got"]
    if answer["outcome"] in _NOT_RECORDED or answer.get("reason") in ("request_conflict", "unavailable"):
        return
    if answer["request_id"] != entry["for"] and answer["request_id"] != second.get(entry["for"]):
        yield f"{name}: the answer for {entry['for']} is about {answer['request_id']}"
    elif recorded.get(answer["request_id"]) != answer:
        yield f"{name}: the answer to {entry['for']} is not the recorded one: {answer}"


def order_problems(notes: Mapping[str, Sequence[Note]]) -> list[Broken]:
    """Requests of one client for one occurrence are decided in the order in which they were sent first.

    Only for clients that never lost their connection.
    """
    problems: list[str] = []
    for name, entries in notes.items():
        if name.endswith("+") or max((entry.get("connected", 0) for entry in entries), default=0) > 1:
            continue
        versions: dict[str, int] = {}
        for entry in entries:
            if "got" in entry:
                versions.setdefault(entry["for"], entry["got"]["version"])
        last: dict[str, int] = defaultdict(int)
        seen: set[str] = set()
        for entry in entries:
            body = entry.get("sent")
            if body is None or body["request_id"] in seen or body["request_id"] not in versions:
                continue
            seen.add(body["request_id"])
            version = versions[body["request_id"]]
            if version < last[body["occurrence_id"]]:
                problems.append(
                    f"{name}: {body['request_id']} was decided at {version}, an earlier one at "
                    f"{last[body['occurrence_id']]}"
                )
            last[body["occurrence_id"]] = max(last[body["occurrence_id"]], version)
    return [Broken(problem) for problem in problems]
