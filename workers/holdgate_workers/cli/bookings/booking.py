"""`holdgate booking`: turn holds into orders, look at what became of them, and decide what is parked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access, timeout_option
from holdgate_workers.cli.failures import Failure
from holdgate_workers.cli.holds.lookups import found_hold, only
from holdgate_workers.cli.output.cutting import part_of, tell_cut
from holdgate_workers.cli.output.formats import basket, moment, short
from holdgate_workers.cli.output.output import Column, Output, output_option
from holdgate_workers.cli.output.selling_answers import money, tell_booking, tell_both, tell_selling
from holdgate_workers.cli.params import (
    ID_PART,
    QUANTITY,
    by_option,
    example,
    limit_option,
    quantities,
    request_id_option,
)
from holdgate_workers.cli.sealed import ask_sealed

from .open_money import money_, payment_settled

if TYPE_CHECKING:
    from holdgate_schema.commands.selling import PaymentNotice, ResolveBooking
    from holdgate_workers.adapters.postgres.reports.sales import BookingRow, Sales
    from holdgate_workers.domain.bookings.booking import Booking
    from holdgate_workers.domain.occurrences.occurrence import Hold

STATES = ("converting", "confirmed", "cancelled", "failed", "parked", "refund_required")


@click.group()
def booking() -> None:
    """Convert holds, cancel, show and list bookings, resolve what is parked.

    A booking has the id of its hold, and is named by it or the first six or more characters of it.
    """


def _sending(command: Any) -> Any:
    return output_option(timeout_option(request_id_option(command)))


def _by_staff(about_refund: str) -> Callable[[Any], Any]:
    """What a person of the house may say beside a buyer's own command."""

    def options(command: Any) -> Any:
        about = "By the house, under your name: also after the start, parked or called off."
        command = by_option(command)
        command = click.option("--refund", metavar="yes|no|AMOUNT", help=about_refund)(command)
        command = click.option("--as-staff", is_flag=True, help=about)(command)
        return click.option("--reason", default="", help="For whoever looks later; --as-staff needs it.")(command)

    return options


@booking.command(
    epilog=example(
        "holdgate booking convert 01a20730-122e-7691 --method credit_card --paid --reference pi_3QK0",
        "holdgate booking convert 01a20730-122e-7691 --method invoice --email ada@example.org --timeout 60",
    )
)
@click.argument("hold_id", metavar="HOLD", type=ID_PART)
@click.option("--method", metavar="NAME", help="How it is paid. [default: as the hold was priced]")
@click.option("--paid/--pending", "is_paid", default=False, show_default=True, help="Whether the money is there.")
@click.option(
    "--amount", type=click.IntRange(0), metavar="MINOR", help="What is paid. [default: the hold's price]"
)
@click.option("--reference", default="", metavar="TEXT", help="The payment's name at its provider.")
@click.option("--quote", "quote_hash", metavar="HASH", help="What was agreed to. [default: the hold's price]")
@click.option("--name", default="", help="Who buys.")
@click.option("--email", default="", help="Where the confirmation goes.")
@_sending
@pass_access
def convert(
    access: Access,
    hold_id: str,
    method: str | None,
    is_paid: bool,
    amount: int | None,
    reference: str,
    quote_hash: str | None,
    name: str,
    email: str,
    request_id: str | None,
    timeout_seconds: float,
    out: Output,
) -> None:
    """Turn HOLD into an order: its own price is charged. Waits for the order, at most the timeout."""
    from holdgate_schema.commands.selling import Customer
    from holdgate_workers.adapters.postgres.reports.history import History

    with access.opened(History) as history:
        hold, _ = found_hold(history, hold_id)
    payment = _payment(hold, method, amount, reference, is_paid=is_paid)
    agreed = quote_hash or (hold.quote.hash if hold.quote else "")
    with access.client(timeout_seconds) as client:
        answers = client.convert(
            hold.occurrence_id,
            hold.session_id,
            hold.id,
            quote_hash=agreed,
            payment=payment,
            customer=Customer(name=name, email=email) if name or email else None,
            request_id=request_id,
        )
        tell_both(out, answers)


def _payment(
    hold: Hold, method: str | None, amount: int | None, reference: str, *, is_paid: bool
) -> PaymentNotice:
    from holdgate_schema.commands.selling import PaymentNotice

    quote = hold.quote
    if quote is None:
        raise Failure(
            f"hold {short(hold.id)} has no price; see `holdgate quote get` and `holdgate task list --role pricing`",
            exits.REFUSED,
        )
    chosen = method or quote.payment_method
    if chosen is None:
        raise click.BadParameter("the hold was priced without one: say how it is paid", param_hint="--method")
    return PaymentNotice(
        method=chosen,
        amount=quote.total if amount is None else amount,
        currency=quote.currency,
        status="paid" if is_paid else "pending",
        reference=reference,
    )


@booking.command(
    epilog=example(
        "holdgate booking cancel 01a20730-122e-7691 --reason 'The child is ill'",
        "holdgate booking cancel 01a20730-122e-7691 --as-staff --reason 'The boat is broken' --refund 25.00",
    )
)
@click.argument("booking_id", metavar="BOOKING", type=ID_PART)
@_by_staff("With --as-staff: what goes back of what was paid. [default: yes, all]")
@_sending
@pass_access
def cancel(
    access: Access,
    booking_id: str,
    reason: str,
    as_staff: bool,
    refund: str | None,
    changed_by: str,
    request_id: str | None,
    timeout_seconds: float,
    out: Output,
) -> None:
    """Give the seats of BOOKING back. What was paid is due to be given back, too."""
    row = _found(access, booking_id).booking
    _check_staff(refund, reason, as_staff=as_staff)
    if as_staff:
        command = _by_the_house(row, "cancel", changed_by, reason, refund, request_id)
        tell_selling(out, ask_sealed(access, command, timeout_seconds))
        return
    with access.client(timeout_seconds) as client:
        answer = client.cancel_booking(
            row.occurrence_id, row.session_id, row.id, reason=reason, request_id=request_id
        )
    tell_selling(out, answer)


def _refund_amount(said: str | None, currency: str) -> int | None:
    """In minor units; None: all that is left."""
    from decimal import Decimal, InvalidOperation

    from holdgate_schema.values.currencies import MINOR_DIGITS

    if said is None or said == "yes":
        return None
    if said == "no":
        return 0
    digits = MINOR_DIGITS[currency]
    try:
        minor = Decimal(said).scaleb(digits)
    except InvalidOperation:
        minor = Decimal("NaN")
    if not minor.is_finite() or minor != minor.to_integral_value() or minor < 0:
        wanted = f"must be yes, no or an amount of {currency} with at most {digits} decimals, such as 25"
        raise click.BadParameter(f"{wanted}; not {said!r}", param_hint="--refund")
    return int(minor)


@booking.command(
    epilog=example(
        "holdgate booking reduce 01a20730-122e-7691 adult=2",
        "holdgate booking reduce 01a20730-122e-7691 adult=1 --extra guide=1 --reason 'The child is ill'",
        "holdgate booking reduce 01a20730-122e-7691 adult=1 --as-staff --reason 'One seat was wet' --refund 25.00",
    )
)
@click.argument("booking_id", metavar="BOOKING", type=ID_PART)
@click.argument("items", nargs=-1, required=True, type=QUANTITY, metavar="TICKET=NUMBER...")
@click.option("--extra", "extras", multiple=True, type=QUANTITY, help="An extra that it keeps; may be repeated.")
@_by_staff("With --as-staff: what goes back, less than all of it. [default: yes, their share of the price]")
@_sending
@pass_access
def reduce(
    access: Access,
    booking_id: str,
    items: tuple[tuple[str, int], ...],
    extras: tuple[tuple[str, int], ...],
    reason: str,
    as_staff: bool,
    refund: str | None,
    changed_by: str,
    request_id: str | None,
    timeout_seconds: float,
    out: Output,
) -> None:
    """Have BOOKING keep these tickets and give the others back, with their share of the price.

    What is not named is given back. To give all of it back: `holdgate booking cancel`.
    """
    tickets, more = quantities(items, "TICKET=NUMBER"), quantities(extras, "--extra")
    row = _found(access, booking_id).booking
    _check_staff(refund, reason, as_staff=as_staff)
    if as_staff:
        command = _by_the_house(row, "reduce", changed_by, reason, refund, request_id, items=tickets, extras=more)
        tell_selling(out, ask_sealed(access, command, timeout_seconds))
        return
    with access.client(timeout_seconds) as client:
        answer = client.reduce_booking(
            row.occurrence_id, row.session_id, row.id, tickets, extras=more, reason=reason, request_id=request_id
        )
    tell_selling(out, answer)


def _check_staff(refund: str | None, reason: str, *, as_staff: bool) -> None:
    if refund is not None and not as_staff:
        raise click.UsageError("--refund goes with --as-staff: what a buyer gives back has its price")
    if as_staff and not reason.strip():
        raise click.UsageError("--as-staff needs a --reason: it is kept with the booking")


def _by_the_house(
    row: Booking,
    action: Any,
    by: str,
    reason: str,
    refund: str | None,
    request_id: str | None,
    **kept: Any,
) -> ResolveBooking:
    from holdgate_schema.commands.selling import ResolveBooking
    from holdgate_workers.ids import new_request_id

    return ResolveBooking(
        request_id=request_id or new_request_id(),
        occurrence_id=row.occurrence_id,
        booking_id=row.id,
        action=action,
        by=by,
        note=reason,
        refund_amount=_refund_amount(refund, row.payment.currency),
        **kept,
    )


@booking.command(
    epilog=example("holdgate booking show 01a20730-122e-7691", "holdgate booking show 01a20730-122e-7691 --reveal")
)
@click.argument("booking_id", metavar="BOOKING", type=ID_PART)
@click.option("--reveal", is_flag=True, help="Show who buys too.")
@output_option
@pass_access
def show(access: Access, booking_id: str, reveal: bool, out: Output) -> None:
    """BOOKING as the database has it. `holdgate history --booking` says how it came to that."""
    row = _found(access, booking_id)
    customer = row.customer if reveal or row.customer is None else dict.fromkeys(row.customer, "•••")
    if out.is_json:
        view = row.booking.view()
        fields = {name: getattr(view, name) for name in view.__struct_fields__}
        out.json({**fields, "customer": customer, "changed_at": row.changed_at, "read_at": row.read_at})
        return
    people = [(f"customer {name}", value) for name, value in (customer or {}).items()]
    tell_booking(out, row.booking.view(), row.read_at, *people, ("changed", moment(row.changed_at, row.read_at)))


@booking.command(
    name="list",
    epilog=example("holdgate booking list", "holdgate booking list --state parked --state refund_required"),
)
@click.option("--state", "states", type=click.Choice(STATES), multiple=True, help="Only these; may be repeated.")
@click.option("--occurrence", metavar="ID", help="Only those of this occurrence.")
@click.option("--session", metavar="ID", help="Only those of this session.")
@limit_option(50)
@output_option
@pass_access
def list_(
    access: Access,
    states: tuple[str, ...],
    occurrence: str | None,
    session: str | None,
    limit: int,
    out: Output,
) -> None:
    """What waits for a person first, then what is under way, then the latest."""
    from holdgate_workers.adapters.postgres.reports.sales import Sales

    with access.opened(Sales) as sales:
        found, is_cut = part_of(
            lambda most: sales.bookings(most, states=states, occurrence_id=occurrence, session_id=session), limit
        )
    if out.is_json:
        out.json({"bookings": [item.view() for item in found], "is_cut": is_cut})
        return
    if not found:
        out.line("There are no such bookings.")
        return
    out.table(
        ["booking", "occurrence", "state", "basket", Column("price", right=True), "order", "refund", _WHY],
        [
            (
                short(item.id),
                item.occurrence_id,
                item.state,
                basket(item.items, item.extras),
                money(item.quote.total, item.quote.currency),
                item.order.order_id if item.order else "",
                item.refund if item.refund != "none" else "",
                item.reason,
            )
            for item in found
        ],
    )
    tell_cut(is_cut, limit)


_WHY = Column("why", wrap=True)


@booking.command(
    epilog=example(
        "holdgate booking resolve 01a20730-122e-7691 fulfil --note 'There is room after all'",
        "holdgate booking resolve 01a20730-122e-7691 refund",
        "holdgate booking resolve 01a20730-122e-7691 refunded --note 'by bank transfer'",
    )
)
@click.argument("booking_id", metavar="BOOKING", type=ID_PART)
@click.argument("action", type=click.Choice(["fulfil", "refund", "refunded"]))
@click.option("--note", default="", help="Why, for whoever looks later.")
@by_option
@_sending
@pass_access
def resolve(
    access: Access,
    booking_id: str,
    action: Any,
    note: str,
    changed_by: str,
    request_id: str | None,
    timeout_seconds: float,
    out: Output,
) -> None:
    """Decide what becomes of BOOKING, which is parked or to be refunded.

    fulfil: sell the seats, if they can be had. refund: end it, the money is to be given back. refunded: the money was
    given back.
    """
    from holdgate_schema.commands.selling import ResolveBooking
    from holdgate_workers.ids import new_request_id

    row = _found(access, booking_id).booking
    command = ResolveBooking(
        request_id=request_id or new_request_id(),
        occurrence_id=row.occurrence_id,
        booking_id=row.id,
        action=action,
        by=changed_by,
        note=note,
    )
    tell_selling(out, ask_sealed(access, command, timeout_seconds))


booking.add_command(money_)
booking.add_command(payment_settled)


def _found(access: Access, part: str) -> BookingRow:
    from holdgate_workers.adapters.postgres.reports.sales import Sales

    with access.opened(Sales) as sales:
        return _booking(sales, part)


def _booking(sales: Sales, part: str) -> BookingRow:
    row = sales.booking(only("booking", part, sales.bookings_like))
    if row is None:
        raise Failure(f"there is no booking {part!r}; see `holdgate booking list`", exits.REFUSED)
    return row
