"""Sessions: our own ids cannot be made up, anybody else's are taken as they are."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.support.domain import KEYS, House, a_change, a_place, a_release, an_extend, got, request_id

from holdgate_schema.answers.holds import Changed, Extended, Reason, Released
from holdgate_schema.codec import decode_command, encode
from holdgate_schema.commands.holds import HoldCommand, PlaceHold
from holdgate_workers.domain.holds.sessions import PREFIX, SessionKeys

ISSUED = KEYS.issue(request_id(1))


def test_b13_a_session_is_issued_returned_and_good_for_everything() -> None:
    """A guest's hold is never an orphan."""
    house = House.with_occurrence()
    held = house.held(a_place(2, session_id=None))
    assert held.hold.session_id.startswith(PREFIX)
    assert house.hold(held).session_id == held.hold.session_id
    got(Changed, house.send(a_change(held, 1)))
    got(Extended, house.send(an_extend(held)))
    second = house.held(a_place(1, session_id=held.hold.session_id))
    assert second.hold.session_id == held.hold.session_id
    got(Released, house.send(a_release(held)))


def test_b13_the_same_request_is_issued_the_same_session_and_another_request_another() -> None:
    """Deciding again after a crash answers the same."""
    assert KEYS.issue(request_id(1)) == ISSUED != KEYS.issue(request_id(2))


def test_b13_another_guest_is_another_session() -> None:
    """And the one cannot touch the other's hold."""
    house = House.with_occurrence()
    first, second = house.held(a_place(1, session_id=None)), house.held(a_place(1, session_id=None))
    assert first.hold.session_id != second.hold.session_id
    house.refused(a_release(first, session_id=second.hold.session_id), Reason.HOLD_NOT_FOUND)


def test_an_issued_session_fits_the_contract() -> None:
    """It comes back in commands."""
    command = a_place(1, session_id=ISSUED)
    assert decode_command(encode(command))[0] == command


@pytest.mark.parametrize(
    "session_id",
    [
        PREFIX,
        f"{PREFIX}.",
        f"{PREFIX}x",
        ISSUED[:-1],
        f"{ISSUED}0",
        f"{ISSUED[:-1]}{'0' if ISSUED[-1] != '0' else '1'}",
        ISSUED.upper().replace("HGS.", PREFIX),
        ISSUED.replace(request_id(1), request_id(2)),
        ISSUED.replace(f"{request_id(1)}.", ""),
        f"{PREFIX}{request_id(1)}.",
        f"{PREFIX}{request_id(1)}.é",
        SessionKeys(b"the secret of somebody else").issue(request_id(1)),
    ],
)
@pytest.mark.parametrize(
    "command", [a_place(1), a_change(request_id(9), 1), an_extend(request_id(9)), a_release(request_id(9))]
)
def test_an_id_that_claims_to_be_ours_and_is_not_is_forbidden(
    session_id: str, command: PlaceHold | HoldCommand
) -> None:
    """For every command that has a session, before anything else is looked at."""
    assert KEYS.is_forged(session_id)
    House.with_occurrence().refused(replace(command, session_id=session_id), Reason.FORBIDDEN)


@pytest.mark.parametrize("session_id", ["a", "hgs", "HGS.x", "hgs-1", "wc_session_0123", "x.hgs.y"])
def test_ids_of_any_other_shape_are_the_callers_own(session_id: str) -> None:
    """Upstream may bring its own sessions."""
    assert not KEYS.is_forged(session_id)
    assert House.with_occurrence().held(a_place(1, session_id=session_id)).hold.session_id == session_id


def test_the_secret_is_long_and_is_not_shown() -> None:
    """Sixteen bytes at least; never in a traceback."""
    with pytest.raises(AssertionError):
        SessionKeys(b"fifteen bytes!!")
    assert "secret that only" not in repr(KEYS)
