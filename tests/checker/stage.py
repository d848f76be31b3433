"""Short histories by hand: one buyer asks one thing after another, and each is a commit of its own."""

from __future__ import annotations

from typing import Any

from tests.checker.checker import check
from tests.checker.generate import MONO, START
from tests.checker.history import History, compact
from tests.checker.instants import SECOND, stamp
from tests.checker.jsonl import loads
from tests.checker.model import Body
from tests.checker.service import Service
from tests.checker.verdict import Report

BUYER = "buyer"


class Stage:
    """A service, a buyer, and a clock that moves by a tenth of a second with each request."""

    def __init__(self, service: type[Service] = Service) -> None:
        self.history = History()
        self.service = service(self.history, 1)
        self.carter = service.carter(self._body, self.service.random, self.service.world.state_of)
        self._now = START

    def put(self, occurrence_id: str, capacity: int = 2, **more: Any) -> Body:
        """On sale for an hour from the first request on, unless it is said otherwise; later ones a minute later."""
        starts = START + (3600 + 60 * len(self.service.world.occasions)) * SECOND
        fields = {
            "product_id": "show",
            "starts_at": stamp(starts),
            "ends_at": stamp(starts + 3600 * SECOND),
            "timezone": "Europe/Rome",
            "capacity": capacity,
            "ticket_types": [{"key": "adult"}, {"key": "child", "pools": ["kids"]}],
            "pools": [{"key": "kids", "capacity": 1}],
            "extras": [{"key": "guide", "stock": {"key": "guides", "cap": 1}}],
        }
        return self.ask("occurrence.put.v1", occurrence_id, **{**fields, **more})

    def ask(self, kind: str, occurrence_id: str, **more: Any) -> Body:
        """What is answered at once; carts are taken to their end."""
        body = self._body(kind, occurrence_id, **more)
        answer = self._decide(body)
        while due := self.carter.due():
            for command, client in due:
                self._decide(command, BUYER if client else None)
        return answer

    def place(self, occurrence_id: str, adults: int = 1, **more: Any) -> Body:
        return self.ask("hold.place.v1", occurrence_id, **{"items": {"adult": adults}, **more})

    def join(self, occurrence_id: str, adults: int = 1, **more: Any) -> Body:
        return self.ask("waitlist.join.v1", occurrence_id, **{"items": {"adult": adults}, **more})

    def release(self, held: Body) -> Body:
        hold = held["hold"]
        own = {"session_id": hold["session_id"], "hold_id": hold["hold_id"]}
        return self.ask("hold.release.v1", hold["occurrence_id"], **own)

    def cart(self, *occurrence_ids: str, **more: Any) -> Body:
        """How it ended."""
        legs = [{"occurrence_id": one, "items": {"adult": 1}} for one in occurrence_ids]
        self.ask("cart.place.v1", occurrence_ids[0], legs=legs, **more)
        answer: Body = loads(self.history.clients[BUYER][-1]["got"])
        return answer

    def wait(self, seconds: int) -> None:
        """Time goes by, and nobody sweeps."""
        self._now += seconds * SECOND

    def sweep(self, occurrence_id: str) -> Body:
        return self._decide(self._body("hold.sweep.v1", occurrence_id), None)

    def events(self, kind: str) -> list[Body]:
        """What was told of one kind."""
        told = [loads(note["event"]) for note in self.history.tap_events]
        return [event for event in told if event["type"] == f"{kind}.v1"]

    def judge(self) -> Report:
        """What the checker says."""
        history = self.history
        # Only who comes first is of interest here, not how late anybody notices what is over.
        history.run = {"clients": [BUYER], "ended_at": stamp(self._now), "expiry_late_seconds": 10_000}
        history.final = {"queued": {}, "dead": []}
        return check(history.recording())

    def _body(self, kind: str, occurrence_id: str, **more: Any) -> Body:
        return {"type": kind, "request_id": self.service.uuid(), "occurrence_id": occurrence_id, **more}

    def _decide(self, body: Body, client: str | None = BUYER) -> Body:
        text, request_id = compact(body), body["request_id"]
        second = "answers" in body
        self._now += SECOND // 10
        if client is not None and not second and body["type"] != "hold.sweep.v1":
            self._note({"sent": text, "id": request_id, "ch": 1}, 0)
            self._note({"confirmed": request_id}, 100)
        self.history.tap_request({"body": text, "id": request_id, "w": self._now})
        answer = self.service.commit([body], self._now + 300, self._now + 2_000)[request_id]
        if client is not None:
            self._note({"got": answer, "for": body["answers"] if second else request_id}, 3_000)
        self.carter.remember(body, answer, BUYER)
        told: Body = loads(answer)
        return told

    def _note(self, note: dict[str, Any], later: int) -> None:
        moment = self._now + later
        self.history.client(BUYER, {**note, "t": MONO + (moment - START) * 1000, "w": moment})
