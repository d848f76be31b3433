"""A lone request on an idle system: how long until its answer."""

from __future__ import annotations

import time

from holdgate_workers.bootstrap import booking_client

from .hot import _process
from .load import a_place, an_occurrence
from .place import fresh_place

OCCURRENCE = "bench-lone"
WARM_UP = 50


def latencies(requests: int) -> list[float]:
    """Seconds per request, one after another, sorted."""
    with fresh_place() as place, _process(place, "-m", "bench.gate") as start:
        start()
        with booking_client(place.site.config, place.database_url, app_id="bench", timeout_seconds=30) as client:
            client.call(an_occurrence(OCCURRENCE, requests * 10))
            measured = []
            for number in range(WARM_UP + requests):
                before = time.perf_counter()
                client.call(a_place(number, OCCURRENCE))
                measured.append(time.perf_counter() - before)
    return sorted(measured[WARM_UP:])
