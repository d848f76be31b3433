"""One suite per port, run on every implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from tests.conformance.embedded_harness import embedded_transport
from tests.conformance.rabbit_transport import rabbit_transport
from tests.conformance.transport_harness import TransportHarness

HARNESSES: dict[str, Callable[[], AbstractContextManager[TransportHarness]]] = {
    "embedded": embedded_transport,
    "rabbit": rabbit_transport,
}


@pytest.fixture(scope="session", params=sorted(HARNESSES))
def open_transport(request: pytest.FixtureRequest) -> Iterator[TransportHarness]:
    """The transport, made once."""
    with HARNESSES[request.param]() as harness:
        yield harness


@pytest.fixture
def transport(open_transport: TransportHarness) -> Iterator[TransportHarness]:
    """The transport, empty."""
    yield open_transport
    open_transport.reset()
