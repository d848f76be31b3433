"""One consumer of a baseline in a process of its own: `python -m bench.baselines.worker NAME BROKER QUEUE STORE`."""

from __future__ import annotations

import sys
from importlib import import_module

from bench.consumer import Consumer

from .basket import read

PREFETCH = 20
"""Enough never to wait for the broker, few enough to share a short backlog evenly."""

if __name__ == "__main__":
    name, url, queue, store = sys.argv[1:]
    decide = import_module(f"bench.baselines.{name}").decider(store)
    Consumer(url, queue, lambda body: decide(read(body)), prefetch=PREFETCH).run()
