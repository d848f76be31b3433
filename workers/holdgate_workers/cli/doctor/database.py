"""The doctor on the database."""

from __future__ import annotations

from datetime import UTC, datetime

from holdgate_workers.cli import exits
from holdgate_workers.cli.output.formats import span

from .check import Check, Checks

VERSION_LEAST = 150000
CLOCK_WARN_SECONDS = 5.0
CLOCK_FAIL_SECONDS = 60.0
CONNECTIONS_WARN = 10


def database(url: str) -> Checks:
    """The server, our schema on it, and whether it keeps what it says. Raises `DatabaseUnavailable`."""
    from holdgate_workers.adapters.postgres.maintenance.durability import durability_problems
    from holdgate_workers.adapters.postgres.maintenance.health_checks import Examination

    examination = Examination(url)
    try:
        server = examination.server()
    finally:
        examination.close()
    old = server.version_number < VERSION_LEAST
    yield Check(
        "database",
        "server",
        "fail" if old else "ok",
        f"PostgreSQL {server.version.split()[0]}" + (", too old" if old else ""),
        "use PostgreSQL 15 or later" if old else "",
    )
    if server.is_standby:
        yield Check("database", "role", "fail", "is a standby: it takes no writes", "point the URL at the primary")
    problems = durability_problems(url)
    for problem in problems:
        what, _, mend = problem.partition(": ")
        yield Check("database", "durability", "fail", what, mend)
    if not problems:
        yield Check("database", "durability", "ok", "fsync, full_page_writes and synchronous_commit are on")
    committed = server.isolation == "read committed"
    yield Check(
        "database",
        "isolation",
        "ok" if committed else "fail",
        server.isolation,
        "" if committed else "let no proxy between here and the server change default_transaction_isolation",
    )
    yield _clock(server.clock)
    free = server.connections_free
    yield Check(
        "database",
        "connections",
        "ok" if free >= CONNECTIONS_WARN else "warn",
        f"{server.connections_used} in use, {free} of {server.connections_max} free",
        "" if free >= CONNECTIONS_WARN else "raise max_connections, or end what does not need one",
    )


def _clock(theirs: datetime) -> Check:
    # The one place where the two clocks are compared: the database's decides, this one only raises a doubt.
    away = (theirs - datetime.now(UTC)).total_seconds()  # noqa: TID251
    if abs(away) < CLOCK_WARN_SECONDS:
        return Check("database", "clock", "ok", "agrees with this machine's within 5 s")
    return Check(
        "database",
        "clock",
        "fail" if abs(away) >= CLOCK_FAIL_SECONDS else "warn",
        f"is {span(away)} {'ahead of' if away > 0 else 'behind'} this machine's",
        "holds expire by the database's clock: set whichever is wrong (NTP)",
    )


def schema(url: str) -> Check:
    """Whether the tables are those of this version."""
    from holdgate_workers.adapters.postgres.maintenance import revision

    try:
        return Check("database", "schema", "ok", f"revision {revision.check(url)}")
    except revision.SchemaMismatch as exc:
        what, _, mend = str(exc).partition(". ")
        return Check("database", "schema", "fail", what, mend, exits.SCHEMA_MISMATCH)


def writing(url: str) -> Check:
    """Whether this login can write: a row, taken back at once."""
    from holdgate_workers.adapters.postgres.diagnosis import try_writing

    fault = try_writing(url)
    if fault is None:
        return Check("database", "writing", "ok", "a row was written and taken back, and a commit ended")
    return Check("database", "writing", "fail", fault.what, fault.mend)


def unreachable(problem: Exception, url: str | None) -> Check:
    """The database does not answer; without a URL it is the embedded one, which does not run."""
    from holdgate_workers.adapters.postgres.connection import DatabaseError, DatabaseUnavailable
    from holdgate_workers.adapters.postgres.diagnosis import explain

    if url is None or not isinstance(problem, DatabaseUnavailable | DatabaseError):
        mend = "start it: holdgate up (in another terminal)"
        return Check("database", "server", "fail", "nothing runs in the data folder", mend, exits.NOT_RUNNING)
    fault = explain(problem, url)
    return Check("database", "server", "fail", fault.what, fault.mend, exits.NOT_RUNNING)
