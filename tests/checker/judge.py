"""P5: every recorded decision against the model, field by field, and the rows against what the model holds."""

from __future__ import annotations

import json
from typing import Any

from tests.checker import deal_news, model, model_catalogue
from tests.checker.allowed import ANYTHING, Among, AnyOf, Between, Option, Shown, refused
from tests.checker.bodies import INTERNAL, body_of, shows
from tests.checker.decoding import Row
from tests.checker.followed import follow, is_followed
from tests.checker.instants import micros, stamp
from tests.checker.jsonl import loads
from tests.checker.model import Body, left
from tests.checker.rooms import alerted, alerts, rooms
from tests.checker.shown import same_time, view_problems
from tests.checker.validity import faults, faults_of_text
from tests.checker.verdict import Report
from tests.checker.world import Hold, Occasion, World

_WITH_HOLD = {"hold.place.v1": model.place, "hold.change.v1": model.change}
_OWN = {"hold.change.v1": model.change, "hold.extend.v1": model.extend, "hold.release.v1": model.release}
EXPIRED = "hold.expired.v1"
_EVENT_DEFAULTS: Body = {"created": False, "late": False, "extras": {}}


class Judge:
    """Runs the model beside the journal."""

    def __init__(self, report: Report, world: World) -> None:
        self.report, self.world = report, world
        self.lost: set[str] = set()
        """Occurrences on which service and model have parted; nothing more is said about them."""
        self.suspended = False
        """A setting was changed on the way: nothing more can be said."""
        self.followed = 0
        """Decisions that were taken as they were told."""

    # --- one decision -------------------------------------------------------------------------------------------

    def decide(
        self, row: Row, bodies: list[str], reply: dict[str, Any], events: list[dict[str, Any]]
    ) -> list[int]:
        """Judge one journal row; the numbers of the bodies that it may have been about."""
        occurrence_id = str(row["occurrence_id"])
        if self.suspended or occurrence_id in self.lost:
            return []
        self.report.count("P5")
        now = micros(str(row["decided_at"]))
        problems = self._about_itself(row, reply, events, now)
        occasion = self.world.occasions.get(occurrence_id)
        before = rooms(self.world, occasion)
        if not bodies and row["kind"] in INTERNAL:
            self.suspended = True  # what the service told itself was not tapped: nobody knows the price
            return []
        if is_followed(occasion, str(row["kind"])):
            return self._follow(row, bodies, reply, events, problems)
        expired = [event for event in events if event["type"] == EXPIRED]
        kind = str(row["kind"])
        if occasion is not None:
            problems += self._expire(occasion, kind, bodies, reply, expired, now)
        several = len(bodies) > 1
        candidates = [
            self._option(occasion, kind, body, row, reply, expired, now, several) for body in bodies or [""]
        ]
        fitting = [number for number, (option, _) in enumerate(candidates) if option is not None]
        chosen = fitting[0] if fitting else 0
        option, wanted = candidates[chosen]
        if option is None:
            self._lose(row, f"was {_short(reply)}; the contract asks for {wanted}")
        else:
            if option.apply is not None:
                self._learn(option, reply)
                option.apply()
            problems += self._fields(option, reply, occasion, now)
            moved = option.apply is not None or expired
            told = alerts(before, rooms(self.world, self.world.occasions.get(occurrence_id))) if moved else []
            rest = len(events) - len(told)
            problems += self._events(option, events[len(expired) : rest], reply) + alerted(told, events[rest:])
        return self._close(row, problems, fitting)

    def _close(self, row: Row, problems: list[str], fitting: list[int]) -> list[int]:
        occurrence_id = str(row["occurrence_id"])
        for problem in problems:
            self.report.flag("P5", f"request {row['request_id']} at {occurrence_id} v{row['version']}: {problem}")
        found = self.world.occasions.get(occurrence_id)
        if found is not None:
            found.version = int(row["version"] or 0)
        return fitting

    def _follow(
        self, row: Row, bodies: list[str], reply: Body, events: list[Body], problems: list[str]
    ) -> list[int]:
        """Carts and waiting lists: as it was told, and what is told of rooms besides."""
        self.followed += 1
        kind, now = str(row["kind"]), micros(str(row["decided_at"]))
        body = body_of(bodies)
        occasion = self.world.occasions.get(str(row["occurrence_id"]))
        before = rooms(self.world, occasion)
        if occasion is not None and kind.startswith("occurrence.") and row["outcome"] != "refused":
            option = self.of_kind(occasion, kind, body, [], now)[0]
            if option.apply is not None:
                option.apply()
        if occasion is not None:
            problems = problems + follow(self.world, occasion, body, events, now)
        told = alerts(before, rooms(self.world, occasion))
        problems += alerted(told, events[len(events) - len(told) :])
        for one in (reply, reply.get("hold") or {}):
            if str(one.get("session_id", "")).startswith("hgs."):
                self.world.issued.add(one["session_id"])
        return self._close(row, problems, list(range(max(1, len(bodies)))))

    def _lose(self, row: Row, why: str) -> None:
        self.lost.add(str(row["occurrence_id"]))
        text = f"request {row['request_id']} ({row['kind']}) at {row['occurrence_id']} v{row['version']} {why}"
        self.report.flag("P5", text)

    def _learn(self, option: Option, reply: dict[str, Any]) -> None:
        """A session that was issued is known from then on."""
        hold = option.fields.get("hold")
        if option.outcome == "held" and isinstance(hold, Hold) and not hold.session:
            session = str(reply.get("hold", {}).get("session_id"))
            if session.startswith("hgs."):
                hold.session = session
                self.world.issued.add(session)

    # --- what should have happened ------------------------------------------------------------------------------

    def _option(
        self,
        occasion: Occasion | None,
        kind: str,
        text: str,
        row: Row,
        reply: dict[str, Any],
        expired: list[dict[str, Any]],
        now: int,
        several: bool,
    ) -> tuple[Option | None, str]:
        """The allowed option that the reply is, if any; and all that are allowed, for the message."""
        options = self._options(occasion, kind, text, row, reply, expired, now)
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
        expired: list[dict[str, Any]],
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
                return [refused("invalid", errors=ANYTHING)]
            if (body["request_id"], body["occurrence_id"]) != (row["request_id"], row["occurrence_id"]):
                return [Option(f"nothing: the body is about {body['request_id']} at {body['occurrence_id']}")]
            if body["type"] != kind:
                return [Option(f"a {body['type']}")]
        return self.of_kind(occasion, kind, body, expired, now)

    def of_kind(
        self, occasion: Occasion | None, kind: str, body: Body, expired: list[dict[str, Any]], now: int
    ) -> list[Option]:
        """What the contract allows for a valid command, once the holds in `expired` have ended."""
        session = body.get("session_id")
        if session is not None and session.startswith("hgs.") and session not in self.world.issued:
            return [refused("forbidden")]
        if kind == "occurrence.put.v1":
            return model_catalogue.put(self.world, occasion, body)
        if occasion is None:
            return [refused("unknown_occurrence")]
        if kind == "hold.place.v1":
            return model.place(self.world, occasion, body, now)
        if kind in _OWN:
            return _OWN[kind](self.world, occasion, body, now)
        if kind in deal_news.KINDS:
            return deal_news.options(self.world, occasion, kind, body, now)
        if kind == "hold.sweep.v1":
            more = bool(occasion.due(now))
            return [Option("swept", None, {"expired": len(expired), "more": more})]
        if kind == "occurrence.close.v1":
            return model_catalogue.close(occasion, body)
        return model_catalogue.capacity(occasion, body)

    def _expire(
        self,
        occasion: Occasion,
        kind: str,
        bodies: list[str],
        reply: dict[str, Any],
        expired: list[dict[str, Any]],
        now: int,
    ) -> list[str]:
        """The holds that were found to be over on the way: due, active, and for the right reason."""
        if not expired and kind != "hold.sweep.v1":
            return []
        problems = []
        body = body_of(bodies)
        if kind == "hold.sweep.v1":
            problems += _swept(occasion, body, [event["hold"]["hold_id"] for event in expired], now)
        for event in expired:
            hold = occasion.live.get(event["hold"]["hold_id"])
            if hold is None or hold.state != "active":
                problems.append(f"hold {event['hold']['hold_id']} is expired, but is not active")
                continue
            if hold.expires > now:
                problems.append(f"hold {hold.id} is expired at {stamp(now)}, before {stamp(hold.expires)}")
            reason = event.get("reason", "swept")
            if reason != _noticed(kind, body, hold):
                problems.append(f"hold {hold.id} is expired as {reason}, not {_noticed(kind, body, hold)}")
            self.world.end(occasion, hold, "expired", now)
            problems += view_problems(hold, event["hold"])
        return problems

    # --- what was said about it ---------------------------------------------------------------------------------

    def _about_itself(self, row: Row, reply: dict[str, Any], events: list[dict[str, Any]], now: int) -> list[str]:
        """Ids, versions and times that every answer and event repeats."""
        request_id, occurrence_id, version = row["request_id"], row["occurrence_id"], int(row["version"] or 0)
        told = (reply.get("outcome"), reply.get("reason"), reply.get("request_id"), reply.get("occurrence_id"))
        meant = (row["outcome"], row["reason"], request_id, occurrence_id)
        problems = [] if told == meant else [f"its answer is {told}, its row {meant}"]
        if reply.get("version") != version:
            problems.append(f"its answer is of version {reply.get('version')}, its row of {version}")
        if not same_time(reply.get("decided_at"), now):
            problems.append(f"decided_at is {reply.get('decided_at')}, in the row {stamp(now)}")
        if row["outcome"] == "refused" and reply.get("retryable") is not False:
            problems.append("a recorded refusal is not retryable")
        for number, event in enumerate(events):
            called = (event.get("event_id"), event.get("occurrence_id"), event.get("version"))
            if called != (f"{request_id}/{number}", occurrence_id, version):
                problems.append(f"event {number} is {called}")
            if not same_time(event.get("occurred_at"), now):
                problems.append(f"event {number} occurred at {event.get('occurred_at')}, not {stamp(now)}")
        return problems

    def _fields(self, option: Option, reply: dict[str, Any], occasion: Occasion | None, now: int) -> list[str]:
        """Before the option is applied: only what does not depend on that (`occasion` is None)."""
        problems = []
        for name, value in option.fields.items():
            told = reply.get(name)
            if isinstance(value, Hold):
                problems += view_problems(value, told) if occasion is not None else []
            elif value is ANYTHING:
                problems += [f"{name} is missing"] if told is None else []
            elif isinstance(value, Among | Between | Shown):
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
                elif isinstance(value, Shown):
                    if not value.fits(event.get(name)):
                        problems.append(f"event {should['type']}: {name} is {event.get(name)!r}, not {value!r}")
                elif event.get(name, _EVENT_DEFAULTS.get(name)) != value:
                    problems.append(f"event {should['type']}: {name} is {event.get(name)!r}, not {value!r}")
        return problems


def _swept(occasion: Occasion, body: Body, expired: list[str], now: int) -> list[str]:
    """The longest overdue first, at most so many."""
    due = occasion.due(now)
    most = body.get("holds_max") or 500
    if len(expired) != min(most, len(due)):
        return [f"swept {len(expired)} holds of {len(due)} due"]
    if not expired:
        return ["a sweep that found nothing was recorded"]
    latest = due[len(expired) - 1].expires
    by_id = {hold.id: hold for hold in due}
    return [f"hold {one} was swept before others that were longer due" for one in expired
            if one in by_id and by_id[one].expires > latest]  # fmt: skip


def _noticed(kind: str, body: Body, hold: Hold) -> str:
    if kind == "hold.sweep.v1":
        return "swept"
    own = body.get("hold_id") == hold.id and body.get("session_id") == hold.session
    return "touched_late" if own else "seats_needed"


def _short(reply: dict[str, Any]) -> str:
    left_out = ("request_id", "occurrence_id", "version", "decided_at", "message", "retryable")
    told = {name: value for name, value in reply.items() if name not in left_out}
    return json.dumps(told, ensure_ascii=False)[:400]


def _told(option: Option) -> str:
    what = f"{option.outcome} {option.reason or ''}".strip()
    told = {name: value for name, value in option.fields.items() if not isinstance(value, Hold)}
    return f"{what} {told}"[:300] if told else what
