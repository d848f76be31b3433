"""Carts through the real roles: two answers, all or nothing, whoever crosses whom and wherever a worker dies."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from tests.support.cart_rows import CartBooks
from tests.support.processes import WorkerProcess
from tests.support.rabbit import eventually
from tests.support.requests import place_of, put
from tests.support.site import TestSite, kinds, open_test_site

from holdgate_producer.client.client import BookingClient
from holdgate_schema.answers.holds import Answer, Held, Reason, Refused, Released
from holdgate_schema.answers.selling import CartHeld, CartStarted
from holdgate_schema.commands.holds import ReleaseHold
from holdgate_schema.commands.selling import CartLeg, PlaceCart
from holdgate_workers.app.carts.protocol import RECONCILE_AFTER_SECONDS
from holdgate_workers.ids import new_request_id, short_id

pytestmark = [pytest.mark.services, pytest.mark.slow]

CLIENTS = 30
CARTS_EACH = 10
ENOUGH_SECONDS = 300.0
QUICK: dict[str, Any] = {"HOLDGATE_TEST_LEASE_SECONDS": "2", "HOLDGATE_TEST_RESEND_SECONDS": "1"}
"""So that what a dead worker had in hand is taken over soon."""

_LOOKS = "SELECT count(*) FROM tasks WHERE kind = 'cart.advance' AND state = 'open'"

STEPS = ("LookAt", "WriteVerdict", "Show", "Send cart.hold.v1", "Send cart.release.v1", "Send cart.settle.v1")
SHORT = ("after:WriteVerdict", "after:Send cart.hold.v1", "before:Send cart.release.v1")
"""For every day; all of them with HOLDGATE_TEST_CRASH=all."""
EVERY = [f"{when}:{step}" for step in STEPS for when in ("before", "after")]
FAILPOINTS = EVERY if os.environ.get("HOLDGATE_TEST_CRASH") == "all" else SHORT


def cart_of(*occurrence_ids: str, seats: int = 1, **fields: Any) -> PlaceCart:
    """A cart of one basket each, in the buyer's order."""
    return PlaceCart(
        request_id=new_request_id(),
        occurrence_id=occurrence_ids[0],
        legs=[CartLeg(occurrence_id=key, items={"adult": seats}) for key in occurrence_ids],
        **fields,
    )


def place(client: BookingClient, cart: PlaceCart) -> Future[Answer]:
    """Ask for a cart; the future of how it ends."""
    return client.follow(cart, timeout_seconds=ENOUGH_SECONDS).final


def ends(futures: list[Future[Answer]]) -> list[Answer]:
    """How they all ended: held or refused, each told to its buyer."""
    answers = [future.result(ENOUGH_SECONDS) for future in futures]
    assert {type(answer) for answer in answers} <= {CartHeld, Refused}
    return answers


def check(site: TestSite) -> None:
    """Everything counted again, once the last task is done."""
    open_tasks = "SELECT count(*) FROM tasks WHERE kind IN ('cart.advance', 'cart.reconcile') AND state = 'open'"
    eventually(lambda: site.value(open_tasks) == 0, "no task is left open", ENOUGH_SECONDS)
    assert CartBooks(site).problems() == []


# --- one cart ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=kinds())
def calm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestSite]:
    """A site with everything that carts need, on each kind of queue; each test has occurrences of its own."""
    with open_test_site(request.param, tmp_path_factory.mktemp("carts")) as site:
        site.start("gate", "expiry", "feeder", "orders")
        yield site


def three_halls(client: BookingClient, capacity: int) -> list[str]:
    """Occurrences that nobody else knows, in the order in which carts take them."""
    halls = [f"{hall}-{short_id()}" for hall in ("blue", "green", "red")]
    for hall in halls:
        put(client, hall, capacity)
    return halls


def test_a_cart_is_told_that_it_is_started_and_then_that_it_is_held(calm: TestSite) -> None:
    client = calm.client()
    blue, green, _ = three_halls(client, 3)
    cart = cart_of(green, blue)
    answers = client.follow(cart)
    started, held = answers.first.result(), answers.final.result()
    assert isinstance(started, CartStarted)
    assert isinstance(held, CartHeld)
    assert (held.cart_id, set(held.hold_ids)) == (cart.request_id, {blue, green})
    for key, hold_id in held.hold_ids.items():
        owner = {"session_id": started.session_id, "hold_id": hold_id}
        released = client.call(ReleaseHold(request_id=new_request_id(), occurrence_id=key, **owner))
        assert isinstance(released, Released)


def test_a_cart_of_which_one_leg_cannot_be_had_is_refused_with_its_reason_and_leaves_nothing(
    calm: TestSite,
) -> None:
    client = calm.client()
    blue, green, red = three_halls(client, 3)
    assert isinstance(client.call(place_of(red, {"adult": 3})), Held)
    cart = cart_of(red, blue, green)
    refused = place(client, cart).result()
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.subject, refused.cart_id) == (Reason.SOLD_OUT, red, cart.request_id)
    assert calm.held(blue) == calm.held(green) == 0


def test_a_leg_that_nobody_has_put_refuses_the_cart_without_waiting(calm: TestSite) -> None:
    client = calm.client()
    blue, *_ = three_halls(client, 3)
    nowhere = f"nowhere-{new_request_id()}"
    refused = client.follow(cart_of(blue, nowhere)).final.result(RECONCILE_AFTER_SECONDS)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.subject) == (Reason.UNKNOWN_OCCURRENCE, nowhere)
    assert calm.held(blue) == 0


def test_a_cart_that_is_asked_for_again_is_answered_twice_again_and_takes_nothing(calm: TestSite) -> None:
    client = calm.client()
    blue, green, _ = three_halls(client, 3)
    cart = cart_of(blue, green, session_id="ann")
    first = client.follow(cart)
    told = first.first.result(), first.final.result()
    assert isinstance(told[1], CartHeld)
    again = calm.client().follow(cart)
    assert (again.first.result(), again.final.result()) == told
    assert calm.held(blue) == calm.held(green) == 1


# --- many that cross each other -------------------------------------------------------------------------------------


def test_300_carts_of_30_clients_that_cross_each_other_end_whole_or_not_at_all(tmp_path: Path) -> None:
    halls = [f"hall-{number}" for number in range(6)]
    draw = random.Random(20260601)
    with open_test_site("rabbit", tmp_path) as site:
        gates = [site.start("gate"), site.start("gate", ready=False)]
        site.start("feeder", "expiry", "relay", ready=False)
        for _ in range(2):
            site.start("orders")
        site.wait_lines(*gates)
        boss = site.client()
        for hall in halls:
            put(boss, hall, 55)
        clients = [site.client(f"client-{number}") for number in range(CLIENTS)]
        futures = [place(client, cart_of(*draw.sample(halls, 3))) for _ in range(CARTS_EACH) for client in clients]
        answers = ends(futures)
        check(site)
        outcomes = CartBooks(site).outcomes
        assert len(outcomes) == CLIENTS * CARTS_EACH
        told = {answer.cart_id: "held" if isinstance(answer, CartHeld) else "refused" for answer in answers}  # type: ignore[union-attr]
        assert told == outcomes
        assert {"held", "refused"} == set(outcomes.values())
        assert site.dead_letters() == []


# --- a worker that dies ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestSite]:
    """A site on which only who takes the carts is missing."""
    with open_test_site("rabbit", tmp_path_factory.mktemp("stage")) as site:
        site.start("gate", "feeder", HOLDGATE_TEST_RESEND_SECONDS="1")
        yield site


@pytest.mark.parametrize("failpoint", FAILPOINTS, ids=lambda name: name.replace(":", " ").replace(" ", "-"))
def test_whichever_step_its_worker_dies_at_no_cart_is_left_half_taken(stage: TestSite, failpoint: str) -> None:
    client = stage.client()
    halls = three_halls(client, 2)
    victim = stage.start("orders", **QUICK)
    victim.arm(f"{failpoint}:1:kill")
    futures = [place(client, cart_of(*order)) for order in (halls, halls[::-1], halls[1:], halls[:2])]
    victim.wait_killed()
    heir = stage.start("orders", **QUICK)
    try:
        answers = ends(futures)
        check(stage)
        assert {type(answer) for answer in answers} == {CartHeld, Refused}
    finally:
        _dismiss(stage, victim, heir)


def test_a_cart_that_nobody_was_told_of_any_more_is_found_and_brought_to_its_end(stage: TestSite) -> None:
    """Its tasks are gone after the first leg; only the look that comes from time to time is left."""
    client = stage.client()
    halls = three_halls(client, 2)
    victim = stage.start("orders", **QUICK)
    victim.arm("after:Send cart.hold.v1:1:kill")
    future = place(client, cart_of(*halls))
    victim.wait_killed()
    eventually(lambda: stage.held(halls[0]) == 1, "the first leg is held")
    eventually(lambda: stage.value(_LOOKS) >= 2, "its answer is planned")
    stage.rows("DELETE FROM tasks WHERE kind = 'cart.advance' AND state = 'open'")
    stage.rows("UPDATE tasks SET due_at = now(), wake_at = now() WHERE kind = 'cart.reconcile' AND state = 'open'")
    heir = stage.start("orders", **QUICK)
    try:
        assert isinstance(future.result(ENOUGH_SECONDS), CartHeld)
        check(stage)
    finally:
        _dismiss(stage, victim, heir)


def _dismiss(site: TestSite, *workers: WorkerProcess) -> None:
    for worker in workers:
        worker.dispose()
        site.workers.remove(worker)
