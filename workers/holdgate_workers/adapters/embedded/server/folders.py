"""Where an embedded server keeps its files, and the record by which another process finds it.

    <data>/pg             the database          <data>/start.lock   held while starting or stopping
    <data>/run            its socket            <data>/owner.lock   held by the process that stops it
    <data>/server.log     what it says          <data>/holdgate.json  the record

`pg`, `run` and `server.log` are elsewhere if the server's account cannot enter the data folder (root's home, say);
the record then says where. `run` is also elsewhere if its path is too long for a socket.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from .account import Account, can_enter, make_private
from .errors import EmbeddedServerError

RECORD = "holdgate.json"
SHARED_STATE = Path("/var/lib/holdgate")
# The address of a socket holds 104 bytes on macOS and 108 on Linux, "/.s.PGSQL.5432" and a NUL included.
_LONGEST_SOCKET_FOLDER_BYTES = 88


class Record(msgspec.Struct, frozen=True):
    """What `holdgate.json` says. The url and pids are null while the server is stopped."""

    url: str | None
    pid: int | None
    started_by_pid: int | None
    postgres_version: str
    home: str | None = None
    """The folder of `pg`, `run` and `server.log`, if it is not the data folder."""


_records = msgspec.json.Decoder(Record)


def read_record(data: Path) -> Record | None:
    """The record of a data folder, or None if there is none that can be read."""
    try:
        return _records.decode((data / RECORD).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None


def write_record(data: Path, record: Record) -> None:
    """Replace the record in one step, so that a reader sees the old one or the new one."""
    handle, name = tempfile.mkstemp(prefix=f"{RECORD}.", dir=data)
    try:
        with os.fdopen(handle, "wb") as file:
            _give_to_owner(handle, data)
            file.write(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, data / RECORD)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


class FolderLock:
    """An exclusive lock on a file. The kernel drops it when the process dies, however it dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object has the lock."""
        return self._handle is not None

    def take(self) -> bool:
        """Take the lock without waiting and say whether it is ours now."""
        if self._handle is None:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                _give_to_owner(handle, self._path.parent)
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                return False
            except BaseException:
                os.close(handle)
                raise
            self._handle = handle
        return True

    def drop(self) -> None:
        """Give the lock back; nothing happens if it is not ours."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _give_to_owner(handle: int, folder: Path) -> None:
    """What root writes in a normal user's folder must not lock that user out."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)


def prepare_data(data: Path, account: Account | None) -> None:
    """Make the data folder exist, 0700, and hand it to the server's account if it is new or empty."""
    try:
        data.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if account is None or data.stat().st_uid != 0 or any(data.iterdir()):
            return
    if account is not None and can_enter(account, data.parent):
        os.chown(data, account.uid, account.gid)


def choose_home(data: Path, account: Account | None) -> Path:
    """The folder of `pg`, `run` and `server.log`: the data folder if the server's account can enter it.

    Raises EmbeddedServerError rather than begin an empty database while there is an older one somewhere.
    """
    record = read_record(data)
    if record is not None and record.home is not None:
        return _recorded_home(data, Path(record.home))
    if account is None or can_enter(account, data):
        return data
    if (data / "pg").exists():
        raise EmbeddedServerError(
            f"The server cannot run as root, and its account {account.name} may not enter {data}.",
            f"Let it pass (chmod o+x) through every folder above {data}, or choose another data folder.",
        )
    home = shared_state(account) / _key(data)
    make_private(home, account)
    return home


def _recorded_home(data: Path, home: Path) -> Path:
    if not (home / "pg" / "PG_VERSION").exists():
        raise EmbeddedServerError(
            f"The database of {data} was kept in {home} and is not there any more.",
            f"Bring it back, or delete {data / RECORD} to begin with an empty database.",
        )
    return home


def shared_state(account: Account) -> Path:
    """A folder of root's that every account can enter: below /var/lib, or else the temporary folder."""
    problems: list[str] = []
    for folder in (SHARED_STATE, *(root / "holdgate-shared" for root in _temporary_folders())):
        try:
            if not folder.exists():
                folder.mkdir(parents=True)
                folder.chmod(0o755)
            found = folder.lstat()
            if found.st_uid == 0 and not found.st_mode & 0o022 and can_enter(account, folder):
                return folder
            problems.append(f"{folder}: not root's own, or {account.name} cannot enter it")
        except OSError as exc:
            problems.append(str(exc))
    raise EmbeddedServerError(
        f"There is no folder that the server's account {account.name} can enter ({'; '.join(problems)}).",
        "Choose a data folder that every account can reach, below /srv for example, or run as a normal user.",
    )


def socket_folder(home: Path, account: Account | None) -> Path:
    """The folder for the server's socket, made private: `run`, or a short one if `run` cannot be used."""
    uid = os.geteuid() if account is None else account.uid
    name = f"holdgate-{uid}-{_key(home)}"
    for folder in (home / "run", *(root / name for root in _temporary_folders())):
        if _fits_a_socket(folder) and (account is None or can_enter(account, folder.parent)):
            make_private(folder, account)
            return folder
    raise EmbeddedServerError(
        f"The path {home / 'run'} is too long for a socket, and so are those of the temporary folders.",
        "Set TMPDIR to a short path, or choose another data folder.",
    )


def _fits_a_socket(folder: Path) -> bool:
    """PostgreSQL and its clients read a comma as the start of the next folder."""
    path = str(folder)
    return len(os.fsencode(path)) <= _LONGEST_SOCKET_FOLDER_BYTES and not set(path) & set(',"\\')


def _temporary_folders() -> Iterator[Path]:
    yield Path(tempfile.gettempdir()).resolve()
    yield Path("/tmp").resolve()  # noqa: S108 -- only private folders are made there, and their owner is checked


def _key(folder: Path) -> str:
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
