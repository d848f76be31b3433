"""The gate's process: the product's gate, turns, intake and membership, driven as roles/gate/engine.py does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from holdgate_schema.routing import partition_of, slot_of
from holdgate_workers.app.clock import DatabaseTime
from holdgate_workers.app.gate.effects import (
    Ack,
    AwaitCommit,
    Bury,
    Commit,
    CommitResult,
    Effect,
    Load,
    Pause,
    Prepare,
    Reply,
)
from holdgate_workers.app.gate.gate import Gate, GateConfig, Observer
from holdgate_workers.app.gate.turns import Forget, Leave, Settle, Take, Turns
from holdgate_workers.app.partitions import membership
from holdgate_workers.app.partitions.line_watch import LineWatch, correct
from holdgate_workers.app.ports import Delivery, Place
from holdgate_workers.domain.holds.sessions import SessionKeys
from holdgate_workers.roles.gate.delivery_buffer import Intake

from .broker import Channel, Publisher
from .consumer import Consumer
from .members import View
from .process import Process, Site
from .requests import SECRET
from .world import MS, SECOND, Violation, World

BREAKS = "breaks"
"""A session id at which deciding breaks, as it would at a message that violates an invariant."""


WATCH_EVERY = 2 * SECOND


class BrittleKeys(SessionKeys):
    """The house's keys, and a way for a message to be poison."""

    def is_forged(self, session_id: str) -> bool:
        """As ever, but for one session."""
        if session_id == BREAKS:
            raise RuntimeError("this message breaks the rules")
        return super().is_forged(session_id)


class Noticing(Observer):
    """Remembers what rarely happens inside the gate."""

    def __init__(self, world: World) -> None:
        self._world = world

    def conflicted(self, kind: str) -> None:
        """A batch starts again."""
        if kind == "torn":
            self._world.sometimes("what was read did not go together")


class GateWorker(Process):
    """Consumes its partitions, life after life."""

    role = "gate"
    mends = False
    """Whether what the second look finds is put right, as in production. Else finding something is a violation: the
    protocol itself must not need it."""
    risky = (Commit, AwaitCommit)

    def __init__(self, site: Site, number: int) -> None:
        super().__init__(site, number)
        self.settings = site.options.settings()
        self._perform: dict[type[Effect], Any] = {
            Load: self._load,
            Prepare: self._prepare,
            Commit: self._commit,
            AwaitCommit: self._await_commit,
            Reply: self._reply,
            Bury: self._bury,
            Ack: self._ack,
            Pause: self._pause,
        }

    def boot(self) -> None:
        """Begin."""
        self.time = DatabaseTime(self.monotonic)
        config = GateConfig(sessions=BrittleKeys(SECRET))
        self.gate = Gate(config, self.time, lambda: self.settings, Noticing(self.world))
        self.intake = Intake()
        self.publisher = Publisher(self.site.broker, 5 * SECOND)
        self.consumer = Consumer(self, self.intake)
        self.turns = Turns(ahead_messages_min=1)
        self.busy = False
        self._turn_due = False
        self._began_at = 0
        self._outcome: CommitResult | None = None
        self._awaits_outcome = False
        self._beats = 0
        self._accepted = self.site.clock_accepted
        self.standing = membership.Standing(self.name, self.site.options.partitions)
        self._watch = LineWatch()
        self._looks_at = self.world.now + WATCH_EVERY
        self.beat_soon()

    # --- as roles/gate/membership.py ---------------------------------------------------------------------------

    def beat_soon(self) -> None:
        """The next heartbeat need not wait for its time."""
        self._beats += 1
        self.later(self.world.between(0, 5 * MS), self._beat, self._beats)

    def _beat(self, number: int) -> None:
        if number != self._beats or self.stopping:
            return
        self._beats += 1
        for change, place in self.intake.changes():
            self.standing.note(change, place)
            if change == "lost":
                self.turns.lost(place)
        self._look_again()
        news = self.standing.news()
        view = self.site.members.beat(self.name, news)
        if view is not None:
            self.standing.told(news)
            self.later(self.delay(), self._follow, self._beats, view)
        self.later(self.site.options.beat, self._beat, self._beats)

    def _follow(self, number: int, view: View) -> None:
        if number != self._beats:
            return  # another beat is on its way, which knows more
        if self._accepted != self.site.clock_accepted:
            self._accepted = self.site.clock_accepted
            self.time.accept_jump()
        todo = self.standing.follow(view)
        for partition in todo.join:
            self.world.note("joins", self.name, partition)
            self.consumer.subscribe(partition)
        for place in todo.leave:
            is_recorded = self.name in view.lines.get(place.partition, ())
            self.world.sometimes(
                "handed a partition over" if is_recorded else "stood in line another way than was recorded"
            )
            self.world.note("leaves", self.name, *place)
            self.turns.leave(place)
            self.wake()

    def _look_again(self) -> None:
        if self.world.now < self._looks_at:
            return
        self._looks_at = self.world.now + WATCH_EVERY
        found = self._watch.look(self.standing, self.consumer.standing(), self.turns.to_leave())
        if found and not self.mends:
            raise Violation(f"LINES: {self.name} does not stand where it believes to stand: {found}")
        if found:
            self.world.sometimes("the second look put something right")
        for partition in correct(self.standing, found):
            self.consumer.subscribe(partition)

    # --- as roles/gate/engine.py -------------------------------------------------------------------------------

    def wake(self) -> None:
        """There may be something to do."""
        if not self.busy and not self._turn_due:
            self._turn_due = True
            self.later(self.world.between(0, MS), self._turn)

    def _turn(self) -> None:
        self._turn_due = False
        if self.busy:
            return
        while True:
            step = self.turns.next(
                is_committing=self.gate.is_committing,
                messages_waiting=len(self.intake),
                is_stopping=self.stopping,
            )
            match step:
                case Settle():
                    self._begin()
                    self.drive(self.gate.settle(), self._worked)
                    return
                case Leave(place):
                    self.leave(place)
                case Forget(partitions):
                    self._forget(partitions)
                case Take():
                    if self._take() or not (len(self.intake) or self.gate.is_committing):
                        return
                case _:
                    self._quit()
                    return

    def _take(self) -> bool:
        batch = self.intake.take(self.site.options.batch_max, 0)
        if batch:
            self._begin()
            self.world.note("batch", self.name, len(batch))
            if self.gate.is_committing:
                self.world.sometimes("decided on top of a batch that was on its way")
            self.drive(self.gate.work(batch), self._worked)
        return bool(batch)

    def _forget(self, gone: frozenset[int]) -> None:
        partitions = self.site.options.partitions
        self.gate.forget_where(lambda key: partition_of(slot_of(key), partitions) in gone)

    def _begin(self) -> None:
        self.busy = True
        self._began_at = self.world.now

    def _worked(self, _: Any) -> None:
        self.busy = False
        self.wake()

    def leave(self, place: Place) -> None:
        """Hand a partition over."""
        in_hand = any(incoming.delivery.channel == place.channel for incoming in self.intake._queue)
        if not self.intake.drop(place.channel):
            self.world.sometimes("a leave came too late for the channel that it meant")
            return
        if in_hand:
            self.world.sometimes("handed over with messages in hand")
        self.consumer.leave(place.channel)

    def stop(self) -> None:
        """SIGTERM: finish the batch, answer, leave the lines, say goodbye."""
        if self.up and not self.stopping:
            self.reach(self.life, self._stop, ())

    def _stop(self) -> None:
        self.stopping = True
        self.world.note("told to end", self.name)
        self.wake()
        self.later(3 * SECOND, self._quit)

    def _quit(self) -> None:
        self.world.sometimes("drained")
        self.consumer.close()
        self.later(5 * self.site.options.latency, self._leave_for_good)

    def _leave_for_good(self) -> None:
        if not self.site.database.down:
            self.site.members.goodbye(self.name)
        self.exit()

    # --- the broker's side --------------------------------------------------------------------------------------

    def arrive(self, channel: Channel, deliveries: Sequence[Delivery]) -> None:
        """Messages have reached it."""
        self.reach(self.life, self.consumer.arrive, (channel, deliveries))

    def cut(self, channel: Channel) -> None:
        """It has learnt that a channel is gone."""
        self.reach(self.life, self.consumer.cut, (channel,))

    # --- effects ------------------------------------------------------------------------------------------------

    def perform(self, effect: Effect) -> None:
        """Do what the gate asks for."""
        self._perform[type(effect)](effect)

    def _load(self, effect: Load) -> None:
        self.ask(self.site.database.load, effect)

    def _prepare(self, _: Prepare) -> None:
        self.advance(None)

    def _commit(self, effect: Commit) -> None:
        life = self.life

        def arrived(result: CommitResult) -> None:
            self.world.after(self.delay(), self.reach, life, self._arrived, (result,))

        self.world.after(self.delay(), self.site.database.commit, effect, self._began_at, arrived)
        self.advance(None)

    def _arrived(self, result: CommitResult) -> None:
        if self._awaits_outcome:
            self._awaits_outcome = False
            self.advance(result)
        else:
            self._outcome = result

    def _await_commit(self, _: AwaitCommit) -> None:
        outcome, self._outcome = self._outcome, None
        if outcome is None:
            self._awaits_outcome = True
        else:
            self.advance(outcome)

    def _reply(self, effect: Reply) -> None:
        self.site.oracle.replied(effect.messages)
        self.publisher.publish(effect.messages)
        self.advance(None)

    def _bury(self, effect: Bury) -> None:
        self.publisher.publish(effect.messages, partial(self.reach_with, self.life))

    def reach_with(self, life: int, result: Any) -> None:
        """The answer to an effect arrives."""
        self.reach(life, self.advance, (result,))

    def _ack(self, effect: Ack) -> None:
        for channel_id, tag in effect.tags.items():
            self.consumer.ack(channel_id, tag)
        self.advance(None)

    def _pause(self, effect: Pause) -> None:
        ceiling = min(2 * SECOND, 50 * MS * 2 ** min(effect.attempt - 1, 10))
        self.later(self.world.between(ceiling // 2, ceiling), self._resume)

    def _resume(self) -> None:
        self.advance(not self.stopping)
