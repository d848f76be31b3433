"""What the client makes of a network that does not carry its requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from holdgate_workers.adapters.http.client import HttpClient
from holdgate_workers.adapters.http.responses import Answer, NoAnswer
from holdgate_workers.adapters.http.target import Target


def client(answer: Callable[[httpx.Request], httpx.Response], **given: object) -> HttpClient:
    return HttpClient(
        Target("https://shop.example/base"),
        transport=httpx.MockTransport(answer),
        **given,  # type: ignore[arg-type]
    )


def streamed(body: bytes, content_type: str = "application/json") -> httpx.Response:
    """An answer as it comes from a network: bit by bit, and of no length that anybody has told."""

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 10):
            yield body[start : start + 10]

    return httpx.Response(200, content=parts(), headers={"Content-Type": content_type})


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (httpx.ConnectError("All connection attempts failed"), False),
        (httpx.ConnectTimeout(""), False),
        (httpx.PoolTimeout(""), False),
        (httpx.WriteTimeout(""), True),
        (httpx.WriteError(""), True),
        (httpx.ReadTimeout(""), True),
        (httpx.ReadError(""), True),
        (httpx.RemoteProtocolError("Server disconnected without sending a response."), True),
    ],
)
def test_what_may_have_been_sent_counts_as_sent(error: httpx.TransportError, sent: bool) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    outcome = client(fail).send("POST", "orders", body=b"{}")
    assert isinstance(outcome, NoAnswer)
    assert outcome.sent is sent
    assert type(error).__name__ in outcome.detail


def test_a_request_is_as_it_was_asked_for() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return streamed(b'{"ok":true}')

    sender = client(answer, headers={"Authorization": "Basic x"})
    outcome = sender.send("PUT", "orders/5", query=(("dp", "2"),), body=b'{"a":1}', headers={"webhook-id": "m"})
    assert outcome == Answer(200, b'{"ok":true}')
    (request,) = seen
    assert (request.method, str(request.url)) == ("PUT", "https://shop.example/base/orders/5?dp=2")
    assert request.content == b'{"a":1}'
    names = ("authorization", "webhook-id", "content-type", "accept", "accept-encoding", "user-agent")
    assert [request.headers[name] for name in names] == [
        "Basic x",
        "m",
        "application/json",
        "application/json",
        "identity",
        "holdgate",
    ]


@pytest.mark.parametrize(
    ("content_type", "problem"),
    [
        ("application/json", ""),
        ("application/json; charset=UTF-8", ""),
        ("Application/HAL+JSON", ""),
        ("text/html", "the answer is not JSON"),
        ("text/json+", "the answer is not JSON"),
        ("", "the answer is not JSON"),
    ],
)
def test_only_json_is_read(content_type: str, problem: str) -> None:
    assert client(lambda _: streamed(b"{}", content_type)).send("GET") == Answer(
        200, b"" if problem else b"{}", problem
    )


def test_a_body_without_a_length_is_read_up_to_a_bound() -> None:
    outcome = client(lambda _: streamed(b" " * 51), body_bytes_max=50).send("GET")
    assert outcome == Answer(200, problem="the answer is larger than 50 bytes")
