"""Selling by hand: prices, bookings, carts and waiting lists from a second terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from functools import partial

import pytest
from tests.support.cli import Terminal, running
from tests.support.rabbit import eventually

from holdgate_workers.cli.output.formats import short
from holdgate_workers.ids import new_request_id, short_id

pytestmark = pytest.mark.slow

PRODUCT = {
    "type": "product.put.v1",
    "product_id": "tour",
    "currency": "EUR",
    "timezone": "Europe/Rome",
    "ticket_types": [{"key": "adult", "label": "Adult", "price": 2500, "counts_as": "adult"}],
    "extras": [{"key": "wine", "price": 400, "per": "fixed"}],
}


@pytest.fixture(scope="module")
def terminal() -> Iterator[Terminal]:
    with running() as (_, second):
        done = second("product", "put", "-", given=json.dumps(PRODUCT))
        assert done.code == 0, done
        yield second


_day = iter(range(1, 28))


def put(terminal: Terminal, capacity: int = 10) -> str:
    """An occurrence of the tour."""
    name = f"occ-{short_id()}"
    options = ["--starts", f"2030-05-{next(_day):02}T10:00", "--duration", "90", "--timezone", "Europe/Rome"]
    more = ["--capacity", str(capacity), "--ticket", "adult", "--ticket", "child", "--extra", "wine"]
    done = terminal("occurrence", "put", name, "--product", "tour", *options, *more)
    assert done.code == 0, done
    return name


def test_a_quote_shows_its_lines_and_a_hold_that_names_it_has_its_price(terminal: Terminal) -> None:
    occurrence = put(terminal)
    shown = terminal("quote", "get", occurrence, "adult=2", "--extra", "wine=1")
    assert shown.code == 0
    assert "Platform fee" in shown.out
    assert "55.35" in shown.out
    quoted = terminal.json("quote", "get", occurrence, "adult=2")
    assert quoted["outcome"] == "quoted"
    assert quoted["quote"]["total"] == 5125
    both = terminal.json("hold", "place", occurrence, "adult=2", "--quote", quoted["quote"]["hash"])
    assert (both["first"]["outcome"], both["final"]["outcome"]) == ("held", "priced")
    assert both["final"]["quote"]["hash"] == quoted["quote"]["hash"]
    told = terminal("hold", "show", both["first"]["hold"]["hold_id"])
    assert "51.25 EUR" in told.out


def test_what_has_no_price_is_held_and_ends_with_the_exit_code_of_a_refusal(terminal: Terminal) -> None:
    occurrence = put(terminal)
    told = terminal("hold", "place", occurrence, "child=1", "--price")
    assert told.code == 1
    assert "Held" in told.out
    assert "Refused: unpriced" in told.out
    assert terminal("quote", "get", occurrence, "child=1").code == 1


def held(terminal: Terminal, occurrence: str, *more: str, adults: int = 1) -> str:
    """A hold with a price."""
    both = terminal.json("hold", "place", occurrence, f"adult={adults}", "--price", *more)
    assert both["final"]["outcome"] == "priced", both
    return str(both["first"]["hold"]["hold_id"])


def test_a_hold_becomes_a_booking_that_can_be_seen_and_cancelled(terminal: Terminal) -> None:
    occurrence = put(terminal)
    hold_id = held(terminal, occurrence, "--payment-method", "card")
    name = ("--name", "Ada", "--email", "ada@example.org")
    both = terminal.json("booking", "convert", short(hold_id), "--paid", *name, "--timeout", "30")
    assert (both["first"]["outcome"], both["final"]["outcome"]) == ("converting", "confirmed")
    assert both["final"]["booking"]["payment"]["amount"] == both["final"]["booking"]["quote"]["total"]
    seen = terminal.json("booking", "show", short(hold_id))
    assert (seen["state"], seen["customer"]["name"]) == ("confirmed", "•••")
    assert terminal.json("booking", "show", hold_id, "--reveal")["customer"]["name"] == "Ada"
    listed = terminal.json("booking", "list", "--occurrence", occurrence)["bookings"]
    assert [booking["booking_id"] for booking in listed] == [hold_id]
    assert short(hold_id) in terminal("booking", "list", "--state", "confirmed").out
    cancelled = terminal.json("booking", "cancel", short(hold_id), "--reason", "ill")
    assert (cancelled["outcome"], cancelled["refund"]) == ("cancelled", "due")
    assert terminal.json("booking", "cancel", hold_id, code=1)["reason"] == "booking_final"


def test_a_sale_for_another_price_is_refused_and_the_right_one_is_shown(terminal: Terminal) -> None:
    hold_id = held(terminal, put(terminal))
    told = terminal("booking", "convert", hold_id, "--method", "card", "--amount", "1")
    assert told.code == 1
    assert "Refused: payment_mismatch" in told.out
    assert "25.63 EUR" in told.out
    assert terminal("booking", "convert", hold_id).code == 2, "nobody said how it is paid"


def ttl_minutes(terminal: Terminal, occurrence: str) -> float:
    """How long a hold lives now."""
    hold = terminal.json("hold", "place", occurrence, "adult=1")["hold"]
    life = datetime.fromisoformat(hold["expires_at"]) - datetime.fromisoformat(hold["created_at"])
    return life.total_seconds() / 60


def test_a_parked_booking_stands_first_and_is_resolved_by_hand(terminal: Terminal) -> None:
    occurrence = put(terminal, 100)
    assert terminal("settings", "set", "conversion.late_payment=park", "hold.ttl_minutes=20").code == 0
    try:
        eventually(lambda: ttl_minutes(terminal, occurrence) == 20, "the gate has heard of the settings")
        late = [held(terminal, occurrence, "--ttl", "1", "--payment-method", "card") for _ in range(2)]
        for hold_id in late:
            show = partial(terminal.json, "hold", "show", hold_id)
            eventually(lambda shown=show: shown()["state"] == "expired", "it has expired")
            told = terminal.json("booking", "convert", hold_id, "--paid", code=1)
            assert told["reason"] == "parked"
    finally:
        terminal("settings", "reset", "conversion.late_payment", "hold.ttl_minutes")
    other = held(terminal, occurrence)
    assert terminal.json("booking", "list")["bookings"][0]["state"] == "parked"
    fulfilled = terminal.json("booking", "resolve", short(late[0]), "fulfil", "--note", "there is room")
    assert (fulfilled["outcome"], fulfilled["booking"]["state"]) == ("confirmed", "confirmed")
    ended = terminal.json("booking", "resolve", short(late[1]), "refund", "--by", "ada")
    assert ended["booking"]["state"] == "cancelled"
    assert terminal.json("booking", "resolve", late[1], "fulfil", code=1)["reason"] == "booking_final"
    assert terminal("booking", "resolve", other, "refund").code == 1, "a hold is no booking"


def sold(terminal: Terminal, occurrence: str, *more: str, adults: int = 1) -> str:
    """A booking that was paid."""
    hold_id = held(terminal, occurrence, "--payment-method", "credit_card", adults=adults)
    both = terminal.json("booking", "convert", hold_id, "--paid", *more)
    assert both["final"]["outcome"] == "confirmed", both
    return hold_id


@pytest.mark.parametrize(("refund", "due"), [("yes", None), ("no", 0), ("10.50", 1050)])
def test_staff_cancel_and_say_how_much_goes_back(terminal: Terminal, refund: str, due: int | None) -> None:
    booking_id = sold(terminal, put(terminal))
    amount = terminal.json("booking", "show", booking_id)["payment"]["amount"]
    command = ("booking", "cancel", booking_id, "--as-staff", "--refund", refund, "--by", "ann")
    assert terminal(*command).code == 2, "it needs a reason"
    told = terminal.json(*command, "--reason", "The boat is broken")["booking"]
    assert (told["state"], told["reason"]) == ("cancelled", "The boat is broken")
    assert told["refund_due"] + told["refunded"] == (amount if due is None else due)


def test_staff_give_no_more_back_than_was_paid(terminal: Terminal) -> None:
    booking_id = sold(terminal, put(terminal))
    command = ("booking", "cancel", booking_id, "--as-staff", "--reason", "so", "--refund")
    done = terminal(*command, "1000")
    assert done.code == 1
    assert "refund_amount" in done.out + done.err
    assert "must be at most" in done.out + done.err
    assert terminal(*command, "1.005").code == 2
    assert terminal("booking", "cancel", booking_id, "--refund", "no").code == 2


def test_an_occurrence_is_called_off_with_all_its_bookings_and_again_does_nothing(terminal: Terminal) -> None:
    occurrence = put(terminal)
    booked = [sold(terminal, occurrence) for _ in range(3)]
    command = (
        "occurrence",
        "close",
        occurrence,
        "--status",
        "cancelled",
        "--refund",
        "--yes",
        "--reason",
        "Storm",
    )
    done = terminal.json(*command)
    assert done["cancelled"] == 3
    assert (done["refused"], done["left"]) == ([], [])
    for booking_id in booked:
        shown = terminal.json("booking", "show", booking_id)
        assert (shown["state"], shown["reason"]) == ("cancelled", "Storm")
        assert shown["refund_due"] + shown["refunded"] == shown["payment"]["amount"]
    assert terminal.json(*command)["cancelled"] == 0
    assert terminal("occurrence", "close", occurrence, "--refund").code == 2


def test_a_cancellation_says_first_how_many_and_how_much_it_is_about(terminal: Terminal) -> None:
    """Asked for or tried, nothing has happened until somebody says yes."""
    occurrence = put(terminal)
    paid = sum(
        terminal.json("booking", "show", sold(terminal, occurrence, *more))["payment"]["amount"]
        for more in ((), ("--email", "ada@example.org"))
    )
    close = ("occurrence", "close", occurrence, "--status", "cancelled")
    for refund, words in (((), "left as they are"), (("--refund",), "cancelled and refunded")):
        tried = terminal.json(*close, *refund, "--dry-run")
        assert (tried["bookings"], tried["under_way"], tried["money"]) == (2, 0, {"EUR": paid})
        assert tried["mailed"] == 1
        asked = terminal(*close, *refund, given="n\n")
        assert asked.code == 1
        assert f"2 bookings are {words}" in asked.err
        assert f"({paid / 100:.2f} EUR was paid)" in asked.err
        assert "1 customers are written to" in terminal(*close, *refund, "--dry-run").out
    assert terminal.json("occurrence", "show", occurrence)["definition"]["status"] == "active"


def test_money_that_is_open_is_on_one_list(terminal: Terminal) -> None:
    occurrence = put(terminal)
    hold_id = held(terminal, occurrence, "--payment-method", "credit_card")
    terminal("occurrence", "close", occurrence, "--status", "cancelled", "--yes")
    terminal("booking", "convert", hold_id, "--paid")
    listed = terminal.json("booking", "money")
    [mine] = [item for item in listed["open"] if item["booking_id"] == hold_id]
    assert (mine["state"], mine["kind"]) == ("parked", "undecided")
    assert mine["amount"] > 0
    assert "booking resolve" in mine["to_do"]
    assert listed["totals"]["EUR"]["undecided"] >= mine["amount"]
    assert "in all: " in terminal("booking", "money").out


def test_staff_gives_some_of_a_booking_back_and_says_how_much_goes_back(terminal: Terminal) -> None:
    booking_id = sold(terminal, put(terminal), adults=2)
    command = ("booking", "reduce", booking_id, "adult=1", "--as-staff")
    assert terminal(*command).code == 2
    assert terminal("booking", "reduce", booking_id, "adult=1", "--refund", "no").code == 2
    done = terminal.json(*command, "--reason", "One seat was wet", "--refund", "10.00", "--by", "ada")
    booking = done["booking"]
    assert (booking["state"], booking["items"], booking["reason"]) == (
        "confirmed",
        {"adult": 1},
        "One seat was wet",
    )
    assert booking["refund_due"] + booking["refunded"] == 1000
    assert terminal(*command, "--reason", "so").code == 1, "no ticket is left to be given back"


def test_a_payment_that_is_refused_is_on_the_list_until_somebody_settles_it(terminal: Terminal) -> None:
    hold_id = held(terminal, put(terminal), "--payment-method", "credit_card")
    wrong = ("booking", "convert", hold_id, "--paid", "--amount", "1", "--reference", "pi_1")
    assert "payment_mismatch" in terminal(*wrong).out
    listed = terminal.json("booking", "money")
    [mine] = [item for item in listed["open"] if item["hold_id"] == hold_id]
    assert (mine["kind"], mine["amount"], mine["booking_id"]) == ("refused", 1, None)
    assert (mine["reason"], mine["reference"], mine["method"]) == ("payment_mismatch", "pi_1", "credit_card")
    assert listed["totals"]["EUR"]["refused"] == 1
    assert "pi_1" in terminal("booking", "money").out
    assert "which was not taken" in terminal("history", "--hold", hold_id).out
    settle = ("booking", "payment-settled", mine["payment_id"])
    assert terminal(*settle).code == 2
    assert terminal.json(*settle, "--note", "by bank")["note"] == "by bank"
    assert terminal(*settle, "--note", "by bank").code == 1
    assert hold_id not in {item["hold_id"] for item in terminal.json("booking", "money")["open"]}


def test_a_cart_is_held_as_a_whole_and_can_be_looked_at(terminal: Terminal) -> None:
    first, second, full = put(terminal), put(terminal), put(terminal, 1)
    legs = ("--leg", f"{first} adult=1", "--leg", f"{second} adult=2 +wine=1")
    both = terminal.json("cart", "place", *legs, "--timeout", "30")
    assert both["final"]["outcome"] == "cart_held"
    assert set(both["final"]["hold_ids"]) == {first, second}
    cart_id = both["final"]["cart_id"]
    eventually(lambda: terminal.json("cart", "show", short(cart_id))["state"] == "held", "it is written down")
    assert "active" in terminal("cart", "show", cart_id).out
    refused = terminal("cart", "place", "--leg", f"{first} adult=1", "--leg", f"{full} adult=2", "--timeout", "30")
    assert refused.code == 1
    assert "Refused: sold_out" in refused.out
    assert terminal("cart", "place", "--leg", first).code == 2


def test_a_line_is_joined_shown_and_left(terminal: Terminal) -> None:
    occurrence = put(terminal, 1)
    assert terminal.json("waitlist", "join", occurrence, "adult=1", code=1)["reason"] == "not_sold_out"
    assert terminal("hold", "place", occurrence, "adult=1").code == 0
    waiting = terminal.json("waitlist", "join", occurrence, "adult=1", "--session", "me")
    assert (waiting["outcome"], waiting["position"]) == ("waiting", 1)
    shown = terminal.json("waitlist", "show", occurrence, "--session", "me")
    assert (shown["outcome"], shown["state"], shown["position"]) == ("waitlist_entry", "waiting", 1)
    stranger = terminal.json(
        "waitlist", "show", occurrence, "--session", "you", "--entry", waiting["entry_id"], code=1
    )
    assert stranger["reason"] == "entry_not_found"
    assert "1 adult" in terminal("waitlist", "show", occurrence, "--session", "me").out
    (entry,) = terminal.json("waitlist", "list", "--occurrence", occurrence)["entries"]
    assert (entry["entry_id"], entry["position"]) == (waiting["entry_id"], 1)
    assert "1 adult" in terminal("waitlist", "list").out
    assert terminal.json("waitlist", "leave", occurrence, "--session", "me")["outcome"] == "left_waitlist"
    assert terminal("waitlist", "leave", occurrence, "--session", "me").code == 1
    assert terminal.json("waitlist", "list", "--occurrence", occurrence)["entries"] == []
    (left,) = terminal.json("waitlist", "list", "--occurrence", occurrence, "--all")["entries"]
    assert (left["state"], left["position"]) == ("left", None)


@pytest.mark.parametrize(
    "arguments",
    [
        ("booking", "show", "abcdef12"),
        ("booking", "show", new_request_id()),
        ("booking", "cancel", "abcdef12"),
        ("booking", "resolve", "abcdef12", "refund"),
        ("cart", "show", new_request_id()),
    ],
)
def test_what_is_not_there_is_said_in_one_line(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    told = terminal(*arguments)
    assert told.code == 1
    assert len(told.err.strip().splitlines()) == 1
