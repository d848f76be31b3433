"""Many seeds: run, counted, and void unless everything rare that they are for has happened in them."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from time import perf_counter

from .run import Outcome, Run

CHUNK = 50
EXPECTING = 2000
"""A campaign of so many seeds or more must have seen everything of `EXPECTED`."""
EXPECTED = (
    "a batch was halved",
    "a booking ended as cancelled",
    "a booking ended as confirmed",
    "a booking ended as failed",
    "a booking ended as parked",
    "a booking ended as refund_required",
    "a cart ended as held",
    "a cart was refused at a later leg",
    "a conversion was compensated",
    "a conversion was refused: price_changed",
    "a conversion was settled once more, and otherwise",
    "a leave came too late for the channel that it meant",
    "a page of events was not confirmed",
    "a payment was refused",
    "a price was told twice, and not the same one",
    "a release came just before the expiry",
    "a second answer was given again",
    "a task was done by two at once",
    "a task was taken over",
    "a voucher was used up",
    "a worker was killed at its desk",
    "a worker was stopped and went on",
    "aborted by the server",
    "acknowledged on a dead channel",
    "an event was told twice",
    "an expiry came before the owner",
    "an offer expired and was passed on",
    "an order event came before the settlement",
    "an order was found by searching before it was sent again",
    "broker restarted",
    "clock jumped ahead",
    "clock jumped back",
    "clock jumped far ahead",
    "conflict: duplicate",
    "conflict: early",
    "conflict: limit",
    "conflict: stale",
    "database restarted",
    "drained",
    "expiry paused after a jump of the clock",
    "handed a partition over",
    "handed over with messages in hand",
    "killed while a commit was in flight",
    "lines were cut while the tables were held",
    "money came too late and the seats were free",
    "money came too late and the seats were gone",
    "money has to be given back",
    "nobody knew whether a settlement was committed",
    "poison isolated: breaks",
    "poison isolated: cursed",
    "poison isolated: unreadable",
    "publishers were blocked",
    "redelivered",
    "requeued out of order",
    "rerouted",
    "seats were taken again for money that came after all",
    "sold out and back",
    "somebody asked what is the house's business",
    "stood in line another way than was recorded",
    "the cursor waited for a running transaction",
    "the next in line took over",
    "the tables were held by somebody else",
    "the shop did not answer: done later",
    "the shop did not answer: done",
    "the shop did not answer: never done",
    "unknown commit: applied later",
    "unknown commit: applied",
    "unknown commit: never applied",
    "waited for a row",
    "zombie",
)
"""What a campaign is for. `what was read did not go together` is not among it: it is too rare to be asked of so few."""


@dataclass(slots=True)
class Campaign:
    """What came of many seeds."""

    seeds: int = 0
    steps: int = 0
    seconds: float = 0.0
    seen: dict[str, int] = field(default_factory=dict)
    """Rare event -> in how many seeds it happened."""
    failed: Outcome | None = None

    @property
    def missing(self) -> list[str]:
        """What should have happened and never did."""
        if self.seeds < EXPECTING:
            return []
        return [event for event in EXPECTED if event not in self.seen]

    def add(self, outcome: Outcome) -> None:
        """One more seed."""
        self.seeds += 1
        self.steps += outcome.steps
        for event in outcome.seen:
            self.seen[event] = self.seen.get(event, 0) + 1
        if outcome.what:
            self.failed = outcome

    def join(self, other: Campaign) -> None:
        """More seeds."""
        self.seeds += other.seeds
        self.steps += other.steps
        for event, times in other.seen.items():
            self.seen[event] = self.seen.get(event, 0) + times
        self.failed = self.failed or other.failed


def campaign(seeds: range, *, profile: str | None = None, jobs: int = 1) -> Campaign:
    """Run them, up to the first that fails."""
    began = perf_counter()
    total = Campaign()
    chunks = [(seeds[start : start + CHUNK], profile) for start in range(0, len(seeds), CHUNK)]
    for part in _parts(chunks, jobs):
        total.join(part)
        if total.failed is not None:
            break
    total.seconds = perf_counter() - began
    return total


def _parts(chunks: list[tuple[range, str | None]], jobs: int) -> Iterator[Campaign]:
    if jobs == 1:
        yield from map(_chunk, chunks)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(_chunk, chunks)


def _chunk(work: tuple[Iterable[int], str | None]) -> Campaign:
    """Some seeds. A world is full of circles: they are collected between seeds, not in the middle of one."""
    seeds, profile = work
    part = Campaign()
    collects = gc.isenabled()
    gc.disable()
    try:
        for number, seed in enumerate(seeds):
            part.add(Run(seed, profile=profile).go())
            if part.failed is not None:
                break
            if number % 10 == 9:
                gc.collect()
    finally:
        if collects:
            gc.enable()
    return part
