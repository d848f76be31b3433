"""The checks that the acceptance run relies on find broken builds: each test breaks the gate in one way and sees
the recount go red, after it has seen the sound gate pass the very same script. (B4, B39.)"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from tests.mutants.planted import MUTANTS
from tests.support.drive import Station
from tests.support.postgres import migrated_database
from tests.support.rabbit import eventually
from tests.support.requests import place_of, put_of

from holdgate_schema.commands.holds import ReleaseHold
from holdgate_workers.app.gate.effects import Commit, Unavailable
from holdgate_workers.ids import new_request_id

pytestmark = pytest.mark.services

Script = Callable[[Station], list[str]]
"""A scripted run; what is wrong with its outcome beyond the recount."""


@pytest.fixture
def open_station() -> Iterator[Callable[[], Station]]:
    """Makes stations, each with a database of its own."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def make() -> Station:
            station = Station(stack.enter_context(migrated_database()))
            stack.callback(station.close)
            return station

        yield make


# --- the scripts ------------------------------------------------------------------------------------------------


def two_writers_at_once(station: Station) -> list[str]:
    """A worker is stopped on the brink of its commit; another one works the same occurrence; the first goes on."""
    station.work(put_of("occ", 20))
    first, second = station.worker("first"), station.worker("second")
    station.send(place_of("occ", {"adult": 6}))
    first.take().until(Commit)
    station.send(place_of("occ", {"adult": 6}))
    second.take().finish()
    first.finish()
    return []


def two_writers_and_little_room(station: Station) -> list[str]:
    """As above, and there is room for only one of the two."""
    station.work(put_of("occ", 10))
    first, second = station.worker("first"), station.worker("second")
    station.send(place_of("occ", {"adult": 6}))
    first.take().until(Commit)
    station.send(place_of("occ", {"adult": 6}))
    second.take().finish()
    first.finish()
    return []


def two_writers_without_the_check(station: Station) -> list[str]:
    """As above, on a database without the second line of defence."""
    with psycopg.connect(station.url, autocommit=True) as connection:
        connection.execute("ALTER TABLE pools DROP CONSTRAINT pools_never_oversold")
    return two_writers_and_little_room(station)


def death_before_the_commit(station: Station) -> list[str]:
    """A worker dies on the brink of its commit; the next one gets its messages."""
    station.work(put_of("occ", 10))
    first = station.worker("first")
    station.send(place_of("occ"), place_of("occ"))
    first.take().until(Commit).die()
    station.worker("second").take().finish()
    return []


def commit_rolled_back(station: Station) -> list[str]:
    """The database rolls a commit back; the worker tries again."""
    station.work(put_of("occ", 10))
    worker = station.worker("worker")
    station.work(place_of("occ"), by=worker)
    station.send(place_of("occ", {"adult": 2}))
    worker.take().until(Commit).step("which never arrives")
    worker.step(Unavailable("the disk is full"))
    worker.finish()
    return []


def request_repeated(station: Station) -> list[str]:
    """A client asks again, in another batch and another worker, because it saw no answer."""
    station.work(put_of("occ", 10))
    placed = place_of("occ")
    [held] = station.work(placed)
    release = ReleaseHold(
        request_id=new_request_id(),
        occurrence_id="occ",
        session_id=held["hold"]["session_id"],
        hold_id=held["hold"]["hold_id"],
    )
    worker = station.worker("worker")
    station.work(release, by=worker)
    station.work(release, by=worker)
    station.send(release)
    successor = station.worker("successor")
    successor.take().lose_queue()
    station.worker("last").take().finish()
    return []


def dead_hold_in_the_way(station: Station) -> list[str]:
    """The last seat is held by somebody whose time is over, and no expiry worker runs."""
    station.work(put_of("occ", 1))
    [first] = station.work(place_of("occ", ttl_seconds=1))
    with psycopg.connect(station.url, autocommit=True) as connection:
        over = "SELECT clock_timestamp() >= %s::timestamptz"
        eventually(lambda: connection.execute(over, [first["hold"]["expires_at"]]).fetchone()[0])  # type: ignore[index]
    [second] = station.work(place_of("occ"))
    return [] if second["outcome"] == "held" else [f"turned away by a dead hold: {second['reason']}"]


def one_session_everywhere(station: Station) -> list[str]:
    """A session asks for a hold on each of thirteen occurrences, of two workers at once."""
    ids = [f"occ-{number}" for number in range(13)]
    station.work(*(put_of(occurrence_id, 5) for occurrence_id in ids))
    one, two = station.worker("one"), station.worker("two")
    station.send(*(place_of(occurrence_id, session_id="ann") for occurrence_id in ids[:7]))
    one.take().until(Commit)
    station.send(*(place_of(occurrence_id, session_id="ann") for occurrence_id in ids[7:]))
    two.take().finish()
    one.finish()
    with psycopg.connect(station.url) as connection:
        row = connection.execute("SELECT count(*) FROM holds WHERE session_id = 'ann'").fetchone()
    assert row is not None
    return [] if row[0] == 10 else [f"the session has {row[0]} holds, 10 are allowed"]


SCRIPTS: dict[str, list[Script]] = {
    "no_version_check": [two_writers_at_once, two_writers_and_little_room, two_writers_without_the_check],
    "reply_before_commit": [death_before_the_commit],
    "ack_before_commit": [death_before_the_commit],
    "memory_kept_after_abort": [commit_rolled_back],
    "dedupe_off": [request_repeated],
    "due_holds_still_counted": [dead_hold_in_the_way],
    "limits_not_claimed": [one_session_everywhere],
}


def test_every_mutant_has_a_script() -> None:
    assert SCRIPTS.keys() == MUTANTS.keys()


@pytest.mark.parametrize(
    ("mutant", "script"), [(mutant, script) for mutant, scripts in SCRIPTS.items() for script in scripts]
)
def test_the_recount_is_green_on_the_sound_gate_and_red_on_a_broken_one(
    mutant: str, script: Script, open_station: Callable[[], Station], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = open_station()
    problems = script(sound)
    assert problems + sound.problems() == []

    MUTANTS[mutant](monkeypatch.setattr)
    broken = open_station()
    found = script(broken)
    found += broken.problems()
    print(mutant, script.__name__, found)
    assert found


def test_b4_without_the_fence_and_the_check_the_gate_would_oversell(
    open_station: Callable[[], Station], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the two lines of defence are for: without either of them the recount finds an oversold pool."""
    MUTANTS["no_version_check"](monkeypatch.setattr)
    station = open_station()
    two_writers_without_the_check(station)
    assert any("OVERSOLD" in problem for problem in station.problems())


def test_b5_a_second_writer_who_slips_past_the_fence_is_refused_by_the_database(
    open_station: Callable[[], Station], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version is not looked at, two writers decide on the same free seats: the CHECK lets one of them through,
    and the other request is set aside with its reason."""
    MUTANTS["no_version_check"](monkeypatch.setattr)
    station = open_station()
    two_writers_and_little_room(station)
    assert not any("OVERSOLD" in problem for problem in station.problems())
    [letter] = station.letters
    assert "pools_never_oversold" in letter
