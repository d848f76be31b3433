"""`holdgate` and `python -m holdgate_workers`: the command line, or a word on how to get it."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from holdgate_workers.cli.main import cli
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.startswith("holdgate"):
            raise
        sys.exit(f"The service is not installed ({exc.name} is missing). Run: pip install 'holdgate[service]'")
    cli(prog_name="holdgate")


if __name__ == "__main__":
    main()
