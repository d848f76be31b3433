"""Orders in any shop that takes signed requests: one address, one POST for each command.

What such a shop has to do is its contract in docs/orders.md: check the signature, do each thing once, and say with 200
what there is now, with 422 no for good; all else leaves it open. That nothing is there counts only if the shop says so
in these words; a 404 is a wrong address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from holdgate_workers.adapters.http.client import HttpClient
from holdgate_workers.adapters.http.responses import Answer, Outcome
from holdgate_workers.adapters.http.signing import SigningKey
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

from .reading import read, read_change

_REFUSED = 422
_WORDS_MAX = 200

F = TypeVar("F", bound=Refused | Unknown | Unavailable)


class OrderAnswer(Struct, frozen=True):
    """What the shop has, or that it has nothing."""

    order: ShopOrder | None
    created: bool = False


class RefundAnswer(Struct, frozen=True):
    """The refund, or that there is no such order."""

    refund: Refunded | None


class No(Struct, frozen=True):
    """Why not."""

    reason: str


_ORDER = msgspec.json.Decoder(OrderAnswer)
_REFUND = msgspec.json.Decoder(RefundAnswer)
_NO = msgspec.json.Decoder(No)


class WebhookGateway:
    """An `OrderGateway` for one shop. `now` is what the clock on the wall says: the shop compares it with its own."""

    name = "webhook"
    settle_seconds = 0.0
    """The shop promises to do things once, so they may be sent again at any time."""
    pays_back = True

    def __init__(self, client: HttpClient, key: SigningKey, now: Callable[[], datetime]) -> None:
        self._client = client
        self._key = key
        self._now = now

    def create(self, order: NewOrder, *, sent_before: bool = True) -> CreateResult:  # noqa: ARG002 - always safe
        """See the port."""
        # Paying for what is there is another thing to do than creating it, and goes by another name.
        subject = f"{order.reference}:paid" if order.payment.is_paid else order.reference
        outcome = self._send("create", subject, {"order": order})
        answer = read_change(outcome, _ORDER)
        if not isinstance(answer, OrderAnswer):
            return _explained(outcome, answer)
        there = answer.order
        if there is None or there.reference != order.reference:
            return Unknown("the shop answered with another order")
        if (there.total, there.currency) != (order.total, order.currency):
            return self._end_pending(there)
        return Created(there) if answer.created else Found(there)

    def find(self, reference: str) -> FindResult:
        """See the port."""
        check_reference(reference)
        found = self._look("find", reference, {"reference": reference})
        if isinstance(found, Found) and found.order.reference != reference:
            return Unavailable("the shop answered with another order")
        return found

    def get(self, order_id: str) -> FindResult:
        """See the port."""
        return self._look("get", order_id, {"order_id": order_id})

    def cancel(self, order_id: str, reason: str) -> CancelResult:
        """See the port."""
        outcome = self._send("cancel", order_id, {"order_id": order_id, "reason": reason})
        answer = read_change(outcome, _ORDER)
        if not isinstance(answer, OrderAnswer):
            return _explained(outcome, answer)
        if answer.order is None:
            return NotFound()
        ended = answer.order.is_over
        return Cancelled(answer.order) if ended else Unknown(f"the shop left the order {answer.order.status}")

    def refund(self, order_id: str, refund: NewRefund) -> RefundResult:
        """See the port."""
        outcome = self._send("refund", f"{order_id}:{refund.reference}", {"order_id": order_id, "refund": refund})
        answer = read_change(outcome, _REFUND)
        if not isinstance(answer, RefundAnswer):
            return _explained(outcome, answer)
        if answer.refund is None:
            return NotFound()
        same = answer.refund.amount == refund.amount
        return answer.refund if same else Refused("reference_taken", permanent=True)

    def close(self) -> None:
        """There is nothing to let go of."""

    def _end_pending(self, there: ShopOrder) -> Refused | Unknown:
        words = f"the shop has {there.total} {there.currency}"
        refused = Refused("total_mismatch", permanent=True, detail=words)
        if there.status != "pending":
            return refused
        ended = self.cancel(there.order_id, refused.reason)
        return refused if isinstance(ended, Cancelled | NotFound) else Unknown(ended.detail)

    def _look(self, verb: str, subject: str, fields: Mapping[str, object]) -> FindResult:
        outcome = self._send(verb, f"{subject}:{self._now().isoformat()}", fields)
        answer = read(outcome, _ORDER)
        if not isinstance(answer, OrderAnswer):
            return _explained(outcome, answer)
        return Found(answer.order) if answer.order is not None else NotFound()

    def _send(self, verb: str, subject: str, fields: Mapping[str, object]) -> Outcome:
        body = msgspec.json.encode({"type": f"order.{verb}.v1", **fields})
        message_id = f"{verb}_{sha256(subject.encode()).hexdigest()[:32]}"
        return self._client.send("POST", body=body, headers=self._key.sign(message_id, self._now(), body))


def _explained(outcome: Outcome, failure: F) -> F:
    """The refusal with the shop's own words. Only a 422 is the shop's own no."""
    if not isinstance(failure, Refused) or not isinstance(outcome, Answer):
        return failure
    if outcome.status != _REFUSED:
        return replace(failure, permanent=False)
    try:
        words = _NO.decode(outcome.body).reason
    except (msgspec.DecodeError, RecursionError):
        return failure
    return replace(failure, reason=" ".join(words.split())[:_WORDS_MAX])
