"""Orders in a WooCommerce shop.

Its API knows no idempotency key. What makes a create safe to repeat is the search for our reference before it, and
what makes the search safe to believe is to wait until nothing that was sent before can still be at work.
"""

from __future__ import annotations

from holdgate_workers.adapters.shops.amounts import to_minor_units
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

from .api import WooCommerceApi
from .orders import (
    WooCommerceShop,
    WooOrder,
    WooRefund,
    asked,
    cancelled_body,
    order_body,
    ours_among,
    paid_body,
    refund_body,
)


class WooCommerceGateway:
    """An `OrderGateway` for one shop."""

    name = "woocommerce"

    def __init__(self, api: WooCommerceApi, shop: WooCommerceShop) -> None:
        self._api = api
        self._shop = shop
        self.settle_seconds = shop.settle_seconds
        self.pays_back = shop.refunds_payment

    def create(self, order: NewOrder, *, sent_before: bool = True) -> CreateResult:
        """See the port. The order is created as pending and looked at before it is marked as paid."""
        if sent_before:
            ours = self._api.search(order.reference)
            if not isinstance(ours, list):
                return ours
            if ours:
                return self._resume(order, ours)
        created = self._api.create(order_body(order, self._shop))
        if isinstance(created, Refused) and _is_for_the_email(created) and order.customer.email:
            # What the shop does not take for an address is no reason to lose an order that may be paid.
            created = self._api.create(order_body(order, self._shop, with_email=False))
        if isinstance(created, Refused) and created.permanent:
            return self._leave_nothing_behind(order, created)
        if not isinstance(created, WooOrder):
            return created
        if created.reference != order.reference:
            return Unknown("the shop answered with another order")
        finished = self._finish(order, created)
        return Created(finished) if isinstance(finished, ShopOrder) else _though_stored(finished)

    def find(self, reference: str) -> FindResult:
        """See the port. An order in the trash counts as gone."""
        check_reference(reference)
        ours = self._api.search(reference)
        if not isinstance(ours, list):
            return ours
        return Found(ours[0].snapshot(), _twins(ours)) if ours else NotFound()

    def get(self, order_id: str) -> FindResult:
        """See the port."""
        order = self._api.get(order_id)
        return Found(order.snapshot()) if isinstance(order, WooOrder) else order

    def cancel(self, order_id: str, reason: str) -> CancelResult:
        """See the port. The reason becomes meta data of the order."""
        found = self.get(order_id)
        return self._cancel_seen(found.order, reason) if isinstance(found, Found) else found

    def refund(self, order_id: str, refund: NewRefund) -> RefundResult:
        """See the port. Where the payment provider would not pay, the refusal is final: a person has to look."""
        order = self._api.get(order_id)
        if not isinstance(order, WooOrder):
            return order
        made = self._api.refunds_of(order_id) if order.refunds else []
        if not isinstance(made, list):
            return made
        before = ours_among(made, refund, order.currency)
        if before is not None:
            return _repeated(order, before, refund)
        if not self.pays_back:
            return Refused("paid_back_by_hand", permanent=True)
        seen = order.snapshot()
        if seen.status in ("pending", "failed"):
            return Refused("not_paid", permanent=True)
        if refund.amount > seen.total - seen.refunded:
            return Refused("more_than_is_left", permanent=True)
        paid = self._api.create_refund(order_id, refund_body(refund, order.currency))
        if not isinstance(paid, WooRefund):
            return paid
        # A shop with fewer decimals than the currency has given back less than it was asked for.
        return Refunded(str(paid.id), to_minor_units(paid.amount, order.currency))

    def close(self) -> None:
        """There is nothing to let go of."""

    def _resume(self, order: NewOrder, ours: list[WooOrder]) -> CreateResult:
        there = ours[0]
        if there.asked not in ("", asked(order)):
            return Refused("reference_taken", permanent=True)
        finished = self._finish(order, there)
        return Found(finished, _twins(ours)) if isinstance(finished, ShopOrder) else finished

    def _finish(self, order: NewOrder, there: WooOrder) -> ShopOrder | Refused | Unknown | Unavailable:
        """Hold what the shop made of it against what was asked for; then have it marked as paid."""
        seen = there.snapshot()
        if (seen.total, seen.currency) != (order.total, order.currency):
            words = f"asked for {order.total} {order.currency}, the shop has {seen.total} {seen.currency}"
            return self._end_pending(seen, Refused("total_mismatch", permanent=True, detail=words))
        if not order.payment.is_paid or seen.status != "pending":
            return seen
        paid = self._api.update(seen.order_id, paid_body(order, is_draft=there.is_draft))
        if not isinstance(paid, WooOrder):
            return paid
        if paid.snapshot().status == "pending":
            return Refused("not_marked_as_paid", permanent=False, detail=f"the shop left it {paid.status}")
        return paid.snapshot()

    def _leave_nothing_behind(self, order: NewOrder, refused: Refused) -> Refused | Unknown:
        """End what the shop has stored of an order that it refused."""
        ours = self._api.search(order.reference)
        if not isinstance(ours, list):
            return Unknown(f"refused ({refused.reason}), but perhaps stored: {ours.detail}")
        return self._end_pending(ours[0].snapshot(), refused) if ours else refused

    def _end_pending(self, seen: ShopOrder, refused: Refused) -> Refused | Unknown:
        if seen.status != "pending":
            return refused
        ended = self._cancel_seen(seen, refused.reason)
        return refused if isinstance(ended, Cancelled | NotFound) else Unknown(ended.detail)

    def _cancel_seen(self, seen: ShopOrder, reason: str) -> CancelResult:
        if seen.is_over:
            return Cancelled(seen)
        changed = self._api.update(seen.order_id, cancelled_body(reason))
        if not isinstance(changed, WooOrder):
            return changed
        order = changed.snapshot()
        return Cancelled(order) if order.is_over else Unknown(f"the shop left the order {changed.status}")


def _repeated(order: WooOrder, before: WooRefund, refund: NewRefund) -> RefundResult:
    """The refund is there. The shop stores it before it asks the payment provider and removes it if that fails: one
    that is stored and not paid was cut off in between, and nobody knows whether the money has moved."""
    if to_minor_units(before.amount, order.currency) != refund.amount:
        return Refused("reference_taken", permanent=True)
    if not before.refunded_payment:
        words = (
            f"the shop has recorded refund {before.id}, but not that the payment provider has paid it: look there"
        )
        return Refused("refund_not_confirmed", permanent=True, detail=words)
    return Refunded(str(before.id), refund.amount)


def _is_for_the_email(refused: Refused) -> bool:
    """The shop names only the group that an invalid value is in, and addresses are all that it checks there."""
    return refused.reason == "rest_invalid_param" and "billing" in refused.detail


def _though_stored(failure: Refused | Unknown | Unavailable) -> Refused | Unknown:
    """A later step failed, but the order is there by then: whoever is told that nothing was done creates another."""
    if isinstance(failure, Unavailable):
        return Unknown(failure.detail, failure.retry_after_seconds)
    if isinstance(failure, Refused) and not failure.permanent:
        return Unknown(f"{failure.reason}: {failure.detail}")
    return failure


def _twins(ours: list[WooOrder]) -> tuple[ShopOrder, ...]:
    rest = (order.snapshot() for order in ours[1:])
    return tuple(order for order in rest if not order.is_over)
