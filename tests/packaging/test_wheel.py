"""What is installed: three packages, and a client that needs pika and msgspec and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ONLY_THE_CLIENT = """
import sys

class Wall:
    allowed = {"pika", "msgspec", "holdgate_producer", "holdgate_schema"}
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in self.allowed or top.startswith("_"):
            return None
        raise ModuleNotFoundError(f"No module named {name!r} (kept out)", name=name)

sys.meta_path.insert(0, Wall())
import holdgate_producer, holdgate_producer.client.aio, holdgate_producer.testing
import holdgate_schema.codec, holdgate_schema.contract, holdgate_schema.topology
from holdgate_producer.testing import FakeGate
with holdgate_producer.BookingClient(link=FakeGate(capacity={"occ-1": 2})) as client:
    print(type(client.place("occ-1", {"adult": 2})).__name__, type(client.place("occ-1", {"adult": 1})).__name__)
try:
    import holdgate_schema.tables
except ModuleNotFoundError as exc:
    print(exc.name)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        folder,
        ROOT,
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_our_three_packages_and_nothing_at_the_top(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"holdgate_schema", "holdgate_producer", "holdgate_workers"}


@pytest.mark.parametrize(
    "needed",
    [
        "holdgate_schema/py.typed",
        "holdgate_schema/asyncapi.yaml",
        "holdgate_schema/migrations/versions/0001_the_gate.py",
        "holdgate_schema/migrations/versions/0002_products.py",
        "holdgate_producer/py.typed",
        "holdgate_workers/py.typed",
        "holdgate_workers/adapters/postgres/gate/commit.py",
        "holdgate_workers/cli/main.py",
        "holdgate_workers/demo/season.ics",
    ],
)
def test_the_wheel_has_what_runs_need(wheel: Path, needed: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert needed in archive.namelist()


def test_the_base_install_asks_for_pika_and_msgspec_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        lines = archive.read(metadata).decode().splitlines()
    wanted = [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]
    base = sorted(line.partition(">")[0].partition("<")[0] for line in wanted if "extra ==" not in line)
    assert base == ["msgspec", "pika"]


def test_the_client_works_with_pika_and_msgspec_alone() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ONLY_THE_CLIENT], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["Held", "Refused", "sqlalchemy"]
