"""The implementations of the port `MailSender`, each with a way to see what has arrived."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from tests.support.mail_server import PASSWORD, USER, Authority, Inbox, mail_server, parsed

from holdgate_workers.adapters.mail.file_sink import FileSink
from holdgate_workers.adapters.mail.server import MailServer
from holdgate_workers.adapters.mail.smtp import SmtpSender
from holdgate_workers.app.notifications.people import Sender
from holdgate_workers.app.notifications.ports import MailSender


@dataclass
class Harness:
    """A sender, and what has arrived."""

    sender: MailSender
    received: Callable[[], list[EmailMessage]]


@contextmanager
def starttls(authority: Authority, _folder: Path, house: Sender) -> Iterator[Harness]:
    inbox = Inbox()
    with mail_server(inbox, **with_password(authority, inbox)) as port:
        yield Harness(SmtpSender(a_server(port, authority, **LOGIN), house), inbox.messages)


@contextmanager
def tls(authority: Authority, _folder: Path, house: Sender) -> Iterator[Harness]:
    inbox = Inbox()
    with mail_server(inbox, tls=authority.context, enable_SMTPUTF8=True) as port:
        yield Harness(SmtpSender(a_server(port, authority, security="tls"), house), inbox.messages)


@contextmanager
def folder(_authority: Authority, folder: Path, house: Sender) -> Iterator[Harness]:
    def received() -> list[EmailMessage]:
        files = sorted((folder / "out").glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
        return [parsed(path.read_bytes()) for path in files]

    yield Harness(FileSink(folder / "out", house), received)


HARNESSES: list[Callable[[Authority, Path, Sender], AbstractContextManager[Harness]]] = [starttls, tls, folder]
LOGIN = {"username": USER, "password": PASSWORD}


def with_password(authority: Authority, inbox: Inbox) -> dict[str, Any]:
    return {
        "tls_context": authority.context,
        "require_starttls": True,
        "authenticator": inbox.authenticate,
        "auth_required": True,
        "enable_SMTPUTF8": True,
    }


def a_server(port: int, authority: Authority | None = None, **fields: Any) -> MailServer:
    return MailServer(
        host="localhost",
        port=port,
        ca_file=authority.file if authority else None,
        **{"timeout_seconds": 20} | fields,
    )
