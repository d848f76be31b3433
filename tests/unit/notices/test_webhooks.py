"""Webhooks: the envelope is the event's own, the same each time, and goes to whoever asked for it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.notices import NOW

from holdgate_schema.contract.examples.holds import examples
from holdgate_schema.events.holds import EVENT_TYPES, CapacityDeficit, event_type
from holdgate_workers.app.notifications.webhooks import InvalidWebhook, WebhookTarget, receivers, webhook_message
from holdgate_workers.app.relay.relay import event_messages

DEFICIT = CapacityDeficit(
    event_id="6f1f7c3e-8a51-4c0e-9a63-0d2f6a1b7c01/2",
    occurrence_id="occ-1",
    version=4,
    occurred_at=NOW,
    pool="total",
    target=3,
    taken=5,
)
BODY = msgspec.json.encode(DEFICIT)


def a_target(**fields: Any) -> WebhookTarget:
    return WebhookTarget(**{"name": "crm", "url": "https://crm.example/hook", "secrets": ("s" * 24,)} | fields)


def test_the_envelope_says_what_the_exchange_says() -> None:
    [published] = event_messages(f"[{BODY.decode()}]")
    envelope = msgspec.json.decode(webhook_message(BODY).body)
    for name in ("specversion", "id", "source", "type", "subject"):
        assert envelope[name] == published.properties.headers[f"cloudEvents_{name}"]
    assert msgspec.convert(envelope["time"], type=type(NOW)) == NOW
    assert envelope["datacontenttype"] == "application/json"
    assert envelope["data"] == msgspec.json.decode(BODY)


def test_the_event_is_in_it_byte_for_byte_and_the_message_is_the_same_each_time() -> None:
    message = webhook_message(BODY)
    assert BODY in message.body
    assert message == webhook_message(bytes(BODY))
    assert (message.id, message.type) == (DEFICIT.event_id, event_type(DEFICIT))


@pytest.mark.parametrize(
    "event", [shown for shown in examples().values() if isinstance(shown, EVENT_TYPES)], ids=event_type
)
def test_every_event_can_be_told(event: Any) -> None:
    assert webhook_message(msgspec.json.encode(event)).id == event.event_id


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        (("*",), True),
        (("capacity.*",), True),
        (("capacity.deficit",), True),
        (("booking.*", "capacity.deficit"), True),
        (("capacity.full",), False),
        (("hold.*",), False),
        (("booking.confirmed", "hold.created"), False),
    ],
)
def test_a_target_gets_what_it_asked_for(events: tuple[str, ...], wanted: bool) -> None:
    found = list(receivers(webhook_message(BODY), [a_target(events=events)]))
    assert bool(found) is wanted


def test_each_target_has_a_delivery_of_its_own() -> None:
    message = webhook_message(BODY)
    keys = [key for key, _ in receivers(message, [a_target(), a_target(name="bi")])]
    assert keys == [f"webhook/crm/{DEFICIT.event_id}", f"webhook/bi/{DEFICIT.event_id}"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "crm/x"}, "name"),
        ({"secrets": ()}, "secrets"),
        ({"secrets": ("",)}, "secrets"),
        ({"events": ()}, "events"),
        ({"events": ("booking",)}, "events"),
        ({"events": ("booking.confirmed.v1",)}, "events"),
    ],
)
def test_what_cannot_be_sent_to_is_refused_by_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidWebhook) as caught:
        a_target(**fields)
    assert [error.field for error in caught.value.errors] == [field]


def test_neither_address_nor_secret_is_shown() -> None:
    target = a_target(url="https://crm.example/hook/t0ken", secrets=("hush" * 8,))
    assert "t0ken" not in repr(target)
    assert "hush" not in repr(target)
