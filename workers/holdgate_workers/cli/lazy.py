"""A command group that imports a command when it is used, so that each one starts quickly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from .failures import translated


class LazyGroup(click.Group):
    """`sections` maps a heading to its commands, each with its help line; `where` a command to its module.

    The object has the command's name with `_` for `-`, or the one that the module's path ends with after `:`.
    """

    def __init__(
        self,
        *args: Any,
        sections: Mapping[str, Sequence[tuple[str, str]]],
        where: Mapping[str, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._sections = sections
        self._where = where

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """All names, in the order of the sections."""
        return [name for commands in self._sections.values() for name, _ in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported."""
        where = self._where.get(cmd_name)
        if where is None:
            return None
        module, _, attribute = where.partition(":")
        command = getattr(import_module(f".{module}", __package__), attribute or cmd_name)
        assert isinstance(command, click.Command), where
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The commands under their headings, without importing them."""
        for heading, commands in self._sections.items():
            with formatter.section(heading):
                formatter.write_dl(list(commands))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what goes wrong ends as one line and an exit code."""
        try:
            return super().invoke(ctx)
        except Exception as exc:
            known = translated(exc)
            if known is exc:
                raise
            raise known from exc
