"""Finding a hold or a request by the beginning of its id."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from holdgate_workers.cli import exits
from holdgate_workers.cli.failures import Failure
from holdgate_workers.cli.params import UUID_CHARS

if TYPE_CHECKING:
    from datetime import datetime

    from holdgate_workers.adapters.postgres.reports.history import History
    from holdgate_workers.domain.occurrences.occurrence import Hold


def found_hold(history: History, part: str) -> tuple[Hold, datetime]:
    """The hold whose id begins so, and the database's time."""
    found = history.hold(only("hold", part, history.holds_like))
    if found is None:
        raise _missing("hold", part, "holdgate history --occurrence ID")
    return found


def only(
    kind: str, part: str, like: Callable[[str], list[str]], *, see: str = "holdgate history --occurrence ID"
) -> str:
    """The one id that begins so. A whole id is taken as it is. `see`: the command that lists them."""
    if len(part) == UUID_CHARS:
        return part
    found = like(part)
    if not found:
        raise _missing(kind, part, see)
    if len(found) > 1:
        raise Failure(
            f"several {kind}s begin with {part!r}: {', '.join(found)}; give more of the id", exits.REFUSED
        )
    return found[0]


def _missing(kind: str, part: str, see: str) -> Failure:
    return Failure(f"there is no {kind} {part!r}; `{see}` lists them", exits.REFUSED)
