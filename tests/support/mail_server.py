"""A real SMTP server on a free port, which does what a test tells it to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from threading import Event, Thread
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "holdgate", "s3cr3t pass/word"


class Authority:
    """Certificates for localhost, and the file that makes them believed."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.file = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self.file))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self.context)


class Inbox:
    """What came in, and what is said to what comes: an answer per command, where it is not the usual one."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.commands: list[str] = []
        self.answers: dict[str, str] = {}
        self.hang_up_after_data = False

    def messages(self) -> list[EmailMessage]:
        """The messages in the order in which they came."""
        return [parsed(envelope.content) for envelope in self.envelopes]

    async def handle_MAIL(  # noqa: N802 - named by aiosmtpd
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.commands.append("MAIL")
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.commands.append("RCPT")
        if "RCPT" in self.answers:
            return self.answers["RCPT"].format(address)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.commands.append("DATA")
        if "DATA" in self.answers:
            return self.answers["DATA"]
        self.envelopes.append(envelope)
        if self.hang_up_after_data:
            assert server.transport is not None
            server.transport.abort()
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.commands.append("QUIT")
        return self.answers.get("QUIT", "221 Bye")

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        """Lets in whoever knows the password."""
        assert isinstance(data, LoginPassword)
        return AuthResult(success=(data.login, data.password) == (USER.encode(), PASSWORD.encode()), handled=False)


def parsed(content: object) -> EmailMessage:
    """A message as a mail program reads it."""
    assert isinstance(content, bytes)
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


@contextmanager
def mail_server(inbox: Inbox, *, tls: ssl.SSLContext | None = None, **options: Any) -> Iterator[int]:
    """The server; its port. `tls` is for TLS from the first byte, `options` are aiosmtpd's."""

    def protocol() -> SMTP:
        return SMTP(inbox, hostname="localhost", loop=asyncio.get_running_loop(), **options)

    with _listening(protocol, tls) as port:
        yield port


@contextmanager
def bad_server(behaviour: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> Iterator[int]:
    """Something that listens and is no mail server; its port."""

    def protocol() -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(), behaviour)

    with _listening(protocol, None) as port:
        yield port


@contextmanager
def _listening(protocol: Callable[[], asyncio.BaseProtocol], tls: ssl.SSLContext | None) -> Iterator[int]:
    ready = Event()
    found: list[Any] = []

    async def run() -> None:
        over = asyncio.Event()
        server = await asyncio.get_running_loop().create_server(protocol, "localhost", 0, ssl=tls)
        found[:] = [server.sockets[0].getsockname()[1], asyncio.get_running_loop(), over]
        ready.set()
        await over.wait()
        server.close()
        if sessions := asyncio.all_tasks() - {asyncio.current_task()}:
            # They end with their connections, which the clients have closed.
            await asyncio.wait(sessions, timeout=10)
        await asyncio.sleep(0)

    thread = Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    port, loop, over = found
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
