"""Whose a virtual host is.

Three exchanges that nothing is sent to say it, because a worker has no right to read or configure anything here:

- `holdgate.installation.<id>` is there only for its owner. Asking whether an exchange is there needs no right at all,
  so every process asks for its own at each new connection.
- `holdgate.installation` names the owner by its alternate exchange. The broker keeps the first declaration and refuses
  every other one, so of two installations that set a virtual host up at once one wins. The refusal repeats what is
  there; that is how the owner is read.
- `holdgate.home` says in the same way where the owner's database is.
"""

from __future__ import annotations

import re
from typing import Any

from pika import exceptions

from holdgate_schema import topology
from holdgate_schema.topology import HOME_EXCHANGE as HOME
from holdgate_schema.topology import INSTALLATION_EXCHANGE as OWNER
from holdgate_workers.app.installation import Installation, NotOurs, NotSetUp, StillServed
from holdgate_workers.app.ports import TransportError

NOT_FOUND = 404
PRECONDITION_FAILED = 406

ALTERNATE = "alternate-exchange"
NAME_CHARS_MAX = 80
"""The broker cuts its refusals off at 255 bytes."""
VHOST_BYTES_MAX = 57
"""With a longer name in a refusal the owner's id would be cut off: the other words, id included, have 198 bytes."""
QUESTION = "?"
"""An alternate exchange that no owner has and that no login may write to, so that asking cannot make anything."""

_CURRENT = re.compile(r"but current is '(?P<value>[^']*)")
_STRANGE = re.compile(r"[^A-Za-z0-9 _.:,()/@-]")


def mark_of(installation: Installation) -> str:
    """The exchange that only this installation's virtual host has."""
    return topology.installation_mark(installation.id)


def place_of(vhost: str) -> str:
    """How messages call the place."""
    return f"The virtual host {vhost!r}"


class Stamp:
    """The stamp of one virtual host, by a blocking connection. Every call raises `TransportError`."""

    def __init__(self, connection: Any, vhost: str) -> None:
        self._connection = connection
        self._vhost = vhost
        self.place = place_of(vhost)

    def claim(self, ours: Installation) -> None:
        """Make it ours if it is nobody's. Raises `NotOurs` if it is another installation's."""
        self._check_name()
        if self._declare(OWNER, mark_of(ours)) is not None:
            # Asked again with a short question: the refusal of ours has no room for theirs.
            raise self._not_ours(ours, self.owner() or Installation("", ""))
        name = f"{HOME}.{_plain(ours.name)}"
        if self._declare(HOME, name) is not None:  # the database has moved
            self._delete(HOME)
            self._declare(HOME, name)
        self._make(mark_of(ours))

    def check(self, ours: Installation) -> None:
        """Raises `NotOurs` or `NotSetUp` unless it is ours. Needs no rights; to name the other installation it needs
        the right to configure the two exchanges that say so."""
        if self._is_there(mark_of(ours)):
            return
        theirs = self.owner()
        if theirs is None or theirs.id == ours.id:
            raise NotSetUp(self.place, ours)
        raise self._not_ours(ours, theirs)

    def owner(self) -> Installation | None:
        """Whose it is, as far as the login may know; None if it is nobody's."""
        if not self._is_there(OWNER):
            return None
        try:
            refused = self._declare(OWNER, QUESTION)
        except exceptions.ChannelClosedByBroker:
            return Installation("", "")
        if refused is None:  # it went away just now, and with every right asking has made it
            self._delete(OWNER)
            return None
        return Installation(_current(refused).removeprefix(f"{OWNER}."), self._name())

    def take_over(self, ours: Installation, partitions_max: int) -> Installation | None:
        """Make it ours, whosever it was: who that was. Raises `StillServed` while anybody consumes there."""
        theirs = self.owner()
        if theirs is not None and theirs.id != ours.id:
            consumers = sum(self._consumers(topology.partition_queue(number)) for number in range(partitions_max))
            if consumers:
                raise StillServed(self.place, consumers)
            if not theirs.id:
                raise TransportError(f"{self.place}: the login may not read or configure {OWNER}")
            self._delete(mark_of(theirs))
            self._delete(OWNER)
        self.claim(ours)
        return theirs

    # --- inside -------------------------------------------------------------------------------------------------

    def _check_name(self) -> None:
        """A place whose owner cannot be read whole could be taken over and go on serving both."""
        size = len(self._vhost.encode())
        if size > VHOST_BYTES_MAX:
            raise TransportError(
                f"{self.place} has a name of {size} bytes. At most {VHOST_BYTES_MAX} are possible: with more the "
                "broker cuts off its answer to the question whose it is. Give HOLDGATE_AMQP_URL a virtual host with "
                "a shorter name; nothing was changed."
            )

    def _not_ours(self, ours: Installation, theirs: Installation) -> NotOurs:
        return NotOurs(
            self.place,
            ours,
            theirs,
            "Give it a virtual host of its own in HOLDGATE_AMQP_URL; or, if the other one is gone for good, run "
            "`holdgate installation take-over`.",
        )

    def _name(self) -> str:
        try:
            if not self._is_there(HOME):
                return ""
            refused = self._declare(HOME, QUESTION)
        except exceptions.ChannelClosedByBroker:
            return ""
        if refused is None:
            self._delete(HOME)
            return ""
        return _current(refused).removeprefix(f"{HOME}.")

    def _declare(self, name: str, alternate: str) -> str | None:
        """None once it is there with this alternate exchange, else the broker's refusal."""
        try:
            self._connection.channel().exchange_declare(
                name, "direct", durable=True, internal=True, arguments={ALTERNATE: alternate}
            )
        except exceptions.ChannelClosedByBroker as exc:
            if exc.reply_code != PRECONDITION_FAILED:
                raise
            return str(exc.reply_text)
        return None

    def _make(self, name: str) -> None:
        self._connection.channel().exchange_declare(name, "fanout", durable=True, internal=True)

    def _delete(self, name: str) -> None:
        self._connection.channel().exchange_delete(name)

    def _is_there(self, name: str) -> bool:
        try:
            self._connection.channel().exchange_declare(name, passive=True)
        except exceptions.ChannelClosedByBroker as exc:
            if exc.reply_code != NOT_FOUND:
                raise
            return False
        return True

    def _consumers(self, queue: str) -> int:
        try:
            return int(self._connection.channel().queue_declare(queue, passive=True).method.consumer_count)
        except exceptions.ChannelClosedByBroker as exc:
            if exc.reply_code != NOT_FOUND:
                raise
            return 0


def _current(refusal: str) -> str:
    """What the broker says is there. The text is the same from 3.10 to 4.x."""
    found = _CURRENT.search(refusal)
    return found["value"].replace("...", "…") if found else ""


def _plain(name: str) -> str:
    return _STRANGE.sub("_", name)[:NAME_CHARS_MAX]
