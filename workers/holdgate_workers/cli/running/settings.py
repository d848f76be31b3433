"""`holdgate settings`: what operations change at run time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.documents import name_of, read_object
from holdgate_workers.cli.failures import Failure, warn
from holdgate_workers.cli.output.cutting import part_of, tell_cut
from holdgate_workers.cli.output.output import Column, Output, output_option
from holdgate_workers.cli.params import by_option, example, limit_option

if TYPE_CHECKING:
    from holdgate_workers.domain.settings.settings import SettingDefinition


@click.group()
def settings() -> None:
    """Look at the settings and change them; the workers follow within a second or two, without a restart."""


@settings.command(name="list", epilog=example("holdgate settings list", "holdgate settings list --output json"))
@output_option
@pass_access
def list_(access: Access, out: Output) -> None:
    """Every setting with its value, its default and what it may be."""
    from holdgate_workers.adapters.postgres.maintenance.installation import House

    with access.opened(House) as house:
        values = house.values()
    rows = _rows(values)
    if out.is_json:
        out.json({"settings": rows})
        return
    out.table(
        [
            "setting",
            Column("value", right=True, wrap=True),
            Column("default", right=True, wrap=True),
            Column("range", right=True),
            Column("what it is", wrap=True),
        ],
        [
            (
                _emphasised(out, row["name"], changed=row["changed"]),
                _emphasised(out, _words(row["name"], row["value"]), changed=row["changed"]),
                _words(row["name"], row["default"]),
                _allowed(row),
                _about(row),
            )
            for row in rows
        ],
    )


def _emphasised(out: Output, text: str, *, changed: bool) -> Any:
    from rich.text import Text

    return Text(text, style="bold yellow" if changed and not out.is_plain else "")


def _allowed(row: Mapping[str, Any]) -> str:
    if row["choices"]:
        return "one of"
    return "JSON" if row["low"] is None else f"{row['low']}–{row['high']}"


def _about(row: Mapping[str, Any]) -> str:
    return f"{row['about']}: {', '.join(row['choices'])}" if row["choices"] else str(row["about"])


def _rows(values: Mapping[str, str]) -> list[dict[str, Any]]:
    from holdgate_workers.domain.settings.settings import DEFINITIONS

    return [
        {
            "name": item.name,
            "value": _value(item, values),
            "default": item.default,
            "low": item.kind.low,
            "high": item.kind.high,
            "choices": list(item.kind.choices),
            "changed": item.name in values,
            "about": item.about,
        }
        for item in DEFINITIONS.values()
    ]


def _value(item: SettingDefinition, values: Mapping[str, str]) -> Any:
    """What is in force; a text that somebody wrote past us, and that is no value, as it stands there."""
    from holdgate_workers.domain.settings.settings import InvalidSettings

    if item.name not in values:
        return item.default
    try:
        return item.read(values[item.name])
    except InvalidSettings:
        return values[item.name]


def _words(name: str, value: Any) -> str:
    from holdgate_workers.domain.settings.settings import DEFINITIONS

    return value if isinstance(value, str) else DEFINITIONS[name].kind.words(value)


def _one(values: Mapping[str, str], name: str) -> dict[str, Any]:
    rows = {row["name"]: row for row in _rows(values)}
    if name not in rows:
        raise Failure(f"{name!r} is not a setting; there are: {', '.join(rows)}", exits.USAGE)
    return rows[name]


@settings.command(epilog=example("holdgate settings get hold.ttl_minutes"))
@click.argument("name")
@output_option
@pass_access
def get(access: Access, name: str, out: Output) -> None:
    """The value of one setting, as it can be set again."""
    from holdgate_workers.adapters.postgres.maintenance.installation import House
    from holdgate_workers.domain.settings.settings import DEFINITIONS

    with access.opened(House) as house:
        row = _one(house.values(), name)
    if out.is_json:
        out.json(row)
    else:
        value = row["value"]
        out.line(value if isinstance(value, str) else DEFINITIONS[name].kind.text(value))


@settings.command(
    name="set",
    epilog=example(
        "holdgate settings set hold.ttl_minutes=20",
        "holdgate settings set hold.ttl_minutes=90 hold.lifetime_max_minutes=180 --by ada",
        """holdgate settings set 'fees.payment={"credit_card": {"percent": 2.9, "fixed": {"EUR": 30}}}'""",
    ),
)
@click.argument("pairs", nargs=-1, required=True, metavar="NAME=VALUE...")
@by_option
@output_option
@pass_access
def set_(access: Access, pairs: tuple[str, ...], changed_by: str, out: Output) -> None:
    """Set one or several settings: all of them, or none if one is not what it may be."""
    changes: dict[str, str | None] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"{pair!r} is not NAME=VALUE")
        if name in changes:
            raise click.UsageError(f"{name!r} is given twice")
        changes[name] = value.strip()
    _change(access, changes, changed_by, out)


@settings.command(epilog=example("holdgate settings reset hold.ttl_minutes"))
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@by_option
@output_option
@pass_access
def reset(access: Access, names: tuple[str, ...], changed_by: str, out: Output) -> None:
    """Give settings their defaults again."""
    for name in names:
        _one({}, name)
    _change(access, dict.fromkeys(names), changed_by, out)


def _change(access: Access, changes: Mapping[str, str | None], changed_by: str, out: Output) -> None:
    from holdgate_workers.adapters.postgres.maintenance.installation import House

    with access.opened(House) as house:
        before = house.values()
        house.change(changes, changed_by=changed_by)
        after = house.values()
    rows = [
        {"name": name, "old": _one(before, name)["value"], "new": _one(after, name)["value"]} for name in changes
    ]
    if out.is_json:
        out.json({"changed_by": changed_by, "settings": rows})
        return
    for row in rows:
        old, new = (_words(row["name"], row[when]) for when in ("old", "new"))
        out.line(f"{row['name']}: {new}" + (" (as before)" if old == new else f" (was {old})"))


@settings.command(epilog=example("holdgate settings history", "holdgate settings history hold.ttl_minutes"))
@click.argument("name", required=False)
@limit_option(200)
@output_option
@pass_access
def history(access: Access, name: str | None, limit: int, out: Output) -> None:
    """Who changed what, the latest first."""
    from holdgate_workers.adapters.postgres.maintenance.installation import House

    if name is not None:
        _one({}, name)
    with access.opened(House) as house:
        changes, is_cut = part_of(lambda most: house.history(name, most), limit)
    if out.is_json:
        out.json({"changes": changes, "is_cut": is_cut})
        return
    out.table(
        ["changed", "setting", *(Column(name, right=True, wrap=True) for name in ("old", "new")), "by"],
        [
            (item.changed_at, item.name, item.old_value or "default", item.new_value or "default", item.changed_by)
            for item in changes
        ],
    )
    tell_cut(is_cut, limit, "latest")


@settings.command(name="import-legacy", epilog=example("holdgate settings import-legacy options.json"))
@click.argument("file", type=click.File("rb"))
@by_option
@output_option
@pass_access
def import_legacy(access: Access, file: BinaryIO, changed_by: str, out: Output) -> None:
    """Take over the options of the engine before this one from FILE: one JSON object, option name to value.

    Known names are set, all or none; the others are named and left out. A value that is out of range is refused,
    not bent.
    """
    from holdgate_workers.domain.settings.settings import LEGACY_NAMES

    options = read_object(file)
    changes = {LEGACY_NAMES[name]: str(value) for name, value in options.items() if name in LEGACY_NAMES}
    unknown = sorted(name for name in options if name not in LEGACY_NAMES)
    if unknown:
        warn(f"left out, not known: {', '.join(unknown)}")
    if not changes:
        raise Failure(f"{name_of(file)} has none of: {', '.join(LEGACY_NAMES)}", exits.USAGE)
    _change(access, changes, changed_by, out)
