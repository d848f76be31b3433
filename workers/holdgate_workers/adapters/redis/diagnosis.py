"""Why a Redis cannot be used, by the kind of the exception."""

from __future__ import annotations

import socket
import ssl

import redis

from holdgate_workers.adapters.tls import certificate_fault
from holdgate_workers.app.faults import Fault

URL = "HOLDGATE_REDIS_URL"
TIMEOUT_SECONDS = 3.0


def try_writing(url: str, key: str) -> Fault | None:
    """Write a key that goes by itself after a minute; None if that works."""
    try:
        with redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
        ) as client:
            client.set(key, "tried", ex=60)
    except (redis.RedisError, ValueError, OSError) as exc:
        fault = fault_of(exc)
        if fault.kind == "no_answer" and url.startswith("rediss://"):
            # A Redis without TLS waits for the end of what it takes for a command.
            return Fault(
                "no_tls", "Redis does not answer to TLS in time", f"is it without TLS? Then redis:// in {URL}"
            )
        return fault
    return None


def fault_of(error: BaseException) -> Fault:
    """What an exception of the driver means to people."""
    causes, item = [error], error.__cause__ or error.__context__
    while item is not None and item not in causes:
        causes.append(item)
        item = item.__cause__ or item.__context__
    for cause in reversed(causes):
        found = _fault(cause)
        if found is not None:
            return found
    return Fault("unknown", "Redis cannot be used", "look at its log")


def _fault(error: BaseException) -> Fault | None:
    if isinstance(error, redis.AuthenticationError | redis.exceptions.AuthorizationError):
        return Fault("wrong_password", "Redis refuses this login or its password", f"correct it in {URL}")
    if isinstance(error, redis.exceptions.NoPermissionError):
        return Fault("no_rights", "the login may not write our keys", "ACL SETUSER … ~holdgate:* +@all")
    if isinstance(error, redis.ReadOnlyError):
        return Fault("read_only", "this Redis is a replica: it takes no writes", f"point {URL} at the primary")
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return Fault("full", "Redis has no memory left", "raise maxmemory, or let maxmemory-policy make room")
    if isinstance(error, redis.BusyLoadingError):
        return Fault("starting", "Redis is loading its data", "wait")
    if isinstance(error, ssl.SSLCertVerificationError):
        return certificate_fault(error, host_in=URL, ca_in=f"{URL} (?ssl_ca_certs=FILE) or SSL_CERT_FILE")
    if isinstance(error, ssl.SSLError):
        return Fault(
            "no_tls", "TLS could not be agreed on", f"rediss:// is with TLS, redis:// without: correct {URL}"
        )
    if isinstance(error, socket.gaierror):
        return Fault("unknown_host", "no address is known for the host", f"correct the host in {URL}, or the DNS")
    if isinstance(error, ConnectionRefusedError):
        return Fault("closed_port", "nothing listens on this port of the host", f"start Redis, or correct {URL}")
    if isinstance(error, TimeoutError | redis.TimeoutError):
        return Fault(
            "no_answer", "Redis does not answer in time", f"correct host and port in {URL}; is it overloaded?"
        )
    if isinstance(error, redis.ResponseError):
        return Fault("refused", "Redis refuses the command", "use Redis 6 or later; look at its log")
    return None
