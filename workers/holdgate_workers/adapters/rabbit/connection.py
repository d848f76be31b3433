"""From a URL to the connection we want, and how long to wait before the next try."""

from __future__ import annotations

import pika

from holdgate_workers.app.ports import TransportError

CONSUMER_HEARTBEAT_SECONDS = 5
"""A dead worker's partition goes on after two to three of these. Under 5 s, busy machines are taken for dead."""
BLOCKED_TIMEOUT_SECONDS = 300.0
SOCKET_TIMEOUT_SECONDS = 5.0
STACK_TIMEOUT_SECONDS = 10.0

BACKOFF_FIRST_SECONDS = 0.2
BACKOFF_LEAST_SECONDS = 0.05
BACKOFF_CAP_SECONDS = 5.0
STEADY_SECONDS = 5.0
"""A connection that lasted this long starts the back-off anew when it is lost."""

_EXPONENT_MAX = 16


def connection_parameters(
    url: str,
    *,
    name: str,
    heartbeat_seconds: int = CONSUMER_HEARTBEAT_SECONDS,
    blocked_timeout_seconds: float | None = BLOCKED_TIMEOUT_SECONDS,
) -> pika.ConnectionParameters:
    """What pika needs to know. `name` is what operators see in the broker's list of connections.

    A heartbeat or blocked timeout that the URL's query gives wins. Raises `TransportError` if the URL is no AMQP
    URL; the message does not repeat it, because it holds a password.
    """
    try:
        if not url.startswith(("amqp://", "amqps://")):
            raise ValueError("it must begin with amqp:// or amqps://")
        parameters = pika.URLParameters(url)
        asked = url.partition("?")[2]
        if "heartbeat=" not in asked:
            parameters.heartbeat = heartbeat_seconds
        if "blocked_connection_timeout=" not in asked:
            parameters.blocked_connection_timeout = blocked_timeout_seconds
        if "socket_timeout=" not in asked:
            parameters.socket_timeout = SOCKET_TIMEOUT_SECONDS
        if "stack_timeout=" not in asked:
            parameters.stack_timeout = STACK_TIMEOUT_SECONDS
    except (ValueError, TypeError) as exc:
        raise TransportError(f"the broker's URL cannot be used: {_without(url, str(exc))}") from None
    # Repeated tries are our own business: pika's would hold the I/O thread's timers without any jitter.
    parameters.connection_attempts = 1
    parameters.client_properties = {"connection_name": name, "product": "holdgate"}
    return parameters


def vhost_of(url: str) -> str:
    """The virtual host that the URL means; it is no secret. Raises `TransportError`."""
    return str(connection_parameters(url, name="holdgate").virtual_host)


def backoff_seconds(attempt: int, jitter: float) -> float:
    """How long to wait before try number `attempt` (from 0), with `jitter` evenly spread over [0, 1).

    Exponential with full jitter: a broker that comes back is not met by all workers at the same moment.
    """
    ceiling: float = min(BACKOFF_CAP_SECONDS, BACKOFF_FIRST_SECONDS * 2 ** min(attempt, _EXPONENT_MAX))
    return BACKOFF_LEAST_SECONDS + jitter * (ceiling - BACKOFF_LEAST_SECONDS)


def explain(error: BaseException | None) -> str:
    """One line about why a connection or channel is gone, for logs and problems."""
    if error is None:
        return "closed"
    code, text = getattr(error, "reply_code", None), getattr(error, "reply_text", None)
    if code:
        return f"{code} {text}"
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _without(url: str, text: str) -> str:
    return text.replace(url, "…") if "@" in url else text
