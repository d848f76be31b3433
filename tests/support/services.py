#!/usr/bin/env python3
"""Makes sure that the tests have a PostgreSQL, a RabbitMQ and a Redis to talk to.

    python tests/support/services.py up|status|down

For each service `up` takes the first that works:

1. the URL in HOLDGATE_TEST_DATABASE_URL, HOLDGATE_TEST_AMQP_URL or HOLDGATE_TEST_REDIS_URL; if it is set and does
   not work, that is an error and nothing else is tried;
2. a server on 127.0.0.1 and its standard port that lets one of the usual development logins in;
3. a server program that is installed but not running: it is started (root, or password-less sudo);
4. `docker compose up --wait`, if a Docker engine answers;
5. the Debian package, installed and started without systemd (root, or password-less sudo).

The URLs go to standard output and to .holdgate/test-services.env as `export NAME=value` lines, everything else to
standard error. `down` stops what `up` started and leaves the rest alone. Exit code 0: all three are there;
2: at least one is missing, and the message says which and what to do.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Sequence

from handshakes import RefusedError, UnreachableError, check
from servers import (
    LOG_FILE,
    ROOT,
    SERVICES,
    START_TIMEOUT_SECONDS,
    STATE,
    Service,
    as_root,
    make_postgres_role,
    run_quietly,
)

ENV_FILE = STATE / "test-services.env"
STARTED_FILE = STATE / "test-services.json"

DOWNLOAD_TIMEOUT_SECONDS = 600.0
EXIT_MISSING = 2


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Search:
    """One run of `up`: what was found, what was started, and why the rest is missing."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.occupied: set[str] = set()
        self.started: dict[str, str] = _read_started()

    def look(self, services: Sequence[Service] = SERVICES) -> None:
        for service in services:
            self._find(service)

    def _find(self, service: Service) -> bool:
        """Take the first URL that lets us in; otherwise remember why none did."""
        said = []
        self.occupied.discard(service.name)
        given = os.environ.get(service.variable)
        for url in [given] if given else service.candidates():
            try:
                check(url)
            except UnreachableError as exc:
                said.append(str(exc))
            except RefusedError as exc:
                said.append(f"it runs, but refuses us: {exc}")
                self.occupied.add(service.name)
            else:
                self.urls[service.name] = url
                return True
        self.reasons[service.name] = "; ".join(dict.fromkeys(said))
        return False

    def missing(self) -> list[Service]:
        """Services still to be found, without those whose URL was given: there the user has decided."""
        return [s for s in SERVICES if s.name not in self.urls and not os.environ.get(s.variable)]

    def absent(self) -> list[Service]:
        """Missing services whose port is free, so that starting one makes sense."""
        return [s for s in self.missing() if s.name not in self.occupied]

    def _wait_for(self, services: Sequence[Service], way: str) -> None:
        pause = threading.Event()
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        for service in services:
            while not self._answers(service) and time.monotonic() < deadline:
                pause.wait(0.25)
            if self._answers(service):
                self.started[service.name] = way

    def _answers(self, service: Service) -> bool:
        """Whether there is a server; it need not let us in yet."""
        return self._find(service) or service.name in self.occupied

    def start_installed(self) -> None:
        root = as_root() is not None
        installed = [s for s in self.absent() if shutil.which(s.program) and (root or s.name == "redis")]
        started = []
        for service in installed:
            say(f"{service.name}: starting the installed server")
            if service.start():
                started.append(service)
        self._wait_for(started, "daemon")

    def make_role(self) -> None:
        """Give ourselves a role in a PostgreSQL of this machine that knows none of the usual logins."""
        postgres = [s for s in self.missing() if s.name == "postgres" and shutil.which("psql")]
        if postgres and as_root() is not None:
            make_postgres_role()
            self.look(postgres)

    def start_containers(self) -> None:
        services = self.absent()
        if not services or not shutil.which("docker") or run_quietly(["docker", "info"], 20) != 0:
            return
        compose = ["docker", "compose", "--project-directory", str(ROOT)]
        if run_quietly([*compose, "version"], 20) != 0:
            return
        names = [service.name for service in services]
        say(f"{', '.join(names)}: docker compose up (the first time downloads the images)")
        if run_quietly([*compose, "up", "--detach", "--wait", *names], DOWNLOAD_TIMEOUT_SECONDS) == 0:
            self._wait_for(services, "compose")

    def install_packages(self) -> None:
        services = self.absent()
        prefix = as_root()
        if not services or prefix is None or not shutil.which("apt-get"):
            return
        packages = [service.package for service in services]
        say(f"{', '.join(packages)}: installing the Debian packages")
        apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "--quiet"]
        run_quietly([*apt, "update"], DOWNLOAD_TIMEOUT_SECONDS)
        if run_quietly([*apt, "install", "--no-install-recommends", *packages], DOWNLOAD_TIMEOUT_SECONDS) == 0:
            self.look(services)  # some packages start their server themselves
            self.start_installed()
            self.make_role()


# --- commands ---------------------------------------------------------------------------------------------------


def up() -> int:
    search = Search()
    search.look()
    for step in (search.start_installed, search.make_role, search.start_containers, search.install_packages):
        if search.missing():
            step()
    _write_state(search)
    code = _report(search)
    if code and LOG_FILE.exists():
        say(f"\nWhat was tried is in {LOG_FILE.relative_to(ROOT)}")
    return code


def status() -> int:
    search = Search()
    search.look()
    return _report(search)


def down() -> int:
    search = Search()
    search.look()
    for service in SERVICES:
        if search.started.get(service.name) == "daemon" and service.name in search.urls:
            say(f"{service.name}: stopping")
            service.stop(search.urls[service.name])
    contained = [name for name, way in search.started.items() if way == "compose"]
    if contained:
        say(f"{', '.join(contained)}: docker compose stop")
        run_quietly(["docker", "compose", "--project-directory", str(ROOT), "stop", *contained])
    STARTED_FILE.unlink(missing_ok=True)
    ENV_FILE.unlink(missing_ok=True)
    return 0


def _read_started() -> dict[str, str]:
    try:
        return dict(json.loads(STARTED_FILE.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _exports(search: Search) -> str:
    lines = [
        f"export {s.variable}={shlex.quote(search.urls[s.name])}\n" for s in SERVICES if s.name in search.urls
    ]
    return "".join(lines)


def _write_state(search: Search) -> None:
    ENV_FILE.write_text(_exports(search), encoding="utf-8")
    STARTED_FILE.write_text(json.dumps(search.started, indent=1) + "\n", encoding="utf-8")


def _report(search: Search) -> int:
    sys.stdout.write(_exports(search))
    missing = [service for service in SERVICES if service.name not in search.urls]
    for service in missing:
        say(f"\n{service.name} is missing: {search.reasons.get(service.name, 'not found')}")
        if os.environ.get(service.variable):
            say(f"  {service.variable} is set, so nothing else was tried. Correct it or unset it.")
            continue
        say(f"  Give its address:  export {service.variable}={service.example}")
        if service.name not in search.occupied:
            say(f"  or with Docker:    docker compose up --detach --wait {service.name}")
            say(f"  or on Debian:      sudo apt-get install {service.package}, then run this again as root")
    return EXIT_MISSING if missing else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="The services that the tests need.")
    parser.add_argument("command", choices=["up", "status", "down"])
    command = parser.parse_args().command
    STATE.mkdir(exist_ok=True)
    with (STATE / "test-services.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two `make test` at once must not start two brokers
        return {"up": up, "status": status, "down": down}[command]()


if __name__ == "__main__":
    sys.exit(main())
