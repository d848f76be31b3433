"""Holds that are priced, sold and given back by the real roles, recorded from outside and judged by the checker."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.pricing import ADULT, CHILD, a_product, an_extra
from tests.support.private_servers import private_postgres
from tests.support.rabbit import eventually, fresh_vhost, vhost_of
from tests.support.recorded import RecordedRun, on_sale
from tests.support.site import PARTITIONS, TestSite

from holdgate_schema.values.products import Voucher
from holdgate_workers.adapters.postgres.pricing.products import PriceBook
from holdgate_workers.ids import new_request_id

pytestmark = [pytest.mark.services, pytest.mark.slow]

REQUESTS = 600
PATIENCE_SECONDS = 60.0
GALA = "gala"
MATINEE = "matinee"
"""Small: buyers stand in line for it."""
TINY = "tiny"
"""Two are left of it: the buffer is three, the tenth that may be overbooked none."""
TIMED = "timed"
"""As tiny, and what is held of it is soon over."""
VOUCHER, VOUCHER_USES = "HALF-OFF", 2
_AHEAD = """
SELECT (SELECT count(*) FROM tasks WHERE state = 'open' AND due_at < clock_timestamp() + interval '5 s')
  + (SELECT count(*) FROM journal j JOIN relay_cursors c ON c.name = 'tasks' AND (j.xid, j.id) > (c.xid, c.id))"""

FIRST = ("held", "quoting", "converting", "cart_started")

Body = dict[str, Any]


def test_what_is_priced_sold_and_given_back_is_valid_to_an_outsider(tmp_path: Path) -> None:
    """Beside an on-sale with lines and carts: prices, a voucher, wrong prices, late money, cancellations. All of it
    follows docs/bookings.md, docs/waiting-lists.md and docs/carts.md to the letter."""
    with (
        private_postgres(tmp_path / f"postgres-{token_hex(4)}") as postgres,
        fresh_vhost() as amqp_url,
        closing(TestSite(postgres.url, amqp_url, tmp_path)) as site,
        RecordedRun(tmp_path / "record", postgres.url, amqp_url, partitions=PARTITIONS) as run,
    ):
        put_prices(postgres.url)
        gate = site.start("gate", "expiry", "relay", "feeder", "pricing", "orders")
        site.wait_lines(gate)
        run.ask(on_sale("opening-night", capacity=200, kids=40, minute=1))
        run.ask(on_sale(GALA, capacity=60, kids=20, minute=2))
        run.ask(on_sale(MATINEE, capacity=40, kids=8, minute=4))
        run.start_buyers(("opening-night", MATINEE), processes=2, requests=REQUESTS, lines_and_carts=True)
        run.ask(on_sale(TINY, capacity=5, kids=2, minute=3))
        seller = Seller(run)
        sell(seller)
        wait_and_fill_a_cart(seller)
        stand_in_line(seller)
        run.wait_buyers()
        eventually(lambda: is_quiet(site, run, amqp_url), "everything that follows is done", PATIENCE_SECONDS)
        report = run.judge(expiry_late_seconds=15, drain_seconds=20)
    print(report.table())
    print(report.last_line())
    assert report.verdict == "valid", report.table()
    assert report.judged["P13"] > 20
    assert report.judged["P17"] > 20
    assert report.judged["P18"] > 20, "carts are judged, decision by decision"
    assert report.judged["P19"] > 100, "and so is whose turn it is in line"
    assert not any("not judged" in note for note in report.notes), "nothing is taken as it was told"


def put_prices(database_url: str) -> None:
    with closing(PriceBook(database_url)) as book:
        tickets = [ADULT, CHILD, replace(ADULT, key="senior", label="Senior")]
        product = a_product(product_id="show", ticket_types=tickets, extras=[an_extra(400, per="fixed")])
        book.products.put("show", product, changed_by="test")
        voucher = Voucher(code=VOUCHER, percent=50, uses_max=VOUCHER_USES)
        book.vouchers.put(VOUCHER, voucher, changed_by="test")


def is_quiet(site: TestSite, run: RecordedRun, amqp_url: str) -> bool:
    """Nothing is to be planned, to be done or to be decided, nor was while we looked."""
    if run.value(_AHEAD):
        return False
    listed = site.rabbitmqctl("list_queues", "-p", vhost_of(amqp_url), "--quiet", "name", "messages")
    waiting = [line for line in listed.splitlines() if line.startswith("holdgate.requests.")]
    return all(line.split()[-1] == "0" for line in waiting) and not run.value(_AHEAD)


class Seller:
    """A client that waits for both answers."""

    def __init__(self, run: RecordedRun) -> None:
        self._run = run

    def ask(self, kind: str, **fields: Any) -> Body:
        """The answer at once, or whatever has come by then."""
        return self._run.ask(body(kind, **fields))

    def follow(self, kind: str, **fields: Any) -> Body:
        """The second answer; the first if it is a refusal."""
        asked = body(kind, **fields)
        self._run.ask(asked)

        def is_final() -> bool:
            self._run.operator.wait({"nothing"}, 0.1)
            return self.answer(asked)["outcome"] not in FIRST

        eventually(is_final, f"a second answer to {asked}", PATIENCE_SECONDS)
        return self.answer(asked)

    def answer(self, asked: Body) -> Body:
        return self._run.operator.answers[asked["request_id"]]

    def price(self, adults: int = 1, **fields: Any) -> Body:
        """A hold that has its price."""
        session = f"buyer-{token_hex(4)}"
        fields = {"items": {"adult": adults}, "session_id": session, "pricing": {}} | fields
        told = self.follow("hold.place.v1", **fields)
        assert told["outcome"] == "priced", told
        return told

    def convert(self, priced: Body, **fields: Any) -> Body:
        return self.follow("booking.convert.v1", **conversion(priced, **fields))

    def cancel(self, booking: Body) -> Body:
        ids = {name: booking[name] for name in ("occurrence_id", "session_id", "booking_id")}
        return self.ask("booking.cancel.v1", **ids, reason="ill")

    def put(self, occurrence_id: str) -> None:
        """A room of two."""
        self._run.ask(on_sale(occurrence_id, capacity=5, kids=2, minute=5))

    def join(self, occurrence_id: str, adults: int = 1, **fields: Any) -> Body:
        return self.ask("waitlist.join.v1", occurrence_id=occurrence_id, items={"adult": adults}, **fields)

    def leave(self, entry: Body, **fields: Any) -> Body:
        ids = {name: entry[name] for name in ("occurrence_id", "session_id", "entry_id")}
        return self.ask("waitlist.leave.v1", **{**ids, **fields})

    def was_offered(self, entry: Body) -> bool:
        count: int = self._run.value("SELECT count(*) FROM holds WHERE id = %s", entry["entry_id"])
        return count == 1

    def is_expired(self, priced: Body) -> bool:
        state: str = self._run.value("SELECT state FROM holds WHERE id = %s", priced["hold"]["hold_id"])
        return state == "expired"


def body(kind: str, **fields: Any) -> Body:
    return {"type": kind, "request_id": new_request_id(), "occurrence_id": GALA, **fields}


def conversion(priced: Body, *, status: str = "paid", more: int = 0, quote_hash: str | None = None) -> Body:
    hold, quote = priced["hold"], priced["quote"]
    payment = {"method": "card", "amount": quote["total"] + more, "currency": quote["currency"], "status": status}
    ids = {name: hold[name] for name in ("occurrence_id", "session_id", "hold_id")}
    return {**ids, "quote_hash": quote_hash or quote["hash"], "payment": payment}


def sell(seller: Seller) -> None:
    """Everything that a buyer may do with a price."""
    assert seller.follow("quote.get.v1", items={"adult": 2})["outcome"] == "quoted"
    sold = [
        seller.convert(seller.price(number), status="paid" if number % 2 else "pending") for number in range(1, 6)
    ]
    assert [one["outcome"] for one in sold] == ["confirmed"] * 5, sold
    seen = {"session_id": sold[0]["booking"]["session_id"], "booking_id": sold[0]["booking"]["booking_id"]}
    assert seller.ask("booking.get.v1", **seen)["outcome"] == "booking"
    assert seller.ask("booking.get.v1", **{**seen, "session_id": "nobody"})["reason"] == "booking_not_found"
    wrong = seller.price(2, extras={"guide": 1})
    assert seller.convert(wrong, more=1)["reason"] == "payment_mismatch"
    assert seller.convert(wrong, quote_hash="0" * 64)["reason"] == "price_changed"
    assert seller.convert(wrong)["outcome"] == "confirmed"
    assert seller.convert(wrong)["reason"] == "hold_final"
    cheap = [seller.price(pricing={"voucher": VOUCHER}) for _ in range(VOUCHER_USES + 1)]
    told = [seller.convert(one) for one in cheap]
    assert [one.get("reason") for one in told] == [None, None, "voucher_used_up"], told
    assert seller.cancel(told[0]["booking"])["outcome"] == "cancelled"
    assert seller.cancel(sold[1]["booking"])["outcome"] == "cancelled"
    assert seller.cancel(sold[1]["booking"])["reason"] == "booking_final"
    assert seller.convert(cheap[-1])["outcome"] == "confirmed", "the voucher was given back"
    late = seller.price(ttl_seconds=4)
    eventually(lambda: seller.is_expired(late), "it is over", PATIENCE_SECONDS)
    assert seller.convert(late, status="pending")["reason"] == "hold_final"
    assert seller.convert(late)["outcome"] == "confirmed"


def wait_and_fill_a_cart(seller: Seller) -> None:
    """The last seats are taken, waited for, offered and sold; a cart is taken as a whole, another one not at all."""
    last = seller.price(2, occurrence_id=TINY)
    first, second = (
        seller.ask("waitlist.join.v1", occurrence_id=TINY, items={"adult": 1}, session_id=f"waits-{number}")
        for number in range(2)
    )
    assert (first.get("position"), second.get("position")) == (1, 2), (first, second)
    leg = {"occurrence_id": TINY, "items": {"adult": 1}}
    legs = [{"occurrence_id": GALA, "items": {"adult": 2}}, leg]
    refused = seller.follow("cart.place.v1", legs=legs, session_id="carter")
    assert (refused["outcome"], refused.get("reason")) == ("refused", "sold_out"), refused
    own = {"session_id": last["hold"]["session_id"], "hold_id": last["hold"]["hold_id"]}
    assert seller.ask("hold.release.v1", occurrence_id=TINY, **own)["outcome"] == "released"
    left = {"session_id": "waits-1", "entry_id": second["entry_id"]}
    assert seller.ask("waitlist.leave.v1", occurrence_id=TINY, **left)["outcome"] == "left_waitlist"
    held = seller.follow("cart.place.v1", legs=legs, session_id="carter")
    assert held["outcome"] == "cart_held", held


def stand_in_line(seller: Seller) -> None:
    """Whatever frees seats serves the line: what is over, what was changed, what was cancelled, and the room itself."""
    seller.put(TIMED)
    assert seller.join(TIMED)["reason"] == "not_sold_out"
    sold = seller.convert(seller.price(occurrence_id=TIMED))["booking"]
    seller.ask("hold.place.v1", occurrence_id=TIMED, items={"adult": 1}, session_id="leaves", ttl_seconds=6)
    big, small = seller.join(TIMED, 2, session_id="big"), seller.join(TIMED, 1, session_id="small")
    again = seller.join(TIMED, session_id="small")
    assert (again["reason"], again["subject"]) == ("already_waiting", small["entry_id"])
    assert seller.leave(small, session_id="thief")["reason"] == "entry_not_found"
    eventually(lambda: seller.was_offered(small), "what is over is offered to whom it fits", PATIENCE_SECONDS)
    assert not seller.was_offered(big)
    own = {"session_id": "small", "hold_id": small["entry_id"]}
    assert seller.ask("hold.extend.v1", occurrence_id=TIMED, **own)["outcome"] == "extended"
    assert seller.ask("hold.release.v1", occurrence_id=TIMED, **own)["outcome"] == "released"
    assert seller.leave(small)["reason"] == "hold_final"
    assert seller.cancel(sold)["outcome"] == "cancelled"
    assert seller.was_offered(big), "a booking that is cancelled, in the same decision"
    third, fourth = seller.join(TIMED, 1), seller.join(TIMED, 1)
    seller.ask("occurrence.capacity.v1", occurrence_id=TIMED, capacity=6)
    assert seller.was_offered(third)
    assert not seller.was_offered(fourth)
    seller.ask("occurrence.close.v1", occurrence_id=TIMED, status="cancelled")
    assert seller.leave(fourth)["reason"] == "entry_not_found"
