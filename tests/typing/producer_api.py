"""Never run, only type-checked: what the client's types promise to the programs that use it."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import assert_never, assert_type

from holdgate_producer import (
    AsyncBookingClient,
    AsyncTwoAnswers,
    Availability,
    Booked,
    BookingClient,
    Cancelled,
    CartHeld,
    CartLeg,
    CartStarted,
    Changed,
    ClientConfig,
    Confirmed,
    Converting,
    Extended,
    Held,
    LeftWaitlist,
    PaymentNotice,
    Priced,
    Pricing,
    Quoted,
    Refused,
    Released,
    TwoAnswers,
    Waiting,
)
from holdgate_producer.core.link import Link, LinkEvents
from holdgate_producer.testing import FakeGate
from holdgate_schema.answers.holds import Answer, HoldView, Reason
from holdgate_schema.commands.holds import Command


def an_answer_is_narrowed_by_isinstance(client: BookingClient) -> str:
    answer = client.place("occ-1", {"adult": 2}, extras={"lunch": 1}, ttl_seconds=60)
    assert_type(answer, Held | Refused)
    if isinstance(answer, Held):
        assert_type(answer.hold, HoldView)
        return answer.hold.hold_id
    assert_type(answer, Refused)
    assert_type(answer.reason, Reason)
    return answer.message


def match_is_exhaustive(client: BookingClient) -> int:
    answer = client.place("occ-1", {"adult": 2})
    match answer:
        case Held():
            return answer.hold.seats
        case Refused():
            return 0
        case _:
            assert_never(answer)


def each_method_has_its_answer(client: BookingClient) -> None:
    assert_type(client.change("occ-1", "s", "h", {"adult": 1}), Changed | Refused)
    assert_type(client.extend("occ-1", "s", "h"), Extended | Refused)
    assert_type(client.release("occ-1", "s", "h"), Released | Refused)
    assert_type(client.availability("occ-1"), Availability | Refused)
    assert_type(client.availability("occ-1", cached=True), Availability | Refused)


def two_answers_are_two_futures(client: BookingClient, legs: list[CartLeg], payment: PaymentNotice) -> int:
    sale = client.place_priced("occ-1", {"adult": 2}, pricing=Pricing(voucher="WINTER-26"))
    assert_type(sale, TwoAnswers[Held, Priced])
    assert_type(sale.first, Future[Held | Refused])
    assert_type(sale.final, Future[Priced | Refused])
    assert_type(client.change_priced("occ-1", "s", "h", {"adult": 1}), TwoAnswers[Changed, Priced])
    assert_type(client.place_cart(legs), TwoAnswers[CartStarted, CartHeld])
    booked = client.convert("occ-1", "s", "h", quote_hash="0" * 64, payment=payment)
    assert_type(booked, TwoAnswers[Converting, Confirmed])
    match sale.final.result():
        case Priced() as priced:
            return priced.quote.total
        case Refused() as refused:
            assert_type(refused.reason, Reason)
            return 0
        case other:
            assert_never(other)


def selling_has_its_answers(client: BookingClient) -> None:
    assert_type(client.quote("occ-1", {"adult": 1}, payment_method="card"), Quoted | Refused)
    assert_type(client.booking("occ-1", "s", "b"), Booked | Refused)
    assert_type(client.cancel_booking("occ-1", "s", "b", reason="ill"), Cancelled | Refused)
    assert_type(client.join_waitlist("occ-1", {"adult": 1}), Waiting | Refused)
    assert_type(client.leave_waitlist("occ-1", "s", "e"), LeftWaitlist | Refused)


def any_command_can_be_sent(client: BookingClient, command: Command) -> None:
    assert_type(client.call(command), Answer)
    assert_type(client.send(command), Future[Answer])
    assert_type(client.send_many([command]), list[Future[Answer]])
    assert_type(client.follow(command).first, Future[Answer])
    assert_type(client.follow(command).final, Future[Answer])


async def asyncio_has_the_same(client: AsyncBookingClient) -> None:
    answer = await client.place("occ-1", {"adult": 2})
    assert_type(answer, Held | Refused)
    assert_type(await client.availability("occ-1"), Availability | Refused)
    assert_type(await client.quote("occ-1", {"adult": 1}), Quoted | Refused)
    sale = await client.place_priced("occ-1", {"adult": 2})
    assert_type(sale, AsyncTwoAnswers[Held, Priced])
    assert_type(sale.first, asyncio.Future[Held | Refused])
    assert_type(await sale.final, Priced | Refused)


def the_double_is_a_link(gate: FakeGate) -> BookingClient:
    link: Link = gate
    return BookingClient(ClientConfig(url="amqp://localhost/", app_id="x"), link=link)


def the_core_hears_what_links_tell(client: BookingClient) -> LinkEvents:
    return client._core
