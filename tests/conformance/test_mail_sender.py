"""The port `MailSender`: one suite on an SMTP server, with STARTTLS and with TLS, and on a folder."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from icalendar import Calendar
from tests.conformance.mail_senders import HARNESSES, Harness, a_server, with_password
from tests.support.mail_server import USER, Authority, Inbox, bad_server, mail_server
from tests.support.notices import BOOKING_ID, HOUSE, NOW, START, a_booking, a_customer, a_mail

from holdgate_workers.adapters.calendars.invitations import IcsInvitations
from holdgate_workers.adapters.mail.file_sink import FileSink
from holdgate_workers.adapters.mail.smtp import SmtpSender
from holdgate_workers.adapters.mail.texts import TemplateTexts
from holdgate_workers.app.notifications.delivery.composing import compose
from holdgate_workers.app.notifications.delivery.mail import CalendarObject, MailText
from holdgate_workers.app.notifications.delivery.outcomes import Delivered, Failed, Outcome
from holdgate_workers.app.notifications.mails import mails_after

TEXT = MailText("Confirmed: Harbour tour", "Hello Zoë\n", "<p>Hello Zoë</p>\n")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=HARNESSES, ids=lambda harness: harness.__name__)
def opened(request: pytest.FixtureRequest, authority: Authority, tmp_path: Path) -> Iterator[Harness]:
    with request.param(authority, tmp_path, HOUSE) as harness:
        yield harness


# --- every implementation --------------------------------------------------------------------------------------------


def test_text_html_and_the_calendar_object_arrive_as_they_were_sent(opened: Harness) -> None:
    text = "Grüße\n.\n..two dots\n" + "a long line " * 200 + "\n\n-- \nHouse\n"
    html = "<p>Grüße</p>\n.\n" + "<i>x</i>" * 500 + "\n"
    calendar = b"BEGIN:VCALENDAR\r\nSUMMARY:Gr\xc3\xbc\xc3\x9fe\r\n more\r\nEND:VCALENDAR\r\n"
    mail = a_mail(text=MailText("Confirmed: Grüße", text, html), calendar=CalendarObject("CANCEL", calendar))
    assert isinstance(opened.sender.send(mail), Delivered)
    [message] = opened.received()
    assert message["Subject"] == "Confirmed: Grüße"
    plain, rich = message.get_body(["plain"]), message.get_body(["html"])
    assert plain is not None
    assert rich is not None
    assert (with_lf(plain), with_lf(rich)) == (text, html)
    [attached] = message.iter_attachments()
    assert attached.get_content_type() == "text/calendar"
    assert attached["Content-Type"].params["method"] == "CANCEL"
    assert attached.get_filename() == "invitation.ics"
    assert attached.get_payload(decode=True) == calendar


def with_lf(part: EmailMessage) -> str:
    content = part.get_content()
    assert isinstance(content, str)
    return content.replace("\r\n", "\n")


def test_headers_say_from_whom_to_whom_and_when_and_that_no_human_wrote_it(opened: Harness) -> None:
    opened.sender.send(a_mail())
    [message] = opened.received()
    assert str(message["From"]) == "Harbour House <bookings@harbour.example>"
    [recipient] = message["To"].addresses
    assert (recipient.display_name, recipient.addr_spec) == ("Zoë O'Neil", "zoe.secret@example.org")
    assert message["Date"].datetime == NOW
    assert message["Auto-Submitted"] == "auto-generated"


def test_the_same_mail_has_the_same_message_id_and_another_one_another(opened: Harness) -> None:
    for key in ("mail/confirmation/1", "mail/cancellation/1", "mail/confirmation/1"):
        assert isinstance(opened.sender.send(a_mail(key)), Delivered)
    ids = [message["Message-ID"] for message in opened.received()]
    assert len(set(ids)) == 2
    assert all(name.endswith("@harbour.example>") and "confirmation" not in name for name in ids)


@pytest.mark.parametrize("name", ['Zoë "Z" O\'Neil', "O'Neil, Zoë", "zoe <evil@example.com>", "a@b, c@d"])
def test_nothing_in_a_name_is_taken_for_an_address(opened: Harness, name: str) -> None:
    opened.sender.send(a_mail(recipient=a_customer(name=name)))
    [message] = opened.received()
    [recipient] = message["To"].addresses
    assert (recipient.display_name, recipient.addr_spec) == (name, "zoe.secret@example.org")


def test_an_encoded_word_in_a_name_is_shown_and_not_decoded(opened: Harness) -> None:
    opened.sender.send(a_mail(recipient=a_customer(name="=?utf-8?q?House=0D=0ABcc:?=")))
    [message] = opened.received()
    assert message["To"].addresses[0].display_name == "= ?utf-8?q?House=0D=0ABcc:?="


def test_nothing_in_a_subject_becomes_a_header(opened: Harness) -> None:
    opened.sender.send(a_mail(text=replace(TEXT, subject="Tour\r\nBcc: evil@example.com\r\n\r\nbody\n")))
    [message] = opened.received()
    assert message["Subject"] == "Tour Bcc: evil@example.com body"
    assert message["Bcc"] is None


@pytest.mark.parametrize(
    ("email", "seen"),
    [("zoë@example.org", "zoë@example.org"), ("zoe@müller.example", "zoe@xn--mller-kva.example")],
)
def test_international_addresses_are_reached(opened: Harness, email: str, seen: str) -> None:
    assert isinstance(opened.sender.send(a_mail(recipient=a_customer(email=email))), Delivered)
    [message] = opened.received()
    # The standard library leaves the bytes of international headers as they are.
    assert message["To"].addresses[0].addr_spec.encode(errors="surrogateescape").decode() == seen


@pytest.mark.parametrize("harness", HARNESSES, ids=lambda harness: harness.__name__)
def test_replies_go_where_the_house_wants_them(harness: Any, authority: Authority, tmp_path: Path) -> None:
    house = replace(HOUSE, reply_to="desk@harbour.example")
    with harness(authority, tmp_path, house) as opened:
        opened.sender.send(a_mail())
        [message] = opened.received()
    assert message["Reply-To"].addresses[0].addr_spec == "desk@harbour.example"


def test_a_confirmation_arrives_with_words_and_an_invitation_that_a_calendar_reads(opened: Harness) -> None:
    notice = mails_after("booking.confirmed", a_booking(), NOW).send[0]
    texts, invitations = TemplateTexts(HOUSE, locale="en-GB"), IcsInvitations(HOUSE)
    mail = compose(notice, a_booking(), a_customer(), NOW, texts=texts, invitations=invitations)
    assert isinstance(opened.sender.send(mail), Delivered)
    [message] = opened.received()
    assert message["Subject"] == "Confirmed: Harbour tour, Friday, 14 June 2030"
    plain = message.get_body(["plain"])
    assert plain is not None
    assert with_lf(plain) == mail.text.text + "\n"
    [attached] = message.iter_attachments()
    calendar = Calendar.from_ical(attached.get_payload(decode=True))
    [event] = calendar.walk("VEVENT")
    assert calendar["METHOD"] == attached["Content-Type"].params["method"] == "REQUEST"
    assert (str(event["UID"]), event.start.astimezone(UTC)) == (BOOKING_ID, START)


# --- SMTP ------------------------------------------------------------------------------------------------------------


def plain_outcome(inbox: Inbox, *, mail: Any = None, **options: Any) -> Outcome:
    with mail_server(inbox, **options) as port:
        return SmtpSender(a_server(port, security="plain"), HOUSE).send(mail or a_mail())


def test_the_envelope_names_one_sender_and_one_recipient() -> None:
    inbox = Inbox()
    assert plain_outcome(inbox) == Delivered("250")
    [envelope] = inbox.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("bookings@harbour.example", ["zoe.secret@example.org"])
    assert inbox.commands == ["MAIL", "RCPT", "DATA", "QUIT"]


@pytest.mark.parametrize(
    ("command", "answer", "expected"),
    [
        ("MAIL", "550 5.7.1 you may not", Failed(reason="550 at naming the sender")),
        ("RCPT", "451 4.7.1 {} later", Failed(reason="451 at naming the recipient")),
        ("RCPT", "550 5.1.1 {} unknown", Failed(reason="550 at naming the recipient", is_final=True)),
        ("DATA", "452 disk full", Failed(reason="452 at handing over the message")),
        ("DATA", "554 spam", Failed(reason="554 at handing over the message", is_final=True)),
    ],
)
def test_what_is_refused_is_told_by_its_code_and_never_in_the_servers_words(
    command: str, answer: str, expected: Failed
) -> None:
    inbox = Inbox()
    inbox.answers[command] = answer
    assert plain_outcome(inbox) == expected


def test_a_wrong_password_can_be_put_right(authority: Authority) -> None:
    inbox = Inbox()
    with mail_server(inbox, **with_password(authority, inbox)) as port:
        server = a_server(port, authority, username=USER, password="wrong")
        assert SmtpSender(server, HOUSE).send(a_mail()) == Failed(reason="535 at connecting")
    assert inbox.commands == []


def test_without_starttls_nothing_is_said(authority: Authority) -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        outcome = SmtpSender(a_server(port, authority), HOUSE).send(a_mail())
    assert isinstance(outcome, Failed)
    assert not outcome.is_final
    assert "connecting" in outcome.reason
    assert inbox.commands == []


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_that_nobody_vouches_for_is_not_believed(authority: Authority, security: str) -> None:
    inbox = Inbox()
    options: dict[str, Any] = (
        {"tls": authority.context} if security == "tls" else {"tls_context": authority.context}
    )
    with mail_server(inbox, **options) as port:
        outcome = SmtpSender(a_server(port, security=security), HOUSE).send(a_mail())
    assert outcome == Failed(reason="TLS failed at connecting")
    assert inbox.commands == []


def test_a_server_that_knows_no_international_addresses_is_not_asked() -> None:
    inbox = Inbox()
    outcome = plain_outcome(inbox, mail=a_mail(recipient=a_customer(email="zoë@example.org")))
    assert outcome == Failed(reason="the server takes no international addresses", is_final=True)
    assert "MAIL" not in inbox.commands


def test_nobody_there_is_no_end() -> None:
    with mail_server(Inbox()) as port:
        pass
    assert SmtpSender(a_server(port, security="plain"), HOUSE).send(a_mail()) == Failed(
        reason="lost the connection at connecting"
    )


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.read()
    finally:
        writer.close()


async def garrulous(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A greeting without end: every line of it comes in time."""
    with suppress(ConnectionError):
        try:
            while True:
                writer.write(b"220-hello\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            writer.close()


async def sluggish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says yes to everything, each time just before one would give up on it."""
    with suppress(ConnectionError):
        try:
            writer.write(b"220 localhost\r\n")
            while await reader.readline():
                await asyncio.sleep(0.2)
                writer.write(b"250 OK\r\n")
        finally:
            writer.close()


@pytest.mark.parametrize("behaviour", [silent, garrulous, sluggish])
def test_a_delivery_ends_in_time_whatever_the_server_does(behaviour: Any) -> None:
    with bad_server(behaviour) as port:
        server = a_server(port, security="plain", timeout_seconds=0.3)
        outcome = SmtpSender(server, HOUSE).send(a_mail())
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("timed out at ")


def test_a_mail_whose_answer_is_lost_may_have_arrived() -> None:
    inbox = Inbox()
    inbox.hang_up_after_data = True
    assert plain_outcome(inbox) == Failed(
        reason="lost the connection at handing over the message", may_have_arrived=True
    )
    assert len(inbox.envelopes) == 1


def test_what_was_taken_is_delivered_however_the_farewell_goes() -> None:
    inbox = Inbox()
    inbox.answers["QUIT"] = "500 what"
    assert plain_outcome(inbox) == Delivered("250")


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_mail_is_one_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "deep" / "out", HOUSE)
    for _ in range(2):
        assert sink.send(a_mail("mail/reminder/1/20300614T080000Z/24h")) == Delivered(
            "mail-reminder-1-20300614T080000Z-24h.eml"
        )
    [path] = (tmp_path / "deep" / "out").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_mail_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "mail-x.eml").mkdir()
    assert isinstance(FileSink(tmp_path, HOUSE).send(a_mail("mail/x")), Failed)
    assert [path.name for path in tmp_path.iterdir()] == ["mail-x.eml"]


def test_a_folder_that_cannot_be_written_to_may_be_put_right(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    outcome = FileSink(tmp_path / "out", HOUSE).send(a_mail())
    assert isinstance(outcome, Failed)
    assert not outcome.is_final
