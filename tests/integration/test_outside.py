"""Mail server, folder and shop are tried without anything being sent; only our own mistakes make a role unready."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from tests.conformance.order_gateways import nowhere_url
from tests.support.fake_woocommerce import KEY, PRODUCT_ID, SECRET, fake_woocommerce
from tests.support.mail_server import PASSWORD, USER, Inbox, mail_server

from holdgate_workers.cli.doctor.mail import mail as mail_checks
from holdgate_workers.config.environment import ServiceConfig
from holdgate_workers.wiring.outside import is_ours_to_mend, mail_fault, shop_fault


def mailing(url: str) -> ServiceConfig:
    return ServiceConfig(mail_url=url, mail_from="house@example.org", mail_from_name="House")  # type: ignore[arg-type]


def test_a_login_that_the_mail_server_takes_sends_nothing() -> None:
    inbox = Inbox()
    with mail_server(inbox, authenticator=inbox.authenticate, auth_require_tls=False) as port:
        config = mailing(f"smtp+plain://{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@localhost:{port}")
        assert mail_fault(config) is None
        assert [check.status for check in mail_checks(config)] == ["ok"]
    assert inbox.envelopes == []
    assert not {"MAIL", "RCPT", "DATA"} & set(inbox.commands)


def test_a_wrong_password_of_the_mail_server_is_ours_to_mend() -> None:
    inbox = Inbox()
    with mail_server(inbox, authenticator=inbox.authenticate, auth_require_tls=False) as port:
        fault = mail_fault(mailing(f"smtp+plain://{quote(USER, safe='')}:wrong@localhost:{port}"))
    assert fault is not None
    assert fault.kind == "wrong_password"
    assert is_ours_to_mend(fault)
    assert "wrong" not in str(fault)


def test_a_mail_server_that_is_down_is_told_by_the_doctor_and_leaves_the_role_ready() -> None:
    config = mailing("smtp+plain://localhost:1")
    fault = mail_fault(config)
    assert fault is not None
    assert fault.kind == "closed_port"
    assert not is_ours_to_mend(fault)
    assert [check.status for check in mail_checks(config)] == ["fail"]


def test_a_folder_is_tried_by_writing_and_left_as_it_was(tmp_path: Path) -> None:
    assert mail_fault(mailing(f"file:{tmp_path}")) is None
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    fault = mail_fault(mailing(f"file:{tmp_path}/file"))
    assert fault is not None
    assert fault.kind == "no_folder"
    assert is_ours_to_mend(fault)


@pytest.mark.parametrize(
    ("url", "secret", "kind", "ours"),
    [
        (None, SECRET, None, False),
        (None, "cs_wrong", "wrong_key", True),
        ("/elsewhere", SECRET, "wrong_address", True),
        ("down", SECRET, "no_answer", False),
    ],
)
def test_a_shop_by_one_read(url: str | None, secret: str, kind: str | None, ours: bool) -> None:
    with fake_woocommerce() as shop:
        address = {"down": nowhere_url(), None: shop.url}.get(url, f"{shop.url}{url}")
        config = ServiceConfig(
            order_gateway="woocommerce",
            order_url=address,
            order_key=KEY,  # type: ignore[arg-type]
            order_secret=secret,  # type: ignore[arg-type]
            order_product_id=PRODUCT_ID,
        )
        fault = shop_fault(config)
    assert (fault.kind if fault else None) == kind
    assert fault is None or is_ours_to_mend(fault) is ours
