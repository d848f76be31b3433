"""One voucher over several baskets: taken off once, and shared out to the last minor unit."""

from __future__ import annotations

from decimal import localcontext

from hypothesis import given
from hypothesis import strategies as st

from holdgate_schema.values.products import Voucher
from holdgate_workers.domain.pricing.money import EXACT, shared_out
from holdgate_workers.domain.pricing.vouchers import taken_off, voucher_shares

subtotals = st.lists(st.integers(0, 1_000_000_000), min_size=2, max_size=10)
vouchers = st.one_of(
    st.integers(1, 2_000_000_000).map(lambda amount: Voucher(code="GIFT", amount=amount, currency="EUR")),
    st.integers(1, 1000).map(lambda tenths: Voucher(code="GIFT", percent=tenths / 10)),
)


@given(subtotals=subtotals, voucher=vouchers)
def test_the_shares_are_what_the_voucher_takes_off_the_whole_and_none_is_more_than_its_basket(
    subtotals: list[int], voucher: Voucher
) -> None:
    with localcontext(EXACT):
        shares = voucher_shares(voucher, subtotals)
        off = taken_off(voucher, sum(subtotals))
    assert sum(shares) == off
    assert all(0 <= share <= subtotal for share, subtotal in zip(shares, subtotals, strict=True))


@given(subtotals=subtotals, data=st.data())
def test_each_share_is_within_one_unit_of_its_part(subtotals: list[int], data: st.DataObject) -> None:
    amount = data.draw(st.integers(0, sum(subtotals)))
    for share, part in zip(shared_out(amount, subtotals), subtotals, strict=True):
        assert abs(share * sum(subtotals) - amount * part) < max(1, sum(subtotals))


def test_the_largest_remainders_get_the_units_that_are_left_and_of_equal_ones_the_first() -> None:
    assert shared_out(10, [1000, 1000, 1000]) == [4, 3, 3]
    assert shared_out(5, [10, 20, 30]) == [1, 2, 2]
    assert shared_out(7, [10, 20, 70]) == [1, 1, 5]
    assert shared_out(0, [0, 0]) == [0, 0]
