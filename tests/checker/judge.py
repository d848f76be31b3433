"""P5: every recorded decision against the model, field by field, and the rows against what the model holds."""

from __future__ import annotations

import json
from typing import Any

from tests.checker import carts, deal_news, lines, model, model_catalogue
from tests.checker.allowed import ANYTHING, AS_ANSWERED, Among, AnyOf, Between, Issued, Option, Shown, refused
from tests.checker.bodies import INTERNAL, body_of, shows
from tests.checker.cart_book import CartBook
from tests.checker.decoding import Row
from tests.checker.instants import micros
from tests.checker.jsonl import loads
from tests.checker.model import ENDED_MAX, Body, left, on_sale
from tests.checker.over import expire, swept
from tests.checker.refused_money import CONVERT, with_refused_money
from tests.checker.rooms import alerted, alerts, rooms
from tests.checker.shown import view_problems
from tests.checker.turns import AFTER_THE_LINE, UNSERVED, Parts, Turn, offered, parts_of
from tests.checker.validity import faults, faults_of_text
from tests.checker.verdict import Report
from tests.checker.world import Hold, Occasion, World

_OWN = {
    "hold.change.v1": model.change, "hold.extend.v1": model.extend, "hold.release.v1": model.release,
    "waitlist.join.v1": lines.join, "waitlist.leave.v1": lines.leave,
}  # fmt: skip
_EVENT_DEFAULTS: Body = {"created": False, "late": False, "extras": {}, "hold_ids": {}}
_REASONS = {"hold.released.v1": "by_owner", "waitlist.left.v1": "by_owner", "cart.settled.v1": ""}
"""What is meant where an event gives none."""


class Judge:
    """Runs the model beside the journal."""

    def __init__(self, report: Report, world: World) -> None:
        self.report, self.world = report, world
        self.lost: set[str] = set()
        """Occurrences on which service and model have parted; nothing more is said about them."""
        self.suspended = False
        """A setting was changed on the way: nothing more can be said."""
        self.carts = CartBook(world)

    # --- one decision -------------------------------------------------------------------------------------------

    def decide(
        self, row: Row, bodies: list[str], reply: dict[str, Any], events: list[dict[str, Any]]
    ) -> list[int]:
        """Judge one journal row; the numbers of the bodies that it may have been about."""
        occurrence_id, kind = str(row["occurrence_id"]), str(row["kind"])
        if self.suspended or occurrence_id in self.lost:
            return []
        if not bodies and kind in INTERNAL:
            self.suspended = True  # what the service told itself was not tapped: nobody knows the price
            return []
        self.report.count("P5")
        now = micros(str(row["decided_at"]))
        problems: list[str] = []
        occasion = self.world.occasions.get(occurrence_id)
        before = rooms(self.world, occasion) if events else None
        parts = parts_of(kind, events, reply, waited=occasion is not None and bool(occasion.line))
        if occasion is not None:
            problems += self._before(occasion, row, bodies, reply, parts, now)
            if occurrence_id in self.lost:
                return self._close(row, problems, [])
        several = len(bodies) > 1
        candidates = [
            self._option(occasion, kind, body, row, reply, parts.ended, now, several) for body in bodies or [""]
        ]
        fitting = [number for number, (option, _) in enumerate(candidates) if option is not None]
        chosen = fitting[0] if fitting else 0
        option, wanted = candidates[chosen]
        if option is None:
            self._lose(row, f"was {_short(reply)}; the contract asks for {wanted}")
            return self._close(row, problems, fitting)
        self._learn(option, reply)
        if option.apply is not None:
            option.apply()
        if occasion is not None:
            for turn in parts.after:
                problems += self._turn(occasion, row, bodies, turn, now)
        problems += self._fields(option, reply, occasion, now)
        moved = option.apply is not None or len(events) > len(option.events)
        told = alerts(before, rooms(self.world, self.world.occasions.get(occurrence_id))) if moved else []
        problems += self._events(option, parts.own, reply) + alerted(told, parts.rooms)
        if kind in carts.KINDS:
            self._note_cart(row, bodies[chosen : chosen + 1], reply, parts.own)
        return self._close(row, problems, fitting)

    def _close(self, row: Row, problems: list[str], fitting: list[int]) -> list[int]:
        for problem in problems:
            self._flag("P5", row, problem)
        found = self.world.occasions.get(str(row["occurrence_id"]))
        if found is not None:
            found.version = int(row["version"] or 0)
        return fitting

    def _flag(self, name: str, row: Row, problem: str) -> None:
        where = f"{row['occurrence_id']} v{row['version']}"
        self.report.flag(name, f"request {row['request_id']} at {where}: {problem}")

    def _note_cart(self, row: Row, bodies: list[str], reply: Body, events: list[Body]) -> None:
        self.report.count("P18")
        for problem in self.carts.note(str(row["kind"]), body_of(bodies), reply, events, self.lost):
            self._flag("P18", row, problem)

    # --- who is served first ------------------------------------------------------------------------------------

    def _before(
        self, occasion: Occasion, row: Row, bodies: list[str], reply: Body, parts: Parts, now: int
    ) -> list[str]:
        """What was found to be over, and the line where it comes first."""
        kind, problems = str(row["kind"]), []
        waited = bool(occasion.line)
        if kind == "hold.sweep.v1":
            expired = [event["hold"]["hold_id"] for turn in parts.before for event in turn.expired]
            served = any(turn.offers for turn in parts.after)
            problems += swept(occasion, body_of(bodies), expired, now, served=served)
        comes_first = kind in AFTER_THE_LINE
        for turn in parts.before:
            if comes_first and waited:
                problems += self._turn(occasion, row, bodies, turn, now)
            elif turn.expired:
                problems += expire(self.world, occasion, kind, body_of(bodies), turn.expired, now)
            if turn.offers and not comes_first:
                self._flag("P19", row, "seats are offered before it is decided whether there are any")
        if waited and comes_first and reply.get("reason") not in UNSERVED and on_sale(occasion, now) is None:
            own = body_of(bodies).get("hold_id")
            left = [hold.id for hold in occasion.due(now) if hold.id != own]
            if left and parts.ended < ENDED_MAX and kind != "waitlist.join.v1":
                self._flag("P19", row, f"the seats of {left[0]}, which is over, are kept from the line")
        return problems

    def _turn(self, occasion: Occasion, row: Row, bodies: list[str], turn: Turn, now: int) -> list[str]:
        """What is over is ended, and what is free is offered to whoever stands in line."""
        problems = []
        if turn.expired:
            kind = str(row["kind"])
            problems += expire(self.world, occasion, kind, body_of(bodies), turn.expired, now)
        if occasion.line or turn.offers:
            self.report.count("P19")
            overtaken, unlike = offered(self.world, occasion, turn, now)
            for problem in overtaken:
                self._flag("P19", row, problem)
            problems += unlike
            if any(str(event["entry_id"]) not in occasion.live for _, event in turn.offers):
                self.lost.add(occasion.id)  # somebody has a hold that the model has not
        return problems

    def _lose(self, row: Row, why: str) -> None:
        self.lost.add(str(row["occurrence_id"]))
        text = f"request {row['request_id']} ({row['kind']}) at {row['occurrence_id']} v{row['version']} {why}"
        self.report.flag("P5", text)

    def _learn(self, option: Option, reply: dict[str, Any]) -> None:
        """A session that was issued is known from then on."""
        hold, issued = option.fields.get("hold"), option.fields.get("session_id")
        if option.outcome == "held" and isinstance(hold, Hold) and not hold.session:
            session = str(reply.get("hold", {}).get("session_id"))
            if session.startswith("hgs."):
                hold.session = session
                self.world.issued.add(session)
        elif isinstance(issued, Issued) and str(reply.get("session_id")).startswith("hgs."):
            issued.session = reply["session_id"]
            self.world.issued.add(issued.session)

    # --- what should have happened ------------------------------------------------------------------------------

    def _option(
        self,
        occasion: Occasion | None,
        kind: str,
        text: str,
        row: Row,
        reply: dict[str, Any],
        ended: int,
        now: int,
        several: bool,
    ) -> tuple[Option | None, str]:
        """The allowed option that the reply is, if any; and all that are allowed, for the message."""
        options = self._options(occasion, kind, text, row, reply, ended, now)
        outcome, reason = reply.get("outcome"), reply.get("reason")
        alike = [option for option in options if (option.outcome, option.reason) == (outcome, reason)]
        if not alike:
            return None, " or ".join(_told(option) for option in options)
        if several and not shows(text, reply):
            return None, "another of its bodies"
        if len(alike) == 1:
            return alike[0], ""
        best = [option for option in alike if not self._fields(option, reply, None, now)]
        return (best or alike)[0], ""

    def _options(
        self,
        occasion: Occasion | None,
        kind: str,
        text: str,
        row: Row,
        reply: dict[str, Any],
        ended: int,
        now: int,
    ) -> list[Option]:
        if kind == "hold.sweep.v1" and not text:
            text = '{"type":"hold.sweep.v1"}'  # the service's own, where the requests were not tapped
        elif reply.get("reason") == "invalid" and faults_of_text(text):
            return [refused("invalid", errors=ANYTHING)]
        try:
            body: Body = loads(text)
        except ValueError:
            return [refused("invalid", errors=ANYTHING)]
        if "request_id" in body:
            if faults(body):
                return with_refused_money(self.world, [refused("invalid", errors=ANYTHING)], body)
            if (body["request_id"], body["occurrence_id"]) != (row["request_id"], row["occurrence_id"]):
                return [Option(f"nothing: the body is about {body['request_id']} at {body['occurrence_id']}")]
            if body["type"] != kind:
                return [Option(f"a {body['type']}")]
        return self.of_kind(occasion, kind, body, ended, now)

    def of_kind(self, occasion: Occasion | None, kind: str, body: Body, ended: int, now: int) -> list[Option]:
        """What the contract allows for a valid command, once so many holds that were over have `ended`."""
        options = self._of_kind(occasion, kind, body, ended, now)
        return with_refused_money(self.world, options, body) if kind == CONVERT else options

    def _of_kind(self, occasion: Occasion | None, kind: str, body: Body, ended: int, now: int) -> list[Option]:
        session = body.get("session_id")
        if session is not None and session.startswith("hgs.") and session not in self.world.issued:
            return [refused("forbidden")]
        if kind == "occurrence.put.v1":
            return model_catalogue.put(self.world, occasion, body)
        if kind in carts.KINDS:
            return carts.options(self.world, occasion, kind, body, now, ended)
        if occasion is None:
            return [refused("unknown_occurrence")]
        if kind == "hold.place.v1":
            return model.place(self.world, occasion, body, now, ended)
        if kind in _OWN:
            return _OWN[kind](self.world, occasion, body, now)
        if kind in deal_news.KINDS:
            return deal_news.options(self.world, occasion, kind, body, now)
        if kind == "hold.sweep.v1":
            more = bool(occasion.due(now))
            return [Option("swept", None, {"expired": ended, "more": more})]
        if kind == "occurrence.close.v1":
            return model_catalogue.close(self.world, occasion, body)
        return model_catalogue.capacity(occasion, body)

    # --- what was said about it ---------------------------------------------------------------------------------

    def _fields(self, option: Option, reply: dict[str, Any], occasion: Occasion | None, now: int) -> list[str]:
        """Before the option is applied: only what does not depend on that (`occasion` is None)."""
        problems = []
        for name, value in option.fields.items():
            told = reply.get(name)
            if isinstance(value, Hold):
                problems += view_problems(value, told) if occasion is not None else []
            elif value is ANYTHING:
                problems += [f"{name} is missing"] if told is None else []
            elif isinstance(value, Among | Between | Issued | Shown):
                problems += [] if value.fits(told) else [f"{name} is {told!r}, not {value!r}"]
            elif isinstance(value, AnyOf):
                problems += [f"{name} is {told!r}, not {value!r}"] if told not in value.values else []
            elif told != value and not (told is None and not value):
                problems.append(f"{name} is {told!r}, not {value!r}")
        hold = option.fields.get("hold")
        if occasion is not None and isinstance(hold, Hold) and option.outcome in ("held", "changed"):
            right = left(occasion, hold.draws, now)
            if reply.get("available") not in right.values:
                problems.append(f"available is {reply.get('available')}, not {right!r}")
        return problems

    def _events(self, option: Option, events: list[dict[str, Any]], reply: dict[str, Any]) -> list[str]:
        wanted = [event["type"] for event in option.events]
        told = [event["type"] for event in events]
        if wanted != told:
            return [f"events are {told}, not {wanted}"]
        problems = []
        for should, event in zip(option.events, events, strict=True):
            for name, value in should.items():
                if isinstance(value, Hold):
                    if event.get("hold") is not reply.get("hold"):  # otherwise it was looked at already
                        problems += view_problems(value, event.get("hold"))
                    continue
                if isinstance(value, Shown | Issued):
                    is_right = value.fits(event.get(name))
                elif value is AS_ANSWERED:
                    is_right = event.get(name) == reply.get(name)
                else:
                    default = _REASONS.get(should["type"]) if name == "reason" else _EVENT_DEFAULTS.get(name)
                    is_right = event.get(name, default) == value
                if not is_right:
                    problems.append(f"event {should['type']}: {name} is {event.get(name)!r}, not {value!r}")
        return problems


def _short(reply: dict[str, Any]) -> str:
    left_out = ("request_id", "occurrence_id", "version", "decided_at", "message", "retryable")
    told = {name: value for name, value in reply.items() if name not in left_out}
    return json.dumps(told, ensure_ascii=False)[:400]


def _told(option: Option) -> str:
    what = f"{option.outcome} {option.reason or ''}".strip()
    told = {name: value for name, value in option.fields.items() if not isinstance(value, Hold)}
    return f"{what} {told}"[:300] if told else what
