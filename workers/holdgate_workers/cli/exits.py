"""The exit codes, by name. Scripts may rely on them."""

from __future__ import annotations

OK = 0
REFUSED = 1
"""The request was answered with no, or what was looked for is not there, or a check failed."""
USAGE = 2
"""The call, the configuration or a file given is not what it must be; nothing was done."""
NOT_RUNNING = 3
"""The database or the broker cannot be reached."""
SCHEMA_MISMATCH = 4
"""The database's schema is not the one that this version needs."""
TIMED_OUT = 5
"""No answer in time: the outcome is not known, and sending the same request id again is safe."""
NOT_OURS = 6
"""Virtual host, queue or Redis belong to another installation, or are not set up for this one."""
INTERNAL = 70
"""A fault in Holdgate itself."""
STOPPED = 130
"""Stopped with Ctrl-C in the middle; what the command says then is how far it came."""

MEANINGS: dict[int, str] = {
    OK: "done",
    REFUSED: "refused, not found, or a check failed",
    USAGE: "wrong call, configuration or file; nothing was done",
    NOT_RUNNING: "database or broker cannot be reached",
    SCHEMA_MISMATCH: "the database's schema is of another version",
    TIMED_OUT: "no answer in time; the same request id may be sent again",
    NOT_OURS: "broker, queue or Redis belong to another installation, or are not set up",
    INTERNAL: "a fault in Holdgate itself",
    STOPPED: "stopped with Ctrl-C; calling it again goes on from there",
}
