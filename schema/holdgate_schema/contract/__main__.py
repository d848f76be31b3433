"""`python -m holdgate_schema.contract`: see `published`."""

from __future__ import annotations

import sys

from .published import main

if __name__ == "__main__":
    sys.exit(main())
