"""The checker as machine code is the same checker."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.checker.compiled import PACKAGE, ROOT, NotCompiled, make
from tests.checker.generate import small
from tests.checker.history import FolderSink, History

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler (Debian: apt-get install gcc)"),
]


def test_it_says_of_good_and_bad_histories_what_the_plain_one_says(tmp_path: Path) -> None:
    good = small(220, seed=5)
    oversold = small(220, seed=6)
    del oversold.transactions[40]
    there = make(tmp_path / "compiled", optimise=False)
    assert len(list(there.glob("tests/checker/*.so"))) > 20
    for number, (history, first_words) in enumerate(((good, "checker: valid"), (oversold, "checker: INVALID"))):
        folder = tmp_path / str(number)
        _write(history, folder)
        said = _said(folder, ROOT)
        assert said.splitlines()[-1].startswith(first_words)
        assert _said(folder, there) == said


def test_what_does_not_compile_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    with pytest.raises(NotCompiled):
        make(tmp_path / "compiled")


def _write(history: History, folder: Path) -> None:
    sink = FolderSink(folder)
    for name, notes in history.clients.items():
        for note in notes:
            sink.client(name, note)
    for note in history.tap_requests:
        sink.tap_request(note)
    for note in history.tap_events:
        sink.tap_event(note)
    for transaction in history.transactions:
        sink.transaction(transaction)
    sink.close(history.run, history.final, history.nemesis)


def _said(folder: Path, where: Path) -> str:
    words = [sys.executable, "-m", PACKAGE, str(folder)]
    alike = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(words, cwd=where, env=alike, capture_output=True, text=True, check=False).stdout
