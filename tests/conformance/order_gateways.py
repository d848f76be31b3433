"""The order gateways, each with something behind it that the tests can look at.

To plug in another, write a context manager that gives an `OrderHarness` and add it to `HARNESSES`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from time import monotonic

import psycopg
from tests.support.fake_hook_shop import NOW, fake_hook_shop
from tests.support.fake_hook_shop import SECRET as HOOK_SECRET
from tests.support.fake_woocommerce import KEY, PRODUCT_ID, SECRET, fake_woocommerce
from tests.support.http_peer import HttpPeer
from tests.support.postgres import migrated_database

from holdgate_workers.adapters.http.client import HttpClient, Timeouts
from holdgate_workers.adapters.http.signing import SigningKey
from holdgate_workers.adapters.http.target import Target
from holdgate_workers.adapters.shops.guarded import GuardedGateway
from holdgate_workers.adapters.shops.local import LocalGateway
from holdgate_workers.adapters.shops.webhook import WebhookGateway
from holdgate_workers.adapters.shops.woocommerce.api import WooCommerceApi, shop_client
from holdgate_workers.adapters.shops.woocommerce.gateway import WooCommerceGateway
from holdgate_workers.adapters.shops.woocommerce.orders import WooCommerceShop
from holdgate_workers.app.circuit_breaker import CircuitBreaker
from holdgate_workers.app.ordering.orders import OrderGateway

PATIENT = Timeouts(connect_seconds=15.0, read_seconds=15.0, total_seconds=30.0)
IMPATIENT = Timeouts(connect_seconds=15.0, read_seconds=0.5, total_seconds=1.0)


@dataclass
class OrderHarness:
    """A gateway, the same one with nobody behind it, and the states of the orders under a reference as the shop itself
    has them. If there is a peer that can misbehave, `impatient` is the gateway for when it does not answer."""

    gateway: OrderGateway
    nobody: OrderGateway
    states: Callable[[str], list[str]]
    peer: HttpPeer | None = None
    impatient: OrderGateway | None = None


@contextmanager
def local_orders() -> Iterator[OrderHarness]:
    with migrated_database() as url, psycopg.connect(url, autocommit=True) as connection:

        def states(reference: str) -> list[str]:
            rows = connection.execute("SELECT status FROM orders WHERE reference = %s", [reference]).fetchall()
            return [status for (status,) in rows]

        gateway = LocalGateway(url)
        try:
            yield OrderHarness(gateway, LocalGateway(f"postgresql://127.0.0.1:{free_port()}/nobody"), states)
        finally:
            gateway.close()


@contextmanager
def woocommerce_orders() -> Iterator[OrderHarness]:
    names = {"processing": "paid"}
    with fake_woocommerce() as shop:

        def states(reference: str) -> list[str]:
            return [names.get(order["status"], order["status"]) for order in shop.under(reference)]

        there, nowhere = woocommerce(shop.url), woocommerce(nowhere_url())
        yield OrderHarness(there, nowhere, states, shop.peer, woocommerce(shop.url, IMPATIENT))


def woocommerce(url: str, timeouts: Timeouts = PATIENT, **shop: object) -> WooCommerceGateway:
    """A gateway to a shop with that address."""
    settings = WooCommerceShop(**{"product_id": PRODUCT_ID, **shop})  # type: ignore[arg-type]
    return WooCommerceGateway(WooCommerceApi(shop_client(Target(url), KEY, SECRET, timeouts)), settings)


@contextmanager
def webhook_orders() -> Iterator[OrderHarness]:
    with fake_hook_shop() as shop:

        def gateway(url: str, timeouts: Timeouts = PATIENT) -> WebhookGateway:
            client = HttpClient(Target(url), timeouts=timeouts)
            return WebhookGateway(client, SigningKey(HOOK_SECRET), lambda: NOW)

        def states(reference: str) -> list[str]:
            return [order["status"] for order in shop.under(reference)]

        there, nowhere = gateway(shop.url), gateway(nowhere_url())
        yield OrderHarness(there, nowhere, states, shop.peer, gateway(shop.url, IMPATIENT))


@contextmanager
def guarded_orders() -> Iterator[OrderHarness]:
    """Behind a breaker, as shops are; failures of single tests do not open it."""
    with webhook_orders() as bare:
        assert bare.impatient is not None

        def guarded(gateway: OrderGateway) -> GuardedGateway:
            return GuardedGateway(gateway, CircuitBreaker(), elapsed_seconds=monotonic, draw=lambda: 0.5)

        there, impatient = guarded(bare.gateway), guarded(bare.impatient)
        yield OrderHarness(there, guarded(bare.nobody), bare.states, bare.peer, impatient)


def nowhere_url() -> str:
    return f"http://127.0.0.1:{free_port()}"


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


HARNESSES: dict[str, Callable[[], AbstractContextManager[OrderHarness]]] = {
    "guarded": guarded_orders,
    "local": local_orders,
    "webhook": webhook_orders,
    "woocommerce": woocommerce_orders,
}
