"""Whether the server keeps what it says it has committed."""

from __future__ import annotations

from holdgate_workers.adapters.postgres.session import Session

_WANTED = {"fsync": "on", "full_page_writes": "on"}


def durability_problems(url: str) -> list[str]:
    """What is set so that a committed hold could be lost, and how to mend it. Raises `DatabaseUnavailable`."""
    session = Session(url, name="durability")
    try:
        found = dict(
            session.run(
                lambda connection: connection.execute(
                    "SELECT name, setting FROM pg_settings "
                    "WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')"
                ).fetchall()
            )
        )
    finally:
        session.close()
    problems = [
        f"{name} is {found[name]}: run ALTER SYSTEM SET {name} = {wanted}; SELECT pg_reload_conf()"
        for name, wanted in _WANTED.items()
        if found.get(name) != wanted
    ]
    if found.get("synchronous_commit") not in ("on", "remote_apply", "remote_write", "local"):
        problems.append(
            f"synchronous_commit is {found.get('synchronous_commit')} in our own sessions: set it to on"
        )
    return problems
