"""`holdgate installation`: which installation this is, and whose broker, queue and Redis are."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.failures import Failure
from holdgate_workers.cli.output.output import Output, output_option
from holdgate_workers.cli.params import example

if TYPE_CHECKING:
    from holdgate_workers.app.installation import Installation
    from holdgate_workers.wiring.site import EmbeddedTransport, RabbitTransport

yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


@click.group()
def installation() -> None:
    """Which installation this is, and whose broker, queue and Redis are.

    An installation is one database and everything that works for it. `holdgate migrate` gives the database an id and
    stamps the virtual host (or the queue in the database) with it; the projection stamps its entries in Redis. A
    process of another installation refuses to start there.
    """


@installation.command(epilog=example("holdgate installation show", "holdgate installation show --output json"))
@output_option
@pass_access
def show(access: Access, out: Output) -> None:
    """Say which installation the database is, and whose the queues and the read side are. Changes nothing."""
    ours, found = owners(access)
    if out.is_json:
        out.json({"id": ours.id, "name": ours.name, **{place: _fields(whose) for place, whose in found.items()}})
        return
    out.details([("installation", ours.id), ("where", ours.name)])
    for place, whose in found.items():
        out.line(f"{place}: {_said(whose, ours)}")


@installation.command("take-over", epilog=example("holdgate installation take-over"))
@yes_option
@output_option
@pass_access
def take_over(access: Access, yes: bool, out: Output) -> None:
    """Make the queues and the read side belong to this installation, whosever they were.

    For when the other installation is gone for good: a new database in the place of a lost one, or one that was
    moved together with its broker. Requests that wait in the queues will be decided here. If the other one still
    works, seats are sold twice; so this is refused while anybody consumes from the queues. Processes of the other
    installation do not start there any more. Ends with 6 if it was refused.
    """
    ours, transport = _opened(access)
    theirs = transport.owner()
    if theirs is not None and theirs.id != ours.id and not yes:
        click.confirm(
            f"The queues belong to {theirs}. If anything of it still runs, seats will be sold twice. "
            f"Take them over for {ours}?",
            abort=True,
            err=True,
        )
    before = transport.take_over()
    transport.declare(transport_partitions(access))
    entries = _take_over_redis(access, ours)
    if out.is_json:
        out.json({"id": ours.id, "before": _fields(before), "redis_rebuilt": entries is not None})
        return
    was = "nobody's" if before is None else "ours" if before.id == ours.id else f"of {before}"
    out.line(f"The queues are ours; they were {was}.", style="green")
    if entries is not None:
        out.line(f"The read side is ours, filled again with {entries} entries.", style="green")


@installation.command("new-id", epilog=example("holdgate installation new-id"))
@yes_option
@output_option
@pass_access
def new_id(access: Access, yes: bool, out: Output) -> None:
    """Give this database another id: for a copy that is to work beside its original, on queues of its own.

    A copied database (pg_dump, a snapshot, CREATE DATABASE … TEMPLATE) has the id of its original, so nothing keeps
    its workers from the original's queues. Stop the workers of this database first, and set HOLDGATE_AMQP_URL and
    HOLDGATE_HOUSE to places of its own; afterwards run `holdgate migrate`.
    """
    from holdgate_workers.adapters.postgres.maintenance.installation import House

    with access.opened(House) as house:
        ours = house.installation()
        if not yes:
            click.confirm(f"Give {ours.name} an id other than {ours.id}?", abort=True, err=True)
        renewed = house.renew_installation()
    if out.is_json:
        out.json({"id": renewed.id, "before": ours.id})
    else:
        out.line(f"The database is now installation {renewed.id}. Run `holdgate migrate`.", style="green")


def transport_partitions(access: Access) -> int:
    """How many partitions the database agreed on."""
    from holdgate_workers.adapters.postgres.maintenance.installation import House

    with access.opened(House) as house:
        return house.partitions(access.config().partitions)


def owners(access: Access) -> tuple[Installation, dict[str, Installation | None]]:
    """Which installation the database is, and whose `queue` and, where there is one, `redis` are; None: nobody's.

    Raises `TransportError`, and `Failure` if Redis cannot be used.
    """
    ours, transport = _opened(access)
    found = {"queue": transport.owner()}
    if access.config().redis_url is not None:
        found["redis"] = _redis_owner(access)
    return ours, found


def _opened(access: Access) -> tuple[Installation, RabbitTransport | EmbeddedTransport]:
    from holdgate_workers.adapters.postgres.maintenance import revision
    from holdgate_workers.adapters.postgres.maintenance.installation import House
    from holdgate_workers.wiring.site import transport_of

    config, url = access.config(), access.database_url()
    revision.check(url)
    with closing(House(url)) as house:
        ours = house.installation()
        return ours, transport_of(config, url, house.partitions(config.partitions), ours)


def _redis_owner(access: Access) -> Installation | None:
    from holdgate_workers.adapters.redis.projection import CacheError, ProjectionCache

    config = access.config()
    assert config.redis_url is not None
    try:
        with closing(ProjectionCache(config.redis_url, config.house)) as cache:
            return cache.owner()
    except CacheError as exc:
        raise Failure(f"Redis cannot be used: {exc}", exits.NOT_RUNNING) from exc


def _take_over_redis(access: Access, ours: Installation) -> int | None:
    """Fill the read side anew if it is another installation's: how many entries; None where that is not needed."""
    from holdgate_workers.adapters.redis.projection import CacheError
    from holdgate_workers.roles.read_side import ReadSide

    config = access.config()
    if config.redis_url is None:
        return None
    theirs = _redis_owner(access)
    if theirs is None or theirs.id == ours.id:
        return None
    try:
        with closing(
            ReadSide(access.database_url(), config.redis_url, config.house, installation_name=ours.name)
        ) as side:
            return side.rebuild().written
    except CacheError as exc:
        raise Failure(f"the queues are ours, but Redis cannot be used: {exc}", exits.NOT_RUNNING) from exc


def _fields(whose: Installation | None) -> dict[str, str] | None:
    return None if whose is None else {"id": whose.id, "name": whose.name}


def _said(whose: Installation | None, ours: Installation) -> str:
    if whose is None:
        return "not set up"
    return "ours" if whose.id == ours.id else f"belongs to another installation, {whose}"
