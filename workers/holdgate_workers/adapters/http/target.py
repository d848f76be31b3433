"""Where requests go. Nothing secret travels in the clear, and no address carries a login."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address

import httpx


class InvalidTarget(ValueError):
    """The address cannot be used; says why and what would be right. Does not repeat the address: it may hold a
    token."""


class Target:
    """The address of a shop or a hook. Raises `InvalidTarget`.

    It must be https, except on this machine's own loopback and for `plain_http_hosts`. Its repr shows the origin only.
    """

    def __init__(self, url: str, *, plain_http_hosts: Collection[str] = ()) -> None:
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, UnicodeError) as exc:
            raise InvalidTarget(f"url: is not an address ({type(exc).__name__})") from None
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise InvalidTarget("url: must begin with https:// and name a host")
        if parsed.userinfo:
            raise InvalidTarget("url: must not contain a login; give keys in their own settings")
        if parsed.fragment:
            raise InvalidTarget("url: must not have a #fragment")
        if parsed.scheme == "http" and not (is_loopback(parsed.host) or parsed.host in plain_http_hosts):
            raise InvalidTarget(f"url: {parsed.host} must be reached by https, or be allowed to be plain by name")
        self._url = parsed

    @property
    def origin(self) -> str:
        """Scheme, host and port: what may be logged."""
        port = f":{self._url.port}" if self._url.port else ""
        host = f"[{self._url.host}]" if ":" in self._url.host else self._url.host
        return f"{self._url.scheme}://{host}{port}"

    def url(self, path: str = "", query: tuple[tuple[str, str], ...] = ()) -> httpx.URL:
        """The target itself, or something below it."""
        url = self._url
        if path:
            url = url.copy_with(path=f"{url.path.rstrip('/')}/{path}")
        return url.copy_merge_params(query) if query else url

    def __repr__(self) -> str:
        return f"Target({self.origin})"


def is_loopback(host: str) -> bool:
    """Whether the name stands for this very machine without asking anybody."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
