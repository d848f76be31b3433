"""What buyers ask for while somebody is broken, and how it is seen that another goes on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.crash.cases import Case
from tests.crash.scenes import Scene
from tests.crash.selling_house import SellingHouse
from tests.support.processes import WorkerProcess
from tests.support.rabbit import eventually
from tests.support.requests import place_of
from tests.support.selling import convert_of

from holdgate_producer import Priced
from holdgate_producer.core.entry import Answers
from holdgate_schema.answers.holds import Answer
from holdgate_schema.commands.holds import Command
from holdgate_schema.commands.selling import CartLeg, PlaceCart, Pricing
from holdgate_workers.ids import new_request_id

ANSWER_SECONDS = 60.0
PRICED, CONVERTED, CARTS = 4, 3, 4
STRIKE_SECONDS = 40.0
HALL_SEATS = 2
"""Not enough for all the carts: some have to be given back."""


@dataclass(slots=True)
class Buyers:
    """Ask, and keep every request with its answers to come."""

    house: SellingHouse
    asked: list[tuple[Command, Answers]] = field(default_factory=list)
    holds: list[Priced] = field(default_factory=list)

    def follow(self, command: Command) -> Answers:
        answers = self.house.client.follow(command, timeout_seconds=ANSWER_SECONDS)
        self.asked.append((command, answers))
        return answers

    def price(self, number: int) -> list[Answers]:
        """So many holds that want a price, here and there."""
        shows = itertools.islice(itertools.cycle(self.house.shows), number)
        return [self.follow(place_of(show, pricing=Pricing())) for show in shows]

    def have_priced(self, number: int) -> None:
        """So many holds that have their price."""
        for answers in self.price(number):
            hold = answers.final.result(ANSWER_SECONDS)
            assert isinstance(hold, Priced), hold
            self.holds.append(hold)

    def convert(self, number: int) -> list[Answers]:
        """Pay for so many of those."""
        chosen, self.holds = self.holds[:number], self.holds[number:]
        return [self.follow(convert_of(hold)) for hold in chosen]

    def fill_carts(self, number: int) -> list[Answers]:
        """So many carts over the same new halls, each in an order of its own."""
        halls = self.house.new_halls(HALL_SEATS)
        orders = itertools.islice(itertools.cycle(itertools.permutations(halls)), number)
        return [self.follow(_cart_of(order)) for order in orders]

    def told(self) -> list[tuple[Answer, Answer]]:
        """Both answers to everything; waits for them."""
        return [_both(answers) for _, answers in self.asked]

    def told_again(self) -> list[tuple[Answer, Answer]]:
        """What is said to somebody else who asks for the very same."""
        other = self.house.site.client(timeout_seconds=ANSWER_SECONDS)
        again = [other.follow(command, timeout_seconds=ANSWER_SECONDS) for command, _ in self.asked]
        return [_both(answers) for answers in again]


def _both(answers: Answers) -> tuple[Answer, Answer]:
    return answers.first.result(ANSWER_SECONDS), answers.final.result(ANSWER_SECONDS)


def _cart_of(halls: Sequence[str]) -> PlaceCart:
    legs = [CartLeg(occurrence_id=hall, items={"adult": 1}) for hall in halls]
    return PlaceCart(request_id=new_request_id(), occurrence_id=halls[0], legs=legs)


def _wait(answers: Sequence[Answers]) -> None:
    for asked in answers:
        asked.final.result(ANSWER_SECONDS)


# --- the scenes -----------------------------------------------------------------------------------------------------

Script = tuple[Callable[[], object], Callable[[], object]]
"""What makes the victim come to its step; what waits until another goes on."""


def _until_struck(victim: WorkerProcess, some: Callable[[], list[Answers]]) -> None:
    """More and more work, for the heir may be quicker, and a victim of before may still be on its way back."""
    eventually(lambda: _came_of(victim, some()), f"{victim.name} comes to its step", STRIKE_SECONDS)


def _came_of(victim: WorkerProcess, pending: Sequence[Answers]) -> bool:
    """Whether this struck; waits until it has, or all of it is answered."""

    def looked() -> bool:
        assert victim.is_running or victim.has_struck, f"{victim.name} is gone: {list(victim.log())[-5:]}"
        return victim.has_struck or all(answers.final.done() for answers in pending)

    eventually(looked, "everything is answered, or it struck", ANSWER_SECONDS)
    return victim.has_struck


def pricing(buyers: Buyers, victim: WorkerProcess, case: Case) -> Script:
    """Holds are priced."""
    return lambda: _until_struck(victim, lambda: buyers.price(PRICED)), lambda: _wait(buyers.price(1))


def selling(buyers: Buyers, victim: WorkerProcess, case: Case) -> Script:
    """Priced holds become orders."""

    def some() -> list[Answers]:
        buyers.have_priced(CONVERTED)
        return buyers.convert(CONVERTED)

    buyers.have_priced(1)
    return lambda: _until_struck(victim, some), lambda: _wait(buyers.convert(1))


def everything(buyers: Buyers, victim: WorkerProcess, case: Case) -> Script:
    """Both at once."""
    buyers.have_priced(PRICED + 1)

    def go_on() -> None:
        _wait([*buyers.price(len(buyers.house.shows)), *buyers.convert(1)])

    return lambda: [*buyers.convert(PRICED), *buyers.price(PRICED)], go_on


def carting(buyers: Buyers, victim: WorkerProcess, case: Case) -> Script:
    """Carts cross each other."""
    return lambda: _until_struck(victim, lambda: buyers.fill_carts(CARTS)), lambda: _wait(buyers.fill_carts(1))


def projecting(buyers: Buyers, victim: WorkerProcess, case: Case) -> Script:
    """Redis follows the rows, and is filled anew where the step is one of that."""
    house = buyers.house
    halls = house.new_halls(50)
    eventually(house.read_side_is_right, "the read side is filled", ANSWER_SECONDS)

    def provoke() -> None:
        if case.step in ("BeginGeneration", "ReadPage"):
            assert house.redis is not None
            house.redis.flush()
        for hall in halls:
            house.client.call(place_of(hall))

    def go_on() -> None:
        for hall in halls:
            house.client.call(place_of(hall))
        eventually(house.read_side_is_right, "the read side is as the rows are", ANSWER_SECONDS)

    return provoke, go_on


_SCRIPTS: Mapping[str, Callable[[Buyers, WorkerProcess, Case], Script]] = {
    "pricing": pricing,
    "selling": selling,
    "carting": carting,
    "feeding": everything,
    "noting": everything,
    "projecting": projecting,
}


def scene_of(buyers: Buyers, case: Case, victim: WorkerProcess) -> Scene:
    """The scene of a case, played in its house."""
    house = buyers.house
    provoke, see_heir = _SCRIPTS[case.scene](buyers, victim, case)
    wire = house.ground.database if house.role in ("feeder", "projection") else house.ground.broker
    return Scene(
        victim=victim,
        provoke=provoke,
        # The right to a cursor belongs to the connection; wake-ups and requests come back to their queue.
        take_for_dead=lambda: wire.cut(f"{victim.name}."),
        see_heir=see_heir,
        wires={"cut-cache": house.cache_wire} if house.redis is not None else {},
        # Redis is not told who asks, and nobody's wake-ups say whose they are: both of the two are cut off.
        whose={"cut-cache": "", **({"cut-broker": "wakeups"} if house.role == "feeder" else {})},
    )
