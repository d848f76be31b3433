"""`holdgate task`: work that follows from decisions, what of it waits or is dead, and trying it again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.dead_letters.masking import masked_body, masked_text, printable
from holdgate_workers.cli.failures import Failure
from holdgate_workers.cli.output.cutting import part_of, tell_cut
from holdgate_workers.cli.output.output import Column, Output, output_option
from holdgate_workers.cli.params import example, limit_option

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdgate_workers.adapters.postgres.tasks.table import TaskBook
    from holdgate_workers.app.tasks.tasks import TaskRow

STATES = ("open", "done", "dead", "cancelled")
ROLES = ("pricing", "orders", "notifications")
ALL_MAX = 10_000
NAMES_MAX = 10


@click.group()
def task() -> None:
    """Look at tasks (price a hold, create an order, send a mail), retry the dead ones, drop what nobody needs.

    A task is dead when its handler says that it cannot be done, or after its last attempt. It stays until somebody
    retries or drops it.
    """


def _choosing(command: Any) -> Any:
    for option in (
        click.option("--kind", metavar="KIND", help="Only this kind."),
        click.option("--role", type=click.Choice(ROLES), help="Only the tasks of this role."),
    ):
        command = option(command)
    return command


@task.command(name="list", epilog=example("holdgate task list", "holdgate task list --state dead --role orders"))
@click.option(
    "--state", "states", type=click.Choice(STATES), multiple=True, help="Only these. [default: dead and open]"
)
@_choosing
@limit_option(50)
@click.option("--reveal", is_flag=True, help="Show personal data too.")
@output_option
@pass_access
def list_(
    access: Access,
    states: tuple[str, ...],
    role: str | None,
    kind: str | None,
    limit: int,
    reveal: bool,
    out: Output,
) -> None:
    """The dead ones first, then by the time they are due; and how many there are of each kind."""
    from holdgate_workers.adapters.postgres.tasks.table import TaskBook

    with access.opened(TaskBook) as book:
        rows, is_cut = part_of(
            lambda most: book.find(states or ("dead", "open"), most, role=role, kind=kind), limit
        )
        counts = [
            count
            for count in book.open_counts()
            if (role is None or count.role == role) and (kind is None or count.kind == kind)
        ]
    if out.is_json:
        out.json({"tasks": [_fields(row, reveal=reveal) for row in rows], "counts": counts, "is_cut": is_cut})
        return
    if not rows:
        out.line("There are no such tasks.", style="green")
        return
    out.table(
        [Column("id", right=True), "role", "kind", "key", "state", Column("tries", right=True), "due", _ERROR],
        [
            (row.id, row.role, row.kind, row.key, _state(row), row.attempts, row.due_at, _said(row, reveal=reveal))
            for row in rows
        ],
    )
    tell_cut(is_cut, limit)
    if counts:
        out.line()
        out.table(
            ["role", "kind", *(Column(name, right=True) for name in ("open", "overdue", "dead", "oldest"))],
            [
                (count.role, count.kind, count.open, count.overdue, count.dead, f"{count.oldest_seconds:.0f} s")
                for count in counts
            ],
        )


_ERROR = Column("last error", wrap=True)


@task.command(epilog=example("holdgate task show 42", "holdgate task show 42 --reveal"))
@click.argument("task_id", metavar="ID", type=click.IntRange(1))
@click.option("--reveal", is_flag=True, help="Show personal data too.")
@output_option
@pass_access
def show(access: Access, task_id: int, reveal: bool, out: Output) -> None:
    """One task with what it was given."""
    from holdgate_workers.adapters.postgres.tasks.table import TaskBook

    with access.opened(TaskBook) as book:
        row = book.get(task_id)
    if row is None:
        raise Failure(f"there is no task {task_id}; see `holdgate task list`", exits.REFUSED)
    fields = _fields(row, reveal=reveal)
    if out.is_json:
        out.json(fields)
        return
    payload = fields.pop("payload")
    out.details((name.replace("_", " "), value) for name, value in fields.items())
    out.line("Payload", style="bold")
    out.line(json.dumps(payload, indent=2, ensure_ascii=False))


def _chosen_options(command: Any) -> Any:
    for option in (
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        limit_option(ALL_MAX),
        click.option("--all", "everything", is_flag=True, help="All dead ones, oldest due first."),
        click.argument("task_ids", metavar="[ID...]", nargs=-1, type=click.IntRange(1)),
    ):
        command = option(command)
    return _choosing(command)


@task.command(epilog=example("holdgate task retry 42 43", "holdgate task retry --all --kind order.create --yes"))
@_chosen_options
@output_option
@pass_access
def retry(access: Access, /, out: Output, yes: bool, **chosen: Any) -> None:
    """Have tasks done at once, with all their attempts anew: dead or dropped ones, and open ones that wait.

    Safe to run twice: whatever a task does, doing it again comes to the same.
    """
    _change(access, out, "retry", "will be tried again", lambda book: book.retry, yes=yes, **chosen)


@task.command(epilog=example("holdgate task drop 42", "holdgate task drop --all --kind mail.send.v1"))
@_chosen_options
@output_option
@pass_access
def drop(access: Access, /, out: Output, yes: bool, **chosen: Any) -> None:
    """Have tasks done no more: dead ones, and open ones that are in nobody's hands. They are deleted later on."""
    _change(access, out, "drop", "dropped", lambda book: book.drop, yes=yes, **chosen)


def _change(
    access: Access,
    out: Output,
    verb: str,
    done: str,
    change: Callable[[TaskBook], Callable[[int], bool]],
    *,
    yes: bool,
    task_ids: Sequence[int],
    everything: bool,
    limit: int,
    role: str | None,
    kind: str | None,
) -> None:
    from holdgate_workers.adapters.postgres.tasks.table import TaskBook

    if bool(task_ids) == everything:
        raise click.UsageError("give the ID of one or several tasks, or --all")
    if not everything and (role is not None or kind is not None):
        raise click.UsageError("--role and --kind go with --all")
    with access.opened(TaskBook) as book:
        ids = list(dict.fromkeys(task_ids))
        if everything:
            ids = [row.id for row in book.find(("dead",), limit, role=role, kind=kind)]
            if ids and not yes:
                click.confirm(f"{verb.capitalize()} {len(ids)} dead tasks?", abort=True, err=True)
        one = change(book)
        changed = [task_id for task_id in ids if one(task_id)]
    refused = [task_id for task_id in ids if task_id not in set(changed)]
    if out.is_json:
        out.json({"chosen": len(ids), "changed": changed, "refused": refused})
    elif not ids:
        out.line("There are no dead tasks.", style="green")
    else:
        out.line(f"{len(changed)} of {len(ids)} {done}.", style="bold yellow" if refused else "bold green")
    if refused:
        names = ", ".join(map(str, refused[:NAMES_MAX])) + (" …" if len(refused) > NAMES_MAX else "")
        raise Failure(f"not changed: {names} (ended, in somebody's hands just now, or not there)", exits.REFUSED)


def _state(row: TaskRow) -> str:
    return "in hand" if row.state == "open" and row.claimed_by else row.state


def _said(row: TaskRow, *, reveal: bool) -> str:
    text = printable(row.last_error or "")
    return text if reveal else masked_text(text)


def _fields(row: TaskRow, *, reveal: bool) -> dict[str, Any]:
    from holdgate_workers.cli.output.output import plain

    fields: dict[str, Any] = plain(row)
    if not reveal:
        fields["payload"] = json.loads(masked_body(json.dumps(fields["payload"]).encode()))
        fields["last_error"] = None if row.last_error is None else _said(row, reveal=False)
    return fields
