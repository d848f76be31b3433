"""The doctor says how full the queues are, and which, before the broker refuses."""

from __future__ import annotations

import pytest

from holdgate_schema.topology import DEAD_QUEUE, Queue, partition_queue, queues
from holdgate_workers.adapters.rabbit.health_checks import Broker
from holdgate_workers.adapters.rabbit.topology import Found
from holdgate_workers.cli.doctor.broker import _lengths

PARTITIONS = 2


def limit(queue: Queue) -> int:
    return int(queue.arguments["x-max-length"])


@pytest.mark.parametrize("name", [partition_queue(1), DEAD_QUEUE])
@pytest.mark.parametrize(
    ("part", "status"), [(0.0, "ok"), (0.49, "ok"), (0.5, "warn"), (0.99, "warn"), (1.0, "fail")]
)
def test_a_queue_that_fills_is_named_with_how_full_it_is(name: str, part: float, status: str) -> None:
    found = [
        Found("queue", queue.name, True, messages=int(limit(queue) * part) if queue.name == name else 0)
        for queue in queues(PARTITIONS)
    ]
    check = _lengths(Broker("RabbitMQ", "4.0", found), PARTITIONS)
    assert check.status == status
    if status != "ok":
        assert f"{name} ({part:.0%})" in check.detail
        assert check.mend
