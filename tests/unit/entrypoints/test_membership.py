"""The membership thread's second look: a consumer that has forgotten a line is asked again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.rabbit import eventually

from holdgate_workers.app.partitions.membership import News
from holdgate_workers.app.ports import ChannelId
from holdgate_workers.roles.gate import membership
from holdgate_workers.roles.gate.delivery_buffer import Intake
from holdgate_workers.roles.gate.membership import MembershipThread
from holdgate_workers.roles.metrics.metrics import Metrics

PARTITIONS = 2


class Forgetful:
    """A consumer that stands where it is asked to, and once lets a line go without a word."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._channels = 0
        self.held: dict[int, ChannelId | None] = {}

    def subscribe(self, partition: int) -> None:
        if partition not in self.held:
            self._channels += 1
            self.held[partition] = self._channels
            self._intake.subscribed(partition, self._channels)

    def standing(self) -> dict[int, ChannelId | None]:
        return dict(self.held)


class Record:
    """The heartbeat table, of one worker."""

    def __init__(self) -> None:
        self.line: set[int] = set()

    def beat(self, news: News) -> Any:
        self.line.difference_update(news.left)
        self.line.update(news.joined)
        return SimpleNamespace(alive=("me",), lines=dict.fromkeys(self.line, ("me",)))

    def goodbye(self) -> None: ...

    def close(self) -> None: ...


def test_a_line_that_the_consumer_has_let_go_without_a_word_is_joined_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(membership, "WATCH_SECONDS", 0.0)
    monkeypatch.setattr(membership, "BEAT_SECONDS", 0.02)
    intake, metrics, record = Intake(), Metrics(version="1", role="gate"), Record()
    consumer = Forgetful(intake)
    thread = MembershipThread(
        "me",
        record,
        SimpleNamespace(refresh=lambda clock: None),  # type: ignore[arg-type]
        SimpleNamespace(),  # type: ignore[arg-type]
        intake,
        SimpleNamespace(lost=lambda place: None, leave=lambda place: None, to_leave=tuple),  # type: ignore[arg-type]
        consumer,  # type: ignore[arg-type]
        metrics,
        partitions=PARTITIONS,
        unavailable=(),
    )

    def corrected(kind: str) -> float:
        return metrics.registry.get_sample_value("holdgate_lines_corrected_total", {"kind": kind}) or 0.0

    thread.start()
    try:
        eventually(lambda: record.line == {0, 1}, "it stands in both lines")
        assert corrected("gone") == corrected("not_asked_for") == 0
        del consumer.held[1]
        eventually(lambda: consumer.held == {0: 1, 1: 3} and record.line == {0, 1}, "it has joined again")
    finally:
        thread.stop()
    assert corrected("gone") == corrected("not_asked_for") == 1
