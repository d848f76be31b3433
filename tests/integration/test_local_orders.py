"""Orders in our own table: what the other shops have to promise, the database keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest
from psycopg.errors import CheckViolation
from tests.support.orders import new_order, new_reference, new_refund
from tests.support.postgres import migrated_database

from holdgate_workers.adapters.shops.local import LocalGateway
from holdgate_workers.app.ordering.orders import Created, Found, Refunded, Unavailable, Unknown

pytestmark = pytest.mark.services

KILL = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE application_name = 'holdgate orders' AND datname = current_database()"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with migrated_database() as url:
        yield url


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def gateway(url: str) -> Iterator[LocalGateway]:
    gateway = LocalGateway(url)
    yield gateway
    gateway.close()


@pytest.fixture
def gateways(url: str) -> Iterator[list[LocalGateway]]:
    """Those of several processes."""
    with ExitStack() as stack:
        gateways = [LocalGateway(url) for _ in range(4)]
        for gateway in gateways:
            stack.callback(gateway.close)
        yield gateways


def test_one_reference_is_one_order_even_if_everybody_asks_at_once(gateways: list[LocalGateway]) -> None:
    for _ in range(20):
        asked = new_order()
        with ThreadPoolExecutor(len(gateways)) as threads:
            results = list(threads.map(lambda gateway, asked=asked: gateway.create(asked), gateways))
        assert Counter(type(result) for result in results) == {Created: 1, Found: 3}
        assert len({result.order.order_id for result in results if isinstance(result, Created | Found)}) == 1


def test_no_more_is_given_back_than_was_paid_even_if_everybody_asks_at_once(gateways: list[LocalGateway]) -> None:
    for _ in range(20):
        created = gateways[0].create(new_order())
        assert isinstance(created, Created)
        order_id, total = created.order.order_id, created.order.total
        refunds = [new_refund(total // 2) for _ in gateways]
        with ThreadPoolExecutor(len(gateways)) as threads:
            results = list(
                threads.map(
                    lambda gateway, refund, order_id=order_id: gateway.refund(order_id, refund), gateways, refunds
                )
            )
        assert sum(isinstance(result, Refunded) for result in results) == 2
        found = gateways[0].get(order_id)
        assert isinstance(found, Found)
        assert found.order.refunded == 2 * (total // 2)


def test_a_connection_that_breaks_is_replaced(gateway: LocalGateway, connection: psycopg.Connection) -> None:
    """Nobody knows whether what was on its way is done; the next attempt finds out."""
    asked = new_order()
    assert isinstance(gateway.create(asked), Created)
    connection.execute(KILL)
    assert isinstance(gateway.find(asked.reference), Unavailable)
    assert isinstance(gateway.find(asked.reference), Found)
    connection.execute(KILL)
    assert isinstance(gateway.create(asked), Unknown)
    assert isinstance(gateway.create(asked), Found)


def test_a_table_that_is_locked_is_unavailable_for_now(
    gateway: LocalGateway, connection: psycopg.Connection, url: str
) -> None:
    asked = new_order()
    hurried = LocalGateway(url)
    hurried._open().execute("SET lock_timeout = '50ms'")
    with connection.transaction():
        connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        assert isinstance(hurried.create(asked), Unavailable)
    assert isinstance(hurried.create(asked), Created)
    hurried.close()


def test_a_gateway_that_was_closed_opens_again(gateway: LocalGateway) -> None:
    asked = new_order()
    gateway.create(asked)
    gateway.close()
    gateway.close()
    assert isinstance(gateway.find(asked.reference), Found)


def test_the_customer_stands_apart_and_can_be_erased(
    gateway: LocalGateway, connection: psycopg.Connection
) -> None:
    asked = new_order()
    gateway.create(asked)
    rows = connection.execute(
        "SELECT content::text, customer->>'email' FROM orders WHERE reference = %s", [asked.reference]
    ).fetchall()
    ((content, email),) = rows
    assert email == "ada@example.org"
    assert "ada@" not in content
    assert "Lovelace" not in content
    assert "ADVENT-26" in content
    connection.execute("UPDATE orders SET customer = '{}' WHERE reference = %s", [asked.reference])
    found = gateway.find(asked.reference)
    assert isinstance(found, Found)
    assert found.order.total == asked.total


def test_the_table_itself_does_not_give_back_more_than_was_paid(
    gateway: LocalGateway, connection: psycopg.Connection
) -> None:
    created = gateway.create(new_order(new_reference()))
    assert isinstance(created, Created)
    with pytest.raises(CheckViolation):
        connection.execute("UPDATE orders SET refunded = total + 1 WHERE id = %s", [created.order.order_id])
