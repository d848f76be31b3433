"""Virtual hosts for the tests, a handful at a time.

Each call of the broker's own tool starts a virtual machine, a second of a processor. So they are made in one call for
several tests, and deleted in one when those have used them up. Nobody gets one that somebody has had.
"""

from __future__ import annotations

import atexit
import secrets
import threading
from collections.abc import Callable
from functools import cache
from urllib.parse import unquote, urlsplit

AT_ONCE = 8
_MAKE = (
    '[begin ok = rabbit_vhost:add(Name, <<"tests">>), '
    'ok = rabbit_auth_backend_internal:set_permissions(<<"{user}">>, Name, <<".*">>, <<".*">>, <<".*">>, <<"tests">>) '
    "end || Name <- [{names}]], ok."
)
_DELETE = '[catch rabbit_vhost:delete(Name, <<"tests">>) || Name <- [{names}]], ok.'

Tool = Callable[..., str]


class Vhosts:
    """A stock of unused ones. Thread-safe."""

    def __init__(self, tool: Tool, user: str) -> None:
        self._tool, self._user = tool, user
        self._lock = threading.Lock()
        self._unused: list[str] = []
        self._used: list[str] = []

    def take(self) -> str:
        """The name of one that is empty, and that the tests' user may do everything in."""
        with self._lock:
            if not self._unused:
                self._delete(self._used)
                self._used = []
                self._unused = self._made()
            return self._unused.pop()

    def give_back(self, name: str) -> None:
        """It is deleted some time later."""
        with self._lock:
            self._used.append(name)

    def close(self) -> None:
        """Delete all of them."""
        with self._lock:
            self._delete([*self._used, *self._unused])
            self._used, self._unused = [], []

    def _made(self) -> list[str]:
        names = [f"holdgate-test-{secrets.token_hex(6)}" for _ in range(AT_ONCE)]
        # Not `import_definitions`: it reads from the standard input, and RabbitMQ 4 waits there for ever.
        quoted = ", ".join(f'<<"{name}">>' for name in names)
        self._tool("eval", _MAKE.format(names=quoted, user=self._user))
        return names

    def _delete(self, names: list[str]) -> None:
        if names:
            self._tool("eval", _DELETE.format(names=", ".join(f'<<"{name}">>' for name in names)))


@cache
def vhosts(tool: Tool, url: str) -> Vhosts:
    """The stock of this process on this broker."""
    stock = Vhosts(tool, unquote(urlsplit(url).username or "guest"))
    atexit.register(stock.close)
    return stock
