"""A client that knows the contract and nothing else: `python -m tests.checker.buyers SPEC`.

Plain pika, its own notes, on purpose awkward: it repeats itself, contradicts itself, asks for nonsense, and comes
too late.
"""

from __future__ import annotations

import json
import random
import sys
import uuid
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from secrets import token_hex
from time import monotonic, monotonic_ns, time_ns
from typing import Any
from zlib import crc32

import pika
from pika.exceptions import AMQPError, NackError, UnroutableError

ATTEMPT_SECONDS = 5.0
PATIENCE_SECONDS = 180.0
THINK_SECONDS = 0.1

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spec:
    """What one process does."""

    name: str
    amqp_url: str
    notes: str
    occurrence_ids: tuple[str, ...]
    requests: int
    seed: int
    window: int = 12
    until: str | None = None
    """With this it goes on after its requests until this file exists, and thinks between two windows."""
    ttl_seconds_max: int = 3
    """So long at most do those holds live that are short-lived."""
    lines_and_carts: bool = False
    """Stand in line, and fill carts."""


class Wire:
    """One connection at a time; everything that crosses it is noted."""

    def __init__(self, spec: Spec, file: TextIOWrapper) -> None:
        self._spec, self._file = spec, file
        self._connects = 0
        self._connection: Any = None
        self.answers: dict[str, Body] = {}

    def note(self, **what: Any) -> None:
        what |= {"t": monotonic_ns(), "w": time_ns() // 1000}
        self._file.write(json.dumps(what, ensure_ascii=False, separators=(",", ":")) + "\n")
        self._file.flush()

    def _open(self) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(self._spec.amqp_url))
        self._reply_to = f"holdgate.reply.{self._spec.name}.{token_hex(8)}"
        self._answers_on = self._connection.channel()
        arguments = {"x-queue-type": "classic"}
        self._answers_on.queue_declare(self._reply_to, exclusive=True, auto_delete=True, arguments=arguments)
        self._answers_on.basic_consume(self._reply_to, self._got, auto_ack=True)
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        self._connects += 1
        self.note(connected=self._connects)

    def _got(self, _channel: Any, _method: Any, properties: Any, body: bytes) -> None:
        text = body.decode()
        self.note(got=text, **{"for": properties.correlation_id})
        self.answers[properties.correlation_id] = json.loads(text)

    def send(self, body: Body) -> None:
        """Publish once; whatever happens is noted, nothing is raised."""
        text = json.dumps(body, ensure_ascii=False)
        key = f"slot.{crc32(body['occurrence_id'].encode()) % 256:03d}"
        try:
            if self._connection is None or self._connection.is_closed:
                self._open()
            properties = pika.BasicProperties(
                delivery_mode=2, reply_to=self._reply_to, correlation_id=body["request_id"], app_id=self._spec.name
            )
            self.note(sent=text, id=body["request_id"], ch=self._connects)
            self._channel.basic_publish("holdgate.requests", key, text.encode(), properties, mandatory=True)
            self.note(confirmed=body["request_id"])
        except UnroutableError:
            self.note(returned=body["request_id"])
        except NackError:
            self.note(nacked=body["request_id"])
        except (AMQPError, OSError):
            self.note(lost=body["request_id"])
            self._connection = None

    def wait(self, request_ids: set[str], seconds: float) -> None:
        """Until all of these are answered, or so long."""
        deadline = monotonic() + seconds
        while not request_ids <= self.answers.keys() and monotonic() < deadline:
            try:
                if self._connection is None:
                    self._open()
                self._connection.process_data_events(time_limit=0.05)
            except (AMQPError, OSError):
                self._connection = None

    def send_unreadable(self, text: str, occurrence_id: str) -> None:
        """Publish something that has no ids, and so gets no answer."""
        if self._connection is None or self._connection.is_closed:
            self._open()
        key = f"slot.{crc32(occurrence_id.encode()) % 256:03d}"
        properties = pika.BasicProperties(delivery_mode=2, app_id=self._spec.name)
        self._channel.basic_publish("holdgate.requests", key, text.encode(), properties, mandatory=True)

    def close(self) -> None:
        if self._connection is not None and self._connection.is_open:
            self._connection.close()


class Buyer:
    """Makes the requests up."""

    def __init__(self, spec: Spec, wire: Wire) -> None:
        self._spec, self._wire = spec, wire
        self._random = random.Random(spec.seed)
        self._live: list[Body] = []
        self._past: list[Body] = []
        self._entries: list[Body] = []
        """Places in line; some have become holds, whose ids are the same."""
        self._extended: set[str] = set()
        """Holds that are being extended in this window."""

    def run(self) -> list[str]:
        """Everything, a window at a time; the ids that were never answered."""
        left, gave_up = self._spec.requests, []
        deadline = monotonic() + PATIENCE_SECONDS
        while left > 0 or self._goes_on():
            self._extended.clear()
            bodies = [self._next() for _ in range(self._spec.window)]
            left -= len(bodies)
            gave_up += self._ask(bodies, deadline)
        return gave_up

    def _goes_on(self) -> bool:
        until = self._spec.until
        if until is None or Path(until).exists():
            return False
        self._wire.wait({"nothing"}, THINK_SECONDS)
        return True

    def _ask(self, bodies: list[Body], deadline: float) -> list[str]:
        waiting = {body["request_id"] for body in bodies}
        while waiting and monotonic() < deadline:
            for body in bodies:
                if body["request_id"] in waiting:
                    self._wire.send(body)
                    if self._random.randrange(100) < 8:
                        self._wire.send(body)
            self._wire.wait(waiting, ATTEMPT_SECONDS)
            waiting -= {
                one for one in waiting if not self._wire.answers.get(one, {"retryable": True}).get("retryable")
            }
        for body in bodies:
            answer = self._wire.answers.pop(body["request_id"], None)
            if answer is not None and answer["outcome"] == "held":
                self._live.append(answer["hold"])
            elif answer is not None and answer["outcome"] == "waiting":
                self._entries.append({**answer, "hold_id": answer["entry_id"]})
        self._past = (self._past + bodies)[-50:]
        return sorted(waiting)

    def _next(self) -> Body:
        chance = self._random.randrange(100)
        if self._spec.lines_and_carts and self._random.randrange(5) == 0:
            return self._about_the_line() if self._random.randrange(4) else self._cart()
        if self._live and chance < 28:
            return self._about_a_hold()
        if chance < 33:
            return self._body("availability.get.v1")
        if self._past and chance < 36:
            return {**self._random.choice(self._past), "user_id": f"other-{self._random.randrange(9)}"}
        if chance < 42:
            return self._nonsense()
        return self._place()

    def _body(self, kind: str, **more: Any) -> Body:
        request_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        occurrence_id = self._random.choice(self._spec.occurrence_ids)
        return {"type": kind, "request_id": request_id, "occurrence_id": occurrence_id, **more}

    def _place(self) -> Body:
        body = self._body("hold.place.v1", items=self._basket())
        if self._random.randrange(3):
            body["session_id"] = f"{self._spec.name}-{self._random.randrange(40)}"
        if self._random.randrange(4) == 0:
            body["extras"] = {"guide": self._random.randrange(1, 3)}
        if self._random.randrange(8) == 0:
            body["ttl_seconds"] = self._random.randint(1, self._spec.ttl_seconds_max)
        if self._random.randrange(6) == 0:
            body["user_id"] = "user-ü"
        return body

    def _about_the_line(self) -> Body:
        chance = self._random.randrange(8)
        if self._entries and chance < 3:
            entry = self._random.choice(self._entries)
            if chance == 0:
                self._live.append(entry)  # whether it was offered anything, or not
            body = self._body("waitlist.leave.v1", session_id=entry["session_id"], entry_id=entry["entry_id"])
            body["occurrence_id"] = entry["occurrence_id"]
            return body if self._random.randrange(9) else {**body, "session_id": "somebody-else"}
        body = self._body("waitlist.join.v1", items=self._basket())
        if chance < 6:
            body["session_id"] = f"{self._spec.name}-{self._random.randrange(40)}"
        if chance == 6:
            body["extras"] = {"guide": 1}
        return body

    def _cart(self) -> Body:
        places = self._random.sample(self._spec.occurrence_ids, 2)
        body = self._body("cart.place.v1")
        body["occurrence_id"] = places[0]
        body["legs"] = [{"occurrence_id": one, "items": self._basket()} for one in places]
        if self._random.randrange(2):
            body["session_id"] = f"{self._spec.name}-{self._random.randrange(40)}"
        if self._random.randrange(3) == 0:
            body["ttl_seconds"] = self._random.randint(1, self._spec.ttl_seconds_max)
        return body

    def _basket(self) -> Body:
        basket = {key: self._random.choice((0, 0, 1, 2)) for key in ("child", "senior")}
        return {key: count for key, count in {"adult": self._random.randrange(1, 4), **basket}.items() if count}

    def _about_a_hold(self) -> Body:
        hold = self._live[self._random.randrange(len(self._live))]
        kind = self._random.choice(("release", "release", "change", "extend", "extend"))
        if kind == "extend" and hold["hold_id"] in self._extended:
            kind = "change"  # a second extension at the same instant could gain nothing
        self._extended.add(hold["hold_id"] if kind == "extend" else "")
        body = self._body(f"hold.{kind}.v1", session_id=hold["session_id"], hold_id=hold["hold_id"])
        body["occurrence_id"] = hold["occurrence_id"]
        if kind == "change":
            body["items"] = self._basket()
        if kind == "release" and self._random.randrange(5):
            self._live.remove(hold)  # otherwise it is asked for once more, too late
        if self._random.randrange(12) == 0:
            body["session_id"] = "somebody-else"
        return body

    def _nonsense(self) -> Body:
        body = self._place()
        match self._random.randrange(8):
            case 0:
                body["items"] = {"nobody": 1}
            case 1:
                body["items"] = {"adult": 11}
            case 2:
                body["occurrence_id"] = "never-put"
            case 3:
                body["ttl_second"] = 5
            case 4:
                body["items"] = {"adult": "2"}
            case 5:
                body["session_id"] = "hgs.forged"
            case 6:
                body["ttl_seconds"] = 3601
            case _:
                body["extras"] = {"nothing": 1}
        return body


def main() -> int:
    fields = json.loads(sys.argv[1])
    spec = Spec(**{**fields, "occurrence_ids": tuple(fields["occurrence_ids"])})
    with Path(spec.notes).open("w", encoding="utf-8", newline="\n") as file:
        wire = Wire(spec, file)
        gave_up = Buyer(spec, wire).run()
        wire.close()
        wire.note(gave_up=gave_up)
        file.write('{"end":true}\n')
    return 1 if gave_up else 0


if __name__ == "__main__":
    sys.exit(main())
