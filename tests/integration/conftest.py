"""What the integration tests share."""

from __future__ import annotations

from tests.support.rabbit import vhost_url

__all__ = ["vhost_url"]
