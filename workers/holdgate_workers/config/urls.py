"""Whether a URL of a server can be meant, said without repeating it: it holds a password."""

from __future__ import annotations

from collections.abc import Collection

_ENCODE = "in login and password write / as %2F, # as %23, ? as %3F, @ as %40 and : as %3A"


def check_url(url: str, schemes: Collection[str]) -> None:
    """Raises ValueError with what is wrong; what libraries make of such a URL would show parts of the password."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in schemes:
        raise ValueError(f"must begin with {' or '.join(f'{item}://' for item in sorted(schemes))}")
    end = min((place for place in map(rest.find, "/?#") if place >= 0), default=len(rest))
    authority, path = rest[:end], rest[end:].partition("?")[0]
    if authority.count("@") > 1 or "@" in path or "#" in rest:
        raise ValueError(f"cannot be read: {_ENCODE}")
    for address in authority.rpartition("@")[2].split(","):
        port = address.rpartition("]")[2].partition(":")[2]
        if port and not (port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError(f"the port is not a number from 1 to 65535; or {_ENCODE}")
