"""Bugs to plant, each one that a gate like this one is likely to have, and that the simulation must find.

They are planted in the product's classes or in the simulated servers, for as long as a test lasts, and never in the
product's code. Should the code move, the assertions here fail before a mutant quietly stops biting.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from holdgate_workers.app.clock import DatabaseTime
from holdgate_workers.app.gate.answers import answer_message
from holdgate_workers.app.gate.batch import Batch
from holdgate_workers.app.gate.deciding import Decider
from holdgate_workers.app.gate.effects import Ack, Commit, Conflict, Effect, Fence, Recorded, Reply, Unavailable
from holdgate_workers.app.gate.gate import Gate
from holdgate_workers.app.gate.incoming import Incoming
from holdgate_workers.app.gate.memory import Occurrences
from holdgate_workers.app.partitions import membership
from holdgate_workers.app.ports import ChannelId, Place
from holdgate_workers.app.relay import relay
from holdgate_workers.domain.decision import Claim
from holdgate_workers.domain.occurrences.occurrence import Hold, Occurrence
from holdgate_workers.roles.gate.delivery_buffer import Intake

from .database import Database
from .gate_worker import GateWorker
from .tables import BEGINNING
from .transaction import Head, RolledBack, Script, Transaction
from .world import MS

Plant = Callable[[Any, str, Any], None]
Protocol = Generator[Effect, Any, Any]


# --- the fence --------------------------------------------------------------------------------------------------


def no_version_check(plant: Plant) -> None:
    """The commit moves the version on, whatever it is."""

    def fence(self: Database, transaction: Transaction, fences: Sequence[Fence]) -> Script:
        for each in fences:
            transaction.write()
            yield ("occurrence", each.occurrence_id)
            head = self.heads[each.occurrence_id]
            transaction.heads[each.occurrence_id] = Head(head.definition, each.after)

    _replace(plant, Database, "fence", fence)


def version_read_unlocked(plant: Plant) -> None:
    """The version is looked at first and the row is locked afterwards."""

    def fence(self: Database, transaction: Transaction, fences: Sequence[Fence]) -> Script:
        for each in fences:
            head = self.heads.get(each.occurrence_id)
            if head is None or head.version != each.before:
                raise RolledBack(Conflict("stale", "somebody else wrote"))
        yield self.pause_inside()
        for each in fences:
            transaction.write()
            yield ("occurrence", each.occurrence_id)
            head = self.heads[each.occurrence_id]
            transaction.heads[each.occurrence_id] = Head(head.definition, each.after)

    _replace(plant, Database, "fence", fence)


def memory_kept_after_abort(plant: Plant) -> None:
    """What was decided in a batch that was rolled back is still believed."""
    _replace(plant, Gate, "_forget", lambda self, batch: None)


def memory_shared_by_two_workers(plant: Plant) -> None:
    """Two workers decide on the same objects."""
    boot = GateWorker.boot

    def boot_with_all(self: GateWorker) -> None:
        boot(self)
        shared = self.site.oracle.__dict__.setdefault("shared_memory", Occurrences(1000))
        self.gate._memory.occurrences = shared

    _replace(plant, GateWorker, "boot", boot_with_all)


# --- what is said and when ----------------------------------------------------------------------------------------


def reply_before_commit(plant: Plant) -> None:
    """The answers go out as soon as they are decided."""
    _before_commit(plant, lambda batch: Reply(list(batch.settled.replies)))


def ack_before_commit(plant: Plant) -> None:
    """The messages are acknowledged as soon as they are decided."""
    _before_commit(plant, lambda batch: Ack({i.delivery.channel: i.delivery.tag for i in batch.incoming}))


def dedupe_off(plant: Plant) -> None:
    """A request that was decided before is decided again, and the journal keeps the first answer."""
    decide = Decider._decide

    def forgetful(self: Decider, batch: Batch, item: Incoming) -> Protocol:
        batch.known.clear()
        return decide(self, batch, item)

    _replace(plant, Decider, "_decide", forgetful)
    _replace(plant, Database, "journal_ignores_repeats", True)


def fingerprint_ignored(plant: Plant) -> None:
    """Another body under the same id gets the first one's answer."""

    def answer_again(self: Decider, batch: Batch, item: Incoming, recorded: Recorded) -> None:
        if item.reply_to is not None:
            batch.settled.replies.append(answer_message(item, recorded))

    _replace(plant, Decider, "_answer_again", answer_again)


# --- the queue ----------------------------------------------------------------------------------------------------


def leaving_by_cancel_first(plant: Plant) -> None:
    """The consumer is cancelled, and what it still has is worked while the next one gets what comes after."""

    def leave(self: GateWorker, place: Place) -> None:
        line = self.consumer._lines.get(place.partition)
        if line is None or line.channel is None or line.channel.id != place.channel:
            return
        if not line.channel.cancelled:
            self.site.broker.cancel(line.channel)
        if any(incoming.delivery.channel == place.channel for incoming in self.intake._queue):
            self.later(MS, self.turns.leave, place)
        else:
            self.consumer.leave(place.channel)

    _replace(plant, GateWorker, "leave", leave)


def worked_while_leaving(plant: Plant) -> None:
    """Of a partition that is being left, what is in hand is dropped and what still arrives is worked: to acknowledge
    that is to acknowledge all before it."""

    def drop(self: Intake, channel: ChannelId) -> bool:
        kept = [incoming for incoming in self._queue if incoming.delivery.channel != channel]
        self._queue.clear()
        self._queue.extend(kept)
        return channel in self._live

    _replace(plant, Intake, "drop", drop)


def leave_by_partition_number(plant: Plant) -> None:
    """A leave waits behind a batch that is stuck; the channel that it meant is cut, the partition is joined again, and
    then it ends the new stay, of which the membership believes that it lasts."""

    def leave(self: GateWorker, place: Place) -> None:
        channel = self.consumer.standing().get(place.partition)
        if channel is not None:
            self.intake.drop(channel)
            self.consumer.leave(channel)

    _replace(plant, GateWorker, "leave", leave)


def void_leave_believed_in(plant: Plant) -> None:
    """The leave was void, the worker stands in line again, and goes on believing that it does not want to."""
    note = membership.Standing.note

    def forgetful(self: membership.Standing, change: membership.Change, place: Place) -> None:
        wanted = set(self.wanted)
        note(self, change, place)
        self.wanted = wanted

    _replace(plant, membership.Standing, "note", forgetful)


# --- time ---------------------------------------------------------------------------------------------------------


def worker_clock_for_expiry(plant: Plant) -> None:
    """Each worker has a clock of its own, some seconds off."""

    def now(self: DatabaseTime) -> datetime:
        hosts, seconds = divmod(self._monotonic(), 1000)
        return BEGINNING + timedelta(seconds=seconds + 3 * hosts)

    _replace(plant, DatabaseTime, "now", now)


def expiry_not_checked_at_the_commit(plant: Plant) -> None:
    """Nobody asks the database's own clock whether a hold is due."""
    _replace(plant, Database, "checks_early", False)


def due_holds_still_counted(plant: Plant) -> None:
    """Only the expiry worker ends holds; until it comes, dead ones take up room."""

    def nothing(self: Occurrence, now: datetime) -> Iterator[Hold]:
        return iter(())

    _replace(plant, Occurrence, "due", nothing)


# --- counting -----------------------------------------------------------------------------------------------------


def pool_summed_per_line(plant: Plant) -> None:
    """Each line of a basket is looked at by itself."""

    def draws_of(self: Occurrence, items: dict[str, int], extras: dict[str, int]) -> dict[str, int]:
        draws: dict[str, int] = {}
        for key, quantity in items.items():
            for pool in ("total", *self.definition.ticket_types[key].pools):
                draws[pool] = quantity
        for key, quantity in extras.items():
            draws.update(dict.fromkeys(self.definition.extras[key].pools, quantity))
        return draws

    _replace(plant, Occurrence, "draws_of", draws_of)


def session_limit_unlocked(plant: Plant) -> None:
    """The count is read, and written a little later."""

    def claim(self: Database, transaction: Transaction, claim: Claim) -> Script:
        transaction.write()
        used, cap = self.limits.get(claim.limit, (0, claim.cap))
        if claim.delta > 0 and used + claim.delta > claim.cap:
            raise RolledBack(Conflict("limit", "a shared limit is reached"))
        yield self.pause_inside()
        transaction.limits[claim.limit] = (used + claim.delta, max(cap, claim.cap))
        transaction.used[claim.limit] = used + claim.delta

    _replace(plant, Database, "claim", claim)


def claims_outside_the_transaction(plant: Plant) -> None:
    """Limits are claimed first, in a transaction of their own; nobody gives them back when the batch fails."""
    fence = Database.fence

    def claim_first(self: Database, transaction: Transaction, fences: Sequence[Fence]) -> Script:
        for claim in transaction.plan.claims:
            used, cap = self.limits.get(claim.limit, (0, claim.cap))
            if claim.delta > 0 and used + claim.delta > claim.cap:
                raise RolledBack(Conflict("limit", "a shared limit is reached"))
            self.limits[claim.limit] = (used + claim.delta, max(cap, claim.cap))
        return fence(self, transaction, fences)

    def nothing(self: Transaction) -> Script:
        return
        yield 0

    _replace(plant, Database, "fence", claim_first)
    _replace(plant, Transaction, "_claim", nothing)


# --- reading ------------------------------------------------------------------------------------------------------


def late_commit_skipped(plant: Plant) -> None:
    """The cursor goes past transactions that are still running."""
    _replace(plant, Database, "reads_below_horizon", False)


def cursor_advanced_before_confirm(plant: Plant) -> None:
    """The cursor moves when events are sent, not when they have arrived."""

    def hasty(rows_max: int) -> Generator[relay.RelayEffect, Any, relay.Page]:
        page = yield relay.ReadJournal(rows_max)
        if isinstance(page, Unavailable) or not page.events:
            return relay.Page(0, 0, 0.0)
        moved: bool = yield relay.Advance(page.start, page.end)
        messages = [message for events in page.events if events for message in relay.event_messages(events)]
        if moved and messages:
            yield relay.Announce(messages)
        return relay.Page(len(page.events), len(messages), 0.0, failed=not moved)

    _replace(plant, relay, "relay_round", hasty)


def _replace(plant: Plant, owner: Any, name: str, value: Any) -> None:
    assert hasattr(owner, name), f"{owner.__name__} has no {name} any more: plant this mutant anew"
    plant(owner, name, value)


def _before_commit(plant: Plant, early: Callable[[Batch], Effect]) -> None:
    send = Gate._send

    def hasty(self: Gate, batch: Batch, commit: Commit) -> Protocol:
        yield early(batch)
        return (yield from send(self, batch, commit))

    _replace(plant, Gate, "_send", hasty)
