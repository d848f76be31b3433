"""The three servers that the tests need: where they usually are, how they are started and stopped here."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".holdgate"
LOG_FILE = STATE / "test-services.log"

START_TIMEOUT_SECONDS = 120.0

# Debian keeps the server programs where a normal user's PATH does not look.
os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


@dataclass(frozen=True, slots=True)
class Service:
    """One server the tests need, and the ways to get it."""

    name: str
    variable: str
    example: str
    program: str
    package: str
    candidates: Callable[[], list[str]]
    start: Callable[[], bool]
    stop: Callable[[str], None]


# --- running programs -------------------------------------------------------------------------------------------


def as_root() -> list[str] | None:
    """The words to put before a command that needs root, or None if there is no way to be root."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and run_quietly(["sudo", "-n", "true"]) == 0:
        return ["sudo", "-n"]
    return None


def run_quietly(command: Sequence[str], timeout: float = START_TIMEOUT_SECONDS) -> int:
    """Run with all output into the log file, so that a daemon never keeps the caller's pipe open."""
    STATE.mkdir(exist_ok=True)
    with LOG_FILE.open("a", encoding="utf-8") as log:
        print(f"\n$ {shlex.join(command)}", file=log, flush=True)
        try:
            # "/" because some of these programs drop root and could not enter a checkout under /root.
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=timeout, cwd="/", check=False
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            print(exc, file=log)
            return 127
    return done.returncode


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout


def _as_root(*command: str) -> int:
    prefix = as_root()
    return 1 if prefix is None else run_quietly([*prefix, *command])


# --- PostgreSQL -------------------------------------------------------------------------------------------------


def _postgres_login() -> tuple[str, str]:
    return os.environ.get("HOLDGATE_DEV_POSTGRES_USER", "holdgate"), os.environ.get(
        "HOLDGATE_DEV_POSTGRES_PASSWORD", "holdgate"
    )


def _postgres_candidates() -> list[str]:
    port = os.environ.get("HOLDGATE_DEV_POSTGRES_PORT", "5432")
    logins = [_postgres_login(), ("root", ""), ("postgres", ""), ("postgres", "postgres"), (getpass.getuser(), "")]
    return [f"postgresql://{_credentials(*login)}@127.0.0.1:{port}/postgres" for login in dict.fromkeys(logins)]


def _postgres_start() -> bool:
    """Start the Debian cluster on port 5432; create one if there is none."""
    clusters = [line.split() for line in _output(["pg_lsclusters", "--no-header"]).splitlines()]
    wanted = [cluster for cluster in clusters if cluster[2] == "5432"]
    if not wanted:
        versions = sorted(
            (path.parts[-3] for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")), key=float
        )
        if not versions:
            return False
        _as_root("pg_createcluster", versions[-1], "main", "--port", "5432")
        wanted = [[versions[-1], "main", "5432", "down"]]
    version, name, *_ = wanted[0]
    return _as_root("pg_ctlcluster", "--skip-systemctl-redirect", version, name, "start") == 0


def make_postgres_role() -> None:
    user, password = _postgres_login()
    # Errors are fine here: the role may exist, and the login that follows is the proof.
    statement = f"CREATE ROLE {_identifier(user)} LOGIN CREATEDB PASSWORD {_literal(password)}"
    psql = ["psql", "--no-psqlrc", "--port", "5432", "--command", statement, "postgres"]
    if os.geteuid() == 0:
        run_quietly(["runuser", "-u", "postgres", "--", *psql])
    else:
        run_quietly(["sudo", "-n", "-u", "postgres", *psql])


def _postgres_stop(_url: str) -> None:
    for line in _output(["pg_lsclusters", "--no-header"]).splitlines():
        version, name, port, *_ = line.split()
        if port == "5432":
            _as_root("pg_ctlcluster", "--skip-systemctl-redirect", version, name, "stop")


def _credentials(user: str, password: str) -> str:
    return quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# --- RabbitMQ and Redis -----------------------------------------------------------------------------------------


def _rabbit_candidates() -> list[str]:
    port = os.environ.get("HOLDGATE_DEV_RABBITMQ_PORT", "5672")
    own = (
        os.environ.get("HOLDGATE_DEV_RABBITMQ_USER", "guest"),
        os.environ.get("HOLDGATE_DEV_RABBITMQ_PASSWORD", "guest"),
    )
    return [
        f"amqp://{_credentials(*login)}@127.0.0.1:{port}/" for login in dict.fromkeys([own, ("guest", "guest")])
    ]


def _rabbit_start() -> bool:
    return _as_root("rabbitmq-server", "-detached") == 0


def _rabbit_stop(_url: str) -> None:
    _as_root("rabbitmqctl", "shutdown")


def _redis_candidates() -> list[str]:
    port = os.environ.get("HOLDGATE_DEV_REDIS_PORT", "6379")
    password = os.environ.get("HOLDGATE_DEV_REDIS_PASSWORD", "holdgate")
    return [f"redis://:{quote(password, safe='')}@127.0.0.1:{port}/0", f"redis://127.0.0.1:{port}/0"]


def _redis_start() -> bool:
    """Any user may do this one. It writes nothing to disk."""
    options = "--daemonize yes --bind 127.0.0.1 -::1 --port 6379 --appendonly no --save"
    return run_quietly(["redis-server", *options.split(), ""]) == 0


def _redis_stop(url: str) -> None:
    run_quietly(["redis-cli", "-u", url, "shutdown", "nosave"])


SERVICES = (
    Service(
        name="postgres",
        variable="HOLDGATE_TEST_DATABASE_URL",
        example="postgresql://user:password@host:5432/postgres",
        program="pg_ctlcluster",
        package="postgresql",
        candidates=_postgres_candidates,
        start=_postgres_start,
        stop=_postgres_stop,
    ),
    Service(
        name="rabbitmq",
        variable="HOLDGATE_TEST_AMQP_URL",
        example="amqp://user:password@host:5672/",
        program="rabbitmq-server",
        package="rabbitmq-server",
        candidates=_rabbit_candidates,
        start=_rabbit_start,
        stop=_rabbit_stop,
    ),
    Service(
        name="redis",
        variable="HOLDGATE_TEST_REDIS_URL",
        example="redis://host:6379/0",
        program="redis-server",
        package="redis-server",
        candidates=_redis_candidates,
        start=_redis_start,
        stop=_redis_stop,
    ),
)
