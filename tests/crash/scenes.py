"""What leads up to a fault: who works, who is the victim, what makes it come to the step, how its heir is seen.

Three names do for all scenes. By the rendezvous of the partitions, of two gates the first leads some partitions and the
second the others; the newcomer comes before both on those of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.checker.buyers import Body
from tests.crash.cases import Case
from tests.crash.ground import Stage
from tests.crash.wire import Wire
from tests.support.processes import WorkerProcess
from tests.support.rabbit import eventually
from tests.support.recorded import on_sale
from tests.support.requests import occurrences_in
from tests.support.site import PARTITIONS

from holdgate_workers.app.partitions.membership import ranked
from holdgate_workers.ids import new_request_id

FIRST, SECOND, NEWCOMER = "bert", "emil", "carl"
BUYERS, REQUESTS = 2, 240
UNDER_WAY_REQUESTS = 30
PATIENCE_SECONDS = 40.0


@dataclass(slots=True, kw_only=True)
class Scene:
    """Everything is running and sold; next the victim is told where to fail."""

    victim: WorkerProcess
    provoke: Callable[[], object] = lambda: None
    """Makes the victim come to its step."""
    take_for_dead: Callable[[], object] = lambda: None
    """What the servers do when they have waited long enough for a victim that does not move."""
    see_heir: Callable[[], object]
    """Waits until the victim's work is done, by whomever."""
    must_end: bool = False
    """The victim was asked to stop, and must get there."""
    is_armed: bool = False
    """It was told where to fail before it started."""
    wires: Mapping[str, Wire] = field(default_factory=dict)
    """What else can be cut: fault -> wire."""
    whose: Mapping[str, str] = field(default_factory=dict)
    """How its connections are known, where not by its name: fault -> words."""


def leads(leader: str, *others: str) -> set[int]:
    """The partitions that are a gate's by rendezvous."""
    names = [f"{name}.gate" for name in (leader, *others)]
    return {partition for partition in range(PARTITIONS) if ranked(partition, names)[0] == f"{leader}.gate"}


# --- the gates --------------------------------------------------------------------------------------------------


def two_gates(stage: Stage, case: Case) -> Scene:
    """Both work; the first is the victim, the second stands behind it."""
    gates = [stage.start("gate", name=FIRST), stage.start("gate", name=SECOND, ready=False)]
    stage.start("expiry", "relay", name="back")
    stage.site.wait_lines(*gates)
    busy = leads(FIRST, SECOND)
    hall, *_ = open_sale(stage, *busy, *sorted(leads(SECOND, FIRST))[:1])
    victim = gates[0]
    # A hold that never was is in nobody's memory: it has to be looked for.
    look_up = _body("hold.release.v1", hall, hold_id=new_request_id(), session_id="nobody")

    def provoke() -> None:
        stage.run.operator.send(look_up)
        if case.step == "Bury":
            for number in range(3):
                stage.run.operator.send_unreadable(f'{{"number": {number}', hall)
        elif case.step == "Close":
            victim.process.terminate()

    def see_heir() -> None:
        stage.run.ask(look_up)
        ask_for_a_hold(stage, hall)

    return Scene(
        victim=victim,
        provoke=provoke,
        take_for_dead=lambda: stage.ground.broker.cut(f"{FIRST}.gate.p"),
        see_heir=see_heir,
        must_end=case.step == "Close",
    )


def taking_over(stage: Stage, case: Case) -> Scene:
    """The first is killed; the second, which has had nothing to do so far, fails at its first steps; a third comes."""
    gates = [stage.start("gate", name=FIRST), stage.start("gate", name=SECOND, ready=False)]
    stage.start("expiry", "relay", name="back")
    stage.site.wait_lines(*gates)
    hall, *_ = open_sale(stage, *(leads(FIRST, SECOND) & leads(NEWCOMER, FIRST, SECOND)))
    first, second = gates

    def provoke() -> None:
        first.kill()
        stage.start("gate", name=NEWCOMER, ready=False)

    return Scene(
        victim=second,
        provoke=provoke,
        take_for_dead=lambda: stage.ground.broker.cut(f"{SECOND}.gate.p"),
        see_heir=lambda: ask_for_a_hold(stage, hall),
    )


def handing_over(stage: Stage, case: Case) -> Scene:
    """One works alone; a newcomer comes to whom the work belongs. The one who hands it over is the victim."""
    victim = stage.start("gate", name=FIRST)
    stage.start("expiry", "relay", name="back")
    stage.site.wait_lines(victim)
    hall, *_ = open_sale(stage, *leads(NEWCOMER, FIRST))
    return Scene(
        victim=victim,
        provoke=lambda: stage.start("gate", name=NEWCOMER, ready=False),
        take_for_dead=lambda: stage.ground.broker.cut(f"{FIRST}.gate.p"),
        see_heir=lambda: ask_for_a_hold(stage, hall),
    )


def joining(stage: Stage, case: Case) -> Scene:
    """As before, but the newcomer is the victim."""
    one = stage.start("gate", name=FIRST)
    stage.start("expiry", "relay", name="back")
    stage.site.wait_lines(one)
    hall, *_ = open_sale(stage, *leads(NEWCOMER, FIRST))
    return Scene(
        victim=stage.start("gate", name=NEWCOMER, failpoint=case.failpoint, ready=False),
        see_heir=lambda: ask_for_a_hold(stage, hall),
        is_armed=True,
    )


# --- relay and expiry -------------------------------------------------------------------------------------------


def two_relays(stage: Stage, case: Case) -> Scene:
    """The one that came first has the cursor."""
    victim = stage.start("relay", name=FIRST)
    stage.start("gate", "expiry", name="front")
    stage.start("relay", name=SECOND)
    hall, *_ = open_sale(stage, *range(PARTITIONS))
    return Scene(
        victim=victim,
        # The right to the cursor belongs to the connection.
        take_for_dead=lambda: stage.ground.database.cut(f"{FIRST}."),
        see_heir=lambda: hear_of_a_hold(stage, hall),
    )


def two_sweepers(stage: Stage, case: Case) -> Scene:
    """Both look for what is due, and either will do."""
    victim = stage.start("expiry", name=FIRST)
    stage.start("gate", "relay", name="front")
    stage.start("expiry", name=SECOND)
    open_sale(stage, *range(PARTITIONS))
    quiet = "quiet-hall"
    stage.run.ask(on_sale(quiet, capacity=50, kids=10, minute=59))
    return Scene(
        victim=victim,
        provoke=lambda: ask_for_a_hold(stage, quiet, ttl_seconds=1),
        see_heir=lambda: see_a_hold_end(stage, quiet),
    )


SCENES: dict[str, Callable[[Stage, Case], Scene]] = {
    "working": two_gates,
    "committing": two_gates,
    "stopping": two_gates,
    "taking-over": taking_over,
    "joining": joining,
    "handing-over": handing_over,
    "relaying": two_relays,
    "sweeping": two_sweepers,
}


# --- the sale, and what the operator asks -----------------------------------------------------------------------


def open_sale(stage: Stage, *partitions: int) -> list[str]:
    """An occurrence in each of these partitions, and buyers at work on all of them."""
    ids = occurrences_in(PARTITIONS, 1, "hall")
    halls = [ids[partition][0] for partition in partitions]
    assert halls, "by their names nobody would have anything to do"
    for minute, hall in enumerate(halls):
        stage.run.ask(on_sale(hall, capacity=150, kids=30, minute=minute))
    stage.run.start_buyers(
        halls, processes=BUYERS, requests=REQUESTS, until_enough=True, window=8, ttl_seconds_max=1
    )
    under_way = UNDER_WAY_REQUESTS + len(halls)
    eventually(lambda: stage.run.decided >= under_way, "the sale is under way", PATIENCE_SECONDS)
    return halls


def ask_for_a_hold(stage: Stage, hall: str, **more: int) -> str:
    """Ask until it is answered; the id of the hold that there is then, or that was refused."""
    body = _body("hold.place.v1", hall, items={"adult": 1}, **more)
    stage.run.ask(body)
    return str(body["request_id"])


def hear_of_a_hold(stage: Stage, hall: str) -> None:
    """A hold that is asked for now is told to the world."""
    request_id = ask_for_a_hold(stage, hall)
    eventually(lambda: stage.run.was_told(f"{request_id}/0"), "its event is told", PATIENCE_SECONDS)


def see_a_hold_end(stage: Stage, hall: str) -> None:
    """A hold for which nobody else has any use is expired."""
    hold_id = ask_for_a_hold(stage, hall, ttl_seconds=1)
    state = "SELECT state FROM holds WHERE id = %s"
    eventually(lambda: stage.run.value(state, hold_id) == "expired", "it is swept", PATIENCE_SECONDS)


def _body(kind: str, hall: str, **more: object) -> Body:
    return {"type": kind, "request_id": new_request_id(), "occurrence_id": hall, **more}
