"""What buyers do in a generated history who stand in line."""

from __future__ import annotations

import random

from tests.checker.jsonl import loads
from tests.checker.model import Body
from tests.checker.till import Make


class Waiter:
    """Joins a line, leaves it, declines what is offered; sometimes twice, or for somebody else."""

    def __init__(self, make: Make, rng: random.Random) -> None:
        self._make, self._random = make, rng
        self._entries: list[tuple[str, str, str]] = []
        """(occurrence, entry, session)."""

    def remember(self, body: Body, text: str) -> None:
        """An answer was given."""
        if body["type"] == "waitlist.join.v1" and text.startswith('{"outcome":"waiting"'):
            self._entries.append((body["occurrence_id"], body["request_id"], loads(text)["session_id"]))

    def next(self, occurrence_id: str, items: dict[str, int]) -> Body:
        """What somebody asks next."""
        chance = self._random.randrange(10)
        if self._entries and chance < 4:
            return self._about_an_entry(chance)
        body = self._make("waitlist.join.v1", occurrence_id, items=items)
        if chance < 6 and self._entries:
            body["session_id"] = self._random.choice(self._entries)[2]
        elif chance < 9:
            body["session_id"] = f"waits-{self._random.getrandbits(40):x}"
        if chance == 7:
            body["user_id"] = "user-w"
        if chance == 8:
            body["extras"] = {"guide": 1}
        return body

    def _about_an_entry(self, chance: int) -> Body:
        place, entry_id, session = self._entries[self._random.randrange(len(self._entries))]
        if self._random.randrange(9) == 0:
            session = "somebody-else"
        if chance == 0:
            return self._make("hold.release.v1", place, session_id=session, hold_id=entry_id)
        return self._make("waitlist.leave.v1", place, session_id=session, entry_id=entry_id)
