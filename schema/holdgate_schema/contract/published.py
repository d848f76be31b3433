"""The published contract: written from the code, checked against it, printed for whoever asks.

python -m holdgate_schema.contract --write | --check
python -m holdgate_schema.contract --print asyncapi | schema NAME | slots | topology
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .asyncapi import document
from .installation import slots_table, topology_table
from .jsonschemas import MESSAGES, message_schema
from .yamltext import to_yaml

ASYNCAPI_FILE = Path("schema", "holdgate_schema", "asyncapi.yaml")
"""The only copy: it is installed with the package, the documents link to it."""
CONTRACT_FOLDER = Path("docs", "contract")
SCHEMA_FOLDER = CONTRACT_FOLDER / "schemas"

_HEAD = "# Generated from the code: `python -m holdgate_schema.contract --write`. Do not edit.\n"


class UnknownDocument(LookupError):
    """There is no such document; the message says which there are."""


def names() -> Iterator[str]:
    """What `render` knows: `asyncapi`, `slots`, `topology` and the name of every message."""
    yield from ("asyncapi", "slots", "topology", *MESSAGES)


def render(name: str) -> str:
    """A document of the contract as text, ending in a newline: `asyncapi` is YAML, all others are JSON.

    A message's name, such as `hold.place.v1` or `answer.held.v1`, gives its JSON Schema. Raises `UnknownDocument`.
    """
    if name == "asyncapi":
        return _HEAD + to_yaml(document())
    if name == "slots":
        return _json(slots_table())
    if name == "topology":
        return _json(topology_table())
    if name in MESSAGES:
        return _json(message_schema(name))
    raise UnknownDocument(f"there is no {name!r}; there are: {', '.join(names())}")


def files() -> dict[Path, str]:
    """Every generated file, relative to the root of the repository, with what should be in it."""
    found = {
        ASYNCAPI_FILE: render("asyncapi"),
        CONTRACT_FOLDER / "slots.json": render("slots"),
        CONTRACT_FOLDER / "topology.json": render("topology"),
    }
    return found | {SCHEMA_FOLDER / f"{name}.json": render(name) for name in MESSAGES}


def stale_files(root: Path) -> list[Path]:
    """The generated files under this root that are missing, differ from the code, or should not be there."""
    wanted = files()
    stale = [path for path, text in wanted.items() if _content(root / path) != text]
    found = {path.relative_to(root) for path in (root / SCHEMA_FOLDER).glob("*.json")}
    return sorted(stale + [path for path in found if path not in wanted])


def write_files(root: Path) -> list[Path]:
    """Make the generated files current. Returns those that were changed or removed."""
    wanted = files()
    stale = stale_files(root)
    for path in stale:
        if path in wanted:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(wanted[path], encoding="utf-8", newline="\n")
        else:
            (root / path).unlink()
    return stale


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 0, 1 if something is stale, 2 for a mistake in the call."""
    parser = argparse.ArgumentParser(
        prog="python -m holdgate_schema.contract", description="The published contract."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true", help="write the files that are not current")
    what.add_argument("--check", action="store_true", help="name the files that are not current, exit 1 if any")
    what.add_argument("--print", nargs="+", metavar="WHAT", help="asyncapi, slots, topology, or schema NAME")
    parser.add_argument("--root", type=Path, default=Path(), help="the repository's root (default: here)")
    given = parser.parse_args(arguments)
    if given.print:
        return _print(given.print)
    if not (given.root / ASYNCAPI_FILE).parent.is_dir():
        print(f"{given.root} is not the repository's root", file=sys.stderr)  # noqa: T201
        return 2
    if given.write:
        for path in write_files(given.root):
            print(f"written: {path}")  # noqa: T201
        return 0
    stale = stale_files(given.root)
    for path in stale:
        print(f"stale: {path} (python -m holdgate_schema.contract --write)", file=sys.stderr)  # noqa: T201
    return 1 if stale else 0


def _print(words: Sequence[str]) -> int:
    name = (
        words[1] if len(words) == 2 and words[0] == "schema" else words[0] if len(words) == 1 else " ".join(words)
    )
    try:
        sys.stdout.write(render(name))
    except UnknownDocument as exc:
        print(exc, file=sys.stderr)  # noqa: T201
        return 2
    return 0


def _content(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
