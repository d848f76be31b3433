"""The acceptance run: many client processes on one occurrence, while the gate's processes are shot and frozen."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from tests.support import clients, recount
from tests.support.clients import NotedClient, Spec
from tests.support.postgres import migrated_database
from tests.support.private_servers import PrivatePostgres, PrivateRabbit, private_postgres, private_rabbit
from tests.support.rabbit import eventually, fresh_vhost
from tests.support.requests import put
from tests.support.site import TestSite, kinds

pytestmark = [pytest.mark.services, pytest.mark.slow]

REQUESTS = int(os.environ.get("HOLDGATE_TEST_REQUESTS", "1000"))
FROZEN_SECONDS = float(os.environ.get("HOLDGATE_TEST_FROZEN_SECONDS", "0"))
"""At least so long, and until its heir works: 20 for the whole proof."""
PROCESSES = 8
OCCURRENCE = "opening-night"


@contextmanager
def crowd_on(site: TestSite) -> Iterator[tuple[list[Spec], Callable[[], None]]]:
    """The client processes, at work; the second value waits until each has all its answers."""
    specs = list(clients.crowd(site, OCCURRENCE, processes=PROCESSES, requests=REQUESTS))
    started = [clients.start(spec) for spec in specs]
    try:
        yield specs, lambda: _wait(specs, started)
    finally:
        for process in started:
            process.kill()
            process.wait()


def _wait(specs: Sequence[Spec], started: Sequence[subprocess.Popen[bytes]]) -> None:
    for spec, process in zip(specs, started, strict=True):
        code = process.wait(clients.PATIENCE_SECONDS + 60)
        assert code == 0, Path(f"{spec.notes}.log").read_text(encoding="utf-8")[-4000:]


def on_sale(site: TestSite) -> NotedClient:
    """The occurrence, with fewer seats than are asked for; the client that has put it there."""
    boss = NotedClient(site, "boss")
    put(boss.client, OCCURRENCE, REQUESTS * 3 // 4, kids=REQUESTS // 4)
    return boss


def decided(site: TestSite) -> int:
    """How many requests have their outcome."""
    count: int = site.value("SELECT count(*) FROM journal WHERE kind <> 'hold.sweep.v1'")
    return count


def prove(site: TestSite, boss: NotedClient, specs: Sequence[Spec]) -> dict[str, Any]:
    """Count everything again; the figures of the run."""
    notes = clients.notes_of(specs)
    books = recount.Books(site.database_url)
    problems = books.problems() + recount.against_notes(books, {**notes, boss.name: boss.notes})
    assert problems == []
    assert site.dead_letters() == []
    entries = [entry for name in notes for entry in notes[name]]
    return {
        "requests": len({entry["sent"]["request_id"] for entry in entries if "sent" in entry}),
        "sent": sum("sent" in entry for entry in entries),
        "answers": sum("got" in entry for entry in entries),
        "granted": sum(row[4] == "held" for row in books.journal),
        "sold_out": sum(row[4] == "refused" and row[5]["reason"] == "sold_out" for row in books.journal),
        "expired": sum(row[3] == "expired" for row in books.holds),
    }


def test_every_request_has_one_outcome_while_one_worker_is_killed_and_another_comes_back_as_a_zombie(
    site: TestSite, record_property: Callable[[str, object], None]
) -> None:
    """One gate freezes in the middle of a batch until its queue was given to another, which is killed in the middle
    of one; then the frozen one wakes up, with a decided batch in its hands."""
    gates = [site.start("gate"), site.start("gate", ready=False)]
    site.start("expiry", "relay")
    site.wait_lines(*gates)
    boss = on_sale(site)
    zombie, victim = site.line_of(OCCURRENCE)
    zombie.arm("before:Commit:3:pause")
    victim.arm("before:Commit:3:kill")
    with crowd_on(site) as (specs, wait):
        zombie.wait_paused()
        frozen_at = monotonic()
        if site.kind == "embedded":
            site.take_queue_away(zombie)  # a database does not ask a silent client whether it still lives
        victim.wait_killed(90)
        heir = site.start("gate")
        before = decided(site)
        eventually(lambda: decided(site) > before + REQUESTS // 20, "the heir works", 60)
        eventually(lambda: monotonic() - frozen_at >= FROZEN_SECONDS, "it was frozen for long", FROZEN_SECONDS + 5)
        zombie.resume()
        wait()
    fenced = eventually(lambda: zombie.metric("holdgate_conflicts_total"), "the zombie is fenced")
    figures = prove(site, boss, specs)
    record_property("figures", {**figures, "zombie_conflicts": fenced})
    assert figures["granted"] > 0
    assert figures["sold_out"] > 0
    assert heir.metric("holdgate_requests_total") > 0
    print(figures, "conflicts of the zombie:", fenced)


def test_every_request_has_one_outcome_though_the_broker_is_killed_and_started_again(tmp_path: Path) -> None:
    """Twice, in the middle of the run, with a node of the test's own."""
    with (
        private_rabbit(tmp_path / "rabbit") as rabbit,
        migrated_database() as database_url,
        closing(TestSite(database_url, rabbit.url, tmp_path)) as site,
    ):
        _restarted(site, rabbit)


@pytest.mark.parametrize("kind", kinds())
def test_every_request_has_one_outcome_though_the_database_is_killed_and_started_again(
    kind: str, tmp_path: Path
) -> None:
    """Twice, in the middle of the run, by an immediate shutdown; nobody is told `sold_out` because of it (B37)."""
    with private_postgres(tmp_path / "postgres") as postgres, ExitStack() as stack:
        amqp_url = None if kind == "embedded" else stack.enter_context(fresh_vhost())
        with closing(TestSite(postgres.url, amqp_url, tmp_path)) as site:
            _restarted(site, postgres)


def _under_way(site: TestSite, requests: int) -> None:
    eventually(lambda: decided(site) >= requests, "the run is under way", 60)


def _restarted(site: TestSite, server: PrivatePostgres | PrivateRabbit) -> None:
    gates = [site.start("gate"), site.start("gate", ready=False)]
    site.start("expiry", "relay")
    site.wait_lines(*gates)
    boss = on_sale(site)
    with crowd_on(site) as (specs, wait):
        for part in (8, 3):
            _under_way(site, REQUESTS // part)
            server.crash()
            server.start()
        wait()
    for worker in site.workers:
        worker.wait_ready()
    figures = prove(site, boss, specs)
    assert figures["granted"] > 0
    assert figures["sold_out"] > 0
    print(figures)
