"""Who takes the buyers' money and gives it back: outside of the shop, and with books of its own.

It is as real ones are: it does as it is told, does not ask whether that is wise, and may be silent after it has paid.
Nothing of ours is used here, so that what the product believes of money can be held against what has moved.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal


class Declined(Exception):
    """It does not pay."""


@dataclass(frozen=True)
class Movement:
    """Money that moved: positive from the buyer, negative back to the buyer."""

    payment: str
    amount: Decimal
    currency: str


class PaymentProvider:
    """One provider. Safe for several threads."""

    def __init__(self) -> None:
        self.movements: list[Movement] = []
        self.asked_to_pay_back: Counter[str] = Counter()
        self.refuses = False
        """Whether it declines to pay back."""
        self.refuses_payments: set[str] = set()
        """The payments that it does not pay back, whatever else it does."""
        self.is_silent = False
        """Whether its answer is lost after it has paid."""
        self.silent_about: set[str] = set()
        """The payments of which its answer is lost after it has paid them back."""
        self._lock = threading.Lock()

    def take(self, payment: str, amount: Decimal, currency: str = "EUR") -> None:
        """A buyer pays."""
        with self._lock:
            self.movements.append(Movement(payment, amount, currency))

    def give_back(self, payment: str, amount: Decimal, currency: str) -> None:
        """The shop's plugin asks to pay back. Raises `Declined` if it does not, or if nobody hears that it did."""
        with self._lock:
            self.asked_to_pay_back[payment] += 1
            if self.refuses or payment in self.refuses_payments:
                raise Declined("The charge cannot be refunded.")
            self.movements.append(Movement(payment, -amount, currency))
            if self.is_silent or payment in self.silent_about:
                raise Declined("Connection to the payment provider timed out.")

    def taken(self, payment: str) -> Decimal:
        """What the buyer paid."""
        return sum((m.amount for m in self._of(payment) if m.amount > 0), Decimal(0))

    def given_back(self, payment: str) -> Decimal:
        """What went back to the buyer."""
        return -sum((m.amount for m in self._of(payment) if m.amount < 0), Decimal(0))

    def _of(self, payment: str) -> list[Movement]:
        with self._lock:
            return [movement for movement in self.movements if movement.payment == payment]
