"""The floor: a consumer that only replies and acknowledges. What no booking engine behind this queue can beat.

Prefetch, reply size and properties are those of the gate.
"""

from __future__ import annotations

import sys

from .consumer import Consumer

PREFETCH = 1000
REPLY = ("answer.held.v1", b"x" * 420)

if __name__ == "__main__":
    url, queue = sys.argv[1:]
    Consumer(url, queue, lambda _: REPLY, prefetch=PREFETCH).run()
