"""One run from the first server to the verdict."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import traceback
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from tests.chaos.ground import OPERATOR, PARTITIONS, SHOPPERS, Ground, open_ground
from tests.chaos.nemesis import Done, Nemesis
from tests.chaos.schedule import CALM_SECONDS, GAP_SECONDS, Fault, left_out, plan
from tests.chaos.shopper import ATTEMPT_SECONDS, PATIENCE_SECONDS
from tests.chaos.verdict import Verdict, judge
from tests.checker import record
from tests.checker.recording import FINAL, NEMESIS, RUN, STREAM, TAP_EVENTS
from tests.support.rabbit import channel, eventually

QUIET_SECONDS = 60.0
EXPIRY_LATE_SECONDS = 20.0
DRAIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is told."""

    seed: int
    seconds: float
    gap_seconds: tuple[float, float] = GAP_SECONDS
    only: Collection[str] = ()
    rate: float = 750.0
    """Requests a second, of all clients together."""
    keep: bool = False
    mutant: str | None = None
    """A bug to plant into the workers; it should be found."""


@dataclass(slots=True)
class Outcome:
    """What a run has shown."""

    options: Options
    done: list[Done] = field(default_factory=list)
    planned: int = 0
    left_out: list[str] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    failures: list[str] = field(default_factory=list)
    """What is wrong, worst first."""
    figures: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def void(self) -> list[str]:
        """Faults that did not bite, or were never done."""
        void = [f"{done.fault.kind.name} of {done.fault.target}" for done in self.done if not done.proof]
        undone = self.planned - len(self.done)
        return [*void, f"{undone} never done"] if undone else void

    @property
    def exit_code(self) -> int:
        """0 all is well, 1 something is wrong, 2 the run proves nothing."""
        return 1 if self.failures else 2 if self.void else 0

    def last_line(self) -> str:
        """The one line for scripts."""
        seed = f"seed={self.options.seed}"
        counts = (
            f"requests={self.verdict.accepted} faults={len(self.done)} "
            f"lost={self.verdict.lost} oversold={self.verdict.oversold}"
        )
        if self.failures:
            return f"chaos: FAILED {seed} {counts} what={' '.join(self.failures[0].split())[:200]}"
        if self.void:
            return f"chaos: void {seed} {counts} did not bite: {', '.join(self.void)}"
        return f"chaos: ok {seed} {counts}"


def run(options: Options) -> Outcome:
    """Do it all. Everything that was started is gone afterwards, whatever happened."""
    outcome = Outcome(options)
    ground = open_ground(options.mutant)
    outcome.folder = ground.folder
    try:
        missing = ground.missing()
        outcome.left_out = list(left_out(missing))
        faults = plan(options.seed, options.seconds, missing, options.only, options.gap_seconds)
        outcome.planned = len(faults)
        _announce(options, faults, outcome.left_out)
        _Course(ground, options, faults, outcome).run()
    except Exception:  # noqa: BLE001 - a run that cannot go on has failed, and says so like any other
        outcome.failures.append(traceback.format_exc())
    finally:
        ground.close()
    if outcome.exit_code == 0 and not options.keep:
        shutil.rmtree(ground.folder)
        outcome.folder = None
    return outcome


def _announce(options: Options, faults: Sequence[Fault], without: Sequence[str]) -> None:
    print(f"chaos: seed={options.seed} seconds={options.seconds:g} faults={len(faults)}")
    for text in without:
        print(f"  {text}")
    for fault in faults:
        print(f"  {fault}", flush=True)


class _Course:
    """The steps."""

    def __init__(self, ground: Ground, options: Options, faults: Sequence[Fault], outcome: Outcome) -> None:
        self._ground, self._options, self._faults, self._outcome = ground, options, faults, outcome

    def run(self) -> None:
        ground, started = self._ground, monotonic()
        ground.start()
        stream = record.ChangeStream(ground.database.url, ground.record / STREAM)
        events = record.tap_events(ground.amqp_url, ground.record / TAP_EVENTS)
        for recorder in (stream, events):
            recorder.start()
        ground.start_crew()
        ground.open_sale()
        ground.start_shoppers(self._options.seed, self._options.rate)
        self._say(f"everything works after {monotonic() - started:.0f} s; the schedule begins")
        self._break()
        self._heal()
        self._end_shoppers()
        self._wait_quiet(events)
        record.write_final(ground.amqp_url, ground.record / FINAL, PARTITIONS)
        self._describe()
        for recorder in (stream, events):
            recorder.stop()
        self._judge()

    def _break(self) -> None:
        nemesis = Nemesis(self._ground, self._faults, self._ground.record / NEMESIS)
        started = monotonic()
        nemesis.run()
        self._outcome.done = nemesis.done
        self._outcome.failures += nemesis.failures
        self._outcome.figures["chaos_seconds"] = round(monotonic() - started, 1)

    def _heal(self) -> None:
        """Whatever a fault may have left; after that nothing is in the way of anybody."""
        ground = self._ground
        ground.network.heal()
        self._must("the database comes back", ground.database.recover)
        self._must("the cluster comes back", ground.cluster.wait_whole)
        for hand in ground.crew.hands.values():
            if hand.wanted and hand.exit_code is None:
                hand.signal(signal.SIGCONT)

    def _end_shoppers(self) -> None:
        """No new requests; what is open must be answered."""
        started = monotonic()
        for process in self._ground.shoppers.values():
            process.terminate()
        for name, process in self._ground.shoppers.items():
            try:
                code = process.wait(PATIENCE_SECONDS + 3 * ATTEMPT_SECONDS)
            except subprocess.TimeoutExpired:
                self._fail(f"{name} hangs")
                process.kill()
                continue
            if code:
                log = (self._ground.folder / f"{name}.log").read_text(encoding="utf-8")
                self._fail(f"{name} ended with {code}: {log[-1000:]}")
        self._outcome.figures["last_answer_seconds"] = round(monotonic() - started, 1)

    def _wait_quiet(self, events: record.Tap) -> None:
        """What is due has ended, the queues are empty, and all events were told."""
        started = monotonic()
        ground = self._ground
        for hand in ground.crew.hands.values():
            self._must(f"{hand.name} is ready again", lambda hand=hand: eventually(hand.is_ready, hand.name, 60))
        due = (
            "SELECT count(*) FROM holds WHERE state = 'active' AND expires_at < clock_timestamp() - interval '3 s'"
        )
        told = "SELECT coalesce(sum(json_array_length(events)), 0) FROM journal"
        self._until("what is due is expired", lambda: ground.value(due) == 0)
        ground.crew.hands["expiry"].terminate()  # or holds would end, and events be told, for as long as we look
        self._until("the queues are empty", lambda: self._queued() == 0)
        self._until("all events are told", lambda: len(events.ids) >= ground.value(told))
        self._outcome.failures += ground.crew.fell
        self._outcome.figures["nodes_restarted_by_operator"] = ground.cluster.operator_restarts
        self._outcome.figures["quiet_seconds"] = round(monotonic() - started, 1)
        self._outcome.figures["worker_starts_that_failed"] = ground.crew.could_not_start

    def _queued(self) -> int:
        with channel(self._ground.amqp_url) as ours:
            names = [f"holdgate.requests.{number:02d}" for number in range(PARTITIONS)]
            return sum(ours.queue_declare(name, passive=True).method.message_count for name in names)

    def _describe(self) -> None:
        """run.json, for the checker. A clock that was moved on purpose may be so far off."""
        moved = max((abs(fault.step) for fault in self._faults), default=0)
        now = "to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
        told = {
            "clients": [OPERATOR, *SHOPPERS],
            "faults": [done.fault.kind.name for done in self._outcome.done],
            "expiry_late_seconds": EXPIRY_LATE_SECONDS + moved,
            "drain_seconds": DRAIN_SECONDS + moved,
            "skew_seconds": 0.05 + moved,
            "ended_at": str(self._ground.value(f"SELECT {now}")),
        }
        (self._ground.record / RUN).write_text(json.dumps(told), encoding="utf-8")

    def _judge(self) -> None:
        outcome = self._outcome
        verdict = outcome.verdict = judge(self._ground.database.url, self._ground.record)
        outcome.figures |= verdict.figures
        seconds = CALM_SECONDS + outcome.figures["chaos_seconds"]
        outcome.figures["requests_per_second"] = round(verdict.accepted / seconds)
        outcome.figures["logged"] = dict(self._ground.crew.events().most_common(25))
        if verdict.lost:
            outcome.failures.insert(0, f"{verdict.lost} accepted requests have no outcome")
        if verdict.oversold:
            outcome.failures.insert(0, f"oversold {verdict.oversold} times")
        outcome.failures += verdict.problems

    # --- how it goes on when something does not -----------------------------------------------------------------

    def _until(self, what: str, condition: Any) -> None:
        self._must(what, lambda: eventually(condition, what, QUIET_SECONDS))

    def _must(self, what: str, do: Any) -> None:
        try:
            do()
        except AssertionError as exc:
            self._fail(f"{what}: {exc}")

    def _fail(self, what: str) -> None:
        self._outcome.failures.append(what)
        self._say(f"WRONG: {what}")

    @staticmethod
    def _say(text: str) -> None:
        print(f"  {text}", flush=True)


def write_report(outcome: Outcome, path: Path) -> None:
    """The run as JSON."""
    options = asdict(outcome.options) | {"only": sorted(outcome.options.only)}
    told = {
        "line": outcome.last_line(),
        "options": options,
        "planned": outcome.planned,
        "left_out": outcome.left_out,
        "failures": outcome.failures,
        "checker": outcome.verdict.checker,
        "figures": outcome.figures,
        "faults": [
            {
                "kind": done.fault.kind.name,
                "target": done.fault.target,
                "planned_at": done.fault.at,
                "planned_seconds": done.fault.seconds,
                "began": round(done.began, 1),
                "ended": round(done.ended, 1),
                "proof": done.proof or None,
                "did_not_bite": done.trouble or None,
            }
            for done in outcome.done
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
