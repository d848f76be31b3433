"""The names of things: bounded, printable, and the same on every side of the wire.

Every pattern ends in `$(?!\\n)`: in Python `$` also matches before a final newline, in ECMA-262 it does not,
and this spelling means the same in both.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from .values.characters import ID_CLASS

NIL_UUID = "00000000-0000-0000-0000-000000000000"
MAX_UUID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$(?!\n)"
NAME_PATTERN = r"^[a-z0-9][a-z0-9_.-]{0,49}$(?!\n)"
REQUEST_ID_PATTERN = rf"^(?!{NIL_UUID}|{MAX_UUID})" + UUID_PATTERN.removeprefix("^")
"""The two are what an unset variable looks like: the second buyer would get the first one's answer."""
VISIBLE_PATTERN = rf"^{ID_CLASS}+$(?!\n)"

RequestId = Annotated[
    str,
    Meta(
        pattern=REQUEST_ID_PATTERN,
        description=(
            "UUID in lower case, made by the caller, of any version but 8 (those are Holdgate's own), and neither "
            "the nil nor the max UUID; the same id always gets the same answer"
        ),
        extra_json_schema={"not": {"enum": [NIL_UUID, MAX_UUID]}},
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
