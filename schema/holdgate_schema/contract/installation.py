"""What an installation is on the broker, as tables for people and programs: slots, topology, rights.

The rights are the least that works, as RabbitMQ's three patterns. `{name}` is the name of an upstream program:
give each one a login of its own, so that none reads another's answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from holdgate_schema import topology
from holdgate_schema.routing import SLOTS, TEST_VECTORS, routing_key, slot_of

_EDGES = ("occ-28", "occ-26", "occ-153")
"""The first slot, one that needs leading zeros, the last slot."""

NOTHING = "^$"
_OURS = (
    r"holdgate\.(requests(\.[0-9]{2})?|dead|events|partitions\.[0-9]{2}|(installation|home)(\..+)?"
    r"|tasks\..+)"
)
_STAMP = r"^holdgate\.(installation|home)$"
"""Only by declaring these two again can a worker read whose the virtual host is; it can make neither."""


@dataclass(frozen=True)
class Role:
    """One kind of login: what it does and the patterns for `rabbitmqctl set_permissions`."""

    name: str
    does: str
    configure: str
    write: str
    read: str


ROLES: tuple[Role, ...] = (
    Role(
        "producer",
        "publishes requests and reads its own answers",
        r"^holdgate\.reply\.{name}\.",
        r"^holdgate\.requests$",
        r"^holdgate\.reply\.{name}\.",
    ),
    Role(
        "listener",
        "reads events from a queue of its own, which it declares and binds",
        r"^{name}\.",
        r"^{name}\.",
        r"^({name}\.|holdgate\.events$)",
    ),
    Role(
        "worker gate",
        "decides requests, answers them, isolates what cannot be worked",
        _STAMP,
        r"^(amq\.default|holdgate\.dead)$",
        r"^holdgate\.requests\.[0-9]{2}$",
    ),
    Role("worker expiry", "tells the queues what is due", _STAMP, r"^holdgate\.requests$", NOTHING),
    Role("worker relay", "publishes events", _STAMP, r"^holdgate\.events$", NOTHING),
    Role("worker feeder", "wakes up those who do tasks", _STAMP, r"^amq\.default$", NOTHING),
    Role(
        "worker pricing",
        "prices holds and answers quotes",
        _STAMP,
        r"^(amq\.default|holdgate\.requests)$",
        r"^holdgate\.tasks\.pricing(\.DQ)?$",
    ),
    Role(
        "worker orders",
        "makes orders, works carts",
        _STAMP,
        r"^(amq\.default|holdgate\.requests)$",
        r"^holdgate\.tasks\.orders(\.DQ)?$",
    ),
    Role(
        "worker notifications",
        "sends mails, webhooks and analytics events",
        _STAMP,
        NOTHING,
        r"^holdgate\.tasks\.notifications(\.DQ)?$",
    ),
    Role(
        "operator",
        "declares the exchanges, queues and bindings and stamps the virtual host (`holdgate migrate`); looks at dead "
        "letters and replays them",
        rf"^{_OURS}$",
        rf"^(amq\.default|{_OURS})$",
        rf"^{_OURS}$",
    ),
)


def roles(name: str = "NAME") -> Iterator[Role]:
    """The roles with a program's name put in; it must need no escaping (`a-z0-9_-`)."""
    for role in ROLES:
        yield Role(
            role.name,
            role.does,
            *(part.replace("{name}", name) for part in (role.configure, role.write, role.read)),
        )


def slots_table() -> dict[str, Any]:
    """The routing key formula with what an implementation must reproduce."""
    return {
        "slots": SLOTS,
        "formula": "slot = crc32_ieee(utf8(occurrence_id)) mod 256; routing key = 'slot.' + three digits",
        "vectors": [
            {
                "occurrence_id": occurrence_id,
                "utf8_hex": occurrence_id.encode().hex(),
                "crc32": crc32(occurrence_id.encode()),
                "slot": slot_of(occurrence_id),
                "routing_key": routing_key(occurrence_id),
            }
            for occurrence_id in (*(vector[0] for vector in TEST_VECTORS), *_EDGES)
        ],
    }


def topology_table(partitions: int = topology.PARTITIONS_DEFAULT) -> dict[str, Any]:
    """Exchanges, queues, bindings and rights of an installation with so many partitions.

    How many there are is up to operations and may change; producers never name a partition queue.
    """
    return {
        "partitions": partitions,
        "exchanges": [
            {"name": item.name, "type": item.kind, "durable": True, "arguments": item.arguments}
            for item in (*topology.EXCHANGES, topology.Exchange(topology.partitions_mark(partitions), "fanout"))
        ],
        "stamp": {
            "rule": "`holdgate migrate` makes these; <id> is the installation's. A worker works only where the last of "
            "them is there for its own id.",
            "exchanges": [
                {
                    "name": topology.INSTALLATION_EXCHANGE,
                    "type": "direct",
                    "internal": True,
                    "arguments": {"alternate-exchange": topology.installation_mark("<id>")},
                },
                {
                    "name": topology.HOME_EXCHANGE,
                    "type": "direct",
                    "internal": True,
                    "arguments": {"alternate-exchange": f"{topology.HOME_EXCHANGE}.<where it is>"},
                },
                {
                    "name": topology.installation_mark("<id>"),
                    "type": "fanout",
                    "internal": True,
                    "arguments": {},
                },
            ],
        },
        "queues": [
            {"name": item.name, "durable": True, "arguments": item.arguments}
            for item in (*topology.queues(partitions), *topology.task_queues())
        ],
        "bindings": [
            {"exchange": item.exchange, "routing_key": item.routing_key, "queue": item.queue}
            for item in topology.bindings(partitions)
            if item.exchange != topology.REQUESTS_EXCHANGE
        ],
        "slot_bindings": {
            "exchange": topology.REQUESTS_EXCHANGE,
            "rule": f"slot.<nnn> is bound to holdgate.requests.<pp>, pp = nnn mod {partitions}, two digits",
        },
        "permissions": [
            {
                "role": role.name,
                "does": role.does,
                "configure": role.configure,
                "write": role.write,
                "read": role.read,
            }
            for role in ROLES
        ],
    }
