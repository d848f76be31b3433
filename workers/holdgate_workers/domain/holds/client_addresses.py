"""Whose address it really is: only hops that operations trust may speak for somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from holdgate_schema.commands.holds import Client

Network = IPv4Network | IPv6Network


def client_address(client: Client | None, trusted: Sequence[Network]) -> str | None:
    """The buyer's address, or None if it is unknown.

    Walks from upstream's own peer towards the client and stops at the first hop that is not trusted: what an
    untrusted hop claims to have been sent is not believed.
    """
    if client is None:
        return None
    address = _parsed(client.address)
    if address is None:
        return None
    for claimed in reversed(client.forwarded_for):
        if not any(address.version == network.version and address in network for network in trusted):
            break
        nearer = _parsed(claimed)
        if nearer is None:
            break
        address = nearer
    return str(address)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
