"""How `demo` and `simulate` end: the numbers, every broken promise, and one last line."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.output.output import Output

if TYPE_CHECKING:
    from holdgate_workers.demo.recount.verdict import Verdict

PROBLEMS_SHOWN = 20


def stop_like_ctrl_c() -> None:
    """Have SIGTERM clean up as Ctrl-C does: what was started is stopped, what was made is removed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def tell(verdict: Verdict, out: Output) -> None:
    """Print the verdict. With JSON the last line goes to stderr, so that standard output is one document."""
    from holdgate_workers.demo.recount.summary import as_json, summary

    if out.is_json:
        out.json(as_json(verdict))
        click.echo(verdict.line(), err=True)
        return
    out.details(summary(verdict))
    for problem in verdict.problems[:PROBLEMS_SHOWN]:
        out.line(f"broken promise ({problem.check}): {problem.detail}", style="red")
    if len(verdict.problems) > PROBLEMS_SHOWN:
        out.line(f"… and {len(verdict.problems) - PROBLEMS_SHOWN} more", style="red")
    sys.stdout.flush()
    click.echo(verdict.line())


def exit_code(verdict: Verdict) -> int:
    """0 if every promise was kept."""
    return exits.OK if verdict.is_ok else exits.REFUSED
