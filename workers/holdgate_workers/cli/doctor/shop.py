"""The doctor on the shop that orders go to: whether it can be used as it is set up, and who waits for it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from holdgate_workers.cli.output.formats import span

from .check import Check, Checks

if TYPE_CHECKING:
    from holdgate_workers.config.environment import ServiceConfig

AREA = "shop"
MEND_SECRET = "compare HOLDGATE_ORDER_KEY and HOLDGATE_ORDER_SECRET with Settings > Advanced > REST API"  # noqa: S105


def shop(config: ServiceConfig, url: str) -> Checks:
    """Ask the shop what it says of itself, and the sagas what they wait for."""
    if config.order_gateway == "woocommerce":
        yield from _woocommerce(config)
    elif config.order_gateway == "webhook":
        yield from _webhook(config)
    yield from waiting(url)


def waiting(url: str) -> Checks:
    """The conversions that the shop has held up so far, and whether it is left alone because of that."""
    from holdgate_workers.adapters.postgres.ordering.sagas import SagaBook

    with closing(SagaBook(url)) as book:
        held = book.held_up()
    if not held.number:
        yield Check(AREA, "conversions", "ok", "none waits for the shop")
        return
    detail = (
        f"{held.number} wait for the shop, the first for {span(held.oldest_seconds)}; it last said: {held.said}"
    )
    if held.is_left_alone:
        yield Check(
            AREA, "circuit", "warn", "open: the shop is asked with one request now and then", "see what it says"
        )
    yield Check(AREA, "conversions", "warn", detail, "mend what the shop says; they go on by themselves")


def _woocommerce(config: ServiceConfig) -> Checks:
    from holdgate_workers.adapters.shops.woocommerce.setup import examined
    from holdgate_workers.wiring.shops import woocommerce_client

    address = config.order_url or ""
    if address.startswith("http://"):
        detail = f"{address} is reached without TLS, and WooCommerce then knows no key unless it is told otherwise"
        yield Check(AREA, "address", "warn", detail, "set HOLDGATE_ORDER_URL to the shop's https:// address")
    products = sorted({config.order_product_id or 0, *config.order_product_ids.values()})
    methods = config.order_payment_methods if config.order_refunds_payment else {}
    hears = config.order_webhook_port is not None
    for finding in examined(woocommerce_client(config), products=products, methods=methods, hears=hears):
        mend = MEND_SECRET if finding.is_key else finding.mend
        yield Check(AREA, finding.name, finding.status, finding.detail, mend)


def _webhook(config: ServiceConfig) -> Checks:
    from holdgate_workers.app.ordering.orders import Found, NotFound
    from holdgate_workers.wiring.shops import order_gateway

    gateway = order_gateway(config, "")
    with closing(gateway):
        found = gateway.find("hg-doctor-looks-for-nothing")
    if isinstance(found, Found | NotFound):
        yield Check(AREA, "hook", "ok", "answers signed requests")
        return
    said = getattr(found, "detail", "") or getattr(found, "reason", "")
    mend = "see that HOLDGATE_ORDER_URL and HOLDGATE_ORDER_SECRET are those of the shop's hook"
    yield Check(AREA, "hook", "fail", f"does not answer order.find.v1 as agreed: {said}", mend)
