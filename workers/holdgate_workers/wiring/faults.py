"""An exception of a server, in the words of the doctor: for the log of whoever met it."""

from __future__ import annotations

from holdgate_workers.adapters.postgres.connection import DatabaseError, DatabaseUnavailable
from holdgate_workers.app.installation import NotOurs, NotSetUp
from holdgate_workers.app.ports import TransportError


def told(exc: Exception, database_url: str | None = None) -> str:
    """What it is and what mends it, then the driver's own words. With a URL the database is asked once more where it
    gave no SQLSTATE, which may take some seconds."""
    words = " ".join(str(exc).split())
    if isinstance(exc, DatabaseUnavailable | DatabaseError):
        from holdgate_workers.adapters.postgres.diagnosis import explain

        return f"the database cannot be used: {explain(exc, database_url)} ({words})"
    if isinstance(exc, TransportError) and not isinstance(exc, NotOurs | NotSetUp) and exc.__cause__ is not None:
        from pika.adapters.utils.connection_workflow import AMQPConnectorException
        from pika.exceptions import AMQPError

        if isinstance(exc.__cause__, AMQPError | AMQPConnectorException | OSError):
            from holdgate_workers.adapters.rabbit.diagnosis import fault_of

            return f"the broker cannot be used: {fault_of(exc)} ({words})"
    return words
