"""Which queue an occurrence's requests go to: one line in any language.

`slot = crc32(utf8(occurrence_id)) mod 256` with the CRC-32 of IEEE 802.3 (zlib, PNG, `java.util.zip.CRC32`,
PHP `crc32`), routing key `slot.<nnn>`. The 256 slots never change; how many queues they are bound to may.
"""

from __future__ import annotations

from zlib import crc32

SLOTS = 256

TEST_VECTORS: tuple[tuple[str, int, int], ...] = (
    ("occ-1", 3484836032, 192),
    ("occ-2", 1455370618, 122),
    ("evt_42:2026-11-22T10:00Z", 987780303, 207),
    ("ünïcode", 248075434, 170),
)
"""(occurrence id, CRC-32, slot): what an implementation in another language must reproduce."""


def slot_of(occurrence_id: str) -> int:
    """The slot of an occurrence, 0 to 255."""
    return crc32(occurrence_id.encode()) % SLOTS


def routing_key(occurrence_id: str) -> str:
    """The routing key of an occurrence's requests, `slot.000` to `slot.255`."""
    return slot_key(slot_of(occurrence_id))


def slot_key(slot: int) -> str:
    """The routing key of one slot."""
    return f"slot.{slot:03d}"


def partition_of(slot: int, partitions: int) -> int:
    """The partition queue that a slot is bound to when there are `partitions` of them."""
    return slot % partitions
