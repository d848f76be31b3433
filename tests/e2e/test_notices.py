"""Telling the world with the real roles: killed in mid send, beside receivers that hang, and from end to end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import icalendar
import pytest
from tests.support.cli import COMMAND
from tests.support.http_peer import HttpPeer, Reply, Request, http_peer
from tests.support.mail_server import Inbox, bad_server, mail_server
from tests.support.postgres import migrated_database
from tests.support.processes import ROOT
from tests.support.rabbit import eventually
from tests.support.requests import put_of
from tests.support.site import TestSite, kinds, open_test_site
from tests.support.tasks import site_at
from tests.support.telling import HASH, HOUSE, ZOE, Teller, hooks, soon

from holdgate_schema.answers.holds import Held
from holdgate_schema.commands.selling import ConvertBooking, PaymentNotice, PriceHold, SettleBooking
from holdgate_schema.values.views import BookedOrder, QuoteView
from holdgate_workers.adapters.http.client import Timeouts
from holdgate_workers.adapters.postgres.maintenance.installation import House
from holdgate_workers.adapters.webhooks.posting import WebhookPoster
from holdgate_workers.app.ports import Outgoing
from holdgate_workers.app.seals import Seals, internal_message
from holdgate_workers.ids import derived_id, new_request_id
from holdgate_workers.roles.notifications import NoticesRole
from holdgate_workers.wiring import senders as bootstrap_senders
from holdgate_workers.wiring.notifications import NOTICE_THREADS

pytestmark = pytest.mark.services

LEASE_SECONDS = 4.0
PATIENT = Timeouts(connect_seconds=60.0, read_seconds=60.0, total_seconds=60.0)
PATIENCE_SECONDS = 30.0
BOOKINGS = 12


# --- killed in mid send ---------------------------------------------------------------------------------------------


class HoldingInbox(Inbox):
    """Keeps the first sender waiting for its answer, after the mail is in."""

    def __init__(self) -> None:
        super().__init__()
        self.taken, self.release = threading.Event(), threading.Event()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - named by aiosmtpd
        said = await super().handle_DATA(server, session, envelope)
        self.taken.set()
        await asyncio.get_running_loop().run_in_executor(None, self.release.wait, PATIENCE_SECONDS)
        return said


@contextmanager
def a_worker(url: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """The role `notifications` in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDGATE_")}
    command = [sys.executable, "-m", "tests.support.notice_main", str(LEASE_SECONDS)]
    process = subprocess.Popen(command, cwd=ROOT, env={**kept, "HOLDGATE_DATABASE_URL": url, **variables})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_mail_whose_sender_was_killed_in_the_middle_comes_again_as_the_same_mail() -> None:
    """At least once: nobody can know whether the server had it. By its Message-ID it is known again."""
    inbox = HoldingInbox()
    with mail_server(inbox) as port, migrated_database() as url:
        given = {"mail_url": f"smtp+plain://localhost:{port}", **HOUSE}
        variables = {f"HOLDGATE_{name.upper()}": value for name, value in given.items()}
        teller = Teller(url, **given)
        teller.sell()
        teller.feed()
        with a_worker(url, **variables) as victim:
            assert inbox.taken.wait(PATIENCE_SECONDS)
            victim.kill()
            victim.wait()
        inbox.release.set()
        with a_worker(url, **variables):
            eventually(lambda: ("mail", "delivered", 2, "250") in teller.deliveries(), "sent", PATIENCE_SECONDS)
        first, second = inbox.messages()
        assert first["Message-ID"] == second["Message-ID"]
        assert len(teller.reminders()) == 2
        teller.close()


# --- receivers that hang --------------------------------------------------------------------------------------------


@contextmanager
def running_role(teller: Teller) -> Iterator[NoticesRole]:
    """The role with its own threads, woken up by looking at the table."""
    with site_at(teller.url, None) as (site, _):
        role = NoticesRole(replace(site, config=teller.config))
        role.start()
        try:
            yield role
        finally:
            role.stop()


def test_a_target_that_hangs_for_the_whole_run_delays_neither_mails_nor_other_targets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers nothing until everything else has arrived."""
    monkeypatch.setattr(bootstrap_senders, "WebhookPoster", partial(WebhookPoster, timeouts=PATIENT))
    over, inbox = threading.Event(), Inbox()

    def hang(_: Request) -> Reply:
        over.wait(PATIENCE_SECONDS * 2)
        return Reply(204, b"")

    with ExitStack() as stack:
        hanging: HttpPeer = stack.enter_context(http_peer(hang))
        healthy: HttpPeer = stack.enter_context(http_peer(lambda _: Reply(204, b"")))
        port = stack.enter_context(mail_server(inbox))
        url = stack.enter_context(migrated_database())
        file = hooks(tmp_path, hanging=f"{hanging.url}/", healthy=f"{healthy.url}/")
        mail_url = f"smtp+plain://localhost:{port}"
        teller = Teller(url, webhooks_file=file, mail_url=mail_url, starts_at=soon(30), **HOUSE)
        stack.callback(teller.close)
        bookings = [teller.sell(f"session-{number}") for number in range(BOOKINGS)]
        teller.feed()
        stack.callback(over.set)
        role = stack.enter_context(running_role(teller))
        eventually(lambda: len(inbox.envelopes) == BOOKINGS, "every mail is there", PATIENCE_SECONDS)
        wanted = {f"booking.confirmed.v1 {booking_id}" for booking_id in bookings}
        eventually(lambda: wanted <= _confirmed(healthy), "every event is there", PATIENCE_SECONDS)
        assert not over.is_set()
        assert 1 <= len(hanging.requests) <= NOTICE_THREADS // 4
        assert {row[1] for row in teller.deliveries() if row[0] == "webhook/hanging"} == {"waiting"}
        attempts = partial(role.metrics.registry.get_sample_value, "holdgate_delivery_attempts_total")
        delivered = {"receiver": "mail", "result": "delivered"}
        eventually(lambda: attempts(delivered) == BOOKINGS, "each mail is one attempt")
        circuit = partial(role.metrics.registry.get_sample_value, "holdgate_receiver_circuit")
        eventually(lambda: circuit({"receiver": "webhook/hanging"}) == 0.0, "its circuit is looked at")
        over.set()


def test_a_mail_server_that_hangs_delays_no_target(tmp_path: Path) -> None:
    """It takes connections and never says a word."""

    over = threading.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.get_running_loop().run_in_executor(None, over.wait, PATIENCE_SECONDS * 2)
        writer.close()

    with ExitStack() as stack:
        peer: HttpPeer = stack.enter_context(http_peer(lambda _: Reply(204, b"")))
        port = stack.enter_context(bad_server(silent))
        url = stack.enter_context(migrated_database())
        mail_url = f"smtp+plain://localhost:{port}"
        teller = Teller(url, webhooks_file=hooks(tmp_path, crm=f"{peer.url}/"), mail_url=mail_url, **HOUSE)
        stack.callback(teller.close)
        bookings = [teller.sell(f"session-{number}") for number in range(BOOKINGS)]
        teller.feed()
        stack.callback(over.set)
        stack.enter_context(running_role(teller))
        wanted = {f"booking.confirmed.v1 {booking_id}" for booking_id in bookings}
        eventually(lambda: wanted <= _confirmed(peer), "every event is there", PATIENCE_SECONDS)
        assert "delivered" not in {row[1] for row in teller.deliveries() if row[0] == "mail"}
        over.set()


def _confirmed(peer: HttpPeer, path: str = "/") -> set[str]:
    bodies: list[Any] = [request.json() for request in peer.requests if request.path == path]
    return {
        f"{body['type']} {body['data']['booking']['booking_id']}" for body in bodies if "booking" in body["data"]
    }


# --- from end to end ------------------------------------------------------------------------------------------------


@pytest.fixture(params=kinds())
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TestSite]:
    with open_test_site(request.param, tmp_path) as site:
        yield site


@contextmanager
def the_role(site: TestSite, role: str, log: Path, **variables: str) -> Iterator[None]:
    """`holdgate worker ROLE`, ready."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDGATE_")}
    broker = {} if site.amqp_url is None else {"HOLDGATE_AMQP_URL": site.amqp_url}
    given = {"HOLDGATE_DATABASE_URL": site.database_url, "HOLDGATE_LOG_FORMAT": "json", **broker, **variables}
    command = [COMMAND, "worker", role, "--output", "json"]
    with log.open("ab") as stderr:
        process = subprocess.Popen(command, env={**kept, **given}, stdout=subprocess.PIPE, stderr=stderr)
    try:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"{", log.read_text(encoding="utf-8")
        yield
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_SECONDS)


def test_from_the_hold_to_the_mailbox_the_target_and_the_reports(site: TestSite, tmp_path: Path) -> None:
    """gate, feeder and notifications as processes of their own; what the shop would say is said by the test."""
    inbox, log = Inbox(), tmp_path / "workers.log"
    with ExitStack() as stack:
        port = stack.enter_context(mail_server(inbox))
        peer: HttpPeer = stack.enter_context(http_peer(lambda _: Reply(204, b"")))
        variables = {
            "HOLDGATE_MAIL_URL": f"smtp+plain://localhost:{port}",
            "HOLDGATE_MAIL_FROM": HOUSE["mail_from"],
            "HOLDGATE_MAIL_FROM_NAME": HOUSE["mail_from_name"],
            "HOLDGATE_GA4_MEASUREMENT_ID": "G-AB12CD34EF",
            "HOLDGATE_GA4_API_SECRET": "geheim",
            "HOLDGATE_GA4_SALT": "salt",
            "HOLDGATE_GA4_URL": f"{peer.url}/collect",
            "HOLDGATE_WEBHOOKS_FILE": str(hooks(tmp_path, crm=f"{peer.url}/crm")),
        }
        for role in ("gate", "feeder", "notifications"):
            stack.enter_context(the_role(site, role, log, **variables))
        booking_id = _sell(site)
        eventually(lambda: inbox.envelopes, "the confirmation is there", PATIENCE_SECONDS)
        names = {"add_to_cart", "begin_checkout", "purchase"}
        eventually(lambda: names <= _reported(peer), "the reports are there", PATIENCE_SECONDS)
        eventually(lambda: f"booking.confirmed.v1 {booking_id}" in _confirmed(peer, "/crm"), "the event is there")
        [message] = inbox.messages()
        [attachment] = list(message.iter_attachments())
        [event] = icalendar.Calendar.from_ical(attachment.get_content()).walk("VEVENT")
        assert str(event["UID"]) == booking_id
        due = "SELECT count(*) FROM tasks WHERE key LIKE 'mail/reminder/%%' AND state = 'open'"
        assert site.value(due) == 2
    logged = log.read_text(encoding="utf-8")
    assert not any(word in logged for word in (ZOE.email, "Zoë", "O'Neil", ZOE.phone, "geheim"))


def _sell(site: TestSite) -> str:
    """A booking; its id."""
    client, occurrence_id = site.client(), "occ-1"
    client.call(put_of(occurrence_id, 10, starts_at=soon(30), ends_at=soon(32)))
    held = client.place(occurrence_id, {"adult": 2})
    assert isinstance(held, Held)
    hold, quote = held.hold, QuoteView(hash=HASH, currency="EUR", total=5000, tickets_total=5000, extras_total=0)
    commands = (
        PriceHold(
            request_id=new_request_id(),
            occurrence_id=occurrence_id,
            hold_id=hold.hold_id,
            items=hold.items,
            quote=quote,
        ),
        ConvertBooking(
            request_id=new_request_id(),
            occurrence_id=occurrence_id,
            session_id=hold.session_id,
            hold_id=hold.hold_id,
            quote_hash=HASH,
            payment=PaymentNotice(method="card", amount=5000, currency="EUR", status="paid"),
            customer=ZOE,
        ),
        SettleBooking(
            request_id=derived_id("test", hold.hold_id),
            occurrence_id=occurrence_id,
            booking_id=hold.hold_id,
            outcome="ordered",
            order=BookedOrder(gateway="local", order_id="77", status="paid"),
        ),
    )
    house = House(site.database_url)
    seals = Seals(house.session_secret())
    house.close()
    publisher = site.site.transport.publisher(name="test")
    messages: list[Outgoing] = [internal_message(command, seals) for command in commands]
    assert publisher.publish(messages).wait(PATIENCE_SECONDS) == []
    publisher.close(PATIENCE_SECONDS)
    return hold.hold_id


def _reported(peer: HttpPeer) -> set[str]:
    bodies: list[Any] = [request.json() for request in peer.requests if request.path == "/collect"]
    return {body["events"][0]["name"] for body in bodies}
