"""Worker processes of the tests, born with everything imported already.

Importing the service takes a second of a processor, and the tests start a thousand workers. So one process per test
process imports it once (`python -m tests.support.nursery`), stays single-threaded, and forks whenever a worker is
wanted. From there on a child is a process as any other: its own environment, arguments, log, signals and death.
"""

from __future__ import annotations

import atexit
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MESSAGE_BYTES_MAX = 1 << 20
NOT_FORKED = ("PYTHON", "LD_")
"""Variables that only count for a process that is started afresh."""


class Child:
    """What `subprocess.Popen` is to a process of its own, to one that the nursery has forked."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery
        # Until the nursery is asked for its end, nobody else gets this number.
        self._handle = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code; raises `subprocess.TimeoutExpired`."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"worker {self.pid}", timeout or 0.0)
        return code

    def send_signal(self, signum: int) -> None:
        """Nothing if it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._handle], [], [], timeout)[0]:
            self.returncode = self._nursery.ask({"reap": self.pid})["code"]
            os.close(self._handle)
        return self.returncode


class Nursery:
    """The other end of the line. Thread-safe."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "tests.support.nursery", str(theirs.fileno())]
            self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])
        self._line = ours
        self._lock = threading.Lock()

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Child:
        """A worker with these arguments and exactly this environment, writing to this file."""
        wanted = {"arguments": list(arguments), "environment": dict(environment), "log": str(log)}
        return Child(self, self.ask(wanted)["pid"])

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self._line.send(json.dumps(message).encode())
            answer: dict[str, Any] = json.loads(self._line.recv(MESSAGE_BYTES_MAX))
            return answer

    def close(self) -> None:
        self._line.close()
        self._process.wait(10)


@cache
def nursery() -> Nursery:
    """The one of this process, until it ends."""
    opened = Nursery()
    atexit.register(opened.close)
    return opened


def can_fork(environment: Mapping[str, str]) -> bool:
    """Whether the nursery is good for a worker with this in its environment."""
    return hasattr(os, "pidfd_open") and not any(name.startswith(NOT_FORKED) for name in environment)


# --- its own process ------------------------------------------------------------------------------------------------


def _serve(line: socket.socket) -> None:
    while message := line.recv(MESSAGE_BYTES_MAX):
        asked = json.loads(message)
        if "reap" in asked:
            _, status = os.waitpid(asked["reap"], 0)
            answer = {"code": os.waitstatus_to_exitcode(status)}
        else:
            pid = os.fork()
            if pid == 0:
                line.close()
                os._exit(_live(asked))
            answer = {"pid": pid}
        line.send(json.dumps(answer).encode())


def _live(asked: dict[str, Any]) -> int:
    """Be that worker."""
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()
    random.seed()
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["worker_main", *asked["arguments"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 1
    try:
        from tests.support import worker_main

        code = worker_main.main()
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does at the end of a script
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return code


def main() -> int:
    import tests.support.worker_main  # noqa: F401 - it is what all this is for

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us ends us by hanging up
    with socket.socket(fileno=int(sys.argv[1])) as line:
        _serve(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
