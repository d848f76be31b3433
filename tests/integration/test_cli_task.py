"""`holdgate task`: what operators see of dead and waiting tasks, and what they can do about them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.support.postgres import migrated_database
from tests.support.tasks import KIND, ROLE

from holdgate_workers.adapters.postgres.tasks.feed import TaskFeed
from holdgate_workers.adapters.postgres.tasks.table import TaskBook
from holdgate_workers.app.tasks.tasks import Dead, Done, NewTask
from holdgate_workers.cli import exits
from holdgate_workers.cli.doctor import selling as checks_selling
from holdgate_workers.cli.main import cli

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with migrated_database() as fresh:
        yield fresh


@pytest.fixture
def book(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskBook]:
    """A table with tasks 1 and 3 dead, 2 done, 4 waiting; all of one kind but 3."""
    monkeypatch.setenv("HOLDGATE_DATABASE_URL", url)
    with closing(TaskBook(url)) as book, closing(TaskFeed(url, [])) as feed:
        book._session.run(lambda connection: connection.execute("TRUNCATE tasks RESTART IDENTITY CASCADE"))
        for number in (1, 2, 3, 4):
            kind = "other.v1" if number == 3 else KIND
            payload = {"email": "ada@example.org", "number": number}
            feed.add([NewTask(role=ROLE, kind=kind, key=str(number), payload=payload)])
        for number, outcome in ((1, Dead("refused by 10.1.2.3")), (2, Done()), (3, Dead("no"))):
            task = book.claim(number, "me", 60)
            assert task is not None
            assert book.settle(task, outcome)
        yield book


def run(*words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["task", *words], input=given)


def told(*words: str, code: int = exits.OK) -> Any:
    ran = run(*words, "--output", "json")
    assert ran.exit_code == code, ran.output
    return json.loads(ran.stdout)


def states(book: TaskBook) -> dict[int, str]:
    return {row.id: row.state for row in book.find(("open", "done", "dead", "cancelled"), 10)}


def test_the_list_has_the_dead_first_and_then_what_waits(book: TaskBook) -> None:
    said = told("list")
    assert [task["id"] for task in said["tasks"]] == [1, 3, 4]
    assert {(count["kind"], count["dead"], count["open"]) for count in said["counts"]} == {
        (KIND, 1, 1),
        ("other.v1", 1, 0),
    }
    table = run("list")
    assert table.exit_code == exits.OK
    assert "refused by •••" in table.stdout


def test_the_list_can_be_narrowed(book: TaskBook) -> None:
    assert [task["id"] for task in told("list", "--state", "dead", "--kind", "other.v1")["tasks"]] == [3]
    assert [task["id"] for task in told("list", "--state", "done")["tasks"]] == [2]
    assert told("list", "--role", "orders")["tasks"] == []
    assert "There are no such tasks." in run("list", "--role", "orders").stdout


def test_people_are_masked_unless_somebody_asks(book: TaskBook) -> None:
    assert told("show", "1")["payload"] == {"email": "•••", "number": 1}
    assert told("show", "1", "--reveal")["payload"] == {"email": "ada@example.org", "number": 1}
    assert "ada" not in run("show", "1").stdout
    assert "ada" in run("show", "1", "--reveal").stdout


def test_a_task_that_is_not_there_is_named(book: TaskBook) -> None:
    ran = run("show", "99")
    assert ran.exit_code == exits.REFUSED
    assert "there is no task 99" in ran.stderr


def test_a_retry_revives_the_dead_and_the_rest_is_named(book: TaskBook) -> None:
    assert told("retry", "1") == {"chosen": 1, "changed": [1], "refused": []}
    ran = run("retry", "2", "3", "99")
    assert ran.exit_code == exits.REFUSED
    assert "1 of 3 will be tried again." in ran.stdout
    assert "not changed: 2, 99" in ran.stderr
    assert states(book) == {1: "open", 2: "done", 3: "open", 4: "open"}


def test_all_means_all_that_are_dead_and_asks_first(book: TaskBook) -> None:
    assert run("retry", "--all", given="n\n").exit_code == 1
    assert states(book)[1] == "dead"
    assert told("retry", "--all", "--kind", KIND, "--yes")["changed"] == [1]
    assert told("drop", "--all", "--yes")["changed"] == [3]
    assert states(book) == {1: "open", 2: "done", 3: "cancelled", 4: "open"}
    assert told("drop", "--all", "--yes")["chosen"] == 0


def test_what_is_dropped_is_not_done_any_more(book: TaskBook) -> None:
    assert told("drop", "4")["changed"] == [4]
    assert book.claim(4, "me", 60) is None


@pytest.mark.parametrize("words", [(), ("1", "--all"), ("1", "--kind", KIND), ("0",), ("x",)])
def test_a_wrong_call_changes_nothing(book: TaskBook, words: tuple[str, ...]) -> None:
    before = states(book)
    for verb in ("retry", "drop"):
        assert run(verb, *words).exit_code == exits.USAGE
    assert states(book) == before


def test_the_doctor_says_what_is_dead_and_what_nobody_works_on(book: TaskBook, url: str) -> None:
    checks = {check.name: check for check in checks_selling.tasks(url)}
    assert checks["dead tasks"].status == "warn"
    assert checks["dead tasks"].detail == f"1 other.v1, 1 {KIND}"
    assert set(checks) == {"dead tasks"}, "what waits is not late yet"
    book._session.run(
        lambda connection: connection.execute("UPDATE tasks SET due_at = due_at - interval '3 min' WHERE id = 4")
    )
    late = next(iter(checks_selling.tasks(url)))
    assert (late.name, late.status, late.mend) == (f"{ROLE} tasks", "warn", f"holdgate worker {ROLE}")
    assert late.detail == f"1 of {KIND} are due, the first one for 3 min"
    book._session.run(lambda connection: connection.execute("DELETE FROM tasks"))
    assert [(check.name, check.status) for check in checks_selling.tasks(url)] == [("tasks", "ok")]
