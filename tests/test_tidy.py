"""The house rules that no linter knows: over the source text, as ratchets."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = ("schema", "producer", "workers")
FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 450
"""A module is split by concept; this bound only asks whether there is a second one in it."""
FOLDER_MODULES_MAX = 12
LAYS_OUT = re.compile(r"^[ \t].*\bmsgspec\.(?:convert|json\.decode|json\.Decoder)\(", re.MULTILINE)
MAY_LAY_OUT = ("prepared.py", "documents.py")
SLEEPS = re.compile(r"\btime\.sleep\(")
OF_ANOTHER_MACHINE = re.compile(r"/(?:root|home)/|/tmp/(?!\*)")


def sources() -> Iterator[Path]:
    for folder in SOURCES:
        yield from (ROOT / folder).rglob("*.py")


def test_functions_can_be_read_at_once() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= FUNCTION_LINES_MAX
    ]
    assert long == []


def test_modules_have_a_seam_before_they_are_long() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sources()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MODULE_LINES_MAX
    }
    assert long == {}


def test_a_folder_is_small_enough_to_be_looked_through() -> None:
    wide = {
        str(folder.relative_to(ROOT)): count
        for folder in {path.parent for path in sources()}
        if "versions" not in folder.parts
        and (count := sum(path.name != "__init__.py" for path in folder.glob("*.py"))) > FOLDER_MODULES_MAX
    }
    assert wide == {}


def test_every_folder_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sources()
        if path.name == "__init__.py"
        and "versions" not in path.parts
        and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_nobody_imports_the_front_door() -> None:
    importing = re.compile(r"^\s*(?:from|import) cli\b", re.MULTILINE)
    assert [path for path in sources() if importing.search(path.read_text(encoding="utf-8"))] == []


def test_the_source_roots_are_no_packages() -> None:
    """Or they would shadow other people's `schema` and `producer`."""
    assert [folder for folder in SOURCES if (ROOT / folder / "__init__.py").exists()] == []


def test_types_are_laid_out_by_modules_and_not_on_the_way() -> None:
    """What happens to two threads that do it at once: see `holdgate_schema/decoding/prepared.py`."""
    found = [path for path in sources() if LAYS_OUT.search(path.read_text(encoding="utf-8"))]
    assert [path for path in found if path.name not in MAY_LAY_OUT] == []


def test_tests_wait_on_signals_and_never_sleep() -> None:
    sleeping = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "tests").rglob("*.py")
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if SLEEPS.search(line)
    ]
    assert sleeping == []


def test_no_path_of_somebodys_machine_is_in_the_sources() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if OF_ANOTHER_MACHINE.search(line)
    ]
    assert found == []
