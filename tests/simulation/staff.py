"""People, and what was on its way for too long."""

from __future__ import annotations

from typing import Any

from holdgate_schema.commands.selling import ResolveBooking, SettleBooking
from holdgate_workers.app.seals import internal_message
from holdgate_workers.domain.bookings.booking import Booking
from holdgate_workers.ids import derived_id

from .background import Loop
from .broker import Publisher
from .world import MS, SECOND


class StaffWorker(Loop):
    """People who decide about what is parked, as they like; and workers who say what was true long ago."""

    role = "staff"

    def boot(self) -> None:
        """Begin."""
        self.publisher = Publisher(self.site.broker, SECOND)
        self.later(self.delay(), self.round)

    def round(self) -> None:
        """Look at the bookings that wait for a person; now and then do something about one."""
        waiting = [
            one for one in self.site.database.bookings.values() if one.state in ("parked", "refund_required")
        ]
        if waiting and self.world.fault(0.6):
            self._decide(self.world.choice(waiting))
        sold = [one for one in self.site.database.bookings.values() if one.state == "confirmed"]
        if sold and self.world.fault(0.15):
            self._say_too_late(self.world.choice(sold))
        if sold and self.world.fault(0.1):
            self._cancel(self.world.choice(sold))
        self.later(self.world.between(200 * MS, 600 * MS), self.round)

    def _decide(self, booking: Booking) -> None:
        action: Any = self.world.choice(("fulfil", "refund", "refunded"))
        self.world.sometimes(f"staff decided: {action}")
        command = ResolveBooking(
            request_id=self.site.new_id(),
            occurrence_id=booking.occurrence_id,
            booking_id=booking.id,
            action=action,
            by="ann",
        )
        self.publisher.publish([internal_message(command, self.site.seals)])

    def _cancel(self, booking: Booking) -> None:
        amount = self.world.choice((None, 0, 1))
        self.world.sometimes("staff cancelled a booking")
        command = ResolveBooking(
            request_id=self.site.new_id(),
            occurrence_id=booking.occurrence_id,
            booking_id=booking.id,
            action="cancel",
            by="ann",
            refund_amount=amount,
        )
        self.publisher.publish([internal_message(command, self.site.seals)])

    def _say_too_late(self, booking: Booking) -> None:
        row = self.site.tasks.sagas.get(booking.id)
        if row is None or row.saga.answers is None:
            return
        self.world.sometimes("a conversion was settled once more, and otherwise")
        command = SettleBooking(
            request_id=derived_id("too late", booking.id),
            occurrence_id=booking.occurrence_id,
            booking_id=booking.id,
            outcome="failed",
            answers=row.saga.answers,
        )
        message = internal_message(
            command, self.site.seals, reply_to=row.saga.reply_to, correlation_id=row.saga.correlation_id
        )
        self.publisher.publish([message, message] if self.world.chance(0.3) else [message])
