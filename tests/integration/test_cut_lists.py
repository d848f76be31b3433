"""Every list that ends at a limit says so, and how the rest is seen; one that is whole says nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from tests.support.domain import a_put
from tests.support.postgres import migrated_database
from tests.support.telling import OCCURRENCE, PRODUCT, ZONE, Teller

from holdgate_workers.cli.main import cli
from holdgate_workers.ids import new_request_id

pytestmark = pytest.mark.services

LISTS: list[tuple[str, ...]] = [
    ("occurrence", "list"),
    ("product", "list"),
    ("voucher", "list"),
    ("booking", "list"),
    ("waitlist", "list"),
    ("task", "list"),
    ("settings", "history"),
    ("history", "--occurrence", OCCURRENCE),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A house with two of everything, exactly two where that is easily had."""
    with migrated_database() as url:
        with closing(Teller(url)) as teller:
            for session in ("a", "b"):
                teller.sell(f"session-{session}")
            teller.do(a_put("another", request_id=new_request_id(), product_id="walk", timezone=ZONE))
        with psycopg.connect(url) as connection:
            connection.execute(
                "INSERT INTO products (id, version, definition, changed_by) "
                "SELECT 'walk', 1, definition || '{\"product_id\": \"walk\"}', 'x' FROM products WHERE id = %s",
                [PRODUCT],
            )
            connection.execute(
                "INSERT INTO vouchers (code, version, definition, changed_by) SELECT c, 1, "
                "jsonb_build_object('code', c, 'percent', 10), 'x'"
                " FROM unnest(ARRAY['CODE-ONE', 'CODE-TWO']) AS c"
            )
            connection.execute(
                "INSERT INTO tasks (role, kind, key, payload, state, due_at, wake_at) SELECT 'orders', 'order.make', "
                "k, '{}', 'open', now(), now() FROM unnest(ARRAY['a', 'b']) AS k"
            )
            connection.execute(
                "INSERT INTO waitlist (id, occurrence_id, session_id, state, basket, seats, place, joined_at) "
                "SELECT gen_random_uuid(), %s, 's', 'waiting', '{\"items\": {\"adult\": 1}}', 1, n, now() "
                "FROM generate_series(1, 2) AS n",
                [OCCURRENCE],
            )
        for value in ("20", "25"):
            assert run(url, "settings", "set", f"hold.ttl_minutes={value}").exit_code == 0
        yield url


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), env={"HOLDGATE_DATABASE_URL": url})


def as_json(url: str, *arguments: str) -> dict[str, Any]:
    done = run(url, *arguments, "--output", "json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_a_list_says_when_it_was_cut(url: str, words: tuple[str, ...]) -> None:
    whole = as_json(url, *words, "--limit", "10000")
    rows = next(len(value) for value in whole.values() if isinstance(value, list))
    assert (rows >= 2, whole["is_cut"]) == (True, False)
    assert as_json(url, *words, "--limit", str(rows))["is_cut"] is False
    assert as_json(url, *words, "--limit", "1")["is_cut"] is True
    assert "there are more" not in run(url, *words, "--limit", str(rows)).stderr
    cut = run(url, *words, "--limit", "1")
    assert (cut.exit_code, "1; there are more, --limit shows them" in cut.stderr) == (0, True)


def test_statistics_say_what_they_leave_out(url: str) -> None:
    assert as_json(url, "stats", "--limit", "1")["is_cut"] is True
    assert as_json(url, "stats", "--limit", "2")["is_cut"] is False
    assert "… 1 more, with --limit" in run(url, "stats", "--limit", "1").stdout
