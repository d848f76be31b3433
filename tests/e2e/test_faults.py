"""What happens to requests when workers die, stop, freeze, come and go, and when the database does not answer."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from subprocess import TimeoutExpired

import psycopg
import pytest
from tests.support import recount
from tests.support.clients import NotedClient
from tests.support.processes import WorkerProcess
from tests.support.rabbit import eventually
from tests.support.requests import place_of, put
from tests.support.site import PARTITIONS, TestSite

from holdgate_producer.core.errors import TimedOut
from holdgate_schema.answers.holds import Answer, Held, Refused, Released
from holdgate_schema.commands.holds import ReleaseHold
from holdgate_workers.app.partitions.membership import ranked
from holdgate_workers.ids import new_request_id

pytestmark = pytest.mark.services

PAIRS = 300


def problems(site: TestSite, *clients: NotedClient) -> list[str]:
    """Whatever an outsider can find wrong."""
    books = recount.Books(site.database_url)
    notes = {client.name: client.notes for client in clients}
    letters = [f"dead letter: {letter.reason} {letter.detail}" for letter in site.dead_letters()]
    return [*books.problems(), *recount.against_notes(books, notes), *letters]


class Load:
    """One client that keeps asking, in windows of ten, until the end of the block."""

    def __init__(self, site: TestSite, name: str, occurrence_id: str) -> None:
        self.noted = NotedClient(site, name)
        self.answers: list[Answer] = []
        self._occurrence_id = occurrence_id
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)
        self._failure: BaseException | None = None

    def start(self) -> Load:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    def goes_on(self, answers: int = 50) -> None:
        """Wait until so many more answers have come."""
        goal = len(self.answers) + answers
        eventually(lambda: len(self.answers) >= goal or self._failure, "answers go on coming", 40)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                futures = self.noted.client.send_many([place_of(self._occurrence_id) for _ in range(10)])
                self.answers += [future.result() for future in futures]
        except BaseException as exc:  # noqa: BLE001 - told to the test by `stop`
            self._failure = exc


@contextmanager
def load_on(site: TestSite, *occurrence_ids: str) -> Iterator[list[Load]]:
    """A client at work on each occurrence; afterwards everything must add up."""
    loads = [Load(site, f"load-{number}", occurrence_id) for number, occurrence_id in enumerate(occurrence_ids)]
    try:
        for load in loads:
            load.start().goes_on(10)
        yield loads
    finally:
        for load in loads:
            load.stop()


def opened(site: TestSite, *occurrence_ids: str) -> NotedClient:
    """The occurrences, with room for everybody; the client that made them."""
    boss = NotedClient(site, "boss")
    for occurrence_id in occurrence_ids:
        put(boss.client, occurrence_id, 100_000)
    return boss


def two_gates(site: TestSite) -> list[WorkerProcess]:
    """Two gates that have shared the partitions between them."""
    # One after the other: of two that come at the same moment, the queue may take one first and the table the other.
    gates = [site.start("gate"), site.start("gate", ready=False)]
    site.wait_lines(*gates)
    return gates


def test_b6_requests_sent_up_to_five_times_count_once_though_the_worker_dies_after_a_commit(
    site: TestSite,
) -> None:
    """The worker is killed after its commit and before it has answered or acknowledged anything, so the broker
    delivers everything again, to another worker."""
    two_gates(site)
    boss = opened(site, "b6")
    clients = [NotedClient(site, f"client-{n}") for n in range(5)]
    for client in clients:
        client.client.wait_connected()
    requests = [place_of("b6", session_id=None) for _ in range(200)]
    victim, _ = site.line_of("b6")
    victim.arm("after:AwaitCommit:2:kill")
    futures = [
        client.client.send(request) for n, request in enumerate(requests) for client in clients[: 1 + n % 5]
    ]
    answers = [future.result() for future in futures]
    victim.wait_killed()
    assert all(isinstance(answer, Held) for answer in answers)
    assert site.held("b6") == 200
    assert problems(site, boss, *clients) == []
    heir = site.line_of("b6")[-1]
    assert heir.metric("holdgate_repeated_requests_total") > 0


def kill_one(site: TestSite, occurrence_id: str, failpoint: str) -> None:
    """Whoever works the occurrence; on a machine that is very busy the second in line may have come first."""
    first, second = site.line_of(occurrence_id)
    first.arm(failpoint)
    try:
        first.wait_killed(20)
    except TimeoutExpired:
        second.arm(failpoint)
        second.wait_killed()


@pytest.mark.parametrize("failpoint", ["before:Commit:2:kill", "after:Reply:2:kill", "after:Ack:2:kill"])
def test_a_killed_worker_costs_nobody_an_answer(site: TestSite, failpoint: str) -> None:
    """Killed on the brink of a commit, between answer and acknowledgement, or after it: the next in line goes on."""
    occurrence_id = f"killed-{failpoint}"
    two_gates(site)
    boss = opened(site, occurrence_id)
    with load_on(site, occurrence_id) as [load]:
        kill_one(site, occurrence_id, failpoint)
        load.goes_on()
    assert problems(site, boss, load.noted) == []


def test_b36_a_worker_that_comes_back_after_its_queue_was_given_away_is_fenced(site: TestSite) -> None:
    """It stands frozen on the brink of a commit; the queue gives its place to the next, which goes on with the same
    occurrence; when it wakes, its decisions are refused and made again."""
    two_gates(site)
    boss = opened(site, "b36")
    zombie, _ = site.line_of("b36")
    with load_on(site, "b36") as [load]:
        zombie.arm("before:Commit:2:pause")
        zombie.wait_paused()
        site.take_queue_away(zombie)
        load.goes_on()
        zombie.resume()
        eventually(lambda: zombie.metric("holdgate_conflicts_total", kind="stale") >= 1, "the zombie is fenced")
        load.goes_on()
    assert problems(site, boss, load.noted) == []


def test_b36_a_process_frozen_in_the_middle_of_its_commit_does_not_keep_the_occurrence(site: TestSite) -> None:
    """It has sent a part of its transaction and holds the row. The server takes that for work in progress, so none
    of its timeouts applies; the next worker ends it."""
    site.start("gate")
    boss = opened(site, "half-way")
    with (
        psycopg.connect(site.database_url, autocommit=True, application_name="holdgate frozen") as frozen,
        suppress(psycopg.OperationalError),
        frozen.pipeline(),
    ):
        frozen.execute("BEGIN")
        frozen.execute("UPDATE occurrences SET version = version + 1 WHERE id = 'half-way'")
        frozen.pgconn.send_flush_request()
        frozen.pgconn.flush()
        held_by = (
            "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'ClientRead' AND query ~ 'UPDATE'"
        )
        eventually(lambda: site.rows(held_by, frozen.info.backend_pid), "the row is held")
        assert isinstance(boss.client.call(place_of("half-way"), timeout_seconds=20), Held)
    assert problems(site, boss) == []


def test_b37_a_locked_database_is_no_refusal_and_the_same_request_gets_its_answer_later(site: TestSite) -> None:
    """While the tables are locked a client sees that time is up, or that it should ask again: never `sold_out`."""
    site.start("gate")
    boss = opened(site, "b37")
    request = place_of("b37")
    with psycopg.connect(site.database_url) as locker:
        locker.execute("LOCK TABLE occurrences, pools, holds, journal IN ACCESS EXCLUSIVE MODE")
        try:
            answer = boss.client.call(request, timeout_seconds=1.5)
        except TimedOut:
            pass
        else:
            assert isinstance(answer, Refused)
            assert answer.retryable
        locker.rollback()
    assert isinstance(boss.client.call(request), Held)
    assert site.held("b37") == 1
    assert problems(site, boss) == []


def test_the_end_of_every_database_connection_costs_nobody_an_answer(site: TestSite) -> None:
    """All of them at once, in the middle of batches, time and again; commits whose outcome is unknown included."""
    worker = site.start()
    boss = opened(site, "cut")
    with load_on(site, "cut") as [load]:
        for _ in range(5):
            site.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name LIKE 'holdgate %'"
            )
            load.goes_on(30)
        assert worker.is_running
    assert problems(site, boss, load.noted) == []


def test_sigterm_under_load_ends_within_five_seconds_and_loses_nothing(site: TestSite) -> None:
    """The batch at hand is finished and answered; what was not begun is for the next in line, in order."""
    two_gates(site)
    boss = opened(site, "term")
    leaver, _ = site.line_of("term")
    with load_on(site, "term") as [load]:
        seconds = leaver.terminate()
        load.goes_on()
    assert seconds < 5, list(leaver.log())[-20:]
    assert problems(site, boss, load.noted) == []
    assert recount.order_problems({load.noted.name: load.noted.notes}) == []
    assert leaver.logged("batch_abandoned") == []


def test_sigterm_while_the_database_does_not_answer_ends_too_and_loses_nothing(site: TestSite) -> None:
    """A worker whose commit hangs does not wait for it; the request is decided by the next one."""
    worker = site.start("gate")
    boss = opened(site, "hanging")
    request = place_of("hanging")
    with psycopg.connect(site.database_url) as locker:
        locker.execute("LOCK TABLE occurrences, pools, holds, journal IN ACCESS EXCLUSIVE MODE")
        answer = boss.client.send(request)
        eventually(lambda: _waiting(site), "the commit hangs")
        seconds = worker.terminate()
        locker.rollback()
    site.start("gate")
    assert isinstance(answer.result(), Held)
    assert seconds < 10, list(worker.log())[-20:]
    assert problems(site, boss) == []


def _waiting(site: TestSite) -> bool:
    """Whether somebody waits for a lock in this database."""
    ours = "(SELECT oid FROM pg_database WHERE datname = current_database())"
    return bool(site.rows(f"SELECT 1 FROM pg_locks WHERE NOT granted AND database = {ours}"))


def test_workers_come_and_go_under_load_and_each_client_is_served_in_its_order(site: TestSite) -> None:
    """A second worker takes its share of the partitions over, and gives it back when it leaves; meanwhile every
    client's own requests are decided in the order in which it sent them, and nobody waits long."""
    first = site.start("gate")
    ids = ("come-0", "come-1", "come-2", "come-3", "come-4", "come-5")
    boss = opened(site, *ids)
    with load_on(site, *ids) as loads:
        second = site.start("gate")
        site.wait_lines(first, second)
        heads = {site.line_of(occurrence_id)[0].name for occurrence_id in ids}
        assert heads == {first.name, second.name}, "both work"
        for load in loads:
            load.goes_on(20)
        seconds = second.terminate()
        assert seconds < 5, list(second.log())[-20:]
        site.wait_lines(first)
        for load in loads:
            load.goes_on(20)
    assert problems(site, boss, *(load.noted for load in loads)) == []
    assert recount.order_problems({load.noted.name: load.noted.notes for load in loads}) == []
    assert second.metric("holdgate_redelivered_messages_total") == 0


def test_a_release_right_behind_its_hold_is_decided_behind_it_across_a_takeover(site: TestSite) -> None:
    """A client sends hold, release, hold, release without waiting, and the worker is killed in between."""
    two_gates(site)
    boss = opened(site, "pairs")
    pairs = NotedClient(site, "pairs")
    pairs.client.wait_connected()
    victim, _ = site.line_of("pairs")
    victim.arm("before:Commit:2:kill")
    futures = []
    # All that waits may be decided at once: there is a second commit when there is more.
    for number in itertools.count():
        if number >= PAIRS and victim.has_struck:
            break
        assert number < 20 * PAIRS, f"{victim.name} serves nobody"
        placed = place_of("pairs", session_id=f"buyer-{number}")
        release = ReleaseHold(
            request_id=new_request_id(),
            occurrence_id="pairs",
            session_id=f"buyer-{number}",
            hold_id=placed.request_id,
        )
        futures.append(pairs.client.send_many([placed, release]))
        if number % PAIRS == PAIRS - 1:
            futures[-1][1].result()
    victim.wait_killed()
    for first, second in futures:
        assert isinstance(first.result(), Held)
        assert isinstance(second.result(), Released)
    assert site.held("pairs") == 0
    assert problems(site, boss, pairs) == []
    assert recount.order_problems({"pairs": pairs.notes}) == []


def test_a_worker_that_nobody_needs_yet_is_ready_and_takes_over_when_it_is_needed(site: TestSite) -> None:
    """With more workers than queues some stand in no line: that must not hold a roll-out up."""
    names = ["first.gate", "second.gate"]
    spare = next(
        name
        for name in (f"spare-{number}" for number in itertools.count())
        if all(
            f"{name}.gate" not in ranked(partition, sorted([*names, f"{name}.gate"]))[:2]
            for partition in range(PARTITIONS)
        )
    )
    pair = [site.start("gate", name="first"), site.start("gate", name="second")]
    site.wait_lines(*pair)
    third = site.start("gate", name=spare)
    lines = site.rows("SELECT DISTINCT worker_id FROM partition_lines ORDER BY 1")
    assert lines == [(name,) for name in names]
    for worker in pair:
        worker.kill()
    put(NotedClient(site, "late").client, "needed", 5)
    # It answers as soon as the queue serves it; the record is what it tells with its next heartbeat.
    eventually(lambda: third in site.line_of("needed"), "it has told that it stands in line")


def test_a_role_that_is_no_gate_tells_which_partitions_lack_a_consumer_or_a_standby(site: TestSite) -> None:
    """With one gate dead nobody would take over, and with both dead nobody works: the processes left are ready."""
    gates = two_gates(site)
    watcher = site.start("expiry")

    def told() -> tuple[float, ...]:
        return tuple(watcher.metric(f"holdgate_partitions_without_{what}") for what in ("consumer", "standby"))

    eventually(lambda: told() == (0, 0), "all is well")
    gates[0].kill()
    eventually(lambda: told() == (0, PARTITIONS), "nobody would take over")
    gates[1].kill()
    eventually(lambda: told() == (PARTITIONS, PARTITIONS), "nobody works")
    gaps = site.rows("SELECT missing, count(*) FROM partition_gaps GROUP BY 1 ORDER BY 1")
    assert gaps == [("consumer", PARTITIONS), ("standby", PARTITIONS)]
    site.start("gate")
    eventually(lambda: told() == (0, PARTITIONS), "one gate works all of them")
