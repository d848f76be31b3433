"""Runs the tests against the newest services: RabbitMQ, PostgreSQL and Valkey of the next Debian.

    python -m tests.support.next_services [--metadata mnesia|khepri|both] [-- WORDS OF PYTEST]

The servers live in a folder (see `newer_debian`), beside those of this machine: other ports, another node name,
cookie, name server and other data folders, which are thrown away at the end. Without words for pytest the whole suite
is run. Ends with the worst exit code; 2 if the folder cannot be made here.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import redis
from tests.support import newer_debian
from tests.support.newer_debian import ROOT, CannotBeMade, inside
from tests.support.private_servers import NEWER_ROOT_VARIABLE, PrivateRabbit, free_ports
from tests.support.rabbit import RABBITMQCTL_VARIABLE, eventually
from tests.support.servers import ROOT as PROJECT

EXIT_MISSING = 2
METADATA = ("mnesia", "khepri")


@contextmanager
def newer_rabbit(metadata: str) -> Iterator[dict[str, str]]:
    """A RabbitMQ that keeps its metadata there, as variables of the environment."""
    with tempfile.TemporaryDirectory() as folder:
        node = PrivateRabbit(Path(folder), root=ROOT)
        try:
            if metadata == "khepri":
                node.rabbitmqctl("enable_feature_flag", "--experimental", "khepri_db")
            yield {
                "HOLDGATE_TEST_AMQP_URL": node.url,
                RABBITMQCTL_VARIABLE: shlex.join(node.tool),
                NEWER_ROOT_VARIABLE: str(ROOT),
            }
        finally:
            node.stop()


@contextmanager
def newer_postgres() -> Iterator[dict[str, str]]:
    """A PostgreSQL with an empty cluster of its own."""
    programs = sorted((ROOT / "usr/lib/postgresql").glob("*/bin"))[-1]
    bin_folder = Path("/", programs.relative_to(ROOT))
    (port,) = free_ports(1)
    folder = _folder("postgres", owner="postgres")
    within = Path("/", folder.relative_to(ROOT))
    as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")
    initdb = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "-D", f"{within}/data"]
    _quietly(folder, *inside(*as_postgres, str(bin_folder / "initdb"), *initdb))
    settings = ["-p", str(port), "-c", f"unix_socket_directories={within}", "-c", "max_connections=200"]
    settings += ["-c", "listen_addresses=127.0.0.1", "-D", f"{within}/data"]
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    with _server(folder, *inside(*as_postgres, str(bin_folder / "postgres"), *settings)):
        eventually(lambda: _connects(url), "PostgreSQL starts")
        yield {"HOLDGATE_TEST_DATABASE_URL": url}


@contextmanager
def newer_valkey() -> Iterator[dict[str, str]]:
    """A Valkey that keeps nothing."""
    (port,) = free_ports(1)
    folder = _folder("valkey")
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp"]
    url = f"redis://127.0.0.1:{port}/0"
    with _server(folder, *inside("valkey-server", *words)):
        eventually(lambda: _pings(url), "Valkey starts")
        yield {"HOLDGATE_TEST_REDIS_URL": url}


def run(metadata: str, words: list[str]) -> int:
    """One run of pytest against servers of its own; its exit code."""
    with ExitStack() as stack:
        environment = dict(os.environ)
        for started in (newer_postgres(), newer_valkey(), newer_rabbit(metadata)):
            environment |= stack.enter_context(started)
        print(f"\nRabbitMQ with {metadata}: {_versions(environment)}", flush=True)
        return subprocess.run([sys.executable, "-m", "pytest", *words], env=environment, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--metadata", choices=(*METADATA, "both"), default="both", help="what RabbitMQ keeps it in"
    )
    parser.add_argument("words", nargs="*", help="for pytest; behind --")
    given = parser.parse_args()
    try:
        newer_debian.make()
    except CannotBeMade as exc:
        print(f"The newest services cannot be had here. Missing: {exc}", file=sys.stderr)
        return EXIT_MISSING
    wanted = METADATA if given.metadata == "both" else (given.metadata,)
    return max(run(metadata, given.words) for metadata in wanted)


def _folder(name: str, owner: str | None = None) -> Path:
    folder = ROOT / "srv" / f"{name}-{secrets.token_hex(4)}"
    folder.mkdir(parents=True)
    if owner is not None:
        _quietly(folder, *inside("chown", owner, str(Path("/", folder.relative_to(ROOT)))))
    return folder


@contextmanager
def _server(folder: Path, *command: str) -> Iterator[None]:
    with (folder / "out").open("ab") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=PROJECT)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _quietly(folder: Path, *command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    (folder / "out").write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"{command[-1]}: {done.stderr[-2000:]}")


def _connects(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def _pings(url: str) -> bool:
    try:
        return bool(redis.Redis.from_url(url).ping())
    except redis.ConnectionError:
        return False


def _versions(environment: dict[str, str]) -> str:
    with psycopg.connect(environment["HOLDGATE_TEST_DATABASE_URL"]) as connection:
        postgres = connection.execute("SHOW server_version").fetchone()
    valkey = redis.Redis.from_url(environment["HOLDGATE_TEST_REDIS_URL"]).info("server")
    tool = [*shlex.split(environment[RABBITMQCTL_VARIABLE]), "--quiet", "version"]
    rabbit = subprocess.run(tool, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout
    shown = valkey.get("valkey_version") or valkey["redis_version"]
    return f"RabbitMQ {rabbit.strip()}, PostgreSQL {postgres[0] if postgres else '?'}, Valkey {shown}"


if __name__ == "__main__":
    sys.exit(main())
