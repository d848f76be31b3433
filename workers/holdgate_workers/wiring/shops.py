"""Puts the order gateway together: the shop that is configured, behind a circuit breaker."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime

from pydantic import SecretStr

from holdgate_workers.adapters.http.client import HttpClient, Timeouts
from holdgate_workers.adapters.http.signing import InvalidKey, SigningKey
from holdgate_workers.adapters.http.target import InvalidTarget, Target
from holdgate_workers.adapters.shops.guarded import GuardedGateway
from holdgate_workers.adapters.shops.local import LocalGateway
from holdgate_workers.adapters.shops.webhook import WebhookGateway
from holdgate_workers.adapters.shops.woocommerce.api import WooCommerceApi, shop_client
from holdgate_workers.adapters.shops.woocommerce.gateway import WooCommerceGateway
from holdgate_workers.adapters.shops.woocommerce.orders import WooCommerceShop
from holdgate_workers.app.circuit_breaker import BackOff, CircuitBreaker
from holdgate_workers.app.ordering.orders import OrderGateway
from holdgate_workers.config.environment import ConfigError
from holdgate_workers.config.shops import OrderSettings, variable

SHOP_PAUSE = BackOff(first_seconds=5.0, max_seconds=15.0)
"""How long a shop that fails is left alone, whatever wait it asks for: its one probe costs it nothing, and conversions,
which may have no more than a minute, wait behind it. At most a quarter of that."""


def order_gateway(config: OrderSettings, database_url: str) -> OrderGateway:
    """The gateway that is configured. Raises `ConfigError` naming the variable that cannot be used.

    A shop is guarded by a breaker (`GuardedGateway.circuit` says how it stands). Our own table is not: it is in the
    database without which nothing else works either, and back the moment that is.
    """
    match config.order_gateway:
        case "local":
            return LocalGateway(database_url)
        case "woocommerce":
            return _guarded(_woocommerce(config))
        case "webhook":
            return _guarded(_webhook(config))


def _woocommerce(config: OrderSettings) -> WooCommerceGateway:
    product_id = config.order_product_id
    assert product_id is not None, "the configuration was checked"
    shop = WooCommerceShop(
        product_id=product_id,
        product_ids=config.order_product_ids,
        payment_methods=config.order_payment_methods,
        coupons_as=config.order_coupons_as,
        refunds_payment=config.order_refunds_payment,
        settle_seconds=config.order_settle_seconds,
    )
    return WooCommerceGateway(WooCommerceApi(woocommerce_client(config)), shop)


def woocommerce_client(config: OrderSettings) -> HttpClient:
    """The client for the shop's API. Raises `ConfigError`."""
    key, secret = _told(config.order_key), _told(config.order_secret)
    return shop_client(_target(config), key, secret, _timeouts(config))


def _webhook(config: OrderSettings) -> WebhookGateway:
    try:
        key = SigningKey(_told(config.order_secret))
    except InvalidKey as exc:
        raise _wrong("order_secret", exc) from None
    return WebhookGateway(HttpClient(_target(config), timeouts=_timeouts(config)), key, wall_clock)


def _guarded(gateway: OrderGateway) -> GuardedGateway:
    draw = random.random  # jitter
    breaker = CircuitBreaker(pause=SHOP_PAUSE)
    return GuardedGateway(gateway, breaker, elapsed_seconds=time.monotonic, draw=draw)


def _target(config: OrderSettings) -> Target:
    try:
        return Target(config.order_url or "", plain_http_hosts=config.order_plain_http_hosts)
    except InvalidTarget as exc:
        raise _wrong("order_url", exc) from None


def _timeouts(config: OrderSettings) -> Timeouts:
    return Timeouts(config.order_connect_seconds, config.order_read_seconds, config.order_total_seconds)


def _told(secret: SecretStr | None) -> str:
    assert secret is not None, "the configuration was checked"
    return secret.get_secret_value()


def _wrong(name: str, exc: Exception) -> ConfigError:
    """The reason without the field's name, which is the adapter's own."""
    return ConfigError(f"{variable(name)}: {str(exc).partition(': ')[2]}")


def wall_clock() -> datetime:
    """What the shop sends and is sent is held against a clock of its world, not against the database's."""
    return datetime.now(UTC)  # noqa: TID251
