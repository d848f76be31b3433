"""`python -m tests.checker.compiled FOLDER`: judge a recorded run with the checker as machine code, twice as fast.

The same modules, made into extensions by mypyc in a folder of their own; that takes one or two minutes and a C
compiler, and is done again when they have changed. Without one, `python -m tests.checker FOLDER` says the same.
"""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PACKAGE = "tests.checker"
FOLDER = ROOT / ".holdgate" / "checker"
STAMP = "made-of"


class NotCompiled(Exception):
    """It could not be done; says why."""


def make(folder: Path, *, optimise: bool = True) -> Path:
    """Compile into this folder, unless that is there already. Raises `NotCompiled`.

    The folder then has a package `tests.checker` to run from there.
    """
    modules = _needed()
    made_of = hashlib.sha256(sys.version.encode())
    for name in modules:
        made_of.update((HERE / f"{name}.py").read_bytes())
    stamp = folder / STAMP
    if stamp.exists() and stamp.read_text(encoding="ascii") == made_of.hexdigest():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    package = folder / "tests" / "checker"
    package.mkdir(parents=True)
    for empty in (package.parent, package):
        (empty / "__init__.py").touch()
    for name in modules:
        shutil.copy(HERE / f"{name}.py", package)
    # What is run by name and what forks stay as they are: there is nothing to gain.
    _compile(folder, [name for name in modules if name not in _INTERPRETED], optimise=optimise)
    stamp.write_text(made_of.hexdigest(), encoding="ascii")
    return folder


_INTERPRETED = ("__main__", "checker")


def _needed() -> list[str]:
    """The modules that `__main__` needs, itself included."""
    found: dict[str, None] = {}
    waiting = ["__main__"]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = None
        tree = ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                if node.module == PACKAGE:
                    waiting += [alias.name for alias in node.names]
                elif node.module.startswith(f"{PACKAGE}."):
                    waiting.append(node.module.rpartition(".")[2])
    return sorted(found)


def _compile(folder: Path, modules: Sequence[str], *, optimise: bool) -> None:
    files = [str(Path("tests") / "checker" / f"{name}.py") for name in modules]
    done = subprocess.run(
        [sys.executable, "-m", "mypyc", "--ignore-missing-imports", *files],
        cwd=folder,
        env={**os.environ, "MYPYC_OPT_LEVEL": "3" if optimise else "0", "MYPYC_DEBUG_LEVEL": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise NotCompiled("\n".join(said[-8:]))


def main(words: Sequence[str]) -> int:
    """As `python -m tests.checker`; 3 if it cannot be compiled."""
    try:
        folder = make(FOLDER)
    except NotCompiled as exc:
        print(f"{exc}\nchecker: not compiled; python -m {PACKAGE} FOLDER needs no compiler")
        return 3
    asked = [str(Path(word).resolve()) for word in words]
    return subprocess.run([sys.executable, "-m", PACKAGE, *asked], cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
