"""The metrics of every role. Labels are few and bounded: never an id, never a person."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Metric
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_MESSAGES = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)


class BulkHistogram(Collector):
    """A histogram that takes a whole batch of values under one lock."""

    def __init__(self, name: str, about: str, bounds: Sequence[float]) -> None:
        self._name = name
        self._about = about
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, values: Iterable[float]) -> None:
        """Count the values."""
        with self._lock:
            for value in values:
                self._counts[bisect_left(self._bounds, value)] += 1
                self._sum += value

    def collect(self) -> Iterator[Metric]:
        """The histogram as Prometheus wants it: each bucket with all below it."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        labels = [*(str(bound) for bound in self._bounds), "+Inf"]
        yield HistogramMetricFamily(
            self._name,
            self._about,
            buckets=list(zip(labels, map(float, accumulate(counts)), strict=True)),
            sum_value=total,
        )


class Metrics:
    """One process's metrics, in a registry of their own."""

    def __init__(self, *, version: str, role: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        build = Info("holdgate_build", "What runs here", registry=self.registry)
        build.info({"version": version, "role": role})
        self.requests = self._counter(
            "holdgate_requests",
            "Requests answered, by command, outcome and refusal reason",
            "kind",
            "outcome",
            "reason",
        )
        self.repeated = self._counter("holdgate_repeated_requests", "Requests answered from the journal")
        self.redelivered = self._counter("holdgate_redelivered_messages", "Messages that were delivered before")
        self.dead = self._counter("holdgate_dead_letters", "Messages sent to the dead letters", "reason")
        self.conflicts = self._counter("holdgate_conflicts", "Commits rolled back and decided again", "kind")
        self.answer_seconds = BulkHistogram(
            "holdgate_answer_seconds", "From a request's delivery to its answer", _SECONDS
        )
        self.registry.register(self.answer_seconds)
        self.commit_seconds = self._histogram("holdgate_commit_seconds", "One commit", _SECONDS)
        self.batch_messages = self._histogram("holdgate_batch_messages", "Messages in one batch", _MESSAGES)
        self._count_lines()
        self.remembered = self._gauge("holdgate_occurrences_remembered", "Occurrences in memory")
        self.unconfirmed = self._gauge(
            "holdgate_publisher_unconfirmed", "Published messages without a confirm yet"
        )
        self.blocked = self._gauge("holdgate_publisher_blocked", "1 while the broker takes no messages from us")
        self.due = self._gauge("holdgate_due_holds", "Active holds whose time is over, 5,000 at most")
        self.expiry_lag = self._gauge("holdgate_expiry_lag_seconds", "How long the oldest due hold is overdue")
        self.expiry_paused = self._gauge("holdgate_expiry_paused", "1 while expiry waits because the clock jumped")
        self.clock_jump = self._gauge(
            "holdgate_clock_jump_seconds", "By how much the database's clock has jumped ahead"
        )
        self._count_what_is_open()
        self.sweeps = self._counter("holdgate_sweeps_sent", "Expiry commands sent")
        self.journal_lag = self._gauge(
            "holdgate_journal_lag_seconds", "Age of the first row a cursor has not done", "cursor"
        )
        self.events = self._counter("holdgate_events_published", "Domain events confirmed by the broker")
        self.projection_written = self._counter(
            "holdgate_projection_entries_written", "Entries of the read side written"
        )
        self.projection_stale = self._counter(
            "holdgate_projection_stale_writes_refused", "Entries that the read side had newer already"
        )
        self.projection_errors = self._counter(
            "holdgate_projection_errors", "Rounds of the projection that came to nothing", "why"
        )
        self.projection_filling = self._gauge(
            "holdgate_projection_filling", "1 while the read side is filled from all rows"
        )
        self.conservation = self._gauge(
            "holdgate_conservation_difference",
            "Pools and sessions whose counters disagree with their holds; must be 0",
        )

    def _count_lines(self) -> None:
        """Who stands at which partition queue."""
        self.partitions = self._gauge(
            "holdgate_partitions_subscribed", "Partition queues this worker stands in line at"
        )
        self.without_consumer = self._gauge(
            "holdgate_partitions_without_consumer",
            "Partition queues that serve nobody, by the queue's own word; NaN if it cannot be asked",
        )
        self.without_standby = self._gauge(
            "holdgate_partitions_without_standby",
            "Partition queues with fewer than two living gates in line; NaN if it cannot be seen",
        )
        self.slot_without_queue = self._gauge(
            "holdgate_slot_without_queue",
            "1 for each slot whose requests no queue takes: they come back to who sent them",
            "slot",
        )
        self.lines_corrected = self._counter(
            "holdgate_lines_corrected",
            "Partitions where this worker did not stand in line as it believed, put right; must be 0",
            "kind",
        )

    def _count_what_is_open(self) -> None:
        """Bookings, money and places in line that wait for somebody."""
        self.bookings_open = self._gauge(
            "holdgate_bookings_open",
            "Bookings that are not over, by state; parked ones wait for a person",
            "state",
        )
        self.conversions_overdue = self._gauge(
            "holdgate_conversions_overdue", "Conversions that are still under way after their time"
        )
        about = "refunds that are due, payments that were refused, and what waits for a person or for its order"
        self.money_open = self._gauge(
            "holdgate_money_open", f"How often money is not where it belongs: {about}", "kind", "currency"
        )
        self.money_open_minor = self._gauge(
            "holdgate_money_open_minor_units", "How much money that is, in minor units", "kind", "currency"
        )
        self._money_seen: set[tuple[str, str]] = set()
        self.waitlist = self._gauge("holdgate_waitlist_entries", "Who stands in a waiting list")

    def count_money(self, sums: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """How often money is open now and how much, by kind and currency; what is not any more goes to 0."""
        for labels in self._money_seen - sums.keys():
            self.money_open.labels(*labels).set(0)
            self.money_open_minor.labels(*labels).set(0)
        self._money_seen |= sums.keys()
        for labels, (number, amount) in sums.items():
            self.money_open.labels(*labels).set(number)
            self.money_open_minor.labels(*labels).set(amount)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(name, about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, about, buckets=buckets, registry=self.registry)
