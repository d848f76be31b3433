"""Why a database cannot be used, by the server's own SQLSTATE and not by its words, which may be in any language."""

from __future__ import annotations

import re
import select
import socket
import ssl
import tempfile
import threading
from contextlib import suppress
from time import monotonic
from typing import Any

import psycopg
from psycopg import Connection, pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from holdgate_workers.adapters.tls import certificate_fault
from holdgate_workers.app.faults import Fault

from .connection import DatabaseError, DatabaseUnavailable, connect, translated

CONNECT_SECONDS = 5
URL = "HOLDGATE_DATABASE_URL"

_STATE = re.compile(r'^B\t.*ErrorResponse\t.*? C "(?P<state>[0-9A-Z]{5})"', re.MULTILINE)
_SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
_GRANTS = (
    "GRANT SELECT, INSERT, UPDATE, DELETE on its tables to the login (docs/operating.md, Rights in the database)"
)

_FAULTS = {
    "53300": (
        "too_many_clients",
        "the server has no connection left (too many clients)",
        "end what does not need one (pg_stat_activity names them), or raise max_connections",
    ),
    "3D000": (
        "no_such_database",
        "the server is there, but has no database of this name",
        f"create it (createdb), or correct the name at the end of {URL}",
    ),
    "28P01": ("wrong_password", "the server refuses the password of this login", f"correct it in {URL}"),
    "28000": (
        "login_refused",
        "the server does not let this login in from here: it is not known, or pg_hba.conf has no line for it",
        f"create the login, correct it in {URL}, or add the line to pg_hba.conf",
    ),
    "25006": (
        "read_only",
        "the database is read-only: it is a standby, or default_transaction_read_only is on",
        f"point {URL} at the primary; or ALTER DATABASE … RESET default_transaction_read_only",
    ),
    "42501": ("no_rights", "the login has not the rights that Holdgate needs", _GRANTS),
    "42P01": ("no_tables", "the database does not have our tables", "holdgate migrate"),
    "3F000": ("no_tables", "the database does not have our tables", "holdgate migrate"),
    "53100": ("disk_full", "the server's disk is full", "free some of it; nothing is written until then"),
    "55000": (
        "no_connections",
        "the database takes no connections now",
        "ALTER DATABASE … ALLOW_CONNECTIONS true",
    ),
    "57P03": ("starting", "the server is starting up or shutting down", "wait, or look at its log"),
    "57P01": ("shut_down", "the server was shut down", "start it"),
    "57014": ("too_slow", "the server did not finish a statement in time", "look at its load and its locks"),
}


def fault_of(sqlstate: str | None) -> Fault | None:
    """What a SQLSTATE means to people; None if it is none of those that can be mended from outside."""
    found = _FAULTS.get(sqlstate or "")
    return None if found is None else Fault(*found)


def diagnose(url: str) -> Fault | None:
    """Connect once more and say why it fails; None if it does not."""
    try:
        parts = conninfo_to_dict(url, connect_timeout=CONNECT_SECONDS)
    except psycopg.Error:
        return Fault("malformed", f"{URL} cannot be read", "postgresql://login:password@host:5432/database")
    state = _refusal(make_conninfo(url, connect_timeout=CONNECT_SECONDS))
    if state is None:
        return None
    return fault_of(state) or _of_address(parts)


COMMIT_SECONDS = 3.0
_COMMITTED = "SELECT pg_logical_emit_message(true, 'holdgate', 'tried')"
"""A line in the write-ahead log and in no table: its commit waits for whatever every commit waits for."""
COMMIT_HANGS = Fault(
    "commit_hangs",
    f"a commit did not end within {COMMIT_SECONDS:g} s: a synchronous standby does not answer, or the disk is stuck",
    "look at pg_stat_replication; start the standby, or take it out of synchronous_standby_names",
)


def try_commit(connection: Connection[tuple[Any, ...]]) -> Fault | None:
    """Commit something that leaves nothing, in bounded time; None if that works. Outside of a transaction.

    No timeout of the server ends a commit that waits for a standby; to be cancelled does.
    """
    is_late = threading.Event()

    def cancel() -> None:
        is_late.set()
        with suppress(psycopg.Error):
            connection.cancel_safe(timeout=COMMIT_SECONDS)

    timer = threading.Timer(COMMIT_SECONDS, cancel)
    timer.start()
    try:
        connection.execute(_COMMITTED)
    except psycopg.errors.QueryCanceled:
        return COMMIT_HANGS
    finally:
        timer.cancel()
        timer.join()  # or a late word of it would cancel the next statement
    return COMMIT_HANGS if is_late.is_set() else None


def try_writing(url: str) -> Fault | None:
    """Write a row with this login and take it back, and commit something that leaves nothing; None if that works."""

    def work(connection: Connection[tuple[Any, ...]]) -> None:
        with connection.transaction(force_rollback=True):
            connection.execute("INSERT INTO relay_cursors (name, xid, id) VALUES ('doctor', '0'::xid8, 0)")

    try:
        with translated(), connect(url, name="writing") as connection:
            work(connection)
            return try_commit(connection)
    except (DatabaseUnavailable, DatabaseError) as exc:
        return explain(exc, url)


def explain(exc: DatabaseUnavailable | DatabaseError, url: str | None) -> Fault:
    """The exception as a fault; where the server gave no SQLSTATE, by asking it again."""
    known = fault_of(exc.sqlstate)
    if known is None and exc.sqlstate is None and url is not None:
        known = diagnose(url)
    if known is not None:
        return known
    what = f"the database answered with SQLSTATE {exc.sqlstate}" if exc.sqlstate else "the connection broke"
    return Fault("unknown", what, "look at its log; `holdgate doctor` looks closer")


def _refusal(conninfo: str) -> str | None:
    """The SQLSTATE with which the server refuses a connection, empty if it gave none; None if it does not refuse.

    libpq keeps it to itself, and says it only in the trace of the conversation.
    """
    deadline = monotonic() + CONNECT_SECONDS
    with tempfile.TemporaryFile() as trace:
        link = pq.PGconn.connect_start(conninfo.encode())
        try:
            with suppress(psycopg.NotSupportedError):  # then the address says what it can
                link.trace(trace.fileno())
                link.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
            status = link.connect_poll() if link.status != pq.ConnStatus.BAD else pq.PollingStatus.FAILED
            while status in (pq.PollingStatus.READING, pq.PollingStatus.WRITING) and monotonic() < deadline:
                ours = [link.socket]
                reading = status == pq.PollingStatus.READING
                select.select(ours if reading else [], [] if reading else ours, [], 0.5)
                status = link.connect_poll()
            if status == pq.PollingStatus.OK:
                return None
        finally:
            with suppress(psycopg.NotSupportedError):
                link.untrace()
            link.finish()
        trace.seek(0)
        found = _STATE.search(trace.read().decode(errors="replace"))
    return found["state"] if found else ""


def _of_address(parts: dict[str, Any]) -> Fault:
    host = str(parts.get("host") or "localhost").split(",")[0]
    port = int(str(parts.get("port") or "5432").split(",")[0])
    if host.startswith(("/", "@")):
        return Fault("closed_port", f"nothing listens on the socket in {host}", f"start it, or correct {URL}")
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except socket.gaierror:
        return Fault("unknown_host", "no address is known for the host", f"correct the host in {URL}, or the DNS")
    except ConnectionRefusedError:
        return Fault(
            "closed_port", f"nothing listens on port {port} of the host", f"start the server, or correct {URL}"
        )
    except (TimeoutError, OSError):
        return Fault(
            "no_answer", "the host does not answer", f"correct the host in {URL}, or the firewall between"
        )
    if str(parts.get("sslmode", "")) in ("require", "verify-ca", "verify-full"):
        wrong = _of_certificate(host, port, parts)
        if wrong is not None:
            return wrong
        return Fault("no_tls", "TLS could not be agreed on", "let the server speak TLS, or correct sslmode")
    return Fault("no_postgres", "what listens there does not answer like PostgreSQL", f"correct the port in {URL}")


def _of_certificate(host: str, port: int, parts: dict[str, Any]) -> Fault | None:
    """Ask for TLS as libpq does, which tells nobody what it finds wrong with the certificate."""
    authorities = str(parts.get("sslrootcert") or "")
    checks_name = parts.get("sslmode") == "verify-full"
    context = ssl.create_default_context(cafile=authorities if authorities not in ("", "system") else None)
    context.check_hostname = checks_name
    try:
        with socket.create_connection((host, port), CONNECT_SECONDS) as link:
            link.sendall(_SSL_REQUEST)
            if link.recv(1) == b"S":
                context.wrap_socket(link, server_hostname=host).close()
    except ssl.SSLCertVerificationError as exc:
        return certificate_fault(exc, host_in=URL, ca_in=f"{URL} (?sslrootcert=FILE)")
    except OSError:
        return None
    return None
