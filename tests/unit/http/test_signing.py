"""Signed messages: those of others are refused, and so are old ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from holdgate_workers.adapters.http.signing import (
    SIGNATURE_HEADER,
    WINDOW,
    InvalidKey,
    NotSigned,
    Signed,
    SigningKey,
    verify,
)

# The example that goes round with the specification.
KEY = SigningKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
SENT_AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
HEADERS = {
    "webhook-id": MESSAGE_ID,
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def test_it_signs_as_the_specification_does() -> None:
    assert KEY.sign(MESSAGE_ID, SENT_AT, BODY) == HEADERS


def test_what_was_signed_is_believed() -> None:
    assert verify(HEADERS, BODY, [KEY], SENT_AT) == Signed(MESSAGE_ID, SENT_AT)
    assert verify({name.title(): text for name, text in HEADERS.items()}, BODY, [KEY], SENT_AT) == Signed(
        MESSAGE_ID, SENT_AT
    )


@pytest.mark.parametrize(
    "change", [{"webhook-id": "msg_other"}, {"webhook-timestamp": "1614265331"}, {"webhook-signature": "v1,AAAA"}]
)
def test_nothing_of_it_can_be_changed(change: dict[str, str]) -> None:
    assert verify({**HEADERS, **change}, BODY, [KEY], SENT_AT) == NotSigned("bad_signature")
    assert verify(HEADERS, BODY + b" ", [KEY], SENT_AT) == NotSigned("bad_signature")


def test_another_key_is_nobodys() -> None:
    other = SigningKey("x" * 24)
    assert verify(HEADERS, BODY, [other], SENT_AT) == NotSigned("bad_signature")
    assert verify(HEADERS, BODY, [], SENT_AT) == NotSigned("bad_signature")


def test_a_key_can_be_replaced_without_a_gap() -> None:
    new = SigningKey("n" * 24)
    assert isinstance(verify(HEADERS, BODY, [new, KEY], SENT_AT), Signed)
    both = f"{new.signature(MESSAGE_ID, '1614265330', BODY)} {HEADERS[SIGNATURE_HEADER]}"
    assert isinstance(verify({**HEADERS, SIGNATURE_HEADER: both}, BODY, [KEY], SENT_AT), Signed)


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        (WINDOW, None),
        (WINDOW + timedelta(seconds=1), "too_old"),
        (-WINDOW, None),
        (-WINDOW - timedelta(seconds=1), "too_new"),
    ],
)
def test_words_count_for_five_minutes(later: timedelta, reason: str | None) -> None:
    result = verify(HEADERS, BODY, [KEY], SENT_AT + later)
    assert result == (Signed(MESSAGE_ID, SENT_AT) if reason is None else NotSigned(reason))


@pytest.mark.parametrize("missing", sorted(HEADERS))
def test_all_three_headers_are_needed(missing: str) -> None:
    headers = {name: text for name, text in HEADERS.items() if name != missing}
    assert verify(headers, BODY, [KEY], SENT_AT) == NotSigned("missing_header")


@pytest.mark.parametrize("timestamp", ["-1", "1e9", "٣", "9" * 30, "1614265330.5"])
def test_a_time_is_seconds(timestamp: str) -> None:
    assert verify({**HEADERS, "webhook-timestamp": timestamp}, BODY, [KEY], SENT_AT) == NotSigned("bad_timestamp")


@pytest.mark.parametrize("text", ["short", "whsec_!!!", "whsec_c2hvcnQ=", ""])
def test_a_weak_or_broken_secret_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidKey) as raised:
        SigningKey(text)
    assert not text or text not in str(raised.value)


def test_a_key_does_not_show() -> None:
    assert repr(KEY) == "SigningKey(…)"
