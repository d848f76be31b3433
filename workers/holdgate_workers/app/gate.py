"""The gate: deliveries in, one durable answer each out.

The order is the promise: decide in memory, commit behind the version fence, and only then reply, and only then
acknowledge. When a commit does not go through, or nobody knows whether it did, everything that was known is
thrown away and read again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from holdgate_schema.messages import PutOccurrence
from holdgate_workers.domain.decide import decide, refuse_conflict, refuse_unreadable
from holdgate_workers.domain.decision import Context, Decision, LimitKey
from holdgate_workers.domain.sessions import SessionKeys
from holdgate_workers.domain.settings import Settings

from .answers import dead_letter, recorded_of, unreadable_answer
from .batch import Batch, Settled
from .clock import DatabaseTime
from .effects import (
    Ack,
    Bury,
    CommitResult,
    Committed,
    Conflict,
    Effect,
    Impossible,
    Load,
    Loaded,
    Pause,
    Recorded,
    Reply,
    Unavailable,
    Unknown,
)
from .incoming import Incoming, hold_named
from .memory import BatchLimits, LimitsSeen, Occurrences, RecentAnswers
from .ports import ChannelId

Protocol = Generator[Effect, Any, None]


class Observer:
    """What the gate tells about itself. Every hook does nothing here."""

    def batch_settled(self, incoming: Sequence[Incoming], settled: Settled) -> None:
        """A batch was committed, answered and acknowledged."""

    def conflicted(self, kind: str) -> None:
        """A commit was rolled back and the batch starts again."""

    def buried(self, item: Incoming, reason: str, detail: str) -> None:
        """A message goes to the dead letters."""


@dataclass(slots=True, kw_only=True)
class GateConfig:
    """What the gate is given once."""

    sessions: SessionKeys
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    memory_weight_max: int = 200_000
    recent_answers_max: int = 20_000


@dataclass(slots=True)
class _Stopped(Exception):
    """The process stops in the middle of a batch; what is unacknowledged is delivered again."""


class Gate:
    """Works batches of deliveries, from any number of partitions. One batch at a time."""

    def __init__(
        self, config: GateConfig, time: DatabaseTime, settings: Callable[[], Settings], observer: Observer
    ) -> None:
        self._config = config
        self._time = time
        self._settings = settings
        self._observer = observer
        self._occurrences = Occurrences(config.memory_weight_max)
        self._recent = RecentAnswers(config.recent_answers_max)
        self._limits = LimitsSeen()
        self._suspect_batches = 1

    def forget_where(self, gone: Callable[[str], bool]) -> None:
        """Forget the occurrences of a partition that is no longer ours. Only between batches."""
        self._occurrences.forget_where(gone)
        self._suspect_batches = 1

    @property
    def occurrences_remembered(self) -> int:
        """How many occurrences are in memory."""
        return len(self._occurrences)

    def work(self, incoming: Sequence[Incoming]) -> Protocol:
        """Settle every delivery of a batch. Ends without acknowledging if a `Pause` is answered by False."""
        try:
            settled = yield from self._settle([item for item in incoming if item.request_id is not None])
            settled.dead += [
                (item, "unreadable", str(_named(item))) for item in incoming if item.request_id is None
            ]
            yield from self._answer(settled)
        except _Stopped:
            return
        tags: dict[ChannelId, int] = {}
        for item in incoming:
            delivery = item.delivery
            tags[delivery.channel] = max(tags.get(delivery.channel, 0), delivery.tag)
        yield Ack(tags)
        self._observer.batch_settled(incoming, settled)
        self._occurrences.trim()

    # --- settling -------------------------------------------------------------------------------------

    def _settle(self, incoming: Sequence[Incoming]) -> Generator[Effect, Any, Settled]:
        """Decide and commit until it is durable; isolate what cannot be committed by halving."""
        settled = Settled()
        if not incoming:
            return settled
        attempt = 0
        reread: list[LimitKey] = []
        while True:
            batch = Batch(incoming, BatchLimits(self._limits))
            result = yield from self._attempt(batch, reread)
            if isinstance(result, Committed):
                self._remember(batch, result)
                return batch.settled
            self._forget(batch)
            reread = batch.claimed if isinstance(result, Conflict) and result.kind == "limit" else []
            if isinstance(result, Conflict) and result.kind == "torn" and attempt >= 3:
                result = Impossible(result.detail)  # it does not add up however often it is read
            if isinstance(result, Impossible):
                return (yield from self._halve(incoming, result))
            attempt += 1
            yield from self._before_next_attempt(result, attempt)

    def _halve(self, incoming: Sequence[Incoming], result: Impossible) -> Generator[Effect, Any, Settled]:
        if len(incoming) == 1:
            settled = Settled()
            settled.dead.append((incoming[0], "impossible", result.detail))
            return settled
        middle = len(incoming) // 2
        settled = yield from self._settle(incoming[:middle])
        rest = yield from self._settle(incoming[middle:])
        settled.add(rest)
        return settled

    def _before_next_attempt(
        self, result: Conflict | Unknown | Unavailable, attempt: int
    ) -> Generator[Effect, Any, None]:
        kind = result.kind if isinstance(result, Conflict) else type(result).__name__.lower()
        self._observer.conflicted(kind)
        self._suspect_batches = 3
        if isinstance(result, Conflict) and attempt <= 3 and result.kind != "early":
            return
        go_on = yield Pause(attempt, f"{kind}: {result.detail}")
        if not go_on:
            raise _Stopped

    def _attempt(self, batch: Batch, reread: Sequence[LimitKey]) -> Generator[Effect, Any, CommitResult]:
        """One try: read what is missing, decide everything, commit."""
        unavailable = yield from self._prepare(batch, reread)
        if unavailable is not None:
            return unavailable
        batch.context = self._context(batch)
        for item in batch.incoming:
            failed = yield from self._decide(batch, item)
            if failed is not None:
                return failed
        commit = batch.commit()
        if commit.is_empty:
            return Committed(self._time.now(), {})
        result: CommitResult = yield commit
        if isinstance(result, Committed):
            self._time.observe(result.now)
        return result

    def _prepare(self, batch: Batch, reread: Sequence[LimitKey]) -> Generator[Effect, Any, Unavailable | None]:
        """Read what the batch needs and memory does not have, in one go."""
        suspicious = self._suspect_batches > 0 or any(item.delivery.redelivered for item in batch.incoming)
        self._suspect_batches = max(0, self._suspect_batches - 1)
        requests = []
        missing: dict[str, None] = {}
        holds: dict[str, None] = {}
        starts = []
        for item in batch.incoming:
            assert item.request_id is not None
            assert item.occurrence_id is not None
            recorded = self._recent.get(item.request_id)
            if recorded is not None:
                batch.known[item.request_id] = recorded
                continue
            if suspicious:
                requests.append(item.request_id)
            occurrence = self._occurrences.get(item.occurrence_id)
            if occurrence is None:
                missing[item.occurrence_id] = None
            else:
                batch.occurrences[occurrence.id] = occurrence
            named = hold_named(item.command)
            if named is not None and (occurrence is None or named not in occurrence.holds):
                holds[named] = None
            if isinstance(item.command, PutOccurrence):
                starts.append((item.command.product_id, item.command.starts_at))
        if not (requests or missing or holds or starts or reread) and self._time.is_known:
            return None
        load = Load(
            occurrences=list(missing),
            holds=list(holds),
            starts=starts,
            limits=reread,
            requests=list(dict.fromkeys(requests)),
        )
        loaded: Loaded | Unavailable = yield load
        if isinstance(loaded, Unavailable):
            return loaded
        self._time.observe(loaded.now)
        self._limits.learn(loaded.limits)
        batch.take_in(loaded)
        return None

    def _decide(self, batch: Batch, item: Incoming) -> Generator[Effect, Any, Unavailable | Conflict | None]:
        assert item.request_id is not None
        assert item.occurrence_id is not None
        recorded = batch.known.get(item.request_id)
        if recorded is not None:
            self._answer_again(batch, item, recorded)
            return None
        try:
            decision = self._decision(batch, item)
            while decision.unsure:
                loaded: Loaded | Unavailable = yield Load(limits=decision.unsure)
                if isinstance(loaded, Unavailable):
                    return loaded
                batch.limits.read(loaded.limits)
                decision = self._decision(batch, item)
        except Exception as exc:  # noqa: BLE001 - a message that breaks an invariant must not take its neighbours along
            batch.settled.dead.append((item, "poison", f"{type(exc).__name__}: {exc}"))
            return None
        try:
            batch.add(item, decision)
        except AssertionError as exc:
            # Another worker has written meanwhile, and what was remembered and what was read do not go together.
            return Conflict("torn", str(exc))
        return None

    def _decision(self, batch: Batch, item: Incoming) -> Decision:
        assert item.request_id is not None
        assert item.occurrence_id is not None
        occurrence = batch.occurrences.get(item.occurrence_id)
        if item.command is None:
            return refuse_unreadable(occurrence, item.request_id, item.occurrence_id, item.errors, batch.context)
        return decide(occurrence, item.command, batch.context)

    def _answer_again(self, batch: Batch, item: Incoming, recorded: Recorded) -> None:
        """The same request gets the same answer; another one under its id is a conflict."""
        if recorded.fingerprint == item.fingerprint:
            batch.settled.repeated += 1
            batch.reply(item, recorded)
            return
        assert item.request_id is not None
        assert item.occurrence_id is not None
        conflict = refuse_conflict(item.request_id, item.occurrence_id, batch.context)
        batch.reply(item, recorded_of(item, conflict.answer))

    def _context(self, batch: Batch) -> Context:
        """One instant for the whole batch: it is committed in one."""
        return Context(
            now=self._time.now(),
            settings=self._settings(),
            sessions=self._config.sessions,
            limits=batch.limits,
            ended_holds=batch.ended_holds,
            start_taken_by=batch.starts,
            trusted_proxies=self._config.trusted_proxies,
        )

    # --- before and after -----------------------------------------------------------------------------

    def _remember(self, batch: Batch, committed: Committed) -> None:
        """What is durable may be remembered."""
        for occurrence in batch.occurrences.values():
            occurrence.unsaved = None
            self._occurrences.keep(occurrence)
        for request_id, recorded in batch.recorded.items():
            self._recent.keep(request_id, recorded)
        self._limits.learn(committed.used)

    def _forget(self, batch: Batch) -> None:
        """What was decided on top of this memory did not happen, or nobody knows: read it again."""
        self._occurrences.forget(batch.occurrences)
        self._limits.forget(batch.claimed)

    def _answer(self, settled: Settled) -> Generator[Effect, Any, None]:
        """Reply, and bury what could not be decided, with its reason."""
        if settled.dead and not self._time.is_known:
            yield from self._look_at_the_clock()
        replies = settled.replies
        for item, reason, detail in settled.dead:
            self._observer.buried(item, reason, detail)
            if item.reply_to is not None:
                replies.append(unreadable_answer(item, self._time))
        if replies:
            yield Reply(replies)
        attempt = 0
        letters = [dead_letter(item, reason, detail, self._time) for item, reason, detail in settled.dead]
        while letters:
            buried = yield Bury(letters)
            if buried:
                return
            attempt += 1
            go_on = yield Pause(attempt, "the dead-letter queue did not confirm")
            if not go_on:
                raise _Stopped

    def _look_at_the_clock(self) -> Generator[Effect, Any, None]:
        """A batch that nobody can read needs nothing else of the database; a fresh worker has not asked it yet."""
        attempt = 0
        while not self._time.is_known:
            loaded: Loaded | Unavailable = yield Load()
            if isinstance(loaded, Loaded):
                self._time.observe(loaded.now)
                continue
            attempt += 1
            go_on = yield Pause(attempt, f"unavailable: {loaded.detail}")
            if not go_on:
                raise _Stopped


def _named(item: Incoming) -> str:
    return "; ".join(f"{error.field}: {error.reason}" for error in item.errors)
