"""Why a mail server cannot be used, by its code and the kind of the exception and not by their words."""

from __future__ import annotations

import socket
import ssl

from aiosmtplib import SMTPAuthenticationError, SMTPNotSupported, SMTPResponseException

from holdgate_workers.adapters.tls import certificate_fault
from holdgate_workers.app.faults import Fault

URL = "HOLDGATE_MAIL_URL"
CA_FILE = "HOLDGATE_MAIL_CA_FILE"

TRANSIENT = frozenset({"no_answer", "closed_port", "busy", "unknown_host", "unknown"})
"""What passes by itself, or may: an outage, and no mistake of whoever set it up."""


def fault_of(error: BaseException) -> Fault:
    """What an exception of the driver means to people. Of the server's words nothing is passed on."""
    item: BaseException | None = error
    seen: list[BaseException] = []
    while item is not None and item not in seen:
        seen.append(item)
        item = item.__cause__ or item.__context__
    for cause in reversed(seen):
        found = _fault(cause)
        if found is not None:
            return found
    return Fault("unknown", "the connection to the mail server broke", "look at the mail server's log")


def _fault(error: BaseException) -> Fault | None:
    if isinstance(error, SMTPAuthenticationError) and 500 <= error.code < 600:
        what = f"the mail server refuses the user name or the password ({error.code})"
        return Fault("wrong_password", what, f"correct them in {URL}")
    if isinstance(error, SMTPNotSupported):
        what = "the mail server lacks STARTTLS, or a way to log in that we know"
        return Fault("no_tls", what, f"use smtps:// in {URL}, or the port for sending (587)")
    if isinstance(error, SMTPResponseException):
        if 400 <= error.code < 500:
            what = f"the mail server has no time now ({error.code})"
            return Fault("busy", what, "wait; if it stays so, look at its log")
        return Fault("refused", f"the mail server does not let us in ({error.code})", "look at its log")
    if isinstance(error, ssl.SSLCertVerificationError):
        return certificate_fault(error, host_in=URL, ca_in=CA_FILE)
    if isinstance(error, ssl.SSLError):
        return Fault("no_tls", "TLS could not be agreed on", f"smtps:// is for port 465, smtp:// for 587: {URL}")
    if isinstance(error, socket.gaierror):
        return Fault("unknown_host", "no address is known for the mail server", f"correct {URL}, or the DNS")
    if isinstance(error, ConnectionRefusedError):
        return Fault("closed_port", "nothing listens on the mail server's port", f"start it, or correct {URL}")
    if isinstance(error, TimeoutError):
        return Fault("no_answer", "the mail server does not answer in time", f"correct host and port in {URL}")
    return None
