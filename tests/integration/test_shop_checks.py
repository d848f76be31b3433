"""The doctor looks at the shop, and says in the shop's own words what is to be mended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.conformance.order_gateways import nowhere_url
from tests.support.fake_hook_shop import SECRET as HOOK_SECRET
from tests.support.fake_woocommerce import KEY, PRODUCT_ID, SECRET, FakeWooCommerce, fake_woocommerce
from tests.support.postgres import migrated_database

from holdgate_workers.cli.doctor.check import Check
from holdgate_workers.cli.doctor.shop import shop as checks
from holdgate_workers.config.environment import ServiceConfig

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with migrated_database() as opened:
        yield opened


@pytest.fixture
def shop() -> Iterator[FakeWooCommerce]:
    with fake_woocommerce() as opened:
        yield opened


def examined(shop: FakeWooCommerce, url: str, **more: object) -> dict[str, Check]:
    fields = {
        "order_gateway": "woocommerce",
        "order_url": shop.url,
        "order_key": KEY,
        "order_secret": SECRET,
        "order_product_id": PRODUCT_ID,
        **more,
    }
    return {check.name: check for check in checks(ServiceConfig(**fields), url)}  # type: ignore[arg-type]


def test_a_shop_that_is_set_up_is_well(shop: FakeWooCommerce, url: str) -> None:
    shop.webhooks.add("https://house.example/webhooks/woocommerce", "s" * 32)
    told = examined(
        shop,
        url,
        order_payment_methods="credit_card=stripe",
        order_webhook_port=0,
        order_webhook_secret="s" * 32,
    )
    assert {name: check.status for name, check in told.items() if name != "address"} == {
        "orders": "ok",
        "webhooks": "ok",
        "conversions": "ok",
    }


@pytest.mark.parametrize(
    ("more", "is_behind_tls", "words"),
    [
        ({"order_secret": "cs_wrong"}, True, "the secret is wrong"),
        ({"order_key": "ck_wrong"}, True, "it does not know the key"),
        ({}, False, "sees no TLS"),
    ],
)
def test_a_key_that_the_shop_does_not_know_is_said(
    shop: FakeWooCommerce, url: str, more: dict[str, object], is_behind_tls: bool, words: str
) -> None:
    shop.is_behind_tls = is_behind_tls
    found = examined(shop, url, **more)["orders"]
    assert found.status == "fail"
    assert words in found.detail
    assert "HOLDGATE_ORDER_KEY" in found.mend
    assert "cs_" not in found.detail


def test_plain_http_is_warned_of(shop: FakeWooCommerce, url: str) -> None:
    assert examined(shop, url)["address"].status == "warn"


def test_a_shop_in_maintenance_is_waited_for(shop: FakeWooCommerce, url: str) -> None:
    shop.is_in_maintenance = True
    found = examined(shop, url)["orders"]
    assert (found.status, "maintenance" in found.detail) == ("warn", True)


def test_where_nobody_is_it_says_so(shop: FakeWooCommerce, url: str) -> None:
    found = examined(shop, url, order_url=nowhere_url())["orders"]
    assert found.status == "fail"
    assert "HOLDGATE_ORDER_URL" in found.mend


def test_what_would_refuse_every_order_or_refund_is_said_before(shop: FakeWooCommerce, url: str) -> None:
    shop.tax_percent = type(shop.tax_percent)(19)
    told = examined(shop, url, order_payment_methods="credit_card=stripe,wire=bacs")
    assert "taxable" in told["product"].detail
    assert "'bacs'" in told["refunds"].detail
    assert "stripe" in told["refunds"].mend
    assert "no product 95" in examined(shop, url, order_product_ids="lunch=95")["product"].detail


@pytest.mark.parametrize("status", [None, "disabled"])
def test_a_webhook_that_is_missing_or_was_given_up_is_said(
    shop: FakeWooCommerce, url: str, status: str | None
) -> None:
    if status is not None:
        shop.webhooks.add("https://house.example/webhooks/woocommerce", "s" * 32)["status"] = status
    found = examined(shop, url, order_webhook_port=0, order_webhook_secret="s" * 32)["webhooks"]
    assert found.status == "fail"
    assert (status or "no webhook") in found.detail


def test_a_webhook_is_given_up_at_its_seventh_failure_in_a_row(shop: FakeWooCommerce) -> None:
    """As the shop was seen to do; it tells nobody."""
    hook = shop.webhooks.add(f"{nowhere_url()}/webhooks/woocommerce", "s" * 32)
    for failures in range(1, 8):
        assert hook["status"] == "active", failures
        shop.webhooks.happened("order.updated", 727)
        shop.orders[727] = {"id": 727, "_refunds": [], "status": "pending"}
        shop.webhooks.run_cron()
    assert hook["status"] == "disabled"


def test_a_hook_that_does_not_answer_is_said(url: str) -> None:
    config = ServiceConfig(order_gateway="webhook", order_url=nowhere_url(), order_secret=HOOK_SECRET)
    [hook, _] = checks(config, url)
    assert (hook.name, hook.status) == ("hook", "fail")


def test_nothing_waits_for_a_shop_where_nothing_is_converted(url: str) -> None:
    [conversions] = checks(ServiceConfig(), url)
    assert (conversions.name, conversions.status) == ("conversions", "ok")
