"""Who prices: dawdles, says things twice, and asks more as time goes by."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from holdgate_schema.commands.selling import PriceHold, PutQuote
from holdgate_schema.values.products import Voucher
from holdgate_schema.values.quotes import Quote, QuoteLine, sealed
from holdgate_workers.app.pricing.quoting import HoldSeen, Priced, Wanted, hold_command, quote_command, terms_of
from holdgate_workers.app.pricing.tasks import QUOTE_MINUTES
from holdgate_workers.app.seals import internal_message
from holdgate_workers.app.tasks.tasks import PRICING, Again, Done, Task, TaskOutcome

from .desks import Desk, Tell
from .process import Site
from .world import MS


@dataclass(slots=True, frozen=True)
class LookUp:
    """See what has a price."""

    wanted: Wanted


class PricingWorker(Desk):
    """Prices that rise while they are being made, by a worker that dawdles and says things twice."""

    role = serves = PRICING

    def protocol(self, task: Task) -> Generator[Any, Any, TaskOutcome]:
        """As `PricingHandler`."""
        wanted: Wanted = task.payload["wanted"]
        is_answered, wanted, quote = yield LookUp(wanted)
        if is_answered:
            return Done()
        commands = [self._command(wanted, quote)]
        if self.world.fault(0.1):
            self.world.sometimes("a price was told twice, and not the same one")
            commands.append(self._command(wanted, self.quote(wanted)))
        messages = [
            internal_message(command, self.site.seals, reply_to=task.reply_to, correlation_id=task.correlation_id)
            for command in commands
        ]
        problem: str | None = yield Tell(messages)
        return Done() if problem is None else Again(None, problem)

    def do(self, effect: LookUp) -> None:
        """Some take their time."""
        delay = self.world.between(100 * MS, 700 * MS) if self.world.chance(0.2) else 0
        self.later(delay, self.row, self._look_up, effect.wanted)

    def quote(self, wanted: Wanted) -> Quote:
        """What it costs now, kept."""
        quote = quote_of(self.site, wanted)
        self.site.tasks.quotes[quote.hash] = quote
        return quote

    def _look_up(self, wanted: Wanted) -> tuple[bool, Wanted, Quote]:
        hold = self.site.database.holds.get(wanted.hold_id or "")
        seen = None if hold is None else HoldSeen(hold.state, is_changed=False, terms=hold.terms)
        meant = replace(wanted, pricing=terms_of(wanted, seen))
        return meant.answer_id in self.site.database.journal, meant, self.quote(meant)

    def _command(self, wanted: Wanted, quote: Quote) -> PriceHold | PutQuote:
        found = Priced(quote=quote)
        if wanted.pricing.quote_hash is not None and wanted.pricing.quote_hash != quote.hash:
            found = replace(found, outdated_hash=wanted.pricing.quote_hash)
        if wanted.hold_id is None:
            return quote_command(wanted, found, self.site.database.clock() + timedelta(minutes=QUOTE_MINUTES))
        voucher = None
        if quote.voucher is not None:
            voucher = Voucher(code=quote.voucher, uses_max=self.site.options.voucher_uses, amount=VOUCHER_AMOUNT)
        return hold_command(wanted, found, voucher)


VOUCHER_AMOUNT = 100


def quote_of(site: Site, wanted: Wanted) -> Quote:
    """A thousand for each piece, and more as time goes by."""
    each = 1000 + 10 * int(site.world.now // (700 * MS))
    lines = [
        QuoteLine(kind="ticket", label=key, key=key, quantity=number, each=str(each), amount=each * number)
        for key, number in wanted.items.items()
    ]
    lines += [
        QuoteLine(kind="extra", label=key, key=key, quantity=number, each="500", amount=500 * number)
        for key, number in wanted.extras.items()
    ]
    voucher = wanted.pricing.voucher
    total = sum(line.amount for line in lines)
    if voucher is not None:
        lines.append(QuoteLine(kind="voucher", label=voucher, amount=-VOUCHER_AMOUNT))
        total -= VOUCHER_AMOUNT
    return sealed(
        Quote(
            product_id="tour",
            occurrence_id=wanted.occurrence_id,
            currency="EUR",
            items=wanted.items,
            extras=wanted.extras,
            lines=lines,
            tickets_total=sum(line.amount for line in lines if line.kind == "ticket"),
            extras_total=sum(line.amount for line in lines if line.kind == "extra"),
            total=total,
            payment_method=wanted.pricing.payment_method,
            voucher=voucher,
        )
    )
