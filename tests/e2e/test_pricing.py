"""Prices over the real services: two answers to one request, quotes that are honoured, and what has no price."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace
from tests.support.pricing import a_product, a_ticket
from tests.support.rabbit import eventually
from tests.support.requests import place_of, put
from tests.support.shop import ADULT, LONG, priced, refused, sell, with_fees
from tests.support.site import TestSite, kinds, open_test_site

from holdgate_producer import (
    BookingClient,
    Changed,
    ClientConfig,
    Held,
    Pricing,
    Quoted,
    Quoting,
    Reason,
    Released,
    new_request_id,
)
from holdgate_schema.codec import encode
from holdgate_schema.commands.holds import type_name
from holdgate_schema.commands.selling import GetQuote, PriceHold
from holdgate_schema.values.products import DemandTier, PriceRules, Voucher
from holdgate_schema.values.quotes import is_intact
from holdgate_workers.adapters.postgres.pricing.products import PriceBook
from holdgate_workers.adapters.postgres.pricing.quotes import QuoteBook

pytestmark = pytest.mark.services


@pytest.fixture(scope="module", params=kinds())
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestSite]:
    """A site whose gate, feeder and pricing worker run."""
    with open_test_site(request.param, tmp_path_factory.mktemp("shop")) as shared:
        gate = shared.start("gate", "feeder", "relay", "expiry")
        shared.start("pricing")
        shared.wait_lines(gate)
        yield shared


@pytest.fixture(scope="module")
def client(shop: TestSite) -> BookingClient:
    return shop.client()


@pytest.fixture
def book(shop: TestSite) -> Iterator[PriceBook]:
    opened = PriceBook(shop.database_url)
    yield opened
    opened.close()


def test_a_hold_is_held_at_once_and_priced_by_a_second_answer(
    shop: TestSite, client: BookingClient, book: PriceBook
) -> None:
    sell(book, client, "two-answers")
    answers = client.place_priced("two-answers", {"adult": 2}, extras={"guide": 1})
    held = answers.first.result(LONG)
    assert isinstance(held, Held)
    assert held.hold.quote is None
    told = priced(answers.final.result(LONG))
    assert told.quote.total == with_fees(2 * ADULT + 400)
    assert sum(line.amount for line in told.quote.lines) == told.quote.total
    assert told.hold.quote is not None
    assert told.hold.quote.hash == told.quote.hash
    with closing(QuoteBook(shop.database_url)) as quotes:
        stored = quotes.get(told.quote.hash)
    assert stored is not None
    assert is_intact(stored.quote)
    assert stored.valid_until is None


def test_a_repeated_request_gets_both_answers_again_byte_for_byte(
    shop: TestSite, client: BookingClient, book: PriceBook
) -> None:
    sell(book, client, "repeated")
    command = place_of("repeated", pricing=Pricing())
    first = client.follow(command)
    before = (first.first.result(LONG), first.final.result(LONG))
    other = shop.client("another")
    again = other.follow(command)
    after = (again.first.result(LONG), again.final.result(LONG))
    assert [encode(answer) for answer in after] == [encode(answer) for answer in before]
    assert shop.held("repeated") == 1


def test_a_second_answer_that_went_to_a_connection_of_the_past_is_found_by_repeating_the_request(
    shop: TestSite, client: BookingClient, book: PriceBook
) -> None:
    sell(book, client, "moved")
    (worker,) = (worker for worker in shop.workers if worker.roles == ("pricing",))
    command = place_of("moved", pricing=Pricing())
    config = ClientConfig(url="amqp://unused", app_id="moved", repeat_seconds=0.3, timeout_seconds=LONG)
    worker.pause()
    try:
        with BookingClient(config, link=shop.link("moved")) as before:
            held = before.send(command).result(LONG)
        with BookingClient(config, link=shop.link("moved")) as after:
            answers = after.follow(command)
            assert answers.first.result(LONG) == held
            eventually(lambda: after.stats.repeated > 0, "the request is repeated")
            assert not answers.final.done()
            worker.resume()
            told = priced(answers.final.result(LONG))
    finally:
        worker.resume()
    assert told.quote.total == with_fees(ADULT)
    assert shop.held("moved") == 1


def test_every_hold_of_a_product_with_prices_gets_one_though_nobody_asked(
    shop: TestSite, client: BookingClient, book: PriceBook
) -> None:
    sell(book, client, "unasked")
    held = client.place("unasked", {"adult": 1})
    assert isinstance(held, Held)
    total = "SELECT (quote ->> 'total')::integer FROM holds WHERE id = %s"
    eventually(lambda: shop.value(total, held.hold.hold_id) == with_fees(ADULT), "the hold has a price")
    changed = client.change("unasked", held.hold.session_id, held.hold.hold_id, {"adult": 2})
    assert isinstance(changed, Changed)
    assert changed.hold.quote is None, "a changed basket has lost its price"
    eventually(lambda: shop.value(total, held.hold.hold_id) == with_fees(2 * ADULT), "it is priced anew")


def test_a_quote_without_a_hold_takes_nothing_and_is_answered_twice(
    shop: TestSite, client: BookingClient, book: PriceBook
) -> None:
    sell(book, client, "quoted")
    command = GetQuote(request_id=new_request_id(), occurrence_id="quoted", items={"adult": 3})
    answers = client.follow(command)
    assert isinstance(answers.first.result(LONG), Quoting)
    quoted = answers.final.result(LONG)
    assert isinstance(quoted, Quoted)
    assert quoted.quote.total == with_fees(3 * ADULT)
    assert quoted.valid_until > datetime.now(UTC)  # noqa: TID251
    assert shop.held("quoted") == 0


def test_the_price_of_a_valid_quote_is_honoured_though_the_price_was_raised(
    client: BookingClient, book: PriceBook
) -> None:
    sell(book, client, "honoured")
    quoted = client.quote("honoured", {"adult": 2}, payment_method="credit_card")
    assert isinstance(quoted, Quoted)
    dearer = a_product(product_id="honoured", ticket_types=a_ticket(9900))
    book.products.put("honoured", dearer, changed_by="test")
    kept = client.place_priced("honoured", {"adult": 2}, pricing=Pricing(quote_hash=quoted.quote.hash))
    assert priced(kept.final.result(LONG)).quote == quoted.quote
    other_basket = client.place_priced("honoured", {"adult": 1}, pricing=Pricing(quote_hash=quoted.quote.hash))
    assert priced(other_basket.final.result(LONG)).quote.total > quoted.quote.total


def test_an_outdated_quote_is_not_honoured_and_that_is_remembered(
    shop: TestSite, client: BookingClient, book: PriceBook
) -> None:
    sell(book, client, "outdated")
    quoted = client.quote("outdated", {"adult": 1})
    assert isinstance(quoted, Quoted)
    shop.rows("UPDATE quotes SET valid_until = now() - interval '1 s' WHERE hash = %s", quoted.quote.hash)
    book.products.put("outdated", a_product(product_id="outdated", ticket_types=a_ticket(9900)), changed_by="test")
    answers = client.place_priced("outdated", {"adult": 1}, pricing=Pricing(quote_hash=quoted.quote.hash))
    told = priced(answers.final.result(LONG))
    assert told.quote.total == with_fees(9900)
    row = shop.value("SELECT quote ->> 'outdated_hash' FROM holds WHERE id = %s", told.hold.hold_id)
    assert row == quoted.quote.hash


def test_what_has_no_price_is_held_and_told_to_be_unpriced(client: BookingClient, book: PriceBook) -> None:
    """Never free: a ticket without a price, an unknown voucher, a product that nobody put."""
    sell(book, client, "unpriced")
    for items, pricing, field in (
        ({"adult": 1, "child": 1}, Pricing(), "ticket.child"),
        ({"adult": 1}, Pricing(voucher="NO-SUCH"), "voucher.NO-SUCH"),
    ):
        answers = client.place_priced("unpriced", items, pricing=pricing)
        assert isinstance(answers.first.result(LONG), Held)
        answer = refused(answers.final.result(LONG))
        assert (answer.reason, answer.errors[0].field) == (Reason.UNPRICED, field)
    put(client, "no-product", 5, product_id="nobody-put-this")
    answer = refused(client.place_priced("no-product", {"adult": 1}).final.result(LONG))
    assert answer.errors[0].field == "order.product"
    answer = refused(client.quote("no-product", {"adult": 1}))
    assert answer.reason is Reason.UNPRICED


def test_a_hold_without_prices_stays_as_it_is_where_nobody_asked(shop: TestSite, client: BookingClient) -> None:
    put(client, "left-alone", 5, product_id="left-alone")
    held = client.place("left-alone", {"adult": 1})
    assert isinstance(held, Held)
    done = "SELECT count(*) FROM tasks WHERE key LIKE %s AND state = 'done'"
    eventually(lambda: shop.value(done, f"{held.hold.hold_id}/%") == 1, "it was looked at")
    assert (
        shop.value("SELECT count(*) FROM journal WHERE kind = 'hold.price.v1' AND hold_id = %s", held.hold.hold_id)
        == 0
    )


def test_a_voucher_is_taken_off_and_its_limit_goes_with_the_price(
    shop: TestSite, client: BookingClient, book: PriceBook
) -> None:
    sell(book, client, "voucher")
    book.vouchers.put("HALF-OFF", Voucher(code="HALF-OFF", percent=50, uses_max=3), changed_by="test")
    answers = client.place_priced("voucher", {"adult": 2}, pricing=Pricing(voucher="HALF-OFF"))
    told = priced(answers.final.result(LONG))
    assert told.quote.total == with_fees(ADULT)
    stored = shop.rows(
        "SELECT quote ->> 'voucher', quote -> 'voucher_uses_max' FROM holds WHERE id = %s", told.hold.hold_id
    )
    assert stored == [("HALF-OFF", 3)]
    assert b"HALF-OFF" not in encode(told), "a voucher's code is money"


def test_a_change_without_pricing_keeps_the_voucher_and_says_so(
    shop: TestSite, client: BookingClient, book: PriceBook
) -> None:
    sell(book, client, "kept-voucher")
    book.vouchers.put("KEPT-50", Voucher(code="KEPT-50", percent=50, uses_max=3), changed_by="test")
    hold = priced(
        client.place_priced("kept-voucher", {"adult": 2}, pricing=Pricing(voucher="KEPT-50")).final.result(LONG)
    ).hold
    answer = client.change("kept-voucher", hold.session_id, hold.hold_id, {"adult": 4})
    assert isinstance(answer, Changed)
    assert answer.keeps_pricing
    price = "SELECT (quote ->> 'total')::integer, quote ->> 'voucher' FROM holds WHERE id = %s"
    eventually(
        lambda: shop.rows(price, hold.hold_id) == [(with_fees(2 * ADULT), "KEPT-50")],
        "the voucher counts for four",
    )
    dropped = client.change_priced("kept-voucher", hold.session_id, hold.hold_id, {"adult": 4}, pricing=Pricing())
    assert priced(dropped.final.result(LONG)).quote.total == with_fees(4 * ADULT)
    again = client.change("kept-voucher", hold.session_id, hold.hold_id, {"adult": 1})
    assert isinstance(again, Changed)
    assert not again.keeps_pricing


def test_a_basket_costs_the_same_before_it_is_held_and_after(client: BookingClient, book: PriceBook) -> None:
    """Its own seats are no demand; those of others are."""
    step = DemandTier(share_percent=50, percent=20)
    sell(book, client, "demand", capacity=4, rules=PriceRules(demand=[step]))
    quoted = client.quote("demand", {"adult": 2})
    assert isinstance(quoted, Quoted)
    held = priced(client.place_priced("demand", {"adult": 2}).final.result(LONG))
    assert held.quote.hash == quoted.quote.hash
    later = client.quote("demand", {"adult": 2})
    assert isinstance(later, Quoted)
    assert later.quote.total > quoted.quote.total


def test_a_hold_that_is_gone_before_it_is_priced_says_so_to_whoever_waits(
    shop: TestSite, client: BookingClient, book: PriceBook
) -> None:
    sell(book, client, "gone")
    (worker,) = (worker for worker in shop.workers if worker.roles == ("pricing",))
    worker.pause()
    try:
        sent = client.follow(place_of("gone", session_id="s", pricing=Pricing()))
        held = sent.first.result(LONG)
        assert isinstance(held, Held)
        assert isinstance(client.release("gone", "s", held.hold.hold_id), Released)
        assert not sent.final.done()
    finally:
        worker.resume()
    answer = refused(sent.final.result(LONG))
    assert (answer.reason, answer.hold_state) == (Reason.HOLD_FINAL, "released")


def test_a_price_that_is_not_ours_is_forbidden(shop: TestSite, client: BookingClient, book: PriceBook) -> None:
    sell(book, client, "forged")
    told = priced(client.place_priced("forged", {"adult": 1}).final.result(LONG))
    forged = PriceHold(
        request_id=new_request_id(),
        occurrence_id="forged",
        hold_id=told.hold.hold_id,
        items={"adult": 1},
        quote=replace(told.quote, total=1),
    )
    assert refused(client.call(forged)).reason is Reason.FORBIDDEN
    assert shop.value("SELECT quote -> 'total' FROM holds WHERE id = %s", told.hold.hold_id) == with_fees(ADULT)
    assert type_name(forged) == "hold.price.v1"
