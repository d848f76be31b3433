"""A right service, for good histories: what it would write, commit by commit. It decides as the model does."""

from __future__ import annotations

import hashlib
import random
from typing import Any

from tests.checker.allowed import ANYTHING, Among, AnyOf, Between, Option, Shown
from tests.checker.booker import Deal
from tests.checker.decoding import Change, Row, Transaction
from tests.checker.history import Sink, compact
from tests.checker.instants import SECOND, row_stamp, stamp
from tests.checker.judge import Judge
from tests.checker.model import Body
from tests.checker.recording import Limits
from tests.checker.rooms import Rooms, alerts, rooms
from tests.checker.verdict import Report
from tests.checker.world import Hold, Occasion, World


class Service:
    """What a right service would write, commit by commit."""

    def __init__(self, sink: Sink, seed: int) -> None:
        self._sink = sink
        self._random = random.Random(seed)
        self.world = World({}, Limits.of({}).stale)
        self._judge = Judge(Report(), self.world)
        self._xid = 1000
        self._journal_id = 0
        self._arrived = 0
        self._made: set[str] = set()
        self._limits: set[tuple[str, str]] = set()

    def uuid(self) -> str:
        text = f"{self._random.getrandbits(128):032x}"
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
        return self._judge.of_kind(occasion, body["type"], body, expired, now)

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        """What is done."""
        return options[0]

    def needs_room(self, occasion: Occasion, body: Body, now: int) -> bool:
        """Whether the request would be refused only because of holds that are over."""
        return self.options(occasion, body, [], now)[0].outcome.startswith("granted, since")

    def _decide(self, body: Body, now: int) -> tuple[dict[str, Any], list[dict[str, Any]], list[Hold | Deal]]:
        kind = body["type"]
        occasion = self.world.occasions.get(body["occurrence_id"])
        before = rooms(self.world, occasion)
        events: list[dict[str, Any]] = []
        touched: list[Hold | Deal] = []
        if occasion is not None:
            due = self.over(occasion, kind, body, now)
            if not due and self.needs_room(occasion, body, now):
                due = [(hold, "seats_needed") for hold in occasion.due(now)]
            for hold, reason in due:
                self.world.end(occasion, hold, "expired", now)
                touched.append(hold)
                told = {"type": "hold.expired.v1", "hold": hold.view()}
                events.append(told | ({} if reason == "swept" else {"reason": reason}))
        expired = list(events)
        option = self.choose(self.options(occasion, body, expired, now), occasion, body, now)
        reply = self._reply(option, body, now)
        if option.apply is not None:
            done = option.apply()
            touched += done if isinstance(done, list) else [done] if isinstance(done, Hold) else []
        occasion = self.world.occasions.get(body["occurrence_id"])
        version = 0
        if occasion is not None:
            occasion.version += 1
            version = occasion.version
        self._complete(reply, option, occasion, version)
        events += [
            {name: _told(value) for name, value in event.items() if value not in (False, None, {})}
            for event in option.events
        ]
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

    def rooms(self, before: Rooms, after: Rooms) -> list[dict[str, Any]]:
        """What is told of rooms that fill up."""
        return alerts(before, after)

    def over(self, occasion: Occasion, kind: str, body: Body, now: int) -> list[tuple[Hold, str]]:
        """The holds that a command finds to be over in any case."""
        if kind == "hold.sweep.v1":
            return [(hold, "swept") for hold in occasion.due(now)[: body.get("holds_max", 500)]]
        own = occasion.live.get(body.get("hold_id", ""))
        if own is None or own.state != "active" or own.expires > now:
            return []
        if own.session == body.get("session_id"):
            return [(own, "touched_late")]
        return []

    def _reply(self, option: Option, body: Body, now: int) -> dict[str, Any]:
        hold = option.fields.get("hold")
        if isinstance(hold, Hold) and not hold.session:
            hold.session = f"hgs.{body['request_id']}.{hashlib.sha1(hold.id.encode()).hexdigest()}"
            self.world.issued.add(hold.session)
        reply = {
            "outcome": option.outcome,
            "request_id": body["request_id"],
            "occurrence_id": body["occurrence_id"],
            "version": 0,
            "decided_at": stamp(now),
        }
        if option.reason is not None:
            reply |= {"reason": option.reason, "retryable": False, "message": "Not this time"}
        return reply

    @staticmethod
    def _complete(reply: dict[str, Any], option: Option, occasion: Occasion | None, version: int) -> None:
        reply["version"] = version
        for name, value in option.fields.items():
            told = value.values[0] if isinstance(value, AnyOf) else value
            told = told.least if isinstance(told, Among) else told
            told = told.low if isinstance(told, Between) else told
            told = told.value if isinstance(told, Shown) else told
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
            if body["type"] == "hold.place.v1"
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
            changes.append(self._change("holds", hold.id, hold_row(hold, now)))
            limits.add(("session", hold.session, self.world.house["hold.max_per_session"]))
            caps = self.world.occasions[hold.occurrence].caps()
            limits |= {("stock", key, cap) for key, cap in caps.items() if key in self.world.stocks}
        for scope, key, cap in sorted(limits):
            row = {"scope": scope, "key": key, "used": str(self.world.gauge(scope, key).used), "cap": str(cap)}
            changes.append(self._change("shared_limits", f"{scope}/{key}", row))
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
            promised = body["type"] == "booking.convert.v1" or "pricing" in body
            if promised and '"outcome":"refused"' not in answers[request_id]:
                changes.append(self._change("follow_ups", request_id, _follow_up(request_id, None)))
            if "answers" in body:
                row = _follow_up(body["answers"], request_id)
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
    return value.value if isinstance(value, Shown) else value


def _follow_up(request_id: str, answered_by: str | None) -> Row:
    return {
        "request_id": request_id,
        "reply_to": "there",
        "correlation_id": request_id,
        "answered_by": answered_by,
    }


def occurrence_row(occasion: Occasion) -> Row:
    """The row of an occurrence, as far as anybody looks."""
    return {
        "id": occasion.id,
        "product_id": occasion.product,
        "status": occasion.status,
        "definition": '{"kept": "elsewhere"}',
        "version": str(occasion.version),
    }


def hold_row(hold: Hold, now: int) -> Row:
    """The row of a hold."""
    basket: dict[str, Any] = {"draws": hold.draws, "items": hold.items}
    basket |= {"extras": hold.extras, "stock": hold.stock} if hold.extras else {}
    return {
        "id": hold.id,
        "occurrence_id": hold.occurrence,
        "session_id": hold.session,
        "user_id": hold.user,
        "state": hold.state,
        "basket": compact(basket),
        "seats": str(hold.seats),
        "ttl_seconds": str(hold.ttl // SECOND),
        "created_at": row_stamp(hold.created),
        "expires_at": row_stamp(hold.expires),
        "extensions_used": str(hold.extensions),
        "client_address": None,
        "ended_at": None if hold.state in ("active", "converting", "confirmed") else row_stamp(now),
        "quote": None if hold.price is None else compact(hold.price),
        "cart_id": hold.cart,
    }
