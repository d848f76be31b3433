"""Good histories, small for the tests, big for measuring: `python -m tests.checker.generate FOLDER REQUESTS [holds]`.

The decisions come from the model itself; that the model is right is for the runs with the real service to show.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

from tests.checker.history import FolderSink, History, Sink, compact
from tests.checker.instants import SECOND, stamp
from tests.checker.model import Body
from tests.checker.service import Service
from tests.checker.till import VOUCHER, Till
from tests.checker.turns import WALK_INS
from tests.checker.waiter import Waiter

START = 1_800_000_000 * SECOND
MONO = 5_000_000_000_000
"""The monotonic clock's nanoseconds at the start."""


class Sale:
    """Clients, the broker and the clock around the service."""

    def __init__(
        self,
        sink: Sink,
        *,
        occurrences: int,
        capacity: int,
        batch: int,
        clients: int,
        seed: int,
        pause: int = 1_000,
        service: type[Service] = Service,
        sells: bool = True,
        reduces: bool = False,
        puts_again: bool = False,
    ) -> None:
        self._sells = sells
        self._puts_again = puts_again
        self._sink, self._batch, self._clients, self._pause = sink, batch, clients, pause
        self._random = random.Random(seed)
        self._service = service(sink, seed + 1)
        self._till = Till(self._body, self._random, max(4, capacity // 10), reduces=reduces)
        self._carter = service.carter(self._body, self._random, self._service.world.state_of)
        self._waiter = Waiter(self._body, self._random)
        self._now = START
        self._live: list[tuple[int, str, str, str]] = []
        self._puts: dict[str, Body] = {}
        self._moved = 0
        self._ids = [f"occ-{number}" for number in range(occurrences)]
        for number, occurrence_id in enumerate(self._ids):
            self._round([self._put(occurrence_id, number, capacity)], client="operator")
        self.faults: list[dict[str, Any]] = []

    def _put(self, occurrence_id: str, number: int, capacity: int, **more: Any) -> Body:
        body = self._body(
            "occurrence.put.v1",
            occurrence_id,
            product_id="show",
            starts_at=stamp(START + 10**14 + number * 60 * SECOND),
            ends_at=stamp(START + 2 * 10**14),
            timezone="Europe/Rome",
            capacity=capacity,
            ticket_types=[{"key": "adult"}, {"key": "child", "pools": ["kids"]}],
            pools=[{"key": "kids", "capacity": capacity // 4}],
            extras=[{"key": "guide", "stock": {"key": "guides", "cap": max(4, capacity // 5)}}],
            **more,
        )
        self._puts[occurrence_id] = body
        return body

    def _put_again(self, occurrence_id: str) -> Body:
        """As it is, giving its start away, or an hour later."""
        body = {**self._puts[occurrence_id], **self._body("occurrence.put.v1", occurrence_id)}
        match self._random.randrange(3):
            case 0:
                body["yields_start"] = not body.get("yields_start", False)
            case 1:
                self._moved += 1
                body["starts_at"] = stamp(START + 10**14 + (10_000 + self._moved) * 3600 * SECOND)
        self._puts[occurrence_id] = body
        return body

    def _body(self, kind: str, occurrence_id: str, **more: Any) -> Body:
        return {"type": kind, "request_id": self._service.uuid(), "occurrence_id": occurrence_id, **more}

    def run(self, requests: int) -> None:
        """So many requests of buyers."""
        done = 0
        while done < requests:
            bodies = [self._next() for _ in range(min(self._batch, requests - done))]
            done += len(bodies)
            self._round(bodies)
            self._sweep()
            self._follow()
        for _ in range(6):
            self._now += SECOND
            self._sweep(always=True)
            self._follow()

    def finish(self) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
        """run.json, final.json and the nemesis notes."""
        at = self._now / SECOND
        nemesis = [{"fault": "kill", "target": "gate", "t_start": at - 1, "t_end": at, "really_applied": True}]
        run = {"clients": None, "faults": ["kill"], "ended_at": stamp(self._now)}
        final: dict[str, Any] = {"queued": {"holdgate.requests.00": 0}, "dead": []}
        return run, final, nemesis

    # --- rounds -------------------------------------------------------------------------------------------------

    def _round(self, bodies: list[Body], client: str | None = None) -> None:
        """Sent, committed, answered, each a little later than the one before."""
        senders = {}
        for body in bodies:
            self._now += self._random.randrange(5, 40)
            name = client or f"client-{self._random.randrange(self._clients)}"
            senders[body["request_id"]] = name
            self._send(name, body)
            if client is None and self._random.randrange(12) == 0:
                self._send(name, body)
        decided = self._now + 300
        self._now += self._random.randrange(1_500, 4_000)
        answers = self._service.commit(bodies, decided, self._now)
        for request_id, text in answers.items():
            self._now += self._random.randrange(5, 30)
            self._note(senders[request_id], {"got": text, "for": request_id}, 2_000)
            if self._random.randrange(12) == 0:
                self._note(senders[request_id], {"got": text, "for": request_id}, 2_010)
        self._now += 2_100 + self._random.randrange(self._pause)
        for body in bodies:
            text = answers[body["request_id"]]
            self._remember(body, text, senders[body["request_id"]])

    def _send(self, name: str, body: Body) -> None:
        text, request_id = compact(body), body["request_id"]
        self._note(name, {"sent": text, "id": request_id, "ch": 1}, 0)
        self._sink.tap_request({"body": text, "id": request_id, "w": self._now + 100})
        self._note(name, {"confirmed": request_id}, 150)

    def _note(self, name: str, note: dict[str, Any], later: int) -> None:
        moment = self._now + later
        self._sink.client(name, {**note, "t": MONO + (moment - START) * 1000, "w": moment})

    def _remember(self, body: Body, text: str, client: str | None) -> None:
        self._till.remember(body, text, client)
        self._carter.remember(body, text, client)
        self._waiter.remember(body, text)
        if body["type"] in WALK_INS and text.startswith('{"outcome":"held"'):
            occasion = self._service.world.occasions[body["occurrence_id"]]
            hold = occasion.live.get(body["request_id"])
            if hold is not None and len(self._live) < 5000:
                self._live.append((hold.expires, hold.id, hold.session, occasion.id))

    def _sweep(self, *, always: bool = False) -> None:
        """What the service sends to itself; the tap sees it."""
        for occurrence_id in self._ids:
            if not always and self._random.randrange(3):
                continue
            if not self._service.world.occasions[occurrence_id].due(self._now):
                continue
            body = self._body("hold.sweep.v1", occurrence_id)
            self._sink.tap_request({"body": compact(body), "id": body["request_id"], "w": self._now})
            self._service.commit([body], self._now + 50, self._now + 2_000)
            self._now += 3_000

    def _follow(self) -> None:
        """Prices, orders and carts: the service's own commands, whose answers are second ones to somebody."""
        due = self._till.due() + self._carter.due()
        if not due:
            return
        for body, _ in due:
            self._sink.tap_request({"body": compact(body), "id": body["request_id"], "w": self._now})
        answers = self._service.commit([body for body, _ in due], self._now + 50, self._now + 2_000)
        self._now += 3_000
        for body, client in due:
            text = answers[body["request_id"]]
            if client is not None and "answers" in body:
                self._note(client, {"got": text, "for": body["answers"]}, 10)
            self._remember(body, text, None)
        self._now += 1_000

    # --- buyers -------------------------------------------------------------------------------------------------

    def _next(self) -> Body:
        chance = self._random.randrange(100)
        if not self._sells:
            return self._about_a_hold() if self._live and chance < 30 else self._place()
        if chance < 12 and (bought := self._till.next()) is not None:
            return bought
        if self._live and chance < 40:
            return self._about_a_hold()
        if chance < 42:
            return self._body("hold.place.v1", "occ-never", items={"adult": 1})
        if chance > 97:
            return self._carter.place(self._ids, self._items)
        if chance > 89:
            return self._waiter.next(self._fullest(), {"adult": self._random.randrange(1, 6)})
        if chance < 44:
            return self._place(items={"nobody": 1})
        if chance < 45 and len(self._ids) < 10:
            capacity = self._random.choice((20, 30, 40, 60))
            return self._body("occurrence.capacity.v1", self._random.choice(self._ids), capacity=capacity)
        if self._puts_again and chance < 50:
            return self._put_again(self._random.choice(self._ids))
        return self._place()

    def _fullest(self) -> str:
        """Of a few, for whoever has been told that there is nothing."""
        some = self._random.sample(self._ids, min(3, len(self._ids)))
        return min(some, key=lambda one: self._service.world.occasions[one].pools["total"].free() or 0)

    def _place(self, **more: Any) -> Body:
        body = self._body("hold.place.v1", self._random.choice(self._ids), items=self._items())
        chance = self._random.randrange(100)
        if chance < 60:
            body["session_id"] = f"buyer-{self._random.getrandbits(40):x}" if chance < 38 else "greedy"
        if chance % 10 == 0:
            body["extras"] = {"guide": 1}
        if chance % 12 == 0:
            body["ttl_seconds"] = 1
        if chance % 7 == 0:
            body["user_id"] = f"user-{chance}"
        if chance % 3 == 0 and self._sells:
            body["pricing"] = {"voucher": VOUCHER} if chance % 2 else {"payment_method": "card"}
        return {**body, **more}

    def _items(self) -> dict[str, int]:
        child = self._random.choice((0, 0, 1))
        return {"adult": self._random.randrange(1, 4), **({"child": child} if child else {})}

    def _about_a_hold(self) -> Body:
        place = self._random.randrange(len(self._live))
        self._live[place], self._live[-1] = self._live[-1], self._live[place]
        _, hold_id, session, occurrence_id = self._live[-1]
        kind = self._random.choice(("release", "release", "release", "extend", "change"))
        body = self._body(f"hold.{kind}.v1", occurrence_id, session_id=session, hold_id=hold_id)
        if kind == "release" and self._random.randrange(6):
            self._live.pop()
        if kind == "change":
            body["items"] = self._items()
        if self._random.randrange(15) == 0:
            body["session_id"] = "somebody-else"
        return body


def small(
    requests: int = 150,
    seed: int = 1,
    service: type[Service] = Service,
    *,
    reduces: bool = False,
    puts_again: bool = False,
) -> History:
    """A history for the tests, in memory."""
    history = History()
    size: dict[str, Any] = {"occurrences": 2, "capacity": 40, "batch": 5, "clients": 3, "pause": 250_000}
    sale = Sale(history, **size, seed=seed, service=service, reduces=reduces, puts_again=puts_again)
    sale.run(requests)
    history.run, history.final, history.nemesis = sale.finish()
    history.run["clients"] = sorted(history.clients)
    return history


def big(folder: Path, requests: int, *, sells: bool) -> None:
    """A history for measuring, in files; holds alone, or all that follows from them."""
    sink = FolderSink(folder)
    capacity = max(100, requests // 100)
    sale = Sale(sink, occurrences=40, capacity=capacity, batch=200, clients=8, seed=7, sells=sells)
    sale.run(requests)
    sink.close(*sale.finish())


if __name__ == "__main__":
    big(Path(sys.argv[1]), int(sys.argv[2]), sells="holds" not in sys.argv[3:])
