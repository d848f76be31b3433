"""An order that makes no sense is not asked for, and says why."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace
from tests.support.orders import new_order, new_refund

from holdgate_workers.app.ordering.orders import (
    Coupon,
    Created,
    Found,
    InvalidOrder,
    NewOrder,
    NotFound,
    OrderLine,
    Refused,
    ShopOrder,
    Unavailable,
    Unknown,
    is_trouble,
)

ORDER = ShopOrder(order_id="1", reference="hg-00000001", status="paid", currency="EUR", total=100)


@pytest.mark.parametrize("total", [17796, 17798, -1, 0])
def test_the_parts_add_up_to_the_total(total: int) -> None:
    with pytest.raises(InvalidOrder, match=r"total: must be what the parts add up to \(17797\)"):
        replace(new_order(), total=total)


@pytest.mark.parametrize("change", [{"currency": "XXX"}, {"lines": ()}, {"reference": "short"}])
def test_a_field_that_is_wrong_is_named(change: dict[str, object]) -> None:
    with pytest.raises(InvalidOrder, match=f"^{next(iter(change))}: "):
        replace(new_order(), **change)


@pytest.mark.parametrize(("quantity", "amount"), [(0, 100), (-1, 100), (1, -100)])
def test_a_line_sells_something(quantity: int, amount: int) -> None:
    with pytest.raises(InvalidOrder, match=r"^lines\.adult: "):
        OrderLine(key="adult", name="Adult", quantity=quantity, amount=amount)


def test_a_coupon_takes_off() -> None:
    with pytest.raises(InvalidOrder, match=r"^coupon\.discount: "):
        Coupon(code="MORE", discount=-1)


def test_a_refund_gives_something_back() -> None:
    with pytest.raises(InvalidOrder, match=r"^amount: "):
        new_refund(0)


def test_nothing_personal_is_in_the_repr_of_an_order() -> None:
    text = repr(new_order())
    assert "Lovelace" not in text
    assert "ada@" not in text


def test_an_order_survives_being_stored() -> None:
    order = new_order()
    assert msgspec.json.decode(msgspec.json.encode(order), type=NewOrder) == order


@pytest.mark.parametrize(
    ("result", "trouble"),
    [
        (Created(ORDER), False),
        (Found(ORDER), False),
        (NotFound(), False),
        (Refused("total_mismatch", permanent=True), False),
        (Refused("woocommerce_rest_cannot_create", permanent=False), True),
        (Unknown("HTTP 500"), True),
        (Unavailable("ConnectError"), True),
    ],
)
def test_a_no_to_one_order_does_not_speak_against_the_shop(result: Refused, trouble: bool) -> None:
    assert is_trouble(result) is trouble
