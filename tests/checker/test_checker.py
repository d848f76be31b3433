"""The checker finds what it is there to find, and nothing else."""

from __future__ import annotations

import ast
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.checker.checker import check
from tests.checker.decoding import Change, Stream, Transaction
from tests.checker.edits import EDITS, BadHistory, copy_of
from tests.checker.faults import Faults
from tests.checker.generate import Sale, small
from tests.checker.history import FolderSink, History, lines_of
from tests.checker.instants import micros, of_wall, row_stamp, stamp
from tests.checker.mutate import MUTATIONS
from tests.checker.planted import PLANTED, OwesTooMuchForATicket, TellsWhatIsOld
from tests.checker.service import Service

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MUTANTS = 238
SALES = (6, 7, 8, 17)
"""Between them they have something for every planted bug."""


@pytest.fixture(scope="module")
def good() -> History:
    """A history with some of everything."""
    return small(260, seed=3)


@pytest.mark.parametrize("seed", range(4))
def test_a_good_history_whose_buyers_give_single_tickets_back_is_valid(seed: int) -> None:
    history = small(600, seed, reduces=True)
    assert any('"booking.reduce.v1"' in note["body"] for note in history.tap_requests)
    report = check(history.recording())
    assert report.verdict == "valid", report.table()


@pytest.mark.parametrize("seed", range(4))
def test_a_good_history_whose_catalogue_is_put_again_and_again_is_valid(seed: int) -> None:
    """As it was, with a start that is given away, at another time."""
    history = small(300, seed, puts_again=True)
    answers = [note["got"] for notes in history.clients.values() for note in notes if "got" in note]
    assert any('"changed":false' in answer for answer in answers)
    report = check(history.recording())
    assert report.verdict == "valid", report.table()


def test_a_service_that_tells_what_has_not_changed_is_found() -> None:
    reports = (check(small(300, seed, TellsWhatIsOld, puts_again=True).recording()) for seed in range(4))
    assert all(report.violations["P5"] for report in reports)


def test_a_service_that_owes_too_much_for_a_ticket_is_found() -> None:
    reports = (check(small(600, seed, OwesTooMuchForATicket, reduces=True).recording()) for seed in range(4))
    assert any(report.violations["P5"] for report in reports)


@pytest.mark.parametrize("seed", range(8))
def test_a_good_history_is_valid(seed: int) -> None:
    report = check(small(150, seed).recording())
    assert report.verdict == "valid", report.table()
    assert report.exit_code == 0
    assert report.last_line().startswith("checker: valid requests=")
    assert report.figures["requests"] >= 150


def test_a_good_history_gives_every_property_something_to_judge(good: History) -> None:
    report = check(good.recording())
    assert all(report.judged[name] for name in ("P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9")), (
        report.table()
    )
    assert all(report.judged[name] for name in ("P10", "P11", "P12", "P14", "P15", "P16")), report.table()
    assert all(report.judged[name] for name in ("P13", "P17", "P18", "P19")), report.table()


def test_without_a_tap_on_the_requests_only_what_needs_it_is_unknown(good: History) -> None:
    """The service's own sweeps are then asked for by nobody that can be heard, and that is no violation."""
    recording = good.recording()
    recording.tap_requests = None
    report = check(recording)
    assert report.verdict == "unknown", report.table()
    assert set(report.doubts) == {"P14"}


@pytest.mark.parametrize(("copies", "after_a_fault", "verdict"), [(1, False, "valid"), (0, True, "invalid"),
    (2, False, "invalid"), (2, True, "valid")])  # fmt: skip
def test_a_message_without_ids_is_buried_once_or_again_after_a_crash(
    copies: int, after_a_fault: bool, verdict: str, good: History
) -> None:
    history = copy_of(good)
    history.tap_requests.append({"body": "{", "w": 0})
    history.final["dead"] = copies * [{"request_id": None, "reason": "unreadable", "body": "{"}]
    if not after_a_fault:
        history.nemesis.clear()
        history.run["faults"] = []
    report = check(history.recording())
    assert report.verdict == verdict, report.table()


@pytest.mark.parametrize("bad", EDITS, ids=lambda bad: f"{bad.property}-{bad.name}")
def test_a_bad_history_is_found_by_the_property_it_breaks(bad: BadHistory, good: History) -> None:
    history = copy_of(good)
    bad.edit(history)
    report = check(history.recording())
    assert report.verdict == bad.verdict, report.table()
    found = report.violations if bad.verdict == "invalid" else report.doubts
    assert found[bad.property], report.table()
    assert bad.property in report.last_line()


@pytest.mark.parametrize(("service", "name"), PLANTED, ids=lambda one: getattr(one, "__name__", one))
def test_a_service_with_a_bug_is_found_by_the_property_it_breaks(service: type[Service], name: str) -> None:
    """Whatever it writes fits together; only what it decides is wrong."""
    reports = (check(small(400, seed, service).recording()) for seed in SALES)
    assert any(report.violations[name] for report in reports)


def test_nearly_every_random_edit_is_found(good: History) -> None:
    """At least 99 in 100 single edits that change what the history says."""
    missed = []
    for number in range(MUTANTS):
        rng = random.Random(number)
        history = copy_of(good)
        mutation = MUTATIONS[number % len(MUTATIONS)]
        what = mutation(history, rng)
        if check(history.recording()).verdict == "valid":
            missed.append(f"{number} {mutation.__name__}: {what}")
    assert len(missed) <= MUTANTS // 100, missed


# --- the parts --------------------------------------------------------------------------------------------------


def test_the_package_imports_nothing_of_the_product() -> None:
    """The standard library, itself, a fast reader of JSON, and the two drivers of the recorders; a model that borrows
    is no witness."""
    allowed = {"psycopg", "pika", "pytest", "msgspec"} | set(sys.stdlib_module_names)
    for path in HERE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            strange = [n for n in names if n.split(".")[0] not in allowed and not n.startswith("tests.checker")]
            assert not strange, f"{path.name} imports {strange}"


def test_the_text_of_the_stream_is_read_as_it_was_written() -> None:
    """Quotes, brackets, spaces, nulls and line ends inside values are not taken for anything else."""
    row = {"request_id": "a", "reply": '{"m":"it\'s x[text]:\'y\' 1"}', "reason": None, "version": "7", "kind": ""}
    changes = [Change("journal", "INSERT", row), Change("holds", "UPDATE", {"id": "b", "ended_at": None})]
    written = Transaction(77, 1_800_000_000_123_450, changes)
    stream = Stream(f"{line}\n" for line in [*lines_of(written), "# end"])
    assert list(stream) == [written]
    assert stream.ended
    assert stream.problem is None


def test_what_is_not_in_the_log_is_not_taken_for_null() -> None:
    line = "table public.occurrences: UPDATE: id[text]:'x' definition[jsonb]:unchanged-toast-datum version[bigint]:3\n"
    stream = Stream(["BEGIN 1\n", line, "COMMIT 1 (at 2026-11-22 12:12:51.2+00)\n"])
    (transaction,) = stream
    assert transaction.changes[0].row == {"id": "x", "version": "3"}
    assert transaction.committed_at == micros("2026-11-22T12:12:51.200000Z")
    assert not stream.ended


def test_instants_are_read_in_both_spellings() -> None:
    moment = micros("2026-11-22T13:12:51.430000+01:00")
    assert micros("2026-11-22 12:12:51.43+00") == moment
    assert stamp(moment) == "2026-11-22T12:12:51.430000Z"
    assert row_stamp(moment) == "2026-11-22 12:12:51.43+00"
    assert of_wall("2026-03-29T02:30:00", "Europe/Rome") == micros("2026-03-29T01:00:00Z")
    assert of_wall("2026-10-25T02:30:00", "Europe/Rome") == micros("2026-10-25T00:30:00Z")


def test_windows_of_faults_are_added_up_once() -> None:
    faults = Faults([(10, 20), (15, 30), (50, 60)])
    assert faults.overlap(0, 100) == 30
    assert faults.overlap(12, 14) == 2
    assert faults.overlap(25, 55) == 10
    assert faults.overlap(31, 49) == 0
    assert faults.hit(29, 40)
    assert not faults.hit(31, 49)
    assert faults.healed_after(5, 55) == 55
    assert faults.healed_after(5, 40) == 30
    assert faults.healed_after(35, 40) == 35


@pytest.mark.parametrize(
    ("spoil", "code", "last"),
    [
        (lambda folder: None, 0, "checker: valid requests="),
        (lambda folder: (folder / "tap.events.jsonl").write_text('{"end":true}\n'), 1, "checker: INVALID P12="),
        (lambda folder: (folder / "tap.events.jsonl").unlink(), 2, "checker: unknown why=P12: "),
        (lambda folder: (folder / "run.json").unlink(), 2, "checker: unknown why="),
    ],
)
def test_the_command_says_it_in_its_last_line_and_its_exit_code(
    tmp_path: Path, spoil: object, code: int, last: str
) -> None:
    folder = tmp_path / "record"
    sink = FolderSink(folder)
    sale = Sale(sink, occurrences=2, capacity=40, batch=5, clients=2, seed=9)
    sale.run(40)
    sink.close(*sale.finish())
    assert callable(spoil)
    spoil(folder)
    done = subprocess.run(
        [sys.executable, "-m", "tests.checker", str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith(last)
