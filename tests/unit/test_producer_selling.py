"""Two answers to one request, over the in-memory gate: prices, bookings, carts, waiting lists."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from holdgate_producer import (
    AsyncBookingClient,
    Booked,
    BookingClient,
    Cancelled,
    CartHeld,
    CartLeg,
    CartStarted,
    Changed,
    ClientClosed,
    ClientConfig,
    Confirmed,
    Converting,
    Customer,
    Held,
    InvalidRequest,
    LeftWaitlist,
    PaymentNotice,
    Priced,
    Pricing,
    Quoted,
    Reason,
    Refused,
    TimedOut,
    UnreadableAnswer,
    Waiting,
    WaitlistPlace,
    new_request_id,
)
from holdgate_producer.testing import FakeGate
from holdgate_schema.answers.holds import HoldView
from holdgate_schema.codec import encode
from holdgate_schema.commands.holds import Command, PlaceHold, SweepHolds
from holdgate_schema.commands.selling import GetQuote, PutQuote

PRICES = {"adult": 2500, "child": 1250, "guide": 400}
LONG = 120.0
SHORT = 0.1


def config(**settings: object) -> ClientConfig:
    return ClientConfig(url="amqp://localhost/", app_id="test", **settings)  # type: ignore[arg-type]


def shop(seats: int = 10) -> FakeGate:
    return FakeGate({"occ-1": seats, "occ-2": seats}, prices=PRICES)


def refused(answer: object) -> Refused:
    assert isinstance(answer, Refused)
    return answer


def paid(hold: HoldView) -> PaymentNotice:
    assert hold.quote is not None
    return PaymentNotice(method="card", amount=hold.quote.total, currency="EUR", status="paid")


def priced_hold(client: BookingClient) -> HoldView:
    answer = client.place_priced("occ-1", {"adult": 2}, pricing=Pricing(payment_method="card")).final.result(LONG)
    assert isinstance(answer, Priced)
    return answer.hold


def until(is_so: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(5000):
        if is_so():
            return
        pause.wait(0.002)
    raise AssertionError("it did not happen")


def test_the_first_answer_is_there_before_the_second() -> None:
    gate = shop()
    with BookingClient(link=gate) as client:
        client.wait_connected()
        gate.hold_back_second_answers()
        answers = client.place_priced("occ-1", {"adult": 2, "child": 1}, extras={"guide": 2})
        held = answers.first.result(LONG)
        assert isinstance(held, Held)
        assert held.hold.quote is None
        assert not answers.final.done()
        assert client.in_flight == 1
        gate.send_second_answers()
        priced = answers.final.result(LONG)
        assert isinstance(priced, Priced)
        assert priced.quote.total == 2 * 2500 + 1250 + 2 * 400
        assert priced.hold.quote is not None
        assert priced.hold.quote.hash == priced.quote.hash
        assert client.in_flight == 0
        assert answers.request_id == held.hold.hold_id


def test_who_waits_for_one_answer_gets_the_first_and_is_not_disturbed_by_the_second() -> None:
    with BookingClient(link=shop()) as client:
        assert isinstance(client.place("occ-1", {"adult": 1}, pricing=Pricing()), Held)
        until(lambda: client.stats.late == 1)
        assert client.in_flight == 0


def test_a_refusal_at_first_is_both_answers() -> None:
    with BookingClient(link=shop(1)) as client:
        answers = client.place_priced("occ-1", {"adult": 2})
        assert refused(answers.first.result(LONG)).reason is Reason.SOLD_OUT
        assert answers.final.result(LONG) == answers.first.result(LONG)


def test_what_has_no_price_is_held_all_the_same() -> None:
    gate = shop()
    with BookingClient(link=gate) as client:
        answers = client.place_priced("occ-1", {"senior": 1})
        assert isinstance(answers.first.result(LONG), Held)
        answer = refused(answers.final.result(LONG))
        assert (answer.reason, answer.errors[0].field) == (Reason.UNPRICED, "ticket.senior")
    assert gate.available("occ-1") == 9


def test_a_request_that_is_sent_again_after_a_lost_connection_gets_both_answers() -> None:
    gate = shop()
    with BookingClient(link=gate) as client:
        client.wait_connected()
        gate.hold_back_second_answers()
        answers = client.place_priced("occ-1", {"adult": 1})
        assert isinstance(answers.first.result(LONG), Held)
        gate.go_down()
        gate.send_second_answers()
        gate.come_up()
        assert isinstance(answers.final.result(LONG), Priced)
    assert gate.available("occ-1") == 9


def test_a_first_answer_that_was_lost_is_asked_for_again_though_the_second_came() -> None:
    gate = shop()
    with BookingClient(config(repeat_seconds=0.02), link=gate) as client:
        client.wait_connected()
        gate.hold_back_second_answers()
        gate.drop_next_answer()
        answers = client.place_priced("occ-1", {"adult": 1})
        gate.wait_for_requests(1)
        gate.send_second_answers()
        assert isinstance(answers.final.result(LONG), Priced)
        assert isinstance(answers.first.result(LONG), Held)


def test_a_second_answer_that_does_not_come_is_asked_for_by_repeating_the_request() -> None:
    gate = shop()
    with BookingClient(config(repeat_seconds=0.02), link=gate) as client:
        client.wait_connected()
        gate.hold_back_second_answers()
        request_id = new_request_id()
        answers = client.place_priced("occ-1", {"adult": 1}, request_id=request_id)
        sent = gate.wait_for_requests(3)
        assert {command.request_id for command in sent} == {request_id}
        assert client.stats.repeated >= 2
        assert not answers.final.done()
        gate.send_second_answers()
        assert isinstance(answers.final.result(LONG), Priced)
    assert gate.available("occ-1") == 9


def test_nothing_is_repeated_once_both_answers_are_there() -> None:
    gate = shop()
    with BookingClient(config(repeat_seconds=0.02), link=gate) as client:
        priced_hold(client)
        gate.hold_back_second_answers()
        client.place_priced("occ-2", {"adult": 1})
        sent = gate.wait_for_requests(4)
        assert [command.occurrence_id for command in sent].count("occ-1") == 1
        gate.send_second_answers()


def test_a_repetition_that_is_not_taken_or_not_decided_ends_nothing() -> None:
    gate = shop()
    with BookingClient(link=gate) as client:
        client.wait_connected()
        gate.hold_back_second_answers()
        answers = client.place_priced("occ-1", {"adult": 1})
        held = answers.first.result(LONG)
        client._core.nacked(answers.request_id, "queue is full")
        for reason in (Reason.UNAVAILABLE, Reason.REQUEST_CONFLICT):
            other = Refused(
                request_id=answers.request_id,
                occurrence_id="occ-1",
                version=0,
                decided_at=held.decided_at,
                reason=reason,
                retryable=reason.retryable,
                message="",
            )
            client._core.answered(answers.request_id, encode(other), None)
        assert not answers.final.done()
        gate.send_second_answers()
        assert isinstance(answers.final.result(LONG), Priced)


def test_a_second_answer_that_comes_first_does_not_stand_for_the_first() -> None:
    """A refusal of the price is no refusal of the hold, even if the grant was lost."""
    gate = shop()
    with BookingClient(link=gate) as client:
        client.wait_connected()
        gate.hold_back_second_answers()
        gate.drop_next_answer()
        answers = client.place_priced("occ-1", {"senior": 1})
        gate.wait_for_requests(1)
        gate.send_second_answers()
        assert refused(answers.final.result(LONG)).reason is Reason.UNPRICED
        assert not answers.first.done()
        gate.go_down()
        gate.come_up()
        assert isinstance(answers.first.result(LONG), Held)


def test_what_is_missing_at_the_timeout_is_named_and_the_first_answer_stays() -> None:
    gate = shop()
    with BookingClient(link=gate) as client:
        client.wait_connected()
        gate.hold_back_second_answers()
        answers = client.place_priced("occ-1", {"adult": 1}, timeout_seconds=SHORT)
        with pytest.raises(TimedOut, match="no second answer in time"):
            answers.final.result(LONG)
        assert isinstance(answers.first.result(LONG), Held)


def test_closing_fails_only_what_has_not_come() -> None:
    gate = shop()
    client = BookingClient(link=gate)
    client.wait_connected()
    gate.hold_back_second_answers()
    answers = client.place_priced("occ-1", {"adult": 1})
    answers.first.result(LONG)
    client.close()
    with pytest.raises(ClientClosed):
        answers.final.result(LONG)


def test_two_callers_of_one_request_share_its_answers_though_only_one_follows_it() -> None:
    gate = FakeGate({"occ-1": 10}, prices=PRICES, connected=False)
    with BookingClient(link=gate) as client:
        command = PlaceHold(
            request_id=new_request_id(), occurrence_id="occ-1", items={"adult": 1}, pricing=Pricing()
        )
        first = client.send(command)
        both = client.follow(command)
        gate.come_up()
        assert first.result(LONG) == both.first.result(LONG)
        assert isinstance(both.final.result(LONG), Priced)
    assert gate.requests == [command]


def test_following_a_request_with_one_answer_gives_it_twice() -> None:
    with BookingClient(link=shop()) as client:
        answers = client.follow(SweepHolds(request_id=new_request_id(), occurrence_id="occ-1"))
        assert answers.final is answers.first
        answers.final.result(LONG)


def test_an_answer_of_another_kind_is_unreadable() -> None:
    gate = shop()
    with BookingClient(link=gate) as client:
        client.wait_connected()
        gate.hold_back_second_answers()
        answers = client.place_priced("occ-1", {"adult": 1})
        answers.first.result(LONG)
        quoted = client.quote
        assert callable(quoted)
        other = Quoted(
            request_id=answers.request_id,
            occurrence_id="occ-1",
            version=1,
            decided_at=answers.first.result().decided_at,
            quote=_any_quote(),
            valid_until=answers.first.result().decided_at,
        )
        client._core.answered(answers.request_id, encode(other), None)
        with pytest.raises(UnreadableAnswer, match="Quoted instead of Priced"):
            answers.final.result(LONG)


def _any_quote() -> object:
    with BookingClient(link=shop()) as client:
        quoted = client.quote("occ-1", {"adult": 1})
    assert isinstance(quoted, Quoted)
    return quoted.quote


def test_a_sale_from_quote_to_cancellation() -> None:
    gate = shop()
    with BookingClient(link=gate) as client:
        quoted = client.quote("occ-1", {"adult": 2}, payment_method="card")
        assert isinstance(quoted, Quoted)
        hold = priced_hold(client)
        assert hold.quote is not None
        assert hold.quote.hash == quoted.quote.hash
        ids = ("occ-1", hold.session_id, hold.hold_id)
        sale = client.convert(*ids, quote_hash=hold.quote.hash, payment=paid(hold), customer=Customer(name="Ada"))
        converting = sale.first.result(LONG)
        assert isinstance(converting, Converting)
        assert converting.booking.booking_id == hold.hold_id
        confirmed = sale.final.result(LONG)
        assert isinstance(confirmed, Confirmed)
        assert refused(client.release(*ids)).hold_state == "confirmed"
        seen = client.booking(*ids)
        assert isinstance(seen, Booked)
        assert seen.booking == confirmed.booking
        assert gate.available("occ-1") == 8
        cancelled = client.cancel_booking(*ids, reason="ill")
        assert isinstance(cancelled, Cancelled)
        assert cancelled.refund == "due"
        assert gate.available("occ-1") == 10
        assert refused(client.cancel_booking(*ids)).reason is Reason.BOOKING_FINAL


def test_a_sale_is_refused_for_another_price_another_payment_and_without_a_price() -> None:
    with BookingClient(link=shop()) as client:
        hold = priced_hold(client)
        assert hold.quote is not None
        ids = ("occ-1", hold.session_id, hold.hold_id)
        sale = client.convert(*ids, quote_hash="0" * 64, payment=paid(hold))
        assert refused(sale.final.result(LONG)).quote == hold.quote
        little = PaymentNotice(method="card", amount=1, currency="EUR", status="paid")
        sale = client.convert(*ids, quote_hash=hold.quote.hash, payment=little)
        assert refused(sale.final.result(LONG)).reason is Reason.PAYMENT_MISMATCH
        changed = client.change_priced(*ids, {"senior": 1})
        assert isinstance(changed.first.result(LONG), Changed)
        sale = client.convert(*ids, quote_hash=hold.quote.hash, payment=paid(hold))
        assert refused(sale.final.result(LONG)).reason is Reason.UNPRICED


def test_an_order_that_fails_gives_the_seats_back() -> None:
    gate = shop()
    with BookingClient(link=gate) as client:
        hold = priced_hold(client)
        assert hold.quote is not None
        gate.fail_next_order("out of stock")
        sale = client.convert(
            "occ-1", hold.session_id, hold.hold_id, quote_hash=hold.quote.hash, payment=paid(hold)
        )
        assert isinstance(sale.first.result(LONG), Converting)
        assert refused(sale.final.result(LONG)).message == "out of stock"
    assert gate.available("occ-1") == 10


def test_a_cart_is_all_or_nothing() -> None:
    gate = FakeGate({"occ-1": 3, "occ-2": 1})
    legs = [CartLeg(occurrence_id="occ-1", items={"adult": 1}), CartLeg(occurrence_id="occ-2", items={"adult": 1})]
    with BookingClient(link=gate) as client:
        cart = client.place_cart(legs)
        assert isinstance(cart.first.result(LONG), CartStarted)
        held = cart.final.result(LONG)
        assert isinstance(held, CartHeld)
        assert set(held.hold_ids) == {"occ-1", "occ-2"}
        lost = refused(client.place_cart(legs).final.result(LONG))
        assert (lost.reason, lost.subject) == (Reason.SOLD_OUT, "occ-2")
        with pytest.raises(InvalidRequest):
            client.place_cart([])
    assert gate.available("occ-1") == 2


def test_a_line_is_joined_when_it_is_sold_out_and_left_again() -> None:
    with BookingClient(link=shop(1)) as client:
        assert refused(client.join_waitlist("occ-1", {"adult": 1})).reason is Reason.NOT_SOLD_OUT
        client.place("occ-1", {"adult": 1})
        waiting = client.join_waitlist("occ-1", {"adult": 1}, session_id="me")
        assert isinstance(waiting, Waiting)
        assert (
            refused(client.join_waitlist("occ-1", {"adult": 1}, session_id="me")).reason is Reason.ALREADY_WAITING
        )
        place = client.waitlist_entry("occ-1", "me", waiting.entry_id)
        assert isinstance(place, WaitlistPlace)
        assert (place.state, place.position, place.seats) == ("waiting", 1, waiting.seats)
        left = client.leave_waitlist("occ-1", "me", waiting.entry_id)
        assert refused(client.waitlist_entry("occ-1", "me", waiting.entry_id)).reason is Reason.ENTRY_NOT_FOUND
        assert isinstance(left, LeftWaitlist)
        assert refused(client.leave_waitlist("occ-1", "me", waiting.entry_id)).reason is Reason.ENTRY_NOT_FOUND


def test_commands_of_the_house_are_forbidden_to_others() -> None:
    command: Command = PutQuote(request_id=new_request_id(), occurrence_id="occ-1", answers=new_request_id())
    with BookingClient(link=shop()) as client:
        assert refused(client.call(command)).reason is Reason.FORBIDDEN


def test_send_gives_the_first_answer_of_a_command_with_two() -> None:
    with BookingClient(link=shop()) as client:
        command = GetQuote(request_id=new_request_id(), occurrence_id="occ-1", items={"adult": 1})
        assert type(client.call(command)).__name__ == "Quoting"


def test_asyncio_has_the_same() -> None:
    async def main() -> None:
        gate = shop()
        async with AsyncBookingClient(link=gate) as client:
            quoted = await client.quote("occ-1", {"adult": 2}, payment_method="card")
            assert isinstance(quoted, Quoted)
            placed = await client.place_priced("occ-1", {"adult": 2}, pricing=Pricing(payment_method="card"))
            assert isinstance(await placed.first, Held)
            priced = await placed.final
            assert isinstance(priced, Priced)
            hold = priced.hold
            ids = ("occ-1", hold.session_id, hold.hold_id)
            changed = await client.change_priced(*ids, {"adult": 1}, pricing=Pricing(payment_method="card"))
            repriced = await changed.final
            assert isinstance(repriced, Priced)
            sale = await client.convert(
                *ids, quote_hash=repriced.quote.hash, payment=paid(repriced.hold), customer=Customer(name="Ada")
            )
            assert isinstance(await sale.first, Converting)
            assert isinstance(await sale.final, Confirmed)
            assert isinstance(await client.booking(*ids), Booked)
            assert isinstance(await client.cancel_booking(*ids), Cancelled)
            legs = [CartLeg(occurrence_id=name, items={"adult": 9}) for name in ("occ-1", "occ-2")]
            cart = await client.place_cart(legs)
            assert isinstance(await cart.first, CartStarted)
            assert isinstance(await cart.final, CartHeld)
            waiting = await client.join_waitlist("occ-1", {"adult": 2}, session_id="me")
            assert isinstance(waiting, Waiting)
            assert isinstance(await client.waitlist_entry("occ-1", "me", waiting.entry_id), WaitlistPlace)
            assert isinstance(await client.leave_waitlist("occ-1", "me", waiting.entry_id), LeftWaitlist)

    asyncio.run(main())
