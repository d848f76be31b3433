"""Ids that nobody can guess, and that stand together in an index if they were made at one time."""

from __future__ import annotations

import time
from itertools import pairwise
from uuid import RFC_4122, UUID

import msgspec
import pytest

from holdgate_producer.core import ids
from holdgate_schema.ids import RequestId
from holdgate_workers.ids import is_derived


def test_an_id_is_a_time_ordered_uuid_that_the_language_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_645_557_742_000_000_000)  # RFC 9562, appendix A.6
    made = UUID(msgspec.convert(ids.new_request_id(), RequestId))
    assert (made.version, made.variant, made.int >> 80) == (7, RFC_4122, 0x017F22E279B0)
    assert not is_derived(str(made))


def test_later_ids_are_greater_and_those_of_one_millisecond_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_900_000_000_000_000_000
    made = []
    for _ in range(5):
        monkeypatch.setattr(time, "time_ns", lambda: now)  # noqa: B023 - called before the next turn
        made.append({ids.new_request_id() for _ in range(1_000)})
        now += 1_000_000
    assert [len(same) for same in made] == [1_000] * 5
    assert all(max(earlier) < min(later) for earlier, later in pairwise(made))


@pytest.mark.parametrize("bit", [*range(62), *range(64, 76)])
def test_every_bit_that_is_not_the_time_or_the_version_is_random(bit: int) -> None:
    assert {UUID(ids.new_request_id()).int >> bit & 1 for _ in range(64)} == {0, 1}
