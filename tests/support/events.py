"""A listener on the events exchange, past our own code: a queue that hears everything."""

from __future__ import annotations

import json
from typing import Any

from tests.support.rabbit import channel
from tests.support.site import TestSite

from holdgate_schema.codec import decode_event
from holdgate_schema.topology import EVENTS_EXCHANGE
from holdgate_workers.adapters.embedded.queue.tables import declare_queue

QUEUE = "test.events"


class EventTap:
    """Every event since it was made, in the order of its arrival; each one is checked against the language."""

    def __init__(self, site: TestSite) -> None:
        self._site = site
        self._heard: list[dict[str, Any]] = []
        if site.amqp_url is None:
            declare_queue(site.database_url, QUEUE, (EVENTS_EXCHANGE, "#"))
            return
        with channel(site.amqp_url) as ours:
            ours.queue_declare(QUEUE, durable=True)
            ours.queue_bind(QUEUE, EVENTS_EXCHANGE, "#")

    def heard(self, occurrence_id: str | None = None) -> list[dict[str, Any]]:
        """What was heard so far, of one occurrence or of all."""
        for body in self._bodies():
            decode_event(body)
            self._heard.append(json.loads(body))
        return [event for event in self._heard if occurrence_id in (None, event["occurrence_id"])]

    def ends(self, *hold_ids: str) -> list[str]:
        """The terminal events of these holds."""
        kinds = ("hold.released.v1", "hold.expired.v1")
        return [e["type"] for e in self.heard() if e["type"] in kinds and e["hold"]["hold_id"] in hold_ids]

    def _bodies(self) -> list[bytes]:
        if self._site.amqp_url is None:
            taken = self._site.rows(
                "DELETE FROM holdgate_queue.messages WHERE queue = "
                "(SELECT id FROM holdgate_queue.queues WHERE name = %s) RETURNING id, body",
                QUEUE,
            )
            return [body for _, body in sorted(taken)]
        bodies: list[bytes] = []
        with channel(self._site.amqp_url) as ours:
            while (got := ours.basic_get(QUEUE, auto_ack=True))[0] is not None:
                bodies.append(got[2])
        return bodies
