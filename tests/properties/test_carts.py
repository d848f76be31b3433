"""Whatever happens to whom in which order: a cart is held as a whole, or nothing of it is, and it always ends."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from tests.support.carts import CartWorld, Run, a_cart
from tests.support.domain import a_release, a_sweep

from holdgate_schema.answers.holds import Refused
from holdgate_schema.commands.selling import PlaceCart
from holdgate_schema.events.holds import Event, HoldCreated
from holdgate_schema.events.selling import CartSettled
from holdgate_workers.app.carts.protocol import Send

OCCURRENCES = ("a", "b", "c")
STEPS_MAX = 120

two_or_three = st.permutations(OCCURRENCES).flatmap(
    lambda order: st.sampled_from((tuple(order), tuple(order[:2])))
)
some_seats = st.fixed_dictionaries({key: st.integers(1, 3) for key in OCCURRENCES})


def carts_of(orders: list[tuple[str, ...]]) -> list[PlaceCart]:
    return [a_cart(f"buyer-{number}", *order) for number, order in enumerate(orders)]


@given(
    orders=st.lists(two_or_three, min_size=2, max_size=4),
    seats=some_seats,
    random=st.randoms(use_true_random=False),
)
def test_carts_that_cross_each_other_are_held_whole_or_not_at_all_wherever_workers_die(
    orders: list[tuple[str, ...]], seats: dict[str, int], random: Random
) -> None:
    """Messages come twice, workers die or are given up for dead at every step, owners give holds back, time goes by."""
    world = CartWorld.with_seats(**seats)
    carts = carts_of(orders)
    for cart in carts:
        world.ask(cart)
    for _ in range(random.randrange(STEPS_MAX)):
        _something_happens(world, random)
    world.run_to_the_end()
    for cart in carts:
        _check_ended(world, cart)


@given(orders=st.lists(two_or_three, min_size=2, max_size=4), random=st.randoms(use_true_random=False))
def test_of_carts_that_want_the_last_of_the_same_seats_one_gets_them(
    orders: list[tuple[str, ...]], random: Random
) -> None:
    """In whatever orders the buyers named them: nobody is refused by somebody who gets nothing either."""
    world = CartWorld.with_seats(a=1, b=1, c=1)
    carts = carts_of(orders)
    for cart in carts:
        world.ask(cart)
    for _ in range(random.randrange(STEPS_MAX)):
        _something_moves(world, random)
    world.run_to_the_end()
    held = [cart for cart in carts if _outcome(world, cart) == "held"]
    assert held, "everybody was refused"
    for cart in carts:
        _check_ended(world, cart)


@given(random=st.randoms(use_true_random=False))
def test_where_there_is_room_for_all_everybody_is_held(random: Random) -> None:
    world = CartWorld.with_seats(a=3, b=3, c=3)
    carts = carts_of([("a", "b", "c"), ("c", "b", "a"), ("b", "a", "c")])
    for cart in carts:
        world.ask(cart)
    for _ in range(random.randrange(STEPS_MAX)):
        _something_moves(world, random)
    world.run_to_the_end()
    assert [_outcome(world, cart) for cart in carts] == ["held"] * 3
    assert [world.house.pool("total", key).held for key in OCCURRENCES] == [3, 3, 3]


# --- what can happen ----------------------------------------------------------------------------------------------


def _something_moves(world: CartWorld, random: Random) -> None:
    """One of those who can do something does it."""
    choices: list[str | Run | tuple[str, str]] = [key for key, queue in world.queues.items() if queue]
    choices += world.runs
    choices += [task for task in world.open_tasks() if all(run.task != task for run in world.runs)]
    if not choices:
        return
    match random.choice(choices):
        case str(key):
            world.deliver(key)
        case Run() as run:
            world.step(run)
        case (kind, name):
            world.start((kind, name))


def _something_happens(world: CartWorld, random: Random) -> None:
    """Mostly somebody moves; now and then something goes wrong."""
    if random.random() < 0.65:
        _something_moves(world, random)
        return
    match random.randrange(6):
        case 0 if world.runs:
            run = random.choice(world.runs)
            cut_off = isinstance(run.effect, Send) and random.random() < 0.5
            world.crash(run, sent=random.randrange(3) if cut_off else None)
        case 1 if world.open_tasks():
            world.start(random.choice(world.open_tasks()))  # though somebody may be at it
        case 2:
            queue = world.queues[random.choice(OCCURRENCES)]
            queue.extend(list(queue)[:1])  # delivered twice
        case 3:
            _an_owner_gives_back(world, random)
        case 4:
            world.house.wait(minutes=random.choice((1, 20)))
        case 5:
            world.house.send(a_sweep(occurrence_id=random.choice(OCCURRENCES)))


def _an_owner_gives_back(world: CartWorld, random: Random) -> None:
    live = [hold for item in world.house.occurrences.values() for hold in item.holds.values()]
    if live:
        hold = random.choice(live)
        world.ask(world.house.numbered(a_release(hold.view())))


# --- how it must end ----------------------------------------------------------------------------------------------


def _events_of(world: CartWorld, cart: PlaceCart) -> list[Event]:
    cart_id = cart.request_id
    return [
        event
        for event in world.house.events
        if getattr(event, "cart_id", None) == cart_id
        or getattr(getattr(event, "hold", None), "cart_id", None) == cart_id
    ]


def _outcome(world: CartWorld, cart: PlaceCart) -> str:
    [settled] = [event for event in _events_of(world, cart) if isinstance(event, CartSettled)]
    return settled.outcome


def _check_ended(world: CartWorld, cart: PlaceCart) -> None:
    cart_id = cart.request_id
    events = _events_of(world, cart)
    taken = [event.hold.occurrence_id for event in events if isinstance(event, HoldCreated)]
    outcome = _outcome(world, cart)
    [answer] = world.settled[cart_id]
    assert world.shown[cart_id][0] == outcome
    assert len(taken) == len(set(taken)), "a leg was taken twice"
    if outcome == "held":
        assert sorted(taken) == sorted(leg.occurrence_id for leg in cart.legs)
        assert not world.given_back(cart_id), "the buyer was told that all is held, and some of it was given back"
    else:
        assert isinstance(answer, Refused)
        assert not world.holds_of(cart_id, "active"), "the cart was refused, and some of it is left"
