"""Lists that end at a limit and say so. One more row than is shown is read, so that the last page is known as such."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import click

T = TypeVar("T")


def part_of(read: Callable[[int], Sequence[T]], limit: int) -> tuple[list[T], bool]:
    """As many as the limit allows, and whether there are more. `read` is asked for one more than that."""
    found = list(read(limit + 1))
    return found[:limit], len(found) > limit


def tell_cut(is_cut: bool, limit: int, which: str = "first") -> None:
    """On standard error, so that a table in a pipe stays one."""
    if is_cut:
        click.echo(f"the {which} {limit:,}; there are more, --limit shows them", err=True)
