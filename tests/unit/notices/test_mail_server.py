"""Mail servers as operators name them: by a URL that is checked as a whole and repeated nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdgate_workers.adapters.mail.server import InvalidMailServer, MailServer, mail_server


@pytest.mark.parametrize(
    ("url", "host", "port", "security"),
    [
        ("smtp://mail.example", "mail.example", 587, "starttls"),
        ("smtp://mail.example:2525/", "mail.example", 2525, "starttls"),
        ("smtps://mail.example", "mail.example", 465, "tls"),
        ("smtp+plain://mail.example", "mail.example", 25, "plain"),
        ("smtp+plain://[::1]:1025", "::1", 1025, "plain"),
    ],
)
def test_a_scheme_says_how_to_speak_and_where(url: str, host: str, port: int, security: str) -> None:
    server = mail_server(url)
    assert (server.host, server.port, server.security, server.username) == (host, port, security, None)


def test_a_login_may_hold_any_character() -> None:
    server = mail_server("smtp://tours%40harbour.example:p%2Fa%3As%25s@mail.example", ca_file=Path("ca.pem"))
    assert (server.username, server.password) == ("tours@harbour.example", "p/a:s%s")
    assert server.ca_file == Path("ca.pem")
    assert "p/a" not in repr(server)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example",
        "http://mail.example",
        "smtp://",
        "smtp://:hush@",
        "smtp://mail.example:0",
        "smtp://mail.example:99999",
        "smtp://mail.example:x",
        "smtp://mail.example/hush",
        "smtp://user:hu/sh@mail.example",
        "smtp://user:hu#sh@mail.example",
        "smtp://user@mail.example",
        "smtp+plain://user:hush@mail.example",
        "smtp://[::1",
    ],
)
def test_what_is_no_server_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidMailServer) as caught:
        mail_server(url)
    assert "hu" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_a_password_may_go_in_the_clear_to_this_machine_only(host: str) -> None:
    login: dict[str, Any] = {"port": 25, "security": "plain", "username": "u", "password": "p"}
    assert MailServer(host=host, **login).password == "p"
    with pytest.raises(InvalidMailServer, match="plain connection"):
        MailServer(host="192.0.2.1", **login)


def test_a_deadline_is_above_nought() -> None:
    with pytest.raises(InvalidMailServer):
        MailServer(host="mail.example", port=25, timeout_seconds=0)
