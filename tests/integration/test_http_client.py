"""The HTTP client against a real server that means it no good."""

from __future__ import annotations

import gzip
import logging
import ssl
from collections.abc import Iterator

import pytest
import trustme
from tests.support.http_peer import HUGE_BYTES, Fault, HttpPeer, Reply, Request, http_peer

from holdgate_workers.adapters.http.client import HttpClient, Timeouts
from holdgate_workers.adapters.http.responses import Answer, NoAnswer, Verdict, verdict
from holdgate_workers.adapters.http.target import Target

SECRET = "Basic Y2tfMTIzOmNzXzQ1Ng=="
SHORT = Timeouts(connect_seconds=15.0, read_seconds=0.5, total_seconds=1.0)


def work(request: Request) -> Reply:
    return Reply(200, {"said": request.body.decode()})


@pytest.fixture
def peer() -> Iterator[HttpPeer]:
    with http_peer(work) as peer:
        yield peer


def client(peer: HttpPeer, timeouts: Timeouts | None = None) -> HttpClient:
    return HttpClient(
        Target(peer.url),
        headers={"Authorization": SECRET},
        timeouts=timeouts or Timeouts(connect_seconds=15.0, read_seconds=15.0),
    )


def test_a_request_arrives_and_its_answer_comes_back(peer: HttpPeer) -> None:
    assert client(peer).send("POST", "x", body=b"hello") == Answer(200, b'{"said": "hello"}')


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.RESET, Fault.TRICKLE_HEADERS])
def test_without_a_status_line_nobody_knows(peer: HttpPeer, fault: Fault) -> None:
    peer.plan(fault)
    outcome = client(peer, SHORT).send("POST", body=b"{}")
    assert isinstance(outcome, NoAnswer)
    assert outcome.sent


def test_a_body_that_never_ends_is_left_and_its_status_kept(peer: HttpPeer) -> None:
    peer.plan(Fault.TRICKLE)
    assert client(peer, SHORT).send("POST", body=b"{}") == Answer(200, problem="took longer than 1 s")


def test_a_body_that_is_too_large_is_left(peer: HttpPeer) -> None:
    peer.plan(Fault.HUGE)
    outcome = client(peer).send("POST", body=b"{}")
    assert outcome == Answer(200, problem="the answer is larger than 1048576 bytes")
    assert HUGE_BYTES > 1048576


def test_an_answer_that_unpacks_to_more_than_it_is_is_left() -> None:
    bomb = Reply(200, gzip.compress(b" " * HUGE_BYTES), {"Content-Encoding": "gzip"})
    with http_peer(lambda _: bomb) as peer:
        outcome = client(peer).send("GET")
    assert outcome == Answer(200, problem="the answer is compressed, which was not asked for")


def test_a_redirect_is_told_and_not_followed(peer: HttpPeer) -> None:
    with http_peer(work) as other:
        peer.work = lambda _: Reply(308, {}, {"Location": f"{other.url}/steal?token=geheim"})
        outcome = client(peer).send("POST", body=b"{}")
        assert other.requests == []
    assert isinstance(outcome, Answer)
    assert (outcome.status, outcome.redirect_to) == (308, "http://127.0.0.1")
    assert verdict(outcome) is Verdict.MISCONFIGURED


def test_the_environment_does_not_lead_requests_elsewhere(peer: HttpPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert client(peer).send("POST", body=b"x") == Answer(200, b'{"said": "x"}')


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def serve_tls(peer: HttpPeer, authority: trustme.CA, name: str) -> str:
    """Give the peer a certificate for that name; answers its address by number."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    peer.use_tls(lambda socket: context.wrap_socket(socket, server_side=True, do_handshake_on_connect=False))
    return peer.url.replace("http://", "https://")


def test_a_certificate_of_an_authority_that_we_know_is_fine(
    peer: HttpPeer, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve_tls(peer, authority, "127.0.0.1")
    with authority.cert_pem.tempfile() as file:
        monkeypatch.setenv("SSL_CERT_FILE", file)
        known = HttpClient(Target(url))
    assert known.send("POST", body=b"x") == Answer(200, b'{"said": "x"}')


def test_a_certificate_of_nobody_is_refused_before_anything_is_sent(peer: HttpPeer, authority: trustme.CA) -> None:
    stranger = HttpClient(Target(serve_tls(peer, authority, "127.0.0.1")), headers={"Authorization": SECRET})
    outcome = stranger.send("POST", body=b"{}")
    assert isinstance(outcome, NoAnswer)
    assert not outcome.sent
    assert "CERTIFICATE_VERIFY_FAILED" in outcome.detail
    assert peer.requests == []


def test_a_certificate_for_somebody_else_is_refused(
    peer: HttpPeer, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve_tls(peer, authority, "elsewhere.example")
    with authority.cert_pem.tempfile() as file:
        monkeypatch.setenv("SSL_CERT_FILE", file)
        outcome = HttpClient(Target(url)).send("POST", body=b"{}")
    assert isinstance(outcome, NoAnswer)
    assert not outcome.sent
    assert peer.requests == []


@pytest.mark.parametrize("fault", [None, *Fault], ids=str)
def test_secrets_and_addresses_are_in_no_log_and_no_outcome(
    peer: HttpPeer, fault: Fault | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    if fault is not None:
        peer.plan(fault)
    sender = client(peer, SHORT)
    outcome = sender.send("POST", "hooks/T0/geheim", query=(("key", "geheim"),), body=b'{"email":"lovelace@"}')
    told = f"{caplog.text} {outcome!r} {sender!r} {sender.target!r}"
    if isinstance(outcome, Answer):
        told = told.replace(repr(outcome.body), "")
    for secret in ("geheim", SECRET, SECRET.split()[1], "lovelace@"):
        assert secret not in told
