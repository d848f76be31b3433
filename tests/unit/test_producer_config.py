"""The client's configuration: every option has a valid and an invalid value, and all problems are told at once."""

from __future__ import annotations

import pytest

from holdgate_producer import ClientConfig, InvalidConfig

GOOD = {"url": "amqp://guest:secret@localhost:5672/vhost", "app_id": "webshop"}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("url", "amqps://user:secret@mq.example:5671/", "http://user:secret@localhost/"),
        ("url", "amqp://localhost", "amqp://guest:secret@localhost:port/"),
        ("url", "amqp://localhost/?frame_max=8192", None),
        ("url", "embedded:.holdgate", "embedded"),
        ("app_id", "web-shop_2.0", "web shop"),
        ("app_id", "a" * 64, "a" * 65),
        ("app_id", "a", ""),
        ("timeout_seconds", 0.5, 0),
        ("timeout_seconds", 30, float("inf")),
        ("confirm_timeout_seconds", 1, -1),
        ("answer_silence_seconds", 1, 0),
        ("blocked_timeout_seconds", 1, "1"),
        ("in_flight_max", 1, 0),
        ("in_flight_max", 100_000, 1.5),
        ("heartbeat_seconds", 2, 1),
        ("reconnect_min_seconds", 0.01, float("nan")),
        ("reconnect_max_seconds", 60, 0.1),
    ],
)
def test_an_option_is_taken_or_refused_by_name(name: str, good: object, bad: object) -> None:
    assert getattr(ClientConfig(**GOOD | {name: good}), name) == good  # type: ignore[arg-type]
    with pytest.raises(InvalidConfig) as caught:
        ClientConfig(**GOOD | {name: bad})  # type: ignore[arg-type]
    assert [error.field for error in caught.value.errors] == [name]


def test_all_problems_are_told_together() -> None:
    with pytest.raises(InvalidConfig) as caught:
        ClientConfig(url="", app_id="", timeout_seconds=0, in_flight_max=0)
    assert [error.field for error in caught.value.errors] == ["url", "app_id", "timeout_seconds", "in_flight_max"]


def test_the_password_is_never_shown() -> None:
    assert "secret" not in repr(ClientConfig(**GOOD))  # type: ignore[arg-type]
    with pytest.raises(InvalidConfig) as caught:
        ClientConfig(url="amqp://guest:secret@localhost:port/", app_id="webshop")
    assert "secret" not in str(caught.value)
