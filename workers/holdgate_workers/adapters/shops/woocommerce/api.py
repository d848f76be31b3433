"""The calls of WooCommerce's REST API v3 (woocommerce.github.io/woocommerce-rest-api-docs) that orders need."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from holdgate_workers.adapters.http.client import TIMEOUTS, HttpClient, Timeouts
from holdgate_workers.adapters.http.responses import Answer, Outcome, Verdict, verdict
from holdgate_workers.adapters.http.target import Target
from holdgate_workers.adapters.shops.reading import read, read_change
from holdgate_workers.app.ordering.orders import NotFound, Refused, Unavailable, Unknown

from .orders import ERROR, ORDER, ORDERS, REFUND, REFUNDS, WooError, WooOrder, WooRefund

ORDERS_PER_SEARCH = 100
STATUSES_SECONDS = 600.0
"""How long the shop's states are believed: a plugin may bring others."""
NO_REFUND = "woocommerce_rest_cannot_create_order_refund"

_ORDERS = "wp-json/wc/v3/orders"
_ANY, _DRAFT = "any", "checkout-draft"
_NEVER_SEARCHED = {_ANY, "trash"}
_NO_SUCH_ORDER = {"woocommerce_rest_invalid_id", "woocommerce_rest_shop_order_invalid_id"}
_WORDS_MAX = 200

F = TypeVar("F", bound=Refused | Unknown | Unavailable)


def shop_client(
    target: Target, consumer_key: str, consumer_secret: str, timeouts: Timeouts = TIMEOUTS
) -> HttpClient:
    """The client for a shop's address, such as https://shop.example. The key needs read and write permission."""
    login = b64encode(f"{consumer_key}:{consumer_secret}".encode()).decode()
    return HttpClient(target, headers={"Authorization": f"Basic {login}"}, timeouts=timeouts)


class _Items(Struct, frozen=True):
    enum: tuple[str, ...] = ()


class _Argument(Struct, frozen=True):
    items: _Items = _Items()


class _Arguments(Struct, frozen=True):
    status: _Argument = _Argument()


class _Endpoint(Struct, frozen=True):
    args: _Arguments = _Arguments()


class _Described(Struct, frozen=True):
    """What the shop says of its own API, as far as the states of orders go."""

    endpoints: tuple[_Endpoint, ...] = ()


_DESCRIBED = msgspec.json.Decoder(_Described)


class WooCommerceApi:
    """One method for each call. Safe for several threads. `elapsed_seconds` is a clock that does not go back."""

    def __init__(self, client: HttpClient, elapsed_seconds: Callable[[], float] = monotonic) -> None:
        self._client = client
        self._elapsed_seconds = elapsed_seconds
        self._statuses: tuple[str, ...] = ()
        self._statuses_until = 0.0

    def search(self, reference: str) -> list[WooOrder] | Refused | Unavailable:
        """The orders under that reference, trash excepted: those that are not over first, then by age.

        `any` leaves out drafts of the checkout and states that a plugin has excluded from its search. So the shop is
        asked once in a while which states it has, and then they are named; a shop that does not say is asked twice.
        """
        statuses = self._named_statuses()
        found = self._searched(reference, ",".join(statuses) or _ANY)
        if statuses or not isinstance(found, list):
            if isinstance(found, Refused) and found.permanent:
                self._statuses_until = 0.0  # a state is not there any more
                return Unavailable(found.detail)
            return found
        drafts = self._searched(reference, _DRAFT)
        if isinstance(drafts, Refused) and drafts.permanent:
            return found  # a shop without that state
        return _alive_first([*found, *drafts]) if isinstance(drafts, list) else drafts

    def _named_statuses(self) -> tuple[str, ...]:
        """All that the shop has, trash excepted; empty if it does not say."""
        if self._elapsed_seconds() >= self._statuses_until:
            described = read(self._client.send("OPTIONS", _ORDERS), _DESCRIBED)
            if isinstance(described, _Described):
                named = (status for endpoint in described.endpoints for status in endpoint.args.status.items.enum)
                self._statuses = tuple(dict.fromkeys(name for name in named if name not in _NEVER_SEARCHED))
                self._statuses_until = self._elapsed_seconds() + STATUSES_SECONDS
        return self._statuses

    def _searched(self, reference: str, status: str) -> list[WooOrder] | Refused | Unavailable:
        query = (
            ("search", reference),
            ("status", status),
            ("per_page", str(ORDERS_PER_SEARCH)),
            ("orderby", "id"),
        )
        outcome = self._client.send("GET", _ORDERS, query=query)
        answer = read(outcome, ORDERS)
        if not isinstance(answer, list):
            return _explained(outcome, answer)
        # The search is for a part of a text, and in more places than ours.
        ours = [order for order in answer if order.reference == reference]
        if not ours and len(answer) == ORDERS_PER_SEARCH:
            return Unavailable("the search of the shop finds too much to say that the order is not there")
        return _alive_first(ours)

    def get(self, order_id: str) -> WooOrder | NotFound | Refused | Unavailable:
        """One order."""
        if not (order_id.isascii() and order_id.isdigit()):
            return NotFound()
        outcome = self._client.send("GET", f"{_ORDERS}/{order_id}")
        if _error(outcome).code in _NO_SUCH_ORDER:
            return NotFound()
        order = read(outcome, ORDER)
        return order if isinstance(order, WooOrder) else _explained(outcome, order)

    def create(self, body: bytes) -> WooOrder | Refused | Unknown | Unavailable:
        """Create an order. A permanent refusal may come after the order was stored (woocommerce #57755: a coupon
        that does not apply)."""
        return self._change("POST", _ORDERS, body)

    def update(self, order_id: str, body: bytes) -> WooOrder | Refused | Unknown | Unavailable:
        """Change an order."""
        return self._change("PUT", f"{_ORDERS}/{order_id}", body)

    def refunds_of(self, order_id: str) -> list[WooRefund] | Refused | Unavailable:
        """The last hundred refunds of an order."""
        query = (("per_page", str(ORDERS_PER_SEARCH)),)
        outcome = self._client.send("GET", f"{_ORDERS}/{order_id}/refunds", query=query)
        refunds = read(outcome, REFUNDS)
        return refunds if isinstance(refunds, list) else _explained(outcome, refunds)

    def create_refund(self, order_id: str, body: bytes) -> WooRefund | Refused | Unknown | Unavailable:
        """Refund a part of an order. What the payment provider would not do is refused as `NO_REFUND`, for good: the
        shop says so with a 500, and whether money has moved is for a person to find out."""
        outcome = self._client.send("POST", f"{_ORDERS}/{order_id}/refunds", body=body)
        if _error(outcome).code == NO_REFUND:
            return _explained(outcome, Refused(NO_REFUND, permanent=True))
        refund = read_change(outcome, REFUND)
        return refund if isinstance(refund, WooRefund) else _in_its_words(outcome, refund)

    def _change(self, method: str, path: str, body: bytes) -> WooOrder | Refused | Unknown | Unavailable:
        outcome = self._client.send(method, path, body=body)
        order = read_change(outcome, ORDER)
        return order if isinstance(order, WooOrder) else _in_its_words(outcome, order)


def _alive_first(orders: list[WooOrder]) -> list[WooOrder]:
    return sorted(orders, key=lambda order: (order.snapshot().is_over, order.id))


def _error(outcome: Outcome) -> WooError:
    """What the shop says is wrong, if it says something."""
    if not isinstance(outcome, Answer) or verdict(outcome) is Verdict.ANSWERED:
        return WooError("")
    try:
        return ERROR.decode(outcome.body)
    except (msgspec.DecodeError, RecursionError):
        return WooError("")


def _in_its_words(outcome: Outcome, failure: Refused | Unknown | Unavailable) -> Refused | Unknown | Unavailable:
    """A no for good is the shop's only if it says so in WordPress's words. Behind a notice of PHP nobody knows why it
    was said, and whether something was stored before."""
    said = _explained(outcome, failure)
    if isinstance(said, Refused) and said.permanent and not _error(outcome).code:
        return Unknown(f"{said.detail}, and not why")
    return said


def _explained(outcome: Outcome, failure: F) -> F:
    """The failure with the shop's own words."""
    error = _error(outcome)
    if not isinstance(failure, Refused) or not error.code:
        return failure
    words = " ".join(error.message.split())[:_WORDS_MAX]
    return replace(failure, reason=error.code, detail=f"{failure.detail}: {words}".removeprefix(": "))
