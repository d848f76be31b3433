"""Short stories of waiting lists and carts, as the documents have them."""

from __future__ import annotations

from collections.abc import Callable

from tests.checker.generate import START
from tests.checker.instants import SECOND, stamp
from tests.checker.model import Body
from tests.checker.stage import Stage

Story = Callable[[Stage], None]
GOOD: list[Story] = []


def good(story: Story) -> Story:
    """A story that is as the documents have it."""
    GOOD.append(story)
    return story


@good
def whoever_is_first_gets_what_is_freed(stage: Stage) -> None:
    stage.put("occ")
    held = stage.place("occ", 2)
    entries = [stage.join("occ", number) for number in (2, 1)]
    assert [entry["position"] for entry in entries] == [1, 2]
    stage.release(held)
    (offered,) = stage.events("waitlist.offered")
    assert offered["entry_id"] == entries[0]["entry_id"]
    assert stage.place("occ")["reason"] == "sold_out"


@good
def who_does_not_fit_keeps_the_place(stage: Stage) -> None:
    stage.put("occ")
    held = [stage.place("occ") for _ in range(2)]
    big, small = stage.join("occ", 2), stage.join("occ", 1)
    stage.release(held[0])
    assert [event["entry_id"] for event in stage.events("waitlist.offered")] == [small["entry_id"]]
    stage.ask("waitlist.leave.v1", "occ", session_id=small["session_id"], entry_id=small["entry_id"])
    stage.release(held[1])
    assert [event["entry_id"] for event in stage.events("waitlist.offered")][1:] == [big["entry_id"]]


@good
def an_offer_is_declined_and_the_next_is_asked(stage: Stage) -> None:
    stage.put("occ", 1)
    held = stage.place("occ")
    first, second = stage.join("occ"), stage.join("occ")
    stage.release(held)
    for entry in (first, second):
        own = {"session_id": entry["session_id"], "hold_id": entry["entry_id"]}
        assert stage.ask("hold.release.v1", "occ", **own)["outcome"] == "released"
    assert {event["reason"] for event in stage.events("hold.released")[1:]} == {"offer_declined"}
    gone = stage.ask("waitlist.leave.v1", "occ", session_id=first["session_id"], entry_id=first["entry_id"])
    assert (gone["reason"], gone["hold_state"]) == ("hold_final", "released")


@good
def a_walk_in_ends_what_is_over_and_the_line_gets_it(stage: Stage) -> None:
    stage.put("occ")
    stage.place("occ", 2, ttl_seconds=1)
    stage.join("occ")
    stage.wait(10)
    assert stage.place("occ", 2)["reason"] == "sold_out"
    assert len(stage.events("waitlist.offered")) == 1
    assert stage.place("occ")["outcome"] == "held"


@good
def a_sweep_serves_the_line(stage: Stage) -> None:
    stage.put("occ")
    stage.place("occ", 2, ttl_seconds=1)
    stage.join("occ", 2)
    stage.wait(10)
    assert stage.sweep("occ")["expired"] == 1
    assert len(stage.events("waitlist.offered")) == 1


@good
def an_owner_comes_before_the_line_with_the_own_seats(stage: Stage) -> None:
    stage.put("occ")
    held = stage.place("occ", 2)
    stage.join("occ")
    own = {"session_id": held["hold"]["session_id"], "hold_id": held["hold"]["hold_id"]}
    assert stage.ask("hold.change.v1", "occ", items={"adult": 1, "child": 1}, **own)["outcome"] == "changed"
    assert not stage.events("waitlist.offered")
    assert stage.ask("hold.change.v1", "occ", items={"adult": 1}, **own)["available"] == {"total": 0}
    assert len(stage.events("waitlist.offered")) == 1


@good
def who_waits_already_or_could_have_it_does_not_join(stage: Stage) -> None:
    stage.put("occ")
    assert stage.join("occ")["reason"] == "not_sold_out"
    stage.place("occ", 2)
    entry = stage.join("occ", session_id="waits")
    again = stage.join("occ", 2, session_id="waits")
    assert (again["reason"], again["subject"]) == ("already_waiting", entry["entry_id"])
    lost = stage.ask("waitlist.leave.v1", "occ", session_id="thief", entry_id=entry["entry_id"])
    assert lost["reason"] == "entry_not_found"
    assert stage.join("occ", items={"nobody": 1})["reason"] == "unknown_ticket"


@good
def a_larger_room_is_the_lines(stage: Stage) -> None:
    stage.put("occ")
    stage.place("occ", 2)
    stage.join("occ", 2)
    stage.ask("occurrence.capacity.v1", "occ", capacity=5)
    assert len(stage.events("waitlist.offered")) == 1
    assert stage.place("occ")["available"] == {"total": 0}


@good
def what_comes_back_while_it_is_closed_is_offered_when_it_is_open_again(stage: Stage) -> None:
    put: Body = {
        "product_id": "show",
        "starts_at": stamp(START + 3600 * SECOND),
        "ends_at": stamp(START + 7200 * SECOND),
    }
    stage.put("occ", **put)
    held = stage.place("occ", 2)
    stage.join("occ", 2)
    stage.ask("occurrence.close.v1", "occ")
    stage.release(held)
    assert stage.join("occ")["not_on_sale"] == "closed"
    assert not stage.events("waitlist.offered")
    stage.put("occ", **put)
    assert len(stage.events("waitlist.offered")) == 1


@good
def the_line_ends_with_the_occurrence_and_offers_live_on(stage: Stage) -> None:
    stage.put("occ")
    held = stage.place("occ", 2)
    stage.join("occ")
    stage.release(held)
    stage.place("occ")
    entry = stage.join("occ")
    stage.ask("occurrence.close.v1", "occ", status="cancelled")
    assert stage.events("waitlist.left")[0]["reason"] == "occurrence_ended"
    own = {"session_id": entry["session_id"], "entry_id": entry["entry_id"]}
    assert stage.ask("waitlist.leave.v1", "occ", **own)["reason"] == "entry_not_found"
    assert not stage.events("hold.expired")


@good
def nothing_is_offered_after_the_start(stage: Stage) -> None:
    stage.put("occ")
    held = stage.place("occ", 2, ttl_seconds=3600)
    stage.join("occ")
    stage.wait(3600)
    stage.release(held)
    stage.ask("quote.get.v1", "occ", items={"adult": 1})
    assert not stage.events("waitlist.offered")


@good
def a_sale_that_opens_by_the_clock_serves_the_line_first(stage: Stage) -> None:
    put: Body = {
        "product_id": "show",
        "starts_at": stamp(START + 3600 * SECOND),
        "ends_at": stamp(START + 7200 * SECOND),
    }
    stage.put("occ", **put)
    held = stage.place("occ", 2)
    stage.join("occ", 2)
    stage.put("occ", sales_open="2027-01-15T09:01:00", **put)  # a minute after the start
    stage.release(held)
    assert not stage.events("waitlist.offered")
    stage.wait(120)
    assert stage.place("occ")["reason"] == "sold_out"
    assert len(stage.events("waitlist.offered")) == 1


@good
def a_limit_of_the_session_stands_in_the_way_of_an_offer(stage: Stage) -> None:
    stage.put("occ", 1)
    stage.put("other", 100)
    held = stage.place("occ")
    first, second = stage.join("occ", session_id="greedy"), stage.join("occ")
    greedy = [stage.place("other", session_id="greedy") for _ in range(10)]
    stage.release(held)
    assert [event["entry_id"] for event in stage.events("waitlist.offered")] == [second["entry_id"]]
    stage.release(greedy[0])
    stage.ask("waitlist.leave.v1", "occ", session_id=second["session_id"], entry_id=second["entry_id"])
    assert [event["entry_id"] for event in stage.events("waitlist.offered")][1:] == [first["entry_id"]]


@good
def shared_stock_stands_in_the_way_of_an_offer(stage: Stage) -> None:
    stage.put("occ", 1)
    stage.put("other", 100)
    guide = stage.place("other", extras={"guide": 1})
    held = stage.place("occ")
    entry = stage.join("occ", extras={"guide": 1})
    stage.release(held)
    assert not stage.events("waitlist.offered")
    assert stage.join("occ", extras={"guide": 1})["outcome"] == "waiting"
    stage.release(guide)
    stage.sweep("occ")
    assert [event["entry_id"] for event in stage.events("waitlist.offered")] == [entry["entry_id"]]


@good
def a_line_has_an_end(stage: Stage) -> None:
    stage.put("occ", 1)
    stage.place("occ")
    for _ in range(500):
        stage.join("occ")
    assert stage.join("occ")["subject"] == "waitlist"


@good
def a_cart_is_held_as_a_whole(stage: Stage) -> None:
    for one in ("blue", "green", "red"):
        stage.put(one)
    held = stage.cart("red", "blue", "green")
    assert (held["outcome"], list(held["hold_ids"])) == ("cart_held", ["blue", "green", "red"])


@good
def a_cart_of_which_a_leg_cannot_be_had_holds_nothing(stage: Stage) -> None:
    for one in ("blue", "green"):
        stage.put(one)
    stage.place("green", 2)
    refused = stage.cart("green", "blue")
    assert (refused["reason"], refused["subject"]) == ("sold_out", "green")
    assert stage.place("blue", 2)["outcome"] == "held"
    assert stage.cart("green", "nowhere")["reason"] == "sold_out"
    assert stage.cart("blue", "blue")["reason"] == "invalid"
    assert stage.cart("nowhere", "blue")["reason"] == "unknown_occurrence"


@good
def a_cart_comes_after_the_line(stage: Stage) -> None:
    for one in ("blue", "green"):
        stage.put(one)
    held = stage.place("blue", 2, ttl_seconds=1)
    stage.join("blue", 2)
    stage.wait(10)
    assert held["outcome"] == "held"
    assert stage.cart("green", "blue")["reason"] == "sold_out"
    assert len(stage.events("waitlist.offered")) == 1
