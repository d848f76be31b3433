"""Orders in a table of our own: for whoever has no shop, and the gateway that is used unless another is named.

The column `customer` is personal and stands alone, so that it can be erased without the order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import psycopg
from psycopg import Connection

from holdgate_workers.app.ordering.orders import (
    Cancelled,
    CancelResult,
    Created,
    CreateResult,
    FindResult,
    Found,
    NewOrder,
    NewRefund,
    NotFound,
    Refunded,
    RefundResult,
    Refused,
    ShopOrder,
    Unavailable,
    Unknown,
    check_reference,
)

T = TypeVar("T")
Row = tuple[Any, ...]

CONNECT_TIMEOUT_SECONDS = 5
_OPTIONS = "-c statement_timeout=15s -c lock_timeout=5s -c idle_in_transaction_session_timeout=5s -c timezone=UTC"
_KEEPALIVES: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_TRANSIENT_CLASSES = {"08", "25", "40", "53", "55", "57", "58"}
"""Connection, transaction state, rollback, resources, object state, operator intervention, system."""
_ID_MAX = 2**63 - 1

_COLUMNS = "id::text, reference, status, currency, total, refunded, changed_at"
_INSERT = f"""
INSERT INTO orders (reference, status, currency, total, content, customer) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (reference) DO NOTHING RETURNING {_COLUMNS}"""
_FIND = f"SELECT {_COLUMNS} FROM orders WHERE reference = %s"
_GET = f"SELECT {_COLUMNS} FROM orders WHERE id = %s"
_PAY = f"""
UPDATE orders SET status = 'paid', changed_at = clock_timestamp() WHERE id = %s AND status = 'pending'
RETURNING {_COLUMNS}"""
_CANCEL = f"""
UPDATE orders SET status = 'cancelled', end_reason = %s, changed_at = clock_timestamp()
WHERE id = %s AND status NOT IN ('cancelled', 'refunded') RETURNING {_COLUMNS}"""
_REFUND_OF = "SELECT id::text, amount FROM order_refunds WHERE order_id = %s AND reference = %s"
_ADD_REFUND = """
INSERT INTO order_refunds (order_id, reference, amount, reason) VALUES (%s, %s, %s, %s) RETURNING id::text"""
_ADD_UP = """
UPDATE orders SET refunded = refunded + %(amount)s, changed_at = clock_timestamp(),
  status = CASE WHEN refunded + %(amount)s = total THEN 'refunded' ELSE status END
WHERE id = %(order)s"""


class LocalOrdersError(Exception):
    """The database refused something it should not have: a fault in the code or the schema."""


class LocalGateway:
    """An `OrderGateway` on PostgreSQL, with a connection that it replaces when it breaks."""

    name = "local"
    settle_seconds = 0.0
    pays_back = False
    """Money is moved by whoever has no shop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._connection: Connection[Row] | None = None

    def create(self, order: NewOrder, *, sent_before: bool = True) -> CreateResult:  # noqa: ARG002 - always safe
        """See the port."""

        def work(connection: Connection[Row]) -> Created | Found | Refused:
            row = connection.execute(_INSERT, _values(order)).fetchone()
            if row is not None:
                return Created(_order(row))
            row = connection.execute(_FIND, [order.reference]).fetchone()
            assert row is not None, "orders are not deleted"
            there = _order(row)
            if (there.total, there.currency) != (order.total, order.currency):
                return Refused("reference_taken", permanent=True)
            if order.payment.is_paid and there.status == "pending":
                paid = connection.execute(_PAY, [there.order_id]).fetchone()
                there = _order(paid) if paid is not None else there
            return Found(there)

        return self._change(work)

    def find(self, reference: str) -> FindResult:
        """See the port."""
        check_reference(reference)
        return self._look(_FIND, reference)

    def get(self, order_id: str) -> FindResult:
        """See the port."""
        return self._look(_GET, order_id) if _is_id(order_id) else NotFound()

    def cancel(self, order_id: str, reason: str) -> CancelResult:
        """See the port."""

        def work(connection: Connection[Row]) -> Cancelled | NotFound:
            row = connection.execute(_CANCEL, [reason, order_id]).fetchone()
            row = row or connection.execute(_GET, [order_id]).fetchone()
            return Cancelled(_order(row)) if row is not None else NotFound()

        return self._change(work) if _is_id(order_id) else NotFound()

    def refund(self, order_id: str, refund: NewRefund) -> RefundResult:
        """See the port. Only the record of it: whoever has no shop pays back by hand."""

        def work(connection: Connection[Row]) -> Refunded | NotFound | Refused:
            row = connection.execute(f"{_GET} FOR UPDATE", [order_id]).fetchone()
            if row is None:
                return NotFound()
            order = _order(row)
            before = connection.execute(_REFUND_OF, [order_id, refund.reference]).fetchone()
            if before is not None:
                same = before[1] == refund.amount
                return Refunded(*before) if same else Refused("reference_taken", permanent=True)
            if order.status == "pending":
                return Refused("not_paid", permanent=True)
            if refund.amount > order.total - order.refunded:
                return Refused("more_than_is_left", permanent=True)
            values = [order_id, refund.reference, refund.amount, refund.reason]
            made = connection.execute(_ADD_REFUND, values).fetchone()
            assert made is not None
            connection.execute(_ADD_UP, {"order": order_id, "amount": refund.amount})
            return Refunded(made[0], refund.amount)

        return self._change(work) if _is_id(order_id) else NotFound()

    def close(self) -> None:
        """See the port."""
        with self._lock:
            self._give_up()

    def _look(self, statement: str, key: str) -> FindResult:
        def work(connection: Connection[Row]) -> Found | NotFound:
            row = connection.execute(statement, [key]).fetchone()
            return Found(_order(row)) if row is not None else NotFound()

        result = self._change(work)
        return Unavailable(result.detail) if isinstance(result, Unknown) else result

    def _change(self, work: Callable[[Connection[Row]], T]) -> T | Unknown | Unavailable:
        """Do the work in one transaction. If the connection breaks on the way, nobody knows whether it was kept."""
        with self._lock:
            try:
                connection = self._open()
            except psycopg.OperationalError as exc:
                return Unavailable(_first_line(exc))
            try:
                with connection.transaction():
                    return work(connection)
            except psycopg.Error as exc:
                return self._failed(connection, exc)

    def _failed(self, connection: Connection[Row], exc: psycopg.Error) -> Unknown | Unavailable:
        lost = connection.broken or connection.closed
        if lost:
            self._give_up()
        if exc.sqlstate is None or lost:
            return Unknown(_first_line(exc))
        if exc.sqlstate[:2] in _TRANSIENT_CLASSES:
            return Unavailable(_first_line(exc))
        raise LocalOrdersError(f"{exc.sqlstate} {_first_line(exc)}") from exc

    def _open(self) -> Connection[Row]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                application_name="holdgate orders",
                options=_OPTIONS,
                **_KEEPALIVES,
            )
        return self._connection

    def _give_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _values(order: NewOrder) -> list[object]:
    content = msgspec.to_builtins(order)
    customer = content.pop("customer")
    status = "paid" if order.payment.is_paid else "pending"
    return [order.reference, status, order.currency, order.total, _json(content), _json(customer)]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _order(row: Row) -> ShopOrder:
    order_id, reference, status, currency, total, refunded, changed_at = row
    return ShopOrder(
        order_id=order_id,
        reference=reference,
        status=status,
        currency=currency,
        total=total,
        refunded=refunded,
        changed_at=changed_at,
    )


def _is_id(order_id: str) -> bool:
    return order_id.isascii() and order_id.isdigit() and len(order_id) <= 19 and int(order_id) <= _ID_MAX


def _first_line(exc: BaseException) -> str:
    text = str(exc).strip()
    return text.splitlines()[0] if text else type(exc).__name__
