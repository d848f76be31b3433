"""Which cases there are: every step of every protocol, as the running code names them, times every fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from holdgate_workers.app.expiry import sweep
from holdgate_workers.app.gate import effects
from holdgate_workers.app.relay import relay

FAULTS = ("kill", "pause", "cut-broker", "cut-database")
"""SIGKILL; SIGSTOP, until the far side has taken the process for dead and its heir was seen at work; a reset of all
connections to the broker; a reset of all connections to the database."""


@dataclass(frozen=True, slots=True)
class Case:
    """One fault at one step of one scene."""

    scene: str
    when: str
    step: str
    fault: str

    @property
    def id(self) -> str:
        return f"{self.scene}-{self.when}-{self.step}-{self.fault}"

    @property
    def failpoint(self) -> str:
        """What the victim is told to do to itself there. It stands still while its connections are cut."""
        return f"{self.when}:{self.step}:1:{'kill' if self.fault == 'kill' else 'pause'}"


def names_of(union: Any, *left_out: type) -> tuple[str, ...]:
    return tuple(effect.__name__ for effect in get_args(union) if effect not in left_out)


GATE_STEPS = names_of(effects.Effect, effects.Pause)
"""`Pause` happens only when something else is broken already."""

SCENES: dict[str, Sequence[str]] = {
    "working": GATE_STEPS,
    "taking-over": tuple(step for step in GATE_STEPS if step != "Bury"),
    "joining": ("Subscribe",),
    "handing-over": ("Leave",),
    "stopping": ("Close",),
    "relaying": names_of(relay.RelayEffect),
    "sweeping": names_of(sweep.SweepEffect),
}
COMMITTING = ("kept", "unanswered")
"""Inside the commit, found on the wire: all is sent but the COMMIT, and the rows are locked; the COMMIT is done, and
its result is not heard."""

SHORT = (
    "working-before-Commit-pause",
    "working-after-Commit-kill",
    "working-before-Ack-cut-broker",
    "committing-kept-COMMIT-cut-database",
    "taking-over-after-Load-kill",
    "relaying-after-Announce-pause",
)
"""For every day; what e2e tests break, too, is left out."""


def all_cases() -> Iterator[Case]:
    """The whole matrix."""
    for fault in FAULTS:
        for scene, steps in SCENES.items():
            for step in steps:
                yield Case(scene, "before", step, fault)
                yield Case(scene, "after", step, fault)
        for how in COMMITTING:
            yield Case("committing", how, "COMMIT", fault)


def chosen_cases(*, whole: bool) -> list[Case]:
    """The matrix, or a few of it. Raises ValueError if one of those is no longer in it."""
    cases = sorted(all_cases(), key=lambda case: [*SCENES, "committing"].index(case.scene))
    if whole:
        return cases
    found = [case for case in cases if case.id in SHORT]
    if len(found) != len(SHORT):
        raise ValueError(f"no such cases any more: {sorted(set(SHORT) - {case.id for case in found})}")
    return found
