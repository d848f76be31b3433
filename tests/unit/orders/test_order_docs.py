"""docs/orders.md says what the code does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from tests.support.http_peer import Reply, Request, http_peer

from holdgate_workers.adapters.http.client import BODY_BYTES_MAX as ANSWER_BYTES_MAX
from holdgate_workers.adapters.http.client import HttpClient
from holdgate_workers.adapters.http.signing import KEY_BYTES_MIN, WINDOW, Signed, SigningKey, verify
from holdgate_workers.adapters.http.target import Target
from holdgate_workers.adapters.shops.webhook import WebhookGateway
from holdgate_workers.adapters.shops.woocommerce.events import AGE_MAX, BODY_BYTES_MAX
from holdgate_workers.adapters.shops.woocommerce.orders import _STATUSES, REFERENCE_LINE
from holdgate_workers.app.ordering.orders import Created, Customer, NewOrder, NewRefund, OrderStatus, ShopOrder
from holdgate_workers.config.shops import GatewayName, OrderSettings, variable
from holdgate_workers.roles.web.order_webhooks import _REJECTED, PATH

PROSE = (Path(__file__).parents[3] / "docs" / "orders.md").read_text(encoding="utf-8")
FENCED = {
    (kind, name): text
    for kind, name, text in re.findall(r"^```(\S+) (\S+)\n(.*?)^```$", PROSE, re.DOTALL | re.MULTILINE)
}
SECRET = re.search(r"`(whsec_\S+)`", PROSE.partition("### The signature")[2])[1]  # type: ignore[index]
SIGNED_AT = datetime(2030, 5, 1, 9, 30, tzinfo=UTC)


def table(heading: str) -> list[list[str]]:
    """The rows of the table that begins with that cell."""
    text = PROSE.partition(f"\n| {heading} |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()[2:]]


def signed_example() -> tuple[dict[str, str], bytes]:
    head, _, body = FENCED["http", "signed"].partition("\n\n")
    return dict(line.split(": ", 1) for line in head.splitlines()[1:]), body.strip().encode()


def sent_by(act: Callable[[WebhookGateway], object], answer: object = None) -> list[Request]:
    """What the gateway sends to a shop that answers this."""
    with http_peer(lambda _: Reply(200, answer)) as shop:
        client = HttpClient(Target(shop.url + FENCED["http", "signed"].split()[1]))
        act(WebhookGateway(client, SigningKey(SECRET), lambda: SIGNED_AT))
        return shop.requests


# --- settings ---------------------------------------------------------------------------------------------------


def test_every_variable_is_there_with_its_default() -> None:
    shown = {row[0].strip("`"): row[1] for row in table("variable")}
    names = {None: "unset", (): "none", True: "true"}

    def written(value: Any) -> str:
        if value == {}:
            return "none"
        return f"{value:g}" if isinstance(value, float) else names.get(value, str(value))

    fields = OrderSettings.model_fields
    assert shown == {variable(name): written(field.default) for name, field in fields.items()}


def test_the_gateways_are_those_that_can_be_chosen() -> None:
    assert [row[0].strip("`") for row in table("`HOLDGATE_ORDER_GATEWAY`")] == list(get_args(GatewayName))


def test_no_variable_is_made_up() -> None:
    told = set(re.findall(r"HOLDGATE_[A-Z_]+[A-Z]", PROSE))
    assert told <= {variable(name) for name in OrderSettings.model_fields}


# --- WooCommerce ------------------------------------------------------------------------------------------------


def test_the_states_of_the_shop_mean_what_is_said() -> None:
    shown = {theirs: row[1] for row in table("in WooCommerce") for theirs in re.findall(r"`([a-z-]+)`", row[0])}
    assert shown == _STATUSES


def test_the_endpoint_and_its_answers_are_those_that_are_given() -> None:
    assert f"https://<your host>{PATH}`" in PROSE
    told = {int(row[0]) for row in table("answer") if row[0].isdigit()}
    assert told == {200, 503, *(status.value for status in _REJECTED.values())}


def test_the_bounds_are_those_of_the_code() -> None:
    assert (BODY_BYTES_MAX, ANSWER_BYTES_MAX) == (1 << 20, 1 << 20)
    assert PROSE.count("1 MiB") == 2
    assert f"more than {AGE_MAX.total_seconds() / 3600:.0f} hours old" in PROSE
    assert WINDOW.total_seconds() == 300
    assert PROSE.count(f"at least {KEY_BYTES_MIN} ") == 2


def test_the_line_by_which_an_order_is_found_is_named() -> None:
    assert f"`{REFERENCE_LINE}<reference>`" in PROSE


# --- the contract of the signed webhook -------------------------------------------------------------------------


def test_the_worked_signature_is_right() -> None:
    headers, body = signed_example()
    assert verify(headers, body, [SigningKey(SECRET)], SIGNED_AT) == Signed(headers["webhook-id"], SIGNED_AT)


def test_the_worked_request_is_what_is_sent() -> None:
    (request,) = sent_by(lambda gateway: gateway.find("hg-5d2c41f0"), {"order": None})
    headers, body = signed_example()
    assert request.body == body
    assert {name: request.headers[name.lower()] for name in headers} == headers
    assert FENCED["http", "signed"].split()[:2] == [request.method, request.path]


@pytest.mark.parametrize(("later", "right"), [(0, True), (300, True), (301, False), (-301, False)])
def test_the_verifier_that_is_shown_works(later: float, right: bool) -> None:
    room: dict[str, Any] = {}
    exec(FENCED["python", "verify"], room)
    headers, body = signed_example()
    now = SIGNED_AT.timestamp() + later
    assert room["is_signed"](SECRET, headers, body, now) is right
    assert not room["is_signed"](SECRET, headers, body + b" ", now)


def test_the_commands_are_those_that_are_sent() -> None:
    order = msgspec.convert(json.loads(FENCED["json", "create"])["order"], NewOrder)

    def everything(gateway: WebhookGateway) -> None:
        gateway.create(order)
        gateway.find(order.reference)
        gateway.get("A-1")
        gateway.cancel("A-1", "why")
        gateway.refund("A-1", NewRefund(reference="hg-5d2c41f0-r1", amount=1))

    sent = [request.json() for request in sent_by(everything)]
    told = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in table("`type`")}
    assert told == {body.pop("type"): set(body) for body in sent}


def test_an_order_is_asked_for_as_shown() -> None:
    shown = json.loads(FENCED["json", "create"])
    order = msgspec.convert(shown["order"], NewOrder)
    (request,) = sent_by(lambda gateway: gateway.create(order), json.loads(FENCED["json", "answer"]))
    assert request.json() == shown


def test_the_answer_that_is_shown_is_understood() -> None:
    order = msgspec.convert(json.loads(FENCED["json", "create"])["order"], NewOrder)
    results: list[object] = []
    sent_by(lambda gateway: results.append(gateway.create(order)), json.loads(FENCED["json", "answer"]))
    (result,) = results
    assert isinstance(result, Created)
    assert (result.order.order_id, result.order.changed_at) == ("A-1", SIGNED_AT)
    assert set(json.loads(FENCED["json", "answer"])["order"]) == set(ShopOrder.__struct_fields__)


def test_the_words_of_customers_and_states_are_complete() -> None:
    contract = PROSE.partition("## 6.")[2]
    assert all(f"`{name}`" in contract for name in Customer.__struct_fields__)
    assert all(f"`{status}`" in contract for status in get_args(OrderStatus))
    assert all(f"`{name}`" in contract for name in NewRefund.__struct_fields__)
