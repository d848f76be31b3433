"""The shop's webhooks over real HTTP: whom we believe, what we hand on, and what the shop hears."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta

import httpx
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from tests.conformance.order_gateways import nowhere_url, woocommerce
from tests.support.fake_woocommerce import FakeWooCommerce, fake_woocommerce, signed_delivery
from tests.support.orders import new_order
from tests.support.rabbit import eventually

from holdgate_workers.adapters.shops.woocommerce.events import AGE_MAX, BODY_BYTES_MAX
from holdgate_workers.app.ordering.orders import Created, Found, OrderEvent, OrderGateway, ShopOrder
from holdgate_workers.roles.web.order_webhooks import CONNECTIONS_MAX, PATH, OrderWebhooks, OrderWebhookServer

SECRET = "s" * 32
PATIENCE_SECONDS = 15.0
Delivery = tuple[dict[str, str], bytes]


class Bench:
    """A shop, our endpoint, and what came in by it."""

    def __init__(self, shop: FakeWooCommerce, silence_seconds: float) -> None:
        self.shop = shop
        self.gateway: OrderGateway = woocommerce(shop.url)
        self.now = shop.now
        self.accepted: list[OrderEvent] = []
        self.durable: bool | Exception = True
        self.registry = CollectorRegistry()
        self.server = OrderWebhookServer(
            OrderWebhooks(
                secrets=[SECRET, "the one before"],
                accept=self.accept,
                look=lambda order_id: self.gateway.get(order_id),
                now=lambda: self.now,
                registry=self.registry,
            ),
            host="127.0.0.1",
            port=0,
            silence_seconds=silence_seconds,
        )
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.server.port}", trust_env=False, timeout=PATIENCE_SECONDS
        )

    def accept(self, event: OrderEvent) -> bool:
        self.accepted.append(event)
        if isinstance(self.durable, Exception):
            raise self.durable
        return self.durable

    def deliver(self, delivery: Delivery) -> int:
        headers, body = delivery
        return self.client.post(PATH, headers=headers, content=body).status_code

    def order(self) -> ShopOrder:
        created = self.gateway.create(new_order(), sent_before=False)
        assert isinstance(created, Created)
        return created.order

    def counted(self, outcome: str) -> float:
        return self.registry.get_sample_value("holdgate_order_webhooks_total", {"outcome": outcome}) or 0

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=PATIENCE_SECONDS)

    def raw(self, request: bytes) -> bytes:
        """What comes back until the end of the connection."""
        with self.connected() as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    answer = b""
    with suppress(ConnectionResetError):
        while chunk := connection.recv(4096):
            answer += chunk
    return answer


@contextmanager
def a_bench(silence_seconds: float = PATIENCE_SECONDS) -> Iterator[Bench]:
    with fake_woocommerce() as shop:
        bench = Bench(shop, silence_seconds)
        try:
            yield bench
        finally:
            bench.client.close()
            bench.server.stop()


@pytest.fixture
def bench() -> Iterator[Bench]:
    with a_bench() as bench:
        yield bench


def request(headers: str, body: bytes = b"") -> bytes:
    return f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n".encode() + body


# --- what is believed -------------------------------------------------------------------------------------------


def test_what_the_shop_says_of_an_order_is_handed_on(bench: Bench) -> None:
    order = bench.order()
    assert bench.deliver(bench.shop.delivery(int(order.order_id))) == 200
    (event,) = bench.accepted
    assert bench.gateway.find(order.reference) == Found(event.order)
    assert event.delivery_id == "c1a1f5a2e2d84e0d9c4e3f4b5a697887"
    assert bench.counted("taken") == 1


def test_nobody_else_is_believed(bench: Bench) -> None:
    headers, body = bench.shop.delivery(int(bench.order().order_id))
    unsigned = {name: text for name, text in headers.items() if name != "X-WC-Webhook-Signature"}
    changed = body.replace(b"processing", b"cancelled")
    assert changed != body
    assert bench.deliver((headers, changed)) == 401
    assert bench.deliver((unsigned, body)) == 401
    assert bench.deliver(signed_delivery(body, "order.updated", "another secret")) == 401
    assert bench.accepted == []
    assert (bench.counted("bad_signature"), bench.counted("unsigned")) == (2, 1)


def test_a_secret_is_replaced_without_a_gap(bench: Bench) -> None:
    order_id = int(bench.order().order_id)
    assert bench.deliver(bench.shop.delivery(order_id, secret="the one before")) == 200
    assert len(bench.accepted) == 1


def test_the_first_knock_of_a_new_webhook_is_answered(bench: Bench) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert bench.deliver((form, b"webhook_id=5")) == 200
    assert bench.accepted == []


@pytest.mark.parametrize("topic", ["product.updated", "order.updated"])
def test_what_is_not_about_an_order_of_ours_is_fine(bench: Bench, topic: str) -> None:
    body = json.dumps({"id": 5, "status": "processing", "currency": "EUR", "total": "9.00"}).encode()
    assert bench.deliver(signed_delivery(body, topic, SECRET)) == 200
    assert bench.accepted == []


# --- once, and durably ------------------------------------------------------------------------------------------


def test_the_same_words_are_handed_on_once_whatever_their_headers_say(bench: Bench) -> None:
    headers, body = bench.shop.delivery(int(bench.order().order_id))
    for number in range(3):
        again = {**headers, "X-WC-Webhook-Delivery-ID": str(number), "X-WC-Webhook-Topic": "order.created"}
        assert bench.deliver((again, body)) == 200
    assert len(bench.accepted) == 1
    assert bench.counted("repeated") == 2


@pytest.mark.parametrize("trouble", [False, RuntimeError("the queue is gone")], ids=repr)
def test_what_is_not_durable_is_not_said_to_be_taken(bench: Bench, trouble: bool | Exception) -> None:
    delivery = bench.shop.delivery(int(bench.order().order_id))
    bench.durable = trouble
    assert bench.deliver(delivery) == 503
    assert bench.deliver(delivery) == 503
    bench.durable = True
    assert bench.deliver(delivery) == 200
    assert len({event.delivery_key for event in bench.accepted}) == 1
    assert len(bench.accepted) == 3


def test_many_at_once_are_each_handed_on_once(bench: Bench) -> None:
    orders = [bench.order() for _ in range(40)]
    deliveries = [bench.shop.delivery(int(order.order_id)) for order in orders]
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(bench.deliver, deliveries)) == {200}
    assert sorted(event.order.reference for event in bench.accepted) == sorted(order.reference for order in orders)


def test_an_endpoint_that_stops_answers_what_it_has_taken(bench: Bench) -> None:
    """The shop would not send it again."""
    entered, release = threading.Event(), threading.Event()
    delivery = bench.shop.delivery(int(bench.order().order_id))

    def accept(event: OrderEvent) -> bool:
        entered.set()
        return release.wait(PATIENCE_SECONDS)

    bench.server._webhooks._accept = accept
    with ThreadPoolExecutor(2) as threads:
        answer = threads.submit(bench.deliver, delivery)
        assert entered.wait(PATIENCE_SECONDS)
        stopped = threads.submit(bench.server.stop)
        eventually(lambda: bench.server._server.socket.fileno() == -1)
        assert not stopped.done()
        release.set()
        assert answer.result(PATIENCE_SECONDS) == 200
        stopped.result(PATIENCE_SECONDS)


# --- words that do not count ------------------------------------------------------------------------------------


def test_old_words_make_us_look_and_what_the_shop_says_now_is_handed_on(bench: Bench) -> None:
    """Somebody repeats what was true a week ago."""
    order = bench.order()
    paid = bench.shop.delivery(int(order.order_id))
    bench.gateway.cancel(order.order_id, "changed their mind")
    bench.now += AGE_MAX + timedelta(seconds=1)
    assert bench.deliver(paid) == 200
    assert [event.order.status for event in bench.accepted] == ["cancelled"]
    # Each time the shop is asked, and its answer handed on: what the booking knows already is not told again.
    assert bench.deliver(paid) == 200
    assert [(event.order.status, event.is_fresh) for event in bench.accepted] == [("cancelled", True)] * 2


def test_an_order_in_the_trash_is_cancelled(bench: Bench) -> None:
    order = bench.order()
    bench.shop.orders[int(order.order_id)]["status"] = "trash"
    assert bench.deliver(bench.shop.delivery(int(order.order_id), "order.deleted")) == 200
    assert [(event.order.reference, event.order.status) for event in bench.accepted] == [
        (order.reference, "cancelled")
    ]


def test_an_order_that_is_gone_altogether_is_fine(bench: Bench) -> None:
    assert bench.deliver(bench.shop.delivery(99999, "order.deleted")) == 200
    assert bench.accepted == []
    assert bench.counted("gone") == 1


def test_a_deleted_order_of_somebody_else_is_fine(bench: Bench) -> None:
    order = bench.order()
    theirs = bench.shop.orders[int(order.order_id)]
    theirs["meta_data"], theirs["fee_lines"] = [], []
    assert bench.deliver(bench.shop.delivery(int(order.order_id), "order.deleted")) == 200
    assert bench.accepted == []


def test_where_the_shop_does_not_say_how_the_order_is_nothing_is_taken(bench: Bench) -> None:
    delivery = bench.shop.delivery(int(bench.order().order_id), "order.deleted")
    bench.gateway = woocommerce(nowhere_url())
    assert bench.deliver(delivery) == 503
    assert bench.accepted == []


# --- what cannot be read ----------------------------------------------------------------------------------------


def test_signed_words_that_are_no_json_are_bad(bench: Bench) -> None:
    assert bench.deliver(signed_delivery(b"<html>", "order.updated", SECRET)) == 400


def test_who_sends_too_much_hears_so(bench: Bench) -> None:
    body = b" " * (BODY_BYTES_MAX + 1)
    assert bench.deliver(signed_delivery(body, "order.updated", SECRET)) == 413
    assert bench.deliver(signed_delivery(b"{}" + body[2:-1], "order.updated", SECRET)) == 200
    much = 6 * body
    assert bench.raw(request(f"Content-Length: {len(much)}", much)).split()[1] == b"413"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("X: 1", b"411"),
        ("Content-Length: many", b"400"),
        ("Content-Length: -5", b"400"),
        ("Content-Length: \u0663".encode().decode("latin-1"), b"400"),
        ("Content-Length: 500", b"400"),
        (f"Content-Length: {10**15}", b"413"),
        ("Transfer-Encoding: chunked", b"411"),
    ],
)
def test_a_body_that_is_not_whole_is_not_read(bench: Bench, headers: str, status: bytes) -> None:
    assert bench.raw(request(headers, b"{}")).split()[1] == status
    assert bench.accepted == []


def test_only_this_path_and_only_posts(bench: Bench) -> None:
    assert bench.client.post("/", content=b"{}").status_code == 404
    answer = bench.client.get(PATH)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    headers, body = bench.shop.delivery(int(bench.order().order_id))
    assert bench.client.post(PATH + "/", headers=headers, content=body).status_code == 200


@pytest.mark.parametrize(
    "sent", [b"", b"POST ", request("Content-Length: 500", b"{")], ids=["none", "line", "body"]
)
def test_who_falls_silent_is_cut_off(sent: bytes) -> None:
    with a_bench(silence_seconds=0.2) as bench, bench.connected() as connection:
        connection.sendall(sent)
        answer = read_all(connection)
        assert answer == b"" or answer.split()[1] == b"408"


def test_there_is_room_for_so_many_and_no_more(bench: Bench) -> None:
    with ExitStack() as stack:
        for _ in range(CONNECTIONS_MAX):
            stack.enter_context(bench.connected())
        with bench.connected() as one_more:
            assert read_all(one_more) == b""
    bench.server.stop()


# --- what is told of it -----------------------------------------------------------------------------------------


def test_nothing_personal_and_nothing_secret_is_logged(bench: Bench) -> None:
    delivery = bench.shop.delivery(int(bench.order().order_id))
    with capture_logs() as lines:
        bench.deliver(delivery)
        bench.deliver((delivery[0], delivery[1] + b" "))
    assert [line["event"] for line in lines] == ["order_event", "order_webhook_not_taken"]
    assert not any(word in repr(lines) for word in ("Lovelace", "ada@", SECRET, "By the window"))
