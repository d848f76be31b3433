"""What the clients' notes say about each request, gathered by request id. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from holdgate_schema.answers.holds import Answer, Availability, Reason, Refused
from holdgate_schema.codec import decode_answer, decode_command, fingerprint
from holdgate_schema.commands.holds import Command, GetAvailability
from holdgate_schema.errors import InvalidMessage
from holdgate_workers.demo.notes import Answered, Failed, Note, Sent

CONFLICT = Reason.REQUEST_CONFLICT


@dataclass(slots=True)
class Story:
    """One request id: every body sent under it, and every answer seen."""

    request_id: str
    bodies: dict[str, int] = field(default_factory=dict)
    """Body -> how many times it was sent on purpose; tries after a failure do not count."""
    tries: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    """Answer, byte for byte -> how often it came."""
    errors: list[str] = field(default_factory=list)
    first_sent_ns: int | None = None
    first_answer_ns: int | None = None

    @property
    def sendings(self) -> int:
        """How often it was sent, tries after a failure included."""
        return sum(self.bodies.values()) + self.tries

    @property
    def repeats(self) -> int:
        """How often it was sent again on purpose."""
        return max(0, sum(self.bodies.values()) - 1)

    @property
    def latency_ns(self) -> int | None:
        """From its first sending to its first answer."""
        if self.first_sent_ns is None or self.first_answer_ns is None:
            return None
        return max(0, self.first_answer_ns - self.first_sent_ns)

    def command(self, decided: bytes | None = None) -> Command | None:
        """The command that was sent, the one with this fingerprint if there are several."""
        chosen = [body for body in self.bodies if decided is None or fingerprint(body.encode()) == decided]
        return decode_command(chosen[0].encode())[0] if chosen else None

    @property
    def is_read(self) -> bool:
        """Whether it only asks, so that no row is kept of it."""
        return isinstance(self.command(), GetAvailability)


def gather(notes: Iterable[Note]) -> dict[str, Story]:
    """Every request that was sent, in the order of the notes."""
    stories: dict[str, Story] = {}
    for note in notes:
        story = stories.setdefault(note.request_id, Story(note.request_id))
        match note:
            case Sent():
                _sent(story, note)
            case Answered():
                story.answers[note.body] = story.answers.get(note.body, 0) + 1
                first = story.first_answer_ns
                story.first_answer_ns = note.at_ns if first is None else min(first, note.at_ns)
            case Failed():
                story.errors.append(note.error)
    return stories


def _sent(story: Story, note: Sent) -> None:
    story.tries += note.attempt > 1
    story.bodies[note.body] = story.bodies.get(note.body, 0) + (note.attempt == 1)
    first = story.first_sent_ns
    story.first_sent_ns = note.at_ns if first is None else min(first, note.at_ns)


def read_answer(body: str) -> Answer | None:
    """The answer, or None if it cannot be read."""
    try:
        return decode_answer(body.encode())
    except InvalidMessage:
        return None


def is_final(answer: Answer | None) -> bool:
    """Whether it settles the request: `busy` and `unavailable` do not."""
    return answer is not None and not (isinstance(answer, Refused) and answer.retryable)


def is_conflict(answer: Answer | None) -> bool:
    """Whether it only says that the id was used before."""
    return isinstance(answer, Refused) and answer.reason is CONFLICT


def is_unavailable(answer: Answer | None) -> bool:
    """Whether it says that the request could not be decided: it is with the dead letters now."""
    return isinstance(answer, Refused) and answer.reason is Reason.UNAVAILABLE


def is_availability(answer: Answer | None) -> bool:
    """Whether it answers a read."""
    return isinstance(answer, Availability)
