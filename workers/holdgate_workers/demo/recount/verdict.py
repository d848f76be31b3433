"""The verdict on an on-sale: counted again from the rows and the clients' own notes. Pure.

Nothing that the service says about itself is believed: neither its counters nor its metrics are looked at, except
to compare the counters with the count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

from holdgate_schema.answers.holds import Held, Reason, Refused
from holdgate_schema.commands.holds import ChangeHold, PlaceHold, PutOccurrence, SweepHolds, type_name
from holdgate_schema.events.holds import HoldCreated
from holdgate_schema.ids import TOTAL_POOL
from holdgate_workers.demo.notes import Note

from .evidence import Story, gather, is_availability, is_conflict, is_final, is_unavailable, read_answer
from .replay import Replay
from .rows import JournalRow, Rows

OVERDUE = timedelta(seconds=5)
"""Two sweeps and some queueing; a hold that is still active after that is not being expired."""
_SWEEP = type_name(SweepHolds)
_LIVE = ("active", "converting")


@dataclass(slots=True, frozen=True)
class Problem:
    """A promise that was broken: which, and how."""

    check: str
    detail: str


@dataclass(slots=True, kw_only=True)
class Verdict:
    """The numbers, and what is wrong. Every number is a recount."""

    problems: list[Problem] = field(default_factory=list)
    requests: int = 0
    answered: int = 0
    held: int = 0
    denied: int = 0
    duplicates: int = 0
    conflicts: int = 0
    retried: int = 0
    lost: int = 0
    oversold: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    hold_states: Counter[str] = field(default_factory=Counter)
    seats: dict[str, SeatCount] = field(default_factory=dict)
    seats_granted: int = 0
    events: int = 0
    events_told: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    longest_silence_ms: float = 0.0
    priced: int = 0
    bookings: int = 0
    mails: int = 0

    @property
    def is_ok(self) -> bool:
        """Whether every check passed."""
        return not self.problems

    def percentile_ms(self, percent: float) -> float:
        """The latency that so many percent of the answers stayed within; 0 without any."""
        if not self.latencies_ms:
            return 0.0
        place = min(len(self.latencies_ms) - 1, int(len(self.latencies_ms) * percent / 100))
        return self.latencies_ms[place]

    def line(self) -> str:
        """The last line of a run."""
        word = "ok" if self.is_ok else "FAILED"
        return (
            f"verdict: {word} requests={self.requests} answered={self.answered} held={self.held} "
            f"denied={self.denied} duplicates={self.duplicates} lost={self.lost} oversold={self.oversold}"
            + (f" bookings={self.bookings} mails={self.mails}" if self.priced else "")
        )

    def add_sales(self, *, priced: int, bookings: int, mails: int, wrong: Iterable[str]) -> None:
        """Take in what the box office sold, and what does not add up of it."""
        self.priced, self.bookings, self.mails = priced, bookings, mails
        self.problems += [Problem("sales", detail) for detail in wrong]


@dataclass(slots=True, frozen=True)
class SeatCount:
    """One pool: what may be sold, the most that was ever taken, what is taken at the end."""

    sellable: int | None
    peak: int
    at_end: int


def judge(put: PutOccurrence, rows: Rows, notes: Iterable[Note]) -> Verdict:
    """The verdict on the occurrence that `put` created and only the noted requests were sent to."""
    return _Judge(put, rows, gather(notes)).judge()


class _Judge:
    def __init__(self, put: PutOccurrence, rows: Rows, stories: dict[str, Story]) -> None:
        self._put = put
        self._rows = rows
        self._stories = stories
        self._journal = {row.request_id: row for row in rows.journal}
        self._replay = Replay(put, self._report)
        self._verdict = Verdict()

    def judge(self) -> Verdict:
        self._count_requests()
        self._replay_history()
        self._compare_holds()
        self._compare_pools()
        self._compare_sessions()
        self._check_liveness()
        self._measure()
        return self._verdict

    def _report(self, check: str, detail: str) -> None:
        self._verdict.problems.append(Problem(check, detail))

    # --- every request has exactly one answer ---------------------------------------------------------

    def _count_requests(self) -> None:
        verdict = self._verdict
        for story in self._stories.values():
            if not story.bodies:
                self._report("answers", f"an answer to {story.request_id}, which nobody sent")
                continue
            verdict.requests += 1
            verdict.retried += story.tries
            verdict.conflicts += len(story.bodies) - 1
            verdict.duplicates += story.repeats - (len(story.bodies) - 1)
            answered = self._is_answered(story)
            verdict.answered += answered
            verdict.lost += not answered
        for row in self._rows.journal:
            if row.request_id not in self._stories and not self._is_our_own(row):
                self._report("journal", f"{row.kind} {row.request_id} was decided and never sent")

    def _is_our_own(self, row: JournalRow) -> bool:
        return row.kind == _SWEEP or row.request_id == self._put.request_id

    def _is_answered(self, story: Story) -> bool:
        """Whether a final answer came that the journal confirms; reports everything else that is wrong with it."""
        row = self._journal.get(story.request_id)
        if row is None and not story.is_read:
            self._report("lost", f"{story.request_id} has no row in the journal ({_last_error(story)})")
            return False
        right = 0
        for body, times in story.answers.items():
            answer = read_answer(body)
            if is_unavailable(answer):
                self._report("answers", f"{story.request_id} went to the dead letters instead of being decided")
            elif (row is not None and body == row.reply) or (row is None and is_availability(answer)):
                right += times
            elif is_final(answer) and not (is_conflict(answer) and len(story.bodies) > 1):
                self._report("answers", f"{story.request_id} got an answer that the journal does not have: {body}")
        if not right:
            self._report("lost", f"{story.request_id} was never answered ({_last_error(story)})")
            return False
        if sum(story.answers.values()) < story.sendings - len(story.errors):
            self._report("answers", f"{story.request_id} was sent {story.sendings} times, not all were answered")
        self._count_outcome(row)
        return True

    def _count_outcome(self, row: JournalRow | None) -> None:
        verdict = self._verdict
        outcome = row.outcome if row is not None else "availability"
        verdict.outcomes[outcome] += 1
        verdict.held += outcome == "held"
        if row is not None and row.reason is not None:
            verdict.denied += 1
            verdict.reasons[row.reason] += 1

    # --- the history holds together -------------------------------------------------------------------

    def _replay_history(self) -> None:
        granted = 0
        for row in self._rows.journal:
            self._replay.apply(row)
            self._check_reply(row)
            answer = read_answer(row.reply)
            if isinstance(answer, Held):
                granted += answer.hold.seats
                if HoldCreated not in map(type, row.events):
                    self._report("holds", f"{row.request_id} was told it holds seats, and took none")
            if isinstance(answer, Refused):
                self._check_refusal(row, answer)
        if self._rows.version != (last := self._rows.journal[-1].version if self._rows.journal else 0):
            self._report("history", f"the occurrence is at version {self._rows.version}, its journal at {last}")
        self._verdict.seats_granted = granted
        self._verdict.events = sum(len(row.events) for row in self._rows.journal)
        self._verdict.events_told = self._rows.told

    def _check_reply(self, row: JournalRow) -> None:
        answer = read_answer(row.reply)
        if answer is None or (answer.request_id, answer.version) != (row.request_id, row.version):
            self._report("journal", f"the reply kept for {row.request_id} is not one to it, version {row.version}")

    def _check_refusal(self, row: JournalRow, answer: Refused) -> None:
        """Nobody may be turned away while there was room."""
        story = self._stories.get(row.request_id)
        command = story.command(row.fingerprint) if story is not None else None
        if answer.reason is Reason.SOLD_OUT and isinstance(command, PlaceHold | ChangeHold):
            own = command.hold_id if isinstance(command, ChangeHold) else None
            if self._replay.fits(command.items, command.extras, answer.decided_at, instead_of=own):
                self._report("liveness", f"{row.request_id} was refused as sold out, and there was room")
        if answer.reason is Reason.LIMIT_PER_SESSION and isinstance(command, PlaceHold):
            active = self._replay.active_of(command.session_id or "", answer.decided_at)
            if answer.limit is None or active < answer.limit:
                self._report("liveness", f"{row.request_id} was refused for {active} holds of {answer.limit}")

    # --- the rows say the same ------------------------------------------------------------------------

    def _compare_holds(self) -> None:
        replay = self._replay
        for hold in self._rows.holds:
            self._verdict.hold_states[hold.state] += 1
            view = replay.live.get(hold.id)
            told = view.state if view is not None else replay.ended.get(hold.id, "never created")
            if hold.state != told:
                self._report("holds", f"hold {hold.id} is {hold.state}, its events say {told}")
            elif view is not None and dict(hold.draws) != dict(replay.draws(view.items, view.extras)):
                self._report("holds", f"hold {hold.id} draws {hold.draws}, its basket says otherwise")
        for missing in replay.live.keys() - {hold.id for hold in self._rows.holds}:
            self._report("holds", f"hold {missing} was granted and has no row")

    def _compare_pools(self) -> None:
        held, sold = self._drawn(_LIVE), self._drawn(("confirmed",))
        for pool in self._rows.pools:
            if (pool.held, pool.sold) != (held[pool.key], sold[pool.key]):
                counted = f"{held[pool.key]}/{sold[pool.key]}"
                self._report(
                    "counters", f"pool {pool.key} says {pool.held}/{pool.sold} held/sold, its holds say {counted}"
                )
        over = self._replay.over
        for key, sellable in self._replay.sellable.items():
            taken = held[key] + sold[key]
            if sellable is not None and taken > sellable:
                over = max(over, taken - sellable)
                self._report("oversold", f"{taken} of {sellable} in pool {key} at the end")
            self._verdict.seats[key] = SeatCount(sellable, self._replay.peak[key], taken)
        self._verdict.oversold = over
        for key in self._replay.sellable.keys() - {pool.key for pool in self._rows.pools}:
            self._report("counters", f"pool {key} has no row")

    def _drawn(self, states: Sequence[str]) -> Counter[str]:
        drawn: Counter[str] = Counter()
        for hold in self._rows.holds:
            if hold.state in states:
                drawn.update(hold.draws)
        return drawn

    def _compare_sessions(self) -> None:
        active = Counter(hold.session_id for hold in self._rows.holds if hold.state == "active")
        for session in {hold.session_id for hold in self._rows.holds}:
            counted = self._rows.session_limits.get(session, 0)
            if counted != active[session]:
                self._report("counters", f"session {session} counts {counted} holds, and has {active[session]}")

    # --- it went on -----------------------------------------------------------------------------------

    def _check_liveness(self) -> None:
        for hold in self._rows.holds:
            if hold.state == "active" and hold.expires_at < self._rows.now - OVERDUE:
                late = (self._rows.now - hold.expires_at).total_seconds()
                self._report("expiry", f"hold {hold.id} is {late:.1f} s past its time and still active")
        places = [self._placed(row) for row in self._rows.journal]
        wanted = [command for command in places if command is not None]
        sellable = self._replay.sellable[TOTAL_POOL] or 0
        largest = max((sum(command.items.values()) for command in wanted), default=0)
        asked = sum(sum(command.items.values()) for command in wanted)
        # The last few seats may stay empty because nobody asked for so few.
        least = min(asked, sellable - largest + 1) if asked > sellable else asked
        if self._verdict.seats_granted < least:
            granted = self._verdict.seats_granted
            self._report("liveness", f"{granted} seats were granted, at least {least} could have been")

    def _placed(self, row: JournalRow) -> PlaceHold | None:
        """The place that this row decided, if only the number of seats could stand in its way."""
        story = self._stories.get(row.request_id)
        command = story.command(row.fingerprint) if story is not None else None
        if not isinstance(command, PlaceHold):
            return None
        if row.outcome == "held":
            return command
        answer = read_answer(row.reply)
        full = isinstance(answer, Refused) and answer.reason is Reason.SOLD_OUT and answer.subject == TOTAL_POOL
        return command if full else None

    def _measure(self) -> None:
        stories = self._stories.values()
        latencies = [story.latency_ns for story in stories]
        self._verdict.latencies_ms = sorted(latency / 1e6 for latency in latencies if latency is not None)
        times = sorted(story.first_answer_ns for story in stories if story.first_answer_ns is not None)
        gaps = [after - before for before, after in pairwise(times)]
        self._verdict.longest_silence_ms = max(gaps, default=0) / 1e6


def _last_error(story: Story) -> str:
    return story.errors[-1] if story.errors else "no error was noted"
