"""A right service, for good histories: what it would write, commit by commit. It decides as the model does."""

from __future__ import annotations

import hashlib
import random
from typing import Any

from tests.checker.allowed import ANYTHING, AS_ANSWERED, Among, AnyOf, Between, Issued, Option, Shown
from tests.checker.booker import Deal
from tests.checker.carter import Carter
from tests.checker.decoding import Change, Row, Transaction
from tests.checker.history import Sink, compact
from tests.checker.instants import row_stamp, stamp
from tests.checker.judge import Judge
from tests.checker.lines import serve, told_of
from tests.checker.model import ENDED_MAX, Body, on_sale
from tests.checker.recording import Limits
from tests.checker.rooms import Rooms, alerts, rooms
from tests.checker.service_rows import entry_row, follow_up_row, hold_row, occurrence_row
from tests.checker.turns import AFTER_THE_LINE, EXPIRED, WALK_INS
from tests.checker.verdict import Report
from tests.checker.world import Hold, Occasion, World

MESSAGE = "Not this time"


class Service:
    """What a right service would write, commit by commit."""

    carter: type[Carter] = Carter
    """Its worker that takes carts."""

    def __init__(self, sink: Sink, seed: int) -> None:
        self._sink = sink
        self.random = random.Random(seed)
        self.world = World({}, Limits.of({}).stale)
        self._judge = Judge(Report(), self.world)
        self._xid = 1000
        self._journal_id = 0
        self._arrived = 0
        self._made: set[str] = set()
        self._waiting: dict[str, dict[str, Row]] = {}
        """Occurrence -> who stands in its line by the rows."""
        self._place = 0
        self._limits: set[tuple[str, str]] = set()

    def uuid(self) -> str:
        text = f"{self.random.getrandbits(128):032x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"

    def commit(self, bodies: list[Body], now: int, committed_at: int) -> dict[str, str]:
        """Decide a batch and commit it; the answers' texts by request id."""
        self._xid += 1
        answers: dict[str, str] = {}
        journal: list[Change] = []
        holds: dict[str, Hold] = {}
        booked: dict[str, Deal] = {}
        events: list[dict[str, Any]] = []
        for body in bodies:
            reply, told, touched = self._decide(body, now)
            holds.update({one.id: one for one in touched if isinstance(one, Hold)})
            booked.update({one.view["booking_id"]: one for one in touched if isinstance(one, Deal)})
            events += told
            answers[body["request_id"]] = text = compact(reply)
            journal.append(Change("journal", "INSERT", self._journal(body, reply, text, told, now)))
        rows = self._rows({body["occurrence_id"] for body in bodies}, holds, now)
        rows += self._bookings(booked) + self.follow_ups(bodies, answers)
        rows += self._lines({body["occurrence_id"] for body in bodies}, now)
        self._sink.transaction(Transaction(self._xid, committed_at, [*journal, *rows]))
        for event in events:
            self._arrived += 1
            moment = committed_at + 40_000 + self._arrived % 1000
            self._sink.tap_event({"event": compact(event), "id": event["event_id"], "w": moment})
        return answers

    # --- one decision; a service with a bug is a subclass -------------------------------------------------------

    def options(
        self, occasion: Occasion | None, body: Body, expired: list[dict[str, Any]], now: int
    ) -> list[Option]:
        """What the contract allows."""
        return self._judge.of_kind(occasion, body["type"], body, len(expired), now)

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        """What is done."""
        return options[0]

    def needs_room(self, occasion: Occasion, body: Body, now: int) -> bool:
        """Whether the request would be refused only because of holds that are over."""
        return self.options(occasion, body, [], now)[0].outcome.startswith("granted, since")

    def serve(self, occasion: Occasion, now: int) -> list[Hold]:
        """Offer what is free to whoever stands in line."""
        return serve(self.world, occasion, now)[0]

    def comes_after_the_line(self, kind: str) -> bool:
        """Whether the line is served before the command is decided."""
        return kind in AFTER_THE_LINE

    def _decide(self, body: Body, now: int) -> tuple[dict[str, Any], list[dict[str, Any]], list[Hold | Deal]]:
        kind = body["type"]
        occasion = self.world.occasions.get(body["occurrence_id"])
        before = rooms(self.world, occasion)
        waited = occasion is not None and bool(occasion.line)
        events: list[dict[str, Any]] = []
        touched: list[Hold | Deal] = []
        if occasion is not None:
            if waited and self.comes_after_the_line(kind):
                self._turn(occasion, events, touched, now, spare=body.get("hold_id"))
            due = self.over(occasion, kind, body, now)
            if not due and self.needs_room(occasion, body, now):
                due = [(hold, "seats_needed") for hold in occasion.due(now)]
            self._expire(occasion, due, events, touched, now)
        expired = [event for event in events if event["type"] == EXPIRED]
        option = self.choose(self.options(occasion, body, expired, now), occasion, body, now)
        reply = self._reply(option, body, now)
        if option.apply is not None:
            done = option.apply()
            touched += done if isinstance(done, list) else [done] if isinstance(done, Hold) else []
        events += [
            {name: _told(value) for name, value in event.items() if value not in (False, None, {}, "", "by_owner")}
            for event in option.events
        ]
        if waited and occasion is not None and kind not in WALK_INS:
            self._turn(occasion, events, touched, now, serves_only=kind == "hold.sweep.v1")
        occasion = self.world.occasions.get(body["occurrence_id"])
        version = 0
        if occasion is not None:
            occasion.version += 1
            version = occasion.version
        self._complete(reply, option, occasion, version)
        events += self.rooms(before, rooms(self.world, occasion))
        told = [
            {
                "type": event["type"],
                "event_id": f"{body['request_id']}/{number}",
                "occurrence_id": body["occurrence_id"],
                "version": version,
                "occurred_at": stamp(now),
                **event,
            }
            for number, event in enumerate(events)
        ]
        return reply, told, touched

    def _turn(
        self,
        occasion: Occasion,
        events: list[dict[str, Any]],
        touched: list[Hold | Deal],
        now: int,
        *,
        spare: str | None = None,
        serves_only: bool = False,
    ) -> None:
        """What is over is ended, and the line is served."""
        if on_sale(occasion, now) is None and not serves_only:
            due = [(hold, "seats_needed") for hold in occasion.due(now)[:ENDED_MAX] if hold.id != spare]
            self._expire(occasion, due, events, touched, now)
        for hold in self.serve(occasion, now):
            touched.append(hold)
            events += [{name: _told(value) for name, value in event.items()} for event in told_of(hold)]

    def _expire(
        self,
        occasion: Occasion,
        due: list[tuple[Hold, str]],
        events: list[dict[str, Any]],
        touched: list[Hold | Deal],
        now: int,
    ) -> None:
        for hold, reason in due:
            self.world.end(occasion, hold, "expired", now)
            touched.append(hold)
            told = {"type": EXPIRED, "hold": hold.view()}
            events.append(told | ({} if reason == "swept" else {"reason": reason}))

    def rooms(self, before: Rooms, after: Rooms) -> list[dict[str, Any]]:
        """What is told of rooms that fill up."""
        return alerts(before, after)

    def over(self, occasion: Occasion, kind: str, body: Body, now: int) -> list[tuple[Hold, str]]:
        """The holds that a command finds to be over in any case."""
        if kind == "hold.sweep.v1":
            return [(hold, "swept") for hold in occasion.due(now)[: body.get("holds_max", 500)]]
        own = occasion.live.get(body.get("hold_id") or body.get("entry_id") or "")
        if own is None or own.state != "active" or own.expires > now or kind in ("hold.price.v1", *WALK_INS):
            return []
        return [(own, "touched_late")] if own.session == body.get("session_id") else []

    def _reply(self, option: Option, body: Body, now: int) -> dict[str, Any]:
        hold = option.fields.get("hold")
        if isinstance(hold, Hold) and not hold.session:
            hold.session = self._issue(body)
        issued = option.fields.get("session_id")
        if isinstance(issued, Issued):
            issued.session = self._issue(body)
        reply = {
            "outcome": option.outcome,
            "request_id": body["request_id"],
            "occurrence_id": body["occurrence_id"],
            "version": 0,
            "decided_at": stamp(now),
        }
        if option.reason is not None:
            reply |= {"reason": option.reason, "retryable": False, "message": MESSAGE}
        return reply

    def _issue(self, body: Body) -> str:
        session = f"hgs.{body['request_id']}.{hashlib.sha1(body['request_id'].encode()).hexdigest()}"
        self.world.issued.add(session)
        return session

    @staticmethod
    def _complete(reply: dict[str, Any], option: Option, occasion: Occasion | None, version: int) -> None:
        reply["version"] = version
        for name, value in option.fields.items():
            told = value.values[0] if isinstance(value, AnyOf) else value
            told = told.least if isinstance(told, Among) else told
            told = told.low if isinstance(told, Between) else told
            told = told.value if isinstance(told, Shown) else told
            told = told.session if isinstance(told, Issued) else told
            if isinstance(told, Hold):
                reply[name] = told.view()
                if occasion is not None and option.outcome in ("held", "changed"):
                    reply["available"] = {pool: occasion.pools[pool].free() for pool in told.draws}
            elif told is ANYTHING:
                reply[name] = [{"field": "body", "reason": "is wrong"}] if name == "errors" else 1
            elif told is not None and told != {} and not (name == "more" and not told):
                reply[name] = told

    # --- rows ---------------------------------------------------------------------------------------------------

    def _journal(
        self, body: Body, reply: dict[str, Any], text: str, events: list[dict[str, Any]], now: int
    ) -> Row:
        self._journal_id += 1
        hold = reply.get("hold") or {}
        digest = hashlib.blake2b(compact(body).encode(), digest_size=16).hexdigest()
        return {
            "request_id": body["request_id"],
            "xid": str(self._xid),
            "id": str(self._journal_id),
            "fingerprint": f"\\x{digest}",
            "occurrence_id": body["occurrence_id"],
            "version": str(reply["version"]),
            "kind": body["type"],
            "outcome": reply["outcome"],
            "reason": reply.get("reason"),
            "session_id": hold.get("session_id") or body.get("session_id"),
            "hold_id": body["request_id"]
            if body["type"] in WALK_INS
            else body.get("hold_id") or body.get("booking_id"),
            "app_id": "generated",
            "reply": text,
            "events": compact(events) if events else None,
            "decided_at": row_stamp(now),
        }

    def _rows(self, occurrence_ids: set[str], holds: dict[str, Hold], now: int) -> list[Change]:
        changes = []
        for occurrence_id in sorted(occurrence_ids & self.world.occasions.keys()):
            occasion = self.world.occasions[occurrence_id]
            changes.append(self._change("occurrences", occurrence_id, occurrence_row(occasion)))
            for key, pool in occasion.pools.items():
                row: Row = {"occurrence_id": occurrence_id, "key": key}
                numbers = (pool.capacity, pool.overbooking, pool.buffer, pool.sellable, pool.held, pool.sold)
                names = ("capacity", "overbooking_percent", "buffer", "sellable", "held", "sold")
                row |= {name: None if one is None else str(one) for name, one in zip(names, numbers, strict=True)}
                changes.append(self._change("pools", f"{occurrence_id}/{key}", row))
        limits: set[tuple[str, str, int]] = set()
        for hold in holds.values():
            if hold.price is not None and "voucher" in hold.price and hold.price["voucher"] in self.world.vouchers:
                limits.add(("voucher", hold.price["voucher"], hold.price["voucher_uses_max"]))
            changes.append(
                self._change("holds", hold.id, hold_row(hold, now, offered=hold.id in self.world.offered))
            )
            limits.add(("session", hold.session, self.world.house["hold.max_per_session"]))
            caps = self.world.occasions[hold.occurrence].caps()
            limits |= {("stock", key, cap) for key, cap in caps.items() if key in self.world.stocks}
        for scope, key, cap in sorted(limits):
            row = {"scope": scope, "key": key, "used": str(self.world.gauge(scope, key).used), "cap": str(cap)}
            changes.append(self._change("shared_limits", f"{scope}/{key}", row))
        return changes

    def _lines(self, occurrence_ids: set[str], now: int) -> list[Change]:
        """Who has joined and who has left since the last transaction."""
        changes = []
        for occasion in (self.world.occasions.get(one) for one in sorted(occurrence_ids)):
            if occasion is None:
                continue
            known = self._waiting.setdefault(occasion.id, {})
            for entry in occasion.line.values():
                if entry.id not in known:
                    self._place += 1
                    known[entry.id] = entry_row(entry, occasion.id, self._place, now)
                    changes.append(self._change("waitlist", entry.id, known[entry.id]))
            for entry_id in [one for one in known if one not in occasion.line]:
                state = "offered" if entry_id in self.world.offered else "left"
                row = known.pop(entry_id) | {"state": state, "ended_at": row_stamp(now)}
                changes.append(self._change("waitlist", entry_id, row))
        return changes

    def _bookings(self, booked: dict[str, Deal]) -> list[Change]:
        changes = []
        for booking_id, deal in booked.items():
            row: Row = {name: str(deal.view[name]) for name in ("occurrence_id", "hold_id", "session_id", "state")}
            document = {**deal.view, "id": booking_id, "quote": deal.price}
            del document["booking_id"]
            row |= {"id": booking_id, "document": compact(document), "customer": None}
            changes.append(self._change("bookings", booking_id, row))
        return changes

    def follow_ups(self, bodies: list[Body], answers: dict[str, str]) -> list[Change]:
        """Which requests are promised a second answer, and which get theirs."""
        changes = []
        for body in bodies:
            request_id = body["request_id"]
            promised = body["type"] in ("booking.convert.v1", "cart.place.v1") or "pricing" in body
            if promised and '"outcome":"refused"' not in answers[request_id]:
                changes.append(self._change("follow_ups", request_id, follow_up_row(request_id, None)))
            if "answers" in body:
                row = follow_up_row(body["answers"], request_id)
                changes.append(self._change("follow_ups", body["answers"], row))
        return changes

    def _change(self, table: str, key: str, row: Row) -> Change:
        known = f"{table} {key}" in self._made
        self._made.add(f"{table} {key}")
        return Change(table, "UPDATE" if known else "INSERT", row)


def _told(value: Any) -> Any:
    """As an event shows it."""
    if isinstance(value, Hold):
        return value.view()
    if value is AS_ANSWERED:
        return MESSAGE
    if isinstance(value, Issued):
        return value.session
    return value.value if isinstance(value, Shown) else value
