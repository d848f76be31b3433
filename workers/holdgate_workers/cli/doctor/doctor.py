"""`holdgate doctor`: everything that holds depend on, one line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.failures import one_line
from holdgate_workers.cli.output.output import Output, output_option
from holdgate_workers.cli.params import example

from .check import Check, Checks, exit_code

if TYPE_CHECKING:
    from holdgate_workers.adapters.postgres.maintenance.health_checks import WorkerLine
    from holdgate_workers.config.environment import ServiceConfig

MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "bold red"), "skip": ("–", "dim")}


@click.command(epilog=example("holdgate doctor", "holdgate doctor --no-probe --output json"))
@click.option(
    "--probe/--no-probe",
    default=True,
    show_default=True,
    help="Also ask one harmless question through each of the 256 slots.",
)
@output_option
@pass_access
def doctor(access: Access, probe: bool, out: Output) -> None:
    """Check every dependency and say how to mend what is wrong. Changes nothing.

    Ends with 0 if nothing failed; with 3 if the database or the broker cannot be reached, 4 if the schema is of
    another version, else 1. Warnings do not fail.
    """
    checks = []
    for check in _all(access, probe=probe):
        checks.append(check)
        if not out.is_json:
            _tell(out, check, new_area=len(checks) < 2 or checks[-2].area != check.area)
    code = exit_code(checks)
    if out.is_json:
        out.json({"ok": code == exits.OK, "exit_code": code, "checks": [_fields(check) for check in checks]})
    else:
        _tell_sum(out, checks)
    raise click.exceptions.Exit(code)


def _all(access: Access, *, probe: bool) -> Checks:
    from holdgate_workers.config.environment import ConfigError

    from . import mail as checks_mail
    from . import this_process as checks_here

    yield from checks_here.here()
    try:
        config = access.config()
    except ConfigError as exc:
        mend = "correct the variables that are named"
        yield Check("here", "configuration", "fail", one_line(str(exc)), mend, exits.USAGE)
        return
    yield from checks_here.configuration(config)
    yield from _guarded("redis", checks_here.redis)
    yield from _guarded("mail", lambda: checks_mail.mail(config))
    yield from _site(access, config, probe=probe)


def _site(access: Access, config: ServiceConfig, *, probe: bool) -> Checks:
    from holdgate_workers.adapters.postgres.connection import DatabaseError, DatabaseUnavailable
    from holdgate_workers.app.ports import TransportError
    from holdgate_workers.wiring.site import NotRunning

    from . import broker as checks_broker
    from . import database as checks_database

    url, partitions, sound = None, config.partitions, False
    try:
        url = access.database_url()
        yield from checks_database.database(url)
        schema = checks_database.schema(url)
        yield schema
        sound = schema.status == "ok"
        if sound:
            yield checks_database.writing(url)
        partitions = (_partitions(url) if sound else None) or partitions
    except (NotRunning, DatabaseUnavailable, DatabaseError) as exc:
        yield checks_database.unreachable(exc, url)
        url = None
    reachable = True
    try:
        if config.amqp_url is not None:
            yield from checks_broker.rabbit(config.amqp_url, partitions)
            if probe:
                yield checks_broker.slots(config.amqp_url, partitions)
        elif url is not None:
            yield from checks_broker.embedded_queues(url, partitions)
    except TransportError as exc:
        reachable = False
        yield checks_broker.unreachable(exc)
    if url is None or not sound:
        yield Check("house", "everything else", "skip", "needs the database")
        return
    yield from _house(access, config, url, partitions, reachable=reachable, probe=probe)


def _house(
    access: Access, config: ServiceConfig, url: str, partitions: int, *, reachable: bool, probe: bool
) -> Checks:
    from holdgate_workers.adapters.postgres.maintenance.health_checks import Examination

    from . import projection as checks_projection
    from . import selling as checks_selling
    from . import shop as checks_shop
    from . import workers as checks_house

    if reachable:
        yield from _guarded("house", lambda: checks_house.installation(access))
    examination = Examination(url)
    try:
        staff = list(checks_house.workers(examination))
        if reachable:
            gates = [worker for worker in examination.workers() if worker.is_alive and worker.role == "gate"]
            staff += _guarded("house", lambda: _lines(config, url, gates, partitions))
        yield from staff
        yield from _guarded("house", lambda: checks_house.expiry_and_relay(examination))
        yield from _guarded("house", lambda: checks_projection.projection(access.config(), examination))
    finally:
        examination.close()
    if reachable:
        if probe and all(check.status != "fail" for check in staff):
            yield from _guarded("house", lambda: iter([checks_house.round_trip(access)]))
        elif probe:
            yield Check("house", "round trip", "skip", "needs a gate worker for every partition")
        yield from _guarded("house", lambda: iter([checks_house.dead_letters(access)]))
    yield from _guarded("house", lambda: checks_house.conservation(url))
    yield from _guarded("house", lambda: iter([checks_house.settings(url)]))
    yield from _guarded("selling", lambda: checks_selling.tasks(url))
    yield from _guarded("selling", lambda: checks_selling.bookings(url))
    yield from _guarded("shop", lambda: checks_shop.shop(access.config(), url))


def _lines(config: ServiceConfig, url: str, gates: list[WorkerLine], partitions: int) -> Checks:
    from holdgate_workers.wiring.site import EmbeddedTransport, RabbitTransport

    from . import partitions as checks_partitions

    amqp_url = config.amqp_url
    queues = EmbeddedTransport(url, partitions) if amqp_url is None else RabbitTransport(amqp_url)
    yield from checks_partitions.partitions(
        url, lambda: queues.served(partitions), gates, partitions, embedded=amqp_url is None
    )


def _guarded(area: str, checks: Callable[[], Iterator[Check]]) -> Checks:
    """One check that breaks must not hide the others."""
    try:
        yield from checks()
    except Exception as exc:  # noqa: BLE001
        yield Check(
            area, "a check", "fail", one_line(f"{type(exc).__name__}: {exc}"), "set HOLDGATE_DEBUG=1, report it"
        )


def _partitions(url: str) -> int | None:
    from holdgate_workers.adapters.postgres.maintenance.health_checks import Examination

    examination = Examination(url)
    try:
        return examination.partitions()
    finally:
        examination.close()


def _fields(check: Check) -> dict[str, str]:
    return {
        "area": check.area,
        "name": check.name,
        "status": check.status,
        "detail": check.detail,
        "mend": check.mend,
    }


def _tell(out: Output, check: Check, *, new_area: bool) -> None:
    from rich.markup import escape

    if new_area:
        out.line()
        out.line(check.area, style="bold")
    mark, style = MARKS[check.status]
    if out.is_plain:
        out.line(f"  {check.status:<4}  {check.name:<18} {check.detail}")
        if check.mend:
            out.line(f"        {'':<18} -> {check.mend}")
        return
    _columns(
        out,
        f"[{style}]{mark}[/]",
        check.name,
        f"[dim]{escape(check.detail)}[/]" if check.status == "skip" else escape(check.detail),
    )
    if check.mend:
        _columns(out, " ", "", f"[{style}]→[/] {escape(check.mend)}")


def _columns(out: Output, mark: str, name: str, text: str) -> None:
    from rich.table import Table

    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=3, justify="right")
    grid.add_column(width=17)
    grid.add_column(overflow="fold")
    grid.add_row(mark, name, text)
    out.console.print(grid)


def _tell_sum(out: Output, checks: list[Check]) -> None:
    failed = sum(check.status == "fail" for check in checks)
    warned = sum(check.status == "warn" for check in checks)
    out.line()
    if failed:
        out.line(f"{failed} failed, {warned} to look at.", style="bold red")
    elif warned:
        out.line(f"Nothing failed; {warned} to look at.", style="bold yellow")
    else:
        out.line("All is well.", style="bold green")
