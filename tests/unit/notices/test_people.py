"""Whoever is let in can be written to, and nobody's name or address is shown by what keeps it."""

from __future__ import annotations

from email import message_from_bytes, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.notices import HOUSE, a_customer, a_mail

from holdgate_workers.adapters.mail.message import mime
from holdgate_workers.app.notifications.people import Customer, InvalidPerson, Sender, wire_address

HEADERS = {
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "  "),
        ("name", "x" * 201),
        ("name", "Zoë\r\nBcc: evil@example.com"),
        ("name", "Zoë\nO'Neil"),
        ("name", "Zoë\u2028O'Neil"),
        ("name", "Ada \u202eevil"),
        ("name", "\ud800"),
        ("email", ""),
        ("email", "zoe"),
        ("email", "@example.org"),
        ("email", "zoe@"),
        ("email", "zoe@example..org"),
        ("email", "zoe@-example.org"),
        ("email", "zoe@exa mple.org"),
        ("email", "zoe@example.org, evil@example.com"),
        ("email", "zoe@example.org\r\nBcc: evil@example.com"),
        ("email", "<zoe@example.org>"),
        ("email", "zoe@evil@example.org"),
        ("email", '"zoe"@example.org'),
        ("email", ".zoe@example.org"),
        ("email", "zo..e@example.org"),
        ("email", "x" * 65 + "@example.org"),
        ("email", "zoe@" + "x" * 64 + ".org"),
        ("email", "zoe@" + ".".join(["x" * 60] * 5)),
        ("email", "z\ud800e@example.org"),
        ("locale", "de AT"),
        ("locale", "../../etc"),
        ("locale", "d"),
    ],
)
def test_what_no_mail_may_be_made_with_is_refused_by_its_field_and_not_repeated(field: str, value: str) -> None:
    with pytest.raises(InvalidPerson) as caught:
        a_customer(**{field: value})
    [error] = caught.value.errors
    assert error.field == field
    assert "evil" not in str(caught.value)


def test_all_problems_come_together() -> None:
    with pytest.raises(InvalidPerson) as caught:
        Customer(name="", email="nobody", locale="?")
    assert [error.field for error in caught.value.errors] == ["name", "email", "locale"]


@pytest.mark.parametrize(
    "email",
    ["zoe+tours@example.org", "o'neil@example.co.uk", "zoë@example.org", "zoe@müller.example", "z@localhost"],
)
@pytest.mark.parametrize("locale", ["", "de", "de-AT", "pt_BR", "zh-Hant-TW"])
def test_usual_addresses_and_locales_are_taken(email: str, locale: str) -> None:
    assert a_customer(email=email, locale=locale).email == email


def test_a_domain_goes_over_the_wire_as_dns_has_it() -> None:
    assert wire_address("zoë@müller.example") == "zoë@xn--mller-kva.example"
    assert Sender(name="Haus", email="tours@müller.example").domain == "xn--mller-kva.example"


def test_nobody_is_shown() -> None:
    mail = a_mail()
    for shown in (repr(mail.recipient), repr(mail), str(mail), f"{mail.recipient!s} {HOUSE!r}"):
        assert "Zo" not in shown
        assert "secret" not in shown


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
addresses = st.builds(
    "{}@{}.example".format,
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    st.from_regex(r"[a-zäöü0-9]{1,10}", fullmatch=True),
)


@given(names | st.just("x <y@z>, "), addresses)
def test_a_mail_to_whoever_is_let_in_has_its_headers_and_one_recipient(name: str, email: str) -> None:
    try:
        customer = Customer(name=name, email=email)
    except InvalidPerson:
        return
    message = message_from_bytes(mime(a_mail(recipient=customer), HOUSE).as_bytes(), policy=policy.default)
    assert set(message.keys()) == HEADERS
    [recipient] = message["To"].addresses
    assert recipient.addr_spec.encode(errors="surrogateescape").decode() == wire_address(email)
