"""All bad histories."""

from __future__ import annotations

from tests.checker import bad_decisions, bad_lines, bad_rows, bad_sales
from tests.checker.editing import EDITS, BadHistory, copy_of

__all__ = ["EDITS", "BadHistory", "bad_decisions", "bad_lines", "bad_rows", "bad_sales", "copy_of"]
