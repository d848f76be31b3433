"""What a worker remembers between batches: all of it can be thrown away at any time.

While a batch is on its way to the database, the memory says what will be there if it goes through.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

from holdgate_workers.domain.decision import Claim, LimitKey
from holdgate_workers.domain.occurrences.occurrence import Occurrence

from .effects import Recorded


class Occurrences:
    """The occurrences in memory, the longest unused forgotten first once they weigh too much.

    An occurrence weighs one plus its live holds and who stands in line.
    """

    def __init__(self, weight_max: int) -> None:
        self._weight_max = weight_max
        self._kept: OrderedDict[str, Occurrence] = OrderedDict()
        self._weight = 0

    def __contains__(self, occurrence_id: str) -> bool:
        return occurrence_id in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, occurrence_id: str) -> Occurrence | None:
        """The occurrence if it is remembered."""
        occurrence = self._kept.get(occurrence_id)
        if occurrence is not None:
            self._kept.move_to_end(occurrence_id)
        return occurrence

    def keep(self, occurrence: Occurrence) -> None:
        """Remember it."""
        before = self._kept.get(occurrence.id)
        if before is not None:
            self._weight -= before.remembered_weight
        self._kept[occurrence.id] = occurrence
        occurrence.remembered_weight = 1 + len(occurrence.holds) + len(occurrence.waiting)
        self._weight += occurrence.remembered_weight

    def forget(self, occurrence_ids: Iterable[str]) -> None:
        """Throw these away."""
        for occurrence_id in occurrence_ids:
            occurrence = self._kept.pop(occurrence_id, None)
            if occurrence is not None:
                self._weight -= occurrence.remembered_weight

    def forget_where(self, gone: Callable[[str], bool]) -> None:
        """Throw away those whose id is gone."""
        self.forget([occurrence_id for occurrence_id in self._kept if gone(occurrence_id)])

    def trim(self) -> None:
        """Forget the longest unused until the rest is light enough. Only between batches."""
        while self._weight > self._weight_max and len(self._kept) > 1:
            self.forget([next(iter(self._kept))])


class RecentAnswers:
    """The last answers given, so that most repeated requests need no look into the journal.

    Answers never change, so nothing here can be stale.
    """

    def __init__(self, answers_max: int) -> None:
        self._answers_max = answers_max
        self._kept: OrderedDict[str, Recorded] = OrderedDict()
        self._expected: Mapping[str, Recorded] = {}

    def get(self, request_id: str) -> Recorded | None:
        """The answer, if it was given lately or is on its way."""
        return self._kept.get(request_id) or self._expected.get(request_id)

    def expect(self, answers: Mapping[str, Recorded]) -> None:
        """These are on their way to the database."""
        self._expected = answers

    def confirm(self) -> None:
        """They are durable."""
        self._kept.update(self._expected)
        self._expected = {}
        while len(self._kept) > self._answers_max:
            self._kept.popitem(last=False)

    def forget(self) -> None:
        """They are not."""
        self._expected = {}


class LimitsSeen:
    """The shared limits as last seen. A guess for granting, never a ground for refusing."""

    def __init__(self, limits_max: int = 20_000) -> None:
        self._limits_max = limits_max
        self._seen: OrderedDict[LimitKey, int] = OrderedDict()
        self._expected: dict[LimitKey, int] = {}

    def expect(self, claims: Iterable[Claim]) -> None:
        """Count claims that are on their way to the database."""
        self._expected = {claim.limit: claim.delta for claim in claims}

    def learn(self, used: Mapping[LimitKey, int]) -> None:
        """Remember what the database said. What was on its way has arrived."""
        self._expected = {}
        self._seen.update(used)
        while len(self._seen) > self._limits_max:
            self._seen.popitem(last=False)

    def forget(self, limits: Iterable[LimitKey]) -> None:
        """Guess anew."""
        self._expected = {}
        for limit in limits:
            self._seen.pop(limit, None)

    def guess(self, limit: LimitKey) -> int:
        """How much was used when last seen, 0 if never, and what is on its way."""
        return self._seen.get(limit, 0) + self._expected.get(limit, 0)


class BatchLimits:
    """The shared limits during one batch: what was read for it, else the guess, plus what it has claimed."""

    def __init__(self, seen: LimitsSeen) -> None:
        self._seen = seen
        self._fresh: dict[LimitKey, int] = {}
        self._claimed: dict[LimitKey, int] = {}
        self._caps: dict[LimitKey, int] = {}

    def used(self, limit: LimitKey) -> int:
        """How much is used, claims of this batch included."""
        base = self._fresh.get(limit)
        return (self._seen.guess(limit) if base is None else base) + self._claimed.get(limit, 0)

    def is_fresh(self, limit: LimitKey) -> bool:
        """Whether the number was read for this batch."""
        return limit in self._fresh

    def cap(self, limit: LimitKey) -> int | None:
        """How much may be used, as far as that was read for this batch."""
        return self._caps.get(limit)

    def read(self, limits: Mapping[LimitKey, int], caps: Mapping[LimitKey, int] | None = None) -> None:
        """Take in what was read for this batch."""
        self._fresh.update(limits)
        self._caps.update(caps or {})

    def claim(self, claims: Iterable[Claim]) -> None:
        """Count the claims of a decision of this batch."""
        for claim in claims:
            self._claimed[claim.limit] = self._claimed.get(claim.limit, 0) + claim.delta


class Memory:
    """Everything that is remembered, and how sure that is."""

    def __init__(self, weight_max: int, answers_max: int) -> None:
        self.occurrences = Occurrences(weight_max)
        self.recent = RecentAnswers(answers_max)
        self.limits = LimitsSeen()
        self._doubted_batches = 1

    def doubt(self, *, batches: int) -> None:
        """For so many batches somebody else may have answered the same requests."""
        self._doubted_batches = batches

    def is_doubted(self) -> bool:
        """Whether the batch that begins now must look its requests up in the journal."""
        doubted = self._doubted_batches > 0
        self._doubted_batches = max(0, self._doubted_batches - 1)
        return doubted

    def expect(
        self, occurrences: Iterable[Occurrence], claims: Iterable[Claim], answers: Mapping[str, Recorded]
    ) -> None:
        """Go on as if what is sent now were durable."""
        for occurrence in occurrences:
            occurrence.unsaved = None
            self.occurrences.keep(occurrence)
        self.limits.expect(claims)
        self.recent.expect(answers)

    def confirm(self, used: Mapping[LimitKey, int]) -> None:
        """It is durable; so much is used of the limits that were claimed."""
        self.limits.learn(used)
        self.recent.confirm()

    def forget(self, occurrence_ids: Iterable[str], limits: Iterable[LimitKey]) -> None:
        """It did not happen, or nobody knows."""
        self.occurrences.forget(occurrence_ids)
        self.limits.forget(limits)
        self.recent.forget()
