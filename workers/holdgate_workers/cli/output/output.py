"""What a command prints: tables for people, plain columns for pipes, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH = 10_000


class Column(NamedTuple):
    """One column: its heading, and how it is set."""

    name: str
    right: bool = False
    style: str = ""
    wrap: bool = False


class Output:
    """Where a command's result goes. `console` is for people; with `is_json` nothing but `json` may be printed."""

    def __init__(self, form: str) -> None:
        self.is_json = form == "json"
        self._console: Console | None = None

    @property
    def is_plain(self) -> bool:
        """Whether standard output is no terminal."""
        return not self.console.is_terminal

    @property
    def console(self) -> Console:
        """Standard output."""
        if self._console is None:
            from rich.console import Console

            console = Console(highlight=False)
            if not console.is_terminal:
                console = Console(highlight=False, no_color=True, width=PLAIN_WIDTH)
            self._console = console
        return self._console

    def json(self, value: object) -> None:
        """One JSON document on standard output, at once: a worker that says it is ready goes on running."""
        sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def line(self, text: str = "", *, style: str = "") -> None:
        """One line, as it is: square brackets in it are only brackets."""
        self.console.print(text, style=style or None, markup=False, soft_wrap=self.is_plain)

    def marked(self, text: str) -> None:
        """One line with rich's marks in it. Escape what comes from outside."""
        self.console.print(text, soft_wrap=self.is_plain)

    def table(self, columns: Sequence[Column | str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
        """A table: with rules and colour on a terminal, with two blanks between the columns in a pipe."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(
            box=None if self.is_plain else box.SIMPLE_HEAD,
            title=title or None,
            title_justify="left",
            title_style="bold",
            pad_edge=not self.is_plain,
            show_edge=False,
            padding=(0, 2, 0, 0) if self.is_plain else (0, 1),
            header_style="" if self.is_plain else "bold",
        )
        for column in (Column(item) if isinstance(item, str) else item for item in columns):
            table.add_column(
                column.name,
                justify="right" if column.right else "left",
                style="" if self.is_plain else column.style,
                no_wrap=self.is_plain or not column.wrap,
                overflow="fold" if column.wrap else "ellipsis",
            )
        for row in rows:
            table.add_row(*(cell if isinstance(cell, Text) else Text(shown(cell)) for cell in row))
        self._print(table)

    def details(self, pairs: Iterable[tuple[str, object]], *, title: str = "") -> None:
        """Names and values, one a line; values that are None are left out."""
        from rich.table import Table
        from rich.text import Text

        if title:
            self.line(title, style="" if self.is_plain else "bold")
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(style="" if self.is_plain else "dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in pairs:
            if value is not None and value != "":
                grid.add_row(f"  {name}", value if isinstance(value, Text) else Text(shown(value)))
        self._print(grid)

    def _print(self, renderable: Any) -> None:
        if not self.is_plain:
            self.console.print(renderable)
            return
        # A table pads its last column; in a pipe that is only noise.
        with self.console.capture() as captured:
            self.console.print(renderable)
        sys.stdout.write("".join(line.rstrip() + "\n" for line in captured.get().splitlines()))
        sys.stdout.flush()


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--output`: what the command gets as its parameter `out`."""
    return click.option(
        "--output",
        "-o",
        "out",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        envvar="HOLDGATE_OUTPUT",
        callback=lambda _ctx, _param, value: Output(value),
        help="For people or for programs.",
    )(command)


def plain(value: object) -> Any:
    """The value as JSON has it. Messages keep their tag and all their fields, also those left out on the wire."""
    if isinstance(value, msgspec.Struct):
        config = value.__struct_config__
        tagged = {config.tag_field: config.tag} if config.tag_field else {}
        return tagged | {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(item) for name, item in value._asdict().items()}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)


def shown(value: object) -> str:
    """The value as a person reads it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return str(value)
