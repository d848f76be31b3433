"""Whose address it is: only hops that operations trust may speak for somebody else (B38)."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from tests.support.domain import House, a_place

from holdgate_schema.commands.holds import Client
from holdgate_workers.domain.holds.client_addresses import client_address

TRUSTED = tuple(ip_network(text) for text in ("10.0.0.0/8", "192.0.2.7/32", "2001:db8:1::/48"))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "believed"),
    [
        # nobody is in between
        ("198.51.100.1", [], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        # a forged header from a peer that is not trusted is ignored
        ("198.51.100.1", ["203.0.113.9"], "198.51.100.1"),
        ("198.51.100.1", ["203.0.113.9", "10.0.0.2"], "198.51.100.1"),
        # a trusted peer is believed for the last address only, and so on towards the client
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["1.1.1.1", "203.0.113.9", "10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9", "192.0.2.7", "10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3", "10.0.0.2"], "10.0.0.3"),
        ("192.0.2.8", ["203.0.113.9"], "192.0.2.8"),
        # IPv6, and IPv4 written as IPv6
        ("2001:db8:1::5", ["2001:db8:2::9"], "2001:db8:2::9"),
        ("2001:db8:2::5", ["203.0.113.9"], "2001:db8:2::5"),
        ("2001:DB8:1:0:0:0:0:5", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("::ffff:198.51.100.1", ["203.0.113.9"], "198.51.100.1"),
        # what a trusted hop passes on and cannot be read ends the walk at that hop
        ("10.0.0.1", ["203.0.113.9", "999.1.1.1"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9", "1:2", "10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["1.2.3.4:80"], "10.0.0.1"),
        # the peer itself cannot be read
        ("12345", ["203.0.113.9"], None),
        ("010.0.0.1", ["203.0.113.9"], None),
    ],
)
def test_b38_only_trusted_hops_are_believed(peer: str, forwarded_for: list[str], believed: str | None) -> None:
    """A header that anybody can send says nothing by itself."""
    assert client_address(Client(address=peer, forwarded_for=forwarded_for), TRUSTED) == believed


def test_b38_without_trusted_hops_no_header_is_believed() -> None:
    """The default."""
    assert client_address(Client(address="10.0.0.1", forwarded_for=["203.0.113.9"]), ()) == "10.0.0.1"
    assert client_address(None, TRUSTED) is None


def test_b38_the_hold_keeps_the_believed_address_and_tells_nobody() -> None:
    """It is stored with the hold; neither the answer nor an event carries it."""
    house = House.with_occurrence()
    house.trusted_proxies = TRUSTED
    forged = house.held(a_place(1, client=Client(address="198.51.100.1", forwarded_for=["203.0.113.9"])))
    proxied = house.held(a_place(1, client=Client(address="10.0.0.1", forwarded_for=["203.0.113.9"])))
    unknown = house.held(a_place(1))
    found = [house.hold(held).client_address for held in (forged, proxied, unknown)]
    assert found == ["198.51.100.1", "203.0.113.9", None]
    assert "203.0.113.9" not in repr((proxied, house.events))
