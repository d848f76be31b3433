"""`holdgate notice`: what became of mails, webhooks and analytics events, and trying them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.failures import Failure
from holdgate_workers.cli.output.cutting import part_of, tell_cut
from holdgate_workers.cli.output.formats import moment
from holdgate_workers.cli.output.output import Column, Output, output_option
from holdgate_workers.cli.params import example, limit_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdgate_workers.adapters.postgres.notifications.deliveries import DeliveryRow

STATUSES = ("waiting", "delivered", "failed", "lapsed", "withdrawn")
ALL_MAX = 10_000


@click.group()
def notice() -> None:
    """The log of deliveries: each mail, webhook and analytics event that was attempted, and how it ended.

    What waits for its time, such as a reminder, is a task: `holdgate task list --role notifications`. Nothing in the
    log says who somebody is.
    """


_receiver_option = click.option(
    "--receiver", metavar="NAME", help="Only to this receiver: mail, ga4, or webhook/ and the target's name."
)


@notice.command(
    name="list",
    epilog=example("holdgate notice list", "holdgate notice list --receiver webhook/crm --status failed"),
)
@_receiver_option
@click.option("--status", "statuses", type=click.Choice(STATUSES), multiple=True, help="Only these.")
@limit_option(50)
@output_option
@pass_access
def list_(access: Access, receiver: str | None, statuses: tuple[str, ...], limit: int, out: Output) -> None:
    """The latest deliveries, and how many there are per receiver."""
    from holdgate_workers.adapters.postgres.notifications.deliveries import DeliveryReader

    with access.opened(DeliveryReader) as reader:
        rows, is_cut = part_of(lambda most: reader.find(most, receiver=receiver, statuses=statuses), limit)
        counts = [count for count in reader.counts() if receiver in (None, count.receiver)]
    if out.is_json:
        out.json({"deliveries": rows, "counts": counts, "is_cut": is_cut})
        return
    if not rows:
        out.line("There are no such deliveries.")
        return
    out.table(
        [Column("id", right=True), "receiver", "key", "status", Column("tries", right=True), "last", _ANSWER],
        [
            (row.task_id, row.receiver, row.key, row.status, row.attempts, moment(row.changed_at), row.detail)
            for row in rows
        ],
    )
    tell_cut(is_cut, limit, "latest")
    out.line()
    out.table(
        ["receiver", "status", Column("deliveries", right=True), "last"],
        [(count.receiver, count.status, count.number, moment(count.changed_at)) for count in counts],
    )


_ANSWER = Column("last answer", wrap=True)


@notice.command(epilog=example("holdgate notice show 42"))
@click.argument("task_id", metavar="ID", type=click.IntRange(1))
@output_option
@pass_access
def show(access: Access, task_id: int, out: Output) -> None:
    """One delivery; its ID is that of its task."""
    from holdgate_workers.adapters.postgres.notifications.deliveries import DeliveryReader
    from holdgate_workers.cli.output.output import plain

    with access.opened(DeliveryReader) as reader:
        row = reader.get(task_id)
    if row is None:
        raise Failure(
            f"nothing was attempted for {task_id} yet; see `holdgate task show {task_id}`", exits.REFUSED
        )
    if out.is_json:
        out.json(row)
        return
    out.details((name.replace("_", " "), value) for name, value in plain(row).items())


@notice.command(
    epilog=example("holdgate notice retry 42", "holdgate notice retry --all --receiver webhook/crm --yes")
)
@click.argument("task_ids", metavar="[ID...]", nargs=-1, type=click.IntRange(1))
@click.option("--all", "everything", is_flag=True, help="All that failed.")
@_receiver_option
@limit_option(ALL_MAX)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@output_option
@pass_access
def retry(
    access: Access,
    task_ids: tuple[int, ...],
    everything: bool,
    receiver: str | None,
    limit: int,
    yes: bool,
    out: Output,
) -> None:
    """Have deliveries that failed made again, with all their attempts anew.

    A receiver knows what it has had already by its id: a mail by its Message-ID, a webhook by its webhook-id.
    """
    from holdgate_workers.adapters.postgres.notifications.deliveries import DeliveryReader
    from holdgate_workers.adapters.postgres.tasks.table import TaskBook

    if bool(task_ids) == everything:
        raise click.UsageError("give the ID of one or several deliveries, or --all")
    if receiver is not None and not everything:
        raise click.UsageError("--receiver goes with --all")
    ids: Sequence[int] = task_ids
    if everything:
        with access.opened(DeliveryReader) as reader:
            ids = _ids(reader.find(limit, receiver=receiver, statuses=("failed",)))
        if ids and not yes:
            click.confirm(f"Retry {len(ids)} deliveries?", abort=True, err=True)
    with access.opened(TaskBook) as book:
        changed = [task_id for task_id in ids if book.retry(task_id)]
    refused = [task_id for task_id in ids if task_id not in set(changed)]
    if out.is_json:
        out.json({"chosen": len(ids), "changed": changed, "refused": refused})
    else:
        out.line(f"{len(changed)} of {len(ids)} will be tried again.", style="bold green" if ids else "")
    if refused:
        raise Failure(
            f"not changed: {', '.join(map(str, refused[:10]))} (delivered, on the way just now, or not there)",
            exits.REFUSED,
        )


def _ids(rows: Sequence[DeliveryRow]) -> list[int]:
    return [row.task_id for row in rows]
