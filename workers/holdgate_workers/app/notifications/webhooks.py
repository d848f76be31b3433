"""Outgoing webhooks: which event goes to whom, as which message.

The body is a CloudEvent in structured mode (CloudEvents 1.0, JSON format), with the same attributes that the event has
on the topic exchange; `data` is the event, byte for byte. Every target gets every event that it asked for at least once
and knows it again by its `id`. Repeats and failures can change the order: an event's place in its occurrence's history
is its `version`, then the number behind the slash in its `event_id`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from holdgate_schema.errors import FieldError
from holdgate_schema.events.holds import event_routing_key
from holdgate_workers.app.relay.relay import SOURCE

CONTENT_TYPE = "application/cloudevents+json"
ALL = "*"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
_PATTERN = re.compile(r"\*|[a-z_]+\.(?:\*|[a-z_]+)")


class InvalidWebhook(ValueError):
    """A receiver that nothing can be sent to. `errors` names the fields, never an address or a secret."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field} {error.reason}" for error in errors))
        self.errors = errors


@dataclass(slots=True, frozen=True, kw_only=True)
class WebhookTarget:
    """Somebody's own system. `events` are names without a version: `booking.confirmed`, `booking.*`, `*`.

    `secrets` are for signing; a message is signed with each, so that one can be replaced without a gap. The address is
    not shown: it may hold a secret as well. Raises `InvalidWebhook`.
    """

    name: str
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    events: tuple[str, ...] = (ALL,)

    def __post_init__(self) -> None:
        errors = []
        if not _NAME.fullmatch(self.name):
            errors.append(FieldError("name", "must be of a to z, 0 to 9, _ and -, at most 50"))
        if not self.secrets or not all(self.secrets):
            errors.append(FieldError("secrets", "must have at least one, and none that is empty"))
        if not self.events or not all(_PATTERN.fullmatch(pattern) for pattern in self.events):
            errors.append(FieldError("events", "must be names such as booking.confirmed, booking.* or *"))
        if errors:
            raise InvalidWebhook(errors)

    def wants(self, event: str) -> bool:
        """Whether the target asked for events of this name."""
        group = event.partition(".")[0]
        return any(pattern in (ALL, event, f"{group}.*") for pattern in self.events)


@dataclass(slots=True, frozen=True)
class WebhookMessage:
    """One event on its way: `id` and `type` are the CloudEvent's."""

    id: str
    type: str
    body: bytes = field(repr=False)


class _Head(Struct):
    """What the envelope of an event needs."""

    type: str
    event_id: str
    occurrence_id: str
    occurred_at: datetime


class _CloudEvent(Struct, frozen=True, kw_only=True):
    """The envelope on the wire. Encoded in the order of the fields, so that the same event has the same bytes."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str = SOURCE
    type: str
    subject: str
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    data: msgspec.Raw


_head_decoder = msgspec.json.Decoder(_Head)
_encoder = msgspec.json.Encoder()


def webhook_message(event: bytes) -> WebhookMessage:
    """The message for an event, given as its JSON. The same bytes each time."""
    head = _head_decoder.decode(event)
    body = _CloudEvent(
        id=head.event_id,
        type=head.type,
        subject=head.occurrence_id,
        time=head.occurred_at,
        data=msgspec.Raw(event),
    )
    return WebhookMessage(head.event_id, head.type, _encoder.encode(body))


def receivers(message: WebhookMessage, targets: Iterable[WebhookTarget]) -> Iterator[tuple[str, WebhookTarget]]:
    """Who gets the message, each with the key of its delivery."""
    name = event_routing_key(message.type)
    for target in targets:
        if target.wants(name):
            yield f"webhook/{target.name}/{message.id}", target
