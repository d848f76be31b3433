"""The second look: what differs for a moment is on its way, what goes on to differ is put right."""

from __future__ import annotations

import pytest

from holdgate_workers.app.partitions.line_watch import Difference, LineWatch, correct
from holdgate_workers.app.partitions.membership import News, Standing
from holdgate_workers.app.ports import ChannelId, Place


def a_worker(*, wanted: set[int], in_line: dict[int, ChannelId]) -> Standing:
    """One whose beliefs are known to the others."""
    standing = Standing("me", 4)
    for partition, channel in in_line.items():
        standing.note("joined", Place(partition, channel))
    standing.told(standing.news())
    standing.wanted = set(wanted)
    return standing


def test_what_agrees_is_left_alone() -> None:
    standing = a_worker(wanted={0, 1}, in_line={0: 7})
    watch = LineWatch()
    for _ in range(3):
        assert watch.look(standing, {0: 7, 1: None}, ()) == ()


def test_what_differs_at_one_look_only_is_on_its_way() -> None:
    standing = a_worker(wanted={0}, in_line={0: 7})
    watch = LineWatch()
    assert watch.look(standing, {0: None}, ()) == ()
    assert watch.look(standing, {0: 7}, ()) == ()
    assert watch.look(standing, {0: 8}, ()) == ()
    standing.note("lost", Place(0, 7))
    standing.note("joined", Place(0, 8))
    assert watch.look(standing, {0: 8}, ()) == ()


@pytest.mark.parametrize(
    ("wanted", "in_line", "held", "found", "asked_again"),
    [
        ({0}, {}, {}, [Difference("not_asked_for", 0)], (0,)),
        ({0}, {0: 7}, {}, [Difference("gone", 0, 7), Difference("not_asked_for", 0)], (0,)),
        ({0}, {0: 7}, {0: None}, [Difference("gone", 0, 7)], ()),
        ({0}, {0: 7}, {0: 8}, [Difference("gone", 0, 7), Difference("not_noted", 0, 8)], ()),
        (set(), {}, {0: 8}, [Difference("not_noted", 0, 8)], ()),
        (set(), {0: 7}, {0: 7}, [Difference("not_left", 0, 7)], ()),
    ],
)
def test_what_goes_on_to_differ_is_put_right(
    wanted: set[int],
    in_line: dict[int, ChannelId],
    held: dict[int, ChannelId | None],
    found: list[Difference],
    asked_again: tuple[int, ...],
) -> None:
    standing = a_worker(wanted=wanted, in_line=in_line)
    watch = LineWatch()
    watch.look(standing, held, ())
    differences = watch.look(standing, held, ())
    assert list(differences) == found
    assert correct(standing, differences) == asked_again
    assert standing.in_line == {partition: channel for partition, channel in held.items() if channel is not None}
    assert standing.wanted == {0}, "judged anew by the next heartbeat"


def test_the_others_are_told_what_was_put_right() -> None:
    standing = a_worker(wanted={0}, in_line={0: 7})
    correct(standing, [Difference("gone", 0, 7), Difference("not_noted", 0, 8)])
    assert standing.news() == News(joined=(0,), left=(0,))


def test_what_waits_for_a_batch_to_end_is_not_wrong() -> None:
    standing = a_worker(wanted=set(), in_line={0: 7})
    watch = LineWatch()
    for _ in range(3):
        assert watch.look(standing, {0: 7}, (Place(0, 7),)) == ()
