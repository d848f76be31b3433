"""Orders in somebody's shop: what a booking turns into, and how that is taken back.

Every call ends in a value that says what is certain, because what costs money is a guess: an order that was created
although no answer came is neither there nor not there until somebody has looked. Amounts are whole minor units.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from holdgate_schema.values.currencies import MINOR_DIGITS

REFERENCE_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{7,63}\Z")
"""Long enough that no search of a shop takes it for a part of something else."""

OrderStatus = Literal["pending", "paid", "cancelled", "refunded", "failed", "other"]
"""`other` is a state of the shop's own that nobody told us the meaning of."""


class InvalidOrder(ValueError):
    """The order cannot be asked for like this; names the field and what would be right."""


# --- what is asked for ------------------------------------------------------------------------------------------


class OrderLine(Struct, frozen=True, kw_only=True):
    """What is bought: `amount` is for all pieces together."""

    key: str
    name: str
    quantity: int
    amount: int

    def __post_init__(self) -> None:
        if self.quantity < 1 or self.amount < 0:
            raise InvalidOrder(f"lines.{self.key}: the quantity must be at least 1 and the amount at least 0")


class OrderFee(Struct, frozen=True, kw_only=True):
    """What is added to the lines or, if negative, taken off them."""

    key: str
    name: str
    amount: int


class Coupon(Struct, frozen=True, kw_only=True):
    """A redeemed voucher and how much it takes off."""

    code: str
    discount: int

    def __post_init__(self) -> None:
        if self.discount < 0:
            raise InvalidOrder("coupon.discount: what a coupon takes off is written without a sign")


class Payment(Struct, frozen=True, kw_only=True):
    """How the order is paid: `reference` is the payment provider's name for the payment."""

    method: str
    title: str = ""
    reference: str = ""
    is_paid: bool = False


class Customer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whoever buys, as far as they said. Personal, so nothing of it is in the repr."""

    first_name: str = ""
    last_name: str = ""
    company: str = ""
    email: str = ""
    phone: str = ""
    address_1: str = ""
    address_2: str = ""
    city: str = ""
    postcode: str = ""
    state: str = ""
    country: str = ""
    note: str = ""

    def __repr__(self) -> str:
        return "Customer(…)"


class NewOrder(Struct, frozen=True, kw_only=True):
    """An order to create. Lines, fees and coupon add up to `total`, which is what the shop must charge, exactly.

    `reference` is ours and names the order for ever: 8 to 64 letters, digits and hyphens. `details` are shown to
    whoever looks at the order (the occurrence, the hold). Raises `InvalidOrder`.
    """

    reference: str
    currency: str
    total: int
    lines: tuple[OrderLine, ...]
    payment: Payment
    fees: tuple[OrderFee, ...] = ()
    coupon: Coupon | None = None
    customer: Customer = Customer()
    details: dict[str, str] = {}

    def __post_init__(self) -> None:
        check_reference(self.reference)
        if self.currency not in MINOR_DIGITS:
            raise InvalidOrder(f"currency: {self.currency!r} is not a currency of ISO 4217, such as EUR")
        if not self.lines:
            raise InvalidOrder("lines: an order needs at least one line")
        parts = sum(line.amount for line in self.lines) + sum(fee.amount for fee in self.fees)
        parts -= self.coupon.discount if self.coupon else 0
        if self.total != parts or self.total < 0:
            raise InvalidOrder(
                f"total: must be what the parts add up to ({parts}) and not negative, is {self.total}"
            )


class NewRefund(Struct, frozen=True, kw_only=True):
    """Money to give back. `reference` is ours, as for an order; the same reference is given back once."""

    reference: str
    amount: int
    reason: str = ""

    def __post_init__(self) -> None:
        check_reference(self.reference)
        if self.amount < 1:
            raise InvalidOrder("amount: a refund gives back at least one minor unit")


def check_reference(reference: str) -> None:
    """Raises `InvalidOrder` if that is no reference."""
    if not REFERENCE_PATTERN.match(reference):
        raise InvalidOrder(f"reference: must be 8 to 64 letters, digits and hyphens, is {reference[:80]!r}")


# --- what is answered -------------------------------------------------------------------------------------------


class ShopOrder(Struct, frozen=True, kw_only=True):
    """An order as the shop has it. `changed_at` is the shop's own time, often in whole seconds."""

    order_id: str
    reference: str
    status: OrderStatus
    currency: str
    total: int
    refunded: int = 0
    changed_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether it was cancelled or given back in full. One that failed can still be paid."""
        return self.status in ("cancelled", "refunded")


class Created(Struct, frozen=True):
    """This call created the order."""

    order: ShopOrder


class Found(Struct, frozen=True):
    """The order is there. `twins` are further orders under its reference that are not over: one too many each."""

    order: ShopOrder
    twins: tuple[ShopOrder, ...] = ()


class NotFound(Struct, frozen=True):
    """The shop said in so many words that there is no such order."""


class Cancelled(Struct, frozen=True):
    """The order is over, by this call or before it."""

    order: ShopOrder


class Refunded(Struct, frozen=True):
    """The money was given back, by this call or before it."""

    refund_id: str
    amount: int


class Refused(Struct, frozen=True):
    """Certainly not done. `permanent`: asking again cannot end differently; else somebody has to mend something
    first (keys, address, the shop's settings)."""

    reason: str
    permanent: bool
    detail: str = ""


class Unknown(Struct, frozen=True):
    """Asked, but nobody knows whether it was done: no answer came, or one that says nothing."""

    detail: str
    retry_after_seconds: float | None = None


class Unavailable(Struct, frozen=True):
    """Certainly not done by this call; trying again later may help. `is_left_alone`: the shop was not even asked."""

    detail: str
    retry_after_seconds: float | None = None
    is_left_alone: bool = False


CreateResult: TypeAlias = Created | Found | Refused | Unknown | Unavailable
FindResult: TypeAlias = Found | NotFound | Refused | Unavailable
CancelResult: TypeAlias = Cancelled | NotFound | Refused | Unknown | Unavailable
RefundResult: TypeAlias = Refunded | NotFound | Refused | Unknown | Unavailable


def is_trouble(result: CreateResult | FindResult | CancelResult | RefundResult) -> bool:
    """Whether the result speaks against the shop as a whole: what a circuit breaker counts."""
    return isinstance(result, Unknown | Unavailable) or (isinstance(result, Refused) and not result.permanent)


class OrderEvent(Struct, frozen=True, kw_only=True):
    """The shop says how an order of ours is now.

    `delivery_key` is the same for every repetition of the same words: claim it once, in the transaction that acts
    on the event. Events come in any order; of two with the same `order.changed_at` neither is known to be the
    later one, so then, too, the order itself has to be looked at. `is_fresh`: we have asked the shop ourselves, so that
    this is how the order is, whatever was said before and whatever time it has.
    """

    order: ShopOrder
    delivery_key: str
    delivery_id: str = ""
    is_fresh: bool = False


# --- the port ---------------------------------------------------------------------------------------------------


class OrderGateway(Protocol):
    """A shop that takes our orders. Safe to use from several threads; never raises for what a shop may do.

    Everything may be asked again after any result. Two calls at the same moment for the same reference are the
    caller's to prevent: not every shop can.
    """

    @property
    def name(self) -> str:
        """For metrics and logs."""

    @property
    def settle_seconds(self) -> float:
        """How long a request whose outcome is unknown may still be at work in the shop. Until then `NotFound` does
        not mean that nothing will come, and nothing may be sent again."""

    @property
    def pays_back(self) -> bool:
        """Whether a refund moves money. Where it does not, none is asked for: a person pays back and says so."""

    def create(self, order: NewOrder, *, sent_before: bool = True) -> CreateResult:
        """Have the order there, once. Searches before it sends, unless `sent_before` says that nothing ever was.

        So much is true before the first call, and still after one that ended as `Unavailable` or as a `Refused` that is
        not permanent, for those stored nothing. Whoever does not know how a call ended must not say it.

        An order that is there already is `Found`, whatever its state, and marked as paid if it has to be. `Refused`
        as `reference_taken` if the reference was used for something else, and as `total_mismatch` if the shop would
        charge anything but the total: what it has stored is then ended, unless it is paid.
        """

    def find(self, reference: str) -> FindResult:
        """Search the shop for our reference."""

    def get(self, order_id: str) -> FindResult:
        """Look at an order by the shop's own id."""

    def cancel(self, order_id: str, reason: str) -> CancelResult:
        """End the order, unless it is over. Gives no money back."""

    def refund(self, order_id: str, refund: NewRefund) -> RefundResult:
        """Give money back, once per reference of the refund; what is answered is what went back, which may be less.
        `Refused` if it is more than is left."""

    def close(self) -> None:
        """Let go of connections. Idempotent."""
