"""`holdgate notice`: what became of deliveries, per receiver, and making them again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.support.http_peer import HttpPeer, Reply, http_peer
from tests.support.mail_server import Inbox, mail_server
from tests.support.postgres import migrated_database
from tests.support.telling import HOUSE, ZOE, Teller, hooks

from holdgate_workers.cli.main import cli

pytestmark = pytest.mark.services


@pytest.fixture
def peer() -> Iterator[HttpPeer]:
    with http_peer(lambda _: Reply(410, b"")) as peer:
        yield peer


@pytest.fixture
def teller(peer: HttpPeer, tmp_path: Path) -> Iterator[Teller]:
    """A house with a mail that went out, and two events that a target did not want."""
    with ExitStack() as stack:
        url = stack.enter_context(migrated_database())
        port = stack.enter_context(mail_server(Inbox()))
        file = hooks(tmp_path, crm={"url": f"{peer.url}/", "events": ["booking.*"]})
        teller = Teller(url, webhooks_file=file, mail_url=f"smtp+plain://localhost:{port}", **HOUSE)
        stack.callback(teller.close)
        teller.sell()
        teller.tell()
        yield teller


def run(teller: Teller, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["notice", *arguments], env={"HOLDGATE_DATABASE_URL": teller.url})


def as_json(teller: Teller, *arguments: str) -> Any:
    done = run(teller, *arguments, "--output", "json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_deliveries_to_a_target_are_listed_with_its_last_answer(teller: Teller) -> None:
    listed = as_json(teller, "list", "--receiver", "webhook/crm", "--status", "failed")
    assert [(row["status"], row["attempts"], row["detail"]) for row in listed["deliveries"]] == [
        ("failed", 1, "HTTP 410")
    ] * 2
    assert [(count["receiver"], count["status"], count["number"]) for count in listed["counts"]] == [
        ("webhook/crm", "failed", 2)
    ]
    text = run(teller, "list").stdout
    assert "webhook/crm" in text
    assert "mail/confirmation/" in text


def test_nobody_is_in_a_list(teller: Teller) -> None:
    for words in (("list",), ("list", "--output", "json")):
        assert not any(word in run(teller, *words).stdout for word in (ZOE.email, "Zoë", "zoe"))


def test_one_delivery_is_shown(teller: Teller) -> None:
    row = as_json(teller, "list", "--receiver", "mail")["deliveries"][0]
    shown = as_json(teller, "show", str(row["task_id"]))
    assert shown == row
    assert "delivered" in run(teller, "show", str(row["task_id"])).stdout


def test_what_was_not_attempted_yet_is_no_delivery(teller: Teller) -> None:
    ((task_id,),) = teller.rows("SELECT min(id) FROM tasks WHERE state = 'open'")
    done = run(teller, "show", str(task_id))
    assert f"holdgate task show {task_id}" in done.stderr


def test_what_failed_is_made_again(teller: Teller, peer: HttpPeer) -> None:
    peer.work = lambda _: Reply(204, b"")
    told = as_json(teller, "retry", "--all", "--receiver", "webhook/crm", "--yes")
    assert (told["chosen"], len(told["changed"])) == (2, 2)
    teller.work()
    assert len(peer.requests) == 4
    assert as_json(teller, "list", "--status", "failed")["deliveries"] == []


def test_what_was_delivered_is_not_made_again(teller: Teller) -> None:
    row = as_json(teller, "list", "--receiver", "mail")["deliveries"][0]
    done = run(teller, "retry", str(row["task_id"]))
    assert done.exit_code != 0
    assert "not changed" in done.stderr


def test_either_some_or_all_are_made_again(teller: Teller) -> None:
    for words in (("retry",), ("retry", "1", "--all"), ("retry", "1", "--receiver", "mail")):
        assert run(teller, *words).exit_code == 2
