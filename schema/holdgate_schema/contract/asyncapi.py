"""The contract as an AsyncAPI 3.0 document: channels, operations and messages, from the service's side."""

from __future__ import annotations

from typing import Any

from holdgate_schema import topology
from holdgate_schema.answers.holds import Reason
from holdgate_schema.codec import BODY_BYTES_MAX, CONTENT_TYPE
from holdgate_schema.commands.operations import INTERNAL, OPERATIONS, REFUSED, SEAL_HEADER
from holdgate_schema.events.holds import event_routing_key
from holdgate_schema.routing import SLOTS

from .examples.holds import as_json, examples
from .examples.refusals import refusal
from .installation import slots_table, topology_table
from .jsonschemas import ANSWERS, COMMANDS, EVENTS, MESSAGES, Json, component_schemas

CONTRACT_VERSION = "1.1.0"
"""Raised in its second place for an addition; a new meaning is a new message type, never a changed one."""

BINDING = "0.3.0"
DEAD_LETTER = "dead-letter"

_TWO_ANSWERS = {
    False: "The first answer comes at once, the second one when the work is done, under the same correlation_id.",
    True: "With `pricing` a second answer follows under the same correlation_id.",
}
"""By whether the second one has to be asked for."""
_SLOT_TEXT = (
    f"`slot.<nnn>`, three digits: CRC-32 (IEEE 802.3) of the UTF-8 bytes of occurrence_id, modulo {SLOTS}. "
    "See x-holdgate-slots for test vectors."
)


def document() -> Json:
    """The whole document. The same on every call and on every machine."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:holdgate:contract",
        "info": {
            "title": "Holdgate",
            "version": CONTRACT_VERSION,
            "description": (
                "Booking holds over AMQP 0-9-1: publish a command, get exactly one durable answer, send it again "
                "as often as you like. The prose, with every rule, is docs/contract.md of the same release."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "broker": {
                "host": "localhost:5672",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
                "description": "RabbitMQ 3.10 to 4.x; ask your operators for host, virtual host and login.",
            }
        },
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "messages": _messages(),
            "schemas": {
                **component_schemas(tuple(MESSAGES.values()), "#/components/schemas/{name}"),
                **_header_schemas(),
            },
        },
        "x-holdgate-slots": slots_table(),
        "x-holdgate-topology": topology_table(),
    }


def _channels() -> Json:
    keys = sorted(event_routing_key(name) for name in EVENTS)
    requests = next(item for item in topology.EXCHANGES if item.name == topology.REQUESTS_EXCHANGE)
    return {
        "requests": {
            "address": "slot.{slot}",
            "title": "Requests",
            "description": "Publish persistent, mandatory and confirmed. "
            f"Commands of at most {BODY_BYTES_MAX} bytes are read.",
            "parameters": {"slot": {"description": _SLOT_TEXT, "examples": ["192", "122"]}},
            "messages": _refs("#/components/messages", COMMANDS),
            "bindings": _exchange_binding(requests.name, requests.kind),
            "x-exchange-arguments": requests.arguments,
        },
        "replies": {
            "address": None,
            "title": "Answers",
            "description": (
                "Where `reply_to` says: `amq.rabbitmq.reply-to` (direct reply-to) or a queue of your own named "
                f"`{topology.REPLY_QUEUE_PREFIX}<login>.<anything>`, exclusive and auto-delete. Sent once and not "
                "persistent: if an answer is missing, send the same request again. Some requests get two answers under "
                "one correlation_id; a repeat is answered with all that were given so far."
            ),
            "messages": _refs("#/components/messages", ANSWERS),
            "bindings": _queue_binding(durable=False, exclusive=True, auto_delete=True),
        },
        "events": {
            "address": "{event}",
            "title": "Events",
            "description": "What happened, at least once, in order per occurrence. Bind a queue of your own.",
            "parameters": {"event": {"enum": keys, "description": "The event's type without its version."}},
            "messages": _refs("#/components/messages", EVENTS),
            "bindings": _exchange_binding(topology.EVENTS_EXCHANGE, "topic"),
        },
        "deadLetters": {
            "address": topology.DEAD_QUEUE,
            "title": "Dead letters",
            "description": "Messages that could not be worked, as they came. For operators.",
            "messages": _refs("#/components/messages", (DEAD_LETTER,)),
            "bindings": _queue_binding(topology.DEAD_QUEUE, durable=True, exclusive=False, auto_delete=False),
            "x-queue-arguments": next(topology.queues(0)).arguments,
        },
    }


def _operations() -> Json:
    found: Json = {OPERATIONS[name].name: _operation(name) for name in COMMANDS}
    found["publishEvents"] = {
        "action": "send",
        "channel": {"$ref": "#/channels/events"},
        "summary": "Tells everyone what happened.",
        "messages": [{"$ref": f"#/channels/events/messages/{name}"} for name in EVENTS],
        "bindings": {"amqp": {"deliveryMode": 2, "bindingVersion": BINDING}},
    }
    found["buryDeadLetter"] = {
        "action": "send",
        "channel": {"$ref": "#/channels/deadLetters"},
        "summary": "Puts aside what cannot be worked, with the reason.",
        "messages": [{"$ref": f"#/channels/deadLetters/messages/{DEAD_LETTER}"}],
        "bindings": {"amqp": {"deliveryMode": 2, "bindingVersion": BINDING}},
    }
    return found


def _operation(name: str) -> Json:
    operation = OPERATIONS[name]
    found: Json = {
        "action": "receive",
        "channel": {"$ref": "#/channels/requests"},
        "summary": _summary(name),
        "messages": [{"$ref": f"#/channels/requests/messages/{name}"}],
        "reply": {
            "address": {"location": "$message.header#/replyTo"},
            "channel": {"$ref": "#/channels/replies"},
            "messages": [{"$ref": f"#/channels/replies/messages/{answer}"} for answer in operation.answers],
        },
        "bindings": {"amqp": {"deliveryMode": 2, "mandatory": True, "ack": True, "bindingVersion": BINDING}},
    }
    if operation.then is not None:
        found["description"] = _TWO_ANSWERS[operation.then == "answer.priced.v1"]
    if name in INTERNAL:
        found["x-internal"] = True
    return found


def _messages() -> Json:
    headers = {name: "SealedProperties" if name in INTERNAL else "RequestProperties" for name in COMMANDS}
    headers |= dict.fromkeys(ANSWERS, "AnswerProperties") | dict.fromkeys(EVENTS, "EventHeaders")
    found: Json = {}
    shown = examples()
    for name, kind in MESSAGES.items():
        samples: list[Json] = [{"name": name, "payload": as_json(shown[name])}]
        if name == REFUSED:
            samples = [{"name": reason.value, "payload": as_json(refusal(reason))} for reason in Reason]
        found[name] = {
            "name": name,
            "summary": _summary(name),
            "contentType": CONTENT_TYPE,
            "headers": {"$ref": f"#/components/schemas/{headers[name]}"},
            "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
            "bindings": {"amqp": {"messageType": name, "bindingVersion": BINDING}},
            "examples": samples,
        }
        if name in INTERNAL:
            found[name]["x-internal"] = True
        if name not in EVENTS:
            found[name]["correlationId"] = {"location": "$message.header#/correlationId"}
    found[DEAD_LETTER] = {
        "name": DEAD_LETTER,
        "summary": "Any message, with the body and the properties that it came with.",
        "headers": {"$ref": "#/components/schemas/DeadLetterHeaders"},
        "payload": {"description": "The body as it came, whatever it is."},
    }
    return found


def _header_schemas() -> Json:
    """AMQP properties stand among the headers under their names in camel case, as `$message.header` wants them."""
    request = {
        "replyTo": _text("Property reply_to: where the answers go; left out if none is wanted."),
        "correlationId": _text("Property correlation_id: comes back with each answer; else the request_id."),
        "messageId": _text("Property message_id: left out or the body's request_id."),
        "type": _text("Property type: left out or the body's type."),
        "appId": _text("Property app_id: the name of your program, seen by operators."),
        "userId": _text("Property user_id: left out or your login; the broker checks it."),
        "timestamp": {"type": "integer", "description": "Property timestamp: whole seconds."},
        "traceparent": _text("Header: W3C trace context; comes back with the answer."),
    }
    seal = _text("Header: made by Holdgate's own workers; without it the command is refused as `forbidden`.")
    return {
        "RequestProperties": _headers(request),
        "SealedProperties": _headers({**request, SEAL_HEADER: seal}),
        "AnswerProperties": _headers(
            {
                "correlationId": _text(
                    "Property correlation_id: the request's, or its request_id if it had none."
                ),
                "type": _text("Property type: `answer.<outcome>.v1`."),
                "appId": _text("Property app_id: `holdgate`."),
                "traceparent": _text("Header: the request's."),
            }
        ),
        "EventHeaders": _headers(
            {
                "messageId": _text("Property message_id: the event_id."),
                "type": _text("Property type: the event's type."),
                "appId": _text("Property app_id: `holdgate`."),
                "timestamp": {"type": "integer", "description": "Property timestamp: whole seconds."},
                "cloudEvents_specversion": {"const": "1.0"},
                "cloudEvents_id": _text("Header: the event_id."),
                "cloudEvents_source": _text("Header: `/holdgate`."),
                "cloudEvents_type": _text("Header: the event's type."),
                "cloudEvents_subject": _text("Header: the occurrence_id."),
                "cloudEvents_time": _text("Header: occurred_at."),
            }
        ),
        "DeadLetterHeaders": _headers(
            {
                "x-holdgate-reason": {
                    "type": "string",
                    "enum": ["unreadable", "poison", "impossible"],
                    "description": "Header: why the service put it aside. Missing if the broker did.",
                },
                "x-holdgate-detail": _text("Header: the error."),
                "x-holdgate-partition": {"type": "integer", "description": "Header: the partition it was in."},
                "x-holdgate-routing-key": _text("Header: the routing key it came with."),
                "x-holdgate-died-at": _text("Header: when, RFC 3339."),
                "x-holdgate-body-bytes": {
                    "type": "integer",
                    "description": "Header: how long the body was, if only its first 1024 bytes were kept.",
                },
                "x-holdgate-body-sha256": _text("Header: the SHA-256 of that whole body, in hexadecimal."),
                "x-death": {"type": "array", "items": {"type": "object"}, "description": "Header: the broker's."},
            }
        ),
    }


def _headers(properties: Json) -> Json:
    return {"type": "object", "properties": properties}


def _text(description: str) -> Json:
    return {"type": "string", "description": description}


def _summary(name: str) -> str:
    """The first sentence of the type's docstring."""
    first, dot, _ = (MESSAGES[name].__doc__ or "").strip().partition(". ")
    return first + "." if dot else first


def _refs(base: str, names: tuple[str, ...]) -> Json:
    return {name: {"$ref": f"{base}/{name}"} for name in names}


def _exchange_binding(name: str, kind: str) -> Json:
    exchange = {"name": name, "type": kind, "durable": True, "autoDelete": False}
    return {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": BINDING}}


def _queue_binding(name: str | None = None, *, durable: bool, exclusive: bool, auto_delete: bool) -> Json:
    queue: dict[str, Any] = {"durable": durable, "exclusive": exclusive, "autoDelete": auto_delete}
    if name is not None:
        queue = {"name": name, **queue}
    return {"amqp": {"is": "queue", "queue": queue, "bindingVersion": BINDING}}
