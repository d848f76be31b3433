"""The names of things: bounded, printable, and the same on every side of the wire.

Every pattern ends in `$(?!\\n)`: in Python `$` also matches before a final newline, in ECMA-262 it does not,
and this spelling means the same in both.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$(?!\n)"
NAME_PATTERN = r"^[a-z0-9][a-z0-9_.-]{0,49}$(?!\n)"
VISIBLE_PATTERN = r"^[^\s\x00-\x1f\x7f-\x9f\ufffe\uffff]+$(?!\n)"

RequestId = Annotated[
    str,
    Meta(
        pattern=UUID_PATTERN,
        description=(
            "UUID in lower case, made by the caller, of any version but 8 (those are Holdgate's own); "
            "the same id always gets the same answer"
        ),
    ),
]
HoldId = Annotated[
    str,
    Meta(pattern=UUID_PATTERN, description="The request id of the `hold.place` that created the hold"),
]
OccurrenceId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=VISIBLE_PATTERN,
        description="One dated slot of a product; decides the queue (see slots)",
    ),
]
ProductId = Annotated[str, Meta(min_length=1, max_length=64, pattern=VISIBLE_PATTERN)]
SessionId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=VISIBLE_PATTERN,
        description="Whose hold it is: the caller's own id, or one that Holdgate issued",
    ),
]
UserId = Annotated[str, Meta(min_length=1, max_length=64, pattern=VISIBLE_PATTERN)]
TicketKey = Annotated[str, Meta(pattern=NAME_PATTERN, description="A ticket type of the occurrence")]
ExtraKey = Annotated[str, Meta(pattern=NAME_PATTERN, description="An extra of the occurrence")]
PoolKey = Annotated[str, Meta(pattern=NAME_PATTERN, description="A counter that seats or extras draw from")]

TOTAL_POOL = "total"
"""The pool that every ticket of an occurrence draws from."""
