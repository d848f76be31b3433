"""Google Analytics 4 over its Measurement Protocol.

It answers 2xx to whatever it can read as a request, right or wrong, and asks not to send again what it refused. It
counts a purchase once by its transaction id and knows no other way to recognise an event that comes twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from holdgate_schema.errors import FieldError
from holdgate_workers.adapters.http.client import HttpClient, Timeouts
from holdgate_workers.adapters.http.responses import Answer, Verdict, detail, verdict
from holdgate_workers.adapters.http.target import InvalidTarget, Target
from holdgate_workers.app.notifications.analytics import AnalyticsEvent
from holdgate_workers.app.notifications.delivery.outcomes import Delivered, Failed, Outcome

EUROPE_URL = "https://region1.google-analytics.com/mp/collect"
TIMEOUTS = Timeouts(connect_seconds=5.0, read_seconds=10.0, total_seconds=15.0)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DENIED = {"ad_user_data": "DENIED", "ad_personalization": "DENIED"}
"""Nobody has told us that a customer agreed."""


class InvalidGa4(ValueError):
    """The stream cannot be used; `errors` names the fields, never a secret."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field} {error.reason}" for error in errors))
        self.errors = errors


@dataclass(slots=True, frozen=True, kw_only=True)
class Ga4Stream:
    """A web data stream: its measurement id (`G-…`), an API secret of its own, and where it collects.

    Raises `InvalidGa4`.
    """

    measurement_id: str
    api_secret: str = field(repr=False)
    url: str = EUROPE_URL

    def __post_init__(self) -> None:
        errors = []
        if not self.measurement_id.startswith("G-"):
            errors.append(FieldError("measurement_id", "must be the id of a web stream, such as G-AB12CD34EF"))
        if not self.api_secret:
            errors.append(FieldError("api_secret", "must not be empty"))
        if errors:
            raise InvalidGa4(errors)


class Ga4Sender:
    """The port `AnalyticsSender`, at most 15 seconds an event. Raises `InvalidGa4` if the address cannot be used."""

    def __init__(self, stream: Ga4Stream) -> None:
        try:
            self._client = HttpClient(Target(stream.url), timeouts=TIMEOUTS)
        except InvalidTarget as exc:
            name, _, reason = str(exc).partition(": ")
            raise InvalidGa4([FieldError(name, reason)]) from None
        self._query = (("measurement_id", stream.measurement_id), ("api_secret", stream.api_secret))

    def send(self, event: AnalyticsEvent) -> Outcome:
        """Report it. What may have been counted is reported again only if it is a purchase."""
        outcome = self._client.send("POST", query=self._query, body=_body(event))
        if isinstance(outcome, Answer) and 200 <= outcome.status < 300:
            return Delivered(str(outcome.status))
        certainty = verdict(outcome)
        is_unknown = certainty is Verdict.UNKNOWN
        return Failed(
            reason=detail(outcome),
            is_final=certainty is Verdict.REFUSED or (is_unknown and event.name != "purchase"),
            may_have_arrived=is_unknown,
            retry_after_seconds=outcome.retry_after_seconds if isinstance(outcome, Answer) else None,
        )


def _body(event: AnalyticsEvent) -> bytes:
    return msgspec.json.encode(
        {
            "client_id": event.client_id,
            "timestamp_micros": (event.occurred_at - _EPOCH) // timedelta(microseconds=1),
            "consent": _DENIED,
            "events": [{"name": event.name, "params": event.params}],
        }
    )
