"""What kind of world a seed makes. Each draws its own mix, so that some seeds have one fault only and some all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any, get_args

from holdgate_workers.domain.settings.settings import LatePayment, Settings

from .world import MS, SECOND

NEMESES = (
    "kill_gate",
    "pause_gate",
    "drain_gate",
    "zombie",
    "disconnect",
    "broker_restart",
    "alarm",
    "database_restart",
    "stall",
    "clock_ahead",
    "clock_far_ahead",
    "clock_back",
    "reroute",
    "kill_background",
    "pause_background",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One seed's world. Times are microseconds, `p_…` probabilities."""

    partitions: int
    workers: int
    occurrences: int
    capacity: int
    session_cap: int
    stock_cap: int
    sessions: int
    clients: int
    requests: int
    interval: int
    burst: int
    """How many requests a client sends at once; `interval` is the mean time for each."""
    prefetch: int
    batch_max: int
    latency: int
    ttl_seconds: tuple[int, ...]
    p_lost_publish: float
    p_lost_confirm: float
    p_lost_reply: float
    p_duplicate: float
    p_other_body: float
    p_poison: float
    p_abort: float
    p_unknown: float
    p_slow: float
    p_torn_read: float
    p_kill: float
    p_pause: float
    reorder: bool
    skewed_rates: bool
    nemeses: tuple[str, ...]
    nemesis_every: int
    beat: int
    safety: int
    p_sells: float
    """How much of what clients do has to do with money, lines and carts; 0: there is nobody behind the gate."""
    p_line: float
    p_cart: float
    late_payment: LatePayment
    voucher_uses: int
    p_shop_unknown: float
    p_shop_down: float
    p_shop_refuses: float
    p_shop_late: float
    p_order_event: float

    @property
    def sells(self) -> bool:
        """Whether there is anybody behind the gate."""
        return self.p_sells + self.p_line + self.p_cart > 0

    def settings(self) -> Settings:
        """The house's, for a world in which a minute is too long."""
        quick: Any = 2 / 60
        return Settings(
            max_per_session=self.session_cap,
            late_payment=self.late_payment,
            conversion_timeout_minutes=quick,
            conversion_paid_wait_minutes=3 * quick,
            offer_minutes=quick,
        )


def draw(random: Random) -> Options:
    """A world from the dice."""
    pick = random.choice
    sells = random.random() < 0.1
    return Options(
        partitions=random.randint(1, 4),
        workers=random.randint(2, 3),
        occurrences=random.randint(1, 6),
        capacity=random.randint(1, 12),
        session_cap=random.randint(1, 4),
        stock_cap=random.randint(1, 5),
        sessions=pick((2, 5, 40)),
        clients=random.randint(1, 4),
        requests=pick((15, 30, 60)),
        interval=pick((2, 10, 40)) * MS,
        burst=pick((1, 1, 4, 12)),
        prefetch=pick((4, 30, 1000)),
        batch_max=pick((1, 4, 64)),
        latency=pick((1, 3, 10)) * MS,
        ttl_seconds=pick(((1,), (1, 2), (2, 3))),
        p_lost_publish=pick((0, 0, 0.05)),
        p_lost_confirm=pick((0, 0, 0.05, 0.2)),
        p_lost_reply=pick((0, 0, 0.1)),
        p_duplicate=pick((0, 0.03, 0.15)),
        p_other_body=pick((0, 0.03, 0.1)),
        p_poison=pick((0, 0, 0.05)),
        p_abort=pick((0, 0, 0.05, 0.15)),
        p_unknown=pick((0, 0, 0.05, 0.2)),
        p_slow=pick((0, 0.05, 0.3)),
        p_torn_read=pick((0, 0.3)),
        p_kill=pick((0, 0, 0.003)),
        p_pause=pick((0, 0, 0.02)),
        reorder=pick((False, False, True)),
        skewed_rates=pick((False, True)),
        nemeses=tuple(kind for kind in NEMESES if random.random() < 0.4),
        nemesis_every=pick((100 * MS, 400 * MS, 1500 * MS)),
        beat=pick((200 * MS, SECOND)),
        safety=pick((2, 3, 4)) * SECOND,
        p_sells=0.5 if sells else 0,
        p_line=pick((0, 0.1)) if sells else 0,
        p_cart=pick((0, 0.1)) if sells else 0,
        late_payment=pick(get_args(LatePayment)),
        voucher_uses=pick((1, 1, 2)),
        p_shop_unknown=pick((0, 0.1, 0.3)),
        p_shop_down=pick((0, 0, 0.2)),
        p_shop_refuses=pick((0, 0, 0.1)),
        p_shop_late=pick((0, 0, 0.1)),
        p_order_event=pick((0, 0.3, 0.7)),
    )


def _two_writers(options: Options) -> Options:
    """Little room, and workers that are stopped or cut off on the brink of a commit while another takes over."""
    return replace(
        options,
        p_sells=0,
        p_line=0,
        p_cart=0,
        workers=3,
        occurrences=min(options.occurrences, 2),
        capacity=min(options.capacity, 4),
        interval=10 * MS,
        p_pause=0.15,
        p_slow=0.4,
        p_torn_read=0.5,
        p_poison=0,
        nemeses=("zombie", "zombie", "reroute", "drain_gate"),
        nemesis_every=80 * MS,
    )


def _shared(options: Options) -> Options:
    """Few sessions and little stock over many occurrences on several workers: everybody wants the same limits."""
    return replace(
        options,
        p_sells=0,
        p_line=0,
        p_cart=0,
        partitions=4,
        workers=3,
        occurrences=6,
        capacity=12,
        sessions=2,
        session_cap=3,
        stock_cap=3,
        interval=5 * MS,
        p_slow=0.3,
        p_poison=0,
        p_abort=0.1,
    )


def _handover(options: Options) -> Options:
    """Workers come and go while there is always something in their hands."""
    return replace(
        options,
        p_sells=0,
        p_line=0,
        p_cart=0,
        partitions=2,
        workers=3,
        occurrences=2,
        clients=3,
        requests=90,
        interval=40 * MS,
        burst=15,
        latency=MS,
        prefetch=8,
        batch_max=2,
        p_poison=0,
        p_slow=0.5,
        p_duplicate=0,
        p_lost_confirm=0,
        nemeses=("drain_gate", "kill_gate"),
        nemesis_every=150 * MS,
        beat=50 * MS,
        safety=2 * SECOND,
    )


def _outages(options: Options) -> Options:
    """Now the broker is away, now the database: workers are busy for long and lose their channels meanwhile."""
    return replace(
        options,
        p_sells=0,
        p_line=0,
        p_cart=0,
        partitions=4,
        workers=2,
        requests=40,
        p_unknown=0.2,
        p_slow=0.3,
        nemeses=("broker_restart", "database_restart", "stall"),
        nemesis_every=300 * MS,
        safety=4 * SECOND,
    )


def _clocks(options: Options) -> Options:
    """Short holds, little room, and a clock that somebody sets to and fro."""
    return replace(
        options,
        p_sells=0,
        p_line=0,
        p_cart=0,
        occurrences=1,
        capacity=min(options.capacity, 3),
        sessions=40,
        requests=90,
        interval=40 * MS,
        ttl_seconds=(1,),
        p_abort=0,
        p_unknown=0,
        nemeses=("clock_ahead", "clock_back", "clock_back"),
        nemesis_every=60 * MS,
        safety=4 * SECOND,
    )


def _selling(options: Options) -> Options:
    """Much is bought in a little room, the shop is not to be relied on, and the workers behind the gate die."""
    return replace(
        options,
        occurrences=min(options.occurrences, 2),
        capacity=12 + options.capacity,
        stock_cap=20,
        sessions=40,
        session_cap=4,
        clients=2,
        requests=40,
        interval=20 * MS,
        p_poison=0,
        p_kill=0.003,
        p_unknown=max(options.p_unknown, 0.02),
        p_sells=0.95,
        p_line=0,
        p_cart=0,
        p_shop_unknown=0.25,
        p_order_event=0.5,
        nemeses=("kill_background", "pause_background", "kill_gate", "database_restart"),
        nemesis_every=300 * MS,
        safety=4 * SECOND,
    )


def _lines(options: Options) -> Options:
    """Little room, many who want it, and some who want several things at once."""
    return replace(
        options,
        occurrences=3,
        partitions=min(options.partitions, 3),
        capacity=min(options.capacity, 5),
        sessions=40,
        clients=2,
        requests=40,
        interval=20 * MS,
        p_poison=0,
        p_sells=0.4,
        p_line=0.5,
        p_cart=0.3,
        ttl_seconds=(1,),
        nemesis_every=400 * MS,
        safety=3 * SECOND,
    )


def _calm(options: Options) -> Options:
    """No faults at all: what goes wrong here is wrong by itself."""
    return replace(
        options,
        p_shop_unknown=0,
        p_shop_down=0,
        p_shop_refuses=0,
        p_lost_publish=0,
        p_lost_confirm=0,
        p_lost_reply=0,
        p_abort=0,
        p_unknown=0,
        p_kill=0,
        p_pause=0,
        nemeses=(),
    )


PROFILES: dict[str, Callable[[Options], Options]] = {
    "swarm": lambda options: options,
    "two-writers": _two_writers,
    "shared": _shared,
    "handover": _handover,
    "outages": _outages,
    "clocks": _clocks,
    "selling": _selling,
    "lines": _lines,
    "calm": _calm,
}
"""What a world may be bent towards."""


def profile_of(seed: int) -> str:
    """Most seeds are free to be anything."""
    if seed % 20 in (3, 4):
        return "selling" if seed % 20 == 3 else "lines"
    return {5: "outages", 6: "clocks", 7: "two-writers", 8: "shared", 9: "handover"}.get(seed % 10, "swarm")
