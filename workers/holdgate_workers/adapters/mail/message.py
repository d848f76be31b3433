"""Mails in the form in which they travel (RFC 5322, MIME, RFC 6047)."""

from __future__ import annotations

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from hashlib import blake2b

from holdgate_workers.app.notifications.delivery.mail import Mail
from holdgate_workers.app.notifications.people import Sender, wire_address

CALENDAR_FILE = "invitation.ics"
ID_BYTES = 16
SUBJECT_CHARS_MAX = 200


def message_id(key: str, sender: Sender) -> str:
    """The Message-ID of the mail with this key: the same for each attempt, and it tells nothing of the booking."""
    return f"<{blake2b(key.encode(), digest_size=ID_BYTES).hexdigest()}@{sender.domain}>"


def is_international(mail: Mail, sender: Sender) -> bool:
    """Whether an address cannot be written in ASCII, so that the server must know SMTPUTF8 (RFC 6531)."""
    addresses = (mail.recipient.email, sender.email, sender.reply_to or "")
    return not all(wire_address(address).isascii() for address in addresses if address)


def mime(mail: Mail, sender: Sender) -> EmailMessage:
    """The mail as text and HTML, with the calendar object, if there is one, attached.

    Headers are structured values that the library writes: nothing in a name can become a header of its own.
    """
    message = EmailMessage(policy=SMTPUTF8 if is_international(mail, sender) else SMTP)
    message["From"] = _address(sender.name, sender.email)
    message["To"] = _address(mail.recipient.name, mail.recipient.email)
    if sender.reply_to is not None:
        message["Reply-To"] = _address(sender.name, sender.reply_to)
    message["Subject"] = _as_it_is(" ".join(mail.text.subject.split())[:SUBJECT_CHARS_MAX])
    message["Date"] = mail.written_at
    message["Message-ID"] = message_id(mail.key, sender)
    # Nobody's absence note is to answer this (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text.text, cte="quoted-printable")
    message.add_alternative(mail.text.html, subtype="html", cte="quoted-printable")
    if mail.calendar is not None:
        message.add_attachment(
            mail.calendar.content.decode(),
            subtype="calendar",
            cte="base64",
            filename=CALENDAR_FILE,
            params={"method": mail.calendar.method},
        )
    return message


def _address(name: str, email: str) -> Address:
    username, _, domain = wire_address(email).rpartition("@")
    return Address(_as_it_is(name), username, domain)


def _as_it_is(text: str) -> str:
    """Without encoded words of its own (RFC 2047): whoever shows it would decode them into something else."""
    return text.replace("=?", "= ?")
