"""Money that is open, as people and Prometheus see it."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from tests.support.box_office import BoxOffice
from tests.support.domain import NOW, request_id

from holdgate_workers.adapters.postgres.reports.money import OpenMoney, RefusedPayment
from holdgate_workers.cli.bookings.open_money import _fields, _table
from holdgate_workers.cli.output.output import Output, plain
from holdgate_workers.roles.metrics.metrics import Metrics

MOST = 1_000_000_000
PAYMENT = "01a20730-122e-7691-8000-000000000001"


def a_refused(**fields: Any) -> RefusedPayment:
    """A payment that was not taken."""
    given: dict[str, Any] = {
        "name": PAYMENT,
        "occurrence_id": "occ-1",
        "hold_id": request_id(2),
        "method": "credit_card",
        "amount": MOST,
        "currency": "EUR",
        "reference": "pi_3QK0",
        "reason": "payment_mismatch",
        "message": "not what the quote says",
        "since": NOW,
    }
    return RefusedPayment(**{**given, **fields})


def a_debt() -> OpenMoney:
    """A booking that has to be refunded."""
    box = BoxOffice()
    booking = box.bookings[box.story("refund_required")]
    return OpenMoney(booking, "due", MOST, NOW, NOW + timedelta(days=1), "the shop said no")


def printed(*found: OpenMoney | RefusedPayment) -> list[str]:
    """What a terminal of 80 columns shows."""
    out = Output("table")
    said = StringIO()
    out._console = Console(file=said, width=80, force_terminal=True, color_system=None, highlight=False)
    _table(out, found)
    return said.getvalue().splitlines()


@pytest.mark.parametrize(
    "reference", ["pi_3QK0", "", "p" * 200, "תשלום של משפחת כהן", "دفعة من عائلة المنصور", "[bold]x[/bold]"]
)
@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD", "QQQ"])
def test_the_table_of_open_money_fits_80_columns_and_loses_nothing(reference: str, currency: str) -> None:
    """The id and the whole amount stand in one line, and the command can be read word for word."""
    lines = printed(a_refused(reference=reference, currency=currency), a_debt())
    assert max(map(len, lines)) <= 80 + 2 * 2, lines  # two characters of no width around a reference
    amount = {"EUR": "10000000.00 EUR", "JPY": f"{MOST} JPY", "KWD": "1000000.000 KWD", "QQQ": f"{MOST} of QQQ"}
    assert any("01a20730-122e-7691" in line and amount[currency] in line for line in lines)
    assert any("10000000.00 EUR" in line and " due " in line for line in lines)
    at = lines[0].index("why, and what")
    told = " ".join(" ".join(line[at:].split()) for line in lines)
    assert "…" not in told
    assert "holdgate booking payment-settled 01a20730-122e-7691" in told


@pytest.mark.parametrize("reference", ["תשלום", "دفعة"])
def test_a_reference_that_is_written_from_right_to_left_turns_nothing_around_it(reference: str) -> None:
    assert f"\u2068{reference}\u2069" in "".join(printed(a_refused(reference=reference)))


def test_every_entry_has_the_same_fields_for_programs() -> None:
    refused, debt = (plain(_fields(item)) for item in (a_refused(), a_debt()))
    assert refused.keys() == debt.keys()
    assert (refused["booking_id"], refused["payment_id"], refused["state"]) == (None, PAYMENT, None)
    assert (debt["payment_id"], debt["state"], debt["trouble"]) == (None, "refund_required", "the shop said no")
    assert (refused["kind"], refused["amount"], refused["currency"]) == ("refused", MOST, "EUR")
    assert refused["since"] == "2026-06-01T12:00:00Z"


def test_the_metric_has_every_kind_of_open_money_and_goes_to_0_when_it_is_settled() -> None:
    metrics = Metrics(version="1", role="expiry")
    metrics.count_money({("due", "EUR"): (2, 700), ("refused", "JPY"): (1, 4000)})
    metrics.count_money({("due", "EUR"): (1, 200)})

    def value(kind: str, currency: str, name: str = "holdgate_money_open_minor_units") -> float | None:
        return metrics.registry.get_sample_value(name, {"kind": kind, "currency": currency})

    assert (value("due", "EUR"), value("refused", "JPY"), value("due", "JPY")) == (200, 0, None)
    assert value("due", "EUR", "holdgate_money_open") == 1
