"""Equal parts of very many holds and occurrences, kept once.

A worker remembers a hundred thousand occurrences, and most of them sell the same kinds of tickets, in baskets of one
or two. What is shared must never be changed in place, and what the domain says of a basket or of a catalogue never is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from holdgate_schema.commands.holds import ExtraDefinition, TicketType

_ticket_types = msgspec.json.Decoder(dict[str, TicketType])
_extras = msgspec.json.Decoder(dict[str, ExtraDefinition])
_encoder = msgspec.json.Encoder()


def shared_counts(counts: Mapping[str, int]) -> dict[str, int]:
    """The same numbers under the same names, in the same order."""
    return _counts(tuple(counts.items()))


def shared_ticket_types(ticket_types: dict[str, TicketType]) -> dict[str, TicketType]:
    """The same kinds of tickets."""
    return _decoded_ticket_types(_encoder.encode(ticket_types))


def shared_extras(extras: dict[str, ExtraDefinition]) -> dict[str, ExtraDefinition]:
    """The same extras."""
    return _decoded_extras(_encoder.encode(extras))


@lru_cache(maxsize=4_096)
def _counts(pairs: tuple[tuple[str, int], ...]) -> dict[str, int]:
    return dict(pairs)


@lru_cache(maxsize=1_024)
def _decoded_ticket_types(document: bytes) -> dict[str, TicketType]:
    return _ticket_types.decode(document)


@lru_cache(maxsize=1_024)
def _decoded_extras(document: bytes) -> dict[str, ExtraDefinition]:
    return _extras.decode(document)
