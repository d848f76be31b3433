"""Which link speaks the URL of a configuration."""

from __future__ import annotations

from importlib.metadata import entry_points

from holdgate_producer.amqp.link import AmqpLink
from holdgate_producer.client.config import ClientConfig
from holdgate_schema.errors import FieldError

from .errors import InvalidConfig
from .link import Link

ENTRY_POINTS = "holdgate.links"
"""Installed packages add links here: the name is the URL's scheme, the object makes a `Link` of a `ClientConfig`."""


def open_link(config: ClientConfig) -> Link:
    """The link for `config.url`: AMQP, or what an installed package brings for its scheme.

    The service brings `embedded:`. Raises `InvalidConfig` if no installed package speaks the scheme.
    """
    scheme = config.scheme
    if scheme in ("amqp", "amqps"):
        return AmqpLink(config)
    for found in entry_points(group=ENTRY_POINTS, name=scheme):
        link: Link = found.load()(config)
        return link
    raise InvalidConfig(
        [
            FieldError(
                "url", f"begins with {scheme}:, which needs the service: install holdgate with its extra [service]"
            )
        ]
    )
