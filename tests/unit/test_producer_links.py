"""Which link speaks which URL."""

from __future__ import annotations

import pytest

from holdgate_producer import BookingClient, ClientConfig, InvalidConfig
from holdgate_producer.core import links


@pytest.fixture
def client_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is where the service is not installed."""
    monkeypatch.setattr(links, "entry_points", lambda **_: ())


@pytest.mark.usefixtures("client_alone")
def test_embedded_without_the_service_is_refused_with_what_to_install() -> None:
    with pytest.raises(InvalidConfig) as caught:
        BookingClient(ClientConfig(url="embedded:.holdgate", app_id="shop"))
    assert [error.field for error in caught.value.errors] == ["url"]
    assert "[service]" in str(caught.value)


def test_the_service_brings_the_link_for_embedded() -> None:
    link = links.open_link(ClientConfig(url="embedded:somewhere", app_id="shop"))
    assert type(link).__name__ == "EmbeddedLink"
