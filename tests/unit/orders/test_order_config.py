"""The shop that is configured is the one that gets the orders, and what is missing is named."""

from __future__ import annotations

import os
import traceback

import pytest
from tests.support.orders import new_order

from holdgate_workers.adapters.shops.guarded import GuardedGateway
from holdgate_workers.adapters.shops.local import LocalGateway
from holdgate_workers.app.ordering.orders import Unavailable
from holdgate_workers.config.environment import ConfigError, ServiceConfig, read_config
from holdgate_workers.wiring.shops import order_gateway

WOOCOMMERCE = {
    "GATEWAY": "woocommerce",
    "URL": "https://shop.example",
    "KEY": "ck_1",
    "SECRET": "cs_geheim",
    "PRODUCT_ID": "93",
}
WEBHOOK = {"GATEWAY": "webhook", "URL": "https://shop.example/hook", "SECRET": "s" * 24}
NOWHERE = "postgresql://127.0.0.1:1/nobody"


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HOLDGATE_ORDER_")]:
        monkeypatch.delenv(name)


def told(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> ServiceConfig:
    for name, value in given.items():
        monkeypatch.setenv(f"HOLDGATE_ORDER_{name}", value)
    return read_config()


def refusal(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        order_gateway(told(monkeypatch, given), NOWHERE)
    return str(caught.value)


def test_with_nothing_set_orders_go_to_our_own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    config = told(monkeypatch, {})
    assert isinstance(order_gateway(config, NOWHERE), LocalGateway)
    assert config.order_webhook_secrets == ()


@pytest.mark.parametrize("given", [WOOCOMMERCE, WEBHOOK], ids=["woocommerce", "webhook"])
def test_a_shop_is_asked_behind_a_breaker(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> None:
    gateway = order_gateway(told(monkeypatch, {**given, "URL": "http://127.0.0.1:1/"}), NOWHERE)
    assert isinstance(gateway, GuardedGateway)
    assert gateway.name == given["GATEWAY"]
    for _ in range(5):
        assert isinstance(gateway.create(new_order(), sent_before=False), Unavailable)
    assert gateway.circuit == "open"
    gateway.close()


def test_the_shop_is_set_up_as_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    more = {
        "PRODUCT_IDS": "adult=93, lunch = 95",
        "COUPONS_AS": "coupon",
        "REFUNDS_PAYMENT": "false",
        "SETTLE_SECONDS": "45",
        "PLAIN_HTTP_HOSTS": "shop, intranet",
        "URL": "http://shop/",
        "WEBHOOK_PORT": "0",
        "WEBHOOK_SECRET": "the new one, with a comma",
        "WEBHOOK_SECRET_BEFORE": "the old one",
    }
    config = told(monkeypatch, {**WOOCOMMERCE, **more})
    assert config.order_product_ids == {"adult": 93, "lunch": 95}
    assert (config.order_coupons_as, config.order_refunds_payment) == ("coupon", False)
    assert config.order_webhook_secrets == ("the new one, with a comma", "the old one")
    assert order_gateway(config, NOWHERE).settle_seconds == 45


@pytest.mark.parametrize("missing", ["URL", "KEY", "SECRET", "PRODUCT_ID"])
def test_what_woocommerce_cannot_do_without_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    given = {name: value for name, value in WOOCOMMERCE.items() if name != missing}
    words = f"HOLDGATE_ORDER_{missing}: is needed with HOLDGATE_ORDER_GATEWAY=woocommerce"
    assert refusal(monkeypatch, given) == words


def test_everything_that_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, {"GATEWAY": "webhook", "URL": ""})
    assert said.count("is needed with") == 2
    assert "HOLDGATE_ORDER_URL: " in said
    assert "HOLDGATE_ORDER_SECRET: " in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY", "shopify"),
        ("URL", "http://shop.example"),
        ("URL", "https://ck:cs@shop.example"),
        ("URL", "shop.example"),
        ("PRODUCT_ID", "0"),
        ("PRODUCT_IDS", "adult"),
        ("PRODUCT_IDS", "adult=many"),
        ("COUPONS_AS", "gift"),
        ("SETTLE_SECONDS", "0"),
        ("TOTAL_SECONDS", "forever"),
        ("WEBHOOK_PORT", "70000"),
    ],
)
def test_a_variable_that_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert refusal(monkeypatch, {**WOOCOMMERCE, name: value}).startswith(f"HOLDGATE_ORDER_{name}: ")


def test_a_signing_secret_that_is_too_short_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, {**WEBHOOK, "SECRET": "geheim"})
    assert said == "HOLDGATE_ORDER_SECRET: must have at least 24 bytes"


def test_the_shops_webhooks_need_a_secret_and_a_shop_that_sends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, {**WOOCOMMERCE, "WEBHOOK_PORT": "8443"})
    assert said == "HOLDGATE_ORDER_WEBHOOK_SECRET: is needed with HOLDGATE_ORDER_WEBHOOK_PORT"
    said = refusal(monkeypatch, {**WEBHOOK, "WEBHOOK_PORT": "8443", "WEBHOOK_SECRET": "s" * 32})
    assert said == "HOLDGATE_ORDER_WEBHOOK_PORT: only WooCommerce sends webhooks of its own"


def test_no_secret_is_told_by_a_configuration_or_by_what_is_wrong_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {**WOOCOMMERCE, "WEBHOOK_SECRET": "geheim too"}
    config = told(monkeypatch, given)
    assert "geheim" not in f"{config!r} {config}"
    for wrong in ({"PRODUCT_ID": ""}, {"PRODUCT_ID": "93", "URL": ""}):
        with pytest.raises(ConfigError) as caught:
            told(monkeypatch, {**given, **wrong})
        assert "geheim" not in "".join(traceback.format_exception(caught.value))
