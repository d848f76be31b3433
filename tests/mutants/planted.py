"""Bugs to plant: each is one that a gate like this one is likely to have, and that the checks must find.

A mutant is planted with `MUTANTS[name](setattr)`, in a test with `monkeypatch.setattr`. Should the code move, the
assertions here fail before a mutant quietly stops biting.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from holdgate_workers.adapters.postgres.gate import commit as commit_module
from holdgate_workers.app.gate.batch import Batch
from holdgate_workers.app.gate.deciding import Decider
from holdgate_workers.app.gate.effects import Ack, Commit, Effect, Reply
from holdgate_workers.app.gate.gate import Gate
from holdgate_workers.app.ports import ChannelId
from holdgate_workers.domain.occurrences.occurrence import Hold, Occurrence

Plant = Callable[[Any, str, Any], None]
Protocol = Generator[Effect, Any, Any]


def no_version_check(plant: Plant) -> None:
    """The commit moves the version on, whatever it is."""
    _reword(plant, "_FENCE", " AND o.version = f.before", "")
    _reword(plant, "_UNCHANGED", " AND o.version = f.version", "")


def reply_before_commit(plant: Plant) -> None:
    """The answers go out as soon as they are decided."""
    _before_commit(plant, lambda batch: Reply(list(batch.settled.replies)))


def ack_before_commit(plant: Plant) -> None:
    """The messages are acknowledged as soon as they are decided."""
    _before_commit(plant, lambda batch: Ack(_last_tags(batch)))


def memory_kept_after_abort(plant: Plant) -> None:
    """What was decided in a batch that was rolled back is still believed."""
    assert callable(Gate._forget)
    plant(Gate, "_forget", lambda self, batch: None)


def dedupe_off(plant: Plant) -> None:
    """A request that was decided before is decided again, and the journal keeps the first answer."""
    original = Decider._decide

    def forgetful(self: Decider, batch: Batch, item: Any) -> Protocol:
        batch.known.clear()
        return original(self, batch, item)

    plant(Decider, "_decide", forgetful)
    plant(commit_module, "_JOURNAL", commit_module._JOURNAL + " ON CONFLICT (request_id) DO NOTHING")


def due_holds_still_counted(plant: Plant) -> None:
    """Only the expiry worker ends holds; until it comes, dead ones take up room."""

    def nothing(self: Occurrence, now: object) -> Iterator[Hold]:
        return iter(())

    assert callable(Occurrence.due)
    plant(Occurrence, "due", nothing)


def limits_not_claimed(plant: Plant) -> None:
    """Limits across occurrences are looked at, but not taken in the commit."""
    original = Batch.commit

    def without_claims(self: Batch) -> Commit:
        commit = original(self)
        commit.claims = []
        return commit

    plant(Batch, "commit", without_claims)


MUTANTS: dict[str, Callable[[Plant], None]] = {
    mutant.__name__: mutant
    for mutant in (
        no_version_check,
        reply_before_commit,
        ack_before_commit,
        memory_kept_after_abort,
        dedupe_off,
        due_holds_still_counted,
        limits_not_claimed,
    )
}


def _reword(plant: Plant, statement: str, old: str, new: str) -> None:
    text: str = getattr(commit_module, statement)
    assert old in text, f"{statement} no longer says {old!r}: plant this mutant anew"
    plant(commit_module, statement, text.replace(old, new))


def _before_commit(plant: Plant, early: Callable[[Batch], Effect]) -> None:
    original = Gate._send

    def hasty(self: Gate, batch: Batch, commit: Commit) -> Protocol:
        yield early(batch)
        return (yield from original(self, batch, commit))

    plant(Gate, "_send", hasty)


def _last_tags(batch: Batch) -> dict[ChannelId, int]:
    tags: dict[ChannelId, int] = {}
    for item in batch.incoming:
        delivery = item.delivery
        tags[delivery.channel] = max(tags.get(delivery.channel, 0), delivery.tag)
    return tags
