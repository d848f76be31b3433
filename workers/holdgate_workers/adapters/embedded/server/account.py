"""The system account that the embedded server runs as.

PostgreSQL refuses to run as root, so under root the server gets an existing unprivileged account.
Everybody else runs their own server.
"""

import os
import pwd
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import EmbeddedServerError

_UNPRIVILEGED = ("postgres", "_postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A system account to drop privileges to."""

    name: str
    uid: int
    gid: int


def serving_account(*folders: Path) -> Account | None:
    """The account for the server, or None if this process is not root and serves as itself.

    The owner of the first of `folders` that exists and is not root's wins, so that data made by a
    normal user stays that user's. Raises EmbeddedServerError if the system has no account to use.
    """
    if os.geteuid() != 0:
        return None
    for folder in folders:
        try:
            found = folder.stat()
            if found.st_uid != 0:
                return Account(pwd.getpwuid(found.st_uid).pw_name, found.st_uid, found.st_gid)
        except (OSError, KeyError):
            continue
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        f"PostgreSQL does not run as root, and none of the accounts {', '.join(_UNPRIVILEGED)} exists.",
        "Run as a normal user, or create one of these accounts.",
    )


def run_as(
    account: Account | None,
    command: Sequence[str | Path],
    *,
    timeout_seconds: float,
    stderr: int = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    """Run a short command as `account`, away from our terminal, our folder and our PG* settings.

    Raises OSError if it cannot be executed and subprocess.TimeoutExpired if it takes too long.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.run(  # noqa: S603 -- no shell reads the arguments
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        timeout=timeout_seconds,
        check=False,
        cwd="/",
        env=kept | {"LC_ALL": "C"},
        umask=0o077,
        # Away from the terminal: its Ctrl-C is for us, and we stop the server in order.
        start_new_session=True,
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else [],
    )


def can_enter(account: Account | None, folder: Path) -> bool:
    """Whether the server's account may pass through `folder` and all folders above it."""
    command: list[str | Path] = ["/bin/sh", "-c", 'cd -- "$1"', "sh", folder]
    return run_as(account, command, timeout_seconds=10).returncode == 0


def make_private(folder: Path, account: Account | None) -> None:
    """Make `folder` exist, 0700 and owned by the server's account.

    Raises EmbeddedServerError if something of somebody else is in its place: names below the
    system's temporary folder can be guessed, and whoever owns the socket folder owns the database.
    """
    uid = os.geteuid() if account is None else account.uid
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        pass
    else:
        if account is not None:
            os.chown(folder, account.uid, account.gid, follow_symlinks=False)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid:
        raise EmbeddedServerError(
            f"{folder} is not a folder of the account that runs the server (uid {uid}).",
            "Remove it, or run as its owner, or choose another data folder.",
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)
