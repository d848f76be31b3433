"""Short stories of waiting lists and carts: what is right is valid, and what is not is found."""

from __future__ import annotations

import pytest
from tests.checker.allowed import Option
from tests.checker.carter import Carter, Errand
from tests.checker.lines import offer
from tests.checker.model import Body
from tests.checker.planted_lines import AsksNobodyInLine, ServesWalkInsFirst
from tests.checker.service import Service
from tests.checker.stage import Stage
from tests.checker.stories import GOOD, Story
from tests.checker.world import Hold, Occasion


@pytest.mark.parametrize("story", GOOD, ids=lambda story: story.__name__)
def test_what_the_documents_say_is_valid(story: Story) -> None:
    stage = Stage()
    story(stage)
    report = stage.judge()
    assert report.verdict == "valid", report.table()
    assert report.judged["P18"] or report.judged["P19"]


# --- what is not right ------------------------------------------------------------------------------------------


class _OffersAtAnyTime(Service):
    """Whether it is on sale or not."""

    def serve(self, occasion: Occasion, now: int) -> list[Hold]:
        room = occasion.pools["total"].free() or 0
        return [offer(self.world, occasion, one, now) for one in list(occasion.line.values()) if one.seats <= room]


class _OffersWhatIsNotThere(Service):
    """Nobody has to wait for long."""

    def serve(self, occasion: Occasion, now: int) -> list[Hold]:
        return [offer(self.world, occasion, one, now) for one in list(occasion.line.values())]


class _ForgetsTheLine(Service):
    """The occurrence is over, and nobody in line is told."""

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        events = options[0].events
        options[0].events = [event for event in events if event["type"] != "waitlist.left.v1"]
        return options[0]


class _SaysThatTheOwnerReleased(Service):
    """What was declined is told as any release."""

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        for event in options[0].events:
            event["reason"] = "by_owner"
        return options[0]


class _Forgetful(Carter):
    def settle(self, errand: Errand) -> None:
        """Nobody is told."""


class _NeverSettles(Service):
    carter = _Forgetful


def _freed(stage: Stage) -> None:
    stage.put("occ")
    held = stage.place("occ", 2)
    stage.join("occ", 2)
    stage.release(held)


def _freed_after_the_start(stage: Stage) -> None:
    stage.put("occ")
    held = stage.place("occ", 2, ttl_seconds=3600)
    stage.join("occ", 2)
    stage.wait(3600)
    stage.release(held)


def _over_when_a_walk_in_comes(stage: Stage) -> None:
    stage.put("occ")
    stage.place("occ", 2, ttl_seconds=1)
    stage.join("occ", 2)
    stage.wait(10)
    stage.place("occ", 2)


def _asked_while_it_is_sold_out(stage: Stage) -> None:
    stage.put("occ")
    stage.place("occ", 2)
    stage.join("occ")
    stage.ask("quote.get.v1", "occ", items={"adult": 1})


def _cancelled(stage: Stage) -> None:
    stage.put("occ")
    stage.place("occ", 2)
    stage.join("occ")
    stage.ask("occurrence.close.v1", "occ", status="cancelled")


def _offered_to_somebody_with_too_many(stage: Stage) -> None:
    stage.put("occ", 1)
    stage.put("other", 100)
    held = stage.place("occ")
    stage.join("occ", session_id="greedy")
    for _ in range(10):
        stage.place("other", session_id="greedy")
    stage.release(held)


def _offered_stock_that_is_gone(stage: Stage) -> None:
    stage.put("occ", 1)
    stage.put("other", 100)
    stage.place("other", extras={"guide": 1})
    held = stage.place("occ")
    stage.join("occ", extras={"guide": 1})
    stage.release(held)


def _declined(stage: Stage) -> None:
    stage.put("occ", 1)
    held = stage.place("occ")
    entry = stage.join("occ")
    stage.release(held)
    stage.ask("waitlist.leave.v1", "occ", session_id=entry["session_id"], entry_id=entry["entry_id"])


def _two_legs(stage: Stage) -> None:
    stage.put("blue")
    stage.put("green")
    stage.ask(
        "cart.place.v1", "blue", legs=[{"occurrence_id": one, "items": {"adult": 1}} for one in ("blue", "green")]
    )


BAD: list[tuple[Story, type[Service], str]] = [
    (_freed, AsksNobodyInLine, "P19"),
    (_freed_after_the_start, _OffersAtAnyTime, "P19"),
    (_over_when_a_walk_in_comes, ServesWalkInsFirst, "P19"),
    (_asked_while_it_is_sold_out, _OffersWhatIsNotThere, "P19"),
    (_cancelled, _ForgetsTheLine, "P5"),
    (_offered_to_somebody_with_too_many, _OffersAtAnyTime, "P1"),
    (_offered_stock_that_is_gone, _OffersAtAnyTime, "P1"),
    (_declined, _SaysThatTheOwnerReleased, "P5"),
    (_two_legs, _NeverSettles, "P18"),
]


@pytest.mark.parametrize(("story", "service", "name"), BAD, ids=lambda one: getattr(one, "__name__", one))
def test_what_they_do_not_say_is_found(story: Story, service: type[Service], name: str) -> None:
    """The same story is valid where the service is right."""
    right, wrong = Stage(), Stage(service)
    story(right)
    story(wrong)
    assert right.judge().verdict == "valid"
    report = wrong.judge()
    assert report.violations[name] + report.doubts[name], report.table()
