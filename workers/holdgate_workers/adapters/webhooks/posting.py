"""Webhooks as signed posts (Standard Webhooks 1.0.0) of CloudEvents (HTTP binding 1.0, structured mode)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from holdgate_schema.errors import FieldError
from holdgate_workers.adapters.http.client import HttpClient, Timeouts
from holdgate_workers.adapters.http.responses import NoAnswer, Verdict, detail, verdict
from holdgate_workers.adapters.http.signing import SIGNATURE_HEADER, TIMESTAMP_HEADER, InvalidKey, SigningKey
from holdgate_workers.adapters.http.target import InvalidTarget, Target
from holdgate_workers.app.notifications.delivery.outcomes import Delivered, Failed, Outcome
from holdgate_workers.app.notifications.webhooks import CONTENT_TYPE, InvalidWebhook, WebhookMessage, WebhookTarget

TIMEOUTS = Timeouts(connect_seconds=5.0, read_seconds=10.0, total_seconds=15.0)
GONE = 410


class WebhookPoster:
    """The port `WebhookSender` for one target, at most 15 seconds a message unless `timeouts` says otherwise.

    A message that is sent again has the same `webhook-id` and the same body, and a new time and signature: `now` says
    which. Raises `InvalidWebhook` if the address or a secret cannot be used.
    """

    def __init__(
        self,
        target: WebhookTarget,
        now: Callable[[], datetime],
        *,
        plain_http_hosts: Collection[str] = (),
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        try:
            self._keys = [SigningKey(secret) for secret in target.secrets]
            self._client = HttpClient(Target(target.url, plain_http_hosts=plain_http_hosts), timeouts=timeouts)
        except (InvalidKey, InvalidTarget) as exc:
            field, _, reason = str(exc).partition(": ")
            raise InvalidWebhook([FieldError(f"{target.name}.{field}", reason)]) from None
        self._now = now

    def send(self, message: WebhookMessage) -> Outcome:
        """Post it. Whoever answers 410 (Gone) wants no more; every other refusal may be mended."""
        outcome = self._client.send("POST", body=message.body, headers=self._headers(message))
        if isinstance(outcome, NoAnswer):
            return Failed(reason=outcome.detail, may_have_arrived=outcome.sent)
        if 200 <= outcome.status < 300:
            # What the answer says beside that is nobody's concern.
            return Delivered(str(outcome.status))
        return Failed(
            reason=detail(outcome),
            is_final=outcome.status == GONE,
            may_have_arrived=verdict(outcome) is Verdict.UNKNOWN,
            retry_after_seconds=outcome.retry_after_seconds,
        )

    def _headers(self, message: WebhookMessage) -> dict[str, str]:
        first, *others = self._keys
        headers = first.sign(message.id, self._now(), message.body)
        signatures = [
            headers[SIGNATURE_HEADER],
            *(key.signature(message.id, headers[TIMESTAMP_HEADER], message.body) for key in others),
        ]
        return {**headers, SIGNATURE_HEADER: " ".join(signatures), "Content-Type": CONTENT_TYPE}
