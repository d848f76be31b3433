"""A run that is recorded from outside: recorders around it, clients that take notes, and the checker's verdict.

Nothing here asks the product how it went.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from secrets import token_hex
from time import time_ns
from types import TracebackType
from typing import Any, Self

import psycopg
from tests.checker import record
from tests.checker.buyers import PATIENCE_SECONDS, Body, Spec, Wire
from tests.checker.checker import check
from tests.checker.recording import CLIENTS, FINAL, NEMESIS, RUN, STREAM, TAP_EVENTS, TAP_REQUESTS, of_folder
from tests.checker.verdict import Report
from tests.support.processes import ROOT
from tests.support.rabbit import eventually

OPERATOR = "operator"
ATTEMPT_SECONDS = 5.0
ASK_SECONDS = 40.0
SHORT_LIVES_SECONDS = 10
"""Holds that end within so many seconds after the last request are waited for."""


class RecordedRun:
    """Recorders from the first moment, an operator's client in this process, buyers as processes of their own.

    Use it around everything, from before the first worker starts. `judge` ends the run and says what it was worth.
    """

    def __init__(self, folder: Path, database_url: str, amqp_url: str, *, partitions: int) -> None:
        (folder / CLIENTS).mkdir(parents=True)
        self.folder, self._amqp_url, self._partitions = folder, amqp_url, partitions
        self._database = psycopg.connect(database_url, autocommit=True)
        self._slot = f"checker_{token_hex(6)}"
        self._stack = ExitStack()
        self._stack.callback(self._clean)
        self._stream = record.ChangeStream(database_url, folder / STREAM, self._slot)
        self._events = record.tap_events(amqp_url, folder / TAP_EVENTS)
        self._recorders = [self._stream, record.tap_requests(amqp_url, folder / TAP_REQUESTS), self._events]
        self.nemesis = record.Nemesis(folder / NEMESIS)
        self._faults: list[str] = []
        self._names = [OPERATOR]
        self._buyers: list[subprocess.Popen[bytes]] = []
        self._enough = folder / "enough"

    def __enter__(self) -> Self:
        for recorder in self._recorders:
            recorder.start()
            self._stack.callback(recorder.stop)
        spec = Spec(OPERATOR, self._amqp_url, str(self._notes_of(OPERATOR)), (), 0, 0)
        self._notes = self._stack.enter_context(Path(spec.notes).open("w", encoding="utf-8", newline="\n"))
        self.operator = Wire(spec, self._notes)
        self._stack.callback(self.operator.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    # --- clients ------------------------------------------------------------------------------------------------

    def ask(self, body: Body) -> Body:
        """Have the operator ask, again and again under the same id, until there is an answer."""
        request_id = str(body["request_id"])

        def answered() -> bool:
            self.operator.send(body)
            self.operator.wait({request_id}, ATTEMPT_SECONDS)
            return request_id in self.operator.answers

        eventually(answered, f"an answer to {body}", ASK_SECONDS)
        return self.operator.answers[request_id]

    def start_buyers(
        self,
        occurrence_ids: Sequence[str],
        *,
        processes: int,
        requests: int,
        until_enough: bool = False,
        **more: Any,
    ) -> None:
        """So many processes that send so many requests in all, and on until `enough` if that is wanted."""
        for number in range(processes):
            name = f"buyer-{number}"
            self._names.append(name)
            spec = Spec(
                name=name,
                amqp_url=self._amqp_url,
                notes=str(self._notes_of(name)),
                occurrence_ids=tuple(occurrence_ids),
                requests=requests // processes,
                seed=4000 + number,
                until=str(self._enough) if until_enough else None,
                **more,
            )
            command = [sys.executable, "-m", "tests.checker.buyers", json.dumps(asdict(spec))]
            with (self.folder / f"{name}.log").open("wb") as log:
                self._buyers.append(
                    subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                )

    def wait_buyers(self) -> None:
        """Tell the buyers that it is enough, and wait until all of them have their answers."""
        self._enough.touch()
        for number, process in enumerate(self._buyers):
            log = self.folder / f"buyer-{number}.log"
            assert process.wait(PATIENCE_SECONDS + 30) == 0, log.read_text(encoding="utf-8")

    # --- looking ------------------------------------------------------------------------------------------------

    def value(self, statement: str, *values: Any) -> Any:
        """The one value that the database says."""
        row = self._database.execute(statement, values or None).fetchone()
        assert row is not None
        return row[0]

    @property
    def decided(self) -> int:
        """How many requests have their recorded outcome."""
        count: int = self.value("SELECT count(*) FROM journal")
        return count

    def was_told(self, event_id: str) -> bool:
        """Whether an event has reached the world."""
        return event_id in self._events.ids

    # --- the end ------------------------------------------------------------------------------------------------

    def broke(self, fault: str, target: str, since: float, *, really_applied: bool) -> None:
        """Write down a fault that is over by now; seconds since 1970."""
        self._faults.append(fault)
        self.nemesis.note(fault, target, since, now(), really_applied=really_applied)

    def judge(self, **limits: float) -> Report:
        """Wait until short lives are over and all events are told, stop recording, and have it checked.

        `limits` are those of run.json. The workers must still run; whatever they do afterwards is not recorded.
        """
        due = f"state = 'active' AND expires_at < clock_timestamp() + interval '{SHORT_LIVES_SECONDS} s'"
        eventually(
            lambda: not self.value(f"SELECT count(*) FROM holds WHERE {due}"), "short-lived holds are expired", 30
        )
        committed = "SELECT coalesce(sum(json_array_length(events)), 0) FROM journal"
        eventually(lambda: len(self._events.ids) >= self.value(committed), "all events are told", 60)
        ended_at = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
        run = {"clients": self._names, "faults": self._faults, "ended_at": self.value(ended_at), **limits}
        self.nemesis.close()
        self.operator.close()
        self._notes.write('{"end":true}\n')
        self._notes.flush()
        for recorder in self._recorders:
            recorder.stop()
        record.write_final(self._amqp_url, self.folder / FINAL, self._partitions)
        (self.folder / RUN).write_text(json.dumps(run), encoding="utf-8")
        return check(of_folder(self.folder))

    def _notes_of(self, client: str) -> Path:
        return self.folder / CLIENTS / f"{client}.jsonl"

    def _clean(self) -> None:
        """Leave nothing behind, however it ended."""
        for process in self._buyers:
            process.kill()
            process.wait()
        self._database.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
            [self._slot],
        )
        self._database.close()


def now() -> float:
    """Seconds since 1970, as the nemesis file has them."""
    return time_ns() / 1e9


def on_sale(occurrence_id: str, *, capacity: int, kids: int, minute: int) -> Body:
    """What an operator puts on sale: a show with overbooking, a buffer, a shared cap and shared stock.

    `minute` tells one from the other: of one product only one can begin at a time.
    """
    return {
        "type": "occurrence.put.v1",
        "request_id": f"00000000-0000-4000-8000-{minute:012d}",
        "occurrence_id": occurrence_id,
        "product_id": "show",
        "starts_at": f"2099-06-01T18:{minute:02d}:00Z",
        "ends_at": "2099-06-01T22:00:00Z",
        "timezone": "Europe/Rome",
        "capacity": capacity,
        "overbooking_percent": 10,
        "buffer": 3,
        "ticket_types": [
            {"key": "adult"},
            {"key": "child", "pools": ["concession"]},
            {"key": "senior", "pools": ["concession"], "max_per_order": 4},
        ],
        "pools": [{"key": "concession", "capacity": kids}],
        "extras": [{"key": "guide", "stock": {"key": "guides", "cap": 60}}],
    }
