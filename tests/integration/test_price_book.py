"""Products and vouchers in PostgreSQL: nothing that was in force is ever lost, and a price rests on one instant."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace
from tests.support.postgres import migrated_database
from tests.support.pricing import a_product, a_ticket
from tests.support.pricing_strategies import products

from holdgate_schema.values.products import Product, Voucher
from holdgate_workers.adapters.postgres.connection import DatabaseUnavailable
from holdgate_workers.adapters.postgres.maintenance.installation import House
from holdgate_workers.adapters.postgres.pricing.products import PriceBook
from holdgate_workers.domain.pricing.fees import HOUSE_FEES
from holdgate_workers.domain.settings.settings import InvalidSettings

pytestmark = pytest.mark.services

TOUR = a_product()
DEARER = a_product(ticket_types=a_ticket(8000))
VOUCHER = Voucher(code="WINTER-26", percent=12.5)
OCCURRENCE = """
INSERT INTO occurrences (id, product_id, starts_at, ends_at, status, definition, version)
VALUES
  ('occ-1', 'harbour-tour', '2030-05-01T08:00Z', '2030-05-01T09:00Z', 'active', '{"timezone": "Europe/Rome"}', 1)"""
POOL = """
INSERT INTO pools (occurrence_id, key, capacity, overbooking_percent, buffer, sellable, held, sold)
VALUES ('occ-1', %s, %s, 0, 0, %s, %s, %s)"""
HOLD = """
INSERT INTO holds (id, occurrence_id, session_id, state, basket, seats, ttl_seconds, created_at, expires_at,
  extensions_used)
VALUES (gen_random_uuid(), 'occ-1', 's', %s, %s, %s, 900, clock_timestamp(),
  clock_timestamp() + make_interval(secs => %s), 0)"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with migrated_database() as fresh:
        yield fresh


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
        connection.execute("TRUNCATE products, vouchers, occurrences, pools, holds, settings, settings_history")


@pytest.fixture
def book(url: str, connection: psycopg.Connection) -> Iterator[PriceBook]:
    book = PriceBook(url)
    yield book
    book.close()


def put(book: PriceBook, product: Product, by: str = "ada") -> tuple[int, bool]:
    done = book.products.put(product.product_id, product, changed_by=by)
    return done.stored.version, done.is_new


# --- versions ---------------------------------------------------------------------------------------------------


def test_every_version_stays_as_it_was_put(book: PriceBook) -> None:
    assert put(book, TOUR) == (1, True)
    assert put(book, DEARER, by="bob") == (2, True)
    assert [
        (item.version, item.definition, item.changed_by) for item in book.products.versions("harbour-tour", 9)
    ] == [
        (2, DEARER, "bob"),
        (1, TOUR, "ada"),
    ]
    in_force, first = book.products.get("harbour-tour"), book.products.get("harbour-tour", 1)
    assert in_force is not None
    assert first is not None
    assert (in_force.definition, first.definition) == (DEARER, TOUR)
    assert first.changed_at < in_force.changed_at


def test_what_is_in_force_already_makes_no_new_version(book: PriceBook) -> None:
    assert [put(book, product) for product in (TOUR, TOUR, DEARER, TOUR)] == [
        (1, True),
        (1, False),
        (2, True),
        (3, True),
    ]


def test_what_is_not_there_is_none(book: PriceBook) -> None:
    put(book, TOUR)
    assert book.products.get("nothing") is None
    for version in (0, 2, 2**31, 10**30):
        assert book.products.get("harbour-tour", version) is None
    assert book.vouchers.get("NOTHING") is None


def test_the_list_has_each_product_once_as_it_is_in_force(book: PriceBook) -> None:
    for product in (TOUR, DEARER, replace(TOUR, product_id="a"), replace(TOUR, product_id="z")):
        put(book, product)
    assert [(item.definition.product_id, item.version) for item in book.products.in_force(2)] == [
        ("a", 1),
        ("harbour-tour", 2),
    ]
    assert len(book.products.in_force(10)) == 3


def test_puts_at_the_same_time_get_versions_of_their_own(url: str, book: PriceBook) -> None:
    """None of them is lost, and none is put twice."""

    def one(number: int) -> int:
        mine = PriceBook(url)
        try:
            return put(mine, a_product(ticket_types=a_ticket(1000 + number)))[0]
        finally:
            mine.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(one, range(12))) == list(range(1, 13))
    stored = book.products.versions("harbour-tour", 100)
    assert {item.definition.ticket_types[0].price for item in stored} == set(range(1000, 1012))


def test_a_voucher_is_kept_the_same_way(book: PriceBook) -> None:
    for voucher in (VOUCHER, replace(VOUCHER, percent=20)):
        book.vouchers.put(voucher.code, voucher, changed_by="ada")
    found = book.vouchers.get("WINTER-26"), book.vouchers.get("WINTER-26", 1)
    assert [item.definition.percent for item in found if item] == [20, 12.5]


@given(product=products)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_can_be_put_is_read_again_as_it_was(book: PriceBook, product: Product) -> None:
    """No digit is lost in the database."""
    done = book.products.put(product.product_id, product, changed_by="ada")
    assert done.stored.definition == product
    assert book.products.get(product.product_id) == done.stored


def test_a_database_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(DatabaseUnavailable):
        PriceBook("postgresql://nobody@127.0.0.1:1/none").products.in_force(1)


# --- what a price rests on --------------------------------------------------------------------------------------


def taken(book: PriceBook) -> tuple[int, int | None]:
    found = book.basis("harbour-tour", version=None, occurrence_id="occ-1", voucher=None).occurrence
    assert found is not None
    return found.occasion.taken, found.occasion.sellable


def test_the_share_is_what_is_held_and_sold_of_the_whole_occurrence(
    book: PriceBook, connection: psycopg.Connection
) -> None:
    """The pool `total`, whatever other pools there are."""
    connection.execute(OCCURRENCE)
    connection.execute(POOL, ["kids", 4, 4, 4, 0])
    connection.execute(POOL, ["total", 16, 16, 3, 4])
    basis = book.basis("harbour-tour", version=None, occurrence_id="occ-1", voucher=None)
    assert basis.occurrence is not None
    occasion = basis.occurrence.occasion
    assert (basis.occurrence.product_id, occasion.timezone) == ("harbour-tour", "Europe/Rome")
    assert (occasion.taken, occasion.sellable, occasion.day.isoformat()) == (7, 16, "2030-05-01")
    assert occasion.booked_at == basis.read_at
    now = connection.execute("SELECT clock_timestamp()").fetchone()
    assert now is not None
    assert timedelta() <= now[0] - basis.read_at < timedelta(minutes=1)


def test_a_hold_past_its_time_is_nobodys_any_more(book: PriceBook, connection: psycopg.Connection) -> None:
    """As availability counts, also where nobody has swept it yet. What is being paid for stays taken."""
    connection.execute(OCCURRENCE)
    connection.execute(POOL, ["total", 16, 16, 10, 1])
    for state, seats, seconds in (
        ("active", 4, 600),
        ("active", 3, -1),
        ("active", 1, -60),
        ("converting", 2, -60),
    ):
        connection.execute(HOLD, [state, f'{{"items": {{}}, "draws": {{"total": {seats}}}}}', seats, seconds])
    assert taken(book) == (7, 16)


def test_an_occurrence_without_a_limit_has_none(book: PriceBook, connection: psycopg.Connection) -> None:
    connection.execute(OCCURRENCE)
    connection.execute(POOL, ["total", None, None, 10, 1])
    assert taken(book) == (11, None)


def test_the_fees_are_those_in_force(url: str, book: PriceBook, connection: psycopg.Connection) -> None:
    def fees() -> object:
        return book.basis("harbour-tour", version=None, occurrence_id=None, voucher=None).fees

    assert fees() == HOUSE_FEES
    house = House(url)
    house.change({"fees.platform_percent": "3", "fees.payment": "{}"}, changed_by="ada")
    house.close()
    assert fees() == replace(HOUSE_FEES, platform_percent=3.0, payment={})
    connection.execute("UPDATE settings SET value = 'free' WHERE name = 'fees.platform_percent'")
    with pytest.raises(InvalidSettings, match=r"fees\.platform_percent"):
        fees()


def test_what_was_not_found_is_none_by_name(book: PriceBook) -> None:
    put(book, TOUR)
    book.vouchers.put(VOUCHER.code, VOUCHER, changed_by="ada")
    basis = book.basis("harbour-tour", version=1, occurrence_id="occ-9", voucher="WINTER-26")
    assert (basis.product and basis.product.version, basis.occurrence) == (1, None)
    assert basis.voucher is not None
    basis = book.basis("harbour-tour", version=2, occurrence_id=None, voucher="SUMMER-26")
    assert (basis.product, basis.voucher) == (None, None)
