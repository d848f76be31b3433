"""`python -m tests.checker FOLDER`: judge a recorded run."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.checker.checker import check
from tests.checker.recording import of_folder
from tests.checker.verdict import EXIT_CODES


def main(words: Sequence[str]) -> int:
    """0 valid, 1 invalid, 2 unknown."""
    if len(words) != 1:
        print("usage: python -m tests.checker FOLDER")
        return EXIT_CODES["unknown"]
    try:
        recording = of_folder(Path(words[0]))
    except (OSError, ValueError) as exc:
        print(f"checker: unknown why=the recording cannot be read: {exc}")
        return EXIT_CODES["unknown"]
    report = check(recording, processes=os.cpu_count() or 1)
    print(report.table())
    print(report.last_line())
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
