"""Whether a request was done: certain only where the answer leaves no doubt."""

from __future__ import annotations

import pytest

from holdgate_workers.adapters.http.responses import (
    Answer,
    NoAnswer,
    Outcome,
    Verdict,
    detail,
    retry_after_seconds,
    verdict,
)


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Answer(200), Verdict.ANSWERED),
        (Answer(201), Verdict.ANSWERED),
        (Answer(201, problem="the answer is not JSON"), Verdict.UNKNOWN),
        (Answer(302), Verdict.MISCONFIGURED),
        (Answer(400), Verdict.REFUSED),
        (Answer(400, problem="the answer is not JSON"), Verdict.REFUSED),
        (Answer(401), Verdict.MISCONFIGURED),
        (Answer(403), Verdict.MISCONFIGURED),
        (Answer(404), Verdict.MISCONFIGURED),
        (Answer(408), Verdict.UNKNOWN),
        (Answer(409), Verdict.REFUSED),
        (Answer(422), Verdict.REFUSED),
        (Answer(425), Verdict.UNKNOWN),
        (Answer(429), Verdict.NOT_DONE),
        (Answer(500), Verdict.UNKNOWN),
        (Answer(502), Verdict.UNKNOWN),
        (Answer(503), Verdict.UNKNOWN),
        (Answer(504), Verdict.UNKNOWN),
        (Answer(999), Verdict.UNKNOWN),
        (NoAnswer(sent=False, detail="ConnectError"), Verdict.NOT_DONE),
        (NoAnswer(sent=True, detail="ReadTimeout"), Verdict.UNKNOWN),
    ],
)
def test_doubt_is_not_decided(outcome: Outcome, said: Verdict) -> None:
    assert verdict(outcome) is said


def test_every_status_has_a_verdict() -> None:
    assert {verdict(Answer(status)) for status in range(100, 1000)} == set(Verdict)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "Tue, 06 Oct 2026 10:02:00 GMT", "date": "Tue, 06 Oct 2026 10:00:00 GMT"}, 120.0),
        ({"retry-after": "Tue, 06 Oct 2026 10:00:00 GMT", "date": "Tue, 06 Oct 2026 10:02:00 GMT"}, 0.0),
        ({"retry-after": "Tue, 06 Oct 2026 10:02:00 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "٣"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers) == seconds


def test_an_outcome_is_told_without_its_body() -> None:
    assert detail(Answer(500, b"secret")) == "HTTP 500"
    assert detail(Answer(200, problem="the answer is not JSON")) == "HTTP 200: the answer is not JSON"
    assert "which is not followed" in detail(Answer(301, redirect_to="https://elsewhere.example"))
