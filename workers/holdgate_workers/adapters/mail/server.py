"""Where mails are handed over: a mail server and how to speak to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

Security = Literal["tls", "starttls", "plain"]

SCHEMES: dict[str, tuple[Security, int]] = {
    "smtps": ("tls", 465),
    "smtp": ("starttls", 587),
    "smtp+plain": ("plain", 25),
}
TIMEOUT_SECONDS_DEFAULT = 30.0


class InvalidMailServer(ValueError):
    """The mail server cannot be used as described; the message says what would be right and repeats no secret."""


@dataclass(slots=True, frozen=True, kw_only=True)
class MailServer:
    """A mail server. Raises `InvalidMailServer`.

    `tls` speaks TLS from the first byte, `starttls` insists on it before anything is said (RFC 3207), `plain` does
    without, and then a password is only sent to this machine itself. Certificates are verified, against `ca_file`
    where the system's authorities do not do. `timeout_seconds` bounds a whole delivery.
    """

    host: str
    port: int
    security: Security = "starttls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    timeout_seconds: float = TIMEOUT_SECONDS_DEFAULT

    def __post_init__(self) -> None:
        if not self.host or not 0 < self.port < 65536:
            raise InvalidMailServer("a mail server has a host and a port from 1 to 65535")
        if (self.username is None) != (self.password is None):
            raise InvalidMailServer("a mail server has both a user name and a password, or neither")
        if self.password is not None and self.security == "plain" and not _is_this_machine(self.host):
            raise InvalidMailServer("a password is not sent over a plain connection: use smtp:// or smtps://")
        if self.timeout_seconds <= 0:
            raise InvalidMailServer("timeout_seconds must be above 0")


def mail_server(url: str, *, ca_file: Path | None = None) -> MailServer:
    """The server of a URL: `smtp://user:password@host:587` (STARTTLS), `smtps://…` (TLS), `smtp+plain://…`.

    Raises `InvalidMailServer`.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidMailServer("the URL of a mail server looks like smtp://user:password@host:587") from None
    if parts.scheme not in SCHEMES:
        raise InvalidMailServer(f"the URL of a mail server begins with one of {', '.join(SCHEMES)}, then ://")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InvalidMailServer(
            "the URL of a mail server ends with the port; escape / ? # in a password (%2F %3F %23)"
        )
    security, usual_port = SCHEMES[parts.scheme]
    return MailServer(
        host=parts.hostname or "",
        port=usual_port if port is None else port,
        security=security,
        username=_unquoted(parts, "username"),
        password=_unquoted(parts, "password"),
        ca_file=ca_file,
    )


def _unquoted(parts: SplitResult, name: Literal["username", "password"]) -> str | None:
    value: str | None = getattr(parts, name)
    return unquote(value) if value else None


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
