"""Orders in a WooCommerce shop.

Its API knows no idempotency key. What makes a create safe to repeat is the search for our reference before it, and
what makes the search safe to believe is to wait until nothing that was sent before can still be at work.
"""

from __future__ import annotations

from holdgate_workers.app.orders import (
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

from .money import to_minor_units
from .woocommerce_api import WooCommerceApi
from .woocommerce_orders import (
    WooCommerceShop,
    WooOrder,
    WooOrderRefund,
    WooRefund,
    asked,
    cancelled_body,
    order_body,
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

    def create(self, order: NewOrder, *, sent_before: bool = True) -> CreateResult:
        """See the port. The order is created as pending and looked at before it is marked as paid."""
        if sent_before:
            ours = self._api.search(order.reference)
            if not isinstance(ours, list):
                return ours
            if ours:
                return self._resume(order, ours)
        created = self._api.create(order_body(order, self._shop))
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
        if not isinstance(found, Found):
            return found
        if found.order.is_over:
            return Cancelled(found.order)
        changed = self._api.update(order_id, cancelled_body(reason))
        if not isinstance(changed, WooOrder):
            return changed
        order = changed.snapshot()
        return Cancelled(order) if order.is_over else Unknown(f"the shop left the order {changed.status}")

    def refund(self, order_id: str, refund: NewRefund) -> RefundResult:
        """See the port. Where the payment provider would not pay, the refusal is final: a person has to look."""
        order = self._api.get(order_id)
        if not isinstance(order, WooOrder):
            return order
        before = order.refund(refund.reference)
        if before is not None:
            return self._repeated(order, before, refund)
        seen = order.snapshot()
        if seen.status in ("pending", "failed"):
            return Refused("not_paid", permanent=True)
        if refund.amount > seen.total - seen.refunded:
            return Refused("more_than_is_left", permanent=True)
        body = refund_body(refund, order.currency, refunds_payment=self._shop.refunds_payment)
        made = self._api.create_refund(order_id, body)
        return Refunded(str(made.id), refund.amount) if isinstance(made, WooRefund) else made

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
        paid = self._api.update(seen.order_id, paid_body(order))
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
        ended = self.cancel(seen.order_id, refused.reason)
        return refused if isinstance(ended, Cancelled | NotFound) else Unknown(ended.detail)

    def _repeated(self, order: WooOrder, before: WooOrderRefund, refund: NewRefund) -> RefundResult:
        """The refund is there. The shop stores it before it asks the payment provider and removes it if that fails."""
        if to_minor_units(before.total, order.currency) != -refund.amount:
            return Refused("reference_taken", permanent=True)
        if self._shop.refunds_payment:
            seen = self._api.get_refund(order.id, before.id)
            if not isinstance(seen, WooRefund):
                return seen
            if not seen.refunded_payment:
                return Unknown("the refund is recorded, but not that the payment provider has paid it")
        return Refunded(str(before.id), refund.amount)


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
