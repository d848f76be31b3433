"""The health endpoints and the metrics page, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from holdgate_workers.roles.metrics.metrics import BulkHistogram, Metrics
from holdgate_workers.roles.process.health import HealthServer, merged_metrics


@pytest.fixture
def problems() -> dict[str, str | None]:
    return {"database": None, "engine": None}


@pytest.fixture
def server(problems: dict[str, str | None]) -> Iterator[HealthServer]:
    metrics = Metrics(version="1", role="gate")
    server = HealthServer(
        [metrics.registry],
        host="127.0.0.1",
        port=0,
        alive={"engine": lambda: problems["engine"]},
        ready={"database": lambda: problems["database"]},
    )
    yield server
    server.stop()


def get(server: HealthServer, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_database_outage_makes_it_unready_but_not_dead(
    server: HealthServer, problems: dict[str, str | None]
) -> None:
    problems["database"] = "gone"
    status, body = get(server, "/readyz")
    assert status == 503
    assert json.loads(body) == {"ok": False, "problems": {"database": "gone"}}
    assert get(server, "/livez")[0] == 200


def test_a_loop_that_hangs_is_dead(server: HealthServer, problems: dict[str, str | None]) -> None:
    problems["engine"] = "has not turned"
    assert get(server, "/livez")[0] == 503


def test_metrics_are_served_and_can_be_parsed(server: HealthServer) -> None:
    status, body = get(server, "/metrics")
    assert status == 200
    names = {family.name for family in text_string_to_metric_families(body)}
    assert {"holdgate_requests", "holdgate_answer_seconds", "holdgate_conservation_difference"} <= names


def test_other_paths_say_what_there_is(server: HealthServer) -> None:
    status, body = get(server, "/")
    assert status == 404
    assert "/readyz" in body


def test_roles_of_one_process_are_added_up_on_one_page() -> None:
    gate, expiry = Metrics(version="1", role="gate"), Metrics(version="1", role="expiry")
    gate.conflicts.labels("stale").inc(2)
    expiry.conflicts.labels("stale").inc(3)
    page = merged_metrics([gate.registry, expiry.registry]).decode()
    assert 'holdgate_conflicts_total{kind="stale"} 5.0' in page
    assert page.count("# TYPE process_cpu_seconds_total") == 1


def test_a_histogram_takes_a_batch_of_values() -> None:
    histogram = BulkHistogram("h", "about", (1.0, 2.0))
    histogram.observe([0.5, 1.0, 1.5, 9.0])
    (family,) = histogram.collect()
    samples = {(sample.name, sample.labels.get("le")): sample.value for sample in family.samples}
    assert samples[("h_bucket", "1.0")] == 2
    assert samples[("h_bucket", "2.0")] == 3
    assert samples[("h_bucket", "+Inf")] == 4
    assert samples[("h_sum", None)] == 12.0
