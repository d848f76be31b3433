"""A house that tells the world, for tests: the real gate on a real database, the real feeder, and the role's handlers
done one after another on the test's own thread.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import psycopg
from tests.support.domain import a_place, a_put
from tests.support.drive import Station
from tests.support.rabbit import eventually

from holdgate_schema.commands.holds import CloseOccurrence, Command, PutOccurrence, TicketType
from holdgate_schema.commands.selling import (
    CancelBooking,
    ConvertBooking,
    Customer,
    NoteOrder,
    PaymentNotice,
    PriceHold,
    ResolveBooking,
    SettleBooking,
)
from holdgate_schema.values.products import Product, TicketPrice
from holdgate_schema.values.views import BookedOrder, QuoteView
from holdgate_workers.adapters.postgres.pricing.products import PriceBook
from holdgate_workers.adapters.postgres.tasks.feed import TaskFeed
from holdgate_workers.adapters.postgres.tasks.table import TaskBook
from holdgate_workers.adapters.webhooks.receivers import Receivers
from holdgate_workers.app.notifications.delivery.retries import RetryPolicy
from holdgate_workers.app.tasks.task_runner import HandlerDesk
from holdgate_workers.app.tasks.tasks import NOTIFICATIONS, Handler, Task, TaskOutcome
from holdgate_workers.config.environment import ServiceConfig, read_config
from holdgate_workers.wiring.notifications import NOTICE_RETRIES, notice_handlers, planners_of

OCCURRENCE, PRODUCT = "occ-1", "harbour-tour"
TITLE = "Harbour tour"
ZONE = "Europe/Rome"
ZOE = Customer(name="Zoë O'Neil", email="zoe.secret@example.org", phone="+39 055 1234567")
SECRET = "a secret of at least 24 bytes"
HOUSE = {"mail_from": "bookings@harbour.example", "mail_from_name": "Harbour House"}
HASH = "a" * 64
LEASE_SECONDS = 60.0
ROUNDS_MAX = 20
_UNREAD = """
SELECT 1 FROM journal j WHERE NOT EXISTS (
  SELECT 1 FROM relay_cursors c WHERE c.name = 'tasks' AND (c.xid, c.id) >= (j.xid, j.id)) LIMIT 1"""


def hooks(folder: Path, **targets: Any) -> Path:
    """A file of targets: name -> address, or its fields."""
    fields = [
        {"name": name, "secrets": [SECRET], **(given if isinstance(given, dict) else {"url": given})}
        for name, given in targets.items()
    ]
    path = folder / "webhooks.json"
    path.write_text(json.dumps({"targets": fields}), encoding="utf-8")
    return path


def soon(hours: float) -> datetime:
    """So many hours from now, to the second: the database's clock decides what is due."""
    with_clock = datetime.now(UTC)  # noqa: TID251
    return (with_clock + timedelta(hours=hours)).replace(microsecond=0)


class Silent:
    """A `DeskObserver` that keeps how tasks were settled."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, TaskOutcome]] = []
        self.problems: list[Exception] = []

    def claimed(self, task: Task) -> None:
        """Nothing to keep."""

    def settled(self, task: Task, outcome: TaskOutcome, *, written: bool) -> None:
        self.outcomes.append((task.key, outcome))

    def failed(self, task_id: int, problem: Exception) -> None:
        self.problems.append(problem)


class Teller:
    """One occurrence of a product with labels, and what is told of it."""

    def __init__(
        self, url: str, *, starts_at: datetime | None = None, policy: RetryPolicy | None = None, **told: Any
    ) -> None:
        self.station = Station(url)
        self.url = url
        self.config: ServiceConfig = read_config(database_url=url, **told)
        self.starts_at = starts_at or soon(30)
        self._numbers = itertools.count(1)
        self._gate = self.station.worker("gate")
        self.observer = Silent()
        self.book = TaskBook(url)
        self.receivers = Receivers(threads=8, elapsed_seconds=lambda: 0.0, draw=lambda: 0.0)
        self._make = notice_handlers(self.config, url, self.receivers, policy=policy)
        self.handlers: Mapping[str, Handler] = self._make()
        self._desk = HandlerDesk(
            self.book,
            self.handlers,
            worker="teller",
            lease_seconds=LEASE_SECONDS,
            jitter=lambda: 0.0,
            observer=self.observer,
            retries=NOTICE_RETRIES,
        )
        self._put_product()
        self.put()

    def close(self) -> None:
        self._desk.close()
        self.station.close()

    # --- what happens ---------------------------------------------------------------------------------------------

    def do(self, *commands: Command) -> list[dict[str, Any]]:
        """Have the gate decide."""
        answers = [answer for command in commands for answer in self.station.work(command, by=self._gate)]
        assert all(answer["outcome"] != "refused" for answer in answers), answers
        return answers

    def put(self, **fields: Any) -> None:
        """Create the occurrence or change it."""
        given: dict[str, Any] = {
            "product_id": PRODUCT,
            "starts_at": self.starts_at,
            "timezone": ZONE,
            "capacity": 500,
            "ticket_types": [TicketType(key="adult", label="Adult")],
        }
        put: PutOccurrence = a_put(OCCURRENCE, request_id=self._id("put"), **(given | fields))
        self.starts_at = put.starts_at
        self.do(put)

    def hold(self, session_id: str = "session-of-zoe", adults: int = 2) -> str:
        """The hold's id."""
        hold_id = self._id("hold")
        self.do(a_place(adults, occurrence_id=OCCURRENCE, request_id=hold_id, session_id=session_id))
        return hold_id

    def convert(
        self,
        session_id: str = "session-of-zoe",
        customer: Customer | None = ZOE,
        status: Any = "paid",
        *,
        adults: int = 2,
    ) -> str:
        """A hold that is priced and on its way to an order."""
        hold_id = self.hold(session_id, adults)
        quote = QuoteView(hash=HASH, currency="EUR", total=5000, tickets_total=5000, extras_total=0)
        self.do(
            PriceHold(
                request_id=self._id("price"),
                occurrence_id=OCCURRENCE,
                hold_id=hold_id,
                items={"adult": adults},
                quote=quote,
            ),
            ConvertBooking(
                request_id=self._id("convert"),
                occurrence_id=OCCURRENCE,
                session_id=session_id,
                hold_id=hold_id,
                quote_hash=HASH,
                payment=PaymentNotice(method="card", amount=5000, currency="EUR", status=status),
                customer=customer,
            ),
        )
        return hold_id

    def sell(self, session_id: str = "session-of-zoe", customer: Customer | None = ZOE, *, adults: int = 2) -> str:
        """A confirmed booking; its id."""
        booking_id = self.convert(session_id, customer, adults=adults)
        self.settle(booking_id)
        return booking_id

    def park(self, session_id: str) -> str:
        """A booking of which nobody knows whether it has an order; its id."""
        booking_id = self.convert(session_id)
        self.settle(booking_id, outcome="unknown")
        return booking_id

    def settle(self, booking_id: str, status: Any = "paid", outcome: Any = "ordered") -> None:
        """What the orders worker says."""
        number = next(self._numbers)
        order = BookedOrder(gateway="local", order_id=f"HG-{number}", status=status, changed_at=soon(-1))
        command = SettleBooking(
            request_id=self._id("settle"),
            occurrence_id=OCCURRENCE,
            booking_id=booking_id,
            outcome=outcome,
            order=order if outcome == "ordered" else None,
        )
        self.station.work(command, by=self._gate)

    def cancel(self, booking_id: str, session_id: str = "session-of-zoe") -> None:
        self.do(
            CancelBooking(
                request_id=self._id("cancel"),
                occurrence_id=OCCURRENCE,
                session_id=session_id,
                booking_id=booking_id,
            )
        )

    def note_order(self, booking_id: str, status: Any, changed_at: datetime, *, refunded: int = 0) -> None:
        """What the shop says. A booking that is parked by it is answered as refused."""
        ((order_id,),) = self.rows(
            "SELECT document -> 'order' ->> 'order_id' FROM bookings WHERE id = %s", booking_id
        )
        command = NoteOrder(
            request_id=self._id("note"),
            occurrence_id=OCCURRENCE,
            booking_id=booking_id,
            order_id=order_id,
            status=status,
            changed_at=changed_at,
            refunded=refunded,
        )
        self.station.work(command, by=self._gate)

    def resolve(self, booking_id: str, action: Any, **fields: Any) -> None:
        """What a person says."""
        ids = {"request_id": self._id("resolve"), "occurrence_id": OCCURRENCE, "booking_id": booking_id}
        self.do(ResolveBooking(**ids, action=action, by="ada", **fields))

    def close_occurrence(self, status: Any = "cancelled") -> None:
        self.do(CloseOccurrence(request_id=self._id("close"), occurrence_id=OCCURRENCE, status=status))

    # --- what follows ---------------------------------------------------------------------------------------------

    def feed(self) -> None:
        """Everything that the journal has, once more or anew."""
        feed = TaskFeed(self.url, planners_of(self.config))

        def is_done() -> bool:
            feed.feed(500)
            return self.rows(_UNREAD) == []

        try:
            # Nothing is read beyond the oldest transaction of the whole server, which may be another test's.
            eventually(is_done, "the journal is read")
        finally:
            feed.close()

    def work(self) -> list[tuple[str, TaskOutcome]]:
        """Do what is due, until nothing is; returns what became of it."""
        self.observer.outcomes.clear()
        for _ in range(ROUNDS_MAX):
            self.rows("UPDATE tasks SET wake_at = due_at WHERE state = 'open'")
            due = self.book.overdue(NOTIFICATIONS, 1000)
            if not due:
                break
            for wakeup in due:
                self._desk.work(wakeup.task_id)
        assert self.observer.problems == []
        return self.observer.outcomes

    def tell(self) -> list[tuple[str, TaskOutcome]]:
        """Feed and work."""
        self.feed()
        return self.work()

    def bring_forward(self, key_like: str) -> None:
        """Have tasks be due now."""
        changed = self.rows(
            "UPDATE tasks SET due_at = clock_timestamp() WHERE key LIKE %s AND state = 'open' RETURNING 1",
            key_like,
        )
        assert changed, f"nothing waits like {key_like}"

    # --- looking --------------------------------------------------------------------------------------------------

    def tasks(self, where: str = "true") -> list[tuple[str, str]]:
        """Keys and states."""
        return self.rows(f"SELECT key, state FROM tasks WHERE {where} ORDER BY id")

    def reminders(self, state: str = "open") -> list[datetime]:
        """When those are due that have this state."""
        found = self.rows(
            "SELECT due_at FROM tasks WHERE key LIKE 'mail/reminder/%%' AND state = %s ORDER BY due_at", state
        )
        return [row[0] for row in found]

    def deliveries(self) -> list[tuple[str, str, int, str]]:
        """Receiver, status, attempts, last answer."""
        return self.rows("SELECT receiver, status, attempts, detail FROM deliveries ORDER BY task_id")

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the database says, past our own code."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def _id(self, what: str) -> str:
        return str(uuid5(NAMESPACE_OID, f"{what}/{next(self._numbers)}"))

    def _put_product(self) -> None:
        book = PriceBook(self.url)
        product = Product(
            product_id=PRODUCT,
            currency="EUR",
            timezone=ZONE,
            label=TITLE,
            ticket_types=[TicketPrice(key="adult", price=2500, counts_as="adult")],
        )
        book.products.put(PRODUCT, product, changed_by="test")
        book.close()


Told = Callable[..., Teller]
