"""Another process with a consumer of the embedded queue: `python -m tests.support.embedded_process URL PARTITION`.

Says `subscribed`, and each body it is given, one a line, on standard output. Acknowledges nothing. Ends when its
standard input does, or when it is killed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from holdgate_workers.adapters.embedded.queue.consumer import EmbeddedConsumer
from holdgate_workers.app.ports import ChannelId, Delivery


class _Printer:
    def subscribed(self, partition: int, channel: ChannelId) -> None:
        print("subscribed", flush=True)

    def delivered(self, delivery: Delivery) -> None:
        print(delivery.body.decode(), flush=True)

    def lost(self, partition: int, channel: ChannelId) -> None:
        print("lost", flush=True)


class Elsewhere:
    """The process, seen from the test."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def line(self) -> str:
        """The next thing it says; waits for it."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def kill(self) -> None:
        """SIGKILL: no good-bye to anybody."""
        self._process.kill()
        self._process.wait()


@contextmanager
def consuming_elsewhere(url: str, partition: int) -> Iterator[Elsewhere]:
    """A process that consumes the partition, from when it stands in the line until the end of the block."""
    command = [sys.executable, "-m", "tests.support.embedded_process", url, str(partition)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        elsewhere = Elsewhere(process)
        try:
            assert elsewhere.line() == "subscribed"
            yield elsewhere
        finally:
            elsewhere.kill()


def main() -> None:
    url, partition = sys.argv[1:]
    consumer = EmbeddedConsumer(url, _Printer(), name="elsewhere")
    consumer.subscribe(int(partition))
    sys.stdin.read()
    consumer.close()


if __name__ == "__main__":
    main()
