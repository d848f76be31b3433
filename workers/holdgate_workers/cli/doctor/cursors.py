"""The doctor on a cursor of the journal that is late: whose fault that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdgate_workers.cli.output.formats import span

from .check import Check

if TYPE_CHECKING:
    from holdgate_workers.adapters.postgres.maintenance.health_checks import CursorLag, Writer


def behind(lag: CursorLag, role: str, detail: str, mend: str) -> Check:
    """It is its reader's, with this mend, unless the row waits for a transaction that has not ended."""
    writer = lag.waits_for
    if writer is None:
        return Check("house", role, "warn", detail, mend)
    detail += f": it waits for the oldest transaction of the whole server ({_named(writer)})"
    if writer.pid is None:
        return Check(
            "house", role, "warn", detail, "COMMIT PREPARED or ROLLBACK PREPARED what pg_prepared_xacts lists"
        )
    return Check("house", role, "warn", detail, f"have it end, or: SELECT pg_terminate_backend({writer.pid})")


def _named(writer: Writer) -> str:
    words = ["a prepared one" if writer.pid is None else f"process {writer.pid}"]
    if writer.application:
        words.append(writer.application)
    if writer.database:
        words.append(f"database {writer.database}")
    if writer.seconds is not None:
        words.append(f"for {span(writer.seconds)}")
    return ", ".join(words)
