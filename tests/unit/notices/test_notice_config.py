"""Who is told things is configured, everything is off otherwise, and what is wrong is named without its secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.telling import HOUSE, hooks

from holdgate_workers.adapters.mail.file_sink import FileSink
from holdgate_workers.adapters.mail.smtp import SmtpSender
from holdgate_workers.adapters.webhooks.receivers import Receivers
from holdgate_workers.config.environment import ConfigError, ServiceConfig, read_config
from holdgate_workers.wiring import senders as bootstrap_senders
from holdgate_workers.wiring.notifications import notice_handlers, planners_of

RECEIVERS = Receivers(threads=1, elapsed_seconds=lambda: 0.0, draw=lambda: 0.0)
NOWHERE = "postgresql://127.0.0.1:1/nobody"
GA4 = {"ga4_measurement_id": "G-AB12CD34EF", "ga4_api_secret": "geheim", "ga4_salt": "salt"}
FROM = {"mail_url": "smtp://robot:geheim@mail.example", **HOUSE}


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HOLDGATE_")]:
        monkeypatch.delenv(name)


def told(monkeypatch: pytest.MonkeyPatch, **given: object) -> ServiceConfig:
    for name, value in given.items():
        monkeypatch.setenv(f"HOLDGATE_{name.upper()}", str(value))
    return read_config()


def refusal(monkeypatch: pytest.MonkeyPatch, **given: object) -> str:
    with pytest.raises(ConfigError) as caught:
        notice_handlers(told(monkeypatch, **given), NOWHERE, RECEIVERS)
    text = str(caught.value)
    assert "geheim" not in text
    return text


def kinds(config: ServiceConfig) -> set[str]:
    handlers = notice_handlers(config, NOWHERE, RECEIVERS)()
    return {kind.partition(".")[0] for kind in handlers}


@pytest.mark.parametrize("empty", [{}, {"mail_url": "", "ga4_measurement_id": "", "calendar_token": ""}])
def test_with_nothing_set_nobody_is_told_anything(monkeypatch: pytest.MonkeyPatch, empty: dict[str, str]) -> None:
    config = told(monkeypatch, **empty)
    assert planners_of(config) == ()
    assert kinds(config) == {"webhook"}


def test_what_is_set_is_planned_and_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = told(monkeypatch, **FROM, **GA4, webhooks_file=hooks(tmp_path, crm="https://crm.example/"))
    assert len(planners_of(config)) == 3
    assert kinds(config) == {"mail", "analytics", "webhook"}


def test_mails_go_to_a_server_or_into_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for url, kind in ((FROM["mail_url"], SmtpSender), (f"file:{tmp_path}", FileSink), ("file:mails", FileSink)):
        found = bootstrap_senders.mailing(told(monkeypatch, **{**FROM, "mail_url": url}))
        assert found is not None
        assert isinstance(found.sender, kind)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"mail_url": "smtp://mail.example"}, "HOLDGATE_MAIL_FROM: is needed with HOLDGATE_MAIL_URL"),
        ({**FROM, "mail_url": "http://robot:geheim@mail.example"}, "HOLDGATE_MAIL_URL: "),
        ({**FROM, "mail_url": "file:"}, "HOLDGATE_MAIL_URL: file: is followed by a folder"),
        ({**FROM, "mail_from": "nobody"}, "HOLDGATE_MAIL_FROM: must be one address"),
        ({**FROM, "mail_reply_to": "nobody"}, "HOLDGATE_MAIL_REPLY_TO: must be one address"),
        ({**FROM, "mail_templates": "nowhere"}, "HOLDGATE_MAIL_TEMPLATES: nowhere: is not a folder"),
        ({**FROM, "mail_locale": "tlh"}, "HOLDGATE_MAIL_LOCALE: "),
        ({"ga4_measurement_id": "G-1", "ga4_salt": "s"}, "HOLDGATE_GA4_API_SECRET: is needed"),
        ({**GA4, "ga4_salt": ""}, "HOLDGATE_GA4_SALT: is needed"),
        ({**GA4, "ga4_salt": "x" * 65}, "HOLDGATE_GA4_SALT: must have at most 64 bytes"),
        ({**GA4, "ga4_measurement_id": "UA-1"}, "HOLDGATE_GA4_MEASUREMENT_ID: must be the id"),
        ({**GA4, "ga4_url": "http://collect.example/"}, "HOLDGATE_GA4_URL: "),
        ({"calendar_token": "short"}, "HOLDGATE_CALENDAR_TOKEN: must have at least 16 characters"),
        ({"webhooks_file": "nowhere.json"}, "HOLDGATE_WEBHOOKS_FILE: cannot be read: No such file"),
    ],
)
def test_what_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], problem: str) -> None:
    assert problem in refusal(monkeypatch, **given)


@pytest.mark.parametrize(
    ("targets", "problem"),
    [
        ({"crm": {"url": "http://crm.example/geheim"}}, "crm.url crm.example must be reached by https"),
        (
            {"crm": {"url": "https://crm.example/", "secrets": ["geheim"]}},
            "crm.secret must have at least 24 bytes",
        ),
        ({"crm": {"url": "https://crm.example/", "secrets": []}}, "targets[0].secrets"),
        ({"crm": {"url": "https://crm.example/", "events": ["everything"]}}, "targets[0]: events must be names"),
        ({"A name": {"url": "https://crm.example/"}}, "targets[0]: name must be of a to z"),
        ({"crm": {"url": "https://crm.example/", "secret": "geheim"}}, "unknown field `secret`"),
    ],
)
def test_what_is_wrong_in_the_file_of_targets_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, targets: dict[str, object], problem: str
) -> None:
    said = refusal(monkeypatch, webhooks_file=hooks(tmp_path, **targets))
    assert said.startswith("HOLDGATE_WEBHOOKS_FILE: ")
    assert problem in said


def test_two_targets_of_one_name_are_a_mistake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = hooks(tmp_path, crm="https://crm.example/")
    one = path.read_text(encoding="utf-8").partition("[")[2].rpartition("]")[0]
    path.write_text(f'{{"targets": [{one}, {one}]}}', encoding="utf-8")
    assert "targets[1]: there is another one with the name crm" in refusal(monkeypatch, webhooks_file=path)


def test_a_host_of_the_house_may_be_reached_without_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = hooks(tmp_path, crm="http://intranet/")
    config = told(monkeypatch, webhooks_file=file, webhook_plain_http_hosts="shop, intranet")
    assert kinds(config) == {"webhook"}


def test_no_secret_is_shown_with_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    config = told(monkeypatch, **FROM, **GA4, calendar_token="geheim-und-lang-genug")
    assert "geheim" not in repr(config)
