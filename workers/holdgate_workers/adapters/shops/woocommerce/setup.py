"""Whether a WooCommerce shop is set up so that orders can be made, paid back and heard of: as far as its API tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec import Struct

from holdgate_workers.adapters.http.client import HttpClient
from holdgate_workers.adapters.http.responses import Answer, Outcome, Verdict, detail, verdict
from holdgate_workers.adapters.shops.reading import read
from holdgate_workers.app.faults import Fault

from .orders import ERROR, WooError

_ROOT = "wp-json/wc/v3"
_KEYS = ("woocommerce_rest_authentication_error", "woocommerce_rest_cannot_view")
_PATH = "/webhooks/woocommerce"
_UPDATED = "order.updated"


@dataclass(slots=True, frozen=True)
class Finding:
    """One thing that was looked at. `is_key`: the shop does not know our key."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    mend: str = ""
    is_key: bool = False


class _Gateway(Struct, frozen=True):
    id: str
    enabled: bool = False


class _Product(Struct, frozen=True):
    id: int
    tax_status: str = ""


class _Webhook(Struct, frozen=True):
    id: int
    status: str = ""
    topic: str = ""
    delivery_url: str = ""


class _Order(Struct, frozen=True):
    id: int


_ORDERS = msgspec.json.Decoder(list[_Order])
_GATEWAYS = msgspec.json.Decoder(list[_Gateway])
_PRODUCT = msgspec.json.Decoder(_Product)
_WEBHOOKS = msgspec.json.Decoder(list[_Webhook])


def examined(
    client: HttpClient, *, products: Sequence[int], methods: Mapping[str, str], hears: bool
) -> Iterator[Finding]:
    """Look at address and key first; where those are wrong nothing else can be asked. `hears`: whether the shop's
    webhooks are taken here. Changes nothing in the shop."""
    outcome = client.send("GET", f"{_ROOT}/orders", query=(("per_page", "1"),))
    seen = read(outcome, _ORDERS)
    if not isinstance(seen, list):
        yield _not_let_in(client, outcome)
        return
    yield Finding("orders", "ok", f"{client.target.origin} answers, and knows the key")
    yield from _products(client, products)
    if methods:
        yield from _gateways(client, methods)
    if hears:
        yield from _webhooks(client)


def let_in(client: HttpClient) -> Fault | None:
    """One cheap read with the key; None if the shop answers. Kinds: `wrong_key`, `wrong_address`, and `no_answer` for
    whatever passes by itself."""
    outcome = client.send("GET", f"{_ROOT}/orders", query=(("per_page", "1"),))
    seen = read(outcome, _ORDERS)
    if isinstance(seen, list):
        return None
    found = _not_let_in(client, outcome)
    if found.is_key or (isinstance(outcome, Answer) and outcome.status in (401, 403)):
        mend = "compare HOLDGATE_ORDER_KEY and HOLDGATE_ORDER_SECRET with Settings > Advanced > REST API"
        return Fault("wrong_key", found.detail, mend)
    if verdict(outcome) is Verdict.MISCONFIGURED:
        return Fault("wrong_address", found.detail, found.mend)
    return Fault("no_answer", found.detail, found.mend)


def _not_let_in(client: HttpClient, outcome: Outcome) -> Finding:
    error = _said(outcome)
    words = " ".join(filter(None, [detail(outcome), error.message]))
    if error.code in _KEYS:
        why = "the secret is wrong" if error.code == _KEYS[0] else "it does not know the key, or sees no TLS"
        return Finding("orders", "fail", f"{client.target.origin}: {words}: {why}", is_key=True)
    if isinstance(outcome, Answer) and outcome.status == 503:
        return Finding(
            "orders", "warn", f"{client.target.origin} is in maintenance: {words}", "wait, and look again"
        )
    mend = "see that HOLDGATE_ORDER_URL is the shop's own address, and that it answers"
    return Finding("orders", "fail", f"{client.target.origin}: {words}", mend)


def _products(client: HttpClient, products: Sequence[int]) -> Iterator[Finding]:
    for number in products:
        product = read(client.send("GET", f"{_ROOT}/products/{number}"), _PRODUCT)
        if not isinstance(product, _Product):
            mend = "see HOLDGATE_ORDER_PRODUCT_ID and HOLDGATE_ORDER_PRODUCT_IDS"
            yield Finding("product", "fail", f"the shop shows no product {number}: {product.detail}", mend)
        elif product.tax_status != "none":
            words = (
                f"product {number} is taxable: the shop would charge more than the quote, and orders are refused"
            )
            yield Finding("product", "fail", words, "set its tax status to None in the shop")


def _gateways(client: HttpClient, methods: Mapping[str, str]) -> Iterator[Finding]:
    gateways = read(client.send("GET", f"{_ROOT}/payment_gateways"), _GATEWAYS)
    if not isinstance(gateways, list):
        return
    active = {gateway.id for gateway in gateways if gateway.enabled}
    for method, name in methods.items():
        if name not in active:
            words = f"{method} is to be paid back by {name!r}, which is no active payment gateway of the shop"
            mend = f"HOLDGATE_ORDER_PAYMENT_METHODS: active are {', '.join(sorted(active)) or 'none'}"
            yield Finding("refunds", "fail", words, mend)


def _webhooks(client: HttpClient) -> Iterator[Finding]:
    hooks = read(client.send("GET", f"{_ROOT}/webhooks", query=(("per_page", "100"),)), _WEBHOOKS)
    if not isinstance(hooks, list):
        yield Finding("webhooks", "warn", f"the shop does not say which webhooks it has: {hooks.detail}")
        return
    ours = [hook for hook in hooks if hook.topic == _UPDATED and _PATH in hook.delivery_url]
    if any(hook.status == "active" for hook in ours):
        yield Finding("webhooks", "ok", f"{_UPDATED} is active; the shop does not say whether it was delivered")
    elif ours:
        words = f"webhook {ours[0].id} ({_UPDATED}) is {ours[0].status}: the shop gave it up after failures"
        yield Finding("webhooks", "fail", words, "switch it on again: Settings > Advanced > Webhooks in the shop")
    else:
        words = (
            f"no webhook tells {_UPDATED} to {_PATH}: what happens in the shop is found by looking, hours later"
        )
        yield Finding("webhooks", "fail", words, "add it: docs/orders.md, Setting up WooCommerce")


def _said(outcome: Outcome) -> WooError:
    if not isinstance(outcome, Answer) or verdict(outcome) is Verdict.ANSWERED:
        return WooError("")
    try:
        return ERROR.decode(outcome.body)
    except (msgspec.DecodeError, RecursionError):
        return WooError("")
