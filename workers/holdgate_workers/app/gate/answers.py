"""The messages that leave the gate: answers, and dead letters with their reason."""

from __future__ import annotations

from holdgate_schema.answers.holds import Answer, FieldProblem, Reason, Refused
from holdgate_schema.codec import encode
from holdgate_schema.envelope import BODY_BYTES_HEADER, BODY_SHA256_HEADER, HeaderValue, Properties
from holdgate_schema.topology import DEAD_EXCHANGE
from holdgate_workers.app.clock import DatabaseTime
from holdgate_workers.app.dead_letters.replay import (
    DETAIL_HEADER,
    DIED_AT_HEADER,
    PARTITION_HEADER,
    REASON_HEADER,
    ROUTING_KEY_HEADER,
    as_sent,
)
from holdgate_workers.app.ports import Outgoing

from .effects import Recorded
from .incoming import Incoming

APP_ID = "holdgate"
DETAIL_CHARS_MAX = 500


def recorded_of(item: Incoming, answer: Answer) -> Recorded:
    """The answer as the journal keeps it."""
    return Recorded(item.fingerprint, encode(answer), str(answer.__struct_config__.tag))


def answer_message(item: Incoming, recorded: Recorded) -> Outgoing:
    """The reply to a delivery: the recorded bytes, under the correlation id of this delivery."""
    assert item.reply_to is not None
    properties = item.delivery.properties
    return Outgoing(
        exchange="",
        routing_key=item.reply_to,
        body=recorded.reply,
        properties=Properties(
            correlation_id=properties.correlation_id or item.request_id,
            type=f"answer.{recorded.outcome}.v1",
            app_id=APP_ID,
            headers=_trace(properties),
        ),
        persistent=False,
    )


def unreadable_answer(item: Incoming, time: DatabaseTime) -> Outgoing:
    """The answer to a message that goes to the dead letters. Not recorded: there is nothing to repeat it for."""
    errors = item.errors
    answer = Refused(
        request_id=item.request_id or "",
        occurrence_id=item.occurrence_id or "",
        version=0,
        decided_at=time.now(),
        reason=Reason.INVALID if errors else Reason.UNAVAILABLE,
        retryable=not errors,
        message="The message could not be read; it is kept in the dead letters"
        if errors
        else "The request could not be decided; it is kept in the dead letters and may be replayed",
        errors=[FieldProblem.of(error) for error in errors],
    )
    return answer_message(item, Recorded(b"", encode(answer), "refused"))


def dead_letter(item: Incoming, reason: str, detail: str, time: DatabaseTime) -> Outgoing:
    """The message as it came, with why and when it could not be worked; of a body over the limit only the beginning,
    with its size and its digest."""
    delivery = item.delivery
    properties = delivery.properties
    headers: dict[str, HeaderValue] = {
        **as_sent(properties),
        REASON_HEADER: reason,
        DETAIL_HEADER: detail[:DETAIL_CHARS_MAX],
        PARTITION_HEADER: delivery.partition,
        ROUTING_KEY_HEADER: delivery.routing_key,
        DIED_AT_HEADER: time.now().isoformat(),
    }
    if delivery.oversized is not None:
        headers[BODY_BYTES_HEADER] = delivery.oversized.size_bytes
        headers[BODY_SHA256_HEADER] = delivery.oversized.sha256
    for copies in ("CC", "BCC"):
        headers.pop(copies, None)  # the broker would honour them again
    return Outgoing(
        exchange=DEAD_EXCHANGE,
        routing_key=delivery.routing_key,
        body=delivery.body,
        properties=Properties(
            message_id=properties.message_id or item.request_id,
            correlation_id=properties.correlation_id,
            type=properties.type,
            app_id=properties.app_id,
            timestamp=properties.timestamp,
            content_type=properties.content_type,
            content_encoding=properties.content_encoding,
            headers=headers,
        ),
        mandatory=True,
    )


def _trace(properties: Properties) -> dict[str, HeaderValue]:
    trace = properties.headers.get("traceparent") if properties.headers else None
    return {"traceparent": trace} if isinstance(trace, str) else {}
