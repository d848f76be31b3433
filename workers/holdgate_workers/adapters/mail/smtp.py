"""Mails over SMTP (RFC 5321): one connection per mail, the whole of it within a bounded time."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from enum import StrEnum

from aiosmtplib import SMTP, SMTPException, SMTPNotSupported, SMTPResponseException

from holdgate_workers.app.faults import Fault
from holdgate_workers.app.notifications.delivery.mail import Mail
from holdgate_workers.app.notifications.delivery.outcomes import Delivered, Failed, Outcome
from holdgate_workers.app.notifications.people import Sender, wire_address

from .diagnosis import fault_of
from .message import is_international, mime
from .server import MailServer

QUIT_SECONDS = 2.0
INTERNATIONAL = ("SMTPUTF8", "BODY=8BITMIME")


class Stage(StrEnum):
    """How far a delivery came."""

    CONNECTING = "connecting"
    SENDER = "naming the sender"
    RECIPIENT = "naming the recipient"
    MESSAGE = "handing over the message"


class SmtpSender:
    """The port `MailSender`, over a mail server.

    What the server says in words is not passed on: it often repeats the address.
    """

    def __init__(self, server: MailServer, sender: Sender) -> None:
        self._server = server
        self._sender = sender
        self._tls = None
        if server.security != "plain":
            self._tls = ssl.create_default_context(cafile=str(server.ca_file) if server.ca_file else None)

    def send(self, mail: Mail) -> Outcome:
        """Hand the mail over, within `timeout_seconds` of the server. 250 means that the server will deliver it or say
        why not; a refusal of the recipient or of the message is final, everything else may be better next time."""
        return asyncio.run(_Delivery(self._server, self._sender, self._tls).run(mail))

    def fault(self) -> Fault | None:
        """Connect, agree on TLS, greet and log in, and send nothing; None if that works."""
        return asyncio.run(_Delivery(self._server, self._sender, self._tls).try_out())


class _Client(SMTP):
    """Hangs up at once, whoever closes it: the end of a TLS session that the other side does not answer would outlive
    the event loop."""

    def close(self) -> None:
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()
        super().close()


class _Delivery:
    """One mail on one connection."""

    def __init__(self, server: MailServer, sender: Sender, tls: ssl.SSLContext | None) -> None:
        self._server = server
        self._sender = sender
        self._stage = Stage.CONNECTING
        self._client = _Client(
            hostname=server.host,
            port=server.port,
            local_hostname=sender.domain,
            username=server.username,
            password=server.password,
            timeout=server.timeout_seconds,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            tls_context=tls,
        )

    async def run(self, mail: Mail) -> Outcome:
        try:
            async with asyncio.timeout(self._server.timeout_seconds):
                outcome = await self._hand_over(mail)
        except SMTPResponseException as exc:
            outcome = self._refused(exc.code)
        except (SMTPException, OSError) as exc:  # a TimeoutError is an OSError
            return self._lost(exc)
        else:
            # What was taken has been taken, however the farewell goes.
            with suppress(SMTPException, OSError):
                await self._client.quit(timeout=QUIT_SECONDS)
        finally:
            self._client.close()
            await asyncio.sleep(0)  # the socket is closed in the loop's next turn
        return outcome

    async def try_out(self) -> Fault | None:
        """As `SmtpSender.fault`, within the server's time."""
        try:
            async with asyncio.timeout(self._server.timeout_seconds):
                await self._client.connect()
                if self._client.is_ehlo_or_helo_needed:
                    await self._client.ehlo()
        except (SMTPException, OSError) as exc:
            return fault_of(exc)
        else:
            with suppress(SMTPException, OSError):
                await self._client.quit(timeout=QUIT_SECONDS)
            return None
        finally:
            self._client.close()
            await asyncio.sleep(0)

    async def _hand_over(self, mail: Mail) -> Outcome:
        needs_utf8 = is_international(mail, self._sender)
        await self._client.connect()
        if self._client.is_ehlo_or_helo_needed:
            await self._client.ehlo()
        if needs_utf8 and not self._client.supports_extension("smtputf8"):
            return Failed(reason="the server takes no international addresses", is_final=True)
        encoding, options = ("utf-8", INTERNATIONAL) if needs_utf8 else ("ascii", ())
        self._stage = Stage.SENDER
        await self._client.mail(wire_address(self._sender.email), options=options, encoding=encoding)
        self._stage = Stage.RECIPIENT
        await self._client.rcpt(wire_address(mail.recipient.email), encoding=encoding)
        self._stage = Stage.MESSAGE
        response = await self._client.data(mime(mail, self._sender).as_bytes())
        return Delivered(str(response.code))

    def _refused(self, code: int) -> Failed:
        """Who may not connect or send is ourselves: that can be put right."""
        is_final = self._stage in (Stage.RECIPIENT, Stage.MESSAGE) and 500 <= code < 600
        return Failed(reason=f"{code} at {self._stage}", is_final=is_final)

    def _lost(self, exc: Exception) -> Failed:
        what = "timed out" if isinstance(exc, TimeoutError) else "lost the connection"
        if isinstance(exc, SMTPNotSupported):
            what = "the server lacks a command (STARTTLS, AUTH)"
        elif isinstance(exc, ssl.SSLError) or isinstance(exc.__cause__, ssl.SSLError):
            what = "TLS failed"
        return Failed(reason=f"{what} at {self._stage}", may_have_arrived=self._stage is Stage.MESSAGE)
