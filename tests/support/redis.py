"""A Redis of the test's own, which it may flush, stop and start again."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from tests.support.rabbit import eventually
from tests.support.servers import SERVICES

REDIS_PORT = 6379


class PrivateRedis:
    """A server on a port of its own that keeps nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start, or start again with nothing in it, and wait until it answers."""
        command = f"redis-server --port {self.port} --bind 127.0.0.1 --appendonly no --save".split()
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*command, ""], cwd=self._folder, stdout=log, stderr=log)
        eventually(self._answers, f"Redis starts, see {self._folder / 'log'}")

    def stop(self) -> None:
        """Everything it had is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def flush(self) -> None:
        """Forget everything."""
        with self.client() as client:
            client.flushall()

    def dump(self) -> dict[str, bytes]:
        """Everything that is in it."""
        with redis.Redis.from_url(self.url) as client:
            return {key.decode(): client.dump(key) for key in client.scan_iter()}

    def restore(self, kept: dict[str, bytes]) -> None:
        """Be again as it was then."""
        self.flush()
        with redis.Redis.from_url(self.url) as client:
            for key, value in kept.items():
                client.restore(key, 0, value, replace=True)

    def client(self) -> redis.Redis:
        """Past our own code."""
        return redis.Redis.from_url(self.url, decode_responses=True)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text(errors="replace")[-2000:]
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


@contextmanager
def private_redis(folder: Path) -> Iterator[PrivateRedis]:
    """A Redis of the test's own; skips the test where the server is not installed."""
    service = next(service for service in SERVICES if service.name == "redis")
    if shutil.which(service.program) is None:
        pytest.skip("Redis is not installed on this machine, so the test cannot have one of its own")
    folder.mkdir(exist_ok=True)
    server = PrivateRedis(folder)
    try:
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port
