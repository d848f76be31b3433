"""The cases of what comes after a hold: every step of pricing, selling, carts and the read side, times every fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tests.crash.cases import FAULTS, GATE_STEPS, Case, names_of

from holdgate_workers.app.carts import protocol as cart_saga
from holdgate_workers.app.ordering import protocol as converting
from holdgate_workers.app.projection import effects as projection_effects

CACHE_FAULTS = ("kill", "pause", "cut-database", "cut-cache")
"""The read side has nothing to do with the broker."""
TASK_STEPS = ("Claim", "Settle")
"""What is done to the row of every task."""

SELLING: Mapping[str, Sequence[str]] = {
    "pricing": ("Claim", "Look", "Keep", "Publish", "Settle"),
    "selling": (*names_of(converting.SagaEffect), *TASK_STEPS),
    "carting": (*names_of(cart_saga.CartEffect), *TASK_STEPS),
    "feeding": ("Plan", "Advance", "Wake"),
    "noting": tuple(step for step in GATE_STEPS if step not in ("Bury", "Prepare")),
    "projecting": names_of(projection_effects.ProjectionEffect),
}

SHORT = (
    "pricing-after-Publish-kill",
    "selling-after-AskShop-kill",
    "carting-before-WriteVerdict-pause",
    "projecting-after-WriteEntries-cut-cache",
)
"""For every day."""


def selling_cases() -> Iterator[Case]:
    """All of them, one scene after another, so that its cases can share a house."""
    for scene, steps in SELLING.items():
        for fault in CACHE_FAULTS if scene == "projecting" else FAULTS:
            for step in steps:
                yield Case(scene, "before", step, fault)
                yield Case(scene, "after", step, fault)


def chosen_selling_cases(*, whole: bool) -> list[Case]:
    """All, or a few. Raises ValueError if one of those is no longer among them."""
    cases = list(selling_cases())
    if whole:
        return cases
    found = [case for case in cases if case.id in SHORT]
    if len(found) != len(SHORT):
        raise ValueError(f"no such cases any more: {sorted(set(SHORT) - {case.id for case in found})}")
    return found
