"""The gate: deliveries in, one durable answer each out.

The order is the promise: decide in memory, commit behind the version fence, and only then reply, and only then
acknowledge. When a commit does not go through, or nobody knows whether it did, everything that was known is
thrown away and read again.

While a batch is being committed, the next one may be decided on top of it, as if it were durable, and made ready. It
is sent only once the one before is, and should that fail, it is decided anew. At no time is more than one commit on
its way.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from holdgate_workers.app.clock import DatabaseTime
from holdgate_workers.app.ports import ChannelId
from holdgate_workers.domain.decision import LimitKey
from holdgate_workers.domain.holds.sessions import SessionKeys
from holdgate_workers.domain.settings.settings import Settings

from .answers import dead_letter, unreadable_answer
from .batch import Batch, Settled
from .deciding import Decider, Failed
from .effects import (
    Ack,
    AwaitCommit,
    Bury,
    Commit,
    CommitResult,
    Committed,
    Conflict,
    Effect,
    Impossible,
    Load,
    Loaded,
    Pause,
    Prepare,
    Reply,
    Unavailable,
    Unknown,
)
from .incoming import Incoming
from .memory import BatchLimits, Memory

Protocol = Generator[Effect, Any, None]

_UPSET = Conflict("upset", "the batch before was not committed as it was sent")


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


@dataclass(slots=True, frozen=True)
class _Sent:
    """A batch whose commit is on its way."""

    batch: Batch
    incoming: Sequence[Incoming]


@dataclass(slots=True)
class _Stopped(Exception):
    """The process stops in the middle of a batch; what is unacknowledged is delivered again."""


class Gate:
    """Works batches of deliveries, from any number of partitions. One batch at a time."""

    def __init__(
        self, config: GateConfig, time: DatabaseTime, settings: Callable[[], Settings], observer: Observer
    ) -> None:
        self._time = time
        self._observer = observer
        self._memory = Memory(config.memory_weight_max, config.recent_answers_max)
        self._decider = Decider(
            self._memory,
            time,
            settings,
            self._read,
            sessions=config.sessions,
            trusted_proxies=config.trusted_proxies,
        )
        self._sent: _Sent | None = None
        self._sent_at = 0.0

    def forget_where(self, gone: Callable[[str], bool]) -> None:
        """Forget the occurrences of a partition that is no longer ours. Only between batches, none on its way."""
        self._memory.occurrences.forget_where(gone)
        self._memory.doubt(batches=1)

    @property
    def occurrences_remembered(self) -> int:
        """How many occurrences are in memory."""
        return len(self._memory.occurrences)

    @property
    def is_committing(self) -> bool:
        """Whether a batch is on its way to the database, to be settled by the next `work` or by `settle`."""
        return self._sent is not None

    def work(self, incoming: Sequence[Incoming]) -> Protocol:
        """Decide every delivery of a batch, settle the batch before, and have this one on its way.

        What needs no commit is settled at once. Ends early, acknowledging nothing more, if a `Pause` is answered by
        False.
        """
        batch = Batch([item for item in incoming if item.request_id is not None], BatchLimits(self._memory.limits))
        try:
            failed = yield from self._decider.decide_all(batch)
            commit = Commit() if failed else batch.commit()
            if self._sent is not None and not commit.is_empty:
                yield Prepare(commit)
            landed = yield from self._land()
            if failed is None and not landed:
                failed = _UPSET
            if failed is not None:
                settled = yield from self._settle_again(batch, failed)
                yield from self._finish(incoming, settled)
            elif (yield from self._send(batch, commit)):
                self._sent = _Sent(batch, incoming)
            else:
                yield from self._finish(incoming, batch.settled)
        except _Stopped:
            return

    def settle(self) -> Protocol:
        """Wait for the batch that is on its way, answer it and acknowledge it. Ends early as `work` does."""
        try:
            yield from self._land()
        except _Stopped:
            return

    # --- settling -------------------------------------------------------------------------------------

    def _land(self) -> Generator[Effect, Any, bool]:
        """Settle the batch that is on its way; whether it went through as it was sent."""
        sent, self._sent = self._sent, None
        if sent is None:
            return True
        result: CommitResult = yield AwaitCommit()
        if isinstance(result, Committed):
            self._learn(result)
            yield from self._finish(sent.incoming, sent.batch.settled)
            return True
        settled = yield from self._settle_again(sent.batch, result)
        yield from self._finish(sent.incoming, settled)
        return False

    def _finish(self, incoming: Sequence[Incoming], settled: Settled) -> Generator[Effect, Any, None]:
        """Answer what was settled, and only then acknowledge it."""
        settled.dead += [(item, "unreadable", str(_named(item))) for item in incoming if item.request_id is None]
        yield from self._answer(settled)
        tags: dict[ChannelId, int] = {}
        for item in incoming:
            delivery = item.delivery
            tags[delivery.channel] = max(tags.get(delivery.channel, 0), delivery.tag)
        yield Ack(tags)
        self._observer.batch_settled(incoming, settled)
        self._memory.occurrences.trim()

    def _settle(self, incoming: Sequence[Incoming]) -> Generator[Effect, Any, Settled]:
        """Decide and commit until it is durable."""
        batch = Batch(incoming, BatchLimits(self._memory.limits))
        result = yield from self._attempt(batch)
        if isinstance(result, Committed):
            return batch.settled
        return (yield from self._settle_again(batch, result))

    def _settle_again(self, batch: Batch, result: CommitResult) -> Generator[Effect, Any, Settled]:
        """Go on after a failed attempt until it is durable; isolate what cannot be committed by halving."""
        incoming = batch.incoming
        attempt = 0
        while not isinstance(result, Committed):
            self._forget(batch)
            reread = batch.claimed if isinstance(result, Conflict) and result.kind == "limit" else []
            if isinstance(result, Conflict) and result.kind == "torn" and attempt >= 3:
                result = Impossible(result.detail)  # it does not add up however often it is read
            if isinstance(result, Impossible):
                return (yield from self._halve(incoming, result))
            attempt += 1
            yield from self._before_next_attempt(result, attempt)
            batch = Batch(incoming, BatchLimits(self._memory.limits))
            result = yield from self._attempt(batch, reread)
        return batch.settled

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
        self._memory.doubt(batches=3)
        if isinstance(result, Conflict) and attempt <= 3 and result.kind != "early":
            return
        go_on = yield Pause(attempt, f"{kind}: {result.detail}")
        if not go_on:
            raise _Stopped

    def _attempt(self, batch: Batch, reread: Sequence[LimitKey] = ()) -> Generator[Effect, Any, CommitResult]:
        """One try: read what is missing, decide everything, commit."""
        failed = yield from self._decider.decide_all(batch, reread)
        if failed is not None:
            return failed
        if not (yield from self._send(batch, batch.commit())):
            return Committed(self._time.now(), {})
        result: CommitResult = yield AwaitCommit()
        if isinstance(result, Committed):
            self._learn(result)
        return result

    def _send(self, batch: Batch, commit: Commit) -> Generator[Effect, Any, bool]:
        """Have the batch on its way to the database; False if there is nothing in it to write or verify.

        From here on the memory says what will be there if it goes through.
        """
        self._memory.expect(batch.occurrences.values(), commit.claims, batch.recorded)
        if commit.is_empty:
            return False
        self._sent_at = self._time.mark()
        yield commit
        return True

    # --- reading --------------------------------------------------------------------------------------

    def _read(self, wanted: Load) -> Generator[Effect, Any, Loaded | Failed]:
        """Read, once what is on its way has arrived: before that, nobody knows whether it would be among it."""
        if not (yield from self._land()):
            return _UPSET
        return (yield from self._ask(wanted))

    def _ask(self, wanted: Load) -> Generator[Effect, Any, Loaded | Unavailable]:
        asked_at = self._time.mark()
        loaded: Loaded | Unavailable = yield wanted
        if isinstance(loaded, Loaded):
            self._time.observe(loaded.now, asked_at)
        return loaded

    def _learn(self, committed: Committed) -> None:
        """What was expected has come true."""
        self._time.observe(committed.now, self._sent_at)
        self._memory.confirm(committed.used)

    def _forget(self, batch: Batch) -> None:
        """What was decided on top of this memory did not happen, or nobody knows: read it again."""
        self._memory.forget(batch.occurrences, batch.claimed)

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
        deliveries = [_left_to_its_queue(item) for item, _, _ in settled.dead]
        while letters:
            buried = yield Bury(letters, deliveries)
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
            loaded = yield from self._ask(Load())
            if isinstance(loaded, Loaded):
                continue
            attempt += 1
            go_on = yield Pause(attempt, f"unavailable: {loaded.detail}")
            if not go_on:
                raise _Stopped


def _left_to_its_queue(item: Incoming) -> tuple[ChannelId, int] | None:
    """RabbitMQ 3.10 dies of a sender's own `x-death` when it writes its own into it, and dead-letters nothing more."""
    delivery = item.delivery
    if any(name.lower().startswith("x-death") for name in delivery.properties.headers):
        return None
    return delivery.channel, delivery.tag


def _named(item: Incoming) -> str:
    return "; ".join(f"{error.field}: {error.reason}" for error in item.errors)
