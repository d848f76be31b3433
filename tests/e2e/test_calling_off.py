"""An occurrence is called off with all its bookings, in a shop, while somebody stops the command half way."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.cli import COMMAND, COMMAND_SECONDS, environment, hear_ctrl_c
from tests.support.fake_hook_shop import SECRET, fake_hook_shop
from tests.support.fake_woocommerce import fake_woocommerce
from tests.support.rabbit import eventually
from tests.support.recount import Books
from tests.support.selling import convert_of, document_of, priced, sell, sold, woocommerce
from tests.support.site import PARTITIONS, TestSite, open_test_site

from holdgate_schema.answers.selling import Confirmed
from holdgate_workers.adapters.postgres.reports.sales import Sales
from holdgate_workers.cli import exits
from holdgate_workers.cli.sealed import IN_FLIGHT

pytestmark = [pytest.mark.services, pytest.mark.slow]

LONG = 120.0
BOOKINGS = IN_FLIGHT + 4
"""A few more than are asked for at once; one of these is held up."""
Refunds = Callable[[str], list[int]]


@contextmanager
def a_woocommerce_shop() -> Iterator[tuple[dict[str, str], Refunds]]:
    """How a worker finds it, and what went back by reference, in minor units."""
    with fake_woocommerce() as shop:
        shop.now = datetime.now(UTC)  # noqa: TID251 - the shop's own clock
        yield (
            woocommerce(shop),
            lambda reference: [
                round(float(refund["amount"]) * 100)
                for order in shop.under(reference)
                for refund in order["_refunds"]
            ],
        )


@contextmanager
def a_shop_with_signed_requests() -> Iterator[tuple[dict[str, str], Refunds]]:
    """The same."""
    with fake_hook_shop() as shop:
        shop.now = datetime.now(UTC)  # noqa: TID251 - the shop's own clock
        told = {
            "HOLDGATE_ORDER_GATEWAY": "webhook",
            "HOLDGATE_ORDER_URL": shop.url,
            "HOLDGATE_ORDER_SECRET": SECRET,
        }
        yield told, lambda reference: [order["refunded"] for order in shop.under(reference)]


class Office:
    """Somebody who calls a date off from a terminal."""

    def __init__(self, house: TestSite, folder: Path) -> None:
        assert house.amqp_url is not None
        self.house = house
        self._environment = environment(
            folder / "data",
            HOLDGATE_DATABASE_URL=house.database_url,
            HOLDGATE_AMQP_URL=house.amqp_url,
            HOLDGATE_PARTITIONS=str(PARTITIONS),
        )

    def call_off(self) -> subprocess.Popen[str]:
        """The command, under way."""
        command = [COMMAND, "occurrence", "close", "storm", "--status", "cancelled", "--refund", "--yes"]
        return subprocess.Popen(
            [*command, "--reason", "Storm", "--output", "json"],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hear_ctrl_c,
        )

    def told(self) -> dict[str, Any]:
        """What the command says that came to its end."""
        process = self.call_off()
        out, err = process.communicate(timeout=COMMAND_SECONDS)
        assert process.returncode == 0, err
        said: dict[str, Any] = json.loads(out)
        return said

    def cancelled(self) -> int:
        """How many bookings are cancelled."""
        number: int = self.house.value("SELECT count(*) FROM bookings WHERE state = 'cancelled'")
        return number


@pytest.mark.parametrize(
    ("opened", "ended_by"),
    [(a_woocommerce_shop, signal.SIGINT), (a_shop_with_signed_requests, signal.SIGKILL)],
    ids=["woocommerce, Ctrl-C", "signed requests, kill"],
)
def test_stopped_half_way_it_goes_on_from_there_and_pays_nobody_back_twice(
    opened: Callable[[], Any], ended_by: signal.Signals, tmp_path: Path
) -> None:
    with opened() as (shop, refunds), open_test_site("rabbit", tmp_path) as house:
        house.wait_lines(house.start("gate", "feeder", "expiry", "pricing"))
        house.start("orders", **shop)
        client, office = house.client(timeout_seconds=LONG), Office(house, tmp_path)
        sell(house, client, "storm", capacity=2 * BOOKINGS)
        asked = [client.follow(convert_of(priced(client, "storm"))).final for _ in range(BOOKINGS)]
        booked = [answer.result(LONG) for answer in asked]
        assert all(isinstance(answer, Confirmed) for answer in booked), booked
        paid = {answer.booking.booking_id: answer.booking.payment.amount for answer in booked}
        with closing(Sales(house.database_url)) as sales:
            in_turn = [one.id for one in sales.bookings(BOOKINGS, states=("confirmed",), occurrence_id="storm")]
        with psycopg.connect(house.database_url) as locker:
            locker.execute("SELECT 1 FROM bookings WHERE id = %s FOR UPDATE", [in_turn[IN_FLIGHT + 1]])
            process = office.call_off()
            eventually(lambda: office.cancelled() == IN_FLIGHT, "the first ones are cancelled", LONG)
            process.send_signal(ended_by)
            _, err = process.communicate(timeout=COMMAND_SECONDS)
        if ended_by is signal.SIGINT:
            assert process.returncode == exits.STOPPED, err
            assert f"of {BOOKINGS} bookings are cancelled; the same command goes on from there" in err
        again = office.told()
        assert again["left"] == again["refused"] == []
        assert office.told()["cancelled"] == 0
        assert (office.cancelled(), sold(house, "storm")) == (BOOKINGS, 0)
        for booking_id, amount in paid.items():
            eventually(
                lambda booking_id=booking_id: document_of(house, booking_id).get("refund") == "done",
                "the money went back",
                LONG,
            )
            assert refunds(f"hg-{booking_id}") == [amount]
        assert Books(house.database_url).problems() == []
