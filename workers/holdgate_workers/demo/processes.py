"""The child processes of a run: workers of our own, and clients. Nobody outlives the block that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

import msgspec

from .plan import Script

STOP_SECONDS = 12.0


class CrewError(Exception):
    """A process of the run could not start or ended before its time; says which and where its log is."""


def environment(database_url: str, amqp_url: str | None) -> dict[str, str]:
    """What a child is told: this site and nothing that happens to be set here."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("HOLDGATE_")}
    told = {"HOLDGATE_DATABASE_URL": database_url, "HOLDGATE_MIGRATE": "false", "HOLDGATE_LOG_FORMAT": "json"}
    return own | told | ({"HOLDGATE_AMQP_URL": amqp_url} if amqp_url else {})


def mail_to(folder: Path) -> dict[str, str]:
    """What a child is told so that mails are written as files."""
    return {
        "HOLDGATE_MAIL_URL": f"file:{folder}",
        "HOLDGATE_MAIL_FROM": "tickets@example.org",
        "HOLDGATE_MAIL_FROM_NAME": "The house in the hills",
    }


class Child:
    """One process, its log in a file."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path, told: dict[str, str]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.killed = False
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own modules, no shell
                [sys.executable, "-m", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=told,
                text=True,
                start_new_session=True,  # Ctrl-C is for the one who started us; he stops us in order
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def wait_ready(self) -> None:
        """Wait until it says that it is ready; raises `CrewError` if it ends instead."""
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            raise CrewError(f"{self.name} did not start; its log is {self.log}")

    def go(self) -> None:
        """Let a client begin."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write("go\n")
            self._process.stdin.flush()

    def kill(self) -> None:
        """SIGKILL: it says good-bye to nobody."""
        self.killed = True
        self._process.kill()
        self._process.wait()

    def ask_to_stop(self) -> None:
        """SIGTERM, unless it has ended."""
        if not self.ended:
            self._process.send_signal(signal.SIGTERM)

    def end(self, deadline: float) -> None:
        """Wait until the deadline (monotonic) for its end, then kill it."""
        try:
            self._process.wait(max(0.1, deadline - monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


@contextmanager
def crew(children: list[Child]) -> Iterator[list[Child]]:
    """Ends whatever is in the list at the end of the block, in order and together."""
    try:
        yield children
    finally:
        stop(children)


def stop(children: Sequence[Child]) -> None:
    """Stop them in order; kill what does not end in time. Idempotent."""
    for child in children:
        child.ask_to_stop()
    deadline = monotonic() + STOP_SECONDS
    for child in children:
        child.end(deadline)


def worker(role: str, number: int, folder: Path, told: dict[str, str]) -> Child:
    """A worker process, started just as operations start one."""
    return Child(f"{role}-{number}", ["holdgate_workers", "worker", role], folder, told)


def client(number: int, script: Script, folder: Path, told: dict[str, str], *, paced: bool) -> Child:
    """A client process with its script; it waits for `go`."""
    written = folder / f"script-{number}.json"
    written.write_bytes(msgspec.json.encode(script))
    arguments = ["holdgate_workers.demo.client", str(written), str(notes_file(folder, number))]
    return Child(f"client-{number}", [*arguments, *(["paced"] if paced else [])], folder, told)


def notes_file(folder: Path, number: int) -> Path:
    """Where a client writes its notes."""
    return folder / f"notes-{number}.jsonl"
