"""Every exception that a command may end with, as one line that says what to do, and an exit code."""

from __future__ import annotations

import os
import sys
from typing import IO, Any

import click

from . import exits

DEBUG = "HOLDGATE_DEBUG"


class Failure(click.ClickException):
    """The command cannot go on. The message says what to do next."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        """One line on stderr."""
        click.echo(f"{click.style('error:', fg='red', bold=True)} {self.format_message()}", file=file, err=True)


def translated(exc: Exception) -> Exception:
    """What the exception is to the person at the terminal. With HOLDGATE_DEBUG=1 it stays what it is."""
    if isinstance(exc, click.ClickException | click.exceptions.Exit | click.Abort | BrokenPipeError):
        return exc
    if os.environ.get(DEBUG, "") not in ("", "0"):
        return exc
    known = _known(exc)
    if known is not None:
        return Failure(one_line(known[0]), known[1])
    return Failure(
        one_line(f"internal: {type(exc).__name__}: {exc} (set {DEBUG}=1 for the traceback)"), exits.INTERNAL
    )


def one_line(text: str) -> str:
    """The text without line breaks."""
    return " ".join(text.split())


def _known(exc: Exception) -> tuple[str, int] | None:
    # Looked up late: each of these modules costs time to import, and help texts need none of them.
    from pika.adapters.utils.connection_workflow import AMQPConnectorException
    from pika.exceptions import AMQPError

    from holdgate_producer.core.errors import ProducerError
    from holdgate_workers.adapters.embedded.server.errors import EmbeddedServerError
    from holdgate_workers.adapters.postgres.connection import DatabaseError, DatabaseUnavailable
    from holdgate_workers.adapters.postgres.maintenance.revision import SchemaMismatch
    from holdgate_workers.adapters.rabbit.diagnosis import fault_of
    from holdgate_workers.app.installation import NotOurs, NotSetUp, StillServed
    from holdgate_workers.app.ports import TransportError
    from holdgate_workers.config.environment import ConfigError
    from holdgate_workers.domain.settings.settings import InvalidSettings
    from holdgate_workers.wiring.site import NotRunning

    if isinstance(exc, ProducerError):
        return _of_client(exc)
    text = str(exc)
    if isinstance(exc, ConfigError | InvalidSettings):
        return text, exits.USAGE
    if isinstance(exc, NotRunning | EmbeddedServerError):
        return text, exits.NOT_RUNNING
    if isinstance(exc, DatabaseUnavailable):
        return f"the database cannot be used: {_database_fault(exc)}", exits.NOT_RUNNING
    if isinstance(exc, NotOurs | NotSetUp | StillServed):
        return text, exits.NOT_OURS
    if isinstance(exc, TransportError) and isinstance(exc.__cause__, AMQPError | AMQPConnectorException | OSError):
        return f"the broker cannot be used: {fault_of(exc)} (`holdgate doctor` looks closer)", exits.NOT_RUNNING
    if isinstance(exc, TransportError):
        return f"{text} (`holdgate doctor` looks closer)", exits.NOT_RUNNING
    if isinstance(exc, SchemaMismatch):
        return text, exits.SCHEMA_MISMATCH
    if isinstance(exc, DatabaseError):
        return _of_database(exc, text)
    return None


def _of_client(exc: Exception) -> tuple[str, int]:
    from holdgate_producer.core.errors import (
        Blocked,
        ConnectionLost,
        InvalidConfig,
        InvalidRequest,
        Nacked,
        TimedOut,
        UnreadableAnswer,
        Unroutable,
    )

    request_id = getattr(exc, "request_id", None)
    if isinstance(exc, InvalidRequest | InvalidConfig):
        return str(exc), exits.USAGE
    if isinstance(exc, Unroutable | Nacked | Blocked):
        return f"{exc} (`holdgate doctor` looks closer)", exits.NOT_RUNNING
    if isinstance(exc, ConnectionLost):
        return f"{exc}; start it with `holdgate up`, or see `holdgate doctor`", exits.NOT_RUNNING
    if isinstance(exc, TimedOut):
        again = f"; safe to repeat with --request-id {request_id}" if request_id else ""
        return f"{exc}{again}; is a gate worker running? see `holdgate doctor`", exits.TIMED_OUT
    if isinstance(exc, UnreadableAnswer):
        return f"{exc}; the workers are of a newer version, update this one", exits.SCHEMA_MISMATCH
    return str(exc), exits.NOT_RUNNING


def _database_fault(exc: Any) -> str:
    from holdgate_workers.adapters.postgres.diagnosis import explain
    from holdgate_workers.config.environment import ConfigError, read_config

    try:
        url = read_config().database_url
    except ConfigError:
        url = None
    return str(explain(exc, url))


def _of_database(exc: Any, text: str) -> tuple[str, int]:
    """A statement that does not fit the tables means that the schema is not ours."""
    if exc.sqlstate == "42501":
        return f"the database cannot be used: {_database_fault(exc)}", exits.NOT_RUNNING
    if text.startswith(("UndefinedTable", "UndefinedColumn", "InvalidSchemaName")):
        return (
            f"the database does not have our tables ({text.splitlines()[0]}). Run `holdgate migrate`.",
            exits.SCHEMA_MISMATCH,
        )
    return f"internal: {text} (set {DEBUG}=1 for the traceback)", exits.INTERNAL


def warn(text: str) -> None:
    """A remark on stderr that ends nothing."""
    click.echo(f"{click.style('note:', fg='yellow')} {text}", err=True)


def stderr_is_terminal() -> bool:
    """Whether progress bars make sense."""
    return sys.stderr.isatty()
