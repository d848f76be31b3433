"""The same for asyncio programs."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from holdgate_producer.core.answers import AsyncTwoAnswers, F, S, expect, typed
from holdgate_producer.core.entry import Answers
from holdgate_schema.answers.holds import Answer, Changed, Held, HoldShown, Refused
from holdgate_schema.answers.selling import (
    Booked,
    Cancelled,
    CartHeld,
    CartStarted,
    Confirmed,
    Converting,
    LeftWaitlist,
    Priced,
    Quoted,
    Quoting,
    Waiting,
    WaitlistPlace,
)
from holdgate_schema.commands.holds import Client, Command
from holdgate_schema.commands.selling import CartLeg, Customer, PaymentNotice, Pricing

from . import commands

ASK_FOR_THE_PRICE = Pricing()


class AsyncSellingCalls(ABC):
    """The part of `AsyncBookingClient` that sells: `SellingCalls` as coroutines, with the same promises."""

    @abstractmethod
    async def call(self, command: Command, *, timeout_seconds: float | None = None) -> Answer:
        """Send a command and wait for its (first) answer."""

    @abstractmethod
    async def _answers(self, command: Command, timeout_seconds: float | None) -> Answers:
        """Send a command and give the futures of its answers."""

    # --- prices -------------------------------------------------------------------------------------------------

    async def quote(
        self,
        occurrence_id: str,
        items: Mapping[str, int],
        *,
        extras: Mapping[str, int] | None = None,
        payment_method: str | None = None,
        voucher: str | None = None,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Quoted | Refused:
        """What the basket costs, without holding it. Waits for the second answer."""
        command = commands.get_quote(
            occurrence_id,
            items,
            extras=extras,
            payment_method=payment_method,
            voucher=voucher,
            request_id=request_id,
        )
        answers = await self._both(command, Quoting, Quoted, timeout_seconds)
        return await answers.final

    async def place_priced(
        self,
        occurrence_id: str,
        items: Mapping[str, int],
        *,
        pricing: Pricing = ASK_FOR_THE_PRICE,
        extras: Mapping[str, int] | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        client: Client | None = None,
        ttl_seconds: int | None = None,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> AsyncTwoAnswers[Held, Priced]:
        """Take the whole basket or nothing, and ask what it costs.

        `final` is refused as `unpriced` if it has no price: then it is held all the same.
        """
        command = commands.place_hold(
            occurrence_id,
            items,
            extras=extras,
            session_id=session_id,
            user_id=user_id,
            client=client,
            ttl_seconds=ttl_seconds,
            pricing=pricing,
            request_id=request_id,
        )
        return await self._both(command, Held, Priced, timeout_seconds)

    async def change_priced(
        self,
        occurrence_id: str,
        session_id: str,
        hold_id: str,
        items: Mapping[str, int],
        *,
        pricing: Pricing = ASK_FOR_THE_PRICE,
        extras: Mapping[str, int] | None = None,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> AsyncTwoAnswers[Changed, Priced]:
        """Set the hold's quantities and ask what they cost. With the quantities that it has: another price."""
        command = commands.change_hold(
            occurrence_id, session_id, hold_id, items, extras=extras, pricing=pricing, request_id=request_id
        )
        return await self._both(command, Changed, Priced, timeout_seconds)

    # --- bookings -----------------------------------------------------------------------------------------------

    async def convert(
        self,
        occurrence_id: str,
        session_id: str,
        hold_id: str,
        *,
        quote_hash: str,
        payment: PaymentNotice,
        customer: Customer | None = None,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> AsyncTwoAnswers[Converting, Confirmed]:
        """Turn a priced hold into an order. `first`: it can no longer expire; `final`: it is sold, or it is not."""
        command = commands.convert_booking(
            occurrence_id,
            session_id,
            hold_id,
            quote_hash=quote_hash,
            payment=payment,
            customer=customer,
            request_id=request_id,
        )
        return await self._both(command, Converting, Confirmed, timeout_seconds)

    async def cancel_booking(
        self,
        occurrence_id: str,
        session_id: str,
        booking_id: str,
        *,
        reason: str = "",
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Cancelled | Refused:
        """Give the booking's seats back; `answer.refund` says what is to happen with the money."""
        command = commands.cancel_booking(
            occurrence_id, session_id, booking_id, reason=reason, request_id=request_id
        )
        return expect(await self.call(command, timeout_seconds=timeout_seconds), Cancelled)

    async def reduce_booking(
        self,
        occurrence_id: str,
        session_id: str,
        booking_id: str,
        items: Mapping[str, int],
        *,
        extras: Mapping[str, int] | None = None,
        reason: str = "",
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Booked | Refused:
        """Give some of its tickets back: `items` and `extras` are what it keeps. `answer.booking.refund_due` is what is
        owed for the others."""
        command = commands.reduce_booking(
            occurrence_id, session_id, booking_id, items, extras=extras, reason=reason, request_id=request_id
        )
        return expect(await self.call(command, timeout_seconds=timeout_seconds), Booked)

    async def booking(
        self,
        occurrence_id: str,
        session_id: str,
        booking_id: str,
        *,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Booked | Refused:
        """The booking as it is now."""
        command = commands.get_booking(occurrence_id, session_id, booking_id, request_id=request_id)
        return expect(await self.call(command, timeout_seconds=timeout_seconds), Booked)

    # --- carts and waiting lists --------------------------------------------------------------------------------

    async def place_cart(
        self,
        legs: Sequence[CartLeg],
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        ttl_seconds: int | None = None,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> AsyncTwoAnswers[CartStarted, CartHeld]:
        """Hold baskets of several occurrences, all or nothing."""
        command = commands.place_cart(
            legs,
            session_id=session_id,
            user_id=user_id,
            ttl_seconds=ttl_seconds,
            request_id=request_id,
        )
        return await self._both(command, CartStarted, CartHeld, timeout_seconds)

    async def join_waitlist(
        self,
        occurrence_id: str,
        items: Mapping[str, int],
        *,
        extras: Mapping[str, int] | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Waiting | Refused:
        """Stand in line for a basket that is sold out. The offer will be a hold with the id of this request."""
        command = commands.join_waitlist(
            occurrence_id,
            items,
            extras=extras,
            session_id=session_id,
            user_id=user_id,
            request_id=request_id,
        )
        return expect(await self.call(command, timeout_seconds=timeout_seconds), Waiting)

    async def hold(
        self,
        occurrence_id: str,
        session_id: str,
        hold_id: str,
        *,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> HoldShown | Refused:
        """The hold as it is now, with its price if it has one."""
        command = commands.get_hold(occurrence_id, session_id, hold_id, request_id=request_id)
        return expect(await self.call(command, timeout_seconds=timeout_seconds), HoldShown)

    async def waitlist_entry(
        self,
        occurrence_id: str,
        session_id: str,
        entry_id: str,
        *,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> WaitlistPlace | Refused:
        """The place in line as it is now, or the offer that came of it."""
        command = commands.get_waitlist_entry(occurrence_id, session_id, entry_id, request_id=request_id)
        return expect(await self.call(command, timeout_seconds=timeout_seconds), WaitlistPlace)

    async def leave_waitlist(
        self,
        occurrence_id: str,
        session_id: str,
        entry_id: str,
        *,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> LeftWaitlist | Refused:
        """Leave the line, before an offer or to decline one."""
        command = commands.leave_waitlist(occurrence_id, session_id, entry_id, request_id=request_id)
        return expect(await self.call(command, timeout_seconds=timeout_seconds), LeftWaitlist)

    async def _both(
        self, command: Command, first: type[F], final: type[S], timeout_seconds: float | None
    ) -> AsyncTwoAnswers[F, S]:
        answers = await self._answers(command, timeout_seconds)
        loop = asyncio.get_running_loop()
        return AsyncTwoAnswers(
            command.request_id,
            asyncio.wrap_future(typed(answers.first, first), loop=loop),
            asyncio.wrap_future(typed(answers.final, final), loop=loop),
        )
