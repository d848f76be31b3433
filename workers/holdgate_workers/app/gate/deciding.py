"""Deciding a batch in memory: reading what is missing, one decision after another, nothing durable yet."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from holdgate_schema.commands.holds import PutOccurrence
from holdgate_schema.commands.selling import INTERNAL_TYPES
from holdgate_workers.app.clock import DatabaseTime
from holdgate_workers.app.seals import SEAL_HEADER, Seals
from holdgate_workers.domain.decide import decide, refuse_conflict, refuse_unreadable, refuse_unsealed
from holdgate_workers.domain.decision import Context, Decision, LimitKey
from holdgate_workers.domain.holds.sessions import SessionKeys
from holdgate_workers.domain.occurrences.occurrence import Occurrence
from holdgate_workers.domain.settings.settings import Settings
from holdgate_workers.ids import is_derived

from .answers import recorded_of
from .batch import Batch
from .effects import Conflict, Effect, Load, Loaded, Recorded, Unavailable
from .incoming import Incoming, booking_named, expects_second, hold_named
from .memory import Memory

Failed = Unavailable | Conflict
"""What keeps a batch from being decided; nothing of it may be used then."""
Read = Callable[[Load], Generator[Effect, Any, Loaded | Failed]]


def _is_active(occurrence: Occurrence | None, hold_id: str) -> bool:
    """Whether the hold is only a hold, so that no booking can have been made of it."""
    hold = None if occurrence is None else occurrence.holds.get(hold_id)
    return hold is not None and hold.state == "active"


def _answered_by(item: Incoming) -> list[str]:
    """The request whose second answer this would be, if there is one."""
    answers = getattr(item.command, "answers", None)
    return [] if answers is None else [answers]


class Decider:
    """Decides batches with what is remembered and what `read` brings."""

    def __init__(
        self,
        memory: Memory,
        time: DatabaseTime,
        settings: Callable[[], Settings],
        read: Read,
        *,
        sessions: SessionKeys,
        trusted_proxies: Sequence[IPv4Network | IPv6Network],
    ) -> None:
        self._memory = memory
        self._time = time
        self._settings = settings
        self._read = read
        self._sessions = sessions
        self._seals = Seals(sessions.secret)
        self._trusted_proxies = tuple(trusted_proxies)

    def decide_all(self, batch: Batch, reread: Sequence[LimitKey] = ()) -> Generator[Effect, Any, Failed | None]:
        """Decide every request of the batch; or what stood in the way."""
        failed = yield from self._prepare(batch, reread)
        if failed is not None:
            return failed
        batch.context = self._context(batch)
        for item in batch.incoming:
            failed = yield from self._decide(batch, item)
            if failed is not None:
                return failed
        return None

    def _prepare(self, batch: Batch, reread: Sequence[LimitKey]) -> Generator[Effect, Any, Failed | None]:
        """Read what the batch needs and memory does not have, in one go."""
        memory = self._memory
        suspicious = memory.is_doubted() or any(item.delivery.redelivered for item in batch.incoming)
        requests = []
        missing: dict[str, None] = {}
        holds: dict[str, None] = {}
        bookings: dict[str, None] = {}
        starts = []
        for item in batch.incoming:
            assert item.request_id is not None
            assert item.occurrence_id is not None
            recorded = memory.recent.get(item.request_id)
            if recorded is not None:
                batch.known[item.request_id] = recorded
                if expects_second(item.command):
                    requests.append(item.request_id)
                requests += _answered_by(item)
                continue
            if suspicious:
                requests += [item.request_id, *_answered_by(item)]
            occurrence = memory.occurrences.get(item.occurrence_id)
            if occurrence is None:
                missing[item.occurrence_id] = None
            else:
                batch.occurrences[occurrence.id] = occurrence
            named = hold_named(item.command)
            if named is not None and (occurrence is None or named not in occurrence.holds):
                holds[named] = None
            booking = booking_named(item.command)
            if booking is not None and not _is_active(occurrence, booking):
                bookings[booking] = None
            if isinstance(item.command, PutOccurrence):
                starts.append((item.command.product_id, item.command.starts_at))
        if not (requests or missing or holds or bookings or starts or reread) and self._time.is_known:
            return None
        load = Load(
            occurrences=list(missing),
            holds=list(holds),
            starts=starts,
            limits=reread,
            requests=list(dict.fromkeys(requests)),
            bookings=list(bookings),
        )
        loaded = yield from self._read(load)
        if not isinstance(loaded, Loaded):
            return loaded
        memory.limits.learn(loaded.limits)
        batch.take_in(loaded)
        return None

    def _decide(self, batch: Batch, item: Incoming) -> Generator[Effect, Any, Failed | None]:
        assert item.request_id is not None
        assert item.occurrence_id is not None
        recorded = batch.known.get(item.request_id)
        if recorded is not None:
            self._answer_again(batch, item, recorded)
            return None
        decision = self._decision(batch, item)
        while decision is not None and decision.unsure:
            loaded = yield from self._read(Load(limits=decision.unsure))
            if not isinstance(loaded, Loaded):
                return loaded
            batch.limits.read(loaded.limits, loaded.caps)
            decision = self._decision(batch, item)
        if decision is None:
            return None
        try:
            batch.add(item, decision)
        except AssertionError as exc:
            # Another worker has written meanwhile, and what was remembered and what was read do not go together.
            return Conflict("torn", str(exc))
        return None

    def _decision(self, batch: Batch, item: Incoming) -> Decision | None:
        """What the request comes to. A message that breaks an invariant is set aside, and its neighbours go on."""
        assert item.request_id is not None
        assert item.occurrence_id is not None
        occurrence = batch.occurrences.get(item.occurrence_id)
        try:
            ours = type(item.command) in INTERNAL_TYPES or is_derived(item.request_id)
            if ours and not self._is_sealed(item):
                return refuse_unsealed(occurrence, item.request_id, item.occurrence_id, batch.context)
            if item.command is not None:
                return decide(occurrence, item.command, batch.context)
            ids = item.request_id, item.occurrence_id
            recorded = not item.has_good_body
            return refuse_unreadable(
                occurrence, *ids, item.errors, batch.context, recorded=recorded, payment=item.payment
            )
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is this message's
            batch.settled.dead.append((item, "poison", f"{type(exc).__name__}: {exc}"))
            return None

    def _answer_again(self, batch: Batch, item: Incoming, recorded: Recorded) -> None:
        """The same request gets the same answer; another one under its id is a conflict."""
        if recorded.fingerprint == item.fingerprint:
            batch.settled.repeated += 1
            # What came too late to be the second answer is none when it comes again, either.
            if all(batch.second.get(answered) == recorded for answered in _answered_by(item)):
                batch.reply(item, recorded)
            second = batch.second.get(item.request_id or "")
            if second is not None:
                batch.reply(item, second)
            return
        if type(item.command) in INTERNAL_TYPES and self._is_sealed(item):
            return  # our own worker said it again in other words: the first stands, and is nobody else's conflict
        assert item.request_id is not None
        assert item.occurrence_id is not None
        conflict = refuse_conflict(item.request_id, item.occurrence_id, batch.context)
        batch.reply(item, recorded_of(item, conflict.answer))

    def _is_sealed(self, item: Incoming) -> bool:
        return self._seals.is_sealed(item.delivery.body, item.delivery.properties.headers.get(SEAL_HEADER))

    def _context(self, batch: Batch) -> Context:
        """One instant for the whole batch: it is committed in one."""
        return Context(
            now=self._time.now(),
            settings=self._settings(),
            sessions=self._sessions,
            limits=batch.limits,
            ended_holds=batch.ended_holds,
            bookings=batch.bookings,
            start_taken_by=batch.starts,
            trusted_proxies=self._trusted_proxies,
        )
