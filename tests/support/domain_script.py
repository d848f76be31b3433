"""Short stories about one occurrence as text: a step a line, and after `=>` what must come of it.

    place ann adult=2 vip=1 +guide=1 ttl=60 -> h1   => held seats=3 available.total=7 / created
    place bob vip=9                                 => refused sold_out subject=vip requested=9 ...
    wait 15m
    release ann h1                                  => refused hold_final ... / expired:touched_late

Steps: `put k=v`, `house k=v`, `wait 1h2m3s`, `place WHO BASKET [ttl=N] [-> NAME]`, `change WHO NAME BASKET`,
`extend WHO NAME`, `release WHO NAME`, `sweep [N]`, `get`, `close [STATUS]`, `capacity POOL=N`, `state NAME STATE`.
WHO `-` is a session that has yet to be issued, `!` a forged one. A step after `@ID` goes to that occurrence. After
`=>` come the outcome and fields of the answer (`a.b` goes into them; `+15m` is a time counted from the start); of
a refusal they must be *all* that it teaches. After `/` come the events, all of them, in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import asdict
from tests.support.domain import (
    NOW,
    OCCURRENCE,
    House,
    a_capacity,
    a_change,
    a_close,
    a_get,
    a_place,
    a_put,
    a_release,
    a_sweep,
    an_extend,
    request_id,
)

from holdgate_schema.answers.holds import Answer, Held, Refused
from holdgate_schema.commands.holds import Command, ExtraDefinition, PoolDefinition, SharedStock, TicketType
from holdgate_schema.events.holds import Event, event_type

NOBODYS_HOLD = request_id(0xDEAD)
FORGED_SESSION = f"hgs.{request_id(1)}.{'0' * 40}"
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)us)?")
_NOT_TAUGHT = ("request_id", "occurrence_id", "version", "decided_at", "reason", "retryable", "message")

WORLD: dict[str, Any] = {
    "capacity": 12,
    "ticket_types": [
        TicketType(key="adult", max_per_order=10),
        TicketType(key="group", min_per_order=5, max_per_order=20),
        TicketType(key="vip", pools=["vip"]),
        TicketType(key="child", pools=["young"]),
        TicketType(key="teen", pools=["young"]),
        TicketType(key="nobody", pools=["shut"]),
    ],
    "pools": [
        PoolDefinition(key="vip", capacity=3),
        PoolDefinition(key="young", capacity=4),
        PoolDefinition(key="shut", capacity=0),
        PoolDefinition(key="lunches", capacity=None),
    ],
    "extras": [
        ExtraDefinition(key="guide", max_per_order=4, stock=SharedStock(key="guides", cap=5)),
        ExtraDefinition(key="lunch", max_per_order=100, pools=["lunches"]),
        ExtraDefinition(key="toy", pools=["young"]),
    ],
}
"""The occurrence that the stories are about: twelve seats, of which three vip and four for the young."""


def duration(text: str) -> timedelta:
    """`1h2m3s` as a time span."""
    match = _DURATION.fullmatch(text)
    assert match is not None, text
    days, hours, minutes, seconds, micros = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, microseconds=micros)


@dataclass
class Script:
    """Runs stories in a house of its own. `reasons` collects why requests were refused."""

    house: House = field(default_factory=House)
    named: dict[str, Held] = field(default_factory=dict)
    reasons: set[str] = field(default_factory=set)

    def run(self, story: str) -> Script:
        """Put the world and run every line; fails at the first line that does not come true."""
        self.house.put(a_put(**WORLD))
        for line in filter(None, (text.partition("#")[0].strip() for text in story.splitlines())):
            step, _, expected = line.partition("=>")
            step, _, name = step.partition("->")
            answer, events = self._step(step.split())
            if isinstance(answer, Refused):
                self.reasons.add(answer.reason.value)
            if expected:
                assert answer is not None, line
                problems = list(_differences(answer, events, expected))
                assert not problems, f"{line}\n  {'; '.join(problems)}\n  {answer}"
            else:
                assert not isinstance(answer, Refused), f"{line}\n  {answer}"
            if name.strip():
                assert isinstance(answer, Held), line
                self.named[name.strip()] = answer
        return self

    def _step(self, words: list[str]) -> tuple[Answer | None, list[Event]]:
        occurrence_id = words.pop(0)[1:] if words[0].startswith("@") else OCCURRENCE
        verb, *words = words
        match verb:
            case "wait":
                self.house.now += duration(words[0])
            case "house":
                self.house.configure(**dict(word.split("=") for word in words))
            case "state":
                self.house.force_state(self.named[words[0]].hold.hold_id, words[1])  # type: ignore[arg-type]
            case _:
                already = len(self.house.events)
                answer = self.house.send(self.command(verb, words, occurrence_id))
                return answer, self.house.events[already:]
        return None, []

    def command(self, verb: str, words: list[str], occurrence_id: str = OCCURRENCE) -> Command:
        """The command of a step."""
        match verb:
            case "put":
                return a_put(occurrence_id, **(WORLD | {key: _value(text) for key, text in _pairs(words)}))
            case "place":
                who, *words = words
                items, extras, fields = _basket(words)
                return a_place(items, extras, occurrence_id=occurrence_id, session_id=_session(who), **fields)
            case "sweep":
                return a_sweep(*map(int, words), occurrence_id=occurrence_id)
            case "get":
                return a_get(occurrence_id)
            case "close":
                return a_close(*words, occurrence_id=occurrence_id)
            case "capacity":
                ((pool, text),) = _pairs(words)
                return a_capacity(_value(text), pool, occurrence_id=occurrence_id)
        who, name, *words = words
        held = self.named.get(name)
        about = {
            "hold": held.hold.hold_id if held else NOBODYS_HOLD,
            "occurrence_id": occurrence_id,
            "session_id": _session(who) or (held.hold.session_id if held else who),
        }
        match verb:
            case "change":
                items, extras, _ = _basket(words)
                return a_change(items=items, extras=extras, **about)
            case "extend":
                return an_extend(**about)
            case "release":
                return a_release(**about)
        raise AssertionError(f"no such step: {verb}")


def _session(who: str) -> str | None:
    return {"-": None, "!": FORGED_SESSION}.get(who, who)


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        key, _, text = word.partition("=")
        yield key, text


def _basket(words: list[str]) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    items = {key: int(text) for key, text in _pairs(words) if key[0] != "+" and key != "ttl"}
    extras = {key[1:]: int(text) for key, text in _pairs(words) if key[0] == "+"}
    ttls = [int(text) for key, text in _pairs(words) if key == "ttl"]
    return items, extras, {"ttl_seconds": ttls[0]} if ttls else {}


def _value(text: str) -> Any:
    match text:
        case "none":
            return None
        case "true" | "false":
            return text == "true"
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if text.startswith("+"):
        return NOW + duration(text[1:])
    if re.fullmatch(r"\d{4}-\d\d-\d\dT.*", text):
        return datetime.fromisoformat(text)
    return text


def _differences(answer: Answer, events: list[Event], expected: str) -> Iterator[str]:
    wanted, slash, told = expected.partition("/")
    outcome, *words = wanted.split()
    found = str(answer.__struct_config__.tag)
    if outcome != found:
        yield f"{found}, not {outcome}"
        return
    if isinstance(answer, Refused):
        reason, *words = words
        if reason != answer.reason:
            yield f"{answer.reason.value}, not {reason}"
        if answer.retryable:
            yield "a decided refusal cannot be retried"
        if not answer.message:
            yield "no message"
        yield from _untold(answer, {key.partition(".")[0] for key, _ in _pairs(words)})
    for path, text in _pairs(words):
        value = _at(answer, path)
        if value != _value(text):
            yield f"{path} is {value}, not {text}"
    if slash and [_event_name(event) for event in events] != told.split():
        yield f"the events are {[_event_name(event) for event in events]}"


def _untold(answer: Refused, told: set[str]) -> Iterator[str]:
    for name, value in asdict(answer).items():
        if name not in _NOT_TAUGHT and name not in told and value not in (None, {}, []):
            yield f"it also teaches {name}={value}"


def _event_name(event: Event) -> str:
    name = event_type(event).removesuffix(".v1").removeprefix("hold.")
    reason = getattr(event, "reason", None)
    return f"{name}:{reason}" if reason else name


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else "nothing"
        elif isinstance(value, dict):
            value = value.get(part, "nothing")
        else:
            value = getattr(value, part)
    return value
