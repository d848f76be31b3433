"""Whether a login can publish where a role publishes, and whether its queues are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pika import exceptions

from holdgate_workers.app.faults import Fault
from holdgate_workers.app.installation import Installation, NotOurs, NotSetUp
from holdgate_workers.app.ports import TransportError

from .connection import vhost_of
from .diagnosis import fault_of
from .stamp import Stamp
from .topology import connected

HEARTBEAT_SECONDS = 30


def fault_of_use(
    url: str, installation: Installation, *, exchanges: Sequence[str], queues: Sequence[str]
) -> Fault | None:
    """None if the virtual host is ours, each exchange takes a message of this login, and each queue is there."""
    try:
        with connected(url, "holdgate-readiness", HEARTBEAT_SECONDS) as connection:
            Stamp(connection, vhost_of(url)).check(installation)
            for exchange in exchanges:
                fault = _of_exchange(connection, exchange)
                if fault is not None:
                    return fault
            for queue in queues:
                connection.channel().queue_declare(queue, passive=True)
    except NotOurs as exc:
        return Fault("not_ours", str(exc), "holdgate installation show")
    except NotSetUp as exc:
        return Fault("not_set_up", str(exc), "holdgate migrate")
    except TransportError as exc:
        return fault_of(exc)
    return None


def _of_exchange(connection: Any, exchange: str) -> Fault | None:
    """A message in a transaction that is rolled back: the broker looks at once whether the exchange is there and may be
    written to, and nothing reaches a queue, a listener or its log."""
    channel = connection.channel()
    try:
        channel.tx_select()
        channel.basic_publish(exchange, "holdgate.tried", b"")
        channel.tx_rollback()
        channel.close()
    except exceptions.ChannelClosedByBroker as exc:
        fault = fault_of(exc)
        return replace(fault, what=f"{fault.what} ({exchange or 'the default exchange'})")
    return None
