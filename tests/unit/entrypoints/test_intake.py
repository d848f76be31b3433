"""What a worker takes from the queue while channels come and go."""

from __future__ import annotations

from holdgate_schema.envelope import Properties
from holdgate_workers.app.ports import Delivery
from holdgate_workers.roles.gate.delivery_buffer import Intake


def deliver(intake: Intake, tag: int, *, partition: int = 0, channel: int = 7) -> None:
    intake.delivered(Delivery(partition, channel, tag, b"{}", Properties()))


def taken(intake: Intake) -> list[tuple[int, int]]:
    """(partition, tag) of all that is there."""
    return [(item.delivery.partition, item.delivery.tag) for item in intake.take(100, 0)]


def test_what_still_arrives_of_a_partition_that_is_being_left_is_not_worked() -> None:
    """It stands behind what was dropped: to work it would break the order, to acknowledge it would lose the others."""
    intake = Intake()
    intake.subscribed(0, 7)
    deliver(intake, 1)
    assert intake.drop(7)
    deliver(intake, 2)
    assert taken(intake) == []


def test_leaving_one_partition_leaves_the_others_in_their_order() -> None:
    intake = Intake()
    for tag in (1, 2, 3):
        deliver(intake, tag)
        deliver(intake, tag, partition=1, channel=8)
    assert intake.drop(7)
    assert taken(intake) == [(1, 1), (1, 2), (1, 3)]


def test_a_partition_that_was_left_is_worked_again_on_its_next_channel() -> None:
    intake = Intake()
    deliver(intake, 1)
    assert intake.drop(7)
    intake.lost(0, 7)
    intake.subscribed(0, 9)
    deliver(intake, 1, channel=9)
    assert taken(intake) == [(0, 1)]


def test_nothing_is_worked_of_a_channel_that_is_gone() -> None:
    intake = Intake()
    deliver(intake, 1)
    intake.lost(0, 7)
    assert taken(intake) == []


def test_what_is_to_be_dropped_of_a_channel_that_is_gone_does_not_touch_the_next_one() -> None:
    """The wish to leave may have waited while the channel was lost and the partition joined again."""
    intake = Intake()
    intake.subscribed(0, 7)
    deliver(intake, 1)
    intake.lost(0, 7)
    intake.subscribed(0, 9)
    deliver(intake, 1, channel=9)
    assert not intake.drop(7)
    deliver(intake, 2, channel=9)
    assert taken(intake) == [(0, 1), (0, 2)]
