"""Short ids: what people read in a table and type into the next command."""

from __future__ import annotations

import pytest

from holdgate_workers.cli.output.formats import short
from holdgate_workers.cli.params import is_uuid_prefix
from holdgate_workers.ids import derived_id, new_request_id

OF_ONE_MILLISECOND = ("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "017f22e2-79b0-7cc4-98c4-dc0c0c07398f")


def test_ids_of_one_millisecond_are_shown_as_two() -> None:
    """As random ones are, of which eight characters do."""
    assert [short(identifier) for identifier in OF_ONE_MILLISECOND] == ["017f22e2-79b0-7cc3", "017f22e2-79b0-7cc4"]
    assert short("919108f7-52d1-4320-9bac-f847db4148a8") == "919108f7"
    assert short(OF_ONE_MILLISECOND[0], full=True) == OF_ONE_MILLISECOND[0]
    assert short(None) == ""


@pytest.mark.parametrize("version", ["4", "7", "8"])
def test_what_is_shown_can_be_typed(version: str) -> None:
    identifier = {
        "4": "919108f7-52d1-4320-9bac-f847db4148a8",
        "7": new_request_id(),
        "8": derived_id("cart", "leg"),
    }
    assert identifier[version][14] == version
    assert identifier[version].startswith(short(identifier[version]))
    assert is_uuid_prefix(short(identifier[version]))
