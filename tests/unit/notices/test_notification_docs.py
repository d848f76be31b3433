"""docs/notifications.md says what the code does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel import Locale
from tests.support.notices import HOUSE, NOW, a_booking, a_customer

from holdgate_workers.adapters.mail.server import SCHEMES, mail_server
from holdgate_workers.adapters.mail.view import view
from holdgate_workers.adapters.webhooks.posting import WebhookPoster
from holdgate_workers.app.notifications.analytics import NAMES
from holdgate_workers.app.notifications.delivery.retries import BACK_OFF, RetryPolicy
from holdgate_workers.app.notifications.mails import MailKind
from holdgate_workers.config.notifications import NoticeSettings, read_targets
from holdgate_workers.wiring.notifications import NOTICE_THREADS

PROSE = (Path(__file__).parents[3] / "docs" / "notifications.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in PROSE.splitlines() if line.startswith("|")
]


def names(values: Any, prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from names(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def test_the_variables_are_those_that_templates_get() -> None:
    table = PROSE.partition("| variable |")[2].partition("\n\n")[0]
    told = {name for line in table.splitlines()[2:] for name in re.findall(r"`(.+?)`", line.split("|")[1])}
    assert told == set(names(view(a_booking(), a_customer(), HOUSE, Locale("en"))))


def test_the_urls_of_mail_servers_are_those_that_are_understood() -> None:
    urls = [row[0].strip("`") for row in ROWS if "://" in row[0] and row[0].startswith("`smtp")]
    assert {url.partition("://")[0] for url in urls} == set(SCHEMES)
    assert [mail_server(url).port for url in urls] == [mail_server(url.rpartition(":")[0]).port for url in urls]


def test_every_mail_is_named() -> None:
    assert all(f"`{kind}`" in PROSE for kind in MailKind)


def test_the_analytics_events_are_those_that_are_sent() -> None:
    assert {
        row[0].strip("`"): row[1].strip("`") for row in ROWS if row[0].strip("`") in NAMES and len(row) == 3
    } == NAMES


def test_the_schedule_is_the_usual_one() -> None:
    assert f"{RetryPolicy().attempts_max} attempts in 10 to 20 hours" in PROSE
    assert BACK_OFF.max_seconds == 6 * 3600


def test_every_variable_is_explained_and_no_other() -> None:
    told = set(
        re.findall(
            r"`HOLDGATE_([A-Z0-9_]+)`", PROSE.partition("| setting | what it says |")[2].partition("\n\n")[0]
        )
    )
    assert told == {name.upper() for name in NoticeSettings.model_fields}


def test_the_events_of_a_target_in_the_prose_are_ones_that_it_may_ask_for(tmp_path: Path) -> None:
    file = tmp_path / "webhooks.json"
    file.write_text(PROSE.partition("```json")[2].partition("```")[0], encoding="utf-8")
    [target] = read_targets(file)
    assert isinstance(WebhookPoster(target, lambda: NOW), WebhookPoster)


def test_the_threads_and_the_circuit_are_as_told() -> None:
    assert NOTICE_THREADS == 8
    assert "a worker's eight threads" in " ".join(PROSE.split())
