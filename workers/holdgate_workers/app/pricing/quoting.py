"""Which price a basket gets, from everything that it rests on, and the command that tells the gate. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import msgspec
from msgspec import Struct

from holdgate_schema.answers.holds import HoldState
from holdgate_schema.codec import BODY_BYTES_MAX, encode
from holdgate_schema.commands.selling import PriceHold, Pricing, PutQuote
from holdgate_schema.decoding.prepared import Prepared
from holdgate_schema.values.products import Product, Voucher
from holdgate_schema.values.quotes import PriceProblem, Quote, Unpriced
from holdgate_schema.values.views import QuoteView
from holdgate_workers.domain.pricing.basket import Basket
from holdgate_workers.domain.pricing.engine import price
from holdgate_workers.domain.pricing.fees import Fees
from holdgate_workers.domain.pricing.price_context import Occasion
from holdgate_workers.ids import derived_id

PROBLEMS_MAX = 20
MESSAGE_CHARS_MAX = 200
"""So many problems are told, and so much of each: more would help nobody, and a command has its bounds."""
AS_IT_IS = Pricing()

_price_problems: Prepared[PriceProblem] = Prepared(PriceProblem)


# --- what is to be priced, and what the price rests on ------------------------------------------------------------


class Wanted(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A basket to be priced. Without `hold_id` nobody holds it; `is_asked`: somebody waits for the answer.

    `version` is the occurrence's at which the basket was taken or asked for, `decided_at` when that was.
    """

    request_id: str
    occurrence_id: str
    version: int
    decided_at: datetime
    items: dict[str, int]
    extras: dict[str, int] = {}
    pricing: Pricing = AS_IT_IS
    hold_id: str | None = None
    is_asked: bool = False

    @property
    def answer_id(self) -> str:
        """The id of the command that brings the price."""
        if self.hold_id is None:
            return derived_id("quote.put", self.request_id)
        return derived_id("hold.price", self.request_id, self.hold_id)


class KeptQuote(Struct, frozen=True, gc=False):
    """A quote that was made before. `valid_until`: until when it is honoured; None if it was made for a hold."""

    quote: Quote
    valid_until: datetime | None


class HoldSeen(Struct, frozen=True, gc=False):
    """The hold as it is now. `is_changed`: it was changed after its basket was to be priced."""

    state: HoldState
    is_changed: bool
    terms: Pricing | None = None
    """How its owner asked to have it priced, before or by what changed it."""


class PriceLook(Struct, frozen=True, kw_only=True, gc=False):
    """Everything that the price rests on, read at one instant; what was not found is None.

    `occasion` leaves out the hold's own seats. `is_answered`: the answer is in the journal already.
    """

    read_at: datetime
    fees: Fees
    product_id: str | None = None
    product: Product | None = None
    voucher: Voucher | None = None
    occasion: Occasion | None = None
    earlier: KeptQuote | None = None
    hold: HoldSeen | None = None
    is_answered: bool = False


# --- the price --------------------------------------------------------------------------------------------------


class Priced(Struct, frozen=True, kw_only=True, gc=False):
    """What came of it: a quote, or what stands in its way. `outdated_hash`: a quote that was asked for in vain."""

    quote: Quote | None = None
    problems: list[PriceProblem] = []
    outdated_hash: str | None = None


def priced(wanted: Wanted, look: PriceLook) -> Priced:
    """The price: an earlier quote that is still valid as it is, else what the rules come to now. Pure."""
    asked, earlier = terms_of(wanted, look.hold), look.earlier
    terms = asked
    if earlier is not None:
        # Whoever names a quote means its terms where they say nothing else.
        terms = Pricing(
            payment_method=asked.payment_method or earlier.quote.payment_method,
            voucher=asked.voucher or earlier.quote.voucher,
        )
        if _is_honoured(wanted, terms, earlier):
            return Priced(quote=earlier.quote)
    result = _price(wanted, terms, look)
    if isinstance(result, Unpriced):
        return Priced(problems=[_cut(problem) for problem in result.problems[:PROBLEMS_MAX]])
    outdated = asked.quote_hash if asked.quote_hash != result.hash else None
    return Priced(quote=result, outdated_hash=outdated)


def terms_of(wanted: Wanted, hold: HoldSeen | None) -> Pricing:
    """How it is to be priced: as it was asked for, else as the hold's owner asked for before."""
    if wanted.is_asked or hold is None or hold.terms is None:
        return wanted.pricing
    return hold.terms


def _is_honoured(wanted: Wanted, terms: Pricing, earlier: KeptQuote) -> bool:
    quote = earlier.quote
    same = (quote.occurrence_id, quote.items, quote.extras) == (wanted.occurrence_id, wanted.items, wanted.extras)
    same_terms = (quote.payment_method, quote.voucher) == (terms.payment_method, terms.voucher)
    in_time = earlier.valid_until is not None and wanted.decided_at <= earlier.valid_until
    return same and same_terms and in_time


def _price(wanted: Wanted, terms: Pricing, look: PriceLook) -> Quote | Unpriced:
    if look.occasion is None or look.product is None:
        message = f"There are no prices for {look.product_id or wanted.occurrence_id!r}"
        return _unpriced("order", "product", message)
    if terms.voucher is not None and look.voucher is None:
        return _unpriced("voucher", terms.voucher, f"There is no voucher {terms.voucher!r}")
    return price(
        look.product,
        Basket(items=wanted.items, extras=wanted.extras, payment_method=terms.payment_method),
        replace(look.occasion, booked_at=wanted.decided_at),
        fees=look.fees,
        voucher=look.voucher if terms.voucher is not None else None,
    )


def _unpriced(what: str, key: str, message: str) -> Unpriced:
    problem = {"what": what, "key": key, "reason": "unknown", "message": message}
    return Unpriced(problems=[_price_problems.convert(problem)])


def _cut(problem: PriceProblem) -> PriceProblem:
    if len(problem.message) <= MESSAGE_CHARS_MAX:
        return problem
    return msgspec.structs.replace(problem, message=f"{problem.message[: MESSAGE_CHARS_MAX - 1]}…")


def view_of(quote: Quote) -> QuoteView:
    """The quote as answers show it: without the voucher's code, which is money."""
    return QuoteView(
        hash=quote.hash,
        currency=quote.currency,
        total=quote.total,
        tickets_total=quote.tickets_total,
        extras_total=quote.extras_total,
        lines=quote.lines,
        payment_method=quote.payment_method,
    )


# --- the commands -----------------------------------------------------------------------------------------------


def quote_command(wanted: Wanted, found: Priced, valid_until: datetime) -> PutQuote:
    """What tells the gate of a price that nobody holds."""
    return PutQuote(
        request_id=wanted.answer_id,
        occurrence_id=wanted.occurrence_id,
        answers=wanted.request_id,
        quote=None if found.quote is None else view_of(found.quote),
        valid_until=None if found.quote is None else valid_until,
        problems=found.problems,
    )


def shares_of(quote: Quote) -> dict[str, int]:
    """What one of each ticket type and extra of the basket comes to of the total, rounded down.

    Discounts, fees and vouchers are shared by what the lines come to, so the shares of all add up to the total or a few
    minor units less, never more.
    """
    parts = {
        f"{line.kind}.{line.key}": line.amount
        for line in quote.lines
        if line.kind in ("ticket", "extra") and line.key is not None
    }
    whole = sum(parts.values())
    if whole <= 0:
        return dict.fromkeys(parts, 0)
    numbers = {f"ticket.{key}": number for key, number in quote.items.items()}
    numbers |= {f"extra.{key}": number for key, number in quote.extras.items()}
    return {
        name: max(0, amount) * quote.total // (whole * numbers[name])
        for name, amount in parts.items()
        if name in numbers
    }


def hold_command(wanted: Wanted, found: Priced, voucher: Voucher | None) -> PriceHold:
    """What tells the gate of a hold's price. `voucher` is the one that was looked at."""
    assert wanted.hold_id is not None
    code = None if found.quote is None else found.quote.voucher
    return PriceHold(
        request_id=wanted.answer_id,
        occurrence_id=wanted.occurrence_id,
        hold_id=wanted.hold_id,
        items=wanted.items,
        extras=wanted.extras,
        answers=wanted.request_id if wanted.is_asked else None,
        quote=None if found.quote is None else view_of(found.quote),
        voucher=code,
        voucher_uses_max=None if code is None else 1 if voucher is None else voucher.uses_max,
        outdated_hash=found.outdated_hash,
        shares={} if found.quote is None else shares_of(found.quote),
        problems=found.problems,
    )


def bounded(command: PutQuote | PriceHold) -> PutQuote | PriceHold:
    """The command as it may be sent: a quote whose lines are too long goes without them, the hash names them."""
    if command.quote is None or len(encode(command)) <= BODY_BYTES_MAX:
        return command
    return msgspec.structs.replace(command, quote=msgspec.structs.replace(command.quote, lines=[]))
