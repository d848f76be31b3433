"""`holdgate hold`: what a shop does through its queue, by hand."""

from __future__ import annotations

from typing import Any

import click

from holdgate_schema.answers.holds import HoldView
from holdgate_workers.cli.access import Access, pass_access, timeout_option
from holdgate_workers.cli.output.answers import tell
from holdgate_workers.cli.output.formats import basket, moment, span
from holdgate_workers.cli.output.output import Output, output_option
from holdgate_workers.cli.output.selling_answers import money, tell_both
from holdgate_workers.cli.params import ID_PART, QUANTITY, example, quantities, request_id_option
from holdgate_workers.cli.pricing.quote import pricing_options

from .lookups import found_hold


@click.group()
def hold() -> None:
    """Place, change, extend, release and show holds.

    Everything but `show` goes through the occurrence's queue, as a shop's requests do. A hold is named by its id
    or the first six or more characters of it.
    """


def _sending(command: Any) -> Any:
    return output_option(timeout_option(request_id_option(command)))


@hold.command(
    epilog=example(
        "holdgate hold place occ-1 adult=2 child=1",
        "holdgate hold place occ-1 adult=2 child=1 --extra wine=1 --session cart-17 --ttl 300",
        "holdgate hold place occ-1 adult=2 --price --voucher WINTER-26",
    )
)
@click.argument("occurrence_id", metavar="OCCURRENCE")
@click.argument("items", nargs=-1, required=True, type=QUANTITY, metavar="TICKET=NUMBER...")
@click.option("--extra", "extras", multiple=True, type=QUANTITY, help="An extra and how many; may be repeated.")
@click.option("--session", metavar="ID", help="Whose hold it is. [default: a new session is issued]")
@click.option("--user", metavar="ID", help="The buyer, if known.")
@click.option("--ttl", "ttl_seconds", type=click.IntRange(1, 7200), metavar="SECONDS", help="How long to hold.")
@click.option("--client-address", metavar="IP", help="The address of the shop's connection.")
@click.option("--price", "is_priced", is_flag=True, help="Wait for what it costs, too. The next three imply it.")
@pricing_options
@click.option("--quote", "quote_hash", metavar="HASH", help="A quote whose price it is to have.")
@_sending
@pass_access
def place(
    access: Access,
    occurrence_id: str,
    items: tuple[tuple[str, int], ...],
    extras: tuple[tuple[str, int], ...],
    session: str | None,
    user: str | None,
    ttl_seconds: int | None,
    client_address: str | None,
    is_priced: bool,
    payment_method: str | None,
    voucher: str | None,
    quote_hash: str | None,
    request_id: str | None,
    timeout_seconds: float,
    out: Output,
) -> None:
    """Take the whole basket on OCCURRENCE, or nothing."""
    from holdgate_producer.client.commands import place_hold
    from holdgate_schema.commands.holds import Client
    from holdgate_schema.commands.selling import Pricing

    pricing = Pricing(payment_method=payment_method, voucher=voucher, quote_hash=quote_hash)
    asks = is_priced or pricing != Pricing()
    command = place_hold(
        occurrence_id,
        quantities(items, "TICKET=NUMBER"),
        extras=quantities(extras, "--extra"),
        session_id=session,
        user_id=user,
        ttl_seconds=ttl_seconds,
        client=Client(address=client_address) if client_address else None,
        pricing=pricing if asks else None,
        request_id=request_id,
    )
    with access.client(timeout_seconds) as client:
        answers = client.follow(command)
        if asks:
            tell_both(out, answers)
            return
        answer = answers.first.result()
    tell(out, answer)


def _of_a_hold(command: Any) -> Any:
    command = click.option("--session", metavar="ID", help="Its session. [default: looked up in the database]")(
        command
    )
    command = click.option(
        "--occurrence", metavar="ID", help="Its occurrence. [default: looked up in the database]"
    )(command)
    return _sending(command)


def _identity(access: Access, part: str, occurrence: str | None, session: str | None) -> tuple[str, str, str]:
    """Occurrence, session and hold: as given, else as the hold's row says."""
    if occurrence is not None and session is not None and len(part) == 36:
        return occurrence, session, part
    from holdgate_workers.adapters.postgres.reports.history import History

    with access.opened(History) as history:
        row, _ = found_hold(history, part)
    return occurrence or row.occurrence_id, session or row.session_id, row.id


@hold.command(
    epilog=example(
        "holdgate hold change 01a20730-122e-7691 adult=3 child=1",
        "holdgate hold change 01a20730-122e-7691 adult=1",
    )
)
@click.argument("hold_id", metavar="HOLD", type=ID_PART)
@click.argument("items", nargs=-1, required=True, type=QUANTITY, metavar="TICKET=NUMBER...")
@click.option("--extra", "extras", multiple=True, type=QUANTITY, help="An extra and how many; may be repeated.")
@_of_a_hold
@pass_access
def change(
    access: Access,
    hold_id: str,
    items: tuple[tuple[str, int], ...],
    extras: tuple[tuple[str, int], ...],
    occurrence: str | None,
    session: str | None,
    request_id: str | None,
    timeout_seconds: float,
    out: Output,
) -> None:
    """Set the quantities of HOLD to these numbers. What is not named is given back; the expiry does not move."""
    tickets, more = quantities(items, "TICKET=NUMBER"), quantities(extras, "--extra")
    whose = _identity(access, hold_id, occurrence, session)
    with access.client(timeout_seconds) as client:
        answer = client.change(*whose, tickets, extras=more, request_id=request_id)
    tell(out, answer)


@hold.command(epilog=example("holdgate hold extend 01a20730-122e-7691"))
@click.argument("hold_id", metavar="HOLD", type=ID_PART)
@_of_a_hold
@pass_access
def extend(
    access: Access,
    hold_id: str,
    occurrence: str | None,
    session: str | None,
    request_id: str | None,
    timeout_seconds: float,
    out: Output,
) -> None:
    """Give HOLD its full time again from now."""
    whose = _identity(access, hold_id, occurrence, session)
    with access.client(timeout_seconds) as client:
        answer = client.extend(*whose, request_id=request_id)
    tell(out, answer)


@hold.command(
    epilog=example(
        "holdgate hold release 01a20730-122e-7691", "holdgate hold release 01a20730-122e-7691 --session cart-17"
    )
)
@click.argument("hold_id", metavar="HOLD", type=ID_PART)
@_of_a_hold
@pass_access
def release(
    access: Access,
    hold_id: str,
    occurrence: str | None,
    session: str | None,
    request_id: str | None,
    timeout_seconds: float,
    out: Output,
) -> None:
    """Give the seats of HOLD back."""
    whose = _identity(access, hold_id, occurrence, session)
    with access.client(timeout_seconds) as client:
        answer = client.release(*whose, request_id=request_id)
    tell(out, answer)


@hold.command(
    epilog=example("holdgate hold show 01a20730-122e-7691", "holdgate hold show 01a20730-122e-7691 --output json")
)
@click.argument("hold_id", metavar="HOLD", type=ID_PART)
@click.option("--reveal", is_flag=True, help="Show the client's address too.")
@output_option
@pass_access
def show(access: Access, hold_id: str, reveal: bool, out: Output) -> None:
    """HOLD as the database has it. `holdgate history --hold` says how it came to that."""
    from holdgate_workers.adapters.postgres.reports.history import History

    with access.opened(History) as history:
        row, now = found_hold(history, hold_id)
    address = row.client_address if reveal else _masked(row.client_address)
    more = {"draws": row.draws, "stock": row.stock, "ttl_seconds": row.ttl_seconds, "ended_at": row.ended_at}
    if out.is_json:
        out.json(_fields(row.view()) | more | {"client_address": address, "read_at": now})
        return
    view = row.view()
    out.details(
        [
            ("hold", view.hold_id),
            ("occurrence", view.occurrence_id),
            ("session", view.session_id),
            ("user", view.user_id),
            ("state", view.state),
            ("basket", basket(view.items, view.extras)),
            (
                "price",
                f"{money(view.quote.total, view.quote.currency)} (quote {view.quote.hash[:8]})"
                if view.quote
                else None,
            ),
            ("cart", view.cart_id),
            ("draws", ", ".join(f"{n} {key}" for key, n in row.draws.items())),
            ("created", moment(view.created_at, now)),
            ("expires", moment(view.expires_at, now) if row.ended_at is None else None),
            ("ended", moment(row.ended_at, now) if row.ended_at else None),
            ("time to live", span(row.ttl_seconds)),
            ("extensions used", view.extensions_used),
            ("client address", address),
        ]
    )


def _fields(view: HoldView) -> dict[str, object]:
    return {name: getattr(view, name) for name in view.__struct_fields__}


def _masked(address: str | None) -> str | None:
    return None if address is None else "•••"
