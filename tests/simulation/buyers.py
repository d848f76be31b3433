"""What a client does about money, lines and carts: buys what it has a price for, at the right time or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdgate_schema.answers.holds import Answer, HoldView
from holdgate_schema.answers.selling import CartHeld, Confirmed, Priced, Quoted, Waiting
from holdgate_schema.commands.holds import Command, ExtendHold, ReleaseHold
from holdgate_schema.commands.selling import (
    CancelBooking,
    CartLeg,
    ConvertBooking,
    GetBooking,
    GetQuote,
    JoinWaitlist,
    LeaveWaitlist,
    NoteOrder,
    PaymentNotice,
    PlaceCart,
    Pricing,
    ReduceBooking,
    SettleBooking,
)

from .requests import occurrence_name
from .tables import BEGINNING
from .world import MS, SECOND

if TYPE_CHECKING:
    from .clients import Client
    from .world import World

VOUCHERS = ("SPRING", "AUTUMN")


class Buyer:
    """The part of a client that buys."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._world = client.world
        self._options = client.site.options
        self._seen: list[HoldView] = []
        self._quotes: list[tuple[str, dict[str, int]]] = []

    # --- what it asks on its own --------------------------------------------------------------------------------

    def command(self) -> Command | None:
        """Something to ask that has to do with selling; None if this is not the time."""
        dice = self._world.random.random()
        if dice < self._options.p_line:
            return self._join()
        if dice < self._options.p_line + self._options.p_cart and self._options.occurrences > 1:
            return self._cart()
        if self._world.chance(self._options.p_sells * 0.15):
            return self._quote() if self._world.chance(0.5) else self._forge()
        return None

    def pricing(self) -> Pricing | None:
        """How a hold is to be priced."""
        world = self._world
        if not world.chance(self._options.p_sells):
            return None
        voucher = world.choice(VOUCHERS) if world.chance(0.5) else None
        earlier = world.choice(self._quotes)[0] if self._quotes and world.chance(0.2) else None
        return Pricing(voucher=voucher, quote_hash=earlier)

    def _join(self) -> JoinWaitlist:
        items, extras = self._client.basket()
        return JoinWaitlist(
            request_id=self._client.new_id(),
            occurrence_id=self._client.occurrence(),
            items=items,
            extras=extras,
            session_id=self._session(),
        )

    def _cart(self) -> PlaceCart:
        world = self._world
        numbers = list(range(self._options.occurrences))
        world.random.shuffle(numbers)
        legs = []
        for number in numbers[: 2 + world.between(0, 2)]:
            items, extras = self._client.basket()
            legs.append(CartLeg(occurrence_id=occurrence_name(number), items=items, extras=extras))
        return PlaceCart(
            request_id=self._client.new_id(),
            occurrence_id=legs[0].occurrence_id,
            legs=legs,
            session_id=self._session(),
            ttl_seconds=world.choice((2, 3)),
        )

    def _quote(self) -> GetQuote:
        items, extras = self._client.basket()
        return GetQuote(
            request_id=self._client.new_id(), occurrence_id=self._client.occurrence(), items=items, extras=extras
        )

    def _forge(self) -> Command | None:
        """Somebody says what only the house may say."""
        if not self._seen:
            return None
        hold = self._world.choice(self._seen)
        about: dict[str, Any] = {
            "request_id": self._client.new_id(),
            "occurrence_id": hold.occurrence_id,
            "booking_id": hold.hold_id,
        }
        if self._world.chance(0.5):
            return SettleBooking(**about, outcome="failed", reason="so there")
        return NoteOrder(**about, order_id="100", status="refunded", changed_at=BEGINNING)

    def _session(self) -> str:
        return f"session-{self._world.between(0, self._options.sessions)}"

    # --- what it does about answers -----------------------------------------------------------------------------

    def hear(self, answer: Answer) -> None:
        """Go on from an answer."""
        world = self._world
        match answer:
            case Priced(hold=hold):
                self._seen.append(hold)
                self._in_time(hold, self._convert, answer)
            case Quoted(quote=quote):
                self._quotes.append((quote.hash, {}))
            case Confirmed(booking=booking):
                if world.chance(0.4):
                    about = {"session_id": booking.session_id, "booking_id": booking.booking_id}
                    kind: Any = CancelBooking if world.chance(0.7) else GetBooking
                    fewer = _fewer(world, booking.items)
                    if fewer and world.chance(0.4):
                        kind, about = ReduceBooking, about | {"items": fewer, "extras": booking.extras}
                    world.after(world.between(0, 600 * MS), self._ask, kind, booking.occurrence_id, about)
            case Waiting(entry_id=entry_id, session_id=session_id):
                if world.chance(0.5):
                    about = {"session_id": session_id, "entry_id": entry_id}
                    world.after(
                        world.between(0, 2 * SECOND), self._ask, LeaveWaitlist, answer.occurrence_id, about
                    )
                elif world.chance(0.5):
                    about = {"session_id": session_id, "hold_id": entry_id}
                    kind = world.choice((ReleaseHold, ExtendHold))
                    world.after(world.between(0, 3 * SECOND), self._ask, kind, answer.occurrence_id, about)
            case CartHeld(hold_ids=hold_ids):
                request = self._client.site.oracle.asked(answer.cart_id)
                for occurrence_id, hold_id in hold_ids.items():
                    if world.chance(0.3):
                        about = {"session_id": request.fields["session_id"], "hold_id": hold_id}
                        world.after(world.between(0, SECOND), self._ask, ReleaseHold, occurrence_id, about)

    def _in_time(self, hold: HoldView, action: Any, *arguments: Any) -> None:
        """Mostly soon; sometimes when the time is just over, and sometimes long after."""
        world = self._world
        left = int((hold.expires_at - self._client.site.database.clock()).total_seconds() * SECOND)
        delay = world.between(0, 150 * MS)
        if 0 < left < 5 * SECOND and world.chance(0.35):
            delay = max(0, left + world.between(-100 * MS, world.choice((30, 900)) * MS))
        world.after(delay, action, *arguments)

    def _convert(self, priced: Priced) -> None:
        if not self._client.spend():
            return
        world, hold, quote = self._world, priced.hold, priced.quote
        dice = world.random.random()
        earlier = self._quotes[-1][0] if self._quotes else "0" * 64
        command = ConvertBooking(
            request_id=self._client.new_id(),
            occurrence_id=hold.occurrence_id,
            session_id=hold.session_id if dice > 0.02 else "session-of-somebody-else",
            hold_id=hold.hold_id,
            quote_hash=quote.hash if dice < 0.92 else earlier,
            payment=PaymentNotice(
                method="card",
                amount=quote.total if dice < 0.97 else quote.total + 1,
                currency="EUR",
                status="paid" if world.chance(0.75) else "pending",
            ),
        )
        self._client.send(self._client.request(command))
        if world.chance(0.1):
            self._in_time(hold, self._convert, priced)

    def _ask(self, kind: Any, occurrence_id: str, about: dict[str, Any]) -> None:
        if self._client.spend():
            command = kind(request_id=self._client.new_id(), occurrence_id=occurrence_id, **about)
            self._client.send(self._client.request(command))


def _fewer(world: World, items: dict[str, int]) -> dict[str, int]:
    """Some of the tickets; nothing where there is but one."""
    key = world.choice(sorted(items))
    left = items | {key: world.between(0, items[key])}
    return {name: number for name, number in left.items() if number}
