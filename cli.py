"""The front door from a checkout: `python cli.py …` is the same as `holdgate …`. Nothing may import this."""

from __future__ import annotations

import sys

try:
    from holdgate_workers.__main__ import main
except ModuleNotFoundError as exc:
    if exc.name != "holdgate_workers":
        raise
    sys.exit("Holdgate is not installed for this Python. Run: pip install -e '.[service]'   (or: make setup)")

if __name__ == "__main__":
    main()
