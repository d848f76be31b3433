"""A small on-sale, recorded from outside and judged by the independent checker."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from secrets import token_hex

import pytest
from tests.support.private_servers import private_postgres
from tests.support.rabbit import eventually, fresh_vhost
from tests.support.recorded import RecordedRun, now, on_sale
from tests.support.site import PARTITIONS, TestSite

pytestmark = [pytest.mark.services, pytest.mark.slow]

PROCESSES = 4
REQUESTS = int(os.environ.get("HOLDGATE_TEST_REQUESTS", "1000"))
OCCURRENCES = ("opening-night", "matinée")


def test_a_small_on_sale_with_a_killed_worker_is_valid_to_an_outsider(tmp_path: Path) -> None:
    """Duplicates, contradictions, nonsense, releases, short lives, a SIGKILL and a newcomer; everything that left a
    trace in the database, on the broker and at the clients fits together and follows the contract."""
    with (
        private_postgres(tmp_path / f"postgres-{token_hex(4)}") as postgres,
        fresh_vhost() as amqp_url,
        closing(TestSite(postgres.url, amqp_url, tmp_path)) as site,
        RecordedRun(tmp_path / "record", postgres.url, amqp_url, partitions=PARTITIONS) as run,
    ):
        gates = [site.start("gate", ready=False) for _ in range(2)]
        site.start("expiry", "relay")
        site.wait_lines(*gates)
        sell_out(site, run)
        report = run.judge(expiry_late_seconds=15, drain_seconds=20)
    print(report.table())
    print(report.last_line())
    assert report.verdict == "valid", report.table()
    assert report.figures["requests"] > REQUESTS // 2


def sell_out(site: TestSite, run: RecordedRun) -> None:
    """On the way one of two workers is killed, another one joins, and the operator has fewer seats after all."""
    run.ask(on_sale(OCCURRENCES[0], capacity=400, kids=90, minute=1))
    run.ask(on_sale(OCCURRENCES[1], capacity=150, kids=30, minute=2))
    run.start_buyers(OCCURRENCES, processes=PROCESSES, requests=REQUESTS)
    eventually(lambda: run.decided > REQUESTS // 4, "the sale is under way", 60)
    victim = site.line_of(OCCURRENCES[0])[0]
    since = now()
    victim.kill()
    before = run.decided
    eventually(lambda: run.decided > before + 50, "the other one goes on", 60)
    run.broke("kill", victim.name, since, really_applied=not victim.is_running)
    site.start("gate")
    fewer = {
        "type": "occurrence.capacity.v1",
        "request_id": "00000000-0000-4000-8000-000000000009",
        "capacity": 120,
    }
    run.ask({**fewer, "occurrence_id": OCCURRENCES[0]})
    run.wait_buyers()
