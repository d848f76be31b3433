"""What can go wrong between a caller and an answer. A refusal is not here: it is an answer.

    ProducerError
    ├── InvalidRequest      nothing was sent; the caller's bug
    ├── Blocked             nothing was sent; too much is in flight or the broker takes nothing
    ├── ClientClosed        the client was closed; what was open may or may not have arrived
    ├── Unroutable          the request went nowhere
    ├── Nacked              the broker did not take the request
    ├── UnreadableAnswer    an answer came that this version of the client cannot read
    └── TimedOut            no answer in time; it may or may not have arrived
        └── ConnectionLost  the same, and there was no connection when time was up

Every one with a `request_id` may be tried again with that id and the same body: the request is decided once.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdgate_schema.errors import FieldError


class ProducerError(Exception):
    """Base of all errors of this package. `request_id` is None where no request is concerned."""

    def __init__(self, message: str, *, request_id: str | None = None) -> None:
        super().__init__(message)
        self.request_id = request_id


class InvalidConfig(ProducerError):
    """The configuration is not usable; `errors` has every problem that was found."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field}: {error.reason}" for error in errors))
        self.errors = list(errors)


class InvalidRequest(ProducerError):
    """The command breaks the contract and was not sent. `errors` names the fields."""

    def __init__(self, errors: Sequence[FieldError], *, request_id: str | None = None) -> None:
        super().__init__(
            "; ".join(f"{error.field}: {error.reason}" for error in errors),
            request_id=request_id,
        )
        self.errors = list(errors)


class Blocked(ProducerError):
    """The request was not sent: for its whole timeout too many others were in flight or the broker took none."""


class ClientClosed(ProducerError):
    """The client is closed. A request that was open at that moment may or may not have arrived."""


class Unroutable(ProducerError):
    """No queue takes requests for this occurrence; the request went nowhere."""


class Nacked(ProducerError):
    """The broker refused the request, most likely because the queue is full."""


class UnreadableAnswer(ProducerError):
    """An answer came that this client cannot read. The request was decided; update the client."""


class TimedOut(ProducerError):
    """No answer in time: the outcome is unknown, and sending the same id and body again is safe.

    `accepted` says whether the broker had confirmed that it has the request.
    """

    def __init__(self, message: str, *, request_id: str | None = None, accepted: bool = False) -> None:
        super().__init__(message, request_id=request_id)
        self.accepted = accepted


class ConnectionLost(TimedOut):
    """Time was up while there was no connection. The message says why there was none."""
