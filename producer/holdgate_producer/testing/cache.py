"""The test double's cache: what `availability(…, cached=True)` finds is what the test has put there."""

from __future__ import annotations

from collections.abc import Callable

from holdgate_schema.answers.holds import Availability


class FakeCache:
    """A `Cache` in memory, filled by hand: `keep` takes what the gate would answer now.

        gate = FakeGate(capacity={"occ-1": 2})
        cache = FakeCache(gate.availability)
        with BookingClient(link=gate, cache=cache) as client:
            cache.keep("occ-1")
            client.place("occ-1", {"adult": 2})
            client.availability("occ-1", cached=True)   # two seats: the cache has not heard of the hold

    What was not kept, or was flushed, is asked of the gate; so is everything while the cache is down.
    """

    def __init__(self, ask: Callable[[str], Availability]) -> None:
        self._ask = ask
        self._kept: dict[str, Availability] = {}
        self._up = True
        self.reads: list[str] = []
        """The occurrences that were looked for, in order."""

    def keep(self, occurrence_id: str) -> Availability:
        """Keep what the gate would answer now."""
        self._kept[occurrence_id] = self._ask(occurrence_id)
        return self._kept[occurrence_id]

    def flush(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def go_down(self) -> None:
        """Answer nothing until `come_up`."""
        self._up = False

    def come_up(self) -> None:
        """Answer again."""
        self._up = True

    def read(self, occurrence_id: str) -> Availability | None:
        """What was kept."""
        self.reads.append(occurrence_id)
        return self._kept.get(occurrence_id) if self._up else None

    def close(self) -> None:
        """Nothing to hang up."""
