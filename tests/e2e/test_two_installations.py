"""Two databases behind the same queues: what a wrong URL in one of two systems comes to."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.requests import place_of, put
from tests.support.site import PARTITIONS, TestSite, kinds, open_test_site
from tests.support.two_houses import holdgate, installation_of, second_database, second_schema

from holdgate_producer import Held
from holdgate_schema.answers.holds import Refused
from holdgate_workers.cli import exits

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", kinds())
def test_two_seats_are_not_sold_four_times(kind: str, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    with open_test_site(kind, tmp_path / "first") as first, second_database() as other:
        second = other if kind == "rabbit" else second_schema(first.database_url)
        settings = {"database_url": second, "amqp_url": first.amqp_url, "partitions": str(PARTITIONS)}
        first.start("gate")
        client = first.client()
        put(client, "occ-2", 2)
        ours, theirs = installation_of(second), installation_of(first.database_url)
        for words in (("migrate",), ("worker", "gate"), ("worker", "expiry"), ("worker", "pricing"), ("up",)):
            ran = holdgate(tmp_path, *words, **settings)
            assert ran.code == exits.NOT_OURS, (words, ran)
            for word in (ours.id, ours.name, theirs.id, theirs.name, "holdgate installation take-over"):
                assert word in ran.err.replace("\n", " "), (words, ran)
        told = holdgate(tmp_path, "doctor", "--no-probe", "--output", "json", **settings)
        [check] = [check for check in told.json["checks"] if check["name"] == "installation"]
        assert check["status"] == "fail"
        assert ours.id in check["detail"]
        assert theirs.id in check["detail"]
        assert "take-over" in check["mend"]
        answers = [client.call(place_of("occ-2")) for _ in range(4)]
        assert [type(answer) for answer in answers] == [Held, Held, Refused, Refused]
        assert first.held("occ-2") == 2


@pytest.mark.parametrize("kind", kinds())
def test_a_lost_database_s_place_is_taken_over_by_one_command(kind: str, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    with open_test_site(kind, tmp_path / "first") as first, second_database() as other:
        second = other if kind == "rabbit" else second_schema(first.database_url)
        settings = {"database_url": second, "amqp_url": first.amqp_url, "partitions": str(PARTITIONS)}
        gate = first.start("gate")
        ran = holdgate(tmp_path, "installation", "take-over", "--yes", **settings)
        assert ran.code == exits.NOT_OURS
        assert "Stop the workers of the other installation first" in ran.err
        gate.terminate()
        unsure = holdgate(tmp_path, "installation", "take-over", **settings)
        assert unsure.code != exits.OK
        assert "seats will be sold twice" in " ".join(unsure.err.split())
        ran = holdgate(tmp_path, "installation", "take-over", "--yes", "--output", "json", **settings)
        assert ran.code == exits.OK, ran
        assert ran.json["before"]["id"] == installation_of(first.database_url).id
        shown = holdgate(tmp_path, "installation", "show", **settings)
        assert "queue: ours" in shown.out
        refused = holdgate(tmp_path, "worker", "gate", **{**settings, "database_url": first.database_url})
        assert refused.code == exits.NOT_OURS, refused
        heir = TestSite(second, first.amqp_url, tmp_path / "first")
        try:
            heir.start("gate", name="heir")
            put(heir.client(), "occ-1", 2)
        finally:
            heir.close()
